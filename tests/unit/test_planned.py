# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans of a run come from its evidence: plan.json, plans/, hosts with one machine id, what was changed afterwards."""

from __future__ import annotations

import base64
import dataclasses
import json
import typing as t
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.evict.kaspersky.plugins.plugin_utils import ledger, planned, plans, run
from ansible_collections.evict.kaspersky.plugins.plugin_utils.files import EvidenceError
from ansible_collections.evict.kaspersky.plugins.plugin_utils.plan import Plan, PlanError
from ansible_collections.evict.kaspersky.plugins.plugin_utils.planned import Plans
from ansible_collections.evict.kaspersky.plugins.plugin_utils.row import Row
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import Verb, Verdict
from evict import cli
from tests import fleet_plans, runs

pytestmark = pytest.mark.usefixtures("fresh")


def plan(host: str, **more: t.Any) -> Plan:
    """A plan that acts."""
    made = fleet_plans.plan_of(runs.row(host, Verdict.PRESENT))
    assert made is not None
    return dataclasses.replace(made, **more)


def scanned(made: run.RunFolder, one: Plan, row: Row | None = None, *, file: bool = True, event: bool = True) -> None:
    """A scan with its plan, as the verb writes them."""
    row = row or runs.row(one.host, Verdict.PRESENT).planned(one)
    made.record_scan(one.host, {**runs.scan(one.host), "row": row.to_dict()})
    if event:
        made.record(one.host, "plan", one.to_dict())
    if file:
        plans.write(made.path, one)


def begun(folder: Path, *made: Plan, file: bool = True) -> run.RunFolder:
    """A plan run that was begun."""
    started = runs.begun(folder, inventory=[p.host for p in made], verb=Verb.PLAN)
    for one in made:
        scanned(started, one, file=file)
    return started


def finished(folder: Path, *made: Plan) -> Path:
    """A plan run that came to its end."""
    started = begun(folder, *made)
    started.log_run("run_ended", {"how": "ended", "totals": ledger.build(folder, trust_manifest=False).totals()})
    book = ledger.build(folder, trust_manifest=False)
    ledger.write_rows(book)
    ledger.write_plans(book)
    ledger.write_manifest(folder, started.run)
    return folder


def row_of(folder: Path, host: str) -> Row:
    """The row of a host."""
    (found,) = [row for row in ledger.build(folder).rows if row.host == host]
    return found


def test_plan_json_holds_every_plan_in_the_order_of_names(tmp_path: Path) -> None:
    late = plan("web10", expires="2024-10-01T00:00:00.000000Z")
    folder = finished(tmp_path / "run", plan("web2"), late, plan("db", state="nothing_to_do", steps=()))
    raw = (folder / planned.FILE).read_text()
    data = json.loads(raw)
    runs.schema("plans-1").validate(data)
    assert (data["run"], data["made"], data["expires"]) == ("test-run", fleet_plans.MADE, late.expires)
    assert list(data["hosts"]) == ["db", "web2", "web10"]
    assert len(raw.splitlines()) == 5  # a host a line
    assert Plan.from_dict(data["hosts"]["web10"]) == late
    rows = json.loads((folder / run.ROWS).read_text())["rows"]
    assert {r["host"]: (r["verdict"], r["plan_state"], r["plan"]) for r in rows} == {
        host: (verdict, body["state"], body["digest"])
        for (host, body), verdict in zip(data["hosts"].items(), ("nothing_to_do", "present", "present"), strict=True)
    }
    body = ledger.manifest(folder)
    assert body is not None
    assert {"plan.json", "plans/db.json", "plans/web2.json"} <= {entry["path"] for entry in body["files"]}
    assert cli.main(["check-evidence", str(folder)]) == 0


def test_a_run_without_plans_has_no_plan_json(tmp_path: Path) -> None:
    runs.begun(tmp_path / "run", inventory=["a"], verdicts={"a": Verdict.ABSENT})
    ledger.write_plans(ledger.build(tmp_path / "run"))
    assert not (tmp_path / "run" / planned.FILE).exists()


def test_a_killed_run_gets_its_plans_from_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    begun(folder, plan("a"), plan("b"), file=False)
    assert cli.main(["report", str(folder)]) == 0
    assert plans.read(folder, "a") == plan("a")
    assert list(json.loads((folder / planned.FILE).read_text())["hosts"]) == ["a", "b"]
    assert cli.main(["check-evidence", str(folder)]) == 0
    assert "but valid" in capsys.readouterr().out


