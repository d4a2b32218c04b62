# SPDX-License-Identifier: GPL-3.0-or-later
"""PowerShell for tests, out of the PowerShell kit (docs/windows-kit.md): unpacked once a test run, gone after it."""

from __future__ import annotations

import atexit
import dataclasses
import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests import tree

NO_KIT = "no PowerShell kit (EVICT_WINDOWS_KIT, else ../shared/windows-lab): PowerShell's own parser, units of the hand"


@dataclasses.dataclass(frozen=True, kw_only=True)
class PowerShell:
    """An unpacked kit.

    Attributes:
        folder: where it lies.
        check: the kit's script that parses files as Windows PowerShell 5.1 and C# 5.
        references: assemblies of .NET Framework 4.7.2 for it.
    """

    folder: Path
    check: Path
    references: Path

    def run(self, *arguments: str | Path, patience: float = 300) -> subprocess.CompletedProcess[str]:
        """Run ``pwsh -NoProfile ARGUMENTS``, both outputs in one."""
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        environment = {
            "DOTNET_ROOT": str(self.folder / "dotnet"),
            "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1",  # a machine without libicu
            "HOME": str(home),
            "NO_COLOR": "1",
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "POWERSHELL_TELEMETRY_OPTOUT": "1",
            "POWERSHELL_UPDATECHECK": "Off",
        }
        return subprocess.run(
            [self.folder / "powershell" / "pwsh", "-NoProfile", "-NonInteractive", *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            timeout=patience,
            check=False,
        )


@functools.cache
def _unpacked() -> PowerShell | None:
    kit = Path(os.environ.get("EVICT_WINDOWS_KIT") or tree.ROOT.parent / "shared" / "windows-lab")
    check = kit / "check51.ps1"
    archives = [*kit.glob("powershell-*-linux-x64.tar.xz"), *kit.glob("net472-reference.tar.xz")]
    if len(archives) != 2 or not check.is_file():
        return None
    folder = Path(tempfile.mkdtemp(prefix="evict-pwsh-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for archive in archives:
        subprocess.run(["tar", "-xJf", archive, "-C", folder], check=True)
    return PowerShell(folder=folder, check=check, references=next(folder.rglob("mscorlib.dll")).parent)


def powershell() -> PowerShell:
    """The kit; skips the test that asks when there is none."""
    found = _unpacked()
    if found is None:
        pytest.skip(NO_KIT)
    return found
