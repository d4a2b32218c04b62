# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports: nothing a host says is live in them, nothing is hidden in silence, the worst comes first."""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.evict.kaspersky.plugins.plugin_utils import report
from ansible_collections.evict.kaspersky.plugins.plugin_utils.ledger import Ledger
from ansible_collections.evict.kaspersky.plugins.plugin_utils.report import text
from ansible_collections.evict.kaspersky.plugins.plugin_utils.row import ProductRow, Row
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import SEVERITY, Verb, Verdict
from tests import runs

BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c"
HOSTILE = "\x1b[31mred\x07\r\n\x08\x00\x9b2J\u2028\u200b\ufeff\ud800" + BIDI
WILD = st.text(st.characters() | st.sampled_from(HOSTILE), max_size=60)
WILD_ROWS = st.lists(
    st.builds(
        Row,
        host=WILD,
        verdict=st.sampled_from(Verdict),
        platform=WILD,
        products=st.lists(st.builds(ProductRow, id=WILD, family=WILD, state=WILD, version=WILD), max_size=3).map(tuple),
        reasons=st.lists(WILD, max_size=3).map(tuple),
        notes=st.lists(WILD, max_size=2).map(tuple),
    ),
    max_size=6,
)


def book(rows: list[Row], *, problems: tuple[str, ...] = (), complete: bool = True, folder: str = "/srv/run") -> Ledger:
    """A run with these rows."""
    return Ledger(
        run="test-run", verb=Verb.AUDIT, rows=tuple(rows), complete=complete, problems=problems, folder=Path(folder)
    )


def is_inert(said: str) -> bool:
    """No character of any kind that a terminal or an editor acts upon, line ends aside."""
    return all(unicodedata.category(c)[0] != "C" and c not in "\u2028\u2029" for c in said.replace("\n", ""))


@given(WILD)
def test_any_text_is_made_inert(said: str) -> None:
    shown = text.inert(said)
    assert is_inert(shown)
    assert "\n" not in shown
    shown.encode("utf-8")
    if said.isprintable():
        assert shown == said


@pytest.mark.parametrize("char", sorted(set(HOSTILE) - set("red[31m2J")))
def test_a_live_character_stays_visible(char: str) -> None:
    shown = text.inert(f"a{char}b")
    assert re.fullmatch(r"a\\(x[0-9a-f]{2}|u[0-9a-f]{4}|[nrt])b", shown)


@given(WILD | st.text(st.characters(), max_size=400), st.integers(10, 80))
def test_a_clipped_text_fits_its_columns(said: str, limit: int) -> None:
    shown = text.clip(said, limit)
    assert text.width(shown) <= limit
    assert is_inert(shown)
    if text.inert(said) != shown:
        assert shown.endswith("...")


def test_width_counts_columns() -> None:
    assert text.width("abc") == 3
    assert text.width("日本") == 4
    assert text.width("e\u0301") == 1
    assert text.clip("日本語のホスト名です", 10) == "日本語..."


@given(WILD_ROWS, WILD, st.integers(0, 4))
def test_the_whole_report_is_inert(rows: list[Row], wild: str, limit: int) -> None:
    said = text.render(book(rows, problems=(wild,), folder=f"/srv/{wild}"), limit=limit)
    assert is_inert(said)
    said.encode("utf-8")
    head, *_ = said.splitlines()
    assert head.split() == ["HOST", "VERDICT", "PRODUCTS", "WHY"]
    # A host cannot make a line of its own: a head, lines for hosts, and what the report itself adds.
    listed = len(rows) if limit == 0 or len(rows) <= limit else None
    if listed is not None:
        assert said.splitlines().index("") == 1 + listed
    assert f"inventory {len(rows)} = " in said
    assert said.count("EVIDENCE PROBLEM: ") >= 1


@given(st.lists(st.sampled_from(Verdict)))
def test_totals_add_up(verdicts: list[Verdict]) -> None:
    said = text.totals(runs.row(str(n), verdict) for n, verdict in enumerate(verdicts))
    whole, parts = re.fullmatch(r"inventory (\d+) = (.+)", said).groups()  # type: ignore[union-attr]
    assert int(whole) == len(verdicts) == sum(map(int, re.findall(r"\d+", parts)))
    assert re.findall(r"[a-z_]+", parts) == [str(v) for v in SEVERITY if v in verdicts]


@given(WILD_ROWS, st.integers(1, 5))
def test_what_is_not_listed_is_counted(rows: list[Row], limit: int) -> None:
    said = text.render(book(rows), limit=limit)
    table = said.split("\n\n")[0].splitlines()[1:]
    rest = [line for line in table if line.startswith("... and more hosts that are not listed here: ")]
    listed = [line for line in table if line not in rest]
    hidden = sum(map(int, re.findall(r"^\S.*?: (\d+)", rest[0]))) if rest else 0
    assert len(listed) + hidden == len(rows)
    assert len(listed) <= limit


