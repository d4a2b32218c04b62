# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows from the events of a job, for runs whose files are gone: ansible-runner's `job_events` and AWX's job events.

Every host of the run gets a row. What events cannot say is unknown: a host that was being changed when they end, a
host without a result in an export with gaps. Pure.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import re
import typing as t
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from .ledger import Ledger, natural
from .outcome import PREDICTED
from .plan import State
from .redact import Redactor
from .row import ProductRow, Protection, Row
from .verdict import Verb, Verdict

Event = Mapping[str, t.Any]
# Begins the lines in which a run names its hosts. AWX cuts a line of an export after 1024 bytes.
MARK: t.Final = "evict.kaspersky run "
_LINE: t.Final = 800
_COLLECTION: t.Final = "evict.kaspersky"
_VERBS: t.Final = frozenset({"scan", "perform", "prove"})
_LOOKS: t.Final = frozenset({Verb.AUDIT, Verb.PLAN})
_STATES: t.Final = frozenset({"installed", "running", "broken", "leftover"})
_DIGEST: t.Final = re.compile(r"[0-9a-f]{64}\Z")
_MORE: t.Final = re.compile(r"and [0-9]+ more\b")
_KINDS: t.Final[Mapping[str, Verdict]] = {"unreachable": Verdict.UNREACHABLE, "skipped": Verdict.NOT_ATTEMPTED}
_REASONS: t.Final = 20
_TEXT: t.Final = 1000  # characters of a text of a result
_REDACTOR: t.Final = Redactor()


@dataclasses.dataclass(frozen=True)
class Job:
    """What is known of the job besides its events.

    Attributes:
        name: id of the job, or of ansible-runner's artifacts.
        status: as ansible-runner and AWX say it: `successful`, `failed`, `canceled`, `timeout`; empty: not known.
        check: was it a check job? None when that is not known.
    """

    name: str = ""
    status: str = ""
    check: bool | None = None

    def ending(self, complete: bool) -> str:
        """Words for how it ended."""
        if self.status.startswith("cancel"):
            return "the job was cancelled"
        if self.status == "timeout":
            return "the job ran into its time limit"
        return "the run ended" if complete else "the job broke off"


@dataclasses.dataclass
class _Host:
    """What the events said of a host so far; numbers are counters of events, 0 for never."""

    row: Row | None = None
    seen: int = 0
    running: str = ""
    touched: int = 0
    before: int = 0  # `touched` before the task that runs
    failed: int = 0
    kind: str = ""
    message: str = ""
    later: str = ""  # of a task that is none of ours and failed after the scan


def announce(run: str, verb: Verb, inventory: Iterable[str], scope: Iterable[str]) -> Iterator[str]:
    """Lines that tell a reader of events what the run is and whom it aims at.

    Args:
        run: its id.
        verb: what it is for.
        inventory: every host.
        scope: those of them the run aims at.
    """
    wanted = dict.fromkeys(scope)
    todo = [("scope", host) for host in wanted] + [("rest", host) for host in inventory if host not in wanted]
    parts: list[dict[str, list[str]]] = [{"scope": [], "rest": []}]
    room = _LINE
    for key, host in todo:
        room -= len(json.dumps(host)) + 2
        if room < 0 and any(parts[-1].values()):
            parts.append({"scope": [], "rest": []})
            room = _LINE - len(json.dumps(host)) - 2
        parts[-1][key].append(host)
    for number, part in enumerate(parts, 1):
        head = {"run": run, "verb": str(verb), "part": number, "of": len(parts)}
        yield MARK + json.dumps(head | {key: hosts for key, hosts in part.items() if hosts})


