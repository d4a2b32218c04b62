# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The verb `perform`: one phase of a host's plan. In check mode it predicts, and never touches the connection."""

from __future__ import annotations

import datetime
import re
import typing as t

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase

from ansible_collections.evict.kaspersky.plugins.plugin_utils import (
    approved,
    exclusive,
    hand,
    inhibitors,
    job,
    knowledge,
    look,
    outcome,
    performing,
    plan_text,
    plans,
    policy,
    ran,
    redact,
    refusal,
    sending,
    twins,
)
from ansible_collections.evict.kaspersky.plugins.plugin_utils.catalog import CatalogError
from ansible_collections.evict.kaspersky.plugins.plugin_utils.desk import Desk, DeskError
from ansible_collections.evict.kaspersky.plugins.plugin_utils.evidence import EvidenceError
from ansible_collections.evict.kaspersky.plugins.plugin_utils.job import JobError
from ansible_collections.evict.kaspersky.plugins.plugin_utils.performing import Performed
from ansible_collections.evict.kaspersky.plugins.plugin_utils.plan import Plan
from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy import Policy, PolicyError
from ansible_collections.evict.kaspersky.plugins.plugin_utils.providers import ProvidersError
from ansible_collections.evict.kaspersky.plugins.plugin_utils.run import RunFolder
from ansible_collections.evict.kaspersky.plugins.plugin_utils.secret_vault import SecretError
from ansible_collections.evict.kaspersky.plugins.plugin_utils.steps import Phase

_LINUX_ONLY: t.Final = (
    "this version performs on Linux only; for this host it makes the plan, which a person carries out: see the plan"
)
_PHASES: t.Final = ("stage", "commit", "finish")
_FOLDER: t.Final = ("evict_out", "evict_evidence_dir", "evict_run")
_DIGEST: t.Final = re.compile(r"[0-9a-f]{64}\Z")
_WRONG: t.Final = (
    AnsibleError,
    PolicyError,
    CatalogError,
    ProvidersError,
    EvidenceError,
    DeskError,
    JobError,
    SecretError,
    sending.SendingError,
)


