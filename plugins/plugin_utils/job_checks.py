# SPDX-License-Identifier: GPL-3.0-or-later
"""What a plan may not ask of a host, whoever wrote it. Asked before a job is compiled. Pure."""

from __future__ import annotations

import collections
import re
import typing as t
from collections.abc import Collection, Iterator

from .paths import parts, reaches
from .plan import Plan, Step
from .steps import CONDITIONS, KINDS, Kind

# Arguments that are lists; all others are one text.
_MEMBERS: t.Final = ("codes", "packages", "programs", "services")
LISTS: t.Final = frozenset(
    {
        *(*_MEMBERS, "accepts", "arguments", "contains", "expects", "keep", "properties", "units"),
        *("becomes", "checks", "files", "lines", "marks"),
    }
)
# Arguments that name what a step changes; those of the second set are places that hold other places.
_NAMES: t.Final = ("chain", "code", "group", "package", "packages", "service", "unit", "user")
_PLACES: t.Final = ("files", "key", "path")

_ID: t.Final = re.compile(r"[A-Za-z0-9][^\x00-\x1f\x7f-\x9f\u2028\u2029]{0,499}\Z")
_PROPERTY: t.Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,99}\Z")
_SECRET: t.Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,99}\.[A-Za-z_][A-Za-z0-9_]{0,99}\Z")
_HIVE: t.Final = re.compile(r"(?:HKLM|HKEY_LOCAL_MACHINE):?\\", re.IGNORECASE)
_STRENGTH: t.Final = ("none", "reversible", "irreversible")
_LONGEST: t.Final = 7 * 24 * 3600  # seconds of a step


class JobError(ValueError):
    """The plan must not become a job; the text names each reason, one a line."""


def mistakes(plan: Plan, phase: str, never: Collection[str] = ()) -> Iterator[str]:
    """Why the phase cannot become a job; empty when it can. The whole plan is looked at, whatever the phase.

    Args:
        plan: the plan.
        phase: which phase is asked for.
        never: what no step may touch.
    """
    if plan.state != "act":
        yield f"the plan of {plan.host!r} is {plan.state}: there is nothing to perform"
        return
    if phase not in ("stage", "commit", "finish"):
        yield f"the phase {phase!r} is no job: known are stage, commit and finish"
    if plan.platform not in ("linux", "windows"):
        yield f"no hand performs steps on {plan.platform!r}"
    twice = [name for name, count in collections.Counter(step.id for step in plan.steps).items() if count > 1]
    yield from (f"step {name!r}: another step has the same id" for name in twice)
    for step in plan.steps:
        yield from (f"step {step.id!r}: {text}" for text in _step(step, plan, never))
    yield from _order(plan)
    yield from (f"the {name} has a character no host can be given" for name in _unsendable(plan))


def _step(step: Step, plan: Plan, never: Collection[str]) -> Iterator[str]:
    if not _ID.match(step.id):
        yield "its id must begin with a letter or digit and be one line of at most 500 characters"
    kind = KINDS.get(step.kind)
    if kind is None:
        yield f"{step.kind!r} is no kind of step"
        return
    if plan.platform not in kind.platforms:
        yield f"{step.kind} is not known on {plan.platform}"
    if step.kind == "reboot" and step.phase not in ("stage", "reboot"):
        yield "a restart has its place in the staging and in a phase of its own, nowhere else"
    yield from _arguments(step, kind)
    yield from _place(step, kind)
    name, of = step.condition.name, step.condition.of
    if name not in CONDITIONS:
        yield f"{name!r} is no condition"
    elif CONDITIONS[name][0] != bool(of):
        yield f"the condition {name} " + (
            f"is not about anything, and {of!r} is given" if of else "needs what it is about"
        )
    if not 1 <= step.timeout <= _LONGEST:
        yield f"a timeout of {step.timeout} s is none"
    if step.change != "none":
        yield from (f"it would touch {item!r}, which must never be touched" for item in _touched(step, plan, never))


