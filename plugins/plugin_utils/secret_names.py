# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets by name: which ones a host's plan may need, and the form each is handed over in. No value is kept here."""

from __future__ import annotations

import dataclasses
import difflib
import typing as t
from collections.abc import Callable, Iterable, Mapping

from .catalog import Entry
from .policy_types import SecretRef
from .provider import Provider

# `yes`: nothing works without it. `when locked`: only where the product asks for a password. `optional`: never a reason
# to stop.
Required = t.Literal["yes", "when locked", "optional"]
UNKNOWN: t.Final = "unknown"  # the format of a secret of which nobody knows how the product wants it


class SecretFormError(ValueError):
    """A secret cannot be brought into the form it is needed in; the text says why, without the value."""


@dataclasses.dataclass(frozen=True)
class Need:
    """A secret that a plan may need.

    Attributes:
        owner: id of the product or provider.
        name: as in `evict_secrets`.
        format: a key of FORMATS, or UNKNOWN: the user must say.
        used_for: what it is for, in words.
        required: how much depends on it.
    """

    owner: str
    name: str
    format: str
    used_for: str
    required: Required

    @property
    def id(self) -> str:
        """`owner.NAME`, as plans and jobs name it."""
        return f"{self.owner}.{self.name}"


def needed(
    entries: Iterable[Entry], replacement: Provider | None, fallback: Provider | None, platform: str = ""
) -> tuple[Need, ...]:
    """The secrets a plan may need.

    Args:
        entries: products that would be removed.
        replacement, fallback: the providers; None where there is none.
        platform: of the host; a secret that no step of a provider uses there is left out. Empty: all of them.

    Returns:
        Each once, products first, in their order; then the replacement's and the fallback's.
    """
    found: dict[str, Need] = {}
    for entry in entries:
        for secret in entry.secrets:
            need = Need(entry.id, secret.name, secret.format, secret.used_for, "when locked")
            found.setdefault(need.id, need)
    for provider in (replacement, fallback):
        for own in provider.secrets if provider is not None else ():
            if provider is None or not _used(provider, own.name, platform):
                continue
            need = Need(provider.id, own.name, own.format, own.used_for, "yes" if own.required else "optional")
            found.setdefault(need.id, need)
    return tuple(found.values())


def _used(provider: Provider, name: str, platform: str) -> bool:
    if not platform:
        return True
    there = provider.platforms.get(platform)
    return there is not None and any(name in step.secrets.values() for step in (*there.stage, *there.cover))


def strangers(
    secrets: Mapping[str, Mapping[str, SecretRef]], entries: Iterable[Entry], providers: Iterable[Provider]
) -> tuple[str, ...]:
    """What `evict_secrets` names and neither a product nor a provider has, so that a typing mistake is no silent gap.

    Args:
        secrets: of the policy.
        entries: the whole catalog.
        providers: all providers.

    Returns:
        A text with a remedy for each. Names only, never what stands behind them.
    """
    if not secrets:
        return ()
    known: dict[str, set[str]] = {}
    for owner, name in (
        *((entry.id, secret.name) for entry in entries for secret in entry.secrets),
        *((provider.id, secret.name) for provider in providers for secret in provider.secrets),
    ):
        known.setdefault(owner, set()).add(name)
    said = []
    for owner in sorted(secrets):
        if owner not in known:
            hint = _near(owner, known) or f"known are {', '.join(sorted(known))}"
            said.append(f"`evict_secrets` names {owner[:60]!r}, which takes no secret; {hint}")
            continue
        for name in sorted(set(secrets[owner]) - known[owner]):
            hint = _near(name, known[owner]) or f"known are {', '.join(sorted(known[owner]))}"
            said.append(f"`evict_secrets` names {name[:60]!r}, which {owner} does not take: {hint}")
    return tuple(said)


def _near(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known), 1)
    return f"did you mean `{near[0]}`?" if near else ""


def _plain(value: str) -> str:
    if "\0" in value:
        raise SecretFormError("it holds a NUL character, which no program takes")
    value.encode("utf-8")
    return value


def _utf16le_hex(value: str) -> str:
    if "\n" in value or "\r" in value:
        raise SecretFormError("it holds a line break, which cannot be part of a password of the product")
    return _plain(value).encode("utf-16-le").hex()


# How a secret is handed over -> from its plain text. The plain text is what a user gives, whatever the form.
FORMATS: t.Final[Mapping[str, Callable[[str], str]]] = {"plain": _plain, "utf16le_hex": _utf16le_hex}


def form(need: Need, ref: SecretRef | None) -> str:
    """The format of a secret: the one the user gives, else that of the catalog or the provider.

    Raises:
        SecretFormError: nobody says which, or it is none of FORMATS.
    """
    name = (ref.format if ref is not None else "") or need.format
    if name == UNKNOWN:
        raise SecretFormError(
            f"nobody knows in which form {need.owner} takes it: try it on a lab host, and add `format:` "
            f"({' or '.join(FORMATS)}) to {need.id} in `evict_secrets`"
        )
    if name not in FORMATS:
        raise SecretFormError(f"its format must be one of: {', '.join(FORMATS)}")
    return name


def encode(value: str, format: str) -> str:
    """Bring the plain text of a secret into its format.

    Args:
        value: the plain text.
        format: a key of FORMATS.

    Raises:
        SecretFormError: it cannot be, or there is no such format. The text does not hold the value.
    """
    if format not in FORMATS:
        raise SecretFormError(f"its format must be one of: {', '.join(FORMATS)}")
    try:
        return FORMATS[format](value)
    except UnicodeError:
        # `from None`: the original error quotes the value.
        raise SecretFormError("it holds characters that are no text (lone surrogates)") from None
