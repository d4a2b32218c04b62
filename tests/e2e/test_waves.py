# SPDX-License-Identifier: GPL-3.0-or-later
"""Waves through real ansible-playbook: the verb `wave`, its breaker and turns, on hosts that are only looked at."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import evidence
from tests.e2e import playbooks

PLAY: t.Final = """
- name: Look, wave by wave
  hosts: all
  gather_facts: false
  serial: "{{ evict_waves | default('') | evict.kaspersky.waves(dry=ansible_check_mode) }}"
  tasks:
    - name: Look
      evict.kaspersky.scan:
    - name: Judge
      evict.kaspersky.wave:
      register: wave
      run_once: true
    - name: Look again
      evict.kaspersky.scan:
      when: wave.look_again
    - name: Judge again
      evict.kaspersky.wave:
        again: true
      register: second
      run_once: true
      when: wave.look_again
    - name: Stop
      ansible.builtin.meta: end_play
      when: wave.stop or second.stop | default(false)
- name: Afterwards
  hosts: all
  gather_facts: false
  tasks:
    - name: Rows
      evict.kaspersky.rows:
      register: rows
      run_once: true
    - name: Gate
      ansible.builtin.fail:
        msg: "{{ rows.gate[inventory_hostname] }}"
      when: inventory_hostname in rows.gate
