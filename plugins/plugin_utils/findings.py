# SPDX-License-Identifier: GPL-3.0-or-later
"""What one record of an observation says for one product: its weight as evidence and its words. Pure."""

from __future__ import annotations

import dataclasses
import enum
import typing as t

from .signals import Record, Signal


class Weight(enum.Enum):
    """What a finding proves of a product."""

    LIVE = "live"  # it runs now
    REGISTERED = "registered"  # the host's own list of programs has it, whole
    BROKEN = "broken"  # the list has it, half done
    FILES = "files"  # its program is there
    RESIDUE = "residue"  # may be left after removal
    ELSEWHERE = "elsewhere"  # runs in a container or chroot on this host
    HINT = "hint"  # a mark too weak to prove anything


# Kinds that can show a working product at all. Units, setup sections and registry keys outlive the product, and what
# they would show of a running one shows in processes and services as well; a driver without its product is a leftover.
PRODUCT_KINDS: t.Final = frozenset({"package", "process", "path", "tree", "uninstall", "product_code", "service"})


@dataclasses.dataclass(frozen=True)
class Finding:
    """One record that carries one signal of a product.

    Attributes:
        signal: the signal.
        probe: id of the probe that answered.
        record: the record.
        weight: what it proves.
        text: the evidence in words.
        dangerous: a residue whose driver, filter or hook may be live.
    """

    signal: Signal
    probe: str
    record: Record
    weight: Weight
    text: str
    dangerous: bool = False


def judge(signal: Signal, probe: str, record: Record) -> Finding | None:
    """Weigh a record that the signal accepts; None when it says that nothing is there (a purged package)."""
    weight = _WEIGH.get(signal.kind, _plain)(signal, record)
    if weight is None:
        return None
    if not signal.confidence.can_prove and weight is not Weight.ELSEWHERE:
        weight = Weight.HINT
    words = _WORDS.get(signal.kind, _any_words)(probe, record)
    dangerous = weight is Weight.RESIDUE and (
        getattr(signal, "danger", "") == "dangerous" or (signal.kind == "driver" and record.get("state") == "running")
    )
    return Finding(signal, probe, record, weight, words, dangerous)


def capable(signal: Signal) -> bool:
    """Could the signal show a working product?"""
    return signal.kind in PRODUCT_KINDS and signal.shows != "residue" and signal.confidence.can_prove


def _plain(signal: Signal, record: Record) -> Weight | None:
    del record
    return Weight.RESIDUE if signal.kind not in PRODUCT_KINDS else _shown(signal)


def _shown(signal: Signal) -> Weight:
    return {"live": Weight.LIVE, "product": Weight.FILES, "residue": Weight.RESIDUE}[signal.shows]


def _package(signal: Signal, record: Record) -> Weight | None:
    """dpkg's abbreviation: wanted, state, error. rpm has `installed` only."""
    state = record.get("state", "")
    if state == "installed":
        return Weight.REGISTERED
    have, error = state[1:2], state[2:3]
    if have == "n":
        return None
    if have == "c":
        return Weight.RESIDUE
    return Weight.REGISTERED if have in ("i", "W", "t") and not error else Weight.BROKEN


def _process(signal: Signal, record: Record) -> Weight:
    del signal
    return Weight.ELSEWHERE if record.get("root") == "other" else Weight.LIVE


def _unit(signal: Signal, record: Record) -> Weight:
    del signal
    return Weight.LIVE if record.get("active") == "active" and record.get("kind") != "dropin" else Weight.RESIDUE


def _uninstall(signal: Signal, record: Record) -> Weight:
    del signal
    if not record.get("uninstall") and not record.get("quiet_uninstall") and not record.get("location"):
        return Weight.RESIDUE  # an orphan: nothing to call and no place to look at
    return Weight.REGISTERED


def _service(signal: Signal, record: Record) -> Weight:
    if record.get("state") == "running":
        return Weight.LIVE
    if record.get("file_exists") == "no" or signal.shows == "residue":
        return Weight.RESIDUE
    return Weight.FILES


