# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinds of steps that act on packages, where zypper or yum is the only package manager; a whole remediation there."""

from __future__ import annotations

from typing import Any

import pytest

from tests.performing import Ended
from tests.target.posix.covering import End

from . import explained, kinds, real_zypper, remediating, snapshot
from .conftest import Fresh
from .kinds import KESL, fails, flag, registered
from .lab import Host, Lab
from .real_zypper import REPOSITORIES, Manager
from .state import INSTALL, bring
from .takeover import COVER, NO_FALLBACK, UNIT
from .test_perform_cover_rpm import AV, BASE, BUILD, do, installed
from .test_preflight import ask, told

either = pytest.mark.parametrize("manager", ["zypper", "yum"])
PAIR = sorted([AV, "evict-lib"])


@pytest.fixture(scope="module")
def built() -> list[str]:
    """The repository, once a host has made it."""
    return []


@pytest.fixture
def host(manager: Manager, fresh_host: Fresh, built: list[str]) -> Host:
    """A host with a repository of packages that hold nothing, and one package manager."""
    host = fresh_host("rpm9")
    if built:
        host.run("base64 -d | tar -C / -xz", stdin=built[0])
    else:
        host.run(BUILD)
        built.append(host.run("tar -C / -cz srv/repo | base64").stdout)
    host.run(f"mkdir -p {BASE}/staging/packages; chmod -R go= {BASE}")
    return real_zypper.only(host, manager)


def failed(end: End, name: str, *words: str) -> None:
    assert (end.status, end.name) == ("", name), end
    for word in words:
        assert word in end.why, end


def remove(host: Host, manager: Manager, package: str = "kesl", timeout: int = 60) -> Ended:
    return kinds.do(host, "remove_package", timeout=timeout, manager=manager, package=package)


@either
def test_packages_are_fetched_installed_once_and_taken_back(manager: Manager, host: Host) -> None:
    def step(kind: str, id: str = "x", **args: Any) -> End:
        return do(host, kind, manager=manager, id=id, **args)

    # What lies on the host itself dnf does not fetch.
    host.run(
        "systemd-run -q --unit=lab-web python3 -m http.server 8000 --bind 127.0.0.1 --directory /srv/repo; "
        f"sed -i s,file:///srv/repo,http://127.0.0.1:8000, {REPOSITORIES[manager]}/local.repo; "
        "for i in $(seq 100); do ss -ltn | grep -q 127.0.0.1:8000 && break; sleep 0.1; done"
    )
    assert step("refresh_packages").status == "done"
    assert step("download_packages", packages=[AV]).status == "done"
    assert step("download_packages", packages=[AV]).status == "already"
    assert installed(host) == []
    pinned = "evict-lib=1-1" if manager == "zypper" else "evict-lib-1-1"
    assert step("install_packages", packages=[AV, pinned]).status == "done"
    assert installed(host) == PAIR
    assert step("install_packages", packages=[AV, pinned]).status == "already"
    assert step("download_packages", packages=[AV]).status == "already"
    for other in ("evict-foe", "evict-heir"):
        failed(step("install_packages", "o", packages=[other]), "would_remove_others", "evict-lib")
        failed(step("download_packages", "o", packages=[other]), "would_remove_others", "evict-lib")
    failed(step("install_packages", "n", packages=["evict-nowhere"]), "not_offered", "evict-nowhere")
    failed(step("install_packages", "l", packages=["evict-lonely"]), "dependencies_missing", "evict-nowhere")
    assert installed(host) == PAIR
    assert step("install_packages", "need", packages=["evict-need"]).status == "done"
    failed(step("remove_packages"), "would_remove_others")
    assert step("remove_packages", "need").status == "done"
    assert step("remove_packages").status == "done"
    assert step("remove_packages").status == "already"
    assert installed(host) == []


