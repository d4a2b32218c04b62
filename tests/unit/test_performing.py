# SPDX-License-Identifier: GPL-3.0-or-later
"""When a phase may begin, and what is kept of one that was performed."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import performing
from ansible_collections.evict.kaspersky.plugins.plugin_utils.outcome import Failure, Outcome
from ansible_collections.evict.kaspersky.plugins.plugin_utils.performing import Performed
from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy import Policy
from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy_types import Window
from ansible_collections.evict.kaspersky.plugins.plugin_utils.steps import Phase
from tests import jobs

PLAN: t.Final = jobs.PLANS["clamav-deb"]
NOW: t.Final = datetime.datetime(2030, 5, 6, 7, 0, tzinfo=datetime.UTC)
HOUR: t.Final = datetime.timedelta(hours=1)
CONSENT: t.Final = Policy(consent=frozenset({"remove"}))


def ran(phase: Phase, **changes: t.Any) -> Performed:
    return dataclasses.replace(Performed(phase=phase, digest=PLAN.digest(), code=0), **changes)


def test_consent_and_window_are_asked_at_the_last_moment() -> None:
    assert performing.closed(PLAN, CONSENT, NOW) == []
    (refused,) = performing.closed(PLAN, Policy(), NOW)
    assert "evict_consent" in refused
    open_ = dataclasses.replace(CONSENT, windows=(Window(NOW, NOW + HOUR),))
    assert performing.closed(PLAN, open_, NOW) == []
    assert performing.closed(PLAN, open_, NOW + HOUR)  # the end is no part of a window
    assert len(performing.closed(PLAN, dataclasses.replace(open_, consent=frozenset()), NOW + 2 * HOUR)) == 2


def test_what_removes_nothing_needs_no_consent() -> None:
    covering = dataclasses.replace(PLAN, steps=tuple(s for s in PLAN.steps if s.change != "irreversible"))
    assert covering.steps
    assert performing.closed(covering, Policy(), NOW) == []


@pytest.mark.parametrize(
    ("phase", "done", "missing"),
    [
        ("stage", (), ""),
        ("commit", (), "stage"),
        ("finish", (ran("stage"),), "commit"),
        ("commit", (ran("stage"),), ""),
        ("commit", (ran("stage", digest="0" * 64),), "stage"),
        ("finish", (ran("stage"), ran("commit")), ""),
    ],
)
def test_no_phase_without_the_ones_before_it(phase: Phase, done: tuple[Performed, ...], missing: str) -> None:
    said = performing.missing(PLAN, phase, done)
    assert (f"the phase {missing} was not performed" in said) if missing else said == ""


def test_a_staging_that_failed_keeps_the_product() -> None:
    assert performing.before(PLAN, "commit", (ran("stage"),)) == ""
    assert "undone" in performing.before(PLAN, "commit", (ran("stage", code=1),))
    refused = ran("stage", state="refused", code=None, message="another run is at work")
    assert "another run is at work" in performing.before(PLAN, "commit", (refused,))
    assert performing.before(PLAN, "finish", (ran("stage"), ran("commit", code=1))) == ""
    assert "lost" in performing.before(PLAN, "finish", (ran("stage"), ran("commit", state="lost", code=None)))


def test_what_was_performed_is_read_back_as_it_was() -> None:
    item = ran(
        "commit",
        code=1,
        gap=12.5,
        reboot=True,
        boot="b",
        journal=("job at=1",),
        outcomes=(
            Outcome(step="a", phase="commit", status="done", changes=True, seconds=1.5),
            Outcome(step="b", phase="commit", status="skipped", why="not there"),
            Outcome(step="c", phase="commit", status="failed", failure=Failure("still_there", "1", "it is there")),
        ),
    )
    assert Performed.from_dict(item.to_dict()) == item
    assert item.changed
    assert [o.step for o in item.failed] == ["c"]
    for key in ("phase", "outcomes", "gap"):
        data = item.to_dict()
        del data[key]
        with pytest.raises(ValueError, match="not a phase"):
            Performed.from_dict(data)


class Seen(t.NamedTuple):
    seq: int
    event: str
    data: dict[str, t.Any]


def test_a_phase_after_the_last_scan_is_half_way() -> None:
    scan = Seen(3, "scan", {})
    begun = Seen(4, "performing", {"phase": "commit"})
    assert performing.half_way([Seen(2, "performing", {"phase": "stage"}), scan], 3) == ""
    assert "phase commit" in performing.half_way([scan, begun], 3)
    assert "phase finish" in performing.half_way([scan, begun, Seen(5, "performed", {"phase": "finish"})], 3)
