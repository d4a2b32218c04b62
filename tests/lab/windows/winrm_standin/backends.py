# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs a client's command lines: PowerShell on Wine, the local `sh`, or a recorded answer of our module."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

_POWERSHELL = re.compile(r'"?(?:powershell|pwsh)(?:\.exe)?"?(?:\s|$)', re.IGNORECASE)


@dataclass(kw_only=True)
class Running:
    """A started command: its process with three pipes, and how to learn its exit code once the process has ended."""

    process: subprocess.Popen[bytes]
    exit_code: Callable[[int], int] = field(default=lambda code: code)


class Backend(Protocol):
    """Starts command lines."""

    def start(self, line: str) -> Running:
        """Start one command line as the server's user; raises OSError when it cannot be started at all."""
        ...


def _popen(argv: list[str]) -> subprocess.Popen[bytes]:
    # A session of its own, so that ending the command ends its children too.
    pipe = subprocess.PIPE
    return subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True)


class ShBackend:
    """Runs each line with `sh -c`: enough to test the protocol, with no Windows in it.

    Unix has 8 bits of exit code; a command that wants to end with more writes the number into the file `$RC`.
    """

    def start(self, line: str) -> Running:
        fd, name = tempfile.mkstemp(prefix="standin-rc-")
        os.close(fd)
        process = _popen(["env", f"RC={name}", "sh", "-c", line])

        def exit_code(code: int) -> int:
            text = Path(name).read_text(encoding="ascii").strip()
            Path(name).unlink()
            return int(text) if text else code

        return Running(process=process, exit_code=exit_code)


# Runs in a Python of its own. The payload of Ansible's wrapper names the module it carries, whatever the core.
_ANSWER = """
import json, sys
payload = sys.stdin.buffer.read()
if b"win_observe" not in payload:
    sys.exit(f"not our module: {payload[:200]!r}")
with open(sys.argv[1], encoding="utf-8") as file:
    print(json.dumps({"changed": False, "observation": json.load(file)}))
"""


@dataclass(frozen=True, kw_only=True)
class RecordedBackend:
    """No Windows: when Ansible brings our Windows module, an observation that was recorded is the answer.

    Enough to see a scan through a transport to its row where there is no PowerShell. Anything else that is to be run
    fails.

    Attributes:
        observation: the file with it, of `tests/fixtures/windows`.
    """

    observation: Path

    def start(self, line: str) -> Running:
        if not _POWERSHELL.match(line):
            return Running(process=_popen([sys.executable, "-c", f"raise SystemExit({line[:200]!r})"]))
        return Running(process=_popen([sys.executable, "-c", _ANSWER, str(self.observation)]))


@dataclass(frozen=True, kw_only=True)
class WineBackend:
    """Runs each line in a host of the `wine` script.

    As on Windows a line goes through `cmd /c`; a line that starts PowerShell does so directly, which spares a process
    and cmd's limit of 8,191 characters.

    Attributes:
        script: the `wine` script.
        host: name of a host that is up.
        run_folder: the host's folder for job files, as the controller sees it.
        inside: prefix of `run_folder` that programs in the host do not see (the chroot), or "".
    """

    script: Path
    host: str
    run_folder: Path
    inside: str

    def start(self, line: str) -> Running:
        job = Path(tempfile.mkdtemp(prefix="job-", dir=self.run_folder))
        command = line if _POWERSHELL.match(line) else f"cmd /c {line}"
        (job / "line").write_text(command, encoding="utf-8")
        windows = "Z:" + str(job).removeprefix(self.inside).replace("/", "\\")
        process = _popen([str(self.script), "run", self.host, "wine", "runrc", windows])

        def exit_code(code: int) -> int:
            try:
                return int((job / "rc").read_text(encoding="ascii"))
            except (OSError, ValueError):
                return code if code else 0xFFFFFFFF  # runrc was ended before its command
            finally:
                shutil.rmtree(job, ignore_errors=True)

        return Running(process=process, exit_code=exit_code)
