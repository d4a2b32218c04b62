# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports as files: beside rows.json, in the manifest, made again for a killed run; and the export of evidence."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import stat
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import canonical, ledger, recorder, report, run
from ansible_collections.evict.kaspersky.plugins.plugin_utils.evidence import EvidenceError
from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy import Policy
from ansible_collections.evict.kaspersky.plugins.plugin_utils.recorder import Recorder
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import Verb, Verdict
from evict import cli
from tests import runs

THREE = {"web1": Verdict.PRESENT, "web2": Verdict.ABSENT, "web10": Verdict.LEFTOVERS}
OURS = ("report.csv", "report.html")


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No run of another test in this process."""
    run.reset()
    monkeypatch.delenv(recorder.STATUS_FD, raising=False)
    monkeypatch.delenv("JOB_ID", raising=False)
    yield
    run.reset()


def recorded(folder: Path) -> Recorder:
    """A run of the callback that is about to end."""
    book = Recorder()
    hosts = list(THREE)
    book.begin(Policy(out=str(folder), run="r1"), {}, verb=Verb.AUDIT, inventory=hosts, scope=hosts, ansible="2.19.0")
    assert book.folder is not None
    for host, verdict in THREE.items():
        book.folder.record_scan(host, runs.scan(host, verdict))
        book.scanned(host)
    return book


def test_a_run_leaves_reports_that_its_manifest_lists(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    summary = recorded(folder).finish()
    assert summary is not None
    assert summary.fault == ""
    body = ledger.manifest(folder)
    assert body is not None
    assert {"rows.json", *OURS} <= {entry["path"] for entry in body["files"]}
    for name in OURS:
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    assert cli.main(["check-evidence", str(folder)]) == 0
    # They are made of the evidence alone: made again they are the same to the byte.
    again = ledger.build(folder)
    for name in report.IN_FOLDER:
        assert (folder / report.file_of(name)).read_bytes() == b"".join(report.encoded(name, again))
    (folder / "report.csv").write_bytes((folder / "report.csv").read_bytes().replace(b"present", b"absent"))
    assert cli.main(["check-evidence", str(folder)]) == 1
    assert "report.csv: changed after the run ended" in capsys.readouterr().out


def test_a_report_that_cannot_be_written_costs_neither_rows_nor_manifest(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    book = recorded(folder)
    (folder / "report.csv").mkdir()
    (folder / "report.csv" / "in-the-way").touch()
    summary = book.finish()
    assert summary is not None
    assert "report.csv" in summary.fault
    assert json.loads((folder / run.ROWS).read_text())["complete"] is True
    assert ledger.manifest(folder) is not None
    assert not [name for name in os.listdir(folder) if name.startswith(".report")]


def test_a_killed_run_gets_its_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    made = runs.begun(folder, inventory=list(THREE), verdicts={"web1": Verdict.PRESENT})
    assert cli.main(["report", str(folder)]) == 0
    before = {name: (folder / name).read_bytes() for name in OURS}
    assert b"web1,present" in before["report.csv"]
    assert b"The run did not come to its end" in before["report.html"]
    made.record_scan("web2", runs.scan("web2"))  # a worker that outlived the controller
    assert cli.main(["report", str(folder), "--format", "json"]) == 0
    assert b"web2,absent" in (folder / "report.csv").read_bytes()
    assert (folder / "report.html").read_bytes() != before["report.html"]
    assert cli.main(["check-evidence", str(folder)]) == 0
    capsys.readouterr()


def test_reports_of_a_finished_run_stay_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    runs.ended(folder, THREE)  # of a version that wrote no reports
    for name in report.formats():
        assert cli.main(["report", str(folder), "--format", name, "--out", str(tmp_path / name)]) == 0
        assert (tmp_path / name).read_bytes() == b"".join(report.encoded(name, ledger.build(folder)))
    assert not [name for name in OURS if (folder / name).exists()]
    assert cli.main(["check-evidence", str(folder)]) == 0
    said = capsys.readouterr().out
    assert f"{tmp_path / 'html'}: html report of 3 hosts" in said


@pytest.mark.parametrize("name", ["csv", "evidence", "html", "json", "text"])
def test_standard_output_gets_the_same_bytes(
    tmp_path: Path, name: str, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    folder = tmp_path / "run"
    runs.ended(folder, THREE)
    assert cli.main(["report", str(folder), "--format", name]) == 0
    assert capfdbinary.readouterr().out == b"".join(report.encoded(name, ledger.build(folder)))


def test_a_report_never_goes_into_the_run_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    runs.ended(folder, THREE)
    (tmp_path / "link").symlink_to(folder)
    before = sorted(os.listdir(folder))
    for out in (folder / "x.html", tmp_path / "link" / "rows.json", folder / "hosts" / "web1.jsonl", tmp_path):
        assert cli.main(["report", str(folder), "--format", "html", "--out", str(out)]) == 1
    assert sorted(os.listdir(folder)) == before
    said = capsys.readouterr().err
    assert said.count("lies in the run folder") == 3
    assert said.count("is a folder: name a file") == 1
    assert cli.main(["report", str(folder), "--format", "html", "--out", str(tmp_path / "no" / "x.html")]) == 1
    assert "No such file or directory" in capsys.readouterr().err


def test_a_page_is_not_poured_into_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs.ended(tmp_path / "run", THREE)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert cli.main(["report", str(tmp_path / "run"), "--format", "html"]) == 1
    assert "html is for a file: name one with --out" in capsys.readouterr().err


def export(folder: Path) -> list[dict[str, t.Any]]:
    """The lines of an export, each of which fits its schema."""
    lines = [json.loads(line) for line in report.render("evidence", ledger.build(folder)).splitlines()]
    schema = runs.schema("export-1")
    for line in lines:
        schema.validate(line)
    return lines


def test_an_export_holds_rows_and_whole_records(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    made = runs.begun(folder, inventory=[*THREE, "silent"], verdicts={"web1": Verdict.ABSENT})
    runs.ended(folder, THREE, inventory=[*THREE, "silent"])
    head, *hosts = export(folder)
    assert (head["run"], head["complete"], head["problems"]) == (made.run, True, [])
    assert [record["event"] for record in head["records"]] == ["run_started", "hosts", "run_ended"]
    assert [line["row"] for line in hosts] == [row.to_dict() for row in ledger.build(folder).rows]
    for line in hosts:
        path = folder / line["file"]
        written = path.read_bytes().splitlines() if path.exists() else []
        assert [canonical.dumps(record) for record in line["records"]] == written
    (twice,) = [line for line in hosts if line["host"] == "web1"]
    first, second = twice["records"]
    assert second["prev"] == hashlib.sha256(canonical.dumps(first)).hexdigest()
    assert [line["records"] for line in hosts if line["host"] == "silent"] == [[]]


def test_an_export_names_what_is_wrong(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    runs.ended(folder, THREE)
    file = folder / "hosts" / "web1.jsonl"
    file.write_bytes(b"garbage\n" + file.read_bytes())
    lines = {line["host"]: line for line in export(folder)[1:]}
    assert lines["web1"]["row"]["verdict"] == "unknown"
    assert "hosts/web1.jsonl: line 1 is no JSON record" in lines["web1"]["problems"]
    assert lines["web2"]["problems"] == []
    file.unlink()
    file.symlink_to("/etc/passwd")
    (line,) = [line for line in export(folder)[1:] if line["host"] == "web1"]
    assert (line["records"], len(line["problems"])) == ([], 1)
    assert "it is a link" in line["problems"][0]


def test_sources_of_rows_and_versions_of_the_run(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    made = runs.begun(folder, inventory=["a", "b"], verdicts={"a": Verdict.ABSENT})
    made.record_scan("a", {**runs.scan("a"), "transport": {"connection": "ssh", "way": "stdin", "cause": ""}})
    book = ledger.build(folder)
    assert list(book.sources) == ["a"]
    source = book.sources["a"]
    assert (source.catalog, source.transport) == ("0" * 64, "ssh stdin")
    last = made.host_log("a").read_bytes().splitlines()[-1]
    assert source.digest == canonical.sha256(last)
    assert json.loads(last)["time"] == source.time
    assert book.versions["ansible"] == "2.19.0"


def test_a_file_in_pieces_is_whole_or_as_before(tmp_path: Path) -> None:
    target = tmp_path / "report.csv"
    book = ledger.Ledger("r", Verb.AUDIT, (), True, (), tmp_path)

    def broken(name: str, given: ledger.Ledger) -> Iterator[bytes]:
        assert (name, given) == ("csv", book)
        yield b"half"
        raise EvidenceError("broken off")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "encoded", broken)
        with pytest.raises(EvidenceError, match="broken off"):
            report.write(book)
    assert os.listdir(tmp_path) == []
    report.write(dataclasses.replace(book, complete=False))
    assert target.read_bytes().startswith(b"\xef\xbb\xbfhost,")
