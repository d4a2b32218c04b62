# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands around the phases: an exclusive group whose first host fails, a wave that gets worse while it is left
alone, and the later looks of `evict verify` and `evict protect`, over real ssh."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import evidence
from tests.e2e import playbooks

from . import remediating
from .lab import FLEET, Host, Lab
from .state import INSTALL, bring
from .takeover import COVER, EXISTING, UNIT

NAMES = ("first", "second", "third", "worse", "last")
GROUPED = NAMES[:3]
SETTINGS = {
    **remediating.CONSENT,
    "evict_waves": [4, 1],
    "evict_max_failures": 1,
    # Long enough to break a host before it is looked at again.
    "evict_soak": 15,
}
CODE = "dpkg-query -W -f '${Status}' kesl 2>&1 || :"


@dataclass
class Fleet:
    """The hosts and their runs."""

    lab: Lab
    hosts: dict[str, Host]
    where: Path
    runs: dict[str, playbooks.Run] = field(default_factory=dict)

    def evict(self, name: str, verb: str, *args: str, patience: float = 540) -> playbooks.Run:
        """A command inside the lab, and what became of it."""
        environment = playbooks.environment(HOME=str(self.where))
        words = ["env", "-i", "-C", str(self.where), *(f"{key}={value}" for key, value in environment.items())]
        command = [sys.executable, "-m", "evict", verb, "-i", str(self.where / "hosts")]
        settings = ["-e", f"@{self.where / 'settings.json'}", "--out", str(self.where / "evict-runs" / name)]
        done = subprocess.run(
            [str(FLEET), "sh", *words, *command, *settings, *args],
            env=self.lab.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=patience,
            check=False,
        )
        run = playbooks.Run(done.returncode, done.stdout + done.stderr, self.where / "evict-runs" / name)
        self.runs[name] = run
        return run


def waves(folder: Path) -> list[dict[str, Any]]:
    """The waves that were judged so far."""
    log = folder / "run.jsonl"
    return [dict(record.data) for record in evidence.read(log) if record.event == "wave"] if log.exists() else []


@pytest.fixture(scope="module")
def fleet(linux_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Five hosts after one remediation; the protection of one is stopped while its wave is left alone."""
    where = tmp_path_factory.mktemp("flow")
    hosts = {name: linux_lab.up(f"f{number}", "deb12") for number, name in enumerate(NAMES)}
    linux_lab.wait(*hosts.values())
    for host in hosts.values():
        host.install(COVER)
        bring(host, INSTALL, ["kesl"])
    hosts["second"].run("touch /etc/fake-kaspersky/prerm-fail")
    group = {"evict_exclusive_group": "cluster"}
    lines = remediating.inventory_of(
        hosts, {name: {**EXISTING, **(group if name in GROUPED else {})} for name in NAMES}
    )
    linux_lab.inventory(where / "hosts", lines)
    (where / "settings.json").write_text(json.dumps(SETTINGS))
    made = Fleet(linux_lab, hosts, where)
    folder = where / "evict-runs" / "remediate"
    runner = threading.Thread(target=made.evict, args=("remediate", "remediate"))
    runner.start()
    try:
        remediating.until(lambda: bool(waves(folder)) or not runner.is_alive(), "the first wave", 400)
        hosts["worse"].run(f"systemctl stop {UNIT}")
    finally:
        runner.join()
    yield made
    for host in hosts.values():
        host.down()


def test_hosts_of_a_group_are_changed_one_by_one_until_one_fails(fleet: Fleet) -> None:
    run = fleet.runs["remediate"]
    rows = run.rows()
    assert rows["first"]["verdict"] == "replaced_unproved", run.out[-4000:]
    assert rows["second"]["verdict"] == "failed_protected"
    assert rows["third"]["verdict"] == "blocked"
    assert "exclusive_group_failed" in rows["third"]["reasons"][0]
    assert "second" in rows["third"]["reasons"][0]
    assert "install ok installed" in fleet.hosts["third"].run(CODE).stdout
    log = [evidence.read(run.folder / "hosts" / f"{name}.jsonl") for name in ("first", "second")]
    done = [[record for record in records if record.event == "performed"] for records in log]
    assert max(record.time for record in done[0]) < min(record.time for record in done[1])


def test_a_wave_that_got_worse_stops_the_run(fleet: Fleet) -> None:
    run = fleet.runs["remediate"]
    first, again = waves(run.folder)
    assert (first["number"], first["tripped"], list(first["failed"])) == (1, False, ["second"])
    assert (again["number"], again["again"], again["tripped"]) == (1, True, True)
    assert again["worse"] == {"worse": "replaced_unproved, then failed_exposed"}
    rows = run.rows()
    assert rows["worse"]["verdict"] == "failed_exposed"
    assert rows["last"]["verdict"] == "not_attempted"
    assert rows["last"]["reasons"] == [again["reason"]]
    assert fleet.hosts["last"].run("ls -d /var/lib/evict.kaspersky", check=False).stdout == ""
    assert run.code == 3
    assert "progress: " in run.out


def test_a_verification_tells_what_has_changed(fleet: Fleet) -> None:
    fleet.hosts["first"].run(f"systemctl stop {UNIT}")
    fleet.hosts["worse"].run(f"systemctl start {UNIT}")
    run = fleet.evict("verify", "verify")
    rows = run.rows()
    assert {name: rows[name]["verdict"] for name in NAMES} == {
        "first": "failed_exposed",
        "second": "present",
        "third": "present",
        "worse": "absent",
        "last": "present",
    }, run.out[-4000:]
    assert run.code == 3
    assert "drift against the run " in run.out
    assert "  first: replaced_unproved -> failed_exposed (nothing protects the host)" in run.out
    assert "  worse: failed_exposed -> absent" in run.out


def test_a_protection_leaves_alone_what_must_be_removed(fleet: Fleet) -> None:
    run = fleet.evict("protect", "protect", "-e", "evict_soak=0", "-e", "evict_consent=unprotected")
    rows = run.rows()
    assert rows["worse"]["verdict"] == "nothing_to_do", run.out[-4000:]
    assert rows["last"]["verdict"] == "present"
    assert "install ok installed" in fleet.hosts["last"].run(CODE).stdout
    assert not [path for path in (run.folder / "hosts").glob("*.jsonl") if '"event":"performed"' in path.read_text()]
    assert run.code == 2
