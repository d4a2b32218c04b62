# SPDX-License-Identifier: GPL-3.0-or-later
"""The run folder: where one run keeps its evidence. Decided at import, in the main process: all workers share it."""

from __future__ import annotations

import datetime
import fcntl
import getpass
import os
import re
import secrets
import socket
import stat
import sys
import time
import typing as t
from collections.abc import Iterable, Mapping
from pathlib import Path

from . import evidence, files
from .files import EvidenceError
from .hostfile import file_name
from .policy import RUN_ID, Policy
from .row import Row
from .verdict import Verb

RUN_LOG: t.Final = "run.jsonl"
HOSTS: t.Final = "hosts"
PROGRESS: t.Final = "progress"
ROWS: t.Final = "rows.json"
MANIFEST: t.Final = "manifest.json"
COLLECTION: t.Final = Path(__file__).resolve().parents[2]

_CLASHES: t.Final = 1000  # run folders of one name
_WAIT: t.Final = 5.0  # seconds another worker may take to write the first record

# Made once, when ansible-playbook loads the first plugin of ours, before any worker is forked.
INVOCATION: t.Final = secrets.token_hex(16)
STAMP: t.Final = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ") + "-" + INVOCATION[:4]


def _where() -> str:
    try:
        return os.getcwd()
    except OSError:  # the folder was removed under us; absolute paths still work
        return "/"


CWD: t.Final = _where()

# Variables of AWX that say who ran what; they go into `run_started`.
_IDS: t.Final = (
    "job_id",
    "job_template_id",
    "job_template_name",
    "workflow_job_id",
    "workflow_job_name",
    "user_name",
    "schedule_id",
    "schedule_name",
    "inventory_id",
    "inventory_name",
    "project_revision",
    "execution_node",
)


class _State:
    """What the callback decided in the main process; forked workers inherit it."""

    current: RunFolder | None = None
    refused: str = ""


def adopt(folder: RunFolder) -> None:
    """Make a folder the one of this process and of all workers forked from now on (for the callback)."""
    _State.current = folder


def refuse(message: str) -> None:
    """Let every later use of the run folder fail with this message (for the callback, when it cannot be used)."""
    _State.refused = message


def callback_active() -> bool:
    """Does the callback of this collection write rows and manifest in this run?"""
    return _State.current is not None or bool(_State.refused)


def is_refused() -> bool:
    """Is there no folder that can be used?"""
    return bool(_State.refused)


def reset() -> None:
    """Forget what was decided (for tests, which hold several runs in one process)."""
    _State.current, _State.refused = None, ""


def is_log(name: str) -> bool:
    """Is a file of the run folder, by its relative name, a chain of evidence? Notes of the run are none."""
    return name == RUN_LOG or (name.startswith(f"{HOSTS}/") and name.endswith(".jsonl"))


def run_id(policy: Policy, extra: Mapping[str, t.Any] | None = None) -> str:
    """The id of this run: `evict_run`, else the job id of AWX, else a time stamp made at import.

    Args:
        policy: the settings.
        extra: variables, for `awx_job_id` and `tower_job_id`.
    """
    variables = extra or {}
    for value in (policy.run, variables.get("awx_job_id"), variables.get("tower_job_id"), os.environ.get("JOB_ID")):
        if value is not None and not isinstance(value, bool) and RUN_ID.match(str(value)):
            return str(value)
    return STAMP


def hosts_of(task_vars: Mapping[str, t.Any]) -> tuple[list[str], list[str]]:
    """Inventory and scope as a task sees them, for runs without the callback.

    Returns:
        All hosts of the inventory, and the hosts of the play whatever its batch.
    """
    groups = task_vars.get("groups") or {}
    inventory = [str(h) for h in groups.get("all", ())]
    scope = [str(h) for h in task_vars.get("ansible_play_hosts_all", ())]
    return list(dict.fromkeys(inventory + scope)), list(dict.fromkeys(scope))


def collection_version() -> str:
    """The version in galaxy.yml or, in an installed collection, in MANIFEST.json; empty when neither is there."""
    for name, pattern in (
        ("galaxy.yml", r"^version:\s*[\"']?([^\s\"']+)"),
        ("MANIFEST.json", r'"version":\s*"([^"]+)"'),
    ):
        try:
            found = re.search(pattern, (COLLECTION / name).read_text(encoding="utf-8"), re.MULTILINE)
        except OSError:
            continue
        if found:
            return found.group(1)
    return ""


