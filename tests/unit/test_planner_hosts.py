# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans of hosts as they are met: entries an upgrade left behind, an agent alone, providers that meet on one host."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import planner
from ansible_collections.evict.kaspersky.plugins.plugin_utils.outcome import predict
from ansible_collections.evict.kaspersky.plugins.plugin_utils.plan import Plan
from tests import cases
from tests.inhibiting.shared import NEW, OLD, entries_of_kes

CLIENT = {"os_name": "Microsoft Windows 11 Pro", "os_build": "22631", "product_type": "workstation"}
UNPROTECTED = {"consent": frozenset({"remove", "unprotected"})}
GIVEN = {"secrets": cases.given(["kes"], "windows")}
OFF: cases.Answer = [
    {"property": "AMRunningMode", "value": "Not running"},
    {"property": "IsTamperProtected", "value": "True"},
    {"property": "feature", "value": "installed"},
    {"property": "onboarded", "value": "no"},
]
ACTIVE: cases.Answer = [{"kind": "defender", "name": "Microsoft Defender Antivirus", "state": "active"}]


def defended(fallback: str = "none", probes: dict[str, cases.Answer] | None = None, **more: t.Any) -> Plan:
    """A client that Defender is to take over."""
    replacement, other = cases.real("defender_av"), cases.real(fallback)
    return planner.plan(
        cases.case(
            **{
                "platform": "windows",
                "products": ["kes", "klnagent"],
                "facts": CLIENT,
                "replacement": replacement,
                "fallback": other,
                "probes": {"defender": OFF, **(probes or {})},
                "policy": {
                    **UNPROTECTED,
                    "secrets": cases.given(["kes", "klnagent"], "windows") | cases.tokens(replacement, other),
                },
                **more,
            }
        )
    )


@pytest.mark.parametrize("fallback", ["none", "mde_windows"])
def test_an_ordinary_client_gets_a_plan(fallback: str) -> None:
    """Tamper protection is on on most of them."""
    plan = defended(fallback)
    assert plan.state == "act", plan.inhibitors
    owners = list(dict.fromkeys(s.owner for s in plan.steps if s.section == "remove"))
    assert owners == ["kes", "klnagent"]


@pytest.mark.parametrize(
    ("family", "facts", "services"),
    [
        ("deb", {"os_id": "debian", "os_version": "12"}, ["clamav-daemon.service"]),
        ("rpm", {"os_id": "rhel", "os_version": "9.4"}, ["clamd@scan.service"]),
    ],
)
def test_an_ordinary_server_gets_a_plan(family: str, facts: dict[str, str], services: list[str]) -> None:
    plan = planner.plan(
        cases.case(
            products=["kesl", "klnagent64"],
            family=family,
            facts=facts,
            replacement=cases.real("clamav"),
            fallback=cases.real("mde_linux"),
            probes={"enforcement": [{"kind": "selinux", "state": "enforcing"}] if family == "rpm" else []},
        )
    )
    assert plan.state == "act", plan.inhibitors
    proved = [s.args["unit"] for s in plan.steps if s.section == "cover" and s.kind == "unit_active"]
    assert proved == services


def test_only_what_windows_installer_knows_is_uninstalled() -> None:
    told = [{"code": OLD, "state": "unregistered"}, {"code": NEW.lower(), "state": "there"}]
    plan = planner.plan(cases.case(**entries_of_kes(OLD, NEW, msi=told), policy=GIVEN))
    assert plan.state == "act", plan.inhibitors
    assert [s.args["code"] for s in plan.steps if s.kind == "msi_uninstall"] == [NEW]
    (confirm,) = [s for s in plan.steps if s.kind == "confirm_absent"]
    assert confirm.args["codes"] == (NEW,)
    assert [task.what for task in plan.manual if OLD in task.what] == [f"kes: entry {OLD} among the programs"]


def test_two_entries_that_windows_installer_knows_both_go() -> None:
    told = [{"code": OLD, "state": "there"}, {"code": NEW, "state": "there"}]
    plan = planner.plan(cases.case(**entries_of_kes(OLD, NEW, msi=told), policy=GIVEN))
    assert [s.args["code"] for s in plan.steps if s.kind == "msi_uninstall"] == sorted((OLD, NEW))
    assert not [task for task in plan.manual if "among the programs" in task.what]


def test_an_agent_alone_takes_no_protection_away() -> None:
    def gap(products: list[str], protection: cases.Answer) -> tuple[int, str]:
        found = defended(products=products, probes={"protection": protection}).gap
        assert found is not None
        return found.expected, found.why

    assert gap(["klnagent"], ACTIVE) == (0, "what is removed protects nothing, and what protects the host stays")
    seconds, why = gap(["klnagent"], [])
    assert seconds > 0
    assert why.startswith("nothing protects the host now")
    assert gap(["kes", "klnagent"], ACTIVE)[0] > 0


def test_a_restart_says_why_it_may_come() -> None:
    def why(plan: Plan) -> str:
        return next(s.reason for s in plan.steps if s.phase == "reboot")

    assert "old product" in why(defended())
    assert "old product" not in why(defended(products=[]))


def test_two_providers_on_a_server_do_not_keep_each_other_off() -> None:
    plan = defended("mde_windows", facts={}, probes={"defender": [{"property": "feature", "value": "installed"}]})
    assert [hit.id for hit in plan.blocking] == ["defender_passive"]
    assert "make mde_windows the replacement and defender_av the fallback" in plan.blocking[0].remedy


def test_nothing_is_purged_while_a_product_is_there() -> None:
    """The package of a product whose tree is gone can never be removed any more: its own script lies in it."""
    plan = planner.plan(cases.case(products=["kesl", "kesl-gui", "klnagent64"]))
    assert plan.state == "act", plan.inhibitors
    purges = [s for s in plan.steps if s.phase == "finish" and s.change == "irreversible"]
    assert "/opt/kaspersky/kesl" in [s.args.get("path") for s in purges]
    assert {(s.condition.name, s.condition.of) for s in purges} == {("product_absent", "kesl-gui kesl klnagent64")}
    told = {outcome.step: outcome for outcome in predict(plan)}
    assert {told[s.id].status for s in purges} == {"planned"}, "what is left by then nobody knows"
    assert all("were looked for again" in told[s.id].why for s in purges)
    alone = planner.plan(cases.case(products=[("kesl", "leftover")]))
    rests = [s for s in alone.steps if s.kind == "purge_path"]
    assert rests
    assert {s.condition.name for s in rests} == {"remains"}


def test_a_hook_that_nothing_takes_out_waits_for_no_removal() -> None:
    driver = {
        "name": "klif.KES-21-19",
        "state": "running",
        "path": "C:\\Windows\\System32\\drivers\\KES-21-19\\klif.sys",
    }

    def remedy(plan: Plan) -> str:
        return next(task.remedy for task in plan.manual if "klif" in task.what)

    assert "after the removal" in remedy(defended(probes={"drivers": [driver]}))
    assert "after the removal" not in remedy(defended(products=[], probes={"drivers": [driver]}))
