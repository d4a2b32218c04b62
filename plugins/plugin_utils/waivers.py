# SPDX-License-Identifier: GPL-3.0-or-later
"""Waivers: who answers for letting a host through in spite of an inhibitor, or for leaving it out, and until when."""

from __future__ import annotations

import dataclasses
import datetime
import difflib
import fnmatch
import re
import typing as t
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from . import waivers_form as form
from .plan import Waived
from .waivers_form import Fault, Field

SCHEMA: t.Final = 1
LONGEST_DAYS: t.Final = 366
ALL: t.Final = "all"  # the group every host is in, though Ansible does not list it among a host's groups

_TOP: t.Final = ("schema", "waivers")
_KEYS: t.Final = ("inhibitor", "whole_host", "hosts", "groups", "owner", "reason", "ticket", "expires")
_ANSWERS: t.Final = {
    "owner": "write who answers for it: a person or team that can be asked",
    "reason": "write why the host may go on, or stay out, in words an auditor understands",
    "ticket": "write the ticket or change in which it was agreed",
    "expires": "write the last day it holds, such as `expires: 2031-01-31`",
}
_LENGTHS: t.Final = {"owner": 200, "reason": 1000, "ticket": 200, "expires": 40}
_TRUE: t.Final = ("true", "yes", "on")
_DAY: t.Final = re.compile(r"\d{4}-\d\d-\d\d\Z")
_TIME: t.Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d+)?)? ?([Zz]|[+-]\d\d:?\d\d)?\Z")
_REGEX: t.Final = re.compile(r"\.[*+]|[\\^$()|+{}\[\]~]")
_PATTERN: t.Final = re.compile(r"[\s,;&!]")
_ADDRESS: t.Final = re.compile(r"[0-9A-Fa-f:.*?]+(%[\w*?]+)?\Z")
_GROUP: t.Final = re.compile(r"[^\s*?\[\]~^$()|+{}\\,;:&!]+\Z")


class WaiverError(ValueError):
    """A file of waivers is wrong; the text names each mistake with file, line, entry, value and remedy, one a line."""

    def __init__(self, mistakes: Iterable[str]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(self.mistakes))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Waiver:
    """One entry of the file.

    Attributes:
        inhibitors: ids it lifts, sorted; empty where it excepts the whole host.
        hosts: names and patterns with `*` and `?`, sorted.
        groups: names, sorted.
        waived: who, why, which ticket, until when.
        until: the first moment at which it no longer holds.
        line: in the file.
    """

    inhibitors: tuple[str, ...]
    hosts: tuple[str, ...]
    groups: tuple[str, ...]
    waived: Waived
    until: datetime.datetime
    line: int

    @property
    def what(self) -> str:
        """What it lifts, in words."""
        return ", ".join(self.inhibitors) if self.inhibitors else "the whole host"

    def covers(self, host: str, groups: Collection[str]) -> bool:
        """Is it for this host?"""
        if any(group == ALL or group in groups for group in self.groups):
            return True
        return any(fnmatch.fnmatchcase(host, pattern) for pattern in self.hosts)


