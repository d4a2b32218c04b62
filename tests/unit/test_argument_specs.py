# SPDX-License-Identifier: GPL-3.0-or-later
"""Each role's argument specs say what the policy says, in both directions: names, defaults, types."""

from __future__ import annotations

import dataclasses
import re
import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.evict.kaspersky.plugins.plugin_utils import policy
from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy import VARIABLES, Policy, PolicyError
from tests import tree

ROLES = sorted(path.name for path in (tree.ROOT / "roles").iterdir() if path.is_dir())
DEFAULTS = {name: getattr(Policy(), field) for name, (field, _) in VARIABLES.items()}
# Type of the specs -> a value of that type is one of these in Python. `raw` is checked by its own test.
TYPES: dict[str, type | tuple[type, ...]] = {"str": str, "int": int, "list": tuple, "raw": (str, list)}


def options(role: str) -> dict[str, dict[str, t.Any]]:
    """The options of a role's main entry point."""
    specs = yaml.safe_load((tree.ROOT / "roles" / role / "meta" / "argument_specs.yml").read_text())
    found: dict[str, dict[str, t.Any]] = specs["argument_specs"]["main"]["options"]
    return found


def plain(value: object) -> object:
    """A value of the policy as YAML has it."""
    return [str(item) for item in value] if isinstance(value, tuple) else value


@pytest.mark.parametrize("role", ROLES)
def test_every_role_documents_its_variables(role: str) -> None:
    specs = yaml.safe_load((tree.ROOT / "roles" / role / "meta" / "argument_specs.yml").read_text())
    assert set(specs) == {"argument_specs"}
    for entry in specs["argument_specs"].values():
        assert entry["short_description"]
        for name, option in entry["options"].items():
            assert option["description"], name


@pytest.mark.parametrize("role", ROLES)
def test_options_are_variables_of_the_policy(role: str) -> None:
    for name, option in options(role).items():
        assert name in VARIABLES
        assert option["default"] == plain(DEFAULTS[name]), name
        assert type(option["default"]) is type(plain(DEFAULTS[name])), name
        assert isinstance(DEFAULTS[name], TYPES[option["type"]]), name


def test_variables_of_the_policy_are_options_of_the_audit() -> None:
    assert set(VARIABLES) == set(options("audit"))
    assert {field for field, _ in VARIABLES.values()} == {field.name for field in dataclasses.fields(Policy)}


@pytest.mark.parametrize("role", ROLES)
def test_documented_defaults_pass_the_policy_and_mean_the_same(role: str) -> None:
    assert policy.validate({name: option["default"] for name, option in options(role).items()}) == Policy()


@pytest.mark.parametrize("role", ROLES)
def test_documented_types_are_refused_and_taken_as_the_policy_does(role: str) -> None:
    wrong: dict[str, object] = {"str": ["x"], "int": "many", "list": 5, "raw": 5}
    for name, option in options(role).items():
        with pytest.raises(PolicyError, match=f"`{name}`"):
            policy.validate({name: wrong[option["type"]]})


def used(path: Path) -> set[str]:
    """Names beginning with `evict_` in a YAML file, descriptions aside."""
    return set(re.findall(r"\bevict_[a-z_]+", re.sub(r"(?m)#.*$", "", path.read_text())))


def test_roles_and_playbooks_use_no_other_variable() -> None:
    files = [path for part in ("roles", "playbooks") for path in sorted((tree.ROOT / part).rglob("*.yml"))]
    assert len(files) > 2
    strangers = {str(path.relative_to(tree.ROOT)): sorted(used(path) - set(VARIABLES)) for path in files}
    assert {name: names for name, names in strangers.items() if names} == {}
