# SPDX-License-Identifier: GPL-3.0-or-later
"""One host's row: the long one for `rows.json`, the short one as the visible result of a task."""

from __future__ import annotations

import dataclasses
import json
import typing as t

from . import canonical
from .plan import Plan, State
from .verdict import Verdict

if t.TYPE_CHECKING:
    from .ending import Ending

SCHEMA: t.Final = "evict.kaspersky/rows/1"
SHORT_LIMIT: t.Final = 1000  # bytes of JSON; design: under 1 kB
Protection = t.Literal["active", "none", "unknown", ""]
_PLAN: t.Final = ("plan", "plan_state", "inhibitors")  # keys of a row that only a run with plans has
_ENDED: t.Final = ("unprotected_seconds", "proof")  # keys of a row that only a host that was changed has
_BY_STATE: t.Final[t.Mapping[State, Verdict]] = {
    "blocked": Verdict.BLOCKED,
    "excepted": Verdict.EXCEPTED,
    "nothing_to_do": Verdict.NOTHING_TO_DO,
}
# What a fact may be about; the order is the one reports show them in.
TOPICS: t.Final = (
    "protection",
    "policy",
    "manager",
    "lock",
    "encryption",
    "role",
    "integration",
    "reinstall",
    "reboot",
    "session",
    "container",
    "mention",
)


@dataclasses.dataclass(frozen=True)
class ProductRow:
    """A product on a host: id and family of the catalog, state, version (may be empty) and the evidence in words."""

    id: str
    family: str
    state: str
    version: str = ""
    evidence: tuple[str, ...] = ()

    def label(self) -> str:
        """Short form for a table, such as `kesl 12.1.0.1297 running`."""
        return " ".join(part for part in (self.id, self.version, self.state) if part)


@dataclasses.dataclass(frozen=True)
class Fact:
    """Something a reader of the host's row should know besides: one of TOPICS, and the words."""

    topic: str
    text: str


