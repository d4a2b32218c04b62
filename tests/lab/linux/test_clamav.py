# SPDX-License-Identifier: GPL-3.0-or-later
"""ClamAV as the replacement, for real: its provider's steps, what it finds, and how it is known not to be healthy."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterator

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils.case import Case

from . import real_clamav, snapshot
from .conftest import Fresh
from .lab import Host, Lab
from .real_clamav import SAMPLE, WEB

WATCHED = "/srv/watched"
SETTINGS = {
    "updates": "custom",
    "database_urls": [f"{WEB}/lab.ndb", f"{WEB}/daily.cud"],
    "on_access": True,
    "on_access_paths": [WATCHED],
    # No host of the lab may raise a limit of the machine; what is there must do.
    "on_access_watches": 8192,
}
# What an update, a reload and a question do each time; everything else must be so already the second time.
AGAIN = {"refresh", "update-custom", "reload", "engine-answers", "engine-runs", "on-access-runs"}
# Started and stopped by the order of the steps.
TURNS = {"stop-updater", "stop-engine", "start-updater", "start-engine", "on-access-stop", "on-access-start"}


@pytest.fixture(scope="module")
def made() -> Case:
    return real_clamav.case(settings=SETTINGS)


@pytest.fixture(scope="module")
def covered(linux_lab: Lab, made: Case) -> Host:
    """A host that the provider's own steps have covered, through a real job."""
    host = linux_lab.up("clam", "deb12")
    linux_lab.wait(host)
    real_clamav.offer(host)
    real_clamav.signatures(host)
    host.run(f"mkdir -p {WATCHED}/sub; {real_clamav.SERVE}")
    plan = real_clamav.plan(host, made)
    for phase in ("stage", "commit"):
        answer, outcomes = real_clamav.perform(host, plan, phase)
        assert answer.code == "0", outcomes
        assert {name: o for name, o in outcomes.items() if o.status not in ("done", "already")} == {}
        expected = {step.id.split(".", 2)[2] for step in plan.steps if step.phase == phase}
        assert set(outcomes) == expected
    return host


@pytest.fixture
def broken(covered: Host, made: Case) -> Iterator[Host]:
    """The same host, to be broken; it is mended afterwards, and healthy again."""
    yield covered
    covered.run(
        "rm -f /etc/systemd/system/clamav-*.d/zz-lab.conf; systemctl daemon-reload; "
        "systemctl kill -s CONT clamav-daemon.service 2>/dev/null || :; "
        "systemctl stop clamav-clamonacc.service clamav-daemon.socket clamav-daemon.service; "
        "install -o clamav -m 644 /srv/db/* /var/lib/clamav/; "
        "systemctl reset-failed; systemctl start clamav-daemon.socket clamav-daemon.service clamav-freshclam.service; "
        "clamdscan --ping 30:1; systemctl start clamav-clamonacc.service"
    )
    assert real_clamav.health(covered, made).reasons == ()


def test_it_is_healthy(covered: Host, made: Case) -> None:
    found = real_clamav.health(covered, made)
    assert (found.healthy, found.reasons) == (True, ())


def test_it_finds_the_sample_on_demand(covered: Host) -> None:
    done = covered.run(
        SAMPLE
        + "mkdir -p /srv/demand; sample >/srv/demand/sample; echo fine >/srv/demand/control; chmod 600 /srv/demand/*\n"
        "clamdscan --fdpass --no-summary /srv/demand; echo code $?; rm -r /srv/demand",
        check=False,
    )
    assert "/srv/demand/sample: Lab.Sample.UNOFFICIAL FOUND" in done.stdout
    assert "control: " not in done.stdout
    assert "code 1" in done.stdout


def test_it_blocks_the_sample_on_access_and_nothing_else(covered: Host) -> None:
    done = covered.run(
        SAMPLE
        + f"cd {WATCHED}/sub; sample >sample; echo fine >control; sleep 1; cat sample; cat control; rm sample control",
        check=False,
    )
    assert "Operation not permitted" in done.stderr
    assert done.stdout == "fine\n"


def test_a_second_run_changes_nothing(covered: Host, made: Case) -> None:
    plan = real_clamav.plan(covered, made)
    files = "find /etc /usr /var/lib/dpkg -newer /run/mark ! -type d; rm /run/mark"
    covered.run("sleep 1; : >/run/mark; sleep 1")
    for phase in ("stage", "commit"):
        answer, outcomes = real_clamav.perform(covered, plan, phase, run="two")
        assert answer.code == "0", outcomes
        changed = {name for name, outcome in outcomes.items() if outcome.status != "already"}
        assert changed - AGAIN - TURNS == set()
    assert covered.run(files).stdout == ""
    assert real_clamav.health(covered, made).reasons == ()


# --- not healthy, with the reason


def why(host: Host, made: Case, *, now: datetime.datetime | None = None) -> str:
    found = real_clamav.health(host, made, now=now)
    assert not found.healthy
    return "\n".join(found.reasons)


def test_a_dead_engine(broken: Host, made: Case) -> None:
    broken.run("systemctl stop clamav-daemon.socket clamav-daemon.service")
    said = why(broken, made)
    assert "service clamav-daemon.service is inactive" in said
    assert "ping: unknown" in said or "the engine does not answer" in said


def test_an_engine_that_hangs(broken: Host, made: Case) -> None:
    broken.run("systemctl kill -s STOP clamav-daemon.service")
    said = why(broken, made)
    assert "service clamav-daemon.service" not in said
    assert "version: unknown, there is no answer" in said  # a ping is answered by the socket alone


