# SPDX-License-Identifier: GPL-3.0-or-later
"""The text summary: a line a host, worst first, and totals that add up. Nothing a host says is live in it."""

from __future__ import annotations

import collections
import shlex
import typing as t
import unicodedata
from collections.abc import Iterable

from ..deeds import seconds
from ..ledger import Ledger, natural
from ..plain import inert
from ..row import Row
from ..verdict import SEVERITY, Verdict
from . import _deeds
from . import _plans as _fleet

__all__ = ["LIMIT", "QUIET", "clip", "found", "inert", "protection", "render", "totals", "why", "width", "worst_first"]

LIMIT: t.Final = 200  # lines for single hosts unless told otherwise
_HOST, _PRODUCTS, _WHY = 40, 48, 240  # widest columns
_STEP, _MEANING = 100, 500  # of a step that failed; what is to be done stands at the end of its meaning
_NAMED: t.Final = 5  # hosts without protection that the totals name
QUIET: t.Final = frozenset(
    {
        Verdict.ABSENT,
        Verdict.OUT_OF_SCOPE,
        Verdict.NOTHING_TO_DO,
        Verdict.REPLACED,
        Verdict.REPLACED_UNPROVED,
        Verdict.EXCEPTED,
    }
)


def width(text: str) -> int:
    """Columns a printable text takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def clip(text: str, limit: int) -> str:
    """An inert text of at most `limit` columns; a longer one ends in `...`."""
    shown = inert(text[: limit * 4])  # more can never be needed, and a host may send megabytes
    if len(text) <= limit * 4 and width(shown) <= limit:
        return shown
    kept, used = [], 0
    for char in shown:
        step = width(char)
        if used + step > limit - 3:
            break
        kept.append(char)
        used += step
    return "".join(kept) + "..."


def why(row: Row) -> str:
    """The first reason, else what a product was told by, else a note; `(+n)` says how many more there are."""
    said = row.reasons or tuple(e for p in (*row.products, *row.reported) for e in p.evidence) or row.notes
    if not said:
        return ""
    return clip(said[0], _WHY) + (f" (+{len(said) - 1})" if len(said) > 1 else "")


def totals(rows: Iterable[Row]) -> str:
    """Such as `inventory 3 = present 1 + absent 2`: it always adds up, since it is counted from the same rows."""
    count = collections.Counter(row.verdict for row in rows)
    parts = [f"{verdict} {count[verdict]}" for verdict in SEVERITY if count[verdict]]
    return f"inventory {sum(count.values())} = " + (" + ".join(parts) or "0")


def protection(rows: Iterable[Row]) -> str:
    """Such as `protection now: active 3, none 1 (web1), unknown 2`; empty where no host was asked for it."""
    asked = [row for row in rows if row.protection]
    count = collections.Counter(row.protection for row in asked)
    bare = [clip(row.host, _HOST) for row in asked if row.protection == "none"]
    names = ", ".join(bare[:_NAMED]) + (f" and {len(bare) - _NAMED} more" if len(bare) > _NAMED else "")
    parts = [f"{state} {count[state]}" for state in ("active", "none", "unknown") if count[state]]
    said = ", ".join(f"{part} ({names})" if part.startswith("none ") else part for part in parts)
    return f"protection now: {said}" if said else ""


def found(row: Row) -> str:
    """The products of a row and, marked as such, what is reported only."""
    said = ", ".join(p.label() for p in row.products)
    if row.reported:
        said += ("; " if said else "") + "reported: " + ", ".join(p.label() for p in row.reported)
    return said


def worst_first(rows: Iterable[Row]) -> list[Row]:
    """Rows in the order a reader needs them."""
    rank = {verdict: number for number, verdict in enumerate(SEVERITY)}
    return sorted(rows, key=lambda row: (rank[row.verdict], natural(row.host), row.host))


def render(ledger: Ledger, *, limit: int = LIMIT) -> str:
    """The summary.

    Args:
        ledger: the run.
        limit: most lines for single hosts; 0 for one line a host, however many. Over the limit, hosts that need no
            attention are counted instead of listed, and the rest of the list is cut with its count.
    """
    rows = worst_first(ledger.rows)
    shown = rows
    if 0 < limit < len(rows):
        shown = [row for row in rows if row.verdict not in QUIET or row.reported][:limit]
    lines = _table(shown)
    if len(shown) < len(rows):
        listed = {id(row) for row in shown}
        rest = totals(row for row in rows if id(row) not in listed).removeprefix("inventory ")
        lines.append(f"... and more hosts that are not listed here: {rest}")
    folder = shlex.quote(str(ledger.folder))
    lines += ["", totals(rows)]
    lines += [line for line in (protection(rows), _reported(rows)) if line]
    lines += _done(ledger, rows, limit)
    if ledger.plans:
        lines += _plans(ledger, limit)
    lines += [f"EVIDENCE PROBLEM: {clip(text, _WHY)}" for text in ledger.problems]
    if not ledger.complete:
        lines.append("The run did not come to its end: what is listed is what its evidence says so far.")
    if ledger.events:
        lines.append(
            f"told by the events of the job in {inert(str(ledger.folder))} (run {inert(ledger.run)}), not by evidence"
        )
        return "\n".join(lines) + "\n"
    lines.append(f"evidence: {inert(str(ledger.folder))} (run {inert(ledger.run)})")
    lines.append(f"all hosts: evict report {inert(folder)}; is it intact: evict check-evidence {inert(folder)}")
    return "\n".join(lines) + "\n"


def _reported(rows: list[Row]) -> str:
    number = sum(bool(row.reported) for row in rows)
    return f"reported besides, and never removed: something on {number} host{'s' * (number != 1)}" if number else ""


def _plans(ledger: Ledger, limit: int) -> list[str]:
    """What the plans say together, and each inhibitor with its hosts and remedies, the one of most hosts first."""
    whole = _fleet.summary(ledger)
    states = " + ".join(
        f"{words} {whole.states[name]}" for name, words, _dummy in _fleet.STATES if whole.states.get(name)
    )
    acted = _deeds.acted(ledger)  # then plans are no promise any more
    valid = f"; valid until {inert(ledger.plans.expires)}" if ledger.plans.expires and not acted else ""
    lines = [f"plans {len(ledger.plans)} = {states}; {whole.steps} steps{valid}"]
    if whole.irreversible:
        what = "was planned" if acted else "would be done"
        lines.append(f"what {what} cannot be undone on {_hosts(whole.irreversible)}")
    if whole.manual:
        lines.append(f"something stays for a person on {_hosts(whole.manual)}")
    blocking = [one for one in whole.inhibitors if one.hosts]
    for one in blocking[: limit or None]:
        lines.append(
            f"blocked by {inert(one.id)}: {clip(one.title, _WHY)}: {_hosts(len(one.hosts))} ({_names(one.hosts)})"
        )
        lines += [f"    remedy: {clip(remedy, _WHY)}" for remedy, _dummy in one.remedies.most_common(_NAMED)]
    if limit and len(blocking) > limit:
        lines.append(f"... and {len(blocking) - limit} more inhibitors")
    lines += [f"waived: {inert(one.id)} on {_hosts(one.waived)}" for one in whole.inhibitors if one.waived]
    lines.append(f"each plan in full: evict report {inert(shlex.quote(str(ledger.folder)))} --format plan")
    return lines


def _done(ledger: Ledger, rows: list[Row], limit: int) -> list[str]:
    """What was done, how long hosts had no protection, what the live tests said, and each step that failed."""
    lines = []
    whole = _deeds.summary(ledger, rows)
    if whole.hosts:
        said = f": {_deeds.steps(whole.steps)}" if whole.steps else ""
        lines.append(f"plans were begun on {_hosts(whole.hosts)}, {whole.changed} changed; steps{said or ' 0'}")
    if whole.open:
        lines.append(f"how a phase ended is not on record for {_hosts(whole.open)}")
    if whole.bare:
        lines.append(f"protection has not come back on {_hosts(len(whole.bare))} ({_names(whole.bare)})")
    if gap := _deeds.gaps(rows):
        lines.append(clip(gap, _WHY))
    if proved := _deeds.proofs(rows):
        parts = [
            f"{_deeds.PROOFS.get(name) or clip(name, _HOST)} on {_hosts(len(found))}"
            + ("" if name in ("pass", "not_applicable") else f" ({_names(found)})")
            for name, found in proved
        ]
        lines.append(f"live test: {', '.join(parts)}")
    left = limit or None
    for kind, failed in whole.failed.items():
        lines.append(f"failed by {inert(kind)}: {_hosts(len({one.host for one in failed}))}")
        for one in failed[:left]:
            code = f" (code {clip(one.code, _HOST)})" if one.code not in ("", "0") else ""
            lines.append(f"    {clip(one.host, _HOST)} {clip(one.step, _STEP)}{code}: {clip(one.meaning, _MEANING)}")
        if left is not None:
            if len(failed) > left:
                lines.append(f"    ... and {len(failed) - left} more steps")
            left = max(left - len(failed), 1)
    if whole.failed:
        lines.append("what each of these means, and what to do: docs/failures.md")
    return lines


def _names(found: t.Sequence[str]) -> str:
    names = ", ".join(clip(host, _HOST) for host in found[:_NAMED])
    return names + (f" and {len(found) - _NAMED} more" if len(found) > _NAMED else "")


def _hosts(number: int) -> str:
    return _deeds.hosts(number)


def _table(rows: list[Row]) -> list[str]:
    """The lines; what was measured and tried while hosts were changed has columns only where there is any."""
    ended = any(row.unprotected_seconds is not None or row.proof for row in rows)
    cells = [("HOST", "VERDICT", "PRODUCTS", *(("UNPROTECTED", "LIVE TEST") if ended else ()), "WHY")]
    cells += [
        (
            clip(row.host, _HOST),
            str(row.verdict),
            clip(found(row) or "-", _PRODUCTS),
            *(_ended(row) if ended else ()),
            why(row),
        )
        for row in rows
    ]
    widths = [max(width(line[column]) for line in cells) for column in range(len(cells[0]) - 1)]
    return [
        "  ".join([*(cell + " " * (w - width(cell)) for cell, w in zip(line, widths, strict=False)), line[-1]]).rstrip()
        for line in cells
    ]


def _ended(row: Row) -> tuple[str, str]:
    gap = "-" if row.unprotected_seconds is None else f"{seconds(row.unprotected_seconds)} s"
    return gap, clip(row.proof, _HOST) or "-"