def test_the_worst_is_read_first_and_names_in_natural_order() -> None:
    rows = [runs.row(f"web{n}", v) for n, v in ((10, Verdict.PRESENT), (9, Verdict.PRESENT), (1, Verdict.ABSENT))]
    rows += [runs.row("zz", Verdict.FAILED_EXPOSED), runs.row("yy", Verdict.UNREACHABLE)]
    said = text.render(book(rows)).splitlines()
    assert [line.split()[0] for line in said[1:6]] == ["zz", "web9", "web10", "yy", "web1"]


def test_an_ordinary_report() -> None:
    rows = [
        runs.row("web1", Verdict.PRESENT),
        runs.row("db", Verdict.ABSENT),
        runs.row("old", Verdict.UNKNOWN, reasons=("no answer from sh", "and more")),
    ]
    assert text.render(book(rows)).splitlines() == [
        "HOST  VERDICT  PRODUCTS                  WHY",
        "web1  present  kesl 12.1.0.1297 running  the package kesl is installed",
        "old   unknown  -                         no answer from sh (+1)",
        "db    absent   -",
        "",
        "inventory 3 = present 1 + unknown 1 + absent 1",
        "evidence: /srv/run (run test-run)",
        "all hosts: evict report /srv/run; is it intact: evict check-evidence /srv/run",
    ]


def test_protection_and_what_is_only_reported_are_seen() -> None:
    tool = ProductRow("kvrt", "tool", "portable", "", ("file /root/kvrt.run",))
    rows = [runs.row(f"bare{n}", Verdict.ABSENT, protection="none") for n in range(1, 8)]
    rows += [runs.row("safe", Verdict.PRESENT, protection="active", reported=(tool,))]
    rows += [runs.row("dim", Verdict.UNKNOWN, protection="unknown"), runs.row("tool", Verdict.ABSENT, reported=(tool,))]
    said = text.render(book(rows)).splitlines()
    assert "protection now: active 1, none 7 (bare1, bare2, bare3, bare4, bare5 and 2 more), unknown 1" in said
    assert "reported besides, and never removed: something on 2 hosts" in said
    assert any(re.match(r"safe +present +kesl 12.1.0.1297 running; reported: kvrt", line) for line in said)
    assert any(re.match(r"tool +absent +reported: kvrt portable +file /root/kvrt.run$", line) for line in said)
    short = text.render(book(rows), limit=4).splitlines()
    assert [line.split()[0] for line in short[1:4]] == ["safe", "dim", "tool"]
    assert "protection now: active 1, none 1 (b), unknown 0" not in text.render(book([runs.row("b", Verdict.ABSENT)]))


def test_trouble_with_the_evidence_is_said() -> None:
    said = text.render(book([], problems=("run.jsonl: line 2 is no JSON record",), complete=False))
    assert "EVIDENCE PROBLEM: run.jsonl: line 2 is no JSON record" in said
    assert "The run did not come to its end" in said
    assert "inventory 0 = 0" in said


def test_a_folder_with_blanks_can_be_pasted() -> None:
    assert "evict report '/srv/my run'; " in text.render(book([], folder="/srv/my run"))


def test_quiet_hosts_give_way_to_those_that_need_attention() -> None:
    rows = [runs.row(f"a{n}", Verdict.ABSENT) for n in range(300)] + [runs.row("bad", Verdict.UNREACHABLE)]
    said = text.render(book(rows)).splitlines()
    assert said[1].split()[:2] == ["bad", "unreachable"]
    assert said[2] == "... and more hosts that are not listed here: 300 = absent 300"
    assert len(text.render(book(rows), limit=0).splitlines()) > 300


def test_formats_are_found_by_their_files() -> None:
    assert {"text", "json"} <= set(report.formats())
    some = book([runs.row("web1", Verdict.PRESENT)])
    assert report.render("text", some) == text.render(some, limit=0)
    data = json.loads(report.render("json", some, limit=1))
    runs.schema("rows-1").validate(data)
    with pytest.raises(ValueError, match=f"no report format 'pdf'; there are {', '.join(report.formats())}"):
        report.render("pdf", some)
    with pytest.raises(ValueError, match="no report format"):
        report.render("__init__", some)


@given(WILD_ROWS)
def test_every_format_takes_any_row(rows: list[Row]) -> None:
    for name in report.formats():
        said = report.render(name, book(rows))
        assert said.endswith("\n")
        assert is_inert(said)
