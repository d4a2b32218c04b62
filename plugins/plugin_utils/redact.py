# SPDX-License-Identifier: GPL-3.0-or-later
"""The redactor every text passes that comes back from a host or from Ansible, before it is kept or shown."""

from __future__ import annotations

import base64
import functools
import html
import json
import re
import typing as t
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote, quote_plus

HIDDEN: t.Final = "REDACTED"
_SHORTEST: t.Final = 3  # a shorter "secret" would blank half of every message
_WORD: t.Final = 6  # a shorter one is a word that may stand in a name by chance
_LONGEST: t.Final = 65_536  # characters of a message that are looked at
_REPEATED: t.Final = 512  # characters of a secret of which a host is told all forms

# What looks like a secret though nobody named it: `password=...`, `"token": "..."`, `-p:...`, a login in an address.
_ASSIGNED: t.Final = re.compile(
    r"((?:pass(?:word|wd|phrase)?|secret|token|api[_-]?key|credential)s?[\"']?\s*[=:]\s*)"
    r"(\"(?:[^\"\\]|\\.){1,500}\"|'(?:[^'\\]|\\.){1,500}'|[^\s,;\"']{1,500})",
    re.IGNORECASE,
)
_LOGIN: t.Final = re.compile(r"(//[^/\s:@]{1,200}:)[^/\s@]{1,200}@")


def _forms(secret: str) -> Iterator[str]:
    """The forms in which hosts, shells, libraries and Ansible send a secret back."""
    yield from (secret, "\0".join(secret), ascii(secret)[1:-1], secret.replace("\\", "\\\\"))
    yield from _quoted(secret)
    yield secret.encode("latin-1", "replace").decode("utf-8", "replace")  # what a host of another encoding says
    for encoding in ("utf-8", "utf-16-le", "utf-16-be"):
        raw = secret.encode(encoding, "surrogatepass")
        yield from _hex(raw)
        yield from _base64(raw)
    plain = secret.encode("utf-8", "surrogatepass")
    whole = "".join(f"%{byte:02X}" for byte in plain)
    for encoded in (quote(plain), quote(plain, safe=""), quote_plus(plain), whole):
        yield encoded
        yield re.sub("%..", lambda found: found[0].lower(), encoded)


def _quoted(secret: str) -> Iterator[str]:
    """As a part of a text of JSON, Python, HTML, XML, of a shell or of PowerShell."""
    text = json.dumps(secret)[1:-1]
    yield from (text, json.dumps(text)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1])
    careful = re.sub("[<>&']", lambda found: f"\\u{ord(found[0]):04x}", text)  # what .NET makes of these
    yield from (careful, re.sub(r"\\u....", lambda found: "\\u" + found[0][2:].upper(), careful))
    for escaped in (html.escape(secret), html.escape(secret, quote=False)):
        yield from (escaped, escaped.replace("&#x27;", "&#39;"), escaped.replace("&#x27;", "&apos;"))
    for quoted in ("'\\''", "'\"'\"'", "''"):
        yield secret.replace("'", quoted)
    yield from (secret.replace('"', '""'), secret.replace('"', '\\"'))


def _hex(raw: bytes) -> Iterator[str]:
    """Digits alone, and as dumps, registry files and fingerprints separate them."""
    yield from (raw.hex(), raw.hex().upper())
    for between in (" ", ":", "-", ",", ", "):
        yield from (raw.hex(" ").replace(" ", between), raw.hex(" ").upper().replace(" ", between))
    for before, between in (("0x", ", "), ("0x", ","), ("0x", " "), ("\\x", "")):
        yield from (between.join(before + f"{byte:{digits}}" for byte in raw) for digits in ("02x", "02X"))


def _base64(raw: bytes) -> Iterator[str]:
    """Both alphabets, alone and inside something longer, such as `user:password` of a login."""
    found = [base64.b64encode(raw).decode().rstrip("=")]
    for before in range(3):
        whole = base64.b64encode(b"\0" * before + raw).decode()
        # Only the characters that hold nothing of the bytes around the secret.
        found.append(whole[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6])
    for encoded in (one for one in found if len(one) > _SHORTEST):
        yield from (encoded, encoded.replace("+", "-").replace("/", "_"))


