# SPDX-License-Identifier: GPL-3.0-or-later
"""Damaged and hostile preflight answers through planner, schema and reports: no crash, nothing live, no plan that acts
because an answer is missing. Seeds are fixed: a failure can be repeated.
"""

from __future__ import annotations

import copy
import csv
import dataclasses
import functools
import io
import json
import random
import typing as t

import jsonschema
import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import inhibitors, plan_text, planner, report
from ansible_collections.evict.kaspersky.plugins.plugin_utils.assess import assess
from ansible_collections.evict.kaspersky.plugins.plugin_utils.case import Case
from ansible_collections.evict.kaspersky.plugins.plugin_utils.observation import (
    CUT,
    PREFLIGHT,
    Probe,
    from_dict,
    parse_posix,
)
from ansible_collections.evict.kaspersky.plugins.plugin_utils.plan import Plan
from ansible_collections.evict.kaspersky.plugins.plugin_utils.planned import Plans
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import Verdict
from tests import cases, fleet, tree
from tests.inhibiting import covers, hosts, products
from tests.unit.test_fuzz import NONCE, damage, mutate
from tests.unit.test_report_html import data_of
from tests.unit.test_report_text import is_inert

ROWS = [*products.ROWS, *hosts.ROWS, *covers.ROWS]
# Waivers of these say that what could not be told is in order; they are never taken for granted here.
OF_DOUBT: t.Final = {"partly_seen", "lock_unknown", "defender_unknown"}
# (inhibitor, probe) -> why a plan may act though the probe could not tell.
MAY_ACT: t.Final = {
    ("kaspersky_encryption", "encryption"): "the vendor's encryption is told by its driver; the probe tells BitLocker",
}
HOSTILE: t.Final = (
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "=cmd|' /C calc'!A0",
    "\x1b]0;pwned\x07\x1b[2J\r\n",
    "{{ lookup('pipe', 'id') }}{% for x in y %}",
    "\u202egnp.exe\u2066\x00\ud800",
    "a: &x [*x]\n- !!python/object/apply:os.system [id]",
    "'; rm -rf / #$(id)`id`",
    "x" * 5000,
)


def judged_again(case: Case, probes: t.Mapping[str, Probe]) -> Case:
    """The same host with other answers."""
    seen = dataclasses.replace(case.seen, probes=probes)
    return dataclasses.replace(case, seen=seen, assessment=assess(seen, case.catalog))


def waived(case: Case, id: str) -> Case:
    """Everything else that stands in the way is waived, so that nothing else hides a hole."""
    others = dict.fromkeys(inhibitors.WAIVABLE - {id} - OF_DOUBT, cases.WAIVER)
    return dataclasses.replace(case, controller=dataclasses.replace(case.controller, waived=others))


@pytest.mark.parametrize(
    ("id", "fires"), [pytest.param(row[0], row[1], id=f"{n}-{row[0]}") for n, row in enumerate(ROWS)]
)
def test_no_plan_acts_because_a_probe_that_would_block_it_could_not_tell(id: str, fires: dict[str, t.Any]) -> None:
    whole = cases.case(**fires)
    for case in (whole, waived(whole, id)):
        if planner.plan(case).state != "blocked":
            continue  # this host's own waiver lifts it
        for name in case.seen.probes:
            for reason in ("refused", CUT):
                if (id, name) in MAY_ACT and reason != CUT:
                    continue
                if case.seen.probes[name].status == "unknown" and reason != CUT:
                    continue  # it could not tell before
                after = judged_again(case, {**case.seen.probes, name: Probe("unknown", reason)})
                plan = planner.plan(after)
                # A host that is seen to have nothing that would go needs no plan.
                assert plan.state in ("blocked", "undecided"), (name, reason, plan.state)
                assert plan.steps == ()


@pytest.mark.parametrize(("platform", "name"), [(p, name) for p, names in PREFLIGHT.items() for name in names])
def test_a_preflight_probe_that_did_not_answer_blocks_a_plan(platform: str, name: str) -> None:
    case = cases.case(platform, products=[{"linux": "kesl", "windows": "kes"}[platform]])
    assert planner.plan(case).state == "act"
    data = case.seen.to_dict()
    del data["probes"][name]
    seen = from_dict(data, preflight=True)
    plan = planner.plan(judged_again(case, seen.probes))
    assert plan.state == "blocked"
    assert any(name in hit.diagnosis or CUT in hit.diagnosis for hit in plan.blocking), plan.blocking


@functools.cache
def schema() -> t.Any:
    """What a plan must look like."""
    text = (tree.ROOT / "schemas" / "plan-1.json").read_text(encoding="utf-8")
    return jsonschema.Draft202012Validator(json.loads(text))


def shown(plan: Plan) -> None:
    """The plan is one that can be written, read and shown, and nothing in it does anything."""
    data = json.loads(json.dumps(plan.to_dict()))
    assert Plan.from_dict(data) == plan
    assert not list(schema().iter_errors(data))
    assert bool(plan.steps) == (plan.state == "act")
    assert all(is_inert(line) for line in plan_text.lines(plan))


