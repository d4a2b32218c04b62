# SPDX-License-Identifier: GPL-3.0-or-later
"""Build hook: puts the repository root into the wheel as ``ansible_collections/evict/kaspersky``.

Ansible looks for ``ansible_collections`` on ``sys.path``, so a wheel that carries it needs no Galaxy. An editable
install gets a tree of links under ``.dev`` instead, because Ansible scans directories and does not see import hooks;
edits are then seen at once.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# What the collection consists of; tests/unit/test_packaging.py holds collections/, galaxy.yml and the sdist to it.
PARTS = (
    "LICENSE",
    "README.md",
    "catalog",
    "galaxy.yml",
    "meta",
    "playbooks",
    "plugins",
    "probes",
    "roles",
    "schemas",
)
COLLECTION = "ansible_collections/evict/kaspersky"


class CollectionBuildHook(BuildHookInterface):  # type: ignore[misc,type-arg,unused-ignore]  # hatchling may lack types
    """Maps the collection's parts to where Ansible finds them."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the parts to a wheel, or link them for an editable install (``version`` is then ``editable``)."""
        root = Path(self.root)
        if version == "editable":
            link_parts(root, root / ".dev" / COLLECTION)
            return
        for part in PARTS:
            build_data["force_include"][part] = f"{COLLECTION}/{part}"


def link_parts(root: Path, tree: Path) -> None:
    """Make ``tree`` a real directory with one relative link for each part (one link to the root would be a cycle)."""
    tree.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        link = tree / part
        target = os.path.relpath(root / part, tree)
        if link.is_symlink():
            if os.readlink(link) == target:
                continue
            link.unlink()
        link.symlink_to(target)
