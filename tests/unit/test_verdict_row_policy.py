# SPDX-License-Identifier: GPL-3.0-or-later
"""Verdicts and exit codes as the design tables them, rows in both lengths, and settings with their mistakes named."""

from __future__ import annotations

import dataclasses
import datetime
import json
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.evict.kaspersky.plugins.plugin_utils import policy
from ansible_collections.evict.kaspersky.plugins.plugin_utils.plan import Hit, Plan, State, Waived
from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy import VARIABLES, Policy, PolicyError
from ansible_collections.evict.kaspersky.plugins.plugin_utils.row import TOPICS, Fact, ProductRow, Row
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import (
    SEVERITY,
    Exit,
    Verb,
    Verdict,
    default_fail_on,
    exit_code,
    is_failure,
    is_open,
)
from tests import runs

# Verdict -> exit code after audit, plan, remediate, verify (design, section 5).
CODES: dict[str, tuple[int, int, int, int]] = {
    "absent": (0, 0, 0, 0),
    "present": (0, 0, 2, 2),
    "leftovers": (0, 0, 2, 2),
    "unknown": (2, 2, 2, 2),
    "unreachable": (2, 2, 2, 2),
    "not_attempted": (2, 2, 2, 2),
    "out_of_scope": (0, 0, 0, 0),
    "excepted": (0, 0, 0, 0),
    "nothing_to_do": (0, 0, 0, 0),
    "blocked": (2, 2, 2, 2),
    "replaced": (0, 0, 0, 0),
    "replaced_unproved": (0, 0, 0, 0),
    "removed_unprotected": (2, 2, 2, 2),
    "reboot_pending": (2, 2, 2, 2),
    "failed_protected": (3, 3, 3, 3),
    "failed_exposed": (3, 3, 3, 3),
}
VERBS = (Verb.AUDIT, Verb.PLAN, Verb.REMEDIATE, Verb.VERIFY)  # what protects hosts is judged as a remediation is


def test_the_table_is_complete() -> None:
    assert set(CODES) == set(map(str, Verdict))
    assert set(SEVERITY) == set(Verdict)
    assert len(SEVERITY) == len(Verdict)
    assert {*VERBS, Verb.PROTECT} == set(Verb)


@pytest.mark.parametrize("verdict", CODES)
def test_exit_code_of_each_verdict(verdict: str) -> None:
    assert tuple(int(exit_code([Verdict(verdict)], verb)) for verb in VERBS) == CODES[verdict]
    # A host that is fine neither hides nor changes it.
    assert tuple(int(exit_code([Verdict.ABSENT, Verdict(verdict)], verb)) for verb in VERBS) == CODES[verdict]


@given(st.lists(st.sampled_from(Verdict), min_size=1), st.sampled_from(VERBS))
def test_exit_code_of_many_is_the_worst(verdicts: list[Verdict], verb: Verb) -> None:
    assert exit_code(iter(verdicts), verb) == max(CODES[str(v)][VERBS.index(verb)] for v in verdicts)


def test_a_protection_ends_as_a_remediation_does() -> None:
    for verdict in Verdict:
        assert exit_code([verdict], Verb.PROTECT) == exit_code([verdict], Verb.REMEDIATE)
    assert default_fail_on(Verb.PROTECT) == default_fail_on(Verb.REMEDIATE)


def test_nobody_judged_is_an_error() -> None:
    assert [exit_code([], verb) for verb in VERBS] == [Exit.ERROR] * 4


@pytest.mark.parametrize("verb", VERBS)
def test_fail_on_is_what_codes_2_and_3_are_made_of(verb: Verb) -> None:
    want = {v for v in Verdict if CODES[str(v)][VERBS.index(verb)] >= 2}
    assert set(default_fail_on(verb)) == want
    assert {v for v in Verdict if is_failure(v) or is_open(v, verb)} == want


# ---- rows

