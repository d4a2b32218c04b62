# SPDX-License-Identifier: GPL-3.0-or-later
"""The files in which events of a job stand: artifacts of ansible-runner, or what AWX's API gives."""

from __future__ import annotations

import json
import os
import re
import typing as t
from collections.abc import Iterator, Mapping
from pathlib import Path

from ansible_collections.evict.kaspersky.plugins.plugin_utils import from_events, ledger
from ansible_collections.evict.kaspersky.plugins.plugin_utils.from_events import Job
from ansible_collections.evict.kaspersky.plugins.plugin_utils.ledger import Ledger

from .errors import UsageError

EVENTS: t.Final = "job_events"
_JOBS: t.Final = frozenset({"job", "ad_hoc_command", "project_update", "workflow_job"})
_STATUS: t.Final = re.compile(r"[a-z]{1,20}\Z")


class _Found:
    """What stood in the files."""

    def __init__(self) -> None:
        self.events: list[Mapping[str, t.Any]] = []
        self.ids: set[str] = set()
        self.job = Job()
        self.problems: list[str] = []
        self.count = 0

    def event(self, data: Mapping[str, t.Any]) -> None:
        """One event, once: pages of an export overlap while a job runs."""
        uuid = str(data.get("uuid") or "")
        if uuid and uuid in self.ids:
            return
        self.ids.add(uuid)
        self.events.append(data)
        if not self.job.name and isinstance(data.get("job"), (int, str)):
            self.job = Job(str(data["job"]), self.job.status, self.job.check)

    def take(self, data: object) -> bool:
        """An event, a page of them, a list of either, or the job itself; False for anything else."""
        if isinstance(data, list):
            return not [item for item in data if not self.take(item)]
        if not isinstance(data, Mapping):
            return False
        if isinstance(data.get("event"), str):
            self.event(data)
        elif isinstance(data.get("results"), list):
            if isinstance(data.get("count"), int):
                self.count = max(self.count, data["count"])
            return self.take(data["results"])
        elif data.get("type") in _JOBS and isinstance(data.get("status"), str):
            self._job(data)
        else:
            return False
        return True

    def _job(self, data: Mapping[str, t.Any]) -> None:
        status = data["status"]
        if "timeout" in str(data.get("job_explanation") or "").lower():
            status = "timeout"  # AWX calls it failed
        self.job = Job(str(data.get("id") or ""), status, {"check": True, "run": False}.get(str(data.get("job_type"))))


def read(path: Path, hosts: Path | None = None) -> Ledger:
    """The run of a job.

    Args:
        path: artifacts of ansible-runner, its private data folder, a folder or a file with what AWX's API gives.
        hosts: a file with the hosts of the inventory, as JSON of `ansible-inventory --list` or of AWX, or as lines.

    Raises:
        UsageError: there are no events in it.
        EvidenceError: a file cannot be read.
    """
    found = _Found()
    where = _folder(path)
    if (where / EVENTS).is_dir():
        _runner(where, found)
    else:
        _files(where, found)
    if not found.events:
        raise UsageError(
            f"{path} holds no events of a job: name a folder with {EVENTS}, or an export of AWX's job events"
        )
    if found.count > len(found.events):
        found.problems.append(f"the export says that there are {found.count} events, it holds {len(found.events)}")
    inventory = list(_hosts(hosts)) if hosts is not None else []
    return from_events.read(
        found.events, job=found.job, folder=Path(os.path.abspath(where)), inventory=inventory, problems=found.problems
    )


def _folder(path: Path) -> Path:
    """Where the events are: the artifacts of the only job of a private data folder, or the path itself."""
    if not path.exists():
        raise UsageError(f"{path} is not there")
    if path.name == EVENTS and path.is_dir():
        return path.parent
    if (path / EVENTS).is_dir() or not (path / "artifacts").is_dir():
        return path
    jobs = sorted(one for one in (path / "artifacts").iterdir() if (one / EVENTS).is_dir())
    if len(jobs) != 1:
        names = ", ".join(one.name for one in jobs[-5:]) or "none"
        raise UsageError(f"{path / 'artifacts'} holds {len(jobs)} jobs ({names}): name the folder of one")
    return jobs[0]


def _runner(where: Path, found: _Found) -> None:
    names = sorted(name for name in os.listdir(where / EVENTS) if name.endswith(".json"))
    for name in names:
        if name.endswith("-partial.json"):
            continue  # the runner was killed before it put the output to the event
        _load(where / EVENTS / name, found, lines=False)
    status = ""
    if (where / "status").is_file():
        status = ledger.read_bytes(where / "status").decode("utf-8", "replace").strip()
    found.job = Job(where.name, status if _STATUS.match(status) else "")


def _files(where: Path, found: _Found) -> None:
    names = [where] if where.is_file() else sorted(p for p in where.iterdir() if p.suffix in (".json", ".jsonl"))
    for name in names:
        _load(name, found, lines=True)


def _load(path: Path, found: _Found, *, lines: bool) -> None:
    """One file of JSON, or of JSON lines."""
    data = ledger.read_bytes(path)
    try:
        known = found.take(json.loads(data))
    except (ValueError, RecursionError):
        known = lines and not [text for text in data.splitlines() if text.strip() and not _line(text, found)]
    if not known:
        found.problems.append(f"{path.name} is not, or not as a whole, JSON of events")


def _line(text: bytes, found: _Found) -> bool:
    try:
        return found.take(json.loads(text))
    except (ValueError, RecursionError):
        return False


def _hosts(path: Path) -> Iterator[str]:
    """Names of hosts: `ansible-inventory --list` or an inventory's script of AWX, its hosts, or one a line."""
    data = ledger.read_bytes(path).decode("utf-8", "replace")
    try:
        read = json.loads(data)
    except (ValueError, RecursionError):
        yield from (name for line in data.splitlines() if (name := line.strip()) and not name.startswith("#"))
        return
    if not isinstance(read, dict):
        raise UsageError(f"{path} names no hosts: give what `ansible-inventory --list` prints, or one name a line")
    results = read.pop("results", None)
    if isinstance(results, list):
        yield from (str(one["name"]) for one in results if isinstance(one, dict) and "name" in one)
    meta = read.pop("_meta", None)
    if isinstance(meta, dict) and isinstance(meta.get("hostvars"), dict):
        yield from map(str, meta["hostvars"])
    for group in read.values():
        if isinstance(group, dict) and isinstance(group.get("hosts"), list):
            yield from map(str, group["hosts"])
