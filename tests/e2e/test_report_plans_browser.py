# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans in report.html in a real browser: seen, filtered, searched, and printed as the document somebody signs."""

from __future__ import annotations

import dataclasses
import re
import zlib
from pathlib import Path

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import report
from ansible_collections.evict.kaspersky.plugins.plugin_utils.ledger import Ledger
from ansible_collections.evict.kaspersky.plugins.plugin_utils.plan import Plan
from ansible_collections.evict.kaspersky.plugins.plugin_utils.planned import Plans
from ansible_collections.evict.kaspersky.plugins.plugin_utils.report.text import QUIET
from ansible_collections.evict.kaspersky.plugins.plugin_utils.row import Row
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import Verdict
from tests import fleet, fleet_plans
from tests.e2e.browser import Browser
from tests.e2e.test_report_browser import ATTACKS, choose, click, column, status, type_in

pytestmark = pytest.mark.usefixtures("quiet")

ROWS = fleet.rows(340)
BOOK = fleet_plans.ledger(ROWS)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a plan run."""
    return written(tmp_path_factory.mktemp("report"), BOOK)


def written(folder: Path, book: Ledger) -> Path:
    """A report as a file."""
    path = folder / "report.html"
    path.write_bytes(b"".join(report.encoded("html", book)))
    return path


def hosts(state: str = "", inhibitor: str = "") -> set[str]:
    """The hosts with such a plan."""
    return {
        host
        for host, plan in BOOK.plans.items()
        if state in ("", plan.state) and (not inhibitor or any(hit.id == inhibitor for hit in plan.inhibitors))
    }


def acting(platform: str) -> Plan:
    """A plan with steps for this platform."""
    return next(p for p in BOOK.plans.values() if p.state == "act" and p.platform == platform and len(p.products) > 1)


def detail(chrome: Browser) -> str:
    """What stands in the opened host."""
    return str(chrome.js("return document.querySelector('tr.detail').textContent"))


@pytest.mark.parametrize("platform", ["linux", "windows"])
def test_an_opened_host_shows_its_plan_in_order(platform: str, chrome: Browser, page: Path) -> None:
    plan = acting(platform)
    chrome.open(page, f"#host={plan.host}")
    said = detail(chrome)
    for text in (plan.digest(), plan.machine, plan.expires, plan.replacement, *plan.notes):
        assert text in said
    assert plan.gap is not None
    assert f"{plan.gap.expected} s expected, {plan.gap.at_most} s at most: {plan.gap.why}" in said
    ids = chrome.js("return [...document.querySelectorAll('tr.detail .steps li > b')].map(e => e.textContent)")
    assert ids == [step.id for step in plan.steps]
    numbers = chrome.js(
        "return [...document.querySelectorAll('tr.detail .steps ol')].map(e => [e.start, e.children.length])"
    )
    at = 1
    for start, length in numbers:
        assert start == at
        at += length
    for step in plan.steps:
        assert f"Why: {step.reason}" in said
        if words := step.condition.words():
            assert f"Condition: {words}" in said
        for value in step.args.values():
            assert (value if isinstance(value, str) else " ".join(value)) in said
    marker = "Point of no return"
    (before, after) = said.split(marker)
    first = next(n for n, step in enumerate(plan.steps) if step.id == plan.point_of_no_return)
    assert all(f"{step.id}: " in before for step in plan.steps[:first])
    assert all(f"{step.id}: " in after for step in plan.steps[first:])
    for task in plan.manual:
        assert all(text in said for text in (task.what, task.why, task.remedy))


def test_a_blocked_host_shows_inhibitors_remedies_and_waivers(chrome: Browser, page: Path) -> None:
    plan = next(p for p in BOOK.plans.values() if p.state == "blocked" and len(p.inhibitors) > 2)
    chrome.open(page, f"#host={plan.host}")
    said = detail(chrome)
    for hit in plan.inhibitors:
        kind = "waived" if hit.waived else "blocked"
        assert f"{kind}: {hit.id}: {hit.title}" in said
        assert f"Seen: {hit.diagnosis}" in said
        assert f"Remedy: {hit.remedy}" in said
        if hit.waived:
            assert f"{hit.waived.owner} until {hit.waived.expires}, ticket {hit.waived.ticket}: " in said
    assert "no waiver can lift this" in said
    assert "Point of no return" not in said


def test_filter_by_state_and_by_inhibitor(chrome: Browser, page: Path) -> None:
    chrome.open(page)
    choose(chrome, "inhibitor", "disk_encryption")
    assert hosts(inhibitor="disk_encryption")
    assert set(column(chrome, 0)) == hosts(inhibitor="disk_encryption")
    choose(chrome, "inhibitor", "sessions")  # one that is waived counts, too
    assert set(column(chrome, 0)) == hosts(inhibitor="sessions")
    choose(chrome, "plan", "blocked")
    assert set(column(chrome, 0)) == hosts("blocked", "sessions")
    click(chrome, "#reset")
    click(chrome, '.inhibitors a[href="#inhibitor=pending_reboot"]')
    assert set(column(chrome, 0)) == hosts(inhibitor="pending_reboot")
    assert chrome.js("return document.getElementById('f-inhibitor').value") == "pending_reboot"
    chrome.open(page, "#plan=act&platform=windows")
    assert f"{len([h for h in hosts('act') if BOOK.plans[h].platform == 'windows'])} hosts (of 340)" in status(chrome)


def test_search_looks_into_plans(chrome: Browser, page: Path) -> None:
    plan = acting("linux")
    chrome.open(page)
    type_in(chrome, plan.digest())
    assert column(chrome, 0) == [plan.host]
    type_in(chrome, "msi_uninstall")  # of a step
    assert set(column(chrome, 0)) == {
        h for h in hosts("act") if any(s.kind == "msi_uninstall" for s in BOOK.plans[h].steps)
    }
    type_in(chrome, "CHG-77")  # of a waiver
    assert set(column(chrome, 0)) == hosts(inhibitor="sessions")
    type_in(chrome, "Sunday 02:00")  # of the notes
    assert f" of {len(hosts('act'))} hosts" in status(chrome)


def paper(chrome: Browser) -> str:
    """What is printed of the plans."""
    return str(
        chrome.js(
            "return [...document.querySelectorAll('#print .plan, #print .signature')].map(e => e.innerText).join('\\n')"
        )
    )


def test_a_host_that_would_be_changed_is_told_apart_from_one_that_needs_attention(chrome: Browser, page: Path) -> None:
    acting = {host: f"plan: act, {len(BOOK.plans[host].steps)} steps" for host in hosts("act")}
    chrome.open(page, "#plan=act")
    marks = chrome.js(
        "return [...document.querySelectorAll('#body tr.host')].map(r => [r.cells[0].innerText, r.cells[1].innerText])"
    )
    assert 0 < len(marks) == min(100, len(acting))
    assert all(mark.endswith(acting[host]) for host, mark in marks)
    chrome.emulate(media="print")
    titles = chrome.js("return [...document.querySelectorAll('#print h2')].map(e => e.textContent)")
    assert titles[0] == f"Hosts that would be changed ({len(acting)})"
    chrome.emulate()
    chrome.open(page, "#verdict=attention")
    chrome.emulate(media="print")
    titles = chrome.js("return [...document.querySelectorAll('#print h2')].map(e => e.textContent)")
    loud = [row for row in BOOK.rows if row.verdict not in QUIET and row.host not in acting]
    assert titles[0] == f"Hosts that need attention ({len(loud)})"
    heading = chrome.js("return document.querySelector('h1').textContent")
    assert heading.startswith(f"{len(acting)} of {len(BOOK.rows)} hosts would be changed; {len(loud)} need attention: ")


def test_evidence_of_a_host_with_a_plan_does_not_fill_the_paper(chrome: Browser, tmp_path: Path) -> None:
    row = next(row for row in ROWS if row.host in hosts("act"))
    book = fleet_plans.ledger([row])
    seen = [sign for product in row.products for sign in product.evidence if sign not in row.reasons]
    assert seen
    chrome.open(written(tmp_path, book))
    chrome.emulate(media="print")
    text = chrome.js("return document.getElementById('print').innerText")
    assert all(reason in text for reason in row.reasons)
    assert not any(sign in text for sign in seen)
    # Neither a digest nor the name of a host is broken on paper.
    wide = "return [...document.querySelectorAll('.paper tbody td.digest')].map(e => [e.scrollWidth, e.clientWidth])"
    assert all(inner <= outer for inner, outer in chrome.js(wide))


def test_the_approval_document_holds_every_plan_with_its_digest(chrome: Browser, page: Path) -> None:
    chrome.open(page)
    chrome.emulate(media="print")
    said = paper(chrome)
    lines = chrome.js(
        "return [...document.querySelectorAll('#print .paper tbody tr')].map(r => [...r.cells].map(c => c.textContent))"
    )
    wanted = [p for p in BOOK.plans.values() if p.state in ("act", "blocked", "excepted")]
    assert sorted(lines) == sorted([p.host, p.machine, p.digest(), p.expires] for p in wanted)
    # Hosts with the same plan stand together, so the document is shorter than their number.
    assert 1 < chrome.js("return document.querySelectorAll('#print .paper').length") < len(wanted) / 2
    for text in (
        fleet_plans.ENCRYPTION.remedy,
        "Point of no return",
        "only when a step or the system asks for a restart",
    ):
        assert text in said
    assert f"Approved are the plans of {len(hosts('act'))} hosts with steps in this document" in said
    for line in ("Name", "Date", "Signature"):
        assert line in said
    chrome.emulate()
    chrome.open(page, "#plan=blocked")
    chrome.emulate(media="print")
    assert "Approval" not in paper(chrome)  # there is nothing to be done, so nothing to approve
    assert "Only hosts that pass this filter: plan: blocked" in chrome.js("return document.body.innerText")


def test_the_printed_pdf_holds_the_digest(chrome: Browser, tmp_path: Path) -> None:
    plan = acting("linux")
    row = next(row for row in BOOK.rows if row.host == plan.host)
    book = dataclasses.replace(BOOK, rows=(row,), plans=Plans([plan]))
    chrome.open(written(tmp_path, book))
    text = pdf_text(chrome.pdf())
    assert plan.digest() in text
    assert plan.expires in text
    assert "Signature" in text


def pdf_text(raw: bytes) -> str:
    """The text of a PDF as Chromium writes it: glyphs are looked up in the fonts' own tables, blanks are left out."""
    objects = {int(m[1]): m[2] for m in re.finditer(rb"(\d+) 0 obj(.*?)endobj", raw, re.DOTALL)}

    def stream(number: int) -> bytes:
        found = re.search(rb"stream\r?\n(.*?)\r?\nendstream", objects[number], re.DOTALL)
        assert found is not None
        return zlib.decompress(found[1]) if b"FlateDecode" in objects[number] else found[1]

    glyphs: dict[bytes, dict[bytes, str]] = {}
    for body in objects.values():
        for name, number in re.findall(rb"/(F\d+) (\d+) 0 R", body):
            font = objects[int(number)]
            if place := re.search(rb"/ToUnicode (\d+) 0 R", font):
                glyphs[name] = to_unicode(stream(int(place[1])).decode("ascii"))
    said = []
    for number, body in objects.items():
        if b"stream" not in body or b"/Length1" in body or b"/Subtype" in body:
            continue
        table: dict[bytes, str] = {}
        for font, codes in re.findall(rb"/(F\d+) [\d.]+ Tf|<([0-9A-Fa-f]+)>", stream(number)):
            if font:
                table = glyphs.get(font, {})
            else:
                said += [table.get(codes[at : at + 4].upper(), "") for at in range(0, len(codes), 4)]
    return "".join(said)