@dataclasses.dataclass
class _Told:
    """What a run said of itself."""

    run: str = ""
    verb: Verb | None = None
    scope: dict[str, None] = dataclasses.field(default_factory=dict)
    rest: dict[str, None] = dataclasses.field(default_factory=dict)
    missing: bool = False
    _parts: tuple[int, int] = (0, 0)

    def take(self, line: str) -> None:
        """One line of `announce`; what is none is a part that cannot be read."""
        try:
            data = json.loads(line.removeprefix(MARK))
            run, verb, part, of = str(data["run"]), Verb(data["verb"]), int(data["part"]), int(data["of"])
            found = [[str(host) for host in data.get(key, ())] for key in ("scope", "rest")]
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            self.missing = True
            return
        if self.run and run != self.run:
            return
        if part != (1 if self._parts[0] == self._parts[1] else self._parts[0] + 1):
            self.missing = True
        self.run, self.verb, self._parts = run, self.verb or verb, (part, of)
        self.scope |= dict.fromkeys(found[0])
        self.rest |= dict.fromkeys(found[1])

    @property
    def whole(self) -> bool:
        """Were all hosts named?"""
        return bool(self.run) and not self.missing and self._parts[0] == self._parts[1]


class _Reader:
    """Events in their order."""

    def __init__(self) -> None:
        self.hosts: dict[str, _Host] = {}
        self.told = _Told()
        self.used: set[str] = set()
        self.planned = False
        self.complete = False
        self.dark: set[str] = set()
        self.run = ""
        self.stopped = ""  # why no further wave began

    def take(self, event: Event) -> None:
        """One event."""
        kind = str(event.get("event") or "")
        data = event.get("event_data")
        data = data if isinstance(data, Mapping) else {}
        if kind == "verbose":
            for line in str(event.get("stdout") or "").splitlines():
                if line.startswith(MARK):
                    self.told.take(line)
        elif kind == "playbook_on_stats":
            self._stats(data)
        elif kind.startswith("runner_on_") and isinstance(data.get("host"), str) and data["host"]:
            self._runner(kind.removeprefix("runner_on_"), data, _number(event.get("counter")))

    def _stats(self, data: Mapping[str, t.Any]) -> None:
        self.complete = True
        for key in ("processed", "dark"):
            counts = data.get(key)
            names = [name for name in counts if name and isinstance(name, str)] if isinstance(counts, Mapping) else []
            for name in names:
                self.hosts.setdefault(name, _Host())
            self.dark |= set(names) if key == "dark" else set()

    def _runner(self, kind: str, data: Mapping[str, t.Any], at: int) -> None:
        host = self.hosts.setdefault(str(data["host"]), _Host())
        name = str(data.get("resolved_action") or data.get("task_action") or "")
        collection, _dot, verb = name.rpartition(".")
        res = data.get("res")
        res = res if isinstance(res, Mapping) else {}
        if collection != _COLLECTION:
            if kind in ("failed", "unreachable") and not data.get("ignore_errors"):
                self._others(host, kind, data, res, at)
        elif verb == "rows" and isinstance(res.get("run"), str):
            self.run = res["run"]
        elif verb == "wave" and res.get("stop") is True:
            self.stopped = _message(res, kind)
        elif verb in _VERBS:
            self._ours(host, verb, kind, str(data["host"]), res, at)

    def _others(self, host: _Host, kind: str, data: Mapping[str, t.Any], res: Mapping[str, t.Any], at: int) -> None:
        """A task of somebody else failed: before the scan that explains the host, after it only what is missing."""
        said = f"the task {str(data.get('task') or data.get('task_action'))[:120]} {kind}: {_message(res, kind)}"
        if host.row is None:
            host.failed, host.kind, host.message = at, kind, f"before the scan, {said}"
        else:
            host.later = said

    def _ours(self, host: _Host, verb: str, kind: str, name: str, res: Mapping[str, t.Any], at: int) -> None:
        if kind == "start":
            host.running, host.before = verb, host.touched
            if verb == "perform":
                host.touched = at
            return
        host.running = ""
        if kind != "skipped":
            self.used.add(verb)
        if verb == "perform" and (kind == "skipped" or _changed_nothing(res)):
            host.touched = host.before
        elif verb == "perform" and kind == "ok":
            host.touched = at
        if verb == "scan" and (row := _row(name, res)) is not None:
            self.planned = self.planned or isinstance(res.get("plan"), Mapping)
            if kind == "failed":
                said = _message(res, kind)
                row = dataclasses.replace(row, notes=(*row.notes, f"its evidence could not be written: {said}"))
            host.row, host.seen = row, at
        elif kind == "ok" and verb == "scan":
            host.failed, host.kind, host.message = at, "failed", "the result of its scan holds no row that can be read"
        elif kind in ("failed", "unreachable") or (kind == "skipped" and verb == "scan" and host.row is None):
            said = _message(res, kind)
            if kind == "skipped":
                said = f"the scan was skipped by a condition of the playbook ({said})"
            host.failed, host.kind, host.message = at, kind, said

    def verb(self, job: Job) -> Verb:
        """What the run was for; where it does not say so itself, by what it used."""
        if self.told.verb is not None:
            return self.told.verb
        if any(host.touched for host in self.hosts.values()) and not job.check:
            return Verb.REMEDIATE
        if "prove" in self.used:
            return Verb.VERIFY
        return Verb.PLAN if self.planned else Verb.AUDIT


