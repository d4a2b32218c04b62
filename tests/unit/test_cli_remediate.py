# SPDX-License-Identifier: GPL-3.0-or-later
"""`evict remediate`, `protect` and `verify`: what they refuse, say and run, their exit codes, and what is run again."""

from __future__ import annotations

import contextlib
import io
import json
import typing as t
from pathlib import Path

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import run
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import Verb, Verdict
from evict import cli, playbook, protect, remediate, retry, verify
from tests import runs
from tests.unit.test_cli import ends

pytestmark = pytest.mark.usefixtures("fresh")


def evict(*args: str) -> str:
    """Code, output and errors of a command, in a process of its own: Ansible reads an inventory once in a process."""

    def work() -> str:
        with io.StringIO() as out, contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            code = cli.main(args)
            return f"{code}\n{out.getvalue()}"

    return runs.in_child(work)


GIVEN: t.Final = ["-i", "a,b,c,", "-e", "evict_hosts=all", "-e", "evict_consent=remove"]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["remediate"], "evict_hosts is missing: name the hosts to remediate"),
        (["remediate", "-e", "evict_hosts="], "evict_hosts is empty"),
        (["remediate", "-e", "evict_hosts=web"], "evict_consent is missing: give your consent to the removal with"),
        (["remediate", *GIVEN, "--check"], "a dry run is a command of its own: evict plan"),
        (["remediate", *GIVEN, "-C"], "a dry run is a command of its own: evict plan"),
        (["remediate", *GIVEN, "-e", "evict_waves=many"], "evict_waves must be a whole number of hosts"),
        (
            ["remediate", *GIVEN, "-e", "evict_approved_plan=/nowhere.json"],
            "the approved plan /nowhere.json is not there",
        ),
        (["remediate", "-i", "a,", "-e", "evict_hosts=zzz evict_consent=remove"], "zzz"),
        (["protect"], "evict_hosts is missing: name the hosts to protect"),
        (["protect", *GIVEN, "--check"], "a dry run is a command of its own"),
        (["verify", "--check"], "a verification changes nothing: leave --check out"),
        (["verify", "--against", "/nowhere"], "--against: /nowhere holds no evidence of a run"),
    ],
)
def test_what_is_refused_before_anything_is_started(
    args: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(playbook, "run", lambda *_: pytest.fail("no playbook may run"))
    said = evict(*args)
    assert said.startswith("1\n")
    assert words in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["remediate", "protect", "verify"])
