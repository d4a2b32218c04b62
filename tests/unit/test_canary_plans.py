# SPDX-License-Identifier: GPL-3.0-or-later
"""No plan, digest, text or job holds a secret: it names it, whatever the host says and whatever the vault resolved."""

from __future__ import annotations

import dataclasses
import itertools
import json
import typing as t
from pathlib import Path

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from ansible_collections.evict.kaspersky.plugins.plugin_utils import canonical, conceal, job, plan_text, planner
from ansible_collections.evict.kaspersky.plugins.plugin_utils.case import Case
from ansible_collections.evict.kaspersky.plugins.plugin_utils.plan import Plan
from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy_types import SecretRef
from ansible_collections.evict.kaspersky.plugins.plugin_utils.provider import ProviderSecret, StepTemplate
from ansible_collections.evict.kaspersky.plugins.plugin_utils.redact import Redactor
from ansible_collections.evict.kaspersky.plugins.plugin_utils.secret_vault import Vault
from tests import canary, cases

WIDE = canary.SECRET.encode("utf-16-le").hex()
# What the host itself holds: a task and a start script that would remove the products.
TASK = {"path": "\\Remove", "author": "admin", "command": f"msiexec /x klnagent KLUNINSTPASSWD={WIDE} /qn"}
START = {"kind": "startup_script", "source": "GPO", "text": f"kes KLLOGIN=KLAdmin KLPASSWD={canary.SECRET}"}

TOKEN = ProviderSecret(name="TOKEN", used_for="enrolment")
ENROL = StepTemplate(
    id="enrol",
    kind="run",
    args={"program": "C:\\Shield\\shield.exe", "arguments": ("enrol", "@TOKEN@")},
    reason="it is told to whom it belongs",
    when={},
    secrets={"TOKEN": "TOKEN"},
)


def references(folder: Path) -> dict[str, dict[str, SecretRef]]:
    """Each secret of the Windows products, by each way in turn."""
    file = folder / "secret"
    file.write_text(canary.SECRET)
    file.chmod(0o600)
    ways = itertools.cycle([SecretRef("variable", "word"), SecretRef("file", str(file)), SecretRef("variable", "none")])
    given = cases.given(["kes", "klnagent"], "windows") | {"shield": {"TOKEN": cases.secret()}}
    return {owner: {name: next(ways) for name in names} for owner, names in given.items()}


def windows(folder: Path, **probes: list[dict[str, str]]) -> Case:
    """A Windows host whose every secret is the canary, and that holds it as well."""
    secrets = references(folder)
    variables = {"word": canary.SECRET}
    vault = Vault(templar=Templar(loader=DataLoader(), variables=variables), loader=DataLoader(), variables=variables)
    proved = vault.check(secrets)
    assert sorted(proved.values())[:2] == ["", ""]
    made = cases.case(
        "windows",
        products=["kes", "klnagent"],
        policy={"secrets": secrets},
        probes=probes,
        found={"secrets": proved},
    )
    fallback = dataclasses.replace(ENROL, args={**ENROL.args, "arguments": ("start",)}, secrets={})
    made = dataclasses.replace(
        made,
        replacement=cases.provider("shield", cover=(ENROL,), secrets=(TOKEN,)),
        fallback=cases.provider("lantern", cover=(fallback,)),
    )
    raw = canonical.dumps(made.seen.to_dict())
    assert list(canary.search({"raw": raw})) != []
    seen, judged = conceal.judge(made.seen, made.catalog, Redactor(vault.known()))
    return dataclasses.replace(made, seen=seen, assessment=judged)


def everything(case: Case, plan: Plan) -> dict[str, str | bytes]:
    """All that is made of a plan."""
    data = plan.to_dict()
    return {
        "observation": canonical.dumps(case.seen.to_dict()),
        "row": canonical.dumps(case.assessment.row(case.host, case.seen).planned(plan).to_dict()),
        "plan": json.dumps(data, ensure_ascii=False),
        "digest input": canonical.dumps([step.identity() for step in plan.steps]),
        "text": "\n".join(plan_text.lines(plan)),
        **{phase: canonical.dumps(job.compile_job(plan, phase).windows()) for phase in job_phases(plan)},
        "words": repr((case, plan)),
    }


def job_phases(plan: Plan) -> list[t.Literal["stage", "commit", "finish"]]:
    """The phases a plan has jobs for."""
    return [phase for phase in ("stage", "commit", "finish") if any(step.phase == phase for step in plan.steps)]


def test_a_plan_names_secrets_and_holds_none(tmp_path: Path) -> None:
    case = windows(tmp_path, tasks=[TASK], reinstall=[START])
    # A secret that cannot be had blocks; what blocks is told without it.
    blocked = planner.plan(case)
    assert blocked.state == "blocked"
    assert any(hit.id == "secret_failing" for hit in blocked.inhibitors)
    assert list(canary.search(everything(case, blocked))) == []


def test_a_plan_with_steps_names_its_secrets(tmp_path: Path) -> None:
    word = SecretRef("variable", "word")
    given = cases.given(["kes", "klnagent"], "windows") | {"shield": {"TOKEN": word}}
    case = windows(tmp_path, tasks=[TASK])
    secrets = {owner: dict.fromkeys(names, word) for owner, names in given.items()}
    proved = {f"{owner}.{name}": "" for owner, names in secrets.items() for name in names}
    case = dataclasses.replace(
        case,
        policy=dataclasses.replace(case.policy, secrets=secrets),
        controller=dataclasses.replace(case.controller, secrets=proved, waived={"secret_in_arguments": cases.WAIVER}),
    )
    plan = planner.plan(case)
    assert plan.state == "act", [hit.id for hit in plan.blocking]
    named = {name for step in plan.steps for name in step.secrets.values()}
    assert named == {"kes.KLLOGIN", "kes.KLPASSWD", "klnagent.KLUNINSTPASSWD", "shield.TOKEN"}
    assert list(canary.search(everything(case, plan))) == []


@pytest.mark.parametrize("place", ["args", "reason", "target"])
def test_the_search_would_find_a_secret_in_a_plan(tmp_path: Path, place: str) -> None:
    plan = planner.plan(cases.case())
    assert plan.steps
    wrong: t.Any = {"x": canary.SECRET} if place == "args" else canary.SECRET
    spoilt = dataclasses.replace(plan, steps=(dataclasses.replace(plan.steps[0], **{place: wrong}), *plan.steps[1:]))
    hits = list(
        canary.search({"plan": json.dumps(spoilt.to_dict()), "digest": canonical.dumps(spoilt.steps[0].identity())})
    )
    assert any(hit.startswith("plan: ") for hit in hits)
    assert any(hit.startswith("digest: ") for hit in hits) == (place != "reason")
