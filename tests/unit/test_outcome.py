# SPDX-License-Identifier: GPL-3.0-or-later
"""Predictions from a plan alone, and the count: performed plus skipped with a reason is what was planned."""

from __future__ import annotations

import dataclasses
import typing as t
from collections.abc import Callable

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils.outcome import (
    Failure,
    Outcome,
    accounts,
    predict,
    would_change,
)
from ansible_collections.evict.kaspersky.plugins.plugin_utils.plan import State
from tests import jobs

DEB: t.Final = jobs.PLANS["clamav-deb"]


@pytest.mark.parametrize("name", jobs.PLANS)
def test_a_prediction_accounts_for_every_step(name: str) -> None:
    plan = jobs.PLANS[name]
    whole = predict(plan)
    assert accounts(plan, whole) == []
    assert [outcome.step for outcome in whole] == [step.id for step in plan.steps]
    for phase in jobs.PHASES:
        part = predict(plan, phase)
        assert accounts(plan, part, phase) == []
        assert part == tuple(outcome for outcome in whole if outcome.phase == phase)


def test_what_is_predicted() -> None:
    said = {outcome.step: outcome for outcome in predict(DEB)}
    assert said["stage.clamav.install"] == Outcome(
        step="stage.clamav.install", phase="stage", status="would_do", changes=True, seconds=30
    )
    assert said["remove.kesl.package"].status == "would_do"
    assert not said["remove.kesl.confirm"].changes
    # The plan itself removes kesl, so that the condition of the agent is met when all goes well.
    assert said["remove.klnagent.package"].status == "would_do"
    assert said["fallback.lantern.install"].status == "planned"
    assert said["fallback.lantern.install"].why == "only when the replacement did not become active"
    assert said["reboot"].status == "planned"
    assert said["finish.group"].why == "only when kesluser is still there"


def test_a_condition_on_what_the_plan_does_not_remove_is_left_to_the_host() -> None:
    steps = tuple(step for step in DEB.steps if not step.id.startswith("remove.kesl"))
    said = {outcome.step: outcome for outcome in predict(dataclasses.replace(DEB, steps=steps))}
    assert said["remove.klnagent.package"].status == "planned"
    assert said["remove.klnagent.package"].why == "only when kesl was looked for again and is gone"


@pytest.mark.parametrize("state", ["blocked", "undecided", "excepted", "nothing_to_do"])
def test_no_prediction_for_what_is_not_to_be_done(state: State) -> None:
    assert predict(dataclasses.replace(DEB, state=state)) == ()


def test_what_changes_the_host_or_could_is_a_change() -> None:
    assert would_change(predict(DEB, "stage"))
    assert would_change(predict(DEB, "commit"))
    # What is left is known on the host only. Ansible shows the difference (`--diff`) of what changes, and no other.
    assert would_change(predict(DEB, "finish"))
    assert would_change(predict(DEB, "reboot"))
    looks = [jobs.step("cover.a", "unit_active", args={"unit": "a"}, on_fail="continue")]
    assert not would_change(predict(jobs.plan("linux", looks)))


def done(status: t.Literal["done", "skipped"] = "done", why: str = "") -> list[Outcome]:
    return [
        Outcome(step=step.id, phase=step.phase, status=status, changes=step.change != "none", why=why)
        for step in DEB.steps
    ]


def test_what_was_performed_accounts_too() -> None:
    assert accounts(DEB, done()) == []
    assert accounts(DEB, done("skipped", "stage failed")) == []
    failed = done()
    failed[0] = dataclasses.replace(failed[0], status="failed", failure=Failure("busy", "100", "apt is locked"))
    assert accounts(DEB, failed) == []


def change(**given: t.Any) -> Callable[[list[Outcome]], list[Outcome]]:
    return lambda known: [dataclasses.replace(known[0], **given), *known[1:]]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda known: known[1:], "was planned and has no outcome"),
        (lambda known: [known[0], *known], "has 2 outcomes"),
        (change(step="other"), "'other' was not planned"),
        (lambda known: known[::-1], "not in the order"),
        (change(status="skipped"), "is skipped and nothing says why"),
        (change(status="failed"), "failed and nothing says how"),
        (change(failure=Failure("a", "b", "c")), "did not fail"),
        (change(phase="finish"), "its outcome to finish"),
        (change(changes=True), "disagree on whether it changes"),
        (change(status="planned", why="x"), "has no condition and is only planned"),
        (change(status="would_do"), "some outcomes are predicted and some performed"),
    ],
)
def test_what_does_not_add_up_is_said(spoil: Callable[[list[Outcome]], list[Outcome]], words: str) -> None:
    assert any(words in text for text in accounts(DEB, spoil(done())))


def test_an_outcome_says_no_more_than_there_is() -> None:
    assert predict(DEB)[0].to_dict() == {
        "step": "stage.clamav.lists",
        "phase": "stage",
        "status": "would_do",
        "changes": False,
        "seconds": 2,
    }
    failed = Outcome(step="a", phase="commit", status="failed", failure=Failure("busy", "1", "locked"), reboot=True)
    assert failed.to_dict()["failure"] == {"kind": "busy", "code": "1", "meaning": "locked"}
