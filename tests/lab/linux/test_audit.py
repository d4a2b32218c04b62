# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit on real hosts: every transport right or honest, nothing changed. The states are in test_states.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import evidence
from tests.e2e import playbooks

from . import snapshot
from .lab import DEAD, PASSWORD, Host, Lab
from .states import STATES
from .test_states import row_of

ABSENT = ("absent", "")
# name -> options of the host, variables of the inventory, verdict, what the reason must say
TRANSPORTS: dict[str, tuple[tuple[str, ...], dict[str, Any], tuple[str, str]]] = {
    "root by key": ((), {"user": "root"}, ABSENT),
    "sudo without password": ((), {"user": "nopass", "become": True}, ABSENT),
    "sudo with password": ((), {"user": "withpass", "become": True}, ABSENT),
    "banner": (("banner",), {"user": "nopass", "become": True}, ABSENT),
    "profile that prints": ((), {"user": "noisy", "become": True}, ABSENT),
    "requiretty": (("requiretty",), {"user": "nopass", "become": True}, ABSENT),
    "requiretty and a password": (("requiretty",), {"user": "withpass", "become": True}, ABSENT),
    "requiretty and noexec tmp": (("requiretty", "noexec-tmp"), {"user": "nopass", "become": True}, ABSENT),
    "pipelining off": ((), {"user": "nopass", "become": True, "ansible_pipelining": "false"}, ABSENT),
    "csh": ((), {"user": "cshuser", "become": True}, ABSENT),
    "password": ((), {"user": "nopass", "password": PASSWORD, "become": True}, ABSENT),
    "no privilege": ((), {"user": "plain"}, ("unknown", "become")),
    "not in sudoers": ((), {"user": "plain", "become": True}, ("unknown", "privilege")),
    "wrong sudo password": (
        (),
        {"user": "withpass", "become": True, "ansible_become_password": "wrong"},
        ("unknown", "privilege"),
    ),
    "sudo password missing": (
        (),
        {"user": "withpass", "become": True, "ansible_become_password": ""},
        ("unknown", "privilege"),
    ),
    # A user of its own: ssh would else go through the connection that another name of the same host has open.
    "wrong password": ((), {"user": "fishuser", "password": "wrong"}, ("unreachable", "login")),
    "nobody there": ((), {"ansible_host": DEAD}, ("unreachable", "the jump host (`ProxyJump`, `ProxyCommand`)")),
    "no such name": ((), {"ansible_host": "nosuch.invalid", "proxy": False}, ("unreachable", "name")),
    "refused port": ((), {"ansible_port": "2"}, ("unreachable", "")),
    "like cmd.exe": (("like-cmd",), {"user": "root"}, ("unknown", "ansible_shell_type")),
}


@pytest.fixture(scope="module")
def transported(linux_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[playbooks.Run]:
    """One host for each set of options, an inventory name for each transport, one audit."""
    hosts: dict[tuple[str, ...], Host] = {}
    for options, _, _ in TRANSPORTS.values():
        if options not in hosts:
            hosts[options] = linux_lab.up(f"w{len(hosts)}", "deb12", *options)
    linux_lab.wait(*(host for options, host in hosts.items() if "like-cmd" not in options))
    where = tmp_path_factory.mktemp("transports")
    lines = {
        name.replace(" ", "_"): hosts[options].vars(**variables) for name, (options, variables, _) in TRANSPORTS.items()
    }
    inventory = linux_lab.inventory(where / "hosts", lines)
    yield playbooks.run(where, inventory.read_text(), "--check", "--forks", "6", "-vvv")
    for host in hosts.values():
        host.down()


@pytest.mark.parametrize("name", TRANSPORTS)
def test_transport(name: str, transported: playbooks.Run) -> None:
    verdict, words = TRANSPORTS[name][2]
    row = row_of(name.replace(" ", "_"), transported)
    assert row["verdict"] == verdict, row
    assert any(words in reason for reason in row["reasons"]), row


BY_FILE = ("requiretty", "requiretty and a password", "requiretty and noexec tmp", "pipelining off")


@pytest.mark.parametrize("name", [name for name, (_, _, expected) in TRANSPORTS.items() if expected is ABSENT])
def test_the_script_travels_on_stdin_unless_it_cannot(name: str, transported: playbooks.Run) -> None:
    (record,) = evidence.read(transported.folder / "hosts" / f"{name.replace(' ', '_')}.jsonl")
    assert record.data["transport"]["way"] == ("file" if name in BY_FILE else "stdin")


def test_no_password_in_output_or_evidence(transported: playbooks.Run) -> None:
    assert PASSWORD not in transported.out
    files = [p for p in transported.folder.rglob("*") if p.is_file()]
    assert len(files) > len(TRANSPORTS)
    assert not [p for p in files if PASSWORD.encode() in p.read_bytes()]


@pytest.mark.parametrize("root", ["deb12", "rpm9"])
def test_an_audit_changes_nothing(root: str, linux_lab: Lab, shared_hosts: dict[str, Host], tmp_path: Path) -> None:
    """Full-tree snapshots and kernel modules, around a run in check mode and one without."""
    host = shared_hosts[root]
    STATES["clean"].make(host)
    inventory = linux_lab.inventory(tmp_path / "hosts", {root: host.vars(user="withpass", become=True)}).read_text()
    before = host.snapshot()
    assert len(before) > 5_000
    for mode in (["--check"], []):
        where = tmp_path / ("check" if mode else "real")
        where.mkdir()
        assert row_of(root, playbooks.run(where, inventory, *mode))["verdict"] == "absent"
        after = host.snapshot()
        assert snapshot.not_allowed(snapshot.diff(before, after)) == []
