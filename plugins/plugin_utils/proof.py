# SPDX-License-Identifier: GPL-3.0-or-later
"""What a live detection test proves, from what a host says of its two files. Pure.

The host composes the test file, says what became of it and of a harmless control file, and judges nothing. A test
proves something only where the control file came through: what blocks every file detects nothing.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t
from collections.abc import Iterable, Mapping

from . import observation
from .filling import Role
from .livetest import Test
from .observation import Observation, Record
from .performing import Performed
from .provider import Detection

Result = t.Literal["pass", "fail", "not_applicable", "error"]
Level = t.Literal["", "armed", "on_demand", "on_access"]

_HOW: t.Final[Mapping[str, str]] = {
    "write": "it could not be written",
    "read": "it could not be opened",
    "moved": "it was moved away or deleted",
    "changed": "what it held was taken out",
}
_SHORT: t.Final = 300
UNDECIDED: t.Final = "whether the protection detects anything is not known"
_WORDS: t.Final[Mapping[Result, str]] = {
    "fail": "the live test was not detected",
    "error": UNDECIDED,
    "not_applicable": "a live detection cannot be proved here",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """One way to detect, tried or not.

    Attributes:
        result: `pass`, `fail`, `not_applicable` (not to be proved here), `error` (nobody can tell).
        how: on access `write`, `read`, `moved` or `changed`; on demand `found`; empty where nothing was detected.
        place: folder that held the files while it was tried.
        detail: in words.
        seconds: until it was detected, or given up.
    """

    result: Result
    how: str = ""
    place: str = ""
    detail: str = ""
    seconds: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Proof:
    """What a live test proved.

    Attributes:
        provider, role: whose protection was tried.
        method: how the provider says that a detection is proved (docs/providers.md).
        level: the strongest that was reached: `armed` (a scanner of the provider's asks before files are opened),
            `on_demand`, `on_access`; empty for none.
        result: of the method; `not_applicable` where it can prove nothing, with the reason in `detail`.
        control_ok: did the control file come through wherever something was tried? None where nothing was tried.
        on_access, on_demand: each by itself.
        detail: why this result.
        left: what could not be cleaned up on the host.
    """

    provider: str
    role: Role
    method: Detection
    level: Level
    result: Result
    control_ok: bool | None
    on_access: Part
    on_demand: Part
    detail: str
    left: tuple[str, ...] = ()

    def words(self) -> str:
        """The result for a reader, with what is known besides."""
        if self.result == "pass":
            return f"live detection proved: {self.method}"
        return f"{_WORDS[self.result]}: {self.detail}"

    def to_dict(self) -> dict[str, t.Any]:
        """As stored in evidence (event `proof`)."""
        return {**dataclasses.asdict(self), "left": list(self.left)}

    @classmethod
    def from_dict(cls, data: Mapping[str, t.Any]) -> Proof:
        """Read it back from evidence.

        Raises:
            ValueError: it is none.
        """
        try:
            parts = {key: Part(**data[key]) for key in ("on_access", "on_demand")}
            made = cls(**{**data, **parts, "left": tuple(map(str, data.get("left", ())))})
        except (KeyError, TypeError) as exc:
            raise ValueError(f"not a proof: {exc}") from exc
        if any(item.result not in t.get_args(Result) for item in (made, made.on_access, made.on_demand)):
            raise ValueError("not a proof: its result is no word that is known here")
        return made


def performed(phases: Iterable[Performed]) -> bool:
    """Was the old product removed, or what is left of it, so that there is something new to test?"""
    return any(item.phase in ("commit", "finish") and item.state in ("ended", "lost") for item in phases)


def role(phases: Iterable[Performed]) -> Role:
    """Which provider protects a host after these phases: the fallback only where its own steps were performed."""
    done = (o for item in phases for o in item.outcomes if o.status in ("done", "already"))
    return "fallback" if any(o.step.startswith("fallback.") for o in done) else "replacement"


def nothing(test: Test, result: Result, detail: str) -> Proof:
    """The outcome where nothing was tried."""
    part = Part(result=result, detail=detail)
    return Proof(
        provider=test.provider,
        role=test.role,
        method=test.method,
        level="",
        result=result,
        control_ok=None,
        on_access=part,
        on_demand=part,
        detail=detail,
    )


def from_answer(test: Test, text: str | bytes, nonce: str) -> Proof:
    """What a host's answer proves.

    Args:
        test: what it was told to try.
        text: all that it printed.
        nonce: the word that marks our lines in it.
    """
    seen = observation.parse_posix(text, nonce)
    if seen is None:
        return nothing(test, "error", "the host did not answer the live test")
    return judge(test, seen)


def judge(test: Test, seen: Observation) -> Proof:
    """As `from_answer`, for an answer that was read."""
    probe = seen.probes.get("prove")
    if probe is None or probe.status == "unknown":
        why = "" if probe is None or probe.reason == observation.CUT else probe.reason
        return nothing(test, "error", why or "the answer of the host is not whole; test again")
    told = {r.get("kind", ""): r for r in probe.records}
    access = _on_access(test, told.get("access"))
    demand = _on_demand(test, told.get("demand"))
    tried = [part for part in (access, demand) if part.result != "not_applicable"]
    controls = [r.get("control", "") for kind in ("access", "demand") if (r := told.get(kind)) and not r.get("fault")]
    deciding = access if test.method == "eicar_on_access" else demand
    level: Level = ""
    if access.result == "pass":
        level = "on_access"
    elif demand.result == "pass":
        level = "on_demand"
    elif _armed(test, seen):
        level = "armed"
    left = tuple(r.get("path", "") for r in probe.records if r.get("kind") == "left")
    words = [f"on access: {access.detail}", f"on demand: {demand.detail}"]
    if deciding is demand:
        words.reverse()
    if left:
        words.append(f"could not be removed from the host: {', '.join(left)}")
    return Proof(
        provider=test.provider,
        role=test.role,
        method=test.method,
        level=level,
        result=deciding.result,
        control_ok=all(c == "ok" for c in controls) if controls and tried else None,
        on_access=access,
        on_demand=demand,
        detail="; ".join(words),
        left=left,
    )


def _on_access(test: Test, record: Record | None) -> Part:
    if not test.access:
        return Part(result="not_applicable", detail=test.why_access)
    if record is None:
        return Part(result="error", detail="the host did not say")
    return _part(record, _accessed(record))


def _accessed(record: Record) -> tuple[Result, str, str]:
    """Result, how, and why, of the try on access."""
    how, said = record.get("how", ""), record.get("said", "")[:_SHORT]
    if record.get("control") != "ok":
        return "error", "", f"the control file did not come through, either ({_control(record)}): {said or 'no reason'}"
    if how in _HOW:
        return "pass", how, f"the test file was blocked ({_HOW[how]}), and the control file came through"
    if how:
        return "error", "", f"the test file could not be handled: {said or how}"
    return "fail", "", f"the test file could be written and read for {record.get('seconds', '?')} s, nothing stopped it"


def _on_demand(test: Test, record: Record | None) -> Part:
    if not test.demand:
        return Part(result="not_applicable", detail=test.why_demand)
    if record is None:
        return Part(result="error", detail="the host did not say")
    return _part(record, _demanded(test, record))


def _demanded(test: Test, record: Record) -> tuple[Result, str, str]:
    """Result, how, and why, of the scan."""
    how, said = record.get("how", ""), record.get("said", "")[:_SHORT]
    if how:
        return "error", "", f"there was nothing to scan: the file was blocked before ({_HOW.get(how, how)})"
    if record.get("control") != "ok":
        return "error", "", f"the control file did not come through, either ({_control(record)})"
    code, control = record.get("code", ""), record.get("control_code", "")
    if _fits(test.found, code, said):
        if _fits(test.found, control, record.get("control_said", "")):
            return "error", "", "the scanner reports the harmless control file, too"
        if test.clean and not _fits(test.clean, control, record.get("control_said", "")):
            return "error", "", f"what the scanner says of the control file is not clear (code {control})"
        return "pass", "found", "the scanner reports the test file, and not the control file"
    # A scanner that removes what it finds, and says so in words nobody here knows, is not taken at its word.
    if test.clean and not _fits(test.clean, code, said):
        return "error", "", f"the scanner did not work (code {code}): {said or 'it said nothing'}"
    return "fail", "", f"the scanner finds nothing in the test file (code {code}): {said or 'it said nothing'}"


def _part(record: Record, judged: tuple[Result, str, str]) -> Part:
    place = record.get("place", "")
    if fault := record.get("fault", ""):
        return Part(result="error", place=place, detail=fault)
    result, how, detail = judged
    seconds = record.get("seconds", "")
    return Part(
        result=result,
        how=how,
        place=place,
        detail=f"{place}: {detail}" if place else detail,
        seconds=int(seconds) if re.fullmatch(r"[0-9]{1,6}", seconds) else 0,
    )


def _control(record: Record) -> str:
    words = {"write": "not written", "read": "not readable", "gone": "gone", "changed": "changed"}
    return words.get(record.get("control", ""), "unknown")


def _fits(rule: Mapping[str, str], code: str, said: str) -> bool:
    """Does what a scanner said have all the signs? Nothing has no signs."""
    tests = {"code": code == rule.get("code"), "contains": rule.get("contains", "") in said}
    return bool(rule) and all(tests[key] for key in rule)


def _armed(test: Test, seen: Observation) -> list[str]:
    """Programs of the provider that ask the kernel before files are opened."""
    probe = seen.probes.get("protection")
    return [
        r.get("comm", "")
        for r in (probe.records if probe else ())
        if r.get("mode") == "permission"
        and {r.get("comm", ""), r.get("exe", "").rpartition("/")[2]}
        & {part for name in test.scanners for part in (name, name[:15])}  # the kernel's name has 15 characters
    ]
