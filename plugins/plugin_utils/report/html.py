# SPDX-License-Identifier: GPL-3.0-or-later
"""The report for people: one HTML file that asks no network for anything, from a handful of hosts to tens of thousands.

Totals, protection and provenance are plain HTML. The hosts lie in one block of JSON, which is data and never markup:
every text in it is inert, `<`, `>` and `&` are escaped, and the script of the page shows texts as texts only. Style and
script are let in by their digests alone (Content-Security-Policy), so nothing else could run even if it got in.
"""

from __future__ import annotations

import base64
import collections
import functools
import hashlib
import json
import re
import typing as t
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

from ..files import EvidenceError
from ..hostfile import file_name
from ..ledger import Ledger
from ..row import ProductRow, Row
from ..run import HOSTS, collection_version
from ..verdict import SEVERITY, Verb, Verdict
from . import _deed_data, _deeds, _done_html, _plan_data, _plans
from ._shown import escaped as _text
from ._shown import shown
from .text import QUIET

_PARTS: t.Final = Path(__file__).with_name("_html")
# Parts of the script in the order they are joined in.
SCRIPTS: t.Final = (
    "1-data.js",
    "2-view.js",
    "3-host.js",
    "4-plan.js",
    "5-done.js",
    "5-table.js",
    "6-print.js",
    "7-start.js",
)
# Group -> colour and shape in the style sheet; a verdict is told by its word and shape, never by colour alone.
GROUPS: t.Final[Mapping[Verdict, str]] = {
    Verdict.FAILED_EXPOSED: "failed",
    Verdict.FAILED_PROTECTED: "failed",
    Verdict.REMOVED_UNPROTECTED: "failed",
    Verdict.PRESENT: "found",
    Verdict.UNKNOWN: "open",
    Verdict.UNREACHABLE: "open",
    Verdict.NOT_ATTEMPTED: "open",
    Verdict.BLOCKED: "open",
    Verdict.REBOOT_PENDING: "open",
    Verdict.LEFTOVERS: "residue",
    Verdict.REPLACED_UNPROVED: "residue",
    Verdict.REPLACED: "clean",
    Verdict.EXCEPTED: "aside",
    Verdict.NOTHING_TO_DO: "clean",
    Verdict.ABSENT: "clean",
    Verdict.OUT_OF_SCOPE: "aside",
}
MEANING: t.Final[Mapping[Verdict, str]] = {
    Verdict.FAILED_EXPOSED: "a step failed, and the host has no protection",
    Verdict.FAILED_PROTECTED: "a step failed; the host is protected",
    Verdict.REMOVED_UNPROTECTED: "removed, and nothing protects the host now",
    Verdict.PRESENT: "a product is there: installed, running or broken",
    Verdict.UNKNOWN: "something that was needed could not be inspected",
    Verdict.UNREACHABLE: "no answer from the host",
    Verdict.NOT_ATTEMPTED: "the run ended before this host's turn",
    Verdict.BLOCKED: "something forbids to go on",
    Verdict.REBOOT_PENDING: "a restart is needed first",
    Verdict.LEFTOVERS: "no working product, but residue",
    Verdict.REPLACED_UNPROVED: "replaced; that the new protection works is not proved",
    Verdict.REPLACED: "replaced, and the new protection is proved",
    Verdict.EXCEPTED: "left alone by an exception on record",
    Verdict.NOTHING_TO_DO: "there was nothing to do",
    Verdict.ABSENT: "every needed question was answered, nothing was found",
    Verdict.OUT_OF_SCOPE: "in the inventory, but not selected by this run",
}
# State of a plan -> group.
STATES: t.Final[Mapping[str, str]] = {
    "act": "found",
    "blocked": "open",
    "undecided": "residue",
    "excepted": "aside",
    "nothing_to_do": "clean",
}
_REMEDIES: t.Final = 3  # of an inhibitor that the summary shows
# State, group and words; hosts nobody asked come last.
PROTECTION: t.Final = (
    ("none", "failed", "none", "no live malware protection was found"),
    ("unknown", "open", "unknown", "it could not be told"),
    ("active", "clean", "active", "a live malware protection is active"),
    ("", "aside", "not asked", "nobody looked"),
)


