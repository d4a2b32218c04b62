# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections to Windows hosts that hang, break off or are answered by somebody else, at every stage of a scan.

Whatever happens, the host has a row that names the connection, the cause and a remedy, and it is never `absent`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e import playbooks
from tests.lab.windows import recorded
from tests.lab.windows.clients import line
from tests.lab.windows.winrm_standin import Account, Mishap, Offer, RecordedBackend, StandIn

ACCOUNT = Account(user="admin", password="Kn0wn-only/here")
OFFER = Offer(schemes=("negotiate",), allow_unencrypted=False)
STAGES = ("login", "Create", "Command", "Send", "Receive")
CONNECTED = {"winrm": ("Command", "Send", "Receive"), "psrp": ("Command", "Send")}  # psrp receives to connect, too
PAGE = b"<html><body><h1>Service Unavailable</h1></body></html>"
# Clients are told to lose patience soon, but only where nothing will come.
IMPATIENT = {
    "winrm": {"ansible_winrm_operation_timeout_sec": 1, "ansible_winrm_read_timeout_sec": 4},
    "psrp": {
        "ansible_psrp_operation_timeout": 1,
        "ansible_psrp_read_timeout": 4,
        "ansible_psrp_reconnection_backoff": 0,
    },
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """A mishap and what the row must say of it."""

    connection: str
    mishap: Mishap
    causes: tuple[str, ...]

    @property
    def name(self) -> str:
        what = self.mishap.status if self.mishap.kind == "status" else self.mishap.kind
        return f"{self.connection}-{self.mishap.at}-{what}".lower()


def _cases() -> Iterator[Case]:
    for connection in CONNECTED:
        for at in STAGES:
            # When a Send fails, winrm still asks for output: over a new connection, and the host cannot read that.
            hang = ("connection",) if (connection, at) == ("winrm", "Send") else ("timeout",)
            yield Case(connection=connection, mishap=Mishap(at=at, kind="hang"), causes=hang)
            yield Case(connection=connection, mishap=Mishap(at=at, kind="close"), causes=("connection",))
            yield Case(connection=connection, mishap=Mishap(at=at, kind="reset"), causes=("connection",))
            if at != "login":
                yield Case(connection=connection, mishap=Mishap(at=at, kind="cut"), causes=("connection",))
        for at in ("login", "Create", "Command", "Receive"):
            for status in (200, 401, 404, 500, 503):
                mishap = Mishap(at=at, kind="status", status=status, body=PAGE if status != 401 else b"")
                causes: tuple[str, ...] = ("login",) if status == 401 else ("answer",)
                if (connection, at, status) == ("winrm", "Receive", 200):
                    causes = ("answer", "connection")  # it takes the page for an answer without output and asks again
                yield Case(connection=connection, mishap=mishap, causes=causes)


CASES = tuple(_cases())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[playbooks.Run]:
    backend = RecordedBackend(observation=recorded.FOLDER / "kes.json")
    with ExitStack() as stack:
        lines = []
        for case in CASES:
            server = stack.enter_context(StandIn(backend, ACCOUNT, offer=OFFER))
            server.mishap = case.mishap
            more: dict[str, Any] = IMPATIENT[case.connection] if case.mishap.kind == "hang" else {}
            lines.append(line(case.name, server, ACCOUNT, "ntlm", case.connection, **more))
        yield playbooks.run(tmp_path_factory.mktemp("broken"), "\n".join(lines) + "\n", "--forks", "16")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_broken_connections_are_named(run: playbooks.Run, case: Case) -> None:
    row = run.rows()[case.name]
    connected = case.mishap.at in CONNECTED[case.connection]
    (reason,) = row["reasons"]
    cause, connection, _rest = reason.split(": ", 2)
    assert cause in case.causes, reason
    assert connection == case.connection, reason
    assert row["verdict"] == ("unknown" if connected else "unreachable"), row
    assert row["products"] == []


def test_there_is_evidence_and_no_traceback(run: playbooks.Run) -> None:
    assert "Traceback" not in run.out
    assert not [row for row in run.rows().values() if row["reasons"][0].startswith("Task failed")]
    assert {file.stem for file in run.folder.glob("hosts/*.jsonl")} == {case.name for case in CASES}


STATUS = {401: "login", 404: "answer", 500: "answer", 503: "answer"}


@pytest.fixture(scope="module")
def gone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[playbooks.Run]:
    """Answers of somebody else in the middle of a scan, who then takes no part any more: tidying up fails as well."""
    with ExitStack() as stack:
        lines = []
        for status in STATUS:
            server = stack.enter_context(
                StandIn(RecordedBackend(observation=recorded.FOLDER / "kes.json"), ACCOUNT, offer=OFFER)
            )
            server.mishap = Mishap(
                at="Receive", kind="status", status=status, body=PAGE, then=Mishap(at="login", kind="reset")
            )
            lines.append(line(f"s{status}", server, ACCOUNT, "ntlm", "winrm"))
        yield playbooks.run(tmp_path_factory.mktemp("gone"), "\n".join(lines) + "\n")


@pytest.mark.parametrize(("status", "cause"), STATUS.items())
def test_what_failed_first_is_named(gone: playbooks.Run, status: int, cause: str) -> None:
    (reason,) = gone.rows()[f"s{status}"]["reasons"]
    assert reason.startswith(f"{cause}: winrm: "), reason


@pytest.fixture(scope="module")
def tidying(tmp_path_factory: pytest.TempPathFactory) -> Iterator[playbooks.Run]:
    """A scan whose answer is there already when the connection breaks off."""
    backend = RecordedBackend(observation=recorded.FOLDER / "kes.json")
    with ExitStack() as stack:
        lines = []
        for connection in CONNECTED:
            server = stack.enter_context(StandIn(backend, ACCOUNT, offer=OFFER))
            server.mishap = Mishap(at="Delete", kind="reset")
            lines.append(line(connection, server, ACCOUNT, "ntlm", connection))
        yield playbooks.run(tmp_path_factory.mktemp("tidying"), "\n".join(lines) + "\n")


@pytest.mark.parametrize("connection", CONNECTED)
def test_an_answer_counts_though_the_shell_cannot_be_deleted(tidying: playbooks.Run, connection: str) -> None:
    assert tidying.rows()[connection]["verdict"] == "present"
