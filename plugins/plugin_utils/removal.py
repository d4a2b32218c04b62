# SPDX-License-Identifier: GPL-3.0-or-later
"""How found products go: product, then add-ons, then the agent, each by its own package or MSI code. Pure.

The order is the catalog's. Nothing in this section may stop the job: what fails there goes on with the cover, so that
the host is protected whatever is left of the old product.
"""

from __future__ import annotations

import re
import typing as t
from collections.abc import Iterable, Sequence

from . import paths
from .assess import Product
from .case import Case
from .findings import Finding, Weight
from .plan import Manual, Step, Value
from .steps import ALWAYS, KINDS, Condition

_CODE: t.Final = re.compile(r"\{[0-9A-F]{8}(?:-[0-9A-F]{4}){3}-[0-9A-F]{12}\}\Z")
# Never a restart of its own: the plan has a step for that, under the policy.
_NO_RESTART: t.Final = ("REBOOT=ReallySuppress",)


def in_order(products: Iterable[Product]) -> tuple[Product, ...]:
    """The working products in the order in which they go: the catalog's order, companions before their product."""
    found = {p.entry.id: p for p in sorted(products, key=lambda p: (p.entry.removal.order, p.entry.id)) if p.works}
    ordered: dict[str, Product] = {}

    def take(name: str, above: tuple[str, ...] = ()) -> None:
        if name in ordered or name not in found or name in above:
            return
        for companion in found[name].entry.removal.companions:
            take(companion, (*above, name))
        ordered[name] = found[name]

    for name in found:
        take(name)
    return tuple(ordered.values())


def why_manual(product: Product, case: Case) -> str:
    """Why no step can remove the product; empty when one can."""
    entry = product.entry
    if entry.removal.strategy == "manual":
        return "no unattended removal of it is known"
    if entry.removal.strategy == "package":
        return "" if _packages(product) else "no package database knows it: it was unpacked by hand or left behind"
    users = [f for f in _entries(product) if f.probe == "uninstall.users"]
    if codes(product, case):
        return ""
    if users:
        return "it is installed for one user: it can be uninstalled in that user's session only"
    if any(f.weight is Weight.REGISTERED for f in _entries(product)):
        return "its entry has no MSI product code that Windows Installer could be given"
    return "no list of programs has an entry by which it could be uninstalled"


def steps(case: Case) -> tuple[Step, ...]:
    """The section `remove` of the commit.

    Args:
        case: the host; every working product in it must be one that steps can remove.
    """
    found: list[Step] = []
    before: list[str] = []
    for product in in_order(case.assessment.products):
        condition = ALWAYS
        if product.entry.family != "agent":
            before.append(product.entry.id)
        elif before:
            # The agent is what the vendor's console reaches the host through, and often what a later removal needs.
            condition = Condition("product_absent", " ".join(before))
        make = _package_steps if product.entry.removal.strategy == "package" else _msi_steps
        found += make(product, case, condition)
    return tuple(found)


def manual(case: Case) -> tuple[Manual, ...]:
    """What of the working products stays for a person although the rest is removed by steps."""
    found = []
    for product in case.assessment.products:
        if product.works and not why_manual(product, case):
            found += [
                Manual(
                    f"{product.entry.id}: entry of one user, {f.record.get('name') or f.record.get('key', '')}",
                    f"it is installed for the user {f.record.get('sid', '')} only",
                    "uninstall it in that user's session",
                )
                for f in _entries(product)
                if f.probe == "uninstall.users"
            ]
            found += [
                Manual(
                    f"{product.entry.id}: entry {code} among the programs",
                    "Windows Installer does not know it: an upgrade left it behind, beside the one that is uninstalled",
                    "once the product is gone, and none of its files and services is left, delete the entry from the "
                    "registry",
                )
                for code in sorted(orphans(product, case))
            ]
    return tuple(found)


def _package_steps(product: Product, case: Case, condition: Condition) -> list[Step]:
    entry = product.entry
    patience = entry.removal.stop_timeout or KINDS["stop_unit"].timeout
    units = sorted({f.record.get("name", "") for f in product.findings if _live_unit(f)})
    packages = _packages(product)
    found = [
        _step(
            f"remove.{entry.id}.stop.{unit}",
            "stop_unit",
            unit,
            f"{entry.name} stops before its package goes, with the patience its vendor asks for",
            product=product,
            condition=condition,
            args={"unit": unit},
            timeout=patience,
        )
        for unit in units
    ]
    for manager, name in packages:
        args: dict[str, Value] = {"manager": _manager(manager, case), "package": name}
        if manager == "dpkg" and may_purge(product, case):
            args["purge"] = "yes"
        found.append(
            _step(
                f"remove.{entry.id}.package.{name}",
                "remove_package",
                f"{name} ({args['manager']})",
                f"{entry.name} was found: {product.findings[0].text}",
                product=product,
                condition=condition,
                args=args,
                timeout=max(KINDS["remove_package"].timeout, 2 * patience),
            )
        )
    looked: dict[str, Value] = {
        "product": entry.id,
        "packages": tuple(name for _manager_name, name in packages),
        "services": tuple(units),
        "programs": _programs(product),
    }
    found.append(_confirm(product, condition, looked))
    return found


