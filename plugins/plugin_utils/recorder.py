# SPDX-License-Identifier: GPL-3.0-or-later
"""What the main process records of a run: its hosts, what failed around our tasks, and rows and manifest at the end.

It loses nothing: an event that cannot be written is kept in memory, counts in the rows, and the rows are shown anyway.
"""

from __future__ import annotations

import dataclasses
import json
import os
import typing as t
from collections.abc import Iterable, Mapping

from . import carried, events, evidence, ledger, report, run, trouble
from .evidence import EvidenceError
from .policy import Policy
from .redact import Redactor
from .report import text
from .verdict import Verb

# The `evict` command waits at the other end of this pipe: it works with a full disk and a read-only file system, too.
STATUS_FD: t.Final = "EVICT_STATUS_FD"
_VERDICTS: t.Final = {"unreachable": "unreachable", "skipped": "not_attempted"}


@dataclasses.dataclass(frozen=True)
class Summary:
    """The end of a run.

    Attributes:
        text: what a person reads.
        fault: why evidence, rows or manifest could not be written; empty when all is on the disk.
        totals: hosts per verdict.
    """

    text: str
    fault: str
    totals: Mapping[str, int]


class Recorder:
    """One run, seen from the main process."""

    def __init__(self) -> None:
        self.folder: run.RunFolder | None = None
        self.fault = ""
        self.refused: set[str] = set()  # hosts that were not asked, since their settings are wrong
        self.finished: dict[str, str] = {}  # host -> verdict, for the progress
        self._hosts: tuple[list[str], list[str]] = ([], [])
        self._known: set[str] = set()
        self._pending: list[events.Pending] = []
        self._scanned: set[str] = set()
        self._running: set[str] = set()
        self._open = False

    @property
    def begun(self) -> bool:
        """Has a run of ours started?"""
        return self.folder is not None

    def begin(
        self,
        policy: Policy,
        extra: Mapping[str, t.Any],
        *,
        verb: Verb,
        inventory: Iterable[str],
        scope: Iterable[str],
        ansible: str,
        mistake: str = "",
    ) -> None:
        """Make the run folder and write down every host. Calling it again only adds hosts that were not known.

        Args:
            policy: where the folder lies.
            extra: variables, for the ids of AWX.
            verb: what the run is for.
            inventory: every host of the inventory.
            scope: the hosts the run aims at.
            ansible: version of ansible-core.
            mistake: what is wrong with the variables that name the folder; nothing is made then.
        """
        hosts = (_union(self._hosts[0], inventory, scope), _union(self._hosts[1], scope))
        self._open = True
        if self.folder is not None:
            if hosts != self._hosts:
                self._hosts = hosts
                self._known = set(hosts[0])
                self._log("hosts", {"inventory": hosts[0], "scope": hosts[1]})
                _tell({"hosts": len(hosts[1])})
            return
        self._hosts, self._known = hosts, set(hosts[0])
        self.folder = run.RunFolder.resolve(policy, extra)
        if mistake:
            self.refuse(mistake, verb)
            return self._take_over()
        try:
            self.folder.create(verb=verb, inventory=hosts[0], scope=hosts[1], ansible=ansible, lock=True)
        except EvidenceError as exc:
            self.refuse(str(exc), verb)
        else:
            run.adopt(self.folder)
            _tell({"folder": str(self.folder.path), "run": self.folder.run, "hosts": len(hosts[1])})
        self._take_over()

    def _take_over(self) -> None:
        """Write down the rows of an earlier run that this one takes over, before any host is asked."""
        try:
            for event, data in carried.handed_over():
                self._log(event, data)
        except EvidenceError as exc:
            self._fail(str(exc))

    def refuse(self, message: str, verb: Verb) -> None:
        """Go on without a folder: workers fail their hosts with this message, rows are kept in memory and shown."""
        run.refuse(message)
        self._fail(message)
        self._pending.append(events.Pending("run_started", {"verb": str(verb)}))
        self._pending.append(events.Pending("hosts", {"inventory": self._hosts[0], "scope": self._hosts[1]}))

    def task_started(self, host: str) -> None:
        """A task of ours was handed to a worker."""
        self._running.add(host)

    def scanned(self, host: str) -> None:
        """A task of ours came back with a result, and with it the host's evidence."""
        self._running.discard(host)
        self._scanned.add(host)

    def done(self, host: str, verdict: str) -> None:
        """A host has its row, as far as this run goes on it; for whoever shows the progress."""
        self.finished[host] = verdict
        _tell({"done": [host, verdict]})

    @property
    def hosts(self) -> int:
        """How many hosts the run aims at."""
        return len(self._hosts[1])

    def failed(self, host: str, kind: str, message: str, *, ours: bool, secrets: Iterable[str] = ()) -> None:
        """A task failed on a host, was skipped or found it unreachable.

        Args:
            host: inventory name.
            kind: `failed`, `unreachable` or `skipped`.
            message: what Ansible said; only its first line is kept, without secrets.
            ours: it was a task of ours; what others do after the scan says nothing about its result.
            secrets: values to keep out of the message.
        """
        if ours:
            self._running.discard(host)
        elif host in self._scanned or host not in self._known:
            return
        if kind == "skipped" and host in self._scanned:
            return
        message = Redactor(secrets).line(trouble.plugin(message) or message)
        self._log("host_failed", {"host": host, "kind": kind, "message": message})
        self.done(host, _VERDICTS.get(kind, "unknown"))

    def unwritten(self, host: str, row: Mapping[str, t.Any], message: str) -> None:
        """A scan that came back with its short row and could not write its evidence: the row is kept in memory."""
        self.scanned(host)
        self._fail(message)
        self._pending.append(events.Pending("scan", {"host": host, "row": dict(row), "message": message}))

    def finish(self, how: str = "ended") -> Summary | None:
        """Write rows and manifest. None when there was no run of ours or it is finished already.

        Args:
            how: `ended`, or `interrupted` when Ansible stopped before its end.
        """
        if self.folder is None or not self._open:
            return None
        self._open = False
        self._lost()
        book = self._build(self.folder)
        ended = self._log("run_ended", {"how": how, "totals": book.totals()})
        book = dataclasses.replace(book, complete=how == "ended", ended=ended)
        if not run.is_refused():
            try:
                ledger.write_rows(book)
                ledger.write_plans(book)
                self._reports(book)  # before the manifest, which then lists them
                ledger.write_manifest(self.folder.path, self.folder.run)
            except EvidenceError as exc:
                self._fail(str(exc))
        said = report.render("text", book, limit=text.LIMIT)
        if self.fault:
            said += f"EVIDENCE IS NOT COMPLETE: {text.inert(self.fault)}\n"
        _tell({"ended": how, "fault": self.fault, **({"refused": len(self.refused)} if self.refused else {})})
        return Summary(said, self.fault, book.totals())

    def _reports(self, book: ledger.Ledger) -> None:
        """Reports for people. What goes wrong here is said and costs neither rows nor manifest."""
        try:
            report.write(book)
        except EvidenceError as exc:
            self._fail(str(exc))

    def _lost(self) -> None:
        """Hosts whose worker never came back: killed, or the run broke off around it."""
        for host in sorted(self._running - self._scanned):
            if not self._has_scan(host):
                message = "its worker ended without a result (killed, or out of memory): run it again"
                self._log("host_failed", {"host": host, "kind": "failed", "message": message})

    def _has_scan(self, host: str) -> bool:
        if self.folder is None or run.is_refused() or not os.path.lexists(self.folder.host_log(host)):
            return False
        try:
            return any(record.event == "scan" for record in evidence.read(self.folder.host_log(host)))
        except EvidenceError:
            return False

    def _build(self, folder: run.RunFolder) -> ledger.Ledger:
        try:
            return ledger.build(folder.path, self._pending, trust_manifest=False, memory_only=run.is_refused())
        except EvidenceError as exc:
            self._fail(str(exc))
            hosts = events.Pending("hosts", {"inventory": self._hosts[0], "scope": self._hosts[1]}, time="")
            return ledger.build(folder.path, [hosts, *self._pending], memory_only=True)

    def _log(self, event: str, data: Mapping[str, t.Any]) -> str:
        """Write an event of the run, or keep it; its time."""
        if self.folder is not None and not run.is_refused():
            try:
                return self.folder.log_run(event, data).time
            except EvidenceError as exc:
                self._fail(str(exc))
        self._pending.append(events.Pending(event, data))
        return self._pending[-1].time

    def _fail(self, message: str) -> None:
        if not self.fault:
            self.fault = message
            _tell({"fault": message})


def _union(*parts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(name for part in parts for name in part))


def _tell(fact: Mapping[str, t.Any]) -> None:
    """One line to the `evict` command, when it is there."""
    number = os.environ.get(STATUS_FD, "")
    if number.isdigit():
        try:
            os.write(int(number), json.dumps(fact).encode("ascii") + b"\n")
        except OSError:
            os.environ.pop(STATUS_FD, None)  # nobody listens (any more)
