# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit as Molecule and as ansible-runner run it, on the same four real hosts of a Linux lab; and remediations as
Molecule runs them, each scenario with hosts of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import typing as t
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import ansible_runner
import pytest

from tests import tree
from tests.lab.linux import demo_fleet, snapshot
from tests.lab.linux.lab import Host, Lab
from tests.lab.linux.states import STATES

# Scenario -> its hosts; what they are is said in extensions/molecule/shared/fleet.py.
REMEDIATIONS = {"remediate-deb": 2, "remediate-rpm": 2, "blocked": 3, "resume": 2}


def molecule(lab: Lab, *words: str, scenario: str = "audit") -> str:
    """Run `molecule WORDS -s SCENARIO` as a developer would, in the root of the checkout; what it printed."""
    foreign = ("ANSIBLE_", "MOLECULE_", "PYTHON", "EVICT_CI")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    beside = Path(sys.executable).parent
    done = subprocess.run(
        [str(beside / "molecule"), *words, "-s", scenario],
        cwd=tree.ROOT,
        env={**kept, "PATH": f"{beside}{os.pathsep}{kept['PATH']}", "EVICT_LAB_NAME": lab.name, "NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1500,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:]
    return done.stdout


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """What the scenario's `create` makes, until its `destroy` has removed it without a trace."""
    made = Lab(f"molecule-{os.getpid()}")
    try:
        molecule(made, "create")
        yield made
        molecule(made, "destroy")
        assert made.residue() == []
    finally:
        made.stop()


@pytest.fixture(scope="module")
def remediations() -> Iterator[Mapping[str, tuple[Lab, Future[str]]]]:
    """Scenario -> its lab and what the whole of it prints; one after another, for all of them are hosts at work."""
    labs = {name: Lab(f"mol{number}-{os.getpid()}") for number, name in enumerate(REMEDIATIONS)}
    try:
        with ThreadPoolExecutor(1) as pool:
            yield {name: (made, pool.submit(molecule, made, "test", scenario=name)) for name, made in labs.items()}
    finally:
        for made in labs.values():
            made.stop()


@pytest.mark.parametrize("scenario", REMEDIATIONS)
def test_remediations(scenario: str, remediations: Mapping[str, tuple[Lab, Future[str]]]) -> None:
    """Hosts are changed as planned, a second run changes nothing, and other instruments than ours say the same."""
    made, ending = remediations[scenario]
    out = ending.result()
    actions = re.findall(r"^INFO +\[\S+ > (\w+)\] Executed: Successful$", out, re.MULTILINE)
    first = "prepare" if scenario == "resume" else "check"
    wanted = ["syntax", "create", "converge", "idempotence", "verify", "destroy"]
    assert sorted(actions) == sorted([*wanted, first]), out[-3000:]
    # `idempotence` itself fails a second run that changed something; that the first one did is for us to see.
    (converged,) = re.findall(r"\[\S+ > converge\] Executing$(.*?)^INFO", out, re.MULTILINE | re.DOTALL)
    changed = re.findall(r"^\S+ +: ok=\d+ +changed=(\d+) ", converged, re.MULTILINE)
    assert len(changed) == REMEDIATIONS[scenario], converged[-3000:]
    assert all((number == "0") == (scenario == "blocked") for number in changed), converged[-3000:]
    assert made.residue() == []


def expected() -> dict[str, tuple[str, dict[str, str]]]:
    """Name of a host -> what its state is worth: the verdict, and product -> state."""
    states = {name: STATES[state].expected for name, _, state, _ in demo_fleet.HOSTS}
    return {name: (state.verdict, dict(state.products)) for name, state in states.items()}


def test_molecule_scenario(lab: Lab) -> None:
    converged = molecule(lab, "converge")
    again = molecule(lab, "idempotence")
    for out in (converged, again):
        assert out.count("changed=0") == len(demo_fleet.HOSTS), out[-3000:]
    verified = molecule(lab, "verify")
    assert verified.count("ok: [localhost] => (item=") == 3, verified[-3000:]
    assert len(list((lab.state / lab.name / "runs").iterdir())) == 2


def test_ansible_runner(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As AWX runs it: rows come in the runner's events and lie in rows.json, and both say the same."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    hosts = {name: Host(lab=lab, name=name, ip="", root=root) for name, root, _, _ in demo_fleet.HOSTS}
    before = {name: host.snapshot() for name, host in hosts.items()}
    private = tmp_path / "private"
    private.mkdir()
    run = ansible_runner.run(
        private_data_dir=str(private),
        project_dir=str(tree.ROOT),
        playbook="playbooks/audit.yml",
        inventory=str(lab.state / lab.name / "inventory"),
        extravars={"evict_out": str(tmp_path / "run")},
        cmdline="--check",
        quiet=True,
    )
    assert (run.status, run.rc) == ("successful", 0), run.stdout.read()
    told: dict[str, dict[str, t.Any]] = {}
    for event in run.events:
        data = event["event_data"]
        if event["event"] == "runner_on_ok" and data["task_action"].endswith("scan"):
            told[data["host"]] = data["res"]["row"]
    rows = {row["host"]: row for row in json.loads((tmp_path / "run" / "rows.json").read_text())["rows"]}
    assert {name: row["verdict"] for name, row in told.items()} == {name: row["verdict"] for name, row in rows.items()}
    said = {name: (row["verdict"], {p["id"]: p["state"] for p in row["products"]}) for name, row in rows.items()}
    assert said == expected()
    assert {name: len(row["products"]) for name, row in told.items()} == {n: len(p) for n, (_, p) in said.items()}
    assert run.stats["changed"] == {}
    for name, host in hosts.items():
        assert snapshot.not_allowed(snapshot.diff(before[name], host.snapshot())) == [], name
