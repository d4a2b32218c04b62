# SPDX-License-Identifier: GPL-3.0-or-later
"""From evidence to rows: every host once, whatever way the run ended, and nothing tampered with is believed."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
import typing as t
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.evict.kaspersky.plugins.plugin_utils import canonical, evidence, ledger, run
from ansible_collections.evict.kaspersky.plugins.plugin_utils.events import Pending
from ansible_collections.evict.kaspersky.plugins.plugin_utils.evidence import EvidenceError
from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy import Policy
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import SEVERITY, Verb, Verdict
from tests import runs

THREE = {"web1": Verdict.PRESENT, "web2": Verdict.ABSENT, "web10": Verdict.LEFTOVERS}


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """No run of another test in this process."""
    run.reset()
    yield
    run.reset()


def verdicts(folder: Path, **how: t.Any) -> dict[str, str]:
    """Host -> verdict."""
    return {row.host: str(row.verdict) for row in ledger.build(folder, **how).rows}


def reason(folder: Path, host: str) -> str:
    """The only reason of a host's row."""
    (found,) = [row for row in ledger.build(folder).rows if row.host == host]
    (said,) = found.reasons
    return said


def test_a_run_that_ended(tmp_path: Path) -> None:
    runs.ended(tmp_path / "run", THREE, inventory=["web10", "web1", "web2", "db"])
    book = ledger.build(tmp_path / "run")
    assert [row.host for row in book.rows] == ["db", "web1", "web2", "web10"]
    assert (book.run, book.verb, book.complete, book.problems) == ("test-run", Verb.AUDIT, True, ())
    assert book.totals() == {"present": 1, "not_attempted": 1, "leftovers": 1, "absent": 1}
    assert list(book.totals()) == [str(v) for v in SEVERITY if str(v) in book.totals()]
    assert book.started < book.ended
    assert book.rows[1].products[0].label() == "kesl 12.1.0.1297 running"
    assert ledger.build_rows(tmp_path / "run") == list(book.rows)


def test_rows_json_fits_the_schema_and_says_the_same_later(tmp_path: Path) -> None:
    runs.ended(tmp_path / "run", THREE)
    raw = (tmp_path / "run" / run.ROWS).read_bytes()
    rows = json.loads(raw)
    runs.schema("rows-1").validate(rows)
    assert raw == ledger.rows_json(ledger.build(tmp_path / "run"))
    assert sum(rows["totals"].values()) == len(rows["rows"]) == 3
    assert len(raw.splitlines()) == 5  # a row a line, so that two runs can be compared with diff


def test_the_manifest_lists_everything_but_itself(tmp_path: Path) -> None:
    runs.ended(tmp_path / "run", THREE)
    (tmp_path / "run" / ".left-by-a-killed-writer").touch()
    body = ledger.manifest(tmp_path / "run")
    assert body is not None
    names = [entry["path"] for entry in body["files"]]
    assert names == ["hosts/web1.jsonl", "hosts/web10.jsonl", "hosts/web2.jsonl", "rows.json", "run.jsonl"]
    for entry in body["files"]:
        raw = (tmp_path / "run" / entry["path"]).read_bytes()
        assert (entry["size"], entry["sha256"]) == (len(raw), canonical.sha256(raw))
    log = evidence.load(tmp_path / "run" / run.RUN_LOG)
    assert body["heads"][run.RUN_LOG] == {"records": 3, "digest": log.head}


