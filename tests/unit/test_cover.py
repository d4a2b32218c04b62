# SPDX-License-Identifier: GPL-3.0-or-later
"""Templates of providers as steps: every provider, family, way and setting, and nothing left to fill."""

from __future__ import annotations

import dataclasses
import itertools
import typing as t
from collections.abc import Iterator

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import cover, templates
from ansible_collections.evict.kaspersky.plugins.plugin_utils.case import Case
from ansible_collections.evict.kaspersky.plugins.plugin_utils.cover import Cover
from ansible_collections.evict.kaspersky.plugins.plugin_utils.job import compile_job
from ansible_collections.evict.kaspersky.plugins.plugin_utils.plan import Plan
from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy import Policy
from ansible_collections.evict.kaspersky.plugins.plugin_utils.provider import Source
from tests import cases
from tests.covers import EXCLUSIONS, HASH, MANAGERS, NEEDED, PROVIDERS, ROLES, make, steps, whole


def ways(id: str) -> Iterator[tuple[str, str, str, str]]:
    """(platform, manager, method, suffix) of all ways a provider may come."""
    for platform, own in PROVIDERS[id].platforms.items():
        managers = tuple(MANAGERS) if platform == "linux" else ("apt",)
        for manager, method in itertools.product(managers, own.methods or ("",)):
            if method in ("", "repository", "mirror"):
                yield platform, manager, method, ""
            elif platform == "windows":
                yield from ((platform, manager, method, suffix) for suffix in ("msi", "exe"))
            else:
                yield platform, manager, method, "tar" if id == "clamav" else MANAGERS[manager]


def settings_of(id: str) -> Iterator[dict[str, t.Any]]:
    """Every switch and choice of a provider in every position, one at a time and all texts and lists filled."""
    provider = PROVIDERS[id]
    yield {}
    for name, setting in provider.settings.items():
        if setting.type == "switch":
            yield {name: not setting.default}
        yield from ({name: choice} for choice in setting.choices)
    filled: dict[str, t.Any] = {}
    for name, setting in provider.settings.items():
        if setting.type == "list" and name not in NEEDED.get(id, {}):
            filled[name] = {"on_access_paths": ["/home", "/srv"], "databases": ["main.cvd", "daily.cvd"]}.get(
                name, ["https://own.example/a.ndb"] if name == "database_urls" else ["3010"]
            )
        elif setting.type == "url":
            filled[name] = "https://mirror.example/clamav"
    for name in ("reach", "cloud", "console"):
        if name in filled:
            filled[name] = ["service.example:443"]
    yield filled
    for name, setting in provider.settings.items():
        if setting.type == "switch":
            yield {**filled, name: not setting.default}
        yield from ({**filled, name: choice} for choice in setting.choices)


@pytest.mark.parametrize("id", sorted(PROVIDERS))
def test_every_way_and_setting(id: str) -> None:
    made = 0
    more = {"exclusions": EXCLUSIONS, "proxy": "http://proxy.example:8080"}
    for (platform, manager, method, suffix), role in itertools.product(ways(id), ROLES):
        case = make(id, platform=platform, manager=manager, method=method, suffix=suffix, role=role)
        for settings, extra in itertools.product(settings_of(id), ({}, more)):
            own: dict[str, t.Any] = {f"{role}_settings": {**NEEDED.get(id, {}), **settings}, **extra}
            changed = dataclasses.replace(case, policy=dataclasses.replace(case.policy, **own))
            made += not whole(changed, role).faults
    assert made, "nothing at all could be expanded"


@pytest.mark.parametrize(
    ("id", "platform", "manager", "method", "suffix"),
    [(id, *way) for id in sorted(PROVIDERS) for way in ways(id)],
)
def test_every_way_works_as_it_comes(id: str, platform: str, manager: str, method: str, suffix: str) -> None:
    if id == "falcon" and suffix == "msi":
        assert cover.expand(make(id, platform=platform, method=method, suffix="msi"), "replacement").faults
        return
    made = whole(make(id, platform=platform, manager=manager, method=method, suffix=suffix), "replacement")
    assert made.faults == ()
    if id != "none":
        assert made.cover
        compiles(make(id, platform=platform, manager=manager, method=method, suffix=suffix))


def compiles(case: Case) -> None:
    """The steps of replacement and fallback together become jobs."""
    parts = (cover.expand(case, "replacement"), cover.expand(case, "fallback"))
    found = [*(s for p in parts for s in p.stage), *(s for p in parts for s in p.cover)]
    unique = tuple({step.id: step for step in found}.values())
    plan = Plan(
        host="web1", machine="m", platform=case.platform, state="act", verdict="present", replacement="x", steps=unique
    )
    assert Plan.from_dict(plan.to_dict()) == plan
    for phase in ("stage", "commit"):
        job = compile_job(plan, phase)
        assert job.windows() if case.platform == "windows" else job.posix()


def test_without_a_fallback_there_is_nothing_to_fall_back_to() -> None:
    case = make("clamav")
    for fallback in (None, PROVIDERS["none"]):
        made = cover.expand(dataclasses.replace(case, fallback=fallback), "replacement")
        assert {step.on_fail for step in made.cover} == {"continue"}
    with_one = cover.expand(dataclasses.replace(case, fallback=PROVIDERS["existing"]), "replacement")
    assert {step.on_fail for step in with_one.cover} == {"fallback"}


