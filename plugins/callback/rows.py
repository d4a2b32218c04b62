# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One row for every host of the inventory, whatever way the run ends. Ansible's events go to the recorder."""

from __future__ import annotations

import atexit
import functools
import os
import sys
import time
import typing as t
from collections.abc import Callable, Iterable, Iterator

from ansible import context
from ansible.plugins.callback import CallbackBase
from ansible.release import __version__ as ansible_version
from ansible.template import Templar

from ansible_collections.evict.kaspersky.plugins.plugin_utils import from_events, progress
from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy import Policy, PolicyError, validate
from ansible_collections.evict.kaspersky.plugins.plugin_utils.recorder import STATUS_FD, Recorder
from ansible_collections.evict.kaspersky.plugins.plugin_utils.redact import holds_secret, named
from ansible_collections.evict.kaspersky.plugins.plugin_utils.report import text
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import Verb, Verdict

DOCUMENTATION = r"""
name: rows
type: aggregate
short_description: One row for every host of the inventory
version_added: "0.1.0"
author: evict.kaspersky contributors (@evict-kaspersky)
description:
  - Makes the run folder before the first task, writes down every host of the inventory, records what fails around the
    tasks of this collection, and at the end writes C(rows.json) and C(manifest.json) and prints one line a host.
  - Does nothing in a playbook without tasks or roles of this collection.
  - Runs without it (it must be enabled) get their rows from the last task of the playbook.
requirements:
  - enabled in C(callbacks_enabled), as the ansible.cfg of this project and the C(evict) command do
"""

_COLLECTION: t.Final = "evict.kaspersky"
_VERBS: t.Final = frozenset({"scan", "perform", "prove"})
_FOLDER: t.Final = ("evict_out", "evict_evidence_dir", "evict_run")
# Set where ansible-runner, and with it AWX, keeps what happens as events.
_EVENTS: t.Final = "AWX_ISOLATED_DATA_DIR"
# Role -> what a run with it is for; the first that is found counts, since one may bring in another.
_BY_ROLE: t.Final = {"protect": Verb.PROTECT, "remediate": Verb.REMEDIATE, "verify": Verb.VERIFY}
_NO: t.Final = frozenset({"none", "false", "no", "off", "0", ""})
_Method = t.TypeVar("_Method", bound=Callable[..., None])


def _safe(method: _Method) -> _Method:
    """An error in here must never cost the run: it is shown once and the run goes on."""

    @functools.wraps(method)
    def guarded(self: CallbackModule, *args: t.Any, **kwargs: t.Any) -> None:
        try:
            method(self, *args, **kwargs)
        except Exception as exc:  # whatever it is, the audit of the hosts matters more than their bookkeeping
            self.complain(f"{method.__name__}: {type(exc).__name__}: {exc}")

    return t.cast("_Method", guarded)