def test_the_newest_scan_and_its_plan_count(tmp_path: Path) -> None:
    made = begun(tmp_path / "run", plan("a"))
    scanned(made, plan("a", state="nothing_to_do", steps=()))
    assert row_of(made.path, "a").verdict is Verdict.NOTHING_TO_DO
    scanned(made, plan("a"), event=False)
    row = row_of(made.path, "a")
    assert (row.verdict, row.plan, row.plan_state) == (Verdict.UNKNOWN, "", "")
    assert row.reasons[0] == "the run was stopped before it wrote this host's plan: run it again"
    assert ledger.build(made.path).plans == {}


def test_a_host_that_failed_afterwards_has_no_plan(tmp_path: Path) -> None:
    made = begun(tmp_path / "run", plan("a"), plan("b"))
    made.log_run("host_failed", {"host": "a", "kind": "unreachable", "message": "gone"})
    book = ledger.build(made.path)
    assert {row.host: (str(row.verdict), row.plan_state) for row in book.rows} == {
        "a": ("unreachable", ""),
        "b": ("present", "act"),
    }
    assert list(book.plans) == ["b"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: {**d, "digest": "0" * 64}, "its digest is not that of its contents"),
        (lambda d: {**d, "schema": "evict.kaspersky/plan/9"}, "its schema is 'evict.kaspersky/plan/9'"),
        (lambda d: {}, "it is no plan"),
        (lambda d: plan("b").to_dict(), "the plan speaks of another host"),
        (lambda d: plan("a", replacement="falcon").to_dict(), "row and plan have different digests"),
    ],
)
def test_a_plan_that_does_not_fit_makes_the_host_unknown(
    change: Callable[[dict[str, object]], dict[str, object]], words: str, tmp_path: Path
) -> None:
    made = runs.begun(tmp_path / "run", inventory=["a"], verb=Verb.PLAN)
    scanned(made, plan("a"), event=False)
    made.record("a", "plan", change(plan("a").to_dict()))
    row = row_of(made.path, "a")
    assert row.verdict is Verdict.UNKNOWN
    assert words in row.reasons[0]
    assert ledger.build(made.path).plans == {}


def test_hosts_with_one_machine_id_are_blocked_in_rows_and_plans(tmp_path: Path) -> None:
    waiting = plan("c", machine="m1", state="nothing_to_do", steps=())
    blocked = plan("d", machine="m1", state="blocked", steps=(), inhibitors=(fleet_plans.REBOOT,))
    folder = finished(
        tmp_path / "run", plan("a", machine="m1"), plan("b", machine="m2"), waiting, blocked, plan("e", machine="")
    )
    rows = {row.host: row for row in ledger.build(folder).rows}
    assert {host: (str(row.verdict), row.plan_state) for host, row in rows.items()} == {
        "a": ("blocked", "blocked"),
        "b": ("present", "act"),
        "c": ("nothing_to_do", "nothing_to_do"),
        "d": ("blocked", "blocked"),
        "e": ("present", "act"),
    }
    assert "its machine id m1 is also that of c, d" in rows["a"].reasons[0]
    assert [text.partition(":")[0] for text in rows["d"].inhibitors] == ["duplicate_machine_id", "pending_reboot"]
    assert len(rows["d"].reasons) == len(set(rows["d"].reasons))
    data = json.loads((folder / planned.FILE).read_text())["hosts"]
    assert (data["a"]["state"], data["a"]["steps"], data["a"]["gap"]) == ("blocked", [], None)
    assert data["a"]["digest"] == rows["a"].plan
    assert plans.read(folder, "a").state == "blocked"  # what a later run acts upon says so, too
    assert cli.main(["check-evidence", str(folder)]) == 0


