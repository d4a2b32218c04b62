# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of signals that macOS hosts answer, besides those of `signals_posix`."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from .signals import FieldSignal, Record


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReceiptSignal(FieldSignal):
    """The receipt of an installed package."""

    kind = "receipt"
    probe = "receipts"


@dataclasses.dataclass(frozen=True, kw_only=True)
class LaunchdSignal(FieldSignal):
    """A job of launchd.

    Attributes:
        name: on its label.
        program: on the program it starts; None for any.
    """

    kind = "launchd"
    regexes: t.ClassVar[tuple[str, ...]] = ("name", "program")
    probe = "launchd"
    program: re.Pattern[str] | None = None

    def accepts(self, record: Record) -> bool:
        if not FieldSignal.accepts(self, record):
            return False
        return self.program is None or self.program.search(record.get("program", "")) is not None


@dataclasses.dataclass(frozen=True, kw_only=True)
class SystemExtensionSignal(FieldSignal):
    """A system extension.

    Attributes:
        name: on its bundle id.
        team: the team id it must be signed by; empty for any.
    """

    kind = "system_extension"
    probe = "system_extensions"
    literal = "extensions"
    team: str = ""

    def accepts(self, record: Record) -> bool:
        return FieldSignal.accepts(self, record) and (not self.team or record.get("team", "") == self.team)


@dataclasses.dataclass(frozen=True, kw_only=True)
class KextSignal(FieldSignal):
    """A kernel extension, by its bundle id."""

    kind = "kext"
    probe = "kexts"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProfileSignal(FieldSignal):
    """A configuration profile."""

    kind = "profile"
    probe = "profiles"
    fields = ("name", "display", "payload")
