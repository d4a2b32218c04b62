# SPDX-License-Identifier: GPL-3.0-or-later
"""Broken policies: each is refused with the variable's name, the remedy and the value, and never with a secret."""

from __future__ import annotations

import base64
import datetime

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import policy
from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy import VARIABLES, PolicyError
from tests.policies import BROKEN, CANARY, PRODUCTS, PROVIDERS, Broken

NOW = datetime.datetime(2027, 1, 1, tzinfo=datetime.UTC)


def judged(case: Broken, **more: object) -> str:
    """The error of a broken policy."""
    given = {
        "extra": case.extra if case.extra is not None else set(case.given),
        "providers": PROVIDERS if case.known else None,
        "products": PRODUCTS if case.known else None,
        "plan": case.plan,
        "now": NOW,
        **more,
    }
    with pytest.raises(PolicyError) as caught:
        policy.validate(case.given, **given)  # type: ignore[arg-type]
    return str(caught.value)


def test_there_are_enough_and_each_variable_with_a_check_of_its_own_is_broken_somewhere() -> None:
    assert len(BROKEN) >= 40
    assert len({case.name for case in BROKEN}) == len(BROKEN)
    plain = {name for name, variable in VARIABLES.items() if variable.audit or variable.check.__name__ == "line"}
    same = {"evict_fallback_source"}  # the same check as that of the replacement
    assert set(VARIABLES) - plain - same <= {case.variable for case in BROKEN}


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.name)
def test_it_is_refused_with_name_remedy_and_value(case: Broken) -> None:
    said = judged(case)
    assert {line.partition(" ")[0] for line in said.splitlines()} == {f"`{case.variable}`"}
    for words in case.words:
        assert words in said
    assert len(said) < 1000


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.name)
def test_no_secret_is_in_the_error(case: Broken) -> None:
    said = judged(case).lower()
    for form in (CANARY, CANARY.encode().hex(), base64.b64encode(CANARY.encode()).decode(), CANARY[:8], CANARY[-8:]):
        assert form.lower() not in said


def test_some_of_them_do_hold_a_secret() -> None:
    assert sum(CANARY in repr(case.given) for case in BROKEN) >= 15


@pytest.mark.parametrize("case", [c for c in BROKEN if c.plan], ids=lambda case: case.name)
def test_what_only_a_plan_needs_is_no_mistake_of_an_audit(case: Broken) -> None:
    settings = policy.validate(case.given, extra=set(case.given), now=NOW)
    with pytest.raises(PolicyError) as caught:
        policy.for_plan(settings)
    assert str(caught.value) == judged(case)


def test_all_mistakes_of_all_variables_are_named_at_once() -> None:
    given: dict[str, object] = {}
    for case in BROKEN:
        if case.extra is None and not case.plan and not case.known:
            given |= case.given
    with pytest.raises(PolicyError) as caught:
        policy.validate(given, now=NOW)
    named = [line.split("`")[1] for line in str(caught.value).splitlines()]
    assert named == sorted(named)
    assert len(set(named)) > 20
    # Of a variable that is broken in several ways, the last way is given. Wrong windows are not missed besides.
    for name in set(given) - set(named) - {"evict_reboot"}:
        policy.validate({name: given[name]}, now=NOW)
    assert CANARY not in str(caught.value)


def test_the_line_to_mend_is_asked_for_with_the_place() -> None:
    asked: list[object] = []

    def where(name: str, place: tuple[str | int, ...]) -> str:
        asked.append((name, place))
        return "vars.yml:7"

    case = next(case for case in BROKEN if case.name == "exclude_root")
    assert judged(case, where=where).endswith("; see vars.yml:7")
    assert asked == [("evict_exclusions", (1, "path"))]


def test_extra_vars_are_not_judged_where_nobody_knows_them() -> None:
    given = {"evict_hosts": "web", "evict_consent": "remove", "evict_waves": "5"}
    assert policy.validate(given).waves == (5,)
    assert policy.validate(given, extra=given).consent == {"remove"}
    with pytest.raises(PolicyError) as caught:
        policy.validate({**given, "evict_out": "x"}, extra={"evict_hosts", "evict_out"})
    assert [line.split("`")[1] for line in str(caught.value).splitlines()] == ["evict_consent", "evict_waves"]
