# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The internal verb `rows`: rows.json and manifest for runs in which the callback of this collection is not enabled."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase

from ansible_collections.evict.kaspersky.plugins.plugin_utils import evidence, ledger, policy, report
from ansible_collections.evict.kaspersky.plugins.plugin_utils.evidence import EvidenceError
from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy import PolicyError
from ansible_collections.evict.kaspersky.plugins.plugin_utils.report import text
from ansible_collections.evict.kaspersky.plugins.plugin_utils.run import (
    RUN_LOG,
    RunFolder,
    callback_active,
    hosts_of,
)
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import default_fail_on

_MOST: t.Final = 50  # hosts named in the result; the rest is in rows.json
_SETTINGS: t.Final = ("evict_out", "evict_evidence_dir", "evict_run", "evict_fail_on")
# Artifacts of AWX become extra vars of the next node of a workflow, where a name `evict_...` would be a setting.
_ARTIFACT: t.Final = "evict"
_FAILED: t.Final = (
    "it failed in the scan or before; the message is in the output of ansible-playbook "
    "(enable the callback evict.kaspersky.rows to have it here)"
)


class ActionModule(ActionBase):
    """Write what the callback would have written. Touches no host."""

    _supports_check_mode = True
    _supports_async = False
    _requires_connection = False
    _VALID_ARGS: frozenset[str] = frozenset()

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Run the verb; see plugins/modules/rows.py for what it returns."""
        task_vars = task_vars or {}
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        result["changed"] = False
        try:
            given = self._given(task_vars)
            book = self._book(given, task_vars)
        except (PolicyError, EvidenceError, AnsibleError) as exc:
            return {**result, "failed": True, "msg": str(exc)}
        loud = [row for row in text.worst_first(book.rows) if row.verdict not in text.QUIET]
        result["totals"] = book.totals()
        result["inventory"] = len(book.rows)
        result["folder"] = str(book.folder)
        result["run"] = book.run
        result["ansible_stats"] = {"data": {_ARTIFACT: _counts(book)}, "per_host": False, "aggregate": False}
        result["exceptions"] = [{"host": text.clip(r.host, 255), "verdict": str(r.verdict)} for r in loud[:_MOST]]
        result["more_exceptions"] = max(0, len(loud) - _MOST)
        result["gate"] = self._gate(book, given, task_vars)
        result["msg"] = text.totals(book.rows)
        return result

    def _given(self, task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        return {name: self._templar.template(task_vars[name]) for name in _SETTINGS if name in task_vars}

    @staticmethod
    def _gate(book: ledger.Ledger, given: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, str]:
        """Host of this play -> why it fails: by `evict_fail_on`, else by the exit codes of the run's verb."""
        said = "evict_fail_on" in given
        fail_on = set(policy.validate(given).fail_on if said else default_fail_on(book.verb))
        there = set(map(str, task_vars.get("ansible_play_hosts_all", ())))
        return {
            row.host: text.clip(f"{row.verdict}: {row.reasons[0] if row.reasons else 'see rows.json'}", 300)
            for row in book.rows
            if row.verdict in fail_on and row.host in there
        }

    def _book(self, given: dict[str, t.Any], task_vars: dict[str, t.Any]) -> ledger.Ledger:
        inventory, scope = hosts_of(task_vars)
        folder = RunFolder.resolve(policy.validate(given), task_vars).create(inventory=inventory, scope=scope)
        if callback_active():
            return ledger.build(folder.path, trust_manifest=False)
        self._hosts(folder, inventory, scope)
        active = set(map(str, task_vars.get("ansible_play_hosts", scope)))
        for host in scope:
            if host not in active and not folder.host_log(host).exists():
                folder.log_run("host_failed", {"host": host, "kind": "failed", "message": _FAILED})
        book = ledger.build(folder.path, trust_manifest=False)
        record = folder.log_run("run_ended", {"how": "ended", "totals": book.totals()})
        book = dataclasses.replace(book, complete=True, ended=record.time)
        ledger.write_rows(book)
        ledger.write_plans(book)
        report.write(book)
        ledger.write_manifest(folder.path, folder.run)
        return book

    @staticmethod
    def _hosts(folder: RunFolder, inventory: list[str], scope: list[str]) -> None:
        """Write the hosts down, unless that was done; hosts of an earlier play of the run stay in."""
        before = [r.data for r in evidence.read(folder.path / RUN_LOG) if r.event == "hosts"]
        known = before[-1] if before else {"inventory": [], "scope": []}
        wanted = {
            "inventory": list(dict.fromkeys([*known["inventory"], *inventory])),
            "scope": list(dict.fromkeys([*known["scope"], *scope])),
        }
        if wanted != known:
            folder.log_run("hosts", wanted)


def _counts(book: ledger.Ledger) -> dict[str, t.Any]:
    """What goes to the artifacts of a job, where many may read it: counts, and no host."""
    return {
        "run": book.run,
        "verb": str(book.verb),
        "folder": str(book.folder),
        "inventory": len(book.rows),
        "totals": book.totals(),
    }