def test_stale_signatures(broken: Host, made: Case) -> None:
    real_clamav.signatures(broken, age=datetime.timedelta(days=40))
    broken.run(
        "install -o clamav -m 644 /srv/db/daily.cud /var/lib/clamav/; systemctl restart clamav-daemon.service\n"
        "clamdscan --ping 30:1"
    )
    said = why(broken, made)
    real_clamav.signatures(broken)
    assert "the signatures are too old (date: 960 h, at most 168 h)" in said


def test_signatures_without_a_date(broken: Host, made: Case) -> None:
    broken.run("rm /var/lib/clamav/daily.cud; systemctl restart clamav-daemon.service; clamdscan --ping 30:1")
    assert "date: unknown" in why(broken, made)


def test_an_empty_database(broken: Host, made: Case) -> None:
    broken.run("rm -f /var/lib/clamav/*.*; systemctl restart clamav-daemon.service; sleep 2", check=False)
    said = why(broken, made)
    assert "service clamav-daemon.service is" in said


def test_an_on_access_scanner_without_inotify(broken: Host, made: Case) -> None:
    folder = "/etc/systemd/system/clamav-clamonacc.service.d"
    limit = "[Service]\\nSystemCallFilter=~inotify_init inotify_init1\\nSystemCallErrorNumber=EMFILE\\n"
    broken.run(
        f"printf '{limit}' >{folder}/zz-lab.conf; systemctl daemon-reload\n"
        "systemctl --no-block restart clamav-clamonacc; sleep 3"
    )
    assert "could not init inotify" in broken.run("tail -n 5 /var/log/clamav/clamonacc.log").stdout
    said = why(broken, made)
    assert "service clamav-clamonacc.service is activating" in said
    plan = real_clamav.plan(broken, made, patience=15)
    _, outcomes = real_clamav.perform(broken, plan, "commit", run="inotify")
    assert outcomes["engine-answers"].status == "done"
    assert outcomes["on-access-start"].status == "failed", outcomes["on-access-start"]


def test_a_condition_that_is_not_met(broken: Host, made: Case) -> None:
    limit = "[Unit]\\nConditionPathExists=/srv/nowhere\\n"
    broken.run(
        "systemctl stop clamav-daemon.socket clamav-daemon.service; "
        f"printf '{limit}' >/etc/systemd/system/clamav-daemon.service.d/zz-lab.conf; systemctl daemon-reload"
    )
    plan = real_clamav.plan(broken, made, patience=15)
    _, outcomes = real_clamav.perform(broken, plan, "commit", run="condition")
    assert outcomes["engine-runs"].status == "failed"
    assert "service clamav-daemon.service is inactive" in why(broken, made)


# --- other ways


def test_an_archive_without_any_network(fresh_host: Fresh) -> None:
    host = fresh_host("deb12")
    real_clamav.offer(host)
    real_clamav.signatures(host)
    host.run(
        "mkdir -p /srv/a/packages /srv/a/database; cp /srv/repo/*.deb /srv/a/packages\n"
        "cp /srv/db/daily.cud /srv/a/database\n"
        "tar -C /srv/a -czf /srv/clamav.tar.gz packages database; rm -r /srv/a /srv/repo/*; rm /etc/apt/sources.list"
    )
    digest = host.run("sha256sum </srv/clamav.tar.gz").stdout.split()[0]
    assert digest != hashlib.sha256(b"").hexdigest()
    made = real_clamav.archive(digest, {"updates": "none", "databases": ["daily.cud"]})
    plan = real_clamav.plan(host, made)
    for phase in ("stage", "commit"):
        answer, outcomes = real_clamav.perform(host, plan, phase)
        assert answer.code == "0", outcomes
    assert real_clamav.health(host, made).reasons == ()
    found = host.run(SAMPLE + "mkdir /srv/d; sample >/srv/d/s; clamdscan --fdpass --no-summary /srv/d", check=False)
    assert "FOUND" in found.stdout
    assert host.run("systemctl is-active clamav-freshclam.service", check=False).stdout.strip() == "inactive"


def test_a_staging_that_fails_is_taken_back(fresh_host: Fresh, made: Case) -> None:
    host = fresh_host("deb12")
    real_clamav.offer(host)
    host.run("apt-get -qq update")
    before = host.snapshot()
    plan = real_clamav.plan(host, made)
    answer, outcomes = real_clamav.perform(host, plan, "stage")
    assert answer.code == "1"
    failed = outcomes["update-custom"]  # nobody serves the signatures here
    assert (failed.status, failed.failure.kind if failed.failure else "") == ("failed", "program_failed")
    assert outcomes["start-engine"].status == "skipped"
    assert host.run("dpkg-query -W -f '${Package}\\n' 'clam*' 2>/dev/null || :").stdout == ""
    changes = [c for c in snapshot.not_allowed(snapshot.diff(before, host.snapshot())) if not left(c)]
    assert changes == []


# What the package manager, systemd and we ourselves leave behind when a package goes; no settings and no programs.
LEFT = (
    *(
        "/var/lib/dpkg",
        "/var/lib/apt",
        "/var/cache",
        "/var/log",
        "/var/lib/evict.kaspersky",
        "/run/",
        "/tmp",
        "/var/tmp",
    ),
    *("/var/lib/systemd", "/etc/ld.so.cache", "/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow", "/etc/sub"),
    *("/var/lib/ucf", "/etc/.pwd.lock", "/srv/repo", "/var/lib/polkit", "/var/spool"),
)


def left(change: snapshot.Change) -> bool:
    """Is it nothing but a trace of packages that came and went? A folder's own time of change is one."""
    before, after = change.before or "", change.after or ""
    folder = before.startswith("dir ") and after.startswith("dir ")
    same = before.partition(" mtime=")[0] == after.partition(" mtime=")[0]
    return change.path.startswith(LEFT) or (folder and same)
