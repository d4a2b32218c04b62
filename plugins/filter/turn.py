# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The filter `turn`: when a host of a wave is changed, so that of one exclusive group only one is at a time."""

from __future__ import annotations

import typing as t
from collections.abc import Callable, Mapping, Sequence

from ansible_collections.evict.kaspersky.plugins.plugin_utils import waves

DOCUMENTATION = r"""
name: turn
short_description: The turn of a host among those of its exclusive group
version_added: "0.1.0"
author: evict.kaspersky contributors (@evict-kaspersky)
description:
  - Hosts of a wave that have the same C(evict_exclusive_group) get different numbers, all others get V(0).
  - The role C(evict.kaspersky.remediate) changes hosts of different turns one after another, whole.
positional: _input
options:
  _input:
    description: Name of the host.
    type: str
    required: true
  batch:
    description: The hosts of the wave, C(ansible_play_batch).
    type: list
    elements: str
    required: true
  hostvars:
    description: The variables of all hosts.
    type: dict
    required: true
"""

EXAMPLES = r"""
loop: ["{{ inventory_hostname | evict.kaspersky.turn(ansible_play_batch, hostvars) }}"]
"""

RETURN = r"""
_value:
  description: Number of the turn, from 0.
  type: int
"""


def _turn(host: str, batch: Sequence[str], hostvars: Mapping[str, Mapping[str, t.Any]]) -> int:
    def group(name: str) -> str:
        found = hostvars[name]
        return str(found["evict_exclusive_group"] or "") if "evict_exclusive_group" in found else ""

    return waves.turn(str(host), [str(name) for name in batch], group)


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., t.Any]]:
        """Name -> filter."""
        return {"turn": _turn}
