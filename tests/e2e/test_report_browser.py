# SPDX-License-Identifier: GPL-3.0-or-later
"""report.html in a real browser: it works from a file, asks the network for nothing, and no host can act in it."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import report
from ansible_collections.evict.kaspersky.plugins.plugin_utils.row import Fact, ProductRow, Row
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import SEVERITY, Verdict
from tests import fleet
from tests.e2e.browser import Browser

pytestmark = pytest.mark.usefixtures("quiet")

NUMBER = 340
ROWS = fleet.rows(NUMBER)
# Each would do something if it were taken for markup, script, an address, a style, a formula or a direction.
ATTACKS = (
    "<script>window.hit=1</script>",
    "</script><script>window.hit=2</script>",
    "<!--<script>window.hit=3",
    '"><img src=x onerror=window.hit=4>',
    "' onmouseover='window.hit=5",
    "javascript:window.hit=6",
    "<svg onload=window.hit=7>",
    "<style>body{display:none}</style>",
    '<meta http-equiv="refresh" content="0;url=https://attack.invalid/">',
    '<link rel=stylesheet href="https://attack.invalid/x.css">',
    "{{run}}{{script}}",
    "${window.hit=8}",
    "__proto__",
    "&lt;b&gt;&amp;",
    "evil\u202egnp.exe",
    "a\u2066b\u2069\u200f\x1b[31m\x00\r\n",
    "=HYPERLINK(1)",
    "\ud800 lone",
    "#host=x&q=y",
)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of an ordinary fleet."""
    return written(tmp_path_factory.mktemp("report"), ROWS)


def written(folder: Path, rows: list[Row]) -> Path:
    """A report as a file."""
    path = folder / "report.html"
    path.write_bytes(b"".join(report.encoded("html", fleet.ledger(rows))))
    return path


def column(chrome: Browser, number: int) -> list[str]:
    """The texts of a column of the table as it is shown, without the sign for details."""
    script = "return [...document.querySelectorAll('#body tr.host')].map(r => r.cells[arguments[0]].textContent)"
    return t.cast("list[str]", chrome.js(script, number))


def status(chrome: Browser) -> str:
    """The line above the table."""
    return str(chrome.js("return document.getElementById('status').textContent"))


def choose(chrome: Browser, name: str, value: str) -> None:
    """Choose in a list of the filter, as a user does."""
    script = (
        "const e = document.getElementById(arguments[0]); e.value = arguments[1]; e.dispatchEvent(new Event('change'))"
    )
    chrome.js(script, f"f-{name}", value)


def type_in(chrome: Browser, words: str) -> None:
    """Type into the search with real keys, and wait until the table followed."""
    from selenium.webdriver.support.wait import WebDriverWait

    field = chrome.driver.find_element("id", "f-q")
    field.clear()
    field.send_keys(words)
    WebDriverWait(chrome.driver, 60).until(
        lambda driver: driver.execute_script("return new URLSearchParams(location.hash.slice(1)).get('q')") == words
    )


def click(chrome: Browser, selector: str) -> None:
    """Click as a user does."""
    chrome.driver.find_element("css selector", selector).click()


def of(verdict: Verdict) -> list[str]:
    """The hosts of a verdict in the order of names."""
    return [row.host for row in ROWS if row.verdict is verdict]


def test_it_opens_with_totals_and_the_worst_first(chrome: Browser, page: Path) -> None:
    chrome.open(page)
    assert status(chrome) == f"1 to 100 of {NUMBER} hosts"
    assert column(chrome, 0) == [*of(Verdict.PRESENT), *of(Verdict.UNKNOWN), *of(Verdict.UNREACHABLE)][:100]
    for verdict in {row.verdict for row in ROWS}:
        (said,) = chrome.js(
            "return [...document.querySelectorAll('.legend li')].filter(e => e.querySelector(arguments[0]))"
            ".map(e => e.textContent)",
            f'a[href="#verdict={verdict}"]',
        )
        assert said.startswith(f"{str(verdict).replace('_', ' ')}{len(of(verdict))}")
    label = chrome.js("return document.querySelector('.bar').getAttribute('aria-label')")
    assert f"present {len(of(Verdict.PRESENT))}, " in label
    assert chrome.js("return document.querySelector('noscript').offsetHeight") == 0