def test_a_killed_run_has_rows(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    runs.begun(folder, inventory=["a", "b", "c", "d"], scope=["a", "b", "c"], verdicts={"a": Verdict.ABSENT})
    runs.begun(folder, inventory=[], verdicts={"b": Verdict.PRESENT})
    whole = (folder / "hosts" / "b.jsonl").read_bytes()
    (folder / "hosts" / "b.jsonl").write_bytes(whole[:-10])
    book = ledger.build(folder)
    assert verdicts(folder) == {"a": "absent", "b": "unknown", "c": "not_attempted", "d": "out_of_scope"}
    assert (book.complete, book.problems, book.ended) == (False, (), "")
    assert "while it wrote this host's evidence: run it again" in reason(folder, "b")
    runs.schema("rows-1").validate(json.loads(ledger.rows_json(book)))


def test_a_cut_later_record_leaves_the_one_before(tmp_path: Path) -> None:
    made = runs.begun(tmp_path / "run", inventory=["a"], verdicts={"a": Verdict.ABSENT})
    with open(made.host_log("a"), "ab") as stream:
        stream.write(b'{"cut')
    (row,) = ledger.build(tmp_path / "run").rows
    assert row.verdict == "absent"
    assert row.notes == ("a later record of this host was cut off while it was written",)


def test_a_killed_run_log_is_read_to_its_last_whole_line(tmp_path: Path) -> None:
    runs.begun(tmp_path / "run", inventory=["a", "b"], verdicts={"a": Verdict.ABSENT})
    log = tmp_path / "run" / run.RUN_LOG
    first, _ = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(first + b'{"data":{"inv')
    book = ledger.build(tmp_path / "run")
    assert ([row.host for row in book.rows], book.problems) == (["a"], ())


INVENTORY = st.lists(st.text(st.characters(), min_size=1, max_size=8), max_size=8, unique=True)


@settings(deadline=None, max_examples=40)
@given(inventory=INVENTORY, data=st.data())
def test_totals_add_up_to_the_inventory(inventory: list[str], data: st.DataObject) -> None:
    run.reset()
    subset = st.lists(st.sampled_from(inventory), unique=True) if inventory else st.just([])
    scope, scanned = data.draw(subset), data.draw(subset)
    failed = data.draw(subset)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "run"
        said = {host: data.draw(st.sampled_from(Verdict)) for host in scanned}
        made = runs.begun(folder, inventory=inventory, scope=scope, verdicts=said)
        for host in failed:
            kind = data.draw(st.sampled_from(["failed", "unreachable", "skipped"]))
            made.log_run("host_failed", {"host": host, "kind": kind, "message": "it broke"})
        book = ledger.build(folder)
        assert sorted(row.host for row in book.rows) == sorted(inventory)
        assert sum(book.totals().values()) == len(inventory)
        runs.schema("rows-1").validate(json.loads(ledger.rows_json(book)))
        for row in book.rows:
            if row.host in failed:
                assert row.verdict in ("unreachable", "not_attempted", "unknown")
                assert row.reasons == ("it broke",)
            elif row.host in said:
                assert row.verdict == said[row.host]
            else:
                assert row.verdict == ("not_attempted" if row.host in scope else "out_of_scope")


def test_what_failed_before_a_scan_gives_way_to_it(tmp_path: Path) -> None:
    made = runs.begun(tmp_path / "run", inventory=["a", "b"])
    made.log_run("host_failed", {"host": "a", "kind": "unreachable", "message": "no answer"})
    made.log_run("host_failed", {"host": "b", "kind": "failed", "message": ""})
    assert verdicts(tmp_path / "run") == {"a": "unreachable", "b": "unknown"}
    assert reason(tmp_path / "run", "b") == "the run failed on it without saying why"
    made.record_scan("a", runs.scan("a"))
    assert verdicts(tmp_path / "run")["a"] == "absent"


def test_a_continued_run_forgets_old_failures_and_marks_old_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = runs.begun(tmp_path / "run", inventory=["a", "b"], verdicts={"a": Verdict.ABSENT})
    made.log_run("host_failed", {"host": "b", "kind": "unreachable", "message": "no answer"})
    time.sleep(0.001)
    monkeypatch.setattr(run, "INVOCATION", "another")
    runs.begun(tmp_path / "run", inventory=["a", "b"])
    assert verdicts(tmp_path / "run") == {"a": "absent", "b": "not_attempted"}
    assert "before the run was started again" in ledger.build(tmp_path / "run").rows[0].notes[0]


def lines(path: Path, alter: Callable[[list[bytes]], list[bytes]]) -> None:
    """Change the lines of a file."""
    before = path.read_bytes().splitlines()
    path.write_bytes(b"".join(line + b"\n" for line in alter(before)))


TAMPERED: dict[str, tuple[Callable[[Path], object], str]] = {
    "changed": (
        lambda hosts: lines(hosts / "web1.jsonl", lambda x: [x[0].replace(b'"present"', b'"absent"'), *x[1:]]),
        "fails verification: line 2 does not follow",
    ),
    "newest changed": (
        lambda hosts: lines(hosts / "web1.jsonl", lambda x: [x[0], x[1].replace(b'"present"', b'"absent"')]),
        "was changed after the run ended",
    ),
    "newest removed": (lambda hosts: lines(hosts / "web1.jsonl", lambda x: x[:1]), "was changed after the run ended"),
    "first removed": (lambda hosts: lines(hosts / "web1.jsonl", lambda x: x[1:]), "line 1 has the number 2"),
    "reordered": (lambda hosts: lines(hosts / "web1.jsonl", lambda x: x[::-1]), "line 1 has the number 2"),
    "added": (lambda hosts: evidence.append(hosts / "web1.jsonl", "scan", {}, run="test-run", host="web1"), "changed"),
    "removed": (lambda hosts: (hosts / "web1.jsonl").unlink(), "is missing, though the manifest lists it"),
    "emptied": (lambda hosts: os.truncate(hosts / "web1.jsonl", 0), "was changed after the run ended"),
    "a link": (
        lambda hosts: os.symlink((hosts / "web1.jsonl").rename(hosts / "moved"), hosts / "web1.jsonl"),
        "it is a link",
    ),
    "of another host": (
        lambda hosts: shutil.copy(hosts / "web2.jsonl", hosts / "web1.jsonl"),
        "the file speaks of another host",
    ),
    "garbage": (lambda hosts: (hosts / "web1.jsonl").write_bytes(b"\0\xff\n"), "line 1 is no JSON record"),
}


@pytest.mark.parametrize("change", TAMPERED)
def test_tampered_evidence_is_unknown_and_hides_no_host(tmp_path: Path, change: str) -> None:
    made = runs.begun(tmp_path / "run", inventory=list(THREE), verdicts={"web1": Verdict.PRESENT})
    runs.ended(tmp_path / "run", THREE)
    assert len(evidence.read(made.host_log("web1"))) == 2
    alter, words = TAMPERED[change]
    alter(tmp_path / "run" / "hosts")
    assert verdicts(tmp_path / "run") == {"web1": "unknown", "web2": "absent", "web10": "leftovers"}
    assert words in reason(tmp_path / "run", "web1")


def test_evidence_of_another_run_is_not_believed(tmp_path: Path) -> None:
    runs.begun(tmp_path / "old", inventory=["a"], verdicts={"a": Verdict.ABSENT}, name="old")
    runs.begun(tmp_path / "run", inventory=["a"], verdicts={"a": Verdict.PRESENT}, name="new")
    shutil.copy(tmp_path / "old" / "hosts" / "a.jsonl", tmp_path / "run" / "hosts" / "a.jsonl")
    assert verdicts(tmp_path / "run") == {"a": "unknown"}
    assert "of another run" in reason(tmp_path / "run", "a")


def test_a_row_of_another_host_is_not_believed(tmp_path: Path) -> None:
    made = runs.begun(tmp_path / "run", inventory=["a", "b"])
    made.record("a", "scan", runs.scan("b"))
    made.record("b", "scan", {"row": {"host": "b", "verdict": "fine"}})
    assert verdicts(tmp_path / "run") == {"a": "unknown", "b": "unknown"}
    assert "the row speaks of another host" in reason(tmp_path / "run", "a")
    assert "holds no row that can be read" in reason(tmp_path / "run", "b")


def test_a_host_added_after_the_end_is_unknown(tmp_path: Path) -> None:
    runs.ended(tmp_path / "run", {"a": Verdict.ABSENT})
    evidence.append(
        tmp_path / "run" / "hosts" / "b.jsonl", "scan", runs.scan("b"), run="test-run", host="b", exclusive=True
    )
    assert verdicts(tmp_path / "run") == {"a": "absent", "b": "unknown"}
    assert verdicts(tmp_path / "run", trust_manifest=False) == {"a": "absent", "b": "absent"}


def test_a_changed_run_log_is_a_problem(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    runs.ended(folder, THREE)
    lines(folder / run.RUN_LOG, lambda x: [x[0], x[1].replace(b'"web1",', b""), x[2]])
    problems = ledger.build(folder).problems
    assert any("line 3 does not follow" in text for text in problems)
    assert any("differs from the manifest" in text for text in problems)
    assert "web1" in verdicts(folder)  # its evidence is there, so it stays


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b"null", b"{", b"[" * 200_000, b'{"files": 5}', b'{"files": [{"path": "a"}]}']
)
def test_a_broken_manifest_is_a_problem_and_no_crash(tmp_path: Path, body: bytes) -> None:
    runs.ended(tmp_path / "run", {"a": Verdict.ABSENT})
    (tmp_path / "run" / run.MANIFEST).write_bytes(body)
    with pytest.raises(EvidenceError, match="no manifest of this collection"):
        ledger.manifest(tmp_path / "run")
    assert ledger.build(tmp_path / "run").problems == ("manifest.json is no manifest of this collection",)
    assert verdicts(tmp_path / "run") == {"a": "absent"}


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(EvidenceError, match=r"holds no evidence of a run \(run.jsonl is missing\)") as caught:
            ledger.build(folder)
        assert str(folder) in str(caught.value)
    (tmp_path / run.RUN_LOG).symlink_to("/dev/zero")
    with pytest.raises(EvidenceError, match="it is a link"):
        ledger.build(tmp_path)