class RunFolder:
    """One run's folder. Making the object touches nothing; `create` does, and may settle on another name on a clash."""

    def __init__(self, path: Path, run: str, *, chosen: bool, extra: Mapping[str, t.Any] | None = None) -> None:
        """
        Args:
            path: the folder.
            run: id of the run.
            chosen: the user named this very folder, so that a clash is refused instead of getting a suffix.
            extra: variables, for the ids of AWX and the version of Ansible.
        """
        self.path = path
        self.run = run
        self._base = (path, run)
        self._chosen = chosen
        self._extra = dict(extra or {})
        self._ready = False
        self._lock = -1

    @property
    def _cannot(self) -> str:
        return f"cannot use {files.shown(self.path)}: "

    def __repr__(self) -> str:
        return f"RunFolder({files.shown(self.path)!r}, run={self.run!r})"

    @classmethod
    def resolve(cls, policy: Policy, extra: Mapping[str, t.Any] | None = None) -> RunFolder:
        """The folder of this run, without touching anything.

        Args:
            policy: the settings (`out`, `evidence_dir`, `run`).
            extra: variables of a task, or extra variables.
        """
        if _State.current is not None:
            return _State.current
        run = run_id(policy, extra)
        if policy.out:
            return cls(_absolute(policy.out), run, chosen=True, extra=extra)
        return cls(_absolute(policy.evidence_dir) / run, run, chosen=False, extra=extra)

    @classmethod
    def at(cls, path: str | os.PathLike[str]) -> RunFolder:
        """A folder that is there, for reading."""
        folder = Path(path)
        records = evidence.load(folder / RUN_LOG).records if os.path.lexists(folder / RUN_LOG) else ()
        return cls(folder, records[0].run if records else folder.name, chosen=True)

    def create(
        self,
        *,
        verb: Verb = Verb.AUDIT,
        inventory: Iterable[str] = (),
        scope: Iterable[str] = (),
        ansible: str = "",
        lock: bool = False,
    ) -> RunFolder:
        """Make the folder, or join it when another worker of this very run made it. Calling it again does nothing.

        The first one writes `run_started` and, when hosts are given, `hosts`.

        Args:
            verb: what the run is for.
            inventory: every host of the inventory.
            scope: the hosts the run aims at.
            ansible: version of ansible-core.
            lock: keep other runs out while this process lives (for the callback).

        Returns:
            This object; its path and run may have got a suffix.

        Raises:
            EvidenceError: the folder cannot be used; the text says why and what to do.
        """
        if self._ready:
            return self
        if _State.refused:
            raise EvidenceError(_State.refused)
        started = {
            "verb": str(verb),
            "versions": {
                "collection": collection_version(),
                "ansible": ansible or self._ansible(),
                "python": sys.version.split()[0],
            },
            "controller": {"host": socket.gethostname(), "user": _user(), "cwd": CWD, "pid": os.getpid()},
            "ids": {"invocation": INVOCATION, **self._awx()},
        }
        path, run = self._base
        for number in range(1, _CLASHES):
            if number > 1:
                self.path, self.run = path.with_name(f"{path.name}-{number}"), f"{run}-{number}"
            fault = self._occupy(started, list(inventory), list(scope), lock)
            if not fault:
                self._ready = True
                return self
            self._drop_lock()  # it is on a folder that is not ours
            if self._chosen:
                raise EvidenceError(fault)
        raise EvidenceError(
            f"cannot use {files.shown(path)}: "
            f"it and {_CLASHES} names after it are taken; clear the folder, or set `evict_run`"
        )

    def host_log(self, host: str) -> Path:
        """The file of a host's evidence."""
        return self.path / HOSTS / f"{file_name(host)}.jsonl"

    def progress(self, host: str) -> Path:
        """The file that says what is being done to a host; it is no evidence.

        Raises:
            EvidenceError: its folder cannot be made.
        """
        folder = self.path / PROGRESS
        files.make_folder(folder, parents=False)
        return folder / file_name(host)

    def log_run(self, event: str, data: Mapping[str, t.Any]) -> evidence.Record:
        """Append an event of the run itself.

        Raises:
            EvidenceError: it cannot be written.
        """
        self.create()
        return evidence.append(self.path / RUN_LOG, event, data, run=self.run)

    def record(
        self, host: str, event: str, data: Mapping[str, t.Any], *more: tuple[str, Mapping[str, t.Any]]
    ) -> evidence.Record:
        """Append an event of a host, and more of them at once; the folder is made when nobody made it yet.

        Raises:
            EvidenceError: it cannot be written.
        """
        self.create()
        files.make_folder(self.path / HOSTS, parents=False)
        return evidence.append_all(self.host_log(host), [(event, data), *more], run=self.run, host=host)[0]

    def record_scan(self, host: str, data: Mapping[str, t.Any], plan: Mapping[str, t.Any] | None = None) -> None:
        """Append a scan (`observation`, `row`, the long one, `transport`, `catalog`), and the plan made from it.

        Raises:
            EvidenceError: they cannot be written.
        """
        self.record(host, "scan", data, *([("plan", plan)] if plan is not None else []))

    def rows(self) -> list[Row]:
        """The rows as the evidence tells them, every host of the inventory once.

        Raises:
            EvidenceError: the evidence of the run itself cannot be read.
        """
        from . import ledger  # ledger reads what this module lays out

        return ledger.build_rows(self.path)

    def _occupy(self, started: dict[str, t.Any], inventory: list[str], scope: list[str], lock: bool) -> str:
        """Take the folder or join it; a text says why it is somebody else's."""
        if os.path.islink(self.path):
            raise EvidenceError(f"{self._cannot}it is a link; name the folder itself, or {files.ELSEWHERE}")
        files.make_folder(self.path)
        log = self.path / RUN_LOG
        try:
            info = os.lstat(self.path)
            if info.st_uid != os.geteuid():
                raise EvidenceError(
                    f"{self._cannot}it belongs to user id {info.st_uid}, not to {os.geteuid()}; {files.ELSEWHERE}"
                )
            if not os.path.lexists(log):
                # Asked again: another worker of this run may have begun the log meanwhile; it is always the first file.
                if any(os.scandir(self.path)) and not os.path.lexists(log):
                    return f"{self._cannot}it holds files of something else; name a new folder with `--out DIR`"
                if stat.S_IMODE(info.st_mode) != 0o700:
                    os.chmod(self.path, 0o700)
        except OSError as exc:
            raise files.explain("use the folder", self.path, exc) from exc
        self._take_lock(lock)
        try:
            evidence.append(log, "run_started", started, run=self.run, exclusive=True)
        except FileExistsError:
            return self._join(log, started, inventory, scope)
        if inventory or scope:
            evidence.append(log, "hosts", {"inventory": inventory, "scope": scope}, run=self.run)
        return ""

    def _join(self, log: Path, started: dict[str, t.Any], inventory: list[str], scope: list[str]) -> str:
        """Join a folder that holds a run: our own, or an unfinished one that is continued."""
        records: tuple[evidence.Record, ...] = ()
        until = time.monotonic() + _WAIT
        while not records:
            read = evidence.load(log)
            records = read.records
            if (read.problems and not records) or time.monotonic() > until:
                return (
                    f"{self._cannot}its {RUN_LOG} is no evidence of this collection; name a new folder with `--out DIR`"
                )
            if not records:
                time.sleep(0.02)
        mine = any(r.event == "run_started" and r.data.get("ids", {}).get("invocation") == INVOCATION for r in records)
        if mine:
            self.run = records[0].run
            return ""
        if not self._chosen:
            return f"{self._cannot}it holds another run"
        if os.path.lexists(self.path / MANIFEST):
            return f"{self._cannot}it holds the finished run {records[0].run}; name a new folder with `--out DIR`"
        self.run = records[0].run
        evidence.append(log, "run_started", started, run=self.run)
        if inventory or scope:
            evidence.append(log, "hosts", {"inventory": inventory, "scope": scope}, run=self.run)
        return ""

    def _take_lock(self, wanted: bool) -> None:
        if not wanted or self._lock >= 0:
            return
        self._lock = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._drop_lock()
            if self._chosen:
                raise EvidenceError(
                    f"{self._cannot}another run is writing there now; wait for it, or {files.ELSEWHERE}"
                ) from None
        except OSError:  # no locks on this file system: O_EXCL on the first record still keeps two new runs apart
            self._drop_lock()

    def _drop_lock(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _ansible(self) -> str:
        version = self._extra.get("ansible_version")
        return str(version.get("full", "")) if isinstance(version, Mapping) else ""

    def _awx(self) -> dict[str, str]:
        found = {}
        for name in _IDS:
            value = self._extra.get(f"awx_{name}", self._extra.get(f"tower_{name}"))
            if value is not None:
                found[f"awx_{name}"] = str(value)[:200]
        return found


def _absolute(text: str) -> Path:
    return Path(os.path.normpath(os.path.join(CWD, os.path.expanduser(text))))


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.geteuid())
