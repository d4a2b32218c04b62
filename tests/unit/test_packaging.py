# SPDX-License-Identifier: GPL-3.0-or-later
"""The places that say what the project consists of agree; tests/e2e/test_packaging_runs.py builds and installs it."""

from __future__ import annotations

import fnmatch
import os
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import hatch_build
from ansible_collections.evict.kaspersky.plugins.plugin_utils.report import html
from tests import tree

LINKS = tree.ROOT / "collections" / hatch_build.COLLECTION
# In the Galaxy tarball beside the parts.
ONLY_IN_TARBALL = {"CHANGELOG.md", "changelogs"}


@pytest.fixture(scope="module")
def pyproject() -> dict[str, Any]:
    """The parsed pyproject.toml."""
    return tomllib.loads((tree.ROOT / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def galaxy() -> dict[str, Any]:
    """The parsed galaxy.yml."""
    loaded = yaml.safe_load((tree.ROOT / "galaxy.yml").read_text())
    assert isinstance(loaded, dict)
    return loaded


def test_link_tree_has_one_relative_link_for_each_part() -> None:
    assert sorted(path.name for path in LINKS.iterdir()) == sorted(hatch_build.PARTS)
    for part in hatch_build.PARTS:
        link = LINKS / part
        assert os.readlink(link) == f"../../../../{part}"
        assert link.resolve(strict=True) == tree.ROOT / part


def test_data_files_of_the_reports_lie_in_a_part() -> None:
    """Page, style and script of the HTML report: no build leaves them out, for a part is taken whole."""
    names = [f"plugins/plugin_utils/report/_html/{name}" for name in (*html.SCRIPTS, "page.html", "style.css")]
    assert [name for name in tree.files() if "/report/_html/" in name] == names
    for name in names:
        assert (LINKS / name).is_file()
        patterns = yaml.safe_load((tree.ROOT / "galaxy.yml").read_text())["build_ignore"]
        assert not any(fnmatch.fnmatch(name, pattern) for pattern in patterns)


def test_link_tree_has_no_cycle() -> None:
    folders = [tree.ROOT / "collections", *(tree.ROOT / "collections").rglob("*")]
    links = [path for path in folders if path.is_symlink()]
    assert links
    for link in links:
        assert not LINKS.is_relative_to(link.resolve()), f"{link} leads back to the link tree"


def test_every_top_level_name_is_a_part_or_left_out_of_the_tarball(galaxy: dict[str, Any]) -> None:
    patterns = galaxy["build_ignore"]
    for name in sorted({Path(path).parts[0] for path in tree.files()}):
        ignored = any(fnmatch.fnmatch(name, pattern) for pattern in patterns)
        wanted = name in hatch_build.PARTS or name in ONLY_IN_TARBALL
        assert ignored != wanted, f"{name}: a part of the collection, or in galaxy.yml's build_ignore; one of the two"


def test_what_runs_leave_behind_is_left_out_of_the_tarball(galaxy: dict[str, Any]) -> None:
    for name in (".dev", ".venv", "evict-runs", "dist", "build", "evict_kaspersky.egg-info", "plugins/x/__pycache__"):
        assert any(fnmatch.fnmatch(name, pattern) for pattern in galaxy["build_ignore"]), name


def test_sdist_holds_all_that_a_wheel_is_built_from(pyproject: dict[str, Any]) -> None:
    listed = set(pyproject["tool"]["hatch"]["build"]["targets"]["sdist"]["only-include"])
    assert listed >= {*hatch_build.PARTS, "pyproject.toml", "hatch_build.py", "src"}
    assert not listed & {"tests", "collections", "inventories"}


def test_version_stands_in_galaxy_yml_only(pyproject: dict[str, Any], galaxy: dict[str, Any]) -> None:
    assert "version" not in pyproject["project"]
    assert pyproject["project"]["dynamic"] == ["version"]
    source = pyproject["tool"]["hatch"]["version"]
    found = re.findall(source["pattern"], (tree.ROOT / source["path"]).read_text(), flags=re.MULTILINE)
    assert found == [galaxy["version"]]
    others = [
        name
        for name in tree.files()
        if name.startswith("src/") and re.search(rf"\b{re.escape(galaxy['version'])}\b", (tree.ROOT / name).read_text())
    ]
    assert others == []


def test_floors_agree(pyproject: dict[str, Any]) -> None:
    runtime = yaml.safe_load((tree.ROOT / "meta" / "runtime.yml").read_text())
    core = next(item for item in pyproject["project"]["dependencies"] if item.startswith("ansible-core"))
    floor = re.search(r">=(\d+\.\d+)", core)
    assert floor is not None
    assert runtime["requires_ansible"] == f">={floor[1]}.0"
    assert pyproject["project"]["requires-python"] == ">=3.11"


def test_nothing_needs_galaxy(galaxy: dict[str, Any]) -> None:
    assert galaxy["dependencies"] == {}
    assert yaml.safe_load((tree.ROOT / "collections" / "requirements.yml").read_text()) == {"collections": []}


def test_editable_links_are_made_repaired_and_kept(tmp_path: Path) -> None:
    links = tmp_path / "links"
    hatch_build.link_parts(tree.ROOT, links)
    assert {path.name for path in links.iterdir()} == set(hatch_build.PARTS)
    assert (links / "plugins").resolve() == tree.ROOT / "plugins"
    (links / "roles").unlink()
    (links / "roles").symlink_to("/nonexistent")
    before = (links / "meta").lstat().st_ino
    hatch_build.link_parts(tree.ROOT, links)
    assert (links / "roles").resolve() == tree.ROOT / "roles"
    assert (links / "meta").lstat().st_ino == before


def test_inventories_are_ini_and_parse_without_a_warning() -> None:
    for name in ("local", "example"):
        folder = tree.ROOT / "inventories" / name
        # Cores differ in which endings they ignore in an inventory folder; a file without one is always read.
        assert [path.name for path in folder.iterdir() if path.is_file()] == ["hosts"]
    text = (tree.ROOT / "inventories" / "example" / "hosts").read_text()
    windows = text[text.index("[windows:vars]") : text.index("[windows_ssh]")]
    settings = [line for line in windows.splitlines() if line and not line.startswith(("#", "["))]
    assert "ansible_connection=winrm" in settings
    assert not any("ansible_shell_type" in line for line in settings)
    assert "password" not in "".join(line for line in text.splitlines() if not line.startswith("#"))
