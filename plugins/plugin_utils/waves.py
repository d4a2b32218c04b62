# SPDX-License-Identifier: GPL-3.0-or-later
"""Waves: their sizes for Ansible, and the turns of hosts that must not be changed at the same time. Pure."""

from __future__ import annotations

import typing as t
from collections.abc import Callable, Sequence

from . import policy_checks
from .policy import Policy

WHOLE: t.Final = "100%"


def serial(value: object, *, dry: bool = False) -> list[int | str]:
    """What the keyword `serial` is to be.

    Args:
        value: `evict_waves` as a user gave it; empty for its default.
        dry: nothing is changed, so all hosts are one wave.

    Raises:
        Refused: it names no sizes.
    """
    empty = value is None or (
        isinstance(value, (str, list, tuple)) and not (value.strip() if isinstance(value, str) else value)
    )
    sizes = Policy().waves if empty else policy_checks.waves(value)
    return [WHOLE] if dry else list(sizes)


def turn(host: str, batch: Sequence[str], group: Callable[[str], str]) -> int:
    """The turn of a host: how many hosts of its exclusive group stand before it in the wave.

    Args:
        host: inventory name.
        batch: the hosts of the wave, in order.
        group: says the exclusive group of a host, empty for none. Hosts without a group cost nobody a look at others.
    """
    own = group(host)
    if not own or host not in batch:
        return 0
    return sum(group(name) == own for name in batch[: batch.index(host)])
