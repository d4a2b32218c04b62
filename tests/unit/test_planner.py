# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans of single hosts: what is planned, in which order, under which condition, and what is not."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import inhibitors, knowledge, planner
from ansible_collections.evict.kaspersky.plugins.plugin_utils.case import Case
from ansible_collections.evict.kaspersky.plugins.plugin_utils.plan import Plan, Waived
from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy import Window
from tests import cases

LIFTED = {"waived": dict.fromkeys(inhibitors.WAIVABLE, cases.WAIVER)}
KES_ENTRY = {"name": "Kaspersky Endpoint Security for Windows", "publisher": "Kaspersky"}


def real(platform: str, replacement: str, fallback: str, **more: t.Any) -> Case:
    """A case with providers of the catalog; whatever their own inhibitors are, waivers lift what can be lifted."""
    known = knowledge.providers()
    return cases.case(platform, replacement=known[replacement], fallback=known[fallback], **more)


def ids(plan: Plan, section: str) -> list[str]:
    return [s.id for s in plan.steps if section in (s.section, s.phase)]


def test_product_before_agent_and_the_agent_on_condition() -> None:
    plan = planner.plan(cases.case(products=["klnagent64", "kesl-gui", "kesl"]))
    assert plan.state == "act", plan.inhibitors
    assert [p[0] for p in plan.products] == ["kesl-gui", "kesl", "klnagent64"]
    owners = list(dict.fromkeys(s.owner for s in plan.steps if s.section == "remove"))
    assert owners == ["kesl-gui", "kesl", "klnagent64"]
    (agent,) = [s for s in plan.steps if s.id.startswith("remove.klnagent64.package")]
    assert agent.condition.words() == "only when kesl-gui and kesl were looked for again and are gone"
    assert plan.point_of_no_return == "remove.kesl-gui.package.kesl-gui:amd64"


def test_the_stop_has_the_patience_of_the_product() -> None:
    unit = ("units", {"name": "kesl.service", "kind": "file", "active": "active", "enabled": "enabled"})
    plan = planner.plan(cases.case(products=["kesl"], probes={"units": [unit[1]]}))
    (stop,) = [s for s in plan.steps if s.kind == "stop_unit"]
    assert (stop.args["unit"], stop.timeout, stop.on_fail) == ("kesl.service", 660, "cover")
    (remove,) = [s for s in plan.steps if s.kind == "remove_package" and s.section == "remove"]
    assert remove.args == {"manager": "apt", "package": "kesl:amd64", "purge": "yes"}
    assert remove.timeout >= 660


@pytest.mark.parametrize(
    ("active", "stops"),
    [
        ("active", True),
        ("reloading", True),
        ("deactivating", True),
        ("activating", True),
        ("inactive", False),
        ("failed", False),
    ],
)
def test_a_unit_that_is_not_at_rest_is_stopped_first(active: str, stops: bool) -> None:
    """Of one that hangs while it stops, the package's own script would wait for the end."""
    unit = {"name": "kesl.service", "kind": "file", "active": active, "enabled": "enabled"}
    plan = planner.plan(cases.case(products=["kesl"], probes={"units": [unit]}))
    assert any(s.kind == "stop_unit" for s in plan.steps) == stops


def test_an_agent_alone_goes_without_a_condition() -> None:
    plan = planner.plan(cases.case(products=["klnagent64"]))
    assert {s.condition.name for s in plan.steps if s.section == "remove"} == {"always"}


@pytest.mark.parametrize(("family", "manager"), [("deb", "apt"), ("rpm", "dnf")])
def test_the_package_goes_by_the_host_s_own_front_end(family: str, manager: str) -> None:
    plan = planner.plan(cases.case(products=["kesl"], family=family))
    removals = [s for s in plan.steps if s.kind == "remove_package" and s.section == "remove"]
    assert {s.args["manager"] for s in removals} == {manager}
    assert all(("purge" in s.args) == (family == "deb") for s in removals)


def test_windows_products_go_by_their_own_code_and_secrets_by_name() -> None:
    secrets = {
        "kes": {"KLLOGIN": cases.secret("kes_login"), "KLPASSWD": cases.secret("kes_password")},
        "klnagent": {"KLUNINSTPASSWD": cases.secret("agent_password")},
    }
    found = {"secrets": {"kes.KLLOGIN": "", "kes.KLPASSWD": "", "klnagent.KLUNINSTPASSWD": ""}}
    plan = planner.plan(cases.case("windows", products=["kes", "klnagent"], policy={"secrets": secrets}, found=found))
    assert plan.state == "act", plan.inhibitors
    steps = [s for s in plan.steps if s.kind == "msi_uninstall"]
    assert [s.owner for s in steps] == ["kes", "klnagent"]
    assert steps[0].args["properties"] == ("REBOOT=ReallySuppress",)
    assert steps[0].secrets == {"KLLOGIN": "kes.KLLOGIN", "KLPASSWD": "kes.KLPASSWD"}
    assert steps[1].secrets == {"KLUNINSTPASSWD": "klnagent.KLUNINSTPASSWD"}
    assert "kes_password" not in str(plan.to_dict())


