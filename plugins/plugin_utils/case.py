# SPDX-License-Identifier: GPL-3.0-or-later
"""All that a plan is made from: what is known of one host, of the settings, and of the controller. Data only."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import typing as t
from collections.abc import Mapping

from . import asking, filling, templates
from .assess import Assessment
from .catalog import Catalog
from .filling import Role
from .health import Health, judge
from .observation import Observation, Probe
from .plan import Waived
from .policy import Policy
from .provider import Provider, Value

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

    def provider(self, role: Role) -> Provider | None:
        """The replacement or the fallback."""
        return self.replacement if role == "replacement" else self.fallback

    def values(self, role: Role, provider: Provider) -> Mapping[str, Value]:
        """What stands for the holes of the provider's templates in this case; for steps, health and detection alike.

        Raises:
            templates.TemplateError: a filled-in setting cannot be filled.
        """
        if (role, provider.id) not in self._filled:
            self._filled[role, provider.id] = self._values(role, provider)
        return self._filled[role, provider.id]

    @functools.cached_property
    def _filled(self) -> dict[tuple[Role, str], Mapping[str, Value]]:
        """Asked by many who look at one host, and the same for all of them."""
        return {}

    def _values(self, role: Role, provider: Provider) -> dict[str, Value]:
        defender = self.probe("defender").records
        return filling.values(
            provider,
            self.platform,
            self.policy,
            role,
            family=self.family,
            manager=self.manager,
            server=self.seen.host.get("product_type", "") in ("server", "domain_controller"),
            defender_feature=next((r.get("value", "") for r in defender if r.get("property") == "feature"), ""),
        )

    def health(self, role: Role) -> Health | None:
        """Is the replacement or the fallback healthy on the host now, by its own rule?

        Returns:
            None where nobody asked: the policy names no provider, or the host was not asked about it.
        """
        provider, probe = self.provider(role), self.seen.probes.get("cover")
        if provider is None or probe is None or self.platform not in provider.platforms:
            return None
        try:
            filled = self.values(role, provider)
        except templates.TemplateError as exc:
            return Health(False, (f"unknown: {provider.id}: {exc}",))
        told, faults = asking.answers(probe.records, role)
        found = judge(
            provider,
            self.platform,
            told,
            now=self.controller.now,
            values=filled,
            max_signature_age=self.policy.max_signature_age,
        )
        if found.healthy:
            return found
        # Why there is no answer stands behind what is missed.
        why = [f"{name}: {fault}" for name, fault in faults.items()]
        why += [f"could not tell: {probe.reason}"] if probe.status == "unknown" else []
        return dataclasses.replace(found, reasons=(*found.reasons, *why))


FAMILIES: t.Final[Mapping[str, str]] = {"apt": "deb", "dpkg": "deb", "dnf": "rpm", "yum": "rpm", "zypper": "rpm"}
