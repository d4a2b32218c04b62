# SPDX-License-Identifier: GPL-3.0-or-later
"""Which host of an inventory is which row of somebody's list: by name, short name, NetBIOS name or address."""

from __future__ import annotations

import collections
import dataclasses
import ipaddress
import re
import typing as t
from collections.abc import Iterable, Mapping, Sequence

from . import table

MATCHED: t.Final = "matched"
MISSING: t.Final = "missing"
AMBIGUOUS: t.Final = "ambiguous"
NAMELESS: t.Final = "nameless"
OPEN: t.Final = (MISSING, AMBIGUOUS, NAMELESS)
_NETBIOS: t.Final = 15  # characters of a NetBIOS name
_SHOWN: t.Final = 4


@dataclasses.dataclass(frozen=True)
class Known:
    """A host of the inventory: its name there, and the name or address that is really used."""

    name: str
    address: str = ""


@dataclasses.dataclass
class Entry:
    """What became of one row of an export.

    Attributes:
        export: the list it is in.
        row: the row.
        names: its names, plain; addresses: its addresses.
        status: MATCHED, MISSING, AMBIGUOUS or NAMELESS.
        host: the host of the inventory, empty without a match.
        how: how it matched, or why it did not.
    """

    export: table.Table
    row: table.Row
    names: tuple[str, ...]
    addresses: tuple[str, ...]
    status: str = MISSING
    host: str = ""
    how: str = ""

    @property
    def shown(self) -> str:
        """The name a person knows it by."""
        values = self.row.values
        return values["host"] or values["fqdn"] or values["ip"] or f"line {self.row.line}"


def plain(name: str) -> str:
    """A name for comparison: small letters, no dot or `$` at the end, no domain in front, the first part of a DN."""
    text = name.strip().casefold()
    if found := re.match(r"cn=((?:[^,\\]|\\.)+)", text):
        text = found[1]
    text = text.rpartition("\\")[2]
    return text.rstrip(".").removesuffix("$")


def address(text: str) -> str:
    """An IP address in its usual form; empty when it is none, or one that many machines have."""
    try:
        found = ipaddress.ip_address(text.strip().strip("[]").partition("%")[0])
    except ValueError:
        return ""
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped:
        found = found.ipv4_mapped
    return "" if found.is_loopback or found.is_link_local or found.is_unspecified else str(found)


def short(name: str) -> str:
    """The first part of a name."""
    return name.partition(".")[0]


class Index:
    """The inventory, ready to be asked."""

    def __init__(self, hosts: Sequence[Known]) -> None:
        self.hosts = hosts
        self.full: dict[str, list[str]] = collections.defaultdict(list)
        self.first: dict[str, list[str]] = collections.defaultdict(list)
        self.cut: dict[str, list[str]] = collections.defaultdict(list)
        self.at: dict[str, list[str]] = collections.defaultdict(list)
        self.dotted: dict[str, set[str]] = {}
        for host in hosts:
            given = [name for name in (host.name, host.address) if name]
            names = {plain(name) for name in given if not _is_address(name)}
            self.dotted[host.name] = {name for name in names if "." in name}
            for name in names:
                _add(self.full[name], host.name)
                _add(self.first[short(name)], host.name)
                if len(short(name)) > _NETBIOS:
                    _add(self.cut[short(name)[:_NETBIOS]], host.name)
            for where in filter(None, map(address, given)):
                _add(self.at[where], host.name)

    def twice(self) -> list[str]:
        """What several hosts of the inventory share."""
        both = [("the name", self.full), ("the address", self.at)]
        return [
            f"{', '.join(hosts[:_SHOWN])} share {what} {key}"
            for what, index in both
            for key, hosts in index.items()
            if len(hosts) > 1
        ]


def entries(export: table.Table) -> list[Entry]:
    """The rows of an export with their names and addresses."""
    found = []
    for row in export.rows:
        cells = [*export.every(row, "fqdn"), *export.every(row, "host")]
        names = dict.fromkeys(plain(cell) for cell in cells if not _is_address(cell))
        words = [*re.split(r"[\s,;|]+", " ".join(export.every(row, "ip"))), *cells]
        found.append(
            Entry(export, row, tuple(n for n in names if n), tuple(dict.fromkeys(filter(None, map(address, words)))))
        )
    return found


