# SPDX-License-Identifier: GPL-3.0-or-later
"""The plans as text, host by host: the same lines as `--diff` shows, for a mail, a ticket or a pager."""

from __future__ import annotations

from collections.abc import Iterator

from .. import plan_text
from ..ledger import Ledger


def render(ledger: Ledger, *, limit: int = 0) -> str:
    """All plans; the limit is for lines of single hosts, and a plan is shown whole or not at all."""
    return "".join(pieces(ledger, limit=limit))


def pieces(ledger: Ledger, *, limit: int = 0) -> Iterator[str]:
    """A plan at a time, with a blank line behind it."""
    del limit
    if not ledger.plans:
        yield "This run has no plans: see evict plan --help\n"
    for row in ledger.rows:
        if row.host in ledger.plans:
            yield "\n".join(plan_text.lines(ledger.plans[row.host])) + "\n\n"