def render(ledger: Ledger, *, limit: int = 0) -> str:
    """The whole page, all hosts; the limit is for lines of text."""
    return "".join(pieces(ledger, limit=limit))


def pieces(ledger: Ledger, *, limit: int = 0) -> Iterator[str]:
    """The page, a line of data a host.

    Raises:
        EvidenceError: parts of the page are missing from the installation.
    """
    del limit
    page, style, script = _parts()
    whole = _plans.summary(ledger) if ledger.plans else None
    facts = {
        "title": _title(ledger),
        "style": style,
        "script": script,
        "policy": f"default-src 'none'; style-src {_digest(style)}; script-src {_digest(script)}; img-src data:; "
        "base-uri 'none'; form-action 'none'",
        "run": _text(ledger.run),
        "headline": _headline(ledger, whole),
        "warnings": _warnings(ledger),
        "totals": _totals(ledger),
        "protection": _protection(ledger),
        "done": _done_html.section(ledger),
        "plans": _plan_summary(ledger, whole),
        "provenance": _provenance(ledger),
    }
    head, tail = page.split("{{data}}")
    yield _fill(head, facts)
    yield from _data(ledger)
    yield _fill(tail, facts)


@functools.cache
def _parts() -> tuple[str, str, str]:
    """Page, style and script, read when the first page is made."""
    try:
        page, style = ((_PARTS / name).read_text(encoding="utf-8") for name in ("page.html", "style.css"))
        scripts = [(_PARTS / name).read_text(encoding="utf-8") for name in SCRIPTS]
    except OSError as exc:
        raise EvidenceError(
            f"the HTML report cannot be made, {exc.filename} is missing: install the collection again"
        ) from exc
    # One scope for all: what they share is theirs, and nothing of the browser's own is hidden.
    return page, style, '"use strict";\n(() => {\n' + "".join(scripts) + "})();\n"


