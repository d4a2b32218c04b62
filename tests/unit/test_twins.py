# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine is changed under one name only."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

from ansible_collections.evict.kaspersky.plugins.plugin_utils import twins


def test_the_first_one_gets_it_and_keeps_it(tmp_path: Path) -> None:
    assert twins.claim(tmp_path, "ID-1", "web1") == "web1"
    assert twins.claim(tmp_path, "id-1 ", "web2") == "web1"
    assert twins.claim(tmp_path, "ID-1", "web1") == "web1"
    assert twins.claim(tmp_path, "ID-2", "wéb/2") == "wéb/2"
    assert sorted(path.name[0] for path in (tmp_path / twins.FOLDER).iterdir()) != []
    assert not list((tmp_path / twins.FOLDER).glob(".*"))


def test_workers_that_come_at_once_agree(tmp_path: Path) -> None:
    with multiprocessing.get_context("fork").Pool(8) as pool:
        found = pool.starmap(twins.claim, [(tmp_path, "id", f"host{n}") for n in range(40)])
    assert len(set(found)) == 1
