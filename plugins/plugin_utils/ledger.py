# SPDX-License-Identifier: GPL-3.0-or-later
"""From evidence to rows: every host of the inventory once, whatever way the run ended; rows.json and the manifest."""

from __future__ import annotations

import collections
import dataclasses
import json
import os
import re
import typing as t
from collections.abc import Sequence
from pathlib import Path

from . import breaker, canonical, carried, deeds, evidence, files, planned, source, told
from . import events as said
from .events import Pending
from .evidence import EvidenceError, Log
from .hostfile import file_name, host_of
from .row import SCHEMA as ROWS_SCHEMA
from .row import Row
from .run import HOSTS, MANIFEST, ROWS, RUN_LOG, is_log
from .verdict import SEVERITY, Verb

MANIFEST_SCHEMA: t.Final = "evict.kaspersky/manifest/1"
_SUM_LIMIT: t.Final = 256_000_000  # bytes of a manifest or rows file that are read at all


@dataclasses.dataclass(frozen=True)
class Ledger:
    """A run as its evidence tells it.

    Attributes:
        run: id of the run.
        verb: what it was for.
        rows: every host of the inventory once, in natural order of names.
        complete: the run ended by itself.
        problems: what is wrong with the evidence of the run itself.
        folder: where the evidence is.
        started, ended: times in UTC, `ended` empty for a run that was killed.
        versions: of collection, ansible and python that made the evidence.
        sources: by host, for those with a scan: where its evidence is.
        carried, plans, deeds: by host, for those that have one: the row of an earlier run, the plan, what was done.
        events: told by the events of a job, so that there is no evidence to check.
    """

    run: str
    verb: Verb
    rows: tuple[Row, ...]
    complete: bool
    problems: tuple[str, ...]
    folder: Path
    started: str = ""
    ended: str = ""
    versions: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    sources: t.Mapping[str, source.Source] = dataclasses.field(default_factory=dict)
    carried: t.Mapping[str, carried.Item] = dataclasses.field(default_factory=dict)
    plans: planned.Plans = dataclasses.field(default_factory=planned.Plans)
    deeds: deeds.Deeds = dataclasses.field(default_factory=deeds.Deeds)
    events: bool = False

    def totals(self) -> dict[str, int]:
        """Hosts per verdict, worst first, without zeros. The sum is the inventory."""
        count = collections.Counter(row.verdict for row in self.rows)
        return {str(v): count[v] for v in SEVERITY if count[v]}


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """Key for the natural order of names: host9 before host10."""
    parts = re.split(r"([0-9]+)", name.casefold())
    return tuple((0, int(p[:300]), p) if p.isdecimal() and p.isascii() else (1, 0, p) for p in parts if p)


def build_rows(folder: Path) -> list[Row]:
    """The rows of a run from its evidence alone.

    Raises:
        EvidenceError: the evidence of the run itself cannot be read.
    """
    return list(build(folder).rows)


