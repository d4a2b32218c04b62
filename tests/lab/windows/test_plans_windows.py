# SPDX-License-Identifier: GPL-3.0-or-later
"""Every state planned: real ansible-playbook in check mode, real WinRM, the real module in PowerShell on Wine.

Two policies. `PACKAGE` plans all states, with every inhibitor waived that may be: what Wine cannot tell (Security
Center, Application Control, Windows Firewall) would block each of them. `DEFENDER` plans the observed hosts as is.
"""

from __future__ import annotations

import datetime
import json
import re
import socket
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.evict.kaspersky.plugins.plugin_utils import inhibitors, job, knowledge, schemas
from ansible_collections.evict.kaspersky.plugins.plugin_utils.plan import Plan
from ansible_collections.evict.kaspersky.plugins.plugin_utils.steps import PHASES
from tests import expected_plans
from tests.e2e import playbooks
from tests.lab.windows import states
from tests.lab.windows.clients import line
from tests.lab.windows.fixtures import PROTECTED_PASSWORD, PROTECTED_USER
from tests.lab.windows.lab import WindowsLab
from tests.lab.windows.stated import OBSERVED, Stated
from tests.lab.windows.winrm_standin import Account, Offer, StandIn, Traffic

PACKAGE, DEFENDER, AUDIT = "package", "defender", "audit"
# Comes over psrp and is planned as all others are.
PSRP = "stopped"
# Wine has no accounts to become: what then comes is no answer, and nothing may be planned upon it.
BECOME = "become"
# Every plan that is expected, by run and host; in the file those of DEFENDER bear its name.
EXPECTED = expected_plans.load(Path(__file__).with_name("plans.yml"))
CASES = [(PACKAGE, state.name) for state in states.STATES] + [(DEFENDER, name) for name in OBSERVED]
CANARY = "fixture-only-2"
SECRETS = {"kes": {"KLLOGIN": PROTECTED_USER, "KLPASSWD": PROTECTED_PASSWORD}, "klnagent": {"KLUNINSTPASSWD": CANARY}}
SHIELD = {
    "service_names": ["ShieldSvc"],
    "active_program": r"C:\Program Files\Shield\shieldctl.exe",
    "active_arguments": ["status"],
    "active_contains": "real-time: on",
}


def package(port: int) -> dict[str, Any]:
    """Where the package would come from."""
    location = f"http://127.0.0.1:{port}/shield.msi"
    return {"method": "url", "location": location, "sha256": "5" * 64, "signer": "CN=Shield Test Fixture"}


def waivers() -> str:
    """A file that lifts all that may be lifted."""
    lifted = {
        "inhibitor": sorted(inhibitors.WAIVABLE),
        "groups": ["all"],
        "owner": "lab",
        "reason": "Wine cannot tell",
        "ticket": "LAB-1",
        "expires": (datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=30)).isoformat(),
    }
    return yaml.safe_dump({"schema": 1, "waivers": [lifted]})


def secrets(folder: Path) -> dict[str, dict[str, dict[str, str]]]:
    """The secrets in files of their own, and where each one is."""
    named: dict[str, dict[str, dict[str, str]]] = {}
    for owner, own in SECRETS.items():
        for name, text in own.items():
            file = folder / name
            file.touch(0o600)
            file.write_text(text)
            named.setdefault(owner, {})[name] = {"file": str(file)}
    return named


class Planned:
    """Both dry runs, an audit of the observed hosts, and what each left on them."""

    def __init__(self, lab: WindowsLab, hosts: Stated, folder: Path) -> None:
        (folder / "waivers.yml").write_text(waivers())
        account = Account(user="admin", password="Kn0wn-only/here")
        psrp = StandIn(hosts.served[PSRP].host.backend, account, offer=Offer(schemes=("negotiate",)))
        others = hosts.lines()
        become = " ansible_become=true ansible_become_method=runas ansible_become_user=SYSTEM"
        others[BECOME] = lab.stand_in(hosts.served["clean"].host).inventory_line(BECOME) + become
        self.looks = [hosts.looks()]
        self.runs: dict[str, playbooks.Run] = {}
        self.traffic: dict[str, dict[str, Traffic]] = {}
        with psrp, socket.create_server(("127.0.0.1", 0)) as source:
            others[PSRP] = line(PSRP, psrp, account, "ntlm", "psrp")
            source_of_both = package(source.getsockname()[1])
            policies: dict[str, dict[str, Any]] = {
                AUDIT: {"evict_hosts": ",".join(OBSERVED)},
                PACKAGE: {
                    "evict_hosts": "all",
                    "evict_replacement": "package",
                    "evict_replacement_source": source_of_both,
                    "evict_replacement_settings": SHIELD,
                    "evict_fallback": "none",
                    "evict_consent": ["unprotected"],
                    "evict_reboot": "if_needed",
                    "evict_secrets": secrets(folder),
                    "evict_waivers": str(folder / "waivers.yml"),
                },
                DEFENDER: {
                    "evict_hosts": ",".join(OBSERVED),
                    "evict_replacement": "defender_av",
                    "evict_fallback": "package",
                    "evict_fallback_source": source_of_both,
                    "evict_fallback_settings": SHIELD,
                },
            }
            for name, policy in policies.items():
                self._run(hosts, "\n".join(others.values()) + "\n", folder / name, name, policy)

    def _run(self, hosts: Stated, inventory: str, where: Path, name: str, policy: dict[str, Any]) -> None:
        where.mkdir()
        (where / "policy.json").write_text(json.dumps(policy))
        playbook = "evict.kaspersky." + ("audit" if name == AUDIT else "remediate")
        words = ("--check", "--forks", "4", "-e", f"@{where / 'policy.json'}")
        before = hosts.traffic()
        self.runs[name] = playbooks.run(where, inventory, *words, playbook=playbook)
        self.traffic[name] = {host: now.since(before[host]) for host, now in hosts.traffic().items()}
        self.looks.append(hosts.looks())

    def plan(self, run: str, host: str) -> dict[str, Any]:
        """A plan as plan.json has it."""
        made = json.loads((self.runs[run].folder / "plan.json").read_text())["hosts"][host]
        assert isinstance(made, dict)
        return made

    def brief(self, run: str, host: str) -> dict[str, Any]:
        """A plan as it is expected; the certificate of the test has another thumbprint each time."""
        made = expected_plans.brief(self.plan(run, host))
        if "manual" in made:
            made["manual"] = [re.sub(r"\b[0-9A-F]{40}\b", "THUMBPRINT", what) for what in made["manual"]]
        return made


