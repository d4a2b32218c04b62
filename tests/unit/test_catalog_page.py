# SPDX-License-Identifier: GPL-3.0-or-later
"""The reference pages say what the catalog says: all of it, and nothing stale."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

from ansible_collections.evict.kaspersky.plugins.plugin_utils import catalog as catalogs
from ansible_collections.evict.kaspersky.plugins.plugin_utils.catalog import Catalog, NeverTouch, Residue
from tests import tree
from tools import catalog_page


def test_the_pages_are_those_of_the_catalog() -> None:
    assert catalog_page.stale(catalogs.load()) == [], "run `make docs`"
    written = {path.name for path in (tree.ROOT / "docs").glob("catalog*.md")}
    assert written == set(catalog_page.pages(catalogs.load()))


def test_a_change_makes_its_pages_stale(catalog: Catalog, tmp_path: Path) -> None:
    for name, text in catalog_page.pages(catalog).items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert catalog_page.stale(catalog, tmp_path) == []
    kesl = catalog.entry("linux", "kesl")
    others = [entry for entry in catalog.entries if entry is not kesl]
    renamed = dataclasses.replace(catalog, entries=(*others, dataclasses.replace(kesl, name="Another name")))
    assert catalog_page.stale(renamed, tmp_path) == ["catalog.md", "catalog-linux.md"]
    (tmp_path / "catalog-windows.md").unlink()
    assert catalog_page.stale(catalog, tmp_path) == ["catalog-windows.md"]


def test_every_fact_of_every_entry_stands_on_its_page(catalog: Catalog) -> None:
    pages = catalog_page.pages(catalog)
    for entry in catalog.entries:
        text = pages[f"catalog-{entry.platform}.md"]
        own = text.partition(f"\n## {entry.id}\n")[2].partition("\n## ")[0]
        assert own, entry.id
        assert f"[{entry.id}](catalog-{entry.platform}.md#{entry.id})" in pages["catalog.md"]
        for signal in entry.signals:
            assert catalog_page.looked_for(signal) in own, (entry.id, signal.id)
            assert f"| {signal.confidence} |" in own
        targets: list[Residue | NeverTouch] = [*entry.residue, *entry.never_touch]
        for target in targets:
            shown = catalog_page.plain(target.target) if target.kind == "name" else catalog_page.code(target.target)
            assert shown in own, (entry.id, target.target)
        assert all(f"* {key}: " in own for key in entry.sources)
        assert ("**Reported only**" in own) is bool(entry.report_only)
        assert ("counts only beside a path" in own) is entry.require_path


def test_tables_have_the_same_number_of_cells_in_each_row(catalog: Catalog) -> None:
    for name, text in catalog_page.pages(catalog).items():
        width = 0
        for line in text.splitlines():
            cells = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else 0
            assert not (width and cells) or cells == width, (name, line)
            width = cells


def test_text_that_would_break_a_table() -> None:
    assert catalog_page.code("a|b") == "`a\\|b`"
    assert catalog_page.code("a`b") == "``a`b``"
    assert catalog_page.plain("a|b\n<c> *d*") == "a\\|b \\<c> \\*d\\*"


def test_the_command_says_what_is_stale() -> None:
    command = [sys.executable, str(tree.ROOT / "tools" / "catalog_page.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
