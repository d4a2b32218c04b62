# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports. One file in this folder is one format: it has `render(ledger, *, limit) -> str` and is found by its name."""

from __future__ import annotations

import importlib
import pkgutil
import typing as t

if t.TYPE_CHECKING:
    from ..ledger import Ledger


def formats() -> tuple[str, ...]:
    """The names of all formats."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")))


def render(name: str, ledger: Ledger, *, limit: int = 0) -> str:
    """A report.

    Args:
        name: one of `formats()`.
        ledger: the run.
        limit: most lines for single hosts, 0 for all of them; formats for machines ignore it.

    Returns:
        The text, with a line end.

    Raises:
        ValueError: there is no such format.
    """
    if name not in formats():
        raise ValueError(f"there is no report format {name!r}; there are {', '.join(formats())}")
    module = importlib.import_module(f"{__name__}.{name}")
    return str(module.render(ledger, limit=limit))
