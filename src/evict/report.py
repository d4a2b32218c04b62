# SPDX-License-Identifier: GPL-3.0-or-later
"""`evict report RUN`: the rows of a run, made from its evidence."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ansible_collections.evict.kaspersky.plugins.plugin_utils import ledger, report
from ansible_collections.evict.kaspersky.plugins.plugin_utils.files import EvidenceError
from ansible_collections.evict.kaspersky.plugins.plugin_utils.report import text
from ansible_collections.evict.kaspersky.plugins.plugin_utils.run import MANIFEST, ROWS, RUN_LOG
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import Exit

from .errors import UsageError


def main(args: Sequence[str]) -> int:
    """Run the command: 0 when there is a report, whatever it says.

    Raises:
        UsageError: the folder is no run of ours.
        EvidenceError: it cannot be read.
    """
    parser = argparse.ArgumentParser(
        prog="evict report",
        description="Rows of a run from its evidence alone; writes rows.json when it is missing or the run was killed.",
    )
    parser.add_argument("run", type=Path, help="the run folder")
    parser.add_argument("--format", choices=report.formats(), default="text", help="default: %(default)s")
    parser.add_argument("--limit", type=int, default=0, help="most lines for single hosts, 0 for all (text)")
    given = parser.parse_args(args)
    folder = folder_of(given.run)
    book = ledger.build(folder)
    # Workers may outlive a killed controller: as long as there is no manifest, rows.json follows the evidence.
    if not os.path.lexists(folder / ROWS) or not os.path.lexists(folder / MANIFEST):
        try:
            ledger.write_rows(book)
        except EvidenceError as exc:  # a copy on a read-only medium can be reported all the same
            print(f"evict report: {text.inert(str(exc))}", file=sys.stderr)
    print(report.render(given.format, book, limit=max(0, given.limit)), end="")
    for problem in book.problems:
        print(f"evict report: {text.inert(problem)}", file=sys.stderr)
    if not book.complete:
        print(
            "evict report: the run did not come to its end; hosts without evidence were not attempted", file=sys.stderr
        )
    return Exit.OK


def folder_of(path: Path) -> Path:
    """The run folder of an argument.

    Raises:
        UsageError: it holds no run.
    """
    if not path.is_dir():
        raise UsageError(f"{path} is no folder: name a run folder, such as evict-runs/20240929T120000Z-1a2b")
    if not os.path.lexists(path / RUN_LOG):
        runs = sorted(p.parent.name for p in path.glob(f"*/{RUN_LOG}"))
        hint = f"; it holds runs: {', '.join(runs[-3:])}" if runs else ""
        raise UsageError(f"{path} holds no run of ours (there is no {RUN_LOG}){hint}")
    return path
