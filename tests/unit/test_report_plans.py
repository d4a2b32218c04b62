# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans in the reports: counted as they are, each inhibitor with its remedy, shared parts once, and nothing live."""

from __future__ import annotations

import dataclasses
import functools
import json
import typing as t

from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.evict.kaspersky.plugins.plugin_utils import report
from ansible_collections.evict.kaspersky.plugins.plugin_utils.ledger import Ledger
from ansible_collections.evict.kaspersky.plugins.plugin_utils.plan import Gap, Hit, Manual, Plan, Step, Waived
from ansible_collections.evict.kaspersky.plugins.plugin_utils.planned import Plans
from ansible_collections.evict.kaspersky.plugins.plugin_utils.report import _plans
from ansible_collections.evict.kaspersky.plugins.plugin_utils.report import html as page
from ansible_collections.evict.kaspersky.plugins.plugin_utils.report.text import QUIET
from ansible_collections.evict.kaspersky.plugins.plugin_utils.steps import KINDS, Condition
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import Verdict
from tests import fleet, fleet_plans, runs
from tests.unit.test_report_html import Seen, data_of
from tests.unit.test_report_text import WILD, is_inert

ROWS = fleet.rows(300)
BOOK = fleet_plans.ledger(ROWS)


def of(state: str) -> list[str]:
    """The hosts whose plan has this state."""
    return [row.host for row in BOOK.rows if row.plan_state == state]


def blocked_by(name: str) -> list[str]:
    """The hosts an inhibitor blocks."""
    return [host for host, plan in BOOK.plans.items() if any(hit.id == name for hit in plan.blocking)]


def book(*made: Plan) -> Ledger:
    """A run with these plans."""
    rows = [runs.row(plan.host).planned(plan) for plan in made]
    return dataclasses.replace(fleet.ledger(rows), plans=Plans(made))


def test_the_text_counts_plans_and_names_each_inhibitor_with_its_remedy() -> None:
    said = report.render("text", BOOK)
    steps = sum(len(plan.steps) for plan in BOOK.plans.values())
    counts = [f"act {len(of('act'))}", f"blocked {len(of('blocked'))}", f"undecided {len(of('undecided'))}"]
    counts += [f"nothing to do {len(of('nothing_to_do'))}"]
    assert f"plans {len(BOOK.plans)} = {' + '.join(counts)}; {steps} steps" in said
    assert f"; valid until {fleet_plans.EXPIRES}" in said
    for hit in (fleet_plans.ENCRYPTION, fleet_plans.REBOOT):
        hosts = blocked_by(hit.id)
        assert len(hosts) > 1
        assert f"blocked by {hit.id}: {hit.title}: {len(hosts)} hosts ({hosts[0]}, " in said
        assert f"    remedy: {hit.remedy}\n" in said
    waived = sum(any(hit.waived for hit in plan.inhibitors) for plan in BOOK.plans.values())
    assert f"waived: sessions on {waived} hosts" in said
    # The verdict's column tells why a host is blocked.
    line = next(text for text in said.splitlines() if text.startswith(f"{blocked_by('disk_encryption')[0]} "))
    assert "disk_encryption: disk encryption of the product is on for drive C:" in line
    assert "plans" not in report.render("text", fleet.ledger(ROWS))


def test_inhibitors_beyond_the_limit_are_counted() -> None:
    hits = tuple(dataclasses.replace(fleet_plans.REBOOT, id=f"reason_{n}") for n in range(5))
    one = dataclasses.replace(BOOK.plans[of("act")[0]], state="blocked", steps=(), inhibitors=hits)
    said = report.render("text", book(one), limit=2)
    assert said.count("blocked by reason_") == 2
    assert "... and 3 more inhibitors" in said
    assert report.render("text", book(one), limit=0).count("blocked by reason_") == 5


