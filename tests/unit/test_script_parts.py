# SPDX-License-Identifier: GPL-3.0-or-later
"""No part of a script takes another part's function away without meaning to."""

from __future__ import annotations

import re

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import script
from tests import tree

PARTS = tree.ROOT / "probes" / "posix"
# What a later part puts in the place of an earlier one's on purpose.
MEANT = {
    "OBSERVE": {"follow"},
    "OBSERVE_PLAN": {"alarm", "follow", "probe_egress", "probe_repository"},
    "OBSERVE_PLAN_BARE": {"alarm", "follow"},
    "OBSERVE_MACOS": {"offspring"},
    "PERFORM": set(),
    "JOB": {"hex"},
    "PROVE": set(),
}


def test_all_scripts_are_looked_at() -> None:
    lists = {
        name for name, value in vars(script).items() if name.isupper() and isinstance(value, tuple) and name[0] != "_"
    }
    assert lists == set(MEANT)


@pytest.mark.parametrize("name", MEANT)
def test_functions_that_are_defined_twice_are_meant_so(name: str) -> None:
    text = "".join((PARTS / part).read_text() for part in getattr(script, name))
    names = re.findall(r"^([a-z_0-9]+)\(\) ", text, re.MULTILINE)
    assert len(names) > 10
    assert {function for function in names if names.count(function) > 1} == MEANT[name]
