# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes of waves as `serial` takes them, and turns within an exclusive group."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.evict.kaspersky.plugins.plugin_utils import waves
from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy_checks import Refused


@pytest.mark.parametrize(
    ("value", "sizes"),
    [
        ([1, 5], [1, 5]),
        ("1, 10, 50", [1, 10, 50]),
        ("[2, 3]", [2, 3]),
        (7, [7]),
        ("7", [7]),
        (["1", "2"], [1, 2]),
        ("", [1, 10, 50, 200]),
        ("  ", [1, 10, 50, 200]),
        (None, [1, 10, 50, 200]),
        ([], [1, 10, 50, 200]),
    ],
)
def test_sizes(value: object, sizes: list[int]) -> None:
    assert waves.serial(value) == sizes
    assert waves.serial(value, dry=True) == ["100%"]


@pytest.mark.parametrize("value", ["many", 0, [0], [1, "x"], {"a": 1}, "50%", True])
def test_what_names_no_sizes_is_refused(value: object) -> None:
    for dry in (False, True):
        with pytest.raises(Refused):
            waves.serial(value, dry=dry)


GROUPS = {"a": "", "b": "g", "c": "g", "d": "h", "e": "g"}


def test_turns() -> None:
    batch = list(GROUPS)
    assert [waves.turn(host, batch, GROUPS.__getitem__) for host in batch] == [0, 0, 1, 0, 2]
    assert waves.turn("e", ["e", "a"], GROUPS.__getitem__) == 0
    assert waves.turn("b", [], GROUPS.__getitem__) == 0


def test_who_has_no_group_looks_at_nobody() -> None:
    asked: list[str] = []

    def group(host: str) -> str:
        asked.append(host)
        return GROUPS[host]

    waves.turn("a", list(GROUPS), group)
    assert asked == ["a"]


@given(st.lists(st.sampled_from(["", "g", "h"]), max_size=12))
def test_no_two_of_a_group_have_the_same_turn(groups: list[str]) -> None:
    batch = [f"h{n}" for n in range(len(groups))]
    of = dict(zip(batch, groups, strict=True))
    turns = [(of[host], waves.turn(host, batch, of.__getitem__)) for host in batch]
    named = [pair for pair in turns if pair[0]]
    assert len(set(named)) == len(named)
    assert all(turn == 0 for group, turn in turns if not group)
