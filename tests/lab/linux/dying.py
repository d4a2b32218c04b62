# SPDX-License-Identifier: GPL-3.0-or-later
"""A job on a lab host as the host itself has it: journal, processes, and what is to die when it reaches a step."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .lab import Host, LabError

PLACE = "var/lib/evict.kaspersky/jobs"
END = "(end)"  # after the last step


@dataclass(frozen=True)
class Line:
    """A line of a journal: its event, and its fields in plain text."""

    event: str
    fields: dict[str, str]

    @classmethod
    def of(cls, text: str) -> Line:
        """Read a line."""
        event, *words = text.removesuffix(" .").split(" ")
        fields = {}
        for word in words:
            key, mark, value = word.partition("=") if "=" in word else word.partition(":")
            fields[key] = bytes.fromhex(value).decode() if mark == ":" else value
        return cls(event, fields)


class Watched:
    """The commit of a host, looked at through the root of its first process, without a trace on the host."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._root = Path()
        self._known: dict[str, int] = {}
        self.look()

    def look(self) -> None:
        """Find the host's root; again after each of its starts."""
        self._root = Path("/proc", self.host.lab.fleet("pid", self.host.name).stdout.strip(), "root")

    def files(self, name: str) -> list[Path]:
        """Files of this name in the folders of commits."""
        try:
            return sorted((self._root / PLACE).glob(f"*/commit/{name}"))
        except OSError:
            return []

    def lines(self) -> list[Line]:
        """The whole lines of the journal of the commit."""
        found: list[Line] = []
        for file in self.files("journal"):
            try:
                text = file.read_text()
            except OSError:
                continue
            found += [Line.of(line) for line in text.splitlines() if line.endswith(" .")]
        return found

    def reached(self, step: str) -> bool:
        """Has the step begun? END: has the job closed?"""
        if step == END:
            return self.closed()
        return any(line.event == "begin" and line.fields.get("id") == step for line in self.lines())

    def closed(self) -> bool:
        """Has the job reached its end?"""
        return any(line.event == "close" for line in self.lines())

    def when(self, step: str, then: Callable[[], None], patience: float = 900) -> None:
        """Wait until the job has come to a step, and do something at once.

        Raises:
            LabError: it never came there, or was further already.
        """
        end = time.monotonic() + patience
        while not self.reached(step):
            if time.monotonic() > end:
                raise LabError(f"{self.host.name}: the job did not come to {step} within {patience:.0f} s")
            self._performer()
            time.sleep(0.05)
        then()

    def kill_performer(self) -> None:
        """SIGKILL to the shell that performs the job; what it had started lives on, as it does on any host.

        Raises:
            LabError: it is not there.
        """
        self._signal(signal.SIGKILL)

    def hold(self) -> None:
        """Let it stand still where it is; its journal stays as it is, and it holds the lock.

        Raises:
            LabError: it is not there.
        """
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """After `hold`."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if (pid := self._performer()) is None:
            raise LabError(f"{self.host.name}: nobody performs the job")
        os.kill(pid, number)

    def _performer(self) -> int | None:
        """Its number outside of the host; looked for as soon as it has said its own, since a look takes a while."""
        for file in self.files("pid"):
            try:
                inner = file.read_text().split()[0]
            except (OSError, IndexError):
                continue
            if inner not in self._known:
                for status in Path("/proc").glob("[0-9]*/status"):
                    if _is(status, inner, self._root):
                        self._known[inner] = int(status.parent.name)
            return self._known.get(inner)
        return None


def _is(status: Path, inner: str, root: Path) -> bool:
    """Has the process this number in its own namespace, and this root?"""
    try:
        (numbers,) = (line.split()[1:] for line in status.read_text().splitlines() if line.startswith("NSpid:"))
        return len(numbers) > 1 and numbers[-1] == inner and os.path.samefile(status.with_name("root"), root)
    except (OSError, ValueError):
        return False  # it has just ended
