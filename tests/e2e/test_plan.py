# SPDX-License-Identifier: GPL-3.0-or-later
"""`evict plan` end to end on this machine: a target it insists on, plans in the run folder, one machine named twice."""

from __future__ import annotations

import json
from pathlib import Path

from ansible_collections.evict.kaspersky.plugins.plugin_utils import approved, ledger, plans
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import Verb
from tests import runs
from tests.e2e import playbooks
from tests.e2e.test_canary_plan import answer
from tests.e2e.test_evict import DEAD, evict

SETTINGS = {
    "evict_replacement": "clamav",
    "evict_fallback": "existing",
    "evict_fallback_settings": {"service_names": ["no-such-antivirus.service"]},
}


def inventory(where: Path, *lines: str) -> str:
    """An inventory file."""
    (where / "hosts").write_text("\n".join(lines) + "\n")
    return str(where / "hosts")


def plan(where: Path, hosts: str, *args: str, out: str = "run") -> tuple[int, str]:
    """Exit code and output of a plan run."""
    given = ("-i", hosts, "-e", "evict_hosts=all", "-e", json.dumps(SETTINGS), "--out", str(where / out))
    done = evict(where, "plan", *given, *args)
    return done.code, done.out


def test_without_a_target_nothing_is_started(tmp_path: Path) -> None:
    done = evict(tmp_path, "plan", "-i", inventory(tmp_path, "here ansible_connection=local"))
    assert done.code == 1
    assert "evict_hosts is missing" in done.out
    assert "PLAY" not in done.out
    assert [path.name for path in tmp_path.iterdir()] == ["hosts"]


def test_one_machine_under_two_names_is_never_acted_upon(tmp_path: Path) -> None:
    # Not this machine itself: one without an id, such as a bare root, would be nobody's twin.
    fake = playbooks.stand_in(tmp_path / "sh", answer(1))
    local = f"ansible_connection=local ansible_shell_executable={fake}"
    code, said = plan(tmp_path, inventory(tmp_path, f"one {local}", f"two {local}", f"dead {DEAD}"))
    assert code == 2, said
    assert "Traceback" not in said
    folder = tmp_path / "run"
    book = ledger.build(folder)
    assert (book.verb, book.complete, book.problems) == (Verb.PLAN, True, ())
    rows = {row.host: row for row in book.rows}
    assert (rows["dead"].verdict, rows["dead"].plan) == ("unreachable", "")
    data = json.loads((folder / "plan.json").read_text())
    runs.schema("plans-1").validate(data)
    assert set(data["hosts"]) == {"one", "two"}
    for host in ("one", "two"):
        body = data["hosts"][host]
        assert (body["state"], body["digest"]) == (rows[host].plan_state, rows[host].plan)
        assert (body["state"], body["steps"]) == ("blocked", []), said
        assert "duplicate_machine_id" in [hit["id"] for hit in body["inhibitors"]]
        assert plans.read(folder, host).to_dict() == body
    assert approved.load(folder / "plan.json").plans["one"].digest() == rows["one"].plan
    assert "blocked by duplicate_machine_id: " in said
    assert f"plan: {folder / 'plan.json'} (there is nothing to approve)" in said
    checked = evict(tmp_path, "check-evidence", str(folder))
    assert checked.code == 0, checked.out
    # The second name is taken out of the inventory: what was blocked is planned again, and only that.
    alone = inventory(tmp_path, f"one {local}", f"dead {DEAD}")
    code, said = plan(tmp_path, alone, "--retry-from", str(folder), out="again")
    assert "2 hosts are run, 0 rows taken over" in said
    again = ledger.build(tmp_path / "again").plans["one"]
    assert "duplicate_machine_id" not in [hit.id for hit in again.inhibitors]


def test_settings_that_are_wrong_for_every_host_are_an_error_of_the_user(tmp_path: Path) -> None:
    hosts = inventory(tmp_path, "here ansible_connection=local", "there ansible_connection=local")
    code, said = plan(tmp_path, hosts, "-e", "evict_replacement=clamavv")
    assert code == 1, said
    assert "did you mean `clamav`" in said.replace("'", "`")
    assert "the settings were refused" in said
    assert {row.verdict for row in ledger.build(tmp_path / "run").rows} == {"unknown"}, "a row for each nevertheless"


def test_settings_that_are_wrong_for_one_host_leave_the_others_their_plan(tmp_path: Path) -> None:
    hosts = inventory(tmp_path, "here ansible_connection=local", "there ansible_connection=local evict_reboot=perhaps")
    code, said = plan(tmp_path, hosts)
    assert code == 2, said
    rows = {row.host: row for row in ledger.build(tmp_path / "run").rows}
    assert (rows["here"].plan_state != "", rows["there"].plan) == (True, "")
    assert rows["there"].verdict == "unknown"
