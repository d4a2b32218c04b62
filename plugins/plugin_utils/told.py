# SPDX-License-Identifier: GPL-3.0-or-later
"""What the evidence of one host tells of it: its row."""

from __future__ import annotations

import dataclasses
import typing as t

from . import evidence, performing, planned
from .events import Pending
from .evidence import Log
from .row import ProductRow, Row
from .verdict import Verdict

_KINDS: t.Final = {"unreachable": Verdict.UNREACHABLE, "skipped": Verdict.NOT_ATTEMPTED}
_OUTSIDE: t.Final = (Verdict.OUT_OF_SCOPE, "not selected by this run's pattern or limit")


def untried(in_scope: bool, stopped: str) -> tuple[Verdict, str]:
    """Verdict and reason of a host that nobody tried.

    Args:
        in_scope: the run was to try it.
        stopped: why the run tried no further hosts; empty where it simply ended.
    """
    return (Verdict.NOT_ATTEMPTED, stopped or "the run ended before this host had a result") if in_scope else _OUTSIDE


def row(
    host: str,
    log: Log | str | None,
    failure: tuple[str, str, str] | None,
    *,
    untried: tuple[Verdict, str],
    since: str,
    plans: planned.Plans,
) -> Row:
    """The row of a host.

    Args:
        host: inventory name.
        log: its evidence, why that proves nothing, or None where there is none.
        failure: time, kind and message of a task that failed on it.
        untried: what it is where nobody tried it.
        since: when the run was started (again).
        plans: gets its plan.
    """
    if isinstance(log, str):
        return Row(host=host, verdict=Verdict.UNKNOWN, reasons=(log,))
    scans = [r for r in log.records if r.event == "scan"] if log else []
    last = scans[-1] if scans else None
    if failure and (last is None or failure[0] > last.time):
        _dummy, kind, message = failure
        return Row(
            host=host,
            verdict=_KINDS.get(kind, Verdict.UNKNOWN),
            reasons=(message or "the run failed on it without saying why",),
        )
    if log is not None and last is not None:
        found = plans.take(_scan_row(host, last), log.records)
        if half_way := performing.half_way(log.records, last.seq):
            found = dataclasses.replace(found, verdict=Verdict.UNKNOWN, reasons=(half_way, *found.reasons))
        notes = list(found.notes)
        if last.time < since:
            notes.append(f"seen at {last.time}, before the run was started again")
        if log.cut:
            notes.append("a later record of this host was cut off while it was written")
        return dataclasses.replace(found, notes=tuple(notes))
    if log is not None:
        return Row(
            host=host,
            verdict=Verdict.UNKNOWN,
            reasons=("the run was stopped while it wrote this host's evidence: run it again",),
        )
    verdict, reason = untried
    return Row(host=host, verdict=verdict, reasons=(reason,))


def unwritten(host: str, event: Pending) -> Row:
    """A short row that came back though its evidence could not be written: kept, and marked."""
    short, message = event.data["row"], event.data["message"]
    products = tuple(ProductRow(id=str(label), family="", state="") for label in short.get("products") or ())
    return Row(
        host=host,
        verdict=Verdict(short["verdict"]),
        products=products,
        reasons=tuple(map(str, short.get("reasons") or ())),
        notes=(f"its evidence could not be written: {message}",),
    )


def _scan_row(host: str, record: evidence.Record) -> Row:
    data = record.data.get("row")
    try:
        found = Row.from_dict(data if isinstance(data, dict) else {})
    except ValueError as exc:
        return Row(host=host, verdict=Verdict.UNKNOWN, reasons=(f"its evidence holds no row that can be read: {exc}",))
    if found.host != host:
        return Row(
            host=host,
            verdict=Verdict.UNKNOWN,
            reasons=("its evidence fails verification: the row speaks of another host",),
        )
    return found
