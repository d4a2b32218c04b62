#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write docs/lab-states.md, the table of all states in which the labs audit hosts; `--check` writes nothing."""

from __future__ import annotations

import sys
import typing as t
from collections.abc import Iterable, Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.lab.linux import states as linux
from tests.lab.windows import states as windows

PAGE: t.Final = Path(__file__).resolve().parent.parent / "docs" / "lab-states.md"
_HEAD: t.Final = """\
# States in which hosts are audited

Written by `make docs` from `tests/lab/linux/states.py` and `tests/lab/windows/states.py`. The lab tests bring real
hosts (Linux) and PowerShell on Wine (Windows) into each state, check by other instruments that they are in it, audit
them over ssh and WinRM, and hold the row to this table: no product more and none fewer, no probe unknown that does not
stand here.

"""


def page() -> str:
    """The page."""
    return _HEAD + "\n".join([*_linux(), "", *_windows(), ""])


def _linux() -> Iterable[str]:
    yield f"## Linux: {len(linux.STATES)} states"
    yield ""
    yield "Each on a host of each package family (dpkg, rpm) on which it can be made."
    yield ""
    yield "| State | What is there | Verdict | Products | Besides |"
    yield "| --- | --- | --- | --- | --- |"
    for name, state in linux.STATES.items():
        expected = state.expected
        besides = [f"reported: {id}" for id in sorted(expected.reported)]
        besides += [f"fact: {topic}" for topic in sorted(expected.topics)]
        besides += [f"cannot tell: {probe}" for probe in sorted(expected.unknown)]
        besides += [f"protection: {expected.protection}"] if expected.protection != "none" else []
        yield _line(f"`{name}`", state.why, expected.verdict, _products(expected.products), "; ".join(besides))


def _windows() -> Iterable[str]:
    yield f"## Windows: {len(windows.STATES)} states"
    yield ""
    yield "Which protection is active, no Wine can tell: `protection` is unknown in all of them."
    yield ""
    yield "| State | What is there | Verdict | Products | Besides |"
    yield "| --- | --- | --- | --- | --- |"
    for state in windows.STATES:
        besides = [f"fact: {topic}" for topic in dict.fromkeys(state.facts)]
        besides += [f"cannot tell: {probe}" for probe in sorted(state.unknown)]
        yield _line(f"`{state.name}`", state.title, state.verdict, _products(state.products), "; ".join(besides))


def _products(products: Mapping[str, str]) -> str:
    return ", ".join(f"{id} {state}" for id, state in products.items())


def _line(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") or "-" for cell in cells) + " |"


def main() -> int:
    """Write the page, or say whether it is stale."""
    text = page()
    if "--check" in sys.argv[1:]:
        stale = not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text
        print("docs/lab-states.md is stale: run make docs" if stale else "docs/lab-states.md is up to date")
        return int(stale)
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
