# SPDX-License-Identifier: GPL-3.0-or-later
"""Every state on real hosts: audited and judged right, planned as written, and unchanged by both."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils.observation import PROBES
from ansible_collections.evict.kaspersky.plugins.plugin_utils.plan import Plan
from tests import expected_plans
from tests.e2e import playbooks

from . import repository, snapshot
from .conftest import Fresh
from .lab import Host, Lab
from .state import DEB, RPM
from .states import STATES

# Each state on one host of each family that it can be made on.
CASES = [
    (name, root)
    for name, state in STATES.items()
    for family in (DEB, RPM)
    for root in [next((r for r in family if r in state.roots), None)]
    if root
]
# ClamAV from the host's own repository. No host of the lab reaches the world; its own sshd stands for a mirror that
# answers, since all that a plan asks of one is a connection.
POLICY = {
    "evict_hosts": "all",
    "evict_replacement": "clamav",
    "evict_replacement_source": {"method": "repository"},
    "evict_replacement_settings": {"updates": "mirror", "database_mirror": "http://127.0.0.1:22"},
    "evict_fallback": "none",
    "evict_consent": ["unprotected"],
}
PLANS = expected_plans.load(Path(__file__).with_name("plans.yml"))


@dataclass(frozen=True)
class Stated:
    """One audit over all states, as root and as an ordinary user, and one plan over them as root."""

    audit: playbooks.Run
    plans: playbooks.Run


def plan(where: Path, inventory: str, *args: str, **policy: Any) -> playbooks.Run:
    """A dry run with the lab's policy."""
    where.mkdir(parents=True, exist_ok=True)
    extra = where / "policy.json"
    extra.write_text(json.dumps({**POLICY, **policy}))
    words = ("--check", "-e", f"@{extra}", "--forks", "8", *args)
    return playbooks.run(where, inventory, *words, playbook="evict.kaspersky.remediate")


@pytest.fixture(scope="module")
def stated(linux_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stated]:
    """All states at once, each on a host of its own."""
    hosts = {f"{name}-{root}": linux_lab.up(f"t{n}", root) for n, (name, root) in enumerate(CASES)}
    linux_lab.wait(*hosts.values())

    def make(name: str, root: str) -> None:
        repository.offer(hosts[f"{name}-{root}"])
        STATES[name].make(hosts[f"{name}-{root}"])

    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(make, name, root) for name, root in CASES]:
            future.result()
    where = tmp_path_factory.mktemp("states")
    lines = {name: host.vars() for name, host in hosts.items()}
    as_root = linux_lab.inventory(where / "root", lines).read_text()
    lines |= {f"{name}-plain": host.vars(user="plain") for name, host in hosts.items()}
    everybody = linux_lab.inventory(where / "hosts", lines).read_text()
    yield Stated(audit=playbooks.run(where, everybody, "--check", "--forks", "8"), plans=plan(where / "plans", as_root))
    for host in hosts.values():
        host.down()


def row_of(host: str, run: playbooks.Run) -> dict[str, Any]:
    """A host's row of a run that went well."""
    assert "Traceback" not in run.out, run.out
    return run.rows()[host]


@pytest.mark.parametrize(("name", "root"), CASES)
def test_state(name: str, root: str, stated: Stated) -> None:
    expected = STATES[name].expected
    row = row_of(f"{name}-{root}", stated.audit)
    assert row["verdict"] == expected.verdict, row
    assert {p["id"]: p["state"] for p in row["products"]} == dict(expected.products), row
    assert set(row["unknown_probes"]) == set(expected.unknown), row
    assert row["platform"] == "linux"
    assert {p["id"] for p in row["reported"]} == expected.reported, row
    assert {fact["topic"] for fact in row["facts"]} - {"protection"} == expected.topics, row
    assert row["protection"] == expected.protection, row


@pytest.mark.parametrize(("name", "root"), CASES)
def test_an_ordinary_user_is_never_told_absent(name: str, root: str, stated: Stated) -> None:
    """Without root less is seen: `unknown` then, or what is plain for all to see."""
    as_root, row = row_of(f"{name}-{root}", stated.audit), row_of(f"{name}-{root}-plain", stated.audit)
    assert row["verdict"] in (
        "unknown",
        as_root["verdict"],
        *(["leftovers"] if as_root["verdict"] == "present" else []),
    )
    assert row["verdict"] != "absent", row
    assert "processes" in row["unknown_probes"], row


