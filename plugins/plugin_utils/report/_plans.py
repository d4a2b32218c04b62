# SPDX-License-Identifier: GPL-3.0-or-later
"""What the plans of a run say together: how many hosts are to be touched, and what stands in the way of how many."""

from __future__ import annotations

import collections
import dataclasses
import typing as t
from collections.abc import Iterator, Mapping

from ..ledger import Ledger

# State of a plan, words, and what they mean; the order is the one reports show them in.
STATES: t.Final = (
    ("act", "act", "there are steps to be done"),
    ("blocked", "blocked", "something stands in the way, nothing would be done"),
    ("undecided", "undecided", "the host is unknown or was not reached, nothing is planned"),
    ("excepted", "excepted", "a waiver covers the host"),
    ("nothing_to_do", "nothing to do", "nothing is there to be removed, and the host is protected"),
)


@dataclasses.dataclass
class Inhibitor:
    """An inhibitor over all hosts.

    Attributes:
        id, title: as in the plans.
        waivable: may a waiver lift it?
        hosts: those it blocks.
        waived: number of hosts on which a waiver lifts it.
        remedies: how often each stands in the plans that it blocks.
    """

    id: str
    title: str
    waivable: bool
    hosts: list[str] = dataclasses.field(default_factory=list)
    waived: int = 0
    remedies: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)


@dataclasses.dataclass(frozen=True)
class Summary:
    """All plans of a run.

    Attributes:
        states: number of hosts by state of their plan.
        steps: of all plans that act.
        irreversible: hosts with a point of no return.
        inhibitors: the one that blocks most hosts first.
        manual: hosts on which something stays for a person.
    """

    states: Mapping[str, int]
    steps: int
    irreversible: int
    inhibitors: tuple[Inhibitor, ...]
    manual: int


def bodies(ledger: Ledger) -> Iterator[dict[str, t.Any]]:
    """The plans one after the other, in the order of the rows, as in plan.json."""
    for row in ledger.rows:
        if row.host in ledger.plans:
            yield ledger.plans.body(row.host)


def summary(ledger: Ledger) -> Summary:
    """Count all plans of a run."""
    states: collections.Counter[str] = collections.Counter()
    steps = irreversible = manual = 0
    met: dict[str, Inhibitor] = {}
    for plan in bodies(ledger):
        states[plan["state"]] += 1
        steps += len(plan["steps"])
        irreversible += bool(plan["point_of_no_return"])
        manual += bool(plan["manual"])
        ids = set()
        for hit in plan["inhibitors"]:
            one = met.setdefault(hit["id"], Inhibitor(hit["id"], hit["title"], hit["waivable"]))
            if hit["waived"] is None:
                one.remedies[hit["remedy"]] += 1
            if hit["id"] in ids:
                continue
            ids.add(hit["id"])
            if hit["waived"] is None:
                one.hosts.append(plan["host"])
            else:
                one.waived += 1
    return Summary(
        states=states,
        steps=steps,
        irreversible=irreversible,
        inhibitors=tuple(sorted(met.values(), key=lambda one: (-len(one.hosts), -one.waived, one.id))),
        manual=manual,
    )
