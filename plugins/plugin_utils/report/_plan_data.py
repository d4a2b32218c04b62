# SPDX-License-Identifier: GPL-3.0-or-later
"""The plans as the script of the page reads them. What many hosts share, such as a step, stands in the page once."""

from __future__ import annotations

import shlex
import typing as t
from collections.abc import Callable, Iterable, Mapping

from ..steps import Condition
from ._plans import STATES

_ON_FAIL: t.Final = {
    "stop": "",
    "continue": "if it fails: go on",
    "cover": "if it fails: go on with the cover",
    "fallback": "if it fails: go on with the fallback",
}
_CHANGE: t.Final = {"none": "changes nothing", "reversible": "can be undone", "irreversible": "cannot be undone"}
# Phase and section -> the heading above its steps.
HEADS: t.Final = {
    ("stage", ""): "Stage: nothing of the old product is touched",
    ("commit", "remove"): "Commit, remove: runs to its end on the host, whatever becomes of the controller",
    ("commit", "cover"): "Commit, cover: the replacement becomes active",
    ("commit", "fallback"): "Commit, fallback: only when the replacement did not become active",
    ("reboot", ""): "Reboot",
    ("finish", ""): "Finish: what the old product left behind",
}


class Tables:
    """Parts of plans by number.

    Args:
        one: gives the number of a text.
    """

    def __init__(self, one: Callable[[str], int]) -> None:
        self._one = one
        self.steps: dict[tuple[t.Any, ...], int] = {}
        self.orders: dict[tuple[int, ...], int] = {}
        self.hits: dict[tuple[int, ...], int] = {}
        self.rests: dict[tuple[t.Any, ...], int] = {}

    def plan(self, plan: Mapping[str, t.Any]) -> list[t.Any]:
        """A plan as the script reads it; 1-data.js names the places in the same order."""
        order = tuple(_number(self.steps, self._step(step)) for step in plan["steps"])
        marker = next((n for n, step in enumerate(plan["steps"]) if step["id"] == plan["point_of_no_return"]), -1)
        rest = (
            self._all((plan["replacement"], plan["fallback"])),
            tuple(self._all((p["id"], p["version"], p["state"])) for p in plan["products"]),
            self._gap(plan["gap"]),
            tuple(self._all((m["what"], m["why"], m["remedy"])) for m in plan["manual"]),
            self._all(plan["notes"]),
            self._waiver(plan["excepted"]),
        )
        return [
            [state[0] for state in STATES].index(plan["state"]),
            *self._all((plan["digest"], plan["made"], plan["expires"], plan["machine"])),
            _number(self.orders, order),
            marker,
            [_number(self.hits, self._hit(hit)) for hit in plan["inhibitors"]],
            _number(self.rests, rest),
        ]

    def _step(self, step: Mapping[str, t.Any]) -> tuple[t.Any, ...]:
        head = (step["phase"], step["section"])
        condition = Condition(step["condition"]["name"], step["condition"]["of"])
        facts = [
            _CHANGE[step["change"]],
            f"usually {step['typical']} s",
            f"at most {step['timeout']} s",
            _ON_FAIL[step["on_fail"]],
        ]
        args = [f"{name}: {v if isinstance(v, str) else shlex.join(v)}" for name, v in sorted(step["args"].items())]
        args += [f"{name}: the secret {secret}" for name, secret in sorted(step["secrets"].items())]
        texts = (
            HEADS.get(head, " ".join(filter(None, head))),
            step["id"],
            step["kind"],
            step["target"],
            step["reason"],
            condition.words(),
            "; ".join(filter(None, facts)),
        )
        return (*self._all(texts), self._all(args))

    def _hit(self, hit: Mapping[str, t.Any]) -> tuple[int, ...]:
        waiver = self._waiver(hit["waived"])
        lifted = "" if waiver or hit["waivable"] else "no waiver can lift this"
        return (*self._all((hit["id"], hit["title"], hit["diagnosis"], hit["remedy"], lifted)), *waiver)

    def _waiver(self, waiver: Mapping[str, str] | None) -> tuple[int, ...]:
        return self._all((waiver["owner"], waiver["reason"], waiver["ticket"], waiver["expires"])) if waiver else ()

    def _gap(self, gap: Mapping[str, t.Any] | None) -> tuple[int, ...]:
        return self._all((str(gap["expected"]), str(gap["at_most"]), gap["why"])) if gap else ()

    def _all(self, texts: Iterable[str]) -> tuple[int, ...]:
        return tuple(map(self._one, texts))


def _number(known: dict[t.Any, int], key: object) -> int:
    return known.setdefault(key, len(known))
