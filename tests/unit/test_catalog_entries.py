# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalog of the repository: every entry has its fixtures, finds what they hold, and leaves look-alikes alone."""

from __future__ import annotations

import fnmatch
import json
import re
import time
import typing as t

import pytest
import yaml

from ansible_collections.evict.kaspersky.plugins.plugin_utils import catalog as catalogs
from ansible_collections.evict.kaspersky.plugins.plugin_utils import catalog_form, kinds, literals, paths
from ansible_collections.evict.kaspersky.plugins.plugin_utils.catalog import Catalog, Entry
from ansible_collections.evict.kaspersky.plugins.plugin_utils.signals import Confidence, Signal
from tests import tree

FIXTURES = tree.ROOT / "tests" / "fixtures" / "catalog"
LOADED = catalogs.load(tree.ROOT / "catalog")
PLATFORMS = sorted({entry.platform for entry in LOADED.entries})
NOT_RECORD = ("signal", "probe", "why")
Item = dict[str, t.Any]


def fixtures(platform: str, name: str) -> dict[str, list[Item]]:
    found: dict[str, list[Item]] = yaml.safe_load((FIXTURES / platform / f"{name}.yml").read_text(encoding="utf-8"))
    return found


def record(item: Item) -> dict[str, str]:
    """The record of a fixture; everything in a record is text."""
    found = {key: value for key, value in item.items() if key not in NOT_RECORD}
    assert all(isinstance(value, str) for value in found.values()), item
    return found


def signal_of(entry: Entry, item: Item) -> Signal:
    return next(signal for signal in entry.signals if signal.id == item["signal"])


MATCHES = [
    pytest.param(entry, item, id=f"{entry.platform}/{entry.id}-{item['signal']}-{number}")
    for entry in LOADED.entries
    for number, item in enumerate(fixtures(entry.platform, entry.id)["match"])
]
OTHERS = [
    pytest.param((entry,), item, id=f"{entry.platform}/{entry.id}-{number}")
    for entry in LOADED.entries
    for number, item in enumerate(fixtures(entry.platform, entry.id)["other"])
]
LOOK_ALIKES = [
    pytest.param(LOADED.for_platform(platform), item, id=f"{platform}-{number}")
    for platform in PLATFORMS
    for number, item in enumerate(fixtures(platform, "look-alikes")["other"])
]


def test_the_first_entries_are_there() -> None:
    assert {(e.platform, e.id) for e in LOADED.entries} >= {
        ("linux", "kesl"),
        ("linux", "kesl-gui"),
        ("linux", "klnagent64"),
        ("linux", "kaspersky"),
        ("windows", "kes"),
        ("windows", "klnagent"),
        ("windows", "kaspersky"),
    }


@pytest.mark.parametrize(("entry", "item"), MATCHES)
def test_signal_accepts_its_record(entry: Entry, item: Item) -> None:
    signal = signal_of(entry, item)
    assert item.get("probe", signal.probes[0]) in signal.probes
    assert signal.accepts(record(item))


@pytest.mark.parametrize(("entries", "item"), [*OTHERS, *LOOK_ALIKES])
def test_nothing_else_is_accepted(entries: tuple[Entry, ...], item: Item) -> None:
    known = {probe for entry in LOADED.entries for signal in entry.signals for probe in signal.probes}
    assert item["probe"] in known
    found = [
        (entry.id, signal.id)
        for entry in entries
        for signal in entry.signals
        if item["probe"] in signal.probes and signal.accepts(record(item))
    ]
    assert found == [], item["why"]


@pytest.mark.parametrize(("entry", "item"), MATCHES)
def test_a_program_is_one_product(entry: Entry, item: Item) -> None:
    """Patterns of names overlap; each name in the list of programs must be one named entry's."""
    signal = signal_of(entry, item)
    if signal.kind != "uninstall" or entry.generic or not signal.confidence.can_prove:
        return
    named = [other for other in LOADED.for_platform(entry.platform) if not other.generic]
    found = {e.id for e in named for s in e.signals if s.kind == "uninstall" and s.accepts(record(item))}
    assert found == {entry.id}


