# SPDX-License-Identifier: GPL-3.0-or-later
"""Every `evict_*` variable of a user: type, default, check. Verbs validate here before they open a connection."""

from __future__ import annotations

import dataclasses
import datetime
import difflib
import re
import typing as t
from collections.abc import Callable, Mapping

from .provider import Source
from .verdict import Verb, Verdict, default_fail_on

RUN_ID: t.Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}\Z")


class PolicyError(ValueError):
    """A user variable is wrong; the text names the variable, its value and the remedy, one line a mistake."""


Reboot = t.Literal["never", "if_needed", "window"]


@dataclasses.dataclass(frozen=True)
class Exclusion:
    """What the replacement leaves alone: a `path`, a `process` or an `extension`."""

    kind: t.Literal["path", "process", "extension"]
    value: str


@dataclasses.dataclass(frozen=True)
class Window:
    """A maintenance window, both ends in UTC."""

    start: datetime.datetime
    end: datetime.datetime


@dataclasses.dataclass(frozen=True)
class SecretRef:
    """Where a secret is, never what it is.

    Attributes:
        how: `variable` (a variable of the host, such as a vaulted one), `file` (on the controller, 0600), `lookup` (a
            lookup plugin).
        name: of the variable, path of the file, or name of the plugin.
        terms, options: of the lookup.
        format: `plain`, `utf16le_hex`, or empty for what the catalog or the provider says.
        property: MSI property to pass it in, empty for the catalog's.
    """

    how: t.Literal["variable", "file", "lookup"]
    name: str
    terms: tuple[str, ...] = ()
    options: Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    format: str = ""
    property: str = ""


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
    max_signature_age: int = 168
    proxy: str = ""


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a text")
    if "\0" in value or "\n" in value:
        raise ValueError("must be one line without NUL characters")
    return str(value)


def _pattern(value: object) -> str:
    if isinstance(value, (list, tuple)) and value:
        return ":".join(_pattern(v) for v in value)
    text = _text(value)
    if not text.strip():
        raise ValueError("must name hosts, such as `all` or a group")
    return text


def _run(value: object) -> str:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else _text(value)
    if text and not RUN_ID.match(text):
        raise ValueError(
            "may hold letters, digits, `.`, `_` and `-` only, at most 80, and begins with a letter or digit"
        )
    return text


def _verdicts(value: object) -> tuple[Verdict, ...]:
    if isinstance(value, str):
        value = [v for v in re.split(r"[\s,]+", value) if v]
    if not isinstance(value, (list, tuple)):
        raise ValueError("must be a list of verdicts")
    known = [str(v) for v in Verdict]
    for item in value:
        if str(item) not in known:
            near = difflib.get_close_matches(str(item), known, 1)
            raise ValueError(
                f"{repr(item)[:80]} is no verdict"
                + (f", did you mean {near[0]!r}?" if near else f"; known are {', '.join(known)}")
            )
    return tuple(Verdict(str(item)) for item in value)


def _seconds(value: object) -> int:
    if isinstance(value, str) and re.fullmatch(r"\s*\d+\s*", value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 240:
        raise ValueError("must be a whole number of seconds from 1 to 240")
    return int(value)


# variable -> (field, check). The audit's variables; later verbs add theirs here and nowhere else.
VARIABLES: t.Final[Mapping[str, tuple[str, Callable[[object], t.Any]]]] = {
    "evict_hosts": ("hosts", _pattern),
    "evict_out": ("out", _text),
    "evict_evidence_dir": ("evidence_dir", _text),
    "evict_run": ("run", _run),
    "evict_fail_on": ("fail_on", _verdicts),
    "evict_probe_timeout": ("probe_timeout", _seconds),
}


def validate(variables: Mapping[str, t.Any]) -> Policy:
    """Check the `evict_*` variables among a host's variables.

    Args:
        variables: any variables; those that do not begin with `evict_` are ignored. Values must be templated already.

    Returns:
        The policy, defaults filled in.

    Raises:
        PolicyError: a value is wrong or a name beginning with `evict_` is none of ours (so that a typing mistake never
            turns a setting off silently). All mistakes are named.
    """
    fields: dict[str, t.Any] = {}
    mistakes: list[str] = []
    for name in sorted(n for n in variables if isinstance(n, str) and n.startswith("evict_")):
        if name not in VARIABLES:
            near = difflib.get_close_matches(name, VARIABLES, 1)
            hint = f"did you mean `{near[0]}`?" if near else "remove it, or see docs/variables.md for the names"
            mistakes.append(f"`{name}` is no variable of this collection: {hint}")
            continue
        field, check = VARIABLES[name]
        try:
            fields[field] = check(variables[name])
        except ValueError as exc:
            shown = repr(variables[name])
            mistakes.append(f"`{name}` {exc}; it is {shown if len(shown) < 120 else shown[:117] + '...'}")
    if mistakes:
        raise PolicyError("\n".join(mistakes))
    return Policy(**fields)