def build(
    folder: Path, pending: Sequence[Pending] = (), *, trust_manifest: bool = True, memory_only: bool = False
) -> Ledger:
    """Judge a run from its evidence.

    Args:
        folder: the run folder.
        pending: events that could not be written.
        memory_only: the folder cannot be used, go by the pending events alone.
        trust_manifest: hold the files against the manifest when there is one; off while the run itself still writes.

    Raises:
        EvidenceError: there is no evidence of a run, or it cannot be read.
    """
    log = Log(folder / RUN_LOG, (), (), 0, None, 0, "") if memory_only else _run_log(folder)
    events: list[said.Event] = [*log.records, *pending]
    problems = [f"{RUN_LOG}: {text}" for text in log.problems]
    started = [e for e in events if e.event == "run_started"]
    since = started[-1].time if started else ""
    sums, fault = _sums(folder) if trust_manifest and not memory_only else ({}, "")
    if fault:
        problems.append(fault)
    if sums and sums.get(RUN_LOG) != log.sha256:
        problems.append(f"{RUN_LOG}: changed after the run ended (it differs from the manifest)")

    inventory, scope = said.hosts(events)
    failed = said.failures(events, since)
    stopped = breaker.stopped(e.data for e in events if e.event == breaker.EVENT and e.time >= since)
    unwritten = {e.data["host"]: e for e in pending if e.event == "scan"}
    known = dict.fromkeys([*inventory, *scope, *failed, *unwritten])
    by_file = {file_name(host): host for host in known}
    wanted = set(scope)

    def judge(host: str, log: Log | str | None) -> Row:
        untried = told.untried(host in wanted, stopped)
        return told.row(host, log, failed.get(host), untried=untried, since=since, plans=plans)

    judged: dict[str, Row] = {}
    sources: dict[str, source.Source] = {}
    plans, done = planned.Plans(), deeds.Deeds()
    # One host at a time: the observations of a large fleet do not fit into memory together.
    for name in [] if memory_only else _host_files(folder, sums):
        host, read = _host_log(folder, name, by_file.get(name), sums)
        if isinstance(read, Log) and read.records and log.records and read.records[0].run != log.records[0].run:
            read = "its evidence fails verification: it is of another run"
        judged[host] = judge(host, read)
        if isinstance(read, Log):
            done.take(host, read.records)
        if isinstance(read, Log) and (found := source.of(read)):
            sources[host] = found
        known.setdefault(host)
    taken = {host: item for host, item in carried.of(events).items() if host in known}
    for host in taken.keys() - wanted - judged.keys() - failed.keys():
        item = taken[host]
        judged[host] = plans.carry(carried.row(host, item), item.plan if item else "")
        if item is not None and item.source:
            sources[host] = item.source
    rows = [
        told.unwritten(host, unwritten[host]) if host in unwritten else judged.get(host) or judge(host, None)
        for host in known
    ]
    ended = [e for e in events if e.event == "run_ended" and e.time >= since]
    return Ledger(
        run=log.records[0].run if log.records else folder.name,
        verb=_verb(started[-1].data.get("verb") if started else None),
        rows=tuple(sorted(plans.settle(rows), key=lambda row: (natural(row.host), row.host))),
        complete=bool(ended) and ended[-1].data.get("how") == "ended",
        problems=tuple(problems),
        folder=folder,
        started=since,
        ended=ended[-1].time if ended else "",
        versions=_versions(started[-1].data.get("versions")) if started else {},
        sources=sources,
        carried={host: item for host, item in taken.items() if item and host not in wanted},
        plans=plans,
        deeds=done,
    )


def write_rows(ledger: Ledger, folder: Path | None = None) -> Path:
    """Write rows.json, one row a line, whole or not at all.

    Returns:
        The file.

    Raises:
        EvidenceError: it cannot be written.
    """
    path = (folder or ledger.folder) / ROWS
    files.replace(path, rows_json(ledger))
    return path


def write_plans(ledger: Ledger) -> None:
    """Write plan.json and the plans below `plans/` that are not there as the evidence has them.

    Raises:
        EvidenceError: one cannot be written.
    """
    planned.write(ledger.folder, ledger.run, ledger.plans, (row.host for row in ledger.rows))


def rows_json(ledger: Ledger) -> bytes:
    """The text of rows.json."""
    head = canonical.dumps(
        {
            "schema": ROWS_SCHEMA,
            "run": ledger.run,
            "verb": str(ledger.verb),
            "complete": ledger.complete,
            "totals": ledger.totals(),
        }
    )
    lines = b",\n".join(canonical.dumps(row.to_dict()) for row in ledger.rows)
    return head[:-1] + b',"rows":[\n' + lines + b"\n]}\n"


def write_manifest(folder: Path, run: str) -> Path:
    """Write the manifest over all files of the run: the last thing a run does.

    Raises:
        EvidenceError: a file cannot be read or the manifest cannot be written.
    """
    entries, heads = [], {}
    for name in listing(folder):
        if name == MANIFEST:
            continue
        if is_log(name):
            log = evidence.load(folder / name)
            entries.append({"path": name, "size": log.size, "sha256": log.sha256})
            heads[name] = {"records": len(log.records), "digest": log.head}
        else:
            data = read_bytes(folder / name)
            entries.append({"path": name, "size": len(data), "sha256": canonical.sha256(data)})
    body = {"schema": MANIFEST_SCHEMA, "run": run, "time": evidence.now(), "files": entries, "heads": heads}
    path = folder / MANIFEST
    files.replace(path, canonical.dumps(body) + b"\n")
    return path


