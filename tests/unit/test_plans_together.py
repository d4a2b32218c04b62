# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans that many workers write at once: every one whole, folder and files private, nothing temporary left."""

from __future__ import annotations

import dataclasses
import os
import stat
from pathlib import Path

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import planner, plans
from ansible_collections.evict.kaspersky.plugins.plugin_utils.files import EvidenceError
from ansible_collections.evict.kaspersky.plugins.plugin_utils.plan import Plan
from tests import cases

WORKERS = 50


def together(folder: Path, made: list[Plan]) -> list[int]:
    """Write each plan in a process of its own, all at once; their exit codes."""
    ready, go = os.pipe()
    workers = []
    for plan in made:
        if (pid := os.fork()) == 0:
            code = 1
            try:
                os.close(go)
                os.read(ready, 1)  # ends for all of them when the other end is closed
                plans.write(folder, plan)
                code = 0
            finally:
                os._exit(code)
        workers.append(pid)
    os.close(go)
    os.close(ready)
    return [os.waitpid(pid, 0)[1] for pid in workers]


def test_fifty_hosts_at_once(tmp_path: Path) -> None:
    plan = planner.plan(cases.case())
    made = [dataclasses.replace(plan, host=f"host{number}") for number in range(WORKERS)]
    assert together(tmp_path, made) == [0] * WORKERS
    for one in made:
        assert plans.read(tmp_path, one.host) == one
    there = list((tmp_path / plans.FOLDER).iterdir())
    assert len(there) == WORKERS
    assert {stat.S_IMODE(path.stat().st_mode) for path in there} == {0o600}
    assert stat.S_IMODE((tmp_path / plans.FOLDER).stat().st_mode) == 0o700


def test_one_host_planned_by_fifty_ends_as_one_of_them(tmp_path: Path) -> None:
    plan = planner.plan(cases.case())
    made = [dataclasses.replace(plan, notes=(f"made by {number}",)) for number in range(WORKERS)]
    assert together(tmp_path, made) == [0] * WORKERS
    assert plans.read(tmp_path, plan.host) in made
    assert [path.name for path in (tmp_path / plans.FOLDER).iterdir()] == [f"{plan.host}.json"]


@pytest.mark.parametrize("fault", ["link", "file", "gone"])
def test_a_folder_that_cannot_take_plans_is_named(tmp_path: Path, fault: str) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    if fault == "link":
        (folder / plans.FOLDER).symlink_to(tmp_path)
    elif fault == "file":
        (folder / plans.FOLDER).write_text("")
    else:
        folder.rmdir()
    with pytest.raises(EvidenceError, match=r"cannot make the folder .*run/plans"):
        plans.write(folder, planner.plan(cases.case()))
    assert [path.name for path in tmp_path.iterdir()] == ([] if fault == "gone" else ["run"])