TEXT = st.text(st.characters(), max_size=400)
TEXTS = st.lists(TEXT, max_size=8).map(tuple)
PRODUCTS = st.lists(
    st.builds(
        ProductRow,
        id=st.sampled_from(["kesl", "klnagent", "kaspersky_endpoint_security_cloud_console", "kes"]),
        family=st.just("endpoint"),
        state=st.sampled_from(["running", "installed", "broken", "leftover"]),
        version=TEXT,
        evidence=TEXTS,
    ),
    max_size=10,
).map(tuple)
ROWS = st.builds(
    Row,
    host=TEXT,
    verdict=st.sampled_from(Verdict),
    platform=st.sampled_from(["", "linux", "windows"]),
    products=PRODUCTS,
    reported=PRODUCTS,
    reasons=TEXTS,
    unknown_probes=TEXTS,
    notes=TEXTS,
    protection=st.sampled_from(["active", "none", "unknown", ""]),
    protected_by=TEXTS,
    facts=st.lists(st.builds(Fact, topic=st.sampled_from(TOPICS), text=TEXT), max_size=3).map(tuple),
    observation_digest=st.sampled_from(["", "a" * 64]),
    plan=st.sampled_from(["", "0123456789abcdef" * 4]),
    plan_state=st.sampled_from(["", "act", "blocked", "excepted", "nothing_to_do", "undecided"]),
    inhibitors=TEXTS,
)


@given(ROWS)
def test_short_row_is_below_a_kilobyte_and_keeps_what_counts(row: Row) -> None:
    short = row.short()
    assert len(json.dumps(short)) < 1024
    assert list(short) == ["host", "verdict", "products", "reasons", "protection", "plan"]
    assert short["verdict"] == row.verdict
    assert short["plan"] == (row.plan[:12] or None)
    shown = row.products[:6]
    for product, label in zip(shown, short["products"], strict=False):
        assert label.startswith(product.id)
    assert len(short["products"]) == len(shown) + (len(row.products) > 6)
    # No reason is lost in silence.
    if row.reasons:
        last = short["reasons"][-1]
        listed = len(short["reasons"])
        assert listed == len(row.reasons) or last == f"and {len(row.reasons) - listed + 1} more, see rows.json"


def test_short_row_of_an_ordinary_host_is_complete() -> None:
    row = runs.row("web1", Verdict.PRESENT, reasons=("kesl 12.1 runs", "the agent is there"))
    assert row.short() == {
        "host": "web1",
        "verdict": "present",
        "products": ["kesl 12.1.0.1297 running"],
        "reasons": ["kesl 12.1 runs", "the agent is there"],
        "protection": "",
        "plan": None,
    }


@given(ROWS)
def test_long_row_comes_back_and_fits_the_schema(row: Row) -> None:
    data = row.to_dict()
    assert Row.from_dict(json.loads(json.dumps(data))) == row
    rows = {"schema": "evict.kaspersky/rows/1", "run": "r1", "verb": "audit", "complete": True}
    runs.schema("rows-1").validate({**rows, "totals": {str(row.verdict): 1}, "rows": [data]})


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"host": "a"},
        {"verdict": "absent"},
        {"host": "a", "verdict": "fine"},
        {"host": "a", "verdict": None},
        {"host": "a", "verdict": "absent", "products": 5},
        {"host": "a", "verdict": "absent", "products": [{"id": "kesl"}]},
        {"host": "a", "verdict": "absent", "products": ["kesl"]},
        {"host": "a", "verdict": "absent", "products": [None]},
        {"host": "a", "verdict": "absent", "reasons": None},
        {"host": "a", "verdict": ["absent"]},
        {"host": "a", "verdict": "absent", "plan_state": "maybe"},
        {"host": "a", "verdict": "absent", "inhibitors": None},
    ],
)
def test_what_is_no_row_is_refused(data: dict[str, t.Any]) -> None:
    with pytest.raises(ValueError, match=r"not a row|is not a valid Verdict"):
        Row.from_dict(data)


WAIVER = Waived("ops", "replaced in May", "T-1", "2024-12-31")
HIT = Hit("disk_encryption", "disk encryption", "the product encrypts drive C:", "decrypt it first", False)
LIFTED = Hit("mail_role", "mail role", "it scans mail", "move the role", True, WAIVER)


