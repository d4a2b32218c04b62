# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run's evidence tells of a host: its plan, the phases that were performed, the live test."""

from __future__ import annotations

import dataclasses
import os
import typing as t
from collections.abc import Iterable

from . import evidence
from .evidence import Record
from .performing import BEGUN, DONE, Performed
from .plan import Plan, PlanError
from .proof import Proof
from .run import RunFolder

PROOF: t.Final = "proof"


@dataclasses.dataclass(frozen=True)
class Ran:
    """What was done to a host in a run.

    Attributes:
        plan: the last one that was made; None where there is none that can be read.
        phases: what became of each phase of it, the last try of each, in the order in which they ended.
        begun: the phase that was begun and has no end in the evidence; empty for none.
        proof: the live test, None where none was made after them.
    """

    plan: Plan | None = None
    phases: tuple[Performed, ...] = ()
    begun: str = ""
    proof: Proof | None = None


def of(folder: RunFolder, host: str) -> Ran:
    """Read a host's evidence of this run.

    Args:
        folder: of the run.
        host: inventory name.

    Raises:
        EvidenceError: it cannot be read.
    """
    path = folder.host_log(host)
    return told(evidence.read(path)) if os.path.lexists(path) else Ran()


def told(records: Iterable[Record]) -> Ran:
    """The same from records, in their order."""
    plan: Plan | None = None
    phases: dict[str, Performed] = {}
    begun, proof = "", None
    for record in records:
        try:
            if record.event == "plan":
                made = Plan.from_dict(record.data)
                if plan is None or made.digest() != plan.digest():
                    phases, proof = {}, None
                plan, begun = made, ""
            elif record.event == BEGUN:
                begun = str(record.data.get("phase", ""))
            elif record.event == DONE:
                item = Performed.from_dict(record.data)
                phases.pop(item.phase, None)
                phases[item.phase] = item
                begun, proof = "", None
            elif record.event == PROOF:
                proof = Proof.from_dict(record.data)
        except (PlanError, ValueError):
            continue  # what cannot be read proves nothing
    return Ran(plan, tuple(phases.values()), begun, proof)