class ActionModule(ActionBase):
    """What happens on the host is a result, whatever it is; the task fails where nothing may be begun."""

    _supports_check_mode = True
    _supports_async = False
    _requires_connection = False
    _VALID_ARGS = frozenset({"phase", "digest"})

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Run the verb; see plugins/modules/perform.py for what it returns."""
        task_vars = task_vars or {}
        message = (
            refusal.reason("perform", self._task, task_vars)
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
            if self._task.check_mode:
                return self._predict(result, folder, plan, phase)
            return self._perform(result, folder, plan, phase, task_vars)
        except _WRONG as exc:
            said = redact.Redactor(look.secrets(self, task_vars)).known(str(exc))
            return {**result, "failed": True, "msg": said}

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

    def _sealed(self, plan: Plan, phase: Phase) -> job.Job:
        never = {item.target: None for e in knowledge.catalog().for_platform(plan.platform) for item in e.never_touch}
        return job.compile_job(plan, phase, never)

    # --- check mode

    def _predict(self, result: dict[str, t.Any], folder: RunFolder, plan: Plan, phase: Phase) -> dict[str, t.Any]:
        result["outcomes"] = []
        if plan.state != "act":
            result["skipped_because"] = f"the plan of {plan.host} is {plan.state}: nothing would be done"
            return result
        # Compiled although nothing is sent: a plan that could not become a job is not worth an approval.
        sealed = self._sealed(plan, phase)
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

    # --- for real

    def _perform(
        self, result: dict[str, t.Any], folder: RunFolder, plan: Plan, phase: Phase, task_vars: dict[str, t.Any]
    ) -> dict[str, t.Any]:
        result["outcomes"] = []
        if plan.state != "act" or not any(step.phase == phase for step in plan.steps):
            why = f"is {plan.state}" if plan.state != "act" else f"has no step in the phase {phase}"
            return {**result, "skipped_because": f"the plan of {plan.host} {why}"}
        if plan.platform != "linux":
            return self._passed(result, folder, plan, phase, "refused", _LINUX_ONLY)
        settings, given = look.settings(self, task_vars, plan=True)
        desk, hide = look.desk(self, settings, given, folder, task_vars)
        told = ran.of(folder, plan.host)
        done = told.phases
        # What was begun within the window is brought to its end.
        begun = any(item.phase == "commit" and item.state == "ended" for item in done)
        refused = "" if begun else "; ".join(performing.closed(plan, settings, datetime.datetime.now(datetime.UTC)))
        if refused and (told.plan is None or told.plan.digest() != plan.digest()):
            return {**result, "failed": True, "msg": f"evict.kaspersky.perform: {refused}"}
        # Before what is missing: where the first phase was refused, none of the others was to be performed.
        if why := performing.before(plan, phase, done):
            return self._passed(result, folder, plan, phase, "skipped", why)
        if never := performing.missing(plan, phase, done):
            return {**result, "failed": True, "msg": f"evict.kaspersky.perform: {never}"}
        sealed = self._sealed(plan, phase)

        def again() -> look.Look:
            return look.at_host(self, plan.host, settings, desk.catalog, desk, hide, task_vars)

        if not done and (twin := twins.claim(folder.path, plan.machine, plan.host)) != plan.host:
            refused = f"duplicate_machine_id: this run has changed the same machine as {twin}: tell them apart first"
        # The first phase of a run looks again: between the plan and now a person, or another tool, may have been there.
        if not refused and not done:
            refused = _changed(plan, again())
        elif not refused and phase == "finish" and (gone := performing.gone(plan, done)):
            refused = _back(gone, again())
        if refused:
            return self._passed(result, folder, plan, phase, "refused", hide.known(refused))
        came = self._run(folder, plan, sealed, settings, desk, task_vars)
        came = Performed.from_dict(hide.tree(came.to_dict()))
        folder.record(plan.host, performing.DONE, came.to_dict())
        result["outcomes"] = [item.to_dict() for item in came.outcomes]
        result["changed"] = came.changed
        result["state"] = came.state
        if came.message:
            result["skipped_because" if came.state == "refused" else "msg"] = came.message
        if came.reboot:
            result["reboot"] = True
            why = performing.no_restart(plan, settings, datetime.datetime.now(datetime.UTC))
            if not why and "logged_on_sessions" not in desk.controller.waived:
                why = _users(again())
            result["reboot_allowed"] = not why
            if why:
                result["msg"] = f"no restart: {why}"
        return result

    def _passed(
        self,
        result: dict[str, t.Any],
        folder: RunFolder,
        plan: Plan,
        phase: Phase,
        state: performing.NotBegun,
        why: str,
    ) -> dict[str, t.Any]:
        """A phase of which nothing is begun, and its record."""
        came = performing.not_begun(plan, phase, state, why)
        folder.record(plan.host, performing.DONE, came.to_dict())
        outcomes = [item.to_dict() for item in came.outcomes]
        return {**result, "outcomes": outcomes, "state": state, "skipped_because": why}

    def _run(
        self,
        folder: RunFolder,
        plan: Plan,
        sealed: job.Job,
        settings: Policy,
        desk: Desk,
        task_vars: dict[str, t.Any],
    ) -> Performed:
        phase, progress = sealed.phase, folder.progress(plan.host)
        told = hand.teller(progress, phase)
        secrets = desk.secrets_for(step.secrets for part in sealed.parts for step in part.steps)
        # A product that was given one in an earlier phase may repeat it in this one.
        hidden = desk.repeated(step.secrets for step in plan.steps)
        try:
            with exclusive.held(
                folder.path, settings.exclusive_group if phase == "commit" else "", plan.host, waiting=told
            ) as turn:
                begun = {"phase": phase, "digest": plan.digest(), "job": sealed.seal(), "run": folder.run}
                folder.record(plan.host, performing.BEGUN, begun)
                with sending.sent(self, sealed, settings) as sent:
                    came = hand.run(
                        self,
                        plan,
                        sealed,
                        run_id=folder.run,
                        secrets=secrets,
                        hidden=hidden,
                        sent=sent,
                        task_vars=task_vars,
                        progress=told,
                    )
                turn.failure = came.message or "; ".join(f"{o.step} failed" for o in came.failed)
                return came
        except exclusive.GroupFailed as exc:
            return performing.not_begun(plan, phase, "refused", str(exc))
        finally:
            progress.unlink(missing_ok=True)


def _changed(plan: Plan, found: look.Look) -> str:
    """What is different on the host since the plan was made; empty when nothing is."""
    if found.plan is None:
        return _silent(found)
    if found.plan.digest() == plan.digest() and found.plan.state == "act":
        return ""
    blocked = [f"{hit.id}: {hit.diagnosis}" for hit in found.plan.blocking]
    return "plan_changed: the host is not as it was when it was planned: " + "; ".join(
        blocked or approved.changes(plan, found.plan)
    )


def _back(gone: frozenset[str], found: look.Look) -> str:
    """What was removed and is there again, whose files must not be cleared; empty when nothing is."""
    if found.judged is None:
        return _silent(found)
    back = [p.entry.id for p in found.judged.products if p.works and p.entry.id in gone]
    if back:
        return f"{', '.join(back)} is there, so nothing of it is cleared: plan again"
    return next(iter(found.judged.unknown.values()), "")


def _users(found: look.Look) -> str:
    """Who is logged on now, hours after the plan perhaps; empty when nobody is."""
    if found.case is None:
        return "the host does not say whether somebody is logged on"
    return "; ".join(inhibitors.sessions(found.case))


def _silent(found: look.Look) -> str:
    return f"the host did not answer once more: {found.problem.text if found.problem else ''}"
