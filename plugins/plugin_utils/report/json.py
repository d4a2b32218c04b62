# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows as JSON: the same text as rows.json."""

from __future__ import annotations

from ..ledger import Ledger, rows_json


def render(ledger: Ledger, *, limit: int = 0) -> str:
    """All rows; the limit is for readers, not for programs."""
    del limit
    return rows_json(ledger).decode("ascii")
