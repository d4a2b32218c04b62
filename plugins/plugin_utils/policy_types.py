# SPDX-License-Identifier: GPL-3.0-or-later
"""What some settings of a user are made of. `policy` holds all settings, `policy_values` reads these."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t
from collections.abc import Mapping

Reboot = t.Literal["never", "if_needed", "window"]
Excluded = t.Literal["path", "process", "extension"]
How = t.Literal["variable", "file", "lookup"]


@dataclasses.dataclass(frozen=True)
class Exclusion:
    """What the replacement leaves alone: a `path`, a `process` or an `extension`."""

    kind: Excluded
    value: str


@dataclasses.dataclass(frozen=True)
class Window:
    """A maintenance window, both ends in UTC."""

    start: datetime.datetime
    end: datetime.datetime


@dataclasses.dataclass(frozen=True)
class SecretRef:
    """Where a secret is, never what it is.

    Attributes:
        how: `variable` (a variable of the host, such as a vaulted one), `file` (on the controller, 0600), `lookup` (a
            lookup plugin).
        name: of the variable, path of the file, or name of the plugin.
        terms, options: of the lookup.
        format: `plain`, `utf16le_hex`, or empty for what the catalog or the provider says.
        property: MSI property to pass it in, empty for the catalog's.
    """

    how: How
    name: str
    terms: tuple[str, ...] = ()
    options: Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    format: str = ""
    property: str = ""
