# SPDX-License-Identifier: GPL-3.0-or-later
"""The plans of a run as its evidence tells them, one read at a time; plan.json, which a person approves.

A plan is kept packed, for those of a large fleet do not fit into memory together. What only the whole fleet can tell is
added here: two hosts with one machine id are both blocked.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import itertools
import json
import os
import typing as t
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from . import canonical, files, inhibitors, plans
from .evidence import Record
from .files import EvidenceError
from .hostfile import file_name
from .performing import DONE
from .plan import Plan, PlanError
from .row import Row
from .verdict import Verdict

SCHEMA: t.Final = "evict.kaspersky/plans/1"
FILE: t.Final = "plan.json"
# Rows with a plan say so of hosts that were changed: what they are is no plan any more.
_ACTED: t.Final = frozenset(
    {
        Verdict.REPLACED,
        Verdict.REPLACED_UNPROVED,
        Verdict.REMOVED_UNPROTECTED,
        Verdict.REBOOT_PENDING,
        Verdict.FAILED_PROTECTED,
        Verdict.FAILED_EXPOSED,
        Verdict.UNKNOWN,
    }
)
_LEVEL: t.Final = 1  # of compression: a plan repeats much, more effort gains little
_MOST: t.Final = 16 * 1024 * 1024  # bytes of a plan, as for its file


class Plans(Mapping[str, Plan]):
    """Host -> plan. Each look-up reads the plan anew; `raw` and `body` do so without checking it again.

    Args:
        given: plans to begin with.
    """

    def __init__(self, given: Iterable[Plan] = ()) -> None:
        self._packed: dict[str, bytes] = {}
        self._machines: dict[str, str] = {}
        self._times: dict[str, tuple[str, str]] = {}
        for plan in given:
            self.add(plan)

    def __getitem__(self, host: str) -> Plan:
        return unpack(self._packed[host])

    def __iter__(self) -> Iterator[str]:
        return iter(self._packed)

    def __len__(self) -> int:
        return len(self._packed)

    def add(self, plan: Plan) -> None:
        """Keep a plan; it takes the place of an earlier one of its host."""
        self._packed[plan.host] = zlib.compress(canonical.dumps(plan.to_dict()), _LEVEL)
        self._times[plan.host] = (plan.made, plan.expires)
        self._machines[plan.host] = plan.machine

    def raw(self, host: str) -> bytes:
        """The plan as canonical JSON."""
        return zlib.decompress(self._packed[host])

    def body(self, host: str) -> dict[str, t.Any]:
        """The plan as in its file (schemas/plan-1.json)."""
        return t.cast("dict[str, t.Any]", json.loads(self.raw(host)))

    def packed(self, host: str) -> str:
        """The plan as a text for an event; empty when there is none."""
        return base64.b64encode(self._packed.get(host, b"")).decode("ascii")

    def expired(self, now: str) -> frozenset[str]:
        """The hosts whose plan is no longer valid at a time (UTC, as in a plan)."""
        return frozenset(host for host, (_dummy, expires) in self._times.items() if expires and expires <= now)

    @property
    def made(self) -> str:
        """When the newest of them was made; empty without any."""
        return max((made for made, _dummy in self._times.values()), default="")

    @property
    def expires(self) -> str:
        """When the first of them expires; empty without any."""
        return min((expires for _dummy, expires in self._times.values() if expires), default="")

    def take(self, row: Row, records: Sequence[Record]) -> Row:
        """Keep the plan that goes with the newest scan of a host.

        Args:
            row: of that scan.
            records: the host's evidence.

        Returns:
            The row. Where plan and row do not belong together, or the plan is missing, the host is unknown.
        """
        newest = max((n for n, record in enumerate(records) if record.event == "scan"), default=-1)
        found = [record for record in records[newest + 1 :] if record.event == "plan"]
        if not found and row.plan in {r.data.get("digest") for r in records if r.event == DONE}:
            # The last look says what became of the plan that was performed before it.
            found = [r for r in records if r.event == "plan" and r.data.get("digest") == row.plan]
        if not found:
            if not row.plan:
                return row
            return _without(row, "the run was stopped before it wrote this host's plan: run it again")
        try:
            plan = Plan.from_dict(found[-1].data)
        except PlanError as exc:
            return _without(row, f"its evidence holds no plan that can be read: {exc}")
        if plan.host != row.host:
            return _without(row, "its evidence fails verification: the plan speaks of another host")
        if row.plan and row.plan != plan.digest():
            return _without(row, "its evidence fails verification: row and plan have different digests")
        self.add(plan)
        return row if row.plan else row.planned(plan)

    def carry(self, row: Row, text: str) -> Row:
        """Keep the plan of a host that was not run again.

        Args:
            row: the one taken over.
            text: its plan as an event holds it (`packed`); empty for none.
        """
        if not row.plan:
            return row
        try:
            plan = unpack(base64.b64decode(text, validate=True))
        except (PlanError, binascii.Error) as exc:
            return _without(row, f"the plan taken over cannot be read: {exc}")
        if plan.host != row.host or plan.digest() != row.plan:
            return _without(row, "the plan taken over is not that of its row")
        self.add(plan)
        return row

    def settle(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Block what one host alone cannot know to be wrong: machines that are in the inventory twice.

        Args:
            rows: of all hosts. Plans of hosts whose row does not count them (it failed later) are dropped.

        Yields:
            The rows, those of such hosts with the verdict `blocked`.
        """
        rows = list(rows)
        for host in self._packed.keys() - {row.host for row in rows if row.plan}:
            del self._packed[host], self._times[host], self._machines[host]
        twice = inhibitors.duplicates(self._machines)
        for row in rows:
            acted = row.proof or row.verdict in _ACTED
            if row.host not in twice or row.plan_state not in ("act", "blocked") or acted:
                yield row
                continue
            plan = self[row.host]
            hit = inhibitors.hit("duplicate_machine_id", twice[row.host])
            if all(met.id != hit.id for met in plan.inhibitors):
                met = (hit, *plan.inhibitors)
                plan = dataclasses.replace(plan, state="blocked", steps=(), gap=None, inhibitors=met)
                self.add(plan)
            yield row.planned(plan)


