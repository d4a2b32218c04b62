# SPDX-License-Identifier: GPL-3.0-or-later
"""A host goes dark in the middle of its commit, with the controller alive and waiting for its answer: no packet comes
any more, and none says so. The run gives the host up in a bounded time; the host goes on by itself."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from . import lowered, remediating, takeover
from .dying import Watched
from .lab import Lab
from .remediating import Running
from .state import INSTALL, bring

STEP = "cover.package.check"  # the product is gone, the cover not there yet
SHORTER = {
    "hand.py": (r"^_PATIENCE: t\.Final = \d+", "_PATIENCE: t.Final = 20"),
    "transport.py": ("Interval=30", "Interval=3"),
}


def impatient(target: Path) -> Path:
    """The collection with shorter limits: 12 s of silence, not two minutes; 20 s of absence, not 15 minutes."""
    place = lowered.collection(target, stop=20, step=60)
    for name, (old, new) in SHORTER.items():
        file = place / "ansible_collections" / "evict" / "kaspersky" / "plugins" / "plugin_utils" / name
        text, count = re.subn(old, new, file.read_text(), flags=re.MULTILINE)
        assert count == 1, name
        file.write_text(text)
    return place


def test_a_host_that_goes_dark_is_given_up(linux_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> None:
    tmp_path = tmp_path_factory.mktemp("dk")  # a short path: ssh makes a socket below it
    host = linux_lab.up("dark", "deb12")
    linux_lab.wait(host)
    bring(host, INSTALL, ["kesl"])
    inventory = remediating.inventory_of({"web1": host}, {"web1": takeover.installed(host)})
    short = impatient(tmp_path / "short")
    watched = Watched(host)
    words = remediating.command(linux_lab, tmp_path / "first", inventory, collection=short)
    first = Running(linux_lab, tmp_path / "first", words)
    try:
        watched.when(STEP, lambda: host.link("down"))
        ended = first.end(patience=300)
    finally:
        host.link("up")
    row = ended.row("web1")
    assert row["verdict"] in ("unknown", "unreachable"), (row, ended.run.out[-4000:])
    assert any("the job goes on there without us: run again" in text for text in row["reasons"]), row
    # The commit has come to its end without us, and the next run goes on from there.
    remediating.until(watched.closed, "the job does not end without a controller", 300)
    after = remediating.remediate(linux_lab, tmp_path / "after", inventory, collection=short)
    assert after.row("web1")["verdict"] == "replaced_unproved", (after.row("web1"), after.run.out[-4000:])
    host.down()
