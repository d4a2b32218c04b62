# SPDX-License-Identifier: GPL-3.0-or-later
"""`--retry-from RUN`: run the open hosts of an earlier run again and take over the rows of all others."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import socket
import tempfile
import typing as t
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ansible_collections.evict.kaspersky.plugins.plugin_utils import canonical, carried, evidence, ledger
from ansible_collections.evict.kaspersky.plugins.plugin_utils.files import EvidenceError
from ansible_collections.evict.kaspersky.plugins.plugin_utils.report import text
from ansible_collections.evict.kaspersky.plugins.plugin_utils.row import Row
from ansible_collections.evict.kaspersky.plugins.plugin_utils.run import MANIFEST, RUN_LOG
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import Verb, Verdict, is_failure, is_open

from . import inventory
from .errors import UsageError
from .report import folder_of

AGAIN: t.Final = frozenset({Verdict.UNREACHABLE, Verdict.UNKNOWN, Verdict.NOT_ATTEMPTED})
_NAMED: t.Final = 5  # hosts of a kind that are named in a message


@dataclasses.dataclass(frozen=True)
class Retry:
    """What a retry will do.

    Attributes:
        book: the earlier run.
        again: hosts to run, in the order of the inventory: open ones, those whose plan has expired, and new ones, all
            within the limit.
        new: hosts of the inventory that the earlier run did not know.
        left: hosts that the earlier run knew and the inventory no longer has.
        rows: rows of the earlier run for hosts that are still in the inventory.
    """

    book: ledger.Ledger
    again: tuple[str, ...]
    new: tuple[str, ...]
    left: tuple[str, ...]
    rows: tuple[Row, ...]

    def described(self) -> list[str]:
        """What it will do, in lines for a person."""
        book = self.book
        when = book.ended or f"{book.started}, which did not end by itself"
        kept = len(self.rows) - len({row.host for row in self.rows} & set(self.again))
        lines = [f"retry from the run {book.run} of {when}: {len(self.again)} hosts are run, {kept} rows taken over"]
        if self.new:
            lines.append(f"new in the inventory since then: {named(self.new)}")
        if self.left:
            lines.append(f"no longer in the inventory, without a row from now on: {named(self.left)}")
        outside = [row.host for row in self.rows if row.verdict is Verdict.OUT_OF_SCOPE and row.host not in self.again]
        if outside:
            lines.append(f"were out of scope in that run and stay so: {named(outside)}")
        return [text.inert(line) for line in lines]


def again_after(verb: Verb) -> frozenset[Verdict]:
    """The verdicts with which a host of an earlier run is run again: those that left it open or failed."""
    if verb is Verb.AUDIT:
        return AGAIN
    # What blocked a host may be out of the way now.
    return frozenset(v for v in Verdict if is_failure(v) or is_open(v, verb))


def named(hosts: Sequence[str]) -> str:
    """The number of hosts and the first few."""
    more = f" and {len(hosts) - _NAMED} more" if len(hosts) > _NAMED else ""
    return f"{len(hosts)} ({', '.join(hosts[:_NAMED])}{more})"


def plan(folder: Path, args: Sequence[str], verb: Verb = Verb.AUDIT) -> Retry:
    """What to run again.

    Args:
        folder: the earlier run.
        args: arguments for ansible-playbook: inventory, limit and vault count.
        verb: what both runs are for.

    Raises:
        UsageError: it is no run, still runs, is not valid or was for something else, or the inventory cannot be read.
        EvidenceError: its evidence cannot be read.
    """
    folder_of(folder)
    if _busy(folder):
        raise UsageError(f"{folder} is still being written: wait for that run to end, or end it")
    book = ledger.build(folder)
    if book.problems:
        raise UsageError(
            f"the evidence of {folder} is not valid ({text.inert(book.problems[0])}), so no row can be taken over: "
            f"see evict check-evidence {folder}, and run a whole {verb}"
        )
    if book.verb is not verb:
        raise UsageError(f"{folder} holds no {verb}: it was for {book.verb}")
    fleet = inventory.read(args)
    there, selected = set(fleet.names), set(fleet.selected)
    before = {row.host: row for row in book.rows}
    new = tuple(name for name in fleet.names if name not in before)
    verdicts = again_after(verb)
    # A plan that was performed may well be over; the row of its host says how that ended.
    expired = book.plans.expired(evidence.now()) if verb is Verb.PLAN else frozenset()
    again = tuple(
        name
        for name in fleet.names
        if name in selected and (name not in before or before[name].verdict in verdicts or name in expired)
    )
    left = tuple(row.host for row in book.rows if row.host not in there)
    return Retry(book, again, new, left, tuple(row for row in book.rows if row.host in there))


@contextlib.contextmanager
def prepared(retry: Retry) -> Iterator[tuple[list[str], Mapping[str, str]]]:
    """Files for the run, removed afterwards.

    Yields:
        Arguments for ansible-playbook, which go last, and variables of its environment.

    Raises:
        UsageError: they cannot be written.
    """
    try:
        where = tempfile.TemporaryDirectory(prefix="evict-")
    except OSError as exc:
        raise UsageError(f"no temporary folder can be made: {exc.strerror}; set TMPDIR") from exc
    with where as name:
        limit, rows = Path(name) / "limit", Path(name) / "carried"
        try:
            limit.write_text("\n".join(retry.again), encoding="utf-8", errors="surrogateescape")
            with rows.open("w", encoding="ascii") as stream:
                for event in carried.pack(_items(retry), _merged(retry)):
                    stream.write(json.dumps(event) + "\n")
        except OSError as exc:
            raise UsageError(f"{name} cannot be written: {exc.strerror}; set TMPDIR to a folder with room") from exc
        yield ["--limit", f"@{limit}"], {carried.VARIABLE: str(rows)}


def _items(retry: Retry) -> list[carried.Item]:
    """All rows but those out of scope. Those that are run again are among them, for the play may leave them out."""
    book = retry.book
    found = []
    for row in retry.rows:
        if row.verdict is Verdict.OUT_OF_SCOPE:
            continue
        old = book.carried.get(row.host)
        source = book.sources.get(row.host)
        time = source.time if source else book.ended or book.started
        plan = book.plans.packed(row.host)
        found.append(old or carried.Item(book.run, time, row.to_dict(), source, plan))
    return found


def _merged(retry: Retry) -> dict[str, t.Any]:
    book = retry.book
    seal = book.folder / MANIFEST
    return {
        "run": book.run,
        "folder": os.path.abspath(book.folder),
        "started": book.started,
        "ended": book.ended,
        "complete": book.complete,
        "log": canonical.sha256(ledger.read_bytes(book.folder / RUN_LOG)),
        "manifest": canonical.sha256(ledger.read_bytes(seal)) if os.path.lexists(seal) else "",
        "retried": list(retry.again),
        "new": list(retry.new),
        "left": list(retry.left),
    }


def _busy(folder: Path) -> bool:
    """Is a run at work in the folder? Workers that outlive a killed controller hold its lock, too, and do not count."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as exc:
        raise EvidenceError(f"cannot read {folder}: {exc.strerror}") from exc
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _controller_lives(folder)
    except OSError:  # no locks on this file system
        return False
    finally:
        os.close(fd)
    return False


def _controller_lives(folder: Path) -> bool:
    """Does the process live that began the run, as far as can be told from here?"""
    started = [r.data for r in evidence.read(folder / RUN_LOG) if r.event == "run_started"]
    who = started[-1].get("controller") if started else None
    if not isinstance(who, dict) or who.get("host") != socket.gethostname() or not isinstance(who.get("pid"), int):
        return True
    try:
        os.kill(who["pid"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
