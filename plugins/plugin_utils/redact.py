# SPDX-License-Identifier: GPL-3.0-or-later
"""The redactor every text passes that comes back from a host or from Ansible, before it is kept or shown."""

from __future__ import annotations

import base64
import re
import typing as t
from collections.abc import Iterable
from urllib.parse import quote

HIDDEN: t.Final = "REDACTED"
_SHORTEST: t.Final = 3  # a shorter "secret" would blank half of every message
_LONGEST: t.Final = 65_536  # characters of a message that are looked at

# What looks like a secret though nobody named it: `password=...`, `"token": "..."`, `-p:...`, a login in an address.
_ASSIGNED: t.Final = re.compile(
    r"((?:pass(?:word|wd|phrase)?|secret|token|api[_-]?key|credential)s?[\"']?\s*[=:]\s*)"
    r"(\"(?:[^\"\\]|\\.){1,500}\"|'(?:[^'\\]|\\.){1,500}'|[^\s,;\"']{1,500})",
    re.IGNORECASE,
)
_LOGIN: t.Final = re.compile(r"(://[^/\s:@]{1,200}:)[^/\s@]{1,200}@")


class Redactor:
    """Knows the secrets of a run in plain, hex, base64, percent-encoded and UTF-16 forms."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """
        Args:
            secrets: values that must never appear.
        """
        forms: set[str] = set()
        for secret in secrets:
            if len(secret) < _SHORTEST:
                continue
            plain, wide = secret.encode("utf-8", "surrogatepass"), secret.encode("utf-16-le", "surrogatepass")
            forms |= {secret, quote(plain), "\0".join(secret), ascii(secret)[1:-1], secret.replace("\\", "\\\\")}
            forms |= {plain.hex(), plain.hex().upper(), wide.hex(), wide.hex().upper()}
            forms |= {base64.b64encode(raw).decode().rstrip("=") for raw in (plain, wide)}
        # Longest first, so that a secret inside another one does not leave the rest standing.
        found = sorted((form for form in forms if len(form) >= _SHORTEST), key=lambda form: (-len(form), form))
        self._secrets = re.compile("|".join(map(re.escape, found))) if found else None

    def clean(self, text: str) -> str:
        """The text without secrets and without what looks like one."""
        if self._secrets is not None:
            text = self._secrets.sub(HIDDEN, text)
        text = _LOGIN.sub(rf"\g<1>{HIDDEN}@", text)
        return _ASSIGNED.sub(rf"\g<1>{HIDDEN}", text)

    def line(self, text: str, limit: int = 300) -> str:
        """The first line that says something, without secrets and control characters, of bounded length."""
        cleaned = self.clean(text[:_LONGEST])
        said = next((line.strip() for line in re.split(r"[\r\n]+", cleaned) if line.strip()), "")
        said = "".join(c if c.isprintable() else " " for c in said)
        return said if len(said) <= limit else said[: limit - 3] + "..."
