# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The verb `scan`: look at one host, judge, write the evidence, return the row. Changes nothing on any host."""

from __future__ import annotations

import typing as t

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase

from ansible_collections.evict.kaspersky.plugins.plugin_utils import (
    ending,
    exclusive,
    knowledge,
    look,
    plans,
    ran,
    redact,
    refusal,
    verifying,
)
from ansible_collections.evict.kaspersky.plugins.plugin_utils.case import Case
from ansible_collections.evict.kaspersky.plugins.plugin_utils.catalog import Catalog, CatalogError
from ansible_collections.evict.kaspersky.plugins.plugin_utils.desk import Desk, DeskError
from ansible_collections.evict.kaspersky.plugins.plugin_utils.evidence import EvidenceError
from ansible_collections.evict.kaspersky.plugins.plugin_utils.plan import Plan
from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy import Policy, PolicyError
from ansible_collections.evict.kaspersky.plugins.plugin_utils.providers import ProvidersError
from ansible_collections.evict.kaspersky.plugins.plugin_utils.row import Row
from ansible_collections.evict.kaspersky.plugins.plugin_utils.run import RunFolder
from ansible_collections.evict.kaspersky.plugins.plugin_utils.trouble import Trouble
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import Verb, Verdict

Kind = t.Literal["audit", "plan", "result", "verify"]


class ActionModule(ActionBase):
    """Observe + assess. A host that cannot be asked is a row, never a failed or unreachable task."""

    _supports_check_mode = True
    _supports_async = False
    _requires_connection = True
    _VALID_ARGS = frozenset({"plan", "result", "verify"})

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Run the verb; see plugins/modules/scan.py for what it returns."""
        task_vars = task_vars or {}
        if message := refusal.reason("scan", self._task, task_vars):
            return {"failed": True, "changed": False, "msg": message}
        options = dict(self._task.args)
        planned, result_of, again = (options.pop(name, False) for name in ("plan", "result", "verify"))
        if options:
            names = ", ".join(sorted(map(str, options)))
            return {
                "failed": True,
                "changed": False,
                "msg": f"evict.kaspersky.scan has the options `plan`, `result` and `verify`, not {names}: settings are "
                "`evict_*` variables",
            }
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        result["changed"] = False
        try:
            ended, verify = boolean(result_of), boolean(again)
            wanted = boolean(planned) or ended
            settings, given = look.settings(self, task_vars, plan=wanted, providers=wanted or verify)
            catalog = knowledge.catalog()
            folder = RunFolder.resolve(settings, task_vars).create(verb=Verb.VERIFY if verify else self._verb(wanted))
            # A verification without a replacement in the settings is an audit: nobody says what is to protect the host.
            desk, hide = None, redact.Redactor(look.secrets(self, task_vars))
            if wanted or (verify and settings.replacement):
                desk, hide = look.desk(self, settings, given, folder, task_vars)
        except (TypeError, PolicyError, CatalogError, ProvidersError, EvidenceError, DeskError) as exc:
            # A setting that is wrong is shown with its value, and the value may be a secret in the wrong place.
            said = redact.Redactor(look.secrets(self, task_vars)).known(str(exc))
            return {**result, "failed": True, "msg": said, "refused": not isinstance(exc, EvidenceError)}
        kind: Kind = "verify" if verify else "result" if ended else "plan" if wanted else "audit"
        return self._scan(result, settings, catalog, folder, desk, hide, task_vars, kind)

    def _verb(self, planned: bool) -> Verb:
        if not planned:
            return Verb.AUDIT
        return Verb.PLAN if self._task.check_mode else Verb.REMEDIATE

    def _scan(
        self,
        result: dict[str, t.Any],
        settings: Policy,
        catalog: Catalog,
        folder: RunFolder,
        desk: Desk | None,
        hide: redact.Redactor,
        task_vars: dict[str, t.Any],
        kind: Kind,
    ) -> dict[str, t.Any]:
        host = str(task_vars["inventory_hostname"])
        found = look.at_host(self, host, settings, catalog, desk, hide, task_vars)
        plan, problem = found.plan, found.problem
        if found.seen is not None and found.judged is not None:
            row = found.judged.row(host, found.seen)
            if found.case is not None and plan is not None:
                row = ending.guarded(row, found.case)
                try:
                    if kind == "verify":
                        row = verifying.judge(row, found.case, ran.of(folder, host).proof)
                    else:
                        told = ran.of(folder, host) if kind == "result" else ran.Ran()
                        row = self._ended(row, found.case, told, told.plan or plan, folder)
                except EvidenceError as exc:
                    return {**result, "failed": True, "msg": str(exc), "row": row.short()}
        else:
            problem = problem or Trouble(Verdict.UNKNOWN, "transport", "transport: no answer")
            row = Row(host=host, verdict=problem.verdict, reasons=(problem.text,))
            if kind == "result":
                try:
                    row = ending.dark(row, ran.of(folder, host).phases)
                except EvidenceError as exc:
                    return {**result, "failed": True, "msg": str(exc), "row": row.short()}
        result["row"] = row.short()
        result["gate"] = row.verdict in settings.fail_on
        if desk is not None and kind != "verify":
            result["plan"] = {"state": plan.state if plan else "undecided", "digest": plan.digest() if plan else ""}
        evidence = {
            "observation": found.seen.to_dict() if found.seen is not None else None,
            "row": row.to_dict(),
            "transport": {
                "connection": str(self._connection.transport),
                "way": found.way,
                "cause": problem.cause if problem else "",
            },
            "catalog": catalog.digest,
        }
        try:
            # What a host would be planned for after its plan was performed is no plan of this run.
            made = plan if kind == "plan" else None
            folder.record_scan(host, evidence, made.to_dict() if made is not None else None)
            if made is not None:
                plans.write(folder.path, made)
        except EvidenceError as exc:
            # The row stays in the result, so that what was seen is not lost with the file.
            return {**result, "failed": True, "msg": str(exc)}
        return result

    def _ended(self, row: Row, case: Case, told: ran.Ran, plan: Plan, folder: RunFolder) -> Row:
        """The row of a host after its phases; the plan's own where none was begun."""
        came = ending.end(case, plan, told.phases, told.proof)
        if came is None:
            return row.planned(plan, live=case.assessment.live)
        exclusive.settle(folder.path, case.policy.exclusive_group, case.host, came.verdict)
        return row.ended(came, plan)