@dataclasses.dataclass(frozen=True)
class OnHost:
    """What the waivers say about one host.

    Attributes:
        waived: id of an inhibitor -> the waiver that lifts it.
        excepted: the waiver of the whole host.
        expired: waivers for this host that no longer hold and that no other one replaces, in words; they block.
    """

    waived: Mapping[str, Waived] = dataclasses.field(default_factory=dict)
    excepted: Waived | None = None
    expired: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Waivers:
    """The waivers of a file, in its order; none where the policy names no file."""

    entries: tuple[Waiver, ...] = ()

    def on(self, host: str, groups: Collection[str], now: datetime.datetime) -> OnHost:
        """What holds for a host.

        Args:
            host: inventory name.
            groups: its groups.
            now: the time, aware.

        Returns:
            Of several waivers for the same thing the one that holds longest, whatever their order in the file.
        """
        mine = sorted(
            (entry for entry in self.entries if entry.covers(host, groups)),
            key=lambda e: (e.until, e.waived.owner, e.waived.reason, e.waived.ticket),
        )
        waived: dict[str, Waived] = {}
        excepted: Waived | None = None
        for entry in (e for e in mine if now < e.until):  # later ones hold longer and replace the ones before
            if not entry.inhibitors:
                excepted = entry.waived
            waived.update(dict.fromkeys(entry.inhibitors, entry.waived))
        expired: list[str] = []
        for entry in (e for e in mine if e.until <= now):
            left = [name for name in entry.inhibitors if name not in waived]
            if excepted is None and (left or not entry.inhibitors):
                expired.append(_expired(entry, ", ".join(left) or entry.what))
        return OnHost(dict(sorted(waived.items())), excepted, tuple(sorted(set(expired))))


def _expired(entry: Waiver, what: str) -> str:
    who = f"of {entry.waived.owner}, ticket {entry.waived.ticket}"
    return f"the waiver for {what} ({who}, line {entry.line}) held until {entry.waived.expires}"


def load(
    path: str | Path, known: Collection[str], waivable: Collection[str], now: datetime.datetime | None = None
) -> Waivers:
    """Read and check a file of waivers (docs/waivers.md, schemas/waivers-1.json).

    Args:
        path: the file, on the controller.
        known: ids of all inhibitors.
        waivable: ids of those that a waiver may lift.
        now: the time, aware, when it is not the clock's; a waiver may hold for 366 days from here at most.

    Returns:
        The waivers. Those that have expired are among them: they lift nothing, and a host they are for is told.

    Raises:
        WaiverError: the file cannot be read or holds mistakes; all of them are named.
    """
    root, faults = form.read(Path(path))
    entries: list[Waiver] = []
    if root is not None:
        reader = _Reader(known, waivable, now or datetime.datetime.now(datetime.UTC))
        entries, faults = reader.document(root), [*faults, *reader.faults]
    if faults:
        raise WaiverError(fault.words(path) for fault in sorted(set(faults)))
    return Waivers(tuple(entries))


