# SPDX-License-Identifier: GPL-3.0-or-later
"""Our own options among those of ansible-playbook, which pass through unchanged."""

from __future__ import annotations

from collections.abc import Sequence

from .errors import UsageError


def take(args: Sequence[str], name: str) -> tuple[str | None, list[str]]:
    """Take one option of ours, `--name VALUE` or `--name=VALUE`, out of a command line.

    Args:
        args: the command line; what stands behind `--` is not looked at.
        name: the option, with its dashes. Abbreviations are not ours: they may be an option of ansible-playbook.

    Returns:
        Its value (None when it is not there) and the rest.

    Raises:
        UsageError: it is there twice or without a value.
    """
    value: str | None = None
    rest: list[str] = []
    words = iter(args)
    for word in words:
        if word == "--":
            rest += [word, *words]
            break
        given = None
        if word == name:
            given = next(words, None)
            if given is None:
                raise UsageError(f"{name} needs a value")
        elif word.startswith(name + "="):
            given = word[len(name) + 1 :]
        else:
            rest.append(word)
            continue
        if value is not None:
            raise UsageError(f"{name} is given twice")
        if not given:
            raise UsageError(f"{name} needs a value")
        value = given
    return value, rest


def peek(args: Sequence[str], *names: str) -> list[str]:
    """The values of options of ansible-playbook, for messages; the command line is left as it is.

    Args:
        args: the command line.
        names: the option's names, short (`-i`) and long (`--inventory`).
    """
    found = []
    for number, word in enumerate(args):
        for name in names:
            if word == name and number + 1 < len(args):
                found.append(args[number + 1])
            elif name.startswith("--") and word.startswith(name + "="):
                found.append(word[len(name) + 1 :])
            elif not name.startswith("--") and word.startswith(name) and len(word) > len(name):
                found.append(word[len(name) :])
    return found
