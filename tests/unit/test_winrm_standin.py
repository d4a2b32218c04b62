# SPDX-License-Identifier: GPL-3.0-or-later
"""The WinRM stand-in of the Windows lab, spoken to by the real pywinrm; `sh` runs the commands."""

from __future__ import annotations

import base64
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from winrm.exceptions import InvalidCredentialsError, WinRMOperationTimeoutError
from winrm.protocol import Protocol

from tests.lab.windows.winrm_standin import Account, ShBackend, StandIn, soap

USER = "admin"
PASSWORD = "Kn0wn-only/here"


@pytest.fixture(scope="module")
def server() -> Iterator[StandIn]:
    with StandIn(ShBackend(), Account(user=USER, password=PASSWORD)) as running:
        yield running


def client(server: StandIn, *, password: str = PASSWORD, wait: int = 20) -> Any:
    return Protocol(
        server.endpoint,
        transport="basic",
        username=USER,
        password=password,
        read_timeout_sec=wait + 10,
        operation_timeout_sec=wait,
    )


@pytest.fixture
def winrm(server: StandIn) -> Any:
    return client(server)


@pytest.fixture
def shell(winrm: Any) -> Iterator[str]:
    shell_id = winrm.open_shell()
    yield shell_id
    winrm.close_shell(shell_id)


def run(winrm: Any, shell: str, command: str, arguments: tuple[str, ...] = ()) -> tuple[bytes, bytes, int]:
    command_id = winrm.run_command(shell, command, arguments)
    try:
        out, err, code = winrm.get_command_output(shell, command_id)
        return out, err, code
    finally:
        winrm.cleanup_command(shell, command_id)


def post(server: StandIn, body: bytes, *, path: str = "/wsman", password: str = PASSWORD) -> tuple[int, str]:
    token = base64.b64encode(f"{USER}:{password}".encode()).decode()
    headers = {"Authorization": f"Basic {token}", "Content-Type": "application/soap+xml;charset=UTF-8"}
    url = server.endpoint.replace("/wsman", path)
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=body, headers=headers), timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_output_and_exit_code(winrm: Any, shell: str) -> None:
    assert run(winrm, shell, "echo out; echo err >&2; exit 7") == (b"out\n", b"err\n", 7)


def test_arguments_are_joined(winrm: Any, shell: str) -> None:
    assert run(winrm, shell, "printf", ("'%s|'", "one", "'two three'"))[0] == b"one|two three|"


@pytest.mark.parametrize(
    ("code", "seen"), [(0, 0), (1603, 1603), (3010, 3010), (4294967295, 4294967295), (-1, 4294967295)]
)
def test_exit_codes_have_32_unsigned_bits(winrm: Any, shell: str, code: int, seen: int) -> None:
    assert run(winrm, shell, f"echo {code} > $RC")[2] == seen


def test_any_bytes_and_more_than_one_answer_holds(winrm: Any, shell: str) -> None:
    out, _err, code = run(winrm, shell, "head -c 700000 /dev/zero; printf '\\377\\001<&>'")
    assert (len(out), out[-5:], code) == (700005, b"\xff\x01<&>", 0)


def test_stdin(winrm: Any, shell: str) -> None:
    command_id = winrm.run_command(shell, "cat; echo end", console_mode_stdin=False)
    for piece, last in ((b"a" * 200_000, False), (b"\r\n\0b", True)):
        winrm.send_command_input(shell, command_id, piece, end=last)
    out, _err, code = winrm.get_command_output(shell, command_id)
    winrm.cleanup_command(shell, command_id)
    assert (out, code) == (b"a" * 200_000 + b"\r\n\0bend\n", 0)


def test_wrong_password_is_401(server: StandIn) -> None:
    with pytest.raises(InvalidCredentialsError):
        client(server, password="wrong").open_shell()
    assert post(server, b"x", password="wrong")[0] == 401


def test_no_output_in_time_is_the_timeout_fault(server: StandIn) -> None:
    protocol = client(server, wait=1)
    shell = protocol.open_shell()
    command_id = protocol.run_command(shell, "sleep 60")
    started = time.monotonic()
    with pytest.raises(WinRMOperationTimeoutError):
        protocol.get_command_output_raw(shell, command_id)
    assert 0.9 <= time.monotonic() - started < 5
    protocol.cleanup_command(shell, command_id)
    protocol.close_shell(shell)


