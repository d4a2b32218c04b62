# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The filter `waves`: what the keyword `serial` of a play is to be, from `evict_waves` as a user writes it."""

from __future__ import annotations

import typing as t
from collections.abc import Callable

from ansible import context
from ansible.errors import AnsibleFilterError

from ansible_collections.evict.kaspersky.plugins.plugin_utils import waves
from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy_checks import Refused

DOCUMENTATION = r"""
name: waves
short_description: Sizes of waves for the keyword C(serial)
version_added: "0.1.0"
author: evict.kaspersky contributors (@evict-kaspersky)
description:
  - Makes of C(evict_waves), which may be a list, a number or the text of a survey, the list that C(serial) takes.
  - In a dry run all hosts are one wave, since nothing is changed.
  - Refuses a play that is begun in the middle with C(--start-at-task).
positional: _input
options:
  _input:
    description: The sizes. Empty for the default of C(evict_waves).
    type: raw
    required: true
  dry:
    description: Is it a dry run?
    type: bool
    default: false
"""

EXAMPLES = r"""
serial: "{{ evict_waves | default('') | evict.kaspersky.waves(dry=ansible_check_mode) }}"
"""

RETURN = r"""
_value:
  description: Numbers of hosts, or C(100%).
  type: list
  elements: raw
"""


def _waves(value: object, dry: bool = False) -> list[int | str]:
    # Evaluated before the first task of the play: the only place that sees this option when it names no task of ours.
    if context.CLIARGS.get("start_at_task"):
        raise AnsibleFilterError("what changes hosts is run from its beginning: leave --start-at-task out")
    try:
        return waves.serial(value, dry=bool(dry))
    except Refused as exc:
        raise AnsibleFilterError(f"`evict_waves` {exc}") from exc


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., t.Any]]:
        """Name -> filter."""
        return {"waves": _waves}
