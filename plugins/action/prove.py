# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The verb `prove`: a live detection test on one host. Two files in a private folder, removed again; nothing else."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase

from ansible_collections.evict.kaspersky.plugins.plugin_utils import (
    knowledge,
    livetest,
    look,
    proof,
    ran,
    redact,
    refusal,
    transport,
    trouble,
)
from ansible_collections.evict.kaspersky.plugins.plugin_utils.catalog import CatalogError
from ansible_collections.evict.kaspersky.plugins.plugin_utils.evidence import EvidenceError
from ansible_collections.evict.kaspersky.plugins.plugin_utils.filling import Role
from ansible_collections.evict.kaspersky.plugins.plugin_utils.livetest import Test
from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy import Policy, PolicyError
from ansible_collections.evict.kaspersky.plugins.plugin_utils.proof import Proof
from ansible_collections.evict.kaspersky.plugins.plugin_utils.providers import ProvidersError
from ansible_collections.evict.kaspersky.plugins.plugin_utils.run import RunFolder

_ROLES: t.Final = t.get_args(Role)
_OPTIONS: t.Final = ("role", "seconds")


class ActionModule(ActionBase):
    """Test what protects the host. What cannot be tested is a result, never a failed task."""

    _supports_check_mode = True
    _supports_async = False
    _requires_connection = True
    _VALID_ARGS = frozenset(_OPTIONS)

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Run the verb; see plugins/modules/prove.py for what it returns."""
        task_vars = task_vars or {}
        if message := refusal.reason("prove", self._task, task_vars) or self._mistake():
            return {"failed": True, "changed": False, "msg": message}
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        result["changed"] = False
        host = str(task_vars["inventory_hostname"])
        platform = "windows" if look.on_windows(self) else "linux"
        hide = redact.Redactor(look.secrets(self, task_vars))
        try:
            settings, _given = look.settings(self, task_vars)
            folder = RunFolder.resolve(settings, task_vars).create()
            done = ran.of(folder, host)
            role = self._task.args.get("role") or proof.role(done.phases)
            test = self._test(settings, role, platform)
            if self._task.check_mode:
                return {**result, "prediction": test.prediction()}
            if done.plan is not None and done.plan.state == "act" and not proof.performed(done.phases):
                result["skipped_because"] = f"the plan of {host} was not performed: there is nothing new to test"
                return result
            found = self._prove(test, folder.run, task_vars)
            told = hide.tree(found.to_dict())
            result["changed"] = bool(found.left)
            result["proof"] = told
            folder.record(host, ran.PROOF, told)
        except (AnsibleError, PolicyError, CatalogError, ProvidersError, EvidenceError) as exc:
            return {**result, "failed": True, "msg": hide.known(str(exc))}
        return result

    def _mistake(self) -> str:
        """What is wrong with the options, all at once; empty when nothing is."""
        given = self._task.args
        found = [f"`{name}` is no option" for name in sorted(map(str, set(given) - self._VALID_ARGS))]
        if given.get("role", "") not in ("", *_ROLES):
            found.append(f"`role` must be one of {', '.join(_ROLES)}, it is {given.get('role')!r:.60}")
        seconds = str(given.get("seconds", livetest.SECONDS))
        if not seconds.isdigit() or not 1 <= int(seconds[:9]) <= livetest.MOST_SECONDS:
            found.append(f"`seconds` must be 1 to {livetest.MOST_SECONDS}, it is {given.get('seconds')!r:.60}")
        return "evict.kaspersky.prove: " + "; ".join(found) if found else ""

    def _test(self, settings: Policy, role: Role, platform: str) -> Test:
        chosen = settings.replacement if role == "replacement" else settings.fallback
        provider = knowledge.providers().get(chosen.get(platform, ""))
        if provider is None:
            reason = f"evict_{role} names no provider for {platform}"
            return Test(provider="", role=role, method="none", reason=reason)
        return livetest.prepare(settings, provider, role, platform)

    def _prove(self, test: Test, run: str, task_vars: dict[str, t.Any]) -> Proof:
        if test.reason:
            return proof.nothing(test, "not_applicable", test.reason)
        seconds = int(self._task.args.get("seconds", livetest.SECONDS))
        values = test.values(run=run, seconds=seconds)
        try:
            answer = transport.run_script(
                self, script=knowledge.PROVE_SH, values=values, prefix="EVICT_", task_vars=task_vars
            )
        except BaseException as exc:
            # Core's class for the task keyword `timeout` has moved between releases and derives from BaseException.
            if type(exc).__name__ != "TaskTimeoutError":
                raise
            return proof.nothing(test, "error", trouble.silence(self._task.timeout).text)
        if answer.trouble is not None:
            return proof.nothing(test, "error", answer.trouble.text)
        return proof.from_answer(test, answer.text, answer.nonce)
