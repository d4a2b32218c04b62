# SPDX-License-Identifier: GPL-3.0-or-later
"""Inhibitors of what replacement and fallback need: the way to them, files, room, memory, rules that let them work."""

from __future__ import annotations

import typing as t
from collections.abc import Iterator

from . import cover, filling, templates
from .case import Case
from .inhibitors_base import BOTH, LINUX, Inhibitor, Met, Put, detail, doubt, number, puts, records

LEAST: t.Final = 100  # MiB that a removal alone may take: package databases, logs, the journal
_FORBIDS: t.Final = ("enforcing", "active", "unknown", "")
_WINDOWS_RULES: t.Final = ("applocker", "wdac", "smart_app_control", "srp")


# --- can it be had?


def _egress(case: Case) -> Iterator[Met]:
    asked = set()
    for record in records(case, "egress"):
        asked.add(record.get("endpoint", ""))
        state = record.get("state")
        if state == "no_tool":
            yield Met(f"could not tell whether {record.get('endpoint')} can be reached: no tool for it on the host")
        elif state != "open":
            yield Met(
                f"{record.get('endpoint')} cannot be reached from the host ({state or 'no answer'}{detail(record)})"
            )
    wanted = {endpoint: str(put) for put in puts(case) for endpoint in _endpoints(case, put)}
    if wanted or asked:
        yield from doubt(case, "egress", "whether the replacement can be reached from the host")
    if case.probe("egress").status != "unknown":
        for endpoint in sorted(wanted.keys() - asked):
            yield Met(f"could not tell whether {endpoint} can be reached for {wanted[endpoint]}: the host did not try")


def _endpoints(case: Case, put: Put) -> tuple[str, ...]:
    try:
        return cover.endpoints(case.policy, put.provider, case.platform, put.role)
    except templates.TemplateError:  # an inhibitor of its own (replacement_unfit)
        return ()


def _artifact(case: Case) -> Iterator[Met]:
    for role in sorted(case.controller.artifacts):
        if fault := case.controller.artifacts[role]:
            yield Met(f"{role}: {fault}")


def _candidate(case: Case) -> Iterator[Met]:
    wanted = {name: str(put) for put in puts(case) for name in _packages(case, put)}
    told = {}
    for record in records(case, "repository"):
        told[record.get("package", "")] = record
        if record.get("fault") or not (record.get("candidate") or record.get("installed")):
            yield Met(
                f"package {record.get('package')}: {record.get('fault') or 'no repository of the host offers it'}"
            )
    if wanted or told:
        yield from doubt(case, "repository", "whether the host's repositories offer the replacement")
    if case.probe("repository").status != "unknown":
        for name in sorted(wanted.keys() - told.keys()):
            yield Met(f"could not tell whether a repository offers {name} for {wanted[name]}: the host did not look")


def _packages(case: Case, put: Put) -> tuple[str, ...]:
    """What the host's repositories must offer."""
    if put.method != "repository":
        return ()
    names = filling.own(put.part.packages, case.family, case.manager) or ()
    try:
        return templates.items(names, case.values(put.role, put.provider))
    except templates.TemplateError:
        return ()


# --- is there room, and will it be let work?


def _room(case: Case) -> Iterator[Met]:
    room = sum(put.part.room_mib for put in puts(case))
    least = max(room, LEAST)
    seen = False
    for record in records(case, "space"):
        path, free = record.get("path") or record.get("mount") or "?", number(record.get("free_mib"))
        if path == "/tmp":  # nothing is put there
            continue
        seen = True
        if "ro" in record.get("options", "").split(","):
            yield Met(f"{path} is mounted read-only")
        if free is None:
            yield Met(f"could not tell how much room {path} has: {record.get('free_mib')!r}")
        elif free < least:
            yield Met(f"{path} has {free} MiB free, and {least} MiB are needed")
    if not seen and case.probe("space").status != "unknown":
        yield Met("could not tell how much room there is: the host named no file system")
    yield from doubt(case, "space", "how much room there is")


