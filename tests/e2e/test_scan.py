# SPDX-License-Identifier: GPL-3.0-or-later
"""The verb through real ansible-playbook: refusals, wrong settings, evidence, killed controllers, hostile hosts."""

from __future__ import annotations

import json
import random
import shutil
import time
from pathlib import Path

import pytest
from ansible.release import __version__ as ansible_version

from ansible_collections.evict.kaspersky.plugins.plugin_utils import evidence
from tests.e2e import playbooks
from tests.unit import test_fuzz as fuzz
from tests.unit import test_observation as answers

LOCAL = "this ansible_connection=local\n"
PLAY = """
- name: Look
  hosts: all
  gather_facts: false
  tasks:
    - name: Scan
      evict.kaspersky.scan:
{options}
      {keyword}
"""


def play(where: Path, keyword: str = "register: seen", options: str = "") -> str:
    file = where / "play.yml"
    file.write_text(PLAY.format(keyword=keyword, options=options))
    return str(file)


def test_this_machine_has_a_row(tmp_path: Path) -> None:
    done = playbooks.run(tmp_path, LOCAL + "other ansible_connection=local\n", "--check", "--limit", "this")
    rows = done.rows()
    assert rows["this"]["verdict"] in ("absent", "present", "leftovers", "unknown")
    assert rows["this"]["observation_digest"]
    assert rows["other"]["verdict"] == "out_of_scope"
    assert "Traceback" not in done.out


@pytest.mark.parametrize(
    ("keyword", "name"),
    [
        ("delegate_to: localhost", "delegate_to"),
        ("run_once: true", "run_once"),
        ("loop: [1, 2]", "loop"),
        ("with_items: [1, 2]", "loop"),
        ("until: true", "until"),
        ("async: 10", "async"),
    ],
)
def test_keywords_that_would_mix_up_records_are_refused(tmp_path: Path, keyword: str, name: str) -> None:
    done = playbooks.run(tmp_path, LOCAL, playbook=play(tmp_path, keyword))
    assert done.code == 2
    assert f"`{name}`" in done.out
    assert "cannot run with" in done.out
    assert "Traceback" not in done.out
    assert not list((done.folder / "hosts").glob("*.jsonl"))


def test_a_host_that_hangs_is_unknown_and_stays_in_the_run(tmp_path: Path) -> None:
    fake = playbooks.stand_in(tmp_path / "sh", "time.sleep(60)\n")
    inventory = f"slow ansible_connection=local ansible_shell_executable={fake}\n{LOCAL}"
    done = playbooks.run(tmp_path, inventory, playbook=play(tmp_path, "timeout: 20"))
    assert done.code == 0, done.out
    assert done.rows()["slow"]["verdict"] == "unknown"
    assert "timeout" in done.rows()["slow"]["reasons"][0]
    assert done.rows()["this"]["observation_digest"]


def test_options_are_refused(tmp_path: Path) -> None:
    done = playbooks.run(tmp_path, LOCAL, playbook=play(tmp_path, options="        state: absent"))
    assert done.code == 2
    assert "has the options `plan`, `result` and `verify`, not state" in " ".join(done.out.split())


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"evict_fail_on": ["unknwon"]}, "did you mean 'unknown'"),
        ({"evict_probe_timout": 5}, "did you mean `evict_probe_timeout`"),
        ({"evict_probe_timeout": "soon"}, "whole number of seconds"),
    ],
)
def test_wrong_settings_are_named(tmp_path: Path, setting: dict[str, object], words: str) -> None:
    done = playbooks.run(tmp_path, LOCAL, "-e", json.dumps(setting))
    assert done.code != 0
    assert words in done.out
    assert "Traceback" not in done.out


