# SPDX-License-Identifier: GPL-3.0-or-later
"""One host of a group at a time: real processes that wait, fail and are killed."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import exclusive
from ansible_collections.evict.kaspersky.plugins.plugin_utils.exclusive import GroupFailed
from ansible_collections.evict.kaspersky.plugins.plugin_utils.files import EvidenceError
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import Verdict

# Takes its turn, says so with two lines in the file `order`, and stays as long as it is told.
WORKER = """
import sys, time
from pathlib import Path
from ansible_collections.evict.kaspersky.plugins.plugin_utils import exclusive
folder, host, seconds = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
with exclusive.held(folder, "g", host):
    with (folder / "order").open("a") as stream:
        stream.write(f"begin {host}\\n")
        stream.flush()
        time.sleep(seconds)
        stream.write(f"end {host}\\n")
"""


def worker(folder: Path, host: str, seconds: float) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", WORKER, str(folder), host, str(seconds)])


def began(folder: Path, host: str) -> None:
    until = time.monotonic() + 30
    while not ((folder / "order").exists() and f"begin {host}" in (folder / "order").read_text()):
        assert time.monotonic() < until
        time.sleep(0.02)


def test_workers_wait_for_each_other(tmp_path: Path) -> None:
    workers = [worker(tmp_path, host, 0.2) for host in "abc"]
    assert [process.wait(timeout=60) for process in workers] == [0, 0, 0]
    lines = (tmp_path / "order").read_text().split("\n")[:-1]
    assert [line.split()[0] for line in lines] == ["begin", "end"] * 3
    assert all(lines[n].split()[1] == lines[n + 1].split()[1] for n in (0, 2, 4))


def test_a_worker_that_is_killed_leaves_no_lock_and_stops_the_group(tmp_path: Path) -> None:
    first = worker(tmp_path, "a", 60)
    began(tmp_path, "a")
    told: list[str] = []
    with (
        pytest.raises(EvidenceError, match="is still being changed"),
        exclusive.held(tmp_path, "g", "b", patience=0.2, waiting=told.append),
    ):
        pytest.fail("it is not the turn of b")
    assert told == ["waiting for the other hosts of the exclusive group g"]
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    for _again in range(2):  # and it stays so
        with (
            pytest.raises(GroupFailed, match=r"^exclusive_group_failed: .* g failed in this run: a: the run broke off"),
            exclusive.held(tmp_path, "g", "b"),
        ):
            pytest.fail("a was left in the middle")
    with exclusive.held(tmp_path, "g", "a"):
        pass
    with exclusive.held(tmp_path, "g", "b"):
        pass  # the next try of a mended it


def test_a_failure_that_is_said_stops_the_group(tmp_path: Path) -> None:
    with exclusive.held(tmp_path, "g", "a") as turn:
        turn.failure = "remove.kesl failed"
    with pytest.raises(GroupFailed, match=r"a: remove\.kesl failed"), exclusive.held(tmp_path, "g", "b"):
        pytest.fail("a failed")


def test_an_exception_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(KeyError), exclusive.held(tmp_path, "g", "a"):
        raise KeyError("x")
    with pytest.raises(GroupFailed, match="a: KeyError while it was changed"), exclusive.held(tmp_path, "g", "b"):
        pytest.fail("a failed")


@pytest.mark.parametrize("verdict", list(Verdict))
def test_the_last_look_decides(tmp_path: Path, verdict: Verdict) -> None:
    with exclusive.held(tmp_path, "g", "a"):
        pass
    exclusive.settle(tmp_path, "g", "a", verdict)
    fine = {
        "replaced",
        "replaced_unproved",
        "removed_unprotected",
        "nothing_to_do",
        "excepted",
        "blocked",
        "reboot_pending",
    }
    if verdict in fine:
        with exclusive.held(tmp_path, "g", "b"):
            return
    with pytest.raises(GroupFailed, match=f"a: {verdict}"), exclusive.held(tmp_path, "g", "b"):
        pytest.fail(f"a is {verdict}")
    exclusive.settle(tmp_path, "g", "a", Verdict.REPLACED)
    with exclusive.held(tmp_path, "g", "b"):
        pass


def test_groups_do_not_mind_each_other_and_no_group_minds_nobody(tmp_path: Path) -> None:
    with (
        exclusive.held(tmp_path, "g/../x", "a"),
        exclusive.held(tmp_path, "h", "b"),
        exclusive.held(tmp_path, "", "c"),
        exclusive.held(tmp_path, "", "d"),
    ):
        pass
    exclusive.settle(tmp_path, "", "c", Verdict.FAILED_EXPOSED)
    names = sorted(path.name for path in (tmp_path / "exclusive").iterdir())
    assert names == ["g%2F..%2Fx.jsonl", "h.jsonl"]
    assert all(stat.S_IMODE((tmp_path / "exclusive" / name).stat().st_mode) == 0o600 for name in names)


def test_a_line_that_was_cut_counts_as_nothing(tmp_path: Path) -> None:
    with exclusive.held(tmp_path, "g", "a"):
        pass
    path = tmp_path / "exclusive" / "g.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"host": "z", "event": "beg')
    with exclusive.held(tmp_path, "g", "b"):
        pass
    assert path.read_bytes().startswith(whole + b'{"event":"begin","host":"b"')


def test_what_somebody_else_wrote_is_refused(tmp_path: Path) -> None:
    (tmp_path / "exclusive").mkdir()
    (tmp_path / "exclusive" / "g.jsonl").write_text("[]\n")
    with pytest.raises(EvidenceError, match="is not what this collection wrote"), exclusive.held(tmp_path, "g", "a"):
        pytest.fail("its file cannot be read")
