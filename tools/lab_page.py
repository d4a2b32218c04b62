#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write docs/lab-states.md, the table of all states in which the labs audit hosts; `--check` writes nothing."""

from __future__ import annotations

import sys
import typing as t
from collections.abc import Iterable, Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests import expected_plans
from tests.lab.linux import states as linux
from tests.lab.windows import states as windows
from tools import pages

_ROOT: t.Final = Path(__file__).resolve().parent.parent
PAGE: t.Final = _ROOT / "docs" / "lab-states.md"
_PLANS: t.Final = _ROOT / "tests" / "lab"
# Met in every state of the Windows lab, for no Wine can tell; said once, above the table.
_ALWAYS: t.Final = frozenset({"other_scanner (waived)", "programs_restricted (waived)"})
_HEAD: t.Final = """\
# States in which hosts are audited

Written by `make docs` from `states.py` and `plans.yml` of `tests/lab/linux` and `tests/lab/windows`. The lab tests
bring real hosts (Linux) and PowerShell on Wine (Windows) into each state, check by other instruments that they are in
it, audit and plan them over ssh and WinRM, and hold the row to this table: no product more and none fewer, no probe
unknown that does not stand here. The column Plan is in short what `plans.yml` says in full: the state of the plan and
its inhibitors.

"""


def page() -> str:
    """The page."""
    return _HEAD + "\n".join([*_linux(), "", *_windows(), ""])


def _linux() -> Iterable[str]:
    yield f"## Linux: {len(linux.STATES)} states"
    yield ""
    yield "Each on a host of each package family (dpkg, rpm) on which it can be made."
    yield ""
    yield "| State | What is there | Verdict | Products | Besides | Plan |"
    yield "| --- | --- | --- | --- | --- | --- |"
    plans = expected_plans.load(_PLANS / "linux" / "plans.yml")
    for name, state in linux.STATES.items():
        expected = state.expected
        besides = [f"reported: {id}" for id in sorted(expected.reported)]
        besides += [f"fact: {topic}" for topic in sorted(expected.topics)]
        besides += [f"cannot tell: {probe}" for probe in sorted(expected.unknown)]
        besides += [f"protection: {expected.protection}"] if expected.protection != "none" else []
        yield _line(
            f"`{name}`",
            state.why,
            expected.verdict,
            _products(expected.products),
            "; ".join(besides),
            _families(plans, name),
        )


def _windows() -> Iterable[str]:
    yield f"## Windows: {len(windows.STATES)} states"
    yield ""
    yield "Which protection is active, no Wine can tell: `protection` is unknown in all of them. They are planned with"
    yield "waivers of all that may be waived; `other_scanner` and `programs_restricted` are met and waived wherever"
    yield "something is planned."
    yield ""
    yield "| State | What is there | Verdict | Products | Besides | Plan |"
    yield "| --- | --- | --- | --- | --- | --- |"
    plans = expected_plans.load(_PLANS / "windows" / "plans.yml")
    for state in windows.STATES:
        besides = [f"fact: {topic}" for topic in dict.fromkeys(state.facts)]
        besides += [f"cannot tell: {probe}" for probe in sorted(state.unknown)]
        told = (_products(state.products), "; ".join(besides), _plan(plans[state.name]))
        yield _line(f"`{state.name}`", state.title, state.verdict, *told)


def _products(products: Mapping[str, str]) -> str:
    return ", ".join(f"{id} {state}" for id, state in products.items())


def _families(plans: Mapping[str, Mapping[str, t.Any]], name: str) -> str:
    """The plan of a state on each family of hosts, once where they are alike."""
    mine = {
        root: _plan(plan) for host, plan in plans.items() for state, _, root in [host.rpartition("-")] if state == name
    }
    if len(set(mine.values())) == 1:
        return next(iter(mine.values()))
    return "; ".join(f"{root}: {text}" for root, text in sorted(mine.items()))


def _plan(plan: Mapping[str, t.Any]) -> str:
    """State and inhibitors of a plan."""
    hits = [hit for hit in plan.get("inhibitors", ()) if hit not in _ALWAYS]
    blocking = [hit for hit in hits if not hit.endswith(" (waived)")]
    waived = [hit.removesuffix(" (waived)") for hit in hits if hit not in blocking]
    text = str(plan["state"]).replace("_", " ")
    if blocking:
        text += f" ({', '.join(blocking)})"
    return text + (f", waived: {', '.join(waived)}" if waived else "")


def _line(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") or "-" for cell in cells) + " |"


if __name__ == "__main__":
    sys.exit(pages.main(PAGE, page()))
