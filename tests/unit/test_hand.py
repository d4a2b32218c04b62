# SPDX-License-Identifier: GPL-3.0-or-later
"""How a job is followed: what an answer of the host, or none, means for the phase. The connection is played."""

from __future__ import annotations

import typing as t
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import hand, job, outcome
from ansible_collections.evict.kaspersky.plugins.plugin_utils.journal import Answer
from ansible_collections.evict.kaspersky.plugins.plugin_utils.performing import Performed
from ansible_collections.evict.kaspersky.plugins.plugin_utils.plan import Plan
from ansible_collections.evict.kaspersky.plugins.plugin_utils.trouble import Trouble
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import Verdict
from tests.unit import test_journal

if t.TYPE_CHECKING:
    from ansible.plugins.action import ActionBase

PLAN = test_journal.PLAN
BEGUN = tuple(test_journal.performed(("remove.stop", "done"), ("remove.package", "begun")))
DONE = test_journal.performed(("remove.stop", "done"), ("remove.package", "done"))
WHOLE = (*DONE, "close code=0 at=900 up=800.00 .")
AWAY = Trouble(Verdict.UNREACHABLE, "connection", "the connection broke")
REFUSED = Answer("refused", code="locked", message="another plan is being performed")


class Clock:
    """Time that goes by where somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def follow(monkeypatch: pytest.MonkeyPatch) -> t.Callable[[Sequence[Answer | Trouble]], Performed]:
    """`follow(answers)`: the last one is given again and again."""
    clock = Clock()
    monkeypatch.setattr(hand, "time", clock)

    def of(answers: Sequence[Answer | Trouble]) -> Performed:
        given: Iterator[Answer | Trouble] = iter(answers)
        last = answers[-1]

        def ask(_action: object, values: dict[str, str], _vars: object) -> Answer | Trouble:
            clock.now += float(values["WAIT"])
            return next(given, last)

        monkeypatch.setattr(hand, "_ask", ask)
        return hand.run(
            t.cast("ActionBase", None),
            PLAN,
            job.compile_job(PLAN, "commit"),
            run_id="r1",
            secrets={},
            hidden=(),
            sent={},
            task_vars={},
            progress=lambda _step: None,
        )

    return of


Follow = t.Callable[[Sequence[Answer | Trouble]], Performed]


def adds_up(plan: Plan, came: Performed) -> None:
    assert outcome.accounts(plan, came.outcomes, came.phase) == []


def test_a_job_that_ends_is_told_by_its_journal(follow: Follow) -> None:
    came = follow([Answer("running", lines=WHOLE[:3]), AWAY, Answer("ended", code="0", lines=WHOLE[3:])])
    assert (came.state, came.code, came.journal) == ("ended", 0, WHOLE)
    adds_up(PLAN, came)


def test_what_the_host_refuses_is_skipped_step_by_step(follow: Follow) -> None:
    came = follow([REFUSED])
    assert came.state == "refused"
    assert {(one.status, one.why) for one in came.outcomes} == {("skipped", "locked: another plan is being performed")}
    adds_up(PLAN, came)


def test_a_job_that_was_begun_and_may_not_go_on_was_not_refused(follow: Follow) -> None:
    """Something was done on the host, whatever is said now."""
    came = follow([Answer("running", lines=BEGUN), Answer("died"), REFUSED])
    assert came.state == "lost"
    assert "another plan is being performed" in came.message
    assert next(one.status for one in came.outcomes if one.step == "remove.stop") == "done"
    adds_up(PLAN, came)


def test_a_host_that_never_answered_is_lost_and_nothing_is_told_of_its_steps(follow: Follow) -> None:
    came = follow([AWAY])
    assert (came.state, came.outcomes) == ("lost", ())
    assert "the connection broke" in came.message


def test_a_start_that_could_not_be_made_is_a_refusal(follow: Follow) -> None:
    came = follow([Trouble(Verdict.UNKNOWN, "privilege", "sudo: a password is required")])
    assert came.state == "refused"
    assert "sudo: a password is required" in came.message
    adds_up(PLAN, came)


def test_another_runs_controller_is_waited_for_and_then_makes_way_or_stays(follow: Follow) -> None:
    taken = Answer("refused", code="followed", message="the run r0 follows this plan on this host")
    came = follow([taken, taken, Answer("ended", code="0", lines=WHOLE)])
    assert came.state == "ended"
    came = follow([taken])
    assert (came.state, came.message) == ("refused", "followed: the run r0 follows this plan on this host")


def test_the_step_under_way_is_written_once(tmp_path: Path) -> None:
    told = hand.teller(tmp_path / "web1", "commit")
    told("remove.stop")
    first = (tmp_path / "web1").read_bytes()
    told("remove.stop")
    assert (tmp_path / "web1").read_bytes() == first
    assert b"remove.stop" in first