def _package_words(probe: str, record: Record) -> str:
    arch = f":{record['arch']}" if record.get("arch") else ""
    manager = probe.rpartition(".")[2]
    return f"package {record.get('name')}{arch} {record.get('version')} ({manager}: {record.get('state')})"


def _process_words(probe: str, record: Record) -> str:
    del probe
    program = record.get("exe") or record.get("path") or record.get("name")
    gone = ", its file is deleted" if record.get("deleted") == "yes" else ""
    return f"process {record.get('pid')} {program}{gone}"


def _unit_words(probe: str, record: Record) -> str:
    del probe
    kind = {"dropin": "drop-in for ", "masked": "masked "}.get(record.get("kind", ""), "")
    active = f" ({record['active']})" if record.get("active") else ""
    return f"unit {kind}{record.get('path') or record.get('name')}{active}"


def _path_words(probe: str, record: Record) -> str:
    del probe
    path, real = record.get("path", ""), record.get("real", "")
    kind = {"dir": "folder", "dangling": "link to nothing"}.get(
        record.get("type", ""), record.get("type", "") or "path"
    )
    return f"{kind} {path}" + (f" -> {real}" if real and real != path else "")


def _tree_words(probe: str, record: Record) -> str:
    del probe
    programs = ", which holds programs" if record.get("programs") == "yes" else ""
    return f"{record.get('type') or 'entry'} {record.get('path')}/{record.get('child')}{programs}"


def _uninstall_words(probe: str, record: Record) -> str:
    owner = f", user {record['sid']}" if probe.endswith("users") and record.get("sid") else ""
    publisher = f" of {record['publisher']}" if record.get("publisher") else ""
    return f"program {record.get('name') or record.get('key')} {record.get('version', '')}".rstrip() + (
        f"{publisher} (key {record.get('key')}, {record.get('view')} bit{owner})"
    )


def _service_words(probe: str, record: Record) -> str:
    where = record.get("path") or record.get("image") or "no program"
    gone = ", its file is gone" if record.get("file_exists") == "no" else ""
    return f"{probe.removesuffix('s')} {record.get('name')} ({record.get('state') or 'state unknown'}{gone}): {where}"


def _registry_words(probe: str, record: Record) -> str:
    hive = f"HKU\\{record.get('sid')}" if probe.endswith("users") else "HKLM"
    key = "\\".join(part for part in (hive, record.get("root", ""), record.get("key", "")) if part)
    return f"registry key {key} ({record.get('view')} bit)"


def _setup_words(probe: str, record: Record) -> str:
    del probe
    return f"section [{record.get('section')}] {record.get('version', '')}".rstrip() + f" of {record.get('file')}"


def _account_words(probe: str, record: Record) -> str:
    del probe
    members = f" (members {record['members']})" if record.get("members") else ""
    return f"{record.get('kind')} {record.get('name')}{members}"


def _any_words(probe: str, record: Record) -> str:
    return f"{probe}: " + " ".join(f"{k}={v}" for k, v in record.items() if v)


_WEIGH: t.Final[t.Mapping[str, t.Callable[[Signal, Record], Weight | None]]] = {
    "package": _package,
    "process": _process,
    "unit": _unit,
    "uninstall": _uninstall,
    "product_code": _uninstall,
    "service": _service,
}
_WORDS: t.Final[t.Mapping[str, t.Callable[[str, Record], str]]] = {
    "package": _package_words,
    "process": _process_words,
    "unit": _unit_words,
    "init_script": _path_words,
    "path": _path_words,
    "tree": _tree_words,
    "setup_section": _setup_words,
    "user": _account_words,
    "group": _account_words,
    "uninstall": _uninstall_words,
    "product_code": _uninstall_words,
    "service": _service_words,
    "driver": _service_words,
    "registry": _registry_words,
}
