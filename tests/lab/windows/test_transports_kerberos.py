# SPDX-License-Identifier: GPL-3.0-or-later
"""WinRM and PSRP with Kerberos: a real KDC, real tickets, encrypted messages; what lies behind is recorded."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import pytest

from tests.e2e import playbooks
from tests.lab import kerberos
from tests.lab.windows import recorded
from tests.lab.windows.certificates import Authority
from tests.lab.windows.clients import line
from tests.lab.windows.winrm_standin import Account
from tests.lab.windows.winrm_standin.apart import Apart

RECORDED = "kes"
PASSWORD = "Kn0wn only/here"
SERVICES = tuple(f"{name}/win1.evict.test" for name in ("HTTP", "WSMAN", "host"))
USER = Account(user=f"admin@{kerberos.NAME}", password=PASSWORD)
GUEST = Account(user=f"guest@{kerberos.NAME}", password=PASSWORD)
CONNECTIONS = ("winrm", "psrp")
NAMED = {"winrm": "ansible_winrm_kerberos_hostname_override", "psrp": "ansible_psrp_negotiate_hostname_override"}
ENCRYPTION = {"winrm": "ansible_winrm_message_encryption", "psrp": "ansible_psrp_message_encryption"}
TRUST = {"winrm": "ansible_winrm_ca_trust_path", "psrp": "ansible_psrp_ca_cert"}

# name -> cause, what the row must speak of; for hosts that are asked with a good ticket in the cache
WRONG = {
    "other-host": ("kerberos", "does not know the host"),
    "bad-password": ("kerberos", "refused the login"),
    "no-such-user": ("kerberos", ""),
    "clear": ("answer", "AllowUnencrypted"),
    "not-allowed": ("login", "log in remotely"),
    "ntlm-only": ("kerberos", ""),
}


@pytest.fixture(scope="module")
def packages() -> str:
    """The folder of Kerberos' Python packages; skips in one plain line without a KDC."""
    try:
        return str(kerberos.packages())
    except kerberos.NoKerberos as reason:
        pytest.skip(str(reason))


class Domain:
    """A realm and a host of it, and runs against that host."""

    def __init__(self, stack: ExitStack, factory: pytest.TempPathFactory, packages: str) -> None:
        self.factory, self.folder = factory, factory.mktemp("krb")
        self.realm = stack.enter_context(kerberos.Realm(self.folder))
        for account in (USER, GUEST):
            self.realm.add_user(account.user.partition("@")[0], PASSWORD)
        # As Windows registers its hosts: pywinrm asks for HTTP, psrp for WSMAN, with core 2.21 for host.
        keytab = self.realm.keytab(*SERVICES)
        self.authority = Authority.make(factory.mktemp("ca"))
        self.authority.server()
        (certificate,) = self.authority.folder.glob("server-*.pem")
        self.environment = {**self.realm.environment, "PYTHONPATH": packages}
        host = {**self.environment, "KRB5_KTNAME": f"FILE:{keytab}"}
        arguments = ["--backend", f"recorded:{recorded.FOLDER / RECORDED}.json", "--user", USER.user, "--closed"]
        offer = [*arguments, "--offer", "kerberos"]
        self.host = stack.enter_context(Apart(offer, environment=host, password="unused"))
        https = [*offer, "--certificate", str(certificate)]
        self.https = stack.enter_context(Apart(https, environment=host, password="unused"))
        self.realm.kinit("admin", PASSWORD)

    def line(self, name: str, connection: str, more: Mapping[str, Any] | None = None, *, https: bool = False) -> str:
        """A host that is asked with a ticket from the cache unless `more` has a password."""
        given: dict[str, Any] = {"ansible_password": None, NAMED[connection]: "win1.evict.test", **(more or {})}
        login = given.pop("login", "kerberos")
        if given["ansible_password"] and connection == "winrm":
            given["ansible_winrm_kinit_env_vars"] = "KRB5_CONFIG"
        return line(name, self.https if https else self.host, USER, login, connection, **given)

    def run(self, *lines: str, **environment: str) -> playbooks.Run:
        """Audit hosts."""
        env = {**self.environment, **environment}
        return playbooks.run(self.factory.mktemp("run"), "\n".join(lines) + "\n", "--forks", "4", env=env)


@pytest.fixture(scope="module")
def domain(packages: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Domain]:
    with ExitStack() as stack:
        yield Domain(stack, tmp_path_factory, packages)


