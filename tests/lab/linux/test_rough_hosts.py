# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts in a bad way (rough.py): right, or `unknown` with the reason; never a traceback, never `absent` while something
is there or could not be seen."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import playbooks

from . import ways
from .lab import HERE, PASSWORD, Host, Lab
from .rough import DIRECT, ENVIRONMENTS, Rough, environments, instead_of_dpkg_query

SEEN = ("present", "kesl running")
REFUSED = ("unknown", "become")
# Users of the host `envs`: variables, and what has to come of them.
LOGINS: dict[str, tuple[dict[str, str], tuple[str, str]]] = {
    **{user: ({}, SEEN) for user in ENVIRONMENTS if user not in ("busybox", "pathless", "german", "sjis")},
    "busybox": ({}, ("present", "kesl installed")),
    "pathless": ({"ansible_become": "true"}, ("unknown", "`ansible_become_exe`")),
    "pathless_told": ({"ansible_become": "true", "ansible_become_exe": "/usr/bin/sudo"}, SEEN),
    "german": ({"ansible_become": "true", "ansible_become_password": PASSWORD}, SEEN),
    "german_wrong": ({"ansible_become": "true", "ansible_become_password": "wrong"}, REFUSED),
    "german_none": ({"ansible_become": "true"}, REFUSED),
    "sjis": ({"ansible_become": "true", "ansible_become_password": PASSWORD}, SEEN),
    "sjis_wrong": ({"ansible_become": "true", "ansible_become_password": "wrong"}, REFUSED),
    "german_su": (
        {"ansible_become": "true", "ansible_become_method": "su", "ansible_become_password": PASSWORD},
        SEEN,
    ),
    # Core knows the prompt of su in Japanese, and reads it as UTF-8: it waits in vain, and that is what the row says.
    "sjis_su": (
        {"ansible_become": "true", "ansible_become_method": "su", "ansible_become_password": PASSWORD},
        ("unknown", "--ask-become-pass"),
    ),
    "turkish_by_file": ({"ansible_pipelining": "false"}, SEEN),
    # The very `echo` by which Ansible finds its temporary folder is silent.
    "functions_by_file": ({"ansible_pipelining": "false"}, ("unknown", "answers nothing")),
    "wrongpath_by_file": ({"ansible_pipelining": "false"}, ("unknown", "transport: ")),
}
FREEZE = instead_of_dpkg_query("kill 'STOP', split ' ', `pgrep -x sh`;")


def make(host: Host, rough: Rough) -> None:
    """Bring a fresh host into its bad way."""
    if rough.product:
        host.install("kesl")
    host.run(rough.script)


@pytest.fixture(scope="module")
def hosts(linux_lab: Lab) -> Iterator[dict[str, Host]]:
    """Each on its own, `envs` with the users of LOGINS, and `frozen`."""
    options = {name: rough.options for name, rough in DIRECT.items()} | {"envs": (), "frozen": ()}
    found = {name: linux_lab.up(f"ro{n}", "deb12", *given) for n, (name, given) in enumerate(options.items())}
    linux_lab.wait(*found.values())
    found["envs"].install("kesl")
    found["envs"].run(environments(PASSWORD))
    found["frozen"].run(FREEZE)
    with ThreadPoolExecutor(4) as pool:
        made = [pool.submit(make, found[name], rough) for name, rough in DIRECT.items()]
        for future in made:
            future.result()
    pid = linux_lab.fleet("pid", found["dead_mount"].name).stdout.strip()
    hang = f"setsid {sys.executable} {HERE}/hang.py {pid} /opt/kaspersky < /dev/null > /dev/null 2>&1 &"
    linux_lab.command("sh", "-c", hang)
    for _ in range(100):
        if "/opt/kaspersky" in found["dead_mount"].run("cat /proc/mounts").stdout:
            break
        time.sleep(0.05)
    yield found
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(Host.down, found.values()))


@pytest.fixture(scope="module")
def audited(hosts: dict[str, Host], linux_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> playbooks.Run:
    """One audit over all of them."""
    lines = {}
    for name, rough in DIRECT.items():
        given: dict[str, Any] = {**rough.variables}
        if name != "crowd":
            given["evict_probe_timeout"] = "4"
        lines[name] = hosts[name].vars(user=rough.user, proxy=False, **given)
    for name, (more, _) in LOGINS.items():
        user, _, _ = name.partition("_")
        given = {"ansible_timeout": "6", **more}
        lines[f"as_{name}"] = hosts["envs"].vars(user=user, proxy=False, **given)
    return ways.audit(linux_lab, tmp_path_factory.mktemp("ro"), lines, "--forks", "6")


def judged(row: dict[str, Any], verdicts: tuple[str, ...], words: str) -> None:
    said = " | ".join((*row["reasons"], *row["notes"]))
    assert row["verdict"] in verdicts, said
    assert words in said
    assert ("kesl" in ways.states(row)) == (row["verdict"] == "present"), row


def test_no_traceback_and_no_absent(audited: playbooks.Run) -> None:
    assert "Traceback" not in audited.out
    rows = audited.rows()
    assert len(rows) == len(DIRECT) + len(LOGINS)
    assert [name for name, row in rows.items() if row["verdict"] == "absent"] == []


@pytest.mark.parametrize("name", DIRECT)
def test_rough_host(name: str, audited: playbooks.Run) -> None:
    judged(audited.rows()[name], DIRECT[name].verdicts, DIRECT[name].words)


@pytest.mark.parametrize("name", LOGINS)
def test_what_a_login_brings_along(name: str, audited: playbooks.Run) -> None:
    verdict, words = LOGINS[name][1]
    judged(audited.rows()[f"as_{name}"], (verdict,), words)


def test_a_frozen_observer(hosts: dict[str, Host], linux_lab: Lab, tmp_path: Path) -> None:
    """All shells of the scan are stopped, the one with the alarm too: the task's own limit ends it."""
    book = tmp_path / "book.yml"
    book.write_text("- hosts: all\n  gather_facts: false\n  tasks:\n    - evict.kaspersky.scan:\n      timeout: 6\n")
    lines = {"frozen": hosts["frozen"].vars(proxy=False)}
    run = ways.audit(linux_lab, tmp_path, lines, playbook=str(book))
    judged(run.rows()["frozen"], ("unknown",), "no answer within 6 s")
    assert "Traceback" not in run.out


def test_nothing_of_ours_stays_on_a_host(audited: playbooks.Run, hosts: dict[str, Host]) -> None:
    """Neither a file nor a process, after scans that were killed, stopped, or travelled as a file."""
    for name in ("observer_killed", "probe_killed", "dpkg_sleeps", "dpkg_stopped", "crowd", "envs"):
        left = hosts[name].run("find / -xdev -name 'observe.sh*' -o -xdev -name 'ansible-tmp-*'")
        assert left.stdout == "", name
    for name in ("observer_killed", "probe_killed", "dpkg_sleeps"):
        for _ in range(100):
            left = hosts[name].run("ps -eo comm,args | grep -E '^(dpkg-query|sleep|ls|rpm) ' || :")
            if not left.stdout:
                break
            time.sleep(0.1)
        assert left.stdout == "", name
