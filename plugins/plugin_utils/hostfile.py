# SPDX-License-Identifier: GPL-3.0-or-later
"""File names for hosts: any inventory name becomes one safe name, and is read back from it."""

from __future__ import annotations

import hashlib
import re
import typing as t
from urllib.parse import quote, unquote

_NAME_LIMIT: t.Final = 200  # bytes of a file name before it is clipped; file systems stop at 255


def file_name(host: str) -> str:
    """The name of a host's file, no suffix: percent-encoded; a long one is clipped and carries a digest after `~`."""
    encoded = quote(host.encode("utf-8", "surrogatepass"), safe="").replace("~", "%7E") or "%"
    if encoded.startswith("."):
        encoded = "%2E" + encoded[1:]
    if len(encoded) > _NAME_LIMIT:
        whole = hashlib.sha256(host.encode("utf-8", "surrogatepass")).hexdigest()
        encoded = re.sub(r"%.?\Z", "", encoded[: _NAME_LIMIT - 33]) + "~" + whole[:32]
    return encoded


def host_of(name: str) -> str | None:
    """The host of a file name without suffix; None when the name was clipped."""
    if "~" in name:
        return None
    if name == "%":
        return ""
    try:
        return unquote(name, errors="surrogatepass")
    except UnicodeDecodeError:  # no name that file_name makes
        return unquote(name, errors="surrogateescape")
