# SPDX-License-Identifier: GPL-3.0-or-later
"""Inhibitors of what a host works with: package manager, Windows Installer, tools, mounts, its own firewall."""

from __future__ import annotations

import fnmatch
import re
import typing as t
from collections.abc import Iterator

from . import removal
from .assess import Product
from .case import Case
from .inhibitors_base import BOTH, LINUX, WINDOWS, Inhibitor, Met, detail, doubt, puts, records, removed
from .signals import Record

_REMEDIES: t.Final = {
    "mount": "unmount it, or move what is mounted to another place, then plan again",
    "immutable": "take the mark off (chattr -i, chattr -a) once it is known who set it, then plan again",
    "network_mount_hangs": "bring the server back or unmount it (umount -l with its owner's consent), then plan again",
}
_FETCHED: t.Final = ("url", "share")
_FIREWALLS: t.Final = ("endpoint", "consumer", "unknown")


# --- package manager of Linux


def packages(product: Product) -> Iterator[Record]:
    """The records of the product's packages, whole, half done, or of which settings are left."""
    for finding in product.findings:
        if finding.signal.kind == "package":
            yield finding.record


def bare(name: str) -> str:
    """A package's name without its architecture."""
    return name.partition(":")[0]


def _own(case: Case) -> dict[str, str]:
    return {bare(r.get("name", "")): p.entry.id for p in removed(case) for r in packages(p) if r.get("name")}


def _broken(case: Case) -> Iterator[Met]:
    own = _own(case)
    # What a manager that works has half done just now is no fault, and to repair it would get in its way.
    busy = any(records(case, "manager", kind="busy"))
    for record in () if busy else records(case, "manager", kind="broken"):
        package, status = record.get("package", ""), record.get("status") or "state unknown"
        if not package:
            yield Met(status)
        elif bare(package) not in own:  # what is ours is removed by our steps, or is an inhibitor of its own
            yield Met(f"package {package} is in the state {status}")
    yield from doubt(case, "manager", "whether the package manager works")


def _half(case: Case) -> Iterator[Met]:
    for product in removed(case):
        for record in packages(product):
            state = record.get("state", "")
            if state[1:2] == "H" or state[2:3] == "R":
                name = record.get("name", "")
                yield Met(
                    f"package {name} is in the state {state}: its removal is refused",
                    f"a person removes it on the host (dpkg --remove --force-remove-reinstreq {name}), then plan again",
                )


def _emptied(case: Case) -> Iterator[Met]:
    """The vendor's packages call a script of their own tree before they go, and fail without it."""
    for product in removed(case):
        whole = [r for r in packages(product) if r.get("state", "") == "installed" or r.get("state", "")[1:] == "i"]
        if product.state == "broken" and whole:
            names = ", ".join(sorted({r.get("name", "") for r in whole}))
            yield Met(f"package {names} is installed, and no program of {product.entry.name} is there")


def _held(case: Case) -> Iterator[Met]:
    patterns = [record.get("package", "") for record in records(case, "manager", kind="held")]
    # dpkg's own list says it as well: its first letter is what the administrator wants.
    patterns += [r.get("name", "") for p in removed(case) for r in packages(p) if r.get("state", "").startswith("h")]
    for name, owner in sorted(_own(case).items()):
        if any(_names(pattern, name) for pattern in patterns):
            yield Met(
                f"package {name} of {owner} is held",
                f"release it (apt-mark unhold {name}, dnf versionlock delete {name}, zypper removelock {name}), then "
                "plan again",
            )


def _needed(case: Case) -> Iterator[Met]:
    own = _own(case)
    for record in records(case, "manager", kind="needed"):
        package, by = bare(record.get("package", "")), record.get("by", "")
        if package in own and bare(by) not in own:
            yield Met(f"package {by or '(unnamed)'} needs {package} of {own[package]}")


def _names(pattern: str, name: str) -> bool:
    """Is the package held by this line: its name, a pattern, or name and version as versionlock writes it?"""
    plain = bare(pattern) if not re.match(r".*-\d+:", pattern) else pattern
    return fnmatch.fnmatchcase(name, plain) or re.match(re.escape(name) + r"-(?:\d+:)?\d", pattern) is not None


