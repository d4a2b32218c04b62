# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host tells of a job: the answer of its launcher and the journal in it (docs/formats.md section 8). Pure.

Both are untrusted text. Nothing in them raises, and what is not said in the form of the journal was not said.
"""

from __future__ import annotations

import dataclasses
import math
import re
import typing as t
from collections.abc import Iterable, Iterator, Mapping

from .outcome import Failure, Outcome, Status, skipped
from .plan import Plan, Step
from .steps import Phase

RESTART_FIRST: t.Final = 4  # what a job ends with that wants the host restarted first (docs/formats.md section 7)
State = t.Literal["running", "ended", "died", "refused", "none", "cut"]

_STATES: t.Final = ("running", "ended", "died", "refused", "none")
_FIELD: t.Final = re.compile(r"([a-z][a-z0-9_]{0,59})(?:=([A-Za-z0-9._/:+@~,%-]*)|:((?:[0-9a-f]{2})*))\Z")
_EVENTS: t.Final = ("job", "enter", "begin", "note", "end", "undo", "close")
_ENDS: t.Final[Mapping[str, Status]] = {"done": "done", "already": "already", "skipped": "skipped", "failed": "failed"}
_NUMBER: t.Final = re.compile(r"[0-9]{1,10}(?:\.[0-9]{1,6})?\Z")
_CLASS: t.Final = re.compile(r"[a-z][a-z0-9_]{0,59}\Z")
_PROOFS: t.Final = ("unit_active", "service_running", "expect", "expect_defender")


@dataclasses.dataclass(frozen=True)
class Line:
    """A line of the journal: its event and its fields."""

    event: str
    fields: Mapping[str, str]

    def number(self, key: str) -> float | None:
        """A field that is a number; None when it is missing or none."""
        value = self.fields.get(key, "")
        return float(value) if _NUMBER.match(value) else None


@dataclasses.dataclass(frozen=True)
class Moment:
    """When something happened: seconds of the host's clock, and since a start of the host."""

    at: float | None
    up: float | None
    boot: str

    def until(self, later: Moment) -> float | None:
        """Seconds; by the clock only when the host was restarted in between, since a clock can be set."""
        if self.boot and self.boot == later.boot and self.up is not None and later.up is not None:
            return max(0.0, later.up - self.up)
        if self.at is not None and later.at is not None:
            return max(0.0, later.at - self.at)
        return None


