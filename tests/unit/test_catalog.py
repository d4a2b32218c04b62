# SPDX-License-Identifier: GPL-3.0-or-later
"""Loading a catalog: every mistake is refused with its file, its place and a remedy, and all of them at once."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import time
import typing as t
from pathlib import Path

import jsonschema
import pytest
import yaml

from ansible_collections.evict.kaspersky.plugins.plugin_utils import catalog as catalogs
from ansible_collections.evict.kaspersky.plugins.plugin_utils import catalog_form
from ansible_collections.evict.kaspersky.plugins.plugin_utils.catalog import CatalogError
from ansible_collections.evict.kaspersky.plugins.plugin_utils.catalog_form import Mistake
from tests import tree

CATALOG = tree.ROOT / "catalog"
Data = dict[str, t.Any]


def source(platform: str, name: str) -> Data:
    """An entry of the repository as data."""
    data: Data = yaml.safe_load((CATALOG / "products" / platform / f"{name}.yml").read_text(encoding="utf-8"))
    return data


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the catalog to break."""
    shutil.copytree(CATALOG, tmp_path / "catalog")
    return tmp_path / "catalog"


def mistakes(directory: Path) -> tuple[Mistake, ...]:
    with pytest.raises(CatalogError) as caught:
        catalogs.load(directory)
    for mistake in caught.value.mistakes:
        assert mistake.file
        assert mistake.problem
        assert mistake.remedy
        assert str(mistake) in str(caught.value)
        assert "\n" not in str(mistake)
    return caught.value.mistakes


BROKEN: list[Data] = yaml.safe_load(
    (tree.ROOT / "tests" / "fixtures" / "catalog" / "broken.yml").read_text(encoding="utf-8")
)


def step(data: t.Any, part: str) -> t.Any:
    """One part of a way, such as `signals[unit]` or `residue[1]`."""
    name, _, key = part.rstrip("]").partition("[")
    found = data[name]
    if not key:
        return found
    return found[int(key) - 1] if key.isdigit() else next(item for item in found if item["id"] == key)


def broken(case: Data) -> Data:
    """An entry of the repository with the case's mistake in it."""
    data = source(*case["entry"].split("/"))
    for way, value in case.get("set", {}).items():
        *parts, key = way.split(".")
        holder = data
        for part in parts:
            holder = step(holder, part)
        if value is None:
            del holder[key]
        else:
            holder[key] = value
    for section, item in case.get("add", {}).items():
        data.setdefault(section, []).append(item)
    if "repeat" in case:
        data[case["repeat"].partition("[")[0]].append(dict(step(data, case["repeat"])))
    return data


def write(directory: Path, entry: str, data: Data) -> str:
    """Put an entry into a catalog; its file's name."""
    file = f"products/{entry}.yml"
    (directory / file).write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
    return file


def test_there_are_enough_broken_entries() -> None:
    assert len({case["case"] for case in BROKEN}) == len(BROKEN) >= 70


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case["case"])
def test_mistake_is_named(copy: Path, case: Data) -> None:
    file = write(copy, case["entry"], broken(case))
    found = mistakes(copy)
    hits = [m for m in found if m.file == file and m.place.startswith(case["place"]) and case["problem"] in m.problem]
    assert hits, [str(m) for m in found]
    assert case["remedy"] in hits[0].remedy


TEXTS = {
    "syntax": ("schema: 1\nid: [kesl\n", "line 3", "not YAML"),
    "tab": ("schema: 1\n\tid: kesl\n", "line 2", "not YAML"),
    "backslash in double quotes": ('schema: 1\nid: "\\K"\n', "line 2", "not YAML"),
    "key twice": ("schema: 1\nid: kesl\nid: kesl\n", "line 3", "the key 'id' stands here twice"),
    "key twice in a signal": ("signals:\n  - {id: a, id: b}\n", "line 2", "the key 'id' stands here twice"),
    "python tag": ("!!python/object/apply:os.system ['true']\n", "line 1", "not YAML"),
    "two documents": ("schema: 1\n---\nschema: 1\n", "line 2", "not YAML"),
    "not UTF-8": (b"name: \xff\xfe\xfa\n", "", "not YAML"),
    "control character": (b"name: a\x07b\n", "", "not YAML"),
    "empty": ("", "", "holds no entry"),
    "a list": ("- schema: 1\n", "", "holds no entry"),
    "a text": ("kesl\n", "", "holds no entry"),
    "signals no list": ("schema: 1\nsignals: {a: 1}\n", "signals", "not of type array"),
    "signal no mapping": ("schema: 1\nsignals: [kesl]\n", "signals[1]", "not of type object"),
    "kind no text": ("schema: 1\nsignals: [{kind: [a]}]\n", "signals[1].kind", "not known here"),
    "key no text": ("1: 2\nschema: 1\n", "", "unknown key '1'"),
}


