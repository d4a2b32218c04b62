# SPDX-License-Identifier: GPL-3.0-or-later
"""One list of variables in three places: the policy, the role's argument specs, and the page."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import yaml

from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy import VARIABLES, Policy

ROOT = Path(__file__).parents[2]


def test_page_and_specs_name_the_same_variables() -> None:
    page = (ROOT / "docs" / "variables.md").read_text()
    assert re.findall(r"^\| `(evict_\w+)`", page, re.MULTILINE) == list(VARIABLES)
    specs = yaml.safe_load((ROOT / "roles" / "audit" / "meta" / "argument_specs.yml").read_text())
    options = specs["argument_specs"]["main"]["options"]
    assert list(options) == list(VARIABLES)
    defaults = dataclasses.asdict(Policy())
    for name, (field, _) in VARIABLES.items():
        want = defaults[field]
        assert options[name]["default"] == (list(map(str, want)) if isinstance(want, tuple) else want), name
