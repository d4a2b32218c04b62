# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/providers.md says what the providers say: all of it, and nothing stale."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
import yaml

from ansible_collections.evict.kaspersky.plugins.plugin_utils import knowledge, providers
from tests import tree
from tools import catalog_page, providers_page

TEXT = providers_page.PAGE.read_text(encoding="utf-8")


def test_the_page_is_that_of_the_providers() -> None:
    assert not providers_page.stale(), "run `make docs`"
    assert "providers_page.py" in (tree.ROOT / "Makefile").read_text(encoding="utf-8")


def test_a_change_makes_it_stale_and_the_head_is_kept(tmp_path: Path) -> None:
    page = tmp_path / "providers.md"
    page.write_text(TEXT.replace("# Providers: what", "# Mine: what"), encoding="utf-8")
    assert not providers_page.stale(page), "the head is the writer's"
    page.write_text(TEXT.replace("### clamav", "### clam"), encoding="utf-8")
    assert providers_page.stale(page)
    page.write_text("# Nothing\n", encoding="utf-8")
    with pytest.raises(ValueError, match="has no line"):
        providers_page.stale(page)
    known = dict(knowledge.providers())
    changed = dataclasses.replace(known["clamav"], name="Another name")
    assert "Another name" in providers_page.page({**known, "clamav": changed}, "head")


def test_all_of_every_provider_stands_there() -> None:
    for id, provider in knowledge.providers().items():
        own = TEXT.partition(f"\n### {id}\n")[2].partition("\n### ")[0]
        assert own, id
        for name in provider.settings:
            assert f"| `{name}` |" in own, (id, name)
        for secret in provider.secrets:
            assert f"* Secret `{secret.name}`" in own
        for key in provider.sources:
            assert f"* {key}: " in own
        for platform in provider.platforms.values():
            for step in (*platform.stage, *platform.cover):
                assert f"**{step.id}**: " in own, (id, step.id)
            for fact in (f for facts in platform.marks.values() for f in facts):
                assert f"({fact.confidence}: {', '.join(fact.sources)})" in own
            for rule in platform.health.get("rules", ()):
                assert catalog_page.plain(rule["otherwise"]) in own


def test_tables_have_the_same_number_of_cells_in_each_row() -> None:
    width = 0
    for line in TEXT.splitlines():
        cells = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else 0
        assert not (width and cells) or cells == width, line
        width = cells


def test_the_example_of_the_head_is_a_provider(tmp_path: Path) -> None:
    found = re.search(r"```yaml\n(.*?)```", TEXT, re.S)
    assert found is not None
    example = yaml.safe_load(found[1])
    for id in ("package", "existing"):
        source = providers.DIRECTORY / id / providers.FILE
        (tmp_path / id).mkdir()
        (tmp_path / id / providers.FILE).write_bytes(source.read_bytes())
    (tmp_path / example["id"]).mkdir()
    (tmp_path / example["id"] / providers.FILE).write_text(found[1], encoding="utf-8")
    bastion = providers.load(tmp_path)["bastion"]
    ids = [step.id for step in bastion.platforms["linux"].cover]
    assert ids.index("group") == ids.index("configure") + 1