def test_filters_alone_and_together(chrome: Browser, page: Path) -> None:
    chrome.open(page)
    choose(chrome, "verdict", "unreachable")
    assert column(chrome, 0) == of(Verdict.UNREACHABLE)
    choose(chrome, "verdict", "attention")
    loud = [r for r in ROWS if r.verdict not in (Verdict.ABSENT, Verdict.OUT_OF_SCOPE)]
    assert f" of {len(loud)} hosts (of {NUMBER})" in status(chrome)
    choose(chrome, "protection", "none")
    assert column(chrome, 0) == [r.host for r in loud if r.protection == "none"]
    choose(chrome, "platform", "windows")
    assert status(chrome) == f"No host passes this filter (of {NUMBER})."
    click(chrome, "#reset")
    choose(chrome, "product", "kvrt")
    found = [r.host for r in ROWS if r.reported]
    assert found
    assert column(chrome, 0) == found
    assert all("reported: kvrt 20.0.13.0 portable" in said for said in column(chrome, 4))
    chrome.open(page)
    click(chrome, '.legend a[href="#verdict=leftovers"]')
    assert column(chrome, 0) == of(Verdict.LEFTOVERS)
    assert chrome.js("return document.getElementById('f-verdict').value") == "leftovers"


def test_sorting_and_pages(chrome: Browser, page: Path) -> None:
    chrome.open(page)
    names = [row.host for row in ROWS]
    click(chrome, '[data-sort="host"]')
    assert column(chrome, 0) == names[:100]
    click(chrome, '#pager [data-page="Next"]')
    assert column(chrome, 0) == names[100:200]
    assert status(chrome) == f"101 to 200 of {NUMBER} hosts"
    click(chrome, '[data-sort="host"]')
    assert column(chrome, 0) == names[::-1][:100]
    assert chrome.js("return document.querySelector('th').getAttribute('aria-sort')") == "descending"
    click(chrome, '[data-sort="protection"]')
    assert column(chrome, 3)[0] == "none"
    click(chrome, '[data-sort="verdict"]')
    click(chrome, '[data-sort="verdict"]')
    rank = [SEVERITY.index(Verdict(said.replace(" ", "_"))) for said in column(chrome, 1)]
    assert rank == sorted(rank, reverse=True)
    assert len(set(rank)) > 1


def test_search_looks_into_everything_a_row_says(chrome: Browser, page: Path) -> None:
    chrome.open(page)
    host = ROWS[7].host
    type_in(chrome, host)
    assert column(chrome, 0) == [host]
    type_in(chrome, "disk ENCRYPTION")  # a fact, seen in the details only
    expected = {r.host for r in ROWS if any(f.topic == "encryption" for f in r.facts)}
    assert expected
    assert set(column(chrome, 0)) == expected
    type_in(chrome, "dpkg locked")
    hits = [r.host for r in ROWS if any("dpkg" in x and "locked" in x for x in r.reasons)]
    assert hits
    assert column(chrome, 0) == hits
    type_in(chrome, "no such words anywhere")
    assert "No host passes" in status(chrome)


def test_details_tell_all_there_is_of_a_host(chrome: Browser, page: Path) -> None:
    row = next(r for r in ROWS if len(r.facts) > 2)
    chrome.open(page, f"#host={row.host}")
    said = chrome.js("return document.querySelector('tr.detail').textContent")
    for product in row.products:
        assert product.label() in said
        assert all(text in said for text in product.evidence)
    assert all(text in said for text in (*row.reasons, *row.protected_by, *(f.text for f in row.facts)))
    source = fleet.ledger(ROWS).sources[row.host]
    for text in (source.time, source.digest, source.catalog, source.transport, fleet.RUN, f"hosts/{row.host}.jsonl"):
        assert text in said
    unknown = next(r for r in ROWS if r.notes)
    chrome.open(page, f"#host={unknown.host}")
    said = chrome.js("return document.querySelector('tr.detail').textContent")
    assert all(text in said for text in (*unknown.unknown_probes, *unknown.notes))


