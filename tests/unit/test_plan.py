# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan as data: read back as it was written, its digest, its file, its schema, its lines."""

from __future__ import annotations

import dataclasses
import json
import os
import typing as t
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.evict.kaspersky.plugins.plugin_utils import canonical, plan_text, plans
from ansible_collections.evict.kaspersky.plugins.plugin_utils.files import EvidenceError
from ansible_collections.evict.kaspersky.plugins.plugin_utils.plan import (
    SCHEMA,
    Gap,
    Hit,
    Manual,
    Plan,
    PlanError,
    State,
    Step,
    Waived,
)
from ansible_collections.evict.kaspersky.plugins.plugin_utils.steps import (
    CONDITIONS,
    KINDS,
    PHASES,
    SECTIONS,
    Change,
    Condition,
    OnFail,
)
from tests import jobs, runs, tree

DEB: t.Final = jobs.PLANS["clamav-deb"]

texts: t.Final = st.text(max_size=12)
waivers: t.Final = st.builds(Waived, texts, texts, texts, texts)
steps: t.Final = st.builds(
    Step,
    id=st.text(min_size=1, max_size=12),
    phase=st.sampled_from(PHASES),
    kind=st.sampled_from(list(KINDS)),
    target=texts,
    reason=texts,
    section=st.sampled_from(SECTIONS),
    args=st.dictionaries(texts, texts | st.lists(texts, max_size=3).map(tuple), max_size=3),
    change=st.sampled_from(t.get_args(Change)),
    condition=st.builds(Condition, st.sampled_from(list(CONDITIONS)), texts),
    on_fail=st.sampled_from(t.get_args(OnFail)),
    timeout=st.integers(1, 10**6),
    typical=st.integers(0, 10**6),
    secrets=st.dictionaries(
        texts, st.from_regex(r"[a-z0-9][a-z0-9_-]{0,9}\.[A-Za-z_]{1,9}", fullmatch=True), max_size=2
    ),
    owner=texts,
)


@st.composite
def some_plans(draw: st.DrawFn) -> Plan:
    state = draw(st.sampled_from(t.get_args(State)))
    return Plan(
        host=draw(texts),
        machine=draw(texts),
        platform=draw(texts),
        state=state,
        verdict=draw(texts),
        products=draw(st.lists(st.tuples(texts, texts, texts), max_size=2).map(tuple)),
        replacement=draw(texts),
        fallback=draw(texts),
        steps=draw(st.lists(steps, max_size=4).map(tuple)) if state == "act" else (),
        inhibitors=draw(
            st.lists(
                st.builds(
                    Hit, st.text(min_size=1, max_size=9), texts, texts, texts, st.booleans(), st.none() | waivers
                ),
                max_size=2,
            ).map(tuple)
        ),
        manual=draw(st.lists(st.builds(Manual, texts, texts, texts), max_size=2).map(tuple)),
        gap=draw(st.none() | st.builds(Gap, st.integers(0, 9999), st.integers(0, 9999), texts)),
        excepted=draw(st.none() | waivers),
        notes=draw(st.lists(texts, max_size=2).map(tuple)),
        made=draw(texts),
        expires=draw(texts),
    )


@settings(deadline=None)
@given(some_plans())
def test_what_is_written_is_read_back_and_keeps_its_schema(plan: Plan) -> None:
    text = canonical.dumps(plan.to_dict())
    again = Plan.from_dict(json.loads(text))
    assert again == plan
    assert again.digest() == plan.digest()
    assert [error.message for error in runs.schema("plan-1").iter_errors(json.loads(text))] == []


@settings(deadline=None)
@given(some_plans())
def test_no_line_of_a_plan_acts_on_a_terminal_or_is_two(plan: Plan) -> None:
    for line in plan_text.lines(plan):
        assert line.isprintable()
    marks = [line for line in plan_text.lines(plan) if line.startswith("  ---------- point of no return")]
    # Two steps of one id cannot be told apart by it; the compiler refuses such a plan.
    assert len(marks) == sum(step.id == plan.point_of_no_return for step in plan.steps if plan.point_of_no_return)


def test_the_digest_is_the_same_on_every_core_and_python() -> None:
    """Fixed plans, fixed digests: they change only with the meaning of a plan, and then the schema's version does."""
    assert SCHEMA == "evict.kaspersky/plan/1"
    assert jobs.PLANS["none"].digest() == "a12fba7c3ca8d2fb45e76db6c7713d8b14dfc680142cbf08cb09fe0ac9044e03"
    assert jobs.PLANS["windows-defender"].digest() == "c629dd6f72667ee16e56a1efbf2a9672451bedc8734591331290c8ffbc71756c"


