# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The internal verb `wave`: judge the wave that has ended, leave it alone for a while, say whether to go on."""

from __future__ import annotations

import time
import typing as t
from pathlib import Path

from ansible.errors import AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase

from ansible_collections.evict.kaspersky.plugins.plugin_utils import breaker, evidence, extra, ledger, policy, refusal
from ansible_collections.evict.kaspersky.plugins.plugin_utils.evidence import EvidenceError
from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy import Policy, PolicyError
from ansible_collections.evict.kaspersky.plugins.plugin_utils.progress import tell
from ansible_collections.evict.kaspersky.plugins.plugin_utils.run import RUN_LOG, RunFolder
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import Verdict

_SETTINGS: t.Final = (
    "evict_out",
    "evict_evidence_dir",
    "evict_run",
    "evict_max_failures",
    "evict_breaker_on",
    "evict_soak",
)
_BLIND: t.Final = frozenset({Verdict.UNKNOWN, Verdict.UNREACHABLE})


class ActionModule(ActionBase):
    """Once a wave, on the controller. Touches no host."""

    _supports_check_mode = True
    _supports_async = False
    _requires_connection = False
    _VALID_ARGS = frozenset({"again"})

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Run the verb; see plugins/modules/wave.py for what it returns."""
        task_vars = task_vars or {}
        if message := self._mistake(task_vars):
            return {"failed": True, "changed": False, "msg": message}
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        result["changed"] = False
        if self._task.check_mode:
            return {**result, "stop": False, "look_again": False, "msg": "a dry run has no waves"}
        try:
            given: dict[str, t.Any] = {
                name: self._templar.template(task_vars[name]) for name in _SETTINGS if name in task_vars
            }
            settings = policy.validate(given, extra=extra.names(self._loader))
            folder = RunFolder.resolve(settings, task_vars).create()
            wave = self._judge(folder, settings)
            folder.log_run(breaker.EVENT, wave.to_dict())
        except (TypeError, PolicyError, EvidenceError, AnsibleError) as exc:
            return {**result, "failed": True, "msg": str(exc)}
        wait = not wave.tripped and bool(wave.left) and not wave.again and settings.soak > 0
        if wait:
            self._rest(folder, wave.number, settings.soak)
        totals: dict[str, int] = {}
        for verdict in sorted(map(str, wave.hosts.values())):
            totals[verdict] = totals.get(verdict, 0) + 1
        said = ", ".join(f"{verdict} {number}" for verdict, number in totals.items()) or "no host"
        return {
            **result,
            "wave": wave.number,
            "totals": totals,
            "failed_hosts": sorted(wave.failed),
            "left": wave.left,
            "stop": wave.tripped and bool(wave.left),
            "look_again": wait,
            "msg": wave.reason or f"wave {wave.number}: {said}; {wave.left} hosts to go",
        }

    @staticmethod
    def _rest(folder: RunFolder, number: int, seconds: int) -> None:
        """Leave the wave alone, and tell whoever shows the progress."""
        place = folder.progress(f"wave {number}")
        try:
            tell(place, "rests", "until its hosts are looked at again")
            time.sleep(seconds)
        finally:
            place.unlink(missing_ok=True)

    def _mistake(self, task_vars: dict[str, t.Any]) -> str:
        if message := refusal.reason("wave", self._task, task_vars, once=True) or refusal.strategy("wave", self._task):
            return message
        if not self._task.run_once:
            return "evict.kaspersky.wave judges all hosts of a wave at once: give its task `run_once: true`"
        if strange := sorted(map(str, set(self._task.args) - self._VALID_ARGS)):
            return f"evict.kaspersky.wave has one option, `again`, not {', '.join(strange)}"
        return ""

    def _judge(self, folder: RunFolder, settings: Policy) -> breaker.Wave:
        book = ledger.build(folder.path, trust_manifest=False)
        rows = [row for row in book.rows if row.host not in book.carried]
        acted = [row.host for row in rows if row.verdict in _BLIND and _begun(folder.host_log(row.host))]
        events = evidence.read(folder.path / RUN_LOG)
        return breaker.judge(
            rows,
            [e.data for e in events if e.event == breaker.EVENT and e.time >= book.started],
            acted=acted,
            allowed=settings.max_failures,
            counting=settings.breaker_on,
            again=boolean(self._task.args.get("again", False)),
        )


def _begun(log: Path) -> bool:
    """Had the plan of a host begun, or was it about to? Its evidence holds a plan with steps, of this run."""
    if not log.exists():
        return False
    states = [record.data.get("state") for record in evidence.read(log) if record.event == "plan"]
    return bool(states) and states[-1] == "act"
