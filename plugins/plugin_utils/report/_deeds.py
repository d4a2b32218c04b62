# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run did to its hosts together: how many it changed, for how long they had no protection, what failed where."""

from __future__ import annotations

import collections
import dataclasses
import typing as t
from collections.abc import Iterable, Mapping

from .. import deeds
from ..ledger import Ledger
from ..ran import Ran
from ..row import Row
from ..verdict import Verb, Verdict

# Result of a live test and the words for it; the order is the one reports show them in.
PROOFS: t.Final[Mapping[str, str]] = {
    "pass": "proved",
    "not_applicable": "cannot be proved",
    "fail": "not detected",
    "error": "no result",
}


@dataclasses.dataclass(frozen=True)
class Failed:
    """A step that failed: on which host, and with which code and meaning, the remedy included."""

    host: str
    step: str
    code: str
    meaning: str


@dataclasses.dataclass(frozen=True)
class Summary:
    """What was done to all hosts.

    Attributes:
        hosts: on which a phase of a plan was begun.
        changed: of them, those that a step changed.
        steps: number of steps by what became of them.
        open: hosts with a phase whose end is not on record.
        bare: hosts whose protection has not come back.
        failed: class -> its steps, the one of most hosts first.
    """

    hosts: int
    changed: int
    steps: Mapping[str, int]
    open: int
    bare: tuple[str, ...]
    failed: Mapping[str, list[Failed]]


def acted(ledger: Ledger) -> bool:
    """Was this run to change hosts, and did it begin? Then a plan is no promise any more, and only verdicts count."""
    return ledger.verb not in (Verb.AUDIT, Verb.PLAN) and ledger.deeds.performed > 0


def summary(ledger: Ledger, order: Iterable[Row]) -> Summary:
    """Count what was done, one host at a time.

    Args:
        ledger: the run.
        order: its rows, in the order in which failed hosts are to be named.
    """
    steps: collections.Counter[str] = collections.Counter()
    failed: dict[str, list[Failed]] = {}
    changed = begun = 0
    lost = []
    for row in order:
        if row.host not in ledger.deeds:
            continue
        told = ledger.deeds[row.host]
        changed += any(item.changed for item in told.phases)
        begun += is_open(told)
        lost += [row.host] if bare(row, told) else []
        for item in deeds.outcomes(told):
            steps[item.status] += 1
            if item.failure:
                one = Failed(row.host, item.step, item.failure.code, item.failure.meaning)
                failed.setdefault(item.failure.kind, []).append(one)
    most = sorted(failed, key=lambda kind: (-len({one.host for one in failed[kind]}), kind))
    return Summary(ledger.deeds.performed, changed, steps, begun, tuple(lost), {kind: failed[kind] for kind in most})


def is_open(told: Ran) -> bool:
    """Is there a phase whose end nobody knows?"""
    return bool(told.begun) or any(item.state == "lost" for item in told.phases)


def bare(row: Row, told: Ran) -> bool:
    """Has the protection of a host that was changed not come back, so that the time without it has no end?"""
    return (
        row.verdict in (Verdict.FAILED_EXPOSED, Verdict.REMOVED_UNPROTECTED)
        and row.unprotected_seconds is None
        and any(item.phase == "commit" and item.changed for item in told.phases)
    )


def gaps(rows: Iterable[Row]) -> str:
    """Such as `without protection: longest 42 s (db-07), none on 3 hosts`; empty where nothing was measured."""
    measured = [row for row in rows if row.unprotected_seconds is not None]
    if not measured:
        return ""
    longest = max(measured, key=lambda row: row.unprotected_seconds or 0)
    never = sum(row.unprotected_seconds == 0 for row in measured)
    found = []
    if longest.unprotected_seconds:
        found.append(f"longest {deeds.seconds(longest.unprotected_seconds)} s ({longest.host})")
    if never:
        found.append(f"at no time on {hosts(never)}")
    return "without protection: " + ", ".join(found)


def proofs(rows: Iterable[Row]) -> list[tuple[str, list[str]]]:
    """Result of the live test -> the hosts with it, in the order of PROOFS; those without a live test are left out."""
    found: dict[str, list[str]] = {}
    for row in rows:
        if row.proof:
            found.setdefault(row.proof, []).append(row.host)
    known = [name for name in PROOFS if name in found]
    return [(name, found[name]) for name in [*known, *sorted(found.keys() - PROOFS.keys())]]


def steps(counts: Mapping[str, int]) -> str:
    """Such as `14 done, 2 already so, 1 failed`."""
    words = (("done", "done"), ("already", "already so"), ("skipped", "skipped"), ("failed", "failed"))
    return ", ".join(f"{counts[name]} {said}" for name, said in words if counts.get(name))


def hosts(number: int) -> str:
    """A number of hosts in words."""
    return f"{number} host{'s' * (number != 1)}"
