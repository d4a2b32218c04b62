# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host may filter by: from a regular expression, the substrings of which one occurs in every match.

A host never matches a regular expression. It keeps a record when one of the literals occurs in it, compared in lower
case, and the brain decides. So a literal set may let too much through, and must never hold a match back.

Rare second forms of a letter fall outside that promise (dotless i, long s, the Kelvin sign, Cyrillic from U+1C80 on,
final sigma): Python's `re` takes them for the ordinary letter when case is ignored, a host's lower case does not. No
installer writes the vendor's names with them; where a pattern holds one itself, the literal ends before it.

`re._parser` is private, and the same from Python 3.11 to 3.14; no other module of the collection touches it.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import itertools
import re
import typing as t
from collections.abc import Iterable

# By name, since type stubs know nothing of them.
_op: t.Final[t.Any] = importlib.import_module("re._constants")
_parser: t.Final[t.Any] = importlib.import_module("re._parser")

MIN_LENGTH: t.Final = 3  # shorter literals let half of a host's names through
MAX_MEMBERS: t.Final = 256  # exact alternatives that are worth carrying
_MAX_CLASS: t.Final = 12  # members of a character class that are still written out

# dotted and dotless i, long s, Kelvin, Angstrom, micro, final sigma, Cyrillic U+1C80 to U+1C88
_SECOND_FORMS: t.Final = frozenset(
    "\u0130\u0131\u017f\u212a\u212b\u00b5\u03c2" + "".join(map(chr, range(0x1C80, 0x1C89)))
)

Exact = frozenset[str]
EMPTY: t.Final[Exact] = frozenset({""})


class NoLiteral(ValueError):
    """A regular expression has no literal a host could filter by; the text says why."""


@dataclasses.dataclass(frozen=True)
class _Part:
    """What is known of a part of a pattern.

    Attributes:
        exact: all texts the part may match, lower-case; None when there are too many.
        need: texts of which each match holds at least one; None when there is no such set.
    """

    exact: Exact | None
    need: Exact | None


_NOTHING: t.Final = _Part(None, None)


@functools.cache
def derive(pattern: str) -> frozenset[str]:
    """The best set of literals for a regular expression that is matched without regard to case.

    Args:
        pattern: the expression, as `re.compile` takes it.

    Returns:
        Lower-case texts, at least one of which occurs in the lower case of every text the pattern is found in.

    Raises:
        NoLiteral: no set whose shortest member has MIN_LENGTH characters exists, and the pattern is no exact name.
        re.error: the pattern is broken.
    """
    parsed = _parser.parse(pattern, re.IGNORECASE)
    part = _sequence(list(parsed))
    if part.need is None:
        raise NoLiteral("nothing in it must occur in a match")
    shortest = min(part.need, key=lambda text: (len(text), text))
    if len(shortest) < MIN_LENGTH and not (part.exact and _anchored(list(parsed))):
        raise NoLiteral(f"a match may hold no more than {shortest!r}, which is shorter than {MIN_LENGTH} characters")
    return reduced(part.need)


def _sequence(items: list[tuple[t.Any, t.Any]]) -> _Part:
    """Parts in a row: exact neighbours are joined, everything else ends a run."""
    run: Exact = EMPTY
    unbroken = True
    candidates: list[Exact] = []

    def flush() -> None:
        if "" not in run:
            candidates.append(run)

    for op, value in items:
        part = _single(op, value)
        if part.exact is not None and len(run) * len(part.exact) <= MAX_MEMBERS:
            run = frozenset(a + b for a, b in itertools.product(run, part.exact))
            continue
        unbroken = False
        flush()
        if part.exact is not None:
            run = part.exact
        else:
            run = EMPTY
            if part.need is not None:
                candidates.append(part.need)
    flush()
    return _Part(run if unbroken else None, _best(candidates))


def _single(op: t.Any, value: t.Any) -> _Part:
    """One part of a pattern as `re` has parsed it."""
    if op is _op.LITERAL:
        text = _lower(value)
        return _exactly(None if text is None else {text})
    if op is _op.IN:
        return _exactly(_members(value))
    if op in (_op.AT, _op.ASSERT, _op.ASSERT_NOT):
        return _exactly(EMPTY)  # they take no character of the match
    if op is _op.SUBPATTERN:
        return _sequence(list(value[3]))
    if op is _op.ATOMIC_GROUP:
        return _sequence(list(value))
    if op is _op.BRANCH:
        return _branch([_sequence(list(way)) for way in value[1]])
    if op in (_op.MAX_REPEAT, _op.MIN_REPEAT, _op.POSSESSIVE_REPEAT):
        return _repeat(value[0], value[1], _sequence(list(value[2])))
    return _NOTHING


def _exactly(texts: Iterable[str] | None) -> _Part:
    exact = None if texts is None else frozenset(texts)
    if exact is None or not exact or len(exact) > MAX_MEMBERS:
        return _NOTHING
    return _Part(exact, None if "" in exact else exact)


def _branch(ways: list[_Part]) -> _Part:
    exact: Exact | None = frozenset()
    need: Exact | None = frozenset()
    for way in ways:
        exact = None if exact is None or way.exact is None else exact | way.exact
        need = None if need is None or way.need is None else need | way.need
    if exact is not None and len(exact) > MAX_MEMBERS:
        exact = None
    return _Part(exact, need if need else None)


def _repeat(least: int, most: t.Any, part: _Part) -> _Part:
    if least == 0:
        if most == 1 and part.exact is not None:
            return _exactly(part.exact | EMPTY)
        return _NOTHING
    if least == most and part.exact is not None and len(part.exact) ** least <= MAX_MEMBERS and least <= 16:
        return _exactly("".join(texts) for texts in itertools.product(part.exact, repeat=least))
    return _Part(None, part.need)


def _lower(code: int) -> str | None:
    """A character as hosts compare it; None for one whose case has a form that a host does not know."""
    text = chr(code).lower()
    return None if len(text) != 1 or chr(code) in _SECOND_FORMS else text


def _members(items: list[tuple[t.Any, t.Any]]) -> list[str] | None:
    """The characters of a small class, or None."""
    found: list[str] = []
    for op, value in items:
        if op is _op.LITERAL:
            codes = range(value, value + 1)
        elif op is _op.RANGE and value[1] - value[0] < _MAX_CLASS:
            codes = range(value[0], value[1] + 1)
        else:
            return None
        for code in codes:
            text = _lower(code)
            if text is None:
                return None
            found.append(text)
    return found if len(found) <= _MAX_CLASS else None


def _best(candidates: list[Exact]) -> Exact | None:
    """The set whose shortest member is longest; of equals the smaller set."""
    return max(candidates, key=lambda c: (min(map(len, c)), -len(c), sorted(c)), default=None)


def reduced(texts: Iterable[str]) -> frozenset[str]:
    """The texts without members that hold another member: the shorter one finds them too."""
    texts = frozenset(texts)
    return frozenset(x for x in texts if not any(y in x for y in texts if y != x))


def _anchored(items: list[tuple[t.Any, t.Any]]) -> bool:
    """Does the pattern begin with a start and end with an end?"""
    starts, ends = (_op.AT_BEGINNING, _op.AT_BEGINNING_STRING), (_op.AT_END, _op.AT_END_STRING)
    return (
        len(items) > 2
        and items[0][0] is _op.AT
        and items[0][1] in starts
        and items[-1][0] is _op.AT
        and items[-1][1] in ends
    )
