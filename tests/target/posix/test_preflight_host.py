# SPDX-License-Identifier: GPL-3.0-or-later
"""The preflight probes that look at the host itself, in staged roots: rules, stores, obstacles, roles, people."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.target.posix.planned import SHELLS, here, look

Shell = tuple[str, ...]
TREE = "/opt/kaspersky"


def test_enforcement(target_shell: Shell, tmp_path: Path) -> None:
    made = """mount -t tmpfs x /sys; mkdir -p /sys/fs/selinux /sys/digsig /sys/module/apparmor/parameters
mkdir -p /sys/kernel/security/apparmor /etc/selinux /etc/fapolicyd
echo 1 >/sys/fs/selinux/enforce; echo 2 >/sys/digsig/elf_mode; echo Y >/sys/module/apparmor/parameters/enabled
printf 'a (enforce)\\nb (complain)\\nc (enforce)\\n' >/sys/kernel/security/apparmor/profiles
printf 'SELINUX=permissive\\nSELINUXTYPE=targeted\\n' >/etc/selinux/config
echo 'permissive = 0' >/etc/fapolicyd/fapolicyd.conf
cp /bin/sleep /run/fapolicyd; /run/fapolicyd 60 </dev/null >/dev/null 2>&1 & sleep 0.2"""
    seen = look(tmp_path, made, shell=target_shell)["enforcement"]
    assert {r["kind"]: r["state"] for r in seen.records} == {
        "selinux": "enforcing",
        "digsig": "permissive",
        "apparmor": "active",
        "fapolicyd": "active",
    }
    details = {r["kind"]: r["detail"] for r in seen.records}
    assert details["selinux"] == "SELINUX=permissive SELINUXTYPE=targeted"
    assert details["apparmor"] == "2 profiles enforced"


def test_enforcement_switched_off_and_of_an_unknown_kind(target_shell: Shell, tmp_path: Path) -> None:
    made = """mount -t tmpfs x /sys; mkdir -p /sys/digsig /etc/selinux /etc/fapolicyd; rm -rf /etc/apparmor.d
echo 7 >/sys/digsig/elf_mode; echo SELINUX=enforcing >/etc/selinux/config; : >/etc/fapolicyd/fapolicyd.conf"""
    seen = look(tmp_path, made, shell=target_shell)["enforcement"]
    assert [(r["kind"], r["state"]) for r in seen.records] == [("selinux", "inactive"), ("fapolicyd", "inactive")]
    assert (seen.status, "7" in seen.reason) == ("unknown", True)


def test_quarantine(target_shell: Shell, tmp_path: Path) -> None:
    made = "mkdir -p '/var/q 1/a' /var/q2/b /var/full; : >'/var/q 1/a/x'; : >'/var/q 1/y'; : >/var/full/z\n"
    made += ": >'/var/q 1/e.db'"
    seen = look(tmp_path, made, shell=target_shell, stores=["/var/q 1!*.db", "/var/q2", "/var/none", "/var/fu*"])[
        "quarantine"
    ]
    assert seen.records == [{"path": "/var/q 1", "files": "2"}, {"path": "/var/full", "files": "1"}]
    assert seen.status == "ok"


def test_files_of_a_store_that_hold_no_object_do_not_count(target_shell: Shell, tmp_path: Path) -> None:
    made = "mkdir -p /var/q1/a /var/q2; : >/var/q1/events.db; : >/var/q1/a/events.db-wal; : >'/var/q2/events.d b'"
    stores = ["/var/q1!events.db*!other.xml", "/var/q2!events.db*"]
    seen = look(tmp_path, made, shell=target_shell, stores=stores)["quarantine"]
    assert seen.records == [{"path": "/var/q2", "files": "1"}]


def test_a_store_that_is_closed(target_shell: Shell, tmp_path: Path) -> None:
    made = "mkdir -p /var/closed/store; chmod 700 /var/closed"
    seen = look(tmp_path, made, shell=target_shell, user=True, stores=["/var/closed/store"])["quarantine"]
    assert (seen.status, "become" in seen.reason) == ("unknown", True)


def test_mounts_below_a_product(target_shell: Shell, tmp_path: Path) -> None:
    made = "mkdir -p '/srv/real/kesl data' /srv/realm; rm -rf /opt/kaspersky; ln -s /srv/real /opt/kaspersky\n"
    made += "mount -t tmpfs x '/srv/real/kesl data'; mount -t tmpfs y /srv/realm"
    seen = look(tmp_path, made, shell=target_shell, trees=[TREE, "/none"])["obstacles"]
    assert [(r["kind"], r["path"]) for r in seen.records] == [("mount", "/srv/real/kesl data")], seen
    assert seen.records[0]["detail"].startswith("tmpfs rw")


@pytest.mark.parametrize("shell", SHELLS.values(), ids=SHELLS)
def test_immutable_files(shell: list[str], tmp_path: Path) -> None:
    """On this machine's own file system: overlays know no such marks."""
    if subprocess.run(["which", shell[0]], capture_output=True, check=False).returncode:
        pytest.skip(f"no {shell[0]} on this machine: the script for a plan in it")
    names = ("in it", "plain", "log")
    for name in names:
        (tmp_path / name).write_text("")
    if os.geteuid() != 0 or subprocess.run(["chattr", "+i", tmp_path / "in it"], check=False).returncode:
        pytest.skip("needs root and a file system with marks: immutable files")
    subprocess.run(["chattr", "+a", tmp_path / "log"], check=True)
    try:
        seen = here(shell, trees=[str(tmp_path)])["obstacles"]
    finally:
        subprocess.run(["chattr", "-i", "-a", *(tmp_path / name for name in names)], check=True)
    assert sorted((r["kind"], r["path"], r["detail"]) for r in seen.records) == [
        ("immutable", f"{tmp_path}/in it", "immutable"),
        ("immutable", f"{tmp_path}/log", "append only"),
    ]