def read(
    events: Iterable[Event], *, job: Job, folder: Path, inventory: Iterable[str] = (), problems: Iterable[str] = ()
) -> Ledger:
    """Judge a run by the events of its job.

    Args:
        events: in any order.
        job: what is known of it besides.
        folder: where they came from, for a reader of the report.
        inventory: hosts that are known from elsewhere; one that no event names was not attempted.
        problems: what was wrong with the files they stood in.

    Returns:
        The run, marked as told by events.
    """
    ordered = sorted(events, key=lambda event: _number(event.get("counter")))
    reader = _Reader()
    for event in ordered:
        reader.take(event)
    told = reader.told
    found = [*problems, *_gaps(ordered, reader, job)]
    if told.run and not told.whole:
        found.append("the lines in which the run names its hosts are not all there: hosts may be missing here")
    verb = reader.verb(job)
    known = dict.fromkeys([*told.scope, *reader.hosts, *told.rest, *map(str, inventory)])
    if not told.run and not inventory:
        found.append("the events do not name the hosts of the run: those that had no turn are missing here")
    out = told.rest.keys() - told.scope.keys() - reader.hosts.keys()
    ending = job.ending(reader.complete)
    rows = []
    for name in known:
        if name in out:
            reason = "not selected by this run's pattern or limit"
            rows.append(Row(host=name, verdict=Verdict.OUT_OF_SCOPE, reasons=(reason,)))
        else:
            host = reader.hosts.get(name, _Host())
            rows.append(_judge(name, host, reader, ending=ending, looks=verb in _LOOKS, gaps=bool(found)))
    times = [time for event in ordered if (time := _time(event.get("created")))]
    return Ledger(
        run=told.run or reader.run or job.name or folder.name or "events",
        verb=verb,
        rows=tuple(sorted(rows, key=lambda row: (natural(row.host), row.host))),
        complete=reader.complete,
        problems=tuple(found),
        folder=folder,
        started=min(times, default=""),
        ended=max(times, default="") if reader.complete else "",
        events=True,
    )


