# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the verb `perform`, which runs on the controller (plugins/action/perform.py)."""

from __future__ import annotations

DOCUMENTATION = r"""
module: perform
short_description: Perform one phase of a host's plan, or predict it in check mode
version_added: "0.1.0"
description:
  - Sends one phase of the plan that M(evict.kaspersky.scan) wrote into the run folder to the host, as a sealed job that
    needs no controller once it has begun, and follows it to its end. Linux hosts only; a Windows host is told so.
  - Before the first phase of a run it looks at the host again and makes the plan again. Another digest is refused, and
    so are a missing consent, a closed maintenance window, a host that another run is changing, and a phase whose
    earlier ones were not performed in this run.
  - A job that an earlier run has left on the host is followed to its end, or taken up where it broke off.
  - What happens on the host is a result and no failed task. The last C(scan) with C(result) judges the host.
  - In check mode it predicts the outcome of each step from the plan. The host is not contacted.
  - The evidence gets C(performing) before a phase begins and C(performed), with the host's journal, when it ends. What
    is predicted is the event C(predicted).
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
    description: Predicts in check mode, from the plan alone.
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
  returned: but for refused tasks
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
      description:
        - V(done), V(already) (it was so before), V(skipped) by its condition or by a failure before it, or V(failed).
        - In check mode V(would_do), or V(planned) when only the host can tell whether the condition of the step is met.
      returned: always
      type: str
    changes:
      description: Does the step change the host?
      returned: always
      type: bool
    why:
      description: The condition, or why the step was skipped.
      returned: when RV(outcomes[].status=planned) or RV(outcomes[].status=skipped)
      type: str
    failure:
      description: Class, code and meaning with the remedy (docs/failures.md).
      returned: when RV(outcomes[].status=failed)
      type: dict
    seconds:
      description: What the step took; in check mode what it usually takes.
      returned: always
      type: float
    reboot:
      description: The step asks for a restart.
      returned: when it does
      type: bool
  sample:
    - step: remove.kesl.confirm
      phase: commit
      status: done
      changes: false
      seconds: 3
state:
  description:
    - V(ended) when the job came to its end, whatever became of its steps. V(refused) when nothing was begun.
    - V(lost) when the host stayed away; its job goes on, and the next run follows it.
    - V(skipped) when an earlier phase stands in the way.
  returned: when a phase was begun or refused by the host
  type: str
  sample: ended
skipped_because:
  description: Why nothing was done, or why there is nothing to predict.
  returned: when the plan has no steps in the phase, an earlier phase stands in the way, or the host refused
  type: str
  sample: "the plan of db1 is blocked"
reboot:
  description: A step asks for a restart of the host.
  returned: when one does
  type: bool
reboot_allowed:
  description: C(evict_reboot) and C(evict_windows) allow the restart now.
  returned: when a step asks for a restart
  type: bool
"""
