# SPDX-License-Identifier: GPL-3.0-or-later
"""Is this Kaspersky, which product, in which state, and what could nobody see? One pure function."""

from __future__ import annotations

import dataclasses
import typing as t
from collections.abc import Iterable, Mapping, Sequence

from . import context, findings, paths
from .catalog import REPORT_ONLY, Catalog, Entry
from .context import NOBODY_LOOKED, Context
from .findings import Finding, Weight
from .observation import CUT, Observation, Probe
from .row import TOPICS, Fact, ProductRow, Row
from .signals import PathSignal, Record
from .signals_posix import LinuxProcessSignal, SetupSectionSignal, TreeSignal
from .verdict import Verdict

EVIDENCE_LIMIT: t.Final = 40  # pieces of evidence a product lists; all of them stay in the observation
State = t.Literal["running", "installed", "broken", "leftover"]


@dataclasses.dataclass(frozen=True)
class Product:
    """A product found on a host.

    Attributes:
        entry: its catalog entry.
        state: `running`, `installed` (there, not running), `broken` (there, and not whole) or `leftover`.
        version: as the host's own list says; empty when nothing says it.
        findings: the evidence, strongest first.
        dangerous: a leftover of which a driver, filter or hook may be live.
    """

    entry: Entry
    state: State
    version: str
    findings: tuple[Finding, ...]
    dangerous: bool = False

    @property
    def works(self) -> bool:
        """Is it more than a leftover?"""
        return self.state != "leftover"


@dataclasses.dataclass(frozen=True)
class Assessment:
    """What is to be said of a host.

    Attributes:
        verdict: `present`, `unknown`, `leftovers` or `absent`.
        products: found products, working ones first.
        unknown: probe -> why it could not tell; those that the verdict depends on.
        reasons: why this verdict, most telling first.
        notes: what a reader should know besides.
        reported: what is reported and never removed; it does not count for the verdict.
        context: protection and facts.
        unread: probe -> why it could not tell; those that only give context.
    """

    verdict: Verdict
    products: tuple[Product, ...]
    unknown: Mapping[str, str]
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    reported: tuple[Product, ...] = ()
    context: Context = NOBODY_LOOKED
    unread: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def live(self) -> bool:
        """Is a remain live, such as a driver, a hook, a line in a mail server or a trust anchor?"""
        return any(finding.dangerous for product in self.products for finding in product.findings)

    def row(self, host: str, observation: Observation) -> Row:
        """The host's row."""
        return Row(
            host=host,
            verdict=self.verdict,
            platform=observation.platform,
            products=tuple(map(_product_row, self.products)),
            reported=tuple(map(_product_row, self.reported)),
            reasons=self.reasons,
            unknown_probes=(*self.unknown, *self.unread),
            notes=(*self.notes, *(f"could not tell: {probe}: {reason}" for probe, reason in self.unread.items())),
            protection=self.context.protection,
            protected_by=self.context.protected_by,
            facts=self.context.facts,
            observation_digest=observation.digest(),
        )


def _product_row(product: Product) -> ProductRow:
    return ProductRow(
        id=product.entry.id,
        family=product.entry.family,
        state=product.state,
        version=product.version,
        evidence=tuple(f.text for f in product.findings[:EVIDENCE_LIMIT]),
    )


