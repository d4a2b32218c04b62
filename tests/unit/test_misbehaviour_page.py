# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of removals that go wrong is that of the lab, and says nothing that the project does not know."""

from __future__ import annotations

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import inhibitors
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import Verdict
from tests.lab.linux.misbehaviour import MISBEHAVIOURS, Told, cases
from tools import misbehaviour_page

TOLD = [(name, family, told) for name, item in MISBEHAVIOURS.items() for family, told in item.told.items()]


def test_the_page_is_that_of_the_lab() -> None:
    assert misbehaviour_page.PAGE.read_text(encoding="utf-8") == misbehaviour_page.page(), "run `make docs`"


def test_every_misbehaviour_stands_on_it_once_and_is_made() -> None:
    lines = [line.split("|")[1].strip(" `") for line in misbehaviour_page.page().splitlines() if line.startswith("| `")]
    assert lines == list(MISBEHAVIOURS)
    assert {name for name, _ in cases()} == set(MISBEHAVIOURS)
    assert len(cases()) == len(TOLD) > 40


@pytest.mark.parametrize(("name", "family", "told"), TOLD, ids=[f"{name}-{family}" for name, family, _ in TOLD])
def test_what_is_told_is_possible(name: str, family: str, told: Told) -> None:
    del name, family
    assert {told.verdict, told.again[0]} <= set(map(str, Verdict))
    assert set(told.inhibitors) <= set(inhibitors.IDS)
    assert (told.plan == "blocked") == bool(told.inhibitors)
    assert told.plan != "blocked" or (told.verdict == "blocked" and not told.failure)
    assert told.failure or told.plan == "blocked" or told.verdict.startswith("replaced")
