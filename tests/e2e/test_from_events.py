# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows from the events of real ansible-runner jobs, as AWX runs them, after the run folder is gone."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import typing as t
from collections.abc import Callable
from pathlib import Path

import ansible_runner
import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import from_events
from evict import report_events
from tests import tree
from tests.e2e import playbooks
from tests.e2e.test_evict import ABSENT, DEAD, PRESENT, inventory

MUTE = "print('nothing to see')\n"


@dataclasses.dataclass(frozen=True)
class Job:
    """A job that ended: its artifacts, as data and as a folder."""

    status: str
    artifacts: Path
    evidence: Path

    def events(self) -> list[dict[str, t.Any]]:
        """Its events in their order."""
        files = sorted((self.artifacts / "job_events").glob("*.json"), key=lambda p: int(p.name.partition("-")[0]))
        return [json.loads(path.read_text()) for path in files]

    def stats(self) -> dict[str, t.Any]:
        """The custom statistics, which AWX keeps as artifacts of the job; empty for a job without a recap."""
        found = [e["event_data"]["artifact_data"] for e in self.events() if e["event"] == "playbook_on_stats"]
        return dict(found[-1]) if found else {}

    def rows(self) -> dict[str, dict[str, t.Any]]:
        """The rows of rows.json while it is there."""
        data = json.loads((self.evidence / "rows.json").read_text())
        return {row["host"]: row for row in data["rows"]}

    def verdicts(self, path: Path | None = None) -> dict[str, str]:
        """Host -> verdict, by the events alone."""
        assert not self.evidence.exists()
        return {row.host: str(row.verdict) for row in report_events.read(path or self.artifacts).rows}