def to_unicode(text: str) -> dict[bytes, str]:
    """A font's table: glyph -> character."""
    found = {}
    for block in re.findall(r"beginbfchar(.*?)endbfchar", text, re.DOTALL):
        for glyph, char in re.findall(r"<([0-9A-Fa-f]+)>\s*<([0-9A-Fa-f]+)>", block):
            found[glyph.upper().encode()] = bytes.fromhex(char).decode("utf-16-be")
    for block in re.findall(r"beginbfrange(.*?)endbfrange", text, re.DOTALL):
        for first, last, char in re.findall(r"<(\w+)>\s*<(\w+)>\s*<(\w+)>", block):
            for n in range(int(first, 16), int(last, 16) + 1):
                found[f"{n:04X}".encode()] = chr(int(char, 16) + n - int(first, 16))
    return found


def test_an_audit_shows_nothing_of_plans(chrome: Browser, tmp_path: Path) -> None:
    chrome.open(written(tmp_path, fleet.ledger(ROWS)))
    assert chrome.js("return document.querySelector('.plans')") is None
    heights = chrome.js("return ['f-plan', 'f-inhibitor'].map(id => document.getElementById(id).offsetHeight)")
    assert heights == [0, 0]
    chrome.emulate(media="print")
    assert paper(chrome) == ""


