# SPDX-License-Identifier: GPL-3.0-or-later
"""The scan's judgement over a list of software: one row in, one judgement out. Pure.

A list knows less than a host: often a name is all there is. What a host would have to show and a list cannot (a folder,
a publisher) is therefore asked for only where the list has it; a judgement that rests on a name alone says so.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t
import unicodedata
from collections.abc import Iterable

from . import literals
from .catalog import Catalog, Entry
from .signals import Confidence, PathSignal, Record, Signal
from .signals_posix import LinuxProcessSignal
from .signals_windows import ServiceSignal, UninstallSignal, WindowsProcessSignal

Word = t.Literal["kaspersky", "report_only", "no"]
KINDS: t.Final = ("program", "service", "driver", "package", "process")
_REMEMBERED: t.Final = 50_000  # judgements; a list of a whole fleet has some thousand different rows
BY_NAME: t.Final = Confidence.I  # what a name alone is worth


@dataclasses.dataclass(frozen=True)
class Software:
    """One row of a list; everything but the name may be empty.

    Attributes:
        kind: one of KINDS; empty where the list does not say.
        name, publisher, version: as the list has them.
        key: name of the uninstall key, such as an MSI product code.
        path: where it is installed, or its program.
    """

    name: str
    kind: str = ""
    publisher: str = ""
    version: str = ""
    key: str = ""
    path: str = ""


@dataclasses.dataclass(frozen=True)
class Judgement:
    """What a row is.

    Attributes:
        judgement: `kaspersky`, `report_only` or `no`.
        product: id of the catalog entry; `kaspersky` when it is the vendor's and the catalog has no entry for it.
        family: of that entry; `unknown` when the catalog has none.
        confidence: the mark of the best signal; empty for `no`.
        why: in words.
    """

    judgement: Word
    product: str = ""
    family: str = ""
    confidence: str = ""
    why: str = ""


@dataclasses.dataclass(frozen=True)
class _Hit:
    entry: Entry
    signal: Signal
    text: str
    named: bool = False  # by its name alone


_NOTHING: t.Final = "nothing in it is the vendor's"
# Keys of the literals that are looked for anywhere in a text, and those that are whole names.
_SUBSTRINGS: t.Final = frozenset({"uninstall", "services", "drivers", "processes", "appx", "receipts", "exe_dirs"})
_EXACT: t.Final = frozenset({"product_codes", "packages", "units", "init_scripts"})
# Zero-width and direction marks that a list may carry along from a document.
_INVISIBLE: t.Final = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]")
# A word in both scripts was typed on two keyboards: the Cyrillic letters that look Latin are meant to be.
_TWINS: t.Final = str.maketrans(
    "\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0423"
    "\u0425\u0430\u0435\u043e\u0440\u0441\u0443\u0445",
    "ABEKMHOPCTYXaeopcyx",
)
_MIXED: t.Final = re.compile("[A-Za-z].*[\u0400-\u04ff]|[\u0400-\u04ff].*[A-Za-z]")
# As people write the name by hand; only where a row has no better witness.
_MISSPELT: t.Final = re.compile(r"\b[kc]a[rs]?s?pers?k[iy]j?\b", re.IGNORECASE)
# Software of others that mentions the vendor: what it is for stands beside the name.
_MENTION: t.Final = re.compile(
    r"\b(?:splunk|zabbix|nagios|icinga|check_?mk|prtg|wazuh|sigma|elastic|kibana|grafana|prometheus|exporter|qradar|"
    r"arcsight|azure sentinel|logstash|fluentd|graylog|osquery|ansible|puppet|chef|saltstack|terraform|jamf|connector|"
    r"remover|uninstaller|removal tool for|chess|wallpaper|theme|ad[d-]?-?on for|app for|integration (?:for|with)|"
    r"content pack|management pack|alternative to)\b",
    re.IGNORECASE,
)
_NOBODY: t.Final = re.compile(
    r"\W*(?:unknown|unbekannt|inconnu|desconocido|sconosciuto|desconhecido|nieznany|onbekend|okänd|bilinmiyor|"
    r"неизвестно|неизвестный|невідомо|不明|未知|알 수 없음|"
    r"n/?a|none|null|nil|not available|not specified|undefined)?\W*",
    re.IGNORECASE,
)
_GUID: t.Final = re.compile(r"\{?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\}?", re.IGNORECASE)
_NEVRA: t.Final = re.compile(r"(?P<name>[A-Za-z0-9+._-]+?)[-_](?:\d+:)?\d[\w.+~:-]*(?:\.(?:rpm|deb))?\Z")


class Identifier:
    """Judges rows by one catalog; made once for a list."""

    def __init__(self, catalog: Catalog) -> None:
        self._entries = [e for p in ("windows", "linux", "macos") for e in catalog.for_platform(p)]
        self._vendor = catalog.patterns["vendor"]
        self._brand = catalog.patterns["brand"]
        self._titles = {_title(e.name): e for e in reversed(self._entries) if not e.generic}
        asked = [catalog.literals(platform) for platform in ("windows", "linux", "macos")]
        substrings = {text for one in asked for key, texts in one.items() if key in _SUBSTRINGS for text in texts}
        self._needles = tuple(literals.reduced(text.lower() for text in substrings))
        exact = (text for one in asked for key, texts in one.items() if key in _EXACT for text in texts)
        files = (re.split(r"[\\/]", path)[-1] for one in asked for path in one["paths"])
        self._names = frozenset(text.lower() for text in (*exact, *files))
        codes = [n.target for e in self._entries for n in e.never_touch if n.kind == "code"]
        self._blocked = frozenset(codes)
        self._judged: dict[tuple[str, ...], Judgement] = {}

    def judge(self, row: Software) -> Judgement:
        """The judgement of one row.

        Raises:
            ValueError: its kind is none of KINDS.
        """
        if row.kind and row.kind not in KINDS:
            raise ValueError(f"there is no kind {row.kind!r}; there are {', '.join(KINDS)}")
        given = (row.kind, *(_plain(text) for text in (row.name, row.publisher, row.key, row.path)))
        # Lists say the same of many hosts; the version tells nothing of what it is.
        if (found := self._judged.get(given)) is None:
            if len(self._judged) >= _REMEMBERED:
                self._judged.clear()
            kind, name, publisher, key, path = given
            plain = Software(name, kind, _said_publisher(publisher), "", _code(key), path)
            found = self._judged[given] = self._judge(plain)
        return found

    def _judge(self, row: Software) -> Judgement:
        if row.key.upper() in self._blocked:
            return Judgement("no", why="this code is listed as another vendor's product")
        if not self._may_be(row):
            return Judgement("no", why=_NOTHING)
        hits = list(self._hits(row))
        if chosen := _best(hits):
            rivals = sorted({hit.entry.id for hit in hits if hit.named and not hit.entry.generic})
            own = next((hit for hit in hits if hit.entry.id == row.name.lower().removesuffix(".exe")), None)
            if own is not None and chosen.named:
                chosen = own
            elif chosen.named and len(rivals) > 1:
                return self._unknown(BY_NAME, f"by its name alone, which is that of {', '.join(rivals)}")
            return self._found(chosen, row)
        return self._by_words(row)

    def _may_be(self, row: Software) -> bool:
        """Could anything fit? As a host filters by literals, before the signals are asked; most rows end here."""
        whole = "\n".join((f"{row.name}.exe", row.publisher, row.key, row.path)).lower()
        if any(needle in whole for needle in self._needles) or self._brand.search(whole) or _FOLDER.search(row.path):
            return True
        names = {row.name.lower(), row.key.lower(), *map(str.lower, _package_names(row.name))}
        names |= {f"{row.name.lower()}.service", f"{row.name.lower()}.exe"}
        return not names.isdisjoint(self._names) or _MISSPELT.search(row.name) is not None

    def _found(self, hit: _Hit, row: Software) -> Judgement:
        entry = hit.entry
        word = _word(entry)
        mark = BY_NAME if hit.named else hit.signal.confidence
        if not mark.can_prove:
            word = "report_only"
        if hit.named and not row.publisher and not row.path and self._bare(row.name):
            why = "a bare name that a third party's connector bears as well: its publisher or path would tell"
            return Judgement("report_only", entry.id, entry.family, str(mark), why)
        return Judgement(word, entry.id, entry.family, str(mark), hit.text)

    def _bare(self, name: str) -> bool:
        return self._brand.sub("", name, count=1).strip(" yiй™®") == ""

    def _hits(self, row: Software) -> Iterable[_Hit]:
        """What the catalog's signals say, those of the row's own kind first."""
        kinds = [row.kind or "program"]
        if not row.kind:
            kinds += ["package", "service", "driver", "process"]
        for kind in kinds:
            for entry in self._entries:
                for signal in entry.signals:
                    if (hit := self._hit(kind, entry, signal, row)) is not None:
                        yield hit

    def _hit(self, kind: str, entry: Entry, signal: Signal, row: Software) -> _Hit | None:
        if signal.shows == "mention":
            return None
        strangers = entry.require_path and not self._ours(row)
        for probe, record in _records(kind, signal, row):
            if probe in signal.probes and signal.accepts(record):
                if strangers:
                    return None
                return _Hit(entry, signal, f"{entry.name}: {_said(signal, row)}")
        if strangers or not self._by_name(kind, signal, row):
            return None
        return _Hit(entry, signal, f"{entry.name}: by its name alone", named=True)

    def _by_name(self, kind: str, signal: Signal, row: Software) -> bool:
        """Does the name fit where the list does not have what a host would have to show besides?"""
        if isinstance(signal, UninstallSignal) and kind in ("program", "service", "process"):
            if signal.name is None:
                return False
            # A product that is only reported has no publisher to ask for; others need one where the list has it.
            if signal.publisher is not None and (row.publisher or row.path or not self._brand.search(row.name)):
                return False
            if signal.publisher is not None and _MENTION.search(row.name):
                return False
            refused = signal.not_name is not None and signal.not_name.search(row.name)
            return bool(signal.name.search(row.name)) and not refused
        if row.path:
            return False
        program = row.name.lower()
        programs = {program, f"{program}.exe"}  # some lists leave the ending out
        if isinstance(signal, ServiceSignal) and kind == "process":
            return not programs.isdisjoint(name.lower() for name in signal.binary)
        if isinstance(signal, ServiceSignal) and signal.kind == kind:
            # A name that only its folder gives to one of several products is the vendor's all the same.
            return bool(signal.name is not None and signal.name.search(row.name))
        if isinstance(signal, WindowsProcessSignal) and kind == "process":
            return not programs.isdisjoint({name.lower() for name in signal.name} - _SHARED)
        if isinstance(signal, PathSignal) and kind == "process" and signal.type == "executable":
            return re.split(r"[\\/]", signal.path)[-1].lower() in programs
        if isinstance(signal, LinuxProcessSignal) and kind == "process":
            return row.name in signal.name
        return False

    def _ours(self, row: Software) -> bool:
        return bool(row.publisher and self._vendor.search(row.publisher)) or bool(_FOLDER.search(row.path))

    def _by_words(self, row: Software) -> Judgement:
        """No signal fits: the vendor's name in publisher, path or name still counts; it is never dropped."""
        if row.publisher and self._vendor.search(row.publisher):
            return self._unknown(Confidence.R2, f"published by {row.publisher}")
        owner = next((e for e in self._entries if row.path and not e.generic and e.owns(row.path)), None)
        if owner is not None:
            return Judgement(_word(owner), owner.id, owner.family, str(BY_NAME), f"{owner.name}: lies in {row.path}")
        if self._ours(row):
            return self._unknown(Confidence.V, f"lies in the vendor's folder: {row.path}")
        brand = self._brand.search(row.name)
        misspelt = None if brand else _MISSPELT.search(row.name)
        if not brand and not misspelt:
            return Judgement("no", why=_NOTHING)
        if row.publisher:
            alone = self._judge(dataclasses.replace(row, publisher="", path=""))
            if row.path or alone.judgement != "kaspersky" or alone.product == "kaspersky":
                return Judgement("no", why=f"mentions the vendor; published by {row.publisher}")
            why = f"the name is that of {alone.product}, the publisher is {row.publisher}: repackaged, or a connector"
            return Judgement("report_only", alone.product, alone.family, alone.confidence, why)
        if _MENTION.search(row.name) or (row.kind == "package" and not re.search(r"[A-Z ]", row.name)):
            return Judgement("no", why="software of others that mentions the vendor")
        if (entry := self._titles.get(_title(row.name))) is not None:
            return Judgement(_word(entry), entry.id, entry.family, str(BY_NAME), f"{entry.name}: by its name alone")
        if self._bare(row.name):
            if row.path:
                return Judgement("no", why=f"a bare name outside the vendor's folders: {row.path}")
            why = "a bare name that a third party's connector bears as well: its publisher or path would tell"
            return Judgement("report_only", "kaspersky", "unknown", str(BY_NAME), why)
        if row.path and re.search(r"[\\/]", row.path):
            return self._unknown(BY_NAME, f"by its name alone; it lies in {row.path}")
        return self._unknown(BY_NAME, "by its name alone" + (", which is misspelt" if misspelt else ""))

    @staticmethod
    def _unknown(mark: Confidence, why: str) -> Judgement:
        return Judgement("kaspersky", "kaspersky", "unknown", str(mark), f"the vendor's, of no known family: {why}")


