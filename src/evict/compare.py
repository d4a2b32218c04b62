# SPDX-License-Identifier: GPL-3.0-or-later
"""`evict compare`: which hosts exports of a directory or a CMDB know and the inventory lacks, and back."""

from __future__ import annotations

import argparse
import collections
import csv
import dataclasses
import datetime
import io
import json
import os
import typing as t
from collections.abc import Sequence
from pathlib import Path

from ansible_collections.evict.kaspersky.plugins.plugin_utils import files
from ansible_collections.evict.kaspersky.plugins.plugin_utils.report import text
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import Exit

from . import compare_facts, compare_match, inventory, table
from .compare_match import AMBIGUOUS, MATCHED, MISSING, NAMELESS, Entry, Known
from .errors import UsageError

FIELDS: t.Final = (
    "host", "fqdn", "ip", "os", "product", "version", "last_seen", "group", "ksc_server", "enabled", "disabled",
)  # fmt: skip
NEED: t.Final = ("host", "fqdn", "ip")
SCHEMA: t.Final = "evict.kaspersky/compare/1"
_DETAILS: t.Final = ("ip", "os", "product", "version", "group", "ksc_server")
_TITLES: t.Final = {
    MISSING: "MISSING in the inventory",
    AMBIGUOUS: "AMBIGUOUS, so not taken for a host of the inventory",
    NAMELESS: "WITHOUT A NAME in the export",
}
_EPILOG: t.Final = """\
Names match whatever their case, with or without a dot or $ at the end, short or full (when only one fits), cut to 15
characters (NetBIOS), or by address. A --column stands for the --with before it, or for all when it stands first.

exit codes: 0 the inventory has every host of the exports, 2 at least one is missing, ambiguous or without a name,
1 wrong usage or a list that cannot be read.
"""


@dataclasses.dataclass(frozen=True)
class Result:
    """A comparison.

    Attributes:
        sources: of the inventory.
        hosts: its hosts.
        exports: the lists.
        entries: all their rows.
        alone: hosts that no list knows.
        notes: by row, what the list says besides.
    """

    sources: Sequence[str]
    hosts: Sequence[Known]
    exports: Sequence[table.Table]
    entries: Sequence[Entry]
    alone: Sequence[str]
    shared: Sequence[str]
    notes: t.Mapping[int, str]

    def totals(self) -> dict[str, int]:
        """Rows by status, and hosts that no export knows."""
        count = collections.Counter(entry.status for entry in self.entries)
        return {s: count[s] for s in (MISSING, AMBIGUOUS, NAMELESS, MATCHED)} | {"only_inventory": len(self.alone)}

    def code(self) -> Exit:
        """Open as long as one row has no host."""
        return Exit.OPEN if any(entry.status != MATCHED for entry in self.entries) else Exit.OK


class _With(argparse.Action):
    """--with and --column, in the order they were given."""

    def __call__(self, parser: object, given: argparse.Namespace, value: t.Any, option: str | None = None) -> None:
        del parser
        before = list(getattr(given, "order", None) or [])
        given.order = [*before, ((option or "").lstrip("-"), str(value))]