def assess(observation: Observation, catalog: Catalog) -> Assessment:
    """Judge one host.

    Args:
        observation: what it answered; hostile input is expected.
        catalog: what we know.

    Returns:
        The assessment. Precedence: present > unknown > leftovers > absent. `leftovers` needs an answer from every probe
        that could show a working product, `absent` one from every probe that any signal needs.
    """
    entries = catalog.for_platform(observation.platform)
    if not entries:
        reason = f"the catalog knows no product for the platform {observation.platform!r}: inspect this host by hand"
        return Assessment(Verdict.UNKNOWN, (), {"host": reason}, (reason,), ())
    found, notes, facts = _find(observation, entries)
    products: list[Product] = []
    for entry in entries:  # named ones first
        mine = found.get(entry.id, [])
        if entry.generic:
            mine = [f for f in mine if not _shared(f, products)]
        if entry.require_path and not any(map(findings.placed, mine)):
            notes += [f"{entry.id}: other software bears this name, too: {f.text}" for f in mine]
            continue
        if (product := _product(entry, mine, observation)) is not None:
            products.append(product)
    products.sort(key=lambda p: (not p.works, p.entry.generic, p.entry.id))
    reported = [p for p in products if p.entry.report_only]
    products = [p for p in products if not p.entry.report_only]
    for product in products:
        if product.dangerous and not product.works:
            notes.append(f"{product.entry.id}: a leftover that may be live: remove it with care, never by hand")
    for product in reported:
        words = REPORT_ONLY[product.entry.report_only]
        notes.append(f"reported, never removed: {product.entry.name} ({words}): {product.findings[0].text}")
    signals = [s for e in entries if not e.report_only for s in e.signals if s.shows != "mention"]
    needed = {probe for signal in signals for probe in signal.probes}
    telling = {probe for signal in signals if findings.capable(signal) for probe in signal.probes}
    # A probe without any answer means a cut answer, whatever the probe is for: what else is missing, nobody knows.
    needed |= {name for name, p in observation.probes.items() if p.status == "unknown" and p.reason == CUT}
    unknown = {name: p.reason for name, p in observation.probes.items() if p.status == "unknown" and name in needed}
    unknown.update(dict.fromkeys(sorted(needed - set(observation.probes)), "the host did not answer this probe"))
    verdict = _verdict(products, unknown, telling)
    around = context.read(observation, catalog)
    told = sorted({*around.facts, *facts}, key=lambda fact: (TOPICS.index(fact.topic), fact.text))
    return Assessment(
        verdict=verdict,
        products=tuple(products),
        unknown=unknown,
        reasons=tuple(_reasons(verdict, products, unknown)),
        notes=tuple(notes),
        reported=tuple(reported),
        context=dataclasses.replace(around, facts=tuple(told)),
        unread=context.unread(observation, needed),
    )


def _verdict(products: Sequence[Product], unknown: Mapping[str, str], telling: set[str]) -> Verdict:
    if any(p.works for p in products):
        return Verdict.PRESENT
    if telling & set(unknown):
        return Verdict.UNKNOWN
    if products:
        return Verdict.LEFTOVERS
    return Verdict.UNKNOWN if unknown else Verdict.ABSENT


def _reasons(verdict: Verdict, products: Sequence[Product], unknown: Mapping[str, str]) -> Iterable[str]:
    doubts = [f"{probe}: {reason}" for probe, reason in unknown.items()]
    if verdict is Verdict.UNKNOWN:
        yield from doubts
    for product in products:
        strongest = product.findings[0].text if product.findings else product.entry.name
        yield f"{product.entry.id} {product.state}: {strongest}"
    if verdict is not Verdict.UNKNOWN:
        yield from (f"could not tell: {doubt}" for doubt in doubts)
    if verdict is Verdict.ABSENT:
        yield "every probe answered, nothing found"


def _find(observation: Observation, entries: Sequence[Entry]) -> tuple[dict[str, list[Finding]], list[str], list[Fact]]:
    """All findings by entry id, notes, and facts.

    Named entries come first; the vendor's net judges only what none of them claimed.
    """
    found: dict[str, list[Finding]] = {}
    notes: dict[str, None] = {}
    facts: dict[Fact, None] = {}
    claimed: set[tuple[str, int]] = set()
    named = [e for e in entries if not e.generic]
    for entry in (*named, *(e for e in entries if e.generic)):
        mine: set[tuple[str, int]] = set()
        for signal in entry.signals:
            for probe in signal.probes:
                for index, record in enumerate(observation.probes.get(probe, _NOTHING).records):
                    place = (probe, index)
                    if not signal.accepts(record):
                        continue
                    if entry.generic and (place in claimed or _covered(signal, record, named)):
                        continue
                    if (finding := findings.judge(signal, probe, record)) is None:
                        continue
                    if signal.topic and finding.weight is not Weight.HINT and findings.telling(finding):
                        facts[Fact(signal.topic, finding.text)] = None
                    if finding.weight is Weight.MENTION:
                        continue
                    if finding.weight is Weight.ELSEWHERE:
                        notes[f"in a container or chroot on this host: {finding.text}; audit that one by itself"] = None
                        mine.add(place)
                    elif finding.weight is Weight.HINT:
                        notes[f"{entry.id}: weak hint, proves nothing: {finding.text}"] = None
                    else:
                        mine.add(place)
                        found.setdefault(entry.id, []).append(finding)
        claimed |= mine
    return found, list(notes), list(facts)


