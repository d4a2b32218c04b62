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
from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy_values import METHODS
from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy_variables import REBOOTS
from ansible_collections.evict.kaspersky.plugins.plugin_utils.provider import Source
from tests import tree

ROLES = sorted(path.name for path in (tree.ROOT / "roles").iterdir() if path.is_dir())
DEFAULTS = {name: getattr(Policy(), variable.field) for name, variable in VARIABLES.items()}
# Type of the specs -> a value of that type is one of these in the policy. `raw` is checked by its own test.
TYPES: dict[str, type | tuple[type, ...]] = {
    "str": str,
    "int": int,
    "bool": bool,
    "list": (tuple, frozenset),
    "dict": dict,
    "raw": (str, list, dict, tuple),
}


def options(role: str) -> dict[str, dict[str, t.Any]]:
    """The options of a role's main entry point."""
    specs = yaml.safe_load((tree.ROOT / "roles" / role / "meta" / "argument_specs.yml").read_text())
    found: dict[str, dict[str, t.Any]] = specs["argument_specs"]["main"]["options"]
    return found


def plain(value: object) -> object:
    """A value of the policy as YAML has it."""
    if isinstance(value, (tuple, frozenset)):
        return [item if isinstance(item, int) else str(item) for item in value]
    return value


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
        if option.get("required"):  # nothing that changes hosts has a target by itself
            assert role in ("remediate", "protect")
            assert name == "evict_hosts"
            continue
        if DEFAULTS[name] is None:
            assert (option["type"], "default" in option) == ("dict", False), name
            continue
        assert option["default"] == plain(DEFAULTS[name]), name
        assert type(option["default"]) is type(plain(DEFAULTS[name])), name
        assert isinstance(DEFAULTS[name], TYPES[option["type"]]), name


def test_variables_of_the_policy_are_options_of_the_roles() -> None:
    assert list(options("remediate")) == list(VARIABLES)
    assert list(options("protect")) == list(VARIABLES)
    assert list(options("audit")) == [name for name, variable in VARIABLES.items() if variable.audit]
    verify = list(options("verify"))
    assert verify == [name for name in VARIABLES if name in verify]
    assert set(verify) >= set(options("audit"))


@pytest.mark.parametrize("role", ROLES)
def test_documented_defaults_pass_the_policy_and_mean_the_same(role: str) -> None:
    given = {name: option["default"] for name, option in options(role).items() if "default" in option}
    assert policy.validate(given) == Policy()


@pytest.mark.parametrize("role", ROLES)
def test_documented_types_are_refused_and_taken_as_the_policy_does(role: str) -> None:
    wrong: dict[str, object] = {"str": ["x"], "int": "many", "list": {"a": 5}, "raw": 5, "dict": [5], "bool": "many"}
    for name, option in options(role).items():
        with pytest.raises(PolicyError, match=f"`{name}`"):
            policy.validate({name: wrong[option["type"]]})


def test_choices_and_parts_are_those_of_the_policy() -> None:
    found = options("remediate")
    assert found["evict_reboot"]["choices"] == list(REBOOTS)
    for name in ("evict_replacement_source", "evict_fallback_source"):
        parts = found[name]["options"]
        assert list(parts) == [field.name for field in dataclasses.fields(Source)]
        assert parts["method"]["choices"] == list(METHODS)
        assert [part for part, option in parts.items() if option.get("required")] == ["method"]
        assert all(option["description"] for option in parts.values())


def test_what_may_stand_for_a_secret_is_never_checked_by_ansible_which_would_show_it() -> None:
    assert options("remediate")["evict_secrets"]["type"] == "raw"


def used(path: Path) -> set[str]:
    """Names beginning with `evict_` in a YAML file, descriptions aside."""
    return set(re.findall(r"\bevict_[a-z_]+", re.sub(r"(?m)#.*$", "", path.read_text())))


def test_roles_and_playbooks_use_no_other_variable() -> None:
    files = [path for part in ("roles", "playbooks") for path in sorted((tree.ROOT / part).rglob("*.yml"))]
    assert len(files) > 2
    strangers = {str(path.relative_to(tree.ROOT)): sorted(used(path) - set(VARIABLES)) for path in files}
    assert {name: names for name, names in strangers.items() if names} == {}
