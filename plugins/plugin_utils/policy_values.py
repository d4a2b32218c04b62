# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the settings of a user that have parts: where a replacement comes from, its settings, secrets, windows."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import re
import typing as t
from collections.abc import Collection, Mapping

from .policy_checks import (
    SECRET_NAME,
    Mistake,
    Refused,
    did_you_mean,
    kind_of,
    label,
    line,
    mapping,
    one_of,
    refused,
    shown,
    structured,
    switch,
    url,
    within,
)
from .policy_types import Window
from .provider import Method, Provider, Setting, Source

PLATFORMS: t.Final = ("linux", "windows")
METHODS: t.Final[tuple[Method, ...]] = t.get_args(Method)
HASHED: t.Final = frozenset({"url", "share", "file", "host_file"})  # nobody else checks what these bring
_SETTING: t.Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}\Z")
ID: t.Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}\Z")
WINDOWS_PATH: t.Final = re.compile(r"[A-Za-z]:[\\/]|\\\\[^\\/?.]")
_HASHES: t.Final[Mapping[int, str]] = {32: "MD5", 40: "SHA-1", 96: "SHA-384", 128: "SHA-512"}
_SHARE: t.Final = re.compile(r"\\\\[A-Za-z0-9._-]+(@SSL)?(@[0-9]+)?(\\[^\\/:*?\"<>|]+){2,}\Z")


def provider_ids(value: object) -> Mapping[str, str] | str:
    """One provider for all platforms, as a text, or a mapping from platform to provider."""
    value = structured(value)
    if isinstance(value, str):
        return "" if not value.strip() else _provider_id(value.strip())
    if not isinstance(value, Mapping):
        words = "must be the name of a provider, or a mapping such as `{linux: clamav, windows: defender_av}`"
        raise refused(words, value)
    mistakes: list[Mistake] = []
    found: dict[str, str] = {}
    for platform, given in value.items():
        if platform not in PLATFORMS:
            hint = did_you_mean(str(platform), PLATFORMS, "known are linux and windows")
            mistakes.append(Mistake(f"has {label(platform)!r}, which is no platform: {hint}", (label(platform),)))
        elif (made := within(platform, given, _provider_id, mistakes)) is not None:
            found[str(platform)] = made
    if mistakes:
        raise Refused(mistakes)
    return found


def _provider_id(value: object) -> str:
    text = line(value).strip()
    if not ID.match(text):
        raise refused("must be the name of a provider: lower-case letters, digits, `_` and `-`", value)
    return text


def absolute(value: object) -> str:
    """An absolute path of a host, POSIX or Windows."""
    text = line(value)
    if not text.startswith("/") and not WINDOWS_PATH.match(text):
        raise refused("must be an absolute path, such as `/srv/x` or `C:\\x`", value)
    return text


# ---- where a replacement comes from


def source(value: object) -> Source | None:
    """A source; None for the provider's own repository."""
    if value is None:
        return None
    given = mapping(value)
    if not given:
        return None
    fields = [field.name for field in dataclasses.fields(Source)]
    mistakes = [
        Mistake(
            f"has no {label(key)!r}: "
            + (
                "a secret belongs into `evict_secrets`, by name"
                if SECRET_NAME.search(str(key)) and key not in fields
                else did_you_mean(str(key), fields, f"known are {', '.join(fields)}")
            )
        )
        for key in given
        if key not in fields
    ]
    if "method" not in given:
        mistakes.append(Mistake(f"must say how it comes, as `method`: one of {', '.join(METHODS)}"))
    made: dict[str, t.Any] = {}
    for key, check in (
        ("method", one_of(METHODS, "a way by which files come")),
        ("sha256", _sha256),
        ("signer", line),
        ("name", _file_name),
        ("version", _version),
    ):
        if key in given:
            made[key] = within(key, given[key], check, mistakes)
    if method := made.get("method"):
        if "location" in given:
            made["location"] = within("location", given["location"], lambda v: _location(method, v), mistakes)
        mistakes += _rules(method, given)
    if mistakes:
        raise Refused(mistakes)
    return Source(**made)


