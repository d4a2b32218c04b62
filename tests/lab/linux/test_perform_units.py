# SPDX-License-Identifier: GPL-3.0-or-later
"""Units and programs on real hosts: what stops, what stays, what is still there, by the word of a real systemd."""

from __future__ import annotations

import pytest

from tests.performing import Ended, Value

from .conftest import Fresh
from .kinds import KESL, both, do, fails, flag, remove
from .misbehaviour_scripts import RESTART
from .states import STATES

# --- stop_unit, confirm_absent


@both
def test_a_unit_stops(root: str, fresh_host: Fresh) -> None:
    host = fresh_host(root)
    host.install("kesl")
    assert do(host, "stop_unit", unit="kesl.service") == Ended("done")
    assert host.run("systemctl is-active kesl", check=False).stdout == "inactive\n"
    assert do(host, "stop_unit", unit="kesl.service") == Ended("already")
    assert do(host, "stop_unit", unit="no-such.service") == Ended("already")
    fails(do(host, "stop_unit", unit="--all"), "not_known")


def test_a_unit_that_takes_no_notice(fresh_host: Fresh) -> None:
    host = fresh_host("deb12")
    flag(host, "ignore-term")
    host.install("kesl")
    fails(do(host, "stop_unit", unit="kesl.service", timeout=12), "unit_stuck", "deactivating")
    assert host.run("pgrep -cx kesl").stdout == "1\n", "nothing was killed"


def test_a_unit_that_comes_back(fresh_host: Fresh) -> None:
    host = fresh_host("deb12")
    host.install("kesl")
    host.run(RESTART)
    fails(do(host, "stop_unit", unit="kesl.service", timeout=30), "unit_comes_back")


@pytest.mark.parametrize("after", ["1", "100ms"])
def test_a_unit_that_a_timer_starts(fresh_host: Fresh, after: str) -> None:
    """Also when it is up again before anybody has looked."""
    host = fresh_host("deb12")
    host.install("kesl")
    host.run(
        f"printf '[Timer]\\nOnUnitInactiveSec={after}\\nAccuracySec=10ms\\nUnit=kesl.service\\n'"
        " >/etc/systemd/system/guard.timer; systemctl daemon-reload; systemctl start guard.timer"
    )
    fails(do(host, "stop_unit", unit="kesl.service", timeout=30), "unit_comes_back", "guard.timer")


def test_a_unit_that_waits_for_one_that_needs_it(fresh_host: Fresh) -> None:
    """It stays active until that one has ended, and systemd still has the order: it has not come back."""
    host = fresh_host("deb12")
    host.install("kesl")
    host.run(
        "cat >/etc/systemd/system/user.service; systemctl daemon-reload; systemctl start user",
        stdin="[Unit]\nRequires=kesl.service\nAfter=kesl.service\n"
        "[Service]\nExecStart=/bin/sleep 1000\nExecStop=/bin/sleep 8\n",
    )
    assert do(host, "stop_unit", unit="kesl.service", timeout=30) == Ended("done")
    assert host.run("systemctl is-active kesl user", check=False).stdout == "inactive\ninactive\n"


def test_a_unit_that_must_not_be_stopped(fresh_host: Fresh) -> None:
    host = fresh_host("deb12")
    host.install("kesl")
    host.run(
        "mkdir /etc/systemd/system/kesl.service.d; printf '[Unit]\\nRefuseManualStop=yes\\n'"
        " >/etc/systemd/system/kesl.service.d/x.conf; systemctl daemon-reload"
    )
    fails(do(host, "stop_unit", unit="kesl.service"), "refused_by_system")


@both
def test_what_is_left_is_named(root: str, fresh_host: Fresh) -> None:
    host = fresh_host(root)
    host.install("kesl", "klnagent64")
    asked: dict[str, Value] = {
        "product": "kesl",
        "packages": ["kesl"],
        "services": ["kesl.service"],
        "programs": [KESL],
    }
    fails(
        do(host, "confirm_absent", asked, timeout=15),
        "still_there",
        "package kesl",
        "kesl.service (active)",
        KESL,
        "process",
    )
    assert remove(host).status == "done"
    assert do(host, "confirm_absent", asked) == Ended("done")


@both
def test_a_process_of_a_deleted_program(root: str, fresh_host: Fresh) -> None:
    host = fresh_host(root)
    host.install("kesl")
    host.run("systemd-run -q --unit=hidden /opt/kaspersky/kesl/libexec/kesl -f")
    assert remove(host).status == "done"
    ended = do(host, "confirm_absent", timeout=10, product="kesl", packages=["kesl"], programs=[KESL])
    fails(ended, "still_there", "process")
    assert f"program {KESL}" not in ended.why


def test_a_process_in_a_container_is_not_the_hosts(fresh_host: Fresh) -> None:
    host = fresh_host("deb12")
    STATES["in_container"].make(host)
    assert do(host, "confirm_absent", product="kesl", packages=["kesl"], programs=[KESL]) == Ended("done")


