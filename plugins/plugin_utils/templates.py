# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts with holes: `${name}` and `${name|filter}` in a provider's steps, filled from the case.

A hole may stand for a text or for a list. A line that holds a list is written once for each of its items; a line that
holds something empty is left out. So a file's text needs no conditions: what is not set is not written.
"""

from __future__ import annotations

import json
import re
import typing as t
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import urlsplit

from .provider import Value, When

HOLE: t.Final = re.compile(r"\$\{([a-z][a-z0-9_]*)(?:\|([a-z]+))?\}")
_ANY_HOLE: t.Final = re.compile(r"\$\{[^}]*\}?")
MARK: t.Final = re.compile(r"@([A-Za-z][A-Za-z0-9_]*)@")
# Compiled once: a worker is new for each host, and `re` would compile them anew in each.
_SIGNS: t.Final = re.compile(r"([.\[\]()*+?{}|^$\\])")
_ENDS: t.Final = re.compile(r"[\0\r\n]")
_PORTS: t.Final = {"http": 80, "https": 443}


class TemplateError(ValueError):
    """A template cannot be filled; the text says which hole and why."""


def _regex(value: str) -> str:
    """A text as an extended regular expression of POSIX that means exactly it."""
    return _SIGNS.sub(r"\\\1", value)


def _tree(value: str) -> str:
    """A path as an expression that means it and all below it."""
    return f"^{_regex(value.rstrip('/'))}(/|$)"


def _extension(value: str) -> str:
    """A file extension, with or without its dot, as an expression for names that end in it."""
    return rf"\.{_regex(value.lstrip('*.'))}$"


def endpoint(value: str) -> str:
    """`host:port` of an address; empty for one without a host, such as a path."""
    try:
        parts = urlsplit(value)
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        return ""
    host = parts.hostname or ""
    return f"{f'[{host}]' if ':' in host else host}:{port}" if host and port else ""


FILTERS: t.Final[Mapping[str, Callable[[str], str]]] = {
    "regex": _regex,
    "tree": _tree,
    "extension": _extension,
    "endpoint": endpoint,
    "json": json.dumps,
}


def holes(text: str) -> list[tuple[str, str]]:
    """Names and filters of all holes of a text."""
    return [(match[1], match[2] or "") for match in HOLE.finditer(text)]


def malformed(text: str) -> list[str]:
    """What looks like a hole and is none."""
    return [found for found in _ANY_HOLE.findall(text) if not HOLE.fullmatch(found)]


def lines(text: str, values: Mapping[str, Value]) -> list[str]:
    """The lines a text becomes: none, one or several for each of its own.

    Raises:
        TemplateError: a name is not known, two lists stand in one line, or a value has a line break in it.
    """
    made: list[str] = []
    for line in text.split("\n"):
        names = {name for name, _filter in holes(line)}
        unknown = sorted(names - values.keys())
        if unknown:
            raise TemplateError(f"${{{unknown[0]}}} has no value here")
        listed = [name for name in sorted(names) if isinstance(values[name], tuple)]
        if len(listed) > 1:
            raise TemplateError(f"${{{listed[0]}}} and ${{{listed[1]}}} are lists and stand in one line")
        items: Iterable[Value] = values[listed[0]] if listed else ("",)
        for item in items:
            own = {name: str(item) if [name] == listed else str(values[name]) for name in names}
            filled = HOLE.sub(lambda match, own=own: _one(match, own), line)  # type: ignore[misc]
            if all(own.values()) and all(_one(match, own) for match in HOLE.finditer(line)):
                made.append(filled)
    return made


def _one(match: re.Match[str], own: Mapping[str, str]) -> str:
    value = own[match[1]]
    if _ENDS.search(value):
        raise TemplateError(f"the value of ${{{match[1]}}} has a line break in it")
    return FILTERS[match[2]](value) if match[2] else value


def text(template: str, values: Mapping[str, Value]) -> str | None:
    """A filled text; None when a single line with a hole came to nothing.

    Raises:
        TemplateError: as `lines`.
    """
    made = lines(template, values)
    return "\n".join(made) if made or "\n" in template else None


def items(templates: Iterable[str], values: Mapping[str, Value]) -> tuple[str, ...]:
    """A filled list: an item that holds a list becomes several, one that holds something empty is left out.

    Raises:
        TemplateError: as `lines`.
    """
    return tuple(line for template in templates for line in lines(template, values))


def fits(when: When, values: Mapping[str, Value]) -> bool:
    """Do all settings and properties have one of their values? `set` and `unset` ask whether there is any.

    Raises:
        TemplateError: a name is not known.
    """
    for name, allowed in when.items():
        if name not in values:
            raise TemplateError(f"`{name}` has no value here")
        value = values[name]
        words = {"set" if value else "unset", *((value,) if isinstance(value, str) else ())}
        if not words.intersection(allowed):
            return False
    return True
