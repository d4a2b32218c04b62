# SPDX-License-Identifier: GPL-3.0-or-later
"""All that a list of processes shows, looked at all the time: of this machine and of every lab host on it.

    with Samples(path) as samples:
        ...
    samples.seen()                              # what each process was called with, and its environment

As a program, ``sampling.py FILE`` looks until its stdin ends. What is shorter than one round is not seen; a round takes
a tenth of a second on a machine with some hundred processes.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType


@dataclass(frozen=True)
class Sample:
    """What a process showed.

    Attributes:
        kind: `cmdline` or `environ`.
        pid: of the process, by the machine's count.
        space: its namespace of processes; each lab host has one of its own.
        data: arguments or variables, each ended by a NUL.
    """

    kind: str
    pid: int
    space: str
    data: bytes

    @property
    def words(self) -> list[str]:
        """The arguments."""
        return self.data.decode("utf-8", "surrogateescape").rstrip("\0").split("\0")


def look(found: dict[tuple[str, int, bytes], Sample]) -> None:
    """One round over all processes.

    Args:
        found: gets what is new.
    """
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            # Again in each round: a process that runs another program keeps its number.
            data = Path("/proc", name, "cmdline").read_bytes()
            if ("cmdline", int(name), data) in found:
                continue
            space = os.readlink(f"/proc/{name}/ns/pid")
            found["cmdline", int(name), data] = Sample("cmdline", int(name), space, data)
            data = Path("/proc", name, "environ").read_bytes()
            found["environ", int(name), data] = Sample("environ", int(name), space, data)


class Samples:
    """Looks from its entry to its exit."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Samples:
        self._process = subprocess.Popen([sys.executable, __file__, str(self._path)], stdin=subprocess.PIPE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.communicate()
        assert self._process.returncode == 0

    def seen(self) -> tuple[int, list[Sample]]:
        """Number of rounds, and all samples."""
        rounds, samples = json.loads(self._path.read_text())
        return rounds, [Sample(kind, pid, space, data.encode("latin-1")) for kind, pid, space, data in samples]


def main(path: Path) -> None:
    """Look until stdin ends, then write what was seen."""
    os.nice(-10)
    found: dict[tuple[str, int, bytes], Sample] = {}
    rounds = 0
    while not select.select([sys.stdin], [], [], 0.01)[0]:
        look(found)
        rounds += 1
    rows = [(one.kind, one.pid, one.space, one.data.decode("latin-1")) for one in found.values()]
    path.write_text(json.dumps((rounds, rows)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
