# SPDX-License-Identifier: GPL-3.0-or-later
"""The row of a verification: gone or not as an audit says, and whether what is to protect the host does."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import verifying
from ansible_collections.evict.kaspersky.plugins.plugin_utils.case import Case
from ansible_collections.evict.kaspersky.plugins.plugin_utils.plan import Waived
from ansible_collections.evict.kaspersky.plugins.plugin_utils.proof import Proof, Result
from ansible_collections.evict.kaspersky.plugins.plugin_utils.row import Row
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import Verdict
from tests import cases
from tests.ended import DEAD, LANTERN_RUNS, SHIELD_RUNS, host, proof


def judge(case: Case, proved: Proof | None = None) -> Row:
    return verifying.judge(case.assessment.row("web1", case.seen), case, proved)


def test_gone_and_protected_is_absent() -> None:
    row = judge(host((), SHIELD_RUNS))
    assert row.verdict is Verdict.ABSENT
    assert row.proof == ""


@pytest.mark.parametrize(
    ("result", "verdict"),
    [
        ("pass", Verdict.ABSENT),
        ("not_applicable", Verdict.ABSENT),
        ("fail", Verdict.FAILED_EXPOSED),
        ("error", Verdict.UNKNOWN),
    ],
)
def test_a_live_test_counts_where_one_was_made(result: Result, verdict: Verdict) -> None:
    row = judge(host((), SHIELD_RUNS), proof(result))
    assert (row.verdict, row.proof) == (verdict, result)
    assert ("as it came" in row.reasons[0]) is (result in ("fail", "error"))


def test_a_host_that_lost_its_protection_has_failed_and_says_why() -> None:
    row = judge(host((), DEAD))
    assert row.verdict is Verdict.FAILED_EXPOSED
    assert row.reasons[0] == "nothing protects the host"
    assert any("inactive" in reason for reason in row.reasons)
    # A live test of something that is dead changes nothing, whatever it says.
    assert judge(host((), DEAD), proof("pass")).verdict is Verdict.FAILED_EXPOSED


def test_the_fallback_still_protects() -> None:
    row = judge(host((), DEAD, LANTERN_RUNS))
    assert row.verdict is Verdict.FAILED_PROTECTED
    assert row.reasons[0] == "the fallback protects the host"


@pytest.mark.parametrize("products", [["kesl"], [("kesl", "installed")], [("kesl", "broken")]])
def test_what_is_back_is_said_before_all_else(products: list[t.Any]) -> None:
    assert judge(host(products, SHIELD_RUNS), proof("pass")).verdict is Verdict.PRESENT
    assert judge(host(products, DEAD)).verdict is Verdict.PRESENT


def test_what_cannot_be_told_is_unknown_and_never_well() -> None:
    blind = {"packages.dpkg": "Permission denied"}
    assert judge(host((), SHIELD_RUNS, probes=blind)).verdict is Verdict.UNKNOWN
    assert judge(host((), probes={"cover": "it took too long"})).verdict is Verdict.UNKNOWN
    assert judge(host((), DEAD, probes={"protection": "Permission denied"})).verdict is Verdict.UNKNOWN


def test_without_a_replacement_it_is_an_audit() -> None:
    for products, verdict in (((), Verdict.ABSENT), (["kesl"], Verdict.PRESENT)):
        case = host(products, replacement=None, fallback=None)
        row = judge(case)
        assert row == case.assessment.row("web1", case.seen)
        assert row.verdict is verdict


def test_none_was_consented_to_and_still_leaves_the_host_open() -> None:
    none = cases.real("none")
    row = judge(host((), replacement=none, fallback=None))
    assert row.verdict is Verdict.REMOVED_UNPROTECTED


def test_a_waiver_of_the_whole_host_counts() -> None:
    waiver = Waived("team", "a lab machine", "CHG-1", "2999-01-01")
    row = judge(host(["kesl"], found={"excepted": waiver}))
    assert row.verdict is Verdict.EXCEPTED
    assert row.reasons[0] == "excepted by team until 2999-01-01: a lab machine"
