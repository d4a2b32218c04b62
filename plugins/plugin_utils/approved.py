# SPDX-License-Identifier: GPL-3.0-or-later
"""The file somebody approved: plan.json of a run, or the plan of one host. Does a host still have the plan in it?

The digest of a plan covers what would be done, not its expiry. That nobody put off the expiry is for the manifest of
the run to show, and for the rights on the file.
"""

from __future__ import annotations

import dataclasses
import datetime
import itertools
import json
import os
import typing as t
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from . import canonical, files, planned
from . import plan as nouns
from .plan import Plan, PlanError
from .planned import Plans

Reason = t.Literal["plan_missing", "plan_expired", "plan_changed"]
_AGAIN: t.Final = "make a new plan with `evict plan` and have that one approved"
_NAME: t.Final = "name the plan.json of a run, or a file below its plans/, with `evict_approved_plan`"
_SHOWN: t.Final = 100  # characters of a value in a difference
_AROUND: t.Final = 20  # of them before the first that differs
_HEAD: t.Final = b',"hosts":{\n'  # ends the first line of a plan.json as we write it
_FIELDS: t.Final = (
    ("machine", "machine id"),
    ("platform", "platform"),
    ("state", "state"),
    ("replacement", "replacement"),
    ("fallback", "fallback"),
)


class ApprovedError(ValueError):
    """The file cannot be acted upon; the text names it, the cause and the remedy."""


@dataclasses.dataclass(frozen=True)
class Difference:
    """Why a host's plan is not the approved one.

    Attributes:
        reason: `plan_missing` (the host is not in the file), `plan_expired` or `plan_changed`.
        lines: what differs, one text each.
    """

    reason: Reason
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """All in one line."""
        return "; ".join(self.lines)

    @property
    def remedy(self) -> str:
        """What a person can do."""
        return _AGAIN


@dataclasses.dataclass(frozen=True)
class Approved:
    """The approved plans.

    Attributes:
        path: the file.
        run: id of the run that made them; empty in a file of one host.
        plans: by host; those asked for.
    """

    path: Path
    run: str
    plans: Plans

    def compare(self, plan: Plan, now: datetime.datetime) -> Difference | None:
        """Is the plan of a host the approved one?

        Args:
            plan: as it is made now.
            now: the time, UTC.

        Returns:
            None when it has the same digest and the approved one is still valid.
        """
        if plan.host not in self.plans:
            return Difference("plan_missing", (f"the approved file {files.shown(self.path)} has no plan of this host",))
        old = self.plans[plan.host]
        expires = _time(old.expires)
        if expires is None or expires <= _utc(now):
            return Difference("plan_expired", (f"the approved plan was valid until {old.expires or 'no time at all'}",))
        if old.digest() == plan.digest():
            return None
        return Difference("plan_changed", tuple(changes(old, plan)))


def load(path: str | os.PathLike[str], *, host: str | None = None, now: datetime.datetime | None = None) -> Approved:
    """Read an approved file.

    Args:
        path: plan.json, or `plans/<host>.json`.
        host: read only the plan of this host; the file of a large fleet is read in a moment then. That it has expired
            is for `compare` to say.
        now: the time; that of the clock when None.

    Raises:
        ApprovedError: it is missing, no file of ours, of another version, changed after it was made, or no plan in it
            is valid any more.
    """
    where = Path(path)
    raw = _read(where)
    try:
        run, expires, bodies = _bodies(raw, host)
        found = Plans()
        for name, body in bodies:
            if name in found:
                raise PlanError(f"it has two plans of {name}")
            found.add(_plan(name, body))
        if host is None and expires not in (None, found.expires):
            raise PlanError("its expiry is not that of its plans: it was changed after it was made")
    except (PlanError, RecursionError) as exc:
        raise ApprovedError(f"cannot use the approved plan {files.shown(where)}: {exc}; {_AGAIN}") from exc
    times = {name: _time(found[name].expires) for name in found} if host is None else {}
    moment = _utc(now) if now else datetime.datetime.now(datetime.UTC)
    if times and not any(expires and expires > moment for expires in times.values()):
        until = max(found[name].expires for name in found)
        who = f"the plan of {next(iter(found))}" if len(found) == 1 else f"each of its {len(found)} plans"
        raise ApprovedError(
            f"the approved plan {files.shown(where)} has expired: {who} was valid until {until} at the latest; {_AGAIN}"
        )
    return Approved(where, run, found)


