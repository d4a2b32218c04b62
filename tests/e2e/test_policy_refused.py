# SPDX-License-Identifier: GPL-3.0-or-later
"""Broken policies through real ansible-playbook: refused with the line to mend, and no host is contacted.

The hosts are an address on this machine where a listener counts connections.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from ansible.release import __version__ as ansible_version

from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy import EXTRA_ONLY
from tests.e2e import playbooks
from tests.policies import BROKEN, CANARY, Broken

AUDIT = [case for case in BROKEN if not case.plan and not case.known]
# What may stand in an inventory, or is refused because it does.
STANDING = [case for case in AUDIT if case.extra is not None or not EXTRA_ONLY & set(case.given)]


class Listener:
    """Takes connections and counts them; says nothing, so whoever connects learns that there is no ssh."""

    def __init__(self) -> None:
        self.connections = 0
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # the socket is closed when the test ends
            while True:
                connection, _address = self._socket.accept()
                self.connections += 1
                connection.close()

    def close(self) -> None:
        """Stop."""
        self._socket.close()

    def inventory(self, *hosts: str) -> str:
        """An inventory of hosts that all are this listener."""
        return "".join(f"{host} ansible_host=127.0.0.1 ansible_port={self.port}\n" for host in hosts)


@pytest.fixture
def listener() -> Iterator[Listener]:
    """A listener for one test."""
    made = Listener()
    yield made
    made.close()


def errors(out: str) -> dict[str, str]:
    """What the hosts failed with."""
    found = re.finditer(r"^fatal: \[([^\]]+)\]: FAILED! => ", out, re.MULTILINE)
    return {match[1]: json.JSONDecoder().raw_decode(out, match.end())[0]["msg"] for match in found}


def origins(source: str) -> bool:
    """Does this core keep the line of a variable? An INI inventory has lines from 2.19 on only."""
    return source != "inventory" or tuple(map(int, ansible_version.split(".")[:2])) >= (2, 19)


def test_the_listener_would_see_a_host_that_is_contacted(tmp_path: Path, listener: Listener) -> None:
    done = playbooks.run(tmp_path, listener.inventory("box"), "-e", '{"evict_purge": "false"}')
    assert listener.connections > 0
    assert done.rows()["box"]["verdict"] in ("unknown", "unreachable")


def test_every_broken_policy_of_an_inventory_is_refused_with_its_line(tmp_path: Path, listener: Listener) -> None:
    """One host for each, with its variables in host_vars as a person would write them."""
    (tmp_path / "host_vars").mkdir()
    for case in STANDING:
        text = "---\n# what this host is told\n" + yaml.safe_dump(dict(case.given), sort_keys=False, allow_unicode=True)
        (tmp_path / "host_vars" / f"{case.name}.yml").write_text(text)
    done = playbooks.run(tmp_path, listener.inventory(*(case.name for case in STANDING)))
    said = errors(done.out)
    assert listener.connections == 0
    assert done.code == 2
    for case in STANDING:
        lines = said[case.name].splitlines()
        assert {line.split("`")[1] for line in lines} == {case.variable}, case.name
        assert all(words in said[case.name] for words in case.words), (case.name, said[case.name])
        for line in lines:
            place = re.search(rf"; see (host_vars/{case.name}\.yml):(\d+)$", line)
            assert place, line
            assert int(place[2]) > 2
    assert CANARY not in done.out
    written = "".join(path.read_text() for path in done.folder.rglob("*") if path.is_file())
    assert CANARY not in written
    assert {row["verdict"] for row in done.rows().values()} == {"unknown"}
    assert "Traceback" not in done.out


FILES = ["typo", "password_as_name", "hash_md5", "login_in_address", "secret_text", "exclude_root", "consent_typo"]


@pytest.mark.parametrize("case", [case for case in AUDIT if case.name in FILES], ids=lambda case: case.name)
def test_a_broken_file_of_extra_vars_is_refused_with_its_line(tmp_path: Path, listener: Listener, case: Broken) -> None:
    text = "# settings of this run\n\nevict_purge: false\n" + yaml.safe_dump(dict(case.given), sort_keys=False)
    (tmp_path / "vars.yml").write_text(text)
    done = playbooks.run(tmp_path, listener.inventory("a", "b"), "-vvvv", "-e", "@vars.yml")
    said = errors(done.out)
    assert listener.connections == 0
    assert set(said) == {"a", "b"}
    for message in said.values():
        assert message.startswith(f"`{case.variable}` ")
        assert all(words in message for words in case.words)
        found = re.search(r"; see vars\.yml:(\d+)$", message)
        assert found
        line = text.splitlines()[int(found[1]) - 1]
        key = (
            message.partition(" at `")[2].partition("`")[0].rpartition(".")[2] if " at `" in message else case.variable
        )
        assert key in line
    assert done.code == 2
    assert CANARY not in done.out


PLANNED = [case for case in BROKEN if case.name in {"nothing_to_plan", "fallback_missing", "unknown_provider"}]
PLANNED += [case for case in BROKEN if case.name in {"fallback_none_without_consent", "hash_md5", "secret_text"}]


def test_a_plan_asks_for_more_and_contacts_nobody_either(tmp_path: Path, listener: Listener) -> None:
    (tmp_path / "host_vars").mkdir()
    for case in PLANNED:
        whole = dict(case.given)
        if not case.plan:  # what a plan needs is there, so that only this mistake is left
            whole = {"evict_replacement": {"linux": "mde_linux"}, **whole}
        (tmp_path / "host_vars" / f"{case.name}.yml").write_text(yaml.safe_dump(whole))
    done = playbooks.run(
        tmp_path,
        listener.inventory(*(case.name for case in PLANNED)),
        "--check",
        "-e",
        "evict_hosts=all",
        playbook="evict.kaspersky.remediate",
    )
    said = errors(done.out)
    assert listener.connections == 0
    for case in PLANNED:
        assert {line.split("`")[1] for line in said[case.name].splitlines()} == {case.variable}, said[case.name]
        assert all(words in said[case.name] for words in case.words), (case.name, said[case.name])
    assert CANARY not in done.out


def test_a_plan_has_no_target_of_its_own(tmp_path: Path, listener: Listener) -> None:
    inventory = listener.inventory("box") + "[all:vars]\nevict_hosts=all\n"
    done = playbooks.run(tmp_path, inventory, "--check", playbook="evict.kaspersky.remediate")
    assert done.code != 0
    assert "-e evict_hosts=PATTERN" in done.out
    assert listener.connections == 0


STANDING_VALUES = {"evict_hosts": "all", "evict_consent": "remove", "evict_waves": "5,10"}


@pytest.mark.parametrize("source", ["inventory", "group_vars", "playbook"])
def test_standing_target_consent_and_waves_are_refused_and_from_extra_vars_taken(
    tmp_path: Path, listener: Listener, source: str
) -> None:
    inventory, playbook = listener.inventory("box"), "evict.kaspersky.audit"
    lines = [f"{name}: {value}" for name, value in STANDING_VALUES.items()]
    if source == "inventory":
        inventory += "[all:vars]\n" + "\n".join(line.replace(": ", "=") for line in lines) + "\n"
        places = ["hosts:3", "hosts:4", "hosts:5"]
    elif source == "group_vars":
        (tmp_path / "group_vars").mkdir()
        (tmp_path / "group_vars" / "all.yml").write_text("\n".join(["---", *lines]) + "\n")
        places = ["group_vars/all.yml:2", "group_vars/all.yml:3", "group_vars/all.yml:4"]
    else:
        playbook = str(tmp_path / "play.yml")
        text = ["- hosts: all", "  gather_facts: false", "  vars:", *(f"    {line}" for line in lines), "  tasks:"]
        Path(playbook).write_text("\n".join([*text, "    - evict.kaspersky.scan:"]) + "\n")
        places = ["play.yml:4", "play.yml:5", "play.yml:6"]
    done = playbooks.run(tmp_path, inventory, playbook=playbook)
    (said,) = errors(done.out).values()
    found = {line.split("`")[1]: line.partition("; see ")[2] for line in said.splitlines()}
    assert all("is taken from extra vars only: give it with -e or in a survey" in line for line in said.splitlines())
    assert set(found) == set(STANDING_VALUES)
    if origins(source):
        assert found == dict(zip(STANDING_VALUES, places, strict=True))
    assert listener.connections == 0
    # The same names given with -e win over what stands there, and are taken; as a text and as JSON.
    for index, extra in enumerate(
        (" ".join(f"{k}={v}" for k, v in STANDING_VALUES.items()), json.dumps(STANDING_VALUES))
    ):
        out = json.dumps({"evict_out": str(tmp_path / f"run{index}")})
        again = playbooks.run(tmp_path, inventory, "-e", extra, "-e", out, playbook=playbook)
        assert "`evict_" not in again.out
        assert listener.connections > index
