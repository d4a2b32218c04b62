# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host is told to try in a live detection test: which files, where, scanned by what. Pure.

The test file is put on the host where the provider's on-access scanner watches, and for a scan that is asked for where
it does not: what is blocked when it is opened cannot be scanned.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t
from collections.abc import Mapping, Sequence

from . import asking, cover, filling, paths, templates
from .filling import Role
from .policy import Policy
from .provider import Detection, Provider, Value

# Where a host lets root make a private folder, when the provider does not say what it watches.
PLACES: t.Final = ("/var/tmp", "/tmp", "/root")
FILE: t.Final = "file"  # `@file@` in the arguments of a scan
SECONDS: t.Final = 60  # an engine that was just started may need a while
MOST_SECONDS: t.Final = 600
PROVED: t.Final = ("eicar_on_access", "eicar_on_demand")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Test:
    """What a host is told to try.

    Attributes:
        provider, role, method: whose protection, and how it is proved.
        reason: why nothing can be tried; empty where something is.
        why_access, why_demand: why this way is not tried; empty where it is.
        access: folders, one of which is tried on access: the first that is there.
        demand: the question that asks for a scan, as lines (`asking.lines`).
        places: folders, one of which holds the files of a scan.
        found, clean: what the scanner says of a file it detects, of one it does not: `code` and `contains`.
        scanners: names of the provider's programs that ask before a file is opened.
    """

    __test__: t.ClassVar = False  # for pytest

    provider: str
    role: Role
    method: Detection
    reason: str = ""
    why_access: str = ""
    why_demand: str = ""
    access: tuple[str, ...] = ()
    demand: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    found: Mapping[str, str] = dataclasses.field(default_factory=dict)
    clean: Mapping[str, str] = dataclasses.field(default_factory=dict)
    scanners: tuple[str, ...] = ()

    def values(self, *, run: str, seconds: int = SECONDS) -> dict[str, str]:
        """The assignments of the hand (probes/posix/prove.sh), without their prefix.

        Args:
            run: id of the run; it stands in the names of the files, for whoever meets the alarm.
            seconds: how long each way is tried.
        """
        return {
            "PROVE_ACCESS": "\n".join(self.access),
            "PROVE_SCAN": "\n".join(self.demand),
            "PROVE_PLACES": "\n".join(self.places),
            "PROVE_CODE": self.found.get("code", ""),
            "PROVE_TEXT": self.found.get("contains", ""),
            "PROVE_NAME": re.sub(r"[^A-Za-z0-9._-]", "-", run)[:60],
            "PROVE_SECONDS": str(seconds),
            "TIMEOUT": str(4 * seconds + 180),  # the hand ends by itself long before
        }

    def prediction(self) -> str:
        """What would be done, for check mode."""
        if self.reason:
            return f"nothing would be tried: {self.reason}"
        tried = [f"opened below {self.access[0]}"] if self.access else []
        tried += [f"scanned below {self.places[0]}"] if self.demand else []
        ways = " and ".join(tried)
        return f"would write two probe files, a test file and a harmless one, which are {ways}, and remove them"


def prepare(policy: Policy, provider: Provider, role: Role, platform: str) -> Test:
    """What is to be tried on a host of a platform.

    Args:
        policy: names the settings, and what is excluded.
        provider, role: whose protection.
        platform: `linux`, `windows`, or the host's own word.
    """
    own = provider.platforms.get(platform)
    if own is None:
        method: Detection = provider.detection
        return Test(provider=provider.id, role=role, method=method, reason=f"{provider.id} is not for {platform}")
    try:
        filled = filling.values(provider, platform, policy, role)
        method, reason = cover.detection(provider, filled)
        detect = own.detect
        scan = asking.lines(policy, provider, role, _scan) if platform == "linux" else []
        found, clean = (_signs(detect.get(key, {}), filled) for key in ("found", "clean"))
        watched = templates.items(detect.get("watched", ()), filled)
    except templates.TemplateError as exc:
        return Test(provider=provider.id, role=role, method=provider.detection, reason=f"{provider.id}: {exc}")
    base = Test(provider=provider.id, role=role, method=method)
    if platform != "linux":
        return dataclasses.replace(base, reason="this version makes a live test on Linux hosts only")
    if method not in PROVED:
        return dataclasses.replace(base, reason=reason or f"{provider.name} has no live test ({method})")
    excluded = [e.value for e in policy.exclusions if e.kind == "path"]
    free = tuple(p for p in PLACES if not _below(p, excluded))
    access: tuple[str, ...] = ()
    why_access = reason or "it does not scan on access here"
    if method == "eicar_on_access":
        # Without a list all is watched.
        access = tuple(p for p in watched or PLACES if not _below(p, excluded))
        why_access = "" if access else "all that it watches is excluded from scanning"
    # What is blocked on access can no longer be scanned on demand, so that is tried elsewhere.
    places = tuple(p for p in free if not (method == "eicar_on_access" and (not watched or _below(p, watched))))
    why_demand = ""
    if not scan or not found:
        scan, why_demand = [], "its provider names no program that scans a file"
    elif not places:
        scan, why_demand = [], "every place for it is watched on access, or excluded"
    if not access and not scan:
        return dataclasses.replace(base, reason=why_access if method == "eicar_on_access" else why_demand)
    return dataclasses.replace(
        base,
        why_access=why_access,
        why_demand=why_demand,
        access=access,
        demand=tuple(scan),
        places=places,
        found=found,
        clean=clean,
        scanners=own.scanners,
    )


def _scan(provider: Provider, filled: Mapping[str, Value]) -> asking.Questions:
    ask = provider.platforms["linux"].detect.get("ask", {})
    words = asking.program(ask, filled) if ask else ()
    return {"scan": words} if any(f"@{FILE}@" in word for word in words[1:]) else {}


def _signs(rule: Mapping[str, str], filled: Mapping[str, Value]) -> dict[str, str]:
    """Filled; empty when one of its texts came to nothing, for then it would say less than it should."""
    made = {key: templates.text(text, filled) or "" for key, text in rule.items()}
    return made if all(made.values()) else {}


def _below(path: str, others: Sequence[str]) -> bool:
    return any(paths.posix_below(path, other) for other in others)
