# SPDX-License-Identifier: GPL-3.0-or-later
"""What `evict verify` says of a host that has changed since an earlier run, and of one that has not."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import ledger, run
from ansible_collections.evict.kaspersky.plugins.plugin_utils.row import ProductRow, Row
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import Verb, Verdict
from evict import drift
from evict.errors import UsageError
from tests import runs

KESL = ProductRow("kesl", "endpoint", "running", "12.1.0.1297")
BROKEN = ProductRow("kesl", "endpoint", "broken", "12.1.0.1297")


def row(verdict: str, *products: ProductRow, **more: t.Any) -> Row:
    return Row(host="a", verdict=Verdict(verdict), products=products, **more)


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (row("replaced"), row("absent")),
        (row("replaced_unproved"), row("absent")),
        (row("nothing_to_do"), row("absent")),
        (row("absent"), row("absent")),
        (row("present", KESL), row("present", KESL)),
        (row("replaced", protection="active"), row("absent", protection="")),
        (row("replaced", proof="pass"), row("absent", proof="")),
        (row("out_of_scope"), row("absent")),
        (row("replaced"), row("out_of_scope")),
    ],
)
def test_what_is_no_drift(before: Row, now: Row) -> None:
    assert list(drift.changes(before, now)) == []


@pytest.mark.parametrize(
    ("before", "now", "lines"),
    [
        (
            row("replaced"),
            row("present", KESL, reasons=("kesl is installed",)),
            ["replaced -> present (kesl is installed)", "kesl 12.1.0.1297 running is there now"],
        ),
        (row("present", KESL), row("absent"), ["present -> absent", "kesl 12.1.0.1297 running is gone"]),
        (row("present", KESL), row("present", BROKEN), ["kesl 12.1.0.1297 running -> kesl 12.1.0.1297 broken"]),
        (row("replaced", protection="active"), row("absent", protection="none"), ["protection active -> none"]),
        (
            row("replaced", protection="active", protected_by=("clamd",)),
            row("absent", protection="active", protected_by=("mdatp",)),
            ["protected by clamd -> mdatp"],
        ),
        (
            row("replaced", proof="pass"),
            row("failed_exposed", proof="fail"),
            ["replaced -> failed_exposed", "live test pass -> fail"],
        ),
        # Of a host that nobody saw nothing else is said: its row holds nothing.
        (row("replaced", protection="active"), row("unreachable"), ["replaced -> unreachable"]),
        (row("unreachable"), row("present", KESL), ["unreachable -> present"]),
    ],
)
def test_what_has_changed(before: Row, now: Row, lines: list[str]) -> None:
    assert list(drift.changes(before, now)) == lines


def ended(folder: Path, verdicts: dict[str, Verdict], verb: Verb) -> Path:
    run.reset()
    made = runs.ended(folder, verdicts, verb=verb)
    run.reset()
    return made.path


def test_the_text_names_hosts_that_came_went_and_changed(tmp_path: Path) -> None:
    a = ended(
        tmp_path / "a",
        {"same": Verdict.REPLACED, "back": Verdict.REPLACED, "left": Verdict.REPLACED, "off": Verdict.UNREACHABLE},
        Verb.REMEDIATE,
    )
    b = ended(
        tmp_path / "b",
        {"same": Verdict.ABSENT, "back": Verdict.PRESENT, "new": Verdict.ABSENT, "off": Verdict.UNREACHABLE},
        Verb.VERIFY,
    )
    text = "\n".join(drift.told(ledger.build(a), ledger.build(b)))
    assert "drift against the run test-run (remediate, " in text
    assert "): 1 of 3 hosts changed\n  back: replaced -> present; kesl 12.1.0.1297 running is there now\n" in text
    assert "not in that run: new\n" in text
    assert "no longer in the inventory: left\n" in text
    assert "nothing to compare, since one of the runs did not see them: off" in text
    assert "same" not in text


def test_the_newest_run_that_left_something_to_verify_is_found(tmp_path: Path) -> None:
    assert drift.newest([tmp_path / "nowhere"], tmp_path) is None
    assert drift.newest([tmp_path, tmp_path / "x"], tmp_path) is None
    ended(tmp_path / "1", {"a": Verdict.REPLACED}, Verb.REMEDIATE)
    ended(tmp_path / "2", {"a": Verdict.ABSENT}, Verb.VERIFY)
    ended(tmp_path / "3", {"a": Verdict.ABSENT}, Verb.AUDIT)
    broken = ended(tmp_path / "4", {"a": Verdict.ABSENT}, Verb.VERIFY)
    (broken / "run.jsonl").write_text((broken / "run.jsonl").read_text().replace('"scope"', '"scopy"'))
    (tmp_path / "file").write_text("x")
    found = drift.newest([tmp_path, tmp_path / "x"], tmp_path / "5")
    assert found is not None
    assert found.folder == tmp_path / "2"
    again = drift.newest([tmp_path, tmp_path / "x"], tmp_path / "2")
    assert again is not None
    assert again.folder == tmp_path / "1"


def test_a_run_to_compare_with_must_be_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--against: "):
        drift.given(tmp_path)
    broken = ended(tmp_path / "b", {"a": Verdict.ABSENT}, Verb.VERIFY)
    (broken / "run.jsonl").write_text((broken / "run.jsonl").read_text().replace('"scope"', '"scopy"'))
    with pytest.raises(UsageError, match="is not valid"):
        drift.given(broken)
