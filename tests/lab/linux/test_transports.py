# SPDX-License-Identifier: GPL-3.0-or-later
"""Ways to a host beyond those of test_audit.py: right, or honest with cause and remedy. The product runs on every host,
so an `absent` is always a lie."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import playbooks

from . import ways
from .lab import DEAD, PASSWORD, Host, Lab

SETTINGS = r"""
mkdir -p /mnt/noexec /mnt/full
mount -t tmpfs -o mode=1777,noexec noexec /mnt/noexec
mount -t tmpfs -o mode=1777,size=4k full /mnt/full; head -c 9000 /dev/zero > /mnt/full/x || :
for user in nologin rbash; do useradd -m -s /$(cd /; ls usr/sbin/$user bin/$user 2> /dev/null) $user; done
useradd -m -s /bin/bash expired; echo expired:x | chpasswd; chage -d 0 expired
printf 'Match User plain\nAllowTcpForwarding no\n' > /etc/ssh/sshd_config.d/30-plain.conf; systemctl reload ssh
"""
SEEN = ("present", "kesl running")
Row = tuple[str, dict[str, Any], tuple[str, str], str]  # host, arguments of Host.vars, (verdict, words), way
SU: dict[str, Any] = {"become": True, "ansible_become_method": "su", "ansible_become_password": PASSWORD}
DOAS: dict[str, Any] = {"become": True, "ansible_become_method": "community.general.doas"}
FILE: dict[str, Any] = {"become": True, "ansible_pipelining": "false"}
ROOT: dict[str, Any] = {"user": "nopass", "become": True}
TTY = ("unknown", "ansible_ssh_use_tty")
CASES: dict[str, Row] = {
    "requiretty, pipelining on": ("tty", {**ROOT, "ansible_pipelining": "true"}, SEEN, "file"),
    "requiretty, pipelining off": ("tty", {**ROOT, "ansible_pipelining": "false"}, SEEN, "file"),
    "requiretty, no terminal": ("tty", {**ROOT, "ansible_ssh_use_tty": "false"}, TTY, "file"),
    "requiretty, nothing": ("tty", {**ROOT, **FILE, "ansible_ssh_use_tty": "false"}, TTY, "file"),
    "su": ("one", {"user": "plain", **SU}, SEEN, "file"),
    "su, noisy profile": ("one", {"user": "noisy", **SU}, SEEN, "file"),
    "su, csh": ("one", {"user": "cshuser", **SU}, SEEN, "file"),
    "su, wrong password": (
        "one",
        {"user": "plain", **SU, "ansible_become_password": "wrong"},
        ("unknown", "become user, method and password"),
        "file",
    ),
    "su, no password": (
        "one",
        {"user": "plain", "become": True, "ansible_become_method": "su", "ansible_timeout": "4"},
        ("unknown", "--ask-become-pass"),
        "",
    ),
    "doas": ("one", {"user": "nopass", **DOAS}, SEEN, "file"),
    "doas, not permitted": ("one", {"user": "plain", **DOAS}, ("unknown", "privilege: "), "file"),
    "no such method": (
        "one",
        {**ROOT, "ansible_become_method": "dosa"},
        ("unknown", "no become plugin dosa: check the spelling"),
        "-",
    ),
    "csh named": ("one", {"user": "cshuser", "become": True, "ansible_shell_type": "csh"}, SEEN, "stdin"),
    "csh by file": ("one", {"user": "cshuser", **FILE}, SEEN, "file"),
    "csh named by file": ("one", {"user": "cshuser", **FILE, "ansible_shell_type": "csh"}, SEEN, "file"),
    "fish": ("one", {"user": "fishuser", "become": True}, SEEN, "stdin"),
    "fish named": ("one", {"user": "fishuser", "become": True, "ansible_shell_type": "fish"}, SEEN, "stdin"),
    "fish by file": ("one", {"user": "fishuser", **FILE}, SEEN, "file"),
    "fish named by file": (
        "one",
        {"user": "fishuser", **FILE, "ansible_shell_type": "fish"},
        ("unknown", "`ansible_shell_type: fish` does not go with"),
        "file",
    ),
    "noisy by file": ("one", {"user": "noisy", **FILE}, SEEN, "file"),
    "noexec remote_tmp": ("one", {"user": "nopass", **FILE, "ansible_remote_tmp": "/mnt/noexec/t"}, SEEN, "file"),
    "full remote_tmp": (
        "one",
        {"user": "nopass", **FILE, "ansible_remote_tmp": "/mnt/full/t"},
        ("unknown", "is full: make room"),
        "file",
    ),
    "closed remote_tmp": (
        "one",
        {"user": "nopass", **FILE, "ansible_remote_tmp": "/root/t"},
        ("unknown", "cannot write to `ansible_remote_tmp`"),
        "file",
    ),
    "full remote_tmp on stdin": ("one", {**ROOT, "ansible_remote_tmp": "/mnt/full/t"}, SEEN, "stdin"),
    "nologin": ("one", {"user": "nologin"}, ("unknown", "an account with a shell"), "stdin"),
    "nologin by file": (
        "one",
        {"user": "nologin", "ansible_pipelining": "false"},
        ("unknown", "an account with a shell"),
        "file",
    ),
    "restricted shell": ("one", {"user": "rbash"}, ("unknown", "check the account's shell"), "stdin"),
    "expired password": ("one", {"user": "expired"}, ("unknown", "renew its password"), "stdin"),
    "banner, no such user": ("one", {"user": "nosuch"}, ("unreachable", "login: "), ""),
}


def own_connection(variables: dict[str, str], *options: str) -> dict[str, str]:
    """No connection is shared with another name of the host, unless the options, which come first, say so."""
    words = " ".join((*options, "-o ControlPath=none"))
    return {**variables, "ansible_ssh_common_args": f"{words} {variables['ansible_ssh_common_args']}"}


def with_keys(host: Host, file: Path) -> dict[str, str]:
    """The host, with another known_hosts."""
    given = host.vars(user="nopass", become=True, proxy=False)
    given["ansible_ssh_common_args"] = given["ansible_ssh_common_args"].replace(str(host.lab.known_hosts), str(file))
    return own_connection(given)


JUMPS: dict[str, tuple[str, str]] = {
    "jump": SEEN,
    "jump_not": ("unreachable", "port: "),
    "jump_user": ("unreachable", "jump: the way through the jump host"),
    "jump_user_told": ("unreachable", "login: the login was refused: check user, key or password; it may be the jump"),
    "jump_key_told": ("unreachable", "host key: "),
    "jump_forbids": ("unreachable", "allows TCP forwarding"),
    "jump_nowhere": ("unreachable", "port: "),
    "key_wrong": ("unreachable", "host key: "),
    "key_unknown": ("unreachable", "host key: "),
    "paramiko": SEEN,
    "paramiko_password": SEEN,
    "paramiko_su": SEEN,
    "paramiko_requiretty": SEEN,
    "paramiko_login": ("unreachable", "login: "),
    "paramiko_nobody": ("unreachable", "port: "),
}


def jumps(one: Host, inner: Host, where: Path) -> dict[str, dict[str, str]]:
    """Through `one` to `inner`, which does not answer the controller."""
    lab = one.lab
    config = where / "ssh_config"
    common = f"HostName {one.address}\nIdentityFile {lab.key}\nStrictHostKeyChecking yes\n"
    hosts = {
        "good": f"User nopass\nUserKnownHostsFile {lab.known_hosts}",
        "user": f"User nosuch\nUserKnownHostsFile {lab.known_hosts}",
        "forbids": f"User plain\nUserKnownHostsFile {lab.known_hosts}",
        "key": "User nopass\nUserKnownHostsFile /dev/null",
    }
    config.write_text("".join(f"Host {name}\n{common}{text}\n" for name, text in hosts.items()))

    def to(jump: str, *options: str, **more: str) -> dict[str, str]:
        given = inner.vars(user="nopass", become=True, proxy=False, **more)
        return own_connection(given, f"-F {config}", f"-o ProxyJump={jump}", *options)

    wrong = where / "wrong"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(where / "other")], check=True)
    wrong.write_text(f"{one.address} {(where / 'other.pub').read_text()}")
    # With a connection to be kept, as Ansible has it by default, ssh keeps what the jump host says to itself.
    kept = f"-o ControlPath={where}/kept"
    return {
        "jump": to("good"),
        "jump_not": own_connection(inner.vars(user="nopass", become=True, proxy=False, ansible_timeout="2")),
        "jump_user": to("user", kept),
        "jump_user_told": to("user"),
        "jump_key_told": to("key"),
        "jump_forbids": to("forbids"),
        "jump_nowhere": to("good", ansible_host=DEAD),
        "key_wrong": with_keys(one, wrong),
        "key_unknown": with_keys(one, Path("/dev/null")),
    }


def paramikos(one: Host, tty: Host) -> dict[str, dict[str, str]]:
    """The other ssh connection plugin."""
    way: dict[str, Any] = {"proxy": False, "ansible_connection": "paramiko_ssh"}
    return {
        "paramiko": one.vars(user="nopass", become=True, **way),
        "paramiko_password": one.vars(user="withpass", password=PASSWORD, become=True, **way),
        "paramiko_su": one.vars(user="plain", **SU, **way),
        "paramiko_requiretty": tty.vars(user="nopass", become=True, **way),
        "paramiko_login": one.vars(user="nosuch", **way),
        "paramiko_nobody": one.vars(ansible_host=DEAD, ansible_timeout="2", **way),
    }


@pytest.fixture(scope="module")
def hosts(linux_lab: Lab) -> Iterator[dict[str, Host]]:
    """`one` behind a banner, `tty` with requiretty, `inner` that only other hosts of the lab reach."""
    found = {
        "one": linux_lab.up("trone", "deb12", "banner"),
        "tty": linux_lab.up("trtty", "deb12", "requiretty", "noexec-tmp"),
        "inner": linux_lab.up("trinner", "deb12"),
    }
    linux_lab.wait(*found.values())
    for host in found.values():
        host.install("kesl")
    found["one"].run(SETTINGS)
    found["inner"].run("ip route add unreachable 198.18.0.1")
    yield found
    for host in found.values():
        host.down()


@pytest.fixture(scope="module")
def audited(hosts: dict[str, Host], linux_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> playbooks.Run:
    """One audit over all ways by ssh, with the collections of the package `ansible` beside ansible-core."""
    where = tmp_path_factory.mktemp("tr")
    (where / ".ssh").mkdir(mode=0o700)
    (where / ".ssh" / "known_hosts").write_text(linux_lab.known_hosts.read_text())  # paramiko knows this place alone
    lines = {
        name.replace(" ", "_").replace(",", ""): hosts[host].vars(**{"proxy": False, **variables})
        for name, (host, variables, _, _) in CASES.items()
    }
    lines |= jumps(hosts["one"], hosts["inner"], where) | paramikos(hosts["one"], hosts["tty"])
    return ways.audit(linux_lab, where, lines, "--forks", "8", ANSIBLE_COLLECTIONS_PATH=str(ways.collections()))


def judged(row: dict[str, Any], verdict: str, words: str) -> None:
    said = " | ".join(row["reasons"])
    assert row["verdict"] == verdict, said
    assert words in said
    assert ("kesl" in ways.states(row)) == (verdict == "present"), row
    assert "Traceback" not in str(row)


@pytest.mark.parametrize("name", CASES)
def test_way(name: str, audited: playbooks.Run) -> None:
    _, _, (verdict, words), way = CASES[name]
    key = name.replace(" ", "_").replace(",", "")
    judged(audited.rows()[key], verdict, words)
    if way != "-":  # core failed the task before the connection was made
        assert ways.way(audited, key) == way


@pytest.mark.parametrize("name", JUMPS)
def test_jump_host_key_and_paramiko(name: str, audited: playbooks.Run) -> None:
    judged(audited.rows()[name], *JUMPS[name])


def test_no_password_is_shown(audited: playbooks.Run) -> None:
    files = [path for path in audited.folder.rglob("*") if path.is_file()]
    assert len(files) > len(CASES)
    assert PASSWORD not in audited.out
    assert not [path for path in files if PASSWORD.encode() in path.read_bytes()]


MISSING = {
    "doas": ({"ansible_become": "true", "ansible_become_method": "doas"}, "collection install community.general"),
    "docker": ({"ansible_connection": "community.docker.docker"}, "collection install community.docker"),
    "podman": ({"ansible_connection": "podman"}, "collection install containers.podman"),
    "csh": ({"ansible_shell_type": "csh"}, "take `ansible_shell_type` away"),
    "fish": ({"ansible_shell_type": "fish"}, "take `ansible_shell_type` away"),
}


def test_a_missing_collection_is_named(tmp_path: Path, linux_lab: Lab, hosts: dict[str, Host]) -> None:
    """What core fails before our verb is asked has a row, too: cause and remedy, no verdict on the host."""
    lines = {name: {**hosts["one"].vars(proxy=False), **given} for name, (given, _) in MISSING.items()}
    run = ways.audit(linux_lab, tmp_path, lines, ANSIBLE_COLLECTIONS_PATH=str(tmp_path / "none"))
    assert "Traceback" not in run.out
    for name, (_, words) in MISSING.items():
        judged(run.rows()[name], "unknown", f"transport: the {'' if words[0] == 'c' else 'shell '}")
        assert words in run.rows()[name]["reasons"][0]


IN_CONTAINER: dict[str, tuple[dict[str, str], tuple[str, str]]] = {
    "full": ({}, SEEN),
    "full_by_file": ({"ansible_pipelining": "false"}, SEEN),
    "full_sudo": ({"ansible_user": "nopass", "ansible_become": "true"}, SEEN),
    "full_user": ({"ansible_user": "plain"}, ("present", "run with privilege")),
    "bare": ({}, ("absent", "every probe answered")),
    "ended": ({}, ("unreachable", "container: ")),
    "nosuch": ({}, ("unreachable", "container: ")),
}


@pytest.mark.slow
@pytest.mark.parametrize("plugin", ["containers.podman.podman", "community.docker.docker"])
def test_containers(
    plugin: str, contained: Callable[[dict[str, dict[str, str]], str], playbooks.Run], linux_lab: Lab
) -> None:
    lines = {
        name: {"ansible_host": name.partition("_")[0], "ansible_connection": plugin, **given}
        for name, (given, _) in IN_CONTAINER.items()
    }
    run = contained(lines, plugin.rpartition(".")[2])
    assert "Traceback" not in run.out
    for name, (_, expected) in IN_CONTAINER.items():
        judged(run.rows()[name], *expected)


@pytest.fixture(scope="module")
def contained(
    linux_lab: Lab, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[dict[str, dict[str, str]], str], playbooks.Run]]:
    """An audit of real podman containers."""
    where = tmp_path_factory.mktemp("c")

    def audit(lines: dict[str, dict[str, str]], name: str) -> playbooks.Run:
        (where / name).mkdir()
        known = str(ways.collections())
        return ways.audit(linux_lab, where / name, lines, path=f"{tools}:", ANSIBLE_COLLECTIONS_PATH=known)

    with ways.containers(linux_lab, where) as tools:
        yield audit


def test_no_container_engine(linux_lab: Lab, tmp_path: Path) -> None:
    lines = {
        name: {"ansible_host": "full", "ansible_connection": plugin}
        for name, plugin in (("podman", "containers.podman.podman"), ("docker", "community.docker.docker"))
    }
    # The folder of this Python alone: no container engine is in there.
    run = ways.audit(linux_lab, tmp_path, lines, PATH="", ANSIBLE_COLLECTIONS_PATH=str(ways.collections()))
    for name in lines:
        judged(run.rows()[name], "unknown", f"transport: the program {name} is missing on this controller")
