# SPDX-License-Identifier: GPL-3.0-or-later
"""Task keywords that would write one machine's truth into another's record are refused, each by its name."""

from __future__ import annotations

import types
import typing as t

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import refusal


def task(**keywords: t.Any) -> types.SimpleNamespace:
    """A task as Ansible hands it to an action plugin, with core's own defaults for what is not given."""
    plain: dict[str, t.Any] = {
        "delegate_to": None,
        "run_once": False,
        "loop": None,
        "loop_with": None,
        "until": [],
        "retries": None,
        "async_val": 0,
    }
    return types.SimpleNamespace(**{**plain, **keywords})


def test_an_ordinary_task_is_not_refused() -> None:
    assert refusal.reason("scan", task(), {"ansible_host": "x", "item": 1}) == ""
    assert refusal.reason("scan", task(run_once=None, until=None, loop=[], async_val=None), {}) == ""


@pytest.mark.parametrize(
    ("keyword", "given", "variables"),
    [
        ("delegate_to", {"delegate_to": "localhost"}, {}),
        ("delegate_to", {"delegate_to": ""}, {}),
        ("run_once", {"run_once": True}, {}),
        ("loop", {"loop": ["a"]}, {}),
        ("loop", {"loop": "{{ hosts }}"}, {}),
        ("loop", {"loop_with": "items"}, {}),
        ("loop", {}, {"ansible_loop_var": "item"}),
        ("until", {"until": ["row.verdict == 'absent'"]}, {}),
        ("until", {"retries": 3}, {}),
        ("async", {"async_val": 60}, {}),
        ("async", {"async_val": "60"}, {}),
    ],
)
def test_each_keyword_is_named_with_reason_and_remedy(
    keyword: str, given: dict[str, t.Any], variables: dict[str, t.Any]
) -> None:
    said = refusal.reason("scan", task(**given), variables)
    assert said.startswith(f"evict.kaspersky.scan cannot run with `{keyword}` (`{keyword}`: ")
    assert said.endswith("Remove it from the task.")
    others = {"delegate_to", "run_once", "loop", "until", "async"} - {keyword}
    assert not any(f"`{other}`" in said for other in others)


def test_all_keywords_are_named_at_once() -> None:
    everything = task(delegate_to="a", run_once=True, loop=["x"], until=["y"], async_val=1)
    said = refusal.reason("scan", everything, {})
    assert said.startswith(
        "evict.kaspersky.scan cannot run with `delegate_to` and `run_once` and `loop` and `until` and `async` ("
    )


def test_a_real_task_has_the_attributes_that_are_asked_for() -> None:
    from ansible.playbook.task import Task

    real = Task()
    assert refusal.reason("scan", real, {}) == ""
    real.delegate_to, real.run_once, real.until, real.async_val = "localhost", True, ["x"], 5
    real.loop = ["a"]
    said = refusal.reason("scan", real, {})
    assert all(f"`{name}`" in said for name in ("delegate_to", "run_once", "loop", "until", "async"))


@pytest.mark.parametrize("name", ["free", "host_pinned", "ansible.builtin.free", "debug"])
def test_other_strategies_are_refused(name: str) -> None:
    deep = task(_parent=types.SimpleNamespace(_parent=task(_play=types.SimpleNamespace(strategy=name))))
    said = refusal.strategy("perform", deep)
    assert said.startswith(f"evict.kaspersky.perform cannot run with the strategy `{name}` (")
    assert said.endswith("or set it to `linear`.")


def test_the_linear_strategy_is_not_refused() -> None:
    for name in ("linear", "ansible.builtin.linear", "ansible.legacy.linear"):
        assert refusal.strategy("perform", task(_parent=task(_play=types.SimpleNamespace(strategy=name)))) == ""
    assert refusal.strategy("perform", task()) == ""


def test_a_real_task_knows_the_strategy_of_its_play() -> None:
    from ansible.playbook.block import Block
    from ansible.playbook.play import Play
    from ansible.playbook.task import Task

    play = Play()
    play.strategy = "free"
    real = Task(block=Block(play=play))
    assert "`free`" in refusal.strategy("perform", real)
    assert "`free`" in refusal.strategy("perform", Task(block=Block(play=play, parent_block=Block(play=play))))
