# SPDX-License-Identifier: GPL-3.0-or-later
"""A line every few seconds while a playbook runs: how far it has come, from what its callback tells."""

from __future__ import annotations

import threading
import time
import typing as t
from collections.abc import Callable, Mapping
from pathlib import Path

from ansible_collections.evict.kaspersky.plugins.plugin_utils import progress


def _print(line: str) -> None:
    print(line, flush=True)


class Watch:
    """Hears the facts of a run, and says how far it has come."""

    def __init__(self, every: float = progress.EVERY, say: Callable[[str], None] = _print) -> None:
        """
        Args:
            every: seconds between two lines.
            say: shows a line.
        """
        self._every = every
        self._say = say
        self._folder: Path | None = None
        self._hosts = 0
        self._done: dict[str, str] = {}
        self._last = ""
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._end.set()
        self._thread.join(timeout=2)

    def hear(self, fact: Mapping[str, t.Any]) -> None:
        """A fact that the callback told."""
        if isinstance(fact.get("folder"), str):
            self._folder = Path(fact["folder"])
        if isinstance(fact.get("hosts"), int):
            self._hosts = fact["hosts"]
        match fact.get("done"):
            case [str(host), str(verdict)]:
                self._done[host] = verdict
        if "ended" in fact:  # the callback shows the summary next, and Ansible takes its time to end
            self._end.set()

    def line(self, now: float) -> str:
        """The line of now; empty while there is nothing to tell."""
        if self._folder is None or not self._hosts:
            return ""
        return progress.line(self._hosts, dict(self._done), progress.running(self._folder), now)

    def _run(self) -> None:
        while not self._end.wait(self._every):
            said = self.line(time.time())
            if said and said != self._last:
                self._last = said
                self._say(said)