def test_no_provider_and_no_platform() -> None:
    case = cases.case("linux", products=(), replacement=None, fallback=PROVIDERS["defender_av"])
    assert cover.expand(case, "replacement") == Cover((), (), ())
    assert cover.expand(case, "fallback").faults == ("defender_av is not for linux, only for windows",)


def test_an_unknown_package_manager_is_a_fault() -> None:
    case = make("clamav")
    probes = {**case.seen.probes, "manager": dataclasses.replace(case.seen.probes["manager"], records=(), reason="cut")}
    blind = dataclasses.replace(case, seen=dataclasses.replace(case.seen, probes=probes))
    assert cover.expand(blind, "replacement").faults[0] == "clamav: the host's package manager is not known (cut)"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (Source(method="url", location="https://x.example/a.deb"), "needs its SHA-256"),
        (Source(method="url", location="https://x.example/a.deb", sha256=HASH.upper()), "needs its SHA-256"),
        (Source(method="url", location="https://x.example/", sha256=HASH), "needs a name"),
        (Source(method="file", location="/srv/a.rpm", sha256=HASH), "a.rpm is no file for deb"),
    ],
)
def test_a_file_has_hash_name_and_family(source: Source, said: str) -> None:
    case = make("sentinelone")
    policy = dataclasses.replace(case.policy, replacement_source=source)
    assert any(said in f for f in cover.expand(dataclasses.replace(case, policy=policy), "replacement").faults)


def test_a_file_must_be_given_where_there_is_no_repository() -> None:
    faults = cover.expand(make("falcon"), "replacement").faults
    assert faults == (
        "falcon comes by url, file, host_file: it has no repository, a source must be given (evict_replacement_source)",
    )


def test_versions_are_pinned_in_the_manager_s_way() -> None:
    for manager, pinned in (("apt", "mdatp=101.1"), ("dnf", "mdatp-101.1"), ("zypper", "mdatp=101.1")):
        case = make("mde_linux", manager=manager)
        policy = dataclasses.replace(case.policy, replacement_source=Source(method="repository", version="101.1"))
        made = steps(cover.expand(dataclasses.replace(case, policy=policy), "replacement"))
        assert made["stage.mde_linux.install-packages"].args["packages"] == (pinned,)


def test_endpoints_are_known_before_the_host() -> None:
    def reach(id: str, **settings: t.Any) -> tuple[str, ...]:
        policy = Policy(replacement_settings=settings)
        platform = next(iter(PROVIDERS[id].platforms))
        return cover.endpoints(policy, PROVIDERS[id], platform, "replacement")

    assert reach("clamav") == ("database.clamav.net:443",)
    assert reach("clamav", updates="mirror", database_mirror="http://m.example/c") == ("m.example:80",)
    own = ["file:///srv/x.ndb", "https://[2001:db8::1]:8443/x.ndb"]
    assert reach("clamav", updates="custom", database_urls=own) == ("[2001:db8::1]:8443",)
    assert reach("package", reach=["b.example:443", "a.example:8080"]) == ("a.example:8080", "b.example:443")
    assert reach("none") == ()
    assert cover.endpoints(Policy(), PROVIDERS["falcon"], "macos", "replacement") == ()


def test_detection_follows_the_settings() -> None:
    for on, method in ((False, "eicar_on_demand"), (True, "eicar_on_access")):
        case = make("clamav", settings={"on_access": on, "on_access_paths": ["/srv"]})
        filled = case.values("replacement", PROVIDERS["clamav"])
        assert cover.detection(PROVIDERS["clamav"], filled)[0] == method
    assert cover.detection(PROVIDERS["falcon"], {})[0] == "console_only"


# ---- templates


def test_lines_and_lists() -> None:
    values: dict[str, t.Any] = {"list": ("a", "b"), "empty": (), "one": "x", "nothing": ""}
    assert templates.text("a ${one}\nb ${list}\nc ${empty}\nd ${nothing}\ne\n", values) == "a x\nb a\nb b\ne\n"
    assert templates.text("${nothing}", values) is None
    assert templates.items(["${list}", "-x", "${nothing}", "--y=${one}"], values) == ("a", "b", "-x", "--y=x")
    assert templates.text("${one|json}", {"one": 'a"b'}) == '"a\\"b"'
    with pytest.raises(templates.TemplateError, match="has no value"):
        templates.text("${other}", values)
    with pytest.raises(templates.TemplateError, match="are lists"):
        templates.text("${list} ${empty}", values)
    with pytest.raises(templates.TemplateError, match="line break"):
        templates.text("${one}", {"one": "a\nb"})


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("https://a.example/x", "a.example:443"),
        ("http://a.example:81", "a.example:81"),
        ("file:///x", ""),
        ("/x", ""),
        ("http://a:b:c/", ""),
    ],
)
def test_endpoint_of_an_address(value: str, shown: str) -> None:
    assert templates.endpoint(value) == shown
