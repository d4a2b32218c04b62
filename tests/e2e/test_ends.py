# SPDX-License-Identifier: GPL-3.0-or-later
"""Every host has a row whatever way a run ends: signals, dead workers, failures around our task, no callback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import pytest

from tests.e2e import playbooks
from tests.e2e.test_canary_plan import answer
from tests.e2e.test_evict import ABSENT, DEAD, evict, inventory

SLOW = "time.sleep(60)\n"


class Started:
    """`evict audit`, or another verb, in the background, in its own session."""

    def __init__(self, where: Path, *args: str, verb: str = "audit") -> None:
        self.where = where
        self.log = where / "out.txt"
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "evict", verb, *args, "--out", str(where / "run")],
                cwd=where,
                env=playbooks.environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_for_evidence_of(self, host: str) -> None:
        """Wait until the host's evidence is on the disk."""
        deadline = time.monotonic() + 90
        while not (self.where / "run" / "hosts" / f"{host}.jsonl").exists():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)

    def end(self) -> playbooks.Run:
        """Wait for its end."""
        code = self.process.wait(timeout=120)
        return playbooks.Run(code, self.log.read_text(errors="replace"), self.where / "run")


def wait_for(there: t.Callable[[], object]) -> None:
    """Wait until something is there."""
    deadline = time.monotonic() + 90
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def children(pid: int) -> list[int]:
    """Processes that a process started."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def stop_rest(hosts: Path) -> None:
    """End the stand-ins of a test that are still asleep; each carries the test's folder on its command line."""
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes()
        except OSError:
            continue
        if os.fsencode(hosts.parent / "sh-") in words:
            os.kill(int(entry.parent.name), signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_stopped_has_rows(tmp_path: Path, number: signal.Signals) -> None:
    """SIGINT and SIGTERM go to the command, which passes them on; SIGKILL hits ansible-playbook alone."""
    hosts = inventory(tmp_path, a=ABSENT, b=SLOW, c=DEAD, d=ABSENT)
    started = Started(tmp_path, "-i", hosts, "--limit", "a,b")
    started.wait_for_evidence_of("a")
    if number is signal.SIGKILL:
        os.kill(children(started.process.pid)[0], number)
    else:
        started.process.send_signal(number)
    done = started.end()
    stop_rest(Path(hosts))
    rows = {host: row["verdict"] for host, row in done.rows().items()}
    assert rows.pop("b") in ("unknown", "not_attempted")
    assert rows == {"a": "absent", "c": "out_of_scope", "d": "out_of_scope"}
    assert done.code == 2
    assert "exit code 2: open hosts" in done.out
    assert json.loads((tmp_path / "run" / "rows.json").read_text())["complete"] is False
    checked = evict(tmp_path, "check-evidence", str(tmp_path / "run"))
    assert checked.code == 0, checked.out


def test_a_plan_run_that_is_killed_keeps_the_plans_it_made(tmp_path: Path) -> None:
    """Plans come back from the evidence alone; a host without one has none, and no plan stands for it."""
    hosts = inventory(tmp_path, a=answer(1), b=SLOW)
    settings = {"evict_replacement": {"linux": "clamav"}, "evict_fallback": {"linux": "none"}, "evict_hosts": "all"}
    consent = {"evict_consent": ["remove", "unprotected"]}
    started = Started(tmp_path, "-i", hosts, "-e", json.dumps(settings | consent), verb="plan")
    started.wait_for_evidence_of("a")
    # The scan is recorded before its plan; the kill comes when the plan is there, too.
    wait_for(lambda: list((tmp_path / "run" / "plans").glob("a.json")))
    os.killpg(started.process.pid, signal.SIGKILL)
    started.end()
    stop_rest(Path(hosts))
    folder = tmp_path / "run"
    assert not (folder / "plan.json").exists()
    first = json.loads((folder / "plans" / "a.json").read_text())
    (folder / "plans" / "a.json").unlink()
    told = evict(tmp_path, "report", str(folder))
    assert "Traceback" not in told.out
    data = json.loads((folder / "plan.json").read_text())
    assert data["hosts"] == {"a": first}, told.out
    rows = {row["host"]: row for row in json.loads((folder / "rows.json").read_text())["rows"]}
    assert rows["a"]["plan"] == first["digest"]
    assert rows["b"]["verdict"] in ("unknown", "not_attempted")
    assert not rows["b"].get("plan")
    assert evict(tmp_path, "check-evidence", str(folder)).code == 0


def test_a_killed_worker_makes_its_host_unknown(tmp_path: Path) -> None:
    hosts = inventory(tmp_path, a=ABSENT, b=SLOW)
    started = Started(tmp_path, "-i", hosts)
    started.wait_for_evidence_of("a")
    ansible = children(started.process.pid)[0]
    deadline = time.monotonic() + 30
    while len(workers := children(ansible)) > 1 and time.monotonic() < deadline:
        time.sleep(0.1)  # the worker of the other host ends by itself
    os.kill(workers[-1], signal.SIGKILL)
    done = started.end()
    stop_rest(Path(hosts))
    rows = done.rows()
    assert rows["a"]["verdict"] == "absent"
    assert rows["b"]["verdict"] == "unknown"
    assert "its worker ended without a result" in rows["b"]["reasons"][0]
    assert done.code == 2


def test_what_fails_around_our_task_has_a_row(tmp_path: Path) -> None:
    hosts = inventory(
        tmp_path,
        a=ABSENT,
        b="ansible_connection=local ansible_host='{{ nowhere }}'",
        c=DEAD,
    )
    done = evict(tmp_path, "audit", "-i", hosts, "--out", str(tmp_path / "run"))
    rows = done.rows()
    assert {host: row["verdict"] for host, row in rows.items()} == {"a": "absent", "b": "unknown", "c": "unreachable"}
    assert "nowhere" in rows["b"]["reasons"][0]
    assert "DEPRECATION" not in done.out
    assert "WARNING" not in done.out


def play(where: Path, text: str) -> str:
    """A playbook of a user."""
    (where / "site.yml").write_text(text)
    return str(where / "site.yml")


def test_an_earlier_play_that_fails_is_named_and_keeps_its_secret(tmp_path: Path) -> None:
    site = play(
        tmp_path,
        """
- hosts: all
  gather_facts: false
  tasks:
    - name: Mount the share
      ansible.builtin.fail:
        msg: "no login with password=hunter22 for //user:hunter22@srv"
      when: inventory_hostname == 'b'
- import_playbook: evict.kaspersky.audit
""",
    )
    done = playbooks.run(tmp_path, Path(inventory(tmp_path, a=ABSENT, b=ABSENT)).read_text(), playbook=site)
    row = done.rows()["b"]
    assert row["verdict"] == "unknown"
    assert "Mount the share" in row["reasons"][0]
    for file in (tmp_path / "run").rglob("*.json*"):
        assert "hunter22" not in file.read_text()


def test_a_task_in_a_file_that_is_included_while_running(tmp_path: Path) -> None:
    (tmp_path / "look.yml").write_text("- name: Look\n  evict.kaspersky.scan:\n")
    site = play(
        tmp_path,
        "- hosts: a\n  gather_facts: false\n  tasks:\n    - ansible.builtin.include_tasks: look.yml\n",
    )
    done = playbooks.run(tmp_path, Path(inventory(tmp_path, a=ABSENT, b=ABSENT)).read_text(), playbook=site)
    assert {host: row["verdict"] for host, row in done.rows().items()} == {"a": "absent", "b": "out_of_scope"}
    assert json.loads((tmp_path / "run" / "rows.json").read_text())["complete"] is True


def test_a_playbook_of_somebody_else_leaves_nothing(tmp_path: Path) -> None:
    site = play(tmp_path, "- hosts: all\n  gather_facts: false\n  tasks:\n    - ansible.builtin.ping:\n")
    before = set(tmp_path.iterdir())
    done = playbooks.run(
        tmp_path, f"a ansible_connection=local ansible_python_interpreter={sys.executable}\n", playbook=site
    )
    assert done.code == 0, done.out
    assert set(tmp_path.iterdir()) - before == {tmp_path / "hosts"}
    assert "inventory 1" not in done.out


@pytest.mark.parametrize("serial", [False, True])
def test_without_the_callback_the_last_task_writes_the_rows(tmp_path: Path, serial: bool) -> None:
    hosts = inventory(tmp_path, a=ABSENT, b="ansible_connection=local ansible_host='{{ nowhere }}'", c=ABSENT, d=DEAD)
    env = {"ANSIBLE_CALLBACKS_ENABLED": "ansible.builtin.default"}
    where: dict[str, t.Any] = {}
    if serial:
        where["playbook"] = play(
            tmp_path,
            "- hosts: all\n  gather_facts: false\n  serial: 2\n  tasks:\n"
            "    - ansible.builtin.import_role: {name: evict.kaspersky.audit, rolespec_validate: false}\n",
        )
    done = playbooks.run(
        tmp_path, Path(hosts).read_text(), "--limit", "a,b,c", "-e", '{"evict_fail_on": []}', env=env, **where
    )
    rows = {host: row["verdict"] for host, row in done.rows().items()}
    assert rows == {"a": "absent", "b": "unknown", "c": "absent", "d": "out_of_scope"}
    checked = evict(tmp_path, "check-evidence", str(tmp_path / "run"))
    assert checked.code == 0, checked.out
    assert "complete" in checked.out


def test_options_that_look_at_no_host_keep_the_code_of_ansible(tmp_path: Path) -> None:
    hosts = inventory(tmp_path, a=ABSENT)
    done = evict(tmp_path, "audit", "-i", hosts, "--list-hosts")
    assert done.code == 0, done.out
    assert "exit code" not in done.out
    assert not (tmp_path / "evict-runs").exists()


def test_a_folder_named_ansible_is_not_the_program(tmp_path: Path) -> None:
    (tmp_path / "ansible").mkdir()
    (tmp_path / "ansible" / "__init__.py").write_text("raise SystemExit('the wrong one')\n")
    hosts = inventory(tmp_path, a=ABSENT)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "evict", "audit", "-i", hosts, "--out", "run with blanks"],
        cwd=tmp_path,
        env=playbooks.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "run with blanks" / "manifest.json").is_file()
