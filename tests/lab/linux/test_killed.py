# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller dead, host safe: the controller, the performer, or the host dies at each step boundary of the commit, one
host a boundary, side by side; each host ends covered, and the next run finds it so with nothing missing in evidence."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import evidence, outcome

from . import lowered, remediating, takeover
from .dying import END, Watched
from .lab import Host, Lab
from .remediating import Remediation, Running, until
from .state import INSTALL, bring

# Before each step of the commit, and after the last one.
STEPS = (
    "remove.kesl.stop.kesl.service",
    "remove.kesl.package.kesl:amd64",
    "remove.kesl.confirm",
    "cover.package.check",
    "cover.package.install",
    "cover.package.enable.1",
    "cover.package.start.1",
    "cover.package.runs.1",
    "cover.package.active",
)
BOUNDARIES = (*STEPS, END)
AWAY = 120  # seconds without a network, at least
DEATHS = ("controller", "performer", "power")
CASES = [(death, step) for death in DEATHS for step in BOUNDARIES if (death, step) != ("performer", END)]


@dataclass
class Died:
    """What became of the hosts."""

    hosts: dict[tuple[str, str], Host]
    alone: dict[str, dict[str, str]] = field(default_factory=dict)
    first: dict[tuple[str, str], Remediation] = field(default_factory=dict)
    last: Remediation | None = None


def key_of(death: str, step: str) -> str:
    """Name of a host in the inventory."""
    return f"{death}-{BOUNDARIES.index(step)}"


def covered(host: Host) -> dict[str, str]:
    """What other instruments than ours say of the host."""
    asked = {
        "cover": "systemctl is-active shield; pgrep -c -x shieldd",
        "product": "dpkg-query -W -f '${Status}' kesl 2>&1; pgrep -x kesl; ls -d /opt/kaspersky/kesl/libexec 2>&1",
        "link": "ip -o link show eth0",
    }
    return {name: host.run(script, check=False).stdout for name, script in asked.items()}


@pytest.fixture(scope="module")
def died(linux_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Died]:
    """All hosts through their deaths, and the next run over all of them."""
    where = tmp_path_factory.mktemp("killed")
    hosts = {case: linux_lab.up(f"k{number}", "deb12") for number, case in enumerate(CASES)}
    linux_lab.wait(*hosts.values())
    found = Died(hosts)
    policies: dict[str, Any] = {}

    def make(case: tuple[str, str]) -> None:
        bring(hosts[case], INSTALL, ["kesl"])
        policies[key_of(*case)] = takeover.installed(hosts[case])

    collection = lowered.collection(where / "lowered", stop=60, step=300)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(make, CASES))
    inventory = remediating.inventory_of({key_of(*case): host for case, host in hosts.items()}, policies)

    def start(name: str, keys: list[str]) -> Running:
        mine = {key: inventory[key] for key in keys}
        words = remediating.command(linux_lab, where / name, mine, "--forks", "30", collection=collection)
        return Running(linux_lab, where / name, words)

    def controller(step: str) -> None:
        case = ("controller", step)
        host, watched = hosts[case], Watched(hosts[case])
        running = start(key_of(*case), [key_of(*case)])

        def both() -> None:
            running.kill()
            host.link("down")

        watched.when(step, both)
        time.sleep(AWAY)
        until(watched.closed, f"{step}: the job does not end without a controller", 900)
        found.alone[step] = covered(host)

    def strike(case: tuple[str, str], watched: Watched) -> None:
        death, step = case
        if death == "performer":
            watched.when(step, watched.kill_performer)
        else:
            watched.when(step, hosts[case].cut)
            hosts[case].start()

    others = [case for case in CASES if case[0] != "controller"]
    with ThreadPoolExecutor(len(CASES)) as pool:
        watching = {case: Watched(hosts[case]) for case in others}
        together = start("others", [key_of(*case) for case in others])
        deaths = [pool.submit(strike, case, watching[case]) for case in others]
        for one in deaths:
            one.result()
        run = together.end()
        found.first |= dict.fromkeys(others, run)
    with ThreadPoolExecutor(len(BOUNDARIES)) as pool:
        for one in [pool.submit(controller, step) for step in BOUNDARIES]:
            one.result()
    for step in BOUNDARIES:
        hosts["controller", step].link("up")
    found.last = remediating.remediate(linux_lab, where / "next", inventory, "--forks", "10", collection=collection)
    yield found
    for host in hosts.values():
        host.down()


def gone(product: str) -> bool:
    """Is the product gone, by the database, the processes and the file system?"""
    package, program = product.splitlines()
    return "no packages found" in package and "No such file" in program


@pytest.mark.parametrize("step", BOUNDARIES)
def test_a_host_ends_covered_without_a_controller_and_without_a_network(step: str, died: Died) -> None:
    alone = died.alone[step]
    assert "state DOWN" in alone["link"]
    assert alone["cover"] == "active\n1\n"
    assert gone(alone["product"]), alone


@pytest.mark.parametrize(("death", "step"), CASES)
def test_the_next_run_ends_right(death: str, step: str, died: Died) -> None:
    assert died.last is not None
    row = died.last.row(key_of(death, step))
    assert row["verdict"] in ("replaced_unproved", "nothing_to_do"), row
    now = covered(died.hosts[death, step])
    assert now["cover"] == "active\n1\n"
    assert gone(now["product"]), now


@pytest.mark.parametrize(("death", "step"), [case for case in CASES if case[0] != "controller"])
def test_a_run_whose_host_or_performer_died_is_not_wrong(death: str, step: str, died: Died) -> None:
    """It ends right itself, or says that it does not know; it never calls a host good that is not, or lost."""
    run = died.first[death, step]
    row = run.row(key_of(death, step))
    assert row["verdict"] in ("replaced_unproved", "unknown", "unreachable"), row


@pytest.mark.parametrize(("death", "step"), CASES)
def test_evidence_is_complete(death: str, step: str, died: Died) -> None:
    """The run that followed the commit to its end has all its steps, and the journal of all attempts."""
    assert died.last is not None
    key = key_of(death, step)
    runs = [run for run in (died.last, died.first.get((death, step))) if run is not None]
    commits = [(run, data) for run in runs for data in run.events(key, "performed") if data["phase"] == "commit"]
    assert commits, "no run has seen the end of the commit"
    run, data = commits[0]
    outcomes = [outcome.Outcome.from_dict(one) for one in data["outcomes"]]
    plan = run.plan(key)
    assert [one.id for one in plan.steps if one.phase == "commit"] == list(STEPS)
    assert outcome.accounts(plan, outcomes, "commit") == []
    assert {one.status for one in outcomes} <= {"done", "already"}
    assert any(line.startswith("close ") for line in data["journal"])
    log = evidence.verify(run.run.folder / "hosts" / f"{key}.jsonl")
    assert log.records