def main(args: Sequence[str]) -> int:
    """Run the command.

    Raises:
        UsageError: the inventory or an export cannot be read, or no column holds hosts.
    """
    with inventory.quiet_usage():
        parser = inventory.parser("evict compare", "Hosts that exports know and the inventory lacks, and the reverse.")
        parser.formatter_class = argparse.RawDescriptionHelpFormatter
        parser.epilog = _EPILOG
        parser.add_argument("--with", action=_With, metavar="FILE", help="an export (CSV, TSV); may be given again")
        parser.add_argument("--column", action=_With, metavar="FIELD=HEADER", help=f"fields: {', '.join(FIELDS)}")
        parser.add_argument("--encoding", help="of the exports; default: found out")
        parser.add_argument("--format", choices=("text", "json", "csv"), default="text", help="default: %(default)s")
        parser.add_argument("--out", metavar="FILE", help="write it there; the totals are shown all the same")
        given = parser.parse_args(list(args))
    wanted = _wanted(getattr(given, "order", None) or [])
    exports = [table.read(path, FIELDS, columns, need=NEED, encoding=given.encoding) for path, columns in wanted]
    for export in exports:
        if not export.rows:
            raise UsageError(f"{export.path} holds no row, only headers: is it the right file?")
    result = compare(inventory.Fleet(given), exports)
    shown = {"text": as_text, "json": as_json, "csv": as_csv}[str(given.format)](result)
    if given.out is None:
        print(shown, end="")
    else:
        files.replace(Path(os.path.abspath(given.out)), shown.encode("utf-8", "backslashreplace"))
        print("\n".join(_totals(result)))
        print(f"written to {text.inert(str(given.out))}")
    return result.code()


def compare(fleet: inventory.Fleet, exports: Sequence[table.Table]) -> Result:
    """Compare an inventory with exports. A limit only narrows which hosts are said to be in no export."""
    hosts = [Known(name, fleet.address(name)) for name in fleet.names]
    index = compare_match.Index(hosts)
    now = datetime.datetime.now(datetime.UTC)
    everything: list[Entry] = []
    notes: dict[int, str] = {}
    for export in exports:
        rows = compare_match.entries(export)
        compare_match.match(index, rows)
        everything += rows
        day = compare_facts.day_first(compare_facts.columns(export))
        for entry in rows:
            said = [compare_facts.disabled(export, entry.row)]
            said.append(compare_facts.seen(entry.row.values["last_seen"], day, now))
            said += [f"{f} {entry.row.values[f]}" for f in _DETAILS if entry.row.values[f]]
            notes[id(entry)] = ", ".join(filter(None, said))
    met = {entry.host for entry in everything}
    alone = [name for name in fleet.selected if name not in met]
    return Result(fleet.sources, hosts, exports, everything, alone, index.twice(), notes)


def _wanted(order: Sequence[tuple[str, str]]) -> list[tuple[str, dict[str, str]]]:
    """The exports with their columns."""
    common: dict[str, str] = {}
    found: list[tuple[str, dict[str, str]]] = []
    for option, value in order:
        if option == "with":
            found.append((value, dict(common)))
            continue
        field, name = table.asked(value)
        (found[-1][1] if found else common)[field] = name
    if not found:
        raise UsageError("name an export with --with FILE")
    return found


def as_text(result: Result) -> str:
    """For a person: what is open first, totals last."""
    lines = [f"{export.described()}" for export in result.exports]
    for status, title in _TITLES.items():
        found = [entry for entry in result.entries if entry.status == status]
        if found:
            lines += ["", f"{title}: {len(found)}"]
            for entry in sorted(found, key=lambda e: (e.shown.casefold(), e.row.line)):
                said = "; ".join(filter(None, [entry.how, result.notes[id(entry)]]))
                lines.append(f"  {entry.shown}  [{entry.export.path.name}:{entry.row.line}]  {said}".rstrip())
    if result.alone:
        lines += ["", f"IN NO EXPORT, though in the inventory: {len(result.alone)}"]
        lines += [f"  {host}" for host in result.alone]
    same = compare_match.duplicates(result.entries)
    if same or result.shared:
        lines += ["", f"SEVERAL TIMES: {len(same) + len(result.shared)}"]
        for name, rows in same:
            places = ", ".join(f"{e.export.path.name}:{e.row.line} {e.shown}" for e in rows)
            lines.append(f"  {name}: {places}")
        lines += [f"  in the inventory {words}" for words in result.shared]
    odd = [e for e in result.entries if e.status == MATCHED and e.how != "by its name"]
    if odd:
        lines += ["", f"MATCHED, not by the whole name: {len(odd)}"]
        lines += [f"  {e.shown} = {e.host}  [{e.export.path.name}:{e.row.line}]  {e.how}" for e in odd]
    asleep = [e for e in result.entries if e.status == MATCHED and result.notes[id(e)].startswith("disabled")]
    if asleep:
        lines += ["", f"MATCHED, but disabled in the export: {len(asleep)}"]
        lines += [f"  {e.host}  [{e.export.path.name}:{e.row.line}]  {result.notes[id(e)]}" for e in asleep]
    damaged = [(export, problem) for export in result.exports for problem in export.problems]
    if damaged:
        lines += ["", f"DAMAGED LINES, kept: {len(damaged)}"]
        lines += [f"  {export.path.name}:{problem.line}  {problem.text}" for export, problem in damaged]
    return "".join(text.inert(line) + "\n" for line in [*lines, "", *_totals(result)])


