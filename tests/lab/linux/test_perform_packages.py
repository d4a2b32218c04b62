# SPDX-License-Identifier: GPL-3.0-or-later
"""The kind that removes a package, on real hosts: real dpkg, apt, rpm and dnf say what came of each step.

Every way in which a removal can fail is brought about for real, and has a class of its own.
"""

from __future__ import annotations

import pytest

from tests.performing import Ended

from .conftest import Fresh
from .kinds import KESL, UNINSTALLER, both, do, fails, flag, registered, remove
from .misbehaviour_scripts import FILL, SMALL_VAR, at_stop
from .test_preflight import HOLD


@both
@pytest.mark.parametrize("plain", [False, True], ids=["front end", "plain tool"])
def test_a_package_goes_and_a_second_time_it_is_gone(root: str, plain: bool, fresh_host: Fresh) -> None:
    host = fresh_host(root)
    host.install("kesl", "klnagent64", "harmless")
    assert remove(host, plain=plain) == Ended("done")
    assert not registered(host)
    assert registered(host, "klnagent64")
    assert registered(host, "harmless")
    assert remove(host, plain=plain) == Ended("already")


@pytest.mark.parametrize("plain", [False, True], ids=["apt", "dpkg"])
def test_settings_go_only_when_they_are_to_go(plain: bool, fresh_host: Fresh) -> None:
    host = fresh_host("deb12")
    host.install("kesl")
    state = "dpkg-query -W -f '${Status}' kesl || :"
    assert remove(host, plain=plain).status == "done"
    assert host.run(state).stdout == "deinstall ok config-files"
    assert remove(host, plain=plain).status == "already"
    assert remove(host, plain=plain, purge="yes").status == "done"
    assert host.run(state).stdout == ""
    assert remove(host, plain=plain, purge="yes").status == "already"


def test_the_package_of_another_architecture(fresh_host: Fresh) -> None:
    host = fresh_host("deb12")
    host.run(f"dpkg --add-architecture i386; dpkg -i {host.give('klnagent')}")
    assert do(host, "remove_package", manager="apt", package="klnagent:i386", purge="yes").status == "done"
    assert host.run("dpkg-query -W klnagent:i386 || :").stdout == ""


def test_what_is_half_configured_goes(fresh_host: Fresh) -> None:
    host = fresh_host("deb12")
    flag(host, "postinst-fail")
    host.install("kesl", check=False)
    assert host.run("dpkg -l kesl | grep -c ^iF").stdout == "1\n"
    assert remove(host, purge="yes").status == "done"
    assert not registered(host)


@both
@pytest.mark.parametrize("plain", [False, True], ids=["front end", "plain tool"])
def test_its_script_before_the_removal_fails(root: str, plain: bool, fresh_host: Fresh) -> None:
    host = fresh_host(root)
    flag(host, "prerm-fail")
    host.install("kesl")
    fails(remove(host, plain=plain), "prerm_failed", "told to fail", "password")
    assert registered(host)
    host.run(f"test -x {KESL}; systemctl is-active kesl")


def test_its_script_after_the_removal_fails(fresh_host: Fresh) -> None:
    """dpkg keeps half of it; it goes when the script no longer fails."""
    host = fresh_host("deb12")
    flag(host, "postrm-fail")
    host.install("kesl")
    fails(remove(host, purge="yes"), "postrm_failed", "told to fail", "half-installed")
    assert registered(host)
    host.run("rm /etc/fake-kaspersky/postrm-fail")
    assert remove(host, purge="yes").status == "done"


def test_rpm_warns_of_the_script_after_the_removal(fresh_host: Fresh) -> None:
    host = fresh_host("rpm9")
    flag(host, "postrm-fail")
    host.install("kesl")
    assert remove(host).status == "done"
    assert not registered(host)


@both
def test_its_uninstaller_is_missing(root: str, fresh_host: Fresh) -> None:
    host = fresh_host(root)
    host.install("kesl")
    host.run(f"rm {UNINSTALLER}")
    fails(remove(host), "uninstaller_missing", "uninstall.pl", "same version")
    assert registered(host)


@both
def test_perl_is_missing(root: str, fresh_host: Fresh) -> None:
    host = fresh_host(root)
    host.install("kesl")
    host.run("mv /usr/bin/perl /usr/bin/perl.away")
    fails(remove(host), "perl_missing", "install perl")
    assert registered(host)


@both
def test_its_script_never_ends(root: str, fresh_host: Fresh) -> None:
    host = fresh_host(root)
    flag(host, "prerm-hang")
    host.install("kesl")
    fails(remove(host, timeout=20), "timed_out")
    assert registered(host)
    assert host.run("pgrep -x 'dpkg|apt-get|rpm|dnf|sleep' || :").stdout == "", "what we started has ended"


