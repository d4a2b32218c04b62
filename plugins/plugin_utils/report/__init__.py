# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports. One file in this folder is one format, found by its name; files that begin with `_` are helpers and data.

A format has `render(ledger, *, limit) -> str`. One whose text can be large has `pieces(ledger, *, limit)` besides, an
iterator of texts that together are what `render` gives. `ENCODING` (default `utf-8`) is that of its
files.
"""

from __future__ import annotations

import codecs
import importlib
import pkgutil
import types
import typing as t
from collections.abc import Iterator
from pathlib import Path

from .. import files

if t.TYPE_CHECKING:
    from ..ledger import Ledger

# What a run writes into its folder beside rows.json, before the manifest: derived from evidence like rows.json itself.
IN_FOLDER: t.Final = ("csv", "html")


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
    return "".join(_pieces(_module(name), ledger, limit))


def encoded(name: str, ledger: Ledger, *, limit: int = 0) -> Iterator[bytes]:
    """A report as the bytes of its file, piece by piece.

    Args:
        name, ledger, limit: as for `render`.

    Raises:
        ValueError: there is no such format.
    """
    module = _module(name)
    encoder = codecs.getincrementalencoder(getattr(module, "ENCODING", "utf-8"))("backslashreplace")
    for piece in _pieces(module, ledger, limit):
        yield encoder.encode(piece)


def file_of(name: str) -> str:
    """The name of a format's file in a run folder."""
    return f"report.{name}"


def write(ledger: Ledger, folder: Path | None = None) -> list[Path]:
    """Write the reports a run folder holds, each whole or not at all.

    Returns:
        The files.

    Raises:
        EvidenceError: one cannot be written.
    """
    paths = []
    for name in IN_FOLDER:
        paths.append((folder or ledger.folder) / file_of(name))
        files.replace(paths[-1], encoded(name, ledger))
    return paths


def _module(name: str) -> types.ModuleType:
    if name not in formats():
        raise ValueError(f"there is no report format {name!r}; there are {', '.join(formats())}")
    return importlib.import_module(f"{__name__}.{name}")


def _pieces(module: types.ModuleType, ledger: Ledger, limit: int) -> Iterator[str]:
    if hasattr(module, "pieces"):
        yield from module.pieces(ledger, limit=limit)
    else:
        yield str(module.render(ledger, limit=limit))
