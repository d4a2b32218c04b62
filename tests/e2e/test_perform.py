# SPDX-License-Identifier: GPL-3.0-or-later
"""The verb `perform` through real ansible-playbook: predictions, refusals, and no connection in any case."""

from __future__ import annotations

import dataclasses
import json
import typing as t
from pathlib import Path

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import (
    canonical,
    evidence,
    job,
    knowledge,
    plan_text,
    plans,
)
from ansible_collections.evict.kaspersky.plugins.plugin_utils.outcome import predict
from ansible_collections.evict.kaspersky.plugins.plugin_utils.plan import Plan, State
from ansible_collections.evict.kaspersky.plugins.plugin_utils.steps import Phase
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import Verb
from tests import jobs, runs
from tests.e2e import playbooks

DEB: t.Final = jobs.PLANS["clamav-deb"]
PLAY: t.Final = """
- name: Perform
  hosts: all
  gather_facts: false
  {strategy}
  tasks:
    - name: Perform
      evict.kaspersky.perform: {options}
      {keyword}
"""
# A shell that leaves a mark when anything is sent to the host.
TOUCHED: t.Final = "open({mark!r}, 'w').close()\n"


class Place(t.NamedTuple):
    """A run that was begun, with a plan, and a host that leaves a mark when anything is sent to it."""

    where: Path
    mark: Path
    inventory: str

    @property
    def folder(self) -> Path:
        return self.where / "run"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    mark = tmp_path / "contacted"
    shell = playbooks.stand_in(tmp_path / "sh", TOUCHED.format(mark=str(mark)))
    runs.begun(tmp_path / "run", inventory=["web1"], verb=Verb.PLAN)
    line = f"web1 ansible_connection=local ansible_shell_executable={shell} ansible_become=true\n"
    return Place(tmp_path, mark, line)


def perform(
    place: Place,
    *args: str,
    plan: Plan | None = DEB,
    options: dict[str, t.Any] | None = None,
    keyword: str = "",
    strategy: str = "",
    env: dict[str, str] | None = None,
) -> playbooks.Run:
    """Run one task. Whatever becomes of it, the host is not contacted."""
    if plan is not None:
        plans.write(place.folder, plan)
    given = {"phase": "commit", "digest": plan.digest() if plan else "0" * 64} if options is None else options
    play = place.where / "play.yml"
    play.write_text(PLAY.format(options=json.dumps(given), keyword=keyword, strategy=strategy))
    done = playbooks.run(place.where, place.inventory, *args, playbook=str(play), env=env)
    assert not place.mark.exists()
    assert "Traceback" not in done.out
    return done


def predicted(place: Place) -> list[dict[str, t.Any]]:
    """The data of the events `predicted` in the host's evidence."""
    logs = [evidence.load(file) for file in place.folder.glob("hosts/*.jsonl")]
    assert not any(log.problems for log in logs)
    return [dict(record.data) for log in logs for record in log.records if record.event == "predicted"]


@pytest.mark.parametrize("phase", jobs.PHASES)
def test_each_phase_is_predicted_and_written_down(place: Place, phase: Phase) -> None:
    done = perform(place, "--check", "-vv", options={"phase": phase, "digest": DEB.digest()})
    assert done.code == 0, done.out
    wanted = [item.to_dict() for item in predict(DEB, phase)]
    never = [item.target for e in knowledge.catalog().for_platform("linux") for item in e.never_touch]
    seal = job.compile_job(DEB, phase, never).seal()
    assert predicted(place) == [{"phase": phase, "digest": DEB.digest(), "job": seal, "outcomes": wanted}]
    assert "changed=1" in done.out  # of `finish`, too: what is left is known on the host only
    errors = [e.message for file in place.folder.glob("hosts/*.jsonl") for e in faults(file)]
    assert errors == []


def faults(file: Path) -> list[t.Any]:
    validator = runs.schema("evidence-1")
    return [error for line in file.read_text().splitlines() for error in validator.iter_errors(json.loads(line))]


@pytest.mark.parametrize("phase", jobs.PHASES)
def test_diff_shows_the_lines_of_the_plan(place: Place, phase: Phase) -> None:
    done = perform(place, "--check", "--diff", options={"phase": phase, "digest": DEB.digest()})
    assert done.code == 0, done.out
    for line in plan_text.phase_lines(DEB, phase):
        assert f"+{line}\n" in done.out
    assert f"web1 after the phase {phase}, as planned\n" in done.out
    assert "point of no return" not in perform(place, "--check").out


def test_the_mark_would_tell_of_a_contact(place: Place) -> None:
    done = playbooks.run(place.where, place.inventory, "-e", "ansible_become=false")
    assert place.mark.exists(), done.out


def test_without_a_plan_nothing_is_done(place: Place) -> None:
    before = sorted(path.name for path in place.folder.rglob("*"))
    done = perform(place, plan=None, env={"ANSIBLE_CALLBACKS_ENABLED": "ansible.builtin.default"})
    assert done.code == 2
    assert "make a new plan" in " ".join(done.out.split())
    assert sorted(path.name for path in place.folder.rglob("*")) == before


