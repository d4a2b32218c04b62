# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the verb `perform`, which runs on the controller (plugins/action/perform.py)."""

from __future__ import annotations

DOCUMENTATION = r"""
module: perform
short_description: Perform one phase of a host's plan (this version predicts only)
version_added: "0.1.0"
description:
  - In check mode it predicts the outcome of each step of a phase from the plan that M(evict.kaspersky.scan) wrote into
    the run folder. The host is not contacted.
  - Outside of check mode this version refuses to do anything, since it only plans.
  - The plan is compiled to the job that a later version sends to the host. One that may not become a job is refused.
  - What is predicted is written to the host's evidence as the event C(predicted).
  - C(delegate_to), C(run_once), C(loop), C(until) and C(async) are refused, and strategies other than C(linear).
options:
  phase:
    description:
      - The phase of the plan.
      - V(stage) is all that can be undone, V(commit) removes and covers, V(finish) clears what is left behind.
    type: str
    required: true
    choices: [stage, commit, finish]
  digest:
    description: The digest of the plan as the scan returned it. Another plan in the run folder is refused.
    type: str
    required: true
attributes:
  check_mode:
    description: Predicts in check mode, and refuses to run without it.
    support: full
  diff_mode:
    description: Shows the steps of the phase.
    support: full
  platform:
    description: Hosts whose plans can be performed.
    support: full
    platforms: posix, windows
seealso:
  - module: evict.kaspersky.scan
author:
  - evict.kaspersky contributors (@evict-kaspersky)
"""

EXAMPLES = r"""
- name: Look at the hosts and plan
  hosts: servers
  gather_facts: false
  tasks:
    - name: Plan
      evict.kaspersky.scan:
        plan: true
      register: scan

    - name: Show what the commit would do
      evict.kaspersky.perform:
        phase: commit
        digest: "{{ scan.plan.digest }}"
      check_mode: true
      when: scan.plan.state == 'act'
"""

RETURN = r"""
outcomes:
  description: One for each step of the phase, in order. What says nothing is left out.
  returned: in check mode, but for refused tasks
  type: list
  elements: dict
  contains:
    step:
      description: Id of the step.
      returned: always
      type: str
    phase:
      description: Phase of the step.
      returned: always
      type: str
    status:
      description: V(would_do), or V(planned) when only the host can tell whether the condition of the step is met.
      returned: always
      type: str
    changes:
      description: Does the step change the host?
      returned: always
      type: bool
    why:
      description: The condition.
      returned: when RV(outcomes[].status=planned)
      type: str
    seconds:
      description: What the step usually takes.
      returned: always
      type: float
  sample:
    - step: remove.kesl.confirm
      phase: commit
      status: would_do
      changes: false
      seconds: 3
skipped_because:
  description: Why there is nothing to predict.
  returned: when the plan has no steps
  type: str
  sample: "the plan of db1 is blocked: nothing would be done"
"""
