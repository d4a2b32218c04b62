# SPDX-License-Identifier: GPL-3.0-or-later
"""What products left in services of the host that are not theirs: lines of configurations, certificates. Pure.

Nothing of it is changed but by opt-in (`evict_edit`), and then only lines and files that were seen, each as it was
seen. What cannot be changed surely stays for a person, with the reason; so do the other lines of that service then,
for they belong together.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import re
import typing as t
from collections.abc import Iterator

from . import words
from .case import Case
from .catalog_services import Service, Store
from .findings import Finding, Weight
from .plan import Manual, Step, Value, finishing
from .removal import in_order
from .signals import Confidence, Signal
from .signals_posix import LineSignal, TrustAnchorSignal
from .steps import ALWAYS, Condition

_CUT: t.Final = 296  # bytes; a host sends no more than 300 of a line
_SURE: t.Final = (Confidence.V, Confidence.P, Confidence.R2)
_UNCONFIRMED: t.Final = "; unconfirmed: look at it"
_TOGETHER: t.Final = "another line of {name} can be changed by a person only, and they belong together"


@dataclasses.dataclass(frozen=True)
class _Line:
    """A seen line of one file.

    Attributes:
        said: the line in words, as findings and facts have it.
        signals: all that accept it and could prove something.
        becomes: `-` when it goes, `=` and a line when that takes its place; empty when a person has to.
        why: why a person has to.
        sure: the facts are all well founded.
    """

    file: str
    text: str
    service: Service
    owner: str
    said: str
    signals: tuple[LineSignal, ...]
    becomes: str = ""
    why: str = ""
    sure: bool = True


def steps(case: Case) -> tuple[Step, ...]:
    """The steps that the policy allows: one for each file, one for each trust store."""
    going = " ".join(product.entry.id for product in in_order(case.assessment.products))
    condition = Condition("product_absent", going) if going else ALWAYS
    found = [*_line_steps(case), *_store_steps(case)]
    return tuple(dataclasses.replace(step, condition=condition) for step in found)


def taken(case: Case) -> frozenset[str]:
    """What the steps take care of, in the words of the findings."""
    lines = {line.said for line in _editable(case)}
    return frozenset(lines | {anchor.said for _store, found in _anchors(case) for anchor in found})


def removable(case: Case) -> Iterator[str]:
    """What was seen and a step may change, for a reader."""
    yield from (f"{line.owner}: {line.said}" for line in _editable(case))
    yield from (f"{anchor.owner}: {anchor.said}" for _store, found in _anchors(case) for anchor in found)


def manual(finding: Finding, owner: str, case: Case) -> Manual | None:
    """What a person does about a finding of this sort; None for one of another sort.

    Args:
        finding: which no step takes care of.
        owner: id of its product.
        case: the host.
    """
    if finding.signal.kind == "trust_anchor":
        return _manual_anchor(finding, owner, case)
    line = next((line for line in _lines(case) if line.said == finding.text), None)
    if line is None or finding.weight is not Weight.RESIDUE:
        return None
    service = line.service
    if service.by_hand:
        return Manual(finding.text, *service.by_hand)
    by_hand = (
        f"copy {line.file}, take the line out, check it ({', '.join(service.checks)}) and reload "
        f"{', '.join(service.units)}"
    )
    if service.edit in case.policy.edit:
        return Manual(finding.text, line.why or _TOGETHER.format(name=service.name), by_hand)
    why = f"it belongs to {service.name}, and `evict_edit` does not name `{service.edit}`"
    return Manual(finding.text, why, f"add `{service.edit}` to `evict_edit`, or do it by hand: {by_hand}")


# --- lines


def _lines(case: Case) -> tuple[_Line, ...]:
    """The lines that were seen in files of known services, in the order in which the host named them."""
    found: dict[tuple[str, str], _Line] = {}
    records = case.probe("lines").records
    if case.platform != "linux" or not records:
        return ()
    for product in case.assessment.products:
        signals = [s for s in product.entry.signals if isinstance(s, LineSignal) and _counts(s)]
        for record in records:
            mine = tuple(signal for signal in signals if signal.accepts(record))
            file, text = record.get("file", ""), record.get("text", "")
            service = next((s for s in case.catalog.services.services if _of(s, file)), None)
            if not mine or service is None:
                continue
            said = words.of(LineSignal.kind, "lines", record)
            line = found.setdefault((file, text), _Line(file, text, service, product.entry.id, said, ()))
            found[file, text] = dataclasses.replace(line, signals=(*line.signals, *mine))
    return tuple(_judged(line) for line in found.values())


def _counts(signal: Signal) -> bool:
    """Is what it shows a remain, by more than memory?"""
    return signal.shows == "residue" and signal.confidence.can_prove


def _of(service: Service, file: str) -> bool:
    return any(file.count("/") == p.count("/") and fnmatch.fnmatchcase(file, p) for p in service.files)


def _editable(case: Case) -> tuple[_Line, ...]:
    """The lines that the policy allows to be changed, and that can be; all of a service, or none."""
    allowed = [line for line in _lines(case) if line.service.edit in case.policy.edit]
    held = {line.service.name for line in allowed if not line.becomes}
    return tuple(line for line in allowed if line.service.name not in held)


def _judged(line: _Line) -> _Line:
    """What becomes of the line, or why a person has to see to it."""
    if line.service.by_hand:
        return dataclasses.replace(line, why=line.service.by_hand[0])
    if len(line.text.encode()) >= _CUT:
        return dataclasses.replace(line, why="it is too long to be seen whole")
    if not line.text.replace("\t", " ").isprintable() or "\ufffd" in line.text:
        return dataclasses.replace(line, why="it holds what is no plain text")
    if line.service.joins == "backslash" and line.text.endswith("\\"):
        return dataclasses.replace(line, why="its statement goes on in the next line")
    for form in line.service.forms:
        if (match := form.line.fullmatch(line.text)) is None:
            continue
        marks = (line.service.confidence, form.confidence, *(s.confidence for s in line.signals))
        if form.between is not None:
            becomes, why = _element(line, match, form.between, empty=form.empty)
        else:
            becomes, why = _whole(line, match.span("named") if "named" in form.line.groupindex else None)
        return dataclasses.replace(line, becomes=becomes, why=why, sure=all(mark in _SURE for mark in marks))
    return dataclasses.replace(line, why="it has no form that can be taken out surely")


def _tells(line: _Line, text: str) -> bool:
    """Would one of the signals know the product by this text?"""
    return any(signal.text.search(text.strip()) for signal in line.signals)


def _whole(line: _Line, span: tuple[int, int] | None) -> tuple[str, str]:
    if span is not None and _tells(line, line.text[: span[0]] + line.text[span[1] :]):
        return "", "the product is named in a part of it that is another's"
    return "-", ""


def _element(line: _Line, match: re.Match[str], between: re.Pattern[str], *, empty: bool) -> tuple[str, str]:
    """The line without the product's elements."""
    start, end = match.span("list")
    head, tail, inner = line.text[:start], line.text[end:], match["list"]
    if any(sign in inner for sign in "{}\"'"):
        return "", "its list holds groups or quotes, so that its elements cannot be told apart surely"
    parts: list[tuple[str, str]] = []  # each element behind what stands before it
    gap, at = "", 0
    for found in (*between.finditer(inner), None):
        parts.append((gap, inner[at : found.start() if found else len(inner)]))
        if found:
            gap, at = found.group(), found.end()
    indent = parts[1][0] if len(parts) > 1 and not parts[0][1] else ""
    elements = [(gap, element) for gap, element in parts if element]
    kept = [(gap, element) for gap, element in elements if not _tells(line, head + element + tail)]
    if _tells(line, head + tail) or len(kept) == len(elements):
        return "", "it cannot be told which of its elements is the product's"
    if not kept and not empty:
        return "", "nothing would be left of its list"
    left = "".join((indent if number == 0 else gap) + element for number, (gap, element) in enumerate(kept))
    return "=" + (head + left + tail).rstrip(), ""


