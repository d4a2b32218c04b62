# SPDX-License-Identifier: GPL-3.0-or-later
"""The templates of awx/ launched as AWX launches them: the checkout as project, answers of the survey as extra vars.

Run by ansible-runner; answers are marked as not to be templated, like those of AWX.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import typing as t
from pathlib import Path

import ansible_runner
import pytest
import yaml

from ansible_collections.evict.kaspersky.plugins.plugin_utils import ledger, plans
from evict import report_events
from tests import tree
from tests.e2e import playbooks
from tests.e2e.test_canary_plan import KESL, answer
from tests.unit import test_awx as data

# What a person fills in; everything else is left as the survey has it.
FILLED: dict[str, t.Any] = {
    "evict_hosts": "fleet",
    "evict_replacement": "linux: clamav\n",
    "evict_fallback": "linux: none\n",
    "evict_consent": ["remove", "unprotected"],
}


@dataclasses.dataclass(frozen=True)
class Launched:
    """A job that ended."""

    status: str
    out: str
    artifacts: Path
    evidence: Path

    def stats(self) -> dict[str, t.Any]:
        """Its artifacts as AWX keeps them."""
        for path in (self.artifacts / "job_events").glob("*.json"):
            event = json.loads(path.read_text())
            if event["event"] == "playbook_on_stats":
                return dict(event["event_data"]["artifact_data"])
        return {}

    def told(self) -> dict[str, str]:
        """Host -> verdict by its events."""
        book = report_events.read(self.artifacts)
        assert book.problems == ()
        return {row.host: str(row.verdict) for row in book.rows}


def launch(
    where: Path, monkeypatch: pytest.MonkeyPatch, name: str, ident: str, *, limit: str = "", **filled: t.Any
) -> Launched:
    """Launch a template on two stand-ins, one of them with the product, and a host that is not meant."""
    template = data.TEMPLATES[name]
    for variable in [n for n in os.environ if n.startswith(("ANSIBLE_", "EVICT_"))]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    private = where / f"job-{ident}"
    (private / "env").mkdir(parents=True)
    lines = ["spare ansible_connection=local", "[fleet]"]
    for number, (host, body) in enumerate({"clean": answer(1), "old": answer(2, KESL)}.items()):
        fake = playbooks.stand_in(where / f"sh-{number}", body)
        lines.append(f"{host} ansible_connection=local ansible_shell_executable={fake}")
    (where / "hosts").write_text("\n".join(lines) + "\n")
    # The template's own are templated, the answers are not; then come those that name the job.
    survey = {q["variable"]: data.answer(q) for q in template["survey_spec"]["spec"]} | filled
    unsafe = "".join(f"!unsafe {json.dumps(key)}: {marked(value)}\n" for key, value in survey.items())
    ours = {"evict_evidence_dir": str(where / "evidence"), "awx_job_id": int(ident), "awx_job_template_name": name}
    assert set(template["extra_vars"]) <= set(ours)
    (private / "env" / "extravars").write_text(unsafe + yaml.safe_dump(ours))
    check = {"check": "--check ", "run": ""}[template["job_type"]]
    done = ansible_runner.run(
        private_data_dir=str(private),
        project_dir=str(tree.ROOT),
        playbook=template["playbook"],
        inventory=str(where / "hosts"),
        cmdline=f"{check}--forks {template['forks']}"
        + (" --diff" if template["diff_mode"] else "")
        + (f" --limit {limit}" if limit else ""),
        ident=ident,
        quiet=True,
    )
    return Launched(str(done.status), done.stdout.read(), private / "artifacts" / ident, where / "evidence" / ident)


def marked(value: t.Any) -> str:
    """An answer as YAML that is not templated."""
    if isinstance(value, list):
        return f"[{', '.join(marked(item) for item in value)}]"
    return f"!unsafe {json.dumps(value)}" if isinstance(value, str) else json.dumps(value)


def test_audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = launch(tmp_path, monkeypatch, "audit", "41", evict_hosts="fleet")
    assert job.status == "successful", job.out
    assert job.told() == {"clean": "absent", "old": "present", "spare": "out_of_scope"}
    counts = job.stats()["evict"]
    assert counts["totals"] == {"present": 1, "absent": 1, "out_of_scope": 1}
    assert (counts["run"], counts["folder"], counts["verb"]) == ("41", str(job.evidence), "audit")
    assert not {"clean", "old", "spare"} & set(json.dumps(counts["totals"]).split('"'))


def test_plan_for_approval_and_plan_against_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = launch(tmp_path, monkeypatch, "plan", "42", **FILLED)
    book = ledger.build(job.evidence)
    assert (str(book.verb), book.complete, book.problems) == ("plan", True, ())
    assert job.told() == {row.host: str(row.verdict) for row in book.rows}
    by_events = {row.host: (row.plan, row.plan_state) for row in report_events.read(job.artifacts).rows}
    assert by_events == {row.host: (row.plan, row.plan_state) for row in book.rows}
    assert set(book.plans) == {"clean", "old"}
    assert plans.read(job.evidence, "old").state == "act"
    # What the remediation is given: the folder is told by the artifacts.
    approved = Path(job.stats()["evict"]["folder"]) / "plan.json"
    assert set(json.loads(approved.read_text())["hosts"]) == {"clean", "old"}


def test_another_answer_than_the_approved_plan_had_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = launch(tmp_path, monkeypatch, "plan", "51", **FILLED)
    assert plans.read(job.evidence, "old").state == "act", job.out
    approved = {"evict_approved_plan": str(job.evidence / "plan.json"), "evict_waves": "1\n5\n"}
    other = {**FILLED, **approved, "evict_purge": "false"}
    done = launch(tmp_path, monkeypatch, "remediate", "52", limit="old", **other)
    assert done.status == "failed"  # by the gate
    assert done.told() == {"clean": "out_of_scope", "old": "blocked", "spare": "out_of_scope"}
    book = ledger.build(done.evidence)
    assert {row.host: str(row.verdict) for row in book.rows} == done.told()
    assert str(book.verb) == done.stats()["evict"]["verb"] == "remediate"


@pytest.mark.parametrize(
    ("filled", "words"),
    [
        ({"evict_replacement": "linux: clamv\n"}, "clamv"),
        ({"evict_replacement": ""}, "evict_replacement"),
        ({"evict_roles": "mail\nprxy\n"}, "prxy"),
        ({"evict_reboot": "window"}, "evict_windows"),
    ],
)
def test_a_wrong_answer_is_told_and_no_host_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, filled: dict[str, str], words: str
) -> None:
    job = launch(tmp_path, monkeypatch, "plan", "43", **{**FILLED, **filled})
    assert job.status == "failed"
    assert words in job.out
    assert job.told() == {"clean": "unknown", "old": "unknown", "spare": "out_of_scope"}
    assert "Traceback" not in job.out


def test_nobody_answered_for_the_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node of a workflow can start a template without an answer that it needs."""
    job = launch(tmp_path, monkeypatch, "remediate", "44")
    assert job.status == "failed"
    assert not job.evidence.exists() or not list(job.evidence.glob("hosts/*"))
