# SPDX-License-Identifier: GPL-3.0-or-later
"""What the events of a run say of its hosts, whether they are on the disk or could not be written."""

from __future__ import annotations

import dataclasses
import typing as t
from collections.abc import Iterable

from . import evidence


@dataclasses.dataclass(frozen=True)
class Pending:
    """An event of the run that could not be written and is kept in memory."""

    event: str
    data: t.Mapping[str, t.Any]
    time: str = dataclasses.field(default_factory=evidence.now)


Event: t.TypeAlias = evidence.Record | Pending


def hosts(events: Iterable[Event]) -> tuple[list[str], list[str]]:
    """Inventory and scope; the last word counts."""
    inventory: list[str] = []
    scope: list[str] = []
    for event in events:
        if event.event == "hosts":
            inventory, scope = names(event.data.get("inventory")), names(event.data.get("scope"))
    return inventory, scope


def names(value: object) -> list[str]:
    """A list of names of an event; empty when it is none."""
    return [str(name) for name in value] if isinstance(value, list) else []


def failures(events: Iterable[Event], since: str) -> dict[str, tuple[str, str, str]]:
    """Host -> time, kind and message of its last failure in this attempt."""
    return {
        str(e.data.get("host", "")): (e.time, str(e.data.get("kind", "")), str(e.data.get("message", "")))
        for e in events
        if e.event == "host_failed" and e.time >= since
    }
