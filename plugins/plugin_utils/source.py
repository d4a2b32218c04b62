# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a row comes from: what a reader needs to find its evidence again."""

from __future__ import annotations

import dataclasses

from .evidence import Log


@dataclasses.dataclass(frozen=True)
class Source:
    """The newest scan of a host.

    Attributes:
        time: when its record was written, in UTC.
        digest: SHA-256 of the record.
        catalog: digest of the catalog it was judged by.
        transport: how the host was reached.
    """

    time: str
    digest: str
    catalog: str
    transport: str


def of(log: Log) -> Source | None:
    """The source in a host's log; None when there is no scan in it."""
    scans = [record for record in log.records if record.event == "scan"]
    if not scans:
        return None
    data = scans[-1].data
    way = data.get("transport")
    if isinstance(way, dict):
        way = " ".join(str(part) for part in (way.get("connection"), way.get("way")) if part)
    return Source(scans[-1].time, scans[-1].digest, str(data.get("catalog") or ""), str(way or ""))
