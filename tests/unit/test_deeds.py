# SPDX-License-Identifier: GPL-3.0-or-later
"""What was done is told as the evidence has it, and has to add up with plan, journal and row."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import deeds, journal
from ansible_collections.evict.kaspersky.plugins.plugin_utils.deeds import Deeds
from ansible_collections.evict.kaspersky.plugins.plugin_utils.evidence import Record
from ansible_collections.evict.kaspersky.plugins.plugin_utils.performing import DONE, Performed
from ansible_collections.evict.kaspersky.plugins.plugin_utils.ran import Ran
from tests import fleet, fleet_deeds, fleet_plans, runs

ROWS = fleet.rows(80)
PLAN: t.Final = next(p for p in fleet_plans.ledger(ROWS).plans.values() if p.state == "act" and len(p.products) > 1)
KINDS = sorted(set(fleet_deeds.KINDS))


def told(kind: str) -> Ran:
    """What is kept of a host."""
    kept = Deeds()
    kept.take("h", fleet_deeds.records(PLAN, kind))
    return kept["h"]


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_kept_as_the_evidence_has_it(kind: str) -> None:
    found = told(kind)
    phases = [Performed.from_dict(r.data) for r in fleet_deeds.records(PLAN, kind) if r.event == DONE]
    assert found.phases == tuple(dataclasses.replace(item, journal=()) for item in phases)
    assert found.begun == ("commit" if kind == "begun" else "")
    assert (found.proof.result if found.proof else "") == fleet_deeds.PROVED.get(kind, "")
    assert deeds.outcomes(found) == tuple(o for item in phases for o in item.outcomes)


def test_a_host_on_which_nothing_was_done_is_not_there() -> None:
    kept = Deeds()
    kept.take("h", [r for r in fleet_deeds.records(PLAN, "well") if r.event == "plan"])
    assert len(kept) == kept.performed == 0
    kept.take("h", [r for r in fleet_deeds.records(PLAN, "well") if r.event == "proof"])
    assert (list(kept), kept.performed) == (["h"], 0)  # a live test alone changes nothing


@pytest.mark.parametrize("kind", KINDS)
def test_every_step_has_an_outcome_or_nobody_can_tell(kind: str) -> None:
    found = deeds.beside(PLAN.to_dict(), told(kind))
    open_ = [step.id for step in PLAN.steps if step.id not in found]
    later = [step.id for step in PLAN.steps if step.phase != "stage"]
    want = {"lost": later, "begun": later}.get(kind, [])
    assert open_ == want
    assert all(item.why for item in found.values() if item.status == "skipped")
    if kind == "refused":
        assert {item.status for item in found.values()} == {"skipped"}
        assert all("another run is at work" in found[step.id].why for step in PLAN.steps if step.kind != "reboot")


@pytest.mark.parametrize(
    ("asked", "boots", "status"),
    [
        (None, "111", "skipped"),
        ("commit", "112", "done"),
        ("commit", "111", "skipped"),
        ("finish", "111", ""),  # nobody has looked since
        ("stage", "122", "done"),
    ],
)
def test_a_restart_is_told_by_the_starts_of_the_host(asked: str | None, boots: str, status: str) -> None:
    names: t.Any = ("stage", "commit", "finish")
    phases = [
        Performed(phase=name, digest=PLAN.digest(), code=0, boot=boot, reboot=name == asked)
        for name, boot in zip(names, boots, strict=True)
    ]
    found = deeds.beside(PLAN.to_dict(), Ran(phases=tuple(phases))).get("reboot")
    assert (found.status if found else "") == status


@pytest.mark.parametrize("value", [(0.0, "0"), (12.5, "12.5"), (41, "41"), (123456.75, "123456.8"), (0.04, "0")])
def test_seconds(value: tuple[float, str]) -> None:
    assert deeds.seconds(value[0]) == value[1]


# --- what does not add up


@pytest.mark.parametrize("kind", KINDS)
def test_what_adds_up_has_no_fault(kind: str) -> None:
    assert list(deeds.faults(scanned(kind))) == []


def scanned(kind: str, **row: t.Any) -> list[Record]:
    """The evidence of a host with the last look, whose row may say something else."""
    records = fleet_deeds.records(PLAN, kind)
    whole = {"unprotected_seconds": fleet_deeds.gap_of(kind), "proof": fleet_deeds.PROVED.get(kind, ""), **row}
    made = runs.row(PLAN.host, plan=PLAN.digest(), plan_state="act", **whole)
    scan = {**runs.scan(PLAN.host), "row": made.to_dict()}
    return [*records, dataclasses.replace(records[0], seq=len(records) + 1, event="scan", data=scan)]


def spoilt(change: t.Callable[[dict[str, t.Any]], object], phase: str = "commit") -> list[str]:
    """The faults after a change of the record of a phase."""
    records = scanned("well")
    for number, record in enumerate(records):
        if record.event == DONE and record.data["phase"] == phase:
            data = Performed.from_dict(record.data).to_dict()
            change(data)
            records[number] = dataclasses.replace(record, data=data)
    return list(deeds.faults(records))


def _journal(status: str) -> list[str]:
    return ["begin id=cover.active kind=start_unit try=1 .", f"end id=cover.active status={status} ."]


CHANGES: dict[str, tuple[t.Callable[[dict[str, t.Any]], object], str]] = {
    "outcome missing": (lambda d: d["outcomes"].pop(0), "was planned and has no outcome"),
    "all outcomes missing": (lambda d: d["outcomes"].clear(), "was planned and has no outcome"),
    "outcome twice": (lambda d: d["outcomes"].append(d["outcomes"][-1]), "has 2 outcomes"),
    "step that was not planned": (
        lambda d: d["outcomes"][0].update(step="remove.more"),
        "'remove.more' was not planned",
    ),
    "other order": (lambda d: d["outcomes"].reverse(), "not in the order of the plan"),
    "skipped without a reason": (lambda d: d["outcomes"][0].update(status="skipped"), "nothing says why"),
    "failed without a failure": (lambda d: d["outcomes"][0].update(status="failed"), "nothing says how"),
    "only predicted": (lambda d: d["outcomes"][0].update(status="would_do"), "only predicted"),
    "plan of somebody else": (lambda d: d.update(digest="0" * 64), "by a plan that is not in this evidence"),
    "journal says otherwise": (
        lambda d: d.update(journal=_journal("failed")),
        "step 'cover.active' is done, and failed in its journal",
    ),
    "gap made smaller": (
        lambda d: d.update(gap=1.0),
        "the row tells 12.5 seconds without protection, its phases tell 1.0",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_does_not_add_up_is_named(name: str) -> None:
    change, words = CHANGES[name]
    assert any(words in fault for fault in spoilt(change)), spoilt(change)


def test_a_journal_that_agrees_is_no_fault() -> None:
    assert len(journal.Journal.of(_journal("done")).lines) == 2
    assert spoilt(lambda d: d.update(journal=_journal("done"))) == []


def test_a_row_cannot_claim_a_proof_that_was_not_made() -> None:
    assert list(deeds.faults(scanned("lost", proof="pass"))) == ["the row tells the live test 'pass', its record ''"]
    (fault,) = deeds.faults(scanned("refused", unprotected_seconds=0.0))
    assert fault == "the row tells 0.0 seconds without protection, its phases tell None"


def test_a_plan_that_comes_later_does_not_count() -> None:
    plan, *rest = scanned("well")
    faults = list(deeds.faults([*rest, plan]))
    assert len([fault for fault in faults if "not in this evidence" in fault]) == 2