def test_another_property_for_the_password() -> None:
    secrets = {"ksws": {"UNLOCK_PASSWORD": cases.secret("word", property="UNLOCK_PW", format="plain")}}
    plan = planner.plan(
        cases.case(
            "windows", products=["ksws"], policy={"secrets": secrets}, found={"secrets": {"ksws.UNLOCK_PASSWORD": ""}}
        )
    )
    assert plan.state == "act", plan.inhibitors
    (step,) = [s for s in plan.steps if s.kind == "msi_uninstall"]
    assert step.secrets == {"UNLOCK_PW": "ksws.UNLOCK_PASSWORD"}


def test_a_code_that_belongs_to_somebody_else_is_never_uninstalled() -> None:
    blocked = "{793B70D2-41E9-46AB-9DDC-B34C99D07DB5}"
    entry = {"view": "64", "key": blocked, **KES_ENTRY, "uninstall": f"MsiExec.exe /X{blocked}", "version": "1"}
    plan = planner.plan(cases.case("windows", products=(), probes={"uninstall.machine": [entry]}))
    assert plan.state == "blocked"
    assert blocked not in str([s.to_dict() if hasattr(s, "to_dict") else s for s in plan.steps])


def test_an_absent_and_protected_host_has_nothing_to_do() -> None:
    guard = {"kind": "fanotify", "mode": "permission", "exe": "/usr/sbin/clamd", "comm": "clamd", "pid": "7"}
    plan = planner.plan(cases.case(products=(), probes={"protection": [{**guard, "root": "same"}]}))
    assert (plan.state, plan.steps, plan.inhibitors) == ("nothing_to_do", (), ())


def test_an_absent_host_that_nothing_protects_is_covered() -> None:
    plan = planner.plan(real("linux", "clamav", "none", products=(), policy={"consent": frozenset({"unprotected"})}))
    assert plan.state in ("act", "blocked")
    assert not ids(plan, "remove")
    if plan.state == "act":
        assert ids(plan, "cover")
        assert plan.gap is None, "no old protection ends"


def test_unknown_is_never_planned() -> None:
    plan = planner.plan(cases.case(products=(), probes={"packages.dpkg": "the database cannot be read"}))
    assert (plan.state, plan.steps) == ("undecided", ())


def test_what_is_found_counts_though_something_is_unknown() -> None:
    plan = planner.plan(cases.case(products=["kesl"], probes={"trust": "cannot be read"}))
    assert plan.verdict == "present"
    assert plan.state == "act", plan.inhibitors


def test_leftovers_are_cleared_and_the_rest_is_for_a_person() -> None:
    record = {"name": "kesl", "version": "12.1", "arch": "amd64", "state": "rc"}
    storage = {"path": "/var/opt/kaspersky/kesl/private/storage", "type": "dir", "link": "no", "executable": "no"}
    plan = planner.plan(cases.case(products=(), probes={"packages.dpkg": [record], "paths": [storage]}))
    assert plan.verdict == "leftovers"
    assert plan.state == "act", plan.inhibitors
    assert not ids(plan, "remove")
    finish = [s for s in plan.steps if s.phase == "finish"]
    assert finish[0].args == {"manager": "apt", "package": "kesl:amd64", "purge": "yes"}
    assert all(s.condition.name == "remains" for s in finish if s.kind == "purge_path")
    assert not [s for s in finish if s.args.get("path") == "/var/opt/kaspersky/kesl"]


def test_nothing_is_purged_when_that_is_not_wanted() -> None:
    plan = planner.plan(cases.case(products=["kesl"], policy={"purge": False}))
    assert plan.state == "act", plan.inhibitors
    assert not [s for s in plan.steps if s.kind.startswith("purge")]
    assert not [s for s in plan.steps if "purge" in s.args]


def test_a_path_to_remove_keeps_what_must_stay_inside_it() -> None:
    plan = planner.plan(cases.case(products=["ksc64"], policy={"roles": frozenset({"ksc64"})}))
    assert plan.state == "act", plan.inhibitors
    never = {
        n.target
        for e in knowledge.catalog().for_platform("linux")
        for n in e.never_touch
        if n.kind == "path" and n.target.startswith("/var/opt/kaspersky")
    }
    for step in plan.steps:
        path = str(step.args.get("path", ""))
        if step.kind == "purge_path" and any(n.startswith(path + "/") for n in never):
            assert set(step.args["keep"]) == {n for n in never if n.startswith(path + "/")}


