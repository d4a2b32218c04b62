# SPDX-License-Identifier: GPL-3.0-or-later
"""Is a replacement healthy? Its rule is data in provider.yml, judged over answers that a host gave; no host is asked.

A value that is missing, cannot be read or makes no sense is unknown, and unknown is never healthy.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import re
import typing as t
from collections.abc import Iterator, Mapping

from . import filling, templates
from .policy import Policy
from .provider import Provider, Value

_SKEW: t.Final = 24.0  # hours a date may lie ahead: clocks and time zones
_NEVER: t.Final = frozenset({65535, 2**32 - 1})  # what Windows says for "never"
_STARTS: t.Final[Mapping[str, tuple[str, ...]]] = {
    "linux": ("enabled", "static", "alias", "indirect", "generated"),
    "windows": ("automatic", "auto"),
}
_RUNS: t.Final[Mapping[str, str]] = {"linux": "active", "windows": "running"}


@dataclasses.dataclass(frozen=True)
class Health:
    """What came of judging.

    Attributes:
        healthy: every rule holds.
        reasons: why not, one text each; empty when healthy.
        blind: what nobody can tell on the host for this provider, whatever it answers.
    """

    healthy: bool
    reasons: tuple[str, ...]
    blind: tuple[str, ...] = ()


def judge(
    provider: Provider,
    platform: str,
    answers: Mapping[str, str],
    *,
    now: datetime.datetime,
    values: Mapping[str, Value] | None = None,
    max_signature_age: int = 168,
) -> Health:
    """Judge what a host answered.

    Args:
        provider, platform: whose rule.
        answers: name of the provider's answer -> text as it came; `service.<name>` -> state and start of a service,
            such as `active enabled` or `Running Automatic`.
        now: the time, UTC.
        values: what stands for the rule's placeholders (`Case.values`); None for the settings as they come.
        max_signature_age: hours (`evict_max_signature_age`).
    """
    own = provider.platforms.get(platform)
    if own is None:
        return Health(False, (f"{provider.id} is not for {platform}",))
    if provider.kind == "none":
        return Health(False, ("nothing protects the host: the provider is `none`",))
    filled = dict(values) if values is not None else filling.values(provider, platform, Policy(), "replacement")
    reasons = list(_services(platform, filled, answers))
    forms = own.health.get("answers", {})
    parsed: dict[str, tuple[Mapping[str, str], str]] = {}
    judged = 0
    for rule in own.health.get("rules", ()):
        if not (_applies(rule, filled) and _applies(forms[rule["answer"]], filled)):
            continue
        judged += 1
        name = rule["answer"]
        if name not in parsed:
            parsed[name] = read(forms[name]["form"], answers.get(name, ""))
        found, fault = parsed[name]
        if fault:
            reasons.append(f"{name}: unknown, {fault}")
            continue
        reasons += _broken(rule, found, filled, now, max_signature_age)
    if not judged and not filled["services"]:
        reasons.append("unknown: neither a service nor a rule says when it is healthy")
    return Health(not reasons, tuple(dict.fromkeys(reasons)), own.blind)


def _applies(item: Mapping[str, t.Any], filled: Mapping[str, Value]) -> bool:
    return templates.fits({key: tuple(value) for key, value in item.get("when", {}).items()}, filled)


def _services(platform: str, filled: Mapping[str, Value], answers: Mapping[str, str]) -> Iterator[str]:
    """Every required service runs now and after the next start."""
    for service in filled["services"]:
        answer = answers.get(f"service.{service}", "").strip().lower()
        words = answer.split(None, 1)
        if len(words) < 2:
            yield f"service {service}: unknown whether it runs and starts by itself"
        elif words[0] != _RUNS[platform]:
            yield f"service {service} is {words[0]}"
        elif words[1].split()[0] not in _STARTS[platform]:
            yield f"service {service} does not start by itself: {words[1]}"


def _broken(
    rule: Mapping[str, t.Any], found: Mapping[str, str], filled: Mapping[str, Value], now: datetime.datetime, limit: int
) -> Iterator[str]:
    """Why the rule does not hold; nothing when it does."""
    name = rule.get("value", "")
    label = name or rule["answer"]
    value = found.get(name)
    if value is None:
        yield f"{label}: unknown, the answer does not say; {rule['otherwise']}"
        return
    shown = value if len(value) <= 60 else value[:57] + "..."
    if "equals" in rule:
        wanted = {text.strip().lower() for text in templates.items(rule["equals"], filled)}
        if value.strip().lower() not in wanted:
            yield f"{rule['otherwise']} ({label}: {shown or 'empty'})"
    elif "contains" in rule:
        wanted_text = templates.text(rule["contains"], filled)
        if not wanted_text or wanted_text.lower() not in value.lower():
            yield f"{rule['otherwise']} ({label}: {shown or 'empty'})"
    elif "not_begins" in rule:
        if value.strip().startswith(tuple(rule["not_begins"])):
            yield f"{rule['otherwise']} ({label}: {shown})"
    elif "empty" in rule:
        if value.strip() not in ("", "[]", "none"):
            yield f"{rule['otherwise']} ({label}: {shown})"
    elif "present" in rule:
        if value.strip().lower() in ("", "undefined", "none", "null", "unknown"):
            yield f"{rule['otherwise']} ({label}: {shown or 'empty'})"
    elif "future" in rule:
        hours = age(rule["future"], value, now)
        if hours is None:
            yield f"{label}: unknown, {shown!r} is no date; {rule['otherwise']}"
        elif hours >= 0:
            yield f"{rule['otherwise']} ({label})"
    else:
        hours = age(rule["younger"], value, now)
        if hours is None:
            yield f"{label}: unknown, {shown!r} is no age; {rule['otherwise']}"
        elif hours < -_SKEW:
            yield f"{label}: unknown, it lies in the future; {rule['otherwise']}"
        elif hours > limit:
            yield f"{rule['otherwise']} ({label}: {int(hours)} h, at most {limit} h)"


# ---- reading answers


def read(form: str, text: str) -> tuple[Mapping[str, str], str]:
    """Read an answer.

    Args:
        form: `text` (the whole is the value of the empty name), `json`, `fields` (lines or parts with a name and a
            value), or `clamd_version`.
        text: as the host gave it.

    Returns:
        Name -> value, and why it cannot be read, empty when it can.
    """
    if not text.strip():
        return {}, "there is no answer"
    if form == "json":
        return _json(text)
    if form == "fields":
        found = _fields(text)
        return found, "" if found else "the answer has no values"
    if form == "clamd_version":
        return _clamd(text)
    return {"": text.strip()}, ""


def _json(text: str) -> tuple[Mapping[str, str], str]:
    try:
        data = json.loads(text.lstrip("\ufeff"))
    except (ValueError, RecursionError):
        return {}, "the answer is no JSON"
    if isinstance(data, list) and len(data) == 1:  # PowerShell wraps a single object at will
        data = data[0]
    if not isinstance(data, dict):
        return {}, "the answer is no object"
    found = {}
    for key, item in data.items():
        value = _plain(item)
        if value is not None:
            found[str(key)] = value
    return found, ""


def _plain(item: t.Any) -> str | None:
    """A value of JSON as text; None for null, which is missing."""
    if isinstance(item, dict):
        for key in ("value", "$type"):  # `{displayValue, isManaged, value}` and `{"$type": "upToDate"}`
            if key in item:
                return _plain(item[key])
        return None
    if isinstance(item, list):
        return ", ".join(_plain(part) or "" for part in item)
    if isinstance(item, bool):
        return "true" if item else "false"
    return None if item is None else str(item)


_PART: t.Final = re.compile(r'([A-Za-z][\w-]*)\s*=\s*("[^"]*"|[^,\s]+)')
_LINE: t.Final = re.compile(r"\s*([A-Za-z][^:=]*?)\s*(?::\s+|:$|\s{2,}|\t)\s*(.*?)\s*\Z")


def _fields(text: str) -> dict[str, str]:
    """`name=value, name="value".`, `Name: value`, or `Name    value`, one or several on a line."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        parts = _PART.findall(line)
        if parts:
            for name, value in parts:
                found.setdefault(name, value.rstrip(".").strip('"'))
        elif match := _LINE.match(line):
            found.setdefault(match[1], match[2])
    return found