def listing(folder: Path) -> list[str]:
    """Every file below the run folder, relative, sorted; temporary ones of a killed writer left out.

    Raises:
        EvidenceError: the folder cannot be read.
    """

    def stop(exc: OSError) -> None:
        raise files.explain("read the folder", folder, exc)

    found = []
    for at, _dummy, names in os.walk(folder, onerror=stop):
        below = os.path.relpath(at, folder)
        found += [name if below == "." else f"{below}/{name}" for name in names if not name.startswith(".")]
    return sorted(found)


def read_bytes(path: Path) -> bytes:
    """A file of the run.

    Raises:
        EvidenceError: it cannot be read, or it is larger than any file of ours.
    """
    try:
        with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as stream:
            data = stream.read(_SUM_LIMIT + 1)
    except OSError as exc:
        raise EvidenceError(f"cannot read {files.shown(path)}: {exc.strerror}") from exc
    if len(data) > _SUM_LIMIT:
        raise EvidenceError(f"cannot read {files.shown(path)}: it is larger than any file of a run")
    return data


def manifest(folder: Path) -> dict[str, t.Any] | None:
    """The manifest, None when there is none.

    Raises:
        EvidenceError: it cannot be read or is no manifest.
    """
    path = folder / MANIFEST
    if not os.path.lexists(path):
        return None
    try:
        body = json.loads(read_bytes(path))
        entries = {str(e["path"]): str(e["sha256"]) for e in body["files"]}
    except (ValueError, TypeError, KeyError, RecursionError) as exc:
        raise EvidenceError(f"{MANIFEST} is no manifest of this collection") from exc
    if body.get("schema") != MANIFEST_SCHEMA or len(entries) != len(body["files"]):
        raise EvidenceError(f"{MANIFEST} is no manifest of this collection")
    return t.cast("dict[str, t.Any]", body)


def _run_log(folder: Path) -> Log:
    path = folder / RUN_LOG
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise EvidenceError(
            f"{files.shown(folder)} holds no evidence of a run ({RUN_LOG} is missing): name the folder of a run"
        ) from exc
    except OSError as exc:
        raise EvidenceError(f"cannot read {files.shown(path)}: {exc.strerror}") from exc
    return evidence.load(path)


def _sums(folder: Path) -> tuple[dict[str, str], str]:
    try:
        body = manifest(folder)
    except EvidenceError as exc:
        return {}, str(exc)
    return ({e["path"]: e["sha256"] for e in body["files"]}, "") if body else ({}, "")


def _verb(value: object) -> Verb:
    try:
        return Verb(str(value))
    except ValueError:
        return Verb.VERIFY  # the strictest reading: what is not known to be a mere look counts as unfinished


def _versions(value: object) -> dict[str, str]:
    return {str(k): str(v) for k, v in value.items()} if isinstance(value, dict) else {}


def _host_files(folder: Path, sums: dict[str, str]) -> list[str]:
    """File names, without suffix, of all hosts with evidence: on the disk or at least in the manifest."""
    path = folder / HOSTS
    try:
        there = os.listdir(path) if path.is_dir() else []
    except OSError as exc:
        raise files.explain("read the folder", path, exc) from exc
    listed = [name[len(HOSTS) + 1 :] for name in sums if name.startswith(f"{HOSTS}/")]
    return sorted(
        {name[: -len(".jsonl")] for name in [*there, *listed] if name.endswith(".jsonl") and not name.startswith(".")}
    )


def _host_log(folder: Path, name: str, host: str | None, sums: dict[str, str]) -> tuple[str, Log | str]:
    """A host's log, or the text why it proves nothing."""
    path = folder / HOSTS / f"{name}.jsonl"
    key = f"{HOSTS}/{name}.jsonl"
    guess = host if host is not None else host_of(name)
    if not os.path.lexists(path):
        return guess or name, "its evidence is missing, though the manifest lists it"
    try:
        log = evidence.load(path)
    except EvidenceError as exc:
        return guess or name, str(exc)
    inside = log.records[0].host if log.records else None
    owner = guess if guess is not None else inside if inside is not None else name
    if log.problems:
        return owner, f"its evidence fails verification: {log.problems[0]}"
    if inside is not None and (inside != owner or file_name(inside) != name):
        return owner, "its evidence fails verification: the file speaks of another host"
    if sums and key not in sums:
        return owner, "its evidence was added after the run ended (the manifest does not list it)"
    if sums and sums[key] != log.sha256:
        return owner, "its evidence was changed after the run ended (it differs from the manifest)"
    return owner, log
