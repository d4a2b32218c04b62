# SPDX-License-Identifier: GPL-3.0-or-later
"""`evict verify`, and the playbooks of verification and protection, through real ansible-playbook on this machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import evidence
from tests.e2e import playbooks

LOCAL = "here ansible_connection=local\n"
NOBODY_PROTECTS = {
    "evict_replacement": "existing",
    "evict_replacement_settings": {"service_names": ["no-such-antivirus.service"]},
    "evict_fallback": "none",
    "evict_consent": ["unprotected"],
}


def verify(where: Path, name: str, *args: str) -> tuple[int, str]:
    """`evict verify` with a run folder of this name."""
    (where / "hosts").write_text(LOCAL)
    done = subprocess.run(
        [sys.executable, "-m", "evict", "verify", "-i", "hosts", "--out", f"evict-runs/{name}", *args],
        cwd=where,
        env=playbooks.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=540,
        check=False,
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done.returncode, done.stdout + done.stderr


def verb_of(folder: Path) -> str:
    return str(evidence.read(folder / "run.jsonl")[0].data["verb"])


def test_a_second_verification_is_compared_with_the_first(tmp_path: Path) -> None:
    code, said = verify(tmp_path, "1")
    folder = tmp_path / "evict-runs" / "1"
    rows = json.loads((folder / "rows.json").read_text())
    assert (rows["verb"], verb_of(folder)) == ("verify", "verify")
    assert "drift: there is no earlier remediation or verification to compare with" in said
    assert "live test" not in said.lower()
    again, said = verify(tmp_path, "2")
    assert again == code
    assert "0 of 1 hosts changed" in said
    lost, said = verify(tmp_path, "3", "-e", json.dumps(NOBODY_PROTECTS))
    verdict = json.loads((tmp_path / "evict-runs" / "3" / "rows.json").read_text())["rows"][0]["verdict"]
    assert verdict != "absent"
    assert lost in (2, 3)
    assert f"-> {verdict}" in said


def test_a_live_test_is_made_where_it_is_asked_for(tmp_path: Path) -> None:
    verify(tmp_path, "1", "-e", json.dumps({**NOBODY_PROTECTS, "evict_prove": True}))
    events = [record.event for record in evidence.read(tmp_path / "evict-runs" / "1" / "hosts" / "here.jsonl")]
    assert events == ["proof", "scan"]


@pytest.mark.parametrize("check", [[], ["--check"]])
def test_a_protection_that_is_blocked_changes_nothing(tmp_path: Path, check: list[str]) -> None:
    extra = json.dumps({"evict_hosts": "all", **NOBODY_PROTECTS})
    done = playbooks.run(tmp_path, LOCAL, "-e", extra, *check, playbook="evict.kaspersky.protect")
    assert done.code == 2, done.out
    assert verb_of(done.folder) == ("plan" if check else "protect")
    events = {record.event for record in evidence.read(done.folder / "hosts" / "here.jsonl")}
    assert events == {"scan", "plan"}
    assert done.rows()["here"]["verdict"] in ("blocked", "unknown")
    assert "[here]: FAILED!" in done.out  # by the gate


def test_a_protection_has_no_default_target_and_no_middle(tmp_path: Path) -> None:
    done = playbooks.run(tmp_path, LOCAL, playbook="evict.kaspersky.protect")
    assert done.code not in (0, 2)
    assert "name the hosts with -e evict_hosts=PATTERN" in " ".join(done.out.split())
    middle = ("-e", "evict_hosts=all", "--start-at-task", "Commit | *")
    done = playbooks.run(tmp_path, LOCAL, *middle, playbook="evict.kaspersky.protect")
    assert "leave --start-at-task out" in " ".join(done.out.split())
