# SPDX-License-Identifier: GPL-3.0-or-later
"""Canonical JSON and its digest: the same value is always the same bytes, on every Python and every controller."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping


class CanonicalError(ValueError):
    """A value has no canonical JSON form (not a number, an object JSON does not know, nested beyond reason)."""


def lists(value: object) -> object:
    """Tuples to lists, so that what is written equals what is read back."""
    if value is None or isinstance(value, (str, int, float)):  # most of them, and an abstract class is slow to ask
        return value
    if isinstance(value, Mapping):
        return {k: lists(v) for k, v in value.items()}
    if isinstance(value, (tuple, list)):
        return [lists(v) for v in value]
    return value


def dumps(obj: object) -> bytes:
    """Canonical JSON: sorted keys, no blanks, ASCII only (other characters, lone surrogates too, as `\\uXXXX`).

    Args:
        obj: dicts with text keys, lists or tuples, texts, numbers, booleans, None.

    Returns:
        One line of ASCII without a line end.

    Raises:
        CanonicalError: the value cannot be written so.
    """
    try:
        text = json.dumps(obj, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as exc:
        raise CanonicalError(f"no canonical JSON form: {exc}") from exc
    return text.encode("ascii")


def sha256(data: bytes) -> str:
    """SHA-256 of bytes as 64 lower-case hex digits."""
    return hashlib.sha256(data).hexdigest()


def digest(obj: object) -> str:
    """SHA-256 over the canonical JSON of a value, as 64 lower-case hex digits.

    Raises:
        CanonicalError: see `dumps`.
    """
    return sha256(dumps(obj))
