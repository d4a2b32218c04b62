# SPDX-License-Identifier: GPL-3.0-or-later
"""A job on real hosts with systemd: a unit of its own that outlives its connection, its performer, its host."""

from __future__ import annotations

import time

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import journal, script
from tests.target.posix import performing
from tests.target.posix.performing import BASE, DIGEST, FRAME, KINDS, NONCE, POSIX, program, step

from .conftest import Fresh
from .lab import Host

both = pytest.mark.parametrize("root", ["deb12", "rpm9"])
BODY = [step("one", "slow", "text=3"), step("two", "mark", "text=x"), step("three", "slow", "text=3")]


def text(host: Host, body: list[str], **values: str) -> str:
    machine = host.run("cat /etc/machine-id").stdout.strip()
    job = script.library(POSIX, FRAME) + KINDS + program(body).replace(performing.MACHINE, machine)
    return performing.text(MACHINE=machine, JOB=job, **values)


def call(host: Host, body: list[str] = BODY, **values: str) -> journal.Answer:
    """Over real ssh, as root would be reached by sudo."""
    done = host.ssh("nopass", "sudo -n sh", stdin=text(host, body, **values))
    answer = journal.parse(done.stdout, NONCE)
    assert answer.state != "cut", done.stdout
    return answer


def until(host: Host, what: str) -> None:
    end = time.monotonic() + 60
    while host.run(what, check=False).returncode:
        assert time.monotonic() < end, what
        time.sleep(0.2)


@both
def test_a_job_is_a_unit_of_its_own(root: str, fresh_host: Fresh) -> None:
    host = fresh_host(root)
    first = call(host, WAIT="0")
    assert first.state == "running"
    until(host, "grep -q one /var/trace")
    units = host.run("systemctl list-units --no-legend --plain 'evict-kaspersky-commit-*'").stdout
    assert len(units.splitlines()) == 1
    groups = host.run(f"read -r pid rest <{BASE}/jobs/{DIGEST}/commit/pid; cat /proc/$pid/cgroup").stdout
    assert "evict-kaspersky-commit-" in groups
    assert "session" not in groups
    # Whoever was logged in is gone with all that is his.
    host.run("loginctl terminate-user nopass || :")
    assert call(host).code == "0"
    assert host.run("cat /var/trace").stdout.splitlines() == ["slow one", "mark two x", "slow three"]
    assert "way=systemd" in host.run(f"cat {BASE}/jobs/{DIGEST}/commit/journal").stdout
    until(host, "! systemctl list-units --all --no-legend --plain 'evict-kaspersky-*' | grep -q .")


@both
def test_a_power_cut_in_the_middle(root: str, fresh_host: Fresh) -> None:
    host = fresh_host(root)
    call(host, WAIT="0")
    until(host, "grep -q three /var/trace")
    host.cut()
    host.start()
    assert call(host, OP="watch").state == "died"
    answer = call(host, RUN="run-2")
    assert (answer.state, answer.code, answer.journal.interruptions) == ("ended", "0", 1)
    assert host.run("cat /var/trace").stdout.splitlines() == ["slow one", "mark two x", "slow three", "slow three"]


@both
def test_a_performer_that_is_killed(root: str, fresh_host: Fresh) -> None:
    host = fresh_host(root)
    call(host, WAIT="0")
    until(host, "grep -q one /var/trace")
    host.run(f"read -r pid rest <{BASE}/jobs/{DIGEST}/commit/pid; kill -9 $pid")
    assert call(host, OP="watch").state == "died"
    assert call(host, RUN="run-2").code == "0"
    assert host.run("cat /var/trace").stdout.splitlines() == ["slow one", "slow one", "mark two x", "slow three"]


def test_what_a_step_starts_to_stay_outlives_the_job(fresh_host: Fresh) -> None:
    host = fresh_host("deb12")
    assert call(host, [step("one", "tool", "text=setsid sleep 4321 >/dev/null 2>&1 &")]).code == "0"
    time.sleep(1)
    assert host.run("pgrep -f 'sleep 4321'").stdout
