# SPDX-License-Identifier: GPL-3.0-or-later
"""What was done, in the reports: every outcome beside its step, gaps and live tests counted, and nothing live."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.evict.kaspersky.plugins.plugin_utils import deeds, report
from ansible_collections.evict.kaspersky.plugins.plugin_utils.deeds import Deeds
from ansible_collections.evict.kaspersky.plugins.plugin_utils.ledger import Ledger
from ansible_collections.evict.kaspersky.plugins.plugin_utils.outcome import Failure
from ansible_collections.evict.kaspersky.plugins.plugin_utils.performing import DONE, Performed
from ansible_collections.evict.kaspersky.plugins.plugin_utils.ran import PROOF
from ansible_collections.evict.kaspersky.plugins.plugin_utils.report import _deed_data, _deeds
from ansible_collections.evict.kaspersky.plugins.plugin_utils.report import html as page
from ansible_collections.evict.kaspersky.plugins.plugin_utils.report.text import QUIET
from ansible_collections.evict.kaspersky.plugins.plugin_utils.row import Row
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import Verb
from tests import fleet, fleet_deeds, fleet_plans
from tests.unit.test_report_html import Seen, data_of
from tests.unit.test_report_text import WILD, is_inert

ROWS = fleet.rows(300)
BOOK = fleet_deeds.ledger(ROWS)
ENDS = fleet_deeds.kinds(BOOK.rows, BOOK.plans)


def of(kind: str) -> list[str]:
    """The hosts that ended so."""
    return [host for host, end in ENDS.items() if end == kind]


def single(kind: str, change: t.Callable[[dict[str, t.Any]], object] = lambda data: None) -> Ledger:
    """A run with one host that ended so, after a change of the records of its phases and of its live test."""
    host = of(kind)[0]
    records = fleet_deeds.records(BOOK.plans[host], kind)
    found = Deeds()
    changed = []
    for record in records:
        data = {**record.data, "outcomes": [dict(o) for o in record.data.get("outcomes", ())]}
        if record.event in (DONE, PROOF):
            change(data)
        if record.event != DONE:
            del data["outcomes"]
        changed.append(dataclasses.replace(record, data=data))
    found.take(host, changed)
    return dataclasses.replace(BOOK, rows=tuple(r for r in BOOK.rows if r.host == host), deeds=found)


def _gap(row: Row, kind: str) -> str:
    if kind == "bare":
        return "it has not come back"
    return "" if row.unprotected_seconds is None else f"{deeds.seconds(row.unprotected_seconds)} s"


def test_the_text_tells_gap_and_live_test_of_each_host_and_of_all() -> None:
    said = report.render("text", BOOK, limit=0)
    lines = said.splitlines()
    assert lines[0].split() == ["HOST", "VERDICT", "PRODUCTS", "UNPROTECTED", "LIVE", "TEST", "WHY"]
    for kind, gap, result in (
        ("well", "12.5 s", "pass"),
        ("unproved", "0 s", "not_applicable"),
        ("held", "-", "error"),
    ):
        line = next(line for line in lines if line.startswith(f"{of(kind)[0]} "))
        assert line.split("  it ended")[0].endswith(f"  {gap:<11}  {result:<14}")
    outcomes = [o for told in BOOK.deeds.values() for o in deeds.outcomes(told)]
    done, already, failed = (sum(o.status == s for o in outcomes) for s in ("done", "already", "failed"))
    assert f"plans were begun on {len(ENDS)} hosts, " in said
    assert f"steps: {done} done, {already} already so, " in said
    assert f", {failed} failed\n" in said
    exposed = of("exposed")
    assert f"protection has not come back on {len(of('bare'))} hosts ({of('bare')[0]}" in said
    longest = next(row.host for row in sorted(BOOK.rows, key=lambda r: r.verdict not in QUIET) if row.host in exposed)
    assert f"without protection: longest 41 s ({longest}), at no time on {len(of('unproved'))} hosts\n" in said
    proved = f"live test: proved on {len(of('well'))} hosts, cannot be proved on {len(of('unproved'))} hosts, "
    assert f"{proved}not detected on {len(exposed)} hosts ({exposed[0]}, " in said
    assert f"how a phase ended is not on record for {len(of('lost') + of('begun'))} hosts\n" in said


def test_a_run_that_changes_nothing_speaks_of_none_of_it() -> None:
    said = report.render("text", fleet_plans.ledger(ROWS))
    for words in ("UNPROTECTED", "LIVE TEST", "were begun", "without protection:", "live test:", "failed by"):
        assert words not in said
    assert "What was done" not in report.render("html", fleet_plans.ledger(ROWS)).split("<script")[0]


def test_failed_steps_stand_by_class_with_host_step_and_meaning() -> None:
    said = report.render("text", BOOK, limit=0)
    held = of("held")
    steps = sum(len(BOOK.plans[host].products) for host in held)
    assert f"failed by package_held: {len(held)} hosts\n" in said
    assert said.count(f"(code 100): {fleet_deeds.HELD.meaning}\n") == steps
    for host in held:
        first = BOOK.plans[host].products[0][0]
        assert f"    {host} remove.{first} (code 100): {fleet_deeds.HELD.meaning}\n" in said
    assert "docs/failures.md" in said
    # A plan that was performed is no promise any more.
    assert "would be done" not in said
    assert "valid until" not in said
    short = report.render("text", BOOK, limit=2)
    assert short.count("(code 100): ") == 2
    assert f"    ... and {steps - 2} more steps\n" in short


def test_every_outcome_stands_beside_its_step_in_the_data() -> None:
    data = data_of(report.render("html", BOOK))
    strings = data["strings"]
    for shown, row in zip(data["rows"], BOOK.rows, strict=True):
        deed = shown[13]
        if row.host not in ENDS:
            assert deed == 0
            continue
        gap, proof, phases, run, seconds, number = deed
        told, plan = BOOK.deeds[row.host], BOOK.plans[row.host]
        assert strings[gap] == (_gap(row, ENDS[row.host]))
        assert (proof < 0) == (not row.proof)
        assert proof < 0 or data["proofs"][proof][0] == row.proof
        assert len(data["phases"][phases]) == len(told.phases) + bool(told.begun)
        ends = [None if n < 0 else data["ends"][n] for n in data["runs"][run]]
        assert number == len(plan.steps) == len(ends) == len(seconds)
        wanted = deeds.beside(BOOK.plans.body(row.host), told)
        for step, end, took in zip(plan.steps, ends, seconds, strict=True):
            want = wanted.get(step.id)
            if want is None:
                assert (end, took) == (None, 0)
                continue
            assert end is not None
            failure = want.failure or Failure("", "", "")
            assert data["status"][end[0]][0] == want.status
            texts = [strings[n] for n in end[1:]]
            assert texts == [want.step, want.why, failure.kind, failure.code, failure.meaning]
            assert took == want.seconds


def test_outcomes_of_another_plan_stand_alone() -> None:
    other = single("well", lambda data: data.update(digest="1" * 64) if "digest" in data else None)
    (row,) = data_of(report.render("html", other))["rows"]
    *_, seconds, number = row[13]
    assert number == 0
    steps = [s for s in BOOK.plans[other.rows[0].host].steps if s.phase in ("stage", "commit")]
    assert len(seconds) == len(steps)
    # So do those of a host whose plan does not count any more.
    lost = dataclasses.replace(single("well"), plans=type(BOOK.plans)())
    (row,) = data_of(report.render("html", lost))["rows"]
    assert (row[12], row[13][5], len(row[13][4])) == (0, 0, len(steps))


def test_what_many_hosts_share_stands_in_the_page_once() -> None:
    rows = fleet.rows(1000)
    book = fleet_deeds.ledger(rows)
    large, plain = report.render("html", book), report.render("html", fleet_plans.ledger(rows))
    data = data_of(large)
    for name in ("ends", "runs", "proofs", "phases"):
        assert 0 < len({str(part) for part in data[name]}) == len(data[name]) < 40
    assert (len(large) - len(plain)) / len(book.deeds) < 120


def test_once_plans_were_performed_only_the_verdict_counts() -> None:
    """A host that failed has a plan, too, and needs attention all the same."""
    seen = Seen(report.render("html", BOOK))
    loud = sum(row.verdict not in QUIET for row in BOOK.rows)
    assert seen.inside["h1"][0].startswith(
        f"{loud} of 300 hosts need attention: {len(of('exposed') + of('bare'))} failed exposed, "
    )
    assert seen.inside["title"][0].startswith("Kaspersky removal, run ")
    assert any(f"without protection: longest 41 s ({of('exposed')[0]})" in text for text in seen.inside["p"])
    assert any(text.startswith(f"package_held: {len(of('held'))} hosts.") for text in seen.inside["li"])
    assert data_of(report.render("html", BOOK))["acted"] is True
    # A dry run of the same verb did nothing: its plans are what would be done.
    dry = dataclasses.replace(fleet_plans.ledger(ROWS), verb=Verb.REMEDIATE)
    assert not _deeds.acted(dry)
    assert "would be changed" in Seen(report.render("html", dry)).inside["h1"][0]


def test_a_live_test_alone_is_no_removal() -> None:
    book = single("well")
    found = Deeds()
    host = book.rows[0].host
    found.take(host, [r for r in fleet_deeds.records(BOOK.plans[host], "well") if r.event == PROOF])
    row = dataclasses.replace(book.rows[0], plan="", plan_state="", unprotected_seconds=None)
    verified = dataclasses.replace(book, verb=Verb.VERIFY, rows=(row,), plans=type(BOOK.plans)(), deeds=found)
    said = report.render("text", verified)
    assert "live test: proved on 1 host\n" in said
    assert "were begun" not in said
    seen = Seen(report.render("html", verified))
    assert seen.inside["title"][0].startswith("Kaspersky removal, verified, run ")
    assert any("live test: proved on 1 host" in text for text in seen.inside["p"])


def test_a_row_taken_over_keeps_gap_and_live_test() -> None:
    book = dataclasses.replace(single("well"), deeds=Deeds())
    data = data_of(report.render("html", book))
    deed = data["rows"][0][13]
    assert data["strings"][deed[0]] == "12.5 s"
    assert data["proofs"][deed[1]][0] == "pass"
    assert data["phases"][deed[2]] == data["runs"][deed[3]] == []
    assert "without protection: longest 12.5 s" in report.render("text", book)


def test_every_word_has_a_group() -> None:
    groups = {*page.GROUPS.values()}
    assert {group for group, _ in _deed_data.STATUS.values()} <= groups
    assert set(_deed_data.PROVED.values()) <= groups
    assert set(_deed_data.PROVED) == set(_deeds.PROOFS)


@given(WILD, WILD, st.sampled_from(["held", "well", "lost", "begun"]))
@settings(deadline=None, max_examples=40)
def test_nothing_that_was_done_is_live_in_any_report(wild: str, other: str, kind: str) -> None:
    def change(data: dict[str, t.Any]) -> None:
        if "phase" in data:
            data["message"] = wild
            for item in data["outcomes"]:
                item["why"] = other or "."
                item["step"] += wild
                if "failure" in item:
                    item["failure"] = {"kind": wild, "code": other, "meaning": wild}
        else:
            data.update(detail=wild, provider=other, left=[wild, other])

    book = single(kind, change)
    row = dataclasses.replace(book.rows[0], proof=wild)
    for one in (book, dataclasses.replace(book, rows=(row,))):
        for name in report.formats():
            assert is_inert(report.render(name, one).removeprefix("\ufeff")), name
        plain = report.render("html", one)
        assert not set("<>&") & set(Seen(plain).inside["script"][0])
        assert len(data_of(plain)["rows"]) == 1


@pytest.mark.parametrize("kind", sorted(set(fleet_deeds.KINDS)))
def test_phases_are_told_with_what_stood_in_their_way(kind: str) -> None:
    data = data_of(report.render("html", single(kind)))
    said = [data["strings"][n] for n in data["phases"][data["rows"][0][13][2]]]
    want = {
        "refused": ["stage: refused: another run is at work"],
        "lost": ["stage: ended", "commit: lost: no answer for 300 s"],
        "begun": ["stage: ended", "commit: it was begun, and its end is not on record"],
        "held": ["stage: ended", "commit: ended, code 1"],
    }
    assert said == want.get(kind, ["stage: ended", "commit: ended"])
    assert all(isinstance(item, Performed) for item in single(kind).deeds[of(kind)[0]].phases)
