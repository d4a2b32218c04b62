# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict of a host after its plan was performed: what a new look, the health rule and a live test say. Pure.

Exit codes prove nothing here: a job that ended well and left the product is as much a failure as one that broke off.
"""

from __future__ import annotations

import dataclasses
import typing as t
from collections.abc import Iterator, Sequence

from . import finish, planner
from .case import Case
from .filling import Role
from .health import Health
from .outcome import Outcome
from .performing import Performed
from .plan import Plan
from .proof import UNDECIDED, Proof
from .row import Row
from .steps import Phase
from .verdict import Verdict

_DONE: t.Final = ("done", "already")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ending:
    """What became of a host.

    Attributes:
        verdict: of a remediation.
        reasons: why, most telling first.
        notes: what a reader should know besides.
        gap: seconds without protection; None where there were none, or nobody can tell.
        proof: `pass`, `fail`, `not_applicable`, `error`, or empty where no live test was made.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    notes: tuple[str, ...] = ()
    gap: float | None = None
    proof: str = ""


def end(case: Case, plan: Plan, performed: Sequence[Performed], proof: Proof | None) -> Ending | None:
    """Judge a host after its phases.

    Args:
        case: what the new look at the host found.
        plan: that was performed.
        performed: the phases, in order.
        proof: the live test, None where none was made.

    Returns:
        None where no phase of the plan was begun: what the plan says of the host stays.
    """
    phases = {item.phase: item for item in performed if item.digest == plan.digest()}
    if not phases:
        return None
    failed = [f"{step.step} failed: {_why(step)}" for item in phases.values() for step in item.failed]
    # What stands in the way of a phase is told once, by the first that it stood in the way of.
    stopped = [f"{item.phase}: {item.message}" for item in phases.values() if item.state == "refused"]
    gap = max((item.gap for item in phases.values() if item.gap is not None), default=None)
    said = proof.result if proof else ""
    verdict, reasons = _judge(case, plan, phases, proof)
    notes = tuple(_notes(case, plan, phases))
    told = tuple(dict.fromkeys((*reasons, *failed, *stopped)))
    return Ending(verdict=verdict, reasons=told, notes=notes, gap=gap, proof=said)


def guarded(row: Row, case: Case) -> Row:
    """The row with the protection that only the replacement's own rule can see, as of a scanner that is asked to scan.

    Args:
        row: of the host.
        case: the host; without questions to the replacement nothing is added.
    """
    if row.protection == "active" or any(p.works for p in case.assessment.products):
        return row
    guard, _why = _guard(case)
    return dataclasses.replace(row, protection="active", protected_by=(f"{guard}, by its own rule",)) if guard else row


def dark(row: Row, performed: Sequence[Performed]) -> Row:
    """The row of a host that does not answer any more, with what it was in the middle of.

    Args:
        row: `unreachable` or `unknown`, with the reason.
        performed: the phases of this run, in order.
    """
    lost = [f"{item.phase}: {item.message}" for item in performed if item.state == "lost"]
    ended = [item.phase for item in performed if item.state == "ended"]
    notes = (f"phases that had ended before: {', '.join(ended)}",) if ended else ()
    return dataclasses.replace(row, reasons=(*row.reasons, *lost), notes=(*row.notes, *notes))


def _judge(
    case: Case, plan: Plan, phases: dict[Phase, Performed], proof: Proof | None
) -> tuple[Verdict, tuple[str, ...]]:
    if before := _untouched(phases):
        return Verdict.BLOCKED, before
    seen = case.assessment.verdict
    guard, why = _guard(case)
    if seen is Verdict.UNKNOWN:
        exposed = not guard and any(item.failed for item in phases.values())
        return (Verdict.FAILED_EXPOSED if exposed else Verdict.UNKNOWN), case.assessment.reasons
    if seen is Verdict.PRESENT:
        still = "still there: " + ", ".join(p.entry.id for p in case.assessment.products if p.works)
        alive = any(p.state == "running" for p in case.assessment.products)
        kept = guard or ("the old product still runs, without updates" if alive else "")
        if kept:
            return Verdict.FAILED_PROTECTED, (still, kept)
        return Verdict.FAILED_EXPOSED, (still, *why)
    if plan.replacement == "none" or (case.replacement is not None and case.replacement.kind == "none"):
        if not guard:
            return Verdict.REMOVED_UNPROTECTED, (planner.CONSENTED,)
    elif not guard:
        return Verdict.FAILED_EXPOSED, ("nothing protects the host", *why)
    left = tuple(_left(case))
    if left:
        return Verdict.LEFTOVERS, left
    if proof is not None and proof.result == "fail":
        return Verdict.FAILED_EXPOSED, (proof.words(),)
    if broken := [o.step for item in phases.values() for o in item.failed if o.step.startswith("cover.")]:
        # Such as a registration with the vendor's console: a rule of health may not know of it.
        return Verdict.FAILED_PROTECTED, (f"{guard}, but not as planned: {', '.join(broken)} failed",)
    if _on_fallback(case, phases):
        return Verdict.FAILED_PROTECTED, ("the replacement did not become active; the fallback protects the host", *why)
    if waits := _restart(phases):
        return Verdict.REBOOT_PENDING, (waits, guard)
    lost = [f"{item.phase}: {item.message or 'it has not ended'}" for item in phases.values() if item.state == "lost"]
    if lost:
        return Verdict.UNKNOWN, ("the host could not be followed to the end of its job", *lost)
    if proof is None or proof.result == "error":
        return Verdict.UNKNOWN, (proof.words() if proof else f"{UNDECIDED}: no live test was made", guard)
    verdict = Verdict.REPLACED if proof.result == "pass" else Verdict.REPLACED_UNPROVED
    return verdict, (f"{guard}; {proof.words()}",)


