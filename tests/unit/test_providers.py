# SPDX-License-Identifier: GPL-3.0-or-later
"""Providers: what lies in the folder is what there is, each mistake is said with file, place and remedy."""

from __future__ import annotations

import copy
import dataclasses
import fnmatch
import re
import shutil
import time
import typing as t
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import settings as runs
from hypothesis import strategies as st

import hatch_build
from ansible_collections.evict.kaspersky.plugins.plugin_utils import catalog_form, cover, knowledge, providers
from ansible_collections.evict.kaspersky.plugins.plugin_utils.catalog_form import Mistake
from ansible_collections.evict.kaspersky.plugins.plugin_utils.provider import Provider
from ansible_collections.evict.kaspersky.plugins.plugin_utils.providers import ProvidersError
from tests import cases, tree

Data = dict[str, t.Any]
BROKEN: t.Final[list[Data]] = yaml.safe_load(
    (tree.ROOT / "tests" / "fixtures" / "providers" / "broken.yml").read_text(encoding="utf-8")
)
IDS: t.Final = (
    "clamav",
    "defender_av",
    "existing",
    "falcon",
    "mde_linux",
    "mde_windows",
    "none",
    "package",
    "sentinelone",
)


def source(id: str) -> Data:
    """A provider of the repository as data."""
    data: Data = yaml.safe_load((providers.DIRECTORY / id / providers.FILE).read_text(encoding="utf-8"))
    return copy.deepcopy(data)  # anchors share what a test changes


def unshared(data: t.Any) -> t.Any:
    """The same data with nothing in it twice."""
    if isinstance(data, dict):
        return {key: unshared(value) for key, value in data.items()}
    return [unshared(item) for item in data] if isinstance(data, list) else data


def step(data: t.Any, part: str) -> t.Any:
    """One part of a way, such as `stage[install]`, `1` or `settings`."""
    name, _, key = part.rstrip("]").partition("[")
    if isinstance(data, list):
        return data[int(name) - 1]
    return next(item for item in data[name] if item["id"] == key) if key else data[name]


def change(data: Data, changes: Data) -> Data:
    data = unshared(data)
    for way, value in changes.items():
        parts = re.findall(r"[^.\[]+(?:\[[^\]]+\])?", way)
        holder = data
        for part in parts[:-1]:
            holder = step(holder, part)
        if value is None:
            del holder[parts[-1]]
        else:
            holder[parts[-1]] = value
    return data


def write(folder: Path, id: str, data: t.Any) -> None:
    (folder / id).mkdir(exist_ok=True, parents=True)
    (folder / id / providers.FILE).write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")