def test_the_format_plan_shows_each_plan_in_full() -> None:
    said = report.render("plan", BOOK)
    for row in BOOK.rows:
        assert (f"plan of {row.host}: " in said) == bool(row.plan)
        assert row.plan in said
    assert "".join(report._pieces(report._module("plan"), BOOK, 3)) == said
    assert report.render("plan", fleet.ledger(ROWS)) == "This run has no plans: see evict plan --help\n"


def texts_of(data: t.Any, part: t.Any) -> list[str]:
    """All texts of a part of the data."""
    if isinstance(part, list):
        return [text for inner in part for text in texts_of(data, inner)]
    return [data["strings"][part]]


def test_everything_a_plan_says_is_in_the_data_of_the_page() -> None:
    data = data_of(report.render("html", BOOK))
    for shown, row in zip(data["rows"], BOOK.rows, strict=True):
        if not row.plan:
            assert shown[12] == 0
            continue
        plan = BOOK.plans[row.host]
        state, *own, order, marker, hits, rest = shown[12]
        assert data["states"][state][0] == plan.state
        assert texts_of(data, own) == [plan.digest(), plan.made, plan.expires, plan.machine]
        steps = [data["steps"][number] for number in data["orders"][order]]
        assert [texts_of(data, step[1:5]) for step in steps] == [[s.id, s.kind, s.target, s.reason] for s in plan.steps]
        assert [data["strings"][step[5]] for step in steps] == [s.condition.words() for s in plan.steps]
        for shown_step, step in zip(steps, plan.steps, strict=True):
            args = texts_of(data, shown_step[7])
            assert len(args) == len(step.args) + len(step.secrets)
            assert all(any(text.startswith(f"{name}: ") for text in args) for name in (*step.args, *step.secrets))
        if plan.point_of_no_return:
            assert plan.steps[marker].id == plan.point_of_no_return
        else:
            assert marker == -1
        for number, hit in zip(hits, plan.inhibitors, strict=True):
            said = texts_of(data, data["hits"][number])
            assert said[:4] == [hit.id, hit.title, hit.diagnosis, hit.remedy]
            assert (said[5:] == []) == (hit.waived is None)
        said = texts_of(data, data["rests"][rest])
        wanted = [plan.replacement, plan.fallback, *plan.notes, *(p[0] for p in plan.products)]
        wanted += [text for m in plan.manual for text in (m.what, m.why, m.remedy)]
        wanted += [str(plan.gap.expected), str(plan.gap.at_most), plan.gap.why] if plan.gap else []
        assert set(wanted) <= set(said)


def test_what_many_hosts_share_stands_in_the_page_once() -> None:
    rows = fleet.rows(1000)
    small, large = (report.render("html", fleet_plans.ledger(rows[:number])) for number in (500, 1000))
    for name in ("steps", "orders", "hits", "rests"):
        parts = data_of(large)[name]
        assert len({json.dumps(part) for part in parts}) == len(parts)
        assert len(parts) < 1.5 * len(data_of(small)[name]) + 5
    # So a plan costs little more than its digest and its machine.
    grown = len(large) - len(report.render("html", fleet.ledger(rows)))
    assert grown / len(rows) < 400
    assert 2 * grown < sum(len(json.dumps(plan.to_dict())) for plan in fleet_plans.ledger(rows).plans.values())


def test_the_page_says_the_plans_without_a_script() -> None:
    seen = Seen(report.render("html", BOOK))
    items = seen.inside["li"]
    for state, words in (("act", "act"), ("blocked", "blocked"), ("nothing_to_do", "nothing to do")):
        assert any(text.startswith(f"{words}{len(of(state))}") for text in items)
    hosts = len(blocked_by("disk_encryption"))
    assert any(
        text.startswith("disk_encryption: ")
        and f"Blocks {hosts} hosts." in text
        and fleet_plans.ENCRYPTION.remedy in text
        for text in items
    )
    assert seen.inside["title"][0].startswith("Kaspersky removal plan, run ")
    assert Seen(report.render("html", fleet.ledger(ROWS))).inside["title"][0].startswith("Kaspersky audit, run ")