def _msi_steps(product: Product, case: Case, condition: Condition) -> list[Step]:
    entry = product.entry
    own = codes(product, case)
    given = case.policy.secrets.get(entry.id, {})
    secrets = {(given[s.name].property or s.name): f"{entry.id}.{s.name}" for s in entry.secrets if s.name in given}
    found = [
        _step(
            f"remove.{entry.id}.msi.{code}",
            "msi_uninstall",
            f"{label or entry.name} {code}",
            f"{entry.name} was found: {product.findings[0].text}",
            product=product,
            condition=condition,
            args={"code": code, "properties": _NO_RESTART},
            secrets=secrets,
        )
        for code, label in own
    ]
    looked: dict[str, Value] = {
        "product": entry.id,
        "codes": tuple(code for code, _label in own),
        "services": tuple(
            sorted({f.record.get("name", "") for f in product.findings if f.signal.kind == "service"} - {""})
        ),
        "programs": _programs(product),
    }
    found.append(_confirm(product, condition, looked))
    return found


def _confirm(product: Product, condition: Condition, looked: dict[str, Value]) -> Step:
    return _step(
        f"remove.{product.entry.id}.confirm",
        "confirm_absent",
        product.entry.id,
        "an exit code proves nothing: the package database, services and programs are asked again",
        product=product,
        condition=condition,
        args={name: value for name, value in looked.items() if value},
    )


def _step(
    name: str,
    kind: str,
    target: str,
    reason: str,
    *,
    product: Product,
    condition: Condition,
    args: dict[str, Value],
    timeout: int = 0,
    secrets: dict[str, str] | None = None,
) -> Step:
    known = KINDS[kind]
    return Step(
        id=name,
        phase="commit",
        section="remove",
        kind=kind,
        target=target,
        args=args,
        reason=reason,
        change=known.change,
        condition=condition,
        on_fail="cover",
        timeout=timeout or known.timeout,
        typical=known.typical,
        secrets=secrets or {},
        owner=product.entry.id,
    )


def _live_unit(finding: Finding) -> bool:
    """A unit that runs, stops, or is about to start: a package's script would wait for it without end."""
    if finding.signal.kind != "unit" or finding.record.get("kind") == "dropin":
        return False
    return finding.weight is Weight.LIVE or finding.record.get("active") == "activating"


def _packages(product: Product) -> tuple[tuple[str, str], ...]:
    """(database, name) of the product's packages, whole or half done; not those of which only settings are left."""
    found = {
        (f.probe.partition(".")[2], package_name(f.probe, f.record.get("name", ""), f.record.get("arch", "")))
        for f in product.findings
        if f.signal.kind == "package" and f.weight in (Weight.REGISTERED, Weight.BROKEN)
    }
    return tuple(sorted(found))


def may_purge(product: Product, case: Case) -> bool:
    """May the package's own scripts delete its data? Not where they would take along what is never touched."""
    if not case.policy.purge:
        return False
    kept = [never.target for never in product.entry.never_touch if never.kind == "path"]
    stores = case.probe("quarantine")
    if kept and stores.status == "unknown":
        return False
    return not any(paths.reaches(never, r.get("path", ""), case.platform) for r in stores.records for never in kept)


def package_name(probe: str, name: str, arch: str) -> str:
    """The name under which the package manager knows exactly this package."""
    if probe == "packages.dpkg" and arch and arch != "all" and ":" not in name:
        return f"{name}:{arch}"
    return name


def _manager(database: str, case: Case) -> str:
    """What removes a package of this database: the host's own front end, or the plain tool where there is none."""
    fitting = {"dpkg": ("apt",), "rpm": ("dnf", "yum", "zypper")}[database]
    return case.manager if case.manager in fitting else database


def _entries(product: Product) -> list[Finding]:
    return [f for f in product.findings if f.signal.kind in ("uninstall", "product_code")]


def codes(product: Product, case: Case) -> Sequence[tuple[str, str]]:
    """(code, name) of the product's machine-wide MSI entries that are uninstalled, each once."""
    left = orphans(product, case)
    return sorted((code, name) for code, name in _listed(product, case).items() if code not in left)


def orphans(product: Product, case: Case) -> frozenset[str]:
    """Codes of entries that an upgrade left behind: Windows Installer knows another of the product, and not these."""
    found = set(_listed(product, case))
    unknown = {r.get("code", "").upper() for r in case.probe("msi").records if r.get("state") == "unregistered"} & found
    return frozenset(unknown) if found - unknown else frozenset()


def _listed(product: Product, case: Case) -> dict[str, str]:
    """Code -> name of all machine-wide MSI entries of the product, but for those that are never touched."""
    forbidden = {item.target.upper() for e in case.catalog.for_platform("windows") for item in e.never_touch}
    found: dict[str, str] = {}
    for finding in _entries(product):
        code = finding.record.get("key", "").strip().upper()
        if finding.probe == "uninstall.machine" and _CODE.match(code) and code not in forbidden:
            found.setdefault(code, finding.record.get("name", ""))
    return found


def _programs(product: Product) -> tuple[str, ...]:
    """Programs of the product that were seen, none of which may be there afterwards."""
    found = {
        f.record.get("path", "")
        for f in product.findings
        if f.signal.kind == "path" and f.signal.shows == "product" and f.weight is Weight.FILES
    }
    return tuple(sorted(found - {""}))
