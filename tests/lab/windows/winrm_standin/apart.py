# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in in a process of its own, for what belongs to a process as a whole: keytabs and Kerberos' libraries."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).resolve().parents[4]


class Apart:
    """Runs `python -m tests.lab.windows.winrm_standin` until it is left.

    Args:
        arguments: of that command; a free port is taken.
        environment: further environment.
        password: of the account.

    Attributes:
        endpoint: the URL clients use.
        address, port: its parts.
    """

    def __init__(self, arguments: Sequence[str], *, environment: Mapping[str, str], password: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.lab.windows.winrm_standin", "--port", "0", *arguments],
            cwd=ROOT,
            env={**os.environ, **environment, "EVICT_STANDIN_PASSWORD": password},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        if not said.startswith("listening on "):
            self._process.wait()
            raise OSError(f"the stand-in did not start: {said!r}")
        self.endpoint: str = said.removeprefix("listening on ").strip()
        address, _colon, port = self.endpoint.partition("://")[2].partition("/")[0].rpartition(":")
        self.address: str = address
        self.port = int(port)

    def __enter__(self) -> Apart:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.communicate()
