# SPDX-License-Identifier: GPL-3.0-or-later
"""`evict reach` against the hosts of the lab: passwords, login shells, sudo, and nothing is written there."""

from __future__ import annotations

import json
import subprocess
import sys
import typing as t
from pathlib import Path

from . import snapshot
from .lab import PASSWORD, Host, Lab

CASES: dict[str, tuple[str, dict[str, t.Any], str, str, str]] = {
    # name: host, variables, verdict, failed step, words of its remedy
    "root": ("deb12", {"user": "root"}, "reachable", "", ""),
    "no-python": ("nopy", {"user": "root"}, "reachable", "", ""),
    "rpm": ("rpm9", {"user": "nopass", "become": True}, "reachable", "", ""),
    "fish": ("deb12", {"user": "fishuser", "become": True}, "reachable", "", ""),
    "csh": ("deb12", {"user": "cshuser", "become": True}, "reachable", "", ""),
    "noisy": ("deb12", {"user": "noisy", "become": True}, "reachable", "", ""),
    "password": ("deb12", {"user": "withpass", "password": PASSWORD, "become": True}, "reachable", "", ""),
    "wrong password": ("deb12", {"user": "withpass", "password": "nonsense"}, "unreachable", "login", "password"),
    "sudo wants a password": (
        "deb12",
        {"user": "withpass", "ansible_become": "true"},
        "unknown",
        "privilege",
        "needs a password",
    ),
    "wrong sudo password": (
        "deb12",
        {"user": "withpass", "ansible_become": "true", "ansible_become_password": "nonsense"},
        "unknown",
        "privilege",
        "is wrong",
    ),
    "no sudo": (
        "deb12",
        {"user": "plain", "ansible_become": "true", "ansible_become_password": PASSWORD},
        "unknown",
        "privilege",
        "may not use sudo",
    ),
    "doas": (
        "deb12",
        {"user": "nopass", "ansible_become": "true", "ansible_become_method": "doas"},
        "reachable",
        "",
        "",
    ),
    "su": ("deb12", {"user": "nopass", "ansible_become": "true", "ansible_become_method": "su"}, "reachable", "", ""),
    "requiretty": ("odd", {"user": "nopass", "become": True}, "reachable", "", ""),
    "like cmd.exe": ("cmd", {"user": "root"}, "unknown", "shell", "ansible_shell_type"),
}


def test_hosts_of_the_lab(linux_lab: Lab, shared_hosts: dict[str, Host], tmp_path: Path) -> None:
    hosts = dict(shared_hosts)
    hosts["odd"] = linux_lab.up("rodd", "deb12", "banner", "requiretty", "noexec-tmp")
    hosts["cmd"] = linux_lab.up("rcmd", "deb12", "like-cmd")
    linux_lab.wait(hosts["odd"], hosts["cmd"])
    given = {name: hosts[case[0]].vars(**case[1]) for name, case in CASES.items()}
    inventory = linux_lab.inventory(tmp_path / "hosts", {name.replace(" ", "-"): v for name, v in given.items()})
    before = {name: hosts[name].snapshot() for name in ("deb12", "rpm9")}
    done = subprocess.run(
        [sys.executable, "-m", "evict", "reach", "-i", str(inventory), "--format", "json", "--timeout", "20"],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stdout + done.stderr
    assert PASSWORD not in done.stdout + done.stderr
    assert "nonsense" not in done.stdout + done.stderr
    found = {host["host"]: host for host in json.loads(done.stdout)["hosts"]}
    for name, (_, _, verdict, step, words) in CASES.items():
        host = found[name.replace(" ", "-")]
        bad = [f for f in host["findings"] if f["status"] == "failed"]
        assert (host["verdict"], [f["step"] for f in bad]) == (verdict, [step] if step else []), host
        assert all(words in f["remedy"] for f in bad), host
    assert {f["status"] for f in found["su"]["findings"] if f["step"] == "privilege"} == {"not checked"}
    for name, taken in before.items():
        changes = snapshot.not_allowed(snapshot.diff(taken, hosts[name].snapshot()))
        # fish makes its folders at the first login of any kind.
        assert [change for change in changes if not change.path.startswith("/home/fishuser")] == []
