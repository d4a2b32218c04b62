# SPDX-License-Identifier: GPL-3.0-or-later
"""Waivers in real runs: a wrong file is refused before a host is asked; what holds and what ran out is in the plan."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

from tests.e2e import playbooks
from tests.e2e.test_canary_plan import KESL, answer

TODAY = datetime.datetime.now(datetime.UTC).date()
SETTINGS = {
    "evict_hosts": "all",
    "evict_consent": ["remove", "unprotected"],
    "evict_replacement": {"linux": "clamav"},
    "evict_fallback": {"linux": "none"},
}


def plan(where: Path, waivers: str) -> playbooks.Run:
    """Plan for three hosts that have the product."""
    (where / "waivers.yml").write_text(waivers)
    hosts = [
        f"{name} ansible_connection=local "
        f"ansible_shell_executable={playbooks.stand_in(where / f'sh-{name}', answer(number, KESL))}\n"
        for number, name in enumerate(("press", "web1", "old"), 1)
    ]
    settings = json.dumps({**SETTINGS, "evict_fail_on": [], "evict_waivers": str(where / "waivers.yml")})
    args = ("--check", "-e", settings)
    return playbooks.run(where, "".join(hosts), *args, playbook="evict.kaspersky.remediate")


def entry(hosts: str, what: str, days: int, owner: str = "owner: line 3, ") -> str:
    expires = (TODAY + datetime.timedelta(days=days)).isoformat()
    return f"  - {{{what}, hosts: {hosts}, {owner}reason: its maker forbids it, ticket: RISK-12, expires: {expires}}}\n"


def test_a_wrong_file_is_refused_with_its_line_before_a_host_is_asked(tmp_path: Path) -> None:
    wrong = entry("press", "whole_host: true", 5, owner="") + entry("'~web.*'", "inhibitor: pending_rebot", 500)
    done = plan(tmp_path, "schema: 1\nwaivers:\n" + wrong)
    assert done.code != 0
    for words in (
        "waivers.yml, line 3: entry 1: `owner` is missing; write who answers for it",
        "waivers.yml, line 4: entry 2: 'pending_rebot' is no inhibitor; did you mean `pending_reboot`?",
        "waivers.yml, line 4: entry 2: the host '~web.*' looks like a regular expression",
        "too far away; a waiver holds for 366 days at most",
    ):
        assert words in done.out
    assert "Traceback" not in done.out
    assert not list(done.folder.glob("plans/*.json"))


def test_a_waiver_is_in_the_plan_and_an_expired_one_blocks(tmp_path: Path) -> None:
    right = entry("press", "whole_host: true", 5) + entry("old", "inhibitor: pending_reboot", -1)
    done = plan(tmp_path, "schema: 1\nwaivers:\n" + right)
    plans = {path.stem: json.loads(path.read_text()) for path in done.folder.glob("plans/*.json")}
    until = (TODAY + datetime.timedelta(days=5)).isoformat()
    assert plans["press"]["state"] == "excepted", done.out[-3000:]
    assert plans["press"]["excepted"] == {
        "owner": "line 3", "reason": "its maker forbids it", "ticket": "RISK-12", "expires": until
    }  # fmt: skip
    assert plans["press"]["steps"] == []
    assert done.rows()["press"]["verdict"] == "excepted"
    assert plans["web1"]["state"] == "act"
    assert plans["old"]["state"] == "blocked"
    blocking = [hit for hit in plans["old"]["inhibitors"] if hit["waived"] is None]
    assert [hit["id"] for hit in blocking] == ["waiver_expired"]
    assert "the waiver for pending_reboot (of line 3, ticket RISK-12, line 4) held until" in blocking[0]["diagnosis"]
