# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows that a run took over from an earlier one, because it looked at its open hosts only.

They are copied into the evidence of the new run (events `merged_from` and `carried` of `run.jsonl`), so that it tells
the whole inventory even when the folder of the earlier run is gone.
"""

from __future__ import annotations

import dataclasses
import json
import os
import typing as t
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from . import events
from .files import EvidenceError, shown
from .row import Row
from .source import Source
from .verdict import Verdict

# Where the `evict` command lays down what the run is to take over; a file, for it may be the rows of a large fleet.
VARIABLE: t.Final = "EVICT_CARRIED"
_ROWS: t.Final = 100  # rows of one event
_SOURCE: t.Final = tuple(field.name for field in dataclasses.fields(Source))


@dataclasses.dataclass(frozen=True)
class Item:
    """A row of an earlier run.

    Attributes:
        run: the run that made it, which may be older than the one it was taken over from.
        time: when the host was looked at or, without a scan, when that run ended or began.
        row: the long row.
        source: of its scan; None when there was none.
        plan: the host's plan, packed (`planned.Plans.packed`); empty when there was none.
    """

    run: str
    time: str
    row: Mapping[str, t.Any]
    source: Source | None = None
    plan: str = ""

    def to_dict(self) -> dict[str, t.Any]:
        """As it stands in an event."""
        source = dataclasses.asdict(self.source) if self.source else None
        plan = {"plan": self.plan} if self.plan else {}
        return {"run": self.run, "time": self.time, "row": dict(self.row), "source": source, **plan}

    def judged(self, host: str) -> Row:
        """The row, with a note that says where it comes from."""
        try:
            row = Row.from_dict(self.row)
        except ValueError as exc:
            return Row(host=host, verdict=Verdict.UNKNOWN, reasons=(f"the row taken over cannot be read: {exc}",))
        return dataclasses.replace(row, notes=(*row.notes, f"from the run {self.run} of {self.time}: not run again"))


def pack(items: Sequence[Item], merged_from: Mapping[str, t.Any]) -> Iterator[tuple[str, dict[str, t.Any]]]:
    """The events that take rows over: first which ones, then the rows, so that a cut one shows.

    Args:
        items: the rows.
        merged_from: of the earlier run, see schemas/evidence-1.json; its `hosts` are added here.
    """
    yield "merged_from", {**merged_from, "hosts": [str(item.row["host"]) for item in items]}
    for at in range(0, len(items), _ROWS):
        part = [item.to_dict() for item in items[at : at + _ROWS]]
        yield "carried", {"run": str(merged_from["run"]), "rows": part}


def handed_over() -> Iterator[tuple[str, dict[str, t.Any]]]:
    """The events that the `evict` command laid down for this run, if it did.

    Raises:
        EvidenceError: they cannot be read.
    """
    path = os.environ.get(VARIABLE, "")
    if not path:
        return
    try:
        with Path(path).open(encoding="ascii") as stream:
            for line in stream:
                event, data = json.loads(line)
                yield str(event), dict(data)
    except (OSError, ValueError) as exc:
        raise EvidenceError(f"cannot read the rows of the earlier run in {shown(path)}: {exc}") from exc


def of(log: Iterable[events.Event]) -> dict[str, Item | None]:
    """Host -> the row that was taken over for it; None where it should have been and is not there."""
    found: dict[str, Item | None] = {}
    for event in log:
        if event.event == "merged_from":
            found = dict.fromkeys(events.names(event.data.get("hosts")))
        elif event.event == "carried" and isinstance(event.data.get("rows"), list):
            for entry in event.data["rows"]:
                if isinstance(entry, dict) and isinstance(entry.get("row"), dict):
                    found[str(entry["row"].get("host"))] = _item(entry)
    return found


def row(host: str, item: Item | None) -> Row:
    """The row of a host that was not run again."""
    if item is not None:
        return item.judged(host)
    why = "the run was stopped before it had taken over this host's row from the earlier run"
    return Row(host=host, verdict=Verdict.NOT_ATTEMPTED, reasons=(why,))


def _item(entry: Mapping[str, t.Any]) -> Item:
    given = entry.get("source")
    source = Source(**{name: str(given.get(name, "")) for name in _SOURCE}) if isinstance(given, dict) else None
    return Item(
        str(entry.get("run", "")), str(entry.get("time", "")), entry["row"], source, str(entry.get("plan") or "")
    )