def test_share_of_unknown(stated: Stated, capsys: pytest.CaptureFixture[str]) -> None:
    """How much an audit could not tell, over all states; the README has the figures."""
    rows = stated.audit.rows()
    plain = [row for host, row in rows.items() if host.endswith("-plain")]
    root = [row for host, row in rows.items() if not host.endswith("-plain")]
    assert len(plain) == len(root) == len(CASES)
    with capsys.disabled():
        print()
        for who, told in (("root", root), ("an ordinary user", plain)):
            print(f"unknown as {who}: {share(told)}")
    assert sum(len(row["unknown_probes"]) for row in root) == sum(
        len(STATES[name].expected.unknown) for name, _ in CASES
    )


def share(rows: list[dict[str, Any]]) -> str:
    """Hosts whose verdict is unknown, probes that could not tell, and which ones."""
    hosts = sum(row["verdict"] == "unknown" for row in rows)
    which = Counter(probe for row in rows for probe in row["unknown_probes"])
    probes, asked = which.total(), len(rows) * len(PROBES["linux"])
    names = ", ".join(f"{name} {count}" for name, count in which.most_common())
    return (
        f"{hosts} of {len(rows)} hosts ({100 * hosts / len(rows):.0f} %), "
        f"{probes} of {asked} probes ({100 * probes / asked:.1f} %): {names or 'none'}"
    )


def test_container_is_noted(stated: Stated) -> None:
    row = row_of("in_container-deb12", stated.audit)
    assert any("container" in note for note in row["notes"]), row


@pytest.mark.parametrize(("name", "root"), CASES)
def test_the_plan_of_a_state(name: str, root: str, stated: Stated) -> None:
    """Ids, order, conditions, inhibitors and what stays for a person, as written in plans.yml."""
    host = f"{name}-{root}"
    assert "Traceback" not in stated.plans.out, stated.plans.out
    made = json.loads((stated.plans.folder / "plan.json").read_text())["hosts"][host]
    assert expected_plans.brief(made) == PLANS[host], json.dumps(made, indent=1)[:4000]
    read = Plan.from_dict(made)
    assert read.digest() == made["digest"]
    row = stated.plans.rows()[host]
    assert row["plan"] == made["digest"]
    assert row["plan_state"] == read.state


def test_every_state_has_a_written_plan_and_no_plan_is_of_nobody() -> None:
    assert set(PLANS) == {f"{name}-{root}" for name, root in CASES}


@pytest.mark.parametrize("root", ["deb12", "rpm9"])
def test_a_dry_run_changes_nothing(root: str, linux_lab: Lab, fresh_host: Fresh, tmp_path: Path) -> None:
    """Full-tree snapshots around a plan of a host with everything on it, and the same plan again after it."""
    host: Host = fresh_host(root)
    repository.offer(host)
    STATES["everything"].make(host)
    inventory = linux_lab.inventory(tmp_path / "hosts", {root: host.vars(user="withpass", become=True)}).read_text()
    before = host.snapshot()
    assert len(before) > 5_000
    first = plan(tmp_path / "first", inventory, "--diff")
    assert row_of(root, first)["plan_state"] == "act", first.out
    assert snapshot.not_allowed(snapshot.diff(before, host.snapshot())) == []
    # The same host again, now held against what somebody approved.
    approved = str(first.folder / "plan.json")
    second = plan(tmp_path / "second", inventory, evict_approved_plan=approved)
    assert row_of(root, second)["plan"] == row_of(root, first)["plan"]
    assert row_of(root, second)["plan_state"] == "act", second.out
    assert snapshot.not_allowed(snapshot.diff(before, host.snapshot())) == []
    # Something was removed since: what was approved is no longer what would be done.
    host.run("dpkg -r kesl-gui" if host.family == "deb" else "rpm -e kesl-gui")
    third = row_of(root, plan(tmp_path / "third", inventory, evict_approved_plan=approved))
    assert (third["verdict"], third["plan_state"]) == ("blocked", "blocked")
    (changed,) = [text for text in third["inhibitors"] if text.startswith("plan_changed")]
    assert "kesl-gui" in changed