def match(index: Index, rows: Sequence[Entry]) -> None:
    """Find the host of each row of one export; what is not certain is not taken for a match.

    Args:
        index: the inventory.
        rows: all rows of one export; they are changed.
    """
    domains: dict[str, set[str]] = collections.defaultdict(set)
    beginnings: dict[str, set[str]] = collections.defaultdict(set)
    for entry in rows:
        for name in entry.names:
            if "." in name:
                domains[short(name)].add(name)
            beginnings[short(name)[:_NETBIOS]].add(short(name))
    for entry in rows:
        if not entry.names and not entry.addresses:
            entry.status, entry.how = NAMELESS, "it has neither a name nor an address"
        else:
            _by_name(index, entry, domains, beginnings)
    taken = {entry.host: entry for entry in rows if entry.host}
    for entry in rows:
        if entry.status == MISSING and entry.addresses:
            _by_address(index, entry, taken)


def duplicates(rows: Iterable[Entry]) -> list[tuple[str, list[Entry]]]:
    """Hosts that stand in one export several times: the name, and its rows."""
    found: dict[tuple[int, str], list[Entry]] = collections.defaultdict(list)
    for entry in rows:
        key = entry.host or (entry.names[0] if entry.names else entry.addresses[0] if entry.addresses else "")
        if key:
            found[id(entry.export), key].append(entry)
    return [(key, same) for (_, key), same in found.items() if len(same) > 1]


def _by_name(index: Index, entry: Entry, domains: Mapping[str, set[str]], beginnings: Mapping[str, set[str]]) -> None:
    same = _union(index.full.get(name, ()) for name in entry.names)
    if same:
        _settle(entry, same, "by its name")
        return
    dotted = {name for name in entry.names if "." in name}
    firsts = {short(name) for name in entry.names}
    # Two full names in different domains are two machines, however they begin.
    close = [
        host for host in _union(index.first.get(name, ()) for name in firsts) if not dotted or not index.dotted[host]
    ]
    if close:
        rivals = set().union(*(domains.get(name, set()) for name in firsts))
        if len(rivals) > 1 and not any(index.dotted[host] for host in close):
            entry.status = AMBIGUOUS
            entry.how = f"{close[0]} of the inventory may be any of {_list(sorted(rivals))}: use full names there"
            return
        _settle(entry, close, "by its short name")
        return
    cut = {name for name in firsts if len(name) == _NETBIOS}
    close = _union(index.cut.get(name, ()) for name in cut)
    if close and not dotted:
        rivals = set().union(*(beginnings.get(name, set()) for name in cut)) - cut
        if rivals:
            entry.status = AMBIGUOUS
            entry.how = f"its name is cut after {_NETBIOS} characters and may be any of {_list(sorted(rivals))}"
            return
        _settle(entry, close, f"by its NetBIOS name, cut after {_NETBIOS} characters")
        return
    others = _union(index.first.get(name, ()) for name in firsts)
    if others:
        entry.how = f"of the same short name, in another domain: {_list(others)}"


def _by_address(index: Index, entry: Entry, taken: dict[str, Entry]) -> None:
    found = _union(index.at.get(where, ()) for where in entry.addresses)
    if not found:
        return
    where = next(a for a in entry.addresses if a in index.at)
    if len(found) == 1 and found[0] in taken:
        other = taken[found[0]]
        if other.names != entry.names or other.row is entry.row:
            entry.how = f"its address {where} is that of {found[0]}, which is line {other.row.line} of the export"
            return
    differs = f"; the names differ: {entry.shown}" if entry.names else ""
    _settle(entry, found, f"by its address {where}{differs}")
    if entry.host:
        taken[entry.host] = entry


def _settle(entry: Entry, hosts: Sequence[str], how: str) -> None:
    if len(hosts) == 1:
        entry.status, entry.host, entry.how = MATCHED, hosts[0], how
    else:
        entry.status, entry.how = AMBIGUOUS, f"{how} it may be any of {_list(hosts)}"


def _union(parts: Iterable[Iterable[str]]) -> list[str]:
    return list(dict.fromkeys(host for part in parts for host in part))


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _add(hosts: list[str], name: str) -> None:
    if name not in hosts:
        hosts.append(name)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.strip().strip("[]").partition("%")[0])
    except ValueError:
        return False
    return True