def _rules(method: str, given: Mapping[t.Any, t.Any]) -> list[Mistake]:
    """What goes together with a method."""
    found = []
    if method in HASHED and not given.get("sha256"):
        found.append(Mistake(f"must give `sha256`, the hash of the file, with the method {method!r}", ("sha256",)))
    if method not in HASHED:
        found += [
            Mistake(f"must be left out with the method {method!r}: the package manager checks what it fetches", (key,))
            for key in ("sha256", "name")
            if given.get(key)
        ]
    if method == "repository" and given.get("location"):
        words = "must be left out with the method 'repository', which takes what the host has; use 'mirror' for another"
        found.append(Mistake(words, ("location",)))
    if method != "repository" and not given.get("location"):
        found.append(Mistake(f"must be given with the method {method!r}", ("location",)))
    if method in ("url", "share", "file", "host_file") and given.get("version"):
        words = f"must be left out with the method {method!r}: the file has the version it has"
        found.append(Mistake(words, ("version",)))
    return found


def _location(method: str, value: object) -> str:
    text = line(value).strip()
    if not text or method == "repository":
        return text  # the rules say what is missing or too much
    if method == "url":
        return url(text)
    if method == "mirror":
        return url(text, ("http", "https", "file"))
    if method == "share":
        path = text.replace("/", "\\")
        if not _SHARE.match(path):
            raise refused("must be a file on a share, such as `\\\\server\\share\\file`, without a login")
        return path
    if "://" in text:
        raise refused(f"must be a path, not an address; an address goes with the method 'url', not with {method!r}")
    return absolute(text) if method == "host_file" else text


def _sha256(value: object) -> str:
    if not isinstance(value, str):
        raise refused("must be a text of 64 hexadecimal digits, in quotes", value)
    text = value.strip().lower().removeprefix("sha256:")
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        other = _HASHES.get(len(text)) if re.fullmatch(r"[0-9a-f]+", text) else None
        hint = f", and this looks like {other}" if other else f", and this has {len(text)} characters"
        raise refused(f"must be 64 hexadecimal digits{hint}", value)
    return text


def _file_name(value: object) -> str:
    text = line(value)
    if text and (
        re.search(r"[/\\:*?\"<>|\x00-\x1f]", text) or text in (".", "..") or text[0] in " -" or len(text) > 200
    ):
        raise refused("must be the name of a file without a folder", value)
    return text


def _version(value: object) -> str:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        raise refused("must be a text: put it in quotes, since YAML takes 1.10 for 1.1", value)
    text = line(value).strip()
    if text and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.+:~_-]{0,99}", text):
        raise refused("must be a version as the package manager writes it", value)
    return text


# ---- settings of a provider


def settings(value: object) -> Mapping[str, t.Any]:
    """Settings as far as they can be checked without their provider: names, and plain values under them."""
    given = mapping(value)
    mistakes: list[Mistake] = []
    for key, item in given.items():
        if not isinstance(key, str) or not _SETTING.match(key):
            mistakes.append(Mistake("must have names of letters, digits and `_`", (label(key),)))
            continue
        plain = (str, bool, int, float)
        if not isinstance(item, plain) and not (
            isinstance(item, (list, tuple)) and all(isinstance(i, plain) for i in item)
        ):
            mistakes.append(
                Mistake(f"must be a text, a number, a switch or a list of them, it is {kind_of(item)}", (key,))
            )
    if mistakes:
        raise Refused(mistakes)
    return {str(key): list(item) if isinstance(item, tuple) else item for key, item in given.items()}


def secret_settings(given: Mapping[str, t.Any], declared: Collection[str], secrets: Collection[str]) -> list[Mistake]:
    """Settings that by their name are secrets: they would stand in plans, reports and logs."""
    lowered = {secret.lower() for secret in secrets}
    return [
        Mistake("must name the secret, not hold it: it belongs into `evict_secrets`, by name", (key,))
        for key in given
        if key not in declared and (key.lower() in lowered or SECRET_NAME.search(key))
    ]


