# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit on Windows hosts: real ansible-playbook, real pywinrm, real modules in PowerShell on Wine.

Every state is a host; all are audited in one run in check mode, the `OBSERVED` ones once more in real mode. Those are
compared before and after each run.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import playbooks
from tests.lab.windows import recorded, states
from tests.lab.windows.lab import WindowsLab
from tests.lab.windows.stated import OBSERVED, Stated

NO_LOGIN, NO_PORT = "wrong-password", "dead-port"


class Audits:
    """Both runs and what they left on the hosts."""

    def __init__(self, lab: WindowsLab, hosts: Stated, folder: Path) -> None:
        spare = lab.stand_in(hosts.served["clean"].host)
        with socket.create_server(("127.0.0.1", 0)) as closed:
            dead = closed.getsockname()[1]
        lines = [spare.inventory_line(NO_LOGIN, password="wrong"), spare.inventory_line(NO_PORT, port=dead)]
        self.inventory = hosts.inventory + "\n".join(lines) + "\n"
        self.looks = [hosts.looks()]
        self.runs = {}
        for mode, arguments in (("check", ("--check",)), ("real", ("--limit", ",".join(OBSERVED)))):
            where = folder / mode
            where.mkdir()
            self.runs[mode] = playbooks.run(where, self.inventory, "--forks", "4", *arguments)
            self.looks.append(hosts.looks())

    def row(self, mode: str, host: str) -> dict[str, Any]:
        """A host's row of one run."""
        return self.runs[mode].rows()[host]

    def observation(self, mode: str, host: str) -> dict[str, Any]:
        """What a host answered in one run, as its evidence has it."""
        return recorded.of_evidence(self.runs[mode].folder / "hosts" / f"{host}.jsonl")


@pytest.fixture(scope="module")
def audits(windows_lab: WindowsLab, stated: Stated, tmp_path_factory: pytest.TempPathFactory) -> Audits:
    return Audits(windows_lab, stated, tmp_path_factory.mktemp("audit"))


@pytest.mark.parametrize("state", states.STATES, ids=lambda state: state.name)
def test_states_are_judged_right(audits: Audits, state: states.State) -> None:
    row = audits.row("check", state.name)
    assert row["platform"] == "windows", row
    assert row["verdict"] == state.verdict, row
    assert {product["id"]: product["state"] for product in row["products"]} == state.products, row
    # No Wine has a Security Center or a Defender, so nobody could say what protects it.
    assert sorted(row["unknown_probes"]) == sorted({*state.unknown, "protection"}), row
    assert (
        tuple(fact["topic"] for fact in row["facts"] if fact["topic"] not in ("session", "mention")) == state.facts
    ), row


def test_real_mode_says_the_same(audits: Audits) -> None:
    compared = ("verdict", "products", "reasons", "unknown_probes")
    for name in OBSERVED:
        check, real = audits.row("check", name), audits.row("real", name)
        assert [check[key] for key in compared] == [real[key] for key in compared]


def test_every_host_has_a_row(audits: Audits) -> None:
    names = {state.name for state in states.STATES} | {NO_LOGIN, NO_PORT}
    assert {mode: set(run.rows()) for mode, run in audits.runs.items()} == {"check": names, "real": names}
    left_out = {name for name, row in audits.runs["real"].rows().items() if row["verdict"] == "out_of_scope"}
    assert left_out == names - set(OBSERVED)


def test_versions_and_cyrillic_survive(audits: Audits) -> None:
    (kes,) = audits.row("check", "russian")["products"]
    assert kes["version"] == "12.6.0.438"
    assert any(states.RUSSIAN_PUBLISHER in line for line in kes["evidence"]), kes["evidence"]
    both = {product["id"]: product["version"] for product in audits.row("check", "both")["products"]}
    assert both == {"kes": "12.6.0.438", "klnagent": "15.1.0.20748"}


def test_the_unloaded_profile_is_named(audits: Audits) -> None:
    reasons = " ".join(audits.row("check", "other-profile")["reasons"])
    assert states.OTHER_SID in reasons, reasons
    assert r"C:\users\anna" in reasons, reasons


def test_a_signed_out_profile_with_traces_says_which_text_and_what_to_do(audits: Audits) -> None:
    reasons = " ".join(audits.row("check", "signed-out-vendor")["reasons"])
    assert "holds the text KasperskyLab: let the user sign in" in reasons, reasons
    assert states.OTHER_SID in reasons, reasons


def test_hooks_and_context_are_told(audits: Audits) -> None:
    told = "\n".join(line for left in audits.row("check", "hooks")["products"] for line in left["evidence"])
    assert all(word in told for word in ("klmouflt.K4W-21-25", "320400", "klim6")), told
    facts = "\n".join(fact["text"] for fact in audits.row("check", "server")["facts"])
    assert all(word in facts for word in ("domain controller", "MSSQL$PROD", "old.dll", "restart")), facts


@pytest.mark.parametrize(("host", "word"), [(NO_LOGIN, "login"), (NO_PORT, "port")])
def test_unreachable_says_why(audits: Audits, host: str, word: str) -> None:
    row = audits.row("check", host)
    assert row["verdict"] == "unreachable"
    assert word in " ".join(row["reasons"]).lower(), row["reasons"]


@pytest.mark.parametrize("name", OBSERVED)
@pytest.mark.parametrize(("mode", "number"), [("check", 1), ("real", 2)])
def test_the_audit_changes_nothing(audits: Audits, name: str, mode: str, number: int) -> None:
    del mode
    assert audits.looks[0][name].changes(audits.looks[number][name]) == []


@pytest.mark.parametrize("state", states.STATES, ids=lambda state: state.name)
def test_the_hand_answers_as_recorded_in_both_modes(audits: Audits, state: states.State) -> None:
    recorded.record(state.name, audits.observation("check", state.name))
    for mode in ("check", "real") if state.name in OBSERVED else ("check",):
        recorded.compare(state.name, audits.observation(mode, state.name))