@pytest.mark.parametrize(
    ("state", "verdict", "first"),
    [
        ("act", "present", "kesl runs"),
        ("undecided", "present", "kesl runs"),
        ("nothing_to_do", "nothing_to_do", "kesl runs"),
        ("excepted", "excepted", "excepted by ops until 2024-12-31: replaced in May"),
        ("blocked", "blocked", "disk_encryption: the product encrypts drive C:"),
    ],
)
def test_the_row_of_a_plan(state: State, verdict: str, first: str) -> None:
    plan = Plan(
        host="web1",
        machine="m1",
        platform="linux",
        state=state,
        verdict="present",
        inhibitors=(HIT, LIFTED) if state == "blocked" else (LIFTED,),
        excepted=WAIVER if state == "excepted" else None,
    )
    row = runs.row("web1", Verdict.PRESENT, reasons=("kesl runs",)).planned(plan)
    assert (str(row.verdict), row.reasons[0], row.reasons[-1]) == (verdict, first, "kesl runs")
    assert (row.plan, row.plan_state) == (plan.digest(), state)
    # What a waiver lifts blocks nothing.
    assert row.inhibitors == (("disk_encryption: the product encrypts drive C:",) if state == "blocked" else ())
    assert row.short()["plan"] == plan.digest()[:12]
    assert Row.from_dict(json.loads(json.dumps(row.to_dict()))) == row


def test_rows_without_a_plan_are_as_they_were() -> None:
    assert {"plan", "plan_state", "inhibitors"}.isdisjoint(runs.row("web1", Verdict.PRESENT).to_dict())


# ---- policy


def test_defaults_are_what_nothing_says() -> None:
    assert policy.validate({}) == Policy()
    assert policy.validate({"ansible_host": "x", "evictx": 1, 5: 6}) == Policy()  # type: ignore[dict-item]
    assert Policy().fail_on == default_fail_on(Verb.AUDIT)


def test_each_default_passes_its_own_check() -> None:
    defaults = dataclasses.asdict(Policy())
    assert policy.validate({name: defaults[variable.field] for name, variable in VARIABLES.items()}) == Policy()


GOOD: list[tuple[dict[str, object], str, object]] = [
    ({"evict_hosts": ["web", "db:!db9"]}, "hosts", "web:db:!db9"),
    ({"evict_out": "/srv/my audit"}, "out", "/srv/my audit"),
    ({"evict_run": 4711}, "run", "4711"),
    ({"evict_run": "a" * 80}, "run", "a" * 80),
    # As ansible-core 2.19 gives answers of a survey: read as YAML, and None for one that was left out.
    ({"evict_run": datetime.date(2030, 1, 5)}, "run", "2030-01-05"),
    ({"evict_run": None}, "run", ""),
    ({"evict_probe_timeout": None}, "probe_timeout", 20),
    ({"evict_waves": None}, "waves", (1, 10, 50, 200)),
    ({"evict_fail_on": "present, unknown"}, "fail_on", (Verdict.PRESENT, Verdict.UNKNOWN)),
    ({"evict_fail_on": []}, "fail_on", ()),
    ({"evict_fail_on": ""}, "fail_on", ()),
    ({"evict_probe_timeout": " 30 "}, "probe_timeout", 30),
    ({"evict_max_failures": 3}, "max_failures", "3"),
    ({"evict_max_failures": " 5 % "}, "max_failures", "5%"),
    ({"evict_max_failures": "0%"}, "max_failures", "0%"),
    ({"evict_max_failures": "100%"}, "max_failures", "100%"),
    ({"evict_breaker_on": "failed_exposed, unreachable"}, "breaker_on", (Verdict.FAILED_EXPOSED, Verdict.UNREACHABLE)),
    ({"evict_soak": "0"}, "soak", 0),
    ({"evict_downloads": "5"}, "downloads", 5),
    ({"evict_prove": "yes"}, "prove", True),
    ({"evict_probe_timeout": 240}, "probe_timeout", 240),
]


@pytest.mark.parametrize(("variables", "field", "want"), GOOD)
def test_values_a_user_may_write(variables: dict[str, object], field: str, want: object) -> None:
    assert getattr(policy.validate(variables), field) == want


