# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host is asked for a plan: what the providers need, and nothing that nobody needs."""

from __future__ import annotations

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import knowledge, preflight
from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy import Policy
from ansible_collections.evict.kaspersky.plugins.plugin_utils.provider import (
    Founded,
    Provider,
    ProviderPlatform,
    Source,
)

CATALOG = knowledge.catalog()
OWN = ProviderPlatform(
    families=("deb", "rpm"),
    methods=("repository", "mirror", "url", "share", "file"),
    packages={"deb": ("av", "av-daemon"), "rpm": ("av",), "zypper": ("av-suse",)},
    marks={"endpoints": (Founded(("console.example:443",), "V", ("x",)),)},
)


def provider(kind: str = "av", own: ProviderPlatform = OWN) -> Provider:
    return Provider(
        id="x",
        name="X",
        kind=kind,  # type: ignore[arg-type]  # each kind is tried
        description="",
        counts_as_protection=True,
        detection="none",
        detection_reason="",
        platforms={"linux": own, "windows": own},
        settings={},
        secrets=(),
        sources={},
    )


def ask(
    policy: Policy, replacement: Provider | None, fallback: Provider | None = None, platform: str = "linux"
) -> dict[str, list[str]]:
    return preflight.ask(policy, replacement, fallback, CATALOG, platform, 5986)


@pytest.mark.parametrize("kind", ["existing", "none"])
def test_a_provider_that_brings_nothing_asks_for_nothing(kind: str) -> None:
    found = ask(Policy(proxy="http://proxy.example:3128"), provider(kind))
    assert (found["endpoints"], found["packages"], found["proxy"]) == ([], [], [])


def test_packages_of_each_manager_and_endpoints() -> None:
    found = ask(Policy(), provider("none"), provider())
    assert found["packages"] == ["apt:av", "apt:av-daemon", "dnf:av", "yum:av", "zypper:av-suse"]
    assert found["endpoints"] == ["console.example:443"]
    assert found["proxy"] == []


@pytest.mark.parametrize(
    ("source", "endpoint"),
    [
        (Source(method="url", location="https://files.example/x.deb"), "files.example:443"),
        (Source(method="mirror", location="http://mirror.example:8080/d"), "mirror.example:8080"),
        (Source(method="share", location=r"\\server\share\x.msi"), "server:445"),
        (Source(method="mirror", location="file:///srv/d"), ""),
        (Source(method="file", location="/home/x.deb"), ""),
    ],
)
def test_where_files_come_from(source: Source, endpoint: str) -> None:
    found = ask(Policy(replacement_source=source), provider())
    assert found["endpoints"] == sorted(["console.example:443", *([endpoint] if endpoint else [])])
    assert found["packages"] == [], "only the host's own repositories offer packages"


def test_a_proxy_is_asked_instead() -> None:
    source = Source(method="share", location=r"\\server\share\x.msi")
    found = ask(Policy(proxy="http://proxy.example:3128", replacement_source=source), provider())
    assert found["proxy"] == ["proxy.example:3128"]
    assert found["endpoints"] == ["console.example:443"]


def test_stores_and_trees_are_the_catalog_s() -> None:
    found = ask(Policy(), None)
    stores = [store.partition("!") for store in found["stores"]]
    assert "/var/opt/kaspersky/kesl/private/storage" in [place for place, _, _ in stores]
    assert {"/opt/kaspersky", "/var/opt/kaspersky", "/etc/opt/kaspersky"} <= set(found["trees"])
    inside = [t for t in found["trees"] if any(t.startswith(f"{other}/") for other in found["trees"])]
    assert inside == []
    never = {n.target for e in CATALOG.for_platform("linux") for n in e.never_touch}
    assert {place for place, _, _ in stores} <= never


def test_windows_gets_its_own_keys() -> None:
    found = ask(Policy(), provider(), platform="windows")
    assert set(found) == set(preflight.KEYS["windows"])
    assert found["ports"] == ["5986"]
    assert any("Password Manager" in path for path in found["vaults"])


def test_a_mac_is_asked_nothing() -> None:
    assert ask(Policy(), provider(), platform="macos") == {}