@pytest.mark.parametrize(("text", "place", "problem"), TEXTS.values(), ids=TEXTS)
def test_file_that_is_no_entry(copy: Path, text: str | bytes, place: str, problem: str) -> None:
    path = copy / "products" / "linux" / "kesl.yml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    found = mistakes(copy)
    assert any(
        m.file == "products/linux/kesl.yml" and m.place.startswith(place) and problem in m.problem for m in found
    ), [str(m) for m in found]


def test_all_mistakes_of_all_files_at_once(copy: Path) -> None:
    kesl = {"familiy": "x", "signals[unit].confidence": "Z", "signals[dir-log].path": "var/log"}
    write(copy, "linux/kesl", broken({"entry": "linux/kesl", "set": kesl}))
    kes = {"signals[uninstall].name": "(", "signals[service-update].source": ["nowhere"]}
    write(copy, "windows/kes", broken({"entry": "windows/kes", "set": kes}))
    (copy / "products/linux/klnagent64.yml").write_text("a: [", encoding="utf-8")
    found = {(m.file.rpartition("/")[2], m.place) for m in mistakes(copy)}
    assert found >= {
        ("kesl.yml", ""),
        ("kesl.yml", "signals[unit].confidence"),
        ("kesl.yml", "signals[dir-log].path"),
        ("kes.yml", "signals[uninstall].name"),
        ("kes.yml", "signals[service-update].source"),
    }
    assert any(file == "klnagent64.yml" and place.startswith("line ") for file, place in found)


def test_a_broken_companion_is_one_mistake(copy: Path) -> None:
    (copy / "products/linux/kesl-gui.yml").write_text("[]", encoding="utf-8")
    assert [m.file for m in mistakes(copy)] == ["products/linux/kesl-gui.yml"]


def test_the_text_of_the_error(copy: Path) -> None:
    write(copy, "linux/kesl", broken({"entry": "linux/kesl", "set": {"signals[unit].shows": "all"}}))
    with pytest.raises(CatalogError) as caught:
        catalogs.load(copy)
    assert str(caught.value) == (
        "the catalog has 1 mistake:\n"
        "  products/linux/kesl.yml: signals[unit].shows: 'all' is not known here; "
        "allowed: product, live, residue, mention"
    )


@pytest.mark.parametrize("name", ["products/linux/kesl.yaml", "products/solaris/kesl.yml", "products/linux/notes.txt"])
def test_file_in_the_wrong_place(copy: Path, name: str) -> None:
    (copy / name).parent.mkdir(exist_ok=True)
    (copy / name).write_text("schema: 1\n", encoding="utf-8")
    assert [(m.file, m.problem) for m in mistakes(copy)] == [(name, "this is no place for an entry")]


def test_no_catalog(tmp_path: Path) -> None:
    (found,) = mistakes(tmp_path / "nowhere")
    assert str(tmp_path / "nowhere") in found.file
    assert "no entry" in found.problem


def test_folder_instead_of_an_entry(copy: Path) -> None:
    (copy / "products/linux/extra.yml").mkdir()
    (found,) = mistakes(copy)
    assert found.file == "products/linux/extra.yml"
    assert "cannot be read" in found.problem


PATTERNS = {
    "no mapping": ("patterns: [a]\n", "", "no `patterns`"),
    "no regex": ("patterns: {vendor: {confidence: V, source: x}}\n", "patterns.vendor", "not the form"),
    "unknown key": (
        "patterns: {vendor: {regex: a, confidence: V, source: x, y: z}}\n",
        "patterns.vendor",
        "not the form",
    ),
    "unknown mark": ("patterns: {vendor: {regex: a, confidence: Q, source: x}}\n", "patterns.vendor.confidence", "'Q'"),
    "bad regex": (
        "patterns: {vendor: {regex: '(', confidence: V, source: x}}\n",
        "patterns.vendor.regex",
        "not a regular",
    ),
    "syntax": ("patterns: {\n", "line", "not YAML"),
}


