# SPDX-License-Identifier: GPL-3.0-or-later
"""The preflight probes on Wine: real Ansible, the real module in PowerShell, two hosts looked at before and after.

What Wine does not have (CIM, Application Control, Windows Firewall) must be `unknown` with a reason, never a value.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from ansible_collections.evict.kaspersky.plugins.plugin_utils import knowledge, observation
from tests.e2e import playbooks
from tests.lab.windows import recorded, snapshot
from tests.lab.windows.fixtures import AGENT_CODE, KES_CODE, Fixtures
from tests.lab.windows.lab import WindowsLab, WineHost
from tests.lab.windows.state import SERVICES, install, lay, make_folder, registry

WHOLE, BROKEN = "whole", "broken"
STORE = r"C:\ProgramData\Kaspersky Lab\KES.21.16\QB"
VAULT = r"C:\users\root\AppData\Local\Kaspersky Lab\Kaspersky Password Manager"
MACHINE = "HKEY_LOCAL_MACHINE"
INSTALLER = r"SOFTWARE\Microsoft\Windows\CurrentVersion\Installer"
FIREWALL = rf"{SERVICES}\SharedAccess\Parameters\FirewallPolicy"
RULE = "v2.31|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=5985|App=System|Name=WinRM|Profile=Domain|"
ADMINISTRATORS_MAY_READ = (
    "01,00,04,80"
    + ",00" * 12
    + ",14,00,00,00,02,00,20,00,01,00,00,00,00,00,18,00,8d,01,02,00"
    + (",01,02,00,00,00,00,00,05,20,00,00,00,20,02,00,00")
)


def _whole(host: WineHost, packages: Fixtures) -> None:
    """A product as it should be, with what a plan must know of."""
    install(host, packages.kes)
    make_folder(host, STORE, "one.kav", "two.kav")
    make_folder(host, rf"{STORE}\more", "three.kav")
    make_folder(host, VAULT, "kpm_vault.edb", "kpm.log")
    registry(
        host,
        rf"""
[{MACHINE}\{SERVICES}\{packages.kes.service}]
"LaunchProtected"=dword:00000003

[{MACHINE}\{SERVICES}\mpssvc]
"Start"=dword:00000002

[{MACHINE}\{FIREWALL}\FirewallRules]
"winrm"="{RULE}"

[{MACHINE}\SOFTWARE\Policies\Microsoft\Windows Defender]
"DisableAntiSpyware"=dword:00000001

[{MACHINE}\SOFTWARE\FSLogix\Profiles]
"Enabled"=dword:00000001

[{MACHINE}\SOFTWARE\Policies\Microsoft\Windows\SrpV2\Exe\{{1}}]
"Value"="<x/>"
""",
    )


def _broken(host: WineHost, packages: Fixtures) -> None:
    """Packages whose cached copies are gone, an installation in progress, a service that nobody may stop."""
    install(host, packages.kes)
    install(host, packages.agent)
    host.expect(r"cmd /c del /q C:\windows\Installer\*.msi")
    registry(
        host,
        rf"""
[{MACHINE}\{INSTALLER}\InProgress]
@="C:\\windows\\Installer\\other.ipi"

