# SPDX-License-Identifier: GPL-3.0-or-later
"""All that a plan is made from: what is known of one host, of the settings, and of the controller. Data only."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t
from collections.abc import Mapping

from .assess import Assessment
from .catalog import Catalog
from .observation import Observation, Probe
from .plan import Waived
from .policy import Policy
from .provider import Provider

_MISSING: t.Final = Probe("unknown", "the host was not asked")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Controller:
    """What the controller found out for one host.

    Attributes:
        now: the time, UTC.
        secrets: `owner.NAME` -> empty when it can be resolved for this host, else why not. Only names that the policy
            gives are here.
        artifacts: `replacement` and `fallback` -> what is wrong with a file that the controller is to send; empty
            when it is as it should be.
        waived: inhibitor id -> the waiver that lifts it on this host.
        excepted: the waiver of the whole host.
        expired: waivers for this host that are no longer valid, in words; they block.
        port: port of the management connection (WinRM or ssh).
        groups: inventory groups of the host.
    """

    now: datetime.datetime
    secrets: Mapping[str, str] = dataclasses.field(default_factory=dict)
    artifacts: Mapping[str, str] = dataclasses.field(default_factory=dict)
    waived: Mapping[str, Waived] = dataclasses.field(default_factory=dict)
    excepted: Waived | None = None
    expired: tuple[str, ...] = ()
    port: int = 0
    groups: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """One host before the planner.

    Attributes:
        host: inventory name.
        replacement, fallback: the providers that apply to the host's platform; None where the policy names none.
    """

    host: str
    seen: Observation
    assessment: Assessment
    catalog: Catalog
    policy: Policy
    replacement: Provider | None
    fallback: Provider | None
    controller: Controller

    @property
    def platform(self) -> str:
        """`linux`, `windows`, or the host's own word."""
        return self.seen.platform

    @property
    def family(self) -> str:
        """The package family of a Linux host: `deb`, `rpm`, or empty where nobody knows."""
        return FAMILIES.get(self.manager, "")

    @property
    def manager(self) -> str:
        """The package manager a Linux host uses: `apt`, `dnf`, `yum`, `zypper`, or empty."""
        return next((r.get("name", "") for r in self.probe("manager").records if r.get("kind") == "manager"), "")

    def probe(self, name: str) -> Probe:
        """An answer; `unknown` for a probe that was not asked."""
        return self.seen.probes.get(name, _MISSING)


FAMILIES: t.Final[Mapping[str, str]] = {"apt": "deb", "dpkg": "deb", "dnf": "rpm", "yum": "rpm", "zypper": "rpm"}
