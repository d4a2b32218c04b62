# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be removed after the products are gone, and what of their remains stays for a person. Pure.

Only what the catalog marks as safe, and nothing that any entry of the platform says never to touch. Where a path to
remove holds one to keep, the step names what it leaves standing.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import typing as t
from collections.abc import Iterable, Mapping, Sequence

from . import edit
from .assess import Product
from .case import Case
from .catalog import Entry, NeverTouch, Residue
from .findings import Finding, Weight
from .paths import parts, reaches
from .plan import Manual, Step, Value, finishing
from .removal import in_order, may_purge, package_name
from .steps import Condition

_KIND: t.Final = {
    "path": "purge_path",
    "registry": "purge_registry",
    "user_registry": "purge_user_registry",
    "group": "purge_group",
    "user": "purge_user",
    "chain": "purge_chain",
}

# What goes with its package or unit and needs no word of its own.
_WITH_PACKAGE: t.Final = ("package", "unit", "process", "init_script")
_ENTRY: t.Final = (
    "nothing of the product works, so that Windows Installer is not asked to uninstall it",
    "look for files and services of it; where there are none, delete the entry from the registry",
)
_CERTIFICATE: t.Final = (
    "no step takes a certificate out of a store",
    "once the product is gone, take it out of the store (certlm.msc)",
)
# Signal -> why what it shows stays, and what to do: of products that are to go it goes along, of others it stays.
_STAYS: t.Final[Mapping[str, tuple[str, str]]] = {
    "uninstall": _ENTRY,
    "product_code": _ENTRY,
    "service": (
        "no step deletes a service: a driver or filter may belong to it",
        "where its program is gone and no driver or filter of the product is left, delete it (sc.exe delete NAME)",
    ),
}

_HOOKS: t.Final = ("driver", "minifilter", "class_filter", "network_component")
_HOOKED: t.Final = (
    "a driver, filter or hook of the vendor may still be live, and no uninstaller is there that would take it out",
    "have the hook taken out first, with the vendor's tool and by a person; restart, then plan again",
)


def steps(case: Case) -> tuple[Step, ...]:
    """The phase `finish`: package entries that only hold settings, then safe residue, then what is in other services;
    nothing of what is not wanted."""
    return (*_purges(case), *edit.steps(case))


def _purges(case: Case) -> tuple[Step, ...]:
    if not case.policy.purge or not (in_order(case.assessment.products) or _purgeable(case)):
        return ()
    found: dict[str, Step] = {}
    for product in _gone(case):
        if _hooked(product, case):
            continue
        for step in (*_settings(product, case), *_safe(product.entry, case)):
            found.setdefault(step.id, step)
    # What all products share goes with the last of them, whether or not it was seen today.
    for entry in case.catalog.for_platform(case.platform) if found else ():
        if entry.generic:
            found |= {step.id: step for step in _safe(entry, case) if step.id not in found}
    # A package whose removal failed needs its tree for the next try, and products share folders: all are gone, or all
    # stays. What is no longer there when its turn comes needs no condition.
    if going := " ".join(product.entry.id for product in in_order(case.assessment.products)):
        gone = Condition("product_absent", going)
        found = {id: dataclasses.replace(step, condition=gone) for id, step in found.items()}
    # Deepest first: what lies inside a path goes before the path.
    ordered = sorted(found.values(), key=lambda s: (_RANK[s.kind], -len(parts(s.target, "windows")), s.id))
    units = sorted({unit for product in _gone(case) for unit in _units(product)})
    if units and case.platform == "linux":
        ordered.append(
            finishing(
                "finish.units",
                "reload_units",
                " ".join(units),
                "units of the products are gone",
                {"units": tuple(units)},
            )
        )
    return tuple(ordered)


_RANK: t.Final = {
    name: number
    for number, name in enumerate(
        (
            *("remove_package", "purge_path", "purge_registry", "purge_user_registry", "purge_chain"),
            *("purge_user", "purge_group", "reload_units"),
        )
    )
}


def removable(case: Case) -> tuple[str, ...]:
    """Remains that were seen and that a step may remove, or take out of another service."""
    return (*_purgeable(case), *edit.removable(case))


