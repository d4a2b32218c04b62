# SPDX-License-Identifier: GPL-3.0-or-later
"""A full disk under the evidence: named, and no row lost. Needs a mount, so it is a lab test."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import test_evict as cli


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