def test_an_excepted_host_has_no_steps_and_says_who_answers_for_it() -> None:
    waiver = Waived("Ada Byron", "replaced by hardware next month", "CHG-7", "2030-06-30")
    plan = planner.plan(cases.case(products=["kesl"], found={"excepted": waiver}))
    assert (plan.state, plan.steps, plan.excepted) == ("excepted", (), waiver)


def test_a_blocked_plan_lists_everything_and_does_nothing() -> None:
    plan = planner.plan(
        cases.case(
            products=["kesl", "klms"],
            probes={
                "reboot": [{"cause": "file", "detail": "/run/reboot-required"}],
                "manager": [{"kind": "manager", "name": "apt"}, {"kind": "busy", "what": "lock", "pid": "9"}],
            },
        )
    )
    assert (plan.state, plan.steps, plan.gap) == ("blocked", (), None)
    assert len(plan.blocking) >= 3, [hit.id for hit in plan.blocking]
    assert all(hit.remedy and hit.diagnosis and hit.title for hit in plan.inhibitors)


def test_a_waiver_stays_in_the_plan_it_makes_possible() -> None:
    probes: dict[str, cases.Answer] = {"reboot": [{"cause": "file", "detail": "/run/reboot-required"}]}
    (hit,) = planner.plan(cases.case(products=["kesl"], probes=probes)).inhibitors
    assert hit.waivable
    plan = planner.plan(cases.case(products=["kesl"], probes=probes, found={"waived": {hit.id: cases.WAIVER}}))
    assert plan.state == "act"
    assert [h.waived for h in plan.inhibitors] == [cases.WAIVER]


def test_a_restart_stands_in_the_plan_only_where_it_is_allowed() -> None:
    for policy, expected in (("never", 0), ("if_needed", 1)):
        plan = planner.plan(cases.case("windows", products=["kes"], policy={"reboot": policy}))
        assert plan.state == "act", plan.inhibitors
        found = [s for s in plan.steps if s.phase == "reboot"]
        assert len(found) == expected
        assert [s.condition.name for s in found] == ["reboot_required"] * expected
        assert any("reboot_pending" in note for note in plan.notes) == (policy == "never")


def test_the_gap_is_counted_from_the_stop_to_the_proof() -> None:
    plain = planner.plan(cases.case(products=["kesl"]))
    assert plain.gap is not None
    removing = [s for s in plain.steps if s.section == "remove"]
    assert plain.gap.expected >= sum(s.typical for s in removing)
    assert plain.gap.at_most >= sum(s.timeout for s in removing)
    passive = cases.provider("shield", coexist="passive")
    gap = planner.plan(cases.case(products=["kesl"], replacement=passive)).gap
    assert gap is not None
    assert gap.expected < plain.gap.expected
    assert "passive" in gap.why


def test_no_protection_afterwards_is_said_loudly() -> None:
    case = real("linux", "none", "none", policy={"consent": frozenset({"remove", "unprotected"})})
    plan = planner.plan(case)
    assert plan.state == "act", plan.inhibitors
    assert plan.gap is None
    assert any("NO PROTECTION AFTERWARDS" in note for note in plan.notes)


def test_windows_of_time_are_named() -> None:
    start = cases.NOW + datetime.timedelta(hours=2)
    window = Window(start, start + datetime.timedelta(hours=4))
    plan = planner.plan(cases.case(products=["kesl"], policy={"reboot": "window", "windows": (window,)}))
    assert plan.state == "act", plan.inhibitors
    assert f"maintenance window: {start.strftime(planner.TIME)} to" in " ".join(plan.notes)


def test_times_of_a_plan() -> None:
    plan = planner.plan(cases.case(products=["kesl"], policy={"plan_hours": 24}))
    assert plan.made == "2030-05-06T07:08:09Z"
    assert plan.expires == "2030-05-07T07:08:09Z"


def test_a_provider_that_does_not_fit_blocks_with_its_fault() -> None:
    only_rpm = cases.provider("shield", families=("rpm",))
    plan = planner.plan(cases.case(products=["kesl"], replacement=only_rpm))
    assert plan.state == "blocked"
    assert plan.steps == ()


def test_lines_of_a_mail_server_are_for_a_person() -> None:
    line = {"file": "/etc/postfix/main.cf", "line": "content_filter = klms_postfix-afterqueue:[127.0.0.1]:10025"}
    base = cases.case(products=["klms"], policy={"roles": frozenset({"klms"})})
    probe = base.seen.probes["lines"]
    probes = {"lines": [*probe.records, {**line, "number": "3"}]}
    plan = planner.plan(cases.case(products=["klms"], probes=probes, policy={"roles": frozenset({"klms"})}))
    assert plan.state in ("act", "blocked")
    facts = [f for f in dataclasses.asdict(base.assessment.context)["facts"] if f["topic"] == "integration"]
    assert len(plan.manual) >= len(facts)