def test_an_unknown_verb_is_read_as_the_strictest(tmp_path: Path) -> None:
    made = run.RunFolder.resolve(Policy(out=str(tmp_path / "run"))).create()
    made.log_run("run_started", {"verb": "dance"})
    assert ledger.build(tmp_path / "run").verb is Verb.VERIFY


def test_long_and_odd_names_of_hosts_keep_their_rows(tmp_path: Path) -> None:
    hosts = ["x" * 300, "я" * 200, "..", "a/b", "ho st\n", "\udcff", ".hidden"]
    runs.begun(tmp_path / "run", inventory=hosts, verdicts=dict.fromkeys(hosts, Verdict.ABSENT))
    assert verdicts(tmp_path / "run") == dict.fromkeys(hosts, "absent")
    # The same when the list of hosts is lost and only their files are left.
    lines(tmp_path / "run" / run.RUN_LOG, lambda x: x[:1])
    assert verdicts(tmp_path / "run") == dict.fromkeys(hosts, "absent")


def test_pending_events_count_like_written_ones(tmp_path: Path) -> None:
    made = runs.begun(tmp_path / "run", inventory=["a", "b", "c"], verdicts={"a": Verdict.ABSENT})
    short = runs.row("b", Verdict.PRESENT, reasons=("it runs",)).short()
    pending = [
        Pending("host_failed", {"host": "c", "kind": "unreachable", "message": "no answer"}),
        Pending("scan", {"host": "b", "row": short, "message": "disk full"}),
        Pending("run_ended", {"how": "ended"}),
    ]
    book = ledger.build(made.path, pending)
    assert {row.host: str(row.verdict) for row in book.rows} == {"a": "absent", "b": "present", "c": "unreachable"}
    assert book.complete
    row = book.rows[1]
    assert (row.products[0].label(), row.reasons) == ("kesl 12.1.0.1297 running", ("it runs",))
    assert row.notes == ("its evidence could not be written: disk full",)
    only = ledger.build(tmp_path / "nowhere", pending, memory_only=True)
    assert {row.host: str(row.verdict) for row in only.rows} == {"b": "present", "c": "unreachable"}
    assert only.verb is Verb.VERIFY


@given(st.lists(st.text(st.characters(), max_size=12), max_size=6))
def test_natural_order_is_an_order_of_all_names(names: list[str]) -> None:
    keys = [ledger.natural(name) for name in names]
    assert sorted(sorted(keys), reverse=True) == sorted(keys, reverse=True)
    assert sorted(["web10", "Web9", "web1", "10.0.0.9", "10.0.0.10"], key=ledger.natural) == [
        "10.0.0.9",
        "10.0.0.10",
        "web1",
        "Web9",
        "web10",
    ]


def test_a_number_beyond_reason_can_be_sorted() -> None:
    assert len(sorted(["9" * 10_000, "1" * 10_000, "²"], key=ledger.natural)) == 3
