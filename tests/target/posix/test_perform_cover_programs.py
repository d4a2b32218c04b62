# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinds of steps that run and ask programs and set what they need of the system; the parts of a job fit together."""

from __future__ import annotations

import functools
import re
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import script
from ansible_collections.evict.kaspersky.plugins.plugin_utils.steps import KINDS
from tests import tree
from tests.target.posix import covering
from tests.target.posix.covering import End, run

Run = Callable[..., End]


@pytest.fixture
def do(tmp_path: Path, target_shell: tuple[str, ...]) -> Run:
    return functools.partial(run, base=tmp_path / "host", shell=target_shell)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "a program"
    path.write_text('#!/bin/sh\nfor word; do printf "<%s>" "$word"; done\nexit "${1:-0}"\n')
    path.chmod(0o755)
    return path


def test_a_program_gets_its_words_as_they_are(do: Run, program: Path) -> None:
    words = ["0", "a b", "$(id)", "*", "'", '"', "~", "\\n"]
    expects = ["".join(f"<{word}>" for word in words)]
    assert do("run", program=str(program), arguments=words, expects=expects).status == "done"
    assert do("run", program=str(program), arguments=[]).status == "done"


def test_what_a_program_must_say_and_how_it_may_end(do: Run, program: Path) -> None:
    ask = functools.partial(do, "run", program=str(program))
    failed = ask(arguments=["3", "why"])
    assert (failed.name, failed.code, "<why>" in failed.why) == ("program_failed", "3", True)
    assert ask(arguments=["3"], accepts=["2", "3"]).status == "done"
    assert ask(arguments=["3"], accepts=["33", "1"]).name == "program_failed"
    silent = ask(arguments=["0"], expects=["<0>", "never"])
    assert (silent.name, "'never'" in silent.why) == ("not_as_expected", True)


@pytest.mark.parametrize("path", ["ls", "./ls", "/usr", "/usr/bin/evict-none", "/etc/passwd", ""])
def test_a_program_that_is_none(do: Run, path: str) -> None:
    assert do("run", program=path, arguments=[]).name == "program_missing"
    assert do("expect", program=path, arguments=[], contains=["x"]).name == "program_missing"


def test_a_program_that_does_not_end(do: Run) -> None:
    assert do("run", program="/bin/sleep", arguments=["60"], seconds=2).name == "timed_out"


def test_an_answer_is_waited_for(do: Run, tmp_path: Path) -> None:
    path = tmp_path / "slow"
    path.write_text(
        f'#!/bin/sh\necho x >>{tmp_path}/asked\n[ "$(wc -l <{tmp_path}/asked)" -lt 3 ] || echo "state: PONG."\n'
    )
    path.chmod(0o755)
    assert do("expect", program=str(path), arguments=[], contains=["PONG", "state"]).status == "done"
    assert (tmp_path / "asked").read_text().count("x") == 3
    begun = time.monotonic()
    late = do("expect", program=str(path), arguments=[], contains=["pong"], seconds=6)
    assert (late.name, "'pong'" in late.why, "state: PONG" in late.why) == ("not_as_expected", True, True)
    assert 2 < time.monotonic() - begun < 12


# --- limits of the kernel; a mount stands for its files, since they are the whole machine's

LIMIT = "mkdir -p /tmp/evict-host /tmp/limits/fs/inotify; echo 128 >/tmp/limits/fs/inotify/max_user_instances\n"
LIMIT += "rm -rf /etc/sysctl.d /etc/sysctl.conf; mkdir -p /etc/sysctl.d\n"
KEY = "fs.inotify.max_user_instances"


def limits(tmp_path: Path, prepare: str, *values: str, read_only: bool = False) -> tuple[list[End], str]:
    """Raise the limit to these values one after the other; the ends, and what stands in file and kernel afterwards."""
    text = LIMIT + prepare + "\nmount --bind /tmp/limits /proc/sys\n"
    text += "mount -o remount,bind,ro /proc/sys\n" if read_only else ""
    for value in values:
        text += covering.call("raise_sysctl", Path("/tmp/evict-host"), key=KEY, value=value)
    text += "printf '\\002'; cat /etc/sysctl.d/60-evict.conf; cat /tmp/limits/fs/inotify/max_user_instances\n"
    *ends, told = covering.within(tmp_path, text).split("\x02")[1:]
    return [covering.end(end.encode()) for end in ends], told


