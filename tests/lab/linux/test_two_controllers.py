# SPDX-License-Identifier: GPL-3.0-or-later
"""Two controllers at the same time with the same approved plan: the second one is refused and changes nothing, and the
first one comes to its end as if it had been alone."""

from __future__ import annotations

import pytest

from . import remediating, takeover
from .dying import Watched
from .lab import Lab
from .remediating import Running
from .state import INSTALL, bring

# All that a job or a removal would alter, with the times of the files.
PLACES = "/var/lib/evict.kaspersky /var/lib/dpkg /opt /etc /run/evict.kaspersky"
LOOK = f"find {PLACES} ! -name follower -printf '%p %T@ %s\\n' | sort"
STEP = "cover.package.check"  # the product is gone, the cover not there yet


def test_the_second_one_is_refused(linux_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> None:
    # A short path: ssh makes a socket below it.
    tmp_path = tmp_path_factory.mktemp("two")
    host = linux_lab.up("two", "deb12")
    linux_lab.wait(host)
    bring(host, INSTALL, ["kesl"])
    inventory = remediating.inventory_of({"web1": host}, {"web1": takeover.installed(host)})
    watched = Watched(host)
    first = Running(linux_lab, tmp_path / "first", remediating.command(linux_lab, tmp_path / "first", inventory))
    try:
        watched.when(STEP, watched.hold)
        before, journal = host.run(LOOK).stdout, watched.lines()
        second = remediating.remediate(linux_lab, tmp_path / "second", inventory)
        assert (host.run(LOOK).stdout, watched.lines()) == (before, journal)
    finally:
        watched.go_on()
    ended = first.end()

    row = second.row("web1")
    assert row["verdict"] == "blocked", (row, second.run.out[-4000:])
    assert "followed: the run " in row["reasons"][0]
    assert "follows this plan on this host" in row["reasons"][0]
    assert {one.status for one in second.outcomes("web1")} == {"skipped"}
    assert second.plan("web1").digest() == ended.plan("web1").digest()
    assert ended.row("web1")["verdict"] == "replaced_unproved", ended.run.out[-4000:]
    # Once it has ended, another run finds nothing to do.
    third = remediating.remediate(linux_lab, tmp_path / "third", inventory)
    assert third.plan("web1").state == "nothing_to_do"
    host.down()
