# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the verb `scan`, which runs on the controller (plugins/action/scan.py)."""

from __future__ import annotations

DOCUMENTATION = r"""
module: scan
short_description: Look for Kaspersky software on a host and plan what to do, change nothing
version_added: "0.1.0"
description:
  - Observes the host in one round trip, judges on the controller and returns one row.
  - POSIX hosts need C(sh) only, no Python. Windows hosts run the module M(evict.kaspersky.win_observe).
  - A host that cannot be reached is returned with the verdict V(unreachable), one that was reached and could not be
    inspected with V(unknown); neither is a failed task, so that later plays keep the host.
  - The evidence is written below the run folder on the controller.
  - Settings are the C(evict_*) variables of the roles P(evict.kaspersky.audit#role) and
    P(evict.kaspersky.remediate#role).
  - C(delegate_to), C(run_once), C(loop), C(until) and C(async) are refused.
options:
  plan:
    description:
      - Plan as well. The host is asked in the same round trip what stands in the way of a plan, and the plan is written
        to C(plans/) of the run folder and into the evidence.
    type: bool
    default: false
  result:
    description:
      - Look again after the phases of a plan were performed in this run, and judge what became of the host. The row
        gets one of the verdicts of a remediation.
      - It plans as well, and writes no plan.
    type: bool
    default: false
  verify:
    description:
      - Look again any day later. Where C(evict_replacement) says what is to protect the host, its health is asked by
        its own rule, and a host that lost its protection is V(failed_exposed) or V(failed_protected).
      - A live test that M(evict.kaspersky.prove) made in this run counts.
    type: bool
    default: false
attributes:
  check_mode:
    description: Can run in check mode and does the same there.
    support: full
  diff_mode:
    description: Changes nothing, so there is nothing to show.
    support: none
  platform:
    description: Hosts that can be looked at.
    support: full
    platforms: posix, windows
author:
  - evict.kaspersky contributors (@evict-kaspersky)
"""

EXAMPLES = r"""
- name: Look at the hosts
  hosts: all
  gather_facts: false
  tasks:
    - name: Scan
      evict.kaspersky.scan:
      register: scan

    - name: Show what is there
      ansible.builtin.debug:
        var: scan.row
"""

RETURN = r"""
row:
  description: The short row of the host. The long one stands in C(rows.json) of the run folder.
  returned: always, but for refused tasks and wrong settings
  type: dict
  sample:
    host: db1
    verdict: present
    products: ["kesl 12.1.0.1297 running"]
    reasons: ["kesl running: package kesl:amd64 12.1.0.1297 (dpkg: ii)"]
    plan: null
plan:
  description: State and digest of the host's plan; the plan itself lies in the run folder.
  returned: when O(plan) or O(result) is true
  type: dict
  sample:
    state: act
    digest: 5c7c3a0cf8f6bd0f6a4b7c4b1e0c0a6a1e1b9d1c0a6a1e1b9d1c0a6a1e1b9d1c
gate:
  description: Is the verdict one of C(evict_fail_on)?
  returned: as RV(row)
  type: bool
"""
