# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands in the way of a plan: every inhibitor that is met on a host, not the first one. Pure."""

from __future__ import annotations

import typing as t
from collections.abc import Iterable, Mapping

from . import (
    inhibitors_cover,
    inhibitors_defender,
    inhibitors_host,
    inhibitors_product,
    inhibitors_secret,
    inhibitors_supply,
    inhibitors_system,
)
from .case import Case
from .inhibitors_base import Inhibitor, Met, joined
from .inhibitors_host import closed, duplicates, sessions
from .plan import Hit, Waived

INHIBITORS: t.Final[tuple[Inhibitor, ...]] = (
    *inhibitors_product.INHIBITORS,
    *inhibitors_secret.INHIBITORS,
    *inhibitors_system.INHIBITORS,
    *inhibitors_host.INHIBITORS,
    *inhibitors_cover.INHIBITORS,
    *inhibitors_supply.INHIBITORS,
    *inhibitors_defender.INHIBITORS,
)
IDS: t.Final[tuple[str, ...]] = tuple(inhibitor.id for inhibitor in INHIBITORS)
WAIVABLE: t.Final[frozenset[str]] = frozenset(i.id for i in INHIBITORS if i.waivable)
_BY_ID: t.Final[Mapping[str, Inhibitor]] = {inhibitor.id: inhibitor for inhibitor in INHIBITORS}

__all__ = ("IDS", "INHIBITORS", "WAIVABLE", "Inhibitor", "closed", "duplicates", "find", "hit", "sessions")


def find(case: Case) -> tuple[Hit, ...]:
    """Every inhibitor that is met on a host.

    Args:
        case: the host; its answers may be hostile.

    Returns:
        Those that block, then those that a waiver lifts, each in the order of INHIBITORS. What was seen more than once
        for one inhibitor stands in one hit. None where a plan would do nothing.
    """
    met = ((inhibitor, tuple(inhibitor.check(case))) for inhibitor in INHIBITORS if inhibitor.applies(case))
    hits = [_hit(inhibitor, seen, case.controller.waived) for inhibitor, seen in met if seen]
    return tuple(sorted(hits, key=lambda found: found.waived is not None))


def hit(id: str, diagnosis: str, waived: Mapping[str, Waived] | None = None) -> Hit:
    """A hit of an inhibitor that somebody else looked for, such as a machine id that two hosts have.

    Args:
        id: of the inhibitor.
        diagnosis: what was seen.
        waived: the waivers of the host.

    Raises:
        KeyError: there is no such inhibitor.
    """
    return _hit(_BY_ID[id], (Met(diagnosis),), waived or {})


def _hit(inhibitor: Inhibitor, seen: Iterable[Met], waived: Mapping[str, Waived]) -> Hit:
    seen = tuple(seen)
    given = waived.get(inhibitor.id)
    diagnosis = joined(met.diagnosis for met in seen)
    if given is not None and not inhibitor.waivable:
        diagnosis += f" (the waiver of {given.owner} lifts nothing here: {inhibitor.why})"
    return Hit(
        id=inhibitor.id,
        title=inhibitor.title,
        diagnosis=diagnosis,
        remedy=joined(met.remedy or inhibitor.remedy for met in seen),
        waivable=inhibitor.waivable,
        waived=given if inhibitor.waivable else None,
    )