def _totals(result: Result) -> list[str]:
    count = result.totals()
    ways = collections.Counter(e.how.partition(" its address")[0] for e in result.entries if e.status == MATCHED)
    how = ", ".join(f"{number} {way if way != 'by' else 'by address'}" for way, number in ways.most_common())
    rows = ", ".join(f"{count[s]} {s}" for s in (MISSING, AMBIGUOUS, NAMELESS, MATCHED) if count[s])
    code = result.code()
    meaning = "the inventory has every host of the exports" if code is Exit.OK else "hosts of the exports are not in it"
    return [
        f"rows of the exports: {len(result.entries)}: {rows}" + (f" ({how})" if how else ""),
        f"hosts of the inventory: {len(result.hosts)}: {count['only_inventory']} in no export",
        f"exit code {int(code)}: {meaning}",
    ]


def _flat(result: Result, entry: Entry) -> dict[str, t.Any]:
    return {
        "status": entry.status,
        "host": entry.shown,
        "inventory_host": entry.host,
        "how": entry.how,
        "export": str(entry.export.path),
        "line": entry.row.line,
        "notes": result.notes[id(entry)],
    }


def as_json(result: Result) -> str:
    """For programs: every row with its original columns."""
    body = {
        "schema": SCHEMA,
        "inventory": list(result.sources),
        "hosts": len(result.hosts),
        "totals": result.totals(),
        "exit_code": int(result.code()),
        "exports": [
            {
                "path": str(export.path),
                "encoding": export.encoding,
                "separator": export.separator,
                "columns": {f: [export.headers[n] for n in numbers] for f, numbers in export.columns.items()},
                "how": dict(export.how),
                "rows": len(export.rows),
                "problems": [dataclasses.asdict(problem) for problem in export.problems],
            }
            for export in result.exports
        ],
        "rows": [{**_flat(result, e), "original": e.export.original(e.row)} for e in result.entries],
        "only_inventory": list(result.alone),
        "duplicates": [
            {"host": name, "rows": [{"export": str(e.export.path), "line": e.row.line} for e in rows]}
            for name, rows in compare_match.duplicates(result.entries)
        ],
        "shared": list(result.shared),
    }
    return json.dumps(body, ensure_ascii=False, indent=1) + "\n"


def as_csv(result: Result) -> str:
    """For spreadsheets: a line for each row of an export and for each host that is in none."""
    stream = io.StringIO()
    head = ["status", "host", "inventory_host", "how", "export", "line", "notes", *FIELDS[1:]]
    writer = csv.writer(stream)
    writer.writerow(head)
    for entry in result.entries:
        values = [*_flat(result, entry).values(), *(entry.row.values[f] for f in FIELDS[1:])]
        writer.writerow([_safe(str(value)) for value in values])
    for host in result.alone:
        writer.writerow(["only_inventory", _safe(host), _safe(host), *[""] * (len(head) - 3)])
    return stream.getvalue()


def _safe(cell: str) -> str:
    """No formula for a spreadsheet, whatever somebody called a machine."""
    return "'" + cell if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell
