# SPDX-License-Identifier: GPL-3.0-or-later
"""`evict report RUN`: the rows of a run from its evidence, as text, JSON, CSV, HTML, or with the evidence itself."""

from __future__ import annotations

import argparse
import os
import sys
import typing as t
from collections.abc import Iterable, Sequence
from pathlib import Path

from ansible_collections.evict.kaspersky.plugins.plugin_utils import files, ledger, report
from ansible_collections.evict.kaspersky.plugins.plugin_utils.files import EvidenceError
from ansible_collections.evict.kaspersky.plugins.plugin_utils.report import text
from ansible_collections.evict.kaspersky.plugins.plugin_utils.run import MANIFEST, ROWS, RUN_LOG
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import Exit

from . import report_events
from .errors import UsageError

_FROM_EVIDENCE: t.Final = frozenset({"evidence", "plan"})  # events hold neither
_FOR_A_FILE: t.Final = frozenset({"html"})  # no use on a terminal


def main(args: Sequence[str]) -> int:
    """Run the command: 0 when there is a report, whatever it says.

    Raises:
        UsageError: the folder is no run of ours, or the report cannot go where it was asked to.
        EvidenceError: the evidence cannot be read, or the report cannot be written.
    """
    parser = argparse.ArgumentParser(
        prog="evict report",
        description="Rows and plans of a run from its evidence alone; writes rows.json, plan.json, report.csv and "
        "report.html into its folder when they are missing or the run was killed.",
    )
    parser.add_argument("run", type=Path, nargs="?", help="the run folder")
    parser.add_argument(
        "--from-events",
        type=Path,
        metavar="PATH",
        help="the files are gone: tell the run from its job's events, artifacts of ansible-runner or an export of AWX",
    )
    parser.add_argument(
        "--inventory", type=Path, metavar="FILE", help="hosts the events may not name, from `ansible-inventory --list`"
    )
    parser.add_argument(
        "--format", choices=report.formats(), default="text", help="default: %(default)s; docs/reports.md has them all"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the report to FILE, readable by you only")
    parser.add_argument("--limit", type=int, default=0, help="most lines for single hosts, 0 for all (text)")
    given = parser.parse_args(args)
    if (given.run is None) == (given.from_events is None):
        parser.error("name a run folder, or the events of a job with --from-events; one of the two")
    if given.out is None and given.format in _FOR_A_FILE and sys.stdout.isatty():
        raise UsageError(f"{given.format} is for a file: name one with --out, such as --out report.{given.format}")
    book = _by_events(given) if given.run is None else _by_evidence(given)
    pieces = report.encoded(given.format, book, limit=max(0, given.limit))
    if given.out is not None:
        files.replace(given.out, pieces)
        print(f"{given.out}: {given.format} report of {len(book.rows)} hosts")
    elif given.format == "text":
        print(report.render(given.format, book, limit=max(0, given.limit)), end="")  # in the terminal's encoding
    else:
        _put(pieces)
    for problem in book.problems:
        print(f"evict report: {text.inert(problem)}", file=sys.stderr)
    if book.carried:
        runs = ", ".join(sorted({item.run for item in book.carried.values()}))
        print(f"evict report: {len(book.carried)} rows were taken over from {text.inert(runs)}", file=sys.stderr)
    if not book.complete:
        what = "a result" if book.events else "evidence"
        print(
            f"evict report: the run did not come to its end; hosts without {what} were not attempted", file=sys.stderr
        )
    return Exit.OK


def _by_evidence(given: argparse.Namespace) -> ledger.Ledger:
    if given.inventory is not None:
        raise UsageError("--inventory goes with --from-events: a run folder knows its hosts")
    folder = folder_of(given.run)
    if given.out is not None:
        _outside(given.out, folder)
    book = ledger.build(folder)
    _derive(book)
    return book


def _by_events(given: argparse.Namespace) -> ledger.Ledger:
    if given.format in _FROM_EVIDENCE:
        raise UsageError(f"events hold no {given.format}: choose another format, or name the run folder")
    return report_events.read(given.from_events, given.inventory)


def _derive(book: ledger.Ledger) -> None:
    """What is derived from the evidence lies in the run folder, too.

    Workers may outlive a killed controller: as long as there is no manifest, these files follow the evidence. After
    that they are listed in it and stay as they are.
    """
    finished = os.path.lexists(book.folder / MANIFEST)
    try:
        if not finished or not os.path.lexists(book.folder / ROWS):
            ledger.write_rows(book)
        if not finished:
            ledger.write_plans(book)
            report.write(book)
    except EvidenceError as exc:  # a copy on a read-only medium can be reported all the same
        print(f"evict report: {text.inert(str(exc))}", file=sys.stderr)


def _outside(path: Path, folder: Path) -> None:
    """Refuse a file in the folder of the run: the manifest would not list it, and evidence could be overwritten."""
    target = Path(os.path.realpath(path))
    if target.is_relative_to(os.path.realpath(folder)):
        raise UsageError(f"{path} lies in the run folder, where only evidence belongs: choose another place")
    if target.is_dir():
        raise UsageError(f"{path} is a folder: name a file with --out")


def _put(pieces: Iterable[bytes]) -> None:
    """Bytes to standard output, whatever encoding the terminal has."""
    sys.stdout.flush()
    for piece in pieces:
        sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()


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