def test_behind_a_link(fresh_host: Fresh) -> None:
    host = fresh_host("deb12")
    STATES["behind_link"].make(host)
    host.run("systemd-run -q --unit=hidden /opt/kaspersky/kesl/libexec/kesl -f")
    assert remove(host).status == "done"
    fails(
        do(host, "confirm_absent", timeout=10, product="kesl", packages=["kesl"], programs=[KESL]),
        "still_there",
        "process",
    )


# --- start_unit, enable_unit, disable_unit, unit_active, reload_units

UNIT = "cat >/etc/systemd/system/own.service; systemctl daemon-reload"
GOOD = "[Service]\nExecStart=/bin/sleep 1000\n[Install]\nWantedBy=multi-user.target\n"


def test_a_unit_is_enabled_started_and_stays(fresh_host: Fresh) -> None:
    host = fresh_host("deb12")
    host.run(UNIT, stdin=GOOD)
    asked: dict[str, Value] = {"unit": "own.service"}
    fails(do(host, "unit_active", asked), "unit_inactive")
    assert do(host, "start_unit", asked) == Ended("done")
    assert do(host, "start_unit", asked) == Ended("already")
    fails(do(host, "unit_active", asked), "unit_not_enabled")
    assert do(host, "enable_unit", asked) == Ended("done")
    assert do(host, "enable_unit", asked) == Ended("already")
    assert host.run("systemctl is-active own; systemctl is-enabled own").stdout == "active\nenabled\n"
    assert do(host, "unit_active", asked) == Ended("done")
    assert do(host, "disable_unit", asked) == Ended("done")
    assert do(host, "disable_unit", asked) == Ended("already")
    assert host.run("systemctl is-enabled own", check=False).stdout == "disabled\n"


def test_a_condition_that_is_not_met(fresh_host: Fresh) -> None:
    """systemctl start ends with 0, and nothing runs."""
    host = fresh_host("deb12")
    host.run(UNIT, stdin="[Unit]\nConditionPathExistsGlob=/var/lib/nowhere/main.{cvd,cld}\n" + GOOD)
    assert host.run("systemctl start own").stdout == ""
    fails(do(host, "start_unit", unit="own.service"), "condition_not_met", "/var/lib/nowhere/main.{cvd,cld}")
    fails(do(host, "unit_active", unit="own.service"), "condition_not_met", "/var/lib/nowhere")


@pytest.mark.parametrize(
    ("unit", "failure"),
    [
        ("[Service]\nExecStart=/bin/false\n", "unit_failed"),
        ("[Service]\nExecStart=/bin/sleep 0.5\n", "unit_inactive"),
        (
            "[Service]\nExecStart=/bin/sleep 0.5\nRestart=always\nRestartSec=0.2\n[Unit]\nStartLimitIntervalSec=0\n",
            "unit_failed",
        ),
        ("[Service]\nType=notify\nExecStart=/bin/sleep 100\nTimeoutStartSec=2\n", "unit_failed"),
        ("[Service]\nnonsense\n", "unit_failed"),
    ],
    ids=["ends at once", "ends soon", "again and again", "is never ready", "cannot be read"],
)
def test_a_unit_that_does_not_stay(unit: str, failure: str, fresh_host: Fresh) -> None:
    host = fresh_host("deb12")
    host.run(UNIT, stdin=unit)
    fails(do(host, "start_unit", unit="own.service", timeout=20), failure)


def test_units_that_cannot_be_started(fresh_host: Fresh) -> None:
    host = fresh_host("deb12")
    fails(do(host, "start_unit", unit="own.service"), "unit_missing")
    fails(do(host, "enable_unit", unit="own.service"), "unit_missing")
    fails(do(host, "unit_active", unit="own.service"), "unit_missing")
    host.run("systemctl mask own.service")
    fails(do(host, "start_unit", unit="own.service"), "unit_masked")
    fails(do(host, "enable_unit", unit="own.service"), "unit_masked")


def test_a_oneshot(fresh_host: Fresh) -> None:
    host = fresh_host("deb12")
    host.run(UNIT, stdin="[Service]\nType=oneshot\nExecStart=/usr/bin/touch /run/once\n")
    assert do(host, "start_unit", unit="own.service") == Ended("done")
    host.run("test -e /run/once")


def test_systemd_forgets_units_that_are_gone(fresh_host: Fresh) -> None:
    host = fresh_host("deb12")
    host.run(UNIT, stdin="[Service]\nExecStart=/bin/false\n")
    host.run("systemctl start own; sleep 1; rm /etc/systemd/system/own.service", check=False)
    assert host.run("systemctl is-failed own", check=False).stdout == "failed\n"
    assert do(host, "reload_units", units=["own.service", "kesl.service"]) == Ended("done")
    assert (
        host.run("systemctl show -p LoadState,ActiveState own").stdout == "LoadState=not-found\nActiveState=inactive\n"
    )
    assert do(host, "reload_units", units=["own.service", "kesl.service"]) == Ended("already")