@dataclasses.dataclass(frozen=True)
class Journal:
    """The journal of one phase, or what is known of it.

    Attributes:
        lines: those that could be read, in order.
    """

    lines: tuple[Line, ...] = ()

    @classmethod
    def of(cls, lines: Iterable[str]) -> Journal:
        """Read the lines as a host keeps them; what is cut or strange is left out."""
        return cls(tuple(line for text in lines if (line := _line(text)) is not None))

    @property
    def digest(self) -> str:
        """Of the plan; empty when it is not told."""
        return self._job("digest")

    @property
    def phase(self) -> str:
        """Which one this is the journal of; empty when it is not told."""
        return self._job("phase")

    @property
    def run(self) -> str:
        """Id of the run whose performer was the last one; empty when it is not told."""
        return self._job("run")

    @property
    def boot(self) -> str:
        """Id of the host's start in which the last performer worked; empty when it is not told."""
        return self._job("boot")

    @property
    def code(self) -> int | None:
        """Of the job; None when it has not ended."""
        last = next((line for line in reversed(self.lines) if line.event in ("job", "close")), None)
        value = "" if last is None or last.event == "job" else last.fields.get("code", "")
        return int(value) if re.match(r"[0-9]{1,3}\Z", value) else None

    @property
    def step(self) -> str:
        """Id of the step under way; empty for none."""
        last = next((line for line in reversed(self.lines) if line.event in ("begin", "end", "close")), None)
        return last.fields.get("id", "") if last is not None and last.event == "begin" else ""

    @property
    def started(self) -> float | None:
        """When the job was begun (seconds since 1970 by the host's clock)."""
        return next((line.number("at") for line in self.lines if line.event == "job"), None)

    @property
    def ended(self) -> float | None:
        """When it ended; None when it has not."""
        return next((x.number("at") for x in reversed(self.lines) if x.event == "close"), None) if self.ends else None

    @property
    def ends(self) -> bool:
        """Has the job come to its end?"""
        return self.code is not None

    @property
    def reboot(self) -> bool:
        """Does a step, or the job itself, ask for a restart of the host?"""
        return self.code == RESTART_FIRST or any(
            line.fields.get("reboot") == "yes" for line in self.lines if line.event in ("end", "undo")
        )

    @property
    def interruptions(self) -> int:
        """How often the performer was lost and another one went on."""
        return max(0, sum(line.event == "job" for line in self.lines) - 1)

    def notes(self, step: str = "journal") -> dict[str, str]:
        """What was noted for a step, the last word of each key; `journal` for what is about the journal itself."""
        return {
            line.fields["key"]: line.fields.get("value", "")
            for line in self.lines
            if line.event == "note" and line.fields.get("id") == step and "key" in line.fields
        }

    def outcomes(self, plan: Plan, phase: Phase) -> tuple[Outcome, ...]:
        """What became of each planned step of a phase, in the order of the plan: performed, or skipped with a reason.

        Args:
            plan: whose journal this should be.
            phase: likewise.
        """
        steps = [step for step in plan.steps if step.phase == phase]
        if self.lines and (self.digest, self.phase) != (plan.digest(), phase):
            why = "the journal on the host is that of another plan or phase"
            return tuple(skipped(step, why) for step in steps)
        begun, ended, undone = self._by_id("begin"), self._by_id("end"), self._by_id("undo")
        found: list[Outcome] = []
        for step in steps:
            if (end := ended.get(step.id)) is not None and end.fields.get("status") in _ENDS:
                found.append(_ended(step, end, undone.get(step.id)))
            elif step.id in begun:
                found.append(_interrupted(step, self.ends))
            else:
                found.append(skipped(step, self._passed_over(step, steps, found)))
        return tuple(found)

    def gap(self, plan: Plan) -> float | None:
        """Seconds without protection: from the first step that may have ended the old one to the proof of the new one.

        Args:
            plan: of this journal, which must be that of its commit.

        Returns:
            0 where the plan leaves the host protected all the time; None where there is nothing to measure, and where
            protection has not come back.
        """
        outcomes = {outcome.step: outcome for outcome in self.outcomes(plan, "commit")}
        performed = {name for name, outcome in outcomes.items() if outcome.status in ("done", "failed")}
        removing = [s for s in _of(plan, "remove") if s.kind != "confirm_absent" and s.id in performed]
        if not removing or plan.gap is None:
            return None
        if plan.gap.at_most == 0:
            return 0.0
        last = self._cover(plan, outcomes)
        if last is None:
            return None
        if plan.gap.expected == 0 and last.section == "cover":
            return 0.0
        begun, ended = self._moment("begin", removing[0].id), self._moment("end", last.id)
        return None if begun is None or ended is None else begun.until(ended)

    @staticmethod
    def _cover(plan: Plan, outcomes: Mapping[str, Outcome]) -> Step | None:
        """The last step of the section that brought protection; None when none did."""

        def good(step: Step) -> bool:
            return outcomes[step.id].status in ("done", "already")

        # `fallback` marks what a cover cannot be without. Nothing in a fallback is marked so: its last look counts,
        # or all of it where nothing looks.
        cover, fallback = _of(plan, "cover"), _of(plan, "fallback")
        needed = [s for s in cover if s.on_fail == "fallback"] or cover
        if needed and all(map(good, needed)):
            return needed[-1]
        needed = [s for s in fallback if s.kind in _PROOFS][-1:] or fallback
        return needed[-1] if needed and all(map(good, needed)) else None

    def _job(self, key: str) -> str:
        return next((x.fields.get(key, "") for x in reversed(self.lines) if x.event == "job"), "")

    def _by_id(self, event: str) -> dict[str, Line]:
        """The last line of an event for each id."""
        return {line.fields.get("id", ""): line for line in self.lines if line.event == event}

    def _moment(self, event: str, step: str) -> Moment | None:
        """The first begin, the last end."""
        boot, found = "", None
        for line in self.lines:
            boot = line.fields.get("boot", "") if line.event == "job" else boot
            if line.event == event and line.fields.get("id") == step and (found is None or event != "begin"):
                found = Moment(line.number("at"), line.number("up"), boot)
        return found

    def _passed_over(self, step: Step, steps: list[Step], before: list[Outcome]) -> str:
        """Why a step was not begun."""
        jumps = {s.id: s.on_fail for s in steps}
        failed = [o for o in before if o.status == "failed" and jumps[o.step] != "continue"]
        if not self.lines:
            return "the job was not begun"
        if stopped := self.notes().get("stopped"):
            return f"the job was stopped: {stopped}"
        if step.section == "fallback" and not any(jumps[o.step] == "fallback" for o in failed):
            return "not needed: the replacement became active" if self.ends else "the job did not come so far"
        if failed:
            return f"passed over since {failed[-1].step} failed"
        if self.code == RESTART_FIRST:
            return "the host has to be restarted first"
        return "the job did not come so far"


