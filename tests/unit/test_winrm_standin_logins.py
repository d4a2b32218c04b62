# SPDX-License-Identifier: GPL-3.0-or-later
"""Logins, message encryption, TLS and PSRP of the WinRM stand-in, spoken to by the real pywinrm and pypsrp."""

from __future__ import annotations

import base64
import http.client
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pypsrp.exceptions
import pytest
import requests.exceptions
from pypsrp.powershell import PowerShell, RunspacePool
from pypsrp.wsman import WSMan
from winrm.exceptions import InvalidCredentialsError, WinRMTransportError
from winrm.protocol import Protocol

from tests.lab.windows.certificates import Authority
from tests.lab.windows.winrm_standin import Account, Mishap, Offer, ShBackend, StandIn
from tests.lab.windows.winrm_standin.backends import Running

USER = "admin"
PASSWORD = "Kn0wn-only/here"
ACCOUNT = Account(user=USER, password=PASSWORD)
CLOSED: dict[str, Any] = {"schemes": ("negotiate", "basic"), "allow_unencrypted": False}


class ShAsPowerShell:
    """Takes a PowerShell's place for tests of PSRP: `sh` runs the script."""

    def start(self, line: str) -> Running:
        encoded = line.rsplit(" ", 1)[1]
        return ShBackend().start(base64.b64decode(encoded).decode("utf-16-le"))


@contextmanager
def server(**offer: Any) -> Iterator[StandIn]:
    with StandIn(ShBackend(), ACCOUNT, offer=Offer(**offer)) as running:
        yield running


def winrm(running: StandIn, transport: Any, *, password: str = PASSWORD, user: str = USER, **more: Any) -> Any:
    return Protocol(running.endpoint, transport=transport, username=user, password=password, **more)


def echo(protocol: Any, text: str = "hello") -> str:
    """What a command prints, over three requests."""
    shell = protocol.open_shell()
    command = protocol.run_command(shell, f"printf %s {text}")
    out, _err, _code = protocol.get_command_output(shell, command)
    protocol.cleanup_command(shell, command)
    protocol.close_shell(shell)
    return str(out, "utf-8")


@pytest.mark.parametrize("scheme", ["negotiate", "ntlm"])
@pytest.mark.parametrize("user", [USER, rf"EVICT\{USER}"])
def test_ntlm_with_encryption(scheme: str, user: str) -> None:
    with server(schemes=(scheme,), allow_unencrypted=False) as running:
        protocol = winrm(running, "ntlm", user=user)
        assert echo(protocol) == "hello"
        assert protocol.transport.encryption is not None
        assert echo(protocol, "x" * 100_000) == "x" * 100_000


def test_what_goes_over_the_wire_is_encrypted(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[bytes] = []
    send = http.client.HTTPConnection.send

    def note(self: http.client.HTTPConnection, data: Any) -> None:
        sent.append(bytes(data))
        send(self, data)

    monkeypatch.setattr(http.client.HTTPConnection, "send", note)
    for encryption, seen in (("always", False), ("never", True)):
        sent.clear()
        with server(schemes=("negotiate",)) as running:
            assert echo(winrm(running, "ntlm", message_encryption=encryption), "needle") == "needle"
        assert any(b"needle" in data for data in sent) is seen


def test_unencrypted_bodies_are_refused() -> None:
    with server(**CLOSED) as running:
        with pytest.raises(WinRMTransportError, match="Code 500"):
            winrm(running, "ntlm", message_encryption="never").open_shell()
        with pytest.raises(InvalidCredentialsError):
            winrm(running, "basic").open_shell()
    with server(schemes=CLOSED["schemes"]) as running:
        assert echo(winrm(running, "ntlm", message_encryption="never")) == "hello"
        assert echo(winrm(running, "basic")) == "hello"


@pytest.mark.parametrize("transport", ["ntlm", "basic"])
def test_wrong_logins(transport: str) -> None:
    with server(schemes=("negotiate", "basic")) as running:
        for protocol in (winrm(running, transport, password="wrong"), winrm(running, transport, user="other")):
            with pytest.raises(InvalidCredentialsError):
                protocol.open_shell()


def test_another_login_ends_the_first() -> None:
    """A refused login on a connection takes away what the one before had opened."""
    with server(schemes=("negotiate", "basic")) as running:
        protocol = winrm(running, "ntlm")
        protocol.open_shell()
        protocol.transport.session.auth = None
        answer = protocol.transport.session.post(
            running.endpoint, data=b"", headers={"Authorization": "Negotiate Zm9v"}
        )
        assert answer.status_code == 401
        assert protocol.transport.session.post(running.endpoint, data=b"").status_code == 401


@pytest.mark.parametrize(
    "header", ["Negotiate", "Negotiate ", "Negotiate !", "Negotiate TlRMTVNTUAA=", "Digest x", "x"]
)
def test_nonsense_is_refused(header: str) -> None:
    with server(schemes=("negotiate",)) as running:
        connection = http.client.HTTPConnection(running.address, running.port, timeout=10)
        connection.request("POST", "/wsman", body=b"", headers={"Authorization": header})
        answer = connection.getresponse()
        assert (answer.status, answer.getheader("WWW-Authenticate")) == (401, "Negotiate")
        connection.close()


def test_unknown_scheme() -> None:
    with pytest.raises(ValueError, match="digest"):
        Offer(schemes=("digest",))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("ca"))