def test_deep_links_lead_to_a_host_and_to_a_view(chrome: Browser, page: Path) -> None:
    last = of(Verdict.OUT_OF_SCOPE)[-1]
    chrome.open(page, f"#host={last}")
    opened = "return document.querySelector('#body [aria-expanded=true]').textContent"
    assert chrome.js(opened) == last
    assert chrome.js("return document.activeElement.textContent") == last
    chrome.open(page, f"#verdict=present&host={last}")  # the view does not hold the host: the host wins
    assert chrome.js(opened) == last
    chrome.open(page, "#verdict=present&platform=windows&sort=-host")
    view = [r.host for r in ROWS if r.verdict is Verdict.PRESENT and r.platform == "windows"][::-1]
    assert column(chrome, 0) == view[:100]
    click(chrome, "td.name button")
    address = chrome.driver.current_url.partition("#")[2]
    assert address == f"verdict=present&platform=windows&sort=-host&host={view[0]}"
    chrome.open(page, "#" + address)
    assert chrome.js(opened) == view[0]
    for odd in (
        "#page=nine&sort=%00&verdict=nosuch",
        "#host=nowhere",
        "#%E0%A4%A",
        "#page=-5",
        "#page=99999&sort=__proto__",
    ):
        chrome.open(page, odd)
        assert "host" in status(chrome)


def test_the_keyboard_is_enough(chrome: Browser, page: Path) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    chrome.open(page)

    def press(*keys: str) -> str:
        ActionChains(chrome.driver).send_keys(*keys).perform()
        return str(chrome.js("const a = document.activeElement; return a.id || a.dataset.sort || a.textContent"))

    assert press(Keys.TAB) == "skip"
    assert press(Keys.ENTER) == "h-hosts"
    assert press("/") == "f-q"
    reached = [press(Keys.TAB) for _ in range(5)]
    assert reached == ["f-verdict", "f-protection", "f-platform", "f-product", "reset"]
    assert press(Keys.TAB) == "Next"
    assert [press(Keys.TAB) for _ in range(6)] == ["host", "verdict", "platform", "protection", "products", "why"]
    assert press(Keys.ENTER) == "why"
    assert chrome.js("return document.querySelectorAll('th')[5].getAttribute('aria-sort')") == "ascending"
    first = press(Keys.TAB)
    assert press(Keys.ENTER) == first
    assert chrome.js("return document.activeElement.getAttribute('aria-expanded')") == "true"


