# SPDX-License-Identifier: GPL-3.0-or-later
"""The breaker over rows of runs that nobody has seen: what counts, how many may, what got worse, and what is said."""

from __future__ import annotations

import json
import typing as t
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.evict.kaspersky.plugins.plugin_utils import breaker, ledger, run
from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy import Policy
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import Verb, Verdict
from tests import runs

COUNTING = Policy().breaker_on


def judge(
    verdicts: Mapping[str, str],
    before: Sequence[Mapping[str, t.Any]] = (),
    *,
    acted: Sequence[str] = (),
    allowed: str = "0",
    counting: Sequence[Verdict] = COUNTING,
    again: bool = False,
) -> breaker.Wave:
    """Judge a wave whose hosts have these verdicts."""
    rows = [runs.row(host, Verdict(verdict)) for host, verdict in verdicts.items()]
    return breaker.judge(rows, before, acted=acted, allowed=allowed, counting=counting, again=again)


def test_a_wave_in_which_all_goes_well_is_followed_by_the_next() -> None:
    wave = judge({"a": "replaced", "b": "nothing_to_do", "c": "not_attempted", "d": "out_of_scope"})
    assert (wave.number, wave.tried, wave.left, wave.tripped, wave.reason) == (1, 2, 1, False, "")
    assert dict(wave.hosts) == {"a": "replaced", "b": "nothing_to_do"}


@pytest.mark.parametrize("verdict", list(Verdict))
def test_what_counts(verdict: Verdict) -> None:
    fails = verdict in (Verdict.FAILED_EXPOSED, Verdict.FAILED_PROTECTED)
    assert judge({"a": verdict, "b": "replaced"}).tripped is fails
    tried = verdict not in (Verdict.NOT_ATTEMPTED, Verdict.OUT_OF_SCOPE)
    assert judge({"a": verdict, "b": "replaced"}, counting=[verdict]).tripped is tried
    assert not judge({"a": verdict}, counting=[]).tripped


@pytest.mark.parametrize("verdict", ["unknown", "unreachable"])
def test_who_was_being_changed_and_cannot_be_judged_has_failed(verdict: str) -> None:
    assert not judge({"a": verdict}).tripped
    wave = judge({"a": verdict}, acted=["a"], counting=[])
    assert (wave.tripped, dict(wave.failed)) == (True, {"a": f"{verdict} after its plan had begun"})
    assert not judge({"a": "blocked"}, acted=["a"]).tripped  # what is known counts as what it is


@pytest.mark.parametrize(
    ("failed", "fine", "allowed", "tripped"),
    [
        (1, 0, "0", True),
        (0, 5, "0", False),
        (2, 9, "2", False),
        (3, 9, "2", True),
        (1, 0, "50%", True),  # a canary that fails is all of it
        (1, 1, "50%", False),
        (2, 1, "50%", True),
        (1, 19, "5%", False),
        (1, 18, "5%", True),
        (0, 9, "0%", False),
        (1, 999, "0%", True),
        (9, 0, "100%", False),
    ],
)
def test_how_many_may_fail(failed: int, fine: int, allowed: str, tripped: bool) -> None:
    hosts = {f"bad{n}": "failed_exposed" for n in range(failed)} | {f"good{n}": "replaced" for n in range(fine)}
    wave = judge(hosts, allowed=allowed)
    assert wave.tripped is tripped
    assert bool(wave.reason) is tripped


def test_failures_of_all_waves_are_added_up() -> None:
    first = judge({"a": "failed_protected", "b": "not_attempted", "c": "not_attempted"}, allowed="1")
    second = judge(
        {"a": "failed_protected", "b": "failed_exposed", "c": "not_attempted"}, [first.to_dict()], allowed="1"
    )
    assert (first.tripped, second.tripped, second.number, second.left) == (False, True, 2, 1)
    assert list(second.hosts) == ["b"]
    assert second.reason == (
        "the breaker stopped the run after wave 2: 2 of 2 hosts failed, 1 may (evict_max_failures): "
        "a: failed_protected; b: failed_exposed"
    )


def test_a_long_reason_names_the_first_few() -> None:
    wave = judge({f"h{n}": "failed_exposed" for n in range(9)})
    assert wave.reason.endswith("h4: failed_exposed and 4 more")