@pytest.mark.parametrize("entry", LOADED.entries, ids=lambda e: f"{e.platform}/{e.id}")
def test_every_signal_has_a_fixture_a_source_and_a_mark(entry: Entry) -> None:
    seen = {item["signal"] for item in fixtures(entry.platform, entry.id)["match"]}
    assert {signal.id for signal in entry.signals} == seen
    assert fixtures(entry.platform, entry.id)["other"], "what is not matched needs an example as well"
    facts: list[t.Any] = [*entry.signals, *entry.residue, *entry.never_touch, *entry.secrets]
    for fact in facts:
        assert fact.sources
        assert all(entry.sources[key] for key in fact.sources)
        assert fact.confidence in Confidence
    assert "Not matched" in entry.description
    assert set(entry.scope) == set(t.get_args(catalogs.Rule))


def test_no_fixture_lacks_its_entry() -> None:
    names = {(path.parent.name, path.stem) for path in FIXTURES.glob("*/*.yml") if path.stem != "look-alikes"}
    assert names == {(entry.platform, entry.id) for entry in LOADED.entries}


# Probes whose records a host keeps when a literal occurs in one of the fields: probe -> literal key, fields.
FIELDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "containers": ("images", ("name",)),
    "receipts": ("receipts", ("name",)),
    "launchd": ("launchd", ("name", "program")),
    "system_extensions": ("extensions", ("name",)),
    "kexts": ("kexts", ("name",)),
    "profiles": ("profiles", ("name", "display", "payload")),
    "minifilters": ("minifilters", ("name",)),
    "class_filters": ("class_filters", ("filter",)),
    "network": ("network", ("id", "name", "service")),
    "certificates": ("certificates", ("subject", "issuer")),
    "tasks": ("tasks", ("path", "command")),
    "firewall_rules": ("firewall_rules", ("id", "name", "program")),
    "extensions": ("extensions", ("id", "name", "path")),
    "appx": ("appx", ("name", "publisher")),
    "reinstall": ("reinstall", ("text",)),
}


def host_sends(asked: dict[str, list[str]], platform: str, probe: str, found: dict[str, str]) -> bool:
    """What a host does with the literals (docs/formats.md, sections 2 to 4), written down a second time."""

    def any_of(key: str, *texts: str) -> bool:
        return any(literal in text.lower() for literal in asked[key] for text in texts)

    def get(*names: str) -> list[str]:
        return [found.get(name, "") for name in names]

    name = found.get("name", "")
    if probe in FIELDS:
        key, fields = FIELDS[probe]
        return any_of(key, *get(*fields))
    if platform != "windows":
        kind = {
            "packages.dpkg": "packages",
            "packages.rpm": "packages",
            "units": "units",
            "init_scripts": "init_scripts",
        }
        if probe in kind:
            return name.partition(":")[0] in asked[kind[probe]]
        if probe == "accounts":
            return name in asked[f"{found['kind']}s"]
        if probe == "setup":
            return found["file"] in asked["setup_files"]
        if probe == "trees":
            return found["path"] in asked["trees"]
        if probe == "modules":
            return name.replace("-", "_") in [item.replace("-", "_") for item in asked["modules"]]
        if probe == "firewall":
            return found["chain"] in asked["chains"]
        if probe == "trust":
            return found["match"] in asked["trust"]
        if probe == "lines":
            place = any(fnmatch.fnmatchcase(found["file"], pattern) for pattern in asked["line_files"])
            return place and any_of("line_texts", found["text"])
        if probe == "processes":
            first = next((d for d in asked["exe_dirs"] if paths.posix_below(found["exe"], d)), "")
            return (first or found["dir"]) == found["dir"]  # the closest one, as the script takes it
        return (found.get("pattern") or found["path"]) in asked["paths"]
    if probe.startswith("uninstall"):
        shown = get("name", "publisher", "location", "uninstall", "key")
        return any_of("uninstall", *shown) or found.get("key", "").upper() in asked["product_codes"]
    if probe in ("services", "drivers"):
        return any_of(probe, *get("name", "image", "path"))
    if probe == "processes":
        return any_of("processes", *get("name", "path"))
    if probe.startswith("registry"):
        roots = asked["registry_roots" if probe == "registry.machine" else "user_registry_roots"]
        return any(paths.windows_below(found["root"], root) for root in roots)
    return found["path"] in asked["paths"]