def test_a_slow_command_is_waited_for_over_timeouts(server: StandIn) -> None:
    protocol = client(server, wait=1)
    shell = protocol.open_shell()
    assert run(protocol, shell, "sleep 1.5; echo late")[:1] == (b"late\n",)
    protocol.close_shell(shell)


def test_a_command_is_done_when_its_process_ends(winrm: Any, shell: str) -> None:
    """A detached child holds stdout open; Windows does not wait for it."""
    started = time.monotonic()
    assert run(winrm, shell, "setsid sleep 30 & echo done")[0] == b"done\n"
    assert time.monotonic() - started < 5


def test_terminate_ends_command_and_children(server: StandIn, winrm: Any, shell: str) -> None:
    command_id = winrm.run_command(shell, "sleep 60 | cat; echo not reached")
    threading.Timer(0.3, client(server).cleanup_command, (shell, command_id)).start()
    started = time.monotonic()
    out, _err, code = winrm.get_command_output(shell, command_id)
    assert (out, code != 0) == (b"", True)
    assert time.monotonic() - started < 5


def test_unknown_shell_and_command_are_invalid_selectors(server: StandIn) -> None:
    for operation, body in (("Command", "<rsp:CommandLine/>"), ("Receive", "<rsp:Receive/>")):
        status, text = post(server, request(operation, body, shell="NO-SUCH-SHELL"))
        assert status == 500
        assert 'Code="2150858843"' in text
        assert "w:InvalidSelectors" in text
        assert "<a:RelatesTo>uuid:test-1</a:RelatesTo>" in text


def request(operation: str, body: str, *, shell: str = "", uri: str = soap.SHELL + "cmd") -> bytes:
    spaces = " ".join(f'xmlns:{prefix}="{address}"' for prefix, address in soap.NS.items())
    selector = f'<w:SelectorSet><w:Selector Name="ShellId">{shell}</w:Selector></w:SelectorSet>' if shell else ""
    return (
        f"<s:Envelope {spaces}><s:Header><a:Action>{soap.SHELL}{operation}</a:Action>"
        "<a:MessageID>uuid:test-1</a:MessageID>"
        f"<w:ResourceURI>{uri}</w:ResourceURI>{selector}</s:Header><s:Body>{body}</s:Body></s:Envelope>"
    ).encode()


@pytest.mark.parametrize("body", [b"no xml", b"<a/>", request("Explode", ""), request("Create", "", uri="urn:x")])
def test_nonsense_is_a_fault(server: StandIn, body: bytes) -> None:
    status, text = post(server, body)
    assert (status, "WSManFault" in text) == (500, True)


def test_only_wsman_and_only_loopback(server: StandIn) -> None:
    assert post(server, request("Create", ""), path="/elsewhere")[0] == 404
    with pytest.raises(ValueError, match="loopback only"):
        StandIn(ShBackend(), Account(user=USER, password=PASSWORD), address="0.0.0.0")


def test_stop_ends_what_runs_and_frees_the_port(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    with StandIn(ShBackend(), Account(user=USER, password=PASSWORD)) as first:
        protocol = client(first)
        command_id = protocol.run_command(shell := protocol.open_shell(), f"echo $$ > {pid_file}; echo up; sleep 60")
        assert protocol.get_command_output_raw(shell, command_id)[0] == b"up\n"
    deadline = time.monotonic() + 5
    while Path(f"/proc/{pid_file.read_text().strip()}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with StandIn(ShBackend(), Account(user=USER, password=PASSWORD), port=first.port) as second:
        fresh = client(second)
        assert run(fresh, fresh.open_shell(), "echo again")[0] == b"again\n"


@pytest.mark.parametrize(
    ("text", "seconds"), [("PT20S", 20), ("PT1.5S", 1.5), ("PT2M", 60), ("P1D", 20), ("", 20), ("PT", 20)]
)
def test_durations(text: str, seconds: float) -> None:
    assert soap.duration(text) == seconds


def test_traffic_is_counted(server: StandIn, winrm: Any, shell: str) -> None:
    before = server.traffic
    run(winrm, shell, "echo", ("x" * 1000,))
    came = server.traffic.since(before)
    assert came.requests == 2  # command, signal
    assert came.polls >= 1
    assert 1000 < came.received < 8000  # the command line, and two envelopes
    assert came.sent > 1000 * 4 // 3  # its output, in base64
