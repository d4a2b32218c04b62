# SPDX-License-Identifier: GPL-3.0-or-later
"""Task keywords that would write one machine's truth into another's record. Pure."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping

# keyword -> why it cannot be
_WHY: t.Final[Mapping[str, str]] = {
    "delegate_to": "it would look at one machine and write the result into another's record",
    "run_once": "one machine's result would stand for all",
    "loop": "one machine has one result a run",
    "until": "a repeated look hides what the first one saw",
    "async": "the result would be lost to the record",
}
# The role includes its tasks in a loop of one turn, so that hosts of one exclusive group are changed one by one.
TURNS: t.Final = "__remediate_turn"


def reason(verb: str, task: t.Any, task_vars: Mapping[str, t.Any], *, once: bool = False) -> str:
    """Why this task is refused; empty when it is not.

    Args:
        verb: name of our verb, for the message.
        task: the task as the action plugin has it.
        task_vars: its variables; a running loop shows in them even where the task was copied without its loop.
        once: the verb is for all hosts of the play, so that `run_once` is right.
    """
    looped = task_vars.get("ansible_loop_var", TURNS) != TURNS
    used = {
        "delegate_to": task.delegate_to is not None,
        "run_once": bool(task.run_once) and not once,
        "loop": bool(getattr(task, "loop", None)) or bool(task.loop_with) or looped,
        "until": bool(task.until) or bool(task.retries),
        "async": bool(task.async_val),
    }
    found = [name for name, is_used in used.items() if is_used]
    if not found:
        return ""
    whys = "; ".join(f"`{name}`: {_WHY[name]}" for name in found)
    names = " and ".join(f"`{name}`" for name in found)
    return f"evict.kaspersky.{verb} cannot run with {names} ({whys}). Remove it from the task."


_LINEAR: t.Final = ("linear", "ansible.builtin.linear", "ansible.legacy.linear")


def strategy(verb: str, task: t.Any) -> str:
    """Why the strategy of the task's play is refused; empty when it is the linear one, or nobody says.

    Args:
        verb: name of our verb, for the message.
        task: the task as the action plugin has it.
    """
    item, play = task, None
    while item is not None and play is None:
        item, play = getattr(item, "_parent", None), getattr(item, "_play", None)
    name = getattr(play, "strategy", None)
    if name is None or name in _LINEAR:
        return ""
    return (
        f"evict.kaspersky.{verb} cannot run with the strategy `{name}` (waves, the breaker and one host at a time in a "
        "group need all hosts at the same step). Remove it from the play, or set it to `linear`."
    )
