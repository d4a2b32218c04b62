# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Sends a sealed job to the host of an action, follows it to its end, and reads back the plan of one under way.

The job needs nobody once it has begun. What is done here only watches: a connection that breaks is tried again, and
when it stays away the job goes on without us, and the next run finds it.
"""

from __future__ import annotations

import json
import os
import time
import typing as t
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from . import canonical, journal, knowledge, redact, transport
from .job import Job
from .observation import Observation
from .performing import Performed, not_begun
from .plan import Plan, PlanError
from .progress import tell
from .trouble import Trouble
from .verdict import Verdict

if t.TYPE_CHECKING:
    from ansible.plugins.action import ActionBase

_CALL: t.Final = 15  # seconds one call waits for the end on the host; then it tells how far the job has come
_PAUSE: t.Final = 5.0  # seconds before a connection that broke is tried again
_PATIENCE: t.Final = 900  # seconds a host may stay away while its job runs
_FIRST: t.Final = 120  # before it has said that the job runs
_FOLLOWED: t.Final = 45  # until a controller that died counts as gone on the host: 20 after its last call has ended
_MARGIN: t.Final = 300  # seconds on top of the longest time of all steps
_PREFIX: t.Final = "EVICT_"
Progress = Callable[[str], None]


def run(
    action: ActionBase,
    plan: Plan,
    sealed: Job,
    *,
    run_id: str,
    secrets: Mapping[str, str],
    hidden: Iterable[str],
    sent: Mapping[str, str],
    task_vars: Mapping[str, t.Any],
    progress: Progress,
) -> Performed:
    """Start the job on the host, or attach to it where it runs already, and follow it.

    Args:
        action: the running action, whose connection is used.
        plan, sealed: the plan, and the job of one of its phases.
        run_id: id of this run; a job of the same run that has ended is not performed again.
        secrets: `owner.NAME` -> value in the form its step takes, for those the job names.
        hidden: all secrets of the plan, which nothing of what programs on the host say is to hold.
        sent: name in the staging folder -> path on the host where the file lies that the controller has sent.
        task_vars: the host's variables.
        progress: is told the step under way.

    Returns:
        What became of the phase. Nothing is raised for a host that went away: that is a state.
    """
    base = {
        "PHASE": sealed.phase,
        "DIGEST": sealed.digest,
        "HOST": sealed.host,
        "MACHINE": sealed.machine,
        "RUN": run_id,
        "SEAL": sealed.seal(),
        "WAIT": str(_CALL),
    }
    start = {
        **base,
        "OP": "start",
        "SINCE": "0",
        "PLAN": canonical.dumps(plan.to_dict()).decode("utf-8"),
        "JOB": knowledge.JOB_SH + sealed.posix(),
        "SECRETS": "\n".join(_told(secrets, hidden)),
        "SENT": "\n".join(f"{name}={path}" for name, path in sorted(sent.items())),
    }
    end = time.monotonic() + sum(s.timeout for s in plan.steps if s.phase == sealed.phase) + _MARGIN
    lines: list[str] = []
    away, values, message = 0.0, start, "the host did not answer"
    patience, controller = 0.0, os.getppid()
    while time.monotonic() < end:
        # A worker outlives a controller that is killed; what it follows is for the next run then.
        if os.getppid() != controller:
            message = "the controller has ended"
            break
        came = _ask(action, {**values, "SINCE": str(len(lines))}, task_vars)
        if isinstance(came, Trouble) or came.state in ("cut", "none"):
            message = came.text if isinstance(came, Trouble) else came.message
            if not lines and isinstance(came, Trouble) and came.verdict is not Verdict.UNREACHABLE:
                return not_begun(
                    plan, sealed.phase, "refused", f"the job could not be started: {message}", seal=sealed.seal()
                )
            away = away or time.monotonic()
            if time.monotonic() - away > (_PATIENCE if lines else _FIRST):
                break
            progress("waiting for the host to answer again")
            time.sleep(_PAUSE)
            continue
        away = 0.0
        lines += came.lines
        if came.code == "followed":
            patience = patience or time.monotonic() + _FOLLOWED
            if time.monotonic() < patience:
                progress("waiting for another run's controller")
                values = {**start, "ATTACH": "yes"}
                time.sleep(_PAUSE)
                continue
        if came.state == "refused":
            message = f"{came.code}: {came.message}"
            if lines:  # it had begun, and cannot go on now
                break
            return not_begun(plan, sealed.phase, "refused", message, seal=sealed.seal())
        if came.state == "ended":
            return _ended(plan, sealed, lines)
        # `died`: nobody performs it (killed, or the host was restarted): the start is said again, and it goes on there.
        values = start if came.state == "died" else {**base, "OP": "watch"}
        progress(journal.Journal.of(lines).step)
    return _lost(plan, sealed, lines, message)


def _told(secrets: Mapping[str, str], hidden: Iterable[str]) -> Iterator[str]:
    """The secrets for the job, and after a `=` what it has to blank besides them in what programs say."""
    yield from (f"{name}={value.encode('utf-8').hex()}" for name, value in sorted(secrets.items()))
    yield from (f"={form}" for form in redact.repeated(secrets.values(), hidden))


def _ask(action: ActionBase, values: Mapping[str, str], task_vars: Mapping[str, t.Any]) -> journal.Answer | Trouble:
    answer = transport.run_script(
        action, script=knowledge.PERFORM_SH, values=values, prefix=_PREFIX, task_vars=task_vars
    )
    if answer.trouble is not None:
        return answer.trouble
    return journal.parse(answer.text, answer.nonce)


def _ended(plan: Plan, sealed: Job, lines: list[str]) -> Performed:
    told = journal.Journal.of(lines)
    return Performed(
        phase=sealed.phase,
        digest=sealed.digest,
        seal=sealed.seal(),
        state="ended",
        code=told.code,
        outcomes=told.outcomes(plan, sealed.phase),
        gap=told.gap(plan) if sealed.phase == "commit" else None,
        reboot=told.reboot,
        boot=told.boot,
        journal=tuple(lines),
    )


def _lost(plan: Plan, sealed: Job, lines: list[str], message: str) -> Performed:
    told = journal.Journal.of(lines)
    return Performed(
        phase=sealed.phase,
        digest=sealed.digest,
        seal=sealed.seal(),
        state="lost",
        message=f"{message}; the job goes on there without us: run again, and it is followed to its end",
        outcomes=told.outcomes(plan, sealed.phase) if lines else (),
        journal=tuple(lines),
    )


def under_way(action: ActionBase, seen: Observation, task_vars: Mapping[str, t.Any]) -> Plan | str | None:
    """The plan that the host is being changed by, which an earlier run has sent.

    Args:
        action: the running action.
        seen: the host's answer; its probe `job` says whether there is one.
        task_vars: the host's variables.

    Returns:
        None where there is none; a text where there is one that cannot be read, which then must not be planned over.
    """
    probe = seen.probes.get("job")
    if probe is None:
        return None
    if probe.status == "unknown":
        return f"it could not be told whether a job of an earlier run is under way: {probe.reason}"
    # A staging that ended changes nothing of the old product: it is planned anew, and performed anew where that is due.
    open_jobs = [r for r in probe.records if r.get("phase") != "stage" or r.get("state") == "running"]
    if not open_jobs:
        return None
    digest = open_jobs[0].get("digest", "")
    came = _ask(action, {"OP": "plan", "DIGEST": digest}, task_vars)
    if isinstance(came, Trouble):
        return f"a job of the plan {digest[:12]} is under way, and the host does not tell the plan: {came.text}"
    try:
        plan = Plan.from_dict(json.loads(came.message))
    except (PlanError, ValueError, RecursionError) as exc:
        return f"a job of the plan {digest[:12]} is under way, and its plan cannot be read: {exc}"
    if plan.digest() != digest:
        return f"a job of the plan {digest[:12]} is under way, and the plan beside it is another one"
    return plan


def teller(path: Path, phase: str) -> Progress:
    """Writes the step under way into a file of the run folder, for whoever shows the progress.

    Args:
        path: the file; its folder must be there.
        phase: that is performed.
    """
    last = ""

    def told(step: str) -> None:
        nonlocal last
        if step and step != last:
            last = step
            tell(path, phase, step)

    return told