def mistakes(folder: Path) -> tuple[Mistake, ...]:
    with pytest.raises(ProvidersError) as caught:
        providers.load(folder)
    for mistake in caught.value.mistakes:
        assert mistake.file
        assert mistake.problem
        assert mistake.remedy
        assert str(mistake) in str(caught.value)
        assert "\n" not in str(mistake)
    return caught.value.mistakes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of all providers to break."""
    shutil.copytree(providers.DIRECTORY, tmp_path / "providers")
    return tmp_path / "providers"


def test_what_there_is() -> None:
    found = providers.load()
    assert tuple(found) == IDS
    assert found == knowledge.providers()
    assert {id for id, provider in found.items() if not provider.counts_as_protection} == {"none"}
    assert {(id, platform) for id, provider in found.items() for platform in provider.platforms} == {
        *(("clamav", "linux"), ("mde_linux", "linux"), ("mde_windows", "windows"), ("defender_av", "windows")),
        *(
            (id, platform)
            for id in ("falcon", "sentinelone", "package", "existing", "none")
            for platform in ("linux", "windows")
        ),
    }
    assert found["clamav"].platforms["linux"].coexist == "install_only"
    assert {
        found[id].platforms[platform].coexist for id, platform in (("mde_linux", "linux"), ("mde_windows", "windows"))
    } == {"passive"}


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: f"{case['provider']}: {case['said'][:60]}")
def test_each_mistake_is_said(case: Data, folder: Path) -> None:
    write(folder, case["provider"], change(source(case["provider"]), case["set"]))
    if case.get("absent"):  # so near to a mistake that it must not be one
        assert case["said"] not in _text(folder)
        return
    found_mistakes = mistakes(folder)
    hits = [mistake for mistake in found_mistakes if case["said"] in str(mistake)]
    assert hits, "\n".join(map(str, found_mistakes))
    assert f"{case['provider']}/provider.yml" in {mistake.file for mistake in hits}


def _text(folder: Path) -> str:
    try:
        providers.load(folder)
    except ProvidersError as exc:
        return str(exc)
    return ""


def test_all_mistakes_of_all_files_at_once(folder: Path) -> None:
    (folder / "clamav" / "provider.yml").write_text("a: [b\n")
    write(folder, "falcon", [1, 2])
    write(folder, "existing", change(source("existing"), {"kind": "other", "name": None}))
    (folder / "empty").mkdir()
    (folder / ".hidden").mkdir()
    text = "\n".join(map(str, mistakes(folder)))
    for piece in (
        "clamav/provider.yml: line 2",
        "falcon/provider.yml: the file holds no provider",
        "existing/provider.yml: kind: 'other'",
        "existing/provider.yml: the key 'name' is missing",
        "empty/provider.yml: cannot be read",
    ):
        assert piece in text
    assert "hidden" not in text


def test_no_provider_at_all(tmp_path: Path) -> None:
    assert "there is no provider" in str(mistakes(tmp_path)[0])


OWN: t.Final = (tree.ROOT / "tests" / "fixtures" / "providers" / "rampart.yml").read_text(encoding="utf-8")


def test_a_folder_is_a_provider(tmp_path: Path) -> None:
    """No code for a new one: written, loaded, expanded."""
    write(tmp_path, "rampart", yaml.safe_load(OWN))
    rampart = providers.load(tmp_path)["rampart"]
    policy = {"secrets": {"rampart": {"LICENCE": cases.secret()}}, "replacement_settings": {"level": "low"}}
    case = cases.case("linux", replacement=rampart, policy={**policy, "exclusions": ()})
    made = cover.expand(case, "replacement")
    assert made.faults == ()
    assert [step.id for step in (*made.stage, *made.cover)] == [
        "stage.rampart.conf",
        "stage.rampart.key",
        "cover.rampart.go",
        "cover.rampart.runs.1",
    ]
    assert made.stage[0].args["text"] == "level=low\n"
    assert made.stage[1].secrets == {"text": "rampart.LICENCE"}
    assert cover.expand(dataclasses.replace(case, replacement=None, fallback=rampart), "fallback").cover[0].id == (
        "fallback.rampart.go"
    )


def test_a_form_of_another_one_is_a_folder_too(folder: Path) -> None:
    own = {
        **{
            key: value for key, value in source("existing").items() if key in ("schema", "kind", "counts_as_protection")
        },
        "id": "bastion",
        "name": "Bastion",
        "kind": "av",
        "description": "A form of package.",
        "detection": "eicar_on_access",
        "detection_reason": "",
        "extends": "package",
        "offers": ["tenant"],
        "platforms": {
            "linux": {"methods": ["file"], "fill": {"service_names": ["bastion.service"], "detection_test": "none"}}
        },
        "sources": {},
    }
    write(folder, "bastion", own)
    bastion = providers.load(folder)["bastion"]
    assert set(bastion.settings) == {"tenant"}
    assert bastion.platforms["linux"].methods == ("file",)
    assert {step.id for step in bastion.platforms["linux"].cover} == {
        step.id for step in knowledge.providers()["package"].platforms["linux"].cover
    }


def test_no_build_leaves_them_out() -> None:
    """They lie in a part of the collection, which builds take whole, and no pattern of galaxy.yml takes them away."""
    assert "catalog" in hatch_build.PARTS
    patterns = yaml.safe_load((tree.ROOT / "galaxy.yml").read_text(encoding="utf-8"))["build_ignore"]
    for id in IDS:
        name = f"catalog/providers/{id}/{providers.FILE}"
        assert (tree.ROOT / "collections" / hatch_build.COLLECTION / name).is_file()
        parts = Path(name).parts
        ways = ["/".join(parts[: number + 1]) for number in range(len(parts))]
        assert not [p for p in patterns for way in (*ways, *parts) if fnmatch.fnmatch(way, p)], id


# ---- the schema, twice


def schema_errors(data: t.Any) -> bool:
    return bool(list(jsonschema.Draft202012Validator(providers.schema()).iter_errors(data)))


@pytest.mark.parametrize("id", IDS)
def test_the_schema_takes_every_provider(id: str) -> None:
    assert not schema_errors(source(id))
    assert catalog_form.conforms(providers.schema(), source(id))


def ways_into(data: t.Any, way: tuple[t.Any, ...] = ()) -> list[tuple[t.Any, ...]]:
    found = [way] if way else []
    for key, value in data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ():
        found += ways_into(value, (*way, key))
    return found


MDE: t.Final = unshared(source("mde_linux"))
WAYS: t.Final = ways_into(MDE)
ODD: t.Final[st.SearchStrategy[t.Any]] = st.sampled_from(
    [None, True, 0, -1, 1.5, "", "x", [], {}, [[]], [1], {"a": 1}, "deb", ["deb", "deb"]]
)


@runs(max_examples=150, deadline=None)
@given(st.sampled_from(WAYS), ODD, st.booleans())
def test_the_quick_check_says_what_the_library_says(way: tuple[t.Any, ...], odd: t.Any, extra: bool) -> None:
    data = unshared(MDE)
    holder = data
    for part in way[:-1]:
        holder = holder[part]
    if extra and isinstance(holder, dict):
        holder["extra"] = odd
    else:
        holder[way[-1]] = odd
    assert catalog_form.conforms(providers.schema(), data) is not schema_errors(data)


def test_a_word_the_quick_check_does_not_know_sends_it_to_the_library() -> None:
    assert not catalog_form.conforms({"oneOf": [{}]}, 1)


def test_loading_is_quick() -> None:
    """It happens once for each process, when it starts."""
    best = min(_seconds() for _number in range(3))
    assert best < 1.0


def _seconds() -> float:
    started = time.process_time()
    providers.load()
    return time.process_time() - started


# ---- house rules for facts


@pytest.mark.parametrize("id", IDS)
def test_every_fact_rests_on_something(id: str) -> None:
    provider: Provider = knowledge.providers()[id]
    founded = list(provider.facts)
    for own in provider.platforms.values():
        founded += [fact for facts in own.marks.values() for fact in facts]
        for template in (*own.stage, *own.cover):
            assert template.confidence
            assert template.sources
            assert set(template.sources) <= set(provider.sources)
    for fact in founded:
        assert fact.confidence
        assert set(fact.sources) <= set(provider.sources)
        assert (fact.confidence == "memory") is (fact.sources == ("general",)), fact
