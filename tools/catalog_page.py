#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the reference pages of the catalog, docs/catalog.md and one page for each platform, or say which are stale.

``tools/catalog_page.py`` writes them, ``tools/catalog_page.py --check`` writes nothing and exits 1 when one differs.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
import sys
import typing as t
from collections.abc import Iterable, Mapping
from pathlib import Path

from ansible_collections.evict.kaspersky.plugins.plugin_utils import catalog as catalogs
from ansible_collections.evict.kaspersky.plugins.plugin_utils.catalog import Catalog, Entry, NeverTouch, Residue
from ansible_collections.evict.kaspersky.plugins.plugin_utils.signals import Signal

DOCS: t.Final = Path(__file__).resolve().parent.parent / "docs"
NAMES: t.Final[Mapping[str, str]] = {"linux": "Linux", "windows": "Windows", "macos": "macOS"}
RULES: t.Final[Mapping[str, str]] = {
    "us_bis": "US Commerce",
    "us_federal_bod1701": "BOD 17-01",
    "us_far": "FAR",
    "au_pspf_002_2025": "PSPF 002-2025",
}
SHOWS: t.Final = ("product", "live", "residue", "mention")
_COMMON: t.Final = {field.name for field in dataclasses.fields(Signal)} | {"platform"}
_MAIN: t.Final = ("name", "path", "below", "code", "text")  # shown without their key when they stand first
_HEAD: t.Final = (
    "<!-- SPDX-License-Identifier: GPL-3.0-or-later -->\n"
    "<!-- Made by `make docs` from catalog/products; change it there. -->\n"
)


def code(value: str) -> str:
    """The text as a code span that survives in a table."""
    fence = "``" if "`" in value else "`"
    pad = " " if value.startswith("`") or value.endswith("`") else ""
    return f"{fence}{pad}{value}{pad}{fence}".replace("|", "\\|")


def plain(value: str) -> str:
    """Prose in a table."""
    return re.sub(r"([|<*_])", r"\\\1", " ".join(value.split()))


def _values(value: object) -> str:
    if isinstance(value, re.Pattern):
        return code(str(value.pattern))
    if isinstance(value, tuple | list):
        return ", ".join(code(str(item)) for item in value)
    return code(str(value))


def looked_for(signal: Signal) -> str:
    """What the signal looks for, in the words of its catalog keys."""
    parts: list[str] = []
    for field in dataclasses.fields(signal):
        value = getattr(signal, field.name)
        if field.name in _COMMON or value in (None, (), "", False):
            continue
        shown = "yes" if value is True else _values(value)
        parts.append(shown if not parts and field.name in _MAIN else f"{field.name.replace('_', ' ')} {shown}")
    return "; ".join(parts)


def _signal_rows(entry: Entry) -> Iterable[str]:
    """One row for all signals that differ in what they look for only."""
    grouped: dict[tuple[str, ...], list[str]] = {}
    for signal in sorted(entry.signals, key=lambda s: SHOWS.index(s.shows)):
        shows = signal.shows + (", dangerous" if signal.danger == "dangerous" else "")
        topic = f"topic {signal.topic}" if signal.topic and signal.topic != "mention" else ""
        words = "; ".join(part for part in (topic, plain(signal.note)) if part)
        key = (shows, signal.kind.replace("_", " "), str(signal.confidence), ", ".join(signal.sources), words)
        grouped.setdefault(key, []).append(looked_for(signal))
    for (shows, kind, mark, sources, words), items in grouped.items():
        yield f"| {shows} | {kind} | {'<br>'.join(items)} | {mark} | {sources} | {words} |"


def _target(item: Residue | NeverTouch) -> str:
    text = code(item.target) if item.kind != "name" else plain(item.target)
    return text if item.kind in ("path", "name") else f"{item.kind.replace('_', ' ')} {text}"


def _residue(entry: Entry) -> Iterable[str]:
    groups: dict[tuple[bool, str, str], list[str]] = {}
    for item in entry.residue:
        groups.setdefault((item.purge, item.when, item.danger), []).append(_target(item))
    for (purge, when, danger), items in sorted(groups.items(), reverse=True):
        what = "May be removed" if purge else "Stays for a person"
        if when == "unshared":
            what += ", once no other product of the vendor is left"
        if danger == "dangerous":
            what += ", dangerous"
        yield f"* {what}: {', '.join(items)}"


