# SPDX-License-Identifier: GPL-3.0-or-later
"""execution-environment.yml through the real ansible-builder, up to what only a registry can give: the images."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tomllib
import typing as t
from pathlib import Path

import pytest
import yaml

import hatch_build
from tests import tree

if importlib.util.find_spec("ansible_builder") is None:
    pytest.skip("ansible-builder is not installed (make test installs it)", allow_module_level=True)

DEFINITION = "execution-environment.yml"
# What ansible-builder leaves to ansible-core, which every environment has.
BROUGHT = {"pyyaml"}


def builder(*args: str | Path, cwd: Path = tree.ROOT) -> subprocess.CompletedProcess[str]:
    """Run ansible-builder."""
    command = [sys.executable, "-m", "ansible_builder", *map(str, args)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The work tree as a fresh clone would have it."""
    return tree.copy_to(tmp_path_factory.mktemp("ee") / "checkout")


@pytest.fixture(scope="module")
def context(checkout: Path) -> Path:
    """The build context."""
    folder = checkout.parent / "context"
    done = builder("create", "-f", DEFINITION, "-c", folder, cwd=checkout)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def installed(context: Path) -> Path:
    """Where the image build would put the collection: the same command, without what comes from Galaxy."""
    build = context / "_build"
    wanted = yaml.safe_load((build / "requirements.yml").read_text())
    local = [item for item in wanted["collections"] if item.get("type") == "dir"]
    assert [item["name"] for item in wanted["collections"] if item not in local] == ["ansible.windows"]
    (build / "local.yml").write_text(yaml.safe_dump({"collections": local}))
    target = context.parent / "installed"
    command = ["-m", "ansible", "galaxy", "collection", "install", "--offline", "--force", "-r", "local.yml"]
    done = subprocess.run(
        [sys.executable, *command, "--collections-path", str(target)],
        cwd=build,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return target


def definition() -> dict[str, t.Any]:
    """The definition."""
    found = yaml.safe_load((tree.ROOT / DEFINITION).read_text())
    assert isinstance(found, dict)
    return found


def dependencies() -> list[str]:
    """Those of pyproject.toml."""
    found: list[str] = tomllib.loads((tree.ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    return found


def name(requirement: str) -> str:
    """The package of a requirement."""
    return re.split(r"[\[<>=~! ;]", requirement, maxsplit=1)[0].lower()


def test_the_image_is_made_as_the_definition_says(context: Path) -> None:
    text = (context / "Containerfile").read_text()
    given = definition()
    assert f'ARG EE_BASE_IMAGE="{given["images"]["base_image"]["name"]}"' in text
    assert f'ARG PYCMD="{given["dependencies"]["python_interpreter"]["python_path"]}"' in text
    core, runner = (given["dependencies"][key]["package_pip"] for key in ("ansible_core", "ansible_runner"))
    assert f'ARG ANSIBLE_INSTALL_REFS="{core} {runner}"' in text
    for step in ("ansible-galaxy collection install", "introspect.py introspect"):
        assert re.search(rf"^RUN .*{re.escape(step)} ", text, re.MULTILINE), step


def test_the_core_is_one_that_is_tested() -> None:
    core = next(item for item in dependencies() if name(item) == "ansible-core")
    floor, ceiling = (tuple(map(int, found.split("."))) for found in re.findall(r"\d+\.\d+", core))
    chosen = re.fullmatch(r"ansible-core~=(\d+)\.(\d+)\.0", definition()["dependencies"]["ansible_core"]["package_pip"])
    assert chosen is not None
    assert floor <= (int(chosen[1]), int(chosen[2])) < ceiling


def test_the_collection_goes_in_as_a_whole(context: Path, checkout: Path, installed: Path) -> None:
    assert sorted(path.name for path in (context / "_build" / "collection").iterdir()) == sorted(hatch_build.PARTS)
    there = installed / hatch_build.COLLECTION
    for part in hatch_build.PARTS:
        if part == "galaxy.yml":
            continue  # becomes MANIFEST.json
        files = [checkout / part] if (checkout / part).is_file() else list((checkout / part).rglob("*"))
        for file in (path for path in files if path.is_file()):
            assert (there / file.relative_to(checkout)).read_bytes() == file.read_bytes(), file
    assert not (there / "tests").exists()


def test_what_it_needs_is_found_by_introspection(installed: Path) -> None:
    done = builder("introspect", installed)
    assert done.returncode == 0, done.stdout + done.stderr
    found = yaml.safe_load(done.stdout)
    python = {line.partition("#")[0].strip() for line in found["python"]}
    assert python == {item for item in dependencies() if name(item) not in {"ansible-core", *BROUGHT}}
    assert all(line.endswith("# from collection evict.kaspersky") for line in [*found["python"], *found["system"]])
    assert [line.split()[0] for line in found["system"] if "platform:rpm" in line] == ["openssh-clients"]


def test_it_needs_what_the_command_needs_and_nothing_heavier() -> None:
    lines = (tree.ROOT / "meta" / "ee-requirements.txt").read_text().splitlines()
    listed = [line for line in lines if line and not line.startswith("#")]
    assert listed == [item for item in dependencies() if name(item) != "ansible-core"]


def test_a_mistake_in_the_definition_is_found(tmp_path: Path) -> None:
    """So that a definition that passes was looked at."""
    (tmp_path / DEFINITION).write_text("version: 3\nimages:\n  base_images: {}\n")
    done = builder("create", "-c", tmp_path / "context", cwd=tmp_path)
    assert done.returncode == 1
    assert "Additional properties are not allowed" in done.stdout + done.stderr
