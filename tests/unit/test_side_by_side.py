# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests side by side: a file's tests share a process, and with it their hosts; so do those of half the Linux lab."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LAB = "tests/lab/linux"
FILES = (f"{LAB}/test_a.py", f"{LAB}/test_b.py", f"{LAB}/test_prove_a.py", "tests/unit/test_c.py")
TEST = """
import os, pathlib, time, pytest
@pytest.mark.parametrize("number", range(6))
def test_it(number):
    time.sleep(0.05)
    pathlib.Path(os.environ["SEEN"], f"{pathlib.Path(__file__).stem}-{os.getpid()}").touch()
"""


def test_groups(tmp_path: Path) -> None:
    """In a run of their own: as tests/run starts it, with the scheduling of tests/conftest.py."""
    options = next(line for line in (ROOT / "tests/run").read_text().splitlines() if "--dist" in line)
    words = options.partition('"$jobs" --dist ')[2].partition(' "$@"')[0].split()
    for name in FILES:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(TEST)
    (tmp_path / "conftest.py").write_text("from tests.conftest import pytest_xdist_make_scheduler\n")
    (tmp_path / "seen").mkdir()
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", *words, "--import-mode=importlib", "."],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "SEEN": str(tmp_path / "seen"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    seen: dict[str, set[str]] = {}
    for file in (tmp_path / "seen").iterdir():
        stem, _, pid = file.name.partition("-")
        seen.setdefault(stem, set()).add(pid)
    assert sorted(seen) == ["test_a", "test_b", "test_c", "test_prove_a"]
    assert all(len(pids) == 1 for pids in seen.values()), seen
    assert seen["test_a"] == seen["test_b"] != seen["test_prove_a"]
