# SPDX-License-Identifier: GPL-3.0-or-later
"""`evict audit --retry-from`: only open hosts are asked again, and the new run tells the whole inventory."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from ansible_collections.evict.kaspersky.plugins.plugin_utils import evidence, ledger
from tests.e2e import playbooks
from tests.e2e.test_evict import ABSENT, DEAD, PRESENT, evict, inventory

MUTE = "print('nothing to see')\n"


def audit(where: Path, hosts: str, *args: str, out: str = "run") -> playbooks.Run:
    """An audit into a folder of its own."""
    done = evict(where, "audit", "-i", hosts, "--out", str(where / out), *args)
    return playbooks.Run(done.code, done.out, where / out)


def verdicts(done: playbooks.Run) -> dict[str, str]:
    """Host -> verdict in rows.json."""
    return {host: row["verdict"] for host, row in done.rows().items()}


def asked(done: playbooks.Run) -> set[str]:
    """The hosts with evidence of their own."""
    return {path.stem for path in (done.folder / "hosts").glob("*.jsonl")}


def counted(body: str, where: Path) -> str:
    """A stand-in that leaves a trace each time it is asked."""
    return f"open({str(where / 'asked')!r}, 'a').write('x')\n" + body


def test_only_open_hosts_run_again_and_the_rest_is_taken_over(tmp_path: Path) -> None:
    hosts = inventory(tmp_path, a=counted(ABSENT, tmp_path), b=PRESENT, c=MUTE, d=DEAD, old=ABSENT)
    first = audit(tmp_path, hosts)
    assert verdicts(first) == {"a": "absent", "b": "present", "c": "unknown", "d": "unreachable", "old": "absent"}
    # c and d are mended, one host left and one is new.
    hosts = inventory(tmp_path, a=counted(ABSENT, tmp_path), b=PRESENT, c=PRESENT, d=ABSENT, new=ABSENT)
    second = audit(tmp_path, hosts, "--retry-from", str(first.folder), out="second")
    assert verdicts(second) == {"a": "absent", "b": "present", "c": "present", "d": "absent", "new": "absent"}
    assert second.code == 0, second.out
    assert asked(second) == {"c", "d", "new"}
    assert (tmp_path / "asked").read_text() == "x"
    for words in ("3 hosts are run, 2 rows taken over", "new in the inventory since then: 1 (new)", "1 (old)"):
        assert words in second.out
    run = ledger.build(first.folder).run
    rows = second.rows()
    assert f"from the run {run} of 20" in rows["b"]["notes"][-1]
    assert [p["id"] for p in rows["b"]["products"]] == ["kesl"]
    assert rows["c"]["notes"] == []
    event = next(r.data for r in evidence.read(second.folder / "run.jsonl") if r.event == "merged_from")
    assert (event["run"], event["retried"], event["new"], event["left"]) == (run, ["c", "d", "new"], ["new"], ["old"])
    assert event["manifest"]
    # The new folder alone tells it all.
    shutil.rmtree(first.folder)
    book = ledger.build(second.folder)
    assert {row.host: str(row.verdict) for row in book.rows} == verdicts(second)
    checked = evict(tmp_path, "check-evidence", str(second.folder))
    assert checked.code == 0, checked.out
    shown = evict(tmp_path, "report", str(second.folder))
    assert f"2 rows were taken over from {run}" in shown.out


def test_a_killed_run_and_a_chain_of_retries(tmp_path: Path) -> None:
    hosts = inventory(tmp_path, a=PRESENT, b="time.sleep(60)\n", c=DEAD)
    playbooks.kill_after(tmp_path, Path(hosts), 1, "--limit", "a,b")
    run = ledger.build(tmp_path / "run").run
    hosts = inventory(tmp_path, a=PRESENT, b=MUTE, c=DEAD)
    second = audit(tmp_path, hosts, "--retry-from", str(tmp_path / "run"), out="second")
    assert verdicts(second) == {"a": "present", "b": "unknown", "c": "out_of_scope"}
    assert "were out of scope in that run and stay so: 1 (c)" in second.out
    assert second.code == 2
    hosts = inventory(tmp_path, a=PRESENT, b=ABSENT, c=DEAD)
    third = audit(tmp_path, hosts, "--retry-from", str(second.folder), out="third")
    assert verdicts(third) == {"a": "present", "b": "absent", "c": "out_of_scope"}
    assert asked(third) == {"b"}
    # The row still says which run looked, not which one it was handed on by.
    assert [note for note in third.rows()["a"]["notes"] if "from the run" in note] == [second.rows()["a"]["notes"][-1]]
    assert f"from the run {run} of" in third.rows()["a"]["notes"][-1]
    fourth = audit(tmp_path, hosts, "--retry-from", str(third.folder), out="fourth")
    assert "nothing to retry" in fourth.out
    assert fourth.code == 0
    assert not fourth.folder.exists()


def test_a_limit_keeps_other_open_hosts_open(tmp_path: Path) -> None:
    hosts = inventory(tmp_path, a=ABSENT, b=MUTE, c=MUTE)
    first = audit(tmp_path, hosts)
    hosts = inventory(tmp_path, a=ABSENT, b=ABSENT, c=ABSENT)
    second = audit(tmp_path, hosts, "--retry-from", str(first.folder), "--limit", "a:b", out="second")
    assert (verdicts(second), asked(second)) == ({"a": "absent", "b": "absent", "c": "unknown"}, {"b"})
    assert second.code == 2
    third = audit(tmp_path, hosts, "--retry-from", str(second.folder), "--limit", "a", out="third")
    assert "nothing to retry" in third.out
    assert third.code == 2
    # A pattern of the play counts like a limit: what it leaves out keeps its row.
    fourth = audit(tmp_path, hosts, "--retry-from", str(first.folder), "-e", "evict_hosts=c", out="fourth")
    assert (verdicts(fourth), asked(fourth)) == ({"a": "absent", "b": "unknown", "c": "absent"}, {"c"})


def test_a_retry_that_is_killed_has_the_rows_of_the_others(tmp_path: Path) -> None:
    hosts = inventory(tmp_path, a=PRESENT, b=MUTE, c=MUTE)
    first = audit(tmp_path, hosts)
    hosts = inventory(tmp_path, a=PRESENT, b=ABSENT, c="import os, signal\nos.killpg(0, signal.SIGKILL)\n")
    second = audit(tmp_path, hosts, "--retry-from", str(first.folder), "--forks", "1", out="second")
    assert second.code != 0
    book = ledger.build(second.folder)
    said = {row.host: str(row.verdict) for row in book.rows}
    assert (said["a"], said["b"]) == ("present", "absent")
    assert said["c"] in ("unknown", "not_attempted")


def test_what_cannot_be_retried_is_refused(tmp_path: Path) -> None:
    hosts = inventory(tmp_path, a=MUTE)
    first = audit(tmp_path, hosts)
    (tmp_path / "empty").mkdir()
    for folder, words in (("nowhere", "is no folder"), ("empty", "holds no run of ours")):
        done = audit(tmp_path, hosts, "--retry-from", str(tmp_path / folder), out="second")
        assert (done.code, words in done.out) == (1, True), done.out
    log = first.folder / "run.jsonl"
    log.write_bytes(log.read_bytes().replace(b'"scope":["a"]', b'"scope":[]'))
    done = audit(tmp_path, hosts, "--retry-from", str(first.folder), out="second")
    assert (done.code, "is not valid" in done.out) == (1, True), done.out
    assert not done.folder.exists()


def test_ten_thousand_hosts(tmp_path: Path) -> None:
    from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import Verdict
    from tests import runs

    names = [f"host{n:05}.example.org" for n in range(10_000)]
    made = runs.begun(tmp_path / "run", inventory=[*names, "last"], name="big")
    for name in names[:40]:
        made.record_scan(name, runs.scan(name, Verdict.ABSENT))
    made.log_run("host_failed", {"host": names[50], "kind": "unreachable", "message": "port: nothing answers"})
    log = made.path / "run.jsonl"
    assert log.exists()
    again = inventory(tmp_path, last=ABSENT)
    with Path(again).open("a") as stream:
        stream.write("\n".join(f"{name} ansible_connection=local" for name in names) + "\n")
    done = audit(tmp_path, again, "--retry-from", str(made.path), "--limit", f"last:{names[0]}", out="second")
    rows = done.rows()
    assert len(rows) == 10_001
    counts = json.loads((done.folder / "rows.json").read_text())["totals"]
    assert counts == {"not_attempted": 9959, "unreachable": 1, "absent": 41}
    assert asked(done) == {"last"}
    assert evict(tmp_path, "check-evidence", str(done.folder)).code == 0
