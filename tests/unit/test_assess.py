# SPDX-License-Identifier: GPL-3.0-or-later
"""Judgement: which product, in which state, and which verdict, from observations as the hands give them."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.evict.kaspersky.plugins.plugin_utils.assess import Assessment, assess
from ansible_collections.evict.kaspersky.plugins.plugin_utils.catalog import Catalog
from ansible_collections.evict.kaspersky.plugins.plugin_utils.observation import PROBES, Observation, Probe

Records = list[dict[str, str]]


def seen(platform: str, *, unknown: tuple[str, ...] = (), **records: Records) -> Observation:
    """An observation; probe names are written with `__` for the dot."""
    found = {name.replace("__", "."): value for name, value in records.items()}
    probes = {}
    for name in PROBES[platform]:
        rows = tuple(found.pop(name, []))
        if name in unknown:
            probes[name] = Probe("unknown", "could not look", rows)
        else:
            probes[name] = Probe("ok" if rows else "absent", "", rows)
    assert not found, f"no such probe: {found}"
    return Observation(platform=platform, collector="test", host={}, probes=probes)


def package(name: str, state: str = "ii", version: str = "12.1.0.1297") -> dict[str, str]:
    return {"name": name, "version": version, "arch": "amd64", "state": state}


def process(exe: str, **more: str) -> dict[str, str]:
    return {"pid": "7", "exe": exe, "deleted": "no", "root": "same", "comm": exe.rpartition("/")[2], "dir": ""} | more


def states(found: Assessment) -> dict[str, str]:
    return {p.entry.id: p.state for p in found.products}


KESL = "/var/opt/kaspersky/kesl/install_12.1.0.1297/opt/kaspersky/kesl/libexec/kesl"
PROGRAM = {"path": "/opt/kaspersky/kesl/libexec/kesl", "type": "file", "executable": "yes", "real": "", "link": "no"}

LINUX = {
    "nothing": (seen("linux"), "absent", {}),
    "running": (
        seen("linux", packages__dpkg=[package("kesl")], processes=[process(KESL)]),
        "present",
        {"kesl": "running"},
    ),
    "installed on rpm": (
        seen("linux", packages__rpm=[package("kesl", "installed")], paths=[PROGRAM]),
        "present",
        {"kesl": "installed"},
    ),
    "both products": (
        seen(
            "linux", packages__dpkg=[package("kesl"), package("klnagent64", version="15.1")], processes=[process(KESL)]
        ),
        "present",
        {"kesl": "running"},
    ),
    "half configured": (seen("linux", packages__dpkg=[package("kesl", "iF")]), "present", {"kesl": "broken"}),
    "half installed": (seen("linux", packages__dpkg=[package("kesl", "iHR")]), "present", {"kesl": "broken"}),
    "on hold": (
        seen("linux", packages__dpkg=[package("kesl", "hi")], paths=[PROGRAM]),
        "present",
        {"kesl": "installed"},
    ),
    "removed, not purged": (seen("linux", packages__dpkg=[package("kesl", "rc")]), "leftovers", {"kesl": "leftover"}),
    "purged": (seen("linux", packages__dpkg=[package("kesl", "un")]), "absent", {}),
    "unpacked by hand": (seen("linux", processes=[process(KESL)]), "present", {"kesl": "running"}),
    "deleted and running": (seen("linux", processes=[process(KESL, deleted="yes")]), "present", {"kesl": "running"}),
    "in a container": (seen("linux", processes=[process(KESL, root="other")]), "absent", {}),
    "unit left": (
        seen("linux", units=[{"name": "kesl.service", "path": "/etc/systemd/system/kesl.service", "kind": "file"}]),
        "leftovers",
        {"kesl": "leftover"},
    ),
    "group left": (
        seen("linux", accounts=[{"kind": "group", "name": "kesladmin", "id": "990", "members": ""}]),
        "leftovers",
        {"kesl": "leftover"},
    ),
    "unknown product below the vendor's folder": (
        seen("linux", processes=[process("/opt/kaspersky/a-new-product/libexec/x", dir="/opt/kaspersky")]),
        "present",
        {"kaspersky": "running"},
    ),
    "present although a probe is blind": (
        seen("linux", unknown=("packages.rpm", "processes"), packages__dpkg=[package("kesl")], paths=[PROGRAM]),
        "present",
        {"kesl": "installed"},
    ),
    "blind where a product could be": (seen("linux", unknown=("processes",)), "unknown", {}),
    "leftovers and blind where a product could be": (
        seen("linux", unknown=("processes",), packages__dpkg=[package("kesl", "rc")]),
        "unknown",
        {"kesl": "leftover"},
    ),
    "leftovers and blind where only leftovers could be": (
        seen("linux", unknown=("accounts",), packages__dpkg=[package("kesl", "rc")]),
        "leftovers",
        {"kesl": "leftover"},
    ),
    "blind where only leftovers could be": (seen("linux", unknown=("accounts",)), "unknown", {}),
}


@pytest.mark.parametrize("name", LINUX)
def test_linux(name: str, catalog: Catalog) -> None:
    observation, verdict, expected = LINUX[name]
    found = assess(observation, catalog)
    assert found.verdict == verdict, found
    assert expected.items() <= states(found).items()
    if verdict != "present":
        assert states(found) == expected


def entry(name: str, publisher: str = "AO Kaspersky Lab", **more: str) -> dict[str, str]:
    base = {
        "view": "64",
        "key": "{7B4EA0A0-1111-4A5C-9C57-0123456789AB}",
        "version": "12.3.0.493",
        "location": "",
        "uninstall": "MsiExec.exe /X{7B4EA0A0-1111-4A5C-9C57-0123456789AB}",
    }
    return base | {"name": name, "publisher": publisher} | more


def service(name: str, path: str, state: str = "running", file_exists: str = "yes") -> dict[str, str]:
    return {
        "name": name,
        "display": name,
        "type": "service",
        "image": f'"{path}"',
        "path": path,
        "state": state,
        "file_exists": file_exists,
    }


RUSSIAN = (
    '\u0410\u041e "\u041b\u0430\u0431\u043e\u0440\u0430\u0442\u043e\u0440\u0438\u044f '
    '\u041a\u0430\u0441\u043f\u0435\u0440\u0441\u043a\u043e\u0433\u043e"'
)
AVP = r"C:\Program Files (x86)\Kaspersky Lab\KES.12.3.0\avp.exe"
AGENT = r"C:\Program Files (x86)\Kaspersky Lab\NetworkAgent\klnagent.exe"

WINDOWS = {
    "nothing": (seen("windows"), "absent", {}),
    "running": (
        seen(
            "windows",
            uninstall__machine=[entry("Kaspersky Endpoint Security for Windows")],
            services=[service("AVP.KES.21.16", AVP)],
        ),
        "present",
        {"kes": "running"},
    ),
    "russian": (
        seen(
            "windows",
            uninstall__machine=[
                entry(
                    "Kaspersky Endpoint Security \u0434\u043b\u044f Windows",
                    RUSSIAN,
                )
            ],
            services=[service("AVP.KES.21.16", AVP)],
        ),
        "present",
        {"kes": "running"},
    ),
    "agent alone": (
        seen(
            "windows",
            uninstall__machine=[entry("Kaspersky Security Center Network Agent", view="32")],
            services=[service("klnagent", AGENT)],
        ),
        "present",
        {"klnagent": "running"},
    ),
    "a localized product nobody catalogued": (
        seen(
            "windows",
            uninstall__machine=[
                entry(
                    "Kaspersky G\u00fcvenlik \u00dcr\u00fcn\u00fc",
                    "AO Kaspersky Lab",
                    location=r"C:\Program Files\Kaspersky Lab\X",
                )
            ],
        ),
        "present",
        {},
    ),
    "a bare key": (
        seen("windows", registry__machine=[{"root": r"SOFTWARE\KasperskyLab", "view": "32", "key": ""}]),
        "leftovers",
        {},
    ),
    "service without its file": (
        seen("windows", services=[service("AVP.KES.21.16", AVP, "stopped", "no")]),
        "leftovers",
        {"kes": "leftover"},
    ),
    "Defender's own drivers": (
        seen(
            "windows",
            drivers=[
                service("KslD", r"C:\Windows\System32\drivers\KslD.sys"),
                service("MpKslDrv", r"C:\ProgramData\x\MpKslDrv.sys"),
            ],
        ),
        "absent",
        {},
    ),
    "profiles that are not loaded": (seen("windows", unknown=("uninstall.users", "registry.users")), "unknown", {}),
    "blind to services": (seen("windows", unknown=("services",)), "unknown", {}),
}


@pytest.mark.parametrize("name", WINDOWS)
def test_windows(name: str, catalog: Catalog) -> None:
    observation, verdict, expected = WINDOWS[name]
    found = assess(observation, catalog)
    assert found.verdict == verdict, found
    assert expected.items() <= states(found).items()
    if verdict == "absent":
        assert not found.products


def test_container_is_never_silent(catalog: Catalog) -> None:
    found = assess(LINUX["in a container"][0], catalog)
    assert any("container" in note and KESL in note for note in found.notes)


def test_reasons_name_the_probe(catalog: Catalog) -> None:
    found = assess(LINUX["blind where a product could be"][0], catalog)
    assert found.reasons == ("processes: could not look",)
    assert found.unknown == {"processes": "could not look"}


def test_platform_without_catalog_is_unknown(catalog: Catalog) -> None:
    observation = dataclasses.replace(LINUX["nothing"][0], platform="freebsd")
    found = assess(observation, catalog)
    assert found.verdict == "unknown"
    assert "freebsd" in found.reasons[0]


@settings(deadline=None)
@given(st.sets(st.sampled_from([n for n in PROBES["linux"] if n != "host"]), min_size=1))
def test_no_blind_probe_is_ever_absent(blind: set[str]) -> None:
    from ansible_collections.evict.kaspersky.plugins.plugin_utils import knowledge

    catalog = knowledge.catalog()
    for platform in ("linux", "windows"):
        entries = [entry for entry in catalog.for_platform(platform) if not entry.report_only]
        signals = [signal for entry in entries for signal in entry.signals if signal.shows != "mention"]
        needed = {probe for signal in signals for probe in signal.probes}
        names = tuple(n for n in PROBES[platform] if n in blind)
        if needed & set(names):
            assert assess(seen(platform, unknown=names), catalog).verdict == "unknown"


def test_version_comes_from_the_package(catalog: Catalog) -> None:
    row = assess(LINUX["running"][0], catalog).row("h", LINUX["running"][0])
    assert [(p.id, p.version) for p in row.products] == [("kesl", "12.1.0.1297")]
    assert row.short()["products"] == ["kesl 12.1.0.1297 running"]
    assert any("process 7" in text for text in row.products[0].evidence)
