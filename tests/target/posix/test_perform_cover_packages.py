# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinds of steps that install packages: the real apt and dpkg, in a root of the test's own with a repository."""

from __future__ import annotations

import shlex
import shutil
import sys
import typing as t
from pathlib import Path

import pytest

from tests.target.posix import covering
from tests.target.posix.covering import End

pytestmark = pytest.mark.skipif(shutil.which("apt-get") is None, reason="no apt on this machine: installing packages")
BASE = Path("/tmp/evict-host")  # within a root that is gone with its last process
FOLDER = f"{BASE}/staging/packages"
# Small packages by name, version, fields and a script after the installation; then a repository of them.
REPOSITORY = r"""
mkdir -p /srv/r /tmp/evict-host/staging/packages
deb() {
  d=/tmp/build/$1-$2
  mkdir -p "$d/DEBIAN" "$d/usr/share/$1" "$d/etc/$1"
  echo "$2" >"$d/usr/share/$1/version"
  echo "as packed" >"$d/etc/$1/conf"
  echo "/etc/$1/conf" >"$d/DEBIAN/conffiles"
  printf 'Package: %s\nVersion: %s\nArchitecture: all\n' "$1" "$2" >"$d/DEBIAN/control"
  printf 'Maintainer: lab <lab@example.invalid>\nDescription: x\n' >>"$d/DEBIAN/control"
  [ -z "$3" ] || printf '%s\n' "$3" >>"$d/DEBIAN/control"
  [ -z "${4-}" ] || { printf '#!/bin/sh\n%s\n' "$4" >"$d/DEBIAN/postinst" && chmod 755 "$d/DEBIAN/postinst"; }
  dpkg-deb -Zgzip --root-owner-group -b "$d" "/srv/r/$1_$2_all.deb" >/dev/null
}
deb evict-lib 1 ''
deb evict-av 1 'Depends: evict-lib'
deb evict-foe 1 'Conflicts: evict-lib'
deb evict-bad 1 '' 'exit 3'
deb evict-need 1 'Depends: evict-av'
deb evict-lonely 1 'Depends: evict-nowhere'
index() {
  cd /srv/r
  for f in *.deb; do
    dpkg-deb -f "$f"
    printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' "$f" "$(stat -c %s "$f")" "$(sha256sum <"$f" | cut -d' ' -f1)"
  done >Packages
  cd /
}
index
rm -rf /etc/apt/sources.list.d/* /etc/apt/apt.conf.d/* /var/lib/apt/lists/*
echo 'deb [trusted=yes] file:/srv/r ./' >/etc/apt/sources.list
"""


class Host:
    """What is to happen in one root, and what came of it, in order."""

    def __init__(self, folder: Path, shell: tuple[str, ...]) -> None:
        self.folder, self.shell = folder, shell
        self.text = REPOSITORY + "apt-get -qq update\n"
        self.marks: list[str] = []

    def do(self, kind: str, *, id: str = "stage.x.y", **args: t.Any) -> None:
        """Perform a step."""
        self.text += covering.call(kind, BASE, id=id, shell=self.shell, manager="apt", **args) + "printf '\\002'\n"
        self.marks.append("end")

    def ask(self, script: str) -> None:
        """Run something, and keep what it prints."""
        self.text += f"printf '\\002'\n{{\n{script}\n}} 2>&1\nprintf '\\002'\n"
        self.marks.append("text")

    def run(self) -> list[t.Any]:
        """All that came of it: ends and texts."""
        pieces = covering.within(self.folder, self.text).split("\x02")[1::2]
        assert len(pieces) == len(self.marks), pieces
        return [
            covering.end(piece.encode()) if mark == "end" else piece.strip()
            for mark, piece in zip(self.marks, pieces, strict=True)
        ]


INSTALLED = "dpkg-query -W -f '${db:Status-Abbrev} ${Package}\\n' 'evict-*' 2>/dev/null | grep '^i' || :"


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path, ("/bin/sh",))