def test_a_server_that_does_not_answer(target_shell: Shell, tmp_path: Path) -> None:
    """A mount that the kernel's list names, and an `ls` that hangs on it as on a dead server."""
    made = """mv /bin/ls /bin/ls.real 2>/dev/null || mv /usr/bin/ls /usr/bin/ls.real
cat >/usr/sbin/ls <<'END'
#!/bin/sh
case "$*" in *'/mnt/.'*) exec sleep 60 ;; esac
exec ls.real "$@"
END
chmod 755 /usr/sbin/ls
real=$(command -v grep)
cat >/usr/sbin/grep <<END
#!/bin/sh
[ "\\$3" != /proc/self/mounts ] || echo '/proc/self/mounts:srv:/x /mnt nfs4 rw 0 0'
exec $real "\\$@"
END
chmod 755 /usr/sbin/grep
"""
    seen = look(tmp_path, made, shell=target_shell, trees=[TREE])["obstacles"]
    assert [(r["kind"], r["path"]) for r in seen.records] == [("network_mount_hangs", "/mnt")]
    assert (seen.status, "does not answer" in seen.reason) == ("unknown", True)


def test_roles(target_shell: Shell, tmp_path: Path) -> None:
    made = """mkdir -p /usr/lib/postfix/sbin
for name in mysqld corosync dockerd slapd; do cp /bin/sleep /run/$name; /run/$name 60 </dev/null >/dev/null 2>&1 & done
cp /bin/sleep /usr/lib/postfix/sbin/master; /usr/lib/postfix/sbin/master 60 </dev/null >/dev/null 2>&1 & sleep 0.3"""
    seen = look(tmp_path, made, shell=target_shell)["roles"]
    assert [(r["role"], r["source"]) for r in seen.records] == [
        ("database", "process mysqld"),
        ("cluster", "process corosync"),
        ("container_host", "process dockerd"),
        ("mail", "process /usr/lib/postfix/sbin/master"),
    ]


def test_sessions(target_shell: Shell, tmp_path: Path) -> None:
    made = """mkdir -p /run/systemd/sessions; cd /run/systemd/sessions
printf 'UID=1\\nUSER=anna\\nSTATE=active\\nREMOTE=1\\nTYPE=tty\\nCLASS=user\\n' >9001
printf 'USER=bob\\nSTATE=online\\nREMOTE=0\\nTYPE=x11\\nCLASS=user\\n' >9002
printf 'USER=gdm\\nSTATE=online\\nCLASS=greeter\\n' >c1; mkfifo 9001.ref"""
    seen = look(tmp_path, made, shell=target_shell)["sessions"]
    assert seen.records == [
        {"user": "anna", "kind": "remote", "state": "active"},
        {"user": "bob", "kind": "console", "state": "online"},
    ]


def test_a_root_that_is_made_anew_at_each_start(target_shell: Shell, tmp_path: Path) -> None:
    seen = look(tmp_path, shell=target_shell)
    box = seen["host"].records[0]["container"]
    expected = [] if box else [{"kind": "non_persistent", "source": "/ is overlay"}]
    assert [r for r in seen["desktop"].records if "overlay" in r["source"]] == expected


def test_instances_of_inotify(target_shell: Shell, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root: who holds inotify instances")
    made = """cat >/run/hold.py <<'END'
import ctypes, time
libc = ctypes.CDLL(None)
held = [libc.inotify_init() for _ in range(3)]
open("/run/ready", "w").close()
time.sleep(60)
END
"""
    made += "/usr/bin/python3 /run/hold.py </dev/null >/dev/null 2>&1 &\nwhile [ ! -e /run/ready ]; do sleep 0.05; done"
    if not Path("/usr/bin/python3").exists():
        pytest.skip("no /usr/bin/python3 on this machine: who holds inotify instances")
    (record,) = look(tmp_path, made, shell=target_shell, packages=["dnf:x"])["limits"].records
    assert record["value"] == Path("/proc/sys/fs/inotify/max_user_instances").read_text().strip()
    assert (record["name"], record["used"]) == ("inotify_instances", "3")


def test_a_kernel_that_tells_no_names_of_processes() -> None:
    """What could not be looked for is not known to be missing."""
    seen = here(["dash"], moved={"/proc/self/comm": "/proc/self/no-such-file"})
    asked = {name: (seen[name].status, seen[name].reason) for name in ("roles", "enforcement", "manager")}
    assert {status for status, _reason in asked.values()} == {"unknown"}, asked
    assert "grep is missing, or /proc" in asked["roles"][1]
    assert seen["space"].status == "ok"
