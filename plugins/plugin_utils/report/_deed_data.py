# SPDX-License-Identifier: GPL-3.0-or-later
"""What was done as the script of the page reads it. What many hosts share, such as an outcome, stands in it once."""

from __future__ import annotations

import typing as t
from collections.abc import Callable, Iterable, Mapping

from .. import deeds
from ..outcome import Outcome
from ..proof import Part, Proof
from ..ran import Ran
from ..row import Row
from ._deeds import PROOFS, bare

# Status of a step -> group in the style sheet, and words; 4-plan.js has the same names.
STATUS: t.Final[Mapping[str, tuple[str, str]]] = {
    "done": ("clean", "done"),
    "already": ("clean", "already so"),
    "skipped": ("aside", "skipped"),
    "failed": ("failed", "failed"),
}
PROVED: t.Final[Mapping[str, str]] = {"pass": "clean", "not_applicable": "residue", "fail": "failed", "error": "open"}
_NONE: t.Final = -1
_LOST: t.Final = "it has not come back"


class Tables:
    """Parts of what was done by number.

    Args:
        one: gives the number of a text.
    """

    def __init__(self, one: Callable[[str], int]) -> None:
        self._one = one
        self.ends: dict[tuple[int, ...], int] = {}
        self.runs: dict[tuple[int, ...], int] = {}
        self.proofs: dict[tuple[t.Any, ...], int] = {}
        self.phases: dict[tuple[int, ...], int] = {}

    def deed(self, row: Row, told: Ran | None, plan: Mapping[str, t.Any] | None) -> list[t.Any] | int:
        """What was done to a host as the script reads it; 1-data.js names the places in the same order.

        Args:
            row: of the host.
            told: what its evidence tells, None for nothing.
            plan: its plan, None where it has none.
        """
        gap = "" if row.unprotected_seconds is None else f"{deeds.seconds(row.unprotected_seconds)} s"
        if told is None and not gap and not row.proof:
            return 0
        told = told or Ran()
        gap = _LOST if bare(row, told) else gap
        known = {item.step: item for item in deeds.outcomes(told)}
        steps: list[str] = []
        if plan is not None and told.phases and told.phases[-1].digest == plan["digest"]:
            steps, known = [step["id"] for step in plan["steps"]], deeds.beside(plan, told)
        beside = [known.get(step) for step in steps]
        extra = [item for name, item in known.items() if name not in set(steps)]
        order = tuple(_NONE if item is None else self._end(item) for item in (*beside, *extra))
        return [
            self._one(gap),
            self._proof(row.proof, told.proof),
            _number(self.phases, self._all(_phases(told))),
            _number(self.runs, order),
            [0 if item is None else round(item.seconds, 1) for item in (*beside, *extra)],
            len(beside),
        ]

    def _end(self, item: Outcome) -> int:
        failure = item.failure
        said = (failure.kind, failure.code, failure.meaning) if failure else ("", "", "")
        return _number(self.ends, (list(STATUS).index(item.status), *self._all((item.step, item.why, *said))))

    def _proof(self, result: str, proof: Proof | None) -> int:
        if not result and proof is None:
            return _NONE
        said = [*_proof(proof)] if proof else []
        result = result or (proof.result if proof else "")
        return _number(self.proofs, (result if result in PROOFS else "error", self._one(result), self._all(said)))

    def _all(self, texts: Iterable[str]) -> tuple[int, ...]:
        return tuple(map(self._one, texts))


def _phases(told: Ran) -> t.Iterator[str]:
    for item in told.phases:
        code = f", code {item.code}" if item.code else ""
        yield f"{item.phase}: {item.state}{code}" + (f": {item.message}" if item.message else "")
    if told.begun:
        yield f"{told.begun}: it was begun, and its end is not on record"


def _proof(proof: Proof) -> t.Iterator[str]:
    """The parts of a live test in words."""
    yield f"{proof.provider} ({proof.role}), method {proof.method}"
    if proof.detail:
        yield proof.detail
    for name, part in (("on access", proof.on_access), ("on demand", proof.on_demand)):
        yield f"{name}: {_part(part)}"
    if proof.control_ok is False:
        yield "the harmless control file did not come through"
    yield from (f"left on the host: {text}" for text in proof.left)


def _part(part: Part) -> str:
    said = [PROOFS.get(part.result, part.result), part.how, part.place, part.detail]
    return ", ".join([text for text in said if text] + ([f"{part.seconds} s"] if part.seconds else []))


def _number(known: dict[t.Any, int], key: object) -> int:
    return known.setdefault(key, len(known))
