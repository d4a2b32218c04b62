# SPDX-License-Identifier: GPL-3.0-or-later
"""The approved file: what is refused and with which remedy, and what differs for each host, in words."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import typing as t
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.evict.kaspersky.plugins.plugin_utils import approved, canonical, planned, plans
from ansible_collections.evict.kaspersky.plugins.plugin_utils.approved import ApprovedError, Difference
from ansible_collections.evict.kaspersky.plugins.plugin_utils.plan import Plan
from ansible_collections.evict.kaspersky.plugins.plugin_utils.planned import Plans
from ansible_collections.evict.kaspersky.plugins.plugin_utils.steps import Condition
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import Verdict
from tests import fleet_plans, runs

NOW = datetime.datetime(2024, 9, 30, 12, 0, tzinfo=datetime.UTC)
LATER = datetime.datetime(2024, 10, 2, 12, 0, tzinfo=datetime.UTC)
HOSTS = ("db", "web1", "web2", "сервер", "a b\n\u202e")


def plan(host: str, **more: t.Any) -> Plan:
    """A plan that acts."""
    made = fleet_plans.plan_of(runs.row(host, Verdict.PRESENT))
    assert made is not None
    return dataclasses.replace(made, **more)


def whole(folder: Path, *made: Plan) -> Path:
    """A plan.json as a run writes it."""
    path = folder / planned.FILE
    path.write_bytes(b"".join(planned.document("r1", Plans(made), [p.host for p in made])))
    return path


def refused(path: str | os.PathLike[str], **how: t.Any) -> str:
    """Why a file is refused."""
    with pytest.raises(ApprovedError) as caught:
        approved.load(path, **{"now": NOW, **how})
    return str(caught.value)


@pytest.mark.parametrize("rewritten", [False, True])
@pytest.mark.parametrize("host", [None, *HOSTS])
def test_each_host_of_a_plan_json(host: str | None, rewritten: bool, tmp_path: Path) -> None:
    path = whole(tmp_path, *map(plan, HOSTS))
    if rewritten:  # by a tool that knows JSON and not our lines
        path.write_text(json.dumps(json.loads(path.read_bytes()), indent=1))
    file = approved.load(path, host=host, now=NOW)
    assert (file.run, set(file.plans)) == ("r1", set(HOSTS) if host is None else {host})
    for name in file.plans:
        assert file.compare(plan(name), NOW) is None
    missing = file.compare(plan("nowhere"), NOW)
    assert missing is not None
    assert missing.reason == "plan_missing"
    assert str(path) in missing.text
    assert "evict plan" in missing.remedy


def test_the_file_of_one_host(tmp_path: Path) -> None:
    path = plans.write(tmp_path, plan("web1"))
    for host in (None, "web1"):
        assert approved.load(path, host=host, now=NOW).compare(plan("web1"), NOW) is None
    other = approved.load(path, host="web2", now=NOW).compare(plan("web2"), NOW)
    assert other is not None
    assert other.reason == "plan_missing"


def test_the_clock_is_asked_when_no_time_is_given(tmp_path: Path) -> None:
    with pytest.raises(ApprovedError, match="has expired"):
        approved.load(whole(tmp_path, plan("a")))
    assert approved.load(whole(tmp_path, plan("a", expires="2999-01-01T00:00:00Z"))).plans["a"].host == "a"


def test_expiry_of_all_and_of_one(tmp_path: Path) -> None:
    early = plan("a", expires="2024-09-30T00:00:00.000000Z")
    path = whole(tmp_path, early, plan("b"))
    file = approved.load(path, now=NOW)
    gone = file.compare(early, NOW)
    assert gone == Difference("plan_expired", ("the approved plan was valid until 2024-09-30T00:00:00.000000Z",))
    assert file.compare(plan("b"), NOW) is None
    assert approved.load(path, host="a", now=NOW).compare(early, NOW) == gone  # other hosts of the file may go on
    assert "the plan of a was valid until 2024-09-30" in refused(whole(tmp_path, early))
    path = whole(tmp_path, early, plan("b"))
    said = refused(path, now=LATER)
    assert "has expired: each of its 2 plans was valid until 2024-10-02T12:00:00.000000Z at the latest; make a" in said
    never = approved.load(whole(tmp_path, plan("a", expires=""), plan("b")), now=NOW).compare(plan("a"), NOW)
    assert never is not None
    assert never.text == "the approved plan was valid until no time at all"
    # A time without a zone is UTC.
    assert file.compare(plan("b"), NOW.replace(tzinfo=None)) is None


def edit(change: Callable[[dict[str, t.Any]], object]) -> Callable[[bytes], bytes]:
    """A change of the document, written as we write it and by no other tool."""

    def changed(raw: bytes) -> bytes:
        data = json.loads(raw)
        change(data)
        head = canonical.dumps({k: v for k, v in data.items() if k != "hosts"})
        lines = b",\n".join(canonical.dumps(k) + b":" + canonical.dumps(v) for k, v in data["hosts"].items())
        return head[:-1] + b',"hosts":{\n' + lines + b"\n}}\n"

    return changed


DAMAGE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda raw: b"", "it is no JSON"),
    "text": (lambda raw: b"approved!", "it is no JSON"),
    "bytes": (lambda raw: b"\xff\xfe\x00", "it is no JSON"),
    "deep": (lambda raw: b"[" * 100_000, "cannot use the approved plan"),
    "list": (lambda raw: b"[]", "it is no JSON object"),
    "another document": (lambda raw: b'{"schema": "evict.kaspersky/rows/1"}', "its schema is 'evict.kaspersky/rows/1'"),
    "a later version": (lambda raw: raw.replace(b"plans/1", b"plans/2"), "its schema is 'evict.kaspersky/plans/2'"),
    "a later plan": (lambda raw: raw.replace(b"plan/1", b"plan/2"), "the plan of a: its schema is"),
    "no hosts": (lambda raw: b'{"schema": "evict.kaspersky/plans/1", "hosts": []}', "its schema is"),
    "cut": (lambda raw: raw[:-200], "it is cut off"),
    "cut before its end": (lambda raw: raw[:-3], "it is cut off"),
    "step changed": (lambda raw: raw.replace(b'"remove.kesl"', b'"remove.kexl"'), "its digest is not that of its"),
    "expiry put off": (
        edit(lambda d: [plan.update(expires="2999-01-01T00:00:00Z") for plan in d["hosts"].values()]),
        "its expiry is not that of its plans",
    ),
    "expiry no time": (edit(lambda d: d["hosts"]["a"].update(expires="soon")), "has no time as its expiry: 'soon'"),
    "no plan": (edit(lambda d: d["hosts"].update(a=5)), "the plan of a: it is no plan"),
    "under another name": (edit(lambda d: d["hosts"].update(a=d["hosts"]["b"])), "is that of another host: b"),
    "twice": (
        lambda raw: raw.replace(b'{\n"a"', b'{\n"a":' + canonical.dumps(plan("a").to_dict()) + b',\n"a"'),
        "it has two plans of a",
    ),
    "a line is no JSON": (lambda raw: raw.replace(b'"a":{', b'"a":{,'), "it is no JSON"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_what_is_damaged_is_named_with_the_remedy(name: str, tmp_path: Path) -> None:
    path = whole(tmp_path, plan("a"), plan("b"))
    change, words = DAMAGE[name]
    before = path.read_bytes()
    path.write_bytes(change(before))
    assert path.read_bytes() != before
    for host in (None, "a"):
        if host and name == "expiry put off":  # one host is read alone, without the others
            continue
        said = refused(path, host=host)
        assert words in said
        assert str(path) in said
        assert said.endswith("; make a new plan with `evict plan` and have that one approved")


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    assert "nowhere.json is not there: name the plan.json of a run" in refused(tmp_path / "nowhere.json")
    assert "is a folder: name the plan.json of a run" in refused(tmp_path)
    assert "cannot be read: " in refused(tmp_path / ("x" * 300))
    assert "cannot be read: " in refused("a\0b")
    os.mkfifo(tmp_path / "pipe")
    assert "it is no JSON" in refused(tmp_path / "pipe")


OLD = plan("a")
STEP = OLD.steps[1]


@pytest.mark.parametrize(
    ("new", "said"),
    [
        ({"machine": "m2"}, ["machine id: approved ", '"m2"']),
        ({"platform": "windows"}, ['platform: approved "linux", now "windows"']),
        ({"replacement": "falcon"}, ['replacement: approved "clamav", now "falcon"']),
        ({"fallback": ""}, ['fallback: approved "existing", now ""']),
        ({"products": ()}, ['product "kesl" is no longer there']),
        (
            {"products": (("kesl", "12.2", "running"), ("klnagent", "15", "running"))},
            ['product "klnagent" was not there', 'product "kesl": approved version "12.1.0.1297", now "12.2"'],
        ),
        ({"steps": OLD.steps[1:]}, ['step "stage.packages" is gone: "clamav-daemon"']),
        ({"steps": (*OLD.steps, dataclasses.replace(STEP, id="more"))}, ['step "more" is new: "kesl 12.1.0.1297"']),
        ({"steps": OLD.steps[::-1]}, ["the order of the steps has changed"]),
        ({"state": "blocked", "steps": ()}, ['state: approved "act", now "blocked"', 'step "reboot" is gone']),
        (
            {
                "steps": (
                    OLD.steps[0],
                    dataclasses.replace(
                        STEP,
                        args={"package": "kesl-gui", "purge": "yes"},
                        timeout=5,
                        condition=Condition("product_absent", "klnagent"),
                        secrets={"PASSWORD": "kesl.password"},
                    ),
                    *OLD.steps[2:],
                )
            },
            [
                'step "remove.kesl": timeout: approved 1800, now 5',
                'step "remove.kesl": args "manager": approved "apt", now nothing',
                'step "remove.kesl": args "package": approved "kesl", now "kesl-gui"',
                'step "remove.kesl": args "purge": approved nothing, now "yes"',
                'step "remove.kesl": condition: approved ["always", ""], now ["product_absent", "klnagent"]',
                'step "remove.kesl": secrets "PASSWORD": approved nothing, now "kesl.password"',
            ],
        ),
    ],
)
def test_what_has_changed_is_said(new: dict[str, t.Any], said: list[str], tmp_path: Path) -> None:
    found = approved.load(whole(tmp_path, OLD), now=NOW).compare(plan("a", **new), NOW)
    assert found is not None
    assert found.reason == "plan_changed"
    for words in said:
        assert words in found.text, found.lines
    if not ({"steps", "state"} & new.keys()):
        assert len(found.lines) == len(said) or new.keys() == {"machine"}


def test_words_for_readers_and_what_the_digest_leaves_out_are_no_change(tmp_path: Path) -> None:
    file = approved.load(whole(tmp_path, OLD), now=NOW)
    steps = tuple(dataclasses.replace(step, reason="another", typical=1) for step in OLD.steps)
    same = plan("a", steps=steps, notes=("x",), made="2024-09-30T00:00:00Z", gap=None, manual=(), verdict="leftovers")
    assert file.compare(same, NOW) is None


TEXT = st.text(st.characters(), max_size=8)
STEPS = st.lists(
    st.builds(
        dataclasses.replace,
        st.sampled_from(OLD.steps),
        args=st.dictionaries(TEXT, TEXT | st.lists(TEXT, max_size=2).map(tuple), max_size=2),
        target=TEXT,
        timeout=st.integers(1, 3),
    ),
    unique_by=lambda step: step.id,
    max_size=4,
).map(tuple)
PLANS = st.builds(
    Plan,
    host=st.just("a"),
    machine=st.sampled_from(["", "m"]),
    platform=st.sampled_from(["linux", "windows"]),
    state=st.sampled_from(["act", "blocked"]),
    verdict=st.just("present"),
    products=st.lists(st.tuples(TEXT, TEXT, TEXT), unique_by=lambda p: p[0], max_size=3).map(tuple),
    replacement=TEXT,
    fallback=TEXT,
    steps=STEPS,
    expires=st.just(fleet_plans.EXPIRES),
)


@given(PLANS, PLANS)
def test_another_digest_is_always_explained(old: Plan, new: Plan) -> None:
    said = list(approved.changes(old, new))
    if old.digest() != new.digest():
        assert said
    if old == new:
        assert said == []
    assert all(text.isprintable() and text.isascii() for text in said)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (
            "# " + "x" * 200 + "\nPath /srv/a\nEnd\n",
            "# " + "x" * 200 + "\nPath /srv/b\nEnd\n",
            'approved with "Path /srv/a", now with "Path /srv/b"',
        ),
        ("A\nB\n", "A\nB\nC\n", 'approved without it, now with "C"'),
        ("A\nB\nC\n", "A\n", 'approved with "B", "C", now without it'),
        ("A\nB\n", "B\nA\n", 'approved "A\\nB\\n", now "B\\nA\\n"'),
        ("x" * 300 + "1", "x" * 300 + "2", f'approved ...{"x" * 20}1", now ...{"x" * 20}2"'),
    ],
)
def test_of_long_values_what_differs_is_shown(before: str, after: str, said: str) -> None:
    """A configuration file of fifty lines is told apart by the one line that is another."""
    steps = [dataclasses.replace(OLD.steps[0], args={"text": text}) for text in (before, after)]
    old, new = (dataclasses.replace(OLD, steps=(step, *OLD.steps[1:])) for step in steps)
    assert list(approved.changes(old, new)) == [f'step "{OLD.steps[0].id}": args "text": {said}']
