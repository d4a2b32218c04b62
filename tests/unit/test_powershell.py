# SPDX-License-Identifier: GPL-3.0-or-later
"""Static checks of the Windows hand: it must be Windows PowerShell 5.1, in pure ASCII.

A grammar that a package index offers checks everywhere. Where the PowerShell kit is (docs/windows-kit.md), PowerShell's
own parser and the C# compiler say the last word, with the kit's ``check51.ps1``: only 5.1 syntax, parameters and
commands, and C# 5 against .NET Framework 4.7.2.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import tree_sitter
import tree_sitter_pwsh

from tests import tree

SCRIPTS = sorted(
    path for folder in ("modules", "module_utils") for path in (tree.ROOT / "plugins" / folder).glob("*.ps*1")
)
CSHARP = sorted((tree.ROOT / "plugins" / "module_utils").glob("*.cs"))
# Nodes of the grammar that exist only for PowerShell 7.
NEW_SYNTAX = {"ternary_expression", "null_coalesce_expression", "pipeline_chain_tail"}
NEW_OPERATORS = {"??=", "?.", "?["}
# Each with the reason why it may not be used.
FORBIDDEN = {
    r"\bWin32_Product\b": "reconfigures every MSI package it looks at",
    r"\b(Get|Invoke|Set|Remove)-Wmi\w+": "gone in PowerShell 7; Get-CimInstance serves both",
    r"\bGet-EventLog\b": "gone in PowerShell 7",
    r"\bInvoke-Expression\b|(?<![\w-])iex\b": "runs text as code",
    r"#Requires -Module Ansible\.ModuleUtils\.Legacy": "the old module framework",
    r"-ErrorAction\s+(SilentlyContinue|Ignore)\b.*\|\s*Out-Null": "an error nobody would ever see",
}


@pytest.fixture(scope="module")
def parser() -> tree_sitter.Parser:
    """The grammar."""
    return tree_sitter.Parser(tree_sitter.Language(tree_sitter_pwsh.language()))


def nodes(node: tree_sitter.Node) -> Iterator[tree_sitter.Node]:
    """A node and all below it."""
    yield node
    for child in node.children:
        yield from nodes(child)


def complaints(parser: tree_sitter.Parser, source: bytes) -> list[str]:
    """What is wrong with a script, a line each."""
    found = []
    for node in nodes(parser.parse(source).root_node):
        line = node.start_point[0] + 1
        if node.is_error or node.is_missing:
            found.append(f"line {line}: syntax error")
        if node.type in NEW_SYNTAX or node.type in NEW_OPERATORS:
            found.append(f"line {line}: {node.type} is PowerShell 7")
    for number, text in enumerate(source.split(b"\n"), start=1):
        if not text.isascii():
            found.append(f"line {number}: not ASCII; 5.1 reads a script without a BOM in the machine's code page")
        for pattern, reason in FORBIDDEN.items():
            if re.search(pattern, text.decode("utf-8", "replace"), re.IGNORECASE) and not text.strip().startswith(b"#"):
                found.append(f"line {number}: {pattern}: {reason}")
    return found


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_powershell_script_is_clean(parser: tree_sitter.Parser, script: Path) -> None:
    assert complaints(parser, script.read_bytes()) == []


def test_powershell_scripts_exist() -> None:
    assert any(script.name == "win_observe.ps1" for script in SCRIPTS)


@pytest.mark.parametrize(
    "source",
    [
        "function A { 'x'",
        "$a = $b ? 1 : 2",
        "$a = $b ?? 1",
        "Get-Item x && Get-Item y",
        "$a = 'ä'",
        "Get-CimInstance -ClassName Win32_Product",
        "Get-WmiObject Win32_Service",
        "Invoke-Expression $x",
    ],
)
def test_powershell_check_notices_a_planted_fault(parser: tree_sitter.Parser, source: str) -> None:
    assert complaints(parser, source.encode()) != []


def test_powershell_real_parser_finds_nothing(tmp_path: Path) -> None:
    kit = Path(os.environ.get("EVICT_WINDOWS_KIT") or tree.ROOT.parent / "shared" / "windows-lab")
    archives = [*kit.glob("powershell-*-linux-x64.tar.xz"), *kit.glob("net472-reference.tar.xz")]
    check = kit / "check51.ps1"
    if len(archives) != 2 or not check.is_file():
        pytest.skip("no PowerShell kit (EVICT_WINDOWS_KIT, else ../shared/windows-lab): real PowerShell parser")
    for archive in archives:
        subprocess.run(["tar", "-xJf", archive, "-C", tmp_path], check=True)
    references = next(tmp_path.rglob("mscorlib.dll")).parent
    home = tmp_path / "home"
    home.mkdir()
    done = subprocess.run(
        [tmp_path / "powershell" / "pwsh", "-NoProfile", "-File", check, "-Reference", references, *SCRIPTS, *CSHARP],
        env={
            **os.environ,
            "DOTNET_ROOT": str(tmp_path / "dotnet"),
            "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1",
            "HOME": str(home),
            "NO_COLOR": "1",
            "POWERSHELL_TELEMETRY_OPTOUT": "1",
            "POWERSHELL_UPDATECHECK": "Off",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, f"{len(SCRIPTS) + len(CSHARP)} files, 0 findings")