@pytest.mark.parametrize("plain", [False, True], ids=["apt", "dpkg"])
def test_a_package_that_must_be_installed_again(plain: bool, fresh_host: Fresh) -> None:
    host = fresh_host("deb12")
    host.install("kesl")
    host.run(
        "sed -i '/^Package: kesl$/,/^$/s/^Status: .*/Status: install reinstreq half-installed/' /var/lib/dpkg/status"
    )
    fails(remove(host, plain=plain), "half_configured", "same version")
    assert registered(host)


def test_dpkg_was_interrupted(fresh_host: Fresh) -> None:
    """As by a power cut in this very step: apt will not work then, dpkg takes up what it wrote."""
    host = fresh_host("deb12")
    host.install("kesl")
    host.run("sed -n '/^Package: kesl$/,/^$/p' /var/lib/dpkg/status >/var/lib/dpkg/updates/0001")
    assert "dpkg was interrupted" in host.run("apt-get -y remove kesl", check=False).stderr
    assert remove(host, purge="yes") == Ended("done")
    assert not registered(host)


@both
@pytest.mark.parametrize("plain", [False, True], ids=["front end", "plain tool"])
def test_the_package_manager_is_busy(root: str, plain: bool, fresh_host: Fresh) -> None:
    host = fresh_host(root)
    host.install("kesl")
    lock = {"deb12": "/var/lib/dpkg/lock-frontend", "rpm9": "/var/lib/rpm/.rpm.lock"}[root]
    host.run(HOLD.format(file=lock))
    fails(remove(host, plain=plain, timeout=30), "package_manager_busy")
    assert registered(host)


@both
def test_somebody_else_ends_in_time(root: str, fresh_host: Fresh) -> None:
    host = fresh_host(root)
    host.install("kesl")
    lock = {"deb12": "/var/lib/dpkg/lock-frontend", "rpm9": "/var/lib/rpm/.rpm.lock"}[root]
    host.run(HOLD.format(file=lock).replace("sleep 600", "sleep 8"))
    assert remove(host, timeout=90).status == "done"


@pytest.mark.parametrize("plain", [False, True], ids=["apt", "dpkg"])
def test_a_held_package(plain: bool, fresh_host: Fresh) -> None:
    host = fresh_host("deb12")
    host.install("kesl")
    host.run("echo kesl hold | dpkg --set-selections")
    fails(remove(host, plain=plain), "package_held", "unhold")
    assert registered(host)


def test_a_package_that_dnf_protects(fresh_host: Fresh) -> None:
    host = fresh_host("rpm9")
    host.install("kesl")
    host.run("mkdir -p /etc/dnf/protected.d; echo kesl >/etc/dnf/protected.d/kesl.conf")
    fails(remove(host), "package_held", "kesl")
    assert registered(host)


@both
@pytest.mark.parametrize("plain", [False, True], ids=["front end", "plain tool"])
def test_something_else_needs_it(root: str, plain: bool, fresh_host: Fresh) -> None:
    host = fresh_host(root)
    host.install("kesl", "kesl-gui")
    fails(remove(host, plain=plain), "would_remove_others", "kesl-gui")
    assert registered(host)
    assert registered(host, "kesl-gui")
    assert remove(host, "kesl-gui", plain=plain).status == "done"
    assert remove(host, plain=plain).status == "done"


def test_no_room(fresh_host: Fresh) -> None:
    """The disk is filled while the package goes. rpm needs no room for that."""
    host = fresh_host("deb12")
    host.run(SMALL_VAR)
    host.install("kesl")
    host.run(f"mkdir -p /etc/fake-kaspersky\n{at_stop(FILL)}")
    fails(remove(host), "disk_full")
    assert registered(host)


def test_a_broken_dpkg(fresh_host: Fresh) -> None:
    host = fresh_host("deb12")
    host.install("kesl")
    host.run("printf 'Package: \\377 broken\\nthis is not a field\\n' >>/var/lib/dpkg/status")
    fails(remove(host), "database_broken", "dpkg --audit")
    fails(do(host, "confirm_absent", product="kesl", packages=["kesl"]), "database_broken")


def test_a_broken_rpm(fresh_host: Fresh) -> None:
    host = fresh_host("rpm9")
    host.install("kesl")
    host.run("dd if=/dev/urandom of=/var/lib/rpm/rpmdb.sqlite bs=4096 count=4 conv=notrunc 2>&1")
    fails(remove(host), "database_broken", "rebuilddb")
    fails(do(host, "confirm_absent", product="kesl", packages=["kesl"]), "database_broken")


def test_broken_repositories(fresh_host: Fresh) -> None:
    host = fresh_host("deb12")
    host.install("kesl")
    host.run("echo 'debb nonsense' >/etc/apt/sources.list.d/own.list")
    fails(remove(host), "repository_broken", "own.list")
    assert registered(host)


def test_dnf_needs_no_repository(fresh_host: Fresh) -> None:
    host = fresh_host("rpm9")
    host.install("kesl")
    host.run("printf '[own]\\nname=own\\nbaseurl=http://127.0.0.1:1/\\n' >/etc/yum.repos.d/own.repo")
    assert remove(host).status == "done"


