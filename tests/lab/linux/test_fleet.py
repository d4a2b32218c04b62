# SPDX-License-Identifier: GPL-3.0-or-later
"""The Linux lab itself: hosts are what they claim to be, states too, and nothing is left of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from . import snapshot
from .conftest import Fresh
from .lab import DEAD, PASSWORD, Host, Lab, LabError
from .states import STATES

OS = {"deb12": ("debian", "12"), "deb13": ("debian", "13"), "nopy": ("debian", "12"), "rpm9": ("rocky", "9.5")}


@pytest.fixture(scope="module")
def odd(linux_lab: Lab) -> Host:
    """A host with all settings that make trouble for a transport."""
    host = linux_lab.up("odd", "deb12", "banner", "requiretty", "noexec-tmp")
    linux_lab.wait(host)
    return host


@pytest.mark.parametrize("root", OS)
def test_host_is_real(shared_hosts: dict[str, Host], root: str) -> None:
    host = shared_hosts[root]
    facts = host.ssh(
        "root", ". /etc/os-release; echo $ID $VERSION_ID; cat /proc/1/comm; systemctl is-system-running; hostname"
    )
    assert facts.stdout.split() == [*OS[root], "systemd", "running", root]
    counter = "rpm -qa" if host.family == "rpm" else "dpkg-query -W"
    assert len(host.run(counter).stdout.splitlines()) >= (12 if host.family == "rpm" else 80)
    other = "dpkg dpkg-query apt" if host.family == "rpm" else "rpm dnf"
    assert host.run(f"! command -v {other}").stdout == ""


def test_one_root_has_no_python(shared_hosts: dict[str, Host]) -> None:
    found = {root: host.run("command -v python3 || echo none").stdout.strip() for root, host in shared_hosts.items()}
    assert found == {
        "deb12": "/usr/bin/python3",
        "deb13": "/usr/bin/python3",
        "nopy": "none",
        "rpm9": "/usr/bin/python3",
    }


@pytest.mark.parametrize("root", OS)
def test_users(shared_hosts: dict[str, Host], root: str) -> None:
    host = shared_hosts[root]
    assert host.ssh("nopass", "sudo -n id -u").stdout == "0\n"
    assert host.ssh("withpass", "sudo -n id -u", check=False).returncode != 0
    assert host.ssh("withpass", "sudo -S -p '' id -u", stdin=f"{PASSWORD}\n").stdout == "0\n"
    assert host.ssh("plain", "sudo -S -p '' id -u", stdin=f"{PASSWORD}\n", check=False).stdout == ""
    assert host.ssh("plain", "su -c 'id -u'", stdin=f"{PASSWORD}\n").stdout == "0\n"
    assert len(host.ssh("noisy", "sudo -n id -u").stdout.splitlines()) > 100


def test_login_with_a_password(shared_hosts: dict[str, Host], linux_lab: Lab) -> None:
    options = ["-o", "PubkeyAuthentication=no", *linux_lab.ssh_options(proxy=False)]
    to = f"withpass@{shared_hosts['deb12'].address}"
    right = linux_lab.command("sshpass", "-d0", "ssh", *options, to, "id -un", stdin=f"{PASSWORD}\n")
    wrong = linux_lab.command("sshpass", "-d0", "ssh", *options, to, "id -un", stdin="wrong\n", check=False)
    assert (right.stdout, wrong.stdout, wrong.returncode) == ("withpass\n", "", 5)


def test_other_login_shells_and_doas(shared_hosts: dict[str, Host]) -> None:
    host = shared_hosts["deb12"]
    assert "tcsh" in host.ssh("cshuser", "echo $version").stdout
    assert host.ssh("fishuser", "echo $FISH_VERSION").stdout.strip() > "3"
    assert host.ssh("nopass", "doas id -u").stdout == "0\n"


def test_host_options(odd: Host, linux_lab: Lab) -> None:
    refused = odd.ssh("nopass", "sudo -n id -u", check=False)
    assert "authorised use only" in refused.stderr
    assert "must have a tty" in refused.stderr
    assert refused.stdout == ""
    script = "printf '#!/bin/sh\\necho ran\\n' > /tmp/x; chmod 755 /tmp/x; "
    assert odd.ssh("root", script + "/tmp/x", check=False).returncode == 126
    small = linux_lab.up("small", "deb13", "small-tmp")
    cmd = linux_lab.up("cmd", "deb12", "like-cmd")
    linux_lab.wait(small, cmd)
    assert small.ssh("root", "head -c 1000000 /dev/zero > /tmp/x", check=False).returncode != 0
    answer = cmd.ssh("root", "/bin/sh -c 'echo hi'", check=False)
    assert (answer.returncode, answer.stdout) == (1, "")
    assert "is not recognized as an internal or external command" in answer.stderr
    small.down()
    cmd.down()


def test_reboot(fresh_host: Fresh) -> None:
    host = fresh_host("deb12")
    host.run("echo kept > /root/kept")
    before = host.boot_id()
    host.reboot()
    assert host.boot_id() != before
    assert host.run("cat /root/kept").stdout == "kept\n"


def test_reset_gives_a_clean_host_with_the_same_machine_id(fresh_host: Fresh) -> None:
    host = fresh_host("deb12")
    host.run("echo dirt > /root/dirt")
    machine = host.run("cat /etc/machine-id").stdout
    host.reset()
    assert host.run("ls /root").stdout == ""
    assert host.run("cat /etc/machine-id").stdout == machine
    assert len(machine.strip()) == 32


def test_no_way_out(linux_lab: Lab) -> None:
    assert linux_lab.command("ip", "route").stdout.split()[0] == "198.18.0.0/16"
    assert "default" not in linux_lab.command("ip", "route").stdout
    assert linux_lab.command("timeout", "5", "bash", "-c", f"exec 3<>/dev/tcp/{DEAD}/22", check=False).returncode != 0


@pytest.mark.parametrize("root", OS)
def test_ansible_reaches_hosts_from_outside_the_lab(
    shared_hosts: dict[str, Host], linux_lab: Lab, tmp_path: Path, root: str
) -> None:
    hosts = {
        "key": shared_hosts[root].vars(user="nopass", become=True),
        "pass": shared_hosts[root].vars(user="withpass", become=True),
    }
    inventory = linux_lab.inventory(tmp_path / "inventory", hosts)
    ansible = str(Path(sys.executable).with_name("ansible"))
    command = [ansible, "all", "-i", str(inventory), "-o", "-m", "ansible.builtin.raw", "-a", "echo uid=$(id -u)"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(line.split()[0] for line in done.stdout.splitlines() if "uid=0" in line) == ["key", "pass"]


CASES = [(name, root) for name, state in STATES.items() for root in state.roots if root != "nopy"]


@pytest.mark.parametrize(("name", "root"), CASES)
def test_state_is_what_it_claims(fresh_host: Fresh, name: str, root: str) -> None:
    host = fresh_host(root)
    state = STATES[name]
    state.make(host)
    for check in state.checks:
        host.run(check)


def test_removal_failures_on_demand(fresh_host: Fresh) -> None:
    host = fresh_host("rpm9")
    host.install("klnagent64")
    host.run("mkdir -p /etc/fake-kaspersky; touch /etc/fake-kaspersky/prerm-fail")
    assert host.run("rpm -e klnagent64", check=False).returncode != 0
    assert host.run("rpm -q klnagent64; systemctl is-active klnagent64").stdout.splitlines()[-1] == "active"
    host.run("rm /etc/fake-kaspersky/prerm-fail; touch /etc/fake-kaspersky/leftovers; rpm -e klnagent64")
    assert host.run("! rpm -q klnagent64; ls /var/opt/kaspersky").stdout.split() != []


def test_snapshot_sees_every_kind_of_change(fresh_host: Fresh) -> None:
    host = fresh_host("deb12")
    host.run("touch /root/goes /root/written /root/mode; ln -s a /root/link")
    before = host.snapshot()
    host.run(
        "rm /root/goes; echo x > /root/written; chmod 600 /root/mode; ln -sfn b /root/link; touch /dev/shm/new /run/new"
    )
    changes = snapshot.not_allowed(snapshot.diff(before, host.snapshot()))
    paths = {
        "/root",
        "/root/goes",
        "/root/written",
        "/root/mode",
        "/root/link",
        "/dev/shm/new",
        "/run/new",
        "/dev/shm",
    }
    assert {change.path for change in changes} == paths
    assert len(before) > 5000


def test_looking_at_a_host_changes_nothing(fresh_host: Fresh) -> None:
    host = fresh_host("deb12")
    before = host.snapshot()
    host.ssh("nopass", "sudo -n id")
    host.ssh("withpass", "sudo -S -p '' id", stdin=f"{PASSWORD}\n")
    assert [str(c) for c in snapshot.not_allowed(snapshot.diff(before, host.snapshot()))] == []


def test_every_allowed_change_has_a_reason() -> None:
    patterns = snapshot.allowed()
    assert "/var/log/wtmp" in patterns
    assert [pattern for pattern, reason in patterns.items() if len(reason) < 10] == []


def test_teardown_leaves_nothing() -> None:
    lab = Lab(f"gone-{os.getpid()}")
    lab.stop()
    lab.start("deb12")
    host = lab.up("one", "deb12")
    lab.wait(host)
    host.ssh("root", "true")
    assert any(line.startswith("process ") for line in lab.residue())
    lab.stop()
    assert lab.residue() == []
    assert not (lab.state / lab.name).exists()
    lab.stop()  # and once more: nothing to do


def test_a_killed_lab_is_cleared_away(linux_lab: Lab) -> None:
    lab = Lab(f"killed-{os.getpid()}")
    lab.stop()
    lab.start("deb12")
    host = lab.up("one", "deb12")
    lab.wait(host)
    # The process that keeps the lab is killed the hard way: the host runs on, and nobody can reach it any more.
    os.kill(int((lab.state / lab.name / "pid").read_text()), signal.SIGKILL)
    with pytest.raises(LabError, match="not up"):
        lab.command("true")
    assert lab.residue() != []
    lab.stop()
    assert lab.residue() == []
    lab.start("deb12")
    again = lab.up("one", "deb12")
    lab.wait(again)
    assert again.ssh("root", "echo back").stdout == "back\n"
    lab.stop()
    assert lab.residue() == []
