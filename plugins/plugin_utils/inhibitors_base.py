# SPDX-License-Identifier: GPL-3.0-or-later
"""What all inhibitors share: their form, what a plan would do on a host, and words for what could not be told."""

from __future__ import annotations

import dataclasses
import typing as t
from collections.abc import Callable, Iterable, Iterator, Mapping

from . import filling
from .assess import Product
from .case import Case
from .provider import Provider, ProviderPlatform
from .signals import Record, Signal
from .verdict import Verdict
from .words import of as words_of

LIMIT: t.Final = 8  # diagnoses of one inhibitor that are spelled out
LONGEST: t.Final = 300  # characters of one diagnosis
LINUX: t.Final = ("linux",)
WINDOWS: t.Final = ("windows",)
BOTH: t.Final = ("linux", "windows")
# When an inhibitor applies: whatever the plan does; only where a product goes; only where a cover is put in place.
When = t.Literal["acts", "removes", "covers"]


@dataclasses.dataclass(frozen=True)
class Met:
    """What a check saw on this host, and the remedy where it is another than the inhibitor's own."""

    diagnosis: str
    remedy: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inhibitor:
    """What may stand in the way of a plan.

    Attributes:
        id: stable; waivers name it.
        title: what is the matter, for a reader.
        platforms: where it is looked for; empty for every system.
        when: for which plans.
        looks_at: probes and settings it is judged by, in words of the documentation.
        remedy: what a person can do.
        waivable: may a waiver lift it?
        why: why it may be waived, or why not.
        check: what was seen on this host; nothing when it is not in the way.
    """

    id: str
    title: str
    platforms: tuple[str, ...]
    when: When
    looks_at: str
    remedy: str
    waivable: bool
    why: str
    check: Callable[[Case], Iterable[Met]]

    def applies(self, case: Case) -> bool:
        """Could it stand in the way of what a plan would do on this host?"""
        if self.platforms and case.platform not in self.platforms:
            return False
        return {"acts": acts, "removes": removes, "covers": covers}[self.when](case)


# --- what a plan would do


def removed(case: Case) -> tuple[Product, ...]:
    """The working products: those that would be removed."""
    return tuple(p for p in case.assessment.products if p.works)


def removes(case: Case) -> bool:
    """Would a product be removed?"""
    return acts(case) and bool(removed(case))


def covers(case: Case) -> bool:
    """Would a replacement be put in place or made active?"""
    return acts(case) and (bool(removed(case)) or case.assessment.context.protection != "active")


def acts(case: Case) -> bool:
    """Would a plan do anything at all? Nothing is planned for the unknown, nor for the absent that are protected, or
    that are to have no protection."""
    if case.assessment.verdict is Verdict.UNKNOWN:
        return False
    nothing = case.replacement is not None and case.replacement.kind == "none"
    return bool(case.assessment.products) or (case.assessment.context.protection != "active" and not nothing)


@dataclasses.dataclass(frozen=True)
class Put:
    """A provider that would be installed.

    Attributes:
        role: `replacement` or `fallback`.
        part: what it is on the host's platform.
        method: how it comes; empty where nothing has to come.
    """

    role: filling.Role
    provider: Provider
    part: ProviderPlatform
    method: str

    def __str__(self) -> str:
        return f"the {self.role} {self.provider.id}"


def chosen(case: Case) -> tuple[tuple[filling.Role, Provider], ...]:
    """The providers of the settings; nothing falls back from `none`."""
    both: tuple[tuple[filling.Role, Provider | None], ...] = (
        ("replacement", case.replacement),
        ("fallback", None if case.replacement is not None and case.replacement.kind == "none" else case.fallback),
    )
    return tuple((role, provider) for role, provider in both if provider is not None)


def puts(case: Case) -> tuple[Put, ...]:
    """What would be installed: replacement and fallback, but for what is there already, is nothing, or is not made for
    the platform."""
    return tuple(
        Put(role, provider, part, filling.source(case.policy, part, role)[1])
        for role, provider in chosen(case)
        if provider.kind not in ("none", "existing") and (part := provider.platforms.get(case.platform)) is not None
    )


# --- reading what a host said


def doubt(case: Case, probe: str, what: str) -> Iterator[Met]:
    """Unknown is never clean: a probe that could not tell is in the way itself."""
    answer = case.probe(probe)
    if answer.status == "unknown":
        yield Met(
            f"could not tell {what}: {answer.reason or 'the host gave no reason'}",
            f"make the probe `{probe}` answer (the reason says what hindered it), then plan again",
        )


def records(case: Case, probe: str, **wanted: str) -> Iterator[Record]:
    """The records of a probe that have these values; also those of one that could not tell all."""
    for record in case.probe(probe).records:
        if all(record.get(key) == value for key, value in wanted.items()):
            yield record


def number(text: str | None) -> int | None:
    """A whole number a host told; None when it is none."""
    text = (text or "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None


def detail(record: Record, key: str = "detail") -> str:
    """`: detail`, or nothing."""
    return f": {record[key]}" if record.get(key) else ""


@dataclasses.dataclass(frozen=True)
class Told:
    """A record that a signal with a topic accepts."""

    entry: str
    signal: Signal
    record: Record
    text: str


def told(case: Case, topic: str) -> Iterator[Told]:
    """What the catalog's signals of a topic find on the host, each record once."""
    seen: set[tuple[str, int]] = set()
    for entry in case.catalog.for_platform(case.platform):
        for signal in entry.signals:
            if signal.topic != topic:
                continue
            for probe in signal.probes:
                for index, record in enumerate(case.probe(probe).records):
                    if (probe, index) not in seen and signal.accepts(record):
                        seen.add((probe, index))
                        yield Told(entry.id, signal, record, words_of(signal.kind, probe, record))


def topic_probes(case: Case, topic: str) -> tuple[str, ...]:
    """The probes that the signals of a topic need, in a fixed order."""
    own = (s for entry in case.catalog.for_platform(case.platform) for s in entry.signals if s.topic == topic)
    return tuple(sorted({probe for signal in own for probe in signal.probes}))


def branded(case: Case, *texts: str | None) -> bool:
    """Does one of the texts bear the vendor's name?"""
    brand = case.catalog.patterns.get("brand")
    return brand is not None and any(text and brand.search(text) for text in texts)


def clip(text: str) -> str:
    """A text of bounded length."""
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def joined(parts: Iterable[str]) -> str:
    """Diagnoses as one, each once, bounded."""
    unique = list(dict.fromkeys(clip(part) for part in parts))
    more = [f"and {len(unique) - LIMIT} more"] if len(unique) > LIMIT else []
    return "; ".join([*unique[:LIMIT], *more])


def named(items: Mapping[str, str] | Iterable[str]) -> str:
    """Names in order, between commas."""
    return ", ".join(sorted(items))