def changes(old: Plan, new: Plan) -> Iterator[str]:
    """What differs between an approved plan and one made later, one text each; never nothing for different digests."""
    for name, words in _FIELDS:
        before, after = getattr(old, name), getattr(new, name)
        if before != after:
            yield f"{words}: approved {_said(before)}, now {_said(after)}"
    was = {name: version for name, version, _state in old.products}
    now = {name: version for name, version, _state in new.products}
    yield from (f"product {_said(name)} was not there when the plan was approved" for name in now if name not in was)
    yield from (f"product {_said(name)} is no longer there" for name in was if name not in now)
    for name in (name for name in was if name in now and was[name] != now[name]):
        yield f"product {_said(name)}: approved version {_said(was[name])}, now {_said(now[name])}"
    before, after = ({step.id: step.identity() for step in plan.steps} for plan in (old, new))
    yield from (f"step {_said(name)} is new: {_said(after[name]['target'])}" for name in after if name not in before)
    yield from (f"step {_said(name)} is gone: {_said(before[name]['target'])}" for name in before if name not in after)
    both = [name for name in before if name in after]
    for name in both:
        yield from (f"step {_said(name)}: {text}" for text in _step(before[name], after[name]))
    if both != [name for name in after if name in before]:
        yield "the order of the steps has changed"
    elif [p[0] for p in old.products if p[0] in now] != [p[0] for p in new.products if p[0] in was]:
        yield "the order of the products has changed"


def _step(old: Mapping[str, t.Any], new: Mapping[str, t.Any]) -> Iterator[str]:
    for name in old:
        if old[name] == new[name]:
            continue
        if isinstance(old[name], dict):
            for key in sorted(old[name].keys() | new[name].keys()):
                before, after = old[name].get(key), new[name].get(key)
                if before != after:
                    yield f"{name} {_said(key)}: {_two(before, after)}"
        else:
            yield f"{name}: {_two(old[name], new[name])}"


def _two(before: object, after: object) -> str:
    """Both values: of texts with several lines those that differ, of what is long the part from which on it does."""
    if isinstance(before, str) and isinstance(after, str) and "\n" in before + after:
        lines = before.splitlines(), after.splitlines()
        less, more = ([line for line in mine if line not in its] for mine, its in (lines, lines[::-1]))
        if less or more:
            approved = f"approved with {', '.join(map(_said, less))}" if less else "approved without it"
            return f"{approved}, now {'with ' + ', '.join(map(_said, more)) if more else 'without it'}"
    texts = _said(before, None), _said(after, None)
    alike = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(*texts, strict=False))
    same = len(list(alike)) if max(map(len, texts)) > _SHOWN else 0
    start = same - _AROUND if same > 2 * _AROUND else 0
    was, now = (f"...{text[start:]}" if start else text for text in texts)
    return f"approved {_cut(was, _SHOWN)}, now {_cut(now, _SHOWN)}"


def _said(value: object, limit: int | None = _SHOWN) -> str:
    """A value in words that can do nothing to a terminal."""
    return "nothing" if value is None else _cut(json.dumps(value), limit)


def _cut(text: str, limit: int | None) -> str:
    return text if limit is None or len(text) <= limit else text[:limit] + "..."


