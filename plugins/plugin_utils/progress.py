# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a run has come, in one line: hosts done by verdict, and the step that takes longest.

The steps under way stand in files of the run folder, one a host, which `perform` writes; they are no evidence.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from .hostfile import host_of
from .report import text
from .run import PROGRESS
from .verdict import SEVERITY

EVERY = 15.0  # seconds between two lines
_LIMIT = 4096  # bytes of such a file


@dataclasses.dataclass(frozen=True)
class Step:
    """What is being done to a host: the phase, the step, and since when (seconds of the clock)."""

    host: str
    phase: str
    name: str
    since: float


def tell(path: Path, phase: str, step: str) -> None:
    """Say what is being done, for whoever shows the progress (`running`); what cannot be written is not shown.

    Args:
        path: the file, as `RunFolder.progress` gives it.
        phase, step: under way from now on.
    """
    with contextlib.suppress(OSError):
        path.write_text(f"{phase} {step} {int(time.time())}\n", encoding="utf-8")


def running(folder: Path) -> list[Step]:
    """The steps under way, that of the longest first. What cannot be read is left out: it is for the eye only."""
    found = []
    try:
        entries = sorted(os.scandir(folder / PROGRESS), key=lambda entry: entry.name)
    except OSError:
        return []
    for entry in entries:
        try:
            with open(os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as stream:
                words = stream.read(_LIMIT).decode("utf-8", "replace").split()
            if len(words) > 2:
                found.append(Step(host_of(entry.name) or entry.name, words[0], " ".join(words[1:-1]), float(words[-1])))
        except (OSError, ValueError):
            continue
    return sorted(found, key=lambda step: step.since)


def line(hosts: int, done: Mapping[str, str], steps: Iterable[Step], now: float) -> str:
    """The line.

    Args:
        hosts: of the run.
        done: host -> verdict, of those that have their row.
        steps: under way, that of the longest first.
        now: seconds of the clock.
    """
    count = collections.Counter(done.values())
    known = [str(verdict) for verdict in SEVERITY if str(verdict) in count]
    said = ", ".join(f"{verdict} {count[verdict]}" for verdict in known)
    words = f"progress: {len(done)} of {hosts} hosts done" + (f" ({said})" if said else "")
    working = list(steps)
    if working:
        first = working[0]
        more = f", {len(working)} hosts at work" if len(working) > 1 else ""
        words += f"; longest: {first.host} {first.phase} {first.name} for {_span(now - first.since)}{more}"
    return text.inert(words)


def _span(seconds: float) -> str:
    whole = max(0, int(seconds))
    return f"{whole} s" if whole < 120 else f"{whole // 60} min"
