# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalog: what we know about the vendor's products, as data, read and checked once per process."""

from __future__ import annotations

import dataclasses
import functools
import re
import typing as t
from collections.abc import Mapping
from pathlib import Path

from . import canonical, catalog_check, catalog_form, catalog_services, kinds, literals, paths, signals, signals_posix
from .catalog_form import Mistake
from .catalog_services import Services
from .signals import Confidence, Danger, Platform, Signal

DIRECTORY: t.Final = Path(__file__).parents[2] / "catalog"  # the one that comes with the collection

Family = t.Literal["endpoint", "agent", "server", "console", "mail", "proxy", "consumer", "tool", "engine", "unknown"]
Rule = t.Literal["us_bis", "us_federal_bod1701", "us_far", "au_pspf_002_2025"]
InScope = t.Literal["in", "out", "owner"]
Strategy = t.Literal["package", "msi", "manual"]
# Why a product is only reported -> the same in words.
REPORT_ONLY: t.Final = {
    "portable": "a portable tool, not installed",
    "engine": "the engine inside another vendor's product",
    "successor": "a successor that is not the vendor's",
    "open_source": "open-source software of the vendor",
    "device": "an appliance or a development kit",
}
Guard = t.Literal["mail_path", "proxy_path", "server"]
ResidueKind = t.Literal["path", "registry", "user_registry", "group", "user", "chain"]
NeverKind = t.Literal["path", "registry", "name", "code"]

LITERAL_KEYS: t.Final[Mapping[str, tuple[str, ...]]] = {
    "linux": (
        *("packages", "units", "init_scripts", "exe_dirs", "paths", "trees", "setup_files", "users", "groups"),
        *("modules", "chains", "trust", "line_files", "line_texts", "images"),
    ),
    "windows": (
        *("uninstall", "product_codes", "services", "drivers", "processes", "paths"),
        *("registry_roots", "registry_values", "user_registry_roots", "hives"),
        *("minifilters", "class_filters", "network", "certificates", "tasks", "firewall_rules", "extensions", "appx"),
        "reinstall",
    ),
    "macos": ("paths", "exe_dirs", "users", "groups", "receipts", "launchd", "extensions", "kexts", "profiles"),
}

# Keys whose literals a host looks for anywhere in a text: one that holds another finds nothing more.
_SUBSTRINGS: t.Final = frozenset(
    {
        *("uninstall", "services", "drivers", "minifilters", "class_filters", "network", "certificates", "tasks"),
        *("firewall_rules", "extensions", "appx", "reinstall", "line_texts", "images", "receipts", "launchd", "kexts"),
        *("processes", "profiles", "hives"),
    }
)


