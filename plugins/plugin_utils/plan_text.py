# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a host as a person reads and approves it: the text report, `evict plan` and `--diff` show the same lines.

Every line is inert: what a host or a user said can neither begin a line nor act on a terminal.
"""

from __future__ import annotations

import shlex
import typing as t
from collections.abc import Iterable, Iterator, Mapping

from .plain import inert
from .plan import Hit, Plan, Step, Value, Waived
from .steps import Phase

_STATES: t.Final[Mapping[str, str]] = {
    "act": "to be done",
    "nothing_to_do": "nothing to do",
    "blocked": "blocked, nothing would be done",
    "excepted": "excepted by a waiver, nothing would be done",
    "undecided": "no plan can be made, nothing would be done",
}
_SECTIONS: t.Final[Mapping[tuple[str, str], str]] = {
    ("stage", ""): "stage: nothing of the old product is touched",
    ("commit", "remove"): "commit, remove: runs to its end on the host, whatever becomes of the controller",
    ("commit", "cover"): "commit, cover: the replacement becomes active",
    ("commit", "fallback"): "commit, fallback: only when the replacement did not become active",
    ("reboot", ""): "reboot",
    ("finish", ""): "finish: what the old product left behind",
}
_ON_FAIL: t.Final[Mapping[str, str]] = {
    "continue": "if it fails: go on",
    "cover": "if it fails: go on with the cover",
    "fallback": "if it fails: go on with the fallback",
}
_MARKER: t.Final = "---------- point of no return: from here on nothing is undone ----------"


def lines(plan: Plan) -> list[str]:
    """The plan, a line each, without line ends.

    Args:
        plan: any plan; one that is blocked, excepted or undecided shows why.
    """
    return [inert(line) for line in _lines(plan)]


def phase_lines(plan: Plan, phase: Phase) -> list[str]:
    """The steps of one phase as they stand in `lines`, and the digest; nothing when the phase has no step."""
    steps = list(_steps(plan, phase))
    return [inert(line) for line in (*steps, f"  digest: {plan.digest()}")] if steps else []


def _lines(plan: Plan) -> Iterator[str]:
    steps = f", {len(plan.steps)} step{'' if len(plan.steps) == 1 else 's'}" if plan.state == "act" else ""
    yield f"plan of {plan.host}: {_STATES[plan.state]}{steps}"
    yield f"  host: {plan.platform or 'unknown platform'}, {plan.verdict}, machine {plan.machine or 'without an id'}"
    for name, version, state in plan.products:
        yield f"  product: {' '.join(filter(None, (name, version, state)))}"
    if plan.replacement:
        yield f"  replacement: {plan.replacement}, fallback: {plan.fallback or 'none'}"
    yield from _inhibitors(plan.inhibitors)
    if plan.excepted:
        yield f"  excepted: {_waiver(plan.excepted)}"
    yield from _steps(plan)
    for task in plan.manual:
        yield f"  for a person: {task.what}"
        yield f"      why: {task.why}"
        yield f"      remedy: {task.remedy}"
    if plan.gap:
        yield f"  without protection: {plan.gap.expected} s expected, {plan.gap.at_most} s at most ({plan.gap.why})"
    for note in plan.notes:
        yield f"  note: {note}"
    if plan.made:
        yield f"  made: {plan.made}" + (f", valid until {plan.expires}" if plan.expires else "")
    yield f"  digest: {plan.digest()}"


def _inhibitors(hits: Iterable[Hit]) -> Iterator[str]:
    for hit in hits:
        yield f"  {'waived' if hit.waived else 'blocked'}: {hit.id}: {hit.title}"
        yield f"      seen: {hit.diagnosis}"
        yield f"      remedy: {hit.remedy}"
        if hit.waived:
            yield f"      waiver: {_waiver(hit.waived)}"
        elif not hit.waivable:
            yield "      no waiver can lift this"


def _waiver(waiver: Waived) -> str:
    ticket = f", ticket {waiver.ticket}" if waiver.ticket else ""
    return f"{waiver.owner} until {waiver.expires}{ticket}: {waiver.reason}"


def _steps(plan: Plan, phase: Phase | None = None) -> Iterator[str]:
    section: tuple[str, str] | None = None
    for number, step in enumerate(plan.steps, 1):
        if phase not in (None, step.phase):
            continue
        if (step.phase, step.section) != section:
            section = (step.phase, step.section)
            yield f"  {_SECTIONS.get(section, ' '.join(section))}"
        if step.id == plan.point_of_no_return:
            yield f"  {_MARKER}"
        yield from _step(number, step)


def _step(number: int, step: Step) -> Iterator[str]:
    yield f"  {number:>3}. {step.id}: {step.kind} {step.target}".rstrip()
    yield f"        why: {step.reason}"
    if words := step.condition.words():
        yield f"        when: {words}"
    for name, value in sorted(step.args.items()):
        yield from _argument(name, value)
    for name, secret in sorted(step.secrets.items()):
        yield f"        secret: {name} from {secret}"
    change = {"none": "changes nothing", "reversible": "can be undone"}.get(step.change, "cannot be undone")
    limits = [change, f"usually {step.typical} s", f"at most {step.timeout} s"]
    yield f"        {'; '.join([*limits, *filter(None, [_ON_FAIL.get(step.on_fail, '')])])}"


def _argument(name: str, value: Value) -> Iterator[str]:
    if not isinstance(value, str):
        yield f"        {name}: {shlex.join(value)}"
    elif "\n" not in value:
        yield f"        {name}: {value}"
    else:
        # A text of several lines keeps them, each behind a bar, so that none can pass for a line of the plan.
        yield f"        {name}:"
        for line in value.split("\n"):
            yield f"          | {line}"
