# SPDX-License-Identifier: GPL-3.0-or-later
"""The live test against the real ClamAV: what it proves where all is well, and where only processes are."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterator

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import knowledge, livetest, proof
from ansible_collections.evict.kaspersky.plugins.plugin_utils.case import Case
from ansible_collections.evict.kaspersky.plugins.plugin_utils.proof import Proof

from . import real_clamav
from .lab import Host, Lab
from .real_clamav import NONCE, WEB

WATCHED = "/srv/watched"
SETTINGS = {
    "updates": "custom",
    "database_urls": [f"{WEB}/lab.ndb", f"{WEB}/daily.cud"],
    "on_access": True,
    "on_access_paths": ["/srv/nowhere", WATCHED],
    # No host of the lab may raise a limit of the machine; what is there must do.
    "on_access_watches": 8192,
}
SOCKET = "/run/clamav/clamd.ctl"
ONACC, ENGINE = "clamav-clamonacc.service", "clamav-daemon.socket clamav-daemon.service"


@pytest.fixture(scope="module")
def made() -> Case:
    return real_clamav.case(settings={**SETTINGS, "on_access_paths": [WATCHED]})


@pytest.fixture(scope="module")
def covered(linux_lab: Lab, made: Case) -> Host:
    """A host that the provider's own steps have covered, through a real job."""
    host = linux_lab.up("proved", "deb12")
    linux_lab.wait(host)
    real_clamav.offer(host)
    real_clamav.signatures(host)
    host.run(f"mkdir -p {WATCHED}; {real_clamav.SERVE}")
    plan = real_clamav.plan(host, made)
    for phase in ("stage", "commit"):
        answer, outcomes = real_clamav.perform(host, plan, phase)
        assert answer.code == "0", outcomes
    return host


@pytest.fixture
def broken(covered: Host) -> Iterator[Host]:
    """The same host, to be broken; it is mended afterwards."""
    yield covered
    covered.run(
        f"[ ! -e {SOCKET}.away ] || mv {SOCKET}.away {SOCKET}\n"
        f"systemctl start {ENGINE}; clamdscan --ping 30:1; systemctl restart {ONACC}"
    )


def prove(host: Host, made: Case, *, seconds: int = 20, **settings: object) -> Proof:
    """As the verb does it; what it leaves on the host is a fault."""
    policy = dataclasses.replace(made.policy, replacement_settings={**SETTINGS, **settings})
    provider = made.replacement
    assert provider is not None
    test = livetest.prepare(policy, provider, "replacement", "linux")
    assert test.reason == ""
    values = {**test.values(run="lab", seconds=seconds), "NONCE": NONCE}
    head = "".join(f"EVICT_{name}={shlex.quote(value)}\n" for name, value in values.items())
    done = host.run("exec /bin/sh", stdin=head + knowledge.PROVE_SH, patience=200)
    assert host.run("find / -xdev -name 'evict-proof*'").stdout == ""
    return proof.from_answer(test, done.stdout, NONCE)


def test_both_ways_are_proved(covered: Host, made: Case) -> None:
    found = prove(covered, made)
    assert (found.result, found.level, found.control_ok) == ("pass", "on_access", True), found
    assert (found.on_access.result, found.on_access.how, found.on_access.place) == ("pass", "read", WATCHED)
    assert (found.on_demand.result, found.on_demand.place) == ("pass", "/var/tmp")
    assert found.left == ()


def test_without_on_access_the_scan_decides(covered: Host, made: Case) -> None:
    found = prove(covered, made, on_access=False)
    assert (found.method, found.result, found.level) == ("eicar_on_demand", "pass", "on_demand"), found
    assert found.on_access.result == "not_applicable"


def test_a_folder_that_is_not_watched_fails(covered: Host, made: Case) -> None:
    found = prove(covered, made, seconds=4, on_access_paths=["/opt"])
    assert (found.result, found.level, found.on_demand.result) == ("fail", "on_demand", "pass"), found


def test_a_scanner_on_access_whose_engine_is_out_of_reach_lets_everything_through(broken: Host, made: Case) -> None:
    broken.run(f"mv {SOCKET} {SOCKET}.away")
    assert broken.run(f"systemctl is-active {ONACC}").stdout.strip() == "active"
    found = prove(broken, made, seconds=4)
    assert (found.result, found.level, found.control_ok) == ("fail", "armed", True), found
    assert found.on_access.result == "fail"
    assert found.on_demand.result == "error"
    assert "the scanner did not work (code 2)" in found.on_demand.detail


def test_an_engine_alone_finds_on_demand_only(broken: Host, made: Case) -> None:
    broken.run(f"systemctl stop {ONACC}")
    found = prove(broken, made, seconds=4)
    assert (found.result, found.level) == ("fail", "on_demand"), found
    assert (found.on_access.result, found.on_demand.result) == ("fail", "pass")


def test_engines_that_were_just_started_get_their_time(broken: Host, made: Case) -> None:
    broken.run(f"systemctl stop {ONACC} {ENGINE}; systemctl --no-block start {ENGINE} {ONACC}")
    found = prove(broken, made)
    assert (found.result, found.level, found.on_demand.result) == ("pass", "on_access", "pass"), found


def test_a_scanner_that_waits_for_a_hung_engine_proves_nothing(broken: Host, made: Case) -> None:
    """Files then wait for an answer: neither the test file nor the harmless one comes through in time."""
    broken.run("systemctl kill -s STOP clamav-daemon.service")
    try:
        found = prove(broken, made, seconds=4)
    finally:
        broken.run("systemctl kill -s CONT clamav-daemon.service")
    assert found.result != "pass", found
    assert found.on_demand.result == "error"
