# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows and whole evidence as JSON lines (schemas/export-1.json): the run first, then a line a host.

Records stand in it as they stand in the evidence, so that their chain can be checked again: the SHA-256 of a record's
canonical JSON is the `prev` of the next one. One host is read at a time.
"""

from __future__ import annotations

import dataclasses
import typing as t
from collections.abc import Iterator
from pathlib import Path

from .. import canonical, evidence
from ..evidence import EvidenceError
from ..hostfile import file_name
from ..ledger import Ledger
from ..run import HOSTS, RUN_LOG

SCHEMA: t.Final = "evict.kaspersky/export/1"


def render(ledger: Ledger, *, limit: int = 0) -> str:
    """All hosts; the limit is for readers, not for programs."""
    return "".join(pieces(ledger, limit=limit))


def pieces(ledger: Ledger, *, limit: int = 0) -> Iterator[str]:
    """The lines."""
    del limit
    records, problems = _read(ledger.folder, RUN_LOG)
    yield _line(
        {
            "schema": SCHEMA,
            "run": ledger.run,
            "verb": str(ledger.verb),
            "complete": ledger.complete,
            "started": ledger.started,
            "ended": ledger.ended,
            "totals": ledger.totals(),
            "records": records,
            "problems": list(dict.fromkeys([*ledger.problems, *problems])),
        }
    )
    for row in ledger.rows:
        name = f"{HOSTS}/{file_name(row.host)}.jsonl"
        records, problems = _read(ledger.folder, name)
        line = {"host": row.host, "row": row.to_dict(), "file": name, "records": records, "problems": problems}
        if row.host in ledger.plans:
            line["plan"] = ledger.plans.body(row.host)  # as plan.json has it; in the records it stands as it was made
        yield _line(line)


def _read(folder: Path, name: str) -> tuple[list[dict[str, t.Any]], list[str]]:
    """The records of a file as they are written there, and what is wrong with it. No file is no problem: no answer."""
    try:
        if not (folder / name).is_file():
            return [], []
        log = evidence.load(folder / name)
    except (EvidenceError, OSError, ValueError) as exc:
        return [], [f"{name}: {exc}"]
    records = []
    for record in log.records:
        # Field by field: a copy of everything within would take longer than reading it.
        body = {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
        del body["digest"]
        records.append({"schema": evidence.SCHEMA, **body})
    return records, [f"{name}: {fault}" for fault in log.problems]


def _line(body: dict[str, t.Any]) -> str:
    return canonical.dumps(body).decode("ascii") + "\n"
