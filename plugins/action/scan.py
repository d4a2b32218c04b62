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
    extra,
    knowledge,
    look,
    plans,
    policy,
    ran,
    redact,
    refusal,
    verifying,
)
from ansible_collections.evict.kaspersky.plugins.plugin_utils.case import Case
from ansible_collections.evict.kaspersky.plugins.plugin_utils.catalog import Catalog, CatalogError
from ansible_collections.evict.kaspersky.plugins.plugin_utils.desk import Desk, DeskError
from ansible_collections.evict.kaspersky.plugins.plugin_utils.evidence import EvidenceError
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
            extras = extra.names(self._loader)
            given = {k: self._templar.template(v) for k, v in task_vars.items() if str(k).startswith("evict_")}
            settings = policy.validate(
                given,
                extra=extras,
                providers=knowledge.providers() if wanted or verify else None,
                where=extra.Places(task_vars, extras),
                platform="windows" if look.on_windows(self) else "linux",
                plan=wanted,
            )
            catalog = knowledge.catalog()
            folder = RunFolder.resolve(settings, task_vars).create(verb=Verb.VERIFY if verify else self._verb(wanted))
            # A verification without a replacement in the settings is an audit: nobody says what is to protect the host.
            asks = wanted or (verify and bool(settings.replacement))
            desk = Desk.open(self, settings, folder, task_vars) if asks else None
            hide = redact.Redactor([*look.secrets(self, task_vars), *(desk.vault.known() if desk else ())])
            if desk is not None:
                desk.spilt(given, hide)
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
            if found.case is not None:
                row = ending.guarded(row, found.case)
            if plan is not None and kind != "verify":
                row = row.planned(plan, live=found.judged.live)
            if kind in ("result", "verify") and found.case is not None:
                try:
                    if kind == "verify":
                        row = verifying.judge(row, found.case, ran.of(folder, host).proof)
                    else:
                        row = self._ended(row, found.case, folder)
                except EvidenceError as exc:
                    return {**result, "failed": True, "msg": str(exc), "row": row.short()}
        else:
            problem = problem or Trouble(Verdict.UNKNOWN, "transport", "transport: no answer")
            row = Row(host=host, verdict=problem.verdict, reasons=(hide.clean(problem.text),))
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
            folder.record_scan(host, evidence)
            # What a host would be planned for after its plan was performed is no plan of this run.
            if plan is not None and kind == "plan":
                folder.record(host, "plan", plan.to_dict())
                plans.write(folder.path, plan)
        except EvidenceError as exc:
            # The row stays in the result, so that what was seen is not lost with the file.
            return {**result, "failed": True, "msg": str(exc)}
        return result

    def _ended(self, row: Row, case: Case, folder: RunFolder) -> Row:
        """The row of a host after its phases; the plan's own where none was begun."""
        told = ran.of(folder, case.host)
        if told.plan is None:
            return row
        came = ending.end(case, told.plan, told.phases, told.proof)
        if came is None:
            return ending.guarded(case.assessment.row(case.host, case.seen), case).planned(
                told.plan, live=case.assessment.live
            )
        exclusive.settle(folder.path, case.policy.exclusive_group, case.host, came.verdict)
        return row.ended(came, told.plan)
