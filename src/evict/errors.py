# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors of the command line."""

from __future__ import annotations


class UsageError(Exception):
    """The command cannot do what it was asked for; the text says what and the remedy."""
