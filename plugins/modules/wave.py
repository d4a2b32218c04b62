#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of this name, which does all the work on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: wave
short_description: Judge a wave, and say whether the next one may begin (internal)
version_added: "0.1.0"
author:
  - evict.kaspersky contributors (@evict-kaspersky)
description:
  - Last tasks of a wave, with C(run_once). It reads the evidence of the run, counts the hosts of all waves so far whose
    verdict stands in C(evict_breaker_on), and says to stop when there are more of them than C(evict_max_failures).
  - A host that was being changed and is V(unknown) or V(unreachable) now counts, whatever C(evict_breaker_on) holds.
  - Where another wave follows, it waits C(evict_soak) seconds. The hosts are then looked at again and judged with
    O(again); those that got worse in the meantime count as failed.
  - What it found is written to the evidence of the run as the event C(wave). Hosts of waves that do not begin are
    V(not_attempted), with the reason.
  - It touches no host. C(delegate_to), C(loop), C(until) and C(async) are refused, and strategies other than C(linear).
options:
  again:
    description: Judge the same wave once more.
    type: bool
    default: false
attributes:
  check_mode:
    description: Does nothing in check mode, in which all hosts are one wave.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
  platform:
    description: Works on the controller.
    support: full
    platforms: posix
"""

EXAMPLES = r"""
- name: Judge the wave, and leave it alone for a while
  evict.kaspersky.wave:
  register: wave
  run_once: true

- name: End the run where too many failed
  ansible.builtin.meta: end_play
  when: wave.stop
"""

RETURN = r"""
wave:
  description: Number of the wave, from 1.
  type: int
  returned: outside of check mode
totals:
  description: Hosts of the wave per verdict.
  type: dict
  returned: outside of check mode
  sample: {replaced: 9, failed_exposed: 1}
failed_hosts:
  description: Hosts of all waves so far that count as failed.
  type: list
  elements: str
  returned: outside of check mode
left:
  description: Hosts that no wave has tried yet.
  type: int
  returned: outside of check mode
stop:
  description: No further wave may begin.
  type: bool
  returned: success
look_again:
  description: The wave was left alone, and its hosts are to be looked at again.
  type: bool
  returned: success
msg:
  description: The same in one line.
  type: str
  returned: always
"""