@either
def test_repositories_that_cannot_be_used(manager: Manager, host: Host) -> None:
    def step(kind: str, *packages: str) -> End:
        return do(host, kind, manager=manager, packages=packages)

    folder, clean = REPOSITORIES[manager], {"zypper": "zypper -q clean -a", "yum": "yum -q clean all"}[manager]
    host.run(f"printf '[gone]\\nname=gone\\nbaseurl=http://127.0.0.1:1/\\ngpgcheck=0\\n' >{folder}/gone.repo")
    # One of two is enough.
    assert step("refresh_packages").status == "done"
    assert step("install_packages", AV).status == "done"
    assert installed(host) == PAIR
    # None of them.
    host.run(f"mv {folder}/local.repo /srv/; {clean}")
    failed(step("refresh_packages"), "not_reachable")
    failed(step("install_packages", "evict-need"), "not_reachable")
    host.run(f"rm {folder}/gone.repo")
    if manager == "zypper":  # dnf is content with none
        failed(step("refresh_packages"), "not_offered", "no enabled repositories")
    failed(step("install_packages", "evict-need"), "not_offered")
    # One that is away, one that holds nonsense, one that has lost a package.
    host.run(f"mv /srv/local.repo {folder}/; mv /srv/repo /srv/away")
    failed(step("refresh_packages"), "not_reachable")
    host.run(
        "mv /srv/away /srv/repo; cp -r /srv/repo/repodata /srv/; "
        "for f in /srv/repo/repodata/*primary.xml.gz; do echo nonsense >$f; done"
    )
    assert step("refresh_packages").name in ("hash_mismatch", "repository_broken")
    assert step("install_packages", "evict-need").name in ("hash_mismatch", "repository_broken")
    host.run(f"rm -r /srv/repo/repodata; mv /srv/repodata /srv/repo/; {clean}")
    assert step("refresh_packages").status == "done"
    host.run("mv /srv/repo/evict-need* /srv/")
    lost = {"zypper": "not_reachable", "yum": "repository_broken"}[manager]
    failed(step("install_packages", "evict-need"), lost, "evict-need")
    assert installed(host) == PAIR


@either
def test_packages_that_nobody_signed(manager: Manager, host: Host) -> None:
    folder = REPOSITORIES[manager]
    host.run(f"sed -i s/gpgcheck=0/gpgcheck=1/ {folder}/local.repo")
    refreshed = do(host, "refresh_packages", manager=manager)
    if manager == "zypper":
        failed(refreshed, "signature_wrong", "local")
    failed(do(host, "install_packages", manager=manager, packages=["evict-lib"]), "signature_wrong")
    # The lists are trusted, the packages are not.
    host.run(f"printf 'repo_gpgcheck=0\\ngpgkey=file:///srv/no-such-key\\n' >>{folder}/local.repo")
    assert do(host, "refresh_packages", manager=manager).status == "done"
    failed(do(host, "install_packages", manager=manager, packages=["evict-lib"]), "signature_wrong", "evict-lib")
    assert installed(host) == []


@either
def test_a_locked_package(manager: Manager, host: Host) -> None:
    lock = {
        "zypper": "zypper -q addlock evict-lib kesl",
        "yum": "printf 'evict-lib-0:9-1.*\\n' >/etc/dnf/plugins/versionlock.list",
    }[manager]
    host.install("kesl")
    assert do(host, "refresh_packages", manager=manager).status == "done"
    host.run(lock)
    held = [record["package"] for record in told(ask(host), "manager", kind="held")]
    failed(do(host, "install_packages", manager=manager, packages=["evict-lib"]), "package_held", "evict-lib")
    failed(do(host, "install_packages", manager=manager, packages=[AV]), "package_held", "evict-lib")
    assert installed(host) == []
    if manager == "zypper":
        assert held == ["evict-lib", "kesl"]
        fails(remove(host, manager), "package_held", "kesl")
        assert registered(host)
        host.run("zypper -q removelock kesl evict-lib")
        assert remove(host, manager).status == "done"
    else:
        assert held == ["evict-lib-0:9-1.*"]


