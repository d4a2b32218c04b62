# SPDX-License-Identifier: GPL-3.0-or-later
"""report.csv: a line a host, stable columns, and nothing a spreadsheet would calculate."""

from __future__ import annotations

import csv
import dataclasses
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.evict.kaspersky.plugins.plugin_utils import report
from ansible_collections.evict.kaspersky.plugins.plugin_utils.planned import Plans
from ansible_collections.evict.kaspersky.plugins.plugin_utils.report import csv as sheet
from ansible_collections.evict.kaspersky.plugins.plugin_utils.row import Fact, ProductRow, Row
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import Verdict
from tests import fleet, fleet_deeds, fleet_plans, tree

START = "=+-@\uff1d\uff0b\uff0d\uff20"
WILD = st.text(st.characters() | st.sampled_from(START + ";,|\"' \t\r\n"), max_size=30)


def lines(said: str, delimiter: str = ",") -> list[list[str]]:
    """The cells as another program reads them."""
    return list(csv.reader(io.StringIO(said), delimiter=delimiter, strict=delimiter == ","))


def test_columns_are_stable_and_documented() -> None:
    said = (tree.ROOT / "docs" / "reports.md").read_text()
    listed = [
        line.split("`")[1] for line in said.split("## CSV")[1].split("\n## ")[0].splitlines() if line[:3] == "| `"
    ]
    assert listed == list(sheet.COLUMNS)
    assert sheet.COLUMNS[:4] == ("host", "verdict", "platform", "protection")


def test_a_row_in_full() -> None:
    row = Row(
        "web1",
        Verdict.PRESENT,
        "linux",
        products=(ProductRow("kesl", "endpoint", "running", "12.1", ("package kesl", "unit kesl.service")),),
        reported=(ProductRow("kvrt", "tool", "portable", "", ("file /root/kvrt.run",)),),
        reasons=("it runs", "it is installed"),
        unknown_probes=("users: not root",),
        notes=("slow",),
        protection="active",
        protected_by=("kesl 12.1",),
        facts=(Fact("manager", "ksc.example.net"), Fact("lock", "a password")),
        observation_digest="a" * 64,
    )
    book = fleet.ledger([row])
    head, cells = lines(report.render("csv", book))
    assert dict(zip(head, cells, strict=True)) == {
        "host": "web1",
        "verdict": "present",
        "platform": "linux",
        "protection": "active",
        "protected_by": "kesl 12.1",
        "products": "kesl 12.1 running",
        "reported": "kvrt portable",
        "reasons": "it runs; it is installed",
        "unknown_probes": "users: not root",
        "notes": "slow",
        "facts": "manager: ksc.example.net; lock: a password",
        "product_evidence": "kesl: package kesl; kesl: unit kesl.service; kvrt: file /root/kvrt.run",
        "scanned": book.sources["web1"].time,
        "run": fleet.RUN,
        "observation_digest": "a" * 64,
        "evidence_file": "hosts/web1.jsonl",
        **dict.fromkeys(sheet.COLUMNS[16:], ""),
    }


def test_the_plan_of_a_row() -> None:
    hits = (fleet_plans.ENCRYPTION, fleet_plans.REBOOT, fleet_plans.SESSIONS, fleet_plans.ENCRYPTION)
    row = Row("web1", Verdict.PRESENT, "linux", products=(ProductRow("kesl", "endpoint", "running", "12.1"),))
    plan = fleet_plans.plan_of(row)
    assert plan is not None
    blocked = dataclasses.replace(plan, state="blocked", steps=(), gap=None, inhibitors=hits)
    for one, want in (
        (plan, ("act", "4", "", "", "90")),
        (blocked, ("blocked", "0", "disk_encryption; pending_reboot", "sessions", "")),
    ):
        book = dataclasses.replace(fleet.ledger([row.planned(one)]), plans=Plans([one]))
        head, cells = lines(report.render("csv", book))
        said = dict(zip(head, cells, strict=True))
        names = ("state", "steps", "inhibitors", "waived", "seconds_unprotected")
        assert tuple(said[f"plan_{name}"] for name in names) == want
        assert (said["plan_digest"], said["plan_expires"]) == (one.digest(), fleet_plans.EXPIRES)
        assert said["plan_replacement"] == "clamav"