def test_packages_are_installed_once_and_taken_back(tmp_path: Path, target_shell: tuple[str, ...]) -> None:
    host = Host(tmp_path, target_shell)
    host.ask("cat /etc/apt/sources.list >/tmp/before; rm -rf /var/lib/apt/lists/*")
    host.do("install_packages", packages=["evict-av"])
    host.do("refresh_packages")
    host.do("download_packages", packages=["evict-av"])
    host.ask(INSTALLED)
    host.do("install_packages", packages=["evict-av"])
    host.do("install_packages", packages=["evict-av", "evict-lib=1"])
    host.ask(INSTALLED)
    host.do("remove_packages")
    host.do("remove_packages")
    host.ask(INSTALLED + "; ls /etc | grep evict- || :")
    _, unknown, refreshed, downloaded, none, installed, again, both, removed, gone, left = host.run()
    assert unknown.name == "not_offered"
    assert (refreshed.status, downloaded.status, installed.status) == ("done", "already", "done")
    assert (none, again.status) == ("", "already")
    assert both.split() == ["ii", "evict-av", "ii", "evict-lib"]
    assert (removed.status, gone.status, left) == ("done", "already", "")


def test_what_was_there_before_stays_when_it_is_taken_back(host: Host) -> None:
    host.ask("cd /srv/r; dpkg -i evict-lib_1* evict-av_1*; cd /; echo changed >/etc/evict-av/conf; dpkg -r evict-av")
    host.do("install_packages", packages=["evict-av"])
    host.do("remove_packages")
    host.ask(INSTALLED + "; cat /etc/evict-av/conf")
    _, installed, removed, left = host.run()
    assert (installed.status, removed.status) == ("done", "done")
    assert left.split("\n") == ["ii  evict-lib", "changed"]


def test_what_another_needs_by_now_is_not_taken_back(host: Host) -> None:
    host.do("install_packages", packages=["evict-av"])
    host.ask("apt-get -y -qq install evict-need >/dev/null")
    host.do("remove_packages")
    host.ask(INSTALLED)
    _, _, removed, left = host.run()
    assert (removed.name, "evict-need" in removed.why) == ("would_remove_others", True)
    assert left.count("ii") == 3


def test_nothing_is_installed_that_would_take_something_away(host: Host) -> None:
    host.ask("dpkg -i /srv/r/evict-lib_1_all.deb >/dev/null")
    host.do("install_packages", packages=["evict-foe"])
    host.do("download_packages", packages=["evict-foe"])
    host.ask(INSTALLED)
    _, installed, downloaded, left = host.run()
    for ended in (installed, downloaded):
        assert (ended.name, "evict-lib" in ended.why) == ("would_remove_others", True)
    assert left == "ii  evict-lib"


def failing(host: Host, prepare: str, *packages: str) -> End:
    """The end of an installation after something was broken."""
    host.ask(prepare)
    host.do("install_packages", packages=packages)
    _, ended = host.run()
    assert isinstance(ended, End)
    return ended


def test_a_script_that_fails_is_named_and_the_package_taken_back(host: Host) -> None:
    host.do("install_packages", packages=["evict-bad"])
    host.do("remove_packages")
    host.ask(INSTALLED)
    ended, removed, left = host.run()
    assert ended.name == "postinst_failed"
    assert (removed.status, left) == ("done", "")


@pytest.mark.parametrize(
    ("prepare", "package", "name"),
    [
        (":", "evict-nowhere", "not_offered"),
        (":", "evict-av=2", "not_offered"),
        (":", "evict-lonely", "dependencies_missing"),
        (":", "-o=x", "not_offered"),
        (":", "a b", "not_offered"),
        ("rm /srv/r/evict-lib_1_all.deb", "evict-av", "not_reachable"),
        ("echo x >>/srv/r/evict-lib_1_all.deb", "evict-av", "hash_mismatch"),
        (
            "mkdir /usr/share/evict-lib; cd /usr/share; mount -t tmpfs -o size=4k s evict-lib; yes >evict-lib/f; cd /",
            "evict-av",
            "disk_full",
        ),
        (
            "cd /srv/r; dpkg -i evict-lib* evict-av*; apt-mark hold evict-av; deb evict-av 2 ''; index; apt-get update",
            "evict-av=2",
            "package_held",
        ),
    ],
)  # fmt: skip
def test_each_failure_has_its_name(host: Host, prepare: str, package: str, name: str) -> None:
    ended = failing(host, prepare, package)
    assert ended.name == name, ended


