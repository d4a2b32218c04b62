# SPDX-License-Identifier: GPL-3.0-or-later
"""Fifty hosts in waves: three whose removal fails in the second one stop the run before the third, each host has a row,
and what is left is exactly what a later run takes up."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import playbooks

from . import remediating
from .lab import Host, Lab
from .state import INSTALL, bring
from .takeover import COVER, EXISTING

SIZES = (5, 20, 25)
NAMES = [f"host{number:02}" for number in range(1, sum(SIZES) + 1)]
FIRST, SECOND, THIRD = NAMES[:5], NAMES[5:25], NAMES[25:]
BROKEN = (SECOND[2], SECOND[9], SECOND[18])
STATE = "dpkg-query -W -f '${Status}\\n' kesl 2>&1; systemctl is-active kesl shield"
SETTINGS = {**remediating.CONSENT, "evict_waves": list(SIZES), "evict_max_failures": 2}


@dataclass
class Fleet:
    """The hosts, and what was seen of them after the first run."""

    hosts: dict[str, Host]
    where: Path
    first: playbooks.Run
    seen: dict[str, str]


def evict(lab: Lab, where: Path, *args: str, out: str, inventory: Path) -> playbooks.Run:
    """The command `evict remediate` inside the lab."""
    settings = where / "settings.json"
    settings.write_text(json.dumps(SETTINGS))
    environment = playbooks.environment(HOME=str(where))
    words = ["env", "-i", "-C", str(where), *(f"{key}={value}" for key, value in environment.items())]
    command = [sys.executable, "-m", "evict", "remediate", "-i", str(inventory), "-e", "evict_hosts=all"]
    command += ["-e", "evict_consent=remove,unprotected", "-e", f"@{settings}", "--forks", "10"]
    done = lab.command(*words, *command, "--out", str(where / out), *args, check=False, patience=900)
    return playbooks.Run(done.returncode, done.stdout + done.stderr, where / out)


@pytest.fixture(scope="module")
def fleet(linux_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Fifty hosts with the product, three of them with a script that fails, after one run."""
    where = tmp_path_factory.mktemp("waves")
    hosts = {name: linux_lab.up(f"w{number}", "deb12") for number, name in enumerate(NAMES)}
    linux_lab.wait(*hosts.values())

    def make(name: str) -> None:
        hosts[name].install(COVER)
        bring(hosts[name], INSTALL, ["kesl"])
        if name in BROKEN:
            hosts[name].run("touch /etc/fake-kaspersky/prerm-fail")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(make, NAMES))
    lines = remediating.inventory_of(hosts, dict.fromkeys(NAMES, EXISTING))
    inventory = linux_lab.inventory(where / "hosts", lines)
    run = evict(linux_lab, where, out="first", inventory=inventory)
    seen = {name: host.run(STATE, check=False).stdout for name, host in hosts.items()}
    yield Fleet(hosts, where, run, seen)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(Host.down, hosts.values()))


def verdicts(run: playbooks.Run) -> dict[str, Any]:
    """Host -> verdict."""
    return {name: row["verdict"] for name, row in run.rows().items()}


def test_every_host_has_a_row_and_the_third_wave_was_never_tried(fleet: Fleet) -> None:
    found = verdicts(fleet.first)
    assert list(found) == NAMES, fleet.first.out[-3000:]
    assert {found[name] for name in BROKEN} == {"failed_protected"}
    assert {found[name] for name in (*FIRST, *SECOND) if name not in BROKEN} == {"replaced_unproved"}
    assert {found[name] for name in THIRD} == {"not_attempted"}
    assert fleet.first.code == 3


def test_by_other_instruments_too(fleet: Fleet) -> None:
    states = {name: seen.splitlines() for name, seen in fleet.seen.items()}
    assert {name for name, seen in states.items() if seen[-2:] == ["active", "active"]} == set(THIRD)
    gone = {name for name, seen in states.items() if "no packages found" in seen[0] or "not-installed" in seen[0]}
    assert gone == {*FIRST, *SECOND} - set(BROKEN)
    assert {seen[-1] for seen in states.values()} == {"active"}
    for name in THIRD:
        assert fleet.hosts[name].run("ls -d /var/lib/evict.kaspersky", check=False).stdout == ""


def test_what_is_left_is_taken_up_and_nothing_else(fleet: Fleet, linux_lab: Lab) -> None:
    for name in BROKEN:
        fleet.hosts[name].run("rm /etc/fake-kaspersky/prerm-fail")
    again = evict(
        linux_lab,
        fleet.where,
        "--retry-from",
        str(fleet.where / "first"),
        out="second",
        inventory=fleet.where / "hosts",
    )
    assert {path.stem for path in (again.folder / "hosts").glob("*.jsonl")} == {*BROKEN, *THIRD}
    assert Counter(verdicts(again).values()) == {"replaced_unproved": len(NAMES)}, again.out[-3000:]
    assert again.code == 0