class CallbackModule(CallbackBase):
    """The events of Ansible that matter for rows."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "evict.kaspersky.rows"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args: t.Any, **kwargs: t.Any) -> None:
        super().__init__(*args, **kwargs)
        self._recorder = Recorder()
        self._plays: list[t.Any] = []
        self._play: t.Any = None
        self._pid = os.getpid()
        self._complained = False
        self._shown_at = time.time()
        self._concluded = False  # the rows are known: what fails from here on fails by them
        self._announced: tuple[list[str], list[str]] = ([], [])
        atexit.register(self._at_exit)

    def complain(self, message: str) -> None:
        """Say once that the bookkeeping has a fault."""
        if not self._complained:
            self._complained = True
            self._display.warning(f"{self.CALLBACK_NAME}: {text.clip(message, 500)}")

    @_safe
    def v2_playbook_on_start(self, playbook: t.Any) -> None:
        self._plays = list(playbook.get_plays())

    @_safe
    def v2_playbook_on_play_start(self, play: t.Any) -> None:
        self._play = play
        if self._recorder.begun or any(_is_ours(p) for p in [play, *self._plays]):
            self._begin()

    @_safe
    def v2_playbook_on_task_start(self, task: t.Any, is_conditional: bool) -> None:
        del is_conditional
        if not self._recorder.begun and _verb(task):  # a task of ours in a file that was included while running
            self._begin(aimed=True)

    @_safe
    def v2_runner_on_start(self, host: t.Any, task: t.Any) -> None:
        if _verb(task):
            self._concluded = False
            self._recorder.task_started(host.get_name())

    @_safe
    def v2_runner_on_ok(self, result: t.Any) -> None:
        if _verb(_task(result)):
            self._recorder.scanned(_host(result).get_name())
            self._progress(result)
        elif _action(_task(result)) == f"{_COLLECTION}.rows":
            self._concluded = True
        elif _action(_task(result)) == f"{_COLLECTION}.wave" and not context.CLIARGS.get("check"):
            self._display.display(text.inert(str(_result(result).get("msg"))))

    @_safe
    def v2_runner_on_failed(self, result: t.Any, ignore_errors: bool = False) -> None:
        if not ignore_errors or _verb(_task(result)):
            self._failed(result, "failed")

    @_safe
    def v2_runner_on_unreachable(self, result: t.Any) -> None:
        self._failed(result, "unreachable")

    @_safe
    def v2_runner_on_skipped(self, result: t.Any) -> None:
        if _verb(_task(result)):
            self._failed(result, "skipped")

    @_safe
    def v2_playbook_on_stats(self, stats: t.Any) -> None:
        del stats
        self._finish("ended")

    def _begin(self, *, aimed: bool = False) -> None:
        """Start the run, or add the hosts of one more play."""
        play = self._play
        manager = play.get_variable_manager()
        inventory = manager._inventory
        everybody = inventory.get_hosts("all", ignore_limits=True, ignore_restrictions=True)
        plays = [p for p in [play, *self._plays] if _is_ours(p)]
        scope = list(dict.fromkeys(h for p in ([play] if aimed else plays) for h in _aim(p, manager, inventory)))
        if not everybody and not scope:
            return  # no hosts at all: ansible-playbook says so, and there is nobody to make a row for
        if not self._recorder.begun:
            sample = next((h for h in [*scope, *everybody]), None)
            variables = manager.get_vars(play=play, host=sample, include_hostvars=False)
        else:
            variables = {}
        verb = _purpose(plays)
        policy, mistake = _policy(play, variables)
        self._recorder.begin(
            policy,
            variables,
            verb=verb,
            inventory=[h.get_name() for h in everybody],
            scope=[h.get_name() for h in scope],
            ansible=ansible_version,
            mistake=mistake,
        )
        self._announce(verb, [h.get_name() for h in everybody], [h.get_name() for h in scope])
        if self._recorder.fault:
            self._display.error(f"No evidence is written: {text.inert(self._recorder.fault)}", wrap_text=False)

    def _announce(self, verb: Verb, inventory: list[str], scope: list[str]) -> None:
        """Name the hosts among the events of a job: they outlive the files, and tell who had no turn."""
        folder, hosts = self._recorder.folder, (inventory, scope)
        if folder is None or hosts == self._announced or _EVENTS not in os.environ:
            return
        self._announced = hosts
        for line in from_events.announce(folder.run, verb, inventory, scope):
            self._display.display(line)

    def _failed(self, result: t.Any, kind: str) -> None:
        if not self._recorder.begun:
            return
        host, task, data = _host(result), _task(result), _result(result)
        ours = bool(_verb(task))
        if not ours and self._concluded:
            return
        if ours and data.get("refused") is True:
            self._recorder.refused.add(host.get_name())
        row = data.get("row")
        if kind == "failed" and _verb(task) == "scan" and isinstance(row, dict) and row.get("verdict") in list(Verdict):
            self._recorder.unwritten(host.get_name(), row, str(data.get("msg") or ""))
            return
        said = data.get("msg") or data.get("skip_reason") or data.get("censored") or data.get("reason") or ""
        message = str(said) or f"{kind} without a message"
        if kind == "skipped":
            message = f"the scan was skipped by a condition of the playbook ({message})"
        elif not ours:
            message = f"before the scan, the task {task.name or task.action!s} {kind}: {message.lstrip()}"
        self._recorder.failed(host.get_name(), kind, message, ours=ours, secrets=_secrets(self._play, host))

    def _progress(self, result: t.Any) -> None:
        """Tell of a host that has its row; show how far the run has come, where a person looks and nobody else does."""
        task, data = _task(result), _result(result)
        row, plan = data.get("row"), data.get("plan")
        if _verb(task) != "scan" or not isinstance(row, dict):
            return
        goes_on = isinstance(plan, dict) and plan.get("state") == "act" and not context.CLIARGS.get("check")
        if goes_on and not task.args.get("result"):
            return
        self._recorder.done(_host(result).get_name(), str(row.get("verdict")))
        now = time.time()
        folder = self._recorder.folder
        if (
            folder is None
            or STATUS_FD in os.environ
            or not sys.stdout.isatty()
            or now < self._shown_at + progress.EVERY
        ):
            return
        self._shown_at = now
        steps = progress.running(folder.path)
        self._display.display(progress.line(self._recorder.hosts, self._recorder.finished, steps, now))

    def _finish(self, how: str) -> None:
        summary = self._recorder.finish(how)
        if summary is not None:
            self._display.display("\n" + summary.text.rstrip("\n"))

    @_safe
    def _at_exit(self) -> None:
        """The run broke off (Ctrl-C, a worker that died, an error of Ansible): rows are written nevertheless."""
        if os.getpid() == self._pid:
            self._finish("interrupted")


def _host(result: t.Any) -> t.Any:
    return result.host if hasattr(result, "host") else result._host


def _task(result: t.Any) -> t.Any:
    return result.task if hasattr(result, "task") else result._task


def _result(result: t.Any) -> t.Any:
    return result.result if hasattr(result, "result") else result._result


def _action(task: t.Any) -> str:
    """The full name of a task's action; read past the property, which warns when it is not resolved yet."""
    own = vars(task)
    return str(own.get("_resolved_action") or own.get("resolved_action") or task.action or "")