_NOTHING: t.Final = Probe("absent")


def _covered(signal: object, record: Record, named: Sequence[Entry]) -> bool:
    """Is the child of a vendor's folder one that a named entry watches anyway?"""
    if not isinstance(signal, TreeSignal):
        return False
    child = f"{record.get('path', '').rstrip('/')}/{record.get('child', '')}"
    for entry in named:
        for other in entry.signals:
            if isinstance(other, PathSignal) and paths.posix_below(other.path, child):
                return True
            if isinstance(other, SetupSectionSignal) and paths.posix_below(other.file, child):
                return True
            if isinstance(other, LinuxProcessSignal) and any(paths.posix_below(b, child) for b in other.below):
                return True
    return False


def _shared(finding: Finding, named: Sequence[Product]) -> bool:
    """Does the finding tell nothing of its own while a named product is there?

    All products share the vendor's folders and keys. Drivers, filters and certificates carry no mark of their product:
    beside one that works they are its own, beside mere leftovers they stay a finding.
    """
    if finding.weight is not Weight.RESIDUE or not named:
        return False
    if any(p.works for p in named) and finding.signal.kind not in findings.PRODUCT_KINDS:
        return True
    return not finding.dangerous and finding.signal.kind in ("path", "registry")


_ORDER: t.Final = {
    w: n for n, w in enumerate((Weight.REGISTERED, Weight.BROKEN, Weight.LIVE, Weight.FILES, Weight.RESIDUE))
}


def _product(entry: Entry, found: Sequence[Finding], observation: Observation) -> Product | None:
    if not found:
        return None
    ranked = sorted(found, key=lambda f: _ORDER[f.weight])
    unique = tuple({f.text: f for f in reversed(ranked)}.values())[::-1]
    weights = {f.weight for f in found}
    state = _state(entry, weights, observation)
    return Product(
        entry=entry,
        state=state,
        version=_version(unique),
        findings=unique,
        dangerous=any(f.dangerous for f in found),
    )


def _state(entry: Entry, weights: set[Weight], observation: Observation) -> State:
    if Weight.BROKEN in weights:
        return "broken"
    if Weight.LIVE in weights:
        return "running"
    if Weight.REGISTERED in weights:
        return "broken" if _program_is_gone(entry, weights, observation) else "installed"
    if Weight.FILES in weights:
        # Windows: what no list of programs knows cannot be removed through one. Linux: a tree unpacked by hand.
        return "broken" if observation.platform == "windows" and not entry.generic else "installed"
    return "leftover"


def _program_is_gone(entry: Entry, weights: set[Weight], observation: Observation) -> bool:
    """Registered, and yet none of the programs we would see is there, by probes that did answer."""
    if Weight.FILES in weights or entry.generic:  # which programs a product without an entry has, nobody knows
        return False
    watching = {p for s in entry.signals if s.kind in ("path", "service") and findings.capable(s) for p in s.probes}
    return bool(watching) and all(observation.probes.get(p, _NOTHING).status != "unknown" for p in watching)


def _version(found: Sequence[Finding]) -> str:
    """From the host's list of programs, else from the vendor's own records."""
    for finding in found:
        for key in ("version", "value.ProductVersion", "value.ProdVersion", "value.Version"):
            if finding.record.get(key):
                return finding.record[key]
    return ""