def _purgeable(case: Case) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for product in case.assessment.products:
        if product.works or _hooked(product, case):
            continue
        settings = bool(tuple(_settings(product, case)))
        for finding in product.findings:
            residue = _residue_of(product.entry.residue, finding)
            safe = residue is not None and residue.purge and _may(residue, case)
            along = residue is None and _goes_along(product, finding, case)
            if case.policy.purge and (safe or along or (settings and finding.signal.kind == "package")):
                found.setdefault(f"{product.entry.id}: {finding.text}")
    return tuple(found)


def manual(case: Case) -> tuple[Manual, ...]:
    """Remains that were seen and that no step removes."""
    found: dict[str, Manual] = {}
    taken = edit.taken(case)
    for product in case.assessment.products:
        for finding in product.findings:
            if finding.text in taken:
                continue
            if finding.weight is not Weight.RESIDUE and product.works:
                continue
            if _hooked(product, case) and not finding.dangerous:
                found.setdefault(finding.text, Manual(f"{product.entry.id}: {finding.text}", *_HOOKED))
                continue
            residue = _residue_of(product.entry.residue, finding)
            if residue is not None and residue.purge and case.policy.purge and _may(residue, case):
                continue
            if residue is None and _goes_along(product, finding, case):
                continue
            if (item := _stays(product, finding, residue, case)) is not None:
                found.setdefault(item.what, item)
    for product in case.assessment.products:
        for never in product.entry.never_touch:
            if never.kind == "path" and _seen(never, product.findings):
                found.setdefault(
                    never.target, Manual(never.target, never.why, "a person decides: archive it, or delete it by hand")
                )
    return tuple(found.values())


def _stays(product: Product, finding: Finding, residue: Residue | None, case: Case) -> Manual | None:
    """A remain that is left for a person; None for what goes with its package."""
    kind = finding.signal.kind
    if (item := edit.manual(finding, product.entry.id, case)) is not None:
        return item
    if kind in _WITH_PACKAGE or (kind in _STAYS and product.works):
        return None
    if kind in _STAYS:
        return Manual(f"{product.entry.id}: {finding.text}", *_STAYS[kind])
    if product.works and not finding.dangerous and residue is None:
        return None  # part of the product: the removal takes it along, and the scan afterwards says whether it did
    if finding.dangerous and kind == "certificate":
        return Manual(finding.text, *_CERTIFICATE)
    if finding.dangerous:
        why = "a driver, filter or hook that may be live is never deleted by hand or by us"
        if not any(p.works for p in case.assessment.products):
            return Manual(finding.text, why, _HOOKED[1])
        return Manual(
            finding.text,
            why,
            "look again after the removal and a restart; what is left then needs the vendor's tool and a person",
        )
    if not case.policy.purge:
        why, remedy = "`evict_purge` is off", "switch it on, or remove it by hand"
    elif residue is None:
        why, remedy = "the catalog does not say that it is safe to remove", "look at it, and remove it by hand"
    else:
        why, remedy = (
            residue.note or "the catalog keeps it for a person",
            "look at it: archive it, or delete it by hand",
        )
    return Manual(f"{product.entry.id}: {finding.text}", why, remedy)


def clear() -> Step:
    """The last step of a plan that staged something."""
    what = "installers and packages that were staged are of no use any more"
    return finishing("finish.staged", "remove_staged", "staging folder", what, {})


def _goes_along(product: Product, finding: Finding, case: Case) -> bool:
    """Does what was found lie below a path that a step removes?"""
    record = finding.record
    path = record.get("path", "") if finding.signal.kind != "tree" else f"{record.get('path')}/{record.get('child')}"
    removed = [r.target for r in product.entry.residue if r.kind == "path" and r.purge and _may(r, case)]
    return bool(path) and case.policy.purge and any(reaches(t, path, case.platform) for t in removed)


def _gone(case: Case) -> Sequence[Product]:
    """Products that are gone when this phase begins: removed by steps, or only leftovers before."""
    return case.assessment.products


def _hooked(product: Product, case: Case) -> bool:
    """Is it a rest beside a hook that nothing takes out? It stays as a whole then: the vendor's tool looks for it."""
    found = case.assessment.products
    if product.works or any(p.works and p.entry.family != "agent" for p in found):
        return False
    return any(f.dangerous and f.signal.kind in _HOOKS for p in found for f in p.findings)


