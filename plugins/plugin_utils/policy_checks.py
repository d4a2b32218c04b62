# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of single values of a user, and how a mistake is told: place, remedy, value, and never a secret's value.

Values come from YAML, from `-e name=value` and from surveys, so numbers, switches and lists may be texts.
"""

from __future__ import annotations

import dataclasses
import datetime
import difflib
import re
import typing as t
from collections.abc import Callable, Collection, Iterable, Mapping
from urllib.parse import parse_qsl, urlsplit

import yaml

from .redact import Redactor
from .verdict import Verdict

# Compiled once: a worker is new for each host, and `re` would compile them anew in each.
_STRUCTURE: t.Final = re.compile(r"[:{\[]")
_ENDS: t.Final = re.compile(r"[\0\r\n]")
RUN_ID: t.Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}\Z")
# Names under which people keep secrets. What stands under such a name is never shown.
SECRET_NAME: t.Final = re.compile(
    r"pass(?:w(?:or)?d|phrase|code)?s?(?:_|-|$)|token|secret|credential|(?:api|access|activation|licen[cs]e)[_-]?key",
    re.IGNORECASE,
)
Place = tuple[str | int, ...]
_Checked = t.TypeVar("_Checked")
_LONGEST: t.Final = 120  # characters of a value that are shown
_REDACTOR: t.Final = Redactor()
_TRUE: t.Final = frozenset({"true", "yes", "on", "1"})
_FALSE: t.Final = frozenset({"false", "no", "off", "0"})
# Parts of an address that are a login in all but name: signatures and tokens of shared links.
_SECRET_QUERY: t.Final = re.compile(r"sig(nature)?\Z|x-amz-signature\Z|key\Z|auth|code\Z", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class Mistake:
    """One thing wrong with a value.

    Attributes:
        words: what it must be, beginning with a verb.
        place: the way to it within the value; empty for the value itself.
        shown: the value for a reader, empty where it must not be seen or says nothing.
    """

    words: str
    place: Place = ()
    shown: str = ""


class Refused(ValueError):
    """A value is wrong; holds all its mistakes."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        """
        Args:
            mistakes: at least one.
        """
        self.mistakes = tuple(mistakes)
        super().__init__("; ".join(mistake.words for mistake in self.mistakes))


def refused(words: str, *value: object, place: Place = ()) -> Refused:
    """One mistake as an exception; the value is shown when it is given."""
    return Refused([Mistake(words, place, shown(value[0]) if value else "")])


def shown(value: object) -> str:
    """A value for a message: bounded, without what looks like a secret; of strange types only the type's name."""
    text = _REDACTOR.clean(_plain(value, 3))
    return text if len(text) < _LONGEST else text[: _LONGEST - 3] + "..."


def _plain(value: object, depth: int) -> str:
    if value is None or isinstance(value, (bool, int, float)):
        text = repr(value) if not isinstance(value, int) or abs(value) < 10**30 else "a huge number"
        return text
    if isinstance(value, str):
        return repr(str(value[: 2 * _LONGEST]))
    if isinstance(value, Mapping):
        items = [
            f"{_plain(k, 0)}: {'...' if SECRET_NAME.search(str(k)) else _plain(v, depth - 1)}"
            for k, v in list(value.items())[:5]
        ]
        return "{" + (", ".join(items) if depth else "...") + "}"
    if isinstance(value, (list, tuple, set, frozenset)):
        items = [_plain(item, depth - 1) for item in list(value)[:10]]
        return "[" + (", ".join(items) if depth else "...") + "]"
    return f"of the type {type(value).__name__}"  # a vaulted value would show itself in its repr


def kind_of(value: object) -> str:
    """What a value is, for messages that must not show it."""
    for types, word in ((str, "a text"), (bool, "a switch"), ((int, float), "a number"), (Mapping, "a mapping")):
        if isinstance(value, t.cast("type", types)):
            return word
    return "nothing" if value is None else "a list" if isinstance(value, (list, tuple)) else type(value).__name__


def did_you_mean(name: str, known: Iterable[str], otherwise: str) -> str:
    """The nearest known name as a question, else what there is."""
    near = difflib.get_close_matches(name.lower()[:80], list(known), 1)
    return f"did you mean {near[0]!r}?" if near else otherwise


