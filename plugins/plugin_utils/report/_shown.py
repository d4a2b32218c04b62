# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts as the page shows them."""

from __future__ import annotations

import html
import typing as t

from ..plain import inert

_TEXT: t.Final = 4_000  # characters of one text; hands send less, and a damaged evidence must not blow up the page


def shown(text: str) -> str:
    """A text as the page shows it: escapes for what could act, and the number of characters that are left out."""
    said = inert(text[:_TEXT])
    return said if len(text) <= _TEXT else f"{said} ... ({len(text) - _TEXT} characters more, see rows.json)"


def escaped(text: str) -> str:
    """The same as HTML."""
    return html.escape(shown(text))