[{MACHINE}\{SERVICES}\{packages.agent.service}\Security]
"Security"=hex:{ADMINISTRATORS_MAY_READ}
""",
    )
    lay(host, r"C:\Personality.ini", b"[StringData]\r\n")


class Asked:
    """Both hosts, asked once as for a plan, and what they looked like before and after."""

    def __init__(self, lab: WindowsLab, packages: Fixtures, folder: Path) -> None:
        hosts = {name: lab.host(f"preflight-{name}") for name in (WHOLE, BROKEN)}
        _whole(hosts[WHOLE], packages)
        _broken(hosts[BROKEN], packages)
        before = {name: snapshot.take(host) for name, host in hosts.items()}
        with socket.create_server(("127.0.0.1", 0)) as listening, socket.create_server(("127.0.0.1", 0)) as ended:
            self.open = f"127.0.0.1:{listening.getsockname()[1]}"
            self.closed = f"127.0.0.1:{ended.getsockname()[1]}"
            ended.close()
            preflight = {
                "codes": [],
                "endpoints": [self.open, self.closed, "no-such-host.invalid:443"],
                "ports": ["5985"],
                "stores": [r"%ProgramData%\Kaspersky Lab\KES.21.16\QB", r"%ProgramData%\Kaspersky Lab\KES.21.16\Q*"],
                "vaults": [r"%LocalAppData%\Kaspersky Lab\Kaspersky Password Manager"],
            }
            literals = {**knowledge.WINDOWS_LITERALS, "timeout": 60}
            tasks = []
            for module, options in (
                ("win_observe", literals),
                ("win_observe_plan", {"observe": literals, "preflight": preflight}),
            ):
                file = str(folder / ("{{ inventory_hostname }}." + module))
                keep = {"content": "{{ answer.observation | to_json }}", "dest": file}
                tasks.append({f"evict.kaspersky.{module}": options, "register": "answer"})
                tasks.append({"ansible.builtin.copy": keep, "delegate_to": "localhost"})
            play = {"hosts": "all", "gather_facts": False, "tasks": tasks}
            (folder / "ask.yml").write_text(yaml.safe_dump([play]))
            lines = [lab.stand_in(host).inventory_line(name) for name, host in hosts.items()]
            self.run = playbooks.run(folder, "\n".join(lines) + "\n", "--check", playbook=str(folder / "ask.yml"))
            again = playbooks.run(folder, "\n".join(lines) + "\n", playbook=str(folder / "ask.yml"))
        assert again.code == 0, again.out
        self.changes = {name: before[name].changes(snapshot.take(host)) for name, host in hosts.items()}
        self.audits, self.plans = (
            {name: json.loads((folder / f"{name}.{module}").read_text()) for name in hosts}
            for module in ("win_observe", "win_observe_plan")
        )
        self.seen = {name: observation.from_dict(answer, preflight=True) for name, answer in self.plans.items()}

    def probe(self, host: str, name: str) -> observation.Probe:
        """A probe's answer."""
        return self.seen[host].probes[name]

    def records(self, host: str, name: str, *keys: str) -> list[tuple[str, ...]]:
        """Some values of a probe's records."""
        return [tuple(record[key] for key in keys) for record in self.probe(host, name).records]

    def values(self, host: str, name: str, key: str, value: str) -> dict[str, str]:
        """Two values of a probe's records as a table."""
        return {record[key]: record[value] for record in self.probe(host, name).records}