# The vendor's own folders; a clone of its public repositories has `KasperskyLab` in its path.
_FOLDER: t.Final = re.compile(
    r"[\\/](?:kaspersky lab|kasper~\d)(?:[\\/]|\Z)|^/(?:etc/|var/)?opt/kaspersky(?:/|\Z)", re.IGNORECASE
)
# Names of programs that others have as well.
_SHARED: t.Final = frozenset({"node.exe", "agent.exe", "up2date.exe", "vssbridge64.exe"})


def _plain(text: str) -> str:
    """A text as people read it: compatibility forms folded, marks that nobody sees left out, blanks made one."""
    folded = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text))
    return " ".join(word.translate(_TWINS) if _MIXED.search(word) else word for word in folded.split())


def _said_publisher(publisher: str) -> str:
    """The publisher; nothing where a list has a word for not knowing it."""
    return "" if _NOBODY.fullmatch(publisher) else publisher


def _code(key: str) -> str:
    """An uninstall key; a product code in it, with or without braces, as the code alone."""
    found = _GUID.search(key)
    return f"{{{found[1].upper()}}}" if found else key


def _word(entry: Entry) -> Word:
    return "report_only" if entry.report_only else "kaspersky"


def _title(name: str) -> str:
    """A product's name without versions and small words, to be compared."""
    words = re.sub(r"\b\d+(?:\.\d+)*\b|\bfor\b|[^\w\s]", " ", name.lower())
    return " ".join(words.split())