def _read(path: Path) -> bytes:
    shown = files.shown(path)
    try:
        with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY), "rb") as stream:
            return stream.read()
    except FileNotFoundError as exc:
        raise ApprovedError(f"the approved plan {shown} is not there: {_NAME}") from exc
    except IsADirectoryError as exc:
        raise ApprovedError(f"the approved plan {shown} is a folder: {_NAME}") from exc
    except (OSError, ValueError) as exc:  # a NUL in the name is a ValueError
        cause = exc.strerror if isinstance(exc, OSError) else str(exc)
        raise ApprovedError(f"the approved plan {shown} cannot be read: {cause}; {_NAME}") from exc


def _bodies(raw: bytes, host: str | None) -> tuple[str, object, Iterable[tuple[str, t.Any]]]:
    """Run, expiry and plans of a file, those asked for, one after the other.

    Raises:
        PlanError: it is no file of ours, of another version, or cut.
    """
    lines: Iterable[tuple[str, t.Any]] | None = None
    if raw.startswith(b"{") and (end := raw.find(b"\n")) >= 0 and raw[: end + 1].endswith(_HEAD):
        body = _json(raw[: end - len(_HEAD) + 1] + b"}")
        lines = _lines(raw, end + 1, host)
    else:  # somebody wrote it anew, or it is the plan of one host
        body = _json(raw)
    if not isinstance(body, dict):
        raise PlanError("it is no plan: it is no JSON object")
    schema = body.get("schema")
    if schema == nouns.SCHEMA and lines is None:
        one = str(body.get("host"))
        return "", None, [(one, body)] if host in (None, one) else []
    if lines is None and isinstance(body.get("hosts"), dict):
        hosts = t.cast("dict[str, t.Any]", body["hosts"])
        lines = hosts.items() if host is None else [(host, hosts[host])] if host in hosts else []
    if schema != planned.SCHEMA or lines is None:
        raise PlanError(
            f"its schema is {str(schema)[:80]!r}; this version reads {planned.SCHEMA!r} (plan.json) and "
            f"{nouns.SCHEMA!r} (one host)"
        )
    return str(body.get("run")), str(body.get("expires")), lines


def _lines(raw: bytes, start: int, host: str | None) -> Iterator[tuple[str, t.Any]]:
    """The plans of a plan.json as we write it, a line each, without the whole of it in memory as objects."""
    end = raw.rfind(b"}}")
    if end < start or raw[end + 2 :].strip():
        raise PlanError("it is cut off: copy it again")
    if host is not None:
        key = b"\n" + canonical.dumps(host) + b":"
        at = raw.find(key, start - 1, end)
        if at >= 0:
            if raw.find(key, at + 1, end) >= 0:
                raise PlanError(f"it has two plans of {host}")
            yield host, _json(raw[at + len(key) : raw.find(b"\n", at + 1)].rstrip(b","))
        return
    while start < end:
        stop = raw.find(b"\n", start)
        line = raw[start : stop if stop >= 0 else end].rstrip(b",")
        yield from _json(b"{" + line + b"}").items()
        start = stop + 1 if stop >= 0 else end


def _json(raw: bytes) -> t.Any:
    try:
        return json.loads(raw)
    except ValueError as exc:
        raise PlanError(f"it is no JSON ({str(exc)[:120]})") from exc


def _plan(name: str, body: t.Any) -> Plan:
    try:
        plan = Plan.from_dict(body)
    except PlanError as exc:
        raise PlanError(f"the plan of {name}: {exc}") from exc
    if plan.host != name:
        raise PlanError(f"the plan of {name} is that of another host: {plan.host}")
    if plan.expires and _time(plan.expires) is None:
        raise PlanError(f"the plan of {name} has no time as its expiry: {plan.expires[:60]!r}")
    return plan


def _time(text: str) -> datetime.datetime | None:
    try:
        return _utc(datetime.datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        return None


def _utc(time: datetime.datetime) -> datetime.datetime:
    return time.replace(tzinfo=datetime.UTC) if time.tzinfo is None else time.astimezone(datetime.UTC)