def test_help_is_complete(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([name, "--help"]) == 0
    said = capsys.readouterr().out
    for words in (f"usage: evict {name}", "--out DIR", "--retry-from", "exit codes: 0"):
        assert words in said
    assert max(map(len, said.splitlines())) <= 120


ENDS: t.Final = {
    "remediate": [("replaced", 0), ("reboot_pending", 2), ("present", 2), ("failed_protected", 3)],
    "protect": [("replaced", 0), ("present", 2), ("failed_exposed", 3)],
    "verify": [("absent", 0), ("leftovers", 2), ("failed_exposed", 3)],
}


@pytest.mark.parametrize(("name", "verdict", "code"), [(name, *pair) for name, found in ENDS.items() for pair in found])
def test_the_playbook_and_the_exit_code(
    name: str,
    verdict: str,
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    made = runs.ended(tmp_path / "done", {"a": Verdict.EXCEPTED, "b": Verdict(verdict)}, verb=Verb(name))
    run.reset()
    outcome = playbook.Outcome(code=0, folder=made.path, fault="", ended=True)

    def stand_in(*called: object) -> playbook.Outcome:
        print(f"called {json.dumps(called)}")
        return outcome

    monkeypatch.setattr(playbook, "run", stand_in)
    args = GIVEN if name != "verify" else ["-i", "a,b,c,"]
    said = evict(name, *args)
    assert said.startswith(f"{code}\n")
    role = "verify" if name == "verify" else "remediate"
    called = [f"evict.kaspersky.{name}", ["--skip-tags", f"{role}_rows,{role}_gate", *args], {"evict_fail_on": []}]
    assert f"called {json.dumps(called)}\n" in said
    meaning = {"remediate": remediate, "protect": protect, "verify": verify}[name].MEANING
    assert f"exit code {code}: {meaning[code]}" in said
    if name != "verify":
        assert f"{name}: 3 (a, b, c) of 3 hosts in the inventory\nwaves: 1, 2\napproved plan: none;" in said
    else:
        assert "drift: there is no earlier remediation or verification to compare with" in said


def test_waves_are_told_as_they_will_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    many = ",".join(f"h{n}" for n in range(30))

    def told(*args: str) -> list[str]:
        return runs.in_child(lambda: "\n".join(remediate.told(["-i", f"{many},", *args]))).splitlines()

    sizes = '{"evict_waves": [1, 2]}'
    assert told("-e", "evict_hosts=all", "-e", sizes)[1] == "waves: 1, 2, 2, 2, 2, 2, 2, 2, 2, 2 and 6 more"
    limited = told("-e", "evict_hosts=h1*", "--limit", "h12,h13")
    assert limited[0] == "remediate: 2 (h12, h13) of 30 hosts in the inventory"


@pytest.mark.parametrize(
    "words", [["-J"], ["--ask-vault-pass"], ["--vault-id", "prod@prompt"], ["--vault-id=prod@prompt"]]
)
def test_nobody_is_asked_for_a_password_twice(words: list[str]) -> None:
    (said,) = remediate.told([*GIVEN, *words])
    assert said.startswith("remediate: the hosts of evict_hosts (not counted here")


@pytest.mark.parametrize("verb", [Verb.REMEDIATE, Verb.PROTECT, Verb.VERIFY])
def test_exactly_the_open_and_failed_hosts_are_run_again(verb: Verb, tmp_path: Path) -> None:
    verdicts = {f"h-{verdict}": verdict for verdict in Verdict}
    runs.ended(tmp_path / "run", verdicts, verb=verb)
    run.reset()
    args = ["-i", ",".join([*verdicts, "new", ""])]
    again = runs.in_child(lambda: " ".join(retry.plan(tmp_path / "run", args, verb).again)).split()
    fine = {"absent", "replaced", "replaced_unproved", "nothing_to_do", "excepted", "out_of_scope"}
    assert set(again) == {host for host, v in verdicts.items() if v not in fine} | {"new"}


def test_a_run_of_another_kind_is_not_retried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    runs.ended(tmp_path / "run", {"a": Verdict.ABSENT}, verb=Verb.PLAN)
    run.reset()
    said = evict("remediate", *GIVEN, "--retry-from", str(tmp_path / "run"))
    assert said.startswith("1\n")
    assert "holds no remediate: it was for plan" in said


def test_a_retry_reads_the_inventory_for_both_its_messages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    runs.ended(
        tmp_path / "run", {"a": Verdict.REPLACED, "b": Verdict.REPLACED, "c": Verdict.REPLACED}, verb=Verb.REMEDIATE
    )
    run.reset()
    said = evict("remediate", *GIVEN, "--retry-from", str(tmp_path / "run"))
    assert said.startswith("0\n")
    assert "remediate: 3 (a, b, c) of 3 hosts" in said
    assert "nothing to retry: no open host" in said


def test_what_has_changed_is_told_after_a_verification(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    runs.ended(tmp_path / "evict-runs" / "before", {"a": Verdict.REPLACED}, verb=Verb.REMEDIATE)
    run.reset()
    made = runs.ended(tmp_path / "done", {"a": Verdict.PRESENT}, verb=Verb.VERIFY)
    run.reset()
    ends(monkeypatch, playbook.Outcome(code=0, folder=made.path, fault="", ended=True))
    assert cli.main(["verify", "-i", "a,"]) == 2
    first = capsys.readouterr().out
    assert "1 of 1 hosts changed\n  a: replaced -> present; kesl" in first
    assert cli.main(["verify", "-i", "a,", "--against", str(tmp_path / "evict-runs" / "before")]) == 2
    assert capsys.readouterr().out == first