@both
def test_an_immutable_file(root: str, fresh_host: Fresh) -> None:
    host = fresh_host(root)
    host.install("kesl")
    host.run("chattr +i /opt/kaspersky/kesl/doc/FAKE")
    fails(remove(host), "file_immutable", "/opt/kaspersky/kesl/doc/FAKE", "chattr -i")
    assert host.run("lsattr /opt/kaspersky/kesl/doc/FAKE").stdout.split()[0].count("i") == 1, "we take no mark off"
    host.run("chattr -i /opt/kaspersky/kesl/doc/FAKE")


@both
@pytest.mark.parametrize("plain", [False, True], ids=["front end", "plain tool"])
def test_a_foreign_mount_within_it(root: str, plain: bool, fresh_host: Fresh) -> None:
    host = fresh_host(root)
    host.install("kesl")
    where = "/var/opt/kaspersky/kesl/install_12.1.0.1297/of others"
    host.run(f"mkdir '{where}'; mount -t tmpfs foreign '{where}'; touch '{where}/precious'")
    fails(remove(host, plain=plain), "foreign_mount", where)
    host.run(f"test -e '{where}/precious'; test -x {KESL}")
    assert registered(host)


@both
def test_the_product_on_a_mount_of_its_own(root: str, fresh_host: Fresh) -> None:
    host = fresh_host(root)
    host.run(
        "mkdir -p /opt/kaspersky /var/opt/kaspersky; "
        "mount -t tmpfs a /opt/kaspersky; mount -t tmpfs b /var/opt/kaspersky"
    )
    host.install("kesl")
    assert remove(host).status == "done"


@both
def test_the_system_refuses(root: str, fresh_host: Fresh) -> None:
    """/opt is read-only: no rm works there."""
    host = fresh_host(root)
    host.install("kesl")
    host.run("mount --bind /opt /opt; mount -o remount,bind,ro /opt")
    fails(remove(host), "read_only", "/opt/")
    assert registered(host)


def test_a_program_may_not_be_run(fresh_host: Fresh) -> None:
    """As with fapolicyd or SELinux: the package's script is there, and the kernel says no."""
    host = fresh_host("deb12")
    host.install("kesl")
    host.run("mount --bind /var/lib/dpkg/info /var/lib/dpkg/info; mount -o remount,bind,noexec /var/lib/dpkg/info")
    fails(remove(host), "refused_by_system", "kesl.prerm", "fapolicyd")
    assert registered(host)


# The kernel asks this program before perl may open the uninstaller, and it says no: what fapolicyd does.
DENY = f"""
import ctypes, os, struct
libc = ctypes.CDLL(None, use_errno=True)
group = libc.fanotify_init(4, 0)
name = os.path.realpath({UNINSTALLER!r}).encode()
assert group >= 0 and libc.fanotify_mark(group, 1, ctypes.c_uint64(0x10000), -100, name) == 0, ctypes.get_errno()
open("/run/denies", "w").close()
while True:
    got = os.read(group, 4096)
    while got:
        size, _, _, _, _, handle, _ = struct.unpack_from("=IBBHQii", got)
        os.write(group, struct.pack("=iI", handle, 2))
        os.close(handle)
        got = got[size:]
"""


@both
def test_a_program_may_not_be_read(root: str, fresh_host: Fresh) -> None:
    host = fresh_host(root)
    host.install("kesl")
    host.run("cat >/srv/deny.py; systemd-run -q --unit=deny python3 /srv/deny.py", stdin=DENY)
    host.run("for i in 1 2 3 4 5 6 7 8 9; do [ -e /run/denies ] || sleep 0.5; done; [ -e /run/denies ]")
    fails(remove(host), "refused_by_system", "uninstall.pl", "Operation not permitted")
    assert registered(host)


def test_only_the_database_tells(fresh_host: Fresh) -> None:
    """apt removes the product, then fails over a package of somebody else's."""
    host = fresh_host("deb12")
    host.install("kesl")
    flag(host, "postinst-fail")
    host.run(f"dpkg --unpack {host.give('harmless')}")
    assert remove(host).status == "done"
    assert not registered(host)


@both
@pytest.mark.parametrize("name", ["*", "-y", "kesl kesl-gui", "/srv/x", "@core", "kesl=1", "kesl;id", "", "a:b:c"])
def test_names_that_are_no_packages(root: str, name: str, fresh_host: Fresh) -> None:
    host = fresh_host(root)
    fails(remove(host, name), "not_known")


def test_a_manager_that_is_not_known_or_not_there(fresh_host: Fresh) -> None:
    host = fresh_host("deb12")
    host.install("kesl")
    fails(do(host, "remove_package", manager="pacman", package="kesl"), "not_known")
    fails(do(host, "remove_package", manager="dnf", package="kesl"), "database_broken")
    host.run("mv /usr/bin/apt-get /usr/bin/away")
    fails(remove(host), "manager_missing", "apt-get")