def unpack(data: bytes) -> Plan:
    """Read a packed plan.

    Raises:
        PlanError: it is none.
    """
    try:
        opened = zlib.decompressobj()
        raw = opened.decompress(data, _MOST)
        if not opened.eof:
            raise PlanError("it is cut off, or larger than any plan")
        return Plan.from_dict(json.loads(raw))
    except (zlib.error, RecursionError) as exc:
        raise PlanError(f"it is no packed plan: {exc}") from exc
    except ValueError as exc:  # PlanError is one
        raise PlanError(str(exc)) from exc


def document(run: str, found: Plans, order: Iterable[str]) -> Iterator[bytes]:
    """The text of plan.json, a line a host.

    Args:
        run: id of the run.
        found: its plans.
        order: hosts in the order they are to stand in.
    """
    head = {"schema": SCHEMA, "run": run, "made": found.made, "expires": found.expires}
    yield canonical.dumps(head)[:-1] + b',"hosts":{\n'
    hosts = [host for host in order if host in found]
    for number, host in enumerate(hosts, 1):
        end = b",\n" if number < len(hosts) else b"\n"
        yield canonical.dumps(host) + b":" + found.raw(host) + end
    yield b"}}\n"


def differences(folder: Path, run: str, found: Plans, order: Sequence[str]) -> Iterator[str]:
    """Where plan.json and the files below `plans/` differ from what the evidence says, one text each.

    Args:
        folder, run, found, order: as for `write`.
    """
    names = {file_name(host): host for host in found}
    try:
        there = {name.removesuffix(".json") for name in os.listdir(folder / plans.FOLDER) if not name.startswith(".")}
    except FileNotFoundError:
        there = set()
    except OSError as exc:
        raise files.explain("read the folder", folder / plans.FOLDER, exc) from exc
    for name in sorted(there - names.keys()):
        yield f"{plans.FOLDER}/{name}.json: the evidence has no such plan"
    for name in sorted(names.keys() - there):
        yield f"{plans.FOLDER}/{name}.json: missing, though the evidence has this plan"
    for name in sorted(names.keys() & there):
        host = names[name]
        if _read(plans.path(folder, host)) == found.raw(host) + b"\n":
            continue
        try:
            plans.read(folder, host)
            yield f"{plans.FOLDER}/{name}.json: says something else than the evidence"
        except EvidenceError as exc:
            yield f"{plans.FOLDER}/{name}.json: {exc}"
    yield from _whole(folder / FILE, document(run, found, order) if found else ())


def _whole(path: Path, expected: Iterable[bytes]) -> Iterator[str]:
    """Where plan.json differs, at its first line that does."""
    if not os.path.lexists(path):
        if any(expected):
            yield f"{FILE}: missing, though the evidence has plans"
        return
    try:
        with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as stream:
            for ours, theirs in itertools.zip_longest(expected, stream, fillvalue=b""):
                if ours != theirs:
                    said = (ours or theirs).split(b":", 1)[0].decode("ascii", "replace")[:200]
                    yield f"{FILE}: says something else than the evidence at {said}"
                    return
    except OSError as exc:
        yield f"{FILE}: {exc.strerror}"


def write(folder: Path, run: str, found: Plans, order: Iterable[str]) -> Path | None:
    """Write plan.json, and each `plans/<host>.json` that is not there or says something else.

    Returns:
        plan.json; None when the run has no plan.

    Raises:
        EvidenceError: a file cannot be written.
    """
    if not found:
        return None
    for host in found:
        if _read(plans.path(folder, host)) != found.raw(host) + b"\n":
            plans.write(folder, found[host])
    files.replace(folder / FILE, document(run, found, order))
    return folder / FILE


def _read(path: Path) -> bytes:
    """A file of a plan; empty for what is none."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as stream:
            return stream.read(_MOST)
    except OSError:
        return b""


def _without(row: Row, why: str) -> Row:
    """A row whose plan does not count: what stands in the way of knowing is told first."""
    reasons = (why, *row.reasons[len(row.inhibitors) :])
    return dataclasses.replace(row, verdict=Verdict.UNKNOWN, reasons=reasons, plan="", plan_state="", inhibitors=())
