# SPDX-License-Identifier: GPL-3.0-or-later
"""What a removal leaves on real hosts: paths and accounts that go, and those that must not."""

from __future__ import annotations

import pytest

from tests.performing import Ended

from .conftest import Fresh
from .kinds import both, do, fails, remove


@both
def test_what_a_removal_leaves(root: str, fresh_host: Fresh) -> None:
    host = fresh_host(root)
    host.install("kesl")
    host.run("cd /var/opt/kaspersky/kesl; mkdir -p private/storage; echo stays >private/storage/events.db")
    assert remove(host).status == "done"
    keep = "/var/opt/kaspersky/kesl/private/storage"
    assert do(host, "purge_path", path="/var/opt/kaspersky/kesl", keep=[keep]) == Ended("done")
    assert host.run("find /var/opt/kaspersky/kesl").stdout.split() == [
        "/var/opt/kaspersky/kesl",
        "/var/opt/kaspersky/kesl/private",
        keep,
        f"{keep}/events.db",
    ]
    assert do(host, "purge_path", path="/var/opt/kaspersky/kesl", keep=[keep]) == Ended("already")
    for group in ("kesladmin", "nokesl"):
        assert do(host, "purge_group", group=group) == Ended("done")
        assert do(host, "purge_group", group=group) == Ended("already")
        assert host.run(f"getent group {group} || :").stdout == ""


def test_a_path_that_comes_back(fresh_host: Fresh) -> None:
    host = fresh_host("deb12")
    host.run("systemd-run -q --unit=again sh -c 'while sleep 0.2; do mkdir -p /opt/own/x/y; done'; sleep 0.5")
    fails(do(host, "purge_path", path="/opt/own/x"), "still_there", "again")


def test_an_immutable_path(fresh_host: Fresh) -> None:
    host = fresh_host("deb12")
    host.run("mkdir -p /opt/own/x; touch /opt/own/x/a /opt/own/x/b; chattr +i /opt/own/x/b")
    fails(do(host, "purge_path", path="/opt/own/x"), "file_immutable", "/opt/own/x/b")
    fails(do(host, "purge_path", path="/opt/own/x"), "file_immutable", "/opt/own/x/b")
    host.run("chattr -i /opt/own/x/b")
    assert do(host, "purge_path", path="/opt/own/x") == Ended("done")


@pytest.mark.parametrize("root", ["deb12", "rpm9"])
def test_a_path_that_a_package_has_brought_stays(root: str, fresh_host: Fresh) -> None:
    host = fresh_host(root)
    host.run(f"{'dpkg -i' if root == 'deb12' else 'rpm -i'} {host.give('harmless')}; mkdir -p /opt/own/x")
    fails(do(host, "purge_path", path="/usr/lib/harmless/kesl"), "owned_by_package", "harmless")
    host.run("test -x /usr/lib/harmless/kesl")
    assert do(host, "purge_path", path="/opt/own/x") == Ended("done")


def test_a_mount_below_a_path(fresh_host: Fresh) -> None:
    host = fresh_host("deb12")
    host.run(
        "mkdir -p '/opt/own/x/a b'; mount -t tmpfs other '/opt/own/x/a b'; touch '/opt/own/x/a b/precious' /opt/own/x/c"
    )
    fails(do(host, "purge_path", path="/opt/own/x"), "foreign_mount", "/opt/own/x/a b")
    host.run("test -e '/opt/own/x/a b/precious'; test -e /opt/own/x/c")


def test_an_account_in_use(fresh_host: Fresh) -> None:
    host = fresh_host("deb12")
    host.run("useradd -m kluser; groupadd klusers; systemd-run -q --unit=mine --uid=kluser sleep 500; sleep 0.5")
    fails(do(host, "purge_user", user="kluser"), "in_use", "process")
    host.run("systemctl stop mine; usermod -g klusers kluser")
    fails(do(host, "purge_group", group="klusers"), "in_use", "primary group of kluser")
    assert do(host, "purge_user", user="kluser") == Ended("done")
    assert do(host, "purge_user", user="kluser") == Ended("already")
    host.run("test -d /home/kluser; usermod -aG klusers plain")
    fails(do(host, "purge_group", group="klusers"), "in_use", "plain")
    host.run("gpasswd -d plain klusers")
    assert do(host, "purge_group", group="klusers") == Ended("done")
