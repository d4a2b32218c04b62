# SPDX-License-Identifier: GPL-3.0-or-later
"""The line to mend: in files given with -e, in YAML and JSON, as deep as the place leads."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy_places import holds, line_of, short, where

TEXT = """\
---
# settings
evict_purge: true
evict_exclusions:
  - path: /srv/db

  - path: /
evict_secrets:
  kes:
    KLPASSWD: {variable: x,
      format: hex}
other: !vault |
  $ANSIBLE_VAULT;1.1;AES256
evict_purge: maybe
"""


@pytest.mark.parametrize(
    ("place", "line"),
    [
        (("evict_purge",), 14),
        (("evict_exclusions",), 4),
        (("evict_exclusions", 0), 5),
        (("evict_exclusions", 1, "path"), 7),
        (("evict_exclusions", 7, "path"), 4),
        (("evict_secrets", "kes", "KLPASSWD", "format"), 11),
        (("evict_secrets", "kes", "nothing", "format"), 9),
        (("evict_hosts",), 0),
        ((), 0),
    ],
)
def test_the_line_of_a_place(place: tuple[str | int, ...], line: int) -> None:
    assert line_of(TEXT, place) == line


def test_the_last_file_that_holds_it_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.yml").write_text(TEXT)
    Path("b.json").write_text('{"x": 1,\n "evict_exclusions": [\n  {"path": "/"}]}')
    assert where("evict_exclusions", ["a.yml", "b.json"], (0, "path")) == "b.json:3"
    assert where("evict_exclusions", ["b.json", "a.yml"], (0, "path")) == "a.yml:5"
    assert where("evict_purge", [str(tmp_path / "a.yml"), "b.json"]) == "a.yml:14"
    assert where("evict_hosts", ["a.yml", "b.json"]) == ""
    assert short("/etc/hosts") == "/etc/hosts"


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"$ANSIBLE_VAULT;1.1;AES256\n1234", b"x" * 1_000_001])
def test_what_cannot_be_read_and_would_count_more_makes_unsure(tmp_path: Path, content: bytes | None) -> None:
    sure, odd = tmp_path / "a.yml", tmp_path / "odd.yml"
    sure.write_text(TEXT)
    if content is not None:
        odd.write_bytes(content)
    assert where("evict_purge", [str(sure), str(odd)]) == ""
    assert where("evict_purge", [str(odd), str(sure)]).endswith("a.yml:14")


@pytest.mark.parametrize(
    ("text", "value", "want"),
    [
        ("evict_x: 5", 5, True),
        ("evict_x: true", True, True),
        ("evict_x: 5\nevict_x: 6", 5, False),
        ("evict_x: 5\nevict_x: 6", 6, True),
        ("evict_x: [5]", 5, False),
        ("evict_y: 5", 5, False),
        ("evict_x: '{'", 5, False),
        ("[", 5, False),
        ("- evict_x", 5, False),
        ("", None, False),
    ],
)
def test_a_file_holds_the_value_that_counts_or_another(tmp_path: Path, text: str, value: object, want: bool) -> None:
    (tmp_path / "x.yml").write_text(text)
    assert holds(str(tmp_path / "x.yml"), "evict_x", value) is want


@given(st.text(), st.lists(st.text() | st.integers(0, 3), max_size=3))
def test_any_text_has_a_line_or_none(text: str, place: list[str | int]) -> None:
    assert 0 <= line_of(text, tuple(place)) <= text.count("\n") + text.count("\r") + 4
