# SPDX-License-Identifier: GPL-3.0-or-later
"""`evict check-evidence`: whole, cut and changed evidence."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import artifacts, deeds, evidence, ledger
from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy import Policy
from ansible_collections.evict.kaspersky.plugins.plugin_utils.provider import Source
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import Verb, Verdict
from evict import cli
from tests import fleet, fleet_deeds, fleet_plans, runs

pytestmark = pytest.mark.usefixtures("fresh")


def test_whole_evidence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs.ended(tmp_path / "run", {"a": Verdict.ABSENT, "b": Verdict.PRESENT})
    assert cli.main(["check-evidence", str(tmp_path / "run")]) == 0
    said = capsys.readouterr().out
    assert "5 records in 3 files, complete" in said
    assert "keep a signed copy of manifest.json elsewhere" in said


def test_notes_on_files_to_send_are_listed_and_no_chain(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = runs.begun(tmp_path / "run", inventory=["a"], verdicts={"a": Verdict.ABSENT})
    installer = tmp_path / "agent.msi"
    installer.write_bytes(b"installer")
    source = Source(method="file", location=str(installer), sha256="0" * 64, name="agent.msi")
    assert artifacts.check(Policy(replacement_source=source), made.path)["replacement"]
    ledger.write_rows(ledger.build(made.path))
    ledger.write_manifest(made.path, made.run)
    body = ledger.manifest(made.path)
    assert body is not None
    assert artifacts.MEMO in {entry["path"] for entry in body["files"]}
    assert artifacts.MEMO not in body["heads"]
    assert cli.main(["check-evidence", str(made.path)]) == 0, capsys.readouterr().out
    (made.path / artifacts.MEMO).write_text("")
    assert cli.main(["check-evidence", str(made.path)]) == 1
    assert f"{artifacts.MEMO}: changed after the run ended" in capsys.readouterr().out


def test_evidence_of_a_killed_run_is_valid_so_far(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = runs.begun(tmp_path / "run", inventory=["a"], verdicts={"a": Verdict.ABSENT})
    with open(made.host_log("a"), "ab") as stream:
        stream.write(b'{"cut')
    assert cli.main(["check-evidence", str(tmp_path / "run")]) == 0
    said = capsys.readouterr().out
    assert "incomplete (no manifest: the run" in said
    assert "but valid" in said
    assert "cut    hosts/a.jsonl: its last line was not written to the end" in said


def alter(path: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    """Change the lines of a file."""
    before = path.read_bytes()
    path.write_bytes(b"".join(line + b"\n" for line in change(before.splitlines())))
    assert path.read_bytes() != before


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "line changed": (
        lambda r: alter(r / "hosts" / "a.jsonl", lambda x: [x[0].replace(b"present", b"absent"), *x[1:]]),
        "hosts/a.jsonl: line 2 does not follow the line before it",
    ),
    "newest line changed": (
        lambda r: alter(r / "hosts" / "a.jsonl", lambda x: [x[0], x[1].replace(b"present", b"absent")]),
        "hosts/a.jsonl: changed after the run ended",
    ),
    "line removed": (lambda r: alter(r / "hosts" / "a.jsonl", lambda x: x[1:]), "line 1 has the number 2"),
    "newest line removed": (
        lambda r: alter(r / "hosts" / "a.jsonl", lambda x: x[:1]),
        "hosts/a.jsonl: changed after the run ended",
    ),
    "line added": (
        lambda r: evidence.append(r / "hosts" / "a.jsonl", "scan", runs.scan("a"), run="test-run", host="a"),
        "hosts/a.jsonl: changed after the run ended",
    ),
    "line twice": (lambda r: alter(r / "hosts" / "a.jsonl", lambda x: [*x, x[-1]]), "line 3 has the number 2"),
    "lines reordered": (lambda r: alter(r / "hosts" / "a.jsonl", lambda x: x[::-1]), "line 1 has the number 2"),
    "file removed": (lambda r: (r / "hosts" / "a.jsonl").unlink(), "hosts/a.jsonl: missing, though the manifest"),
    "file added": (lambda r: (r / "notes.txt").write_text("x"), "notes.txt: added after the run ended"),
    "host added": (
        lambda r: evidence.append(r / "hosts" / "z.jsonl", "scan", runs.scan("z"), run="test-run", host="z"),
        "hosts/z.jsonl: added after the run ended",
    ),
    "rows changed": (
        lambda r: alter(r / "rows.json", lambda x: [line.replace(b'"present"', b'"absent"') for line in x]),
        "rows.json: changed after the run ended",
    ),
    "rows removed": (lambda r: (r / "rows.json").unlink(), "rows.json: missing, though the manifest lists it"),
    "run log changed": (
        lambda r: alter(r / "run.jsonl", lambda x: [x[0], x[1].replace(b'"a",', b""), x[2]]),
        "run.jsonl: line 3 does not follow the line before it",
    ),
    "run log emptied": (lambda r: os.truncate(r / "run.jsonl", 0), "run.jsonl: it holds no record"),
    "manifest broken": (lambda r: (r / "manifest.json").write_text("{}"), "manifest.json is no manifest"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_evidence_is_found(change: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    runs.begun(folder, inventory=["a", "b"], verdicts={"a": Verdict.PRESENT})
    made = runs.ended(folder, {"a": Verdict.PRESENT, "b": Verdict.ABSENT})
    assert len(evidence.read(made.host_log("a"))) == 2
    assert cli.main(["check-evidence", str(folder)]) == 0
    capsys.readouterr()
    do, words = CHANGES[change]
    do(folder)
    assert cli.main(["check-evidence", str(folder)]) == 1
    said = capsys.readouterr()
    assert any(line.startswith("WRONG  ") and words in line for line in said.out.splitlines()), said


def test_a_link_among_the_evidence_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs.ended(tmp_path / "run", {"a": Verdict.ABSENT})
    (tmp_path / "run" / "hosts" / "a.jsonl").rename(tmp_path / "a.jsonl")
    (tmp_path / "run" / "hosts" / "a.jsonl").symlink_to(tmp_path / "a.jsonl")
    assert cli.main(["check-evidence", str(tmp_path / "run")]) == 1
    said = capsys.readouterr()
    assert "it is a link" in said.out + said.err


def test_names_in_messages_are_inert(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs.ended(tmp_path / "run", {"a": Verdict.ABSENT})
    (tmp_path / "run" / "x\x1b[2J\u202e.txt").write_text("x")
    assert cli.main(["check-evidence", str(tmp_path / "run")]) == 1
    said = capsys.readouterr().out
    assert r"x\x1b[2J\u202e.txt: added after the run ended" in said
    assert "\x1b" not in said


@pytest.mark.parametrize("whole", [True, False])
def test_what_was_performed_has_to_add_up_with_its_plan(
    whole: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The chain is whole and the manifest fits: only the plan tells that a step is missing."""
    plan = next(plan for plan in fleet_plans.ledger(fleet.rows(80)).plans.values() if plan.state == "act")
    made = runs.begun(tmp_path / "run", inventory=[plan.host], verb=Verb.REMEDIATE)
    for record in fleet_deeds.records(plan, "well"):
        data = dict(record.data)
        if record.event == "performed" and record.data["phase"] == "commit" and not whole:
            data["outcomes"] = data["outcomes"][:-1]
        made.record(plan.host, record.event, data)
    row = runs.row(
        plan.host, Verdict.REPLACED, plan=plan.digest(), plan_state="act", unprotected_seconds=12.5, proof="pass"
    )
    made.record_scan(plan.host, {**runs.scan(plan.host), "row": row.to_dict()})
    made.log_run("run_ended", {"how": "ended", "totals": {}})
    book = ledger.build(made.path, trust_manifest=False)
    assert [row.verdict for row in book.rows] == [Verdict.REPLACED]
    ledger.write_rows(book)
    ledger.write_plans(book)
    ledger.write_manifest(made.path, made.run)
    assert cli.main(["check-evidence", str(made.path)]) == (0 if whole else 1)
    wrong = [line for line in capsys.readouterr().out.splitlines() if line.startswith("WRONG  ")]
    assert len(wrong) == (0 if whole else 1)
    assert whole or "phase commit: step 'cover.active' was planned and has no outcome" in wrong[0]
    assert deeds.seconds(book.deeds[plan.host].phases[-1].gap or 0) == "12.5"
