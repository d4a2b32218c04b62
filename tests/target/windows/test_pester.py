# SPDX-License-Identifier: GPL-3.0-or-later
"""Units of the Windows hand: `*.Tests.ps1` of this folder, run by Pester in the kit's PowerShell."""

from __future__ import annotations

import re
from pathlib import Path

from tests import pwsh

HERE = Path(__file__).resolve().parent
RUN = """\
param([string]$Path)
$configuration = New-PesterConfiguration
$configuration.Run.Path = $Path
$configuration.Run.Exit = $true
$configuration.Output.Verbosity = 'Normal'
Invoke-Pester -Configuration $configuration
"""


def run(what: Path, folder: Path) -> tuple[int, str]:
    """Exit code and output of Pester over a file or a folder."""
    script = folder / "run.ps1"
    script.write_text(RUN)
    done = pwsh.powershell().run("-File", script, "-Path", what, patience=1200)
    return done.returncode, done.stdout


def test_units_pass(tmp_path: Path) -> None:
    code, out = run(HERE, tmp_path)
    files = sorted(path.name for path in HERE.glob("*.Tests.ps1"))
    assert code == 0, out
    assert sorted(re.findall(r"^\[\+\] .*?([\w.]+\.Tests\.ps1)", out, re.M)) == files, out
    counts = re.search(r"Tests Passed: (\d+), Failed: 0, Skipped: 0,", out)
    assert counts is not None, out
    assert int(counts[1]) > 100, out


def test_a_failing_unit_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "Bad.Tests.ps1"
    file.write_text("Describe 'x' { It 'y' { 1 | Should -Be 2 } }\n")
    code, out = run(file, tmp_path)
    assert code == 1, out
    assert "Failed: 1" in out
