# SPDX-License-Identifier: GPL-3.0-or-later
"""No secret gets into a text that is kept or shown, whatever form it comes back in."""

from __future__ import annotations

import base64
import html
import json
import re
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.evict.kaspersky.plugins.plugin_utils.redact import HIDDEN, Redactor

CANARIES = ["canary-7f3a", "Kän@ry&<9>/x y", "p\\q\"r's+t", "日本語の秘密", "0000-1111"]


def base64_forms(raw: bytes) -> dict[str, str]:
    """Base64 of a secret alone and at each place it can have inside something longer."""
    return {f"base64 behind {n} bytes": base64.b64encode(b"x" * n + raw + b"y").decode() for n in range(4)}


def forms(secret: str) -> dict[str, str]:
    """Every form in which a host, a shell, a library or Ansible may send a secret back."""
    plain, wide = secret.encode(), secret.encode("utf-16-le")
    return {
        "plain": secret,
        "hex": plain.hex(),
        "HEX": plain.hex().upper(),
        "utf-16 hex": wide.hex(),
        "UTF-16 HEX": wide.hex().upper(),
        "utf-16 read as bytes": wide.decode("latin-1").rstrip("\0") if secret.isascii() else secret,
        "json": json.dumps(secret)[1:-1],
        "json, not ASCII": json.dumps(secret, ensure_ascii=False)[1:-1],
        "repr": repr(secret)[1:-1],
        "ascii": ascii(secret)[1:-1],
        "html": html.escape(secret),
        "xml": html.escape(secret, quote=False),
        "url path": quote(secret),
        "url": quote(secret, safe=""),
        "url query": quote_plus(secret),
        "url, lower": re.sub("%..", lambda found: found[0].lower(), quote(secret, safe="")),
        "base64": base64.b64encode(plain).decode(),
        "base64 of utf-16": base64.b64encode(wide).decode(),
        **base64_forms(plain),
        **{f"utf-16 {name}": text for name, text in base64_forms(wide).items()},
    }


@pytest.mark.parametrize("secret", CANARIES)
@pytest.mark.parametrize("form", forms("x"))
def test_a_canary_is_removed_in_every_form(secret: str, form: str) -> None:
    sent = forms(secret)[form]
    redactor = Redactor([secret])
    for text in (f"it failed: {sent} (code 5)", f"<{sent}>", f"{sent}{sent}"):
        for said in (redactor.clean(text), redactor.line(text)):
            assert HIDDEN in said
            assert sent not in said
            assert secret not in said
    # What is left of a base64 text beside the secret may be shown, but nothing that gives away a part of it.
    if "base64" in form:
        assert len(redactor.clean(sent).replace(HIDDEN, "")) <= 12


def test_ordinary_text_is_left_alone() -> None:
    text = "the package kesl 12.1.0.1297 is installed; /opt/kaspersky is there (exit code 0)"
    assert Redactor(CANARIES).clean(text) == text
    assert Redactor().clean(text) == text
    assert Redactor(["", "ab"]).clean("about a cab") == "about a cab"


@given(st.lists(st.text(st.characters(), min_size=3, max_size=20), max_size=5), st.text(max_size=20))
def test_any_secret_is_removed_even_beside_others(secrets: list[str], around: str) -> None:
    redactor = Redactor(secrets)
    for secret in secrets:
        if secret not in HIDDEN and secret not in around:
            assert secret not in redactor.clean(f"{around} {secret} {around}") or secret in f" {HIDDEN} "


def test_a_secret_inside_another_leaves_no_rest() -> None:
    said = Redactor(["summer", "summer-2024!"]).clean("tried summer-2024! and summer")
    assert said == f"tried {HIDDEN} and {HIDDEN}"


@pytest.mark.parametrize(
    "text",
    [
        "password=hunter22",
        "PASSWORD: hunter22",
        '"token": "hunter22"',
        "{'ansible_password': 'hunter22'}",
        "passphrase = 'hunter22'",
        "api_key=hunter22&x=1",
        "credentials: hunter22",
        "https://admin:hunter22@host/share",
        'secret="say \\"hunter22\\" loud"',
    ],
)
def test_what_looks_like_a_secret_is_removed(text: str) -> None:
    said = Redactor().clean(f"it said {text} at line 4")
    assert "hunter22" not in said
    assert HIDDEN in said


def test_a_line_is_short_single_and_harmless() -> None:
    redactor = Redactor()
    assert redactor.line("\r\n \n  first \nsecond") == "first"
    assert redactor.line("") == ""
    assert redactor.line("a\x1b[31mb\u202ec\0d") == "a [31mb c d"
    said = redactor.line("x" * 100_000)
    assert (len(said), said[-3:]) == (300, "...")
    assert redactor.line("x" * 50, 20) == "x" * 17 + "..."


@given(st.text(st.characters(), max_size=400))
def test_any_line_is_printable_and_bounded(text: str) -> None:
    said = Redactor(["canary"]).line(text)
    assert said.isprintable()
    assert len(said) <= 300


def test_a_secret_at_the_end_of_what_is_looked_at_is_not_cut_in_two() -> None:
    secret = "canary-7f3a-0000"
    for blanks in range(65_536 - len(secret) - 1, 65_537):
        assert "canary" not in Redactor([secret]).line(" " * blanks + secret)
