# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps on the way to a host, and what was seen on each; the words and remedies are those of a run's rows."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t
from collections.abc import Sequence

from ansible_collections.evict.kaspersky.plugins.plugin_utils import trouble
from ansible_collections.evict.kaspersky.plugins.plugin_utils.trouble import Trouble

OK: t.Final = "ok"
WARNING: t.Final = "warning"
FAILED: t.Final = "failed"
NOT_TRIED: t.Final = "not tried"
NOT_CHECKED: t.Final = "not checked"

SSH: t.Final = ("name", "port", "host key", "login", "shell", "privilege", "clock")
SSH_WINDOWS: t.Final = ("name", "port", "host key", "login", "shell", "powershell", "privilege", "clock")
WINRM: t.Final = ("name", "port", "tls", "login", "powershell", "privilege", "clock")
SKEW: t.Final = 300  # seconds; Kerberos refuses more

REACHABLE: t.Final = "reachable"
UNREACHABLE: t.Final = "unreachable"
UNKNOWN: t.Final = "unknown"


@dataclasses.dataclass(frozen=True)
class Finding:
    """One step: its name, OK, WARNING, FAILED, NOT_TRIED or NOT_CHECKED, what was seen, and the remedy."""

    step: str
    status: str
    seen: str = ""
    remedy: str = ""


class Stop(Exception):
    """A step failed, so that the later ones are not tried."""

    def __init__(self, step: str, found: Trouble, remedy: str = "", seen: str = "") -> None:
        """
        Args:
            step: which step.
            found: why, in the vocabulary of a run.
            remedy: one that knows more than that of `found`.
            seen: what was seen, when the words of `found` do not tell.
        """
        super().__init__(found.text)
        self.step, self.found = step, found
        words = found.text.removeprefix(f"{found.cause}: ")
        common, _, said = words.partition(" (")
        self.remedy = remedy or common
        self.seen = seen or said.removesuffix(")") or common


class Way:
    """The findings on the way to one host, as they come."""

    def __init__(self, steps: Sequence[str]) -> None:
        self.steps = tuple(steps)
        self._found: dict[str, Finding] = {}
        self.verdict = REACHABLE

    def note(self, step: str, seen: str, status: str = OK, remedy: str = "") -> None:
        """A step that is done; later words on it are added."""
        old = self._found.get(step)
        if old is not None:
            seen = "; ".join(filter(None, [old.seen, seen]))
            status = old.status if status == OK else status
            remedy = remedy or old.remedy
        self._found[step] = Finding(step, status, seen, remedy)

    def stop(self, stop: Stop) -> None:
        """The step that failed."""
        self.verdict = str(stop.found.verdict)
        old = self._found.get(stop.step)
        seen = "; ".join(filter(None, [old.seen if old else "", stop.seen]))
        self._found[stop.step] = Finding(stop.step, FAILED, seen, stop.remedy)
        if stop.step not in self.steps:
            self.steps = (stop.step, *self.steps)

    def findings(self) -> list[Finding]:
        """All steps in order."""
        failed = any(f.status == FAILED for f in self._found.values())
        rest = NOT_TRIED if failed else NOT_CHECKED
        return [self._found.get(step) or Finding(step, rest) for step in self.steps]

    def clock(self, theirs: float, ours: float, *, kerberos: bool) -> None:
        """Compare the clocks.

        Args:
            theirs, ours: seconds since 1970.
            kerberos: the login needs equal clocks.

        Raises:
            Stop: it does, and they differ too much.
        """
        skew = round(theirs - ours)
        words = f"{abs(skew)} s {'ahead of' if skew > 0 else 'behind'} the controller" if skew else "as the controller"
        remedy = "set the clock (NTP): Kerberos refuses more than 5 minutes, and times in evidence mislead"
        if abs(skew) <= SKEW:
            self.note("clock", words)
        elif kerberos:
            raise Stop("clock", Trouble(trouble.connection("").verdict, "login", f"login: {words}"), remedy, words)
        else:
            self.note("clock", words, WARNING, remedy)


def iso(text: str) -> float:
    """Seconds since 1970 of a time in UTC such as 2024-01-03T10:00:00.

    Raises:
        ValueError: it is none.
    """
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC).timestamp()