def _said(signal: Signal, row: Software) -> str:
    """What fits, in words."""
    if signal.kind == "product_code":
        return f"the code {row.key.upper()} is its own"
    if signal.kind == "uninstall":
        asked = signal.publisher if isinstance(signal, UninstallSignal) else None
        by = f"published by {row.publisher}" if asked is not None and row.publisher else f"lies in {row.path}"
        return f"{row.name}, {by}"
    return f"{signal.kind.replace('_', ' ')} {row.name}" + (f", {row.path}" if row.path else "")


def _records(kind: str, signal: Signal, row: Software) -> Iterable[tuple[str, Record]]:
    """The row as hosts would answer: probe and record."""
    name, path = row.name, row.path
    if kind in ("program", "service", "driver", "process") and signal.kind in ("uninstall", "product_code"):
        if kind in ("program", "service"):
            place = path if not path or path.endswith("\\") else path + "\\"
            shown = {"name": name, "publisher": row.publisher, "version": row.version, "key": row.key}
            yield "uninstall.machine", {**shown, "location": place, "uninstall": path}
    elif kind in ("service", "driver") and signal.kind == kind:
        yield f"{kind}s", {"name": name, "path": path, "image": path, "state": "stopped"}
    elif kind == "service" and signal.kind in ("unit", "init_script"):
        unit = name if re.search(r"\.(?:service|socket|timer|target)\Z", name) else f"{name}.service"
        yield signal.probes[0], {"name": unit if signal.kind == "unit" else name, "path": path}
    elif kind == "package" and signal.kind == "package":
        for probe in signal.probes:
            for candidate in _package_names(name):
                yield probe, {"name": candidate, "version": row.version, "state": "installed"}
    elif kind == "process" and signal.kind == "process":
        exe = path or name
        yield "processes", {"name": re.split(r"[\\/]", name)[-1], "path": exe, "exe": exe, "root": "same"}
    elif kind == "program" and signal.kind in ("receipt", "appx"):
        yield signal.probes[0], {"name": row.key or name, "publisher": row.publisher}


def _package_names(name: str) -> Iterable[str]:
    """A package's name, also without architecture and version: `kesl:amd64`, `kesl-12.1-1.x86_64`, `kesl_12.1.deb`."""
    plain = name.partition(":")[0] if not name[:1].isdigit() else name
    yield plain
    if match := _NEVRA.match(name):
        yield match["name"]


def _best(hits: Iterable[_Hit]) -> _Hit | None:
    """A named product before the vendor's net, a record before a name, a well-founded mark before a weak one."""
    return max(
        hits,
        key=lambda hit: (
            hit.signal.confidence.can_prove,
            not hit.named,
            not hit.entry.generic,
            hit.signal.confidence.weight,
            hit.entry.id,
        ),
        default=None,
    )