def _settings(product: Product, case: Case) -> Iterable[Step]:
    """Packages that were removed and not purged: dpkg keeps their entry and their settings."""
    for finding in product.findings:
        if finding.signal.kind != "package" or finding.weight is not Weight.RESIDUE or not may_purge(product, case):
            continue
        name = package_name(finding.probe, finding.record.get("name", ""), finding.record.get("arch", ""))
        manager = case.manager if case.manager == "apt" else finding.probe.partition(".")[2]
        yield finishing(
            f"finish.package.{name}",
            "remove_package",
            f"{name} ({manager})",
            "only settings of the package are left, which dpkg goes on listing",
            {"manager": manager, "package": name, "purge": "yes"},
            owner=product.entry.id,
        )


def _safe(entry: Entry, case: Case) -> Iterable[Step]:
    for residue in entry.residue:
        if not residue.purge or not _may(residue, case):
            continue
        target = residue.target
        args: dict[str, Value]
        if residue.kind == "path":
            args = {"path": target}
            if keep := _kept_below(target, case):
                args["keep"] = keep
        elif residue.kind == "chain":
            table, _slash, chain = target.partition("/")
            args = {"table": table, "chain": chain}
        else:
            args = {"group": target} if residue.kind == "group" else {"user": target}
            if residue.kind in ("registry", "user_registry"):
                args = {"key": target}
        yield finishing(
            f"finish.{residue.kind}.{target}",
            _KIND[residue.kind],
            target,
            residue.note or f"{entry.name} leaves it behind",
            args,
            owner=entry.id,
            condition=Condition("remains", target),
        )


def _may(residue: Residue, case: Case) -> bool:
    """May it go: is nothing shared with a product that stays, and does nothing of it have to be left alone?"""
    if residue.when == "unshared" and case.assessment.reported:
        return False
    return not any(_covers(never, residue, case.platform) for never in _never(case))


def _never(case: Case) -> Iterable[NeverTouch]:
    return (never for entry in case.catalog.for_platform(case.platform) for never in entry.never_touch)


def _covers(never: NeverTouch, residue: Residue, platform: str) -> bool:
    """Would the removal touch what must not be touched, the thing itself or something in it?"""
    if never.kind == "path" and residue.kind == "path":
        return reaches(never.target, residue.target, platform)
    if never.kind == "registry" and residue.kind in ("registry", "user_registry"):
        # A key goes as a whole, so that one which holds a key to keep stays, too.
        one, two = never.target, residue.target
        return reaches(one, two, "windows") or reaches(two, one, "windows")
    return never.kind == "name" and residue.kind in ("group", "user", "chain") and never.target == residue.target


def _kept_below(target: str, case: Case) -> tuple[str, ...]:
    """Never-touch paths that lie below a path to remove."""
    found = {n.target for n in _never(case) if n.kind == "path" and reaches(target, n.target, case.platform)}
    return tuple(sorted(found))


def _residue_of(residues: Iterable[Residue], finding: Finding) -> Residue | None:
    """The catalog's word on what a finding shows."""
    record = finding.record
    if finding.signal.kind == "registry":
        key = f"{record.get('root', '')}\\{record.get('key', '')}".strip("\\")
        kind = "user_registry" if finding.probe == "registry.users" else "registry"
        # A key goes as a whole; of two that hold it the inner one is meant.
        holding = [r for r in residues if r.kind == kind and reaches(r.target, key, "windows")]
        return max(holding, key=lambda r: len(parts(r.target, "windows")), default=None)
    named = {
        "path": record.get("pattern") or record.get("path", ""),
        "group": record.get("name", ""),
        "user": record.get("name", ""),
        "firewall_chain": f"{record.get('table', '')}/{record.get('name', '')}",
        "tree": f"{record.get('path', '').rstrip('/')}/{record.get('child', '')}",
    }.get(finding.signal.kind, "")
    if not named:
        return None
    for residue in residues:
        if residue.target == named or (
            residue.kind == "path" and fnmatch.fnmatchcase(record.get("path", ""), residue.target)
        ):
            return residue
    return None


def _seen(never: NeverTouch, findings: Iterable[Finding]) -> bool:
    return any(
        f.signal.kind == "path" and fnmatch.fnmatchcase(f.record.get("path", "").lower(), never.target.lower())
        for f in findings
    )


def _units(product: Product) -> Iterable[str]:
    return (f.record.get("name", "") for f in product.findings if f.signal.kind == "unit")