@pytest.mark.parametrize("transport", ["ntlm", "basic", "ssl"])
def test_https(authority: Authority, transport: str) -> None:
    with StandIn(ShBackend(), ACCOUNT, offer=Offer(**CLOSED), tls=authority.server()) as running:
        assert running.endpoint.startswith("https://")
        assert echo(winrm(running, transport, ca_trust_path=str(authority.file))) == "hello"
        assert echo(winrm(running, transport, server_cert_validation="ignore")) == "hello"


@pytest.mark.parametrize(
    ("certificate", "words"),
    [
        ({}, "unable to get local issuer"),
        ({"days": (-5, -1)}, "certificate has expired"),
        ({"days": (1, 5)}, "not yet valid"),
        ({"name": "other.test"}, "IP address mismatch"),
    ],
)
def test_certificates_that_are_refused(
    authority: Authority, tmp_path: Path, certificate: dict[str, Any], words: str
) -> None:
    trusted = authority if certificate else Authority.make(tmp_path, "Another")
    with StandIn(ShBackend(), ACCOUNT, tls=authority.server(**certificate)) as running:
        with pytest.raises(requests.exceptions.SSLError, match=words):
            winrm(running, "basic", ca_trust_path=str(trusted.file)).open_shell()
        assert echo(winrm(running, "basic", server_cert_validation="ignore")) == "hello"


@contextmanager
def psrp(running: StandIn, auth: str = "negotiate", **more: Any) -> Iterator[RunspacePool]:
    given = {"username": USER, "password": PASSWORD, "ssl": False, "auth": auth, **more}
    with WSMan(running.address, port=running.port, **given) as wsman, RunspacePool(wsman) as pool:
        yield pool


@pytest.mark.parametrize(("auth", "encryption"), [("negotiate", "auto"), ("ntlm", "always"), ("basic", "never")])
def test_psrp(auth: str, encryption: str) -> None:
    offer = Offer(schemes=("negotiate", "basic"), allow_unencrypted=auth == "basic")
    with (
        StandIn(ShAsPowerShell(), ACCOUNT, offer=offer) as running,
        psrp(running, auth, encryption=encryption) as pool,
    ):
        for size in (10, 300_000):
            shell = PowerShell(pool)
            shell.add_script("cat; echo err >&2")
            shell.invoke(input=(line for line in ("one", "Лаборатория", "y" * size)))
            assert shell.output == ["one", "Лаборатория", "y" * size]
            assert [str(error) for error in shell.streams.error] == ["err"]


def test_psrp_stop_ends_the_pipeline() -> None:
    with StandIn(ShAsPowerShell(), ACCOUNT) as running, psrp(running, "basic", encryption="never") as pool:
        shell = PowerShell(pool)
        shell.add_script("sleep 600")
        shell.begin_invoke()
        shell.stop()
        assert shell.output == []


def test_psrp_refuses_a_wrong_password() -> None:
    with (
        server(schemes=("negotiate",)) as running,
        pytest.raises(pypsrp.exceptions.AuthenticationError),
        psrp(running, password="wrong"),
    ):
        pass


def test_psrp_over_https(authority: Authority) -> None:
    with (
        StandIn(ShAsPowerShell(), ACCOUNT, offer=Offer(**CLOSED), tls=authority.server()) as running,
        psrp(running, "negotiate", ssl=True, cert_validation=str(authority.file)) as pool,
    ):
        shell = PowerShell(pool)
        shell.add_script("echo hello")
        assert shell.invoke() == ["hello"]


@pytest.mark.parametrize(
    ("mishap", "error"),
    [
        (Mishap(at="login", kind="close"), requests.exceptions.ConnectionError),
        (Mishap(at="Create", kind="reset"), requests.exceptions.ConnectionError),
        (Mishap(at="Command", kind="close"), requests.exceptions.ConnectionError),
        (Mishap(at="Receive", kind="cut"), requests.exceptions.ConnectionError),
        (Mishap(at="Create", kind="hang"), requests.exceptions.ReadTimeout),
        (Mishap(at="Create", kind="status", status=503, body=b"<html>"), WinRMTransportError),
    ],
)
def test_mishaps_happen_where_they_are_to(mishap: Mishap, error: type[Exception]) -> None:
    with server(schemes=("basic",)) as running:
        protocol = winrm(running, "basic", operation_timeout_sec=1, read_timeout_sec=2)
        running.mishap = mishap
        with pytest.raises((error, requests.exceptions.ChunkedEncodingError) if mishap.kind == "cut" else error):
            echo(protocol)
        running.mishap = None
        assert echo(winrm(running, "basic")) == "hello"
