# SPDX-License-Identifier: GPL-3.0-or-later
"""Inhibitors of Defender as the one that takes over: who manages it, and what keeps it off. Nothing is fixed here."""

from __future__ import annotations

import typing as t
from collections.abc import Iterator

from .case import Case
from .inhibitors_base import WINDOWS, Inhibitor, Met, doubt, named, puts, records

# Steps that only make sense with Defender.
_STEPS: t.Final = frozenset({"set_preference", "expect_defender", "update_signatures"})
_MANAGERS: t.Final = {"gpo": "group policy", "intune": "Intune", "sccm": "Configuration Manager"}


def _used(case: Case) -> bool:
    return any(
        step.kind in _STEPS for put in puts(case) if put.part is not None for step in (*put.part.stage, *put.part.cover)
    )


def _values(case: Case, name: str) -> list[str]:
    return [r.get("value", "").strip() for r in records(case, "defender", property=name) if r.get("value", "").strip()]


def _on(case: Case, name: str) -> bool:
    return any(value.lower() in ("1", "true", "yes") for value in _values(case, name))


def _managed(case: Case) -> Iterator[Met]:
    if _used(case) and (managers := _values(case, "managed_by")):
        yield Met(f"Defender is managed by {named(_MANAGERS.get(name, name) for name in managers)}")


def _tamper(case: Case) -> Iterator[Met]:
    if _used(case) and _on(case, "IsTamperProtected"):
        yield Met("tamper protection is on: changes of protected settings are ignored without a word")


def _disabled(case: Case) -> Iterator[Met]:
    if not _used(case):
        return
    client = case.seen.host.get("product_type") == "workstation"
    if _on(case, "DisableAntiSpyware") and not client:  # clients ignore it
        yield Met(
            "DisableAntiSpyware = 1 is set by policy",
            "find the policy that sets it (gpresult /h) and have it taken back, then plan again",
        )
    for service in ("WinDefend", "WdFilter"):
        if "disabled" in _values(case, f"start.{service}"):
            yield Met(f"its service {service} is disabled, which Windows does not do by itself")


def _silent(case: Case) -> Iterator[Met]:
    if _used(case):
        yield from doubt(case, "defender", "in which state Defender is")


def _payload(case: Case) -> Iterator[Met]:
    if not _used(case) or "not_installed" not in _values(case, "feature"):
        return
    if case.seen.host.get("product_type") == "workstation":  # there it is no feature that could be installed
        yield Met(
            "Defender is not there: the host has no service WinDefend",
            "repair Windows so that Defender is there again, or choose another replacement, then plan again",
        )
        return
    payload = _values(case, "payload")
    if "removed" in payload:
        yield Met("the feature Windows-Defender was removed together with its files")
    elif "present" not in payload:
        yield Met("could not tell whether the files of the feature Windows-Defender are there")


def _passive(case: Case) -> Iterator[Met]:
    if _used(case) and _on(case, "ForceDefenderPassiveMode") and not _on(case, "onboarded"):
        yield Met("ForceDefenderPassiveMode = 1 is set, and the host is not onboarded to Defender for Endpoint")


INHIBITORS: t.Final = (
    Inhibitor(
        id="defender_managed",
        title="Defender's settings are managed from elsewhere",
        platforms=WINDOWS,
        when="covers",
        looks_at="`managed_by` of probe `defender`, where the replacement or the fallback uses Defender",
        remedy=(
            "set what the plan would set (real-time protection, exclusions) where Defender is managed, then waive this"
        ),
        waivable=True,
        why="the management may set what is needed; nothing is changed behind its back",
        check=_managed,
    ),
    Inhibitor(
        id="defender_tamper_protection",
        title="Defender's tamper protection ignores changes",
        platforms=WINDOWS,
        when="covers",
        looks_at="`IsTamperProtected` of probe `defender`",
        remedy=(
            "set what the plan would set in the portal that manages Defender, or switch tamper protection off "
            "there for the change; then waive this"
        ),
        waivable=True,
        why="the settings may be right already; the proof at the end tells",
        check=_tamper,
    ),
    Inhibitor(
        id="defender_disabled",
        title="Defender is kept off",
        platforms=WINDOWS,
        when="covers",
        looks_at="`DisableAntiSpyware` (servers) and start values of Defender's services",
        remedy=(
            "find who switched it off, have it taken back, restart, then plan again; never set the start values by hand"
        ),
        waivable=False,
        why="it would not protect the host",
        check=_disabled,
    ),
    Inhibitor(
        id="defender_unknown",
        title="Defender does not say in which state it is",
        platforms=WINDOWS,
        when="covers",
        looks_at="whether probe `defender` answered",
        remedy="make the probe `defender` answer (the reason says what hindered it), then plan again",
        waivable=True,
        why=(
            "beside another antivirus it may not answer at all; steps ask it again once that is gone, and fall back "
            "where it still does not"
        ),
        check=_silent,
    ),
    Inhibitor(
        id="defender_payload_removed",
        title="Defender's files were removed from this host",
        platforms=WINDOWS,
        when="covers",
        looks_at="`feature` and `payload` of probe `defender`",
        remedy="install the feature Windows-Defender from a repair source (DISM /Source), restart, then plan again",
        waivable=False,
        why="the feature cannot be installed without its files",
        check=_payload,
    ),
    Inhibitor(
        id="defender_passive",
        title="Defender is forced into passive mode, in which it blocks nothing",
        platforms=WINDOWS,
        when="covers",
        looks_at="`ForceDefenderPassiveMode` and `onboarded` of probe `defender`",
        remedy="have the policy taken back or onboard the host to Defender for Endpoint, restart, then plan again",
        waivable=False,
        why="it would stay passive after the removal",
        check=_passive,
    ),
)