@pytest.fixture(scope="module")
def asked(windows_lab: WindowsLab, packages: Fixtures, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    yield Asked(windows_lab, packages, tmp_path_factory.mktemp("preflight"))
    for name in (WHOLE, BROKEN):
        windows_lab.drop(f"preflight-{name}")


@pytest.mark.parametrize("host", [WHOLE, BROKEN])
def test_asking_changes_nothing(asked: Asked, host: str) -> None:
    """Files, registry, services, processes: once in check mode, once out of it."""
    assert asked.run.code == 0, asked.run.out
    assert asked.changes[host] == []


@pytest.mark.parametrize("host", [WHOLE, BROKEN])
def test_all_probes_answer(asked: Asked, host: str) -> None:
    assert set(asked.seen[host].probes) == {*observation.PROBES["windows"], *observation.PREFLIGHT["windows"]}
    cut = [name for name, probe in asked.seen[host].probes.items() if probe.reason == observation.CUT]
    assert cut == []


@pytest.mark.parametrize("host", [WHOLE, BROKEN])
def test_what_wine_does_not_have_is_unknown(asked: Asked, host: str) -> None:
    enforcement = asked.probe(host, "enforcement")
    assert (enforcement.status, "Application Control" in enforcement.reason) == ("unknown", True)
    assert "payload" not in {record["property"] for record in asked.probe(host, "defender").records}
    if host == BROKEN:
        firewall = asked.probe(host, "firewall")
        assert (firewall.status, firewall.reason) == ("unknown", "no service mpssvc (Windows Firewall)")


def test_installer(asked: Asked) -> None:
    assert asked.probe(WHOLE, "installer").status == "absent", asked.probe(WHOLE, "installer")
    assert asked.records(BROKEN, "installer", "kind") == [("busy",)]
    assert "other.ipi" in asked.probe(BROKEN, "installer").records[0]["detail"]


def test_cached_packages(asked: Asked) -> None:
    assert asked.records(WHOLE, "msi", "code", "state") == [(KES_CODE, "there")]
    assert sorted(asked.records(BROKEN, "msi", "code", "state")) == sorted(
        [(KES_CODE, "missing"), (AGENT_CODE, "missing")]
    )


def test_room_and_programs(asked: Asked) -> None:
    (space,) = asked.probe(WHOLE, "space").records
    assert space["path"] == "C:\\"
    assert int(space["free_mib"]) > 0
    (resources,) = asked.probe(WHOLE, "resources").records
    assert 0 < int(resources["available_mib"]) <= int(resources["memory_mib"])
    assert int(resources["cpus"]) > 0
    tools = asked.values(WHOLE, "tools", "name", "path")
    assert tools["msiexec"].lower() == r"c:\windows\system32\msiexec.exe"
    assert "mpcmdrun" not in tools


def test_egress(asked: Asked) -> None:
    assert asked.records(WHOLE, "egress", "endpoint", "state") == [
        (asked.open, "open"),
        (asked.closed, "refused"),
        ("no-such-host.invalid:443", "unresolved"),
    ]


def test_firewall(asked: Asked) -> None:
    assert asked.records(WHOLE, "firewall", "profile", "enabled", "port", "allowed") == [
        ("domain", "yes", "5985", "yes"),
        ("private", "yes", "5985", "no"),
        ("public", "yes", "5985", "no"),
    ]


def test_services_that_cannot_be_stopped(asked: Asked, packages: Fixtures) -> None:
    assert (packages.kes.service, "antimalware_light") in asked.records(WHOLE, "protected_services", "name", "level")
    assert (packages.agent.service, "stop_denied") in asked.records(BROKEN, "protected_services", "name", "level")


def test_what_users_could_lose(asked: Asked) -> None:
    assert [(path.lower(), count) for path, count in asked.records(WHOLE, "quarantine", "path", "files")] == [
        (STORE.lower(), "3")
    ]
    ((user, path),) = asked.records(WHOLE, "vaults", "user", "path")
    assert (user, path.lower()) == ("root", rf"{VAULT}\kpm_vault.edb".lower())
    assert asked.probe(BROKEN, "quarantine").status == "absent"
    assert asked.probe(BROKEN, "vaults").status == "absent"


def test_policies_and_hints(asked: Asked) -> None:
    whole, broken = (asked.values(host, "defender", "property", "value") for host in (WHOLE, BROKEN))
    assert whole["DisableAntiSpyware"] == "1"
    assert whole["managed_by"] == "gpo"
    assert "managed_by" not in broken
    assert asked.records(WHOLE, "enforcement", "kind", "state") == [("applocker", "unknown")]  # no service AppIDSvc
    ((fslogix,),) = asked.records(WHOLE, "desktop", "source")
    ((citrix,),) = asked.records(BROKEN, "desktop", "source")
    assert (fslogix.startswith("hint: FSLogix"), citrix.startswith("hint: Citrix")) == (True, True)


@pytest.mark.parametrize("host", [WHOLE, BROKEN])
def test_an_audit_answers_the_same_and_no_preflight_probe(asked: Asked, host: str) -> None:
    audit, plan = recorded.steady(asked.audits[host]), recorded.steady(asked.plans[host])
    assert set(audit["probes"]) == set(observation.PROBES["windows"])
    assert audit["host"] == plan["host"]
    assert {name: plan["probes"][name] for name in audit["probes"]} == audit["probes"]
