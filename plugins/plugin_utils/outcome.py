# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of each step of a plan: predicted by a dry run, told by a journal afterwards. Pure."""

from __future__ import annotations

import collections
import dataclasses
import typing as t
from collections.abc import Iterable, Mapping, Sequence

from .plan import Plan, Step
from .steps import Phase

Status = t.Literal["would_do", "planned", "done", "already", "skipped", "failed"]
PREDICTED: t.Final = ("would_do", "planned")


@dataclasses.dataclass(frozen=True)
class Failure:
    """Why a step failed: its class (such as `package_manager_busy`), the code the host gave, and what that means."""

    kind: str
    code: str
    meaning: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became, or would become, of one step.

    Attributes:
        step, phase: id and phase of the step.
        status: predicted: `would_do`, or `planned` when only the host can tell whether its condition is met (`why`
            says which). Performed: `done`, `already` (it was so before), `skipped` (`why`), `failed` (`failure`).
        changes: does the step change the host, when it is done?
        why: of `planned` and `skipped`.
        failure: of `failed`.
        seconds: it took; predicted: it usually takes.
        reboot: the step asks for a restart.
    """

    step: str
    phase: Phase
    status: Status
    changes: bool = False
    why: str = ""
    failure: Failure | None = None
    seconds: float = 0
    reboot: bool = False

    def to_dict(self) -> dict[str, t.Any]:
        """As in results and evidence; what says nothing is left out."""
        data = {key: value for key, value in dataclasses.asdict(self).items() if value or key == "changes"}
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, t.Any]) -> Outcome:
        """Read it back.

        Raises:
            KeyError, TypeError: it is none of ours.
        """
        failure = data.get("failure")
        return cls(
            step=str(data["step"]),
            phase=data["phase"],
            status=data["status"],
            changes=bool(data["changes"]),
            why=str(data.get("why", "")),
            failure=Failure(**{key: str(failure[key]) for key in ("kind", "code", "meaning")}) if failure else None,
            seconds=float(data.get("seconds", 0)),
            reboot=bool(data.get("reboot", False)),
        )


def predict(plan: Plan, phase: Phase | None = None) -> tuple[Outcome, ...]:
    """What would become of each step when all goes well; the host is not asked.

    Args:
        plan: any plan; only one in the state `act` has steps.
        phase: only steps of this phase.
    """
    if plan.state != "act":
        return ()
    gone = {step.args.get("product", "") for step in plan.steps if step.kind == "confirm_absent"}
    return tuple(_predicted(step, gone) for step in plan.steps if phase in (None, step.phase))


def _predicted(step: Step, gone: set[t.Any]) -> Outcome:
    condition = step.condition
    # When all goes well, what the plan itself removes is gone: the one condition a plan can answer.
    told = condition.name == "always" or (condition.name == "product_absent" and set(condition.of.split()) <= gone)
    if step.phase == "finish" and step.kind.startswith("purge_"):
        told = False  # whether anything is left by then, no plan can know
    return Outcome(
        step=step.id,
        phase=step.phase,
        status="would_do" if told else "planned",
        changes=step.change != "none",
        why="" if told else condition.words() or "only what is still there",
        seconds=step.typical,
    )


def skipped(step: Step, why: str) -> Outcome:
    """A step of which nothing was begun."""
    return Outcome(step=step.id, phase=step.phase, status="skipped", changes=step.change != "none", why=why)


def passed_over(plan: Plan, phase: Phase, why: str) -> tuple[Outcome, ...]:
    """What became of the steps of a phase that was not begun, in the order of the plan."""
    return tuple(skipped(step, why) for step in plan.steps if step.phase == phase)


def would_change(outcomes: Iterable[Outcome]) -> bool:
    """Would something change, or could it? What is only `planned` counts: nobody may be told that it stays as it is."""
    return any(outcome.status in PREDICTED and outcome.changes for outcome in outcomes)


def accounts(plan: Plan, outcomes: Sequence[Outcome], phase: Phase | None = None) -> list[str]:
    """Is every planned step performed, or skipped with a reason? What is wrong, one text each; empty when it adds up.

    Args:
        plan: what was planned.
        outcomes: what became of it.
        phase: only this phase was performed or predicted.
    """
    steps = {step.id: step for step in plan.steps if phase in (None, step.phase)}
    counted = collections.Counter(outcome.step for outcome in outcomes)
    found = [f"step {name!r} was planned and has no outcome" for name in steps if name not in counted]
    found += [f"step {name!r} has {count} outcomes" for name, count in counted.items() if count > 1]
    found += [f"step {name!r} was not planned" for name in counted if name not in steps]
    known = [outcome for outcome in outcomes if outcome.step in steps]
    order = list(steps)
    places = [order.index(outcome.step) for outcome in known]
    if places != sorted(places):
        found.append("the outcomes are not in the order of the plan")
    for outcome in known:
        found += _faults(outcome, steps[outcome.step])
    performed = {outcome.status for outcome in outcomes} - {"skipped"}
    if performed & set(PREDICTED) and performed - set(PREDICTED):
        found.append("some outcomes are predicted and some performed")
    return found


def _faults(outcome: Outcome, step: Step) -> t.Iterator[str]:
    name = f"step {step.id!r}"
    if outcome.phase != step.phase:
        yield f"{name} belongs to the phase {step.phase}, its outcome to {outcome.phase}"
    if outcome.changes != (step.change != "none"):
        yield f"{name} and its outcome disagree on whether it changes the host"
    if outcome.status in ("skipped", "planned") and not outcome.why:
        yield f"{name} is {outcome.status} and nothing says why"
    if (outcome.status == "failed") != (outcome.failure is not None):
        yield (
            f"{name} failed and nothing says how"
            if outcome.failure is None
            else f"{name} has a failure and did not fail"
        )
    if outcome.status == "planned" and step.condition.name == "always":
        yield f"{name} has no condition and is only planned"
