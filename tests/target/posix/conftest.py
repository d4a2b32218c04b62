# SPDX-License-Identifier: GPL-3.0-or-later
"""The shells that stand for /bin/sh of a target in the staged roots."""

from __future__ import annotations

import shutil

import pytest

SHELLS = {"dash": ("dash",), "bash": ("bash", "--posix"), "busybox": ("busybox", "sh")}


@pytest.fixture(params=SHELLS)
def target_shell(request: pytest.FixtureRequest) -> tuple[str, ...]:
    words = SHELLS[request.param]
    if shutil.which(words[0]) is None:
        pytest.skip(f"no {words[0]} on this machine: observe.sh in it")
    return words
