# SPDX-License-Identifier: GPL-3.0-or-later
"""`evict report`: a run told again from its evidence, and what stands in its way."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import run
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import Verdict
from evict import cli
from tests import runs

pytestmark = pytest.mark.usefixtures("fresh")


def test_report_of_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    runs.ended(folder, {"a": Verdict.FAILED_EXPOSED, "b": Verdict.ABSENT})
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert cli.main(["report", str(folder)]) == 0
    said = capsys.readouterr()
    assert "inventory 2 = failed_exposed 1 + absent 1" in said.out
    assert said.err == ""
    assert cli.main(["report", str(folder), "--format", "json"]) == 0
    assert capsys.readouterr().out.encode() == before[folder / run.ROWS]
    assert cli.main(["report", str(folder), "--limit", "1"]) == 0
    assert "... and more hosts that are not listed here: 1 = absent 1" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_report_of_a_killed_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    runs.begun(folder, inventory=["a", "b"], verdicts={"a": Verdict.PRESENT})
    assert cli.main(["report", str(folder)]) == 0
    said = capsys.readouterr()
    assert "inventory 2 = present 1 + not_attempted 1" in said.out
    assert "did not come to its end; hosts without evidence were not attempted" in said.err
    assert json.loads((folder / run.ROWS).read_text())["complete"] is False


def test_report_names_what_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    runs.begun(tmp_path / "many" / "r1", inventory=["a"])
    for folder, words in (
        ("nowhere", "is no folder: name a run folder"),
        ("empty", "holds no run of ours (there is no run.jsonl)\n"),
        ("many", "it holds runs: r1"),
    ):
        for command in ("report", "check-evidence"):
            assert cli.main([command, str(tmp_path / folder)]) == 1
            said = capsys.readouterr()
            assert (said.out, words in said.err) == ("", True), said.err


def test_a_run_out_of_reach_is_named(public: Path) -> None:
    (public / "dark" / "run").mkdir(parents=True)
    (public / "dark").chmod(0o700 if os.geteuid() == 0 else 0)

    def look(command: str) -> str:
        return captured([command, str(public / "dark" / "run")])

    for command in ("report", "check-evidence"):
        said = runs.in_child(functools.partial(look, command), rights=False)
        assert said.startswith(f"1 evict {command}: "), said
        assert "Permission denied" in said
    (public / "dark").chmod(0o700)


def captured(args: list[str]) -> str:
    """Exit code and error stream of a command in this process."""
    with contextlib.redirect_stderr(io.StringIO()) as stream:
        code = cli.main(args)
    return f"{code} {stream.getvalue()}"


def test_a_terminal_without_unicode_gets_a_report(tmp_path: Path) -> None:
    host = "сервер-日本"
    runs.ended(tmp_path / "run", {host: Verdict.ABSENT})
    done = subprocess.run(
        [sys.executable, "-m", "evict", "report", str(tmp_path / "run")],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert host.encode("ascii", "backslashreplace") in done.stdout


def test_a_reader_that_goes_away_is_no_crash(tmp_path: Path) -> None:
    runs.ended(tmp_path / "run", dict.fromkeys((f"host{n}" for n in range(50)), Verdict.ABSENT))
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "evict", "report", str(tmp_path / "run")],
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writer)
    assert b"Traceback" not in done.stderr
    assert b"BrokenPipeError" not in done.stderr
    assert done.returncode != 0