def _memory(case: Case) -> Iterator[Met]:
    wanted = max(((p.part.memory_mib, str(p)) for p in puts(case)), default=(0, ""))
    if not wanted[0]:
        return
    probe = case.probe("resources")
    if probe.status == "unknown":
        yield from doubt(case, "resources", "how much memory there is")
        return
    memory = number(next((r.get("memory_mib") for r in probe.records), ""))
    if memory is None:
        yield Met("could not tell how much memory there is: the host did not say")
    elif memory < wanted[0]:
        yield Met(f"the host has {memory} MiB of memory, and {wanted[1]} needs {wanted[0]} MiB")


def _enforcement(case: Case) -> Iterator[Met]:
    installed = [put for put in puts(case) if put.method]
    if not installed:
        return
    unprepared = [put for put in installed if put.method != "repository" and not _prepares(put)]
    for record in records(case, "enforcement"):
        kind, state = record.get("kind", ""), record.get("state", "")
        if state not in _FORBIDS:
            continue
        if kind == "selinux" and state != "active":
            for put in unprepared:
                yield Met(
                    f"SELinux is {state or 'in an unknown state'}, and nothing prepares it for {put}{detail(record)}"
                )
        elif kind in ("fapolicyd", "digsig", *_WINDOWS_RULES) and not (kind == "srp" and state == "active"):
            yield Met(f"{kind.replace('_', ' ')} is {state or 'in an unknown state'}{detail(record)}")
    yield from doubt(case, "enforcement", "whether rules on programs would stop the replacement")


def _prepares(put: Put) -> bool:
    return any(s.kind == "set_selinux_boolean" for s in (*put.part.stage, *put.part.cover))


INHIBITORS: t.Final = (
    Inhibitor(
        id="cover_unreachable",
        title="The host cannot reach what the replacement or the fallback needs",
        platforms=BOTH,
        when="covers",
        looks_at=(
            "probe `egress`: a connection from the host to each endpoint, through `evict_proxy` where one is set"
        ),
        remedy="open the way (firewall, proxy, name), or choose a source within reach, then plan again",
        waivable=True,
        why="the way may be opened for the window only; staging stops before anything is removed",
        check=_egress,
    ),
    Inhibitor(
        id="artifact_unfit",
        title="A file of the replacement or the fallback is not what was named",
        platforms=BOTH,
        when="covers",
        looks_at="hash and signature of the files that the controller sends",
        remedy="get the right file, or put hash and signer in the source right; find out why they differ",
        waivable=False,
        why="nothing runs that was not verified",
        check=_artifact,
    ),
    Inhibitor(
        id="no_candidate",
        title="No repository of the host offers the replacement or the fallback",
        platforms=LINUX,
        when="covers",
        looks_at="probe `repository`: the package lists the host has",
        remedy=(
            "add the repository or subscription, refresh the lists (apt-get update, dnf makecache, zypper "
            "refresh), then plan again; or choose another source"
        ),
        waivable=True,
        why="staging refreshes the lists and stops before anything is removed",
        check=_candidate,
    ),
    Inhibitor(
        id="no_room",
        title="There is not enough room",
        platforms=BOTH,
        when="acts",
        looks_at="probe `space` against what replacement and fallback need",
        remedy="make room, or mount the file system writable, then plan again",
        waivable=False,
        why="a package database that cannot be written stops everything half way",
        check=_room,
    ),
    Inhibitor(
        id="too_little_memory",
        title="The host has too little memory for the replacement or the fallback",
        platforms=BOTH,
        when="covers",
        looks_at="probe `resources` against what the provider needs",
        remedy="give the host more memory, or choose another provider",
        waivable=True,
        why="the limit is what its vendor recommends; a quiet host may do with less",
        check=_memory,
    ),
    Inhibitor(
        id="programs_restricted",
        title="Rules on which programs may run could stop the replacement or the fallback",
        platforms=BOTH,
        when="covers",
        looks_at=(
            "probe `enforcement`: SELinux, fapolicyd, digsig; AppLocker, WDAC, Smart App Control, software restriction"
        ),
        remedy="add the replacement to the rules (and SELinux policy) before, then waive this",
        waivable=True,
        why="the rules may name the replacement already, which cannot be seen from here",
        check=_enforcement,
    ),
)