@pytest.mark.parametrize(("entry", "item"), MATCHES)
def test_a_host_would_send_the_record(entry: Entry, item: Item) -> None:
    probe = item.get("probe", signal_of(entry, item).probes[0])
    assert host_sends(LOADED.literals(entry.platform), entry.platform, probe, record(item))


@pytest.mark.parametrize("platform", PLATFORMS)
def test_literals_have_the_keys_of_the_format_sorted_and_without_duplicates(platform: str) -> None:
    found = LOADED.literals(platform)
    assert list(found) == list(catalogs.LITERAL_KEYS[platform])
    for key, items in found.items():
        assert items == sorted(set(items), reverse=key == "exe_dirs"), key
        assert all(item and item == item.strip() and "\n" not in item for item in items), key
    for key in ("uninstall", "services", "drivers", "processes", *(key for key, _ in FIELDS.values())):
        assert all(item == item.lower() and len(item) >= literals.MIN_LENGTH for item in found.get(key, ())), key


def test_windows_names_of_the_format_page() -> None:
    text = (tree.ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    for platform in PLATFORMS:
        row = next(line for line in text.splitlines() if line.startswith(f"| {platform} | `"))
        assert set(re.findall(r"`([a-z_]+)`", row)) >= set(catalogs.LITERAL_KEYS[platform])
    for kind in {kind for known in kinds.KINDS.values() for kind in known}:
        assert f"`{kind}`" in text


def test_marks_that_cannot_prove() -> None:
    assert not Confidence("X").can_prove
    assert not Confidence("memory").can_prove
    weights = [mark.weight for mark in Confidence if mark.can_prove]
    assert min(weights) > max(Confidence("X").weight, Confidence("memory").weight)


def test_the_net_comes_last_and_owns_nothing(catalog: Catalog) -> None:
    order = [e.generic for e in catalog.for_platform("windows")]
    assert order == sorted(order)
    assert order[-1]
    assert catalog.for_platform("plan9") == ()
    assert catalog.entry("linux", "kesl").family == "endpoint"
    with pytest.raises(KeyError):
        catalog.entry("windows", "kesl")
    owner = catalog.owner("linux", "/opt/kaspersky/kesl/doc")
    assert owner is not None
    assert owner.id == "kesl"
    assert catalog.owner("linux", "/opt/kaspersky/a-new-product") is None


def test_no_signal_uses_the_blocked_code() -> None:
    blocked = "{793B70D2-41E9-46AB-9DDC-B34C99D07DB5}"
    assert any(item.target == blocked for entry in LOADED.entries for item in entry.never_touch)
    assert blocked not in LOADED.literals("windows")["product_codes"]


HOSTILE = [
    "Kaspersky " + "Lab " * 1000,
    "k" * 4096,
    "Kaspersky" + " AO" * 1300 + "!",
    "«" * 4000,
    "1." * 2000,
    "\\" * 4096,
]


@pytest.mark.parametrize("entry", LOADED.entries, ids=lambda e: f"{e.platform}/{e.id}")
def test_hostile_values_take_no_time(entry: Entry) -> None:
    fields = ("name", "publisher", "location", "uninstall", "key", "root", "path", "image", "real", "exe", "dir")
    started = time.process_time()
    for signal in entry.signals:
        for value in HOSTILE:
            signal.accepts(dict.fromkeys(fields, value))
            signal.accepts({**dict.fromkeys(fields, value), "path": getattr(signal, "path", ""), "publisher": ""})
    assert time.process_time() - started < 2


def test_the_readme_has_the_marks_and_the_keys() -> None:
    text = (tree.ROOT / "catalog" / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| .* \| (\d+) \|$", text, re.MULTILINE)
    found = {mark: int(weight) for marks, weight in rows for mark in re.findall(r"\w+", marks)}
    assert found == {mark.value: mark.weight for mark in Confidence}
    schema = json.loads(catalog_form.SCHEMA.read_text(encoding="utf-8"))
    assert [key for key in schema["properties"] if f"`{key}`" not in text] == []
