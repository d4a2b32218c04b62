# SPDX-License-Identifier: GPL-3.0-or-later
"""Every `evict_*` variable of a user: type, default, check. Verbs validate here before they open a connection."""

from __future__ import annotations

import dataclasses
import datetime
import difflib
import typing as t
from collections.abc import Callable, Collection, Mapping

from .policy_checks import RUN_ID, SECRET_NAME, Mistake, Place, Refused, label
from .policy_rules import FALLBACKS, judge, missing
from .policy_types import Exclusion, Reboot, SecretRef, Window
from .policy_variables import EXTRA_ONLY, VARIABLES
from .provider import Provider, Source
from .verdict import Verb, Verdict, default_fail_on

__all__ = [
    "EXTRA_ONLY",
    "FALLBACKS",
    "RUN_ID",
    "VARIABLES",
    "Exclusion",
    "Policy",
    "PolicyError",
    "Reboot",
    "SecretRef",
    "Window",
    "for_plan",
    "validate",
]
Where = Callable[[str, Place], str]


class PolicyError(ValueError):
    """A user variable is wrong; the text names the variable, its value and the remedy, one line a mistake."""


@dataclasses.dataclass(frozen=True)
class Policy:
    """The validated settings of a run.

    Attributes:
        hosts: pattern of the hosts to audit (`evict_hosts`).
        out: the run folder itself (`evict_out`), empty for a new folder below evidence_dir.
        evidence_dir: folder that holds run folders (`evict_evidence_dir`).
        run: name of the run (`evict_run`), empty for the job id of AWX or a time stamp.
        fail_on: verdicts on which the gate task fails a host (`evict_fail_on`).
        probe_timeout: seconds one probe may take on a host (`evict_probe_timeout`).
        consent: words of agreement (`evict_consent`): `remove` to act at all, `unprotected` for the provider `none`.
        waves: sizes of the waves (`evict_waves`); the last one repeats.
        max_failures: how many hosts may fail, a number or a percentage of those tried (`evict_max_failures`).
        breaker_on: verdicts that count as failures (`evict_breaker_on`).
        soak: seconds a wave is left alone before it is looked at again (`evict_soak`).
        downloads: how many hosts fetch at a time (`evict_downloads`).
        approved_plan: plan.json that was approved (`evict_approved_plan`), a path on the controller.
        plan_hours: hours a plan is valid (`evict_plan_hours`).
        replacement, fallback: platform -> id of the provider (`evict_replacement`, `evict_fallback`).
        replacement_source, fallback_source: where they come from, None for the provider's own repository.
        replacement_settings, fallback_settings: as given; the provider's own file says what there may be.
        exclusions: what the replacement leaves alone, active before its real-time protection (`evict_exclusions`).
        exclusive_group: of hosts with this name only one is changed at a time (`evict_exclusive_group`).
        roles: server roles that may be removed (`evict_roles`).
        waivers: file with waivers (`evict_waivers`), a path on the controller.
        secrets: owner (product or provider) -> name -> where the secret is (`evict_secrets`), never its value.
        reboot: `never`, `if_needed` or `window` (`evict_reboot`).
        windows: maintenance windows (`evict_windows`).
        purge: remove what the catalog marks as safe after the removal (`evict_purge`).
        edit: what of other services may be changed (`evict_edit`).
        prove: let a verification make the live test (`evict_prove`).
        max_signature_age: hours (`evict_max_signature_age`).
        proxy: proxy for downloads of the hosts, without a login (`evict_proxy`).
    """

    hosts: str = "all"
    out: str = ""
    evidence_dir: str = "evict-runs"
    run: str = ""
    fail_on: tuple[Verdict, ...] = default_fail_on(Verb.AUDIT)
    probe_timeout: int = 20
    consent: frozenset[str] = frozenset()
    waves: tuple[int, ...] = (1, 10, 50, 200)
    max_failures: str = "0"
    breaker_on: tuple[Verdict, ...] = (Verdict.FAILED_EXPOSED, Verdict.FAILED_PROTECTED)
    soak: int = 60
    downloads: int = 20
    approved_plan: str = ""
    plan_hours: int = 72
    replacement: Mapping[str, str] = dataclasses.field(default_factory=dict)
    fallback: Mapping[str, str] = dataclasses.field(default_factory=dict)
    replacement_source: Source | None = None
    fallback_source: Source | None = None
    replacement_settings: Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    fallback_settings: Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    exclusions: tuple[Exclusion, ...] = ()
    exclusive_group: str = ""
    roles: frozenset[str] = frozenset()
    waivers: str = ""
    secrets: Mapping[str, Mapping[str, SecretRef]] = dataclasses.field(default_factory=dict)
    reboot: Reboot = "never"
    windows: tuple[Window, ...] = ()
    purge: bool = True
    edit: frozenset[str] = frozenset()
    prove: bool = False
    max_signature_age: int = 168
    proxy: str = ""


