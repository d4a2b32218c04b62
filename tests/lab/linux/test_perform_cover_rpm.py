# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinds of steps that install packages, with the real dnf and rpm of a host and a repository on it."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from tests.target.posix import covering
from tests.target.posix.covering import End

from .conftest import Fresh
from .lab import Host

BASE = Path("/var/lib/evict.kaspersky")
# Packages that hold nothing; name, version, a line of fields, a script after the installation.
BUILD = r"""
rpm_of() {
  { printf 'Name: %s\nVersion: %s\nRelease: 1\nSummary: FAKE\nLicense: GPL-3.0-or-later\nBuildArch: noarch\n' "$1" "$2"
    printf '%s\n%%description\nFAKE, for tests\n%%files\n' "$3"
    [ -z "${4-}" ] || printf '%%post\n%s\n' "$4"; } >/run/one.spec
  rpmbuild -bb --quiet --define '_topdir /run/build' /run/one.spec
}
rpm_of evict-lib 1 ''
rpm_of evict-av-with-a-name-that-is-longer-than-its-column 1 'Requires: evict-lib'
rpm_of evict-foe 1 'Conflicts: evict-lib'
rpm_of evict-heir 1 'Obsoletes: evict-lib'
rpm_of evict-need 1 'Requires: evict-lib'
rpm_of evict-lonely 1 'Requires: evict-nowhere'
mv /run/build/RPMS/noarch/*.rpm /srv/repo/
rm -r /run/build /run/one.spec /srv/repo/repodata
createrepo_c -q /srv/repo
mkdir -p /var/lib/evict.kaspersky/staging/packages
"""
AV = "evict-av-with-a-name-that-is-longer-than-its-column"
INSTALLED = "rpm -qa 'evict-*' | sed 's/-1-1.noarch//' | sort"


@pytest.fixture
def host(fresh_host: Fresh) -> Host:
    host = fresh_host("rpm9")
    host.run(BUILD)
    return host


def do(host: Host, kind: str, *, manager: str = "dnf", id: str = "x", **args: t.Any) -> End:
    """Perform one step as root on the host."""
    script = covering.program(kind, BASE, id, 150, {"manager": manager, **args})
    return covering.end(host.run("exec /bin/sh", stdin=script, check=False).stdout.encode())


def installed(host: Host) -> list[str]:
    return host.run(INSTALLED).stdout.split()


def test_packages_are_installed_once_and_taken_back(host: Host) -> None:
    assert do(host, "refresh_packages").status == "done"
    assert do(host, "install_packages", packages=[AV]).status == "done"
    assert installed(host) == sorted([AV, "evict-lib"])
    assert do(host, "install_packages", packages=[AV, "evict-lib-1"]).status == "already"
    assert do(host, "install_packages", id="foe", packages=["evict-foe"]).name in (
        "would_remove_others",
        "dependencies_missing",
    )
    assert do(host, "install_packages", id="need", packages=["evict-need"]).status == "done"
    kept = do(host, "remove_packages")
    assert kept.name == "would_remove_others"
    assert do(host, "remove_packages", id="need").status == "done"
    assert installed(host) == sorted([AV, "evict-lib"])
    assert do(host, "remove_packages").status == "done"
    assert do(host, "remove_packages").status == "already"
    assert installed(host) == []


def test_a_package_that_takes_the_place_of_another_is_not_installed(host: Host) -> None:
    assert do(host, "refresh_packages").status == "done"
    host.run("rpm -i /srv/repo/evict-lib*")
    heir = do(host, "install_packages", id="heir", packages=["evict-heir"])
    assert (heir.name, "evict-lib" in heir.why) == ("would_remove_others", True)
    assert installed(host) == ["evict-lib"]


def test_what_is_not_offered_or_lacks_something_is_named(host: Host) -> None:
    assert do(host, "install_packages", packages=["evict-nowhere"]).name == "not_offered"
    assert do(host, "install_packages", packages=["evict-lonely"]).name == "dependencies_missing"
    host.run("sed -i s,/srv/repo,/srv/gone, /etc/yum.repos.d/local.repo; dnf -q clean all")
    assert do(host, "refresh_packages").name == "not_reachable"
    assert do(host, "install_packages", packages=["evict-lib"]).name == "not_reachable"


def test_files_and_folders_need_no_repository(host: Host) -> None:
    host.run(
        f"cp /srv/repo/evict-lib* {BASE}/staging/one.rpm; cp /srv/repo/{AV}* {BASE}/staging/packages\n"
        "rm /etc/yum.repos.d/*"
    )
    assert do(host, "install_folder", folder="packages").name == "dependencies_missing"
    for expected in ("done", "already"):
        assert do(host, "install_file", id="one", name="one.rpm").status == expected
    for expected in ("done", "already"):
        assert do(host, "install_folder", folder="packages").status == expected
    assert installed(host) == sorted([AV, "evict-lib"])
    assert do(host, "remove_packages").status == "done"
    assert do(host, "remove_packages", id="one").status == "done"
    assert installed(host) == []


def test_packages_are_fetched_before_and_installed_when_the_repository_is_gone(host: Host) -> None:
    host.run(
        "systemd-run -q --unit=lab-web python3 -m http.server 8000 --bind 127.0.0.1 --directory /srv/repo; sleep 2; "
        "sed -i s,file:///srv/repo,http://127.0.0.1:8000, /etc/yum.repos.d/local.repo"
    )
    assert do(host, "refresh_packages").status == "done"
    assert do(host, "download_packages", packages=[AV]).status == "done"
    assert do(host, "download_packages", packages=[AV]).status == "already"
    assert installed(host) == []
    host.run("systemctl stop lab-web.service")
    assert do(host, "install_packages", packages=[AV]).status == "done"
    assert installed(host) == sorted([AV, "evict-lib"])
