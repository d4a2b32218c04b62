# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples that users copy: the example inventory's settings, the small policy, the waivers, the pages' blocks."""

from __future__ import annotations

import datetime
import re
import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.evict.kaspersky.plugins.plugin_utils import inhibitors, knowledge, policy, waivers
from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy import EXTRA_ONLY, Policy
from tests import tree

GROUPS = tree.ROOT / "inventories" / "example" / "group_vars"
EXAMPLES = tree.ROOT / "docs" / "examples"


def settings(path: Path) -> dict[str, t.Any]:
    """The variables of a file."""
    found: dict[str, t.Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


def checked(variables: dict[str, t.Any], platform: str, extra: set[str] | None = None) -> Policy:
    """Settings as a plan of a host of the platform takes them."""
    products = {entry.id for entry in knowledge.catalog().entries}
    return policy.validate(
        variables,
        extra=extra or set(),
        providers=knowledge.providers(),
        products=products,
        platform=platform,
        plan=True,
    )


@pytest.mark.parametrize(
    ("groups", "platform"), [(["linux"], "linux"), (["databases", "linux"], "linux"), (["all_windows"], "windows")]
)
def test_a_plan_can_be_made_with_the_settings_of_the_example_inventory(groups: list[str], platform: str) -> None:
    given: dict[str, t.Any] = {}
    for group in groups:
        given |= settings(GROUPS / f"{group}.yml")
    found = checked(given, platform)
    assert found.replacement[platform] != found.fallback[platform]
    assert found.secrets
    assert bool(found.exclusive_group) == ("databases" in groups)
    assert not EXTRA_ONLY & set(given)


def test_group_vars_of_the_example_inventory_are_those_of_its_groups() -> None:
    text = (GROUPS.parent / "hosts").read_text(encoding="utf-8")
    groups = set(re.findall(r"^\[([a-z_]+)(?::children)?\]$", text, re.M))
    assert {path.stem for path in GROUPS.iterdir()} <= groups


@pytest.mark.parametrize("platform", ["linux", "windows"])
def test_a_plan_can_be_made_with_the_small_policy(platform: str) -> None:
    given = settings(EXAMPLES / "policy.yml")
    assert checked(given, platform, extra=set(given)).replacement[platform]


@pytest.mark.parametrize("platform", ["linux", "windows"])
def test_commented_settings_are_right_too(platform: str) -> None:
    """What a user gets who takes the comment signs away."""
    path = GROUPS / {"linux": "linux.yml", "windows": "all_windows.yml"}[platform]
    text = re.sub(r"^# (?=evict_|  )", "", path.read_text(encoding="utf-8"), flags=re.M)
    given: dict[str, t.Any] = yaml.safe_load(text)
    assert len(given) > len(settings(path))
    now = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
    assert policy.validate(given, extra=set(), providers=knowledge.providers(), platform=platform, now=now)


@pytest.mark.parametrize(("page", "now"), [("examples/waivers.yml", (2030, 1, 1)), ("waivers.md", (2031, 1, 1))])
def test_waivers_of_the_documentation_are_valid_in_their_time(
    page: str, now: tuple[int, int, int], tmp_path: Path
) -> None:
    text = (tree.ROOT / "docs" / page).read_text(encoding="utf-8")
    if page.endswith(".md"):
        (text,) = re.findall(r"^```yaml\n(.*?)^```$", text, re.M | re.S)
    (tmp_path / "waivers.yml").write_text(text, encoding="utf-8")
    then = datetime.datetime(*now, tzinfo=datetime.UTC)
    found = waivers.load(tmp_path / "waivers.yml", inhibitors.IDS, inhibitors.WAIVABLE, then)
    hit = found.on("desk-01.example.invalid", ["all_windows", "call_centre"], then)
    assert "logged_on_sessions" in hit.waived
    assert not hit.expired
