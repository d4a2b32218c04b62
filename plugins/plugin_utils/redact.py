# SPDX-License-Identifier: GPL-3.0-or-later
"""The redactor every text passes that comes back from a host or from Ansible, before it is kept or shown."""

from __future__ import annotations

import base64
import html
import json
import re
import typing as t
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

HIDDEN: t.Final = "REDACTED"
_SHORTEST: t.Final = 3  # a shorter "secret" would blank half of every message
_LONGEST: t.Final = 65_536  # characters of a message that are looked at

# What looks like a secret though nobody named it: `password=...`, `"token": "..."`, `-p:...`, a login in an address.
_ASSIGNED: t.Final = re.compile(
    r"((?:pass(?:word|wd|phrase)?|secret|token|api[_-]?key|credential)s?[\"']?\s*[=:]\s*)"
    r"(\"(?:[^\"\\]|\\.){1,500}\"|'(?:[^'\\]|\\.){1,500}'|[^\s,;\"']{1,500})",
    re.IGNORECASE,
)
_LOGIN: t.Final = re.compile(r"(//[^/\s:@]{1,200}:)[^/\s@]{1,200}@")


def _forms(secret: str) -> Iterator[str]:
    """The forms in which hosts, shells, libraries and Ansible send a secret back."""
    plain, wide = secret.encode("utf-8", "surrogatepass"), secret.encode("utf-16-le", "surrogatepass")
    yield from (secret, "\0".join(secret), ascii(secret)[1:-1], secret.replace("\\", "\\\\"))
    yield from (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1])
    yield from (html.escape(secret), html.escape(secret, quote=False))
    for encoded in (quote(plain), quote(plain, safe=""), quote_plus(plain)):
        yield encoded
        yield re.sub("%..", lambda found: found[0].lower(), encoded)
    for raw in (plain, wide):
        yield from (raw.hex(), raw.hex().upper(), base64.b64encode(raw).decode().rstrip("="))
        for before in range(3):  # inside something longer, such as `user:password` of a login
            whole = base64.b64encode(b"\0" * before + raw).decode()
            # Only the characters that hold nothing of the bytes around the secret.
            inner = whole[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6]
            if len(inner) > _SHORTEST:
                yield inner


# Variables of a connection or of become whose values are secrets, whatever plugin they are for.
_VARIABLE: t.Final = re.compile(r"^ansible_.*(?:pass|secret|token)", re.IGNORECASE)


def holds_secret(name: str) -> bool:
    """Is the value of a host's variable of this name a secret?"""
    return _VARIABLE.search(name) is not None


class Redactor:
    """Knows the secrets of a run in plain, quoted, hex, base64, percent-encoded and UTF-16 forms."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """
        Args:
            secrets: values that must never appear.
        """
        forms = {form for secret in secrets if len(secret) >= _SHORTEST for form in _forms(secret)}
        # Longest first, so that a secret inside another one does not leave the rest standing.
        found = sorted((form for form in forms if len(form) >= _SHORTEST), key=lambda form: (-len(form), form))
        self._secrets = re.compile("|".join(map(re.escape, found))) if found else None
        self._longest = len(found[0]) if found else 0

    def clean(self, text: str) -> str:
        """The text without secrets and without what looks like one."""
        if self._secrets is not None:
            text = self._secrets.sub(HIDDEN, text)
        text = _LOGIN.sub(rf"\g<1>{HIDDEN}@", text)
        return _ASSIGNED.sub(rf"\g<1>{HIDDEN}", text)

    def line(self, text: str, limit: int = 300) -> str:
        """The first line that says something, without secrets and control characters, of bounded length."""
        cleaned = self.clean(text[:_LONGEST])
        if len(text) > _LONGEST:
            cleaned = cleaned[: len(cleaned) - self._longest]  # the cut may have gone through a secret
        said = next((line.strip() for line in re.split(r"[\r\n]+", cleaned) if line.strip()), "")
        said = "".join(c if c.isprintable() else " " for c in said)
        return said if len(said) <= limit else said[: limit - 3] + "..."
