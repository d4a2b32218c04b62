# SPDX-License-Identifier: GPL-3.0-or-later
"""From a host's case to its plan. One pure function: the same case gives the same plan, and the same digest.

Nothing is planned for what is not known, nothing for a host with an inhibitor that no waiver lifts, and nothing is
removed without a cover that is staged before, or the explicit consent to have none.
"""

from __future__ import annotations

import dataclasses
import datetime
import typing as t
from collections.abc import Iterable, Sequence

from . import cover, edit, finish, inhibitors, removal
from .case import Case
from .plan import Gap, Manual, Plan, State, Step
from .steps import KINDS, Condition
from .verdict import Verdict

# Families of products that scan nothing: without them a host is as protected as with them.
_NO_SCANNER: t.Final = ("agent", "console")
# Topic of a fact that no step takes care of -> why not, and what a person does about it.
_BY_HAND: t.Final = {
    "integration": (
        "it belongs to a service of this host and is changed by a person, or by opt-in with a backup",
        "take the line out of the configuration and reload the service",
    ),
    "reinstall": (
        "it would bring the product back; what it belongs to is not ours to change",
        "take it away where it comes from: the job, the policy, the deployment tool, the file",
    ),
}
CONSENTED: t.Final = "nothing protects the host, to which was consented"  # after the replacement `none`
TIME: t.Final = "%Y-%m-%dT%H:%M:%SZ"


def plan(case: Case) -> Plan:
    """The plan of a host.

    Args:
        case: all that is known; nothing else is asked.

    Returns:
        A plan in one of the states of `plan.State`; only `act` has steps.
    """
    blank = _blank(case)
    if case.controller.excepted is not None:
        return dataclasses.replace(blank, state="excepted", excepted=case.controller.excepted)
    if case.assessment.verdict is Verdict.UNKNOWN:
        return dataclasses.replace(blank, state="undecided", notes=(*blank.notes, "nothing is planned for the unknown"))
    if not wanted(case):
        return dataclasses.replace(blank, state="nothing_to_do", manual=_manual(case))
    hits = inhibitors.find(case)
    steps: tuple[Step, ...] = ()
    if all(hit.waived is not None for hit in hits):
        faults, steps = _steps(case)
        hits += tuple(inhibitors.hit("replacement_unfit", text) for text in faults)
    state: State = "act" if steps else "nothing_to_do"
    if any(hit.waived is None for hit in hits):
        state, steps = "blocked", ()
    return dataclasses.replace(
        blank,
        state=state,
        steps=steps,
        inhibitors=hits,
        manual=_manual(case),
        gap=_gap(case, steps),
    )


def wanted(case: Case) -> bool:
    """Is there anything to do: a product to remove, remains to clear, or a host that nothing protects?"""
    return bool(case.assessment.products) or not protected(case)


def protected(case: Case) -> bool:
    """Does something that is not to be removed protect the host now?

    A scanner that blocks is seen by its marks in the kernel. The replacement the policy names is asked by its own rule,
    for one that scans when it is told to has no marks.
    """
    if any(p.works for p in case.assessment.products):
        return False
    return case.assessment.context.protection == "active" or covered(case)


def covered(case: Case) -> bool:
    """Is the replacement that the policy names healthy by its own rule?"""
    found = case.health("replacement")
    counts = case.replacement is not None and case.replacement.counts_as_protection
    return counts and found is not None and found.healthy


def _blank(case: Case) -> Plan:
    made = case.controller.now
    return Plan(
        host=case.host,
        machine=case.seen.host.get("machine_id", ""),
        platform=case.platform,
        state="undecided",
        verdict=str(case.assessment.verdict),
        products=tuple(
            (p.entry.id, p.version, p.state)
            for p in (
                *removal.in_order(case.assessment.products),
                *(p for p in case.assessment.products if not p.works),
            )
        ),
        replacement=case.replacement.id if case.replacement else "",
        fallback=case.fallback.id if case.fallback else "",
        notes=tuple(_notes(case)),
        made=made.strftime(TIME),
        expires=(made + datetime.timedelta(hours=case.policy.plan_hours)).strftime(TIME),
    )