@pytest.mark.parametrize(
    ("was", "now", "worse"),
    [
        ("replaced", "replaced", False),
        ("replaced", "replaced_unproved", False),
        ("replaced", "leftovers", True),
        ("replaced", "unreachable", True),
        ("replaced", "unknown", True),
        ("nothing_to_do", "present", True),
        ("removed_unprotected", "present", False),  # was no better
        ("reboot_pending", "replaced", False),
        ("reboot_pending", "failed_protected", True),
        ("blocked", "present", False),  # was not well before
        ("failed_protected", "replaced", False),
    ],
)
def test_what_got_worse_while_the_wave_was_left_alone(was: str, now: str, worse: bool) -> None:
    first = judge({"a": was}, counting=[])
    second = judge({"a": now}, [first.to_dict()], counting=[], again=True)
    assert dict(second.worse) == ({"a": f"{was}, then {now}"} if worse else {})
    assert second.tripped is worse
    assert (first.number, second.number) == (1, 1)


def test_what_got_worse_stays_told_in_later_waves() -> None:
    first = judge({"a": "replaced", "b": "not_attempted"}, allowed="1")
    again = judge({"a": "unreachable", "b": "not_attempted"}, [first.to_dict()], allowed="1", again=True)
    third = judge({"a": "replaced", "b": "failed_exposed"}, [first.to_dict(), again.to_dict()], allowed="1")
    assert (again.tripped, third.tripped, third.number) == (False, True, 2)
    assert dict(third.failed) == {"a": "replaced, then unreachable", "b": "failed_exposed"}


def test_a_second_look_without_a_first_is_a_first() -> None:
    wave = judge({"a": "replaced"}, again=True)
    assert (wave.number, wave.again) == (1, False)


@given(
    st.dictionaries(st.text("abcdef", min_size=1, max_size=4), st.sampled_from(list(Verdict)), max_size=20),
    st.integers(0, 20),
)
def test_more_allowed_never_trips_where_less_did_not(verdicts: dict[str, Verdict], allowed: int) -> None:
    wave = judge(verdicts, allowed=str(allowed))
    assert wave.tripped is (len(wave.failed) > allowed)
    assert not (judge(verdicts, allowed=str(allowed + 1)).tripped and not wave.tripped)
    assert set(wave.failed) <= set(wave.hosts)
    assert wave.left == sum(v is Verdict.NOT_ATTEMPTED for v in verdicts.values())


def test_hosts_that_were_not_tried_say_why(tmp_path: Path) -> None:
    run.reset()
    hosts = ["a", "b", "c"]
    made = runs.begun(tmp_path / "run", inventory=hosts, scope=hosts[:2], verdicts={"a": Verdict.FAILED_EXPOSED})
    before = {row.host: row for row in ledger.build(made.path).rows}
    assert before["b"].reasons == ("the run ended before this host had a result",)
    wave = judge({host: row.verdict for host, row in before.items()})
    made.log_run(breaker.EVENT, wave.to_dict())
    rows = {row.host: row for row in ledger.build(made.path).rows}
    assert rows["b"].verdict is Verdict.NOT_ATTEMPTED
    assert rows["b"].reasons == (wave.reason,)
    assert rows["c"].verdict is Verdict.OUT_OF_SCOPE
    line = (made.path / "run.jsonl").read_text().splitlines()[-1]
    assert [e.message for e in runs.schema("evidence-1").iter_errors(json.loads(line))] == []


def test_a_run_that_is_begun_again_begins_its_waves_again(tmp_path: Path) -> None:
    run.reset()
    made = runs.begun(tmp_path / "run", inventory=["a", "b"], verdicts={"a": Verdict.FAILED_EXPOSED})
    made.log_run(breaker.EVENT, judge({"a": "failed_exposed", "b": "not_attempted"}).to_dict())
    started = {"verb": str(Verb.REMEDIATE), "versions": {}, "controller": {}, "ids": {"invocation": "x"}}
    made.log_run("run_started", started)
    (row,) = [row for row in ledger.build(made.path).rows if row.host == "b"]
    assert row.reasons == ("the run ended before this host had a result",)
