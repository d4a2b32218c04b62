# SPDX-License-Identifier: GPL-3.0-or-later
"""Unit tests, end-to-end tests and an audit on every supported core. The work is done by tests/matrix."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess

import pytest

from tests import tree


@pytest.mark.slow
@pytest.mark.parametrize("core", ["2.16", "2.19", "2.21"])
def test_core(core: str) -> None:
    # The unit tests have just run on the core of this environment; its wheel and the end-to-end tests are to be seen.
    same = importlib.metadata.version("ansible-core").startswith(f"{core}.")
    done = subprocess.run(
        [tree.ROOT / "tests" / "matrix", core],
        env={**os.environ, "EVICT_MATRIX_TESTS": "tests/e2e" if same else "tests/unit tests/e2e"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1500,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-20000:]
    assert f"[core {core}." in done.stdout
    assert "audit of this machine: right" in done.stdout
    assert re.search(r"\b[1-9]\d* passed", done.stdout), done.stdout[-2000:]
    print("\n".join(line for line in done.stdout.splitlines() if "passed" in line or "core " in line))