def linked(path: Path) -> None:
    """Put a link in the place of a file."""
    path.unlink()
    path.symlink_to("/etc/hostname")


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "plan changed": (
        lambda r: (r / "plans" / "a.json").write_bytes((r / "plans" / "a.json").read_bytes().replace(b"kesl", b"xesl")),
        "plans/a.json: cannot use the plan in",
    ),
    "plan cut": (
        lambda r: (r / "plans" / "a.json").write_bytes((r / "plans" / "a.json").read_bytes()[:-40]),
        "plans/a.json: cannot use the plan in",
    ),
    "expiry changed": (
        lambda r: plans.write(r, plan("a", expires="2099-01-01T00:00:00.000000Z")),
        "plans/a.json: says something else than the evidence",
    ),
    "plan removed": (lambda r: (r / "plans" / "a.json").unlink(), "plans/a.json: missing, though the evidence has"),
    "plan added": (lambda r: plans.write(r, plan("z")), "plans/z.json: the evidence has no such plan"),
    "plan.json changed": (
        lambda r: (r / "plan.json").write_bytes((r / "plan.json").read_bytes().replace(b"irreversible", b"reversible")),
        'plan.json: says something else than the evidence at "a"',
    ),
    "plan.json removed": (lambda r: (r / "plan.json").unlink(), "plan.json: missing, though the evidence has plans"),
    "plan.json a link": (
        lambda r: linked(r / "plan.json"),
        "plan.json: Too many levels of symbolic links",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("sealed", [True, False])
def test_a_change_is_found_and_named(
    name: str, sealed: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = finished(tmp_path / "run", plan("a"), plan("b"))
    if not sealed:
        (folder / run.MANIFEST).unlink()
    change, words = CHANGES[name]
    change(folder)
    assert cli.main(["check-evidence", str(folder)]) == (1 if sealed else 0)
    said = capsys.readouterr().out
    # Without a manifest it may be an older state of a run that was killed; it is named all the same.
    assert f"{'WRONG ' if sealed else 'old   '} {words}" in said
    if not sealed:
        assert cli.main(["report", str(folder)]) == 0
        if name not in ("plan added", "plan.json a link"):
            capsys.readouterr()
            assert cli.main(["check-evidence", str(folder)]) == 0
            assert "old  " not in capsys.readouterr().out


def test_plans_are_looked_up_and_forgotten() -> None:
    held = Plans([plan("a"), plan("b", expires="2024-10-01T00:00:00.000000Z")])
    assert (list(held), len(held), held["a"]) == (["a", "b"], 2, plan("a"))
    with pytest.raises(KeyError):
        held["c"]
    assert held.expired("2024-09-30T00:00:00.000000Z") == frozenset()
    assert held.expired("2024-10-01T00:00:00.000000Z") == {"b"}
    assert (Plans().made, Plans().expires, Plans().packed("a")) == ("", "", "")
    rows = [runs.row("a", Verdict.PRESENT).planned(plan("a")), runs.row("b")]
    assert list(held.settle(rows)) == rows
    assert list(held) == ["a"]


def test_a_plan_that_was_taken_over_belongs_to_its_row() -> None:
    row = runs.row("a", Verdict.PRESENT).planned(plan("a"))
    held = Plans()
    assert held.carry(row, Plans([plan("a")]).packed("a")) == row
    assert held["a"] == plan("a")
    for text in ("", "*", "AAAA", Plans([plan("b")]).packed("b"), Plans([plan("a", fallback="none")]).packed("a")):
        held = Plans()
        found = held.carry(row, text)
        assert (found.verdict, found.plan, len(held)) == (Verdict.UNKNOWN, "", 0)
        assert found.reasons[0].startswith("the plan taken over ")
    plain = runs.row("a")
    assert Plans().carry(plain, "AAAA") == plain


@given(st.binary(max_size=200) | st.binary(max_size=200).map(zlib.compress) | st.just(zlib.compress(b"[" * 100_000)))
def test_what_is_no_packed_plan_is_refused(data: bytes) -> None:
    with pytest.raises(PlanError):
        planned.unpack(data)


def test_a_packed_plan_cannot_grow_beyond_reason() -> None:
    with pytest.raises(PlanError, match="larger than any plan"):
        planned.unpack(zlib.compress(b'"' + b"x" * (17 * 1024 * 1024) + b'"'))


def test_what_could_not_be_written_is_an_error(tmp_path: Path) -> None:
    begun(tmp_path / "run", plan("a"), file=False)
    (tmp_path / "run" / "plans").write_text("in the way")
    with pytest.raises(EvidenceError, match="plans"):
        ledger.write_plans(ledger.build(tmp_path / "run"))


def test_plans_do_not_sit_in_memory_as_they_are() -> None:
    """Packed, they take less than half of what their text takes."""
    held = Plans(plan(f"host{n}") for n in range(50))
    packed = sum(len(base64.b64decode(held.packed(host))) for host in held)
    plain = sum(len(json.dumps(held[host].to_dict())) for host in held)
    assert packed * 2 < plain
