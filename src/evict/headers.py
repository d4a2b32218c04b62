# SPDX-License-Identifier: GPL-3.0-or-later
"""Which column of somebody's list is which field: by its header in any language, else by what its cells look like."""

from __future__ import annotations

import functools
import ipaddress
import re
import typing as t
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import yaml

FILE: t.Final = Path(__file__).with_name("headers.yml")
# The fields that a column's cells can give away.
BY_VALUE: t.Final = ("ip", "fqdn", "host")
_SHARE: t.Final = 0.8  # of the filled cells that must look like the field
_HOST: t.Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,62}\$?")
_FQDN: t.Final = re.compile(
    r"(?=.{4,253}\.?$)(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z][A-Za-z0-9-]+\.?"
)


def plain(header: str) -> str:
    """A header for comparison: without case, blanks, dashes, dots and quotes."""
    folded = unicodedata.normalize("NFKC", header).casefold()
    folded = folded.replace("i\u0307", "i").replace("\u0131", "i")  # the Turkish I in large letters
    # Marks stay: in many scripts they are the vowels.
    return "".join(c for c in folded if unicodedata.category(c)[0] in "LNM")


@functools.cache
def known() -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """What headers.yml says: plain header -> its field, and plain header -> the fields it may mean for want of better.

    Raises:
        ValueError: the file is damaged, or a header stands in two fields.
    """
    body = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    strong: dict[str, str] = {}
    weak: dict[str, tuple[str, ...]] = {}
    for field, languages in body.items():
        for language, names in languages.items():
            for name in map(plain, map(str, names)):
                if language == "weak":
                    weak[name] = tuple(dict.fromkeys([*weak.get(name, ()), field]))
                elif strong.setdefault(name, field) != field:
                    raise ValueError(f"{FILE.name}: {name!r} stands in {strong[name]} and in {field}")
    return strong, weak


def fields() -> list[str]:
    """All fields, in the order of headers.yml."""
    return list(dict.fromkeys([*known()[0].values()]))


def recognised(headers: Iterable[str], wanted: Sequence[str]) -> int:
    """How many of the headers are known for one of the wanted fields."""
    return len(by_name(list(headers), wanted))


def by_name(headers: Sequence[str], wanted: Sequence[str]) -> dict[int, str]:
    """Column number (from 0) -> field, by the headers alone. Several columns may be of one field."""
    strong, weak = known()
    names = [plain(header) for header in headers]
    found = {number: strong[name] for number, name in enumerate(names) if strong.get(name) in wanted}
    have = set(found.values())
    for number, name in enumerate(names):
        if number not in found:
            field = next((f for f in weak.get(name, ()) if f in wanted and f not in have), None)
            if field is not None:
                found[number] = field
    return found


def by_values(columns: Sequence[Sequence[str]], wanted: Sequence[str]) -> dict[int, str]:
    """Column number -> field, by what the cells look like: the best column for each of BY_VALUE that is wanted.

    Args:
        columns: the cells of each column.
        wanted: the fields that are looked for.
    """
    found: dict[int, str] = {}
    for field in (f for f in BY_VALUE if f in wanted):
        scores = {n: looks(field, cells) for n, cells in enumerate(columns) if n not in found}
        best = max(scores, key=lambda n: scores[n], default=None)
        if best is not None and scores[best] >= _SHARE:
            found[best] = field
    return found


def looks(field: str, cells: Iterable[str]) -> float:
    """Which share of the filled cells looks like the field (0 to 1); 0 when few are filled or hardly any differ."""
    filled, total = [], 0
    for cell in cells:
        total += 1
        if cell.strip():
            filled.append(cell.strip())
    if not filled or len(filled) * 2 < total or len(set(filled)) * 2 < len(filled):
        return 0.0
    if field == "ip":
        return sum(map(is_address, filled)) / len(filled)
    if field == "fqdn":
        return sum(bool(_FQDN.fullmatch(cell)) and not is_address(cell) for cell in filled) / len(filled)
    # A word alone is no host name yet; the names of machines mostly carry numbers or dashes.
    marked = [c for c in filled if re.search(r"[0-9_$-]", c) and re.search(r"[A-Za-z]", c)]
    if len(marked) * 2 < len(filled):
        return 0.0
    return sum(bool(_HOST.fullmatch(c) or _FQDN.fullmatch(c)) and not c.isdigit() for c in filled) / len(filled)


def is_address(text: str) -> bool:
    """Is this an IP address?"""
    try:
        ipaddress.ip_address(text.strip().strip("[]"))
    except ValueError:
        return False
    return True


def as_written(columns: Mapping[str, str], headers: Sequence[str]) -> dict[int, str]:
    """Column number -> field, as the user said; a header, or the number of a column from 1.

    Raises:
        KeyError: there is no such column; its argument is the name that was given.
    """
    found: dict[int, str] = {}
    names = [plain(header) for header in headers]
    for field, name in columns.items():
        if name in headers:
            found[headers.index(name)] = field
        elif plain(name) and plain(name) in names:
            found[names.index(plain(name))] = field
        elif name.isdecimal() and 1 <= int(name) <= len(headers):
            found[int(name) - 1] = field
        else:
            raise KeyError(name)
    return found