@dataclasses.dataclass(frozen=True)
class Row:
    """What a run says of one host.

    Attributes:
        host, verdict, platform: of the host.
        products: what counts for the verdict, working ones first.
        reported: what is reported and never removed: portable tools, embedded engines, successors, open source.
        reasons: why this verdict, most telling first.
        unknown_probes: what could not be inspected, context included.
        notes: what a reader should know besides, in words.
        protection: is a live malware protection active now; empty where nobody looked.
        protected_by: by what, and how that is known.
        facts: context of the host, by topic.
        observation_digest: of the observation the row was made from.
        plan: digest of the host's plan; empty where none was made.
        plan_state: state of the plan (`plan.State`); empty where none was made.
        inhibitors: those that block, as `id: diagnosis`.
        unprotected_seconds: that the host was without protection; None where it was not changed, or nobody can tell.
        proof: of the live test: `pass`, `fail`, `not_applicable`, `error`; empty where none was made.
    """

    host: str
    verdict: Verdict
    platform: str = ""
    products: tuple[ProductRow, ...] = ()
    reported: tuple[ProductRow, ...] = ()
    reasons: tuple[str, ...] = ()
    unknown_probes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    protection: Protection = ""
    protected_by: tuple[str, ...] = ()
    facts: tuple[Fact, ...] = ()
    observation_digest: str = ""
    plan: str = ""
    plan_state: State | t.Literal[""] = ""
    inhibitors: tuple[str, ...] = ()
    unprotected_seconds: float | None = None
    proof: str = ""

    def ended(self, ending: Ending, plan: Plan) -> Row:
        """The row of a host whose plan was performed.

        Args:
            ending: what became of it.
            plan: that was performed; what would be planned now does not count.
        """
        reasons = self.reasons[len(self.inhibitors) :]
        found = (*ending.reasons, *(text for text in reasons if text not in ending.reasons))
        return dataclasses.replace(
            self,
            verdict=ending.verdict,
            reasons=found,
            notes=(*ending.notes, *self.notes),
            plan=plan.digest(),
            plan_state=plan.state,
            inhibitors=(),
            unprotected_seconds=ending.gap,
            proof=ending.proof,
        )

    def planned(self, plan: Plan, *, live: bool = False) -> Row:
        """The row of the assessment with what its plan says: the verdict of the plan, and why it is blocked.

        Args:
            plan: the plan that was made from the same assessment.
            live: something of the vendor is live that no step may touch: then there is something to do, for a person.
        """
        inhibitors = tuple(f"{hit.id}: {hit.diagnosis}" for hit in plan.blocking) if plan.state == "blocked" else ()
        reasons = self.reasons[len(self.inhibitors) :]  # those of an earlier plan of the host, if there was one
        if plan.state == "excepted" and (waiver := plan.excepted):
            reasons = (waiver.words(), *reasons)
        return dataclasses.replace(
            self,
            verdict=self.verdict if live and plan.state == "nothing_to_do" else _BY_STATE.get(plan.state, self.verdict),
            reasons=(*inhibitors, *reasons),
            plan=plan.digest(),
            plan_state=plan.state,
            inhibitors=inhibitors,
        )

    def to_dict(self) -> dict[str, t.Any]:
        """The long row, as in `rows.json`. Rows of runs without plans do not speak of them."""
        data = dataclasses.asdict(self)
        data["verdict"] = str(self.verdict)
        if not any(data[name] for name in _PLAN):
            for name in _PLAN:
                del data[name]
        if self.unprotected_seconds is None and not self.proof:
            for name in _ENDED:
                del data[name]
        return t.cast("dict[str, t.Any]", canonical.lists(data))

    @classmethod
    def from_dict(cls, data: t.Mapping[str, t.Any]) -> Row:
        """Read a long row back.

        Raises:
            ValueError: a key is missing or the verdict is none of ours.
        """
        try:
            protection = str(data.get("protection", ""))
            if protection not in t.get_args(Protection):
                raise ValueError(f"not a row: protection is {protection!r}")
            state = str(data.get("plan_state", ""))
            if state and state not in t.get_args(State):
                raise ValueError(f"not a row: plan_state is {state[:60]!r}")
            return cls(
                host=str(data["host"]),
                verdict=Verdict(data["verdict"]),
                platform=str(data.get("platform", "")),
                products=_products(data.get("products", ())),
                reported=_products(data.get("reported", ())),
                reasons=tuple(map(str, data.get("reasons", ()))),
                unknown_probes=tuple(map(str, data.get("unknown_probes", ()))),
                notes=tuple(map(str, data.get("notes", ()))),
                protection=t.cast("Protection", protection),
                protected_by=tuple(map(str, data.get("protected_by", ()))),
                facts=tuple(Fact(str(f["topic"]), str(f["text"])) for f in data.get("facts", ())),
                observation_digest=str(data.get("observation_digest", "")),
                plan=str(data.get("plan", "")),
                plan_state=t.cast("State", state),
                inhibitors=tuple(map(str, data.get("inhibitors", ()))),
                unprotected_seconds=_seconds(data.get("unprotected_seconds")),
                proof=str(data.get("proof", "")),
            )
        except (KeyError, TypeError) as exc:
            raise ValueError(f"not a row: {exc!r}") from exc

    def short(self) -> dict[str, t.Any]:
        """The short row. Texts are shortened until the JSON fits, never the verdict or the product ids."""
        short: dict[str, t.Any] = {
            "host": _clip(self.host, 255),
            "verdict": str(self.verdict),
            "products": [_clip(p.label(), 60) for p in self.products[:6]],
            "reasons": [],
            "protection": self.protection,
            "plan": self.plan[:12] or None,
        }
        hidden = len(self.products) - len(short["products"])
        if hidden > 0:
            short["products"].append(f"and {hidden} more")
        room = SHORT_LIMIT - _size(short) - 40
        for number, reason in enumerate(self.reasons):
            clipped = _clip(reason, 240)
            room -= _size(clipped) + 2
            if room < 0:
                short["reasons"].append(f"and {len(self.reasons) - number} more, see rows.json")
                break
            short["reasons"].append(clipped)
        return short


def _seconds(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"not a row: unprotected_seconds is {str(value)[:60]!r}")
    return float(value)


def _products(data: t.Iterable[t.Mapping[str, t.Any]]) -> tuple[ProductRow, ...]:
    return tuple(
        ProductRow(
            id=str(p["id"]),
            family=str(p["family"]),
            state=str(p["state"]),
            version=str(p.get("version", "")),
            evidence=tuple(map(str, p.get("evidence", ()))),
        )
        for p in data
    )


def _clip(text: str, limit: int) -> str:
    """A text of at most `limit` bytes inside JSON, where one character may take twelve."""
    text, whole = text[: limit + 1], text
    if text == whole and _size(text) - 2 <= limit:
        return text
    while _size(text) - 2 > limit - 3:
        text = text[:-1]
    return text + "..."


def _size(data: object) -> int:
    return len(json.dumps(data))