def section(entry: Entry) -> list[str]:
    """The part of a page about one product."""
    scope = ", ".join(f"{RULES[rule]} {entry.scope[rule]}" for rule in entry.scope)
    removal = entry.removal
    how = [
        f"order {removal.order}",
        {"manual": "by hand", "msi": "MSI", "package": "package manager"}[removal.strategy],
    ]
    if removal.companions:
        how.append("after " + ", ".join(f"[{other}](#{other})" for other in removal.companions))
    if removal.stop_timeout:
        how.append(f"stopping may take {removal.stop_timeout} s")
    if removal.guarded:
        how.append(f"on explicit opt-in only ({', '.join(guard.replace('_', ' ') for guard in removal.guarded)})")
    lines = [
        f"## {entry.id}",
        "",
        f"**{plain(entry.name)}**, {entry.family}.",
        "",
        " ".join(entry.description.split()),
        "",
    ]
    if entry.report_only:
        why = catalogs.REPORT_ONLY[entry.report_only]
        lines.append(f"* **Reported only**: {why}; it never makes a host `present`.")
    if entry.require_path:
        lines.append("* Its name alone proves nothing: it counts only beside a path of the product.")
    lines += [f"* Scope: {scope}", f"* Removal: {', '.join(how)}"]
    if entry.secrets:
        names = ", ".join(f"{code(secret.name)} ({plain(secret.used_for)})" for secret in entry.secrets)
        lines.append(f"* Secrets it may ask for: {names}")
    lines += _residue(entry)
    lines += [
        f"* **Never touched**: {_target(item)}: {plain(item.why)} ({item.confidence})" for item in entry.never_touch
    ]
    lines += ["", "| Shows | Kind | Looked for | Mark | Sources | Note |", "| --- | --- | --- | --- | --- | --- |"]
    lines += [*_signal_rows(entry), "", "Sources:", ""]
    lines += [f"* {key}: {plain(text)}" for key, text in sorted(entry.sources.items())]
    return [*lines, ""]


def platform_page(catalog: Catalog, platform: str) -> str:
    """The page of one platform, its products in the order of their names."""
    entries = sorted(catalog.for_platform(platform), key=lambda entry: entry.id)
    lines = [
        _HEAD,
        f"# The catalog for {NAMES[platform]}",
        "",
        "[All platforms, marks and words](catalog.md). Expressions match anywhere in the value, whatever the case.",
        "",
    ]
    for entry in entries:
        lines += section(entry)
    return "\n".join(lines).rstrip("\n") + "\n"


def overview(catalog: Catalog) -> str:
    """The page that lists every product of every platform."""
    lines = [
        _HEAD,
        "# The catalog",
        "",
        "Every product the collection looks for. How an entry is written, and what the marks rest on, is in",
        "[catalog/README.md](../catalog/README.md). No list of the vendor's products is complete, so on each",
        "platform a net (`kaspersky`) takes what no entry takes. Scope says what the project reads out of a rule",
        "and is no legal advice: `in`, `out`, or `owner` (outside of the rule's words, or the owner's decision).",
        "What goes first has the lower order. A product that is reported only is never removed and never makes a",
        "host `present`.",
        "",
    ]
    for platform, name in NAMES.items():
        entries = sorted(catalog.for_platform(platform), key=lambda entry: (entry.removal.order, entry.id))
        if not entries:
            continue
        page = f"catalog-{platform}.md"
        lines += [
            f"## {name}",
            "",
            f"{len(entries)} entries, {sum(len(entry.signals) for entry in entries)} signals.",
            "",
            f"| Order | Product | Name | Family | {' | '.join(RULES.values())} | Removal |",
            f"| --- | --- | --- | --- | {' | '.join('---' for _ in RULES)} | --- |",
        ]
        for entry in entries:
            way = (
                f"reported only ({entry.report_only.replace('_', ' ')})"
                if entry.report_only
                else entry.removal.strategy
            )
            if entry.removal.guarded and not entry.report_only:
                way += ", opt-in"
            cells = [
                str(entry.removal.order),
                f"[{entry.id}]({page}#{entry.id})",
                plain(entry.name),
                entry.family,
                *(entry.scope[rule] for rule in entry.scope),
                way,
            ]
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines).rstrip("\n") + "\n"


def pages(catalog: Catalog) -> dict[str, str]:
    """All pages: file name -> text."""
    found = {"catalog.md": overview(catalog)}
    for platform in NAMES:
        if catalog.for_platform(platform):
            found[f"catalog-{platform}.md"] = platform_page(catalog, platform)
    return found


def stale(catalog: Catalog, directory: Path = DOCS) -> list[str]:
    """Names of the pages in ``directory`` that are missing or differ from the catalog."""
    return [
        name
        for name, text in pages(catalog).items()
        if not (directory / name).exists() or (directory / name).read_text(encoding="utf-8") != text
    ]


def main() -> int:
    """The command; its exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a page is stale")
    catalog = catalogs.load()
    if parser.parse_args().check:
        found = stale(catalog)
        for name in found:
            print(f"docs/{name} differs from the catalog: run `make docs`", file=sys.stderr)
        return 1 if found else 0
    for name, text in pages(catalog).items():
        (DOCS / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