def test_every_state_has_a_group() -> None:
    plain = report.render("html", BOOK)
    assert {name for name, _, _ in _plans.STATES} == set(page.STATES)
    assert set(page.STATES.values()) <= {*page.GROUPS.values()}
    assert data_of(plain)["states"] == [[name, words, page.STATES[name]] for name, words, _ in _plans.STATES]


@functools.cache
def tags() -> frozenset[str]:
    """The elements of an ordinary page, and those of a warning."""
    return frozenset({"p"} | {tag for tag, _ in Seen(report.render("html", BOOK)).tags})


WAIVERS = st.builds(Waived, WILD, WILD, WILD, WILD)
WILD_PLANS = st.builds(
    Plan,
    host=WILD,
    machine=WILD,
    platform=WILD,
    state=st.sampled_from(["act", "blocked", "excepted", "nothing_to_do", "undecided"]),
    verdict=WILD,
    products=st.lists(st.tuples(WILD, WILD, WILD), max_size=2).map(tuple),
    replacement=WILD,
    fallback=WILD,
    steps=st.lists(
        st.builds(
            Step,
            id=WILD,
            phase=st.sampled_from(["stage", "commit", "reboot", "finish"]),
            kind=st.sampled_from(sorted(KINDS)),
            target=WILD,
            reason=WILD,
            args=st.dictionaries(WILD, WILD | st.lists(WILD, max_size=2).map(tuple), max_size=2),
            change=st.sampled_from(["none", "reversible", "irreversible"]),
            condition=st.builds(Condition, st.just("remains"), WILD),
            secrets=st.dictionaries(WILD, WILD, max_size=1),
        ),
        max_size=3,
    ).map(tuple),
    inhibitors=st.lists(st.builds(Hit, WILD, WILD, WILD, WILD, st.booleans(), st.none() | WAIVERS), max_size=2).map(
        tuple
    ),
    manual=st.lists(st.builds(Manual, WILD, WILD, WILD), max_size=1).map(tuple),
    gap=st.none() | st.builds(Gap, st.just(1), st.just(2), WILD),
    excepted=st.none() | WAIVERS,
    notes=st.lists(WILD, max_size=2).map(tuple),
    made=WILD,
    expires=WILD,
)


@given(st.lists(WILD_PLANS, min_size=1, max_size=3, unique_by=lambda plan: plan.host))
@settings(deadline=None, max_examples=40)
def test_no_text_of_a_plan_is_live_in_any_report(made: list[Plan]) -> None:
    whole = book(*made)
    for name in report.formats():
        said = report.render(name, whole)
        assert is_inert(said.removeprefix("\ufeff")), name
    seen = Seen(report.render("html", whole))
    assert not set("<>&") & set(seen.inside["script"][0])
    assert len(data_of(report.render("html", whole))["rows"]) == len(made)
    assert {tag for tag, _ in seen.tags} <= tags()


def test_the_headline_counts_what_would_be_changed_and_what_needs_attention() -> None:
    """A product with a plan is taken care of; one without needs attention, as does all that is blocked or unknown."""
    rows = [*fleet.rows(300), runs.row("late", Verdict.PRESENT)]
    ledger = fleet_plans.ledger(rows[:-1])
    ledger = dataclasses.replace(ledger, rows=(*ledger.rows, rows[-1]))
    (said,) = Seen(report.render("html", ledger)).inside["h1"]
    acts = len(of("act"))
    number = sum(row.verdict not in (*QUIET, Verdict.PRESENT, Verdict.LEFTOVERS) for row in ledger.rows) + 1
    assert said.startswith(f"{acts} of 301 hosts would be changed; {number} need attention: ")
    one = fleet_plans.plan_of(runs.row("one", Verdict.PRESENT))
    assert one is not None
    quiet = Seen(report.render("html", book(one))).inside["h1"]
    assert quiet == ["1 of 1 host would be changed; none needs attention."]
