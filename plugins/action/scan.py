# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The verb `scan`: look at one host, judge, write the evidence, return the row. Changes nothing on any host."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase

from ansible_collections.evict.kaspersky.plugins.plugin_utils import (
    conceal,
    extra,
    knowledge,
    observation,
    plans,
    policy,
    redact,
    refusal,
    transport,
    trouble,
    trouble_winrm,
)
from ansible_collections.evict.kaspersky.plugins.plugin_utils.catalog import Catalog, CatalogError
from ansible_collections.evict.kaspersky.plugins.plugin_utils.desk import Desk, DeskError
from ansible_collections.evict.kaspersky.plugins.plugin_utils.evidence import EvidenceError
from ansible_collections.evict.kaspersky.plugins.plugin_utils.observation import Observation
from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy import Policy, PolicyError
from ansible_collections.evict.kaspersky.plugins.plugin_utils.providers import ProvidersError
from ansible_collections.evict.kaspersky.plugins.plugin_utils.row import Row
from ansible_collections.evict.kaspersky.plugins.plugin_utils.run import RunFolder
from ansible_collections.evict.kaspersky.plugins.plugin_utils.trouble import Trouble
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import Verb, Verdict


class ActionModule(ActionBase):
    """Observe + assess. A host that cannot be asked is a row, never a failed or unreachable task."""

    _supports_check_mode = True
    _supports_async = False
    _requires_connection = True
    _VALID_ARGS = frozenset({"plan"})

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Run the verb; see plugins/modules/scan.py for what it returns."""
        task_vars = task_vars or {}
        if message := refusal.reason("scan", self._task, task_vars):
            return {"failed": True, "changed": False, "msg": message}
        options = dict(self._task.args)
        planned = options.pop("plan", False)
        if options:
            names = ", ".join(sorted(map(str, options)))
            return {
                "failed": True,
                "changed": False,
                "msg": f"evict.kaspersky.scan has one option, `plan`, not {names}: settings are `evict_*` variables",
            }
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        result["changed"] = False
        try:
            wanted = boolean(planned)
            extras = extra.names(self._loader)
            given = {k: self._templar.template(v) for k, v in task_vars.items() if str(k).startswith("evict_")}
            settings = policy.validate(
                given,
                extra=extras,
                providers=knowledge.providers() if wanted else None,
                where=extra.Places(task_vars, extras),
                platform="windows" if self._on_windows() else "linux",
                plan=wanted,
            )
            catalog = knowledge.catalog()
            folder = RunFolder.resolve(settings, task_vars).create(verb=Verb.PLAN if wanted else Verb.AUDIT)
            desk = Desk.open(self, settings, folder, task_vars) if wanted else None
            hide = redact.Redactor([*self._secrets(task_vars), *(desk.vault.known() if desk else ())])
            if desk is not None:
                desk.spilt(given, hide)
        except (TypeError, PolicyError, CatalogError, ProvidersError, EvidenceError, DeskError) as exc:
            # A setting that is wrong is shown with its value, and the value may be a secret in the wrong place.
            said = redact.Redactor(self._secrets(task_vars)).known(str(exc))
            return {**result, "failed": True, "msg": said, "refused": not isinstance(exc, EvidenceError)}
        return self._scan(result, settings, catalog, folder, desk, hide, task_vars)

    def _scan(
        self,
        result: dict[str, t.Any],
        settings: Policy,
        catalog: Catalog,
        folder: RunFolder,
        desk: Desk | None,
        hide: redact.Redactor,
        task_vars: dict[str, t.Any],
    ) -> dict[str, t.Any]:
        host = str(task_vars["inventory_hostname"])
        try:
            seen, problem, way = self._observe(settings, desk, task_vars)
        except BaseException as exc:
            # Core's class for the task keyword `timeout` has moved between releases and derives from BaseException.
            if type(exc).__name__ != "TaskTimeoutError":
                raise
            seen, problem, way = None, trouble.silence(self._task.timeout), ""
        plan = None
        if seen is not None:
            seen, judged = conceal.judge(seen, catalog, hide)
            row = judged.row(host, seen)
            if desk is not None:
                plan = desk.plan(host, seen, judged)
                row = row.planned(plan)
        else:
            problem = problem or Trouble(Verdict.UNKNOWN, "transport", "transport: no answer")
            row = Row(host=host, verdict=problem.verdict, reasons=(hide.clean(problem.text),))
        result["row"] = row.short()
        result["gate"] = row.verdict in settings.fail_on
        if desk is not None:
            result["plan"] = {"state": plan.state if plan else "undecided", "digest": plan.digest() if plan else ""}
        evidence = {
            "observation": seen.to_dict() if seen is not None else None,
            "row": row.to_dict(),
            "transport": {
                "connection": str(self._connection.transport),
                "way": way,
                "cause": problem.cause if problem else "",
            },
            "catalog": catalog.digest,
        }
        try:
            folder.record_scan(host, evidence)
            if plan is not None:
                folder.record(host, "plan", plan.to_dict())
                plans.write(folder.path, plan)
        except EvidenceError as exc:
            # The row stays in the result, so that what was seen is not lost with the file.
            return {**result, "failed": True, "msg": str(exc)}
        return result

    def _secrets(self, task_vars: dict[str, t.Any]) -> list[str]:
        """Secrets among the host's variables: a library's error message may repeat them, or the host may hold them."""
        names = {str(name) for name in task_vars if redact.holds_secret(str(name))}
        names |= redact.named(self._value("evict_secrets", task_vars)) & set(task_vars)
        return [found for name in sorted(names) if isinstance(found := self._value(name, task_vars), str)]

    def _value(self, name: str, task_vars: dict[str, t.Any]) -> t.Any:
        try:
            value = self._templar.template(task_vars[name])
            return value if value is None or isinstance(value, (dict, list)) else str(value)
        except (KeyError, AnsibleError):
            return None  # what cannot be resolved is nothing that could have been sent

    def _on_windows(self) -> bool:
        return bool(getattr(self._connection._shell, "_IS_WINDOWS", False))

    def _observe(
        self, settings: Policy, desk: Desk | None, task_vars: dict[str, t.Any]
    ) -> tuple[Observation | None, Trouble | None, str]:
        if self._on_windows():
            return self._observe_windows(settings, desk, task_vars)
        script, asked = knowledge.OBSERVE_LINUX, None
        if desk is not None:
            asked = desk.ask("linux")
            bare = not asked["endpoints"] and not asked["packages"]
            script = knowledge.OBSERVE_LINUX_PLAN_BARE if bare else knowledge.OBSERVE_LINUX_PLAN
        seen, problem, way = self._observe_posix(settings, script, task_vars, asked)
        if seen is not None and seen.platform == "macos":
            return self._observe_posix(settings, knowledge.OBSERVE_MAC, task_vars)
        return seen, problem, way

    def _observe_posix(
        self, settings: Policy, script: str, task_vars: dict[str, t.Any], asked: dict[str, list[str]] | None = None
    ) -> tuple[Observation | None, Trouble | None, str]:
        values = {f"PREFLIGHT_{name.upper()}": "\n".join(items) for name, items in (asked or {}).items()}
        values["TIMEOUT"] = str(settings.probe_timeout)
        answer = transport.run_script(self, script=script, values=values, prefix="EVICT_", task_vars=task_vars)
        if answer.trouble is not None:
            return None, answer.trouble, answer.way
        seen = observation.parse_posix(answer.text, answer.nonce, preflight=asked is not None)
        return seen, None if seen else trouble.answer(answer.text), answer.way

    def _observe_windows(
        self, settings: Policy, desk: Desk | None, task_vars: dict[str, t.Any]
    ) -> tuple[Observation | None, Trouble | None, str]:
        name, args = "win_observe", {**knowledge.WINDOWS_LITERALS, "timeout": settings.probe_timeout}
        if desk is not None:
            name, args = "win_observe_plan", {"observe": args, "preflight": desk.ask("windows")}
        try:
            answer = self._execute_module(module_name=f"evict.kaspersky.{name}", module_args=args, task_vars=task_vars)
        except Exception as exc:
            # Of what requests, pywinrm and pypsrp raise, core's plugins turn only a part into errors of core.
            return None, self._windows_trouble(exc), "module"
        try:
            return observation.from_dict(answer.get("observation"), preflight=desk is not None), None, "module"
        except ValueError:
            # `exception` is an object of core's own from 2.19 on; it says nothing that the message does not.
            said = "\n".join(str(answer.get(key) or "") for key in ("msg", "module_stderr")).strip()
            return None, trouble.module(said), "module"

    def _windows_trouble(self, exc: Exception) -> Trouble:
        name = str(self._connection.transport).rpartition(".")[2]
        if name in trouble_winrm.CONNECTIONS:
            said, kind = transport.message(exc), type(exc).__name__
            return trouble_winrm.failed(said, connection=name, connected=bool(self._connection.connected), kind=kind)
        if isinstance(exc, AnsibleConnectionFailure):
            return trouble.connection(transport.message(exc))
        if isinstance(exc, AnsibleError):
            return trouble.error(transport.message(exc))
        raise exc
