# SPDX-License-Identifier: GPL-3.0-or-later
"""A copy of the collection in which the limits of time are short, so that a test need not wait eleven minutes for a
product that does not stop. The limits are data (catalog, table of kinds); no line of code differs."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from tests.tree import ROOT

PARTS = ("LICENSE", "README.md", "catalog", "galaxy.yml", "meta", "playbooks", "plugins", "probes", "roles", "schemas")
_STOP = re.compile(r"stop_timeout: \d+")
_KIND = re.compile(r"\btimeout=(\d+)")
_USUAL = re.compile(r"timeout: int = \d+")


def collection(target: Path, *, stop: int = 10, step: int = 40) -> Path:
    """Copy the collection, lower its limits.

    Args:
        target: a new folder.
        stop: seconds a product gets to stop.
        step: seconds any other step gets at most.

    Returns:
        The folder for ANSIBLE_COLLECTIONS_PATH.

    Raises:
        AssertionError: a limit is not where it was.
    """
    place = target / "ansible_collections" / "evict" / "kaspersky"
    place.mkdir(parents=True)
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, place / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(ROOT / part, place / part)
    changed = 0
    for file in (place / "catalog" / "products" / "linux").glob("*.yml"):
        text, count = _STOP.subn(f"stop_timeout: {stop}", file.read_text())
        file.write_text(text)
        changed += count
    assert changed, "no product says how long it may take to stop"
    kinds = place / "plugins" / "plugin_utils" / "steps.py"
    text, count = _KIND.subn(lambda found: f"timeout={min(int(found[1]), step)}", kinds.read_text())
    assert count > 10, "the table of kinds has no limits"
    text, count = _USUAL.subn(f"timeout: int = {step}", text)
    assert count == 1, "the table of kinds has no usual limit"
    kinds.write_text(text)
    return target
