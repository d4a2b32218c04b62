# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of one host: what would be done, in which order, under which condition, and what stands in the way.

Data only. `planner` makes plans, `job` compiles them, reports show them. A blocked plan has no steps.
"""

from __future__ import annotations

import dataclasses
import typing as t
from collections.abc import Mapping

from . import canonical
from .steps import ALWAYS, CONDITIONS, KINDS, PHASES, SECTIONS, Change, Condition, OnFail, Phase, Section

SCHEMA: t.Final = "evict.kaspersky/plan/1"
State = t.Literal["act", "nothing_to_do", "blocked", "excepted", "undecided"]
Value = str | tuple[str, ...]


class PlanError(ValueError):
    """A plan cannot be read: it is of another version, damaged, or written by hand."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """One step.

    Attributes:
        id: stable within a plan, such as `remove.kesl.package`.
        phase: `stage`, `commit`, `reboot` or `finish`.
        section: part of `commit`: `remove`, `cover` or `fallback`; empty in the other phases.
        kind: a key of `steps.KINDS`.
        target: what it acts on, for a reader.
        args: the kind's arguments; texts or tuples of texts. Never a secret, never a path of the controller.
        reason: why, for a reader.
        change: does it change the host, and can that be undone?
        condition: when it is performed.
        on_fail: `stop` ends the job, `continue` goes on, `cover` and `fallback` go on with that section.
        timeout: seconds.
        typical: seconds it usually takes.
        secrets: argument or MSI property -> `owner.NAME` of the secret that the hand gets for it.
        owner: id of the product or provider the step is about.
    """

    id: str
    phase: Phase
    kind: str
    target: str
    reason: str
    section: Section = ""
    args: Mapping[str, Value] = dataclasses.field(default_factory=dict)
    change: Change = "none"
    condition: Condition = ALWAYS
    on_fail: OnFail = "stop"
    timeout: int = 120
    typical: int = 2
    secrets: Mapping[str, str] = dataclasses.field(default_factory=dict)
    owner: str = ""

    def identity(self) -> dict[str, t.Any]:
        """What of the step counts for the digest: all that the host would see, no words for readers."""
        return {
            "id": self.id,
            "phase": self.phase,
            "section": self.section,
            "kind": self.kind,
            "target": self.target,
            "args": canonical.lists(self.args),
            "change": self.change,
            "condition": [self.condition.name, self.condition.of],
            "on_fail": self.on_fail,
            "timeout": self.timeout,
            "secrets": dict(self.secrets),
        }


def finishing(
    name: str,
    kind: str,
    target: str,
    reason: str,
    args: Mapping[str, Value],
    *,
    owner: str = "",
    condition: Condition = ALWAYS,
) -> Step:
    """A step of the phase `finish`, with the limits of its kind; when it fails the others go on.

    Args:
        name: its id.
        kind, target, reason, args, owner, condition: as in Step.
    """
    known = KINDS[kind]
    return Step(
        id=name,
        phase="finish",
        kind=kind,
        target=target,
        args=args,
        reason=reason,
        change=known.change,
        condition=condition,
        on_fail="continue",
        timeout=known.timeout,
        typical=known.typical,
        owner=owner,
    )


@dataclasses.dataclass(frozen=True)
class Waived:
    """The waiver that lifts an inhibitor or excepts a host: who answers for it, why, and until when (a date, UTC)."""

    owner: str
    reason: str
    ticket: str
    expires: str

    def words(self) -> str:
        """What is said of a host that it excepts."""
        return f"excepted by {self.owner} until {self.expires}: {self.reason}"


@dataclasses.dataclass(frozen=True)
class Hit:
    """An inhibitor that was met.

    Attributes:
        id, title: of the inhibitor.
        diagnosis: what was seen on this host.
        remedy: what a person can do.
        waivable: may a waiver lift it?
        waived: the waiver that does; None when it blocks.
    """

    id: str
    title: str
    diagnosis: str
    remedy: str
    waivable: bool
    waived: Waived | None = None


@dataclasses.dataclass(frozen=True)
class Manual:
    """What stays for a person: what, why no step does it, and what to do."""

    what: str
    why: str
    remedy: str


@dataclasses.dataclass(frozen=True)
class Gap:
    """The time without active protection: usual and longest seconds, and how that comes about."""

    expected: int
    at_most: int
    why: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """The plan of one host.

    Attributes:
        host: inventory name.
        machine: id of the machine, empty when it did not say.
        platform: `linux`, `windows`, ...
        state: `act` (there are steps), `nothing_to_do`, `blocked`, `excepted` (a waiver covers the whole host), or
            `undecided` (the host is unknown or was not reached; nothing is planned for it).
        verdict: of the assessment the plan was made from.
        products: (id, version, state) of what would be removed, in the order of removal.
        replacement, fallback: ids of the providers.
        steps: in order.
        inhibitors: all that were met, those that block first; waived ones stay in the plan.
        manual: what stays for a person.
        gap: time without protection.
        excepted: the waiver of the whole host.
        notes: what the approver should know besides: roles opted in, windows, exclusive group.
        made, expires: times in UTC. Not part of the digest.
    """

    host: str
    machine: str
    platform: str
    state: State
    verdict: str
    products: tuple[tuple[str, str, str], ...] = ()
    replacement: str = ""
    fallback: str = ""
    steps: tuple[Step, ...] = ()
    inhibitors: tuple[Hit, ...] = ()
    manual: tuple[Manual, ...] = ()
    gap: Gap | None = None
    excepted: Waived | None = None
    notes: tuple[str, ...] = ()
    made: str = ""
    expires: str = ""

    @property
    def blocking(self) -> tuple[Hit, ...]:
        """The inhibitors that no waiver lifts."""
        return tuple(hit for hit in self.inhibitors if hit.waived is None)

    @property
    def point_of_no_return(self) -> str:
        """Id of the first step that cannot be undone; empty when there is none."""
        return next((step.id for step in self.steps if step.change == "irreversible"), "")

    def digest(self) -> str:
        """SHA-256 over version, host identity, products with versions, and steps (64 hex digits)."""
        return canonical.digest(
            {
                "schema": SCHEMA,
                "host": self.host,
                "machine": self.machine,
                "platform": self.platform,
                "products": [[name, version] for name, version, _state in self.products],
                "replacement": self.replacement,
                "fallback": self.fallback,
                "steps": [step.identity() for step in self.steps],
            }
        )

    def to_dict(self) -> dict[str, t.Any]:
        """As in `plans/<host>.json` and `plan.json` (schemas/plan-1.json)."""
        data = t.cast("dict[str, t.Any]", canonical.lists(dataclasses.asdict(self)))
        for step, plain in zip(self.steps, data["steps"], strict=True):
            plain["condition"] = {"name": step.condition.name, "of": step.condition.of}
        data["products"] = [dict(zip(("id", "version", "state"), p, strict=True)) for p in self.products]
        return {
            "schema": SCHEMA,
            "digest": self.digest(),
            "point_of_no_return": self.point_of_no_return,
            **data,
        }

    @classmethod
    def from_dict(cls, data: t.Any) -> Plan:
        """Read a plan back.

        Raises:
            PlanError: it is none of ours, or its digest is not that of its contents.
        """
        try:
            if data["schema"] != SCHEMA:
                raise PlanError(f"its schema is {str(data['schema'])[:80]!r}, this version reads {SCHEMA!r}")
            plan = cls(
                host=_text(data["host"]),
                machine=_text(data["machine"]),
                platform=_text(data["platform"]),
                state=_one_of(data["state"], t.get_args(State), "state"),
                verdict=_text(data["verdict"]),
                products=tuple((_text(p["id"]), _text(p["version"]), _text(p["state"])) for p in data["products"]),
                replacement=_text(data["replacement"]),
                fallback=_text(data["fallback"]),
                steps=tuple(map(_step, data["steps"])),
                inhibitors=tuple(
                    Hit(
                        _text(hit["id"]),
                        _text(hit["title"]),
                        _text(hit["diagnosis"]),
                        _text(hit["remedy"]),
                        bool(hit["waivable"]),
                        _waived(hit["waived"]),
                    )
                    for hit in data["inhibitors"]
                ),
                manual=tuple(Manual(_text(m["what"]), _text(m["why"]), _text(m["remedy"])) for m in data["manual"]),
                gap=_gap(data["gap"]),
                excepted=_waived(data["excepted"]),
                notes=tuple(map(_text, data["notes"])),
                made=_text(data["made"]),
                expires=_text(data["expires"]),
            )
        except (KeyError, TypeError, AttributeError) as exc:
            raise PlanError(f"it is no plan: {exc!r}") from exc
        if data.get("digest") != plan.digest():
            raise PlanError("its digest is not that of its contents: it was changed after it was made")
        return plan


def _step(data: t.Any) -> Step:
    kind = _one_of(data["kind"], tuple(KINDS), "kind of step")
    return Step(
        id=_text(data["id"]),
        phase=_one_of(data["phase"], PHASES, "phase"),
        section=_one_of(data["section"], SECTIONS, "section"),
        kind=kind,
        target=_text(data["target"]),
        args={_text(k): v if isinstance(v, str) else tuple(map(_text, v)) for k, v in data["args"].items()},
        reason=_text(data["reason"]),
        change=_one_of(data["change"], t.get_args(Change), "change"),
        condition=Condition(
            _one_of(data["condition"]["name"], tuple(CONDITIONS), "condition"), _text(data["condition"]["of"])
        ),
        on_fail=_one_of(data["on_fail"], t.get_args(OnFail), "on_fail"),
        timeout=_number(data["timeout"]),
        typical=_number(data["typical"]),
        secrets={_text(k): _text(v) for k, v in data["secrets"].items()},
        owner=_text(data["owner"]),
    )


def _waived(data: t.Any) -> Waived | None:
    if data is None:
        return None
    return Waived(_text(data["owner"]), _text(data["reason"]), _text(data["ticket"]), _text(data["expires"]))


def _gap(data: t.Any) -> Gap | None:
    return None if data is None else Gap(_number(data["expected"]), _number(data["at_most"]), _text(data["why"]))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a text is expected, it is {str(value)[:60]!r}")
    return value


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"a whole number is expected, it is {str(value)[:60]!r}")
    return value


def _one_of(value: object, known: tuple[str, ...], what: str) -> t.Any:
    if value not in known:
        raise PlanError(f"{str(value)[:60]!r} is no {what} this version knows")
    return value
