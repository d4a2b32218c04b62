# SPDX-License-Identifier: GPL-3.0-or-later
"""Names on Linux: every one of the vendor's is found, and none of a whole distribution is taken for one."""

from __future__ import annotations

import re
import shutil
import subprocess
import typing as t
from collections.abc import Mapping

import pytest
import yaml

from ansible_collections.evict.kaspersky.plugins.plugin_utils.assess import Assessment, assess
from ansible_collections.evict.kaspersky.plugins.plugin_utils.catalog import Catalog
from ansible_collections.evict.kaspersky.plugins.plugin_utils.observation import PROBES, Observation, Probe
from tests import tree

DOMAIN = tree.ROOT / "tests" / "fixtures" / "domain"
Item = dict[str, t.Any]
Records = list[dict[str, str]]


def fixture(name: str, key: str) -> list[Item]:
    found: list[Item] = yaml.safe_load((DOMAIN / f"{name}.yml").read_text(encoding="utf-8"))[key]
    return found


NAMES = fixture("linux-names", "names")
HOSTS = fixture("linux-look-alikes", "machines")


def judge(records: Mapping[str, Records], catalog: Catalog) -> Assessment:
    """A Linux host that answers every probe and has these records."""
    assert set(records) <= set(PROBES["linux"])
    probes = {
        name: Probe("ok" if records.get(name) else "absent", "", tuple(records.get(name, ())))
        for name in PROBES["linux"]
    }
    return assess(Observation(platform="linux", collector="test", host={}, probes=probes), catalog)


def installed(names: list[str]) -> dict[str, Records]:
    """A host that has all these packages, by both package managers."""
    return {
        "packages.dpkg": [{"name": n, "version": "1", "arch": "amd64", "state": "ii"} for n in names],
        "packages.rpm": [{"name": n, "version": "1-1", "arch": "x86_64", "state": "installed"} for n in names],
    }


def records(item: Item) -> dict[str, Records]:
    """What a host answers that has the name of the fixture."""
    name = item["name"]
    if item["kind"] == "package":
        return installed([name])
    if item["kind"] == "unit":
        return {"units": [{"name": name, "path": f"/etc/systemd/system/{name}", "kind": "file", "active": "active"}]}
    if item["kind"] == "init":
        return {"init_scripts": [{"name": name, "path": f"/etc/init.d/{name}"}]}
    assert item["kind"] == "process"
    return {"processes": [{"pid": "7", "exe": name, "deleted": "no", "root": "same", "comm": "x", "dir": ""}]}


@pytest.mark.parametrize("item", NAMES, ids=lambda item: f"{item['kind']} {item['name']}")
def test_the_name_is_found(item: Item, catalog: Catalog) -> None:
    found = judge(records(item), catalog)
    if item.get("note"):
        assert not found.products
        assert found.verdict == "absent"
        assert any(note.startswith(f"{item['id']}: ") and item["name"] in note for note in found.notes)
        return
    assert [product.entry.id for product in found.products] == [item["id"]]
    leftover = item["kind"] == "init"
    assert found.products[0].works is not leftover


SHORT = sorted({(item["id"], item["name"]) for item in NAMES if item["kind"] == "package" and item.get("note")})


@pytest.mark.parametrize(("id", "name"), SHORT, ids=lambda value: value)
def test_a_shared_name_counts_beside_a_path_of_the_product(id: str, name: str, catalog: Catalog) -> None:
    entry = catalog.entry("linux", id)
    if not entry.require_path:
        weak = [s for s in entry.signals if s.kind == "package" and getattr(s, "name", "") == name]
        assert [s.confidence.can_prove for s in weak] == [False]
        return
    below = next(b for s in entry.signals if s.kind == "process" for b in getattr(s, "below", ()))
    program = {"pid": "7", "exe": f"{below}/sbin/x", "deleted": "no", "root": "same", "comm": "x", "dir": below}
    found = judge({**installed([name]), "processes": [program]}, catalog)
    assert [(p.entry.id, p.state) for p in found.products] == [(id, "running")]
    assert any(f.text.startswith(f"package {name}:") for f in found.products[0].findings)


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host["name"])
def test_look_alikes_are_no_product(host: Item, catalog: Catalog) -> None:
    found = judge({key: value for key, value in host.items() if key in PROBES["linux"]}, catalog)
    assert found.verdict == "absent"
    assert not found.products
    text = [note for note in found.notes if "note" in host and host["note"] in note]
    assert bool(text) is ("note" in host), found.notes
    if "fact" in host:
        assert host["fact"] in {fact.topic for fact in found.context.facts}


def test_no_package_of_a_whole_distribution_is_taken_for_a_product(catalog: Catalog) -> None:
    if shutil.which("apt-cache") is None:
        pytest.skip("apt-cache is not installed")
    run = subprocess.run(["apt-cache", "pkgnames"], capture_output=True, text=True, check=True, timeout=120)
    names = sorted(set(run.stdout.split()))
    if len(names) < 20_000:
        pytest.skip("no package lists: run `apt-get update`")
    assert "klibc-utils" in names
    assert_nothing(names, catalog)


def test_no_package_of_the_rpm_host_of_the_lab_is_taken_for_a_product(catalog: Catalog) -> None:
    text = (tree.ROOT / "tests" / "lab" / "linux" / "base.sh").read_text(encoding="utf-8")
    names = re.findall(r"^([a-z][a-z0-9.+-]*) \d\S* \S+\.el9", text, re.MULTILINE)
    assert len(names) == 12
    assert_nothing(names, catalog)


def assert_nothing(names: list[str], catalog: Catalog) -> None:
    """A host with all these packages has none of the vendor's, and at most a note for each name that is shared."""
    found = judge(installed(names), catalog)
    assert [(p.entry.id, [f.text for f in p.findings]) for p in found.products] == []
    assert found.verdict == "absent"
    known = {getattr(s, "name", "") for e in catalog.for_platform("linux") for s in e.signals if s.kind == "package"}
    shared = known & set(names)
    assert len(found.notes) == 2 * len(shared), found.notes


def test_no_package_of_the_vendor_has_its_name_in_it(catalog: Catalog) -> None:
    """Searching for the vendor's name in a list of packages finds none of them, so no signal may rest on it."""
    names = [getattr(s, "name", "") for e in catalog.for_platform("linux") for s in e.signals if s.kind == "package"]
    assert len(names) > 20
    assert [name for name in names if "kaspersky" in name] == []


def test_a_host_sends_only_lines_that_name_a_product(catalog: Catalog) -> None:
    """Words such as Exec or icap_service alone would bring the lines of every service and proxy rule."""
    texts = catalog.literals("linux")["line_texts"]
    own = re.compile(r"kaspersky|kesl|kes4|klms|klnagent|kav|kwts|redirfs|/opt/kaspersky")
    assert len(texts) > 5
    assert [text for text in texts if not own.search(text)] == []