def _judge(name: str, host: _Host, reader: _Reader, *, ending: str, looks: bool, gaps: bool) -> Row:
    if host.failed > host.seen:
        return Row(host=name, verdict=_KINDS.get(host.kind, Verdict.UNKNOWN), reasons=(host.message,))
    if host.touched > host.seen and not looks:
        why = f"it was being changed and nobody looked at it again before {ending}: run it again"
        reasons = (why, host.later) if host.later else (why,)
        return Row(host=name, verdict=Verdict.UNKNOWN, reasons=reasons)
    if host.running == "scan":
        return Row(host=name, verdict=Verdict.UNKNOWN, reasons=(f"{ending} while it was being looked at",))
    if host.row is not None:
        return host.row
    if name in reader.dark:
        return Row(host=name, verdict=Verdict.UNREACHABLE, reasons=("the recap of the job counts it as unreachable",))
    if gaps and name in reader.hosts:
        return Row(host=name, verdict=Verdict.UNKNOWN, reasons=("events are missing, among them its result",))
    why = reader.stopped or f"{ending} before this host had a result"
    return Row(host=name, verdict=Verdict.NOT_ATTEMPTED, reasons=(why,))


def _gaps(ordered: list[Event], reader: _Reader, job: Job) -> Iterator[str]:
    """What shows that events are missing."""
    numbers = {_number(event.get("counter")) for event in ordered}
    missing = max(numbers, default=0) - len(numbers - {0})
    if missing > 0:
        yield f"{missing} events are missing: give all pages of the export"
    if job.status in ("successful", "failed") and not reader.complete:
        yield "the last events are missing, or the job ended before its recap"


def _changed_nothing(res: Mapping[str, t.Any]) -> bool:
    """Does the result of a phase say that no step of it was done or tried?

    Only when it says so: a phase that was lost sight of has no outcomes either.
    """
    outcomes = res.get("outcomes")
    if res.get("failed") or not isinstance(outcomes, list):
        return False
    said = {item.get("status") if isinstance(item, Mapping) else None for item in outcomes}
    if res.get("skipped_because") or res.get("state") == "ended":
        return said <= {*PREDICTED, "skipped", "already"}
    return bool(said) and said <= {*PREDICTED}


def _row(host: str, res: Mapping[str, t.Any]) -> Row | None:
    """The row of a scan's result; None when it holds none."""
    short = res.get("row")
    if not isinstance(short, Mapping) or short.get("verdict") not in list(Verdict):
        return None
    said = str(short.get("host") or "")
    if said != host and not (said.endswith("...") and host.startswith(said[:-3])):
        return None
    labels = _texts(short.get("products"))
    plan = res.get("plan")
    plan = plan if isinstance(plan, Mapping) else {}
    digest, state = str(plan.get("digest") or ""), str(plan.get("state") or "")
    whole = bool(_DIGEST.match(digest)) and state in t.get_args(State)
    protection = short.get("protection")
    return Row(
        host=host,
        verdict=Verdict(short["verdict"]),
        products=tuple(_product(label) for label in labels if not _MORE.match(label)),
        reasons=tuple(_texts(short.get("reasons"))),
        notes=("told by the events of the job, which hold its short row only", *filter(_MORE.match, labels)),
        protection=t.cast("Protection", protection if protection in t.get_args(Protection) else ""),
        plan=digest if whole else "",
        plan_state=t.cast("State", state) if whole else "",
    )


def _product(label: str) -> ProductRow:
    """A product of its label: id, version where there is one, state."""
    words = label.split()
    state = words.pop() if len(words) > 1 and words[-1] in _STATES else ""
    return ProductRow(id=words[0] if words else "?", family="", state=state, version=" ".join(words[1:]))


def _texts(value: object) -> list[str]:
    return [str(item)[:_TEXT] for item in value[:_REASONS]] if isinstance(value, list) else []


def _message(res: Mapping[str, t.Any], kind: str) -> str:
    said = res.get("msg") or res.get("skip_reason") or res.get("censored") or f"{kind} without a message"
    return _REDACTOR.line(str(said))[:_TEXT]


def _number(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _time(value: object) -> str:
    """A time of an event as evidence has it; empty when it is none."""
    try:
        time = datetime.datetime.fromisoformat(str(value))
        time = time if time.tzinfo else time.replace(tzinfo=datetime.UTC)
        return time.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    except (ValueError, OverflowError):
        return ""
