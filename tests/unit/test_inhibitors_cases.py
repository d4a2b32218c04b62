# SPDX-License-Identifier: GPL-3.0-or-later
"""Each inhibitor: what it fires on, and the nearest thing that it must let pass."""

from __future__ import annotations

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import inhibitors
from ansible_collections.evict.kaspersky.plugins.plugin_utils.plan import Hit
from tests import cases
from tests.inhibiting import covers, hosts, products
from tests.inhibiting.shared import Args

ROWS = [*products.ROWS, *hosts.ROWS, *covers.ROWS]


def hits(args: Args) -> dict[str, Hit]:
    return {hit.id: hit for hit in inhibitors.find(cases.case(**args))}


@pytest.mark.parametrize(
    ("id", "fires", "words", "passes"), [pytest.param(*row, id=f"{n}-{row[0]}") for n, row in enumerate(ROWS)]
)
def test_what_fires_and_what_passes(id: str, fires: Args, words: str, passes: Args) -> None:
    found = hits(fires)
    assert id in found, sorted(found)
    assert words in found[id].diagnosis
    assert found[id].remedy
    assert id not in hits(passes), hits(passes)[id].diagnosis


def test_every_inhibitor_of_one_host_is_in_the_table() -> None:
    fleet = {"duplicate_machine_id"}  # no host can see that alone, see test_inhibitors.py
    assert {row[0] for row in ROWS} == set(inhibitors.IDS) - fleet
