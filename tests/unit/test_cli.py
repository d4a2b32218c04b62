# SPDX-License-Identifier: GPL-3.0-or-later
"""The `evict` command: its options, its exit codes from rows, its messages when it cannot do its work."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import ledger, run
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import Verb, Verdict
from evict import cli, options, play, playbook
from evict.errors import UsageError
from tests import runs

pytestmark = pytest.mark.usefixtures("fresh")


# ---- options


@pytest.mark.parametrize(
    ("args", "value", "rest"),
    [
        ([], None, []),
        (["--out", "x"], "x", []),
        (["--out=x"], "x", []),
        (["--out=a=b"], "a=b", []),
        (["--out", "-x"], "-x", []),
        (["-i", "hosts", "--out", "x", "-v"], "x", ["-i", "hosts", "-v"]),
        (["--outer", "x", "--ou=y", "-out"], None, ["--outer", "x", "--ou=y", "-out"]),
        (["--out", "x", "--", "--out", "y"], "x", ["--", "--out", "y"]),
        (["--", "--out=y"], None, ["--", "--out=y"]),
    ],
)
def test_our_option_is_taken_and_all_else_passes(args: list[str], value: str | None, rest: list[str]) -> None:
    before = list(args)
    assert options.take(args, "--out") == (value, rest)
    assert args == before


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--out"], "--out needs a value"),
        (["--out="], "--out needs a value"),
        (["--out", ""], "--out needs a value"),
        (["--out", "x", "--out=y"], "--out is given twice"),
    ],
)
def test_our_option_given_wrongly_is_named(args: list[str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        options.take(args, "--out")


# ---- the overview


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        ([], 1, "usage: evict COMMAND"),
        (["--help"], 0, "check-evidence"),
        (["help"], 0, "usage: evict COMMAND"),
        (["--version"], 0, f"evict {run.collection_version()}"),
        (["audit", "--help"], 0, "exit codes: 0 all hosts inspected"),
        (["audti"], 1, "there is no command 'audti'"),
        (["audit", "--out"], 1, "evict audit: --out needs a value"),
    ],
)
def test_overview_and_mistakes(
    args: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(playbook, "run", lambda *_: pytest.fail("no playbook may run"))
    assert cli.main(args) == code
    said = capsys.readouterr()
    assert words in said.out + said.err
    assert (said.err == "") == (code == 0 or not args)


@pytest.mark.parametrize("command", ["report", "check-evidence"])
@pytest.mark.parametrize(("args", "code"), [(["--help"], 0), ([], 2), (["--no-such", "x"], 2)])
def test_argparse_ends_with_its_own_codes(command: str, args: list[str], code: int) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main([command, *args])
    assert caught.value.code == code


# ---- evict audit: the folder


def test_a_folder_that_can_be_used(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "many" / "old").mkdir(parents=True)
    play.usable(tmp_path / "empty")
    play.usable(tmp_path / "new" / "below")
    play.usable(tmp_path / "many", many=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "many"]


def refused(folder: Path) -> str:
    """Why a folder is refused."""
    with pytest.raises(UsageError) as caught:
        play.usable(folder)
    assert str(folder) in str(caught.value)
    return str(caught.value)


def test_a_folder_that_cannot_be_used_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "x").touch()
    runs.ended(tmp_path / "run", {"a": Verdict.ABSENT})
    assert "is a link: name the folder it leads to" in refused(tmp_path / "link")
    assert "is no folder: name another with --out" in refused(tmp_path / "file")
    assert "is no folder; name another with --out" in refused(tmp_path / "file" / "below")
    assert "is not empty: name a new folder with --out" in refused(tmp_path / "foreign")
    assert f"evict report {tmp_path / 'run'}" in refused(tmp_path / "run")


def test_folders_out_of_reach_are_named(public: Path) -> None:
    for name, mode in (("closed", 0o500), ("dark", 0o700)):
        (public / name / "in").mkdir(parents=True)
        (public / name).chmod(mode if os.geteuid() == 0 else 0)

    def look(folder: Path) -> str:
        play.usable(folder)
        return "usable"

    for folder in (public / "closed" / "new", public / "dark" / "in", public / "dark" / "in" / "new"):
        said = runs.in_child(functools.partial(look, folder), rights=False)
        assert said.startswith("UsageError: "), said
        assert "name another folder with --out" in said
    (public / "closed").chmod(0o700)
    (public / "dark").chmod(0o700)


def test_a_name_beyond_what_file_systems_carry_is_named(tmp_path: Path) -> None:
    assert "File name too long" in refused(tmp_path / ("x" * 5000))


# ---- evict audit: how it ends


def ends(monkeypatch: pytest.MonkeyPatch, outcome: playbook.Outcome) -> list[tuple[str, list[str], dict[str, object]]]:
    """Let the playbook end like this; returns the list its calls are put into."""
    calls: list[tuple[str, list[str], dict[str, object]]] = []

    def stand_in(name: str, args: Sequence[str], extra: dict[str, object]) -> playbook.Outcome:
        calls.append((name, list(args), extra))
        return outcome

    monkeypatch.setattr(playbook, "run", stand_in)
    return calls


def test_the_playbook_is_called_in_check_mode_with_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    runs.ended(tmp_path / "done", {"a": Verdict.ABSENT})
    calls = ends(monkeypatch, playbook.Outcome(code=0, folder=tmp_path / "done", fault="", ended=True))
    assert cli.main(["audit", "--out", "new", "-i", "hosts", "--limit", "web*"]) == 0
    assert cli.main(["audit", "-i", "hosts"]) == 0
    # The rows decide, so the gate task of plain runs is off.
    assert calls == [
        (
            "evict.kaspersky.audit",
            ["--check", "--skip-tags", "audit_rows,audit_gate", "-i", "hosts", "--limit", "web*"],
            {"evict_fail_on": [], "evict_out": str(tmp_path / "new")},
        ),
        (
            "evict.kaspersky.audit",
            ["--check", "--skip-tags", "audit_rows,audit_gate", "-i", "hosts"],
            {"evict_fail_on": []},
        ),
    ]


AFTER_AUDIT = {
    "absent": 0,
    "present": 0,
    "leftovers": 0,
    "unknown": 2,
    "unreachable": 2,
    "not_attempted": 2,
    "excepted": 0,
    "nothing_to_do": 0,
    "blocked": 2,
    "replaced": 0,
    "replaced_unproved": 0,
    "removed_unprotected": 2,
    "reboot_pending": 2,
    "failed_protected": 3,
    "failed_exposed": 3,
}


@pytest.mark.parametrize("verdict", AFTER_AUDIT)
@pytest.mark.parametrize("code", [0, 2, 4])
def test_the_exit_code_comes_from_rows_and_not_from_ansible(
    verdict: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    runs.ended(tmp_path / "done", {"a": Verdict.ABSENT, "b": Verdict(verdict)}, inventory=["a", "b"])
    ends(monkeypatch, playbook.Outcome(code=code, folder=tmp_path / "done", fault="", ended=True))
    assert cli.main(["audit"]) == AFTER_AUDIT[verdict]


@pytest.mark.parametrize(("verdict", "code"), [("present", 2), ("leftovers", 2), ("absent", 0)])
def test_after_a_verification_what_was_found_is_open(
    verdict: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    runs.ended(tmp_path / "done", {"b": Verdict(verdict)}, verb=Verb.VERIFY)
    ends(monkeypatch, playbook.Outcome(code=0, folder=tmp_path / "done", fault="", ended=True))
    assert cli.main(["audit"]) == code


def test_a_run_refused_before_its_first_host_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    ends(monkeypatch, playbook.Outcome(code=4, folder=None, fault="", ended=False))
    assert cli.main(["audit"]) == 1
    assert "no audit took place: it was refused before its first host" in capsys.readouterr().err
    ends(monkeypatch, playbook.Outcome(code=2, folder=None, fault="cannot use /x\x1b[2J", ended=True))
    assert cli.main(["audit"]) == 1
    assert r"cannot use /x\x1b[2J" in capsys.readouterr().err


def test_nobody_selected_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    runs.begun(tmp_path / "done", inventory=["a", "b"], scope=[])
    ends(monkeypatch, playbook.Outcome(code=0, folder=tmp_path / "done", fault="", ended=True))
    assert cli.main(["audit"]) == 1
    assert "no host of the inventory was selected" in capsys.readouterr().err


def test_hosts_out_of_scope_are_no_fault_of_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    runs.begun(tmp_path / "done", inventory=["a", "b"], scope=["a"], verdicts={"a": Verdict.PRESENT})
    ends(monkeypatch, playbook.Outcome(code=0, folder=tmp_path / "done", fault="", ended=True))
    assert cli.main(["audit"]) == 0


def test_evidence_that_could_not_be_written_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    runs.ended(tmp_path / "done", {"a": Verdict.FAILED_EXPOSED})
    ends(monkeypatch, playbook.Outcome(code=0, folder=tmp_path / "done", fault="no space", ended=True))
    assert cli.main(["audit"]) == 1
    assert "no space" in capsys.readouterr().err
    ends(monkeypatch, playbook.Outcome(code=0, folder=tmp_path / "gone", fault="", ended=True))
    assert cli.main(["audit"]) == 1
    assert "holds no evidence of a run" in capsys.readouterr().err


def test_a_killed_audit_gets_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "killed"
    runs.begun(folder, inventory=["a", "b"], verdicts={"a": Verdict.PRESENT})
    ends(monkeypatch, playbook.Outcome(code=-9, folder=folder, fault="", ended=False))
    assert cli.main(["audit"]) == 2
    said = capsys.readouterr().out
    assert "inventory 2 = present 1 + not_attempted 1" in said
    assert "cut off before its end" in said
    runs.schema("rows-1").validate(json.loads((folder / run.ROWS).read_text()))


# ---- the environment of ansible-playbook


def test_our_callback_is_on_and_nothing_hides_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSIBLE_HOST_PATTERN_MISMATCH", "ignore")
    monkeypatch.setenv("ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED", "false")
    quiet = playbook.environment(["-i", "hosts"])
    assert playbook.CALLBACK in quiet["ANSIBLE_CALLBACKS_ENABLED"].split(",")
    assert quiet["ANSIBLE_HOST_PATTERN_MISMATCH"] == "error"
    assert quiet["ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED"] == "true"
    assert quiet["ANSIBLE_DISPLAY_OK_HOSTS"] == "false"
    monkeypatch.delenv("ANSIBLE_DISPLAY_OK_HOSTS", raising=False)
    for flag in ("-v", "-vvv", "--verbose"):
        assert "ANSIBLE_DISPLAY_OK_HOSTS" not in playbook.environment([flag])


def test_the_ledger_of_the_command_is_that_of_the_run(tmp_path: Path) -> None:
    made = runs.ended(tmp_path / "run", {"a": Verdict.ABSENT})
    assert made.rows() == ledger.build_rows(tmp_path / "run")
