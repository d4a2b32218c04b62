# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a run has come: the line, the files of the steps under way, and who hears what."""

from __future__ import annotations

import os
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import hand, progress, recorder, run
from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy import Policy
from ansible_collections.evict.kaspersky.plugins.plugin_utils.progress import Step
from ansible_collections.evict.kaspersky.plugins.plugin_utils.recorder import Recorder
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import Verb
from evict.progress import Watch
from tests import runs


def test_the_line_counts_and_names_the_longest_step() -> None:
    assert progress.line(50, {}, [], 0) == "progress: 0 of 50 hosts done"
    done = {"a": "replaced", "b": "blocked", "c": "replaced"}
    assert progress.line(50, done, [], 0) == "progress: 3 of 50 hosts done (blocked 1, replaced 2)"
    steps = [Step("db1", "commit", "remove.kesl.stop", 100), Step("db2", "stage", "x", 200)]
    assert progress.line(50, done, steps, 350).endswith(
        "; longest: db1 commit remove.kesl.stop for 4 min, 2 hosts at work"
    )
    assert progress.line(5, {}, steps[1:], 205) == "progress: 0 of 5 hosts done; longest: db2 stage x for 5 s"
    assert "\n" not in progress.line(1, {}, [Step("a\nb", "commit", "\x1b[2J", 0)], 0)


def test_what_perform_writes_is_read(tmp_path: Path) -> None:
    run.reset()
    made = runs.begun(tmp_path / "run", inventory=["db/1", "b"])
    assert progress.running(made.path) == []
    before = time.time()
    hand.teller(made.progress("db/1"), "commit")("remove.kesl.stop")
    hand.teller(made.progress("b"), "stage")("waiting for the host to answer again")
    found = {step.host: step for step in progress.running(made.path)}
    assert (found["db/1"].phase, found["db/1"].name) == ("commit", "remove.kesl.stop")
    assert found["b"].name == "waiting for the host to answer again"
    assert before - 2 < found["b"].since <= time.time()


def test_the_longest_comes_first_and_rubbish_counts_for_nothing(tmp_path: Path) -> None:
    folder = tmp_path / run.PROGRESS
    folder.mkdir()
    (folder / "new").write_text("commit x 200\n")
    (folder / "old").write_text("commit y 100\n")
    (folder / "half").write_text("commit")
    (folder / "words").write_text("commit x soon")
    (folder / "bytes").write_bytes(b"\xff\xfe\x00")
    (folder / "link").symlink_to(folder / "new")
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe")
    assert [step.host for step in progress.running(tmp_path)] == ["old", "new"]


def test_the_command_says_it_again_and_again_and_not_twice_the_same(tmp_path: Path) -> None:
    said: list[str] = []
    with Watch(every=0.02, say=said.append) as watch:
        time.sleep(0.1)
        assert said == []  # nobody has told of a run yet
        watch.hear({"folder": str(tmp_path), "run": "r", "hosts": 2})
        watch.hear({"done": ["a", "replaced"]})
        watch.hear({"done": "nonsense", "hosts": "many", "folder": 5})
        until = time.monotonic() + 10
        while not said and time.monotonic() < until:
            time.sleep(0.02)
        time.sleep(0.1)
        watch.hear({"done": ["b", "blocked"]})
        while len(said) < 2 and time.monotonic() < until:
            time.sleep(0.02)
    count = len(said)
    time.sleep(0.1)
    assert len(said) == count
    assert said == [
        "progress: 1 of 2 hosts done (replaced 1)",
        "progress: 2 of 2 hosts done (blocked 1, replaced 1)",
    ]


def test_the_command_says_nothing_between_the_lines_of_the_summary(tmp_path: Path) -> None:
    said: list[str] = []
    with Watch(every=0.02, say=said.append) as watch:
        watch.hear({"folder": str(tmp_path), "run": "r", "hosts": 1})
        until = time.monotonic() + 10
        while not said and time.monotonic() < until:
            time.sleep(0.02)
        watch.hear({"ended": "ended", "fault": ""})
        time.sleep(0.05)  # a line that was being made
        count = len(said)
        watch.hear({"done": ["a", "absent"]})
        time.sleep(0.2)
        assert (said[0], len(said)) == ("progress: 0 of 1 hosts done", count)


def test_the_recorder_tells_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run.reset()
    reader, writer = os.pipe()
    monkeypatch.setenv(recorder.STATUS_FD, str(writer))
    book = Recorder()
    facts: dict[str, t.Any] = {"verb": Verb.REMEDIATE, "ansible": "2.19.0"}
    book.begin(Policy(out=str(tmp_path / "run")), {}, inventory=["a", "b", "c"], scope=["a", "b"], **facts)
    book.task_started("a")
    book.scanned("a")
    book.done("a", "replaced")
    book.failed("b", "unreachable", "gone", ours=True)
    os.close(writer)
    lines = os.read(reader, 65_536).decode().splitlines()
    os.close(reader)
    run.reset()
    assert '"hosts": 2' in lines[0]
    assert lines[1:] == ['{"done": ["a", "replaced"]}', '{"done": ["b", "unreachable"]}']
    assert book.finished == {"a": "replaced", "b": "unreachable"}
