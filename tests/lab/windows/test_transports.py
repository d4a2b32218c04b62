# SPDX-License-Identifier: GPL-3.0-or-later
"""Ways to a Windows host: real ansible-playbook with its `winrm` and `psrp` connections; what lies behind is recorded.

No PowerShell is needed here; test_transports_windows.py has it.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.e2e import playbooks
from tests.lab.windows import recorded
from tests.lab.windows.certificates import Authority
from tests.lab.windows.clients import line
from tests.lab.windows.winrm_standin import Account, Offer, RecordedBackend, StandIn

RECORDED = "kes"
ACCOUNT = Account(user="admin", password="Kn0wn-only/here")
CLOSED = Offer(schemes=("negotiate", "basic"), allow_unencrypted=False)
OPEN = Offer(schemes=("negotiate", "basic"))
CONNECTIONS = ("winrm", "psrp")
SCHEME = {"winrm": "ansible_winrm_scheme", "psrp": "ansible_psrp_protocol"}
TRUST = {"winrm": "ansible_winrm_ca_trust_path", "psrp": "ansible_psrp_ca_cert"}
VALIDATION = {"winrm": "ansible_winrm_server_cert_validation", "psrp": "ansible_psrp_cert_validation"}
ENCRYPTION = {"winrm": "ansible_winrm_message_encryption", "psrp": "ansible_psrp_message_encryption"}

RIGHT = ("basic", "ntlm", "ntlm-own-name", "ntlm-clear", "https-basic", "https-ntlm", "https-ignored", "defaults")
# name -> cause, what the row must speak of
WRONG = {
    "untrusted": ("tls", "not trusted: set `{trust}`"),
    "expired": ("tls", "expired"),
    "other-name": ("tls", "another name"),
    "no-ca-file": ("tls", "{trust}"),
    "https-on-http": ("tls", "`{scheme}: http`"),
    "refused-clear": ("answer", "AllowUnencrypted"),
    "refused-basic": ("login", "Basic is off"),
    "password": ("login", "user and password"),
    "https-password": ("login", "user and password"),
    "user": ("login", "user and password"),
    "path": ("answer", "ansible_port"),
    "port": ("port", "firewall"),
    "name": ("name", "ansible_host"),
    "no-package": ("transport", "Python package"),
}


class Ways:
    """One run over hosts that are reached in every way, and the rows it made."""

    def __init__(self, stack: ExitStack, folder: Any) -> None:
        backend = RecordedBackend(observation=recorded.FOLDER / f"{RECORDED}.json")

        def serve(offer: Offer, **more: Any) -> StandIn:
            return stack.enter_context(StandIn(backend, ACCOUNT, offer=offer, **more))

        (folder / "other").mkdir()
        authority, other = Authority.make(folder), Authority.make(folder / "other", "Another")
        opened, closed, https = serve(OPEN), serve(CLOSED), serve(CLOSED, tls=authority.server())
        own_name = serve(Offer(schemes=("ntlm",), allow_unencrypted=False))
        expired = serve(CLOSED, tls=authority.server(days=(-5, -1)))
        named = serve(CLOSED, tls=authority.server(name="other.test"))
        with socket.create_server(("127.0.0.1", 0)) as free:
            dead = free.getsockname()[1]
        lines = []
        for to in CONNECTIONS:
            trusted, clear = {TRUST[to]: authority.file}, {ENCRYPTION[to]: "never"}
            hosts: dict[str, tuple[StandIn, str, dict[str, Any]]] = {
                "basic": (opened, "basic", {}),
                "ntlm": (closed, "ntlm", {}),
                "ntlm-own-name": (own_name, "ntlm", {}),
                "ntlm-clear": (opened, "ntlm", clear),
                "https-basic": (https, "basic", trusted),
                "https-ntlm": (https, "ntlm", trusted),
                "https-ignored": (https, "ntlm", {VALIDATION[to]: "ignore"}),
                # Basic over HTTPS for winrm; Negotiate over HTTPS for psrp
                "defaults": (https, "", {**trusted, SCHEME[to]: None}),
                "untrusted": (https, "ntlm", {TRUST[to]: other.file}),
                "expired": (expired, "basic", trusted),
                "other-name": (named, "basic", trusted),
                "no-ca-file": (https, "basic", {TRUST[to]: "/no/such.pem"}),
                "https-on-http": (opened, "basic", {SCHEME[to]: "https"}),
                "refused-clear": (closed, "ntlm", clear),
                "refused-basic": (closed, "basic", {}),
                "password": (closed, "ntlm", {"ansible_password": "wrong"}),
                "https-password": (https, "basic", {**trusted, "ansible_password": "wrong"}),
                "user": (closed, "ntlm", {"ansible_user": "other"}),
                "path": (closed, "ntlm", {f"ansible_{to}_path": "elsewhere"}),
                "port": (closed, "ntlm", {"ansible_port": dead}),
                "name": (closed, "ntlm", {"ansible_host": "host.invalid"}),
                "no-package": (closed, "credssp", {}),
            }
            assert set(hosts) == {*RIGHT, *WRONG}
            lines += [
                line(f"{to}-{name}", server, ACCOUNT, login, to, **more)
                for name, (server, login, more) in hosts.items()
            ]
        self.run = playbooks.run(folder, "\n".join(lines) + "\n", "--forks", "8")
        self.rows = self.run.rows()

    def observation(self, host: str) -> dict[str, Any]:
        """What a host answered, as its evidence has it."""
        return recorded.of_evidence(self.run.folder / "hosts" / f"{host}.jsonl")


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ways]:
    with ExitStack() as stack:
        yield Ways(stack, tmp_path_factory.mktemp("ways"))


@pytest.mark.parametrize("name", RIGHT)
@pytest.mark.parametrize("connection", CONNECTIONS)
def test_right_ways_bring_the_answer(ways: Ways, connection: str, name: str) -> None:
    row = ways.rows[f"{connection}-{name}"]
    assert row["verdict"] == "present", row
    assert "kes" in {product["id"] for product in row["products"]}
    recorded.compare(RECORDED, ways.observation(f"{connection}-{name}"))


@pytest.mark.parametrize(("name", "expected"), WRONG.items())
@pytest.mark.parametrize("connection", CONNECTIONS)
def test_wrong_ways_are_named(ways: Ways, connection: str, name: str, expected: tuple[str, str]) -> None:
    row = ways.rows[f"{connection}-{name}"]
    cause, remedy = expected
    (reason,) = row["reasons"]
    assert row["verdict"] == ("unknown" if name == "no-package" else "unreachable"), row
    assert reason.startswith(f"{cause}: {connection}: "), row
    assert remedy.format(trust=TRUST[connection], scheme=SCHEME[connection]) in reason
    assert row["products"] == []


def test_no_password_and_no_traceback_is_shown(ways: Ways) -> None:
    assert "Traceback" not in ways.run.out
    for file in (ways.run.folder / "rows.json", *ways.run.folder.glob("hosts/*.jsonl")):
        assert ACCOUNT.password not in file.read_text()
    assert ACCOUNT.password not in ways.run.out