def test_tickets_and_passwords_open_a_session(domain: Domain) -> None:
    lines = []
    for to in CONNECTIONS:
        lines += [
            domain.line(f"{to}-ticket", to),
            domain.line(f"{to}-password", to, {"ansible_password": PASSWORD}),
            domain.line(f"{to}-https", to, {TRUST[to]: domain.authority.file}, https=True),
        ]
    lines.append(domain.line("psrp-negotiate", "psrp", {"login": "negotiate"}))
    run = domain.run(*lines)
    rows = run.rows()
    assert {name: row["verdict"] for name, row in rows.items()} == dict.fromkeys(rows, "present"), run.out
    assert len(rows) == 7
    for name in rows:
        recorded.compare(RECORDED, recorded.of_evidence(run.folder / "hosts" / f"{name}.jsonl"))


@pytest.fixture(scope="module")
def wrong(domain: Domain) -> playbooks.Run:
    lines = []
    for to in CONNECTIONS:
        lines += [
            domain.line(f"{to}-other-host", to, {NAMED[to]: "win9.evict.test"}),
            domain.line(f"{to}-bad-password", to, {"ansible_password": "wrong"}),
            domain.line(
                f"{to}-no-such-user", to, {"ansible_user": f"nobody@{kerberos.NAME}", "ansible_password": "wrong"}
            ),
            domain.line(f"{to}-clear", to, {ENCRYPTION[to]: "never"}),
            domain.line(f"{to}-not-allowed", to, {"ansible_user": GUEST.user, "ansible_password": PASSWORD}),
            domain.line(f"{to}-ntlm-only", to, {"login": "ntlm", "ansible_password": PASSWORD}),
        ]
    return domain.run(*lines)


@pytest.mark.parametrize(("name", "expected"), WRONG.items())
@pytest.mark.parametrize("connection", CONNECTIONS)
def test_refused_logins_are_named(wrong: playbooks.Run, connection: str, name: str, expected: tuple[str, str]) -> None:
    row = wrong.rows()[f"{connection}-{name}"]
    cause, remedy = ("login", "`ansible_") if name == "ntlm-only" else expected
    (reason,) = row["reasons"]
    assert row["verdict"] == "unreachable", row
    assert reason.startswith(f"{cause}: {connection}: "), row
    assert remedy in reason


@pytest.mark.parametrize(("state", "remedy"), [("none", "kinit"), ("expired", "expired: get a new one (`kinit`)")])
def test_without_a_valid_ticket(domain: Domain, state: str, remedy: str) -> None:
    cache = domain.folder / f"cache-{state}"
    if state == "expired":
        domain.realm.kinit("admin", PASSWORD, lifetime="1s", cache=cache)
        time.sleep(2)
    run = domain.run(*(domain.line(to, to) for to in CONNECTIONS), KRB5CCNAME=f"FILE:{cache}")
    for to in CONNECTIONS:
        row = run.rows()[to]
        assert row["verdict"] == "unreachable", row
        assert row["reasons"][0].startswith(f"kerberos: {to}: "), row
        assert remedy in row["reasons"][0], row
    assert "Traceback" not in run.out


def test_no_domain_controller_answers(domain: Domain, tmp_path_factory: pytest.TempPathFactory) -> None:
    config = tmp_path_factory.mktemp("config") / "krb5.conf"
    text = (domain.folder / "krb5.conf").read_text()
    config.write_text(re.sub(r"kdc = 127\.0\.0\.1:\d+", "kdc = 127.0.0.1:1", text))
    lines = (domain.line(to, to, {"ansible_password": PASSWORD}) for to in CONNECTIONS)
    run = domain.run(*lines, KRB5_CONFIG=str(config))
    for to in CONNECTIONS:
        row = run.rows()[to]
        assert row["verdict"] == "unreachable", row
        assert row["reasons"][0].startswith(f"kerberos: {to}: no domain controller answers"), row


def test_without_the_packages(domain: Domain) -> None:
    run = domain.run(*(domain.line(to, to) for to in CONNECTIONS), PYTHONPATH="")
    for to, package in (("winrm", "pywinrm"), ("psrp", "pypsrp")):
        row = run.rows()[to]
        assert row["verdict"] == "unknown", row
        assert f"pip install '{package}[kerberos]'" in row["reasons"][0], row