def name_of(run: str, host: str) -> str:
    """The name of an expectation."""
    return host if run == PACKAGE else f"{host} ({run})"


@pytest.fixture(scope="module")
def planned(windows_lab: WindowsLab, stated: Stated, tmp_path_factory: pytest.TempPathFactory) -> Planned:
    made = Planned(windows_lab, stated, tmp_path_factory.mktemp("plans"))
    kept = tmp_path_factory.getbasetemp() / "plans.yml"
    kept.write_text(expected_plans.dump({name_of(*case): made.brief(*case) for case in CASES}))
    return made


@pytest.mark.parametrize(("run", "host"), CASES)
def test_the_plan_of_a_state(planned: Planned, run: str, host: str) -> None:
    """Ids, order, conditions, inhibitors and what stays for a person, as written in plans.yml."""
    assert "Traceback" not in planned.runs[run].out, planned.runs[run].out
    made = planned.plan(run, host)
    assert planned.brief(run, host) == EXPECTED[name_of(run, host)], json.dumps(made, indent=1)[:6000]
    read = Plan.from_dict(made)
    row = planned.runs[run].rows()[host]
    assert (row["plan"], row["plan_state"]) == (read.digest(), read.state)
    if read.state != "act":
        assert read.steps == ()


def test_every_state_has_a_written_plan_and_no_plan_is_of_nobody() -> None:
    assert set(EXPECTED) == {name_of(*case) for case in CASES}


def test_a_host_that_refuses_become_is_unknown_and_nothing_is_planned(planned: Planned) -> None:
    row = planned.runs[PACKAGE].rows()[BECOME]
    assert (row["verdict"], row.get("plan_state")) == ("unknown", None), row
    assert row["reasons"][0].startswith("privilege: become did not work on the host"), row
    assert BECOME not in json.loads((planned.runs[PACKAGE].folder / "plan.json").read_text())["hosts"]


def test_hosts_as_they_are_are_blocked_by_what_nobody_waived(planned: Planned) -> None:
    for host in OBSERVED:
        made = planned.plan(DEFENDER, host)
        assert (made["state"], made["steps"]) == ("blocked", [])
        assert [hit for hit in made["inhibitors"] if hit["waived"] or not hit["remedy"] or not hit["diagnosis"]] == []


@pytest.mark.parametrize("state", states.STATES, ids=lambda state: state.name)
def test_what_acts_becomes_jobs(planned: Planned, state: states.State) -> None:
    plan = Plan.from_dict(planned.plan(PACKAGE, state.name))
    if plan.state != "act":
        assert plan.state in ("blocked", "undecided")
        return
    never = [n.target for entry in knowledge.catalog().for_platform("windows") for n in entry.never_touch]
    told = []
    for phase in (phase for phase in PHASES if phase != "reboot"):
        document = job.compile_job(plan, phase, never).windows()
        assert list(schemas.faults("job-1", document)) == []
        told += [step["id"] for section in document["sections"] for step in section["steps"]]
        assert CANARY not in json.dumps(document)
    assert sorted(told) == sorted(step.id for step in plan.steps if step.phase != "reboot")
    assert told


@pytest.mark.parametrize("name", OBSERVED)
def test_a_dry_run_changes_nothing(planned: Planned, name: str) -> None:
    """Files, registry, services and processes, before and after each run."""
    for later in planned.looks[1:]:
        assert planned.looks[0][name].changes(later[name]) == []


def test_a_plan_is_one_look_more_in_the_same_call(planned: Planned, capsys: pytest.CaptureFixture[str]) -> None:
    """No second module: it alone is more than half a megabyte."""
    with capsys.disabled():
        print()
        for name in OBSERVED:
            audit, plan = planned.traffic[AUDIT][name], planned.traffic[PACKAGE][name]
            more = plan.received / audit.received, plan.requests / audit.requests
            print(f"{name}: an audit {audit}, a plan {plan}: {more[0]:.2f}x the bytes, {more[1]:.2f}x the requests")
    for name in OBSERVED:
        audit, plan = planned.traffic[AUDIT][name], planned.traffic[PACKAGE][name]
        assert audit.received < plan.received < 1.3 * audit.received
        assert plan.requests <= audit.requests + 2


def test_no_secret_is_anywhere(planned: Planned) -> None:
    run = planned.runs[PACKAGE]
    texts = [run.out, *(file.read_text() for file in run.folder.rglob("*") if file.is_file())]
    assert len(texts) > len(states.STATES)
    for form in (CANARY, PROTECTED_PASSWORD, CANARY.encode("utf-16-le").hex()):
        assert [text[:200] for text in texts if form.lower() in text.lower()] == []
