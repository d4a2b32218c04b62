# SPDX-License-Identifier: GPL-3.0-or-later
"""observe.sh on the real dpkg and rpm with databases of every state, in staged roots (staged.py)."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.target.posix.staged import NONCE, STATES, database, decode, look, raw_look, stanza

needs_dpkg = pytest.mark.skipif(shutil.which("dpkg-query") is None, reason="no dpkg here: the real dpkg-query")


@needs_dpkg
def test_the_real_dpkg_and_its_status_file_say_the_same(target_shell: tuple[str, ...], tmp_path: Path) -> None:
    made = database(stanza("klnagent", "install ok installed", "i386"), stanza("xkesl", "install ok installed"))
    names = [*STATES, "klnagent"]
    asked = look(tmp_path, made, shell=target_shell, packages=names)["packages.dpkg"]
    assert asked.status == "ok", asked
    assert {r["name"]: r["state"] for r in asked.records} == {n: s for n, (_, s) in STATES.items()} | {"klnagent": "ii"}
    assert {r["arch"] for r in asked.records if r["name"] == "klnagent"} == {"i386"}
    (tmp_path / "2").mkdir()
    read = look(tmp_path / "2", made + "rm $(command -v dpkg-query)\n", shell=target_shell, packages=names)[
        "packages.dpkg"
    ]
    assert read == asked


@needs_dpkg
@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        ("echo 'Package kesl' >/var/lib/dpkg/status", "parsing file"),
        ("head -c 3000 /dev/urandom >/var/lib/dpkg/status", "dpkg-query"),
        (": >/var/lib/dpkg/status", "names no package"),
        ("rm /var/lib/dpkg/status", "is missing"),
        ("rm /var/lib/dpkg/status; mkdir /var/lib/dpkg/status", "status"),
        ("rm /var/lib/dpkg/status; ln -s status /var/lib/dpkg/status", "status"),
    ],
)
def test_a_broken_dpkg_database_is_unknown(tmp_path: Path, break_it: str, words: str) -> None:
    seen = look(tmp_path, database() + break_it, packages=list(STATES))["packages.dpkg"]
    assert seen.status == "unknown", seen
    assert words in seen.reason


def test_dpkg_tool_without_any_database_is_absent(tmp_path: Path) -> None:
    for number, made in enumerate(("rm -r /var/lib/dpkg", "rm -r /var/lib/dpkg/*; : >/var/lib/dpkg/status")):
        (tmp_path / str(number)).mkdir()
        seen = look(tmp_path / str(number), f"mkdir -p /var/lib/dpkg/x\n{made}", packages=["kesl"])
        assert (seen["packages.dpkg"].status, seen["packages.dpkg"].reason) == ("absent", "")


@pytest.mark.skipif(shutil.which("rpm") is None, reason="no rpm here: the real rpm")
def test_the_real_rpm(target_shell: tuple[str, ...], tmp_path: Path) -> None:
    # No database: none is made, though rpm -qa would.
    listing = (
        "sh",
        "-c",
        '"$@"; find /var/lib /usr/lib/sysimage /root/.rpmdb -name "*rpmdb*" -o -name .rpm.lock 2>&- | sed "s/^/MADE /"',
        "sh",
    )
    made = "mkdir -p /var/lib/rpm; rm -rf /root/.rpmdb"
    raw = raw_look(tmp_path, made, shell=(*listing, *target_shell), packages=["kesl"])
    assert decode(raw, NONCE)["packages.rpm"].status == "absent"
    assert b"MADE" not in raw
    (tmp_path / "2").mkdir()
    made = "rpm --dbpath /var/lib/rpm --initdb\n"
    seen = look(tmp_path / "2", made, shell=target_shell, packages=["kesl"])["packages.rpm"]
    assert (seen.status, seen.reason) == ("unknown", "the database in /var/lib/rpm names no package")
    (tmp_path / "3").mkdir()
    broken = made + "head -c 9000 /dev/urandom >/var/lib/rpm/rpmdb.sqlite; rm -f /var/lib/rpm/rpmdb.sqlite-*\n"
    seen = look(tmp_path / "3", broken, shell=target_shell, packages=["kesl"])["packages.rpm"]
    assert seen.status == "unknown"
    assert "rror" in seen.reason
    (tmp_path / "4").mkdir()
    lost = made + "rm $(command -v rpm)\n"
    seen = look(tmp_path / "4", lost, shell=target_shell, packages=["kesl"])["packages.rpm"]
    assert (seen.status, seen.reason) == ("unknown", "rpm is missing, but there is a database in /var/lib/rpm")
