# SPDX-License-Identifier: GPL-3.0-or-later
"""The answers in tests/fixtures/windows: in the form docs/formats.md binds both sides to, and judged right.

The recorded ones are held to the hand by the Windows lab; here they are held to the page and to the brain.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import knowledge, observation
from ansible_collections.evict.kaspersky.plugins.plugin_utils.assess import assess
from tests import tree
from tests.lab.windows import states

FOLDER = tree.ROOT / "tests" / "fixtures" / "windows"
FILES = sorted(FOLDER.glob("*.json"))
RECORDED = {state.name: (state.verdict, dict(state.products)) for state in states.STATES}
# What Wine cannot give, written by hand: verdict, products.
BY_HAND: dict[str, tuple[str, dict[str, str]]] = {
    "hand-32-bit-windows": ("present", {"kes": "running"}),
    "hand-agent-on-domain-controller": ("present", {"klnagent": "running"}),
    "hand-denied-key": ("unknown", {"kaspersky": "leftover"}),
    "hand-embedded-engine": ("absent", {}),
    "hand-hostile-texts": ("leftovers", {"kaspersky": "leftover"}),
    "hand-kes-with-drivers": ("present", {"kes": "running"}),
    "hand-no-administrator": ("unknown", {}),
    "hand-orphan-driver": ("leftovers", {"k4w": "leftover", "kaspersky": "leftover"}),
    "hand-protected-process": ("present", {"kes": "installed"}),
    "hand-user-vendor-key-with-acl": ("leftovers", {"kaspersky": "leftover"}),
}
EXPECTED = RECORDED | BY_HAND


def load(file: Path) -> dict[str, Any]:
    """A fixture's observation."""
    data = json.loads(file.read_text(encoding="utf-8"))
    assert isinstance(data, dict)
    return data


def keys_of_the_page() -> dict[str, set[str]]:
    """Probe -> record keys, as the table of section 4 in docs/formats.md has them."""
    text = (tree.ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    section = text.partition("\n## 4.")[2].partition("\n## 5.")[0]
    found: dict[str, set[str]] = {}
    before: set[str] = set()
    for probes, keys in re.findall(r"^\| (.+?) \| (.+?) \|$", section, re.M):
        if not probes.startswith("`"):
            continue
        # Values stand in brackets, remarks after a semicolon.
        plain = keys.split("; ")[0]
        while plain != (plain := re.sub(r"\([^()]*\)", "", plain)):
            pass
        words = {word for piece in re.findall(r"`([a-z_ ]+)`", plain) for word in piece.split()}
        if plain.startswith("the same"):
            words |= before
        before = words
        found |= dict.fromkeys(re.findall(r"`([a-z._]+)`", probes), words)
    return found


def test_the_page_is_read_right() -> None:
    page = keys_of_the_page()
    assert {"host", "services", "drivers", "processes", "paths", "uninstall.machine", "registry.users"} <= set(page)
    assert page["processes"] == {"pid", "name", "path"}
    assert page["uninstall.users"] == page["uninstall.machine"] | {"sid"}
    assert page["registry.users"] == {"root", "view", "sid", "key"}
    assert page["protection"] == {"kind", "name", "state", "detail"}
    assert page["class_filters"] == {"class", "class_name", "filter", "position"}
    assert set(observation.PROBES["windows"]) <= set(page)


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_it_has_the_form_of_an_observation(file: Path) -> None:
    schema = json.loads((tree.ROOT / "schemas" / "observation-1.json").read_text(encoding="utf-8"))
    data = load(file)
    jsonschema.validate(data, schema)
    assert set(data["probes"]) == set(observation.PROBES["windows"])
    assert observation.from_dict(data).to_dict() == data, "the brain must take it in without a loss"
    assert data["host"] == data["probes"]["host"]["records"][0]


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_its_records_have_the_keys_of_the_page(file: Path) -> None:
    page = keys_of_the_page()
    for probe, answer in load(file)["probes"].items():
        for record in answer["records"]:
            assert {key for key in record if not key.startswith("value.")} == page[probe], (probe, record)


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_it_is_judged_right(file: Path) -> None:
    found = assess(observation.from_dict(load(file)), knowledge.catalog())
    verdict, products = EXPECTED[file.stem]
    assert (found.verdict.value, {one.entry.id: one.state for one in found.products}) == (verdict, products)


def test_every_fixture_is_expected_and_every_expectation_has_one() -> None:
    assert {file.stem for file in FILES} == set(EXPECTED)
