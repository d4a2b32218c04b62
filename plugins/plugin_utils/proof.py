# SPDX-License-Identifier: GPL-3.0-or-later
"""The live detection test: what a host is told to try for its provider, and what its answer proves. Pure.

The host composes the test file, says what became of it and of a harmless control file, and judges nothing. A test
proves something only where the control file came through: what blocks every file detects nothing.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t
from collections.abc import Iterable, Mapping

from . import asking, cover, filling, observation, paths, templates
from .filling import Role
from .observation import Observation, Record
from .performing import Performed
from .policy import Policy
from .provider import Detection, Provider, Value

Result = t.Literal["pass", "fail", "not_applicable", "error"]
Level = t.Literal["", "armed", "on_demand", "on_access"]

# Where a host lets root make a private folder, when the provider does not say what it watches.
PLACES: t.Final = ("/var/tmp", "/tmp", "/root")
FILE: t.Final = "file"  # `@file@` in the arguments of a scan
SECONDS: t.Final = 60  # an engine that was just started may need a while
MOST_SECONDS: t.Final = 600
_PROVED: t.Final = ("eicar_on_access", "eicar_on_demand")
_HOW: t.Final[Mapping[str, str]] = {
    "write": "it could not be written",
    "read": "it could not be opened",
    "moved": "it was moved away or deleted",
    "changed": "what it held was taken out",
}
_SHORT: t.Final = 300


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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Test:
    """What a host is told to try.

    Attributes:
        provider, role, method: whose protection, and how it is proved.
        reason: why nothing can be tried; empty where something is.
        why_access, why_demand: why this way is not tried; empty where it is.
        access: folders, one of which is tried on access: the first that is there.
        demand: the question that asks for a scan, as lines (`asking.lines`).
        places: folders, one of which holds the files of a scan.
        found, clean: what the scanner says of a file it detects, of one it does not: `code` and `contains`.
        scanners: names of the provider's programs that ask before a file is opened.
    """

    __test__: t.ClassVar = False  # for pytest

    provider: str
    role: Role
    method: Detection
    reason: str = ""
    why_access: str = ""
    why_demand: str = ""
    access: tuple[str, ...] = ()
    demand: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    found: Mapping[str, str] = dataclasses.field(default_factory=dict)
    clean: Mapping[str, str] = dataclasses.field(default_factory=dict)
    scanners: tuple[str, ...] = ()

    def values(self, *, run: str, seconds: int = SECONDS) -> dict[str, str]:
        """The assignments of the hand (probes/posix/prove.sh), without their prefix.

        Args:
            run: id of the run; it stands in the names of the files, for whoever meets the alarm.
            seconds: how long each way is tried.
        """
        return {
            "PROVE_ACCESS": "\n".join(self.access),
            "PROVE_SCAN": "\n".join(self.demand),
            "PROVE_PLACES": "\n".join(self.places),
            "PROVE_CODE": self.found.get("code", ""),
            "PROVE_TEXT": self.found.get("contains", ""),
            "PROVE_NAME": re.sub(r"[^A-Za-z0-9._-]", "-", run)[:60],
            "PROVE_SECONDS": str(seconds),
            "TIMEOUT": str(4 * seconds + 180),  # the hand ends by itself long before
        }

    def nothing(self, result: Result, detail: str) -> Proof:
        """The outcome where nothing was tried."""
        part = Part(result=result, detail=detail)
        return Proof(
            provider=self.provider,
            role=self.role,
            method=self.method,
            level="",
            result=result,
            control_ok=None,
            on_access=part,
            on_demand=part,
            detail=detail,
        )

    def prediction(self) -> str:
        """What would be done, for check mode."""
        if self.reason:
            return f"nothing would be tried: {self.reason}"
        tried = [f"opened below {self.access[0]}"] if self.access else []
        tried += [f"scanned below {self.places[0]}"] if self.demand else []
        ways = " and ".join(tried)
        return f"would write two probe files, a test file and a harmless one, which are {ways}, and remove them"


def performed(phases: Iterable[Performed]) -> bool:
    """Was the commit of a plan performed, so that there is something new to test?"""
    return any(item.phase == "commit" and item.state in ("ended", "lost") for item in phases)


def role(phases: Iterable[Performed]) -> Role:
    """Which provider protects a host after these phases: the fallback only where its own steps were performed."""
    done = (o for item in phases for o in item.outcomes if o.status in ("done", "already"))
    return "fallback" if any(o.step.startswith("fallback.") for o in done) else "replacement"


def prepare(policy: Policy, provider: Provider, role: Role, platform: str) -> Test:
    """What is to be tried on a host of a platform.

    Args:
        policy: names the settings, and what is excluded.
        provider, role: whose protection.
        platform: `linux`, `windows`, or the host's own word.
    """
    own = provider.platforms.get(platform)
    if own is None:
        method: Detection = provider.detection
        return Test(provider=provider.id, role=role, method=method, reason=f"{provider.id} is not for {platform}")
    try:
        filled = filling.values(provider, platform, policy, role)
        method, reason = cover.detection(provider, filled)
        detect = own.detect
        scan = asking.lines(policy, provider, role, _scan) if platform == "linux" else []
        found, clean = (_signs(detect.get(key, {}), filled) for key in ("found", "clean"))
        watched = templates.items(detect.get("watched", ()), filled)
    except templates.TemplateError as exc:
        return Test(provider=provider.id, role=role, method=provider.detection, reason=f"{provider.id}: {exc}")
    base = Test(provider=provider.id, role=role, method=method)
    if platform != "linux":
        return dataclasses.replace(base, reason="this version makes a live test on Linux hosts only")
    if method not in _PROVED:
        return dataclasses.replace(base, reason=reason or f"{provider.name} has no live test ({method})")
    excluded = [e.value for e in policy.exclusions if e.kind == "path"]
    free = tuple(p for p in PLACES if not _below(p, excluded))
    access: tuple[str, ...] = ()
    why_access = reason or "it does not scan on access here"
    if method == "eicar_on_access":
        # Without a list all is watched.
        access = tuple(p for p in watched or PLACES if not _below(p, excluded))
        why_access = "" if access else "all that it watches is excluded from scanning"
    # What is blocked on access can no longer be scanned on demand, so that is tried elsewhere.
    places = tuple(p for p in free if not (method == "eicar_on_access" and (not watched or _below(p, watched))))
    why_demand = ""
    if not scan or not found:
        scan, why_demand = [], "its provider names no program that scans a file"
    elif not places:
        scan, why_demand = [], "every place for it is watched on access, or excluded"
    if not access and not scan:
        return dataclasses.replace(base, reason=why_access if method == "eicar_on_access" else why_demand)
    return dataclasses.replace(
        base,
        why_access=why_access,
        why_demand=why_demand,
        access=access,
        demand=tuple(scan),
        places=places,
        found=found,
        clean=clean,
        scanners=own.scanners,
    )


def _scan(provider: Provider, filled: Mapping[str, Value]) -> asking.Questions:
    ask = provider.platforms["linux"].detect.get("ask", {})
    words = asking.program(ask, filled) if ask else ()
    return {"scan": words} if words else {}


def _signs(rule: Mapping[str, str], filled: Mapping[str, Value]) -> dict[str, str]:
    """Filled; empty when one of its texts came to nothing, for then it would say less than it should."""
    made = {key: templates.text(text, filled) or "" for key, text in rule.items()}
    return made if all(made.values()) else {}


def _below(path: str, others: list[str] | tuple[str, ...]) -> bool:
    return any(paths.posix_below(path, other) for other in others)


def from_answer(test: Test, text: str | bytes, nonce: str) -> Proof:
    """What a host's answer proves.

    Args:
        test: what it was told to try.
        text: all that it printed.
        nonce: the word that marks our lines in it.
    """
    seen = observation.parse_posix(text, nonce)
    if seen is None:
        return test.nothing("error", "the host did not answer the live test")
    return judge(test, seen)


def judge(test: Test, seen: Observation) -> Proof:
    """As `from_answer`, for an answer that was read."""
    probe = seen.probes.get("prove")
    if probe is None or (probe.status == "unknown" and not probe.records):
        return test.nothing("error", probe.reason if probe else "the host did not answer the live test")
    told = {r.get("kind", ""): r for r in probe.records}
    access = _on_access(test, told.get("access"), probe.reason)
    demand = _on_demand(test, told.get("demand"), probe.reason)
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


def _on_access(test: Test, record: Record | None, reason: str) -> Part:
    if not test.access:
        return Part(result="not_applicable", detail=test.why_access)
    if record is None:
        return Part(result="error", detail=reason or "the host did not say")
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


def _on_demand(test: Test, record: Record | None, reason: str) -> Part:
    if not test.demand:
        return Part(result="not_applicable", detail=test.why_demand)
    if record is None:
        return Part(result="error", detail=reason or "the host did not say")
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