def test_a_limit_is_raised_and_never_lowered(tmp_path: Path) -> None:
    prepare = "printf '# x\\nvm.max_map_count = 5\\nfs.inotify.max_user_instances = 1\\n' >/etc/sysctl.d/60-evict.conf"
    ends, told = limits(tmp_path, prepare, "512", "512", "100")
    assert [end.status for end in ends] == ["done", "already", "already"]
    assert told.split("\n") == ["# Written by evict.kaspersky.", "vm.max_map_count = 5", f"{KEY} = 512", "512", ""]


def test_a_limit_that_something_lowers_again_is_named(tmp_path: Path) -> None:
    prepare = f"echo '{KEY} = 200' >/etc/sysctl.d/99-mine.conf; echo '{KEY}=100' >/etc/sysctl.d/10-old.conf"
    prepare += "; : >/etc/sysctl.d/60-evict.conf"
    (end,), told = limits(tmp_path, prepare, "512")
    assert (end.name, "/etc/sysctl.d/99-mine.conf sets" in end.why) == ("set_elsewhere", True)
    assert told == "128\n"
    (end,), _ = limits(tmp_path, prepare, "150")
    assert end.status == "done"


def test_a_limit_that_cannot_be_raised(tmp_path: Path) -> None:
    (end,), _ = limits(tmp_path, ":", "512", read_only=True)
    assert (end.name, "is 128" in end.why) == ("refused_by_system", True)


@pytest.mark.parametrize("key", ["no.such.limit", "../../etc/passwd", "kernel/x", "", "a..b"])
def test_a_limit_that_is_none(do: Run, key: str) -> None:
    assert do("raise_sysctl", key=key, value="5").name == "not_offered"


def test_without_selinux_there_is_nothing_to_set(do: Run) -> None:
    if Path("/sys/fs/selinux/enforce").exists():
        pytest.skip("this machine has SELinux: hosts without it")
    assert do("set_selinux_boolean", name="antivirus_use_jit", value="on").status == "already"
    assert do("set_selinux_boolean", name="antivirus_use_jit", value="maybe").name == "not_offered"


# --- the parts of a job


def functions(part: str) -> list[str]:
    return re.findall(r"^([a-z_0-9]+)\(\)", (covering.PROBES / part).read_text(), re.MULTILINE)


def test_no_part_of_a_job_takes_a_function_of_another() -> None:
    frame = script.JOB[: script.JOB.index("perform_frame.sh") + 1]
    kinds = [name for part in script.JOB if part not in frame for name in functions(part)]
    given = {name for part in frame for name in functions(part)}
    assert len(kinds) > 100
    assert [name for name, count in Counter(kinds).items() if count > 1] == []
    assert sorted(given.intersection(kinds)) == []


def test_each_kind_of_linux_is_there() -> None:
    text = "".join((covering.PROBES / part).read_text() for part in script.JOB)
    there = set(re.findall(r"^kind_([a-z_]+)\(\)", text, re.MULTILINE))
    assert there == {name for name, kind in KINDS.items() if "linux" in kind.platforms}


def test_each_class_of_failure_is_told_in_the_documentation() -> None:
    parts = ("perform_packages.sh", "perform_managers.sh", "perform_files.sh", "perform_programs.sh")
    text = "".join((covering.PROBES / part).read_text() for part in parts)
    classes = set(re.findall(r"\b(?:wrong |class=)([a-z][a-z_]+)", text))
    classes |= set(re.findall(r"fail_managed [^\n]* ([a-z]+_[a-z_]+) (?:&&|\|\|)", text))
    assert {"hash_mismatch", "not_installed", "still_there", "disk_full"} <= classes
    told = set(re.findall(r"`([a-z_]+)`", (tree.ROOT / "docs" / "failures.md").read_text()))
    assert sorted(classes - told) == []
