# SPDX-License-Identifier: GPL-3.0-or-later
"""A file system of its own, and a scanner on access that watches it and nothing else of the machine."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.target.posix import scanner


@contextlib.contextmanager
def file_system(where: Path) -> Iterator[Path]:
    """`watched` below a folder, while the block lasts; the test is skipped without the right to mount it.

    Args:
        where: an empty folder.
    """
    if os.geteuid() != 0:
        pytest.skip("needs root: a file system that a scanner watches")
    place = where / "watched"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755,size=4m", "evict", place], check=True)
    yield place
    subprocess.run(["umount", "-l", place], check=True)


@contextlib.contextmanager
def watching(how: str, place: Path) -> Iterator[None]:
    """The scanner, while the block lasts; the test is skipped where the kernel has no fanotify.

    Args:
        how: what it does with a file (`tests/target/posix/scanner.py`).
        place: the file system.
    """
    command = [sys.executable, scanner.__file__, how, str(place)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            process.kill()
            pytest.skip(f"no fanotify here: a scanner on access ({process.communicate()[1][-200:]})")
        try:
            yield
        finally:
            process.kill()