def settings_of(
    given: Mapping[str, t.Any], chosen: Collection[Provider], needing: Collection[Provider]
) -> tuple[dict[str, t.Any], list[Mistake]]:
    """Check settings against what the chosen providers declare.

    Args:
        given: as the user gave them.
        chosen: all providers they may be for; a name that one of them has is known.
        needing: those of them whose required settings must be there.

    Returns:
        The settings in their types, and what is wrong with them.
    """
    declared: dict[str, Setting] = {name: s for provider in chosen for name, s in provider.settings.items()}
    secrets = [secret.name for provider in chosen for secret in provider.secrets]
    mistakes = secret_settings(given, declared, secrets)
    hidden = {m.place[0] for m in mistakes}
    made: dict[str, t.Any] = {}
    who = " and ".join(sorted({repr(provider.id) for provider in chosen}))
    for name, value in given.items():
        if name in hidden:
            continue
        if name not in declared:
            has = f"it has {', '.join(declared)}" if declared else "it has none"
            mistakes.append(Mistake(f"is no setting of {who}: {did_you_mean(name, declared, has)}", (name,)))
        else:
            made[name] = within(name, value, functools.partial(_setting, declared[name]), mistakes)
    for provider in needing:
        mistakes += [
            Mistake(f"must be given for {provider.id!r}: {' '.join(setting.description.split())}", (name,))
            for name, setting in provider.settings.items()
            if setting.required and given.get(name) in (None, "", [])
        ]
    return made, mistakes


def _setting(setting: Setting, value: t.Any) -> t.Any:
    """A value in the type of its setting. Free texts are not shown: a secret may stand in any wrong place."""
    try:
        return _typed(setting, value)
    except Refused as exc:
        if setting.type in ("number", "switch", "choice"):
            raise
        raise Refused(dataclasses.replace(mistake, shown="") for mistake in exc.mistakes) from None


def _typed(setting: Setting, value: t.Any) -> t.Any:
    if setting.type == "switch":
        return switch(value)
    if setting.type == "number":
        if isinstance(value, str) and re.fullmatch(r"\s*-?[0-9]{1,12}\s*", value):
            return int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise refused("must be a whole number", value)
        return value
    if setting.type == "list":
        found = re.split(r"\s*,\s*", value.strip()) if isinstance(value, str) else value
        if not isinstance(found, (list, tuple)):
            raise refused("must be a list of texts", value)
        return [_formed(setting, line(item)) for item in found if item != ""]
    if setting.type == "choice":
        return one_of(setting.choices, "one of the choices")(value)
    if setting.type in ("url", "path") and value != "":
        return url(value) if setting.type == "url" else absolute(value)
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else line(value)
    return _formed(setting, text)


def _formed(setting: Setting, text: str) -> str:
    if text and setting.pattern and not re.fullmatch(setting.pattern, text):
        raise refused(f"must have the form {setting.pattern!r}: {' '.join(setting.description.split())}")
    return text


# ---- maintenance windows


def windows(value: object) -> tuple[Window, ...]:
    """Windows; one mapping counts as a list of one, and a text as `start/end` between commas."""
    value = structured(value) if isinstance(value, str) and "start" in value else value
    if isinstance(value, Mapping):
        value = [value] if value else []
    if isinstance(value, str):
        value = [
            dict(zip(("start", "end"), part.split("/"), strict=False)) for part in re.split(r"[\s,]+", value) if part
        ]
    if not isinstance(value, (list, tuple)):
        words = "must be a list of windows such as `{start: '2030-01-05T22:00:00+01:00', end: ...}`"
        raise refused(words, value)
    mistakes: list[Mistake] = []
    found = [within(index, item, _window, mistakes) for index, item in enumerate(value)]
    if mistakes:
        raise Refused(mistakes)
    return tuple(window for window in found if window is not None)


def _window(value: object) -> Window:
    if not isinstance(value, Mapping) or set(value) != {"start", "end"}:
        raise refused("must have exactly `start` and `end`, such as `2030-01-05T22:00:00+01:00`", value)
    mistakes: list[Mistake] = []
    start = within("start", value["start"], _time, mistakes)
    end = within("end", value["end"], _time, mistakes)
    if start is not None and end is not None and end <= start:
        mistakes.append(Mistake("must be after `start`", ("end",), shown(str(value["end"]))))
    if start is None or end is None or mistakes:
        raise Refused(mistakes)
    return Window(start, end)


def _time(value: object) -> datetime.datetime:
    words = "must be a time with its offset from UTC, such as `2030-01-05T22:00:00+01:00` or `2030-01-05T21:00:00Z`"
    read = value
    if isinstance(read, str):
        try:
            read = datetime.datetime.fromisoformat(read.strip())
        except ValueError:
            raise refused(words, value) from None
    if not isinstance(read, datetime.datetime) or read.tzinfo is None:
        raise refused(words, str(value) if isinstance(value, (datetime.date, datetime.datetime)) else value)
    try:
        return read.astimezone(datetime.UTC)
    except (OverflowError, ValueError):
        raise refused(words, str(value)) from None