# variable, value, words of the remedy
BAD: list[tuple[str, object, str]] = [
    ("evict_hosts", "", "must name hosts, such as `all`"),
    ("evict_hosts", "  ", "must name hosts"),
    ("evict_hosts", [], "must be a text"),
    ("evict_hosts", ["web", ""], "must name hosts"),
    ("evict_hosts", {"web": 1}, "must be a text"),
    ("evict_hosts", None, "must be a text"),
    ("evict_out", 5, "must be a text"),
    ("evict_out", "a\0b", "must be one line without NUL"),
    ("evict_out", "a\nb", "must be one line"),
    ("evict_evidence_dir", ["x"], "must be a text"),
    ("evict_run", "../x", "letters, digits"),
    ("evict_max_failures", "many", "whole number of hosts, or a percentage"),
    ("evict_max_failures", -1, "whole number of hosts, or a percentage"),
    ("evict_max_failures", "101%", "whole number of hosts, or a percentage"),
    ("evict_max_failures", 0.5, "whole number of hosts, or a percentage"),
    ("evict_max_failures", True, "whole number of hosts, or a percentage"),
    ("evict_breaker_on", "failing", "is no verdict"),
    ("evict_soak", 86_401, "from 0 to 86400"),
    ("evict_downloads", 0, "from 1 to 10000"),
    ("evict_run", "a/b", "letters, digits"),
    ("evict_run", ".hidden", "begins with a letter or digit"),
    ("evict_run", "a" * 81, "at most 80"),
    ("evict_run", "run 1", "letters, digits"),
    ("evict_run", "run\n", "one line"),
    ("evict_run", True, "must be a text"),
    ("evict_fail_on", "presnt", "did you mean 'present'?"),
    ("evict_fail_on", ["unknown", "zzz"], "known are absent, present"),
    ("evict_fail_on", {"unknown": True}, "must be a list of verdicts"),
    ("evict_fail_on", None, "must be a list of verdicts"),
    ("evict_fail_on", [["unknown"]], "is no verdict"),
    ("evict_probe_timeout", 0, "from 1 to 240"),
    ("evict_probe_timeout", 241, "from 1 to 240"),
    ("evict_probe_timeout", -1, "from 1 to 240"),
    ("evict_probe_timeout", "20s", "whole number of seconds"),
    ("evict_probe_timeout", 1.5, "whole number of seconds"),
    ("evict_probe_timeout", True, "whole number of seconds"),
    ("evict_host", "all", "did you mean `evict_hosts`?"),
    ("evict_probe_timout", 20, "did you mean `evict_probe_timeout`?"),
    ("evict_failon", "present", "did you mean `evict_fail_on`?"),
    ("evict_evidence", "x", "did you mean `evict_evidence_dir`?"),
    ("evict_zzzzzzzzzzzzzzzz", 1, "docs/variables.md"),
]


@pytest.mark.parametrize(("name", "value", "remedy"), BAD)
def test_a_mistake_is_named_with_its_remedy(name: str, value: object, remedy: str) -> None:
    with pytest.raises(PolicyError) as caught:
        policy.validate({name: value})
    said = str(caught.value)
    assert said.startswith(f"`{name}` ")
    assert remedy in said
    assert "\n" not in said
    if name in VARIABLES:
        assert repr(value)[:100] in said


def test_all_mistakes_are_named_at_once() -> None:
    with pytest.raises(PolicyError) as caught:
        policy.validate({name: value for name, value, _ in BAD})
    names = {name for name, _, _ in BAD}
    assert [line.split("`")[1] for line in str(caught.value).splitlines()] == sorted(names)


def test_a_huge_value_is_not_repeated_in_full() -> None:
    with pytest.raises(PolicyError) as caught:
        policy.validate({"evict_probe_timeout": "x" * 100_000})
    assert len(str(caught.value)) < 300
    with pytest.raises(PolicyError) as caught:
        policy.validate({"evict_fail_on": ["x" * 100_000]})
    assert len(str(caught.value)) < 1_000


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(sorted(VARIABLES)), ANY)
def test_no_value_makes_the_check_itself_fail(name: str, value: object) -> None:
    said = ""
    found = Policy()
    try:
        found = policy.validate({name: value})
    except PolicyError as exc:
        said = str(exc)
    assert said == "" or said.startswith(f"`{name}` ")
    assert 1 <= found.probe_timeout <= 240
    assert not found.run or policy.RUN_ID.match(found.run)
