# SPDX-License-Identifier: GPL-3.0-or-later
"""The recorder loses nothing: what cannot be written is kept, counts in the rows and is told."""

from __future__ import annotations

import errno
import json
import os
import typing as t
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import evidence, ledger, recorder, run
from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy import Policy
from ansible_collections.evict.kaspersky.plugins.plugin_utils.recorder import Recorder, Summary
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import Verb, Verdict
from tests import runs


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No run of another test in this process, and no `evict` command around it."""
    run.reset()
    monkeypatch.delenv(recorder.STATUS_FD, raising=False)
    monkeypatch.delenv("JOB_ID", raising=False)
    yield
    run.reset()


def begin(
    folder: Path, inventory: Sequence[str] = ("a", "b", "c"), scope: Sequence[str] = ("a", "b"), mistake: str = ""
) -> Recorder:
    """A recorder whose run has begun."""
    book = Recorder()
    before = book.begun
    again(book, folder, inventory, scope, mistake)
    assert (before, book.begun) == (False, True)
    return book


def again(book: Recorder, folder: Path, inventory: Sequence[str], scope: Sequence[str], mistake: str = "") -> None:
    """The next play of the run begins."""
    book.begin(
        Policy(out=str(folder), run="r1"),
        {},
        verb=Verb.AUDIT,
        inventory=inventory,
        scope=scope,
        ansible="2.19.0",
        mistake=mistake,
    )


def scanned(book: Recorder, host: str, verdict: Verdict = Verdict.ABSENT) -> None:
    """A worker scanned a host, wrote its evidence and came back."""
    assert book.folder is not None
    book.task_started(host)
    book.folder.record_scan(host, runs.scan(host, verdict))
    book.scanned(host)


def rows(folder: Path) -> dict[str, dict[str, t.Any]]:
    """Host -> row of rows.json, which fits its schema."""
    data = json.loads((folder / run.ROWS).read_text())
    runs.schema("rows-1").validate(data)
    return {row["host"]: row for row in data["rows"]}


def finish(book: Recorder, how: str = "ended") -> Summary:
    """The end of the run."""
    summary = book.finish(how)
    assert summary is not None
    assert book.finish() is None  # there is one end
    return summary


def test_a_run_from_its_begin_to_its_end(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    book = begin(folder)
    scanned(book, "a", Verdict.PRESENT)
    book.task_started("b")
    book.failed("b", "unreachable", "ssh: connect to host b\nmore", ours=True)
    summary = finish(book)
    assert (summary.fault, dict(summary.totals)) == ("", {"present": 1, "unreachable": 1, "out_of_scope": 1})
    assert "inventory 3 = present 1 + unreachable 1 + out_of_scope 1" in summary.text
    assert {host: row["verdict"] for host, row in rows(folder).items()} == {
        "a": "present",
        "b": "unreachable",
        "c": "out_of_scope",
    }
    assert rows(folder)["b"]["reasons"] == ["ssh: connect to host b"]
    later = ledger.build(folder)
    assert (later.complete, later.problems, later.totals()) == (True, (), dict(summary.totals))
    assert ledger.rows_json(later) == (folder / run.ROWS).read_bytes()
    schema = runs.schema("evidence-1")
    events = [json.loads(line) for path in folder.rglob("*.jsonl") for line in path.read_text().splitlines()]
    for event in events:
        schema.validate(event)
    assert {event["event"] for event in events} == {"run_started", "hosts", "host_failed", "run_ended", "scan"}


def test_nothing_happens_without_a_run() -> None:
    assert Recorder().finish() is None


def test_an_interrupted_run_is_not_complete(tmp_path: Path) -> None:
    book = begin(tmp_path / "run")
    scanned(book, "a")
    summary = finish(book, "interrupted")
    assert "The run did not come to its end" in summary.text
    assert {host: row["verdict"] for host, row in rows(tmp_path / "run").items()} == {
        "a": "absent",
        "b": "not_attempted",
        "c": "out_of_scope",
    }
    assert not ledger.build(tmp_path / "run").complete
    assert ledger.manifest(tmp_path / "run") is not None


def test_a_worker_that_never_came_back_is_unknown(tmp_path: Path) -> None:
    book = begin(tmp_path / "run")
    book.task_started("a")
    book.task_started("b")
    assert book.folder is not None
    book.folder.record_scan("b", runs.scan("b"))  # killed after it wrote its evidence
    finish(book)
    found = rows(tmp_path / "run")
    assert found["a"]["verdict"] == "unknown"
    assert "its worker ended without a result" in found["a"]["reasons"][0]
    assert found["b"]["verdict"] == "absent"


def test_later_plays_add_hosts_and_lose_none(tmp_path: Path) -> None:
    book = begin(tmp_path / "run", ["a", "b"], ["a"])
    again(book, tmp_path / "run", ["a", "b"], ["a"])
    again(book, tmp_path / "run", ["a", "new"], ["b", "new"])
    scanned(book, "new")
    finish(book)
    assert {host: row["verdict"] for host, row in rows(tmp_path / "run").items()} == {
        "a": "not_attempted",
        "b": "not_attempted",
        "new": "absent",
    }
    hosts = [r.data for r in evidence.read(tmp_path / "run" / run.RUN_LOG) if r.event == "hosts"]
    assert hosts[-1] == {"inventory": ["a", "b", "new"], "scope": ["a", "b", "new"]}
    assert len(hosts) == 2  # the second play brought nothing new


def test_what_other_tasks_do_after_the_scan_says_nothing_of_it(tmp_path: Path) -> None:
    book = begin(tmp_path / "run")
    scanned(book, "a")
    book.failed("a", "failed", "a task of somebody else", ours=False)
    book.failed("a", "skipped", "ours, a second time", ours=True)
    book.failed("stranger", "failed", "not of this inventory", ours=False)
    book.failed("b", "failed", "a task of somebody else, before ours", ours=False)
    finish(book)
    found = rows(tmp_path / "run")
    assert (found["a"]["verdict"], found["b"]["verdict"]) == ("absent", "unknown")
    assert found["b"]["reasons"] == ["a task of somebody else, before ours"]
    assert set(found) == {"a", "b", "c"}


def test_a_skipped_task_of_ours_is_not_attempted(tmp_path: Path) -> None:
    book = begin(tmp_path / "run")
    book.failed("a", "skipped", "a condition was false", ours=True)
    finish(book)
    assert rows(tmp_path / "run")["a"]["verdict"] == "not_attempted"


def test_a_failure_of_ours_after_a_scan_wins(tmp_path: Path) -> None:
    book = begin(tmp_path / "run")
    scanned(book, "a")
    book.failed("a", "failed", "it broke", ours=True)
    finish(book)
    assert rows(tmp_path / "run")["a"]["verdict"] == "unknown"


def test_no_secret_gets_into_the_evidence(tmp_path: Path) -> None:
    book = begin(tmp_path / "run")
    canary = "canary-7f3a"
    book.failed("a", "failed", f"sudo said {canary} and {canary.encode().hex()}", ours=True, secrets=[canary])
    book.failed("b", "failed", "password=hunter22\x1b[0m", ours=True)
    finish(book)
    everything = b"".join(path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file())
    assert canary.encode() not in everything
    assert canary.encode().hex().encode() not in everything
    assert b"hunter22" not in everything
    assert rows(tmp_path / "run")["a"]["reasons"] == ["sudo said REDACTED and REDACTED"]


def full(monkeypatch: pytest.MonkeyPatch, below: Path) -> None:
    """From here on there is no room below a folder."""
    real = os.write

    def write(fd: int, data: bytes) -> int:
        if os.readlink(f"/proc/self/fd/{fd}").startswith(str(below)):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(fd, data)

    monkeypatch.setattr(os, "write", write)


def test_a_full_disk_loses_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "run"
    book = begin(folder)
    scanned(book, "a", Verdict.PRESENT)
    with monkeypatch.context() as patch:
        full(patch, folder)
        book.unwritten("b", runs.row("b", Verdict.LEFTOVERS, reasons=("a hook is live",)).short(), "no space for b")
        book.failed("c", "failed", "it broke", ours=True)
        summary = finish(book)
    assert summary.fault == "no space for b"
    assert dict(summary.totals) == {"present": 1, "leftovers": 1, "unknown": 1}
    assert "EVIDENCE IS NOT COMPLETE: no space for b" in summary.text
    assert "a hook is live" in summary.text
    assert not (folder / run.ROWS).exists()
    assert ledger.manifest(folder) is None
    # What was written before is whole.
    log = evidence.load(folder / run.RUN_LOG)
    assert ([record.event for record in log.records], log.problems, log.cut) == (["run_started", "hosts"], (), 0)
    assert evidence.load(folder / "hosts" / "a.jsonl").problems == ()


def test_a_folder_that_cannot_be_used_is_told_and_rows_are_shown(tmp_path: Path) -> None:
    folder = tmp_path / "foreign"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    book = begin(folder)
    assert "it holds files of something else" in book.fault
    assert run.is_refused()
    book.task_started("a")
    book.unwritten("a", runs.row("a", Verdict.PRESENT).short(), book.fault)
    book.failed("b", "unreachable", "no answer", ours=True)
    summary = finish(book)
    assert dict(summary.totals) == {"present": 1, "unreachable": 1, "out_of_scope": 1}
    assert "EVIDENCE IS NOT COMPLETE: cannot use" in summary.text
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


def test_wrong_variables_make_no_folder(tmp_path: Path) -> None:
    book = begin(tmp_path / "run", mistake="`evict_run` must be a text")
    summary = finish(book)
    assert summary.fault == "`evict_run` must be a text"
    assert sum(summary.totals.values()) == 3
    assert not (tmp_path / "run").exists()


def test_evidence_that_vanished_loses_no_host(tmp_path: Path) -> None:
    book = begin(tmp_path / "run")
    book.failed("a", "unreachable", "no answer", ours=True)
    (tmp_path / "run" / run.RUN_LOG).unlink()
    (tmp_path / "run").rmdir()
    book.failed("b", "unreachable", "no answer", ours=True)
    summary = finish(book)
    assert summary.fault != ""
    assert sum(summary.totals.values()) == 3
    assert summary.totals["unreachable"] == 1


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A pipe to the `evict` command: the end it reads."""
    reader, writer = os.pipe()
    monkeypatch.setenv(recorder.STATUS_FD, str(writer))
    yield reader
    os.close(reader)
    os.close(writer)


def heard(reader: int) -> list[dict[str, t.Any]]:
    """What the `evict` command has heard."""
    return [json.loads(line) for line in os.read(reader, 65_536).splitlines()]


def test_the_command_hears_where_and_how_it_ended(tmp_path: Path, listener: int) -> None:
    finish(begin(tmp_path / "run"))
    begun = {"folder": str(tmp_path / "run"), "run": "r1", "hosts": 2}
    assert heard(listener) == [begun, {"ended": "ended", "fault": ""}]


def test_the_command_hears_of_a_fault_once(tmp_path: Path, listener: int) -> None:
    book = begin(tmp_path / "run", mistake="wrong")
    book.unwritten("a", runs.row("a").short(), "another")
    finish(book, "interrupted")
    assert heard(listener) == [{"fault": "wrong"}, {"ended": "interrupted", "fault": "wrong"}]


@pytest.mark.parametrize("number", ["", "nonsense", "-1", "99999"])
def test_a_missing_listener_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: str) -> None:
    monkeypatch.setenv(recorder.STATUS_FD, number)
    assert finish(begin(tmp_path / "run")).fault == ""
