#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write docs/inhibitors.md, the table of all that may stand in the way of a plan; `--check` writes nothing."""

from __future__ import annotations

import re
import sys
import typing as t
from collections.abc import Iterable
from pathlib import Path

from ansible_collections.evict.kaspersky.plugins.plugin_utils.inhibitors import INHIBITORS, Inhibitor

PAGE: t.Final = Path(__file__).resolve().parent.parent / "docs" / "inhibitors.md"
NAMES: t.Final = {"linux": "Linux", "windows": "Windows", "macos": "macOS"}
WHEN: t.Final = {
    "acts": "whatever the plan would do",
    "removes": "where a product would be removed",
    "covers": "where a replacement would be put in place",
}
_HEAD: t.Final = """\
<!-- SPDX-License-Identifier: GPL-3.0-or-later -->
<!-- Made by `make docs` from plugins/plugin_utils/inhibitors_*.py; change it there. -->

# Inhibitors

What may stand in the way of a plan. A host with one of them is `blocked`: its plan has no steps, and lists **all**
that were met, each with what was seen on this host and what to do. Nothing is looked for on a host on which a plan
would do nothing.

What a host could not tell is in the way as well, as "could not tell ...": it counts as the inhibitor that needed the
answer, and may be waived where that one may be.

A waiver ([waivers.md](waivers.md)) lifts an inhibitor that is marked *yes* for the hosts it names, until it expires;
it stays in the plan and in evidence.

"""


def page() -> str:
    """The page."""
    return _HEAD + "\n".join([*_table(), "", *(line for one in INHIBITORS for line in _section(one))])


def _table() -> Iterable[str]:
    yield "| Inhibitor | What is the matter | On | Waivable |"
    yield "| --- | --- | --- | --- |"
    for one in INHIBITORS:
        yield f"| [`{one.id}`](#{one.id}) | {plain(one.title)} | {platforms(one)} | {'yes' if one.waivable else 'no'} |"


def _section(one: Inhibitor) -> Iterable[str]:
    yield f"## {one.id}"
    yield ""
    yield f"{plain(one.title)}. On {platforms(one)}, {WHEN[one.when]}."
    yield ""
    yield f"* Looked at: {plain(one.looks_at)}"
    yield f"* Remedy: {plain(one.remedy)}"
    yield f"* Waivable: {'yes' if one.waivable else 'no'}, {plain(one.why)}"
    yield ""


def platforms(one: Inhibitor) -> str:
    """Where it is looked for."""
    return ", ".join(NAMES[name] for name in one.platforms) or "every system"


def plain(text: str) -> str:
    """Prose that stays prose; code spans stay as they are."""
    return "".join(
        piece.replace("|", "\\|") if piece.startswith("`") else re.sub(r"([|<*_])", r"\\\1", piece)
        for piece in re.split(r"(`[^`]*`)", text)
    )


def main() -> int:
    """Write the page, or say that it is stale."""
    text = page()
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(text, encoding="utf-8")
        return 0
    if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == text:
        return 0
    print(f"{PAGE.name} is stale: run `make docs`", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