"""
LOCAL: t.Final = "ansible_connection=local"
# A port nobody listens on: unreachable, at once.
AWAY: t.Final = "ansible_host=127.0.0.1 ansible_port=1 ansible_ssh_common_args='-o StrictHostKeyChecking=no'"
HOSTS: t.Final = f"a {LOCAL}\nb {LOCAL}\nc {AWAY}\nd {LOCAL}\ne {LOCAL}\nf {LOCAL}\n"


def waves(where: Path, settings: dict[str, t.Any], *args: str, hosts: str = HOSTS, play: str = PLAY) -> playbooks.Run:
    """Run the play."""
    file = where / "play.yml"
    file.write_text(play)
    done = playbooks.run(where, hosts, "-e", json.dumps(settings), *args, playbook=str(file))
    assert "Traceback" not in done.out
    return done


def judged(done: playbooks.Run) -> list[dict[str, t.Any]]:
    """The events `wave`."""
    return [dict(r.data) for r in evidence.read(done.folder / "run.jsonl") if r.event == "wave"]


def test_too_many_failures_end_the_run_and_every_host_has_a_row(tmp_path: Path) -> None:
    done = waves(tmp_path, {"evict_waves": "1, 2", "evict_breaker_on": ["unreachable"], "evict_soak": 0})
    assert [(e["number"], sorted(e["hosts"]), e["left"], e["tripped"]) for e in judged(done)] == [
        (1, ["a"], 5, False),
        (2, ["b", "c"], 3, True),
    ]
    rows = done.rows()
    assert sorted(rows) == list("abcdef")
    for host in "def":
        assert rows[host]["verdict"] == "not_attempted"
        (reason,) = rows[host]["reasons"]
        assert reason.startswith("the breaker stopped the run after wave 2: 1 of 3 hosts failed, 0 may")
    assert "\nwave 1: absent 1; 5 hosts to go\n" in done.out or "\nwave 1: unknown 1; 5 hosts to go\n" in done.out
    assert "\nthe breaker stopped the run after wave 2" in done.out
    # The play after the waves runs, and its gate fails whoever is open: that is what a relaunch takes.
    assert done.code == 2
    for host in "cdef":
        assert f"[{host}]: FAILED!" in done.out
    assert "[a]: FAILED!" not in done.out


def test_waves_go_on_while_few_enough_fail(tmp_path: Path) -> None:
    settings = {
        "evict_waves": [1, 2],
        "evict_breaker_on": ["unreachable"],
        "evict_max_failures": "40%",
        "evict_soak": 0,
    }
    done = waves(tmp_path, settings)
    assert [(e["number"], sorted(e["hosts"]), e["tripped"]) for e in judged(done)] == [
        (1, ["a"], False),
        (2, ["b", "c"], False),
        (3, ["d", "e"], False),
        (4, ["f"], False),
    ]
    assert "not_attempted" not in {row["verdict"] for row in done.rows().values()}


def test_a_wave_is_left_alone_and_looked_at_again_unless_it_is_the_last(tmp_path: Path) -> None:
    done = waves(tmp_path, {"evict_waves": [1, 1], "evict_soak": 1}, hosts=f"a {LOCAL}\nb {LOCAL}\n")
    assert [(e["number"], e["again"], sorted(e["hosts"])) for e in judged(done)] == [
        (1, False, ["a"]),
        (1, True, ["a"]),
        (2, False, ["b"]),
    ]
    scans = [r.event for r in evidence.read(done.folder / "hosts" / "a.jsonl")].count("scan")
    assert scans == 2


def test_a_dry_run_is_one_wave(tmp_path: Path) -> None:
    done = waves(tmp_path, {"evict_waves": [1]}, "--check", "-v", hosts=f"a {LOCAL}\nb {LOCAL}\n")
    assert judged(done) == []
    assert done.out.count("PLAY [Look, wave by wave]") == 1
    assert {row["verdict"] for row in done.rows().values()} != {"not_attempted"}


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("evict.kaspersky.wave:", "give its task `run_once: true`"),
        ("evict.kaspersky.wave:\n      run_once: true\n      delegate_to: b", "cannot run with `delegate_to`"),
        ("evict.kaspersky.wave:\n        force: true\n      run_once: true", "has one option, `again`, not force"),
        ("evict.kaspersky.wave:\n        again: perhaps\n      run_once: true", "not a valid boolean"),
    ],
)
def test_a_wrong_task_is_refused(tmp_path: Path, task: str, words: str) -> None:
    play = f"- hosts: all\n  gather_facts: false\n  tasks:\n    - name: Judge\n      {task}\n"
    done = waves(tmp_path, {}, hosts=f"a {LOCAL}\nb {LOCAL}\n", play=play)
    assert done.code == 2
    assert words in " ".join(done.out.split())


@pytest.mark.parametrize("name", ["evict_max_failures", "evict_breaker_on", "evict_soak"])
def test_what_belongs_to_the_run_is_no_variable_of_a_host(tmp_path: Path, name: str) -> None:
    done = waves(tmp_path, {}, hosts=f"a {LOCAL} {name}=unknown\n" if "on" in name else f"a {LOCAL} {name}=0\n")
    assert done.code == 2
    assert f"`{name}` is taken from extra vars only" in " ".join(done.out.split())


@pytest.mark.parametrize("value", ["many", "0", "[1, x]"])
def test_wrong_sizes_are_refused_before_any_host_is_asked(tmp_path: Path, value: str) -> None:
    done = waves(tmp_path, {"evict_waves": value})
    assert done.code not in (0, 2)
    assert "`evict_waves` must be a whole number of hosts" in " ".join(done.out.split())
    assert not list(done.folder.glob("hosts/*"))


TURNS: t.Final = """
- hosts: all
  gather_facts: false
  tasks:
    - name: In turns
      ansible.builtin.include_tasks: inner.yml
      loop: ["{{ inventory_hostname | evict.kaspersky.turn(ansible_play_batch, hostvars) }}"]
      loop_control:
        loop_var: __remediate_turn
"""
INNER: t.Final = """
- name: Begin
  ansible.builtin.debug:
    msg: begin
- name: Look
  evict.kaspersky.scan:
- name: End
  ansible.builtin.debug:
    msg: end
"""


def test_hosts_of_one_group_are_changed_one_after_another(tmp_path: Path) -> None:
    """The order of whole includes is what keeps them apart; a scan in them shows that the loop of turns is let be."""
    (tmp_path / "inner.yml").write_text(INNER)
    hosts = f"a {LOCAL}\nb {LOCAL} evict_exclusive_group=g\nc {LOCAL} evict_exclusive_group=g\n"
    done = waves(tmp_path, {}, "-v", hosts=hosts, play=TURNS)
    assert done.code == 0, done.out
    order = [
        (name, [h for h in "abc" if f"[{h}] =>" in part])
        for part in done.out.split("TASK [")[1:]
        for name in [part.split("]")[0]]
        if name in ("Begin", "End")
    ]
    # Which include comes first is whose host answers first; what counts is that one is over before the other begins.
    turns = [["a", "b"], ["c"]] if order[0] == ("Begin", ["a", "b"]) else [["c"], ["a", "b"]]
    assert order == [(name, hosts) for hosts in turns for name in ("Begin", "End")]
