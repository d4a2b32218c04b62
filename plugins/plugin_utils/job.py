# SPDX-License-Identifier: GPL-3.0-or-later
"""From a plan to the sealed job of one phase: a POSIX program of quoted calls, or a document for Windows. Pure.

A job knows what a hand can do and nothing else: the functions it calls are the hand's (docs/formats.md). What a plan
may not ask of a host is refused here, whoever wrote the plan.
"""

from __future__ import annotations

import dataclasses
import shlex
import typing as t
from collections.abc import Collection, Iterator, Mapping, Sequence

from . import canonical, job_checks
from .job_checks import LISTS, JobError
from .plan import Plan, Step, Value
from .steps import KINDS, Phase

__all__ = ["SCHEMA", "VERSION", "Call", "Job", "JobError", "Part", "compile_job"]

VERSION: t.Final = 1
SCHEMA: t.Final = f"evict.kaspersky/job/{VERSION}"

# What a section returns to the flow between sections.
_STOP, _COVER, _FALLBACK = 1, 2, 3
_ON_FAIL: t.Final[Mapping[str, str]] = {
    "stop": f"return {_STOP}",
    "cover": f"return {_COVER}",
    "fallback": f"return {_FALLBACK}",
    "continue": ":",
}
_FLOW: t.Final = f"""\
job_enter remove
section_remove
came=$?
if [ "$came" -eq 0 ] || [ "$came" -eq {_COVER} ]; then
  job_enter cover
  section_cover
  came=$?
fi
if [ "$came" -eq {_FALLBACK} ]; then
  job_enter fallback
  section_fallback
  came=$?
fi
job_end "$came"
"""
_FLOW_STAGE: t.Final = """\
job_enter stage
section_stage
came=$?
if [ "$came" -ne 0 ]; then
  job_enter undo
  section_undo
fi
job_end "$came"
"""
_FLOW_FINISH: t.Final = """\
job_enter finish
section_finish
job_end "$?"
"""


@dataclasses.dataclass(frozen=True)
class Call:
    """What a hand is told of one step; nothing in it is for readers."""

    id: str
    kind: str
    args: Mapping[str, Value]


@dataclasses.dataclass(frozen=True)
class Part:
    """A section of a job and its steps, in order."""

    name: str
    steps: tuple[Step, ...]


@dataclasses.dataclass(frozen=True)
class Job:
    """A phase of a plan, ready for a hand.

    Attributes:
        digest: of the whole plan.
        host, machine, platform: whose it is; a hand refuses another machine.
        phase: `stage`, `commit` or `finish`.
        parts: sections in the order in which they stand in the job.
        undo: what takes back the steps of a stage that failed, last step first.
    """

    digest: str
    host: str
    machine: str
    platform: str
    phase: Phase
    parts: tuple[Part, ...]
    undo: tuple[Call, ...] = ()

    def posix(self) -> str:
        """The program for a POSIX host. It only calls functions of the hand, every argument quoted.

        Raises:
            JobError: the plan is that of a Windows host.
        """
        if self.platform == "windows":
            raise JobError("a Windows host gets a document, no program")
        head = _words("job_begin", str(VERSION), self.digest, self.host, self.machine, self.phase)
        text = [f"{head} || exit 1"]
        for part in self.parts:
            body = [f"{_step(step)} || {_ON_FAIL[step.on_fail]}" for step in part.steps]
            text += _function(f"section_{part.name}", body)
        if self.phase == "stage":
            text += _function("section_undo", [f"{_undo(call)} || :" for call in self.undo])
        flow = {"stage": _FLOW_STAGE, "finish": _FLOW_FINISH}.get(self.phase, _FLOW)
        return "\n".join(text) + "\n" + flow

    def windows(self) -> dict[str, t.Any]:
        """The document for a Windows host (schemas/job-1.json), the same content.

        Raises:
            JobError: the plan is that of another host.
        """
        if self.platform != "windows":
            raise JobError("a POSIX host gets a program, no document")
        return {
            "schema": SCHEMA,
            "digest": self.digest,
            "host": self.host,
            "machine": self.machine,
            "phase": self.phase,
            "sections": [{"name": part.name, "steps": list(map(_document, part.steps))} for part in self.parts],
            "undo": [{"id": call.id, "kind": call.kind, "args": _plain(call.args)} for call in self.undo],
        }

    def sealed(self) -> bytes:
        """The bytes that go to the host."""
        return canonical.dumps(self.windows()) if self.platform == "windows" else self.posix().encode("utf-8")

    def seal(self) -> str:
        """SHA-256 of the bytes that go to the host (64 hex digits)."""
        return canonical.sha256(self.sealed())


def compile_job(plan: Plan, phase: Phase, never: Collection[str] = ()) -> Job:
    """Make the job of one phase.

    Args:
        plan: a plan in the state `act`.
        phase: `stage`, `commit` or `finish`; the restart is the controller's own and no job.
        never: what no step may touch: paths, registry keys, codes and names of the catalog.

    Raises:
        JobError: the plan must not become a job; every reason is named.
    """
    if mistakes := list(job_checks.mistakes(plan, phase, never)):
        raise JobError("\n".join(mistakes))
    steps = [step for step in plan.steps if step.phase == phase]
    if phase == "commit":
        parts = tuple(
            Part(name, tuple(step for step in steps if step.section == name))
            for name in ("remove", "cover", "fallback")
        )
    else:
        parts = (Part(phase, tuple(steps)),)
    undo = tuple(_takes_back(steps)) if phase == "stage" else ()
    return Job(plan.digest(), plan.host, plan.machine, plan.platform, phase, parts, undo)


def _takes_back(steps: Sequence[Step]) -> Iterator[Call]:
    """The undoing of each step that can be undone, with those arguments of the step that the undoing knows.

    What else it needs, such as the packages a file held, the hand has in its journal.
    """
    for step in reversed(steps):
        if undo := KINDS[step.kind].undo:
            known = {*KINDS[undo].needs, *KINDS[undo].may}
            yield Call(step.id, undo, {name: value for name, value in step.args.items() if name in known})


def _function(name: str, body: Sequence[str]) -> list[str]:
    return [f"{name}() {{", *(f"  {line}" for line in body), "  return 0", "}"]


def _step(step: Step) -> str:
    condition, secrets = step.condition, [f"{name}={secret}" for name, secret in sorted(step.secrets.items())]
    words = [step.id, step.kind, str(step.timeout), step.on_fail, condition.name, condition.of, *secrets, "--"]
    return _words("step", *words, *_arguments(step.args))


def _undo(call: Call) -> str:
    return _words("undo", call.id, call.kind, "--", *_arguments(call.args))


def _words(*words: str) -> str:
    return " ".join(map(shlex.quote, words))


def _arguments(args: Mapping[str, Value]) -> Iterator[str]:
    """`name=value`, once for each item of a list, names in order of the alphabet."""
    for name, value in sorted(args.items()):
        for item in (value,) if isinstance(value, str) else value:
            yield f"{name}={item}"


def _document(step: Step) -> dict[str, t.Any]:
    return {
        "id": step.id,
        "kind": step.kind,
        "timeout": step.timeout,
        "on_fail": step.on_fail,
        "condition": {"name": step.condition.name, "of": step.condition.of},
        "secrets": dict(step.secrets),
        "args": _plain(step.args),
    }


def _plain(args: Mapping[str, Value]) -> dict[str, str | list[str]]:
    """Lists where the vocabulary has lists, so that a hand never meets a text for one."""
    return {
        name: ([value] if isinstance(value, str) else list(value)) if name in LISTS else "".join(value)
        for name, value in args.items()
    }
