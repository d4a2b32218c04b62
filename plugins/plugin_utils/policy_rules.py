# SPDX-License-Identifier: GPL-3.0-or-later
"""What the variables of a user must be to each other, to the providers and to the catalog."""

from __future__ import annotations

import datetime
import typing as t
from collections.abc import Collection, Iterator, Mapping

from .policy_checks import Mistake, did_you_mean, shown
from .policy_values import PLATFORMS, secret_settings, settings_of
from .provider import Provider

Fields = dict[str, t.Any]
Found = Iterator[tuple[str, Mistake]]  # field, what is wrong with it
FALLBACKS: t.Final[Mapping[str, str]] = {"linux": "clamav", "windows": "defender_av"}
NONE: t.Final = "none"
ROLES: t.Final = ("replacement", "fallback")


def judge(
    fields: Fields,
    *,
    providers: Mapping[str, Provider] | None,
    products: Collection[str] | None,
    platform: str,
    now: datetime.datetime,
    broken: Collection[str] = (),
) -> Found:
    """Check fields against each other, and fill in what follows from them.

    Args:
        fields: fields of the policy that passed their own checks; the others are missing. Changed in place.
        providers: all there are, by id; None when they are not known here.
        products: ids of the catalog; None when they are not known here.
        platform: of the host, empty when it is not known yet; settings of the others need not be complete then.
        now: the time; windows must not all be over.
        broken: fields that did not pass their own check, of which nothing more is to be said.

    Yields:
        Field and mistake.
    """
    for role in ROLES:
        yield from _providers(fields, role, providers)
    yield from _fallback(fields, providers)
    for role in ROLES:
        yield from _settings(fields, role, providers, platform)
        yield from _methods(fields, role, providers)
    yield from _owners(fields, providers, products)
    windows = fields.get("windows", ())
    if windows and all(window.end <= now for window in windows):
        last = max(window.end for window in windows)
        yield "windows", Mistake("must hold a window that is not over yet", shown=f"over since {last.isoformat()}")
    if fields.get("reboot") == "window" and not windows and "windows" not in broken:
        yield "reboot", Mistake("is `window`, so `evict_windows` must say when", shown="'window'")


def _providers(fields: Fields, role: str, providers: Mapping[str, Provider] | None) -> Found:
    """One id for all platforms becomes a mapping; ids must be known, and for their platform."""
    given = fields.get(role, {})
    ids = {given} - {""} if isinstance(given, str) else set(given.values())
    unknown = sorted(ids - set(providers)) if providers is not None else []
    for name in unknown:
        hint = did_you_mean(name, providers or (), f"known are {', '.join(providers or ())}")
        yield role, Mistake(f"must name a provider, and {name!r} is none: {hint}")
    if isinstance(given, str):
        where = [p for p in PLATFORMS if providers is None or (given in providers and p in providers[given].platforms)]
        fields[role] = dict.fromkeys(where, given) if given and not unknown else {}
        return
    for where_, name in given.items():
        if providers is not None and name in providers and where_ not in providers[name].platforms:
            others = ", ".join(sorted(p.id for p in providers.values() if where_ in p.platforms))
            yield role, Mistake(f"must name a provider for {where_}: known are {others}", (where_,), shown(name))


def _fallback(fields: Fields, providers: Mapping[str, Provider] | None) -> Found:
    """The fallback is another one than the replacement; where nobody names it, it is the platform's own."""
    replacement, fallback = fields.get("replacement", {}), dict(fields.get("fallback", {}))
    for platform, name in replacement.items():
        default = FALLBACKS[platform]
        if fallback.get(platform) == name:
            words = f"must be another provider than the replacement on {platform}"
            if name == NONE:
                words = f"must be left out on {platform}, where the replacement is `none`"
            yield "fallback", Mistake(words, (platform,), shown(name))
        elif platform not in fallback and name not in (default, NONE) and (providers is None or default in providers):
            fallback[platform] = default
    if fallback:
        fields["fallback"] = fallback


def _settings(fields: Fields, role: str, providers: Mapping[str, Provider] | None, platform: str) -> Found:
    field = f"{role}_settings"
    given = fields.get(field, {})
    chosen = fields.get(role, {})
    if providers is None:
        for mistake in secret_settings(given, (), ()):
            yield field, mistake
        return
    known = {p: providers[name] for p, name in chosen.items() if name in providers}
    if not known:
        if given and not chosen:
            yield field, Mistake(f"has no provider to go to: name it in `evict_{role}`")
        return
    everybody = list({provider.id: provider for provider in known.values()}.values())
    needing = [p for p in everybody if not platform or known.get(platform) is p]
    made, mistakes = settings_of(given, everybody, needing)
    fields[field] = made
    for mistake in mistakes:
        yield field, mistake


def _methods(fields: Fields, role: str, providers: Mapping[str, Provider] | None) -> Found:
    """Where it comes from must be a way that the provider knows on one of the platforms it is for."""
    field = f"{role}_source"
    source = fields.get(field)
    if source is None or providers is None:
        return
    chosen = {p: name for p, name in fields.get(role, {}).items() if name in providers}
    known = [providers[name].platforms[p].methods for p, name in chosen.items() if p in providers[name].platforms]
    there = sorted({method for methods in known for method in methods})
    if known and source.method not in there:
        ids = " and ".join(sorted(map(repr, set(chosen.values()))))
        has = f"known there are {', '.join(there)}" if there else "nothing has to come there, leave it out"
        yield field, Mistake(f"must be a way {ids} can come: {has}", ("method",), shown(source.method))


def _owners(fields: Fields, providers: Mapping[str, Provider] | None, products: Collection[str] | None) -> Found:
    """Secrets belong to products and providers that exist, and to secrets a provider knows."""
    if providers is None or products is None:
        return
    for owner, names in fields.get("secrets", {}).items():
        if owner not in providers and owner not in products:
            hint = did_you_mean(owner, (*providers, *products), "see docs/catalog.md for products")
            yield "secrets", Mistake(f"must have ids of products or providers as its names: {hint}", (owner,))
        elif owner in providers and owner not in products:
            known = [secret.name for secret in providers[owner].secrets]
            for name in names:
                if name not in known:
                    hint = did_you_mean(name, known, f"it has {', '.join(known) or 'none'}")
                    yield "secrets", Mistake(f"is no secret of {owner!r}: {hint}", (owner, name))


def missing(fields: Mapping[str, t.Any], broken: Collection[str] = ()) -> Found:
    """What a plan needs and an audit does not.

    Args:
        fields: of the policy, defaults filled in.
        broken: fields that did not pass their own check, of which nothing more is to be said.
    """
    replacement, fallback, consent = fields["replacement"], fields["fallback"], fields["consent"]
    if "replacement" in broken:
        return
    if not replacement:
        words = (
            "must say what protects the hosts afterwards: the id of a provider; `existing` for one that is there "
            "already, or `none` with the consent `unprotected`"
        )
        yield "replacement", Mistake(words, shown="not given")
    if "fallback" not in broken:
        for platform, name in replacement.items():
            if name != NONE and platform not in fallback:
                words = f"must be named for {platform}, since the usual one, `{FALLBACKS[platform]}`, is "
                words += "the replacement" if name == FALLBACKS[platform] else "not there"
                yield "fallback", Mistake(words, (platform,), "not given")
    if "consent" not in broken and "unprotected" not in consent:
        for role in ROLES:
            if role not in broken and NONE in fields[role].values():
                words = f"must hold `unprotected`, since `evict_{role}` is `none`: give it with -e or in a survey"
                yield "consent", Mistake(words, shown=shown(consent))
