# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run did to each host, as its evidence tells it, one read at a time; and whether that adds up with the plan.

Kept packed and without the journals, for those of a large fleet do not fit into memory together. Pure.
"""

from __future__ import annotations

import dataclasses
import json
import typing as t
import zlib
from collections.abc import Iterator, Mapping, Sequence

from . import canonical, outcome, performing, ran
from .evidence import Record
from .journal import Journal
from .outcome import Outcome
from .performing import BEGUN, DONE, Performed
from .plan import Plan, PlanError
from .proof import Proof
from .ran import PROOF, Ran

_LEVEL: t.Final = 1  # of compression: outcomes repeat much, more effort gains little
_EVENTS: t.Final = frozenset({BEGUN, DONE, PROOF})


class Deeds(Mapping[str, Ran]):
    """Host -> what was done to it. Each look-up reads it anew; plan and journals are left out."""

    def __init__(self) -> None:
        self._packed: dict[str, bytes] = {}
        self._phases: set[str] = set()

    def __getitem__(self, host: str) -> Ran:
        data = json.loads(zlib.decompress(self._packed[host]))
        proof = data["proof"]
        return Ran(
            phases=tuple(map(Performed.from_dict, data["phases"])),
            begun=data["begun"],
            proof=None if proof is None else Proof.from_dict(proof),
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self._packed)

    def __len__(self) -> int:
        return len(self._packed)

    @property
    def performed(self) -> int:
        """Number of hosts on which a phase was begun; on others there was a live test at most."""
        return len(self._phases)

    def take(self, host: str, records: Sequence[Record]) -> None:
        """Keep what the evidence of a host tells; nothing where nothing was done.

        Args:
            host: inventory name.
            records: its evidence.
        """
        if not any(record.event in _EVENTS for record in records):
            return
        told = ran.told(records)
        if not (told.phases or told.begun or told.proof):
            return
        if told.phases or told.begun:
            self._phases.add(host)
        body = {
            "phases": [dataclasses.replace(item, journal=()).to_dict() for item in told.phases],
            "begun": told.begun,
            "proof": told.proof.to_dict() if told.proof else None,
        }
        self._packed[host] = zlib.compress(canonical.dumps(body), _LEVEL)


def outcomes(told: Ran) -> tuple[Outcome, ...]:
    """Of all steps of all phases, in the order in which the phases ended."""
    return tuple(item for phase in told.phases for item in phase.outcomes)


def beside(plan: Mapping[str, t.Any], told: Ran) -> dict[str, Outcome]:
    """Step -> what became of it, told by its job or by what passed its phase over; without those nobody can tell.

    Args:
        plan: of the host, as in its file.
        told: what was done by this plan.
    """
    found = {item.step: item for item in outcomes(told)}
    phases = {item.phase: item for item in told.phases}
    whole: Plan | None = None
    for step in plan["steps"]:
        if step["id"] in found:
            continue
        made = Outcome(step=step["id"], phase=step["phase"], status="skipped", changes=step["change"] != "none")
        if step["kind"] == "reboot":
            end = _restart(told, made)
        elif (item := phases.get(made.phase)) is not None:
            why = f"the phase {item.phase} was {item.state}: {item.message}"
            end = dataclasses.replace(made, why=why) if item.state in ("refused", "skipped") else None
        else:
            whole = whole or Plan.from_dict(plan)
            why = "" if told.begun == made.phase else performing.before(whole, made.phase, told.phases)
            end = dataclasses.replace(made, why=why) if why else None
        if end is not None:
            found[end.step] = end
    return found


def _restart(told: Ran, made: Outcome) -> Outcome | None:
    """What became of the restart, which no job performs: told by the starts of the host between its phases."""
    asked = [number for number, item in enumerate(told.phases) if item.reboot]
    if not asked:
        # What was not followed to its end may ask for one yet.
        if told.begun or any(item.state == "lost" for item in told.phases):
            return None
        return dataclasses.replace(made, why="no step asked for a restart")
    boot = told.phases[asked[-1]].boot
    later = [item.boot for item in told.phases[asked[-1] + 1 :] if item.boot]
    if not boot or not later:
        return None
    if later[-1] != boot:
        return dataclasses.replace(made, status="done")
    return dataclasses.replace(made, why="a step asked for it, and it did not take place before the next phase")


def seconds(value: float) -> str:
    """A number of seconds for a reader: `12.5`, `0`."""
    return f"{value:.1f}".removesuffix(".0")


def faults(records: Sequence[Record]) -> Iterator[str]:
    """Where what was performed does not add up with its plan or its journal, or the row with both; one text each.

    Args:
        records: the evidence of a host.
    """
    plans: dict[str, Plan] = {}
    for number, record in enumerate(records, 1):
        if record.event == "plan":
            try:
                plan = Plan.from_dict(record.data)
            except PlanError:
                continue  # the form of a record is told elsewhere
            plans[plan.digest()] = plan
        elif record.event == DONE:
            try:
                item = Performed.from_dict(record.data)
            except ValueError:
                continue
            yield from (f"record {number}: {fault}" for fault in _phase(item, plans.get(item.digest)))
    yield from _row(records)


def _phase(item: Performed, plan: Plan | None) -> Iterator[str]:
    if plan is None:
        yield f"the phase {item.phase} was performed by a plan that is not in this evidence"
        return
    predicted = {o.step for o in item.outcomes if o.status in outcome.PREDICTED}
    yield from (f"step {name!r} of the phase {item.phase} is only predicted" for name in sorted(predicted))
    # Where nothing was begun, or the host could not be asked, there may be nothing to tell.
    if item.outcomes or item.state == "ended":
        yield from (f"phase {item.phase}: {fault}" for fault in outcome.accounts(plan, item.outcomes, item.phase))
    ends = {
        line.fields.get("id", ""): line.fields.get("status", "")
        for line in Journal.of(item.journal).lines
        if line.event == "end"
    }
    for told in item.outcomes:
        if ends.get(told.step, told.status) != told.status:
            yield f"step {told.step!r} is {told.status}, and {ends[told.step]} in its journal"


def _row(records: Sequence[Record]) -> Iterator[str]:
    """Is what the row of the last look tells of gap and live test told by the records before it?"""
    last = max((n for n, record in enumerate(records) if record.event == "scan"), default=0)
    told = ran.told(records[:last])
    row = records[last].data.get("row") if records else None
    if not isinstance(row, dict) or told.plan is None or row.get("plan") != told.plan.digest():
        return
    gap = max((p.gap for p in told.phases if p.digest == told.plan.digest() and p.gap is not None), default=None)
    if row.get("unprotected_seconds") not in (None, gap):
        yield f"the row tells {row['unprotected_seconds']} seconds without protection, its phases tell {gap}"
    proof = told.proof.result if told.proof else ""
    if row.get("proof", "") not in ("", proof):
        yield f"the row tells the live test {row['proof']!r}, its record {proof!r}"
