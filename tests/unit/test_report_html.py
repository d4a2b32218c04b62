# SPDX-License-Identifier: GPL-3.0-or-later
"""report.html as a text: one file, nothing foreign in it, all data inert. tests/e2e/test_report_browser.py opens it."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import typing as t
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings

from ansible_collections.evict.kaspersky.plugins.plugin_utils import report
from ansible_collections.evict.kaspersky.plugins.plugin_utils.evidence import EvidenceError
from ansible_collections.evict.kaspersky.plugins.plugin_utils.report import html as page
from ansible_collections.evict.kaspersky.plugins.plugin_utils.report._shown import shown
from ansible_collections.evict.kaspersky.plugins.plugin_utils.report.text import QUIET
from ansible_collections.evict.kaspersky.plugins.plugin_utils.row import Row
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import SEVERITY, Verdict
from tests import fleet
from tests.unit.test_report_text import HOSTILE, WILD, WILD_ROWS, book, is_inert


class Seen(HTMLParser):
    """What a parser of HTML makes of a page."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside: dict[str, list[str]] = {}
        self._at: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the tag."""
        self.tags.append((tag, dict(attrs)))
        if tag in ("script", "style", "title", "h1", "dd", "p", "li"):
            self._at.append(tag)
            self.inside.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        """Leave it."""
        if self._at and self._at[-1] == tag:
            self._at.pop()

    def handle_data(self, data: str) -> None:
        """Keep the text."""
        if self._at:
            self.inside[self._at[-1]][-1] += data


def data_of(text: str) -> t.Any:
    """The data of a page."""
    return json.loads(Seen(text).inside["script"][0])


@given(WILD_ROWS, WILD)
@settings(deadline=None)
def test_no_text_of_a_host_is_markup(rows: list[Row], wild: str) -> None:
    said = report.render("html", book(rows, problems=(wild,), folder=f"/srv/{wild}"))
    assert is_inert(said)
    seen, empty = Seen(said), Seen(report.render("html", book(rows, problems=("",), folder="/srv/")))
    assert seen.tags == empty.tags
    assert seen.inside["script"][1] == empty.inside["script"][1]
    data = json.loads(seen.inside["script"][0])
    assert len(data["rows"]) == len(rows)
    for told, row in zip(data["rows"], rows, strict=True):
        assert data["strings"][told[0]] == shown(row.host)
        assert SEVERITY[told[1]] is row.verdict
        assert [data["strings"][n] for n in told[6]] == [shown(text) for text in row.reasons]
    assert all(is_inert(text) and "\n" not in text for text in data["strings"])
    assert not set("<>&") & set(seen.inside["script"][0])


def test_everything_a_row_says_is_in_the_data() -> None:
    made = fleet.rows(200)
    ledger = fleet.ledger(made)
    data = data_of(report.render("html", ledger))
    assert len(data["strings"]) == len(set(data["strings"]))
    known = set(data["strings"])
    for row in made:
        texts = [row.host, row.platform, *row.reasons, *row.unknown_probes, *row.notes, *row.protected_by]
        texts += [
            text for p in (*row.products, *row.reported) for text in (p.id, p.family, p.state, p.version, *p.evidence)
        ]
        texts += [text for fact in row.facts for text in (fact.topic, fact.text)]
        if source := ledger.sources.get(row.host):
            texts += [source.time, source.digest, source.catalog, source.transport]
        assert known.issuperset(texts)


def test_style_and_script_are_let_in_by_their_digests_only() -> None:
    seen = Seen(report.render("html", fleet.ledger(fleet.rows(3))))
    (policy,) = [a["content"] for tag, a in seen.tags if tag == "meta" and a.get("http-equiv")]
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert "http" not in policy
    for kind, body in (("style-src", seen.inside["style"][0]), ("script-src", seen.inside["script"][1])):
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"{kind} 'sha256-{digest}'" in policy
    # The policy comes before anything it is about.
    names = [tag for tag, _ in seen.tags]
    assert names.index("style") > next(n for n, (_, a) in enumerate(seen.tags) if a.get("http-equiv"))


def test_nothing_foreign_and_no_code_in_attributes() -> None:
    said = report.render("html", fleet.ledger(fleet.rows(50)))
    seen = Seen(said)
    for tag, attributes in seen.tags:
        assert tag not in ("iframe", "object", "embed", "base", "img", "audio", "video")
        for name, value in attributes.items():
            assert not name.startswith("on")
            assert name not in ("style", "src", "srcset", "action", "formaction")
            if name == "href":
                assert value is not None
                assert value.startswith("#") or (tag, value) == ("link", "data:,")
    assert set(re.findall(r"https?://[^\s\"')]+", said)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"@import|url\(|innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", said)


def test_totals_and_protection_can_be_read_without_a_script() -> None:
    made = fleet.rows(200)
    seen = Seen(report.render("html", fleet.ledger(made)))
    items = seen.inside["li"]
    for verdict in Verdict:
        number = sum(row.verdict is verdict for row in made)
        found = [text for text in items if text.startswith(f"{str(verdict).replace('_', ' ')}{number}")]
        assert bool(found) == bool(number)
    labels = [a["aria-label"] or "" for tag, a in seen.tags if a.get("class") == "bar"]
    assert len(labels) == 2
    assert sum(map(int, re.findall(r"\d+", labels[0]))) == len(made)
    assert sum(map(int, re.findall(r"\d+", labels[1]))) == len(made)
    loud = sum(row.verdict not in QUIET for row in made)
    assert seen.inside["h1"][0].startswith(f"{loud} of 200 hosts need attention: ")
    assert {fleet.RUN, fleet.CATALOG, "evict check-evidence /srv/audit/2024-09"} <= {
        text.partition(" (")[0] for text in seen.inside["dd"]
    }


@pytest.mark.parametrize("numbers", [[1], [1, 10_000], [5, 0, 5], [1] * 16, [9999, 1, 1, 1]])
def test_parts_of_a_bar_fill_it_and_none_is_too_small_to_see(numbers: list[int]) -> None:
    parts = [(str(n), "open", "w", "m", number) for n, number in enumerate(numbers) if number]
    said = page._picture("T", "k", parts)
    spans = [(float(x), float(w)) for x, w in re.findall(r'<rect [^>]*x="([\d.]+)%" width="([\d.]+)%"', said)]
    assert len(spans) == len(parts)
    at = 0.0
    for x, width in spans:
        assert x == pytest.approx(at, abs=0.01)
        assert width >= 0.5
        at += width
    assert at == pytest.approx(100, abs=0.05)


def test_every_verdict_has_a_group_a_meaning_and_a_shape() -> None:
    template = (Path(page.__file__).parent / "_html" / "page.html").read_text()
    style = (Path(page.__file__).parent / "_html" / "style.css").read_text()
    assert set(page.GROUPS) == set(page.MEANING) == set(Verdict)
    for group in {*page.GROUPS.values(), *(group for _, group, _, _ in page.PROTECTION)}:
        assert f'<symbol id="m-{group}"' in template
        assert f".g-{group} {{" in style


def test_trouble_is_said_and_a_killed_run_is_marked() -> None:
    said = Seen(report.render("html", book([], problems=("run.jsonl: <b>",), complete=False))).inside["p"]
    assert "Problem with the evidence: run.jsonl: <b>" in said
    assert any(text.startswith("The run did not come to its end") for text in said)


def test_a_text_without_end_is_cut_and_says_so() -> None:
    said = shown("x" * 10_000)
    assert len(said) < 4_100
    assert said.endswith(" ... (6000 characters more, see rows.json)")
    assert shown(HOSTILE).isprintable()


def test_pieces_are_the_whole_and_a_line_a_host() -> None:
    ledger = fleet.ledger(fleet.rows(20))
    parts = list(page.pieces(ledger))
    assert "".join(parts) == report.render("html", ledger) == b"".join(report.encoded("html", ledger)).decode()
    assert len(parts) > 20
    assert report.render("html", ledger) == report.render("html", ledger)


def test_a_placeholder_in_a_name_is_a_name() -> None:
    said = report.render(
        "html", fleet.ledger([Row("{{script}}", Verdict.ABSENT)], run="{{data}}", problems=("{{style}}",))
    )
    assert len(said) < len(report.render("html", fleet.ledger([]))) + 3_000
    assert html.escape("Problem with the evidence: {{style}}") in said
    assert "{{data}}" in said


def test_parts_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    page._parts.cache_clear()
    monkeypatch.setattr(page, "_PARTS", tmp_path)
    try:
        with pytest.raises(EvidenceError, match=r"page.html is missing: install the collection again"):
            report.render("html", book([]))
    finally:
        page._parts.cache_clear()


def test_what_it_is_made_of_is_loaded_when_it_is_used() -> None:
    page._parts.cache_clear()
    report.formats()
    report.render("csv", book([]))
    assert page._parts.cache_info().currsize == 0
    report.render("html", book([]))
    assert page._parts.cache_info().currsize == 1