def rendered(made: list[tuple[Case, Plan]]) -> None:
    """The reports of these hosts: nothing live for a browser, a spreadsheet or a terminal."""
    rows = [case.assessment.row(plan.host, case.seen).planned(plan) for case, plan in made]
    book = dataclasses.replace(fleet.ledger(rows), plans=Plans([plan for _case, plan in made]))
    page = report.render("html", book)
    assert "<img src=x" not in page
    assert "<script>alert" not in page
    assert len(data_of(page)["rows"]) == len(rows)
    for line in csv.reader(io.StringIO(report.render("csv", book))):
        assert not [cell for cell in line if cell[:1] in ("=", "@", "\t", "\r")]
    for form in ("text", "plan"):
        assert all(is_inert(line) for line in report.render(form, book).split("\n"))


def hostile(value: t.Any, dice: random.Random) -> None:
    """Put a hostile text in one record of one probe, or a fact of the host."""
    probes = list(value["probes"].values())
    records = [record for probe in probes for record in probe["records"]]
    place: dict[str, str] = dice.choice([value["host"], *records])
    match dice.randrange(4):
        case 0 if place:
            place[dice.choice(list(place))] = dice.choice(HOSTILE)
        case 1:
            place[dice.choice(HOSTILE)] = dice.choice(HOSTILE)
        case 2:
            dice.choice(probes).update(status="unknown", reason=dice.choice(HOSTILE))
        case _:
            value["host"]["machine_id"] = dice.choice(HOSTILE)


@pytest.mark.parametrize("platform", ["linux", "windows"])
def test_damaged_answers_become_plans_that_can_be_shown(platform: str) -> None:
    dice = random.Random(20261125)
    product = {"linux": ["kesl", "klnagent64"], "windows": ["kes"]}[platform]
    states: set[str] = set()
    made: list[tuple[Case, Plan]] = []
    case = cases.case(platform, products=product)
    case = waived(case, "") if platform == "linux" else case
    for number in range(400):
        data = copy.deepcopy(case.seen.to_dict())
        for _ in range(dice.randrange(1, 5)):
            hostile(data, dice)
        if dice.random() < 0.5:
            damage(data, dice)
        try:
            seen = from_dict(data, preflight=True)
        except ValueError:
            continue
        after = dataclasses.replace(case, host=f"h{number}", seen=seen, assessment=assess(seen, case.catalog))
        plan = planner.plan(after)
        shown(plan)
        if after.assessment.verdict is Verdict.UNKNOWN:
            assert plan.state == "undecided"
        states.add(plan.state)
        made.append((after, plan))
    assert {"act", "blocked"} <= states, states
    rendered(made)


def framed(case: Case) -> bytes:
    """The answer of a Linux host as its hand sends it."""
    lines = ["B 1 posix"]
    told = {"host": Probe("ok", "", (case.seen.host,)), **{k: v for k, v in case.seen.probes.items() if k != "host"}}
    for name, probe in told.items():
        for record in probe.records:
            lines.append(f"R {name} " + " ".join(f"{key}:{value.encode().hex()}" for key, value in record.items()))
        lines.append(f"P {name} {probe.status}")
    body = [*lines, f"E {len(lines)}"]
    return "".join(f"{NONCE} {line}\n" for line in body).encode()


def test_mutated_answers_of_a_linux_host_that_is_blocked_never_make_it_act() -> None:
    """Lines lost, doubled, cut or changed on the way: an encrypted line that is damaged hides nothing."""
    dice = random.Random(5)
    full = [{"path": "/", "mount": "/", "free_mib": "1", "fstype": "ext4", "options": "rw"}]
    case = cases.case("linux", probes={"space": full})
    text = framed(case)
    first = parse_posix(text, NONCE, preflight=True)
    assert first is not None
    assert planner.plan(judged_again(case, first.probes)).state == "blocked"
    states = set()
    for _ in range(600):
        seen = parse_posix(mutate(text, dice), NONCE, preflight=True)
        if seen is None:
            continue
        plan = planner.plan(dataclasses.replace(case, seen=seen, assessment=assess(seen, case.catalog)))
        shown(plan)
        states.add(plan.state)
        assert plan.state != "act"
    assert "blocked" in states


def test_ten_megabytes_are_read_as_a_cut_answer_and_a_doubled_one_as_damaged() -> None:
    case = cases.case("linux")
    text = framed(case)
    for long in (
        text.replace(b"P limits", b"R limits name:" + b"61" * 5_000_000 + b"\n" + NONCE.encode() + b" P limits"),
        text + text,
    ):
        seen = parse_posix(long, NONCE, preflight=True)
        assert seen is not None
        plan = planner.plan(dataclasses.replace(case, seen=seen, assessment=assess(seen, case.catalog)))
        shown(plan)
        assert plan.state in ("blocked", "undecided")
