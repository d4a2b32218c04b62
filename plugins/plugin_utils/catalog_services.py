# SPDX-License-Identifier: GPL-3.0-or-later
"""catalog/services.yml: what products leave in services of a host, and how it goes where the policy allows it."""

from __future__ import annotations

import dataclasses
import re
import typing as t
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from . import catalog_form
from .catalog_form import Mistake
from .signals import Confidence

FILE: t.Final = "services.yml"
Edit = t.Literal["mail", "proxy", "trust_store"]
Joins = t.Literal["indent", "backslash"]
EDITS: t.Final[tuple[Edit, ...]] = t.get_args(Edit)
_COMMAND: t.Final = re.compile(r"[a-z][a-z0-9-]*(?: [A-Za-z0-9./=-]+)*\Z")
_UNIT: t.Final = re.compile(r"[a-z][a-z0-9-]*\.service\Z")
_PATH: t.Final = re.compile(r"(?:/[A-Za-z0-9._-]+){2,}(?:/?\*(?:\.[a-z]+)?)?\Z")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Form:
    """A form of a line that can be changed surely.

    Attributes:
        line: matches the whole line; has a group `list` when elements go, may have a group `named`, outside of which
            the product must not be named.
        between: what stands between elements; None when the whole line goes.
        empty: the statement may stand with an empty list.
        confidence: the mark of the fact.
    """

    line: re.Pattern[str]
    between: re.Pattern[str] | None
    empty: bool
    confidence: Confidence


@dataclasses.dataclass(frozen=True, kw_only=True)
class Service:
    """A service of the host in whose configuration products put lines.

    Attributes:
        name: for a reader; services of one name are changed together or not at all.
        edit: the word of `evict_edit` that allows it.
        files: as signals of the kind `line` name them.
        forms: what can be changed; the first that fits counts.
        joins: how a statement goes on in the next line: by an indent there, or by a backslash at its end.
        checks: commands that check its configuration; each must end with 0 and find nothing new.
        units: that read it again, where they are active.
        by_hand: why nothing of it is ever changed, and what a person does; empty where forms are known.
    """

    id: str
    name: str
    edit: Edit
    files: tuple[str, ...]
    forms: tuple[Form, ...]
    joins: Joins
    checks: tuple[str, ...]
    units: tuple[str, ...]
    by_hand: tuple[str, str] | None
    confidence: Confidence


@dataclasses.dataclass(frozen=True, kw_only=True)
class Store:
    """A trust store of the host.

    Attributes:
        folder: where certificates are put by hand.
        refresh: command that makes the store anew.
        bundle: file that holds all that is trusted.
        known_as: other names by which a scan may know that file.
        hashed: folder with links to what is trusted; empty where there is none.
    """

    folder: str
    refresh: str
    bundle: str
    known_as: tuple[str, ...]
    hashed: str
    confidence: Confidence


@dataclasses.dataclass(frozen=True, kw_only=True)
class Services:
    """What services.yml holds; nothing where a catalog has no such file.

    Attributes:
        data: as it was read, for the digest of the catalog.
    """

    services: tuple[Service, ...] = ()
    stores: tuple[Store, ...] = ()
    data: Mapping[str, t.Any] = dataclasses.field(default_factory=dict)


def read(directory: Path, named: Collection[str]) -> tuple[Services, list[Mistake]]:
    """Read and check the file.

    Args:
        directory: the catalog's folder.
        named: the files that signals of the kind `line` name.

    Returns:
        What it holds, and all mistakes; with any of those it holds nothing.
    """
    path = directory / FILE
    if not path.exists():
        return Services(), []
    data, mistake = catalog_form.parse(FILE, path.read_bytes())
    mistakes = [mistake] if mistake else [Mistake(FILE, *said) for said in _check(data, named)]
    if mistakes:
        return Services(), mistakes
    return (
        Services(
            services=tuple(_service(item) for item in data["services"]),
            stores=tuple(
                Store(
                    folder=item["folder"],
                    refresh=item["refresh"],
                    bundle=item["bundle"],
                    known_as=tuple(item.get("known_as", ())),
                    hashed=item.get("hashed", ""),
                    confidence=Confidence(item["confidence"]),
                )
                for item in data["stores"]
            ),
            data=data,
        ),
        [],
    )


def _service(item: Mapping[str, t.Any]) -> Service:
    hand = item.get("by_hand")
    return Service(
        id=item["id"],
        name=item["name"],
        edit=item["edit"],
        files=tuple(item["files"]),
        forms=tuple(
            Form(
                line=re.compile(form["line"], re.IGNORECASE | re.DOTALL),
                between=re.compile(form["between"]) if form["goes"] == "element" else None,
                empty=form.get("empty", False),
                confidence=Confidence(form["confidence"]),
            )
            for form in item.get("lines", ())
        ),
        joins=item.get("joins", "indent"),
        checks=tuple(item.get("checks", ())),
        units=tuple(item.get("units", ())),
        by_hand=(hand["why"], hand["remedy"]) if hand else None,
        confidence=Confidence(item["confidence"]),
    )


