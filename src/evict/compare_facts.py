# SPDX-License-Identifier: GPL-3.0-or-later
"""What an export says besides the name: is the account disabled, and when was the machine last seen."""

from __future__ import annotations

import datetime
import re
import typing as t
from collections.abc import Iterable, Sequence

from . import headers, table


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NO: t.Final = _words(
    "false no 0 n f nein non non. нет ні ne nie nee hay\u0131r hayir いいえ 否 아니요 falsch faux falso ложь disabled "
    "deaktiviert désactivé deshabilitado disabilitato desativado отключена отключен вимкнено wyłączone zakázáno "
    "nem não nao nej"
)
_YES: t.Final = _words(
    "true yes 1 y t ja oui si sí sì да так ano tak evet はい 是 예 wahr vrai vero истина enabled aktiviert activé "
    "habilitado abilitato ativado включена включен увімкнено włączone povoleno igen sim"
)
_ACCOUNT_DISABLED: t.Final = 2  # bit of userAccountControl
_1601: t.Final = datetime.datetime(1601, 1, 1, tzinfo=datetime.UTC)
_PARTS: t.Final = re.compile(r"(\d{1,4})([./-])(\d{1,2})\2(\d{1,4})(?:[ T,]+(\d{1,2}):(\d{2}))?")


def disabled(export: table.Table, row: table.Row) -> str:
    """`disabled`, or the words of the export when they are not understood; empty for an account in use."""
    for field in ("enabled", "disabled"):
        for number in export.columns.get(field, ()):
            said = row.cells[number].strip()
            if not said:
                continue
            if headers.plain(export.headers[number]) == "useraccountcontrol" and said.isdecimal():
                return "disabled" if int(said) & _ACCOUNT_DISABLED else ""
            word = said.casefold()
            if word in _NO | _YES:
                if (word in _NO) == (field == "enabled"):
                    return "disabled"
                continue
            return f"{export.headers[number]}: {said}"
    return ""


def day_first(values: Iterable[str]) -> bool | None:
    """Do dates such as 03/04/2024 in a column begin with the day? None when the column does not tell."""
    for value in values:
        if (found := _PARTS.match(value.strip())) and found[2] != ".":
            first, second = int(found[1]), int(found[3])
            if len(found[1]) <= 2 and first > 12:
                return True
            if len(found[1]) <= 2 and second > 12:
                return False
    return None


def when(text: str, day: bool | None) -> datetime.datetime | None:
    """A time in one of the forms that exports use; None when it cannot be told.

    Args:
        text: such as `2024-01-03T10:00:00Z`, `03.01.2024 10:00`, `133487424000000000` (FILETIME), `1704276000`.
        day: do dates with slashes begin with the day; None: not known, so they are not taken apart.
    """
    text = text.strip()
    try:
        if text.isdecimal():
            return _number(int(text), len(text))
        if found := re.fullmatch(r"(\d{14})(?:\.\d+)?Z?", text):
            return datetime.datetime.strptime(found[1], "%Y%m%d%H%M%S").replace(tzinfo=datetime.UTC)
        if re.match(r"\d{4}-\d{2}-\d{2}", text):
            made = datetime.datetime.fromisoformat(text.replace(" UTC", "+00:00"))
            return made if made.tzinfo else made.replace(tzinfo=datetime.UTC)
        found = _PARTS.match(text)
        if found is None:
            return None
        first, second, third = int(found[1]), int(found[3]), int(found[4])
        if len(found[1]) == 4:
            year, month, date = first, second, third
        elif found[2] == "." or day is True:
            year, month, date = third, second, first
        elif day is False:
            year, month, date = third, first, second
        else:
            return None
        hour, minute = int(found[5] or 0), int(found[6] or 0)
        if re.search(r"\bPM\b", text, re.IGNORECASE) and hour < 12:
            hour += 12
        year += 2000 if year < 100 else 0
        return datetime.datetime(year, month, date, hour, minute, tzinfo=datetime.UTC)
    except (ValueError, OverflowError, OSError):
        return None


def seen(text: str, day: bool | None, now: datetime.datetime) -> str:
    """Last seen, with the age in days where it can be told; empty without a word on it."""
    if not text or text == "0":
        return "never seen" if text else ""
    time = when(text, day)
    if time is None:
        return f"last seen {text}"
    return f"last seen {time:%Y-%m-%d} ({max(0, (now - time).days)} days ago)"


def columns(export: table.Table) -> Sequence[str]:
    """All values of last_seen."""
    return [row.values["last_seen"] for row in export.rows]


def _number(value: int, digits: int) -> datetime.datetime | None:
    if digits == 14:
        return datetime.datetime.strptime(str(value), "%Y%m%d%H%M%S").replace(tzinfo=datetime.UTC)
    if digits >= 17:
        return _1601 + datetime.timedelta(microseconds=value // 10)
    if digits in (10, 13):
        return datetime.datetime.fromtimestamp(value if digits == 10 else value / 1000, datetime.UTC)
    return None
