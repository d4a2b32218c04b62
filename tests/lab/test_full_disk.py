# SPDX-License-Identifier: GPL-3.0-or-later
"""A full disk under the evidence: named, and no row lost. Needs a mount, so it is a lab test."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import test_evict as cli
from tests.e2e.test_canary_plan import KESL, answer


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of three pages: room for the folders and the first events, for nothing more."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12k,mode=700", "evidence", str(disk)], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_full_disk_is_named_and_no_row_is_lost(small_disk: Path, tmp_path: Path) -> None:
    hosts = cli.inventory(tmp_path, **dict.fromkeys(("a", "b", "c", "d", "e", "f"), cli.PRESENT))
    done = cli.evict(tmp_path, "audit", "-i", hosts, "--out", str(small_disk / "run"))
    assert done.code == 1, done.out
    assert str(small_disk / "run") in done.out
    assert "No space left" in done.out
    assert "Traceback" not in done.out
    for host in "abcdef":
        assert any(line.split()[:2] == [host, "present"] for line in done.out.splitlines()), done.out


@pytest.mark.parametrize("pages", [3, 12, 30])
def test_a_plan_run_on_a_full_disk_loses_no_row(tmp_path: Path, pages: int) -> None:
    """The disk is full at the first events, among the plans, or at the reports; what is said is the same."""
    disk = tmp_path / "disk"
    disk.mkdir()
    size = f"size={4 * pages}k,mode=700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "evidence", str(disk)], check=True)
    try:
        hosts = cli.inventory(tmp_path, **{name: answer(number, KESL) for number, name in enumerate("abcdef", 1)})
        settings = {"evict_replacement": {"linux": "clamav"}, "evict_fallback": {"linux": "none"}, "evict_hosts": "all"}
        consent = {"evict_consent": ["remove", "unprotected"]}
        given = ("-i", hosts, "-e", json.dumps(settings | consent), "--out", str(disk / "run"))
        done = cli.evict(tmp_path, "plan", *given)
        assert done.code == 1, done.out
        assert str(disk / "run") in done.out
        assert "No space left" in done.out
        assert "Traceback" not in done.out
        for host in "abcdef":
            assert any(line.split()[:1] == [host] and " present" in line for line in done.out.splitlines()), done.out
        # No half of a plan lies there for somebody to approve.
        for path in [*(disk / "run" / "plans").glob("*.json"), *(disk / "run").glob("plan.json")]:
            json.loads(path.read_text())
        assert not (disk / "run" / "manifest.json").exists()
    finally:
        subprocess.run(["umount", str(disk)], check=True)