_Said = tuple[str, str, str]  # place, problem, remedy
_ALWAYS: t.Final = frozenset({"confidence", "source"})
_SERVICE: t.Final = frozenset({"id", "name", "edit", "files"}) | _ALWAYS
_CHANGED: t.Final = frozenset({"joins", "lines", "checks", "units"})
_FORM: t.Final = frozenset({"line", "goes"}) | _ALWAYS
_STORE: t.Final = frozenset({"folder", "refresh", "bundle"}) | _ALWAYS


def _check(data: t.Any, named: Collection[str]) -> Iterator[_Said]:
    if not isinstance(data, dict) or set(data) != {"sources", "services", "stores"}:
        yield "", "it does not hold exactly sources, services and stores", "write all three"
        return
    used: set[str] = set()
    seen: set[str] = set()
    for item in data["services"]:
        place = f"services[{item.get('id', '?')}]"
        wanted = _SERVICE | ({"by_hand"} if "by_hand" in item else _CHANGED)
        yield from _keys(place, item, wanted, frozenset())
        if item.get("edit") not in EDITS:
            yield f"{place}.edit", f"{item.get('edit')!r} is no word of `evict_edit`", f"use one of: {', '.join(EDITS)}"
        for file in item.get("files", ()):
            if file in seen or file not in named:
                problem = "stands in it twice" if file in seen else "is named by no signal of the kind `line`"
                yield f"{place}.files", f"{file!r} {problem}", "name each file of such signals once"
            seen.add(file)
        if "by_hand" in item:
            if set(item["by_hand"]) != {"why", "remedy"}:
                yield f"{place}.by_hand", "it does not hold exactly why and remedy", "write both"
        else:
            yield from _changed(place, item)
        for fact in (item, *item.get("lines", ())):
            used.update(fact.get("source", ()))
            yield from _founded(place, fact, data["sources"])
    for item in data["stores"]:
        place = f"stores[{item.get('folder', '?')}]"
        yield from _keys(place, item, _STORE, frozenset({"hashed", "known_as"}))
        used.update(item.get("source", ()))
        yield from _founded(place, item, data["sources"])
        if not _COMMAND.match(str(item.get("refresh"))):
            yield f"{place}.refresh", "it is no plain command", "write the program and its arguments"
        paths = [(key, item[key]) for key in ("folder", "bundle", "hashed") if key in item]
        for key, path in (*paths, *(("known_as", path) for path in item.get("known_as", ()))):
            if not _PATH.match(str(path)):
                yield f"{place}.{key}", f"{path!r} is no path", "write an absolute path"
    for key in sorted(set(data["sources"]) - used):
        yield f"sources.{key}", "no fact names it", "remove it"


def _keys(place: str, item: Mapping[str, t.Any], wanted: Collection[str], may: Collection[str]) -> Iterator[_Said]:
    for key in sorted(set(wanted) - set(item)):
        yield place, f"the key {key!r} is missing", "add it"
    for key in sorted(set(item) - set(wanted) - set(may)):
        yield place, f"unknown key {key!r}", f"known here: {', '.join(sorted((*wanted, *may)))}"


def _founded(place: str, item: Mapping[str, t.Any], sources: Mapping[str, str]) -> Iterator[_Said]:
    if item.get("confidence") not in set(Confidence):
        yield f"{place}.confidence", f"{item.get('confidence')!r} is no mark", f"use one of: {', '.join(Confidence)}"
    if not item.get("source") or set(item["source"]) - set(sources):
        yield f"{place}.source", "it names no source, or one that is not there", "name keys of `sources`"


def _changed(place: str, item: Mapping[str, t.Any]) -> Iterator[_Said]:
    """Mistakes of a service that is changed."""
    if item.get("joins") not in t.get_args(Joins):
        yield f"{place}.joins", f"{item.get('joins')!r} is not known", f"use one of: {', '.join(t.get_args(Joins))}"
    for key, form in (("checks", _COMMAND), ("units", _UNIT)):
        for text in item.get(key, ()):
            if not form.match(text):
                yield f"{place}.{key}", f"{text!r} has not the form it needs", "write plain words"
    if not item.get("checks"):
        yield f"{place}.checks", "without a check nothing of it may be changed", "name one, or write `by_hand`"
    for number, form in enumerate(item.get("lines", ()), 1):
        where = f"{place}.lines[{number}]"
        parts = form.get("goes") == "element"
        yield from _keys(where, form, _FORM | ({"between", "empty"} if parts else frozenset()), frozenset())
        try:
            groups = set(re.compile(form.get("line", "")).groupindex)
            re.compile(form.get("between", ""))
        except re.error as exc:
            yield f"{where}.line", f"not an expression: {exc}", "mend it"
            continue
        if form.get("goes") not in ("line", "element") or groups - {"named", "list"} or ("list" in groups) != parts:
            yield f"{where}.goes", "the form of the line does not fit it", "`element` with a group `list`, or `line`"
