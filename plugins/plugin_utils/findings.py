# SPDX-License-Identifier: GPL-3.0-or-later
"""What one record of an observation says for one product: its weight as evidence. Pure."""

from __future__ import annotations

import dataclasses
import enum
import typing as t

from . import words
from .signals import Record, Signal


class Weight(enum.Enum):
    """What a finding proves of a product."""

    LIVE = "live"  # it runs now
    REGISTERED = "registered"  # the host's own list of programs has it, whole
    BROKEN = "broken"  # the list has it, half done
    FILES = "files"  # its program is there
    RESIDUE = "residue"  # may be left after removal
    ELSEWHERE = "elsewhere"  # runs in a container or chroot on this host
    HINT = "hint"  # a mark too weak to prove anything
    MENTION = "mention"  # names the product, is no part of it


# Kinds that can show a working product at all. Units, setup sections and registry keys outlive the product, and what
# they would show of a running one shows in processes and services as well; a driver without its product is a leftover.
PRODUCT_KINDS: t.Final = frozenset(
    {
        *("package", "process", "path", "tree", "uninstall", "product_code", "service"),
        *("appx", "receipt", "launchd", "system_extension"),
    }
)
# Of these, `loaded` is the word for: it is at work in the kernel now.
_KERNEL_KINDS: t.Final = {
    "driver": ("state", "running"),
    "kernel_module": ("where", "loaded"),
    "kext": ("where", "loaded"),
}
# What tells where a product lies; names of packages and units are shared by strangers.
_PLACED: t.Final = frozenset({"path", "tree", "process", "setup_section"})


@dataclasses.dataclass(frozen=True)
class Finding:
    """One record that carries one signal of a product.

    Attributes:
        signal: the signal.
        probe: id of the probe that answered.
        record: the record.
        weight: what it proves.
        text: the evidence in words.
        dangerous: a residue whose driver, filter or hook may be live.
    """

    signal: Signal
    probe: str
    record: Record
    weight: Weight
    text: str
    dangerous: bool = False


def judge(signal: Signal, probe: str, record: Record) -> Finding | None:
    """Weigh a record that the signal accepts; None when it says that nothing is there (a purged package)."""
    weight = _WEIGH.get(signal.kind, _plain)(signal, record)
    if weight is None:
        return None
    if not signal.confidence.can_prove and weight is not Weight.ELSEWHERE:
        weight = Weight.HINT
    if signal.shows == "mention" and weight is not Weight.ELSEWHERE:
        weight = Weight.MENTION
    text = words.of(signal.kind, probe, record)
    key, value = _KERNEL_KINDS.get(signal.kind, ("", "loaded"))
    dangerous = weight is Weight.RESIDUE and (signal.danger == "dangerous" or record.get(key) == value)
    return Finding(signal, probe, record, weight, text, dangerous)


def capable(signal: Signal) -> bool:
    """Could the signal show a working product?"""
    proves = signal.shows in ("product", "live") and signal.confidence.can_prove
    return proves and signal.kind in PRODUCT_KINDS


def telling(finding: Finding) -> bool:
    """Does it say something under its topic? A key that is asked for values does when one of them is filled."""
    if not getattr(finding.signal, "values", ()):
        return True
    return any(v not in ("", "empty") for k, v in finding.record.items() if k.startswith("value."))


def placed(finding: Finding) -> bool:
    """Does it say that something of the product lies or runs in a place that is the product's own?"""
    return finding.signal.kind in _PLACED


def _plain(signal: Signal, record: Record) -> Weight | None:
    del record
    return Weight.RESIDUE if signal.kind not in PRODUCT_KINDS else _shown(signal)


def _shown(signal: Signal) -> Weight:
    return {"live": Weight.LIVE, "product": Weight.FILES}.get(signal.shows, Weight.RESIDUE)


def _package(signal: Signal, record: Record) -> Weight | None:
    """dpkg's abbreviation: wanted, state, error. rpm has `installed` only."""
    state = record.get("state", "")
    if state == "installed":
        return Weight.REGISTERED
    have, error = state[1:2], state[2:3]
    if have == "n":
        return None
    if have == "c":
        return Weight.RESIDUE
    return Weight.REGISTERED if have in ("i", "W", "t") and not error else Weight.BROKEN


def _process(signal: Signal, record: Record) -> Weight:
    del signal
    return Weight.ELSEWHERE if record.get("root") == "other" else Weight.LIVE


# Of a unit that hangs while it stops, processes are there. One that is activating may only wait for its next try.
_ALIVE: t.Final = ("active", "reloading", "deactivating")


def _unit(signal: Signal, record: Record) -> Weight:
    del signal
    return Weight.LIVE if record.get("active") in _ALIVE and record.get("kind") != "dropin" else Weight.RESIDUE


def _uninstall(signal: Signal, record: Record) -> Weight:
    del signal
    if not record.get("uninstall") and not record.get("quiet_uninstall") and not record.get("location"):
        return Weight.RESIDUE  # an orphan: nothing to call and no place to look at
    return Weight.REGISTERED


def _service(signal: Signal, record: Record) -> Weight:
    if record.get("state") == "running":
        return Weight.LIVE
    if record.get("file_exists") == "no" or signal.shows == "residue":
        return Weight.RESIDUE
    return Weight.FILES


def _launchd(signal: Signal, record: Record) -> Weight:
    del signal
    return Weight.LIVE if record.get("pid", "").isdigit() and record["pid"] != "0" else Weight.RESIDUE


def _system_extension(signal: Signal, record: Record) -> Weight:
    del signal
    # Such as `activated enabled`; one that waits for a restart to go says `terminated waiting to uninstall on reboot`.
    return Weight.LIVE if record.get("state", "").startswith("activated enabled") else Weight.RESIDUE


_WEIGH: t.Final[t.Mapping[str, t.Callable[[Signal, Record], Weight | None]]] = {
    "package": _package,
    "process": _process,
    "unit": _unit,
    "uninstall": _uninstall,
    "product_code": _uninstall,
    "service": _service,
    "launchd": _launchd,
    "system_extension": _system_extension,
}
