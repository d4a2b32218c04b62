# SPDX-License-Identifier: GPL-3.0-or-later
"""The builder of cases shows what it is told to show, by the real assessment."""

from __future__ import annotations

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils.catalog import Entry
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import Verdict
from tests import cases

# The entry macos/kes has weak marks only, which prove nothing.
ENTRIES = [
    pytest.param(e, id=f"{platform}/{e.id}")
    for platform in ("linux", "windows", "macos")
    for e in cases.entries(platform)
    if (platform, e.id) != ("macos", "kes")
]


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_product_of_the_catalog_can_be_shown(entry: Entry) -> None:
    made = cases.case(entry.platform, products=[entry.id])
    assert entry.id in [p.entry.id for p in made.assessment.products if p.works], made.assessment.notes
    assert made.assessment.verdict is Verdict.PRESENT
    assert made.assessment.unknown == {}


@pytest.mark.parametrize("state", ["running", "installed", "broken", "leftover"])
@pytest.mark.parametrize(("platform", "id"), [("linux", "kesl"), ("windows", "kes"), ("linux", "klnagent64")])
def test_states(platform: str, id: str, state: str) -> None:
    made = cases.case(platform, products=[(id, state)])
    assert [(p.entry.id, p.state) for p in made.assessment.products] == [(id, state)]


def test_version_and_family() -> None:
    made = cases.case(products=[("kesl", "running", "12.0.0-6672")], family="rpm")
    assert made.assessment.products[0].version == "12.0.0-6672"
    assert (made.manager, made.family) == ("dnf", "rpm")


def test_answers_can_be_changed_and_taken_away() -> None:
    made = cases.case(probes={"manager": "hung", "egress": None, "roles": [{"role": "mail"}]})
    assert made.probe("manager").reason == "hung"
    assert made.probe("egress").status == "unknown"
    assert made.probe("roles").status == "ok"
    assert made.probe("quarantine").status == "absent"
