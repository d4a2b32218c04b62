# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans in brief, for the written expectation of each lab state: ids in order, conditions, inhibitors, what is left.

``python -m tests.expected_plans RUN FILE`` writes what a run planned over FILE, to be read and judged line by line
before it is committed; tests only compare.
"""

from __future__ import annotations

import json
import sys
import typing as t
from collections.abc import Mapping
from pathlib import Path

import yaml

HEAD: t.Final = """\
# SPDX-License-Identifier: GPL-3.0-or-later
# What is planned for each state of the lab: the written expectation that tests hold every plan against.
# `shared` names lists of steps that many plans have in common; a step with a condition has it behind `if`.
"""
_SECTIONS: t.Final = ("stage", "remove", "cover", "fallback", "reboot", "finish")


class _Indented(yaml.SafeDumper):
    """Lists stand deeper than their key, as everywhere in this repository."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Never without an indent."""
        del indentless
        super().increase_indent(flow, False)


def brief(plan: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """A plan of plan.json without what differs from host to host: digest, machine, times, versions."""
    found: dict[str, t.Any] = {"state": plan["state"]}
    hits = [hit["id"] + (" (waived)" if hit["waived"] else "") for hit in plan["inhibitors"]]
    if hits:
        found["inhibitors"] = hits
    going = " ".join(dict.fromkeys(s["owner"] for s in plan["steps"] if s["section"] == "remove"))
    for section in _SECTIONS:
        mine = [_step(s, going) for s in plan["steps"] if section in (s["section"], s["phase"]) and _of(s) == section]
        if mine:
            found[section] = mine
    if plan["manual"]:
        found["manual"] = [item["what"] for item in plan["manual"]]
    return found


def _of(step: Mapping[str, t.Any]) -> str:
    return str(step["section"] or step["phase"])


def _step(step: Mapping[str, t.Any], going: str) -> str:
    """A step in brief; `going` names the products that the plan removes, in order."""
    condition = step["condition"]
    text = str(step["id"])
    if step["phase"] == "finish" and condition == {"name": "product_absent", "of": going}:
        return f"{text} if all are gone"
    if condition["name"] == "remains" and text.endswith(condition["of"]):
        return f"{text} if it remains"
    if condition["name"] != "always":
        text += f" if {condition['name']} {condition['of']}".rstrip()
    return text


def load(path: Path) -> dict[str, dict[str, t.Any]]:
    """The written expectation: name -> brief, shared lists put in."""
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    shared = data["shared"]

    def whole(plan: Mapping[str, t.Any]) -> dict[str, t.Any]:
        return {k: shared[v] if isinstance(v, str) and k in _SECTIONS else v for k, v in plan.items()}

    return {name: whole(plan) for name, plan in data["plans"].items()}


def dump(plans: Mapping[str, Mapping[str, t.Any]]) -> str:
    """The text of an expectation."""
    counted: dict[str, int] = {}
    for plan in plans.values():
        for section in _SECTIONS:
            if section in plan:
                key = json.dumps([section, plan[section]])
                counted[key] = counted.get(key, 0) + 1
    shared: dict[str, list[str]] = {}
    names: dict[str, str] = {}
    for key, count in counted.items():
        section, steps = json.loads(key)
        if count > 1 and len(steps) > 1:
            number = 1 + sum(name.startswith(section) for name in shared)
            names[key] = f"{section} {number}"
            shared[names[key]] = steps
    short = {
        name: {k: names.get(json.dumps([k, v]), v) if k in _SECTIONS else v for k, v in plan.items()}
        for name, plan in sorted(plans.items())
    }
    return HEAD + yaml.dump(
        {"shared": shared, "plans": short},
        Dumper=_Indented,
        sort_keys=False,
        width=160,
        allow_unicode=True,
        explicit_start=True,
    )


def of_run(folder: Path) -> dict[str, dict[str, t.Any]]:
    """Briefs of a run's plans by host."""
    data = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    return {host: brief(plan) for host, plan in data["hosts"].items()}


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(dump(of_run(Path(sys.argv[1]))), encoding="utf-8")