class CatalogError(Exception):
    """The catalog cannot be used. The text lists every mistake of every file, one a line.

    Attributes:
        mistakes: the same as data.
    """

    def __init__(self, mistakes: list[Mistake]) -> None:
        self.mistakes: t.Final = tuple(mistakes)
        number = len(mistakes)
        head = f"the catalog has {number} mistake{'s' if number != 1 else ''}:"
        super().__init__("\n".join([head, *(f"  {mistake}" for mistake in mistakes)]))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Removal:
    """How a product goes.

    Attributes:
        order: lower goes first.
        strategy: `package` (the package manager), `msi`, `manual` (a step for a person).
        companions: ids of products that go before this one.
        stop_timeout: seconds that stopping its service may take; None where nothing is known.
        guarded: what the host may lose with it; such a product goes on explicit opt-in only.
    """

    order: int
    strategy: Strategy
    companions: tuple[str, ...] = ()
    stop_timeout: int | None = None
    guarded: tuple[Guard, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Secret:
    """A secret the removal may need: its name and form, never a value."""

    name: str
    used_for: str
    format: t.Literal["plain", "utf16le_hex", "unknown"]
    confidence: Confidence
    sources: tuple[str, ...]
    note: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Residue:
    """What a product may leave.

    Attributes:
        kind: what `target` is: a path (last part may hold `*`), a registry key below HKLM or below each user's hive, a
            group, a user, or a chain of iptables and ip6tables as `table/chain`.
        target: its name.
        danger: `dangerous` when a driver, filter, hook or proxy line may be live.
        purge: may we remove it.
        when: `unshared` only when no other product of the vendor is left, `always` when this product is gone.
        confidence: the mark of the fact.
        sources: keys of the entry's sources.
        note: prose.
    """

    kind: ResidueKind
    target: str
    danger: Danger
    purge: bool
    when: t.Literal["unshared", "always"]
    confidence: Confidence
    sources: tuple[str, ...]
    note: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class NeverTouch:
    """What no step may touch, and why: a path, a registry key below HKLM, a name (driver, unit ...), or an MSI code.

    Attributes:
        store: the path is where quarantined objects lie; a plan asks whether there are any.
        besides: names of files in a store that are no such objects (`*` for any text).
    """

    kind: NeverKind
    target: str
    why: str
    confidence: Confidence
    sources: tuple[str, ...]
    store: bool = False
    besides: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """One product on one platform (docs/formats.md, section 1).

    Attributes:
        generic: the vendor's net: judged last, over records no other entry accepts.
        report_only: a key of REPORT_ONLY for what is reported, never removed, and makes no host `present`; else empty.
        require_path: other software bears its names, too: a package, unit or account counts only beside a path of it.
        scope: rule -> in, out or owner.
        sources: key -> citation.
    """

    id: str
    platform: Platform
    name: str
    family: Family
    description: str
    generic: bool
    scope: Mapping[Rule, InScope]
    signals: tuple[Signal, ...]
    removal: Removal
    secrets: tuple[Secret, ...]
    residue: tuple[Residue, ...]
    never_touch: tuple[NeverTouch, ...]
    sources: Mapping[str, str]
    report_only: str = ""
    require_path: bool = False

    def owns(self, path: str) -> bool:
        """Does the path belong to this product: one of its directories or paths, or something below one?

        For the children of a vendor's tree, which the generic entry would otherwise take for an unknown product.
        """
        below = paths.windows_below if self.platform == "windows" else paths.posix_below
        return any(below(path, own) for own in self.own_paths)

    @functools.cached_property
    def own_paths(self) -> tuple[str, ...]:
        """Its directories and paths, as far as they have no wildcard."""
        own = [signal.path for signal in self.signals if isinstance(signal, signals.PathSignal)]
        own += [
            b for signal in self.signals if isinstance(signal, signals_posix.LinuxProcessSignal) for b in signal.below
        ]
        own += [residue.target for residue in self.residue if residue.kind == "path"]
        return tuple(path for path in own if "*" not in path)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Catalog:
    """All entries, by platform and id.

    Attributes:
        digest: SHA-256 over the canonical JSON of all data.
        scanners: name of a program -> whose malware scanner it is.
        not_scanners: name of a program that watches files for another reason -> which.
        patterns: the named pieces of patterns.yml, compiled to be found whatever the case.
        services: what products leave in services of a host, and how it is taken out.
    """

    entries: tuple[Entry, ...]
    digest: str
    scanners: Mapping[str, str] = dataclasses.field(default_factory=dict)
    not_scanners: Mapping[str, str] = dataclasses.field(default_factory=dict)
    patterns: Mapping[str, re.Pattern[str]] = dataclasses.field(default_factory=dict)
    services: Services = dataclasses.field(default_factory=Services)

    def for_platform(self, platform: str) -> tuple[Entry, ...]:
        """The entries of a platform, generic ones last; none for a platform nobody here knows."""
        own = [entry for entry in self.entries if entry.platform == platform]
        return tuple(sorted(own, key=lambda entry: (entry.generic, entry.id)))

    def entry(self, platform: str, id: str) -> Entry:
        """One entry.

        Raises:
            KeyError: there is none.
        """
        for entry in self.entries:
            if (entry.platform, entry.id) == (platform, id):
                return entry
        raise KeyError(f"{platform}/{id}")

    def owner(self, platform: str, path: str) -> Entry | None:
        """The first entry, generic ones left out, whose path this is (see `Entry.owns`)."""
        return next((e for e in self.for_platform(platform) if not e.generic and e.owns(path)), None)

    def literals(self, platform: str) -> dict[str, list[str]]:
        """What a scan hands to a host of the platform (docs/formats.md, section 2): all keys, sorted, nothing twice.

        Raises:
            KeyError: a platform nobody here knows.
        """
        found: dict[str, set[str]] = {key: set() for key in LITERAL_KEYS[platform]}
        for entry in self.for_platform(platform):
            for signal in entry.signals:
                for key, items in signal.literals().items():
                    found[key].update(items)
        for key in found.keys() & _SUBSTRINGS:
            found[key] = set(literals.reduced(found[key]))
        # A directory stands before those that hold it, so that the first one a process lies below is the closest.
        return {key: sorted(items, reverse=key == "exe_dirs") for key, items in found.items()}


def load(directory: Path = DIRECTORY) -> Catalog:
    """Read and check a catalog.

    Args:
        directory: the folder that holds `products/<platform>/<id>.yml`.

    Returns:
        The catalog, all expressions compiled.

    Raises:
        CatalogError: something is wrong in it; all mistakes of all files are listed.
    """
    products = directory / "products"
    patterns, mistakes = _patterns(directory)
    data: dict[str, t.Any] = {}
    files = sorted(products.glob("*/*"))
    if not files:
        raise CatalogError(
            [Mistake(str(products), "", "there is no entry", "give the folder that holds products/<platform>/<id>.yml")]
        )
    for path in files:
        name = path.relative_to(directory).as_posix()
        if path.name.startswith("."):
            continue
        if path.suffix != ".yml" or path.parent.name not in LITERAL_KEYS:
            remedy = f"name it products/<platform>/<id>.yml, platform one of: {', '.join(LITERAL_KEYS)}"
            mistakes.append(Mistake(name, "", "this is no place for an entry", remedy))
            continue
        try:
            text = path.read_bytes()
        except OSError as exc:
            mistakes.append(Mistake(name, "", f"cannot be read: {exc.strerror}", "let the user who runs this read it"))
            continue
        content, mistake = catalog_form.parse(name, text)
        found = [mistake] if mistake else catalog_form.expand(name, content, patterns)
        found = found or catalog_check.check(name, (path.parent.name, path.stem), content)
        mistakes += found
        if not found:
            data[name] = content
    mistakes += catalog_check.check_all(data, [path.relative_to(directory).as_posix() for path in files])
    programs, found = _programs(directory)
    mistakes += found
    lines = {file for item in data.values() for signal in item["signals"] for file in signal.get("files", ())}
    services, found = catalog_services.read(directory, lines)
    mistakes += found
    if mistakes:
        raise CatalogError(mistakes)
    entries = sorted((_entry(item) for item in data.values()), key=lambda entry: (entry.platform, entry.id))
    compiled = {name: re.compile(regex, re.IGNORECASE) for name, regex in patterns.items()}
    whole = [*sorted(data.values(), key=lambda item: (item["platform"], item["id"])), programs, services.data]
    return Catalog(
        entries=tuple(entries), digest=canonical.digest(whole), patterns=compiled, services=services, **programs
    )


def _patterns(directory: Path) -> tuple[dict[str, str], list[Mistake]]:
    """The named pieces of expressions in `patterns.yml`; none where the catalog has no such file."""
    path = directory / "patterns.yml"
    if not path.exists():
        return {}, []
    content, mistake = catalog_form.parse(path.name, path.read_bytes())
    if mistake:
        return {}, [mistake]
    mistakes = catalog_check.check_patterns(path.name, content)
    return ({} if mistakes else {name: item["regex"] for name, item in content["patterns"].items()}), mistakes


def _programs(directory: Path) -> tuple[dict[str, dict[str, str]], list[Mistake]]:
    """The programs of `protection.yml`; none where the catalog has no such file."""
    path = directory / "protection.yml"
    if not path.exists():
        return {}, []
    content, mistake = catalog_form.parse(path.name, path.read_bytes())
    if mistake:
        return {}, [mistake]
    mistakes = catalog_check.check_programs(path.name, content)
    return ({} if mistakes else {key: dict(value) for key, value in content.items()}), mistakes


def _entry(data: Mapping[str, t.Any]) -> Entry:
    """An entry from its checked data."""
    removal = data["removal"]
    return Entry(
        id=data["id"],
        platform=data["platform"],
        name=data["name"],
        family=data["family"],
        description=data["description"].strip(),
        generic=data.get("generic", False),
        scope=dict(data["scope"]),
        signals=tuple(kinds.build(data["platform"], item) for item in data["signals"]),
        removal=Removal(
            order=removal["order"],
            strategy=removal["strategy"],
            companions=tuple(removal.get("companions", ())),
            stop_timeout=removal.get("stop_timeout"),
            guarded=tuple(removal.get("guarded", ())),
        ),
        secrets=tuple(
            Secret(name=item["name"], used_for=item["used_for"], format=item["format"], **_founded(item))
            for item in data.get("secrets", ())
        ),
        residue=tuple(
            Residue(
                **_target(item, t.get_args(ResidueKind)),
                danger=item["class"],
                purge=item["purge"],
                when=item["when"],
                **_founded(item),
            )
            for item in data.get("residue", ())
        ),
        never_touch=tuple(
            NeverTouch(
                **_target(item, t.get_args(NeverKind)),
                why=item["why"],
                confidence=Confidence(item["confidence"]),
                sources=tuple(item["source"]),
                store="store" in item,
                besides=tuple(item.get("store", {}).get("besides", ())),
            )
            for item in data.get("never_touch", ())
        ),
        sources=dict(data["sources"]),
        report_only=data.get("report_only", ""),
        require_path=data.get("require_path", False),
    )


def _founded(item: Mapping[str, t.Any]) -> dict[str, t.Any]:
    return {
        "confidence": Confidence(item["confidence"]),
        "sources": tuple(item["source"]),
        "note": item.get("note", ""),
    }


def _target(item: Mapping[str, t.Any], kinds: tuple[str, ...]) -> dict[str, t.Any]:
    kind = next(kind for kind in kinds if kind in item)
    return {"kind": kind, "target": item[kind]}