def test_a_busy_manager_is_waited_for_and_then_named(host: Host) -> None:
    python = (
        "import fcntl, time; lock = open('/var/lib/dpkg/lock-frontend', 'w'); fcntl.lockf(lock, fcntl.LOCK_EX); "
        "open('/run/held', 'w'); time.sleep(240)"
    )
    # The interpreter itself: a virtual environment may lie where the host has a folder of its own.
    hold = f'{Path(sys.executable).resolve()} -c "{python}" &\nholder=$!\n'
    hold += "for i in 1 2 3 4 5 6 7 8 9; do [ -e /run/held ] || sleep 2; done; ls /run/held"
    host.ask(hold)
    program = covering.program("install_packages", BASE, "x", 20, {"manager": "apt", "packages": ["evict-av"]})
    host.ask(f"{shlex.join(host.shell)} -c {shlex.quote(program)} | tr '\\001\\t' '  '; kill $holder")
    held, said = host.run()
    assert held == "/run/held"
    assert said.startswith("1  package_manager_busy"), said


def test_a_package_file_is_installed_and_known(host: Host) -> None:
    host.ask("cd /tmp/evict-host/staging; cp /srv/r/evict-need_1_all.deb 'agent [x1].deb'; echo no >b.deb; cd /")
    for _ in range(2):
        host.do("install_file", name="agent [x1].deb")
    host.do("install_file", name="b.deb", id="b")
    host.do("install_file", name="none.deb", id="b")
    host.ask(INSTALLED)
    host.do("remove_packages")
    host.ask(INSTALLED)
    _, installed, again, broken, none, there, removed, left = host.run()
    assert (installed.status, again.status) == ("done", "already")
    assert (broken.name, none.name) == ("file_broken", "not_staged")
    assert there.count("ii") == 3
    assert (removed.status, left) == ("done", "")


def test_a_folder_is_installed_without_a_repository(host: Host) -> None:
    host.ask("cp /srv/r/evict-need* /srv/r/evict-av* /tmp/evict-host/staging/packages; rm /etc/apt/sources.list")
    host.do("install_folder", folder="packages")
    host.ask("cp /srv/r/evict-lib* /tmp/evict-host/staging/packages")
    for _ in range(2):
        host.do("install_folder", folder="packages")
    host.ask(INSTALLED)
    host.do("remove_packages")
    host.ask(INSTALLED + "; mkdir /tmp/evict-host/staging/empty")
    host.do("install_folder", folder="empty")
    host.do("install_folder", folder="../../etc")
    _, lacking, _, installed, again, there, removed, left, empty, outside = host.run()
    assert lacking.name == "dependencies_missing"
    assert (installed.status, again.status, there.count("ii")) == ("done", "already", 3)
    assert (removed.status, left) == ("done", "")
    assert (empty.name, outside.name) == ("not_offered", "unsafe_path")


def test_what_is_newer_already_stays(host: Host) -> None:
    host.ask("deb evict-lib 2 ''; dpkg -i /srv/r/evict-lib_2*; cp /srv/r/evict-lib_1* /srv/r/evict-av* " + FOLDER)
    host.do("install_folder", folder="packages")
    host.ask("dpkg-query -W -f '${Version}' evict-lib")
    _, installed, version = host.run()
    assert (installed.status, version) == ("done", "2")


def test_an_unknown_manager_is_refused(tmp_path: Path, target_shell: tuple[str, ...]) -> None:
    for kind in ("install_packages", "refresh_packages", "download_packages", "remove_packages"):
        ended = covering.run(kind, tmp_path / "host", shell=target_shell, manager="pacman", packages=["x"])
        assert ended.name == "not_known"
