# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/failures.md: every class that a step can fail with has a meaning and a remedy there, and none is made up."""

from __future__ import annotations

import re

from ansible_collections.evict.kaspersky.plugins.plugin_utils.minify import minify
from tests import tree

PAGE = (tree.ROOT / "docs" / "failures.md").read_text(encoding="utf-8")
# Without comments, so that a sentence is not taken for a call.
HANDS = {
    path.name: minify(path.read_text(encoding="utf-8")) for path in (tree.ROOT / "probes/posix").glob("perform_*.sh")
}
CALLS = re.compile(r"(?:^|[;&|{)]\s*|\bthen |\belse |\bdo )(?:fail|wrong) ([a-z_]+) ", re.MULTILINE)
ROWS = re.compile(r"^\| ((?:`[a-z_]+`(?:, )?)+) \| (.+) \| (.+) \|$", re.MULTILINE)


def classes() -> list[str]:
    return [name for row in ROWS.findall(PAGE) for name in re.findall(r"`([a-z_]+)`", row[0])]


def test_every_class_of_the_hands_is_explained() -> None:
    used = {name for text in HANDS.values() for name in CALLS.findall(text)}
    assert {"prerm_failed", "still_there", "unit_stuck", "hash_mismatch"} <= used, "the calls are not found any more"
    assert used - set(classes()) == set()


def test_every_class_that_is_explained_is_one_of_the_hands() -> None:
    everything = "\n".join(HANDS.values())
    assert [name for name in classes() if not re.search(rf"\b{name}\b", everything)] == []
    assert len(classes()) == len(set(classes())), "a class is explained twice"
