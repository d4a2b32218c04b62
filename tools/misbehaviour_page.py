#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write docs/misbehaviour.md, the table of the removals that go wrong in the lab; `--check` writes nothing."""

from __future__ import annotations

import sys
import typing as t
from collections.abc import Iterable, Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.lab.linux.misbehaviour import MISBEHAVIOURS, Told
from tools import pages

PAGE: t.Final = Path(__file__).resolve().parent.parent / "docs" / "misbehaviour.md"
_HEAD: t.Final = """\
# Removals that go wrong

Written by `make docs` from `tests/lab/linux/misbehaviour.py`. The Linux lab brings real hosts of both package families
into each of these situations, remediates them over ssh twice, and holds plan, verdict, the class of the step that
failed ([failures.md](failures.md)) and the second run to this table. Another vendor's scanner protects each host all
the time, so that a failure ends as `failed_protected`, but where the table says otherwise.

What is there before the plan is told by the plan, and nothing is changed ([inhibitors.md](inhibitors.md)). What comes
later is met by the job on the host. Nothing is forced: a product that cannot be removed as it should stays, and the
second run says the same.

| Misbehaviour | What happens | Plan | Verdict | What fails | Second run |
| --- | --- | --- | --- | --- | --- |
"""


def page() -> str:
    """The page."""
    return _HEAD + "".join(f"{line}\n" for line in _lines())


def _lines() -> Iterable[str]:
    for name, misbehaviour in MISBEHAVIOURS.items():
        cells = (
            f"`{name}`",
            misbehaviour.why,
            _families(misbehaviour.told, _plan),
            _families(misbehaviour.told, lambda told: f"`{told.verdict}`"),
            _families(misbehaviour.told, lambda told: f"`{told.failure}`" if told.failure else "-"),
            _families(misbehaviour.told, _again),
        )
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _plan(told: Told) -> str:
    return told.plan + (f": {', '.join(f'`{name}`' for name in sorted(told.inhibitors))}" if told.inhibitors else "")


def _again(told: Told) -> str:
    verdict, reason = told.again
    if (verdict, reason) == (told.verdict, told.failure) or told.plan == "blocked":
        return "the same"
    return f"`{verdict}`" + (f": `{reason}`" if reason else "")


def _families(told: Mapping[str, Told], words: t.Callable[[Told], str]) -> str:
    """What is said on each family, once where they are alike; where only one is meant, it is named."""
    found = {family: words(item) for family, item in told.items()}
    if len(set(found.values())) == 1 and len(found) > 1:
        return next(iter(found.values()))
    return "; ".join(f"{family}: {text}" for family, text in found.items())


if __name__ == "__main__":
    sys.exit(pages.main(PAGE, page()))
