# SPDX-License-Identifier: GPL-3.0-or-later
"""Every state with something to do, and every misbehaviour, remediated twice on real hosts over real ssh: the plan and
nothing else, the right verdict, every change explained, the second run at rest."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import outcome
from ansible_collections.evict.kaspersky.plugins.plugin_utils.steps import Phase
from tests import expected_plans

from . import explained, lowered, misbehaviour, remediating
from .lab import Host, Lab
from .misbehaviour import MISBEHAVIOURS
from .remediating import Remediation
from .state import DEB, RPM
from .states import STATES
from .takeover import COVER, EXISTING

Family = Literal["deb", "rpm"]
FAMILIES: Mapping[str, tuple[str, ...]] = {"deb": DEB, "rpm": RPM}
PHASES: tuple[Phase, ...] = ("stage", "commit", "finish")  # the restart is the controller's
PLANS = expected_plans.load(Path(__file__).with_name("plans.yml"))
# States whose host ends otherwise than replaced_unproved, the end where another scanner protects it and nothing is
# known of how to prove that; and those with nothing to do, since it protects them already.
ENDS: Mapping[str, str] = {
    "removal_failed": "failed_protected",
    "anchor_left": "nothing_to_do",
    "mail_lines_left": "leftovers",
}
# What a state's own place adds to those that the catalog names.
BESIDES: Mapping[str, tuple[str, ...]] = {
    "behind_link": ("/srv/big/kaspersky**",),
    # The package is that of the 64-bit agent, whose scripts clear its folders.
    "foreign_architecture": ("/etc/opt/kaspersky/klnagent**", "/var/opt/kaspersky/klnagent**"),
}
TIME_ONLY = re.compile(r"^changed +.* \(mtime=\d+ -> mtime=\d+\)$")
QUIET = ("clean", "decoy", "scanner", "chroot", "clash", "in_container", "portable", "returns")


def states(family: str) -> list[tuple[str, str]]:
    """(state, root) of the states in which a plan removes or clears something."""
    return [
        (name, root)
        for name, state in STATES.items()
        for root in [next((root for root in FAMILIES[family] if root in state.roots), "")]
        if root and name not in QUIET and PLANS[f"{name}-{root}"]["state"] == "act"
    ]


def wrong(family: str) -> list[tuple[str, str]]:
    """(misbehaviour, root)."""
    return [(name, root) for name, root in misbehaviour.cases() if root in FAMILIES[family]]


@dataclass
class Trials:
    """All hosts of a family, before, between and after two remediations."""

    hosts: dict[str, Host]
    policies: dict[str, Mapping[str, Any]]
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    rest: dict[str, Any] = field(default_factory=dict)
    files: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    checks: dict[str, list[str]] = field(default_factory=dict)
    runs: list[Remediation] = field(default_factory=list)


def everywhere(task: Callable[[str], None], names: list[str]) -> None:
    """Do something for all hosts, some at once; the first that fails ends it."""
    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(task, name) for name in names]:
            future.result()


def trials_of(lab: Lab, where: Path, family: str) -> Trials:
    """Bring up the hosts and remediate them twice."""
    cases = [(f"s-{name}", name, root) for name, root in states(family)]
    cases += [(f"m-{name}", name, root) for name, root in wrong(family)]
    hosts = {key: lab.up(f"{family[0]}{number}", root) for number, (key, _, root) in enumerate(cases)}
    lab.wait(*hosts.values())
    policies = {key: MISBEHAVIOURS[name].policy if key[0] == "m" else EXISTING for key, name, _ in cases}
    found = Trials(hosts, policies)
    names = {key: name for key, name, _ in cases}

    def make(key: str) -> None:
        host, name = hosts[key], names[key]
        if key[0] == "m":
            MISBEHAVIOURS[name].make(host)
        else:
            host.install(COVER)
            STATES[name].make(host)
        found.files[key] = explained.package_files(host)
        found.before[key] = host.snapshot()

    def look(kept: dict[str, Any]) -> Callable[[str], None]:
        def once(key: str) -> None:
            kept[key] = hosts[key].snapshot()
            for package, paths in explained.package_files(hosts[key]).items():
                found.files[key].setdefault(package, []).extend(paths)

        return once

    def check(key: str) -> None:
        scripts = MISBEHAVIOURS[names[key]].checks if key[0] == "m" else ()
        failed = [script for script in scripts if hosts[key].run(script, check=False).returncode != 0]
        found.checks[key] = failed

    inventory = remediating.inventory_of(hosts, policies)
    collection = lowered.collection(where / "lowered", stop=20, step=60)

    def run(name: str) -> Remediation:
        return remediating.remediate(
            lab, where / name, inventory, "--forks", "10", collection=collection, patience=1500
        )

    everywhere(make, list(hosts))
    found.runs.append(run("first"))
    everywhere(look(found.after), list(hosts))
    everywhere(check, list(hosts))
    found.runs.append(run("second"))
    everywhere(look(found.rest), list(hosts))
    return found


@pytest.fixture(scope="module")
def trials(linux_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Trials]]:
    """`trials(family)`, made once."""
    made: dict[str, Trials] = {}

    def of(root: str) -> Trials:
        family = "rpm" if root in RPM else "deb"
        if family not in made:
            made[family] = trials_of(linux_lab, tmp_path_factory.mktemp(family), family)
        return made[family]

    yield of
    for trial in made.values():
        for host in trial.hosts.values():
            host.down()


Of = Callable[[str], Trials]
STATE_CASES = [case for family in FAMILIES for case in states(family)]
WRONG_CASES = [case for family in FAMILIES for case in wrong(family)]
ALL = [(f"s-{name}", root) for name, root in STATE_CASES] + [(f"m-{name}", root) for name, root in WRONG_CASES]


def protected(host: Host) -> bool:
    """Does the other scanner run, by systemd's word and the kernel's?"""
    return host.run("systemctl is-active shield && pgrep -x shieldd", check=False).returncode == 0


def came_late(told: misbehaviour.Told, row: Mapping[str, Any]) -> bool:
    """Is the trouble one that may come a moment later, and did it?"""
    return bool(told.late) and any(told.late in reason for reason in row["reasons"])


@pytest.mark.parametrize(("name", "root"), STATE_CASES)
def test_a_state_is_remediated(name: str, root: str, trials: Of) -> None:
    made = trials(root)
    first, again = (run.row(f"s-{name}") for run in made.runs)
    assert first["verdict"] == ENDS.get(name, "replaced_unproved"), first
    assert again["verdict"] in ("nothing_to_do", first["verdict"]), again


@pytest.mark.parametrize(("name", "root"), WRONG_CASES)
def test_a_removal_that_goes_wrong(name: str, root: str, trials: Of) -> None:
    made, told = trials(root), misbehaviour.told(name, root)
    first, again = made.runs
    key = f"m-{name}"
    row = first.row(key)
    failures = first.failures(key)
    assert row["plan_state"] == told.plan, row
    assert {text.partition(":")[0] for text in row["inhibitors"]} == told.inhibitors, row
    assert row["verdict"] == told.verdict, (row, failures)
    late = came_late(told, row)
    assert (told.failure in failures.values()) == (bool(told.failure) and not late), (failures, row)
    assert told.failure or not failures, failures
    if told.failure and not late:
        assert any(told.failure in reason for reason in row["reasons"]), row
    assert made.checks[key] == []
    verdict, why = told.again
    later = again.row(key)
    said = {*(text.partition(":")[0] for text in later["inhibitors"]), *again.failures(key).values()}
    assert later["verdict"] == verdict, (later, again.failures(key))
    assert not why or why in said or came_late(told, later), (said, later)


@pytest.mark.parametrize(("key", "root"), ALL)
def test_performed_and_skipped_are_what_was_planned(key: str, root: str, trials: Of) -> None:
    for run in trials(root).runs:
        plan = run.plan(key)
        outcomes = run.outcomes(key)
        if plan.state != "act":
            assert outcomes == []
            continue
        performed = run.events(key, "performed")
        assert [data["phase"] for data in performed] == list(dict.fromkeys(data["phase"] for data in performed))
        for phase in PHASES:
            mine = [one for one in outcomes if one.phase == phase]
            assert outcome.accounts(plan, mine, phase) == [], (phase, mine)


@pytest.mark.parametrize(("key", "root"), ALL)
def test_nobody_is_exposed_without_a_word(key: str, root: str, trials: Of) -> None:
    made = trials(root)
    row = made.runs[-1].row(key)
    exposed = made.policies[key] is EXISTING and not protected(made.hosts[key])
    told = row["verdict"] in ("failed_exposed", "blocked")
    assert not exposed or told, row
    assert exposed or row["verdict"] != "failed_exposed", row


@pytest.mark.parametrize(("key", "root"), ALL)
def test_every_change_is_explained_by_the_plan(key: str, root: str, trials: Of) -> None:
    made, run = trials(root), trials(root).runs[0]
    besides = MISBEHAVIOURS[key[2:]].changes if key[0] == "m" else BESIDES.get(key[2:], ())
    left = explained.unexplained(
        made.before[key], made.after[key], run.plan(key), run.outcomes(key), made.files[key], besides
    )
    # A time alone says that something came and went: what stayed is a change of its own.
    assert [str(change) for change in left if not TIME_ONLY.search(str(change))] == []


@pytest.mark.parametrize(("name", "root"), STATE_CASES)
def test_a_second_run_changes_nothing(name: str, root: str, trials: Of) -> None:
    made = trials(root)
    key = f"s-{name}"
    touched = [one.step for one in made.runs[1].outcomes(key) if one.status == "done" and one.changes]
    assert touched == []
    plan, outcomes = made.runs[1].plan(key), made.runs[1].outcomes(key)
    left = explained.unexplained(made.after[key], made.rest[key], plan, outcomes, made.files[key])
    assert [str(change) for change in left] == []
