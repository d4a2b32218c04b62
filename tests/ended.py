# SPDX-License-Identifier: GPL-3.0-or-later
"""A host when it is looked at again, and live tests of what protects it: for tests of the verdicts afterwards."""

from __future__ import annotations

import typing as t

from ansible_collections.evict.kaspersky.plugins.plugin_utils.case import Case
from ansible_collections.evict.kaspersky.plugins.plugin_utils.proof import Part, Proof, Result
from tests import cases

SHIELD_RUNS: t.Final = {"role": "replacement", "name": "service.shield.service", "text": "active enabled"}
LANTERN_RUNS: t.Final = {"role": "fallback", "name": "service.lantern.service", "text": "active enabled"}
DEAD: t.Final = {**SHIELD_RUNS, "text": "inactive enabled"}


def host(products: t.Iterable[t.Any] = (), *cover: dict[str, str], **more: t.Any) -> Case:
    """What is there, and what the questions to the replacement and the fallback are answered with.

    Args:
        products, more: as of `cases.case`.
        cover: records of the probe `cover`.
    """
    probes = {"cover": list(cover), **more.pop("probes", {})}
    return cases.case(products=list(products), probes=probes, **more)


def proof(result: Result) -> Proof:
    """A live test of the made-up replacement."""
    part = Part(result=result)
    return Proof(
        provider="shield",
        role="replacement",
        method="eicar_on_access",
        level="",
        result=result,
        control_ok=True,
        on_access=part,
        on_demand=part,
        detail="as it came",
    )