def _digest(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def _fill(template: str, facts: Mapping[str, str]) -> str:
    """Put texts in place; what is put in is not looked at again."""
    return re.sub(r"\{\{(\w+)\}\}", lambda match: facts[match[1]], template)


# --- plain HTML: what can be read without JavaScript


def _title(ledger: Ledger) -> str:
    if _deeds.acted(ledger):
        return "Kaspersky removal"
    if ledger.plans:
        return "Kaspersky removal plan"
    return "Kaspersky removal, verified" if ledger.verb is Verb.VERIFY else "Kaspersky audit"


def _headline(ledger: Ledger, whole: _plans.Summary | None) -> str:
    # A product that is there is what a plan is for; it needs attention where there is no plan for it, and once plans
    # were performed.
    acted = _deeds.acted(ledger)
    planned = () if acted else (Verdict.PRESENT, Verdict.LEFTOVERS)
    loud = collections.Counter(
        row.verdict
        for row in ledger.rows
        if row.verdict not in QUIET and not (row.verdict in planned and row.host in ledger.plans)
    )
    number = sum(loud.values())
    hosts = f"{len(ledger.rows)} host{'s' * (len(ledger.rows) != 1)}"
    if whole and not acted:
        parts = ", ".join(f"{loud[v]} {_words(v)}" for v in SEVERITY if loud[v])
        rest = f"{number} need{'s' * (number == 1)} attention: {parts}" if number else "none needs attention"
        return f"{whole.states.get('act', 0)} of {hosts} would be changed; {rest}."
    if not number:
        return f"None of {hosts} needs attention."
    parts = ", ".join(f"{loud[v]} {_words(v)}" for v in SEVERITY if loud[v])
    return f"{number} of {hosts} need{'s' * (number == 1)} attention: {parts}."


def _warnings(ledger: Ledger) -> str:
    said = [f"Problem with the evidence: {_text(problem)}" for problem in ledger.problems]
    if not ledger.complete:
        said.append("The run did not come to its end: what is listed is what its evidence says so far.")
    return "".join(f'<p class="warning">{text}</p>\n' for text in said)


def _words(verdict: Verdict) -> str:
    return str(verdict).replace("_", " ")


def _totals(ledger: Ledger) -> str:
    count = collections.Counter(row.verdict for row in ledger.rows)
    return _picture(
        "Verdicts", "verdict", [(str(v), GROUPS[v], _words(v), MEANING[v], count[v]) for v in SEVERITY if count[v]]
    )


def _protection(ledger: Ledger) -> str:
    count = collections.Counter(row.protection for row in ledger.rows)
    if not any(row.protection for row in ledger.rows):
        return '<p class="quiet">No host of this run was asked for its protection.</p>'
    parts = [
        (state or "not_asked", group, words, meaning, count[t.cast("t.Any", state)])
        for state, group, words, meaning in PROTECTION
    ]
    return _picture("Protection", "protection", [part for part in parts if part[4]])


def _plan_summary(ledger: Ledger, whole: _plans.Summary | None) -> str:
    """How many plans there are of which state, and each inhibitor with its remedy and the number of its hosts."""
    if not whole:
        return ""
    parts = [(name, STATES[name], words, meaning, whole.states.get(name, 0)) for name, words, meaning in _plans.STATES]
    said = [f"{whole.steps} steps on {_hosts(whole.states.get('act', 0))}"]
    acted = _deeds.acted(ledger)
    if whole.irreversible:
        what = "was planned" if acted else "would be done"
        said.append(f"what {what} cannot be undone on {_hosts(whole.irreversible)}")
    if whole.manual:
        said.append(f"something stays for a person on {_hosts(whole.manual)}")
    if ledger.plans.expires and not acted:
        said.append(f"the first plan expires at {_text(ledger.plans.expires)}")
    items = [
        f'<li><a href="#inhibitor={quote(shown(one.id), safe="")}"><b>{_text(one.id)}</b></a>: {_text(one.title)}. '
        f"Blocks {_hosts(len(one.hosts))}{f', waived on {_hosts(one.waived)}' if one.waived else ''}."
        + "".join(
            f'<span class="remedy">{_text(remedy)}</span>' for remedy, _dummy in one.remedies.most_common(_REMEDIES)
        )
        + "</li>\n"
        for one in whole.inhibitors
    ]
    met = f'<h3>What stands in the way</h3>\n<ul class="inhibitors">{"".join(items)}</ul>\n' if items else ""
    return (
        '<section class="plans" aria-labelledby="h-plans"><h2 id="h-plans">Plans</h2>\n'
        f"{_picture('Plans', 'plan', [part for part in parts if part[4]])}\n"
        f'<p class="quiet">{"; ".join(said)}.</p>\n{met}</section>\n'
    )


def _hosts(number: int) -> str:
    return _deeds.hosts(number)


def _picture(title: str, key: str, parts: list[tuple[str, str, str, str, int]]) -> str:
    """A bar and its legend, a line a part: value of the filter, group, words, meaning, hosts."""
    whole = sum(part[4] for part in parts)
    if not whole:
        return '<p class="quiet">There are no hosts.</p>'
    label = f"{title}: " + ", ".join(f"{part[2]} {part[4]}" for part in parts)
    drawn, legend, at = [], [], 0.0
    # A single host among thousands still has to be seen: each part gets a little, the rest is shared out.
    least = 0.6
    room = 100 - least * len(parts)
    for value, group, words, meaning, number in parts:
        wide = least + room * number / whole
        drawn.append(
            f'<rect class="g-{group}" x="{at:.3f}%" width="{wide:.3f}%" height="100%">'
            f"<title>{words}: {number}</title></rect>"
        )
        if wide > 1.5 + 1.1 * len(str(number)):
            drawn.append(f'<text class="on-{group}" x="{at + wide / 2:.3f}%" y="50%">{number}</text>')
        at += wide
        share = f"{number / whole:.1%}"
        legend.append(
            f'<li><a href="#{key}={value}">'
            f'<svg class="mark g-{group}" aria-hidden="true"><use href="#m-{group}"/></svg>'
            f'<b>{words}</b></a><span class="number">{number}</span><span class="number quiet">{share}</span>'
            f'<span class="quiet">{meaning}</span></li>'
        )
    return (
        f'<svg class="bar" role="img" aria-label="{label}">{"".join(drawn)}</svg>\n'
        f'<ul class="legend">{"".join(legend)}</ul>'
    )


def _provenance(ledger: Ledger) -> str:
    catalogs = collections.Counter(source.catalog for source in ledger.sources.values() if source.catalog)
    entries = [
        ("Run", ledger.run),
        ("What for", str(ledger.verb)),
        ("Started", ledger.started),
        ("Ended", ledger.ended or "not by itself"),
        ("Events" if ledger.events else "Evidence", f"{ledger.folder} (generated from its records alone)"),
        ("Evidence written by", ", ".join(f"{name} {v}" for name, v in sorted(ledger.versions.items()) if v)),
        ("Report written by", f"evict.kaspersky {collection_version()}"),
        *(("Catalog", f"{digest} ({number} hosts)") for digest, number in sorted(catalogs.items())),
        ("Is it intact", "" if ledger.events else f"evict check-evidence {ledger.folder}"),
    ]
    return "".join(f"<dt>{name}</dt><dd>{_text(value)}</dd>" for name, value in entries if value)


# --- the hosts, for the script of the page


class _Strings:
    """Texts by number: most of them stand at many hosts."""

    def __init__(self) -> None:
        self.known: dict[str, int] = {}

    def one(self, text: str) -> int:
        """The number of a text."""
        return self.known.setdefault(shown(text), len(self.known))

    def all(self, texts: t.Iterable[str]) -> list[int]:
        """The numbers of several."""
        return [self.one(text) for text in texts]


def _data(ledger: Ledger) -> Iterator[str]:
    strings = _Strings()
    tables, done = _plan_data.Tables(strings.one), _deed_data.Tables(strings.one)
    head = {
        "run": shown(ledger.run),
        "verdicts": [[str(v), _words(v), GROUPS[v], v in QUIET] for v in SEVERITY],
        "protection": [[*part[:3]] for part in PROTECTION],
        "states": [[name, words, STATES[name]] for name, words, _dummy in _plans.STATES],
        "acted": _deeds.acted(ledger),
        "status": [[name, *part] for name, part in _deed_data.STATUS.items()],
        "proved": {name: [_deed_data.PROVED[name], words] for name, words in _deeds.PROOFS.items()},
    }
    yield _json(head)[:-1] + ',"rows":['
    for number, row in enumerate(ledger.rows):
        yield (",\n" if number else "\n") + _json(_row(row, ledger, strings, tables, done))
    known: tuple[tuple[str, t.Iterable[object]], ...] = (
        ("steps", tables.steps),
        ("orders", tables.orders),
        ("hits", tables.hits),
        ("rests", tables.rests),
        ("ends", done.ends),
        ("runs", done.runs),
        ("proofs", done.proofs),
        ("phases", done.phases),
        ("strings", strings.known),
    )
    for name, parts in known:
        yield f'],\n"{name}":['
        for number, part in enumerate(parts):
            yield (",\n" if number else "\n") + _json(part)
    yield "]}"


def _row(
    row: Row, ledger: Ledger, strings: _Strings, tables: _plan_data.Tables, done: _deed_data.Tables
) -> list[t.Any]:
    """A host as the script reads it; 1-data.js names the places in the same order."""
    source = ledger.sources.get(row.host)
    plan = ledger.plans.body(row.host) if row.host in ledger.plans else None
    return [
        strings.one(row.host),
        SEVERITY.index(row.verdict),
        strings.one(row.platform),
        [part[0] for part in PROTECTION].index(row.protection),
        [_product(product, strings) for product in row.products],
        [_product(product, strings) for product in row.reported],
        strings.all(row.reasons),
        strings.all(row.unknown_probes),
        strings.all(row.notes),
        strings.all(row.protected_by),
        [[strings.one(fact.topic), strings.one(fact.text)] for fact in row.facts],
        strings.all(
            (
                row.observation_digest,
                source.time if source else "",
                source.transport if source else "",
                source.catalog if source else "",
                f"{HOSTS}/{file_name(row.host)}.jsonl" if source else "",
                source.digest if source else "",
            )
        ),
        tables.plan(plan) if plan is not None else 0,
        done.deed(row, ledger.deeds.get(row.host), plan),
    ]


def _product(product: ProductRow, strings: _Strings) -> list[t.Any]:
    return [
        *strings.all((product.id, product.family, product.state, product.version)),
        strings.all(product.evidence),
    ]


def _json(value: object) -> str:
    """JSON that is nothing but data inside a script element."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