def test_unwritable_evidence_folder_is_named_and_the_row_is_not_lost(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = playbooks.run(tmp_path, LOCAL, "-e", json.dumps({"evict_out": str(tmp_path / "file" / "run")}))
    assert done.code != 0
    assert str(tmp_path / "file") in done.out
    assert "Traceback" not in done.out


@pytest.mark.parametrize("args", [("--limit", "nosuch"), ("-e", '{"evict_hosts": "nosuch"}')])
def test_unknown_pattern_is_an_error(tmp_path: Path, args: tuple[str, ...]) -> None:
    done = playbooks.run(tmp_path, LOCAL, *args)
    assert done.code != 0
    assert "nosuch" in done.out


def test_failure_before_our_task_still_makes_a_row(tmp_path: Path) -> None:
    inventory = LOCAL + "odd ansible_connection=local ansible_become_user='{{ nowhere_defined }}' ansible_become=true\n"
    done = playbooks.run(tmp_path, inventory)
    assert done.rows()["odd"]["verdict"] == "unknown"
    assert done.rows()["this"]["observation_digest"]


def test_kill_of_the_controller_leaves_every_finished_host_whole(tmp_path: Path) -> None:
    """Hosts end one after another, the controller is killed in between. What is there is valid and enough for rows."""
    hosts = []
    for number in range(12):
        slow = playbooks.stand_in(
            tmp_path / f"sh{number}",
            f"time.sleep({0.2 + 0.4 * number})\n"
            f"print({answers.frame(*answers.whole())!r}.replace({answers.NONCE!r}, nonce))\n",
        )
        hosts.append(f"h{number} ansible_connection=local ansible_shell_executable={slow}\n")
    inventory = tmp_path / "hosts"
    inventory.write_text("".join(hosts))
    out = playbooks.kill_after(tmp_path, inventory, 4, "--forks", "12")
    files = list(out.glob("hosts/*.jsonl"))
    finished = [log for log in map(evidence.load, files) if log.records]
    assert 3 <= len(finished) < 12
    assert all(not log.problems for log in finished)
    from ansible_collections.evict.kaspersky.plugins.plugin_utils.run import RunFolder

    rows = {row.host: row for row in RunFolder.at(out).rows()}
    assert len(rows) == 12
    assert sum(bool(row.observation_digest) for row in rows.values()) == len(finished)
    assert {row.verdict for row in rows.values() if not row.observation_digest} <= {"not_attempted", "unknown"}


def test_200_hostile_answers(tmp_path: Path) -> None:
    """Damaged, forged and templated answers through the real machinery: a row each, nothing evaluated, no crash."""
    dice = random.Random(17)
    text = answers.frame(
        "R host system=Linux os_id=debian hostname:" + b"{{ lookup('pipe','touch /tmp/evict-evaluated') }}".hex(),
        *answers.whole(),
    ).encode()
    marker = Path("/tmp/evict-evaluated")
    marker.unlink(missing_ok=True)
    hosts = []
    for number in range(200):
        blob = tmp_path / f"blob{number}"
        blob.write_bytes(fuzz.mutate(text, dice))
        fake = playbooks.stand_in(
            tmp_path / f"sh{number}",
            f"blob = open({str(blob)!r}, 'rb').read()\n"
            f"sys.stdout.buffer.write(blob.replace({answers.NONCE.encode()!r}, nonce.encode()))\n",
        )
        hosts.append(f"h{number} ansible_connection=local ansible_shell_executable={fake}\n")
    start = time.monotonic()
    done = playbooks.run(tmp_path, "".join(hosts), "--forks", "8", "-e", '{"evict_fail_on": []}')
    assert time.monotonic() - start < 300  # a bound against hanging, not a measure of speed
    assert "Traceback" not in done.out
    assert "\x1b" not in done.out
    assert not marker.exists()
    rows = done.rows()
    assert len(rows) == 200
    assert {row["verdict"] for row in rows.values()} <= {"absent", "unknown", "present", "leftovers"}
    assert sum(row["verdict"] == "unknown" for row in rows.values()) > 100


def test_ssh_password_without_sshpass(tmp_path: Path) -> None:
    """Cores before 2.19 want the program sshpass for a password; a host must not vanish over that."""
    done = playbooks.run(
        tmp_path, "h ansible_host=127.0.0.1 ansible_port=1 ansible_user=x ansible_password=canary-4711\n"
    )
    row = done.rows()["h"]
    old = tuple(map(int, ansible_version.split(".")[:2])) < (2, 19)
    if old and shutil.which("sshpass") is None:
        assert row["verdict"] == "unknown"
        assert "install sshpass" in row["reasons"][0]
    else:
        assert row["verdict"] == "unreachable"
    assert "Traceback" not in done.out
    assert "canary-4711" not in done.out
