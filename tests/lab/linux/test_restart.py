# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts whose removal asks for a restart: restarted by core's own action where the policy allows it, and finished after
it; left alone where it does not, or where core cannot restart them, and then `reboot_pending`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from . import remediating
from .lab import Host, Lab
from .remediating import Remediation
from .state import INSTALL, bring
from .takeover import COVER, EXISTING

# What core's action for restarts needs on a host is Python, which the last one has not.
HOSTS = {
    "restarts": ("deb12", {"evict_reboot": "if_needed"}),
    "waits": ("deb12", {}),
    "python-less": ("nopy", {"evict_reboot": "if_needed"}),
}
ASK = "sed -i '1a touch /run/reboot-required' /var/lib/dpkg/info/kesl.postrm"


@dataclass
class Fleet:
    """The hosts, what they were started as, and the run."""

    hosts: dict[str, Host]
    before: dict[str, str]
    run: Remediation


@pytest.fixture(scope="module")
def fleet(linux_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Three hosts whose package asks for a restart when it has gone, after one remediation."""
    hosts = {name: linux_lab.up(f"r{number}", root) for number, (name, (root, _)) in enumerate(HOSTS.items())}
    linux_lab.wait(*hosts.values())
    for host in hosts.values():
        host.install(COVER)
        bring(host, INSTALL, ["kesl"])
        host.run(ASK)
    before = {name: host.boot_id() for name, host in hosts.items()}
    lines = remediating.inventory_of(hosts, {name: {**EXISTING, **more} for name, (_, more) in HOSTS.items()})
    run = remediating.remediate(linux_lab, tmp_path_factory.mktemp("restart"), lines)
    linux_lab.wait(*hosts.values())
    yield Fleet(hosts, before, run)
    for host in hosts.values():
        host.down()


def test_a_host_is_restarted_where_the_policy_allows_it_and_finished_then(fleet: Fleet) -> None:
    row = fleet.run.row("restarts")
    assert row["verdict"] == "replaced_unproved", (row, fleet.run.run.out[-4000:])
    assert fleet.hosts["restarts"].boot_id() != fleet.before["restarts"]
    phases = [data["phase"] for data in fleet.run.events("restarts", "performed")]
    assert phases[-2:] == ["commit", "finish"]


@pytest.mark.parametrize("name", ["waits", "python-less"])
def test_a_host_that_is_not_restarted_waits_for_it(fleet: Fleet, name: str) -> None:
    row = fleet.run.row(name)
    assert row["verdict"] == "reboot_pending", (row, fleet.run.run.out[-4000:])
    assert fleet.hosts[name].boot_id() == fleet.before[name]
    assert fleet.hosts[name].run("systemctl is-active shield").stdout.strip() == "active"