def repeated(secrets: Iterable[str], others: Iterable[str] = ()) -> list[str]:
    """All that a host's job has to blank beside its own secrets in what programs say, longest first, a line each.

    Args:
        secrets: of the job, which knows themselves: the other forms in which a program may repeat them. A long one,
            such as a whole document, has too many.
        others: secrets of the plan that this job is not given: their forms and, line by line, themselves.
    """
    own = set(secrets)
    more = set(others) - own
    short = [secret for secret in own | more if len(secret) <= _REPEATED]
    found = {form for secret in short for form in _forms(secret)}
    # The bytes of UTF-16 lose their zeros in a shell.
    wide = (secret.encode(name, "surrogatepass") for secret in short for name in ("utf-16-le", "utf-16-be"))
    found |= {raw.replace(b"\0", b"").decode("utf-8", "surrogateescape") for raw in wide}
    fit = {form for form in found if len(form) >= _WORD}
    fit |= {line for secret in more for line in secret.splitlines() if len(line) > _SHORTEST or line == secret}
    return sorted((one for one in fit - own if not re.search(r"[\0\r\n]", one)), key=lambda one: (-len(one), one))


# Variables of a connection or of become whose values are secrets, whatever plugin they are for.
_VARIABLE: t.Final = re.compile(r"^ansible_.*(?:pass|secret|token)", re.IGNORECASE)


def holds_secret(name: str) -> bool:
    """Is the value of a host's variable of this name a secret?"""
    return _VARIABLE.search(name) is not None


def named(secrets: object) -> frozenset[str]:
    """The variables that `evict_secrets` names, of any form: their values are secrets, too."""
    owners = secrets.values() if isinstance(secrets, Mapping) else ()
    names = [
        ref.get("variable")
        for owner in owners
        if isinstance(owner, Mapping)
        for ref in owner.values()
        if isinstance(ref, Mapping)
    ]
    return frozenset(name for name in names if isinstance(name, str))


class Redactor:
    """Knows the secrets of a run in plain, quoted, hex, base64, percent-encoded and UTF-16 forms."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """
        Args:
            secrets: values that must never appear.
        """
        self._given = tuple(secret for secret in secrets if len(secret) >= _SHORTEST)

    @functools.cached_property
    def _forms(self) -> tuple[str, ...]:
        """Longest first, so that a secret inside another one does not leave the rest standing."""
        forms = {form for secret in self._given for form in _forms(secret) if len(form) >= _SHORTEST}
        return tuple(sorted(forms, key=lambda form: (-len(form), form)))

    @functools.cached_property
    def _secrets(self) -> re.Pattern[str] | None:
        # Made when it is first needed: most hosts say nothing that must be cleaned, and there are many hosts.
        return re.compile("|".join(map(re.escape, self._forms))) if self._forms else None

    def holds(self, text: str) -> bool:
        """Is one of the secrets in the text, in any form?"""
        return any(form in text for form in self._forms)

    def known(self, text: str) -> str:
        """The text without the secrets that are known, for a text of ours that speaks of passwords by name."""
        return text if self._secrets is None else self._secrets.sub(HIDDEN, text)

    def clean(self, text: str) -> str:
        """The text without secrets and without what looks like one."""
        text = self.known(text)
        text = _LOGIN.sub(rf"\g<1>{HIDDEN}@", text)
        return _ASSIGNED.sub(rf"\g<1>{HIDDEN}", text)

    @functools.cached_property
    def _long(self) -> Redactor:
        return Redactor(secret for secret in self._given if len(secret) >= _WORD)

    def values(self, record: Mapping[str, str]) -> Mapping[str, str]:
        """The record without secrets in its values; the record itself when they hold none.

        Only what is known to be a secret is taken out, not what looks like one, and nothing as short as a usual word:
        what a host said is evidence.
        """
        pattern = self._long._secrets
        if pattern is None or not self._long.holds("\n".join(record.values())):
            return record
        return {key: pattern.sub(HIDDEN, value) for key, value in record.items()}

    def tree(self, value: t.Any) -> t.Any:
        """A value of JSON with every text in it cleaned of known secrets, keys included."""
        if isinstance(value, str):
            return self.known(value)
        if isinstance(value, Mapping):
            return {self.known(str(key)): self.tree(inner) for key, inner in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.tree(inner) for inner in value]
        return value

    def line(self, text: str, limit: int = 300) -> str:
        """The first line that says something, without secrets and control characters, of bounded length."""
        cleaned = self.clean(text[:_LONGEST])
        if len(text) > _LONGEST:
            # The cut may have gone through a secret.
            cleaned = cleaned[: len(cleaned) - max(map(len, self._forms), default=0)]
        said = next((line.strip() for line in re.split(r"[\r\n]+", cleaned) if line.strip()), "")
        said = "".join(c if c.isprintable() else " " for c in said)
        return said if len(said) <= limit else said[: limit - 3] + "..."
