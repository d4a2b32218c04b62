# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the verb `prove`, which runs on the controller (plugins/action/prove.py)."""

from __future__ import annotations

DOCUMENTATION = r"""
module: prove
short_description: Test on a host whether its protection detects anything
version_added: "0.1.0"
description:
  - Writes the standard test file for antivirus and a harmless file of the same size into a private folder of the host,
    looks what becomes of both, and removes them. Nothing else of the host is changed.
  - B(It raises an alarm) in the console of the product that is tested. Tell whoever watches it. The id of the run
    stands in the names of the files.
  - The test file is put together on the host, in memory, from its halves. It stands in no script, argument, log or
    result.
  - Detection on access and on demand are tried apart. Blocked when it is written, blocked when it is opened, moved away
    and emptied all count, and only where the harmless file came through.
  - Which way counts, the provider says. One for which a test can prove nothing is V(not_applicable), with the reason.
  - A host that cannot be reached is returned as RV(proof.result=error), never as a failed task.
  - The result is written to the host's evidence as the event C(proof).
  - C(delegate_to), C(run_once), C(loop), C(until) and C(async) are refused.
  - This version tests Linux hosts. They need C(sh) only, no Python.
options:
  role:
    description:
      - Which of the two providers is tested.
      - Without it, the fallback where its steps were performed on the host in this run, else the replacement.
    type: str
    choices: [replacement, fallback]
  seconds:
    description: How long each way is tried; engines that were just started need a while.
    type: int
    default: 60
attributes:
  check_mode:
    description: Says what would be done, and writes nothing.
    support: full
  diff_mode:
    description: The two files are removed again, so there is nothing to show.
    support: none
  platform:
    description: Hosts that can be tested.
    support: full
    platforms: posix
seealso:
  - module: evict.kaspersky.perform
  - module: evict.kaspersky.scan
author:
  - evict.kaspersky contributors (@evict-kaspersky)
"""

EXAMPLES = r"""
- name: Test the protection
  hosts: servers
  gather_facts: false
  tasks:
    - name: Prove
      evict.kaspersky.prove:
      register: proved

    - name: Show what came of it
      ansible.builtin.debug:
        msg: "{{ proved.proof.result }}: {{ proved.proof.detail }}"
"""

RETURN = r"""
proof:
  description: What the test proved.
  returned: when something was or could have been tested, outside of check mode
  type: dict
  contains:
    provider:
      description: Id of the provider.
      returned: always
      type: str
    role:
      description: V(replacement) or V(fallback).
      returned: always
      type: str
    method:
      description: How the provider says that a detection is proved.
      returned: always
      type: str
    level:
      description:
        - The strongest level that was reached, V(on_access), V(on_demand) or V(armed); empty for none.
        - V(armed) means that a program of the provider is asked before files are opened, and nothing more.
      returned: always
      type: str
    result:
      description: V(pass), V(fail), V(not_applicable) or V(error), of the method.
      returned: always
      type: str
    control_ok:
      description: Did the harmless file come through? Null where nothing was tried.
      returned: always
      type: bool
    on_access:
      description: Detection on access by itself, with RV(proof.on_access.result), how, place, detail and seconds.
      returned: always
      type: dict
      contains:
        result:
          description: As RV(proof.result).
          returned: always
          type: str
    on_demand:
      description: The same for a scan that was asked for.
      returned: always
      type: dict
    detail:
      description: Why this result.
      returned: always
      type: str
    left:
      description: What could not be removed from the host.
      returned: always
      type: list
      elements: str
  sample:
    provider: clamav
    role: replacement
    method: eicar_on_demand
    level: on_demand
    result: pass
    control_ok: true
prediction:
  description: What would be done.
  returned: in check mode
  type: str
  sample: "nothing would be tried: the vendor does not detect the EICAR test file"
skipped_because:
  description: Why nothing was tested.
  returned: when the plan of the host was not performed in this run
  type: str
"""
