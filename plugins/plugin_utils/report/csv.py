# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows as CSV for a spreadsheet: a line a host, in natural order of names. docs/reports.md describes the columns.

Nothing a host says becomes a formula or a line of its own. The text is altered for that; what has to be exact is in
`rows.json`.
"""

from __future__ import annotations

import csv
import io
import re
import typing as t
from collections.abc import Iterable, Iterator

from ..deeds import outcomes, seconds
from ..hostfile import file_name
from ..ledger import Ledger
from ..row import ProductRow, Row
from ..run import HOSTS
from .text import inert

# Excel takes UTF-8 for the code page of the machine unless the file begins with a byte order mark.
ENCODING: t.Final = "utf-8-sig"
# New columns are added at the end; none is renamed or moved.
COLUMNS: t.Final = (
    "host",
    "verdict",
    "platform",
    "protection",
    "protected_by",
    "products",
    "reported",
    "reasons",
    "unknown_probes",
    "notes",
    "facts",
    "product_evidence",
    "scanned",
    "run",
    "observation_digest",
    "evidence_file",
    "plan_state",
    "plan_digest",
    "plan_steps",
    "plan_inhibitors",
    "plan_waived",
    "plan_replacement",
    "plan_seconds_unprotected",
    "plan_expires",
    "unprotected_seconds",
    "proof",
    "steps_done",
    "steps_failed",
)
CELL: t.Final = 32_000  # characters; a cell of Excel holds 32,767
_CLIPPED: t.Final = " ... (cut, see rows.json)"
# What spreadsheets take for the begin of a formula, wide forms included. A separator inside a text counts as the begin
# of a cell, too, for a program may split at another one than the comma.
_FORMULA: t.Final = re.compile(r"""(^|[;,|])([\s"']*)(?=[=+\-@\uff1d\uff0b\uff0d\uff20])""")


def render(ledger: Ledger, *, limit: int = 0) -> str:
    """All rows; the limit is for readers of lines, not for spreadsheets."""
    return "".join(pieces(ledger, limit=limit))


def pieces(ledger: Ledger, *, limit: int = 0) -> Iterator[str]:
    """The lines, the head first."""
    del limit
    yield _line(COLUMNS)
    for row in ledger.rows:
        source = ledger.sources.get(row.host)
        yield _line(
            map(
                cell,
                (
                    row.host,
                    str(row.verdict),
                    row.platform,
                    row.protection,
                    joined(row.protected_by),
                    joined(p.label() for p in row.products),
                    joined(p.label() for p in row.reported),
                    joined(row.reasons),
                    joined(row.unknown_probes),
                    joined(row.notes),
                    joined(f"{fact.topic}: {fact.text}" for fact in row.facts),
                    joined(_evidence(row)),
                    source.time if source else "",
                    ledger.run,
                    row.observation_digest,
                    f"{HOSTS}/{file_name(row.host)}.jsonl" if source else "",
                    *_plan(ledger, row.host),
                    *_done(ledger, row),
                ),
            )
        )


def joined(texts: Iterable[str]) -> str:
    """Several texts in one cell."""
    return "; ".join(texts)


def cell(text: str) -> str:
    """A text that is nothing but text in a spreadsheet: inert, no formula, not longer than a cell can be."""
    shown = inert(text[:CELL])
    clipped = len(text) > CELL or len(shown) > CELL
    shown = _FORMULA.sub(r"\1\2'", shown[:CELL])
    return shown[:CELL] + _CLIPPED if clipped else shown


def _plan(ledger: Ledger, host: str) -> tuple[str, ...]:
    """What the plan of a host says; empty cells where there is none."""
    if host not in ledger.plans:
        return ("",) * 8
    plan = ledger.plans.body(host)
    ids = [(str(hit["id"]), hit["waived"] is not None) for hit in plan["inhibitors"]]
    return (
        plan["state"],
        plan["digest"],
        str(len(plan["steps"])),
        joined(dict.fromkeys(name for name, waived in ids if not waived)),
        joined(dict.fromkeys(name for name, waived in ids if waived)),
        plan["replacement"],
        str(plan["gap"]["expected"]) if plan["gap"] else "",
        plan["expires"],
    )


def _done(ledger: Ledger, row: Row) -> tuple[str, ...]:
    """What was done; empty cells where nothing was begun, or measured."""
    gap = "" if row.unprotected_seconds is None else seconds(row.unprotected_seconds)
    told = ledger.deeds.get(row.host)
    if told is None or not told.phases:
        return gap, row.proof, "", ""
    status = [item.status for item in outcomes(told)]
    return gap, row.proof, str(status.count("done") + status.count("already")), str(status.count("failed"))


def _evidence(row: Row) -> Iterator[str]:
    product: ProductRow
    for product in (*row.products, *row.reported):
        for said in product.evidence:
            yield f"{product.id}: {said}"


def _line(cells: Iterable[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()