def _untouched(phases: dict[Phase, Performed]) -> tuple[str, ...]:
    """Why nothing was changed: refused by the host, or a staging that was taken back. Empty where something was."""
    if any(item.phase == "commit" and item.state in ("ended", "lost") for item in phases.values()):
        return ()
    for item in phases.values():
        if item.state in ("refused", "skipped") and item.message:
            return (f"{item.phase}: {item.message}",)
        if item.phase == "stage" and item.state == "ended" and not item.whole:
            steps = [f"{step.step}: {_why(step)}" for step in item.failed]
            return (*(f"the staging failed and was undone: {text}" for text in steps or ["its job broke off"]),)
    return ()


def _guard(case: Case) -> tuple[str, tuple[str, ...]]:
    """What protects the host, and why not what should; the first is empty where nothing does."""
    why: list[str] = []
    for role in t.get_args(Role):
        found: Health | None = case.health(role)
        provider = case.provider(role)
        if found is None or provider is None or provider.kind == "none":
            continue
        if found.healthy:
            return f"{provider.name} protects the host" + (" (the fallback)" if role == "fallback" else ""), tuple(why)
        why += [f"{provider.name}: {text}" for text in found.reasons] if role == "replacement" else []
    if case.assessment.context.protection == "active" and not any(p.works for p in case.assessment.products):
        return "protected by " + ", ".join(case.assessment.context.protected_by), tuple(why)
    return "", tuple(why)


def _on_fallback(case: Case, phases: dict[Phase, Performed]) -> bool:
    """Was the replacement planned, and something else protects the host instead?"""
    wanted = case.health("replacement")
    fell = any(o.step.startswith("fallback.") and o.status in _DONE for p in phases.values() for o in p.outcomes)
    return wanted is not None and not wanted.healthy and (fell or planner.protected(case))


def _left(case: Case) -> Iterator[str]:
    """What is left though a step could take it, or is live; what only a person may touch is no failure of the run."""
    if case.assessment.verdict is not Verdict.LEFTOVERS:
        return
    for product in case.assessment.products:
        for finding in product.findings:
            if finding.dangerous:
                yield f"{product.entry.id}: {finding.text} is live"
    yield from (f"still there: {text}" for text in finish.removable(case))


def _restart(phases: dict[Phase, Performed]) -> str:
    """A step asked for a restart, and the host has not been restarted since."""
    asked = [item for item in phases.values() if item.reboot]
    if not asked:
        return ""
    boots = [item.boot for item in phases.values() if item.boot]
    if boots and boots[-1] != asked[-1].boot:
        return ""
    return (
        "a restart is asked for and did not take place (evict_reboot, evict_windows, or Ansible cannot restart the "
        "host): restart it, then run again"
    )


def _why(outcome: Outcome) -> str:
    failure = outcome.failure
    return f"{failure.kind}: {failure.meaning}" if failure else outcome.why


def _notes(case: Case, plan: Plan, phases: dict[Phase, Performed]) -> Iterator[str]:
    skipped = sum(o.status == "skipped" for item in phases.values() for o in item.outcomes)
    done = sum(o.status in _DONE for item in phases.values() for o in item.outcomes)
    failed = sum(len(item.failed) for item in phases.values())
    planned = sum(step.phase != "reboot" for step in plan.steps)  # that one is the controller's, where it is asked for
    yield f"steps: {planned} planned, {done} performed, {skipped} skipped with a reason, {failed} failed"
    for item in plan.manual:
        yield f"stays for a person: {item.what}"
    for role_note in case.controller.expired:
        yield f"expired waiver: {role_note}"
