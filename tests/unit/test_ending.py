# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict after a plan was performed: looking again, health and the live test count, exit codes do not."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import ending, performing, planner
from ansible_collections.evict.kaspersky.plugins.plugin_utils.case import Case
from ansible_collections.evict.kaspersky.plugins.plugin_utils.outcome import Failure, Outcome
from ansible_collections.evict.kaspersky.plugins.plugin_utils.performing import Performed
from ansible_collections.evict.kaspersky.plugins.plugin_utils.plan import Plan
from ansible_collections.evict.kaspersky.plugins.plugin_utils.proof import Proof, Result
from ansible_collections.evict.kaspersky.plugins.plugin_utils.row import Row
from ansible_collections.evict.kaspersky.plugins.plugin_utils.steps import Phase
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import Verdict
from tests import cases
from tests.ended import DEAD, LANTERN_RUNS, SHIELD_RUNS, proof
from tests.ended import host as after

PLAN: t.Final = planner.plan(cases.case(products=["kesl", "klnagent64"]))


def ran(phase: Phase, plan: Plan = PLAN, **changes: t.Any) -> Performed:
    """A phase that went well, but for the changes."""
    outcomes = tuple(
        Outcome(step=s.id, phase=phase, status="done", changes=s.change != "none")
        for s in plan.steps
        if s.phase == phase
    )
    return dataclasses.replace(
        Performed(phase=phase, digest=plan.digest(), code=0, outcomes=outcomes, boot="1"), **changes
    )


def failed(phase: Phase, step: str, kind: str = "still_there") -> Performed:
    """A phase of which one step failed."""
    outcome = Outcome(step=step, phase=phase, status="failed", changes=True, failure=Failure(kind, "1", "look there"))
    return ran(phase, code=1, outcomes=(outcome,))


WELL: t.Final = (ran("stage"), ran("commit", gap=7.25), ran("finish"))


def end(case: Case, *phases: Performed, proved: Proof | None = None, plan: Plan = PLAN) -> ending.Ending:
    came = ending.end(case, plan, phases, proved)
    assert came is not None
    return came


def test_nothing_begun_is_the_plans_own_affair() -> None:
    assert ending.end(after((), SHIELD_RUNS), PLAN, (), proof("pass")) is None
    other = ran("commit", digest="0" * 64)
    assert ending.end(after((), SHIELD_RUNS), PLAN, (other,), proof("pass")) is None


@pytest.mark.parametrize(
    ("result", "verdict"),
    [
        ("pass", Verdict.REPLACED),
        ("not_applicable", Verdict.REPLACED_UNPROVED),
        ("fail", Verdict.FAILED_EXPOSED),
        ("error", Verdict.UNKNOWN),
    ],
)
def test_gone_and_healthy_is_for_the_live_test_to_prove(result: Result, verdict: Verdict) -> None:
    came = end(after((), SHIELD_RUNS), *WELL, proved=proof(result))
    assert (came.verdict, came.gap, came.proof) == (verdict, 7.25, result)
    assert came.reasons


def test_no_live_test_proves_nothing() -> None:
    assert end(after((), SHIELD_RUNS), *WELL).verdict is Verdict.UNKNOWN


def test_a_job_that_ended_well_and_left_the_product_has_failed() -> None:
    assert end(after(["kesl"]), *WELL, proved=proof("pass")).verdict is Verdict.FAILED_PROTECTED  # it still runs
    gone_quiet = after([("kesl", "installed")])
    assert end(gone_quiet, *WELL, proved=proof("pass")).verdict is Verdict.FAILED_EXPOSED
    covered = after([("kesl", "installed")], SHIELD_RUNS)
    came = end(covered, *WELL, proved=proof("pass"))
    assert came.verdict is Verdict.FAILED_PROTECTED
    assert "kesl" in came.reasons[0]


def test_gone_without_protection_is_exposed() -> None:
    assert end(after(()), *WELL, proved=proof("pass")).verdict is Verdict.FAILED_EXPOSED
    came = end(after((), DEAD), *WELL, proved=proof("pass"))
    assert came.verdict is Verdict.FAILED_EXPOSED
    assert any("inactive" in reason for reason in came.reasons)


def test_the_fallback_protects_and_the_run_has_failed() -> None:
    fell = ran(
        "commit", outcomes=(Outcome(step="fallback.lantern.start", phase="commit", status="done", changes=True),)
    )
    came = end(after((), LANTERN_RUNS), ran("stage"), fell, proved=proof("pass"))
    assert came.verdict is Verdict.FAILED_PROTECTED


def test_what_cannot_be_looked_at_is_unknown_and_never_gone() -> None:
    blind = after((), SHIELD_RUNS, probes={"packages.dpkg": "Permission denied"})
    assert end(blind, *WELL, proved=proof("pass")).verdict is Verdict.UNKNOWN
    exposed = after((), probes={"packages.dpkg": "Permission denied"})
    broken = (ran("stage"), failed("commit", "cover.shield.start"))
    assert end(exposed, *broken, proved=None).verdict is Verdict.FAILED_EXPOSED