def _line_steps(case: Case) -> Iterator[Step]:
    by_file: dict[str, list[_Line]] = {}
    for line in _editable(case):
        by_file.setdefault(line.file, []).append(line)
    for file, lines in sorted(by_file.items()):
        service = lines[0].service
        shown = "; ".join(
            f"`{line.text}`" + (f" becomes `{line.becomes[1:]}`" if line.becomes != "-" else " goes") for line in lines
        )
        args: dict[str, Value] = {
            "path": file,
            "lines": tuple(line.text for line in lines),
            "becomes": tuple(line.becomes for line in lines),
            "joined": service.joins,
            "checks": service.checks,
            "units": service.units,
        }
        doubt = "" if all(line.sure for line in lines) else _UNCONFIRMED
        why, owner = f"{service.name}: {shown}{doubt}", lines[0].owner
        yield finishing(f"finish.edit.{file}", "edit_lines", file, why, args, owner=owner)


# --- the trust store


@dataclasses.dataclass(frozen=True)
class _Anchor:
    """A certificate that was seen; of a product that works, too, though a scan takes it for a part of that."""

    path: str
    mark: str
    said: str
    owner: str


def _seen_anchors(case: Case) -> Iterator[_Anchor]:
    records = case.probe("trust").records
    if case.platform != "linux" or not case.assessment.products or not records:
        return
    for entry in case.catalog.for_platform(case.platform):
        for signal in entry.signals:
            for record in records if isinstance(signal, TrustAnchorSignal) and _counts(signal) else ():
                if signal.accepts(record):
                    said = words.of(signal.kind, "trust", record)
                    yield _Anchor(record.get("path", ""), record.get("match", ""), said, entry.id)