def validate(
    variables: Mapping[str, t.Any],
    *,
    extra: Collection[str] | None = None,
    providers: Mapping[str, Provider] | None = None,
    products: Collection[str] | None = None,
    platform: str = "",
    plan: bool = False,
    now: datetime.datetime | None = None,
    where: Where | None = None,
) -> Policy:
    """Check the `evict_*` variables among a host's variables.

    Args:
        variables: any variables; those that do not begin with `evict_` are ignored. Values must be templated already.
        extra: names of the variables that were given as extra vars; None when that is not known here, and not judged.
        providers: all there are; None leaves ids and settings unchecked.
        products: ids of the catalog; None leaves owners of secrets unchecked.
        platform: `linux` or `windows` when the host's is known: only its provider's settings must be complete then.
        plan: a plan is to be made, so what `for_plan` asks for is asked for here, in the same error.
        now: the time, for tests.
        where: variable and place within it -> the line it was written in, or empty; asked for mistakes only.

    Returns:
        The policy, defaults filled in.

    Raises:
        PolicyError: a value is wrong or a name beginning with `evict_` is none of ours (so that a typing mistake never
            turns a setting off silently). All mistakes are named.
    """
    fields: dict[str, t.Any] = {}
    found: list[tuple[str, Mistake]] = []
    for name in (n for n in variables if isinstance(n, str) and n.startswith("evict_")):
        variable = VARIABLES.get(name)
        if variable is None:
            found.append((name, _stranger(name)))
        elif extra is not None and name in EXTRA_ONLY and name not in extra:
            found.append((name, Mistake(_EXTRA_ONLY)))
        elif name not in _EMPTY_SAYS and _left_out(variables[name]):
            continue
        else:
            try:
                fields[variable.field] = variable.check(variables[name])
            except Refused as exc:
                found += [(name, mistake) for mistake in exc.mistakes]
    broken = {VARIABLES[name].field for name, _mistake in found if name in VARIABLES}
    clock = now or datetime.datetime.now(datetime.UTC)
    rules = list(judge(fields, providers=providers, products=products, platform=platform, now=clock, broken=broken))
    found += [(_NAMES[field], mistake) for field, mistake in rules]
    if plan:
        broken |= {field for field, _mistake in rules}
        found += [(_NAMES[f], m) for f, m in missing({**vars(Policy()), **fields}, broken)]
    if found:
        raise PolicyError(_lines(found, where))
    return Policy(**fields)


def for_plan(policy: Policy) -> None:
    """Ask for what a plan needs and an audit does not: a replacement, a fallback, consent to none of them.

    Raises:
        PolicyError: something is missing; all of it is named.
    """
    found = [(_NAMES[field], mistake) for field, mistake in missing(vars(policy))]
    if found:
        raise PolicyError(_lines(found, None))


_EXTRA_ONLY: t.Final = (
    "is taken from extra vars only: give it with -e or in a survey, never in inventory, group_vars or a playbook"
)
# An empty text is an answer here: no host, no verdict.
_EMPTY_SAYS: t.Final = frozenset({"evict_hosts", "evict_fail_on"})
_NAMES: t.Final[Mapping[str, str]] = {variable.field: name for name, variable in VARIABLES.items()}


def _left_out(value: object) -> bool:
    """Is it an answer of a survey that was left out? AWX sends an empty text, ansible-core 2.19 makes None of it."""
    return value is None or (isinstance(value, str) and not value.strip())


def _stranger(name: str) -> Mistake:
    near = difflib.get_close_matches(name[:80], VARIABLES, 1)
    if SECRET_NAME.search(name):
        hint = "a secret is never given as it is, name it in `evict_secrets`"
    elif near:
        hint = f"did you mean `{near[0]}`?"
    else:
        hint = "remove it, or see docs/variables.md for the names"
    return Mistake(f"is no variable of this collection: {hint}")


def _lines(found: list[tuple[str, Mistake]], where: Where | None) -> str:
    """One line a mistake, in the order of the variables' names."""
    lines = []
    for name, mistake in sorted(found, key=lambda item: item[0]):
        text = f"`{label(name)}`"
        if mistake.place:
            text += f" at `{place(mistake.place)}`"
        text += f" {mistake.words}"
        if mistake.shown:
            text += f"; it is {mistake.shown}"
        if where is not None and (line := where(name, mistake.place)):
            text += f"; see {line}"
        lines.append(text)
    return "\n".join(lines)


def place(parts: Place) -> str:
    """A place within a value as a reader writes it: `[0].start`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{label(part)}" for part in parts)
    return text.removeprefix(".")