def test_a_staging_that_failed_has_changed_nothing() -> None:
    came = end(after(["kesl"]), failed("stage", "stage.shield.install", "disk_full"))
    assert came.verdict is Verdict.BLOCKED
    assert "disk_full: look there" in came.reasons[0]
    refused = ran("stage", state="refused", code=None, message="another run holds it", outcomes=())
    came = end(after(["kesl"]), refused)
    assert came.verdict is Verdict.BLOCKED
    assert "another run holds it" in came.reasons[0]


def test_a_restart_that_was_not_made_is_pending() -> None:
    asks = ran("commit", reboot=True)
    came = end(after((), SHIELD_RUNS), ran("stage"), asks, ran("finish"), proved=proof("pass"))
    assert came.verdict is Verdict.REBOOT_PENDING
    came = end(after((), SHIELD_RUNS), ran("stage"), asks, ran("finish", boot="2"), proved=proof("pass"))
    assert came.verdict is Verdict.REPLACED


def test_consented_to_nothing_is_said_so() -> None:
    none, both = cases.real("none"), {"consent": frozenset({"remove", "unprotected"})}
    plan = planner.plan(cases.case(replacement=none, fallback=None, policy=both))
    assert plan.state == "act"
    bare = cases.case(products=[], replacement=none, fallback=None)
    phases = tuple(ran(phase, plan) for phase in t.get_args(Phase) if any(s.phase == phase for s in plan.steps))
    assert end(bare, *phases, plan=plan).verdict is Verdict.REMOVED_UNPROTECTED


def test_a_host_that_was_lost_from_sight_is_not_done() -> None:
    lost = ran("commit", state="lost", code=None, message="no answer")
    assert end(after((), SHIELD_RUNS), ran("stage"), lost, proved=proof("pass")).verdict is Verdict.UNKNOWN
    assert end(after(["kesl"]), ran("stage"), lost).verdict is Verdict.FAILED_PROTECTED


def test_remains_that_a_step_could_take_are_leftovers() -> None:
    left = after([("kesl", "leftover")], SHIELD_RUNS)
    assert left.assessment.verdict is Verdict.LEFTOVERS
    came = end(left, *WELL, proved=proof("pass"))
    assert came.verdict is Verdict.LEFTOVERS
    kept = after([("kesl", "leftover")], SHIELD_RUNS, policy={"purge": False})
    assert end(kept, *WELL, proved=proof("pass")).verdict is Verdict.REPLACED  # nobody wanted them gone


def test_every_failed_step_is_named_with_its_remedy() -> None:
    came = end(after(["kesl"]), ran("stage"), failed("commit", "remove.kesl.package.kesl", "prerm_failed"))
    assert any("remove.kesl.package.kesl failed: prerm_failed: look there" in reason for reason in came.reasons)
    assert any(note.startswith("steps: ") for note in came.notes)


def test_a_product_that_came_back_before_the_end_is_told_with_what_was_left_undone() -> None:
    back = performing.not_begun(PLAN, "finish", "refused", "kesl is there, so nothing of it is cleared")
    came = end(after(["kesl"]), ran("stage"), ran("commit"), back)
    assert "finish: kesl is there, so nothing of it is cleared" in came.reasons
    jobs = [step for step in PLAN.steps if step.phase != "reboot"]
    left = [step for step in jobs if step.phase == "finish"]
    assert came.notes[0] == (
        f"steps: {len(jobs)} planned, {len(jobs) - len(left)} performed, {len(left)} skipped with a reason, 0 failed"
    )


def test_a_host_that_went_dark_says_what_it_was_in_the_middle_of() -> None:
    bare = Row(host="web1", verdict=Verdict.UNREACHABLE, reasons=("port: nothing answers",))
    away = ran("commit", state="lost", message="no answer; the job goes on there without us")
    over = performing.not_begun(PLAN, "finish", "skipped", "the phase commit was lost")
    told = ending.dark(bare, (ran("stage"), away, over))
    assert told.reasons == ("port: nothing answers", "commit: no answer; the job goes on there without us")
    assert told.notes == ("phases that had ended before: stage",)
    assert told.verdict is Verdict.UNREACHABLE
    assert ending.dark(bare, ()) == bare


def test_a_row_says_what_only_the_replacements_own_rule_can_see() -> None:
    def row(case: Case) -> tuple[str, tuple[str, ...]]:
        found = ending.guarded(case.assessment.row("web1", case.seen), case)
        return found.protection, found.protected_by

    bare = after((), SHIELD_RUNS)
    assert bare.assessment.context.protection == "none"
    assert row(bare) == ("active", ("Shield protects the host, by its own rule",))
    assert row(after(())) == ("none", ())
    assert row(after(["kesl"], SHIELD_RUNS))[1] == after(["kesl"]).assessment.context.protected_by
