# SPDX-License-Identifier: GPL-3.0-or-later
"""What a product is known by: one frozen class per kind of signal, each able to say which records it accepts.

A signal also names what a host needs to find those records (its literals, docs/formats.md section 2), so that nothing
about a kind stands in two places. The kinds of one system are in `signals_posix` and `signals_windows`.
"""

from __future__ import annotations

import dataclasses
import enum
import re
import typing as t
from collections.abc import Iterable, Mapping

from .literals import derive

Record = Mapping[str, str]
Platform = t.Literal["linux", "windows", "macos"]
Shows = t.Literal["product", "live", "residue", "mention"]
Danger = t.Literal["harmless", "dangerous"]
PathType = t.Literal["dir", "file", "executable", "socket", "any"]


class Confidence(enum.StrEnum):
    """How well a fact is founded (catalog/README.md has the long form)."""

    V = "V"
    P = "P"
    R2 = "R2"
    R1 = "R1"
    T = "T"
    I = "I"  # noqa: E741 - the mark's own name
    X = "X"
    MEMORY = "memory"

    @property
    def weight(self) -> int:
        """0 to 90, higher is better founded; the gaps are room for marks to come."""
        return _WEIGHTS[self]

    @property
    def can_prove(self) -> bool:
        """May a signal of this mark alone make a positive finding? Hostile lists and bare memory never do."""
        return self not in (Confidence.X, Confidence.MEMORY)


_WEIGHTS: t.Final[Mapping[Confidence, int]] = {
    Confidence.V: 90,
    Confidence.P: 80,
    Confidence.R2: 70,
    Confidence.R1: 50,
    Confidence.T: 50,
    Confidence.I: 30,
    Confidence.X: 10,
    Confidence.MEMORY: 0,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Signal:
    """What all signals have.

    Attributes:
        id: unique in its entry.
        shows: `product` (registered, or its program is there), `live` (runs now), `residue` (may be left over),
            `mention` (names the product, is no part of it).
        danger: only with `residue`: `dangerous` when a driver, filter, hook or proxy line may be live.
        confidence: the mark of the fact.
        sources: keys of the entry's sources, at least one.
        note: prose, may be empty.
        topic: what is found is a fact of the row as well, under this heading; empty for none.
    """

    kind: t.ClassVar[str]
    # Keys of the catalog that hold a regular expression.
    regexes: t.ClassVar[tuple[str, ...]] = ()
    # Those of them a host filters by; all others are judged by the brain only.
    filtered: t.ClassVar[tuple[str, ...]] = ()

    id: str
    shows: Shows
    danger: Danger
    confidence: Confidence
    sources: tuple[str, ...]
    note: str
    topic: str = ""

    @property
    def probes(self) -> tuple[str, ...]:
        """Ids of the probes that answer this signal; all are needed before it counts as not found."""
        raise NotImplementedError

    def accepts(self, record: Record) -> bool:
        """Does this record of one of `probes` carry the signal? A missing key is an empty value."""
        raise NotImplementedError

    def literals(self) -> Mapping[str, Iterable[str]]:
        """What a host needs to find the records: literal key -> items."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True, kw_only=True)
class PathSignal(Signal):
    """A path that is there.

    Attributes:
        path: as in the catalog; the last part may hold `*`.
        type: what it must be; for a residue a link to nothing counts as well.
        leaf: what the last part of the found path must match, for patterns that catch too much.
        platform: whose paths these are.
    """

    kind = "path"
    regexes = ("leaf",)
    path: str
    type: PathType
    platform: Platform
    leaf: re.Pattern[str] | None = None

    @property
    def probes(self) -> tuple[str, ...]:
        return ("paths",)

    def accepts(self, record: Record) -> bool:
        asked = record.get("pattern") or record.get("path", "")
        if asked != self.path and not (self.platform == "windows" and asked.lower() == self.path.lower()):
            return False
        if self.leaf is not None:
            # Linux: `path` is the name found, `real` where its links lead. Windows: `path` is the name asked for.
            found = record.get("real" if self.platform == "windows" else "path", "")
            if not self.leaf.search(re.split(r"[\\/]", found)[-1]):
                return False
        return self._is_type(record)

    def _is_type(self, record: Record) -> bool:
        found = record.get("type", "")
        if self.type == "any" or (found in ("dangling", "link") and self.shows == "residue"):
            return True
        if self.type == "executable":
            return found == "file" and (self.platform == "windows" or record.get("executable", "") == "yes")
        return found == self.type

    def literals(self) -> Mapping[str, Iterable[str]]:
        return {"paths": (self.path,)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class FieldSignal(Signal):
    """A record of one probe in which one of some fields matches; each kind says which.

    Attributes:
        name: on each of `fields`.
    """

    regexes: t.ClassVar[tuple[str, ...]] = ("name",)
    filtered = ("name",)
    probe: t.ClassVar[str]
    fields: t.ClassVar[tuple[str, ...]] = ("name",)
    literal: t.ClassVar[str] = ""  # the literal key its substrings go to, where it is not the probe's name
    name: re.Pattern[str]

    @property
    def probes(self) -> tuple[str, ...]:
        return (self.probe,)

    def accepts(self, record: Record) -> bool:
        return any(self.name.search(record.get(field, "").strip()) for field in self.fields)

    def literals(self) -> Mapping[str, Iterable[str]]:
        return {self.literal or self.probe: derive(self.name.pattern)}
