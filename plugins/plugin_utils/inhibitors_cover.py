# SPDX-License-Identifier: GPL-3.0-or-later
"""Inhibitors of the choice of a replacement and a fallback: is there one, and does it fit the host?"""

from __future__ import annotations

import typing as t
from collections.abc import Iterator

from . import cover
from .case import Case
from .inhibitors_base import BOTH, Inhibitor, Met, branded, chosen, doubt, puts
from .signals import Record

# --- is one chosen?


def _replacement(case: Case) -> Iterator[Met]:
    if case.replacement is None:
        yield Met(f"the settings name no replacement for {case.platform}")


def _fallback(case: Case) -> Iterator[Met]:
    first = case.replacement
    if first is None or first.kind == "none":
        return
    if case.fallback is None:
        yield Met(f"the settings name no fallback for {case.platform}")
    elif case.fallback.kind == "none" and "unprotected" not in case.policy.consent:
        yield Met(f"the fallback {case.fallback.id} protects nothing")
    elif case.fallback.id == first.id:
        yield Met(f"the fallback is the replacement itself, {first.id}")


def _consent(case: Case) -> Iterator[Met]:
    if case.replacement is not None and case.replacement.kind == "none" and "unprotected" not in case.policy.consent:
        yield Met("the replacement `none` leaves the host without protection, and nobody consented to that")


def _existing(case: Case) -> Iterator[Met]:
    if any(True for _record in _others(case)):
        return
    for role, provider in chosen(case):
        if provider.kind != "existing":
            continue
        if case.probe("protection").status == "unknown":
            yield from doubt(case, "protection", f"whether another protection is active, as the {role} asks for")
        else:
            yield Met(f"the {role} is what is there already, and no other protection is active now")


# --- does it fit?


def _fits(case: Case) -> Iterator[Met]:
    for role, _provider in chosen(case):
        for fault in cover.expand(case, role).faults:
            yield Met(f"the {role} {fault}")
    for put in puts(case):
        init = case.seen.host.get("init", "")
        if "systemd" in put.part.needs and init != "systemd":
            yield Met(f"{put} needs systemd, and the host starts with {init or 'something it does not name'}")


def _scanner(case: Case) -> Iterator[Met]:
    first = case.replacement
    if not puts(case) or (first is not None and first.kind == "existing"):
        return  # then the other scanner is the one that is to stay
    for record in _others(case):
        if not _own(case, record):
            yield Met(_scanner_words(case, record))
    yield from doubt(case, "protection", "which other scanners are active")


def _others(case: Case) -> Iterator[Record]:
    """Active scanners that are not the vendor's."""
    for record in case.probe("protection").records:
        kind = record.get("kind")
        if kind == "fanotify":
            live = record.get("mode") == "permission" or _label(case, record)
            stranger = any(name in case.catalog.not_scanners for name in _names(record))
            if live and not stranger and record.get("root") != "other" and not _vendors(case, record):
                yield record
        elif kind in ("wsc", "defender") and record.get("state") == "active" and not branded(case, record.get("name")):
            yield record


def _names(record: Record) -> list[str]:
    program = record.get("exe", "").removesuffix(" (deleted)").rpartition("/")[2]
    return [name for name in (program, record.get("comm", ""), record.get("name", "")) if name]


def _label(case: Case, record: Record) -> str:
    return next((case.catalog.scanners[n] for n in _names(record) if n in case.catalog.scanners), "")


def _vendors(case: Case, record: Record) -> bool:
    owner = case.catalog.owner(case.platform, record.get("exe", ""))
    return owner is not None or branded(case, record.get("exe"), _label(case, record))


def _own(case: Case, record: Record) -> bool:
    """Is it the replacement or the fallback, or what makes way for them by itself?"""
    defender = record.get("kind") == "defender" or "defender" in record.get("name", "").lower()
    if defender and case.seen.host.get("product_type") == "workstation":
        return True  # there it makes way for a scanner that registers
    names = {name.lower() for name in _names(record)}
    label = _label(case, record)
    for put in puts(case):
        known = put.part.scanners
        if names & {name.lower() for name in (*known, put.provider.name)}:
            return True
        if label and any(case.catalog.scanners.get(name) == label for name in known):
            return True
    return False


def _scanner_words(case: Case, record: Record) -> str:
    if record.get("kind") == "fanotify":
        label = _label(case, record) or "a program of unknown make"
        return f"{' '.join(dict.fromkeys(_names(record)))} (pid {record.get('pid')}) is active: {label}"
    return f"{record.get('name')} is active"


INHIBITORS: t.Final = (
    Inhibitor(
        id="replacement_missing",
        title="No replacement is named for this system",
        platforms=BOTH,
        when="covers",
        looks_at="`evict_replacement`",
        remedy="name a provider for the platform in `evict_replacement`, or `none` with the consent `unprotected`",
        waivable=False,
        why="`evict_replacement` is the way to say what comes after, even if it is nothing",
        check=_replacement,
    ),
    Inhibitor(
        id="fallback_missing",
        title="No fallback is named for this system",
        platforms=BOTH,
        when="covers",
        looks_at="`evict_fallback` beside `evict_replacement`, and `evict_consent`",
        remedy=(
            "name another provider in `evict_fallback`: it is staged, and used when the replacement does not "
            "become active; or `none` with the consent `unprotected`"
        ),
        waivable=True,
        why="the owner may take the risk of a host without protection until a person comes",
        check=_fallback,
    ),
    Inhibitor(
        id="unprotected_without_consent",
        title="The host would stay without protection, and nobody consented",
        platforms=BOTH,
        when="removes",
        looks_at="`evict_replacement: none` without `unprotected` in `evict_consent`",
        remedy="name a provider, or add `unprotected` to `evict_consent`: the host is then recorded as unprotected",
        waivable=False,
        why="`evict_consent` is the way to agree",
        check=_consent,
    ),
    Inhibitor(
        id="no_active_protection",
        title="No other protection is active that could take over",
        platforms=BOTH,
        when="covers",
        looks_at="`evict_replacement: existing`; probe `protection`",
        remedy="start the protection that is to take over, or name a provider that installs one, then plan again",
        waivable=False,
        why="`existing` promises that something protects the host all the time",
        check=_existing,
    ),
    Inhibitor(
        id="replacement_unfit",
        title="The replacement or the fallback cannot be put on this host",
        platforms=BOTH,
        when="covers",
        looks_at="platforms, families, needs, settings and refusals of the provider against the host and the settings",
        remedy="choose another provider, source or setting for this host, such as by a variable of its group",
        waivable=False,
        why="it cannot be installed",
        check=_fits,
    ),
    Inhibitor(
        id="other_scanner",
        title="Another malware scanner is active",
        platforms=BOTH,
        when="covers",
        looks_at="probe `protection` against the names of the replacement and of the vendor's own scanners",
        remedy="remove or switch off the other scanner, or choose `existing` when it is to stay as the protection",
        waivable=True,
        why="some scanners are made to run side by side, and a server may not be able to tell",
        check=_scanner,
    ),
)
