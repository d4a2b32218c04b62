#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of this name, which does all the work on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: rows
short_description: Write the rows of a run (internal)
version_added: "0.1.0"
author:
  - evict.kaspersky contributors (@evict-kaspersky)
description:
  - Last task of the playbooks of this collection, with C(run_once). It writes C(rows.json) and C(manifest.json) from
    the evidence and the inventory when the callback P(evict.kaspersky.rows#callback) is not enabled, and only counts
    when it is.
  - The counts also become a custom statistic C(evict) of the run, as with M(ansible.builtin.set_stats), and so an
    artifact of a job of AWX. It names no host.
  - It takes no options and touches no host.
options: {}
attributes:
  check_mode:
    description: Does the same in check mode.
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
- name: Write the rows, where the callback does not
  evict.kaspersky.rows:
  run_once: true
"""

RETURN = r"""
totals:
  description: Hosts per verdict, without zeros. The sum is the inventory.
  type: dict
  returned: success
  sample: {present: 1, absent: 41}
inventory:
  description: Number of hosts in the inventory.
  type: int
  returned: success
run:
  description: Id of the run.
  type: str
  returned: success
folder:
  description: The run folder.
  type: str
  returned: success
exceptions:
  description: The worst hosts, at most 50.
  type: list
  elements: dict
  returned: success
more_exceptions:
  description: How many more there are in C(rows.json).
  type: int
  returned: success
gate:
  description:
    - Hosts of the play that the gate fails, each with its verdict and first reason.
    - By C(evict_fail_on), else by the verdicts of the exit codes 2 and 3.
  type: dict
  returned: success
  sample: {db1: "blocked: encryption: the disk is encrypted by the product"}
"""
