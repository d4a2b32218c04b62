# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes the run's secrets out of what a host said, before anything is made of it.

A task or a start script on the host may hold the very password that removes the product. From here on it is in no
evidence, row, plan or report.
"""

from __future__ import annotations

import dataclasses
import typing as t

from . import assess
from .assess import Assessment
from .catalog import Catalog
from .observation import Observation, Probe
from .redact import Redactor
from .verdict import Verdict

SPOILT: t.Final = (
    "secret: a secret of this run is part of a name by which products are recognized, so this host cannot be judged "
    "without showing it: change the secret"
)


def judge(seen: Observation, catalog: Catalog, hide: Redactor) -> tuple[Observation, Assessment]:
    """Judge a host by its answer without secrets.

    Args:
        seen: the answer.
        catalog: what we know.
        hide: knows the secrets.

    Returns:
        The answer as it may be kept, the same object when it held no secret, and what was made of it. Where hiding
        changes what is found, as with a password that is the name of a package, the host is `unknown`, never `absent`.
    """
    shown = without(seen, hide)
    judged = assess.assess(shown, catalog)
    if shown is not seen and _found(judged) != _found(assess.assess(seen, catalog)):
        judged = dataclasses.replace(judged, verdict=Verdict.UNKNOWN, products=(), reported=(), reasons=(SPOILT,))
    return shown, judged


def without(seen: Observation, hide: Redactor) -> Observation:
    """The answer without secrets; the same object when it holds none."""
    host = hide.values(seen.host)
    probes = {name: _answer(probe, hide) for name, probe in seen.probes.items()}
    if host is seen.host and all(probe is seen.probes[name] for name, probe in probes.items()):
        return seen
    return dataclasses.replace(seen, host=host, probes=probes)


def _answer(probe: Probe, hide: Redactor) -> Probe:
    reason = hide.values({"reason": probe.reason})["reason"]
    records = tuple(hide.values(record) for record in probe.records)
    same = reason == probe.reason and all(a is b for a, b in zip(records, probe.records, strict=True))
    return probe if same else dataclasses.replace(probe, reason=reason, records=records)


def _found(judged: Assessment) -> object:
    products = [[(p.entry.id, p.state) for p in found] for found in (judged.products, judged.reported)]
    return judged.verdict, products, sorted(judged.unknown)