def _busy(case: Case) -> Iterator[Met]:
    probe = "installer" if case.platform == "windows" else "manager"
    for record in records(case, probe, kind="busy"):
        who = " ".join(part for part in (record.get("program"), record.get("pid")) if part)
        yield Met(f"{record.get('what') or 'an installation runs'}{detail(record)}{f' ({who})' if who else ''}")
    yield from doubt(case, probe, "whether something else is being installed")


def _disabled(case: Case) -> Iterator[Met]:
    for record in records(case, "installer"):
        kind = record.get("kind", "")
        if kind != "busy":
            yield Met(f"{kind.replace('_', ' ') or 'something that is not known here'}{detail(record)}")


# --- tools and mounts


def _tools(case: Case) -> Iterator[Met]:
    there = {record.get("name") for record in records(case, "tools")}
    if case.probe("tools").status == "unknown":
        yield from doubt(case, "tools", "whether the tools that steps use are there")
        return
    if "perl" not in there and any(p.entry.removal.strategy == "package" for p in removed(case)):
        yield Met("perl is missing, in which the product's own removal scripts are written", "install perl")
    if not there & {"systemd-run", "setsid"}:
        yield Met(
            "neither systemd-run nor setsid is there, so that no job can outlive the connection", "install util-linux"
        )
    if any(put.method in _FETCHED for put in puts(case)) and not there & {"curl", "wget"}:
        yield Met("neither curl nor wget is there to fetch the replacement", "install curl")


def _obstacles(case: Case) -> Iterator[Met]:
    for record in records(case, "obstacles"):
        kind = record.get("kind", "")
        yield Met(
            f"{record.get('path')} is {_WORDS.get(kind, kind or 'in the way')}{detail(record)}",
            _REMEDIES.get(kind, ""),
        )
    yield from doubt(case, "obstacles", "whether mounts or marks stand in the way of the removal")


_WORDS: t.Final = {
    "mount": "a mount of its own within the product",
    "immutable": "locked by a mark of its file system",
    "network_mount_hangs": "on a server that does not answer",
}


# --- Windows


def _cache(case: Case) -> Iterator[Met]:
    going = [p for p in removed(case) if p.entry.removal.strategy == "msi"]
    codes = {f.record.get("key", "").strip().upper(): p.entry.id for p in going for f in p.findings if _listed(f.probe)}
    left = {code for p in going for code in removal.orphans(p, case)}  # nobody asks Windows Installer for these
    for record in records(case, "msi"):
        code = record.get("code", "").upper()
        if code in codes and code not in left and record.get("state") != "there":
            what = {
                "missing": f"its cached package {record.get('local_package') or ''} is missing".replace("  ", " "),
                "unregistered": "Windows Installer does not know it",
            }.get(record.get("state", ""), "could not tell whether its cached package is there")
            yield Met(f"{codes[code]} {code}: {what}")
    if going:
        yield from doubt(case, "msi", "whether the cached packages of the products are there")


def _listed(probe: str) -> bool:
    return probe == "uninstall.machine"


def _firewall(case: Case) -> Iterator[Met]:
    walls = [p.entry.id for p in removed(case) if p.entry.family in _FIREWALLS]
    port = case.controller.port
    if not walls or not port:
        return
    seen = False
    for record in records(case, "firewall"):
        if record.get("port") != str(port):
            continue
        seen = True
        if record.get("current") == "no":  # the host is on no network of this profile
            continue
        allowed = record.get("allowed")
        if allowed != "yes":
            sure = "does not let in" if allowed == "no" else "may not let in"
            yield Met(f"the profile {record.get('profile')} of Windows Firewall {sure} port {port}{detail(record)}")
    if not seen and case.probe("firewall").status != "unknown":
        yield Met(f"could not tell whether Windows Firewall lets in port {port}: the host said nothing about it")
    yield from doubt(case, "firewall", f"whether Windows Firewall lets in port {port}")


