# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host is asked besides when a plan is to be made: the literals of the preflight probes."""

from __future__ import annotations

import contextlib
import re
import typing as t
from collections.abc import Iterator

from . import asking, cover, filling, paths, templates
from .catalog import Catalog
from .policy import Policy
from .provider import Provider

# Platform -> the keys that its hand knows: `EVICT_PREFLIGHT_<KEY>` on Linux, options of the module on Windows.
KEYS: t.Final[dict[str, tuple[str, ...]]] = {
    "linux": ("endpoints", "proxy", "packages", "stores", "trees", "cover"),
    "macos": (),
    "windows": ("endpoints", "proxy", "ports", "stores", "vaults"),
}
_BRINGS_NOTHING: t.Final = ("existing", "none")
_SHARE: t.Final = re.compile(r"[\\/]{2}([^\\/]+)[\\/]")
# The catalog has no key for it; `why` says what a place that is never touched holds.
_VAULT: t.Final = re.compile(r"vault", re.IGNORECASE)


def ask(
    policy: Policy,
    replacement: Provider | None,
    fallback: Provider | None,
    catalog: Catalog,
    platform: str,
    port: int,
) -> dict[str, list[str]]:
    """The literals of the preflight probes.

    What nothing needs is not asked for: a provider that brings nothing needs no endpoint and no package.

    Args:
        policy: the settings of the run.
        replacement, fallback: the providers for the platform, None for none.
        catalog: knows the products' paths.
        platform: `linux`, `windows` or `macos`.
        port: of the management connection, 0 when it is not known.

    Returns:
        All KEYS of the platform, sorted, nothing twice; `packages` as `manager:name`, `endpoints` and `proxy` as
        `host:port`. `cover` are lines in their order: what tells whether the providers are healthy already.
    """
    chosen: tuple[tuple[filling.Role, Provider | None], ...] = (("replacement", replacement), ("fallback", fallback))
    brought = [
        (role, provider)
        for role, provider in chosen
        if provider is not None and provider.kind not in _BRINGS_NOTHING and platform in provider.platforms
    ]
    endpoints = {e for role, provider in brought for e in _endpoints(policy, provider, platform, role)}
    proxy = _address(policy.proxy)
    found: dict[str, set[str]] = {
        "endpoints": endpoints,
        "proxy": {proxy} if proxy and endpoints else set(),
        "packages": {p for role, provider in brought for p in _packages(policy, provider, platform, role)},
        "ports": {str(port)} if port else set(),
        "stores": places(catalog, platform)[0],
        "vaults": set(_never_touched(catalog, platform, _VAULT)),
        "trees": places(catalog, platform)[1],
    }
    rules = [
        line
        for role, provider in chosen
        if provider is not None and platform == "linux" and platform in provider.platforms
        for line in asking.health(policy, provider, role)
    ]
    return {key: rules if key == "cover" else sorted(found[key]) for key in KEYS.get(platform, ())}


_PLACES: t.Final[dict[tuple[str, str], tuple[set[str], set[str]]]] = {}


def places(catalog: Catalog, platform: str) -> tuple[set[str], set[str]]:
    """Stores and product paths of a platform. They are the same for all hosts: found once, at best before the fork."""
    key = (catalog.digest, platform)
    if key not in _PLACES:
        _PLACES[key] = (set(_stores(catalog, platform)), set(_trees(catalog, platform)))
    return _PLACES[key]


def _endpoints(policy: Policy, provider: Provider, platform: str, role: filling.Role) -> Iterator[str]:
    """What the provider says it needs, and where its files come from."""
    with contextlib.suppress(templates.TemplateError):  # the plan is told so by cover.expand, with the reason
        yield from cover.endpoints(policy, provider, platform, role)
    source, method = filling.source(policy, provider.platforms[platform], role)
    if source is None:
        return
    if method in ("url", "mirror"):
        if found := _address(source.location):
            yield found
    elif method == "share" and not policy.proxy and (match := _SHARE.match(source.location)):
        yield f"{match[1]}:445"  # a proxy carries no shares


def _address(url: str) -> str:
    return templates.endpoint(url) if url else ""


def _packages(policy: Policy, provider: Provider, platform: str, role: filling.Role) -> Iterator[str]:
    """What the host's own repositories must offer; the family is not known yet, so for each manager."""
    own = provider.platforms[platform]
    _source, method = filling.source(policy, own, role)
    if platform != "linux" or method != "repository":
        return
    for manager, family in asking.FAMILIES.items():
        names = filling.own(own.packages, family, manager) or ()
        try:
            filled = filling.values(provider, platform, policy, role, family=family, manager=manager)
            for name in templates.items(names, filled):
                yield f"{manager}:{name}"
        except templates.TemplateError:
            continue  # as above


def _stores(catalog: Catalog, platform: str) -> Iterator[str]:
    """Where quarantined objects lie, of products that can be removed: `path!name...`, without files of the names."""
    for entry in catalog.for_platform(platform):
        if not entry.generic and not entry.report_only:
            yield from ("!".join((item.target, *item.besides)) for item in entry.never_touch if item.store)


def _never_touched(catalog: Catalog, platform: str, why: re.Pattern[str]) -> Iterator[str]:
    """Places that hold what only a person may decide on, of products that can be removed."""
    for entry in catalog.for_platform(platform):
        if entry.generic or entry.report_only:
            continue
        for item in entry.never_touch:
            if item.kind == "path" and why.search(item.why):
                yield item.target


def _trees(catalog: Catalog, platform: str) -> Iterator[str]:
    """Where the products are: no path below another one."""
    own = {path for e in catalog.for_platform(platform) if not e.report_only for path in e.own_paths}
    if platform == "linux":
        yield from (p for p in own if not any(p != other and paths.posix_below(p, other) for other in own))
