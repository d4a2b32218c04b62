# SPDX-License-Identifier: GPL-3.0-or-later
"""Inhibitors of Defender as the one that takes over: who manages it, and what keeps it off. Nothing is fixed here."""

from __future__ import annotations

import typing as t
from collections.abc import Iterable, Iterator

from . import templates
from .case import Case
from .inhibitors_base import WINDOWS, Inhibitor, Met, Put, doubt, named, number, puts, records
from .provider import StepTemplate

# Steps that only make sense with Defender.
_STEPS: t.Final = frozenset({"set_preference", "expect_defender", "update_signatures"})
_SWITCH: t.Final = "ForceDefenderPassiveMode"
_FIRST: t.Final = (6, 2)  # Windows 8, Server 2012
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
    """Most clients have it on, and it keeps real-time protection on, as the plan wants it; only what the plan adds or
    takes away may be ignored."""
    if not (_used(case) and _on(case, "IsTamperProtected")):
        return
    changes = [f"the exclusion {e.value}" for e in case.policy.exclusions]
    if _forces(case, "1") and not any("passive" in mode.lower() for mode in _values(case, "AMRunningMode")):
        changes.append(f"{_SWITCH} = 1")
    if changes:
        yield Met(f"tamper protection is on, and may ignore without a word: {', '.join(changes)}")


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
    if not _used(case):
        return
    if _version(case) < _FIRST:  # what is called Defender there looks for spyware only
        yield Met(
            f"{case.seen.host.get('os_name') or 'this Windows'} has no Defender Antivirus",
            "choose another replacement and fallback, such as `package`, for hosts of this version",
        )
        return
    if "not_installed" not in _values(case, "feature"):
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


def _version(case: Case) -> tuple[int, ...]:
    """The version of Windows; that of today where the host does not say."""
    parts = [number(part) for part in case.seen.host.get("os_version", "").split(".")[:2]]
    known = tuple(part for part in parts if part is not None)
    return known if len(known) == len(parts) == 2 else (10, 0)


def _passive(case: Case) -> Iterator[Met]:
    """Follows the switch as the plan would: set before or by a stage, taken back by a provider when its turn comes."""
    staged = [put for put in puts(case) if _SWITCH in _switches(case, put, put.part.stage, "1")]
    observed = _on(case, _SWITCH)
    if not (observed or staged):
        return
    cleared = False
    for put in puts(case):
        cleared = cleared or _SWITCH in _switches(case, put, put.part.cover, "0")
        needed = any(s.kind == "expect_defender" and s.args.get("property") == "AMRunningMode" for s in put.part.cover)
        if cleared or not needed:
            continue
        if staged:
            yield Met(
                f"{put} must be active, and {staged[0]} sets {_SWITCH} = 1 before, which nothing takes back in time",
                f"make {staged[0].provider.id} the replacement and {put.provider.id} the fallback, or choose another "
                "provider, then plan again",
            )
        elif case.seen.host.get("product_type") != "workstation":
            yield Met(f"{_SWITCH} = 1 is set, and {put} does not take it back")
        elif not _on(case, "onboarded"):  # a client becomes active by itself when it is
            yield Met(f"{_SWITCH} = 1 is set, and the host is not onboarded to Defender for Endpoint")


def _forces(case: Case, value: str) -> bool:
    return any(_SWITCH in _switches(case, put, put.part.stage, value) for put in puts(case))


def _switches(case: Case, put: Put, steps: Iterable[StepTemplate], value: str) -> set[str]:
    """Names of what the provider's steps would set to the value in the registry of this host."""
    try:
        filled = case.values(put.role, put.provider)
    except templates.TemplateError:  # an inhibitor of its own (replacement_unfit)
        return set()
    return {
        str(s.args.get("name", ""))
        for s in steps
        if s.kind == "set_registry" and s.args.get("value") == value and templates.fits(s.when, filled)
    }


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
        looks_at=(
            "`IsTamperProtected` and the mode of probe `defender`, where the plan would add exclusions or ask for "
            "passive mode"
        ),
        remedy=(
            "set what the plan would set in the portal that manages Defender, or switch tamper protection off "
            "there for the change; then waive this"
        ),
        waivable=True,
        why="the settings may be right already; each is read back, and the proof at the end tells",
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
        title="Defender is not on this host and cannot be installed",
        platforms=WINDOWS,
        when="covers",
        looks_at="`feature` and `payload` of probe `defender`; the version of Windows",
        remedy="install the feature Windows-Defender from a repair source (DISM /Source), restart, then plan again",
        waivable=False,
        why="nothing can be turned on that is not there",
        check=_payload,
    ),
    Inhibitor(
        id="defender_passive",
        title="Defender is forced into passive mode, in which it blocks nothing",
        platforms=WINDOWS,
        when="covers",
        looks_at=(
            "`ForceDefenderPassiveMode` and `onboarded` of probe `defender`; steps of replacement and fallback that "
            "set it or take it back"
        ),
        remedy=(
            "have the policy taken back and restart, or choose `mde_windows` as the replacement, which takes it back "
            "itself, then plan again"
        ),
        waivable=False,
        why="it would stay passive after the removal",
        check=_passive,
    ),
)
