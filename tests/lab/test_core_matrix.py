# SPDX-License-Identifier: GPL-3.0-or-later
"""Unit tests, end-to-end tests and an audit on every supported core. The work is done by tests/matrix."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess

import pytest

from tests import tree

# Judgement over generated hosts and names, and what is no Python of ours (PowerShell, these tests' own order), has run
# in this environment; no core has a part in it.
_PURE = (
    "fuzz",
    "fuzz_plans",
    "planner_properties",
    "planner_hosts",
    "inhibitors",
    "catalog",
    "catalog_entries",
    "catalog_names_linux",
    "literals",
    "providers",
    "cover",
    "compare",
    "layers",
    "powershell",
    "side_by_side",
)
# Whole runs in which core does its part: plugins, connections, check mode, strategies. Reports, files and refusals of
# settings are plain Python, which the unit tests look at on each core.
_RUNS = " ".join(f"tests/e2e/test_{name}.py" for name in ("scan", "plan", "perform", "prove", "verify", "waves"))


@pytest.mark.slow
@pytest.mark.parametrize("core", ["2.16", "2.19", "2.21"])
def test_core(core: str) -> None:
    # All tests have just run on the core of this environment; what is left to be seen is its wheel.
    same = importlib.metadata.version("ansible-core").startswith(f"{core}.")
    done = subprocess.run(
        [tree.ROOT / "tests" / "matrix", core, *(f"--ignore=tests/unit/test_{name}.py" for name in _PURE)],
        env={
            **os.environ,
            "EVICT_MATRIX_TESTS": "tests/e2e/test_scan.py tests/e2e/test_plan.py" if same else f"tests/unit {_RUNS}",
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=2400,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-20000:]
    assert f"[core {core}." in done.stdout
    assert "audit of this machine: right" in done.stdout
    assert re.search(r"\b[1-9]\d* passed", done.stdout), done.stdout[-2000:]
    print("\n".join(line for line in done.stdout.splitlines() if "passed" in line or "core " in line))
