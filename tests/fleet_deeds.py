# SPDX-License-Identifier: GPL-3.0-or-later
"""What was done on the invented fleet, the same on every call, as varied as what a report has to show."""

from __future__ import annotations

import dataclasses
import typing as t
from collections.abc import Iterable, Iterator

from ansible_collections.evict.kaspersky.plugins.plugin_utils import evidence
from ansible_collections.evict.kaspersky.plugins.plugin_utils.deeds import Deeds
from ansible_collections.evict.kaspersky.plugins.plugin_utils.ledger import Ledger
from ansible_collections.evict.kaspersky.plugins.plugin_utils.outcome import Failure, Outcome, Status
from ansible_collections.evict.kaspersky.plugins.plugin_utils.performing import BEGUN, DONE, Performed
from ansible_collections.evict.kaspersky.plugins.plugin_utils.plan import Plan
from ansible_collections.evict.kaspersky.plugins.plugin_utils.planned import Plans
from ansible_collections.evict.kaspersky.plugins.plugin_utils.proof import Part, Proof, Result
from ansible_collections.evict.kaspersky.plugins.plugin_utils.ran import PROOF
from ansible_collections.evict.kaspersky.plugins.plugin_utils.row import Row
from ansible_collections.evict.kaspersky.plugins.plugin_utils.steps import Phase
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import Verb, Verdict
from tests import fleet, fleet_plans

HELD: t.Final = Failure("package_held", "100", "the package kesl is held: apt-mark unhold kesl")
KINDS: t.Final = ("well", "well", "well", "unproved", "held", "exposed", "bare", "refused", "lost", "begun")
VERDICTS: t.Final = {
    "well": Verdict.REPLACED,
    "unproved": Verdict.REPLACED_UNPROVED,
    "held": Verdict.FAILED_PROTECTED,
    "exposed": Verdict.FAILED_EXPOSED,
    "bare": Verdict.FAILED_EXPOSED,
    "refused": Verdict.BLOCKED,
    "lost": Verdict.UNKNOWN,
    "begun": Verdict.UNKNOWN,
}
PROVED: t.Final[dict[str, Result]] = {"well": "pass", "unproved": "not_applicable", "exposed": "fail", "held": "error"}


def proof(result: Result) -> Proof:
    """A live test with this result."""
    part = Part(result=result, how="read" if result == "pass" else "", place="/root/probe", seconds=2)
    return Proof(
        provider="clamav",
        role="replacement",
        method="eicar_on_access",
        level="on_access" if result == "pass" else "",
        result=result,
        control_ok=True,
        on_access=part,
        on_demand=Part(result="not_applicable", detail="no scanner to call"),
        detail=f"the live test came to {result}",
    )


def outcomes(plan: Plan, phase: Phase, kind: str) -> Iterator[Outcome]:
    """What became of the steps of a phase."""
    for step in (step for step in plan.steps if step.phase == phase):
        status: Status = "already" if phase == "stage" else "done"
        failure, why = None, ""
        if kind == "held" and step.section == "remove":
            status, failure = "failed", HELD
        elif kind == "held" and step.section == "cover":
            status, why = "skipped", "passed over since the removal failed"
        yield Outcome(
            step=step.id,
            phase=phase,
            status=status,
            changes=step.change != "none",
            why=why,
            failure=failure,
            seconds=0 if status in ("already", "skipped") else 3.5,
        )


def phases(plan: Plan, kind: str) -> Iterator[tuple[str, dict[str, t.Any]]]:
    """The records of a host that was changed by a plan."""
    digest = plan.digest()

    def performed(phase: Phase, **more: t.Any) -> tuple[str, dict[str, t.Any]]:
        given = {"outcomes": tuple(outcomes(plan, phase, kind)), "code": 0, "boot": "1", "seal": "0" * 64, **more}
        return DONE, Performed(phase=phase, digest=digest, **given).to_dict()

    if kind == "refused":
        yield performed("stage", state="refused", code=None, outcomes=(), message="another run is at work")
        return
    yield performed("stage")
    if kind == "begun":
        yield BEGUN, {"phase": "commit", "digest": digest, "job": "0" * 64, "run": fleet.RUN}
    elif kind == "lost":
        yield performed("commit", state="lost", code=None, message="no answer for 300 s", outcomes=())
    else:
        yield performed("commit", gap=gap_of(kind), code=int(kind == "held"))


def gap_of(kind: str) -> float | None:
    """Seconds without protection, as the commit tells them."""
    return {"well": 12.5, "unproved": 0.0, "exposed": 41.0}.get(kind)


def records(plan: Plan, kind: str) -> list[evidence.Record]:
    """The evidence of a host: its plan, its phases, its live test."""
    events = [("plan", plan.to_dict()), *phases(plan, kind)]
    if kind in PROVED:
        events.append((PROOF, proof(PROVED[kind]).to_dict()))
    return [
        evidence.Record(n, f"2024-09-29T12:00:{n:02}.000000Z", fleet.RUN, plan.host, event, data, None, "")
        for n, (event, data) in enumerate(events, 1)
    ]


def kinds(rows: Iterable[Row], plans: Plans) -> dict[str, str]:
    """Host -> what becomes of it, for those with a plan that acts."""
    acting = [row.host for row in rows if row.host in plans and row.plan_state == "act"]
    return {host: KINDS[n % len(KINDS)] for n, host in enumerate(acting)}


def row_of(row: Row, kind: str) -> Row:
    """The row after all that."""
    return dataclasses.replace(
        row,
        verdict=VERDICTS[kind],
        reasons=(f"it ended {kind}",),
        unprotected_seconds=gap_of(kind),
        proof=PROVED.get(kind, ""),
    )


def ledger(rows: Iterable[Row], **more: t.Any) -> Ledger:
    """A remediation of these hosts."""
    planned, plans = fleet_plans.planned(rows)
    found, made = Deeds(), []
    ends = kinds(planned, plans)
    for row in planned:
        kind = ends.get(row.host)
        if kind is None:
            made.append(row)
        else:
            found.take(row.host, records(plans[row.host], kind))
            made.append(row_of(row, kind))
    return dataclasses.replace(fleet.ledger(made, **more), verb=Verb.REMEDIATE, plans=plans, deeds=found)
