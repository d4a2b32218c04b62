# SPDX-License-Identifier: GPL-3.0-or-later
"""What became of one phase on a host, and whether a phase may begin at all. Pure."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t
from collections.abc import Mapping, Sequence

from . import canonical, inhibitors
from .outcome import Outcome, passed_over
from .plan import Plan
from .policy import Policy
from .steps import Phase

State = t.Literal["ended", "refused", "lost", "skipped"]
NotBegun = t.Literal["refused", "skipped"]
# Events of a host's evidence.
BEGUN: t.Final = "performing"
DONE: t.Final = "performed"
_NEEDS: t.Final = "remove"
_ORDER: t.Final[tuple[Phase, ...]] = ("stage", "commit", "finish")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Performed:
    """One phase, as the host's journal tells it.

    Attributes:
        phase, digest: of the plan.
        seal: of the job that was sent (64 hex digits).
        state: `ended` (by itself, whatever came of it), `refused` (by the host, nothing was done), `lost` (the host
            did not answer any more; the job goes on there), `skipped` (an earlier phase stands in the way).
        code: of the job; None where it did not end.
        message: why it was refused, lost or skipped.
        outcomes: of its steps.
        gap: seconds without protection, None where none can be told.
        reboot: a step asks for a restart.
        boot: id of the host's start in which it ended.
        journal: the lines of the host's journal.
    """

    phase: Phase
    digest: str
    seal: str = ""
    state: State = "ended"
    code: int | None = None
    message: str = ""
    outcomes: tuple[Outcome, ...] = ()
    gap: float | None = None
    reboot: bool = False
    boot: str = ""
    journal: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Did the job reach its end by the way that was planned, with every step performed or skipped for a reason?"""
        return self.state == "ended" and self.code == 0

    @property
    def failed(self) -> tuple[Outcome, ...]:
        """The steps that failed."""
        return tuple(outcome for outcome in self.outcomes if outcome.status == "failed")

    @property
    def changed(self) -> bool:
        """Did a step change the host?"""
        return any(outcome.status in ("done", "failed") and outcome.changes for outcome in self.outcomes)

    def to_dict(self) -> dict[str, t.Any]:
        """As in the evidence (event `performed`)."""
        data = t.cast("dict[str, t.Any]", canonical.lists(dataclasses.asdict(self)))
        return {**data, "outcomes": [outcome.to_dict() for outcome in self.outcomes]}

    @classmethod
    def from_dict(cls, data: Mapping[str, t.Any]) -> Performed:
        """Read it back.

        Raises:
            ValueError: it is none of ours.
        """
        try:
            return cls(
                phase=data["phase"],
                digest=str(data["digest"]),
                seal=str(data["seal"]),
                state=data["state"],
                code=None if data["code"] is None else int(data["code"]),
                message=str(data["message"]),
                outcomes=tuple(map(Outcome.from_dict, data["outcomes"])),
                gap=None if data["gap"] is None else float(data["gap"]),
                reboot=bool(data["reboot"]),
                boot=str(data["boot"]),
                journal=tuple(map(str, data["journal"])),
            )
        except (KeyError, TypeError) as exc:
            raise ValueError(f"not a phase that was performed: {exc!r}") from exc


def not_begun(plan: Plan, phase: Phase, state: NotBegun, why: str, *, seal: str = "") -> Performed:
    """A phase of which nothing was begun: each of its steps is skipped, for that reason.

    Args:
        plan: of the host.
        phase: that was to begin.
        state: who refused it, see `Performed`.
        why: for the record of each step.
        seal: of the job, where one was sent.
    """
    steps = passed_over(plan, phase, why)
    return Performed(phase=phase, digest=plan.digest(), seal=seal, state=state, message=why, outcomes=steps)


def closed(plan: Plan, settings: Policy, now: datetime.datetime) -> list[str]:
    """Why no phase of the plan may begin now, whatever was asked before; empty when one may.

    Args:
        plan: in the state `act`.
        settings: with the consent of this very run.
        now: the time, UTC.
    """
    found = []
    if any(step.change == "irreversible" and step.kind != "reboot" for step in plan.steps) and (
        _NEEDS not in settings.consent
    ):
        found.append(
            'nobody consented to the removal: give it for this run with -e \'{"evict_consent": ["remove"]}\' (a '
            "survey counts, inventory and group_vars do not)"
        )
    if shut := inhibitors.closed(settings, now):
        found.append(f"{shut}: wait for one, or change `evict_windows`")
    return found


def no_restart(plan: Plan, settings: Policy, now: datetime.datetime) -> str:
    """Why the host must not be restarted now, whoever asks for it; empty when it may.

    Args:
        plan: of the host; one without the step was approved without a restart.
        settings: of this run.
        now: the time, UTC.
    """
    if settings.reboot == "never":
        return "`evict_reboot` is `never`"
    if not any(step.kind == "reboot" for step in plan.steps):
        return "the plan has no restart"
    return "; ".join(closed(plan, settings, now))


def missing(plan: Plan, phase: Phase, done: Sequence[Performed]) -> str:
    """The phase that this run would have had to perform before; empty when none is missing.

    Args:
        plan: of the host.
        phase: that is to begin.
        done: the phases of the same plan in this run.
    """
    there = {item.phase for item in done if item.digest == plan.digest()}
    for earlier in _ORDER[: _ORDER.index(phase)]:
        if earlier not in there and any(step.phase == earlier for step in plan.steps):
            return (
                f"the phase {earlier} was not performed in this run: run the playbook from its beginning, without "
                "--start-at-task and --tags"
            )
    return ""


def before(plan: Plan, phase: Phase, done: Sequence[Performed]) -> str:
    """Why a phase is passed over after what became of the earlier ones; empty when it may begin.

    Args:
        plan: of the host.
        phase: that is to begin.
        done: the phases of the same plan in this run, in order.
    """
    for item in done:
        if item.digest != plan.digest() or item.phase == phase:
            continue
        if item.state != "ended":
            return f"the phase {item.phase} was {item.state}: {item.message}"
        if item.phase == "stage" and not item.whole:
            return "the staging failed and was undone: nothing was removed"
    return ""


def gone(plan: Plan, done: Sequence[Performed]) -> frozenset[str]:
    """Ids of the products that were looked for again in this run, and not found.

    Args:
        plan: of the host.
        done: the phases of the same plan in this run.
    """
    confirmed = {o.step for item in done for o in item.outcomes if o.status in ("done", "already")}
    return frozenset(str(s.args.get("product")) for s in plan.steps if s.kind == "confirm_absent" and s.id in confirmed)


class _Record(t.Protocol):
    """What is asked of a record here: nothing a verdict is made of knows the files of the evidence."""

    @property
    def seq(self) -> int: ...
    @property
    def event(self) -> str: ...
    @property
    def data(self) -> Mapping[str, t.Any]: ...


def half_way(records: Sequence[_Record], scan: int) -> str:
    """What is to be said of a host that was being changed when its run ended; empty when it was not.

    Args:
        records: the host's evidence.
        scan: number of the last scan: a look after a phase says what became of it.
    """
    phases = [str(r.data.get("phase")) for r in records if r.event in (BEGUN, DONE) and r.seq > scan]
    if not phases:
        return ""
    return (
        f"the run ended while this host was being changed (phase {phases[-1]}): its job goes on there by itself; run "
        "`evict remediate` again, and it is followed to its end"
    )
