# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdicts, the only vocabulary for the result of a host, and what they mean for an exit code."""

from __future__ import annotations

import typing as t
from collections.abc import Iterable
from enum import IntEnum, StrEnum


class Verdict(StrEnum):
    """What a run says of one host."""

    ABSENT = "absent"
    PRESENT = "present"
    LEFTOVERS = "leftovers"
    UNKNOWN = "unknown"
    UNREACHABLE = "unreachable"
    NOT_ATTEMPTED = "not_attempted"
    OUT_OF_SCOPE = "out_of_scope"
    EXCEPTED = "excepted"
    NOTHING_TO_DO = "nothing_to_do"
    BLOCKED = "blocked"
    REPLACED = "replaced"
    REPLACED_UNPROVED = "replaced_unproved"
    REMOVED_UNPROTECTED = "removed_unprotected"
    REBOOT_PENDING = "reboot_pending"
    FAILED_PROTECTED = "failed_protected"
    FAILED_EXPOSED = "failed_exposed"


class Verb(StrEnum):
    """What a run was for."""

    AUDIT = "audit"
    PLAN = "plan"
    REMEDIATE = "remediate"
    VERIFY = "verify"
    PROTECT = "protect"


class Exit(IntEnum):
    """Exit codes of the `evict` command; computed from rows, never taken from ansible-playbook."""

    OK = 0
    ERROR = 1
    OPEN = 2
    FAILED = 3


_FAILED: t.Final = frozenset({Verdict.FAILED_PROTECTED, Verdict.FAILED_EXPOSED})
_OPEN: t.Final = frozenset(
    {
        Verdict.UNKNOWN,
        Verdict.UNREACHABLE,
        Verdict.NOT_ATTEMPTED,
        Verdict.BLOCKED,
        Verdict.REBOOT_PENDING,
        Verdict.REMOVED_UNPROTECTED,
    }
)
_FOUND: t.Final = frozenset({Verdict.PRESENT, Verdict.LEFTOVERS})
_LOOK_ONLY: t.Final = frozenset({Verb.AUDIT, Verb.PLAN})

# Worst first: what a reader has to see before anything else.
SEVERITY: t.Final = (
    Verdict.FAILED_EXPOSED,
    Verdict.FAILED_PROTECTED,
    Verdict.REMOVED_UNPROTECTED,
    Verdict.PRESENT,
    Verdict.UNKNOWN,
    Verdict.UNREACHABLE,
    Verdict.NOT_ATTEMPTED,
    Verdict.BLOCKED,
    Verdict.REBOOT_PENDING,
    Verdict.LEFTOVERS,
    Verdict.REPLACED_UNPROVED,
    Verdict.REPLACED,
    Verdict.EXCEPTED,
    Verdict.NOTHING_TO_DO,
    Verdict.ABSENT,
    Verdict.OUT_OF_SCOPE,
)


def is_failure(verdict: Verdict) -> bool:
    """Did the run itself fail on the host?"""
    return verdict in _FAILED


def is_open(verdict: Verdict, verb: Verb) -> bool:
    """Is the host unfinished business after a run of this verb (exit code 2)?"""
    return verdict in _OPEN or (verdict in _FOUND and verb not in _LOOK_ONLY)


def default_fail_on(verb: Verb) -> tuple[Verdict, ...]:
    """The verdicts on which the gate task fails a host: those of exit codes 2 and 3."""
    return tuple(v for v in SEVERITY if is_failure(v) or is_open(v, verb))


def exit_code(verdicts: Iterable[Verdict], verb: Verb) -> Exit:
    """The exit code of a run.

    Args:
        verdicts: one for each host of the inventory.
        verb: what the run was for.

    Returns:
        FAILED wins over OPEN, OPEN over OK. No rows at all is an ERROR: a run that judged nobody proves nothing.
    """
    seen = list(verdicts)
    if not seen:
        return Exit.ERROR
    if any(is_failure(v) for v in seen):
        return Exit.FAILED
    return Exit.OPEN if any(is_open(v, verb) for v in seen) else Exit.OK