def test_a_package_is_not_purged_where_its_scripts_would_take_a_quarantine_along() -> None:
    store = {"path": "/var/opt/kaspersky/kesl/private/storage", "files": "3"}
    found = {"waived": dict.fromkeys(inhibitors.WAIVABLE, cases.WAIVER)}
    for probes, purged in (({"quarantine": [store]}, False), ({"quarantine": "cannot be read"}, False), ({}, True)):
        plan = planner.plan(cases.case(products=["kesl"], probes=dict(probes), found=found))
        assert plan.state == "act", plan.inhibitors
        (step,) = [s for s in plan.steps if s.kind == "remove_package" and s.section == "remove"]
        assert ("purge" in step.args) == purged


@pytest.mark.parametrize(
    ("probe", "record", "says"),
    [
        (
            "uninstall.machine",
            {**KES_ENTRY, "key": "{6E0F4C52-5B7A-4D0E-9C39-2B1A7F3D0C01}", "version": "11.6.0.394", "view": "32"},
            ("kes: program Kaspersky Endpoint Security for Windows 11.6.0.394", "delete the entry"),
        ),
        (
            "services",
            {"name": "AVP.KES.21.3", "path": r"C:\gone\avp.exe", "file_exists": "no", "state": "stopped"},
            ("kes: service AVP.KES.21.3", "sc.exe delete"),
        ),
        (
            "certificates",
            {"subject": "CN=Kaspersky Anti-Virus Personal Root Certificate", "store": "ROOT", "hive": "machine"},
            ("certificate CN=Kaspersky Anti-Virus", "certlm.msc"),
        ),
    ],
)
def test_what_is_left_in_lists_and_stores_is_for_a_person(
    probe: str, record: dict[str, str], says: tuple[str, str]
) -> None:
    plan = planner.plan(cases.case("windows", products=(), probes={probe: [record]}))
    assert plan.verdict == "leftovers"
    assert not ids(plan, "remove")
    (item,) = plan.manual
    assert item.what.startswith(says[0])
    assert says[1] in item.remedy


def test_an_entry_of_a_product_that_goes_needs_no_person() -> None:
    plan = planner.plan(cases.case("windows", products=["kes"]))
    assert plan.state == "act", plan.inhibitors
    assert [item for item in plan.manual if "program" in item.what or "service" in item.what] == []


@pytest.mark.parametrize(
    ("key", "step"),
    [
        ("protected\\KES", "finish.registry.SOFTWARE\\KasperskyLab\\protected\\KES"),
        ("PROTECTED\\kes", "finish.registry.SOFTWARE\\KasperskyLab\\protected\\KES"),
        ("", ""),
    ],
)
def test_a_key_goes_by_its_step_or_is_for_a_person_never_both(key: str, step: str) -> None:
    record = {"root": "SOFTWARE\\KasperskyLab", "key": key, "view": "64", "sid": ""}
    plan = planner.plan(cases.case("windows", products=(), probes={"registry.machine": [record]}))
    assert plan.verdict == "leftovers"
    assert (step in ids(plan, "finish")) == bool(step)
    assert bool(plan.manual) == (not step), plan.manual


HOOK = {
    "name": "klif.KES-21-16",
    "state": "running",
    "file_exists": "yes",
    "type": "file_system_driver",
    "start": "boot",
}
KEY = {"root": "SOFTWARE\\KasperskyLab", "key": "protected\\KES", "view": "32", "sid": ""}


def test_a_rest_beside_a_live_hook_stays_as_a_whole() -> None:
    plan = planner.plan(
        cases.case("windows", products=(), probes={"drivers": [HOOK], "registry.machine": [KEY]}, found=LIFTED)
    )
    assert plan.verdict == "leftovers"
    assert [s.kind for s in plan.steps if s.kind.startswith("purge")] == []
    told = {item.what: item.why for item in plan.manual}
    assert any("klif" in what for what in told)
    assert "hook" in told[next(what for what in told if "protected\\KES" in what)]


@pytest.mark.parametrize(("products", "purged"), [(["kes"], True), (["klnagent"], False)])
def test_a_product_that_goes_takes_its_hooks_along_and_the_agent_takes_none(products: list[str], purged: bool) -> None:
    before = cases.case("windows", products=products)
    keys = [*before.seen.probes["registry.machine"].records, KEY]
    probes: dict[str, cases.Answer] = {"drivers": [HOOK], "registry.machine": keys}
    plan = planner.plan(cases.case("windows", products=products, probes=probes, found=LIFTED))
    assert plan.state == "act", plan.inhibitors
    purges = [s.id for s in plan.steps if s.kind == "purge_registry" and s.id.endswith("KES")]
    assert bool(purges) == purged
