# SPDX-License-Identifier: GPL-3.0-or-later
"""The Debian roots that lend a Python to machines which lack it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests import tree

PYROOT = tree.ROOT / "tests" / "lab" / "pyroot"


def run(version: str, script: str, *, code: int = 0) -> str:
    """Run a script in the root and return what it printed."""
    command = [str(PYROOT), "run", version, "--", "sh", "-euc", script]
    done = subprocess.run(command, cwd=tree.ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("version", ["3.11", "3.13"])
def test_python_of_that_version_with_venv_and_packages(version: str) -> None:
    # pip warns on stdout about an index that lacks the package, where a machine has several
    install = "python3 -m venv /tmp/v; /tmp/v/bin/pip install -q PyYAML >&2"
    assert run(version, f"{install}; /tmp/v/bin/python -c 'import yaml, sys; print(sys.version)'").startswith(
        f"{version}."
    )


def test_checkout_is_there_and_stays_as_it_is() -> None:
    assert run("3.11", "pwd; touch written-in-the-root; ls pyproject.toml") == f"{tree.ROOT}\npyproject.toml\n"
    assert not (tree.ROOT / "written-in-the-root").exists()


def test_exit_code_and_nothing_left() -> None:
    before = Path("/proc/self/mounts").read_text()
    assert run("3.13", "sleep 1000.25 & exit 7", code=7) == ""
    assert Path("/proc/self/mounts").read_text() == before
    processes = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert "sleep 1000.25" not in processes.splitlines()


def test_an_ordinary_user() -> None:
    assert run("3.11", "runuser -u newcomer -- sh -c 'id -un; git --version >&2; make --version >&2'") == "newcomer\n"


def test_other_versions_are_refused() -> None:
    done = subprocess.run([str(PYROOT), "run", "3.9", "--", "true"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "pyroot: 3.11 or 3.13, not '3.9'\n")
