# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/inhibitors.md says what the code says: each inhibitor, whole, and nothing stale."""

from __future__ import annotations

import re

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils.inhibitors import INHIBITORS
from tools import inhibitors_page


def test_the_page_is_in_step() -> None:
    assert inhibitors_page.PAGE.read_text(encoding="utf-8") == inhibitors_page.page(), "run `make docs`"


def test_a_change_makes_it_stale(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inhibitors_page, "PAGE", type(inhibitors_page.PAGE)(f"{tmp_path}/inhibitors.md"))
    monkeypatch.setattr("sys.argv", ["inhibitors_page.py", "--check"])
    assert inhibitors_page.main() == 1
    monkeypatch.setattr("sys.argv", ["inhibitors_page.py"])
    assert inhibitors_page.main() == 0
    monkeypatch.setattr("sys.argv", ["inhibitors_page.py", "--check"])
    assert inhibitors_page.main() == 0
    inhibitors_page.PAGE.write_text(inhibitors_page.page() + "x", encoding="utf-8")
    assert inhibitors_page.main() == 1


def test_each_inhibitor_stands_on_it_whole() -> None:
    text = inhibitors_page.page()
    for one in INHIBITORS:
        own = text.partition(f"\n## {one.id}\n")[2].partition("\n## ")[0]
        for words in (one.title, one.looks_at, one.remedy, one.why):
            assert inhibitors_page.plain(words) in own, one.id
        assert f"* Waivable: {'yes' if one.waivable else 'no'}, " in own
        row = re.search(rf"^\| \[`{one.id}`\]\(#{one.id}\) \|.*$", text, re.M)
        assert row is not None
        assert len(re.findall(r"(?<!\\)\|", row[0])) == 5
        assert inhibitors_page.platforms(one) in row[0]