_VERSION: t.Final = re.compile(r"ClamAV ([^/\s]+)(?:/(\d+)/(.+))?\Z")


def _clamd(text: str) -> tuple[Mapping[str, str], str]:
    """`ClamAV 1.4.6/27001/Sun Sep  1 10:00:00 2024`; with databases of one's own only, there is no date."""
    match = _VERSION.match(text.strip())
    if not match:
        return {}, "the answer is no version of clamd"
    found = {"engine": match[1]}
    if match[3]:
        found |= {"database": match[2], "date": match[3]}
    return found, ""


# ---- ages


def age(unit: str, value: str, now: datetime.datetime) -> float | None:
    """Hours since what the value says; negative for the future, None when it says nothing.

    Args:
        unit: `minutes`, `hours`, `days` (numbers of them that have passed), `epoch_ms`, or `date`.
        value: as it came.
        now: the time, UTC.
    """
    if unit == "date":
        date = _date(value)
        return None if date is None else (now - date).total_seconds() / 3600
    match = re.fullmatch(r"\s*(\d{1,18})(?:\.0+)?\s*", value)
    if not match:
        return None
    number = int(match[1])
    if unit == "epoch_ms":
        return None if number == 0 else now.timestamp() / 3600 - number / 3_600_000
    if number in _NEVER:
        return None
    return {"minutes": number / 60, "hours": float(number), "days": number * 24.0}[unit]


# Not strptime: it knows the names of months in the locale of the controller only.
_ASCTIME: t.Final = re.compile(r"[A-Z][a-z]{2} ([A-Z][a-z]{2}) (\d{1,2}) (\d\d):(\d\d):(\d\d)(?: [A-Z]{3,5})? (\d{4})")
_MONTHS: t.Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_NET_DATE: t.Final = re.compile(r"/Date\((-?\d{1,18})(?:[+-]\d{4})?\)/")


def _date(value: str) -> datetime.datetime | None:
    """A date as programs write it: C's asctime (UTC is taken), ISO 8601, or `/Date(ms)/` of Windows PowerShell."""
    text = " ".join(value.split())
    try:
        if match := _NET_DATE.fullmatch(text):
            return datetime.datetime.fromtimestamp(int(match[1]) / 1000, datetime.UTC)
        if match := _ASCTIME.fullmatch(text):
            month, day, hour, minute, second, year = match.groups()
            clock = (int(hour), int(minute), int(second))
            found = datetime.datetime(int(year), _MONTHS.index(month) + 1, int(day), *clock)
        else:
            found = datetime.datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=datetime.UTC)