def _steps(case: Case) -> tuple[tuple[str, ...], tuple[Step, ...]]:
    """What is wrong with the providers, and all steps in order."""
    remove = removal.steps(case)
    first = second = cover.Cover((), (), ())
    if remove or not protected(case):
        first, second = cover.expand(case, "replacement"), cover.expand(case, "fallback")
    after = list(finish.steps(case))
    commit = [*remove, *first.cover, *second.cover]
    staged = [*first.stage, *second.stage]
    found = [*staged, *commit, *_reboot(case, commit), *after]
    if staged:
        found.append(finish.clear())
    return (*first.faults, *second.faults), tuple(_unique(found))


def _unique(steps: Iterable[Step]) -> Iterable[Step]:
    """Two providers may want the same thing staged: it is done once."""
    seen: set[str] = set()
    for step in steps:
        if step.id not in seen:
            seen.add(step.id)
            yield step


def _reboot(case: Case, commit: Sequence[Step]) -> Iterable[Step]:
    if case.policy.reboot == "never" or not commit:
        return
    inside = " inside the maintenance window" if case.policy.reboot == "window" else ""
    why = "what was installed may need a restart"
    if any(step.section == "remove" for step in commit):
        why = "drivers and filters of the old product leave the kernel with a restart"
    known = KINDS["reboot"]
    yield Step(
        id="reboot",
        phase="reboot",
        kind="reboot",
        target=case.host,
        reason=f"{why}{inside}",
        change=known.change,
        condition=Condition("reboot_required"),
        on_fail="continue",
        timeout=known.timeout,
        typical=known.typical,
    )


def _manual(case: Case) -> tuple[Manual, ...]:
    found = [*removal.manual(case), *finish.manual(case)]
    told = {item.what for item in found} | edit.taken(case)
    found += [
        Manual(f"{fact.topic}: {fact.text}", *_BY_HAND[fact.topic])
        for fact in case.assessment.context.facts
        if fact.topic in _BY_HAND and fact.text not in told
    ]
    return tuple(dict.fromkeys(found))


def _notes(case: Case) -> Iterable[str]:
    policy = case.policy
    if policy.roles:
        yield f"server roles that may be removed: {', '.join(sorted(policy.roles))}"
    if policy.exclusive_group:
        yield f"one host at a time in the group {policy.exclusive_group}"
    for window in policy.windows:
        yield f"maintenance window: {window.start.strftime(TIME)} to {window.end.strftime(TIME)}"
    if policy.exclusions:
        yield "exclusions: " + ", ".join(f"{e.kind} {e.value}" for e in policy.exclusions)
    if policy.reboot == "never":
        yield "no restart is allowed: a host that needs one ends as reboot_pending"
    if case.fallback is not None and case.fallback.kind == "none":
        yield "no fallback: if the replacement fails, the host stays without protection, to which was consented"
    if case.replacement is not None and case.replacement.kind == "none":
        yield "NO PROTECTION AFTERWARDS: the consent `unprotected` was given; the host is recorded as unprotected"
    for text in case.controller.expired:
        yield f"expired waiver: {text}"


def _gap(case: Case, steps: Sequence[Step]) -> Gap | None:
    """Seconds from the first step that may end the old protection to the last that brings the new one."""
    commit = [s for s in steps if s.phase == "commit"]
    removing = [s for s in commit if s.section == "remove"]
    covering = [s for s in commit if s.section == "cover"]
    falling = [s for s in commit if s.section == "fallback"]
    if not removing or case.replacement is None or case.replacement.kind == "none":
        return None
    scans = any(p.works and p.entry.family not in _NO_SCANNER for p in case.assessment.products)
    if not scans and case.assessment.context.protection == "active":
        return Gap(0, 0, "what is removed protects nothing, and what protects the host stays")
    longest = sum(s.timeout for s in removing) + sum(s.timeout for s in covering) + sum(s.timeout for s in falling)
    if case.replacement.kind == "existing":
        return Gap(
            0, longest, "another protection is active all the time; the longest is for a fallback that is needed"
        )
    platform = case.replacement.platforms.get(case.platform)
    usual = sum(s.typical for s in removing) + sum(s.typical for s in covering)
    if not scans:
        return Gap(usual, longest, "nothing protects the host now; it lasts until the replacement is active")
    if platform is not None and platform.coexist == "passive":
        usual = sum(s.typical for s in covering)
        return Gap(usual, longest, "the replacement waits in passive mode and becomes active when the product is gone")
    why = "from the stop of the old product to the proof that the replacement is active"
    if platform is not None and platform.coexist == "install_only":
        why += "; the replacement is installed before, so that it only has to start"
    return Gap(usual, longest, why)
