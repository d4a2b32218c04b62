# SPDX-License-Identifier: GPL-3.0-or-later
"""`evict check-evidence RUN`: chains, numbering, form and checksums of a run's evidence."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from ansible_collections.evict.kaspersky.plugins.plugin_utils import (
    canonical,
    carried,
    deeds,
    evidence,
    ledger,
    planned,
    schemas,
)
from ansible_collections.evict.kaspersky.plugins.plugin_utils.files import EvidenceError
from ansible_collections.evict.kaspersky.plugins.plugin_utils.report import text
from ansible_collections.evict.kaspersky.plugins.plugin_utils.run import MANIFEST, ROWS, RUN_LOG, is_log
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import Exit

from .report import folder_of

NOTE = (
    "Chain and manifest show accidents and careless changes. Somebody who can write all files can make them anew: "
    "for proof, keep a signed copy of manifest.json elsewhere."
)


def main(args: Sequence[str]) -> int:
    """Run the command: 0 when all is whole, 1 when something is wrong.

    Raises:
        UsageError: the folder is no run of ours.
        EvidenceError: it cannot be read.
    """
    parser = argparse.ArgumentParser(
        prog="evict check-evidence", description="Is the evidence of a run whole and unchanged?"
    )
    parser.add_argument("run", type=Path, help="the run folder")
    folder = folder_of(parser.parse_args(args).run)
    names = ledger.listing(folder)
    problems: list[str] = []
    cut: list[str] = []
    records = files = 0
    own: evidence.Log | None = None
    for name in filter(is_log, names):  # one at a time: those of a large fleet do not fit into memory together
        log = evidence.load(folder / name)
        files, records = files + 1, records + len(log.records)
        more = _taken(log) if name == RUN_LOG else deeds.faults(log.records)
        problems += [f"{name}: {fault}" for fault in (*log.problems, *_form(log), *more)]
        cut += [name] if log.cut else []
        own = log if name == RUN_LOG else own
    try:
        body = ledger.manifest(folder)
    except EvidenceError as exc:
        body = None
        problems.append(str(exc))
    if body is not None:
        problems += _against(folder, names, {str(e["path"]): str(e["sha256"]) for e in body["files"]})
    stale = list(_derived(folder, names))
    if body is not None:
        problems += stale
    for problem in problems:
        print(f"WRONG  {text.inert(problem)}")
    for name in cut:
        print(f"cut    {text.inert(name)}: its last line was not written to the end; all lines before it count")
    for fault in stale if body is None else ():
        print(f"old    {text.inert(fault)}: evict report {folder} writes it again")
    state = "complete" if body is not None else "incomplete (no manifest: the run was killed), but valid"
    if body is not None and not _ended(own):
        state = "complete, of a run that was interrupted"
    if problems:
        state = f"NOT valid, {len(problems)} faults"
    print(f"{folder}: {records} records in {files} files, {state}")
    if own is None or not own.records:
        print(f"WRONG  {RUN_LOG}: it holds no record, so the hosts of the run are not known")
        problems.append(RUN_LOG)
    print(NOTE)
    return Exit.ERROR if problems else Exit.OK


def _ended(log: evidence.Log | None) -> bool:
    """Did the run come to its own end?"""
    ends = [record for record in log.records if record.event == "run_ended"] if log else []
    return bool(ends) and ends[-1].data.get("how") == "ended"


def _form(log: evidence.Log) -> Iterator[str]:
    """Where records differ from their schema."""
    for number, record in enumerate(log.records, 1):
        document = {"schema": evidence.SCHEMA, **dataclasses.asdict(record)}
        del document["digest"]
        for fault in schemas.faults("evidence-1", document):
            yield f"record {number}: {fault}"


def _taken(log: evidence.Log) -> Iterator[str]:
    """Where the rows that were taken over differ from those that should have been, in a run that came to an end."""
    missing = [host for host, item in carried.of(log.records).items() if item is None]
    if missing and any(record.event == "run_ended" for record in log.records):
        yield f"rows of the earlier run are missing: {', '.join(missing[:5])}"


def _derived(folder: Path, names: Sequence[str]) -> Iterator[str]:
    """Where files that are made from the evidence say something else than it does."""
    try:
        # The manifest is left aside: a difference to it is named already, and would count twice here.
        book = ledger.build(folder, trust_manifest=False)
    except EvidenceError as exc:
        yield f"{RUN_LOG}: {exc}"
        return
    if ROWS in names:
        yield from _rows(folder, book)
    # A killed run has them once `evict report` has made them.
    if ROWS in names or planned.FILE in names:
        yield from planned.differences(folder, book.run, book.plans, [row.host for row in book.rows])


def _rows(folder: Path, book: ledger.Ledger) -> Iterator[str]:
    """Where rows.json differs from its schema and from what the evidence says."""
    try:
        rows = json.loads(ledger.read_bytes(folder / ROWS))
    except (ValueError, RecursionError):
        yield f"{ROWS}: no JSON"
        return
    except EvidenceError as exc:
        yield f"{ROWS}: {exc}"
        return
    said = json.loads(ledger.rows_json(book))
    faults = [f"{ROWS}: {fault}" for fault in schemas.faults("rows-1", rows)]
    yield from faults
    if not faults and rows["rows"] != said["rows"]:
        theirs = {row["host"]: row for row in said["rows"]}
        differ = [row["host"] for row in rows["rows"] if theirs.pop(row["host"], None) != row] + list(theirs)
        yield f"{ROWS}: says something else than the evidence on {', '.join(differ[:5]) or 'the order of hosts'}"


def _against(folder: Path, names: Sequence[str], sums: dict[str, str]) -> Iterator[str]:
    """Differences between the manifest and the files."""
    for name in sorted(sums.keys() - set(names)):
        yield f"{name}: missing, though the manifest lists it"
    for name in names:
        if name == MANIFEST:
            continue
        if name not in sums:
            yield f"{name}: added after the run ended (the manifest does not list it)"
        elif _sum(folder / name) != sums[name]:
            yield f"{name}: changed after the run ended (it differs from the manifest)"


def _sum(path: Path) -> str:
    """SHA-256 of a file; empty for what is no file of ours, such as a link."""
    try:
        return canonical.sha256(ledger.read_bytes(path)) if os.path.isfile(path) else ""
    except EvidenceError:
        return ""
