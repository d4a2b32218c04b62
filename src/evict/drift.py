# SPDX-License-Identifier: GPL-3.0-or-later
"""What has changed on the hosts since an earlier run, from the rows of both."""

from __future__ import annotations

import contextlib
import typing as t
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from ansible_collections.evict.kaspersky.plugins.plugin_utils import evidence, ledger
from ansible_collections.evict.kaspersky.plugins.plugin_utils.files import EvidenceError
from ansible_collections.evict.kaspersky.plugins.plugin_utils.row import ProductRow, Row
from ansible_collections.evict.kaspersky.plugins.plugin_utils.run import RUN_LOG
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import Verb, Verdict

from .errors import UsageError

_AFTER: t.Final = frozenset({Verb.REMEDIATE, Verb.PROTECT, Verb.VERIFY})
# Two words for one state: the first is said of a run that changed the host, the second by a later look.
_GONE: t.Final = frozenset({Verdict.ABSENT, Verdict.REPLACED, Verdict.REPLACED_UNPROVED, Verdict.NOTHING_TO_DO})
# Verdicts that say nothing of the host itself: there is nothing to compare with.
_NO_LOOK: t.Final = frozenset({Verdict.UNREACHABLE, Verdict.NOT_ATTEMPTED, Verdict.OUT_OF_SCOPE})


def newest(folders: Iterable[Path], but: Path) -> ledger.Ledger | None:
    """The newest run that left its hosts in a state to be verified.

    Args:
        folders: each holds a folder for each run.
        but: the run that is to be compared.
    """
    found: list[tuple[str, Path]] = []
    places: set[Path] = set()
    for folder in folders:
        with contextlib.suppress(OSError):
            places |= {place.resolve() for place in folder.iterdir() if (place / RUN_LOG).is_file()}
    places.discard(but.resolve())
    for place in places:
        with contextlib.suppress(EvidenceError):  # a folder that cannot be read is nothing to compare with
            started = [r for r in evidence.read(place / RUN_LOG) if r.event == "run_started"]
            if started and str(started[-1].data.get("verb")) in _AFTER:
                found.append((started[-1].time, place))
    for _time, place in sorted(found, reverse=True):
        with contextlib.suppress(EvidenceError):
            book = ledger.build(place)
            if not book.problems:
                return book
    return None


def given(folder: Path) -> ledger.Ledger:
    """A run that a user named.

    Raises:
        UsageError: it is none, or its evidence is not valid.
    """
    try:
        book = ledger.build(folder)
    except EvidenceError as exc:
        raise UsageError(f"--against: {exc}") from exc
    if book.problems:
        raise UsageError(
            f"--against: the evidence of {folder} is not valid ({book.problems[0]}), so nothing is compared"
        )
    return book


def told(before: ledger.Ledger, now: ledger.Ledger) -> Iterator[str]:
    """What has changed, in lines for a person: hosts with a change first, then what could not be compared."""
    then = {row.host: row for row in before.rows}
    changed = {row.host: list(changes(then[row.host], row)) for row in now.rows if row.host in then}
    loud = {host: lines for host, lines in changed.items() if lines}
    yield ""
    since = before.ended or before.started
    yield f"drift against the run {before.run} ({before.verb}, {since}): {len(loud)} of {len(changed)} hosts changed"
    for host, lines in loud.items():
        yield f"  {host}: {'; '.join(lines)}"
    if new := [row.host for row in now.rows if row.host not in then and row.verdict is not Verdict.OUT_OF_SCOPE]:
        yield f"  not in that run: {_named(new)}"
    here = {row.host for row in now.rows}
    if left := [host for host in then if host not in here]:
        yield f"  no longer in the inventory: {_named(left)}"
    rows = {row.host: row for row in now.rows}
    blind = [h for h in changed if (rows[h].verdict in _NO_LOOK) or (then[h].verdict in _NO_LOOK)]
    if blind := [host for host in blind if host not in loud and rows[host].verdict is not Verdict.OUT_OF_SCOPE]:
        yield f"  nothing to compare, since one of the runs did not see them: {_named(blind)}"


def changes(before: Row, now: Row) -> Iterator[str]:
    """What differs between two rows of a host, one text each."""
    if now.verdict is Verdict.OUT_OF_SCOPE or before.verdict is Verdict.OUT_OF_SCOPE:
        return
    if now.verdict is not before.verdict and not {now.verdict, before.verdict} <= _GONE:
        why = f" ({now.reasons[0]})" if now.reasons else ""
        yield f"{before.verdict} -> {now.verdict}{why}"
    if {now.verdict, before.verdict} & _NO_LOOK:
        return
    yield from _products(before.products, now.products)
    if before.protection and now.protection and before.protection != now.protection:
        yield f"protection {before.protection} -> {now.protection}"
    elif _names(before) and _names(now) and _names(before) != _names(now):
        yield f"protected by {', '.join(before.protected_by)} -> {', '.join(now.protected_by)}"
    if before.proof == "pass" and now.proof not in ("", "pass"):
        yield f"live test {before.proof} -> {now.proof}"


def _products(before: tuple[ProductRow, ...], now: tuple[ProductRow, ...]) -> Iterator[str]:
    was: Mapping[str, ProductRow] = {item.id: item for item in before}
    here: Mapping[str, ProductRow] = {item.id: item for item in now}
    for name, item in here.items():
        if name not in was:
            yield f"{item.label()} is there now"
        elif (was[name].state, was[name].version) != (item.state, item.version):
            yield f"{was[name].label()} -> {item.label()}"
    yield from (f"{item.label()} is gone" for name, item in was.items() if name not in here)


def _names(row: Row) -> frozenset[str]:
    return frozenset(row.protected_by)


def _named(hosts: list[str], most: int = 10) -> str:
    more = f" and {len(hosts) - most} more" if len(hosts) > most else ""
    return f"{', '.join(hosts[:most])}{more}"
