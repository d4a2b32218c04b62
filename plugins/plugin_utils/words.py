# SPDX-License-Identifier: GPL-3.0-or-later
"""A record of an observation in words, for evidence and facts.

What a host says stays as it is: reports make it inert.
"""

from __future__ import annotations

import typing as t
from collections.abc import Callable, Mapping

from .signals import Record


def of(kind: str, probe: str, record: Record) -> str:
    """The words.

    Args:
        kind: of the signal that accepted the record.
        probe: id of the probe that answered.
        record: the record; any key may be missing.
    """
    if (words := _WORDS.get(kind)) is not None:
        return words(record)
    return _BY_PROBE.get(kind, _any_words)(probe, record)


def _package_words(probe: str, record: Record) -> str:
    arch = f":{record['arch']}" if record.get("arch") else ""
    manager = probe.rpartition(".")[2]
    return f"package {record.get('name')}{arch} {record.get('version')} ({manager}: {record.get('state')})"


def _process_words(record: Record) -> str:
    program = record.get("exe") or record.get("path") or record.get("name")
    gone = ", its file is deleted" if record.get("deleted") == "yes" else ""
    return f"process {record.get('pid')} {program}{gone}"


def _unit_words(record: Record) -> str:
    kind = {"dropin": "drop-in for ", "masked": "masked "}.get(record.get("kind", ""), "")
    active = f" ({record['active']})" if record.get("active") else ""
    return f"unit {kind}{record.get('path') or record.get('name')}{active}"


def _path_words(record: Record) -> str:
    path, real = record.get("path", ""), record.get("real", "")
    kind = {"dir": "folder", "dangling": "link to nothing"}.get(
        record.get("type", ""), record.get("type", "") or "path"
    )
    return f"{kind} {path}" + (f" -> {real}" if real and real != path else "")


def _tree_words(record: Record) -> str:
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
    # Sorted, since PowerShell's tables have another order in each process.
    named = sorted((k.removeprefix("value."), v) for k, v in record.items() if k.startswith("value.") and v)
    values = ", ".join(f"{name}={value}" for name, value in named)
    return f"registry key {key} ({record.get('view')} bit)" + (f": {values}" if values else "")


def _setup_words(record: Record) -> str:
    return f"section [{record.get('section')}] {record.get('version', '')}".rstrip() + f" of {record.get('file')}"


def _account_words(record: Record) -> str:
    members = f" (members {record['members']})" if record.get("members") else ""
    return f"{record.get('kind')} {record.get('name')}{members}"


def _module_words(record: Record) -> str:
    where = {"loaded": "is loaded", "file": "lies on disk", "config": "is configured", "dkms": "is built by dkms"}
    place = f" ({record['path']})" if record.get("path") else ""
    return f"kernel module {record.get('name')} {where.get(record.get('where', ''), record.get('where', ''))}{place}"


def _chain_words(record: Record) -> str:
    family, table = record.get("family", ""), record.get("table", "")
    return f"firewall chain {record.get('chain')} in {family} table {table}, {record.get('rules') or '?'} rules"


def _trust_words(record: Record) -> str:
    return f"certificate in the trust store that names the vendor: {record.get('path')}"


def _line_words(record: Record) -> str:
    return f"line in {record.get('file')}: {record.get('text')}"


def _image_words(record: Record) -> str:
    return f"{record.get('engine')} {record.get('kind')} of {record.get('name')} {record.get('id', '')[:12]}".rstrip()


def _launchd_words(record: Record) -> str:
    runs = f", runs with pid {record['pid']}" if record.get("pid", "").isdigit() else ""
    return f"launchd job {record.get('name')} ({record.get('path') or record.get('program') or 'no file'}{runs})"


def _system_extension_words(record: Record) -> str:
    team = f" of team {record['team']}" if record.get("team") else ""
    return f"system extension {record.get('name')} {record.get('version', '')}{team} ({record.get('state')})"


def _profile_words(record: Record) -> str:
    return f"configuration profile {record.get('display') or record.get('name')} ({record.get('name')})"


def _minifilter_words(record: Record) -> str:
    return f"minifilter {record.get('name')} at altitude {record.get('altitude') or '?'} ({record.get('state')})"


def _class_filter_words(record: Record) -> str:
    device = record.get("class_name") or record.get("class")
    return f"{record.get('position')} filter {record.get('filter')} of device class {device}"


def _network_words(record: Record) -> str:
    name = record.get("name") or record.get("service") or ""
    return f"network component ({record.get('kind')}) {record.get('id')} {name}".rstrip()


def _certificate_words(record: Record) -> str:
    owner = f" of user {record['sid']}" if record.get("sid") else f" of the {record.get('hive') or 'machine'}"
    return f"certificate {record.get('subject')} in store {record.get('store')}{owner} ({record.get('thumbprint')})"


def _task_words(record: Record) -> str:
    return f"scheduled task {record.get('path')}: {record.get('command') or 'no command'}"


def _rule_words(record: Record) -> str:
    return f"firewall rule {record.get('name') or record.get('id')}: {record.get('action')} {record.get('program', '')}"


def _extension_words(record: Record) -> str:
    owner = f", user {record['sid']}" if record.get("sid") else ""
    what = record.get("kind", "").replace("_", " ")
    return f"{record.get('browser')} {what} {record.get('id')} {record.get('name', '')}".rstrip() + owner


def _appx_words(record: Record) -> str:
    return f"AppX package {record.get('name')} {record.get('version', '')} ({record.get('scope')})"


def _reinstall_words(record: Record) -> str:
    return f"{record.get('kind', '').replace('_', ' ')} {record.get('source')}: {record.get('text')}"


def _any_words(probe: str, record: Record) -> str:
    return f"{probe}: " + " ".join(f"{k}={v}" for k, v in record.items() if v)


_WORDS: t.Final[Mapping[str, Callable[[Record], str]]] = {
    "process": _process_words,
    "unit": _unit_words,
    "init_script": _path_words,
    "path": _path_words,
    "tree": _tree_words,
    "setup_section": _setup_words,
    "user": _account_words,
    "group": _account_words,
    "kernel_module": _module_words,
    "firewall_chain": _chain_words,
    "trust_anchor": _trust_words,
    "line": _line_words,
    "image": _image_words,
    "launchd": _launchd_words,
    "system_extension": _system_extension_words,
    "profile": _profile_words,
    "minifilter": _minifilter_words,
    "class_filter": _class_filter_words,
    "network_component": _network_words,
    "certificate": _certificate_words,
    "task": _task_words,
    "firewall_rule": _rule_words,
    "extension": _extension_words,
    "appx": _appx_words,
    "reinstall": _reinstall_words,
}
# Kinds that several probes answer, which the words tell apart.
_BY_PROBE: t.Final[Mapping[str, Callable[[str, Record], str]]] = {
    "package": _package_words,
    "uninstall": _uninstall_words,
    "product_code": _uninstall_words,
    "service": _service_words,
    "driver": _service_words,
    "registry": _registry_words,
}