class _Reader:
    """Turns fields of the file into waivers and keeps what is wrong with them."""

    def __init__(self, known: Collection[str], waivable: Collection[str], now: datetime.datetime) -> None:
        self.faults: list[Fault] = []
        self._known, self._waivable, self._now = sorted(known), frozenset(waivable), now

    def document(self, root: Field) -> list[Waiver]:
        """All entries that are right."""
        remedy = "begin with `schema: 1` and `waivers:` (docs/waivers.md has an example)"
        if root.kind != "map":
            self.faults.append(Fault(root.line, "", f"it is {root.shown()}, not a mapping", remedy))
            return []
        top = self._map(root, "", _TOP)
        schema = top.get("schema")
        if schema is None:
            self.faults.append(Fault(root.line, "", "`schema` is missing", remedy))
        elif schema.text != str(SCHEMA):
            said = f"`schema` is {schema.shown()}, this version reads {SCHEMA}"
            self.faults.append(Fault(schema.line, "", said, "write `schema: 1`"))
        listed = top.get("waivers")
        if listed is None or listed.kind != "list":
            said = "`waivers` is missing" if listed is None else f"`waivers` is {listed.shown()}, not a list"
            self.faults.append(Fault(root.line if listed is None else listed.line, "", said, remedy))
            return []
        entries: list[Waiver] = []
        seen: dict[tuple[tuple[str, ...], ...], int] = {}
        for number, field in enumerate(listed.items, 1):
            entry = self._entry(field, f"entry {number}")
            if entry is None:
                continue
            what = (entry.inhibitors, entry.hosts, entry.groups)
            if (first := seen.setdefault(what, number)) != number:
                said = f"it is for the same as entry {first}: {entry.what}"
                self.faults.append(Fault(field.line, f"entry {number}", said, "keep one of them, with its last expiry"))
            entries.append(entry)
        return entries

    def _entry(self, field: Field, place: str) -> Waiver | None:
        before = len(self.faults)
        if field.kind != "map":
            self._fault(field, place, f"it is {field.shown()}, not a mapping", f"write keys: {', '.join(_KEYS)}")
            return None
        data = self._map(field, place, _KEYS)
        answers = {key: self._answer(field, data.get(key), place, key) for key in _ANSWERS}
        inhibitors = self._what(field, data, place)
        hosts = tuple(self._names(data.get("hosts"), place, "hosts", self._host))
        groups = tuple(self._names(data.get("groups"), place, "groups", self._group))
        if not data.get("hosts") and not data.get("groups"):
            self._fault(field, place, "neither `hosts` nor `groups` is there", "say for which hosts it is")
        expires, until = "", self._now
        if answers["expires"]:
            expires, until = self._expiry(data["expires"], answers["expires"], place)
        if len(self.faults) > before:
            return None
        waived = Waived(answers["owner"], answers["reason"], answers["ticket"], expires)
        return Waiver(inhibitors=inhibitors, hosts=hosts, groups=groups, waived=waived, until=until, line=field.line)

    def _fault(self, field: Field, place: str, problem: str, remedy: str) -> None:
        self.faults.append(Fault(field.line, place, problem, remedy))

    def _map(self, field: Field, place: str, known: tuple[str, ...]) -> dict[str, Field]:
        found: dict[str, Field] = {}
        for name, value in field.pairs:
            if name.text not in known:
                near = difflib.get_close_matches(name.text, known, 1)
                hint = f"did you mean `{near[0]}`?" if near else f"known here: {', '.join(known)}"
                self._fault(name, place, f"the key {name.shown()} is unknown", hint)
            elif name.text in found:
                self._fault(name, place, f"the key `{name.text}` stands here twice", "remove one")
            else:
                found[name.text] = value
        return found

    def _answer(self, entry: Field, field: Field | None, place: str, key: str) -> str:
        """The text of owner, reason, ticket or expiry; empty with a mistake."""
        if field is None or field.kind == "null" or (field.kind == "text" and not field.text.strip()):
            self._fault(field or entry, place, f"`{key}` is {'empty' if field else 'missing'}", _ANSWERS[key])
            return ""
        text = " ".join(field.text.split())
        if field.kind not in ("text", "number", "time"):
            self._fault(field, place, f"`{key}` is {field.shown()}, not a text", _ANSWERS[key])
        elif not any(char.isalnum() for char in text):
            self._fault(field, place, f"`{key}` is {field.shown()} and says nothing", _ANSWERS[key])
        elif not text.isprintable():
            self._fault(field, place, f"`{key}` holds characters that cannot be printed", "remove them")
        elif len(text) > _LENGTHS[key]:
            said = f"`{key}` has {len(text)} characters"
            self._fault(field, place, said, f"at most {_LENGTHS[key]} are kept in each plan, shorten it")
        else:
            return text
        return ""

    def _what(self, entry: Field, data: Mapping[str, Field], place: str) -> tuple[str, ...]:
        """The ids an entry lifts; none for the whole host."""
        ids, whole = data.get("inhibitor"), data.get("whole_host")
        if whole is not None and whole.text.lower() not in _TRUE:
            remedy = "write `whole_host: true`, or remove the key"
            self._fault(whole, place, f"`whole_host` is {whole.shown()}", remedy)
        if (ids is None) == (whole is None):
            said = (
                "neither `inhibitor` nor `whole_host` is there" if ids is None else "both `inhibitor` and `whole_host`"
            )
            remedy = "name the inhibitor to lift, or write `whole_host: true` to leave the host out; one of the two"
            self._fault(entry, place, said, remedy)
        return tuple(self._names(ids, place, "inhibitor", self._id))

    def _names(self, field: Field | None, place: str, key: str, check: t.Callable[[Field, str], None]) -> list[str]:
        """A list of names, or one alone; sorted."""
        if field is None:
            return []
        names: list[str] = []
        if field.kind == "null" or (field.kind == "list" and not field.items):
            self._fault(field, place, f"`{key}` is empty", "name at least one, or remove the key")
        for item in field.items if field.kind == "list" else (field,) if field.kind != "null" else ():
            if item.kind not in ("text", "number") or not item.text.strip():
                self._fault(
                    item, place, f"`{key}` holds {item.shown()}, which is no name", "write a text, in quotes if need be"
                )
            elif item.text in names:
                self._fault(item, place, f"`{key}` names {item.shown()} twice", "remove one")
            else:
                names.append(item.text)
                check(item, place)
        return sorted(names)

    def _id(self, item: Field, place: str) -> None:
        if item.text not in self._known:
            near = difflib.get_close_matches(item.text, self._known, 1)
            hint = f"did you mean `{near[0]}`?" if near else "docs/inhibitors.md lists the ids"
            self._fault(item, place, f"{item.shown()} is no inhibitor", hint)
        elif item.text not in self._waivable:
            remedy = "remove it and do what the plan says against the inhibitor, or leave the host out (`whole_host`)"
            self._fault(item, place, f"{item.shown()} cannot be waived", remedy)

    def _host(self, item: Field, place: str) -> None:
        if _REGEX.search(item.text):
            remedy = "write a name in which `*` stands for any text and `?` for one character (`web.?*` for `web.x`)"
            self._fault(item, place, f"the host {item.shown()} looks like a regular expression", remedy)
        elif _PATTERN.search(item.text) or (":" in item.text and not _ADDRESS.match(item.text)):
            remedy = "write each name as an item of the list, as the inventory has it"
            self._fault(item, place, f"the host {item.shown()} is more than one name", remedy)

    def _group(self, item: Field, place: str) -> None:
        if not _GROUP.match(item.text):
            remedy = "write the group's name as the inventory has it; patterns are for `hosts`"
            self._fault(item, place, f"the group {item.shown()} is no name", remedy)

    def _expiry(self, field: Field, text: str, place: str) -> tuple[str, datetime.datetime]:
        """The expiry as it is told, and the first moment after it."""
        last = (self._now.astimezone(datetime.UTC) + datetime.timedelta(days=LONGEST_DAYS)).date().isoformat()
        try:
            expires, until = _moment(text)
        except ValueError as exc:
            self._fault(field, place, f"`expires` is {field.shown()}: {exc}", "write `2031-01-31`, or a time with `Z`")
            return "", self._now
        if expires[: len(last)] > last:
            remedy = f"a waiver holds for {LONGEST_DAYS} days at most: write {last} or before, and renew it then"
            self._fault(field, place, f"`expires` is {field.shown()}, too far away", remedy)
        return expires, until


def _moment(text: str) -> tuple[str, datetime.datetime]:
    """A day holds to its end in UTC, a time to its second.

    Raises:
        ValueError: it is neither.
    """
    if _DAY.match(text):
        day = datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC)
        try:
            return text, day + datetime.timedelta(days=1)
        except OverflowError:
            raise ValueError("no such day") from None
    if not (found := _TIME.match(text)):
        raise ValueError("not a date or time")
    if found[3] is None:
        raise ValueError("a time needs its zone")
    try:
        joined = re.sub(r" ?(Z|[+-]\d\d:?\d\d)\Z", r"\1", text.upper())
        moment = datetime.datetime.fromisoformat(joined).astimezone(datetime.UTC)
    except OverflowError:
        raise ValueError("no such time") from None
    moment = moment.replace(microsecond=0)
    return moment.replace(tzinfo=None).isoformat() + "Z", moment
