# SPDX-License-Identifier: GPL-3.0-or-later
"""What AWX offers in its drop-downs: our playbooks and inventories, and nothing that only looks like one.

AWX looks at file names and at lines, not at YAML, so test data with a line ``hosts:`` would be offered as a playbook.
The rules are those of AWX 24.6.1 (``awx/main/utils/ansible.py``, ``awx/main/models/projects.py``), written anew.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests import tree

PLAYBOOKS = [f"playbooks/{name}.yml" for name in ("audit", "protect", "remediate", "verify")]
INVENTORIES = ["inventories/example/hosts", "inventories/local/hosts"]
# AWX stops listing inventories after this many.
LISTED_AT_MOST = 50

PLAY_LINE = re.compile(r"\s*-?\s*(hosts|include|import_playbook):")
INVENTORY_LINE = re.compile(r"[a-zA-Z0-9_.=\[\]]")
HIDDEN_FOLDERS = {"roles", "tasks", "group_vars", "host_vars"}


def is_hidden(path: str) -> bool:
    """Whether AWX does not look into the folder of ``path`` (relative to the project)."""
    folders = Path(path).parts[:-1]
    return any(part in HIDDEN_FOLDERS or part.startswith(".") for part in folders)


def looks_like_playbook(root: Path, path: str) -> bool:
    """AWX's idea of a playbook: by ending, then by a line of its text."""
    if is_hidden(path) or Path(path).suffix not in {".yml", ".yaml"}:
        return False
    lines = (root / path).read_text(encoding="utf-8", errors="ignore").splitlines()
    return bool(lines) and (lines[0].startswith("$ANSIBLE_VAULT;") or any(PLAY_LINE.match(line) for line in lines))


def looks_like_inventory(root: Path, path: str) -> bool:
    """AWX's idea of an inventory: by name, by mode, then by the first ten lines."""
    if is_hidden(path):
        return False
    name = Path(path)
    if name.name in {"inventory", "hosts"} or name.suffix == ".ini" or os.access(root / path, os.X_OK):
        return True
    if name.suffix:
        return False
    lines = (root / path).read_text(encoding="utf-8", errors="ignore").splitlines()[:10]
    return all(INVENTORY_LINE.match(line) for line in lines)


def project_files(root: Path) -> list[str]:
    """What AWX walks over: links to folders are not followed, links to files are read."""
    return [name for name in tree.files(root) if (root / name).is_file()]


def test_offered_playbooks_are_the_intended_ones() -> None:
    assert [name for name in project_files(tree.ROOT) if looks_like_playbook(tree.ROOT, name)] == PLAYBOOKS


def test_offered_inventories_are_the_intended_ones() -> None:
    offered = [name for name in project_files(tree.ROOT) if looks_like_inventory(tree.ROOT, name)]
    # AWX takes each executable for an inventory script; ours are tools of developers and stay together.
    scripts = [name for name in offered if name.startswith(("tests/", "tools/"))]
    assert [name for name in offered if name not in scripts] == INVENTORIES
    assert all(os.access(tree.ROOT / name, os.X_OK) for name in scripts)
    assert len(offered) <= LISTED_AT_MOST


@pytest.mark.parametrize(
    ("path", "text", "offered"),
    [
        ("site.yml", "- hosts: all\n", True),
        ("deep/er/x.yaml", "---\n-   hosts: all\n", True),
        ("data.yml", "a:\n    hosts: [x]\n", True),
        ("import.yml", "- name: x\n- import_playbook: y.yml\n", True),
        ("secret.yml", "$ANSIBLE_VAULT;1.1;AES256\n00\n", True),
        ("late-secret.yml", "x: 1\n$ANSIBLE_VAULT;1.1;AES256\n", False),
        ("vars.yml", "evict_hosts: all\n# hosts: all\n", False),
        ("site.txt", "- hosts: all\n", False),
        ("roles/r/tests/x.yml", "- hosts: all\n", False),
        ("x/tasks/y.yml", "- hosts: all\n", False),
        (".dev/x.yml", "- hosts: all\n", False),
        ("group_vars/x.yml", "hosts: all\n", False),
    ],
)
def test_playbook_rules(tmp_path: Path, path: str, text: str, offered: bool) -> None:
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).write_text(text)
    assert looks_like_playbook(tmp_path, path) is offered


@pytest.mark.parametrize(
    ("path", "text", "mode", "offered"),
    [
        ("x/hosts", "# comment\n", 0o644, True),
        ("fleet.ini", "", 0o644, True),
        ("run.py", "", 0o755, True),
        ("web", "[web]\na\n", 0o644, True),
        ("notes", "[web]\n\na\n", 0o644, False),
        ("hosts.yml", "all: {}\n", 0o644, False),
        ("tasks/hosts", "a\n", 0o644, False),
    ],
)
def test_inventory_rules(tmp_path: Path, path: str, text: str, mode: int, offered: bool) -> None:
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).write_text(text)
    (tmp_path / path).chmod(mode)
    assert looks_like_inventory(tmp_path, path) is offered