def label(key: object) -> str:
    """A key of a user's mapping, safe to show."""
    text = str(key) if isinstance(key, (str, int)) else kind_of(key)
    return "".join(c if c.isprintable() and c != "`" else "?" for c in text[:60])


def within(key: str | int, value: t.Any, check: Callable[[t.Any], _Checked], found: list[Mistake]) -> _Checked | None:
    """Run a check on a part of a value.

    Args:
        key: where the part is.
        value: the part.
        check: raises Refused.
        found: gets the mistakes, with the key before their places.

    Returns:
        What the check made of it; None when it was refused.
    """
    try:
        return check(value)
    except Refused as exc:
        found += [dataclasses.replace(m, place=(key, *m.place)) for m in exc.mistakes]
        return None


def structured(value: object) -> object:
    """What a text of a survey or of `-e name=value` stands for, when it is YAML or JSON of a list or mapping."""
    if not isinstance(value, str) or not _STRUCTURE.search(value) or len(value) > 65_536:
        return value
    try:
        # Aliases could make a small text endless; nobody needs them here.
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(value, yaml.SafeLoader)):
            return value
        read = yaml.safe_load(value)
    except (yaml.YAMLError, ValueError, TypeError, OverflowError, RecursionError):
        return value  # and the check says what it must be, without the text of the parser, which repeats the value
    return read if isinstance(read, (dict, list)) else value


def mapping(value: object) -> Mapping[t.Any, t.Any]:
    """A mapping, also as YAML or JSON in a text; empty texts are an empty one."""
    value = structured(value)
    if isinstance(value, Mapping):
        return value
    if isinstance(value, str) and not value.strip():
        return {}
    told = " which is neither YAML nor JSON of one" if isinstance(value, str) else ""
    raise refused(f"must be a mapping (`name: value`), it is {kind_of(value)}{told}")


def line(value: object) -> str:
    """One line of text, which may be empty."""
    if not isinstance(value, str):
        raise refused("must be a text", value)
    if _ENDS.search(value):
        raise refused("must be one line without NUL characters", value)
    return str(value)


def items(value: object, what: str) -> list[t.Any]:
    """A list; a text is one of items between commas, and a single number one of one item."""
    if isinstance(value, str):
        read = structured(value) if value.lstrip()[:1] == "[" else value
        if isinstance(read, str):  # in a field of several lines people write `- item`, too
            return [item for item in re.split(r"[\s,]+", re.sub(r"(?m)^\s*-\s+", "", read)) if item]
        value = read
    if isinstance(value, int) and not isinstance(value, bool):
        return [value]
    if not isinstance(value, (list, tuple, set, frozenset)):
        raise refused(f"must be a list of {what}", value)
    return sorted(value, key=str) if isinstance(value, (set, frozenset)) else list(value)


def number(least: int, most: int, unit: str) -> Callable[[object], int]:
    """A check for whole numbers of a range."""

    def check(value: object) -> int:
        found = value
        if isinstance(found, str) and re.fullmatch(r"\s*[0-9]{1,9}\s*", found):
            found = int(found)
        if not isinstance(found, int) or isinstance(found, bool) or not least <= found <= most:
            raise refused(f"must be a whole number of {unit} from {least} to {most}", value)
        return int(found)

    return check


