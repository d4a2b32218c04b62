# SPDX-License-Identifier: GPL-3.0-or-later
"""One command over a mixed inventory: this machine, Debian and rpm hosts, Windows, and hosts that cannot be asked."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import playbooks
from tests.lab.linux.lab import DEAD, Lab
from tests.lab.linux.states import STATES as LINUX
from tests.lab.windows import fixtures
from tests.lab.windows.lab import NoKit, WindowsLab, kit
from tests.lab.windows.states import BY_NAME as WINDOWS


@pytest.fixture
def labs() -> Iterator[tuple[Lab, WindowsLab]]:
    """Both labs, of this test's own."""
    try:
        kit()
    except NoKit as reason:
        pytest.skip(str(reason))
    linux = Lab("mixed")
    linux.stop()  # what a killed session left
    with linux, WindowsLab() as windows:
        yield linux, windows


def test_mixed_inventory(labs: tuple[Lab, WindowsLab], tmp_path: Path) -> None:
    linux, windows = labs
    hosts = {
        "deb-clean": linux.up("a", "deb12"),
        "deb-kesl": linux.up("b", "deb13", "banner"),
        "rpm-agent": linux.up("c", "rpm9"),
        "like-cmd": linux.up("d", "deb12", "like-cmd"),
    }
    linux.wait(hosts["deb-clean"], hosts["deb-kesl"], hosts["rpm-agent"])
    LINUX["kesl"].make(hosts["deb-kesl"])
    LINUX["klnagent64"].make(hosts["rpm-agent"])
    windows_host = windows.host("mixed")
    WINDOWS["kes"].make(windows_host, fixtures.build())
    served = windows.stand_in(windows_host)

    lines = {
        "deb-clean": hosts["deb-clean"].vars(user="nopass", become=True),
        "deb-kesl": hosts["deb-kesl"].vars(user="withpass", become=True),
        "rpm-agent": hosts["rpm-agent"].vars(),
        "like-cmd": hosts["like-cmd"].vars(),
        "dead": hosts["deb-clean"].vars(ansible_host=DEAD),
        "wrong-password": hosts["deb-clean"].vars(user="plain", password="wrong"),
    }
    more = "this ansible_connection=local\n" + served.inventory_line("windows")
    inventory = linux.inventory(tmp_path / "hosts", lines, more=more)
    out = tmp_path / "run"
    done = subprocess.run(
        [sys.executable, "-m", "evict", "audit", "-i", str(inventory), "--out", str(out)],
        cwd=tmp_path,
        env=playbooks.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    said = done.stdout + done.stderr
    rows = playbooks.Run(done.returncode, said, out).rows()
    assert {name: row["verdict"] for name, row in rows.items()} == {
        "this": rows["this"]["verdict"],
        "deb-clean": "absent",
        "deb-kesl": "present",
        "rpm-agent": "present",
        "windows": "present",
        "dead": "unreachable",
        "wrong-password": "unreachable",
        "like-cmd": "unknown",
    }, said
    # The machine that runs the tests is whatever it is, but it was looked at.
    assert rows["this"]["observation_digest"]
    assert [p["id"] for p in rows["deb-kesl"]["products"]] == ["kesl"]
    assert [p["id"] for p in rows["rpm-agent"]["products"]] == ["klnagent64"]
    assert [p["id"] for p in rows["windows"]["products"]] == ["kes"]
    assert "ansible_shell_type" in rows["like-cmd"]["reasons"][0]
    assert done.returncode == 2
    assert "Traceback" not in said
    for name in rows:
        assert name in said
