# SPDX-License-Identifier: GPL-3.0-or-later
"""`evict plan`: no run without a target, its exit codes, where its files are, and what --retry-from plans again."""

from __future__ import annotations

import dataclasses
import functools
import json
from pathlib import Path

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import ledger, planned, plans, run
from ansible_collections.evict.kaspersky.plugins.plugin_utils.plan import Plan
from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy import Policy
from ansible_collections.evict.kaspersky.plugins.plugin_utils.recorder import Recorder
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import Verb, Verdict
from evict import cli, plan, playbook, retry
from evict.errors import UsageError
from tests import fleet_plans, runs
from tests.unit.test_cli import ends

pytestmark = pytest.mark.usefixtures("fresh")


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["-i", "hosts"],
        ["-i", "hosts", "-e", "evict_consent=remove"],
        ["--extra-vars", "{}"],
        ["--limit", "evict_hosts"],
        ["-i", "evict_hosts=web,"],
        ["-e", "@empty.yml"],
    ],
)
def test_without_a_target_nothing_runs(
    args: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.yml").write_text("evict_replacement: clamav\n")
    monkeypatch.setattr(playbook, "run", lambda *_: pytest.fail("no playbook may run"))
    assert cli.main(["plan", *args]) == 1
    assert "evict_hosts is missing: name the hosts to plan for, such as -e evict_hosts=web" in capsys.readouterr().err


@pytest.mark.parametrize(
    "word", ["evict_hosts=", "evict_hosts=''", 'evict_consent=x evict_hosts=""', "evict_hosts= a=b"]
)
def test_an_empty_target_is_none(word: str) -> None:
    with pytest.raises(UsageError, match="evict_hosts is empty"):
        plan.target(["-e", word])


@pytest.mark.parametrize(
    "args",
    [
        ["-e", "evict_hosts=web"],
        ["-eevict_hosts=web"],
        ["-i", "x", "--extra-vars=a=b evict_hosts=web"],
        ["--extra-vars", '{"evict_hosts": "web"}'],
        ["--extra", "evict_hosts=web"],
        ["-e", "a=b", "-e", "@there.yml"],
        ["-e", "@secret.yml"],
        ["-e", "@missing.yml"],
        ["--version"],
    ],
)
def test_a_target_given_in_any_way_is_seen(args: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.yml").write_text("evict_hosts: web\n")
    (tmp_path / "secret.yml").write_text("$ANSIBLE_VAULT;1.1;AES256\n3438\n")
    plan.target(args)


def test_help_is_complete(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["plan", "--help"]) == 0
    said = capsys.readouterr().out
    for words in ("-e evict_hosts=PATTERN", "--out DIR", "--retry-from", "plan.json", "report.html", "exit codes: 0"):
        assert words in said
    assert max(map(len, said.splitlines())) <= 120


def plan_run(folder: Path, *made: Plan, end: bool = True) -> run.RunFolder:
    """A plan run as the recorder leaves it."""
    run.reset()
    book = Recorder()
    hosts = [p.host for p in made]
    book.begin(Policy(out=str(folder), run="r1"), {}, verb=Verb.PLAN, inventory=hosts, scope=hosts, ansible="2.19.0")
    assert book.folder is not None
    for one in made:
        verdict = Verdict.UNKNOWN if one.state == "undecided" else Verdict.PRESENT
        book.task_started(one.host)
        row = runs.row(one.host, verdict).planned(one).to_dict()
        book.folder.record_scan(one.host, {**runs.scan(one.host), "row": row})
        book.folder.record(one.host, "plan", one.to_dict())
        plans.write(book.folder.path, one)
        book.scanned(one.host)
    if end:
        assert book.finish() is not None
    made_folder = book.folder
    made_folder._drop_lock()  # as the end of its process does
    run.reset()
    return made_folder


def a_plan(host: str, **more: object) -> Plan:
    """A plan that acts and is valid for a long time."""
    made = fleet_plans.plan_of(runs.row(host, Verdict.PRESENT))
    assert made is not None
    given = {"machine": host, "expires": "2999-01-01T00:00:00.000000Z", **more}
    return dataclasses.replace(made, **given)  # type: ignore[arg-type]


BLOCKED = {"state": "blocked", "steps": (), "inhibitors": (fleet_plans.ENCRYPTION,)}
NOTHING = {"state": "nothing_to_do", "steps": ()}
WAITING = {"state": "undecided", "steps": ()}


@pytest.mark.parametrize(
    ("more", "code"),
    [({}, 0), (NOTHING, 0), ({"state": "excepted", "steps": ()}, 0), (BLOCKED, 2), (WAITING, 2)],
)
def test_the_playbook_and_the_exit_code(
    more: dict[str, object],
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    made = plan_run(tmp_path / "done", a_plan("a"), a_plan("b", **more))
    calls = ends(monkeypatch, playbook.Outcome(code=0, folder=made.path, fault="", ended=True))
    assert cli.main(["plan", "-i", "hosts", "-e", "evict_hosts=web", "--out", "new"]) == code
    assert calls == [
        (
            "evict.kaspersky.remediate",
            [
                "--check",
                "--skip-tags",
                "remediate_rows,remediate_gate,remediate_perform,remediate_wave",
                "-i",
                "hosts",
                "-e",
                "evict_hosts=web",
            ],
            {"evict_fail_on": [], "evict_out": str(tmp_path / "new")},
        )
    ]
    said = capsys.readouterr().out
    acts = "1 host" if more else "2 hosts"
    assert f"plan: {made.path / 'plan.json'} ({acts} to be approved, valid until 2999-01-01T00:00:00" in said
    assert f"report: {made.path / 'report.html'}" in said
    assert f"exit code {code}: {plan.MEANING[code]}" in said  # type: ignore[index]


def test_where_nothing_acts_there_is_nothing_to_approve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    made = plan_run(tmp_path / "done", a_plan("a", **NOTHING))
    ends(monkeypatch, playbook.Outcome(code=0, folder=made.path, fault="", ended=True))
    assert cli.main(["plan", "-e", "evict_hosts=web"]) == 0
    assert f"plan: {made.path / 'plan.json'} (there is nothing to approve)" in capsys.readouterr().out


def test_a_run_that_was_cut_off_gets_its_plans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = plan_run(tmp_path / "killed", a_plan("a"), end=False)
    (made.path / "plans" / "a.json").unlink()
    ends(monkeypatch, playbook.Outcome(code=2, folder=made.path, fault="", ended=False))
    assert cli.main(["plan", "-e", "evict_hosts=web"]) == 0
    assert plans.read(made.path, "a") == a_plan("a")
    assert list(json.loads((made.path / planned.FILE).read_text())["hosts"]) == ["a"]


def test_retry_plans_again_what_is_open_or_expired(tmp_path: Path) -> None:
    old = a_plan("old", expires="2024-09-30T00:00:00.000000Z")
    made = plan_run(
        tmp_path / "first", a_plan("a"), a_plan("b", **BLOCKED), a_plan("c", **NOTHING), a_plan("d", **WAITING), old
    )
    hosts = tmp_path / "hosts"
    hosts.write_text("a\nb\nc\nd\nnew\nold\n")

    def look(verb: Verb) -> str:  # in a process of its own: Ansible reads an inventory once
        return " ".join(retry.plan(made.path, ["-i", str(hosts)], verb).again)

    assert runs.in_child(functools.partial(look, Verb.PLAN)) == "b d new old"
    assert "holds no audit: it was for plan" in runs.in_child(functools.partial(look, Verb.AUDIT))


def test_plans_that_are_taken_over_stand_in_the_new_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = plan_run(tmp_path / "first", a_plan("a"), a_plan("b", **BLOCKED))
    earlier = ledger.build(made.path)
    again = retry.Retry(earlier, again=("b",), new=(), left=(), rows=earlier.rows)
    with retry.prepared(again) as (_words, env):
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        book = Recorder()
        policy = Policy(out=str(tmp_path / "second"), run="r2")
        book.begin(policy, {}, verb=Verb.PLAN, inventory=["a", "b"], scope=["b"], ansible="2.19.0")
        assert book.folder is not None
        fixed = a_plan("b")
        row = runs.row("b", Verdict.PRESENT).planned(fixed).to_dict()
        book.folder.record_scan("b", {**runs.scan("b"), "row": row})
        book.folder.record("b", "plan", fixed.to_dict())
        plans.write(book.folder.path, fixed)
        book.scanned("b")
        assert book.finish() is not None
    data = json.loads((tmp_path / "second" / planned.FILE).read_text())
    assert (data["run"], {host: body["state"] for host, body in data["hosts"].items()}) == (
        "r2",
        dict.fromkeys("ab", "act"),
    )
    assert plans.read(tmp_path / "second", "a") == a_plan("a")
    assert cli.main(["check-evidence", str(tmp_path / "second")]) == 0
    second = ledger.build(tmp_path / "second")
    assert second.plans["a"] == a_plan("a")
    # And a third run takes it over from the second.
    items = retry._items(retry.Retry(second, again=(), new=(), left=(), rows=second.rows))
    assert [item.run for item in items] == ["r1", "r2"]
    assert [item.plan for item in items] == [second.plans.packed(host) for host in "ab"]


def test_every_report_of_a_plan_run_holds_its_plans(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    twin = a_plan("c", machine="a")
    folder = plan_run(tmp_path / "run", a_plan("a"), a_plan("b", **BLOCKED), twin).path
    book = ledger.build(folder)
    assert cli.main(["report", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "plans 3 = blocked 3; 0 steps" in said
    assert f"    remedy: {fleet_plans.ENCRYPTION.remedy}" in said
    assert cli.main(["report", str(folder), "--format", "plan"]) == 0
    said = capsys.readouterr().out
    assert all(f"plan of {host}: blocked" in said and book.plans[host].digest() in said for host in "abc")
    assert cli.main(["report", str(folder), "--format", "evidence", "--out", str(tmp_path / "export")]) == 0
    schema = runs.schema("export-1")
    lines = [json.loads(line) for line in (tmp_path / "export").read_text().splitlines()]
    for line in lines:
        schema.validate(line)
    (line,) = [line for line in lines[1:] if line["host"] == "c"]
    # What the fleet blocked, and what was planned for the host alone before.
    assert line["plan"] == book.plans["c"].to_dict()
    assert [r["data"]["state"] for r in line["records"] if r["event"] == "plan"] == ["act"]
    assert (line["plan"]["state"], line["row"]["verdict"]) == ("blocked", "blocked")
