# SPDX-License-Identifier: GPL-3.0-or-later
"""tests/conftest.py: no skip in silence, and none in CI. Run on a small tree of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import tree


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A tree with one test in each place that matters."""
    root = tmp_path / "project"
    for name, text in {
        "unit/test_a.py": "import pytest\ndef test_ok(): pass\ndef test_tool(): pytest.skip('no such tool')\n",
        "unit/test_b.py": "import pytest\ndef test_kit(): pytest.skip('no PowerShell kit (here): parser')\n",
        "unit/test_c.py": "import pytest\npytest.skip('no such library', allow_module_level=True)\n",
        "lab/linux/test_l.py": "def test_l(): pass\n",
        "lab/windows/test_w.py": "def test_w(): pass\n",
        "lab/test_o.py": "def test_o(): pass\n",
    }.items():
        path = root / "tests" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    shutil.copy(tree.ROOT / "tests" / "conftest.py", root / "tests" / "conftest.py")
    (root / "pytest.ini").write_text("[pytest]\n")
    return root


def run(root: Path, *arguments: str, **variables: str) -> tuple[int, str]:
    """Run pytest on the small tree; exit code and output."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("EVICT_", "PYTEST_"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--basetemp={root / 'tmp'}", *arguments],
        cwd=root,
        env={**clean, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def test_each_reason_is_named_once_and_counted(small: Path) -> None:
    code, out = run(small)
    lines = [line for line in out.splitlines() if line.startswith("skipped: ")]
    assert lines == [
        "skipped: Linux lab (set LAB=1, needs root): 1 test",
        "skipped: Windows lab (set LAB=1, needs root): 1 test",
        "skipped: further labs: cores, mixed fleet, newcomer (set LAB=1, needs root): 1 test",
        "skipped: no PowerShell kit (here): parser: 1 test",
        "skipped: no such library: 1 test",
        "skipped: no such tool: 1 test",
    ]
    assert re.search(r"\b1 passed, 6 skipped\b", out)
    assert code == 0


def test_ci_takes_a_skip_for_a_failure(small: Path) -> None:
    code, out = run(small, "--continue-on-collection-errors", EVICT_CI="1")
    assert code == 1
    assert "skipped, which CI does not allow: no such tool" in out
    assert "skipped, which CI does not allow: no such library" in out
    assert "skipped, which CI does not allow: Linux lab" in out
    assert [line for line in out.splitlines() if line.startswith("skipped: ")] == [
        "skipped: no PowerShell kit (here): parser: 1 test"
    ]
    # Skipped before it began or on import: an error. While it ran: a failure. The kit is the only skip left.
    assert re.search(r"\b1 failed, 1 passed, 1 skipped, 4 errors\b", out)


@pytest.mark.skipif(os.geteuid() != 0, reason="the labs run as root only: what EVICT_LAB=1 does as root")
def test_labs_run_when_they_are_asked_for(small: Path) -> None:
    code, out = run(small, "tests/lab", EVICT_LAB="1")
    assert code == 0
    assert "3 passed" in out
