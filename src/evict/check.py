# SPDX-License-Identifier: GPL-3.0-or-later
"""`evict check-evidence RUN`: chains, numbering, form and checksums of a run's evidence."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from ansible_collections.evict.kaspersky.plugins.plugin_utils import canonical, evidence, ledger
from ansible_collections.evict.kaspersky.plugins.plugin_utils.files import EvidenceError
from ansible_collections.evict.kaspersky.plugins.plugin_utils.report import text
from ansible_collections.evict.kaspersky.plugins.plugin_utils.run import MANIFEST, RUN_LOG
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
    logs = {name: evidence.load(folder / name) for name in names if name.endswith(".jsonl")}
    problems = [f"{name}: {text}" for name, log in logs.items() for text in log.problems]
    cut = [name for name, log in logs.items() if log.cut]
    try:
        body = ledger.manifest(folder)
    except EvidenceError as exc:
        body = None
        problems.append(str(exc))
    if body is not None:
        problems += _against(folder, names, {str(e["path"]): str(e["sha256"]) for e in body["files"]})
    for problem in problems:
        print(f"WRONG  {text.inert(problem)}")
    for name in cut:
        print(f"cut    {text.inert(name)}: its last line was not written to the end; all lines before it count")
    records = sum(len(log.records) for log in logs.values())
    state = "complete" if body is not None else "incomplete (no manifest: the run did not come to its end), but valid"
    if problems:
        state = f"NOT valid, {len(problems)} faults"
    print(f"{folder}: {records} records in {len(logs)} files, {state}")
    if not any(name == RUN_LOG and log.records for name, log in logs.items()):
        print(f"WRONG  {RUN_LOG}: it holds no record, so the hosts of the run are not known")
        problems.append(RUN_LOG)
    print(NOTE)
    return Exit.ERROR if problems else Exit.OK


def _against(folder: Path, names: Sequence[str], sums: dict[str, str]) -> Iterator[str]:
    """Differences between the manifest and the files."""
    for name in sorted(sums.keys() - set(names)):
        yield f"{name}: missing, though the manifest lists it"
    for name in names:
        if name == MANIFEST:
            continue
        if name not in sums:
            yield f"{name}: added after the run ended (the manifest does not list it)"
        elif not os.path.isfile(folder / name) or canonical.sha256(ledger.read_bytes(folder / name)) != sums[name]:
            yield f"{name}: changed after the run ended (it differs from the manifest)"
