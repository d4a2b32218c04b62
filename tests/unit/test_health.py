# SPDX-License-Identifier: GPL-3.0-or-later
"""Health of a replacement over recorded answers: what is healthy, what is not, and that a missing value never is."""

from __future__ import annotations

import datetime
import json
import typing as t
from collections.abc import Mapping

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.evict.kaspersky.plugins.plugin_utils import filling, health, knowledge
from ansible_collections.evict.kaspersky.plugins.plugin_utils.health import Health
from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy import Policy
from tests import tree

Data = dict[str, t.Any]
NOW: t.Final = datetime.datetime(2030, 5, 6, 7, 8, 9, tzinfo=datetime.UTC)
PROVIDERS: t.Final = knowledge.providers()
RECORDED: t.Final[Data] = yaml.safe_load(
    (tree.ROOT / "tests" / "fixtures" / "providers" / "health.yml").read_text(encoding="utf-8")
)
CASES: t.Final = [(id, name) for id, data in RECORDED.items() for name in data["cases"]]


def answers_of(id: str, case: Data) -> dict[str, str]:
    found = {**RECORDED[id]["base"], **case.get("answers", {})}
    if "change" in case:
        change = case["change"]
        changed = {key: value.replace(change["from"], change["to"]) for key, value in found.items()}
        assert changed != found, f"{change['from']!r} stands in no answer"
        found = changed
    return found


def judged(id: str, case: Data, answers: Mapping[str, str]) -> Health:
    data = RECORDED[id]
    policy = Policy(replacement_settings={**data.get("settings", {}), **case.get("settings", {})})
    provider, platform = PROVIDERS[id], data["platform"]
    values = filling.values(provider, platform, policy, "replacement", family="deb", manager="apt", server=True)
    return health.judge(provider, platform, answers, now=NOW, values=values, max_signature_age=case.get("limit", 168))


@pytest.mark.parametrize(("id", "name"), CASES)
def test_recorded_answers(id: str, name: str) -> None:
    case = RECORDED[id]["cases"][name] or {}
    found = judged(id, case, answers_of(id, case))
    wanted = case.get("reasons", [])
    assert found.healthy is not bool(wanted), found.reasons
    assert found.healthy is not bool(found.reasons)
    for piece in wanted:
        assert any(piece in reason for reason in found.reasons), (piece, found.reasons)


def test_every_provider_has_good_and_bad_answers() -> None:
    assert set(RECORDED) == set(PROVIDERS) - {"none"}
    for id, data in RECORDED.items():
        bad = [name for name, case in data["cases"].items() if (case or {}).get("reasons")]
        assert len(bad) >= 2, id
        assert len(data["cases"]) > len(bad), id


@pytest.mark.parametrize("id", sorted(RECORDED))
def test_no_answer_may_be_missing(id: str) -> None:
    """Each answer is needed: without it, or with an empty one, the host is unknown and not healthy."""
    data = RECORDED[id]
    base = dict(data["base"])
    assert judged(id, {}, base).healthy
    needed = 0
    for name in base:
        for broken in ({k: v for k, v in base.items() if k != name}, {**base, name: "  \n"}):
            found = judged(id, {}, broken)
            if name in ("tenant", "org") and "tenant" not in data.get("settings", {}):
                assert found.healthy, "asked only where a tenant is wanted"
                continue
            needed += 1
            assert not found.healthy, name
            assert any("unknown" in reason for reason in found.reasons), found.reasons
    assert needed
    assert not judged(id, {}, {}).healthy


@pytest.mark.parametrize(("id", "answer"), [("mde_linux", "health"), ("defender_av", "status")])
def test_no_value_a_rule_reads_may_be_missing(id: str, answer: str) -> None:
    data = RECORDED[id]
    whole = json.loads(data["base"][answer])
    own = PROVIDERS[id].platforms[data["platform"]]
    read = [rule["value"] for rule in own.health["rules"] if rule["answer"] == answer and "when" not in rule]
    assert len(read) > 5
    for name in read:
        without = {key: value for key, value in whole.items() if key != name}
        found = judged(id, {}, {**data["base"], answer: json.dumps(without)})
        assert not found.healthy
        assert any(reason.startswith(f"{name}: unknown") for reason in found.reasons), (name, found.reasons)


def test_what_nobody_can_tell_is_said() -> None:
    provider = PROVIDERS["falcon"]
    answers = {"service.CSFalconService": "Running Automatic", "active": "STATE : 4  RUNNING"}
    found = health.judge(provider, "windows", answers, now=NOW)
    assert (found.healthy, found.reasons) == (True, ())
    assert any("reduced functionality" in text for text in found.blind)


def test_none_and_other_platforms_are_never_healthy() -> None:
    assert not health.judge(PROVIDERS["none"], "linux", {}, now=NOW).healthy
    assert health.judge(PROVIDERS["clamav"], "windows", {}, now=NOW).reasons == ("clamav is not for windows",)
    assert not health.judge(PROVIDERS["existing"], "linux", {}, now=NOW).healthy, "nothing says when it is healthy"


@pytest.mark.parametrize(
    ("unit", "value", "hours"),
    [
        ("minutes", "90", 1.5),
        ("hours", "3.0", 3.0),
        ("days", "2", 48.0),
        ("days", "4294967295", None),
        ("days", "65535", None),
        ("minutes", "-1", None),
        ("minutes", "", None),
        ("minutes", "1e3", None),
        ("epoch_ms", "0", None),
        ("epoch_ms", str(int(NOW.timestamp() * 1000) - 3_600_000), 1.0),
        ("epoch_ms", str(int(NOW.timestamp() * 1000) + 7_200_000), -2.0),
        ("date", "Mon May  6 06:08:09 2030", 1.0),
        ("date", "Mon May 6 06:08:09 UTC 2030", 1.0),
        ("date", "2030-05-06T08:08:09+02:00", 1.0),
        ("date", "2030-05-06 06:08:09", 1.0),
        ("date", f"/Date({int(NOW.timestamp() * 1000) - 3_600_000})/", 1.0),
        ("date", "/Date(99999999999999999)/", None),
        ("date", "Mon May 36 06:08:09 2030", None),
        ("date", "today", None),
    ],
)
def test_ages(unit: str, value: str, hours: float | None) -> None:
    found = health.age(unit, value, NOW)
    assert found == (None if hours is None else pytest.approx(hours))


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(sorted(RECORDED)),
    st.one_of(st.text(), st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists).map(json.dumps)),
)
def test_noise_is_never_healthy_and_never_an_error(id: str, noise: str) -> None:
    """Whatever a broken host says: no exception, and no good word for it."""
    answers = dict.fromkeys(RECORDED[id]["base"], noise)
    assert not judged(id, {}, answers).healthy