def other(value: t.Any) -> t.Any:
    """Another value of the same kind."""
    if isinstance(value, str):
        return value + "x"
    if isinstance(value, int):
        return value + 1
    if isinstance(value, Condition):
        return Condition("remains", value.of + "x")
    if isinstance(value, tuple):
        return (*value, ("x", "1", "installed"))
    return {**value, "x": "y"}


STEP_COUNTS: t.Final = frozenset(
    {"id", "phase", "section", "kind", "target", "args", "change", "condition", "on_fail", "timeout", "secrets"}
)
PLAN_COUNTS: t.Final = frozenset({"host", "machine", "platform", "products", "replacement", "fallback", "steps"})


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Step)])
def test_which_fields_of_a_step_count(field: str) -> None:
    step = DEB.steps[4]
    changed = dataclasses.replace(step, **{field: other(getattr(step, field))})
    plan = dataclasses.replace(DEB, steps=(*DEB.steps[:4], changed, *DEB.steps[5:]))
    assert (plan.digest() != DEB.digest()) == (field in STEP_COUNTS)


CHANGES: t.Final[t.Sequence[tuple[str, t.Any]]] = [
    ("host", "web2"),
    ("machine", "x"),
    ("platform", "windows"),
    ("state", "blocked"),
    ("verdict", "leftovers"),
    ("products", (("kesl", "12.2", "running"),)),
    ("replacement", "none"),
    ("fallback", ""),
    ("steps", DEB.steps[::-1]),
    ("inhibitors", (Hit("a", "b", "c", "d", True),)),
    ("manual", (Manual("a", "b", "c"),)),
    ("gap", Gap(1, 2, "x")),
    ("excepted", Waived("a", "b", "c", "d")),
    ("notes", ("x",)),
    ("made", "2030-01-01T00:00:00Z"),
    ("expires", "2030-01-01T00:00:00Z"),
]


@pytest.mark.parametrize(("field", "value"), CHANGES)
def test_which_fields_of_a_plan_count(field: str, value: t.Any) -> None:
    plan = dataclasses.replace(DEB, **{field: value})
    assert (plan.digest() != DEB.digest()) == (field in PLAN_COUNTS)


def test_every_field_of_a_plan_was_looked_at() -> None:
    assert {name for name, _value in CHANGES} == {field.name for field in dataclasses.fields(Plan)}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data["steps"][0]["args"].update(manager="rpm"),
        lambda data: data["steps"].pop(),
        lambda data: data["steps"].reverse(),
        lambda data: data.update(host="web2"),
        lambda data: data.update(digest="0" * 64),
        lambda data: data.pop("digest"),
        lambda data: data.pop("notes"),
        lambda data: data.update(schema="evict.kaspersky/plan/2"),
        lambda data: data.update(state="maybe"),
        lambda data: data["steps"][0].update(kind="format_disk"),
        lambda data: data["steps"][0].update(timeout="120"),
        lambda data: data["steps"][0].update(timeout=True),
        lambda data: data.update(steps=None),
        lambda data: data.update(gap=[]),
    ],
)
def test_a_plan_that_was_changed_is_refused(spoil: t.Callable[[dict[str, t.Any]], object], tmp_path: Path) -> None:
    data = DEB.to_dict()
    spoil(data)
    with pytest.raises(PlanError):
        Plan.from_dict(data)
    file = plans.write(tmp_path, DEB)
    file.write_bytes(canonical.dumps(data) + b"\n")
    with pytest.raises(EvidenceError, match="make a new plan"):
        plans.read(tmp_path, DEB.host)


@pytest.mark.parametrize("nothing", [None, [], "plan", 1, {}, {"schema": SCHEMA}])
def test_what_is_no_plan_is_refused(nothing: t.Any) -> None:
    with pytest.raises(PlanError):
        Plan.from_dict(nothing)


