# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The verb `perform`: one phase of a host's plan. This version predicts in check mode, and performs nothing."""

from __future__ import annotations

import re
import typing as t

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase

from ansible_collections.evict.kaspersky.plugins.plugin_utils import (
    job,
    knowledge,
    outcome,
    plan_text,
    plans,
    policy,
    refusal,
)
from ansible_collections.evict.kaspersky.plugins.plugin_utils.catalog import CatalogError
from ansible_collections.evict.kaspersky.plugins.plugin_utils.evidence import EvidenceError
from ansible_collections.evict.kaspersky.plugins.plugin_utils.job import JobError
from ansible_collections.evict.kaspersky.plugins.plugin_utils.plan import Plan
from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy import PolicyError
from ansible_collections.evict.kaspersky.plugins.plugin_utils.run import RunFolder
from ansible_collections.evict.kaspersky.plugins.plugin_utils.steps import Phase

_ONLY_PLANS: t.Final = (
    "this version only plans: run it with --check (or `evict plan`) to see what would be done; nothing was done"
)
_PHASES: t.Final = ("stage", "commit", "finish")
_FOLDER: t.Final = ("evict_out", "evict_evidence_dir", "evict_run")
_DIGEST: t.Final = re.compile(r"[0-9a-f]{64}\Z")


class ActionModule(ActionBase):
    """Predict from the recorded plan. The host is never contacted, so its connection is never touched."""

    _supports_check_mode = True
    _supports_async = False
    _requires_connection = False
    _VALID_ARGS = frozenset({"phase", "digest"})

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Run the verb; see plugins/modules/perform.py for what it returns."""
        task_vars = task_vars or {}
        message = (
            ("" if self._task.check_mode else _ONLY_PLANS)
            or refusal.reason("perform", self._task, task_vars)
            or refusal.strategy("perform", self._task)
            or self._mistake()
        )
        if message:
            return {"failed": True, "changed": False, "msg": message}
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        result["changed"] = False
        phase: Phase = self._task.args["phase"]
        host = str(task_vars["inventory_hostname"])
        try:
            folder = self._folder(task_vars)
            plan = plans.read(folder.path, host)
            if plan.digest() != self._task.args["digest"]:
                raise EvidenceError(
                    f"the plan of {host} in {plans.path(folder.path, host)} has the digest {plan.digest()}, "
                    f"not {self._task.args['digest']}: what you ask for is not what was planned; make a new plan"
                )
            return self._predict(result, folder, plan, phase)
        except (AnsibleError, PolicyError, CatalogError, EvidenceError, JobError) as exc:
            return {**result, "failed": True, "msg": str(exc)}

    def _mistake(self) -> str:
        """What is wrong with the options, all at once; empty when nothing is."""
        given = self._task.args
        found = [f"`{name}` is no option" for name in sorted(map(str, set(given) - self._VALID_ARGS))]
        if given.get("phase") not in _PHASES:
            found.append(f"`phase` must be one of {', '.join(_PHASES)}, it is {given.get('phase')!r:.60}")
        if not given.get("digest"):
            found.append(
                "`digest` is missing: it comes from `evict.kaspersky.scan` with `plan: true` in the same run; run the "
                "playbook from its beginning, without --start-at-task and --tags"
            )
        elif not isinstance(given["digest"], str) or not _DIGEST.match(given["digest"]):
            found.append(f"`digest` must be the plan's 64 hex digits, it is {given.get('digest')!r:.80}")
        return "evict.kaspersky.perform: " + "; ".join(found) if found else ""

    def _folder(self, task_vars: dict[str, t.Any]) -> RunFolder:
        given: dict[str, t.Any] = {
            name: self._templar.template(task_vars[name]) for name in _FOLDER if name in task_vars
        }
        return RunFolder.resolve(policy.validate(given), task_vars).create()

    def _predict(self, result: dict[str, t.Any], folder: RunFolder, plan: Plan, phase: Phase) -> dict[str, t.Any]:
        result["outcomes"] = []
        if plan.state != "act":
            result["skipped_because"] = f"the plan of {plan.host} is {plan.state}: nothing would be done"
            return result
        never = {item.target: None for e in knowledge.catalog().for_platform(plan.platform) for item in e.never_touch}
        # Compiled although nothing is sent: a plan that could not become a job is not worth an approval.
        sealed = job.compile_job(plan, phase, never)
        outcomes = outcome.predict(plan, phase)
        result["outcomes"] = [item.to_dict() for item in outcomes]
        result["changed"] = outcome.would_change(outcomes)
        if self._task.diff:
            result["diff"] = {
                "before": "",
                "after": "".join(f"{line}\n" for line in plan_text.phase_lines(plan, phase)),
                "before_header": f"{plan.host} as it is",
                "after_header": f"{plan.host} after the phase {phase}, as planned",
            }
        folder.record(
            plan.host,
            "predicted",
            {"phase": phase, "digest": plan.digest(), "job": sealed.seal(), "outcomes": result["outcomes"]},
        )
        return result
