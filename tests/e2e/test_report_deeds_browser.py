# SPDX-License-Identifier: GPL-3.0-or-later
"""What was done in report.html in a real browser: beside the steps, found by the search, printed as a record."""

from __future__ import annotations

import dataclasses
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import deeds
from ansible_collections.evict.kaspersky.plugins.plugin_utils.deeds import Deeds
from ansible_collections.evict.kaspersky.plugins.plugin_utils.outcome import Failure
from ansible_collections.evict.kaspersky.plugins.plugin_utils.performing import DONE
from ansible_collections.evict.kaspersky.plugins.plugin_utils.planned import Plans
from ansible_collections.evict.kaspersky.plugins.plugin_utils.report.text import QUIET
from tests import fleet, fleet_deeds
from tests.e2e.browser import Browser
from tests.e2e.test_report_browser import ATTACKS, click, column, type_in
from tests.e2e.test_report_plans_browser import detail, pdf_text, written

pytestmark = pytest.mark.usefixtures("quiet")

BOOK = fleet_deeds.ledger(fleet.rows(340))
ENDS = fleet_deeds.kinds(BOOK.rows, BOOK.plans)
WORDS = {"done": "done", "already": "already so", "skipped": "skipped", "failed": "failed"}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a remediation."""
    return written(tmp_path_factory.mktemp("report"), BOOK)


def of(kind: str) -> list[str]:
    """The hosts that ended so."""
    return [host for host, end in ENDS.items() if end == kind]


def beside(chrome: Browser) -> dict[str, str]:
    """Step -> what stands beside it in the opened host."""
    script = (
        "return [...document.querySelectorAll('tr.detail .steps li')]"
        ".map(e => [e.querySelector('b').textContent, e.querySelector('.end')?.textContent ?? ''])"
    )
    return dict(chrome.js(script))


@pytest.mark.parametrize("kind", sorted(set(fleet_deeds.KINDS)))
def test_each_step_has_its_outcome_beside_it(kind: str, chrome: Browser, page: Path) -> None:
    host = of(kind)[0]
    chrome.open(page, f"#host={host}")
    shown = beside(chrome)
    assert list(shown) == [step.id for step in BOOK.plans[host].steps]
    wanted = deeds.beside(BOOK.plans.body(host), BOOK.deeds[host])
    for name, said in shown.items():
        want = wanted.get(name)
        if want is None:
            assert said == "no outcome on record"
            continue
        assert said.startswith(WORDS[want.status])
        assert want.why in said
        assert (f", {deeds.seconds(want.seconds)} s" in said) == bool(want.seconds)
        if want.failure:
            assert f"{want.failure.kind} (code {want.failure.code}): {want.failure.meaning}" in said
    whole = detail(chrome)
    row = next(row for row in BOOK.rows if row.host == host)
    if row.unprotected_seconds is not None:
        assert f"Without protection{deeds.seconds(row.unprotected_seconds)} s" in whole
    assert ("Without protectionit has not come back" in whole) == (kind == "bare")
    proof = BOOK.deeds[host].proof
    assert ("live test: " in whole) == (proof is not None)
    if proof:
        assert proof.detail in whole
        assert "on demand: cannot be proved, no scanner to call" in whole
    for phase in BOOK.deeds[host].phases:
        assert f"{phase.phase}: {phase.state}" in whole
        assert phase.message in whole


def test_the_table_and_the_filter_go_by_verdicts(chrome: Browser, page: Path) -> None:
    chrome.open(page, "#verdict=attention")
    loud = [row.host for row in BOOK.rows if row.verdict not in QUIET]
    assert len(loud) > 100
    assert set(of("exposed") + of("bare") + of("held") + of("lost") + of("begun")) <= set(loud)
    chrome.open(page, "#verdict=failed_protected")
    assert set(column(chrome, 0)) == set(of("held"))
    assert all(", 1 failed" in cell or ", 2 failed" in cell for cell in column(chrome, 1))
    chrome.open(page, "#verdict=failed_exposed")
    assert sum(cell.endswith("; protection has not come back") for cell in column(chrome, 1)) == len(of("bare"))
    chrome.open(page, "#verdict=replaced")
    assert all(cell.endswith("; 12.5 s without protection") for cell in column(chrome, 1))
    assert not any("plan: act" in cell for cell in column(chrome, 1))


def test_the_search_looks_into_what_was_done(chrome: Browser, page: Path) -> None:
    chrome.open(page)
    type_in(chrome, "apt-mark unhold")
    assert set(column(chrome, 0)) == set(of("held"))
    type_in(chrome, "another run is at work")
    assert set(column(chrome, 0)) == set(of("refused"))
    type_in(chrome, "came to not_applicable")
    assert set(column(chrome, 0)) == set(of("unproved"))
    click(chrome, "#reset")
    click(chrome, '.done a[href="#q=package_held"]')
    assert set(column(chrome, 0)) == set(of("held"))


def printed(chrome: Browser) -> str:
    """What is printed of what was done."""
    return str(chrome.js("return [...document.querySelectorAll('#print .did')].map(e => e.innerText).join('\\n')"))


def test_the_record_is_printed_and_nothing_is_there_to_be_signed(chrome: Browser, page: Path, tmp_path: Path) -> None:
    chrome.open(page)
    chrome.emulate(media="print")
    titles = chrome.js("return [...document.querySelectorAll('#print h2')].map(e => e.textContent)")
    loud = [row.host for row in BOOK.rows if row.verdict not in QUIET]
    assert titles == [
        f"Hosts that need attention ({len(loud)})",
        f"All other hosts ({len(BOOK.rows) - len(loud)})",
        f"What was done ({len(ENDS)} hosts)",
    ]
    assert len(ENDS) > 50
    said = printed(chrome)
    lines = chrome.js("return [...document.querySelectorAll('#print p.close')].map(e => e.textContent)")
    for host, kind in ENDS.items():
        close = [line for line in lines if line.startswith(f"{host}: ")]
        assert len(close) == (kind in ("well", "unproved"))  # those that need attention are there in full
        assert (BOOK.plans[host].digest() in said) == (kind not in ("well", "unproved"))
        if kind == "well":
            assert close[0].endswith("; 12.5 s without protection; live test: proved")
    assert fleet_deeds.HELD.meaning in said
    assert "Approval" not in chrome.js("return document.getElementById('print').innerText")
    # Where hosts are few each has its steps; this is what a PDF holds.
    few = [row for row in BOOK.rows if row.host in (*of("well")[:2], *of("held")[:1])]
    book = dataclasses.replace(BOOK, rows=tuple(few))
    chrome.emulate()
    chrome.open(written(tmp_path, book))
    chrome.emulate(media="print")
    said = printed(chrome)
    for row in few:
        assert BOOK.plans[row.host].digest() in said
        assert all(f"{step.id}\t" in said for step in BOOK.plans[row.host].steps)
    chrome.emulate()
    text = pdf_text(chrome.pdf())
    assert "package_held" in text
    assert "12.5" in text


def test_a_large_fleet_stays_fast(chrome: Browser, tmp_path: Path) -> None:
    """No bound of a benchmark: only what nobody would wait for on any machine."""
    rows = fleet.rows(10_000)
    path = written(tmp_path, fleet_deeds.ledger(rows))
    assert path.stat().st_size < 16_000_000
    start = time.monotonic()
    chrome.open(path)
    chrome.later("requestAnimationFrame(() => requestAnimationFrame(done))")
    type_in(chrome, "apt-mark unhold")
    assert len(column(chrome, 0)) == 100
    assert time.monotonic() - start < 30


def test_nothing_that_was_done_can_act(chrome: Browser, tmp_path: Path) -> None:
    host = of("held")[0]
    made, plans, found = [], Plans(), Deeds()
    for attack in ATTACKS:
        plan = dataclasses.replace(BOOK.plans[host], host=attack)
        records = []
        for record in fleet_deeds.records(plan, "held"):
            data: dict[str, t.Any] = dict(record.data)
            if record.event == DONE:
                data["message"] = attack
                data["outcomes"] = [{**o, "why": attack} for o in data["outcomes"]]
                failure = Failure(attack, attack, attack)
                data["outcomes"][0].update(status="failed", failure=dataclasses.asdict(failure))
            elif record.event == "proof":
                data.update(provider=attack, detail=attack, left=[attack])
            records.append(dataclasses.replace(record, data=data))
        plans.add(plan)
        found.take(attack, records)
        row = next(row for row in BOOK.rows if row.host == host)
        made.append(dataclasses.replace(row, host=attack, reasons=(), plan=plan.digest()))
    book = dataclasses.replace(fleet_deeds.ledger([]), rows=tuple(made), plans=plans, deeds=found)
    chrome.open(written(tmp_path, book))
    for number in range(len(ATTACKS)):
        chrome.js("document.querySelectorAll('#body tr.host td.name button')[arguments[0]].click()", number)
        assert detail(chrome).count(column(chrome, 0)[number]) > 8
    for address in chrome.js("return [...document.querySelectorAll('.done a')].map(e => e.getAttribute('href'))"):
        chrome.open(tmp_path / "report.html", address)
        assert column(chrome, 0)
    chrome.open(tmp_path / "report.html")
    chrome.emulate(media="print")
    assert chrome.js("return document.querySelectorAll('#print .did').length") == len(ATTACKS)
    assert chrome.js("return window.hit === undefined && !document.querySelector('img, iframe, object')")
    assert chrome.js("return document.querySelectorAll('script').length") == 2
