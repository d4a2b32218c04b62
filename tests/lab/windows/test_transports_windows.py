# SPDX-License-Identifier: GPL-3.0-or-later
"""One Windows host, audited over every connection: real PowerShell on Wine behind WinRM and PSRP, and one judgement."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.e2e import playbooks
from tests.lab import kerberos
from tests.lab.windows import recorded, states
from tests.lab.windows.certificates import Authority
from tests.lab.windows.clients import line
from tests.lab.windows.fixtures import Fixtures
from tests.lab.windows.lab import WindowsLab
from tests.lab.windows.winrm_standin import Account, Offer, StandIn
from tests.lab.windows.winrm_standin.apart import Apart

STATE = "both"
ACCOUNT = Account(user="admin", password="Kn0wn-only/here")
USER = Account(user=f"admin@{kerberos.NAME}", password="unused")
SERVICES = tuple(f"{name}/win1.evict.test" for name in ("HTTP", "WSMAN", "host"))
NAMED = {"winrm": "ansible_winrm_kerberos_hostname_override", "psrp": "ansible_psrp_negotiate_hostname_override"}
TRUST = {"winrm": "ansible_winrm_ca_trust_path", "psrp": "ansible_psrp_ca_cert"}
# test_transports*.py go all ways without PowerShell.
WAYS = {"winrm": ("basic", "https", "kerberos"), "psrp": ("ntlm", "https", "kerberos")}
HOSTS = tuple(f"{connection}-{way}" for connection, ways in WAYS.items() for way in ways)
COMPARED = ("verdict", "platform", "products", "reasons", "unknown_probes")


class Audits:
    """A run in check mode for each connection, and one in real mode over psrp."""

    def __init__(self, stack: ExitStack, lab: WindowsLab, packages: Fixtures, factory: pytest.TempPathFactory) -> None:
        self.state = next(state for state in states.STATES if state.name == STATE)
        host = lab.host("transports")
        stack.callback(lab.drop, "transports")
        self.state.make(host, packages)
        realm = stack.enter_context(kerberos.Realm(factory.mktemp("realm")))
        realm.add_user("admin", ACCOUNT.password)
        realm.kinit("admin", ACCOUNT.password)
        authority = Authority.make(factory.mktemp("ca"))
        environment = {**realm.environment, "PYTHONPATH": str(kerberos.packages())}
        keytab = realm.keytab(*SERVICES)
        servers: dict[str, Any] = {
            "basic": StandIn(host.backend, ACCOUNT),
            "ntlm": StandIn(host.backend, ACCOUNT, offer=Offer(schemes=("negotiate",), allow_unencrypted=False)),
            "https": StandIn(host.backend, ACCOUNT, offer=Offer(schemes=("negotiate",)), tls=authority.server()),
            "kerberos": Apart(
                ["--backend", f"wine:{host.name}", "--user", USER.user, "--closed", "--offer", "kerberos"],
                environment={**environment, "KRB5_KTNAME": f"FILE:{keytab}"},
                password=USER.password,
            ),
        }
        for server in servers.values():
            stack.enter_context(server)
        self.runs = {}
        for to, ways in WAYS.items():
            lines = []
            for way in ways:
                more: dict[str, Any] = {"https": {TRUST[to]: authority.file}}.get(way, {})
                if way == "kerberos":
                    more = {NAMED[to]: "win1.evict.test", "ansible_password": None}
                account, login = (USER, way) if way == "kerberos" else (ACCOUNT, "ntlm" if way == "https" else way)
                lines.append(line(f"{to}-{way}", servers[way], account, login, to, **more))
            inventory = "\n".join(lines) + "\n"
            self.runs[to] = playbooks.run(factory.mktemp(to), inventory, "--check", "--forks", "2", env=environment)
        real = factory.mktemp("real")
        self.runs["real"] = playbooks.run(real, inventory, "--limit", "psrp-ntlm", env=environment)

    def row(self, host: str) -> dict[str, Any]:
        """A host's row in check mode."""
        return self.runs[host.partition("-")[0]].rows()[host]

    def observation(self, host: str) -> dict[str, Any]:
        """What a host answered in check mode, without what differs from one look to the next."""
        folder = self.runs[host.partition("-")[0]].folder
        return recorded.steady(recorded.of_evidence(folder / "hosts" / f"{host}.jsonl"))


@pytest.fixture(scope="module")
def audits(windows_lab: WindowsLab, packages: Fixtures, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Audits]:
    try:
        kerberos.packages()
    except kerberos.NoKerberos as reason:
        pytest.skip(str(reason))
    with ExitStack() as stack:
        yield Audits(stack, windows_lab, packages, tmp_path_factory)


@pytest.mark.parametrize("host", HOSTS)
def test_every_way_is_judged_right(audits: Audits, host: str) -> None:
    row = audits.row(host)
    assert row["verdict"] == audits.state.verdict, row
    found = {product["id"]: product["state"] for product in row["products"]}
    assert found.items() >= audits.state.products.items(), row


@pytest.mark.parametrize("host", HOSTS[1:])
def test_every_way_says_the_same(audits: Audits, host: str) -> None:
    first, other = audits.row(HOSTS[0]), audits.row(host)
    assert [first[key] for key in COMPARED] == [other[key] for key in COMPARED]
    assert audits.observation(HOSTS[0]) == audits.observation(host)


def test_real_mode_over_psrp_says_the_same(audits: Audits) -> None:
    check, real = audits.row("psrp-ntlm"), audits.runs["real"].rows()["psrp-ntlm"]
    assert [check[key] for key in COMPARED] == [real[key] for key in COMPARED]
