# SPDX-License-Identifier: GPL-3.0-or-later
"""The breaker: after a wave, may the next one begin? Pure.

Ansible's own limits do not count unreachable hosts and know no verdicts, so the waves of a run are judged by its rows.
"""

from __future__ import annotations

import dataclasses
import typing as t
from collections.abc import Iterable, Mapping, Sequence

from .row import Row
from .verdict import SEVERITY, Verdict

EVENT: t.Final = "wave"
_NAMED: t.Final = 5  # hosts that are named in a reason
_UNTRIED: t.Final = frozenset({Verdict.NOT_ATTEMPTED, Verdict.OUT_OF_SCOPE})
# What can be said of a host that was changed only when somebody looked at it: without that it counts as failed.
_BLIND: t.Final = frozenset({Verdict.UNKNOWN, Verdict.UNREACHABLE})
# Done, and no worse for that.
_DONE: t.Final = frozenset({Verdict.REPLACED, Verdict.REPLACED_UNPROVED, Verdict.NOTHING_TO_DO, Verdict.EXCEPTED})
_BORNE: t.Final = _DONE | {Verdict.REMOVED_UNPROTECTED, Verdict.REBOOT_PENDING}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wave:
    """A wave that was judged.

    Attributes:
        number: from 1.
        hosts: host of this wave -> its verdict.
        failed: host of all waves so far that counts as failed -> why.
        worse: those of this wave among them that were well before it was left alone.
        tried: hosts of all waves so far.
        left: hosts that no wave has tried yet.
        allowed: how many may fail.
        again: the wave was looked at a second time.
        tripped: no further wave may begin.
    """

    number: int
    hosts: Mapping[str, Verdict]
    failed: Mapping[str, str]
    worse: Mapping[str, str]
    tried: int
    left: int
    allowed: str
    again: bool
    tripped: bool

    @property
    def reason(self) -> str:
        """Why no further wave begins; empty when one may."""
        if not self.tripped:
            return ""
        names = [f"{host}: {why}" for host, why in list(self.failed.items())[:_NAMED]]
        more = f" and {len(self.failed) - _NAMED} more" if len(self.failed) > _NAMED else ""
        return (
            f"the breaker stopped the run after wave {self.number}: {len(self.failed)} of {self.tried} hosts failed, "
            f"{self.allowed} may (evict_max_failures): {'; '.join(names)}{more}"
        )

    def to_dict(self) -> dict[str, t.Any]:
        """As it stands in the event `wave`."""
        return {
            "number": self.number,
            "hosts": {host: str(verdict) for host, verdict in self.hosts.items()},
            "failed": dict(self.failed),
            "worse": dict(self.worse),
            "tried": self.tried,
            "left": self.left,
            "allowed": self.allowed,
            "again": self.again,
            "tripped": self.tripped,
            "reason": self.reason,
        }


def judge(
    rows: Sequence[Row],
    before: Sequence[Mapping[str, t.Any]],
    *,
    acted: Iterable[str],
    allowed: str,
    counting: Iterable[Verdict],
    again: bool = False,
) -> Wave:
    """Judge the wave that has just ended.

    Args:
        rows: of the run so far, those of an earlier run that were taken over left out.
        before: the events `wave` of this run, in order.
        acted: hosts whose plan was to be performed.
        allowed: how many hosts may fail: a number, or a percentage of those tried.
        counting: verdicts that count as failures.
        again: the wave of the last event is judged once more.
    """
    tried = {row.host: row.verdict for row in rows if row.verdict not in _UNTRIED}
    left = sum(row.verdict is Verdict.NOT_ATTEMPTED for row in rows)
    last = before[-1] if before else {}
    again = again and bool(last)
    known = {str(host) for event in (before[:-1] if again else before) for host in event.get("hosts", {})}
    own = {host: verdict for host, verdict in tried.items() if host not in known}
    failed = dict(_counted(tried, frozenset(counting), frozenset(acted)))
    worse = _worse({str(h): str(v) for h, v in last.get("hosts", {}).items()}, own) if again else {}
    # What got worse while a wave was left alone stays told, whatever a later look says.
    for event in before:
        failed |= {str(host): str(why) for host, why in event.get("worse", {}).items() if str(host) in tried}
    failed |= worse
    return Wave(
        number=sum(not event.get("again") for event in before) + (not again),
        hosts=own,
        failed=failed,
        worse=worse,
        tried=len(tried),
        left=left,
        allowed=allowed,
        again=again,
        tripped=_too_many(len(failed), len(tried), allowed),
    )


def stopped(events: Iterable[Mapping[str, t.Any]]) -> str:
    """Why the hosts that were not tried were not, by the events `wave` of the run; empty when no breaker tripped."""
    last = [*events][-1:]
    return str(last[0].get("reason") or "") if last and last[0].get("tripped") is True else ""


def _counted(
    tried: Mapping[str, Verdict], counting: frozenset[Verdict], acted: frozenset[str]
) -> Iterable[tuple[str, str]]:
    for host, verdict in tried.items():
        if verdict in counting:
            yield host, str(verdict)
        elif verdict in _BLIND and host in acted:
            yield host, f"{verdict} after its plan had begun"


def _worse(first: Mapping[str, str], now: Mapping[str, Verdict]) -> dict[str, str]:
    """Hosts that were well when their wave ended and no longer are."""
    found = {}
    for host, verdict in now.items():
        was = first.get(host, "")
        if was not in list(_BORNE) or was == str(verdict) or verdict in _DONE:
            continue
        if SEVERITY.index(verdict) < SEVERITY.index(Verdict(was)):
            found[host] = f"{was}, then {verdict}"
    return found


def _too_many(failed: int, tried: int, allowed: str) -> bool:
    if allowed.endswith("%"):
        return failed * 100 > int(allowed[:-1]) * tried
    return failed > int(allowed)
