# SPDX-License-Identifier: GPL-3.0-or-later
"""One list of variables in four places: the policy, its table, the roles' argument specs, and the pages."""

from __future__ import annotations

import dataclasses
import datetime
import re
import subprocess
import sys

import pytest
import yaml

from ansible_collections.evict.kaspersky.plugins.plugin_utils import policy, providers
from ansible_collections.evict.kaspersky.plugins.plugin_utils.catalog import Catalog
from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy import EXTRA_ONLY, VARIABLES, Policy
from tests import tree
from tools import variables_page

PAGE = (tree.ROOT / "docs" / "variables.md").read_text(encoding="utf-8")
ROWS = {
    cells[0].strip("` "): cells
    for cells in (re.split(r"(?<!\\)\|", line)[1:-1] for line in PAGE.splitlines() if line.startswith("| `evict_"))
}


def test_the_pages_are_those_of_the_table() -> None:
    assert variables_page.stale() == [], "run `make docs`"
    assert list(ROWS) == [n for n, v in VARIABLES.items() if v.audit] + [n for n, v in VARIABLES.items() if not v.audit]
    done = subprocess.run(
        [sys.executable, tree.ROOT / "tools" / "variables_page.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_each_field_of_the_policy_is_one_variable() -> None:
    assert [variable.field for variable in VARIABLES.values()] == [field.name for field in dataclasses.fields(Policy)]
    documented = re.findall(r"`(evict_\w+)`", Policy.__doc__ or "")
    assert set(VARIABLES) - set(documented) == {"evict_replacement_source", "evict_fallback_source"} | {
        "evict_replacement_settings",
        "evict_fallback_settings",
    }
    assert set(documented) <= set(VARIABLES)
    assert set(VARIABLES) > EXTRA_ONLY


@pytest.mark.parametrize("name", VARIABLES)
def test_an_example_is_taken_and_changes_something(name: str) -> None:
    variable = VARIABLES[name]
    example = variable.example.replace("9f86...0a08", "9f86" * 16)
    needed = {
        "evict_replacement": "falcon",
        "evict_windows": [{"start": "2030-01-05T22:00Z", "end": "2030-01-06T22:00Z"}],
    }
    now = datetime.datetime(2027, 1, 1, tzinfo=datetime.UTC)
    found = policy.validate({**needed, name: yaml.safe_load(example)}, now=now)
    assert getattr(found, variable.field) != getattr(Policy(), variable.field)
    # The same as a text, as a survey and `-e name=value` give it.
    assert policy.validate({**needed, name: example}, now=now) == found
    assert f"`{variable.example}`".replace("|", "\\|") in ROWS[name][5]


@pytest.mark.parametrize("name", VARIABLES)
def test_the_page_says_default_and_origin(name: str) -> None:
    cells = [cell.strip() for cell in ROWS[name]]
    value = getattr(Policy(), VARIABLES[name].field)
    if VARIABLES[name].default:
        assert cells[2] == VARIABLES[name].default
    elif value in ("", None, (), frozenset()) or value == {}:
        assert cells[2] == "empty"
    elif isinstance(value, (tuple, bool)):
        assert yaml.safe_load(cells[2].strip("`")) == (list(value) if isinstance(value, tuple) else value)
    else:
        assert cells[2] == f"`{value}`"
    assert (cells[3] == "extra vars only") is (name in EXTRA_ONLY)
    assert len(cells) == 6
    assert all(cells)


def test_the_example_of_secrets_fits_catalog_and_providers(catalog: Catalog) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    products = {entry.id for entry in catalog.entries}
    found = policy.validate(yaml.safe_load(example), providers=providers.load(), products=products)
    assert {ref.how for names in found.secrets.values() for ref in names.values()} == {"variable", "file", "lookup"}


def test_tables_of_the_roles_name_the_options_of_the_roles() -> None:
    for role in ("audit", "remediate"):
        text = (tree.ROOT / "roles" / role / "README.md").read_text(encoding="utf-8")
        assert re.findall(r"^\| `(evict_\w+)`", text, re.MULTILINE) == list(variables_page.options(role)), role
