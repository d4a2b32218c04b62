# SPDX-License-Identifier: GPL-3.0-or-later
"""Which protection is active now, and what else a reader should know of a host, from its context probes. Pure."""

from __future__ import annotations

import dataclasses
import typing as t
from collections.abc import Callable, Iterable, Mapping

from .catalog import Catalog
from .observation import Observation, Probe
from .row import Fact, Protection
from .signals import Record

LIMIT: t.Final = 20  # facts of one topic; all of them stay in the observation
_MISSING: t.Final = Probe("unknown", "the host did not answer this probe")


@dataclasses.dataclass(frozen=True)
class Context:
    """What the context probes say.

    Attributes:
        protection: `active`, `none`, or `unknown` when something could not be inspected and nothing active was seen.
        protected_by: what is active, in words.
        facts: the rest, by topic.
    """

    protection: Protection
    protected_by: tuple[str, ...]
    facts: tuple[Fact, ...]


NOBODY_LOOKED: t.Final = Context("unknown", (), ())


def read(seen: Observation, catalog: Catalog) -> Context:
    """The context of a host.

    Args:
        seen: what it answered.
        catalog: knows whose scanner a program is.
    """
    state, active, watching = _protection(seen, catalog)
    facts = [Fact("protection", text) for text in watching]
    for probe, (topic, words) in _FACTS.items():
        told = [words(record) for record in seen.probes.get(probe, _MISSING).records]
        texts = list(dict.fromkeys(text for text in told if text))
        facts += [Fact(topic, text) for text in texts[:LIMIT]]
        if len(texts) > LIMIT:
            facts.append(Fact(topic, f"and {len(texts) - LIMIT} more, see the evidence"))
    return Context(state, tuple(active), tuple(facts))


def _protection(seen: Observation, catalog: Catalog) -> tuple[Protection, list[str], list[str]]:
    """State, what is active, and what is there without being active."""
    probe = seen.probes.get("protection", _MISSING)
    active: dict[str, None] = {}
    other: dict[str, None] = {}
    for record in probe.records:
        if record.get("kind") == "policy":
            continue  # a fact of its own
        if record.get("kind") == "fanotify":
            live, text = _holder(record, catalog)
        else:
            live, text = _registered(record)
        (active if live else other)[text] = None
    if active:
        return "active", list(active), list(other)
    return ("unknown" if probe.status == "unknown" else "none"), [], list(other)


def _holder(record: Record, catalog: Catalog) -> tuple[bool, str]:
    """A holder of fanotify marks: one that is asked for permission is a scanner, one that only listens may be."""
    program = record.get("exe", "").removesuffix(" (deleted)").rpartition("/")[2]
    names = [name for name in (program, record.get("comm", "")) if name]
    label = next((catalog.scanners[name] for name in names if name in catalog.scanners), "")
    stranger = next((catalog.not_scanners[name] for name in names if name in catalog.not_scanners), "")
    asked = record.get("mode") == "permission"
    what = label or stranger or "a program of unknown make"
    mode = "asked for permission" if asked else "listens only"
    text = f"{' '.join(dict.fromkeys(names)) or 'unknown program'} (pid {record.get('pid')}, fanotify, {mode}): {what}"
    if record.get("root") == "other":
        return False, f"{text}; in a container on this host"
    return not stranger and (asked or bool(label)), text


def _registered(record: Record) -> tuple[bool, str]:
    """What Security Center, Defender or the system itself says of a product."""
    detail = f", {record['detail']}" if record.get("detail") else ""
    source = {"wsc": "Security Center", "defender": "its own state", "service": "service"}.get(
        record.get("kind", ""), record.get("kind", "")
    )
    state = record.get("state") or "unknown"
    built_in = record.get("kind") in ("service", "xprotect")  # no scanner of its own, or the system's own list
    return state == "active" and not built_in, f"{record.get('name')}: {state} ({source}{detail})"


def _policy(record: Record) -> str:
    if record.get("kind") != "policy":
        return ""
    return " ".join(part for part in (record.get("name"), record.get("state"), record.get("detail")) if part)


def _peer(record: Record) -> str:
    return f"{record.get('exe') or record.get('pid')} is connected to {record.get('remote')} port {record.get('port')}"


def _reboot(record: Record) -> str:
    detail = f": {record['detail']}" if record.get("detail") else ""
    return f"a restart is pending ({record.get('cause', '').replace('_', ' ')}{detail})"


def _role(record: Record) -> str:
    return f"{record.get('role', '').replace('_', ' ')} ({record.get('source')})"


def _encryption(record: Record) -> str:
    if record.get("status") == "off":
        return ""
    detail = f", {record['detail']}" if record.get("detail") else ""
    return f"{record.get('volume')} {record.get('method')} {record.get('status')}{detail}"


def _session(record: Record) -> str:
    return f"{record.get('user')} ({record.get('kind')}, {record.get('state')})"


_FACTS: t.Final[Mapping[str, tuple[str, Callable[[Record], str]]]] = {
    "protection": ("policy", _policy),
    "peers": ("manager", _peer),
    "encryption": ("encryption", _encryption),
    "roles": ("role", _role),
    "reboot": ("reboot", _reboot),
    "sessions": ("session", _session),
}
CONTEXT_PROBES: t.Final = frozenset(_FACTS)


def unread(seen: Observation, needed: Iterable[str]) -> dict[str, str]:
    """Probe -> why it could not tell, of all probes that no verdict depends on."""
    counted = set(needed)
    return {n: p.reason for n, p in seen.probes.items() if p.status == "unknown" and n not in counted}
