# SPDX-License-Identifier: GPL-3.0-or-later
"""Catalog and scripts, loaded once at import: the main process does so before it forks, and every worker inherits."""

from __future__ import annotations

import typing as t
from pathlib import Path

from .catalog import Catalog, CatalogError, load
from .script import OBSERVE, compose

_ROOT: t.Final = Path(__file__).resolve().parents[2]


class _Loaded:
    """What came of loading; a mistake in the catalog must reach the user as a message, not as an import error."""

    def __init__(self) -> None:
        self.catalog: Catalog | None = None
        self.error: CatalogError | None = None
        try:
            self.catalog = load(_ROOT / "catalog")
        except CatalogError as exc:
            self.error = exc


_LOADED: t.Final = _Loaded()
OBSERVE_SH: t.Final = compose(_ROOT / "probes" / "posix", OBSERVE)


def catalog() -> Catalog:
    """The catalog.

    Raises:
        CatalogError: it holds mistakes; the text names each with file, place and remedy.
    """
    if _LOADED.error is not None:
        raise _LOADED.error
    assert _LOADED.catalog is not None  # one of the two is set
    return _LOADED.catalog
