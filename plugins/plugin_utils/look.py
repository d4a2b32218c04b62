# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One look at the host of an action: the script or module that observes, the answer without secrets, the plan."""

from __future__ import annotations

import dataclasses
import typing as t
from collections.abc import Mapping

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase

from . import conceal, extra, hand, knowledge, observation, policy, redact, transport, trouble, trouble_winrm
from .assess import Assessment
from .case import Case
from .catalog import Catalog
from .desk import Desk
from .observation import Observation
from .plan import Plan
from .policy import Policy
from .run import RunFolder
from .trouble import Trouble

Seen = tuple[Observation | None, Trouble | None, str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Look:
    """What came of looking at a host.

    Attributes:
        seen, judged: the answer and what was made of it; None when there is none.
        problem: why there is no answer.
        way: by which the script travelled, for the evidence.
        case, plan: where a plan was asked for.
    """

    seen: Observation | None = None
    judged: Assessment | None = None
    problem: Trouble | None = None
    way: str = ""
    case: Case | None = None
    plan: Plan | None = None


def at_host(
    action: ActionBase,
    host: str,
    settings: Policy,
    catalog: Catalog,
    desk: Desk | None,
    hide: redact.Redactor,
    task_vars: dict[str, t.Any],
) -> Look:
    """Look at the task's host, judge it, and plan where a desk is given.

    Args:
        action: the running action, whose connection is used.
        host: inventory name.
        settings: the policy.
        catalog: what we know.
        desk: the controller's part of a plan; None for an audit.
        hide: knows the secrets of the host.
        task_vars: the host's variables.
    """
    try:
        seen, problem, way = _observe(action, settings, desk, task_vars)
    except BaseException as exc:
        # Core's class for the task keyword `timeout` has moved between releases and derives from BaseException.
        if type(exc).__name__ != "TaskTimeoutError":
            raise
        seen, problem, way = None, trouble.silence(action._task.timeout), ""
    if seen is None:
        return Look(problem=problem and dataclasses.replace(problem, text=hide.clean(problem.text)), way=way)
    seen, judged = conceal.judge(seen, catalog, hide)
    if desk is None:
        return Look(seen=seen, judged=judged, problem=problem, way=way)
    case = desk.case(host, seen, judged)
    plan = desk.plan(case, hand.under_way(action, seen, task_vars))
    return Look(seen=seen, judged=judged, problem=problem, way=way, case=case, plan=plan)


def settings(
    action: ActionBase, task_vars: Mapping[str, t.Any], *, plan: bool = False, providers: bool = True
) -> tuple[Policy, dict[str, t.Any]]:
    """The settings of the task's host, checked, and as they were given.

    Args:
        action: the running action, whose templar and loader resolve them.
        task_vars: the host's variables.
        plan: a plan is to be made: what it needs must be there.
        providers: check them against the providers as well.

    Raises:
        PolicyError, CatalogError, ProvidersError: as `policy.validate` and `knowledge.providers` do.
    """
    extras = extra.names(action._loader)
    given = {k: action._templar.template(v) for k, v in task_vars.items() if str(k).startswith("evict_")}
    checked = policy.validate(
        given,
        extra=extras,
        providers=knowledge.providers() if providers else None,
        where=extra.Places(task_vars, extras),
        platform="windows" if on_windows(action) else "linux",
        plan=plan,
    )
    return checked, given


def desk(
    action: ActionBase,
    checked: Policy,
    given: Mapping[str, t.Any],
    folder: RunFolder,
    task_vars: Mapping[str, t.Any],
) -> tuple[Desk, redact.Redactor]:
    """The controller's part of the host's plan, and what hides the host's secrets.

    Args:
        action: the running action.
        checked, given: as `settings` returns them.
        folder: of the run.
        task_vars: the host's variables.

    Raises:
        DeskError: as `Desk.open` and `Desk.spilt` do.
    """
    opened = Desk.open(action, checked, folder, task_vars)
    hide = redact.Redactor([*secrets(action, task_vars), *opened.vault.known()])
    opened.spilt(given, hide)
    return opened, hide


def secrets(action: ActionBase, task_vars: Mapping[str, t.Any]) -> list[str]:
    """Secrets among the host's variables: a library's error message may repeat them, or the host may hold them."""
    names = {str(name) for name in task_vars if redact.holds_secret(str(name))}
    names |= redact.named(_value(action, "evict_secrets", task_vars)) & set(task_vars)
    return [found for name in sorted(names) if isinstance(found := _value(action, name, task_vars), str)]


def _value(action: ActionBase, name: str, task_vars: Mapping[str, t.Any]) -> t.Any:
    try:
        value = action._templar.template(task_vars[name])
        return value if value is None or isinstance(value, (dict, list)) else str(value)
    except (KeyError, AnsibleError):
        return None  # what cannot be resolved is nothing that could have been sent


def on_windows(action: ActionBase) -> bool:
    """Is the host of the action reached as a Windows host?"""
    return bool(getattr(action._connection._shell, "_IS_WINDOWS", False))


def _observe(action: ActionBase, settings: Policy, desk: Desk | None, task_vars: dict[str, t.Any]) -> Seen:
    if on_windows(action):
        return _observe_windows(action, settings, desk, task_vars)
    script, asked = knowledge.OBSERVE_LINUX, None
    if desk is not None:
        asked = desk.ask("linux")
        bare = not asked["endpoints"] and not asked["packages"]
        script = knowledge.OBSERVE_LINUX_PLAN_BARE if bare else knowledge.OBSERVE_LINUX_PLAN
    seen, problem, way = _observe_posix(action, settings, script, task_vars, asked)
    if seen is not None and seen.platform == "macos":
        return _observe_posix(action, settings, knowledge.OBSERVE_MAC, task_vars)
    return seen, problem, way


def _observe_posix(
    action: ActionBase,
    settings: Policy,
    script: str,
    task_vars: dict[str, t.Any],
    asked: dict[str, list[str]] | None = None,
) -> Seen:
    values = {f"PREFLIGHT_{name.upper()}": "\n".join(items) for name, items in (asked or {}).items()}
    values["TIMEOUT"] = str(settings.probe_timeout)
    answer = transport.run_script(action, script=script, values=values, prefix="EVICT_", task_vars=task_vars)
    if answer.trouble is not None:
        return None, answer.trouble, answer.way
    seen = observation.parse_posix(answer.text, answer.nonce, preflight=asked is not None)
    return seen, None if seen else trouble.answer(answer.text), answer.way


def _observe_windows(action: ActionBase, settings: Policy, desk: Desk | None, task_vars: dict[str, t.Any]) -> Seen:
    name, args = "win_observe", {**knowledge.WINDOWS_LITERALS, "timeout": settings.probe_timeout}
    if desk is not None:
        name, args = "win_observe_plan", {"observe": args, "preflight": desk.ask("windows")}
    try:
        answer = action._execute_module(module_name=f"evict.kaspersky.{name}", module_args=args, task_vars=task_vars)
    except Exception as exc:
        # Of what requests, pywinrm and pypsrp raise, core's plugins turn only a part into errors of core.
        return None, _windows_trouble(action, exc), "module"
    try:
        return observation.from_dict(answer.get("observation"), preflight=desk is not None), None, "module"
    except ValueError:
        # `exception` is an object of core's own from 2.19 on; it says nothing that the message does not.
        said = "\n".join(str(answer.get(key) or "") for key in ("msg", "module_stderr")).strip()
        return None, trouble.module(said), "module"


def _windows_trouble(action: ActionBase, exc: Exception) -> Trouble:
    name = str(action._connection.transport).rpartition(".")[2]
    if name in trouble_winrm.CONNECTIONS:
        told = trouble_winrm.first(exc) if name == "winrm" else exc
        said, kind = transport.message(told), type(told).__name__
        return trouble_winrm.failed(said, connection=name, connected=bool(action._connection.connected), kind=kind)
    if isinstance(exc, AnsibleConnectionFailure):
        return trouble.connection(transport.message(exc))
    if isinstance(exc, AnsibleError):
        return trouble.error(transport.message(exc))
    raise exc