def _store_of(path: str, case: Case) -> Store | None:
    return next((s for s in case.catalog.services.stores if path.startswith(f"{s.folder}/")), None)


def _anchors(case: Case) -> Iterator[tuple[Store, list[_Anchor]]]:
    """Each store with the certificates that go; what was made of them goes along with the first."""
    if "trust_store" not in case.policy.edit:
        return
    stores: dict[str, tuple[Store, list[_Anchor]]] = {}
    made: list[_Anchor] = []
    for anchor in _seen_anchors(case):
        if store := _store_of(anchor.path, case):
            stores.setdefault(store.folder, (store, []))[1].append(anchor)
        elif anchor.path in {
            name for store in case.catalog.services.stores for name in (store.bundle, *store.known_as)
        }:
            made.append(anchor)
    for number, (store, found) in enumerate(stores.values()):
        yield store, [*found, *(made if number == 0 else ())]


def _store_steps(case: Case) -> Iterator[Step]:
    for store, found in _anchors(case):
        files = sorted({anchor.path for anchor in found if _store_of(anchor.path, case)})
        marks = sorted({anchor.mark for anchor in found})
        args: dict[str, Value] = {
            "files": tuple(files),
            "marks": tuple(marks),
            "refresh": store.refresh,
            "bundle": store.bundle,
        }
        reason = f"certificates that name the vendor are trusted: {', '.join(files)}"
        doubt = "" if store.confidence in _SURE else _UNCONFIRMED
        args["hashed"] = store.hashed
        name = f"finish.trust.{store.folder}"
        yield finishing(name, "remove_anchors", store.folder, reason + doubt, args, owner=found[0].owner)


def _manual_anchor(finding: Finding, owner: str, case: Case) -> Manual | None:
    if case.platform != "linux" or finding.weight is not Weight.RESIDUE:
        return None
    what = finding.text if finding.dangerous else f"{owner}: {finding.text}"
    by_hand = "take its file out of the folder of added certificates and run update-ca-certificates or update-ca-trust"
    if "trust_store" not in case.policy.edit:
        why = "a trust store is changed by opt-in only, and `evict_edit` does not name `trust_store`"
        return Manual(what, why, f"add `trust_store` to `evict_edit`, or once the product is gone {by_hand}")
    return Manual(
        what, "it lies in no folder of added certificates that the catalog knows", f"see what brings it; {by_hand}"
    )