EXISTING: t.Final = {"evict_replacement": "existing", "evict_replacement_settings": {"service_names": ["x.service"]}}
CONSENT: t.Final = {**EXISTING, "evict_consent": ["remove"]}
LATER: t.Final = {"start": "2999-01-05T22:00:00+01:00", "end": "2999-01-06T04:00:00+01:00"}


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({}, "evict_replacement"),
        (EXISTING, "nobody consented to the removal"),
        ({**CONSENT, "evict_windows": [LATER]}, "no maintenance window"),
        (CONSENT, "the phase stage was not performed in this run"),
    ],
)
def test_for_real_the_gates_come_before_the_host(place: Place, extra: dict[str, t.Any], words: str) -> None:
    done = perform(place, "-e", json.dumps(extra))
    assert done.code == 2
    assert words in " ".join(done.out.split())
    assert not [
        e for file in place.folder.glob("hosts/*.jsonl") for e in evidence.read(file) if e.event == "performing"
    ]


def test_a_task_that_turns_check_mode_off_does_nothing_either(place: Place) -> None:
    done = perform(place, "--check", keyword="check_mode: false")
    assert done.code == 2
    assert "evict_replacement" in done.out
    assert predicted(place) == []


@pytest.mark.parametrize(
    ("keyword", "name"),
    [
        ("delegate_to: localhost", "delegate_to"),
        ("run_once: true", "run_once"),
        ("loop: [1, 2]", "loop"),
        ("until: true", "until"),
    ],
)
def test_keywords_are_refused(place: Place, keyword: str, name: str) -> None:
    done = perform(place, "--check", keyword=keyword)
    assert done.code == 2
    assert f"evict.kaspersky.perform cannot run with `{name}`" in done.out
    assert predicted(place) == []


@pytest.mark.parametrize("strategy", ["free", "host_pinned"])
def test_strategies_other_than_linear_are_refused(place: Place, strategy: str) -> None:
    done = perform(place, "--check", strategy=f"strategy: {strategy}")
    assert done.code == 2
    assert f"cannot run with the strategy `{strategy}`" in done.out
    by_default = perform(place, "--check", env={"ANSIBLE_STRATEGY": strategy})
    assert f"cannot run with the strategy `{strategy}`" in by_default.out
    assert predicted(place) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "`phase` must be one of stage, commit, finish, it is None; `digest` is missing: it comes from"),
        ({"phase": "commit", "digest": ""}, "from its beginning, without --start-at-task and --tags"),
        ({"phase": "reboot", "digest": DEB.digest()}, "it is 'reboot'"),
        ({"phase": "commit", "digest": "abc"}, "64 hex digits"),
        ({"phase": "commit", "digest": DEB.digest(), "force": True}, "`force` is no option"),
        ({"phase": "commit", "digest": "0" * 64}, "what you ask for is not what was planned"),
    ],
)
def test_wrong_options_are_named(place: Place, options: dict[str, t.Any], words: str) -> None:
    done = perform(place, "--check", options=options)
    assert done.code == 2
    assert words in " ".join(done.out.split())
    assert predicted(place) == []


@pytest.mark.parametrize("check", [[], ["--check"]])
def test_a_run_of_a_part_is_refused_in_plain_words(place: Place, check: list[str]) -> None:
    extra = ("--tags", "remediate_perform", "-e", "evict_hosts=all", "-e", "evict_replacement=clamav")
    done = playbooks.run(place.where, place.inventory, *check, *extra, playbook="evict.kaspersky.remediate")
    assert done.code == 2
    assert "without --start-at-task" in " ".join(done.out.split())
    assert "undefined" not in done.out
    assert not place.mark.exists()
    assert {row["verdict"] for row in done.rows().values()} == {"unknown"}


@pytest.mark.parametrize("check", [[], ["--check"]])
def test_a_run_begun_in_the_middle_begins_nothing(place: Place, check: list[str]) -> None:
    extra = ("--start-at-task", "Commit | *", "-e", "evict_hosts=all", "-e", "evict_replacement=clamav")
    done = playbooks.run(place.where, place.inventory, *check, *extra, playbook="evict.kaspersky.remediate")
    assert done.code not in (0, 2)
    assert "is run from its beginning: leave --start-at-task out" in " ".join(done.out.split())
    assert not place.mark.exists()


def test_without_a_plan_there_is_nothing_to_predict(place: Place) -> None:
    done = perform(place, "--check", plan=None)
    assert done.code == 2
    assert "No such file" in done.out
    assert "make a new plan" in done.out


def test_a_plan_that_was_changed_is_refused(place: Place) -> None:
    file = plans.write(place.folder, DEB)
    data = json.loads(file.read_bytes())
    data["steps"][0]["args"]["manager"] = "rpm"
    file.write_bytes(canonical.dumps(data) + b"\n")
    done = perform(place, "--check", plan=None, options={"phase": "commit", "digest": DEB.digest()})
    assert done.code == 2
    assert "it was changed after it was made" in done.out


def test_a_plan_that_touches_what_must_not_be_touched_is_refused(place: Place) -> None:
    path = "/var/opt/kaspersky"  # holds the store of the quarantine
    plan = jobs.plan("linux", [jobs.step("finish.path", "purge_path", args={"path": path})])
    done = perform(place, "--check", plan=plan)
    assert done.code == 2
    assert "must never be touched" in done.out
    assert predicted(place) == []


@pytest.mark.parametrize("state", ["blocked", "undecided", "excepted", "nothing_to_do"])
def test_a_plan_without_steps_is_no_failure(place: Place, state: State) -> None:
    done = perform(place, "--check", "-v", plan=dataclasses.replace(DEB, state=state, steps=()))
    assert done.code == 0
    assert f"is {state}: nothing would be done" in done.out
    assert "changed=0" in done.out