INHIBITORS: t.Final = (
    Inhibitor(
        id="package_manager_broken",
        title="The package manager does not work as it should",
        platforms=LINUX,
        when="acts",
        looks_at="records `broken` of probe `manager` that are not the product's own packages, unless it is busy",
        remedy=(
            "repair it (dpkg --configure -a; apt-get --fix-broken install; rpm --rebuilddb with its owner's "
            "consent), then plan again"
        ),
        waivable=False,
        why="it refuses or half does what it is asked for while it is broken",
        check=_broken,
    ),
    Inhibitor(
        id="half_installed",
        title="A package of the product is half installed and cannot be removed as it is",
        platforms=LINUX,
        when="removes",
        looks_at="state of the product's packages in dpkg's database (`H`, or the flag `R`)",
        remedy="a person removes it on the host (dpkg --remove --force-remove-reinstreq NAME), then plan again",
        waivable=False,
        why="dpkg refuses the removal; nothing here forces it",
        check=_half,
    ),
    Inhibitor(
        id="files_gone",
        title="The package is registered, and its programs are gone",
        platforms=LINUX,
        when="removes",
        looks_at="state `broken` of a product whose package is whole in the database",
        remedy=(
            "restore the product's folders from a backup, so that its own removal script can run, or let a person take "
            "the entry out of the package database; then plan again"
        ),
        waivable=True,
        why="the removal may work all the same: only the package's own script knows what it needs",
        check=_emptied,
    ),
    Inhibitor(
        id="package_held",
        title="A package of the product is held",
        platforms=LINUX,
        when="removes",
        looks_at="records `held` of probe `manager`, and the first letter of dpkg's state",
        remedy="release the package, then plan again",
        waivable=False,
        why="the package manager refuses to change a held package, and somebody meant it",
        check=_held,
    ),
    Inhibitor(
        id="would_remove_others",
        title="Packages of others need the product and would go with it",
        platforms=LINUX,
        when="removes",
        looks_at="records `needed` of probe `manager`: what dpkg or rpm has installed",
        remedy="remove what needs it, or bring a version that does not, then plan again",
        waivable=False,
        why="a removal is rehearsed, and is refused where anything else would go with it",
        check=_needed,
    ),
    Inhibitor(
        id="installer_busy",
        title="Something else is being installed",
        platforms=BOTH,
        when="acts",
        looks_at="records `busy` of probe `manager` (Linux) and `installer` (Windows)",
        remedy="wait until it has ended, then plan again",
        waivable=False,
        why="two installations at a time damage each other, and waiting costs little",
        check=_busy,
    ),
    Inhibitor(
        id="installer_disabled",
        title="Windows Installer may not work",
        platforms=WINDOWS,
        when="acts",
        looks_at="other records of probe `installer`: a disabled service, a policy",
        remedy="let the service start again, or have the policy changed, then plan again",
        waivable=False,
        why="nothing can be uninstalled or installed without it",
        check=_disabled,
    ),
    Inhibitor(
        id="tools_missing",
        title="A tool is missing that steps need",
        platforms=LINUX,
        when="acts",
        looks_at="probe `tools`: perl, systemd-run or setsid, and curl or wget where the host fetches a file",
        remedy="install what is missing, then plan again",
        waivable=False,
        why="a removal script that cannot run leaves a half removed package",
        check=_tools,
    ),
    Inhibitor(
        id="obstacle",
        title="A mount or a mark of the file system stands in the way of the removal",
        platforms=LINUX,
        when="removes",
        looks_at="probe `obstacles`",
        remedy="take it out of the way, then plan again",
        waivable=False,
        why="the removal would hang, or end half way",
        check=_obstacles,
    ),
    Inhibitor(
        id="msi_cache_missing",
        title="Windows Installer has lost what it needs to uninstall the product",
        platforms=WINDOWS,
        when="removes",
        looks_at="probe `msi` for the codes of the products that go",
        remedy=(
            "put the cached package back into %SystemRoot%\\Installer (from a backup of this host), or remove the "
            "product by hand with its vendor's tool, then plan again"
        ),
        waivable=False,
        why="the uninstaller ends with 1612 or 1620 without it",
        check=_cache,
    ),
    Inhibitor(
        id="management_port_blocked",
        title="Windows Firewall may shut out the management connection once the product's firewall is gone",
        platforms=WINDOWS,
        when="removes",
        looks_at=(
            "probe `firewall` for the port of the connection in the profiles in force, beside a product with a "
            "firewall of its own"
        ),
        remedy="let the port in by a rule for each profile (group policy, or New-NetFirewallRule), then plan again",
        waivable=True,
        why=(
            "the owner may know which profile is in force, and the job on the host runs to its end without a connection"
        ),
        check=_firewall,
    ),
)
