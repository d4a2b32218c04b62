# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts of hosts and users made harmless before anybody sees them."""

from __future__ import annotations


def inert(text: str) -> str:
    """A text that can do nothing to a terminal: control characters, bidi marks and the like become visible escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode("ascii") for c in text)