@pytest.mark.parametrize("host", ["web1", "a/b", "..", "", "ä" * 200, "\n"])
def test_the_file_of_a_plan_is_private_and_read_back(host: str, tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        plan = dataclasses.replace(DEB, host=host)
        file = plans.write(tmp_path, plan)
        plans.write(tmp_path, plan)
    finally:
        os.umask(old)
    assert file.parent == tmp_path / "plans"
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert plans.read(tmp_path, host) == plan
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_a_file_that_is_not_as_it_was_written_is_refused(tmp_path: Path) -> None:
    file = plans.write(tmp_path, DEB)
    whole = file.read_bytes()
    data = json.loads(whole)
    for raw in (
        b"",
        b"{",
        whole[:-1],
        whole[: len(whole) // 2],
        b" " + whole,
        canonical.dumps({**data, "extra": 1}) + b"\n",
        canonical.dumps({**data, "notes": {"a": 1}}) + b"\n",
        b"[" * 100_000,
    ):
        file.write_bytes(raw)
        with pytest.raises(EvidenceError, match="make a new plan"):
            plans.read(tmp_path, DEB.host)
    file.unlink()
    with pytest.raises(EvidenceError, match="No such file"):
        plans.read(tmp_path, DEB.host)
    plans.write(tmp_path, dataclasses.replace(DEB, host="web2")).rename(file)
    with pytest.raises(EvidenceError, match="that of the host 'web2'"):
        plans.read(tmp_path, DEB.host)
    file.unlink()
    file.symlink_to("/etc/hostname")
    with pytest.raises(EvidenceError, match="it is a link"):
        plans.read(tmp_path, DEB.host)


def test_the_schema_knows_every_kind_and_refuses_what_is_foreign() -> None:
    schema = json.loads((tree.ROOT / "schemas" / "plan-1.json").read_text())
    known = schema["$defs"]["step"]["properties"]
    assert known["kind"]["enum"] == list(KINDS)
    assert known["condition"]["properties"]["name"]["enum"] == list(CONDITIONS)
    validator = runs.schema("plan-1")
    for plan in jobs.PLANS.values():
        assert not list(validator.iter_errors(plan.to_dict()))
    data = DEB.to_dict()
    assert list(validator.iter_errors({**data, "extra": 1}))
    assert list(validator.iter_errors({**data, "state": "blocked"}))  # with steps
    data["steps"][0]["secrets"] = {"TOKEN": "the value itself"}
    assert list(validator.iter_errors(data))


def test_the_lines_of_a_plan() -> None:
    hit = Hit(
        "pending_reboot",
        "a restart is pending",
        "a file waits",
        "restart it",
        True,
        Waived("Ada", "soon", "C-1", "2030-01-01"),
    )
    plan = dataclasses.replace(
        DEB,
        products=(("kesl", "12.1", "running"),),
        inhibitors=(hit, Hit("quarantine", "content", "3 files", "look at them", False)),
        manual=(Manual("a mail filter", "a service owns it", "take the line out"),),
        gap=Gap(95, 600, "from stop to start"),
        notes=("no restart is allowed\n  digest: 0",),
    )
    said = plan_text.lines(plan)
    text = "\n".join(said)
    assert said[0] == f"plan of web1: to be done, {len(plan.steps)} steps"
    assert said[-1] == f"  digest: {plan.digest()}"
    assert sum(line.startswith("  digest: ") for line in said) == 1  # a note cannot begin a line
    marker = next(number for number, line in enumerate(said) if "point of no return" in line)
    assert "remove.kesl.package" in said[marker + 1]
    assert not any("remove.kesl.package: " in line for line in said[:marker])
    places = [text.index(f"{step.id}: {step.kind}") for step in plan.steps]
    assert places == sorted(places)
    for words in (
        "  product: kesl 12.1 running",
        "  waived: pending_reboot: a restart is pending",
        "      waiver: Ada until 2030-01-01, ticket C-1: soon",
        "  blocked: quarantine: content",
        "      no waiver can lift this",
        "        why: because",
        "        when: only when kesl was looked for again and is gone",
        "          | LogFile /var/log/clam 'av'.log",
        "        packages: clamav clamav-daemon",
        "if it fails: go on with the cover",
        "  for a person: a mail filter",
        "  without protection: 95 s expected, 600 s at most (from stop to start)",
    ):
        assert words in text, words


def test_the_lines_of_one_phase() -> None:
    for phase in jobs.PHASES:
        said = "\n".join(plan_text.phase_lines(DEB, phase))
        for step in DEB.steps:
            assert (f". {step.id}: " in said) == (step.phase == phase)
    assert plan_text.phase_lines(jobs.PLANS["leftovers-only"], "commit") == []


@pytest.mark.parametrize("state", ["blocked", "undecided", "excepted", "nothing_to_do"])
def test_a_plan_without_steps_has_no_marker(state: State) -> None:
    plan = dataclasses.replace(DEB, state=state, steps=())
    assert not any("no return" in line for line in plan_text.lines(plan))