def _verb(task: t.Any) -> str:
    """Which of our verbs a task is, empty for none."""
    collection, _dummy, name = _action(task).rpartition(".")
    return name if collection == _COLLECTION and name in _VERBS else ""


def _tasks(blocks: Iterable[t.Any]) -> Iterator[t.Any]:
    for item in blocks:
        if hasattr(item, "block"):
            yield from _tasks([*item.block, *item.rescue, *item.always])
        else:
            yield item


def _purpose(plays: Iterable[t.Any]) -> Verb:
    """What a run is for. In check mode nothing is performed, and a plan is what is left of it."""
    tasks = [task for play in plays for task in _tasks(play.compile())]
    roles = {name.removeprefix(f"{_COLLECTION}.") for task in tasks for name in _roles(task)}
    found = [verb for role, verb in _BY_ROLE.items() if role in roles]
    performs = any(_verb(task) == "perform" for task in tasks)
    verb = found[0] if found else Verb.REMEDIATE if performs else Verb.AUDIT
    if verb in (Verb.REMEDIATE, Verb.PROTECT):
        return Verb.PLAN if context.CLIARGS.get("check") else verb
    wanted = (task.args.get("plan") for task in tasks if _verb(task) == "scan")
    return Verb.PLAN if verb is Verb.AUDIT and any(str(word).lower() not in _NO for word in wanted) else verb


def _roles(task: t.Any) -> Iterator[str]:
    """Full names of the role of a task, and of those that brought it in."""
    todo = [getattr(task, "_role", None)]
    while todo:
        role = todo.pop()
        if role is not None:
            yield str(role.get_name())
            todo += list(getattr(role, "_parents", ()) or ())


def _is_ours(play: t.Any) -> bool:
    """Does a play hold a task or a role of this collection, as far as can be seen before it runs?"""
    for task in _tasks(play.compile()):
        role = str(getattr(task, "_role_name", None) or "")
        if _verb(task) or role.startswith(f"{_COLLECTION}."):
            return True
    return False


def _aim(play: t.Any, manager: t.Any, inventory: t.Any) -> list[t.Any]:
    """The hosts a play selects under the limit, whatever its batches; nobody when that cannot be told yet."""
    try:
        pattern = Templar(loader=play.get_loader(), variables=manager.get_vars(play=play)).template(play.hosts)
        return list(inventory.get_hosts(pattern, ignore_restrictions=True))
    except Exception:  # the play itself will fail with a message of Ansible; until then there is nothing to say
        return []


def _policy(play: t.Any, variables: dict[str, t.Any]) -> tuple[Policy, str]:
    """Where evidence goes, and what is wrong with the variables that say so."""
    given: dict[str, t.Any] = {}
    for name in _FOLDER:
        if name in variables:
            try:
                given[name] = Templar(loader=play.get_loader(), variables=variables).template(variables[name])
            except Exception as exc:  # an undefined variable in it, or anything a template can do
                return Policy(), f"`{name}` cannot be told before the run: {exc}"
    try:
        return validate(given), ""
    except PolicyError as exc:
        return Policy(), str(exc).replace("\n", "; ")


def _secrets(play: t.Any, host: t.Any) -> list[str]:
    """The secrets among a host's variables, those of group_vars and extra vars too: a message may repeat them."""
    variables = play.get_variable_manager().get_vars(play=play, host=host, include_hostvars=False)
    templar = Templar(loader=play.get_loader(), variables=variables)

    def value(name: str, form: Callable[[t.Any], t.Any]) -> t.Any:
        try:
            return form(templar.template(variables[name]))
        except Exception:  # what nobody can template or decrypt, nobody can have sent
            return None

    names = {str(name) for name in variables if holds_secret(str(name))}
    if "evict_secrets" in variables:
        names |= (value("evict_secrets", named) or frozenset()) & set(variables)
    return [found for name in sorted(names) if (found := value(name, str))]