@either
def test_files_and_folders_need_no_repository(manager: Manager, host: Host) -> None:
    host.run(
        f"cp /srv/repo/evict-lib* {BASE}/staging/one.rpm; cp /srv/repo/{AV}* {BASE}/staging/packages\n"
        f"rm {REPOSITORIES[manager]}/*"
    )
    failed(do(host, "install_folder", manager=manager, folder="packages"), "dependencies_missing", "evict-lib")
    for expected in ("done", "already"):
        assert do(host, "install_file", manager=manager, id="one", name="one.rpm").status == expected
    for expected in ("done", "already"):
        assert do(host, "install_folder", manager=manager, folder="packages").status == expected
    assert installed(host) == PAIR
    assert do(host, "remove_packages", manager=manager).status == "done"
    assert do(host, "remove_packages", manager=manager, id="one").status == "done"
    assert installed(host) == []


@either
def test_a_package_goes_and_its_scripts_may_fail(manager: Manager, host: Host) -> None:
    host.run(f"rm {REPOSITORIES[manager]}/*")
    flag(host, "prerm-fail")
    flag(host, "postrm-fail")
    host.install("kesl", "kesl-gui", "harmless")
    fails(remove(host, manager), "would_remove_others", "kesl-gui")
    assert registered(host)
    assert registered(host, "kesl-gui")
    assert remove(host, manager, "kesl-gui").status == "done"
    fails(remove(host, manager), "prerm_failed", "told to fail", "password")
    assert registered(host)
    host.run(f"test -x {KESL}; systemctl is-active kesl; rm /etc/fake-kaspersky/prerm-fail")
    # rpm only warns of the script after the removal.
    assert remove(host, manager) == Ended("done")
    assert not registered(host)
    assert remove(host, manager) == Ended("already")
    assert registered(host, "harmless")


@either
def test_another_one_is_at_work(manager: Manager, host: Host) -> None:
    """It installs a package whose script takes its time, so that it holds its locks and rpm's."""
    host.install("kesl")
    flag(host, "postinst-hang")
    assert do(host, "refresh_packages", manager=manager).status == "done"
    install = {"zypper": "zypper -n --no-refresh install --allow-unsigned-rpm", "yum": "yum -y -C install"}[manager]
    host.run(
        f"systemd-run -q --unit=upgrade {install} {host.give('harmless')}; "
        "for i in $(seq 100); do pgrep -x sleep && break; sleep 0.2; done; pgrep -x sleep"
    )
    seen = told(ask(host), "manager", kind="busy")
    assert {"process", real_zypper.LOCKS[manager], "/var/lib/rpm/.rpm.lock"} <= {record["what"] for record in seen}
    fails(remove(host, manager, timeout=30), "package_manager_busy")
    busy = kinds.do(host, "install_packages", timeout=30, manager=manager, packages=["evict-lib"])
    fails(busy, "package_manager_busy")
    assert registered(host)
    assert installed(host) == []
    host.run("rm /etc/fake-kaspersky/*; pkill -x sleep; systemctl stop upgrade")
    if manager == "zypper":  # its own number alone, without rpm's lock, as while it fetches
        host.run("systemd-run -q --unit=other sleep 600; systemctl show -P MainPID other >/run/zypp.pid")
        (held,) = told(ask(host), "manager", kind="busy")
        assert (held["what"], held["program"]) == ("/run/zypp.pid", "sleep")
        fails(remove(host, manager, timeout=30), "package_manager_busy", "System management is locked")
        assert registered(host)
        host.run("systemctl stop other")
    assert remove(host, manager).status == "done"