def run(
    where: Path,
    monkeypatch: pytest.MonkeyPatch,
    bodies: dict[str, str],
    *,
    playbook: str = "evict.kaspersky.audit",
    cmdline: str = "--check",
    survey: dict[str, t.Any] | None = None,
    limit: int = 0,
    cancel: Callable[[], bool] | None = None,
) -> Job:
    """Run a playbook on stand-ins as AWX does, answers of the survey as texts that are not templated."""
    kept = {name: value for name, value in playbooks.environment().items() if name.startswith("ANSIBLE_")}
    for name in [n for n in os.environ if n.startswith(("ANSIBLE_", "EVICT_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    private = where / "private"
    (private / "env").mkdir(parents=True)
    answers = {"evict_evidence_dir": str(where / "evidence"), "evict_run": "CHG0042", **(survey or {})}
    (private / "env" / "extravars").write_text(
        "".join(f"!unsafe {json.dumps(name)}: !unsafe {json.dumps(value)}\n" for name, value in answers.items())
    )
    done = ansible_runner.run(
        private_data_dir=str(private),
        playbook=playbook,
        inventory=inventory(where, **bodies),
        ident="42",
        cmdline=cmdline,
        envvars=kept,
        settings={"job_timeout": limit} if limit else {},
        cancel_callback=cancel,
        quiet=True,
    )
    return Job(str(done.status), private / "artifacts" / "42", where / "evidence" / "CHG0042")


def test_every_host_of_a_job_that_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bodies = {"a": ABSENT, "b": PRESENT, "c": MUTE, "d": DEAD, "z": ABSENT}
    job = run(tmp_path, monkeypatch, bodies, cmdline="--check --limit a,b,c,d")
    before = job.rows()
    counts = job.stats()["evict"]
    assert counts["totals"] == {"present": 1, "unknown": 1, "unreachable": 1, "absent": 1, "out_of_scope": 1}
    assert (counts["run"], counts["inventory"], counts["verb"]) == ("CHG0042", 5, "audit")
    assert counts["folder"] == str(job.evidence)
    # Counts only: no host stands in what AWX shows to many, sends along and hands on.
    assert set(counts) == {"run", "verb", "folder", "inventory", "totals"}
    shutil.rmtree(job.evidence)
    book = report_events.read(job.artifacts)
    assert (book.run, str(book.verb), book.complete, book.problems) == ("CHG0042", "audit", True, ())
    told = {row.host: row.to_dict() for row in book.rows}
    assert list(told) == list(before)
    for host, row in told.items():
        assert row["verdict"] == before[host]["verdict"]
        assert row["protection"] == before[host]["protection"]
        assert [(p["id"], p["version"], p["state"]) for p in row["products"]] == [
            (p["id"], p["version"], p["state"]) for p in before[host]["products"]
        ]
    assert [p["id"] for p in told["b"]["products"]] == ["kesl"]


def test_export_of_awx_is_read_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of its API have the same events, with names of their own around them."""
    job = run(tmp_path, monkeypatch, {"a": ABSENT, "b": PRESENT, "c": MUTE})
    shutil.rmtree(job.evidence)
    events = [{"type": "job_event", "job": 42, "host_name": "", **event} for event in job.events()]
    for event in events:  # as its list does it
        if not event["event"].startswith("playbook_on"):
            event["stdout"] = event["stdout"][:1024]
    pages = tmp_path / "export"
    pages.mkdir()
    for number, at in enumerate(range(0, len(events), 7)):
        page = {"count": len(events), "next": None, "results": events[at : at + 7]}
        (pages / f"page-{number}.json").write_text(json.dumps(page))
    whole = {"a": "absent", "b": "present", "c": "unknown"}
    assert job.verdicts(pages) == job.verdicts() == whole
    lines = tmp_path / "events.jsonl"
    lines.write_text("".join(json.dumps(event) + "\n" for event in events))
    assert job.verdicts(lines) == whole
    # A page that was forgotten is told, and who lost his result by it is not taken for not attempted.
    (pages / "page-1.json").unlink()
    book = report_events.read(pages)
    assert any("events are missing" in text for text in book.problems)
    assert {row.host: str(row.verdict) for row in book.rows}["c"] == "unknown"


def asked(where: Path) -> str:
    """Body of a stand-in that says that it was reached, and hangs."""
    return f"open({str(where / 'asked')!r}, 'w').close()\ntime.sleep(120)\n"


def told_one(where: Path) -> bool:
    """Has the job told a host's result? Ansible tells it when it gets round to it, after the next host has begun."""
    events = where.glob("private/artifacts/42/job_events/*.json")
    return any('"runner_on_ok"' in path.read_text() for path in events)


def test_cancelled_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bodies = {"a": ABSENT, "b": asked(tmp_path), "c": ABSENT, "z": ABSENT}
    job = run(
        tmp_path,
        monkeypatch,
        bodies,
        cmdline="--check --forks 1 --limit a,b,c",
        cancel=lambda: (tmp_path / "asked").exists() and told_one(tmp_path),
    )
    assert job.status == "canceled"
    assert job.stats() == {}
    shutil.rmtree(job.evidence)
    assert job.verdicts() == {"a": "absent", "b": "unknown", "c": "not_attempted", "z": "out_of_scope"}
    rows = {row.host: row for row in report_events.read(job.artifacts).rows}
    assert rows["b"].reasons == ("the job was cancelled while it was being looked at",)
    assert rows["c"].reasons == ("the job was cancelled before this host had a result",)


def test_job_that_ran_into_its_time_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bodies = {"a": ABSENT, "b": asked(tmp_path), "c": ABSENT}
    job = run(tmp_path, monkeypatch, bodies, cmdline="--check --forks 1", limit=30)
    assert job.status == "timeout"
    assert (tmp_path / "asked").exists()
    shutil.rmtree(job.evidence)
    assert job.verdicts() == {"a": "absent", "b": "unknown", "c": "not_attempted"}
    rows = {row.host: row for row in report_events.read(job.artifacts).rows}
    assert rows["c"].reasons == ("the job ran into its time limit before this host had a result",)


def test_a_job_without_our_callback_names_only_who_had_a_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(playbooks, "environment", lambda: {"ANSIBLE_NOCOLOR": "1"})
    job = run(tmp_path, monkeypatch, {"a": ABSENT, "b": PRESENT, "z": ABSENT}, cmdline="--check --limit a,b")
    assert job.stats()["evict"]["inventory"] == 3  # the last task counts without the callback, too
    shutil.rmtree(job.evidence)
    book = report_events.read(job.artifacts)
    assert {row.host: str(row.verdict) for row in book.rows} == {"a": "absent", "b": "present"}
    assert any("do not name the hosts" in text for text in book.problems)
    hosts = tmp_path / "inventory.json"
    hosts.write_text(json.dumps({"_meta": {"hostvars": {"z": {}}}, "web": {"hosts": ["a", "b"]}}))
    book = report_events.read(job.artifacts, hosts)
    # Whether it was meant at all nobody knows: not attempted, which is an open host.
    assert {row.host: str(row.verdict) for row in book.rows} == {"a": "absent", "b": "present", "z": "not_attempted"}


def test_the_command_prints_every_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = run(tmp_path, monkeypatch, {"a": ABSENT, "b": PRESENT})
    shutil.rmtree(job.evidence)
    before = sorted(path.relative_to(job.artifacts) for path in job.artifacts.rglob("*"))

    def evict(*args: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "evict", "report", "--from-events", str(job.artifacts), *args],
            cwd=tree.ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    code, out = evict()
    assert code == 0, out
    assert "inventory 2 = present 1 + absent 1" in out
    assert "told by the events of the job" in out
    assert "check-evidence" not in out
    code, out = evict("--format", "json")
    assert {row["host"]: row["verdict"] for row in json.loads(out)["rows"]} == {"a": "absent", "b": "present"}
    page = tmp_path / "report.html"
    code, out = evict("--format", "html", "--out", str(page))
    assert code == 0, out
    assert "check-evidence" not in page.read_text()
    code, out = evict("--format", "evidence")
    assert code == 1
    assert "events hold no evidence" in out
    assert sorted(path.relative_to(job.artifacts) for path in job.artifacts.rglob("*")) == before


def test_only_where_events_are_kept_hosts_are_named_in_the_output(tmp_path: Path) -> None:
    done = playbooks.run(tmp_path, Path(inventory(tmp_path, a=ABSENT)).read_text(), "--check")
    assert done.code == 0, done.out
    assert from_events.MARK not in done.out