def test_no_text_of_a_plan_can_act(chrome: Browser, tmp_path: Path) -> None:
    first = acting("windows")
    plans = []
    for attack in ATTACKS:
        step = dataclasses.replace(first.steps[1], id=attack, target=attack, reason=attack, args={attack: attack})
        hit = dataclasses.replace(fleet_plans.SESSIONS, id=attack, title=attack, diagnosis=attack, remedy=attack)
        plans.append(
            dataclasses.replace(
                first,
                host=attack,
                machine=attack,
                replacement=attack,
                notes=(attack,),
                steps=(step,),
                inhibitors=(hit,),
            )
        )
    rows = [Row(plan.host, Verdict.PRESENT, "windows").planned(plan) for plan in plans]
    chrome.open(written(tmp_path, dataclasses.replace(fleet.ledger(rows), plans=Plans(plans))))
    for number in range(len(ATTACKS)):
        chrome.js("document.querySelectorAll('#body tr.host td.name button')[arguments[0]].click()", number)
        assert detail(chrome).count(column(chrome, 0)[number]) > 8
    choose(chrome, "inhibitor", ATTACKS[1])
    assert column(chrome, 0) == [ATTACKS[1]]
    for address in chrome.js("return [...document.querySelectorAll('.inhibitors a')].map(e => e.getAttribute('href'))"):
        chrome.open(tmp_path / "report.html", address)
        assert len(column(chrome, 0)) == 1
    chrome.emulate(media="print")
    assert chrome.js("return window.hit === undefined && !document.querySelector('img, iframe, object')")
    assert chrome.js("return document.querySelectorAll('script').length") == 2
