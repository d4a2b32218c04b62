# SPDX-License-Identifier: GPL-3.0-or-later
"""The row of a verification: what an audit says, and whether what is to protect the host still does. Pure."""

from __future__ import annotations

import dataclasses

from . import planner
from .case import Case
from .proof import Proof
from .row import Row
from .verdict import Verdict

_GONE = (Verdict.ABSENT, Verdict.LEFTOVERS)


def judge(row: Row, case: Case, proof: Proof | None) -> Row:
    """Judge a host that was looked at again.

    Args:
        row: of its assessment.
        case: what a plan would be made from; its settings say what is to protect the host.
        proof: the live test of this run, None where none was made.

    Returns:
        The row. Without a replacement in the settings it only says what the assessment does.
    """
    if waiver := case.controller.excepted:
        return dataclasses.replace(row, verdict=Verdict.EXCEPTED, reasons=(waiver.words(), *row.reasons))
    proved = dataclasses.replace(row, proof=proof.result if proof else "")
    if case.replacement is None or row.verdict not in _GONE:
        return proved
    verdict, reasons = _judge(case, proof)
    return dataclasses.replace(proved, verdict=verdict or row.verdict, reasons=(*reasons, *row.reasons))


def _judge(case: Case, proof: Proof | None) -> tuple[Verdict | None, tuple[str, ...]]:
    """What is wrong with the protection of a host on which nothing of the vendor works; no verdict when nothing is."""
    health, guarded = case.health("replacement"), planner.protected(case)
    name = case.replacement.name if case.replacement else ""
    if case.replacement is not None and case.replacement.kind == "none":
        return (None, ()) if guarded else (Verdict.REMOVED_UNPROTECTED, (planner.CONSENTED,))
    said = tuple(f"{name}: {text}" for text in health.reasons) if health else (f"{name}: nobody asked for its health",)
    if health is None or not health.healthy:
        if guarded:
            # Without an answer to its own rule, what the kernel shows of a scanner is all there is.
            other = ("something else than the replacement protects the host", *said)
            return (None, ()) if health is None else (Verdict.FAILED_PROTECTED, other)
        fallback = case.health("fallback")
        if fallback is not None and fallback.healthy:
            return Verdict.FAILED_PROTECTED, ("the fallback protects the host", *said)
        if case.assessment.context.protection == "unknown" or case.probe("cover").status == "unknown":
            return Verdict.UNKNOWN, ("whether anything protects the host could not be told", *said)
        return Verdict.FAILED_EXPOSED, ("nothing protects the host", *said)
    if proof is not None and proof.result == "fail":
        return Verdict.FAILED_EXPOSED, (proof.words(),)
    if proof is not None and proof.result == "error":
        return Verdict.UNKNOWN, (proof.words(),)
    return None, ()