def _arguments(step: Step, kind: Kind) -> Iterator[str]:
    given, known = {*step.args, *step.secrets}, {*kind.needs, *kind.may}
    for name in sorted(set(kind.needs) - given):
        yield f"{step.kind} needs the argument {name!r}"
    for name in sorted(set(step.args) - known):
        yield f"{step.kind} has no argument {name!r}"
    for name in sorted(set(step.args) & set(step.secrets)):
        yield f"{name!r} is given as an argument and as a secret"
    for name, value in step.args.items():
        if name in known and name not in LISTS and not isinstance(value, str):
            yield f"the argument {name!r} must be one text"
        for item in (value,) if isinstance(value, str) else value:
            if not _sendable(item):
                yield f"the argument {name!r} has a character no host can be given"
    if step.kind == "confirm_absent" and not any(step.args.get(name) for name in _MEMBERS):
        yield f"it would look for nothing: one of {', '.join(_MEMBERS)} is needed"
    if "packages" in kind.needs and not step.args.get("packages"):
        yield "it names no package"
    for name, secret in step.secrets.items():
        if not _PROPERTY.match(name):
            yield f"{name[:60]!r} is no name of an argument or an MSI property"
        if not _SECRET.match(secret):
            yield f"the secret for {name[:60]!r} must be given as `owner.NAME`"  # it may be a value: it is not shown
    if not _sendable(step.condition.of):
        yield "its condition has a character no host can be given"


def _place(step: Step, kind: Kind) -> Iterator[str]:
    """Is the step in a phase and a section where it may be?"""
    if (step.phase == "commit") != bool(step.section):
        yield f"the section {step.section!r} is not part of the phase {step.phase!r}"
    # A restart before the point of no return takes nothing away.
    least = "reversible" if step.kind == "reboot" and step.phase == "stage" else kind.change
    if step.change not in _STRENGTH or _STRENGTH.index(step.change) < _STRENGTH.index(least):
        yield f"it says of itself that its change is {step.change!r}, but {step.kind} is {least}"
    if "irreversible" in (step.change, least) and step.phase == "stage":
        yield "what cannot be undone has no place before the point of no return"
    if step.phase == "commit" and step.section in ("cover", "fallback") and step.on_fail == "cover":
        yield "a failure in this section cannot go on with the cover again"
    if step.section == "fallback" and step.on_fail == "fallback":
        yield "a failure of the fallback cannot go on with the fallback again"
    if step.phase != "commit" and step.on_fail in ("cover", "fallback"):
        yield f"the section {step.on_fail} is part of the commit, and this step is not"


def _order(plan: Plan) -> Iterator[str]:
    """Is the order of phases and sections kept, and is nobody left without a way on?"""
    ranks = {name: number for number, name in enumerate(("stage", "remove", "cover", "fallback", "reboot", "finish"))}
    highest = 0
    for step in plan.steps:
        rank = ranks.get(step.section or step.phase, 0)
        if rank < highest:
            yield f"step {step.id!r}: the phase or section it belongs to is over"
        highest = max(highest, rank)
    commit = [step for step in plan.steps if step.phase == "commit"]
    there = {step.section for step in commit}
    without = plan.replacement == "none"
    if "remove" in there and "cover" not in there and not without:
        yield "something is removed and nothing covers the host afterwards: it needs a cover, or the replacement `none`"
    for step in commit:
        if step.on_fail == "fallback" and "fallback" not in there:
            yield f"step {step.id!r}: a failure goes on with the fallback, and there is none"
        if step.on_fail == "cover" and "cover" not in there and not without:
            yield f"step {step.id!r}: a failure goes on with the cover, and there is none"
    passed = False
    for step in commit:
        passed = passed or step.change == "irreversible"
        if passed and step.on_fail == "stop":
            yield f"step {step.id!r}: after the point of no return nothing may stop the job before the host is covered"


def _touched(step: Step, plan: Plan, never: Collection[str]) -> Iterator[str]:
    """What of the never-touch list the step would touch, wildcards in either read as what they may stand for."""
    keep = step.args.get("keep", ())
    kept = (keep,) if isinstance(keep, str) else keep
    given = [(name, step.args.get(name, ())) for name in _PLACES]
    places = [(name, place) for name, value in given for place in ((value,) if isinstance(value, str) else value)]
    for name, place in places:
        if not place:
            continue
        platform = "windows" if name == "key" else plan.platform
        for item in never:
            guarded = _HIVE.sub("", item, count=1)
            mine = _HIVE.sub("", place, count=1)
            # A folder may hold what it keeps; a key goes with all that is in it.
            holds = reaches(mine, guarded, platform) and not (name == "path" and item in kept)
            if parts(guarded, platform) and (reaches(guarded, mine, platform) or holds):
                yield item
    for name in _NAMES:
        value = step.args.get(name, ())
        for named in (value,) if isinstance(value, str) else value:
            yield from (item for item in never if item.casefold() == named.casefold())


def _unsendable(plan: Plan) -> Iterator[str]:
    for name, value in (("inventory name", plan.host), ("machine id", plan.machine)):
        if not _sendable(value):
            yield name


def _sendable(text: object) -> bool:
    """Can the text be an argument of a program? No host can be given NUL, nor half a character."""
    if not isinstance(text, str) or "\0" in text:
        return False
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