def switch(value: object) -> bool:
    """`true` or `false`, also as a text."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in _TRUE | _FALSE:
        return value.strip().lower() in _TRUE
    raise refused("must be true or false", value)


def one_of(known: Collection[str], what: str) -> Callable[[object], t.Any]:
    """A check for a word of a list."""

    def check(value: object) -> str:
        if isinstance(value, str) and value.strip() in known:
            return value.strip()
        hint = did_you_mean(str(value) if isinstance(value, str) else "", known, f"known are {', '.join(known)}")
        raise refused(f"must be {what}: {hint}", value)

    return check


def words(known: Collection[str], what: str) -> Callable[[object], frozenset[str]]:
    """A check for a set of words of a list."""

    def check(value: object) -> frozenset[str]:
        found = items(value, what)
        for item in found:
            if not isinstance(item, str) or item not in known:
                hint = did_you_mean(str(item), known, f"known are {', '.join(known)}")
                raise refused(f"may hold {what} only, and {shown(item)[:80]} is none: {hint}", value)
        return frozenset(map(str, found))

    return check


def name(what: str) -> Callable[[object], str]:
    """A check for a name that is safe in paths and lines; it may be empty."""

    def check(value: object) -> str:
        # ansible-core 2.19 reads an answer of a survey as YAML, also one that was quoted: `42` and `2030-01-05`.
        day = isinstance(value, datetime.date) and not isinstance(value, datetime.datetime)
        read = day or (isinstance(value, int) and not isinstance(value, bool))
        text = str(value) if read else line(value)
        if text and not RUN_ID.match(text):
            raise refused(
                f"is {what}: it may hold letters, digits, `.`, `_` and `-` only, at most 80, "
                "and begins with a letter or digit",
                value,
            )
        return text

    return check


def pattern(value: object) -> str:
    """A pattern of hosts, or a list of them."""
    parts = value if isinstance(value, (list, tuple)) and value else [value]
    for part in parts:
        if not isinstance(part, str):
            raise refused("must be a text, or a list of texts", value)
        if not line(part).strip():
            raise refused("must name hosts, such as `all` or a group", value)
    return ":".join(map(str, parts))


def verdicts(value: object) -> tuple[Verdict, ...]:
    """A list of verdicts."""
    known = [str(v) for v in Verdict]
    found = items(value, "verdicts")
    for item in found:
        if str(item) not in known:
            hint = did_you_mean(str(item), known, f"known are {', '.join(known)}")
            raise refused(f"may hold verdicts only, and {shown(item)[:80]} is no verdict: {hint}", value)
    return tuple(Verdict(str(item)) for item in found)


def waves(value: object) -> tuple[int, ...]:
    """Sizes of waves."""
    found = items(value, "numbers of hosts")
    if not found:
        raise refused("must name at least one number of hosts, such as `1, 10, 50`", value)
    size = number(1, 100_000, "hosts")
    mistakes: list[Mistake] = []
    sizes = [within(index, item, size, mistakes) for index, item in enumerate(found)]
    if mistakes:
        raise Refused(mistakes)
    return tuple(s for s in sizes if s is not None)


def share(value: object) -> str:
    """A number of hosts, or a percentage such as `5%`."""
    text = str(value).strip() if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
    if not re.fullmatch(r"[0-9]{1,6}|(?:[0-9]|[1-9][0-9]|100)\s*%", text):
        raise refused("must be a whole number of hosts, or a percentage from 0 to 100 with its sign", value)
    return "".join(text.split())


def url(value: object, schemes: Collection[str] = ("http", "https")) -> str:
    """An address without a login in it, neither before the host nor as a token behind it."""
    text = line(value).strip()
    needed = " or ".join(f"{scheme}://" for scheme in schemes)
    try:
        parts = urlsplit(text)
        port, host = parts.port, parts.hostname
        query = [key for key, _dummy in parse_qsl(parts.query, keep_blank_values=True)]
    except ValueError:
        raise refused(f"must be an address that begins with {needed}") from None
    if "@" in parts.netloc or parts.username is not None:
        raise refused("must not hold a login: give the secret in `evict_secrets`, or use an address that needs none")
    if any(SECRET_NAME.search(key) or _SECRET_QUERY.match(key) for key in query):
        raise refused("must not hold a token or signature behind the `?`: it would stand in every plan and report")
    visible = () if "@" in text else (text,)  # what stands before an `@` may be a login, wherever it stands
    if re.search(r"[\s\\\x00-\x1f\x7f]", text):
        raise refused("must be an address without blanks and backslashes", *visible)
    if parts.scheme not in schemes or (parts.scheme != "file" and not host) or port == 0:
        raise refused(f"must be an address that begins with {needed}", *visible)
    return text


def proxy(value: object) -> str:
    """Address of a proxy, or empty."""
    if isinstance(value, str) and not value.strip():
        return ""
    text = url(value)
    parts = urlsplit(text)
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise refused("must be scheme, host and port only, such as `http://proxy.example:3128`")
    return text.rstrip("/")