def test_dark_and_light_can_be_read(chrome: Browser, page: Path) -> None:
    """Contrast by the formula of WCAG 2: 4.5 for text on its ground, in both schemes, numbers in the bars included."""
    script = """
      const rgb = (e, p) => getComputedStyle(e)[p].match(/[\\d.]+/g).slice(0, 3).map(Number);
      const pairs = [];
      const paper = rgb(document.documentElement, 'backgroundColor');
      for (const s of ['h1', '.quiet', '.legend b', '.tag', 'td.name button', 'a', '.number', 'td.why'])
        for (const e of document.querySelectorAll(s)) pairs.push([s, rgb(e, 'color'), paper]);
      for (const e of document.querySelectorAll('.bar text'))
        pairs.push(['bar', rgb(e, 'fill'), rgb(e.previousElementSibling, 'fill')]);
      return pairs;
    """

    def light(colour: list[float]) -> float:
        parts = [c / 255 / 12.92 if c / 255 <= 0.04045 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    grounds = []
    for scheme in ("light", "dark"):
        chrome.emulate(scheme=scheme)
        chrome.open(page)
        pairs = chrome.js(script)
        assert {pair[0] for pair in pairs} >= {"h1", ".tag", "bar"}
        grounds.append(light(pairs[0][2]))
        for where, ink, ground in pairs:
            high, low = sorted((light(ink), light(ground)), reverse=True)
            assert (high + 0.05) / (low + 0.05) >= 4.5, (scheme, where, ink, ground)
    assert grounds[0] > 0.9
    assert grounds[1] < 0.1


def test_verdicts_differ_in_shape_and_word_not_only_in_colour(chrome: Browser, page: Path) -> None:
    chrome.open(page)
    marks = chrome.js(
        "return [...document.querySelectorAll('.legend li')].map("
        "e => [e.querySelector('use').getAttribute('href'), e.querySelector('b').textContent])"
    )
    shapes = {chrome.js("return document.querySelector(arguments[0]).innerHTML", shape) for shape, _ in marks}
    assert len(shapes) == len({shape for shape, _ in marks}) > 3
    assert all(words for _, words in marks)


def test_print_holds_every_host(chrome: Browser, page: Path) -> None:
    chrome.open(page)
    pdf = chrome.pdf()
    assert pdf.startswith(b"%PDF-")
    assert pdf.count(b"/Type /Page\n") + pdf.count(b"/Type/Page\n") + pdf.count(b"/Type /Page ") > 3
    assert chrome.js("return document.getElementById('print').childElementCount") == 0  # taken down again
    chrome.emulate(media="print")
    hosts = chrome.js("return [...document.querySelectorAll('#print tbody tr')].map(r => r.cells[0].textContent)")
    assert sorted(hosts) == sorted(row.host for row in ROWS)
    titles = chrome.js("return [...document.querySelectorAll('#print h2')].map(e => e.textContent)")
    assert [title.partition(" (")[0] for title in titles] == ["Hosts that need attention", "All other hosts"]
    text = chrome.js("return document.getElementById('print').innerText")
    assert all(reason in text for row in ROWS if row.verdict is Verdict.UNKNOWN for reason in row.reasons)
    assert chrome.js("return getComputedStyle(document.getElementById('app')).display") == "none"
    chrome.emulate()
    chrome.open(page, "#verdict=unreachable")
    chrome.emulate(media="print")
    assert "Only hosts that pass this filter: verdict: unreachable" in chrome.js("return document.body.innerText")
    assert chrome.js("return document.querySelectorAll('#print tbody tr').length") == len(of(Verdict.UNREACHABLE))


def test_a_large_fleet_is_printed_close_and_whole(chrome: Browser, tmp_path: Path) -> None:
    rows = fleet.rows(1200)
    chrome.open(written(tmp_path, rows))
    chrome.emulate(media="print")
    names = chrome.js("return [...document.querySelectorAll('#print .close .said')].map(e => e.textContent)")
    hosts = [name.partition(" (reported: ")[0] for name in names if not name.startswith(": ")]
    assert sorted(hosts) == sorted(row.host for row in rows)
    text = chrome.js("return document.getElementById('print').innerText")
    for row in rows:
        if row.verdict is Verdict.UNREACHABLE:
            assert f"{row.host}: {row.reasons[0]}" in text
    assert (
        f"absent, protection none ({sum(r.verdict is Verdict.ABSENT and r.protection == 'none' for r in rows)})" in text
    )
    assert chrome.pdf().startswith(b"%PDF-")


def test_without_javascript_it_still_says_what_counts(chrome: Browser, page: Path) -> None:
    chrome.devtools("Emulation.setScriptExecutionDisabled", value=True)
    try:
        chrome.open(page)
        body = chrome.driver.find_element("tag name", "body").text
    finally:
        chrome.devtools("Emulation.setScriptExecutionDisabled", value=False)
    assert "need attention" in body
    assert f"{len(of(Verdict.PRESENT))}" in body
    assert "report.csv" in body
    assert fleet.RUN in body


def test_no_host_can_act(chrome: Browser, tmp_path: Path) -> None:
    rows = [
        Row(
            host=attack,
            verdict=Verdict.PRESENT,
            platform=attack,
            products=(ProductRow(attack, attack, attack, attack, (attack,)),),
            reported=(ProductRow(attack, attack, attack, attack, (attack,)),),
            reasons=(attack, attack),
            unknown_probes=(attack,),
            notes=(attack,),
            protection="none",
            protected_by=(attack,),
            facts=(Fact("policy", attack),),
        )
        for attack in ATTACKS
    ]
    page = tmp_path / "report.html"
    book = fleet.ledger(rows, folder="/srv/" + ATTACKS[1], run=ATTACKS[3], problems=ATTACKS)
    page.write_bytes(b"".join(report.encoded("html", book)))
    chrome.open(page)
    tags = "return [...new Set([...document.querySelectorAll('body *')].map(e => e.localName))].sort()"
    before = chrome.js(tags)
    names = column(chrome, 0)
    assert len(names) == len(ATTACKS)
    assert "evil\\u202egnp.exe" in names
    assert "a\\u2066b\\u2069\\u200f\\x1b[31m\\x00\\r\\n" in names
    for attack in ATTACKS:
        if attack.isprintable():
            assert attack in names
    for number in range(len(ATTACKS)):
        chrome.js("document.querySelectorAll('#body tr.host td.name button')[arguments[0]].click()", number)
        opened = chrome.js("return document.querySelector('tr.detail').textContent")
        assert opened.count(names[number]) > 8
        fragment = "#" + chrome.driver.current_url.partition("#")[2]
        chrome.open(page, fragment)
        assert chrome.js("return document.querySelector('#body [aria-expanded=true]').textContent") == names[number]
    choose(chrome, "product", ATTACKS[3])
    assert column(chrome, 0) == [ATTACKS[3]]
    choose(chrome, "product", "")
    type_in(chrome, ATTACKS[2])
    assert column(chrome, 0) == [ATTACKS[2]]
    chrome.emulate(media="print")
    assert chrome.js(
        "return window.hit === undefined && !document.querySelector('img, iframe, object, link[rel=stylesheet]')"
    )
    assert chrome.js("return document.querySelectorAll('script').length") == 2
    assert set(chrome.js(tags)) - set(before) <= {"a", "dd", "dl", "dt", "h2", "h3", "li", "p", "section", "ul", "div"}
    # No control or direction mark is left alive anywhere in the page.
    live = r"[\0-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]"
    assert chrome.js("return document.body.textContent.match(new RegExp(arguments[0]))", live) is None


def test_nothing_else_could_run_even_if_it_got_in(chrome: Browser, page: Path) -> None:
    """The policy of the page itself, tried with what an attack would do."""
    chrome.open(page)
    chrome.js(
        "const s = document.createElement('script'); s.textContent = 'window.hit = 1'; document.body.append(s);"
        "const i = document.createElement('img'); i.src = 'https://attack.invalid/i.png'; document.body.append(i);"
        "const c = document.createElement('style'); c.textContent = 'h1 { color: red }'; document.head.append(c);"
    )
    refused = chrome.later("fetch('https://attack.invalid/').then(() => done('let through'), () => done('refused'))")
    assert refused == "refused"
    assert chrome.js("return window.hit") is None
    said = chrome.complaints()
    assert len(said) >= 4
    assert all("Content Security Policy" in text for text in said)
    assert set(chrome.requests().values()) == {"csp"}


def test_a_report_of_nobody_and_of_one(chrome: Browser, tmp_path: Path) -> None:
    chrome.open(written(tmp_path, []))
    assert status(chrome) == "No host passes this filter."
    chrome.open(written(tmp_path, [Row("only", Verdict.ABSENT)]))
    assert column(chrome, 0) == ["only"]
    assert chrome.js("return document.querySelector('h1').textContent") == "None of 1 host needs attention."
