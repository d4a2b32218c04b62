# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Linux host is asked of a replacement (services and programs of its health rule), and what came back.

Names differ between package managers, and which one a host has, only the host knows: it is given the questions of all
of them, each with the managers it is for, and puts its own.
"""

from __future__ import annotations

import contextlib
import typing as t
from collections.abc import Callable, Iterable, Mapping

from . import filling, templates
from .filling import Role
from .policy import Policy
from .provider import Provider, Value

FAMILIES: t.Final[Mapping[str, str]] = {"apt": "deb", "dnf": "rpm", "yum": "rpm", "zypper": "rpm"}
NO_MANAGER: t.Final = "-"
# Name -> the program and its arguments; a service has none.
Questions = Mapping[str, tuple[str, ...]]


def health(policy: Policy, provider: Provider, role: Role) -> list[str]:
    """The questions of a provider's health rule, as lines for the hand (docs/formats.md, section 3)."""
    return lines(policy, provider, role, _health)


def lines(
    policy: Policy, provider: Provider, role: Role, asks: Callable[[Provider, Mapping[str, Value]], Questions]
) -> list[str]:
    """Questions as lines: `=MANAGERS ROLE NAME` and, for a program, `+WORD` for it and each of its arguments.

    Args:
        policy, provider, role: whose; it must be there on Linux.
        asks: the questions under the values of one package manager.
    """
    found: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    # One that comes in packages is not asked on a host whose package manager nobody knows: its names would be missing.
    for manager in FAMILIES if provider.platforms["linux"].families else ("", *FAMILIES):
        # A setting that cannot be filled is told by cover.expand, with the reason.
        with contextlib.suppress(templates.TemplateError):
            family = FAMILIES.get(manager, "")
            filled = filling.values(provider, "linux", policy, role, family=family, manager=manager)
            for question in asks(provider, filled).items():
                found.setdefault(question, []).append(manager or NO_MANAGER)
    return [
        line
        for (name, words), managers in found.items()
        for line in (f"={','.join(managers)} {role} {name}", *(f"+{word}" for word in words))
    ]


def answers(records: Iterable[Mapping[str, str]], role: Role) -> tuple[dict[str, str], dict[str, str]]:
    """What the records of the probe `cover` say of one provider.

    Returns:
        Name -> the whole text, and name -> why there is none.
    """
    texts: dict[str, str] = {}
    faults: dict[str, str] = {}
    for record in records:
        if record.get("role") == role and (name := record.get("name", "")):
            texts[name] = texts.get(name, "") + record.get("text", "")
            if fault := record.get("fault", ""):
                faults.setdefault(name, fault)
    return texts, faults


def _health(provider: Provider, filled: Mapping[str, Value]) -> Questions:
    found: dict[str, tuple[str, ...]] = {f"service.{name}": () for name in filled["services"]}
    for name, answer in provider.platforms["linux"].health.get("answers", {}).items():
        if not templates.fits({key: tuple(value) for key, value in answer.get("when", {}).items()}, filled):
            continue
        if words := program(answer["ask"], filled):
            found[name] = words
    return found


def program(ask: Mapping[str, t.Any], filled: Mapping[str, Value]) -> tuple[str, ...]:
    """A program with its arguments; empty where it has no full path, or an argument would be a line of its own."""
    path = templates.text(ask.get("program", ""), filled) or ""
    words = (path, *templates.items(ask.get("arguments", ()), filled))
    return words if path.startswith("/") and not any(set(word) & {"\n", "\r", "\0"} for word in words) else ()
