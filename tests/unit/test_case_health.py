# SPDX-License-Identifier: GPL-3.0-or-later
"""What a case says of the health of its replacement, what a plan makes of it, and the questions behind it."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import asking, planner, preflight
from ansible_collections.evict.kaspersky.plugins.plugin_utils.case import Case
from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy import Policy
from tests import cases, covers

Records = list[dict[str, str]]
CLAMD = "ClamAV 1.4.3/27001/Mon May  6 01:02:03 2030"


def well(role: str = "replacement", **changes: str) -> Records:
    """What a host with a healthy ClamAV of Debian says."""
    answers = {
        "service.clamav-daemon.service": "active enabled",
        "service.clamav-freshclam.service": "active enabled",
        "ping": "PONG\n",
        "version": f"{CLAMD}\n",
        **{name.replace("_", ".", 1) if name.startswith("service_") else name: text for name, text in changes.items()},
    }
    return [{"role": role, "name": name, "text": text} for name, text in answers.items() if text != "-"]


def clamav(cover: cases.Answer, products: tuple[t.Any, ...] = (), **more: t.Any) -> Case:
    known = covers.PROVIDERS
    return cases.case(
        products=products,
        probes={"cover": cover},
        replacement=known["clamav"],
        fallback=known["none"],
        policy={"consent": frozenset({"remove", "unprotected"})} | more,
    )


def test_a_healthy_one_counts_as_protection_and_a_second_run_has_nothing_to_do() -> None:
    case = clamav(well())
    assert case.assessment.context.protection == "none", "it has no marks in the kernel"
    found = case.health("replacement")
    assert found is not None
    assert (found.healthy, found.reasons) == (True, ())
    assert planner.protected(case)
    assert planner.plan(case).state == "nothing_to_do"


@pytest.mark.parametrize(
    ("cover", "why"),
    [
        ((), "unknown whether it runs"),
        (well(ping="-"), "ping: unknown, there is no answer"),
        (well(ping="Could not connect to clamd"), "the engine does not answer"),
        (well(version="ClamAV 1.4.3"), "the signatures are too old"),
        (well(version="ClamAV 1.4.3/26000/Mon Apr  1 01:02:03 2030"), "the signatures are too old (date: "),
        ([r for r in well() if "clamav-daemon" not in r["name"]], "clamav-daemon.service: unknown"),
        (well("fallback"), "unknown whether it runs"),
        ("refused", "could not tell: refused"),
        (
            [*well(ping="-"), {"role": "replacement", "name": "ping", "text": "", "fault": "did not answer in 3 s"}],
            "ping: did not answer in 3 s",
        ),
    ],
)
def test_one_that_is_not_healthy_or_not_known_protects_nothing(cover: cases.Answer, why: str) -> None:
    case = clamav(cover)
    found = case.health("replacement")
    assert found is not None
    assert not found.healthy
    assert any(why in reason for reason in found.reasons), found.reasons
    assert not planner.protected(case)
    plan = planner.plan(case)
    assert [s.id for s in plan.steps if s.section == "cover"], plan.inhibitors


def test_beside_the_old_product_nothing_is_protected_yet() -> None:
    case = clamav(well(), ("kesl",))
    found = case.health("replacement")
    assert found is not None
    assert found.healthy
    assert not planner.protected(case)
    sections = {s.section for s in planner.plan(case).steps}
    assert {"remove", "cover"} <= sections


def test_with_remains_only_the_remains_are_planned() -> None:
    plan = planner.plan(clamav(well(), (("kesl", "leftover"),)))
    assert plan.state == "act", plan.inhibitors
    assert {s.phase for s in plan.steps} == {"finish"}


def test_each_role_has_its_own_answers() -> None:
    known = covers.PROVIDERS
    both = [{**r, "role": role} for role in ("replacement", "fallback") for r in well()]
    both[2]["text"] = "no"
    case = cases.case(probes={"cover": both}, replacement=known["clamav"], fallback=known["clamav"])
    first, second = case.health("replacement"), case.health("fallback")
    assert first is not None
    assert second is not None
    assert (first.healthy, second.healthy) == (False, True)


def test_one_that_nobody_asked_about_is_none() -> None:
    assert cases.case(replacement=None).health("replacement") is None
    assert cases.case(probes={"cover": None}).health("replacement") is None
    assert cases.case("windows", products=["kes"]).health("replacement") is None
    other = cases.case(replacement=covers.PROVIDERS["defender_av"])
    assert other.health("replacement") is None, "it is not for Linux"
    nothing = clamav(()).health("fallback")
    assert nothing is not None
    assert not nothing.healthy, "`none` protects nothing"


def test_a_long_answer_in_pieces_is_one() -> None:
    first, second = {"text": '{"healthy": tr'}, {"text": "ue}"}
    records = [{"role": "replacement", "name": "status", **piece} for piece in (first, second)]
    assert asking.answers(records, "replacement") == ({"status": '{"healthy": true}'}, {})
    assert asking.answers(records, "fallback") == ({}, {})


def grouped(lines: list[str]) -> dict[str, tuple[str, ...]]:
    """Head of a question -> its words."""
    found: dict[str, tuple[str, ...]] = {}
    for line in lines:
        if line.startswith("="):
            head = line
            found[head] = ()
        else:
            assert line.startswith("+")
            found[head] += (line[1:],)
    return found


def test_names_of_each_package_family_are_asked_for_its_managers() -> None:
    asked = grouped(asking.health(Policy(), covers.PROVIDERS["clamav"], "replacement"))
    clamdscan = "/usr/bin/clamdscan"
    assert asked["=apt replacement ping"] == (clamdscan, "--config-file=/etc/clamav/clamd.conf", "--ping", "3:1")
    assert asked["=dnf,yum replacement ping"] == (clamdscan, "--config-file=/etc/clamd.d/scan.conf", "--ping", "3:1")
    assert asked["=apt replacement service.clamav-daemon.service"] == ()
    assert asked["=dnf,yum replacement service.clamd@scan.service"] == ()
    assert "=apt replacement service.clamav-clamonacc.service" not in asked
    on = Policy(fallback_settings={"on_access": True, "on_access_paths": ["/srv"]})
    assert "=apt,dnf,yum fallback service.clamav-clamonacc.service" in grouped(
        asking.health(on, covers.PROVIDERS["clamav"], "fallback")
    )


SETTINGS: Mapping[str, t.Any] = {
    "service_names": ["other.service"],
    "active_program": "/opt/other/ctl",
    "active_arguments": ["status", "a b"],
    "active_contains": "on",
}


def test_what_is_the_same_everywhere_is_asked_once() -> None:
    asked = asking.health(Policy(replacement_settings=SETTINGS), covers.PROVIDERS["existing"], "replacement")
    every = "-,apt,dnf,yum,zypper"
    assert grouped(asked) == {
        f"={every} replacement service.other.service": (),
        f"={every} replacement active": ("/opt/other/ctl", "status", "a b"),
    }
    assert asking.health(Policy(), covers.PROVIDERS["none"], "replacement") == []


@pytest.mark.parametrize("program", ["ctl", "bin/ctl", "opt\n/x"])
def test_a_program_without_a_full_path_is_not_run(program: str) -> None:
    policy = Policy(replacement_settings={**SETTINGS, "active_program": program})
    assert not [line for line in asking.health(policy, covers.PROVIDERS["package"], "replacement") if line[0] == "+"]


def test_a_plan_asks_for_both_providers_and_an_audit_for_none() -> None:
    known = covers.PROVIDERS
    case = clamav(())
    asked = preflight.ask(case.policy, known["clamav"], known["clamav"], case.catalog, "linux", 22)["cover"]
    assert {line.split()[1] for line in asked if line.startswith("=")} == {"replacement", "fallback"}
    assert preflight.ask(Policy(), None, None, case.catalog, "linux", 22)["cover"] == []
    assert "cover" not in preflight.ask(Policy(), known["defender_av"], None, case.catalog, "windows", 5985)
