# SPDX-License-Identifier: GPL-3.0-or-later
"""The search for the canary finds it in every form, and the redactor takes each of them out."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import redact
from ansible_collections.evict.kaspersky.plugins.plugin_utils.redact import HIDDEN, Redactor
from tests import canary

FORMS = canary.forms()
# What the redactor need not know: only a part of the secret, or the secret in an encoding that loses a part of it.
BEYOND = {name for name in FORMS if name.startswith("latin-1") or name.endswith(" part")}


@pytest.mark.parametrize("name", FORMS)
def test_a_planted_canary_is_found(tmp_path: Path, name: str) -> None:
    """Without this, a search that finds nothing would prove nothing."""
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "log").write_bytes(b"before\0 " + FORMS[name] + b" \xffafter")
    (tmp_path / "clean").write_bytes(os.urandom(1 << 16) + b"a canary, Kanari, 7c2")
    assert f"below/log: {name}" in list(canary.search(tmp_path))
    assert {hit.partition(":")[0] for hit in canary.search(tmp_path)} == {"below/log"}
    assert f"out: {name}" in list(canary.search({"out": FORMS[name], "err": ""}))


def test_a_name_of_a_file_is_searched_too(tmp_path: Path) -> None:
    (tmp_path / canary.SECRET.replace("/", "_")).touch()
    assert "names of files: first part" in list(canary.search(tmp_path))


@pytest.mark.parametrize("name", sorted(set(FORMS) - BEYOND))
def test_the_redactor_takes_out_what_the_search_looks_for(name: str) -> None:
    redactor = Redactor([canary.SECRET])
    # UTF-16 comes back as a text of bytes; everything else is text.
    text = f"<{FORMS[name].decode('latin-1' if name in ('UTF-16LE', 'UTF-16BE') else 'utf-8')}>"
    said = redactor.clean(text)
    assert HIDDEN in said
    assert list(canary.search({"said": said})) == []
    assert redactor.holds(text)


def test_a_tree_loses_the_secret_and_nothing_else() -> None:
    redactor = Redactor([canary.SECRET])
    clean = {"password=": ["token: abc", 1, None, True, {"a": "b"}]}
    assert redactor.tree(clean) is clean  # what only looks like a secret stays: it is evidence
    wide = canary.SECRET.encode("utf-16-le").hex()
    dirty: dict[str, t.Any] = {
        "tasks": [{"command": f"msiexec /x KLUNINSTPASSWD={wide} /qn", "n": 5}, (canary.SECRET,)],
        "ok": "kesl",
    }
    said = redactor.tree(dirty)
    assert said == {"tasks": [{"command": f"msiexec /x KLUNINSTPASSWD={HIDDEN} /qn", "n": 5}, [HIDDEN]], "ok": "kesl"}
    assert wide in dirty["tasks"][0]["command"]
    assert Redactor().tree(dirty) is dirty


@pytest.mark.parametrize(
    "secrets",
    [None, "x", [], {"a": None}, {"a": {"b": "x"}}, {"a": {"b": {"variable": 5}}}, {"a": {"b": {"file": "x"}}}],
)
def test_no_variable_is_named_where_nothing_names_one(secrets: object) -> None:
    assert redact.named(secrets) == frozenset()
    assert redact.named({"x": secrets, "kes": {"P": {"variable": "sealed"}, "Q": secrets}}) == {"sealed"}
