# SPDX-License-Identifier: GPL-3.0-or-later
"""Real ansible-playbook runs for end-to-end tests: real core and collection on this machine or a stand-in."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
import typing as t
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclasses.dataclass(frozen=True)
class Run:
    """A run that ended.

    Attributes:
        code: exit code.
        out: both streams.
        folder: the run folder, there or not.
    """

    code: int
    out: str
    folder: Path

    def rows(self) -> dict[str, dict[str, t.Any]]:
        """The rows by host."""
        data = json.loads((self.folder / "rows.json").read_text())
        return {row["host"]: row for row in data["rows"]}


def environment(**more: str) -> dict[str, str]:
    """The environment of a run: nothing of the user's Ansible settings, our callback on."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ANSIBLE_", "EVICT_", "JOB_ID"))}
    return {
        **kept,
        "ANSIBLE_CALLBACKS_ENABLED": "evict.kaspersky.rows",
        "ANSIBLE_HOST_PATTERN_MISMATCH": "error",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_LOCALHOST_WARNING": "0",
        "ANSIBLE_DEPRECATION_WARNINGS": "1",
        "LC_ALL": "C.UTF-8",
        **more,
    }


def command(playbook: str, inventory: Path, *args: str, out: Path) -> list[str]:
    """The command line of a run."""
    extra = json.dumps({"evict_out": str(out)})
    return [sys.executable, "-m", "ansible", "playbook", playbook, "-i", str(inventory), "-e", extra, *args]


def run(
    where: Path, inventory: str, *args: str, playbook: str = "evict.kaspersky.audit", env: dict[str, str] | None = None
) -> Run:
    """Run a playbook in a folder.

    Args:
        where: working folder; gets the inventory and the run folder `run`.
        inventory: text of an INI inventory.
        args: further arguments.
        playbook: FQCN or path.
        env: further environment.
    """
    hosts = where / "hosts"
    hosts.write_text(inventory)
    folder = where / "run"
    done = subprocess.run(
        command(playbook, hosts, *args, out=folder),
        cwd=where,
        env=environment(**(env or {})),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=1500,
        check=False,
    )
    return Run(done.returncode, done.stdout.decode("utf-8", "replace"), folder)


def kill_after(where: Path, inventory: Path, hosts: int, *args: str) -> Path:
    """Start an audit and kill the controller and its workers (SIGKILL) as soon as evidence of some hosts is there.

    Args:
        where: working folder.
        inventory: the inventory.
        hosts: of how many hosts evidence must be there.
        args: further arguments of ansible-playbook.

    Returns:
        The run folder.
    """
    out = where / "run"
    process = subprocess.Popen(
        command("evict.kaspersky.audit", inventory, *args, out=out),
        cwd=where,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while len(list(out.glob("hosts/*.jsonl"))) < hosts:
        assert time.monotonic() < deadline, "no evidence came"
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return out


def stand_in(path: Path, body: str) -> Path:
    """A stand-in for the host's `sh`, for `ansible_shell_executable`; a fake, for answers that no real host gives.

    Args:
        path: the file to make.
        body: Python code; `nonce` is the frame word of the script that came on stdin, `script` its text.
    """
    path.write_text(
        f"#!{sys.executable}\n"
        "import re, sys, time\n"
        "script = sys.stdin.buffer.read().decode('utf-8', 'replace')\n"
        'found = re.search(r"EVICT_NONCE=\'?([a-z0-9-]+)", script)\n'
        "nonce = found.group(1) if found else ''\n" + body
    )
    path.chmod(0o755)
    return path