@either
def test_the_preflight_knows_it_and_what_it_offers(manager: Manager, host: Host) -> None:
    wanted = [f"{manager}:evict-lib", f"{manager}:evict-nowhere", "dnf:evict-foe", "apt:evict-heir"]
    assert ask(host, packages=wanted).probes["repository"].status == "unknown", "there are no lists"
    assert do(host, "refresh_packages", manager=manager).status == "done"
    host.run("rpm -i /srv/repo/evict-lib*")
    before = host.snapshot()
    seen = ask(host, packages=wanted)
    assert snapshot.not_allowed(snapshot.diff(before, host.snapshot())) == []
    assert told(seen, "manager") == [{"kind": "manager", "name": manager}]
    assert seen.probes["manager"].status == "ok"
    assert told(seen, "repository") == [
        {"package": "evict-lib", "candidate": "1-1", "installed": "1-1"},
        {"package": "evict-nowhere", "fault": "no repository of the host offers it"},
    ]
    switch = f"sed -i s/enabled=1/enabled=0/ {REPOSITORIES[manager]}/local.repo"
    host.run(switch)
    assert ask(host, packages=wanted).probes["repository"].status == "unknown", "its lists are switched off"


# What the new product and zypper leave, beside what the plan explains.
BESIDES = (
    "/usr/lib/shield**",
    "/usr/lib/systemd/system/shield.service",
    "/etc/systemd/system/multi-user.target.wants/shield.service",
    "/srv/guarded",
    "/var/log/zypp**",
    "/var/cache/zypp**",
    "/var/lib/zypp**",
    "/run/zypp**",
    "/run/systemd/inhibit**",
    "/srv/repo/repodata/repomd.xml",  # it sets the time of a list that it reads from a folder
)
# On demand: it says so when the text of the common test file is in a file.
SCANNER = """#!/bin/sh
! grep -qF "EICAR-STANDARD""-ANTIVIRUS-TEST-FILE" "$1" || echo "$1: FOUND"
"""


def test_a_product_is_replaced_where_zypper_is_the_only_manager(
    linux_lab: Lab, fresh_host: Fresh, tmp_path_factory: pytest.TempPathFactory
) -> None:
    tmp_path = tmp_path_factory.mktemp("zy")  # a short path: ssh makes a socket below it
    host = real_zypper.only(fresh_host("rpm9"), "zypper")
    bring(host, INSTALL, ("kesl", "klnagent64"))
    host.run(f"mv {host.give(COVER)} /srv/repo/; rm -r /srv/repo/repodata /srv/packages; createrepo_c -q /srv/repo")
    host.run("cat >/usr/local/bin/scan; chmod 755 /usr/local/bin/scan; zypper -q -n refresh", stdin=SCANNER)
    policy = {
        "evict_replacement": "package",
        "evict_replacement_source": {"method": "repository"},
        "evict_replacement_settings": {
            "package_names": [COVER],
            "service_names": [UNIT],
            "active_program": "/usr/lib/shield/status",
            "active_contains": "real-time protection is on",
            "detection_test": "eicar_on_demand",
            "scan_program": "/usr/local/bin/scan",
            "scan_arguments": ["@file@"],
            "scan_contains": "FOUND",
        },
        **NO_FALLBACK,
    }
    files, before = explained.package_files(host), host.snapshot()
    hosts = remediating.inventory_of({"suse": host}, {"suse": policy})
    first = remediating.remediate(linux_lab, tmp_path / "first", hosts)
    assert first.row("suse")["verdict"] == "replaced", (first.row("suse"), first.failures("suse"))
    managers = {str(step.args["manager"]) for step in first.plan("suse").steps if "manager" in step.args}
    assert managers == {"zypper"}
    assert not registered(host)
    assert not registered(host, "klnagent64")
    assert registered(host, COVER)
    host.run("systemctl is-active shield; grep -q '|remove |kesl|' /var/log/zypp/history")
    files |= {name: paths + files.get(name, []) for name, paths in explained.package_files(host).items()}
    made = first.plan("suse"), first.outcomes("suse")
    assert explained.unexplained(before, host.snapshot(), *made, files, BESIDES) == []
    again = remediating.remediate(linux_lab, tmp_path / "again", hosts)
    assert again.row("suse")["verdict"] == "nothing_to_do", again.row("suse")
