# SPDX-License-Identifier: GPL-3.0-or-later
"""A secret that must be found nowhere, and the search for it: written without the redactor, which it checks."""

from __future__ import annotations

import base64
import json
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote, quote_plus

# Long enough that no part of it comes about by chance, with the characters that quoting and encodings change.
SECRET = "Kanarie-9f'3\"a &+/ü<%$x>-7c21"


def middle(raw: bytes, before: int) -> bytes:
    """The part of a base64 text that only these bytes decide, when `before` bytes stand in front of them."""
    text = base64.b64encode(b"A" * before + raw + b"A" * (-(before + len(raw)) % 3))
    return text[-(-before * 4 // 3) : (before + len(raw)) * 4 // 3]


def forms(secret: str = SECRET) -> dict[str, bytes]:
    """Name -> bytes that give the secret away."""
    plain, found = secret.encode(), {}
    for name, raw in {
        "plain": plain,
        "UTF-16LE": secret.encode("utf-16-le"),
        "UTF-16BE": secret.encode("utf-16-be"),
        "latin-1": secret.encode("latin-1", "ignore"),
    }.items():
        found[name] = raw
        found[f"{name} hex"] = raw.hex().encode()
        found[f"{name} HEX"] = raw.hex().upper().encode()
        for between in " :-,":
            found[f"{name} hex with {between!r}"] = raw.hex(between).encode()
            found[f"{name} HEX with {between!r}"] = raw.hex(between).upper().encode()
        for before in range(3):
            found[f"{name} base64 at {before}"] = middle(raw, before)
            found[f"{name} base64url at {before}"] = middle(raw, before).translate(bytes.maketrans(b"+/", b"-_"))
    for safe in ("/", ""):
        found[f"percent-encoded, safe {safe!r}"] = quote(secret, safe=safe).encode()
        found[f"percent-encoded, safe {safe!r}, lower"] = re.sub(
            rb"%..", lambda hit: hit[0].lower(), quote(secret, safe=safe).encode()
        )
    found["percent-encoded query"] = quote_plus(secret).encode()
    found["percent-encoded whole"] = "".join(f"%{byte:02X}" for byte in plain).encode()
    found["JSON"] = json.dumps(secret)[1:-1].encode()
    found["JSON in JSON"] = json.dumps(json.dumps(secret)[1:-1])[1:-1].encode()
    found["JSON, UTF-8"] = json.dumps(secret, ensure_ascii=False)[1:-1].encode()
    found["repr"] = repr(secret)[1:-1].encode()
    found["ascii"] = ascii(secret)[1:-1].encode()
    found["shell"] = shlex.quote(secret).encode()
    # Its ends alone: no quoting and no encoding of letters hides these.
    found["first part"], found["last part"] = plain[:9], plain[-7:]
    return found


def found(data: bytes, secret: str = SECRET) -> list[str]:
    """Names of the forms that are in the data."""
    return [name for name, form in forms(secret).items() if form in data]


def search(where: Path | Mapping[str, str | bytes], secret: str = SECRET) -> Iterator[str]:
    """Where the secret is.

    Args:
        where: a folder, searched with all below it, names of files too; or name -> what was said.
        secret: the secret.

    Yields:
        `place: form`.
    """
    if isinstance(where, Path):
        files = sorted(path for path in where.rglob("*") if path.is_file() and not path.is_symlink())
        said: dict[str, bytes] = {str(path.relative_to(where)): path.read_bytes() for path in files}
        said["names of files"] = "\n".join(str(path.relative_to(where)) for path in where.rglob("*")).encode()
    else:
        said = {
            name: text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
            for name, text in where.items()
        }
    for name, data in said.items():
        yield from (f"{name}: {form}" for form in found(data, secret))