@pytest.mark.parametrize(("text", "place", "problem"), PATTERNS.values(), ids=PATTERNS)
def test_broken_patterns(copy: Path, text: str, place: str, problem: str) -> None:
    (copy / "patterns.yml").write_text(text, encoding="utf-8")
    assert any(m.file == "patterns.yml" and m.place.startswith(place) and problem in m.problem for m in mistakes(copy))


def test_a_catalog_without_patterns_needs_none(copy: Path) -> None:
    (copy / "patterns.yml").unlink()
    shutil.rmtree(copy / "products" / "windows")
    assert {entry.platform for entry in catalogs.load(copy).entries} == {"linux", "macos"}


def test_the_digest_follows_the_content_and_nothing_else(copy: Path) -> None:
    first = catalogs.load(copy)
    assert re.fullmatch("[0-9a-f]{64}", first.digest)
    assert first.digest == catalogs.load(CATALOG).digest
    path = copy / "products/linux/kesl.yml"
    path.write_text("# a comment\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    assert catalogs.load(copy).digest == first.digest
    path.write_text(path.read_text(encoding="utf-8").replace("order: 20", "order: 21"), encoding="utf-8")
    assert catalogs.load(copy).digest != first.digest


def test_entries_are_frozen() -> None:
    entry = catalogs.load().entry("linux", "kesl")
    for frozen, name in (
        (entry, "id"),
        (entry.signals[0], "id"),
        (entry.removal, "order"),
        (entry.residue[0], "purge"),
    ):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(frozen, name, "x")


def test_what_an_entry_says() -> None:
    catalog = catalogs.load()
    kesl, agent = catalog.entry("linux", "kesl"), catalog.entry("windows", "klnagent")
    assert kesl.removal == catalogs.Removal(order=20, strategy="package", companions=("kesl-gui",), stop_timeout=660)
    assert kesl.removal.order < agent.removal.order
    assert ("chain", "mangle/kesl_bypass", "dangerous") in {(r.kind, r.target, r.danger) for r in kesl.residue}
    assert [(s.name, s.format) for s in agent.secrets] == [("KLUNINSTPASSWD", "utf16le_hex")]
    assert kesl.scope["us_bis"] == "in"
    assert all(
        not r.purge for e in catalog.entries if e.generic for r in e.residue if r.target.endswith("Kaspersky Lab")
    )


def test_the_whole_schema_says_the_same() -> None:
    """The loader asks the schema part by part for speed; a tool of somebody else asks it whole."""
    schema = json.loads(catalog_form.SCHEMA.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    whole = jsonschema.Draft202012Validator(schema)
    for path in sorted(CATALOG.glob("products/*/*.yml")):
        assert list(whole.iter_errors(yaml.safe_load(path.read_text(encoding="utf-8")))) == []
    for case in BROKEN:
        data = broken(case)
        by_parts = {tuple(way) for way, _ in catalog_form.errors("x.yml", data)}
        assert {tuple(error.absolute_path) for error in whole.iter_errors(data)} == by_parts


def test_loading_is_fast(tmp_path: Path) -> None:
    """Once per process, so a second of work is the limit for 120 entries on a slow machine."""
    folder = tmp_path / "products" / "windows"
    folder.mkdir(parents=True)
    shutil.copy(CATALOG / "patterns.yml", tmp_path)
    for number in range(120):
        data = source("windows", "klnagent")
        data["id"] = f"x{number}"
        data["signals"] = [s for s in data["signals"] if s["kind"] != "product_code"]
        data["signals"][0]["source"] = sorted(data["sources"])
        (folder / f"x{number}.yml").write_text(yaml.safe_dump(data), encoding="utf-8")
    catalogs.load(CATALOG)
    started = time.process_time()
    assert len(catalogs.load(tmp_path).entries) == 120
    assert time.process_time() - started < 3