@dataclasses.dataclass(frozen=True)
class Answer:
    """What the launcher says.

    Attributes:
        state: of the job: `running`, `ended`, `died` (nobody performs it and it has not ended), `refused` (nothing was
            begun), `none` (what was asked for is not there, or is in `message`); `cut`: the answer is not whole.
        code: of a job that has ended as a number, of a refusal as a word.
        message: why it was refused or died; of a plan that was asked for, its text.
        lines: of the journal, as the host keeps them, from the first that was not known yet.
        facts: what else is told: `digest`, `phase`, `run`, `since`, `attempt`.
    """

    state: State
    code: str = ""
    message: str = ""
    lines: tuple[str, ...] = ()
    facts: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def journal(self) -> Journal:
        """The lines, read."""
        return Journal.of(self.lines)


def parse(text: str, nonce: str) -> Answer:
    """Read an answer of the launcher.

    Args:
        text: all that the host printed.
        nonce: the word that marks our lines in it.
    """
    own = [line[len(nonce) + 1 :].rstrip("\r") for line in text.split("\n") if line.startswith(f"{nonce} ")]
    cut = Answer("cut", message="the answer of the host is not whole: the connection broke, or something cut it")
    if not own or own[0] != "B 1 perform" or own[-1] != f"E {len(own) - 1}":
        return cut
    told = [line for line in own if line.startswith("S ")]
    facts = _fields(told[0].split(" ")[1:]) if len(told) == 1 else None
    if facts is None or facts.get("state") not in _STATES:
        return cut
    state = t.cast("State", facts.pop("state"))
    lines = tuple(line[2:] for line in own if line.startswith("J "))
    return Answer(state, facts.pop("code", ""), facts.pop("reason", ""), lines, facts)


def _line(text: str) -> Line | None:
    event, *words = text.split(" ")
    if event not in _EVENTS or not words or words.pop() != ".":
        return None
    fields = _fields(words)
    return None if fields is None else Line(event, fields)


def _fields(words: Iterable[str]) -> dict[str, str] | None:
    """The fields of a line; None when one of them is none: then nothing of it is believed."""
    found: dict[str, str] = {}
    for word in words:
        match = _FIELD.match(word)
        if match is None or match[1] in found:
            return None
        found[match[1]] = match[2] if match[2] is not None else bytes.fromhex(match[3]).decode("utf-8", "replace")
    return found


def _of(plan: Plan, section: str) -> list[Step]:
    return [step for step in plan.steps if step.phase == "commit" and step.section == section]


def _interrupted(step: Step, over: bool) -> Outcome:
    meaning = "it was begun, and nothing says how it ended: " + (
        "see the log of the job on the host" if over else "the next run goes on with it"
    )
    failure = Failure("interrupted", "", meaning)
    return Outcome(step=step.id, phase=step.phase, status="failed", changes=step.change != "none", failure=failure)


def _ended(step: Step, end: Line, undone: Line | None) -> Outcome:
    status = _ENDS[end.fields["status"]]
    why, failure = "", None
    if status == "skipped":
        why = end.fields.get("why") or "its condition was not met"
    elif status == "failed":
        kind = end.fields.get("class", "")
        failure = Failure(
            kind if _CLASS.match(kind) else "no_word",
            end.fields.get("code", ""),
            end.fields.get("why") or "the host does not say why",
        )
    if undone is not None and status != "skipped":
        why = " ".join(_undone(undone))
    return Outcome(
        step=step.id,
        phase=step.phase,
        status=status,
        changes=step.change != "none",
        why=why,
        failure=failure,
        seconds=_seconds(end),
        reboot=end.fields.get("reboot") == "yes",
    )


def _undone(line: Line) -> Iterator[str]:
    if line.fields.get("status") in ("done", "already"):
        yield "taken back, since the staging failed"
        return
    yield f"could not be taken back ({line.fields.get('class') or 'no reason'}):"
    yield line.fields.get("why") or "the host does not say why"


def _seconds(line: Line) -> float:
    value = line.number("seconds")
    return value if value is not None and math.isfinite(value) else 0.0