def test_what_was_done_to_a_row() -> None:
    book = fleet_deeds.ledger(fleet.rows(150))
    head, *found = lines(report.render("csv", book))
    assert head[-4:] == ["unprotected_seconds", "proof", "steps_done", "steps_failed"]
    ends = fleet_deeds.kinds(book.rows, book.plans)
    assert set(ends.values()) == set(fleet_deeds.KINDS)
    for cells in found:
        host, kind = cells[0], ends.get(cells[0])
        said = dict(zip(head, cells, strict=True))
        got = tuple(said[name] for name in head[-4:])
        if kind is None:
            assert got == ("", "", "", "")
            continue
        plan = book.plans[host]
        stage = sum(step.phase == "stage" for step in plan.steps)
        commit = sum(step.phase == "commit" for step in plan.steps)
        want = {
            "well": ("12.5", "pass", str(stage + commit), "0"),
            "unproved": ("0", "not_applicable", str(stage + commit), "0"),
            "exposed": ("41", "fail", str(stage + commit), "0"),
            "held": ("", "error", str(stage), str(len(plan.products))),
            "bare": ("", "", str(stage + commit), "0"),
            "refused": ("", "", "0", "0"),
            "lost": ("", "", str(stage), "0"),
            "begun": ("", "", str(stage), "0"),
        }
        assert got == want[kind], (host, kind)


@given(WILD)
def test_no_text_of_a_plan_is_a_formula(wild: str) -> None:
    hit = dataclasses.replace(fleet_plans.REBOOT, id=wild)
    plan = dataclasses.replace(
        fleet_plans.ledger(fleet.rows(1)).plans[fleet.rows(1)[0].host],
        host=wild,
        replacement=wild,
        expires=wild,
        inhibitors=(hit, hit),
    )
    row = Row(wild, Verdict.PRESENT).planned(plan)
    book = dataclasses.replace(fleet.ledger([row]), plans=Plans([plan]))
    (_, cells) = lines(report.render("csv", book))
    for said in cells[16:]:
        for separator in ",;|":
            assert all(part.lstrip(' "')[:1] not in tuple(START) for part in said.split(separator))


def test_every_host_once_in_the_order_of_names() -> None:
    made = fleet.rows(300)
    said = report.render("csv", fleet.ledger(made))
    cells = lines(said)
    assert [line[0] for line in cells[1:]] == [row.host for row in made]
    assert {len(line) for line in cells} == {len(sheet.COLUMNS)}
    assert len(said.splitlines()) == 301


@pytest.mark.parametrize("start", [*START, "\t", "\r", " =", '"=', "a;=", "a; @", "a,+", "\t="])
def test_no_cell_is_a_formula(start: str) -> None:
    text = start + "HYPERLINK(1)"
    (_, cells) = lines(report.render("csv", fleet.ledger([Row(text, Verdict.ABSENT, notes=("fine", text))])))
    for said in (cells[0], cells[sheet.COLUMNS.index("notes")]):
        assert "HYPERLINK(1)" in said
        for separator in ",;|":
            assert all(part.strip(" '\"") == "" or part.lstrip(' "')[0] not in START for part in said.split(separator))


@given(st.lists(WILD, min_size=1, max_size=3), WILD)
def test_whatever_a_host_says_is_text(texts: list[str], host: str) -> None:
    row = Row(host, Verdict.UNKNOWN, reasons=tuple(texts), notes=tuple(texts))
    said = report.render("csv", fleet.ledger([row]))
    assert len(said.splitlines()) == 2
    assert len(lines(said)[1]) == len(sheet.COLUMNS)
    # Programs split at what their language has for a comma.
    for separator in ",;|":
        for cell in lines(said.splitlines()[1], separator)[0]:
            assert cell.lstrip(" \"'")[:1] not in tuple(START) or cell.lstrip(' "').startswith("'")
            assert not cell.startswith(("\t", "\r"))


@given(st.text(st.characters(exclude_categories=["C", "Z"]), max_size=40))
def test_an_ordinary_text_stays_as_it_is(text: str) -> None:
    if not set(text) & set(START):
        assert sheet.cell(text) == text


def test_a_cell_is_never_longer_than_a_spreadsheet_takes() -> None:
    for text in ("x" * 40_000, "\x00" * 40_000, ";=" * 20_000):
        said = sheet.cell(text)
        assert len(said) < 32_767
        assert said.endswith(" ... (cut, see rows.json)")
    assert sheet.cell("x" * sheet.CELL) == "x" * sheet.CELL


def test_the_file_begins_with_a_byte_order_mark_and_the_text_does_not() -> None:
    book = fleet.ledger([Row("сервер", Verdict.ABSENT)])
    raw = b"".join(report.encoded("csv", book))
    assert raw.startswith(b"\xef\xbb\xbfhost,verdict,")
    assert raw.decode("utf-8-sig") == report.render("csv", book)
    assert raw.count(b"\xef\xbb\xbf") == 1
    assert "сервер" in raw.decode("utf-8-sig")
