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
