# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans for the invented fleet, the same on every call, as varied as what a report has to show."""

from __future__ import annotations

import dataclasses
import typing as t
from collections.abc import Iterable, Iterator

from ansible_collections.evict.kaspersky.plugins.plugin_utils.ledger import Ledger
from ansible_collections.evict.kaspersky.plugins.plugin_utils.plan import Gap, Hit, Manual, Plan, State, Step, Waived
from ansible_collections.evict.kaspersky.plugins.plugin_utils.planned import Plans
from ansible_collections.evict.kaspersky.plugins.plugin_utils.row import Row
from ansible_collections.evict.kaspersky.plugins.plugin_utils.steps import Condition
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import Verb, Verdict
from tests import fleet

MADE = "2024-09-29T12:00:00.000000Z"
EXPIRES = "2024-10-02T12:00:00.000000Z"
WAIVER = Waived("mail team", "moves in October", "CHG-77", "2024-10-31")
ENCRYPTION = Hit(
    "disk_encryption",
    "disks are encrypted by the product",
    "disk encryption of the product is on for drive C:",
    "decrypt the disks with the management server first",
    False,
)
REBOOT = Hit(
    "pending_reboot", "a restart is pending", "a file is to be replaced", "restart the host, then plan again", True
)
SESSIONS = Hit("sessions", "users are logged on", "2 users are logged on", "wait until they have gone", True, WAIVER)


def steps(platform: str, products: Iterable[tuple[str, str, str]], staged: str = "clamav") -> Iterator[Step]:
    """Steps as the planner orders them: stage, remove, cover, reboot, finish."""
    if platform == "windows":
        yield Step(
            id="stage.feature",
            phase="stage",
            kind="enable_feature",
            target="Windows-Defender",
            args={"feature": "Windows-Defender"},
            reason="the replacement is a feature of the server",
            change="reversible",
            timeout=3600,
            typical=120,
            owner="defender_av",
        )
    else:
        yield Step(
            id="stage.packages",
            phase="stage",
            kind="install_packages",
            target="clamav-daemon",
            args={"manager": "apt", "packages": ("clamav", "clamav-daemon")},
            reason=f"{staged} is to be there before the old product goes",
            change="reversible",
            timeout=1800,
            typical=30,
            owner=staged,
        )
    for name, version, _state in products:
        windows = platform == "windows"
        yield Step(
            id=f"remove.{name}",
            phase="commit",
            section="remove",
            kind="msi_uninstall" if windows else "remove_package",
            target=f"{name} {version}",
            args={"code": "{E7C1F2A4}"} if windows else {"manager": "apt", "package": name},
            reason=f"{name} {version} is installed",
            change="irreversible",
            on_fail="fallback",
            timeout=1800,
            typical=60,
            secrets={"KLPASSWD": "kes.password"} if windows else {},
            owner=name,
        )
    yield Step(
        id="cover.active",
        phase="commit",
        section="cover",
        kind="service_running" if platform == "windows" else "start_unit",
        target="clamav-daemon",
        args={"service": "WinDefend"} if platform == "windows" else {"unit": "clamav-daemon.service"},
        reason="the replacement has to be active before anything else",
        change="none" if platform == "windows" else "reversible",
    )
    yield Step(
        id="reboot",
        phase="reboot",
        kind="reboot",
        target="the host",
        reason="drivers of the old product stay loaded until a restart",
        change="irreversible",
        condition=Condition("reboot_required"),
        timeout=1800,
        typical=180,
    )


def plan_of(row: Row) -> Plan | None:
    """The plan of a host; none for those that were not asked."""
    if row.verdict in (Verdict.OUT_OF_SCOPE, Verdict.NOT_ATTEMPTED):
        return None
    products = tuple((p.id, p.version, p.state) for p in row.products)
    state: State = "undecided"
    inhibitors: tuple[Hit, ...] = ()
    if row.verdict is Verdict.PRESENT:
        state = "act"
        if any(fact.topic == "encryption" for fact in row.facts):
            state, inhibitors = "blocked", (ENCRYPTION, REBOOT, SESSIONS)
        elif any(fact.topic == "lock" for fact in row.facts):
            inhibitors = (SESSIONS,)
    elif row.verdict is Verdict.LEFTOVERS:
        state = "blocked" if any(fact.topic == "reboot" for fact in row.facts) else "act"
        inhibitors = (REBOOT,) if state == "blocked" else ()
    elif row.verdict is Verdict.ABSENT:
        state = "nothing_to_do"
    act = state == "act"
    return Plan(
        host=row.host,
        machine=fleet.digest("machine", row.host)[:32],
        platform=row.platform,
        state=state,
        verdict=str(row.verdict),
        products=products,
        replacement="defender_av" if row.platform == "windows" else "clamav",
        fallback="existing",
        steps=tuple(steps(row.platform, products)) if act else (),
        inhibitors=inhibitors,
        manual=(Manual("the policy on the management server", "it lies elsewhere", "delete the group there"),)
        if act
        else (),
        gap=Gap(90, 1980, "from the removal until the replacement is active") if act else None,
        notes=("maintenance window: Sunday 02:00 to 06:00",) if act else (),
        made=MADE,
        expires=EXPIRES,
    )


def planned(rows: Iterable[Row]) -> tuple[list[Row], Plans]:
    """Rows of a plan run, and their plans."""
    found = Plans()
    made = []
    for row in rows:
        plan = plan_of(row)
        if plan is None:
            made.append(row)
        else:
            made.append(row.planned(plan))
            found.add(plan)
    return made, found


def ledger(rows: Iterable[Row], **more: t.Any) -> Ledger:
    """A plan run with these hosts."""
    made, found = planned(rows)
    return dataclasses.replace(fleet.ledger(made, **more), verb=Verb.PLAN, plans=found)
