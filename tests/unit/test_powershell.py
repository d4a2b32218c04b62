# SPDX-License-Identifier: GPL-3.0-or-later
"""Static checks of the Windows hand: it is Windows PowerShell 5.1 in pure ASCII, and documented as it is.

A grammar that a package index offers checks everywhere. Where the PowerShell kit is (docs/windows-kit.md), PowerShell's
own parser and the C# compiler say the last word, with the kit's ``check51.ps1``: only 5.1 syntax, parameters and
commands, and C# 5 against .NET Framework 4.7.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tree_sitter
import tree_sitter_pwsh
import yaml

from tests import pwsh, tree

PLUGINS = tree.ROOT / "plugins"
HAND = sorted(path for folder in ("modules", "module_utils") for path in (PLUGINS / folder).glob("*.ps*1"))
# Tests run on Windows PowerShell 5.1 as well, so they keep to the same rules.
TESTS = sorted((tree.ROOT / "tests" / "target" / "windows").glob("*.ps1"))
CSHARP = sorted((PLUGINS / "module_utils").glob("*.cs"))
MODULES = [path for path in HAND if path.suffix == ".ps1"]

# Nodes of the grammar that exist only for PowerShell 7.
NEW_SYNTAX = {"ternary_expression", "null_coalesce_expression", "pipeline_chain_tail"}
NEW_OPERATORS = {"??=", "?.", "?["}
# Command -> parameters that 5.1 does not know.
NEW_PARAMETERS = {
    "convertfrom-json": ("ashashtable", "depth", "datekind", "noenumerate"),
    "convertto-json": ("asarray", "enumsasstrings", "escapehandling"),
    "foreach-object": ("parallel", "throttlelimit", "timeoutseconds"),
    "get-content": ("asbytestream",),
    "invoke-restmethod": ("skipcertificatecheck", "skiphttperrorcheck"),
    "invoke-webrequest": ("skipcertificatecheck", "skiphttperrorcheck"),
    "join-path": ("additionalchildpath",),
    "select-string": ("noemphasis", "raw"),
    "set-content": ("asbytestream",),
    "split-path": ("leafbase", "extension"),
    "start-process": ("environment",),
}
# Commands that take a path with wildcards unless told otherwise: a folder called [x] would be missed.
WANTS_LITERAL_PATH = {
    "clear-content",
    "convert-path",
    "copy-item",
    "get-acl",
    "get-authenticodesignature",
    "get-childitem",
    "get-content",
    "get-filehash",
    "get-item",
    "get-itemproperty",
    "get-itempropertyvalue",
    "move-item",
    "remove-item",
    "remove-itemproperty",
    "rename-item",
    "resolve-path",
    "set-acl",
    "set-content",
    "set-itemproperty",
    "test-path",
}
# Command -> why it may not be used, in any spelling.
FORBIDDEN_COMMANDS = {
    "get-wmiobject": "gone in PowerShell 7; Get-CimInstance serves both",
    "invoke-wmimethod": "gone in PowerShell 7",
    "set-wmiinstance": "gone in PowerShell 7",
    "remove-wmiobject": "gone in PowerShell 7",
    "register-wmievent": "gone in PowerShell 7",
    "get-eventlog": "gone in PowerShell 7",
    "new-webserviceproxy": "gone in PowerShell 7",
    "invoke-expression": "runs text as code",
    "iex": "runs text as code",
    "test-json": "not in 5.1",
    "join-string": "not in 5.1",
    "remove-service": "not in 5.1",
    "get-error": "not in 5.1",
    "get-uptime": "not in 5.1",
    "get-ciminstance": "may hang or be broken; the registry, .NET and the Windows API answer the same",
    "reg.exe": "loads hives; the registry is read with .NET",
}
FORBIDDEN_TEXT = {
    r"\bWin32_Product\b": "reconfigures every MSI package it looks at",
    r"#Requires -Module Ansible\.ModuleUtils\.Legacy": "the old module framework",
    r"\$Is(Windows|Linux|MacOS|CoreCLR)\b": "not in 5.1",
    r"\bReg(Load|UnLoad|Replace)Key": "no hive is ever loaded",
    r"-ErrorAction:?\s+['\"]?(SilentlyContinue|Ignore)\b": "an error nobody would ever see",
    r"^\s*clean\s*\{": "a clean block is PowerShell 7",
    r"\s&\s*$": "a background job by & is PowerShell 7",
}
# `Key.SetValue(...)` and the like would change a host; a hand that observes has no use for them.
CHANGES = re.compile(
    r"\b(Set|New|Remove|Clear|Rename|Move|Copy|Stop|Start|Restart|Suspend|Resume|Disable|Enable|Register|Unregister|"
    r"Install|Uninstall)-(?!Object\b|ObserveFilter\b|ObserveProbe\b|StrictMode\b)\w+"
    r"|\.(SetValue|CreateSubKey|DeleteSubKey|DeleteSubKeyTree|DeleteValue|Kill|CloseMainWindow|Stop|Start|"
    r"WriteAllText|WriteAllBytes|CreateDirectory)\(|OpenSubKey\([^)]*,\s*\$true",
    re.IGNORECASE,
)


@pytest.fixture(scope="module")
def parser() -> tree_sitter.Parser:
    """The grammar."""
    return tree_sitter.Parser(tree_sitter.Language(tree_sitter_pwsh.language()))


def nodes(node: tree_sitter.Node) -> Iterator[tree_sitter.Node]:
    """A node and all below it."""
    yield node
    for child in node.children:
        yield from nodes(child)


def text_of(node: tree_sitter.Node | None) -> str:
    """The source of a node, lower case."""
    return (node.text or b"").decode("utf-8", "replace").lower() if node is not None else ""


def command_complaints(node: tree_sitter.Node) -> Iterator[str]:
    """What is wrong with one command."""
    name = text_of(node.child_by_field_name("command_name"))
    parameters = [text_of(one).removeprefix("-").rstrip(":") for one in nodes(node) if one.type == "command_parameter"]
    if name in FORBIDDEN_COMMANDS:
        yield f"{name}: {FORBIDDEN_COMMANDS[name]}"
    for parameter in parameters:
        if parameter in NEW_PARAMETERS.get(name, ()):
            yield f"{name} -{parameter}: not in 5.1"
    if name in WANTS_LITERAL_PATH and "literalpath" not in parameters:
        yield f"{name}: without -LiteralPath"


def complaints(parser: tree_sitter.Parser, source: bytes) -> list[str]:
    """What is wrong with a script, a line each."""
    found = []
    if source.startswith(b"\xef\xbb\xbf"):
        found.append("line 1: a byte order mark")
    for node in nodes(parser.parse(source).root_node):
        line = node.start_point[0] + 1
        if node.is_error or node.is_missing:
            found.append(f"line {line}: syntax error")
        if node.type in NEW_SYNTAX or node.type in NEW_OPERATORS:
            found.append(f"line {line}: {node.type} is PowerShell 7")
        if node.type == "command":
            found += [f"line {line}: {what}" for what in command_complaints(node)]
    for number, raw in enumerate(source.split(b"\n"), start=1):
        if not raw.isascii():
            found.append(f"line {number}: not ASCII; 5.1 reads a script without a BOM in the machine's code page")
        text = raw.decode("utf-8", "replace")
        if re.search(r"\?\.|\?\[", re.sub(r"'[^']*'", "", text)):
            found.append(f"line {number}: ?. and ?[ are PowerShell 7")
        for pattern, reason in FORBIDDEN_TEXT.items():
            if re.search(pattern, text, re.IGNORECASE) and not text.lstrip().startswith("# "):
                found.append(f"line {number}: {pattern}: {reason}")
    return found


def spec_of(parser: tree_sitter.Parser, source: bytes) -> dict[str, dict[str, Any]]:
    """The options of a module's ``$spec``: option -> settings, read from the syntax tree, without running anything."""

    def value(node: tree_sitter.Node) -> Any:
        text = (node.text or b"").decode().strip()
        words = {"$true": True, "$false": False, "@()": []}
        if text.startswith("@{"):
            return table(node)
        if text in words:
            return words[text]
        return int(text) if text.isdigit() else text.strip("'\"")

    def table(node: tree_sitter.Node) -> dict[str, Any]:
        body = next(one for one in nodes(node) if one.type == "hash_literal_expression")
        entries: dict[str, Any] = {}
        stack = list(body.children)
        while stack:
            one = stack.pop()
            if one.type == "hash_entry":
                key, last = one.children[0], one.children[-1]
                entries[(key.text or b"").decode().strip()] = value(last)
            else:
                stack.extend(one.children)
        return entries

    for node in nodes(parser.parse(source).root_node):
        if node.type == "assignment_expression" and text_of(node).startswith("$spec"):
            spec = table(node)
            assert spec.get("supports_check_mode") is True, "a hand must work in check mode"
            options = spec["options"]
            assert isinstance(options, dict)
            return options
    raise AssertionError("no $spec")


def documented(sidecar: str) -> dict[str, dict[str, Any]]:
    """The options of a documentation file in the form ``spec_of`` gives."""

    def table(options: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        kept = ("type", "elements", "required", "default", "choices")
        found = {}
        for name, option in options.items():
            found[name] = {key: option[key] for key in kept if key in option}
            if "suboptions" in option:
                found[name]["options"] = table(option["suboptions"])
        return found

    return table(yaml.safe_load(sidecar)["DOCUMENTATION"]["options"])


def test_the_windows_hand_is_there() -> None:
    assert {"win_observe.ps1", "_observe_core.psm1"} <= {path.name for path in HAND}
    assert CSHARP
    assert TESTS


@pytest.mark.parametrize("script", [*HAND, *TESTS], ids=lambda path: path.name)
def test_script_is_clean(parser: tree_sitter.Parser, script: Path) -> None:
    assert complaints(parser, script.read_bytes()) == []


@pytest.mark.parametrize("source", CSHARP, ids=lambda path: path.name)
def test_csharp_is_ascii(source: Path) -> None:
    assert source.read_bytes().isascii()


@pytest.mark.parametrize("script", [path for path in HAND if "observe" in path.name], ids=lambda path: path.name)
def test_the_observer_names_nothing_that_changes_a_host(script: Path) -> None:
    code = [line for line in script.read_text().splitlines() if not line.lstrip().startswith("#")]
    assert [line.strip() for line in code if CHANGES.search(line)] == []


@pytest.mark.parametrize(
    "line",
    [
        "Set-ItemProperty -LiteralPath $x",
        "Remove-Item -LiteralPath $x",
        "$key.SetValue('a', 1)",
        "$base.CreateSubKey('a')",
        "$base.OpenSubKey('a', $true)",
        "Stop-Service -Name x",
        "$process.Kill()",
    ],
)
def test_a_change_would_be_noticed(line: str) -> None:
    assert CHANGES.search(line)


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_spec_and_documentation_agree(parser: tree_sitter.Parser, module: Path) -> None:
    spec = spec_of(parser, module.read_bytes())
    assert len(spec) > 1
    assert spec == documented(module.with_suffix(".yml").read_text())


def needed(script: Path) -> set[str]:
    """Names of all files a module sends along, those that these need included."""
    found: set[str] = set()
    rest = [script]
    while rest:
        for name in re.findall(r"^#AnsibleRequires -\w+ \.\.module_utils\.(\w+)", rest.pop().read_text(), re.M):
            for path in (PLUGINS / "module_utils").glob(f"{name}.*"):
                if path.name not in found:
                    found.add(path.name)
                    rest.append(path)
    return found


def test_an_audit_sends_nothing_of_the_preflight_probes_and_a_plan_all() -> None:
    audit, plan = (needed(PLUGINS / "modules" / f"{name}.ps1") for name in ("win_observe", "win_observe_plan"))
    assert "_observe_core.psm1" in audit
    assert [name for name in audit if "preflight" in name.lower()] == []
    assert plan - audit == {path.name for path in (PLUGINS / "module_utils").glob("*[pP]reflight*")}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("type = 'int'", "type = 'str'"),
        ("default = 60", "default = 61"),
        ("            required = $true\n", ""),
        ("        uninstall = @{", "        uninstal = @{"),
        ("elements = 'str'", "elements = 'int'"),
    ],
)
def test_a_spec_that_differs_would_be_noticed(parser: tree_sitter.Parser, old: str, new: str) -> None:
    module = PLUGINS / "modules" / "win_observe.ps1"
    source = module.read_text()
    assert old in source
    broken = source.replace(old, new, 1).encode()
    assert spec_of(parser, broken) != documented(module.with_suffix(".yml").read_text())


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ("function A { 'x'", "syntax error"),
        ("$a = $b ? 1 : 2", "ternary_expression"),
        ("$a = $b ?? 1", "null_coalesce_expression"),
        ("$a ??= 1", "PowerShell 7"),
        ("Get-Thing x && Get-Thing y", "pipeline_chain_tail"),
        ("Get-Thing x || Get-Thing y", "pipeline_chain_tail"),
        ("${a}?.Length", "?."),
        ("${a}?[0]", "?["),
        ("function A {\n    process { 1 }\n    clean { 2 }\n}", "clean block"),
        ("1..3 | ForEach-Object -Parallel { $_ }", "-parallel"),
        ("$x | ConvertFrom-Json -AsHashtable", "-ashashtable"),
        ("$x | ConvertTo-Json -AsArray", "-asarray"),
        ("Get-Content -LiteralPath x -AsByteStream", "-asbytestream"),
        ("Start-Thing &", "background"),
        ("if ($IsWindows) { 1 }", "not in 5.1"),
        ("$a = '\N{LATIN SMALL LETTER A WITH DIAERESIS}'", "not ASCII"),
        ("\N{ZERO WIDTH NO-BREAK SPACE}$a = 1", "byte order mark"),
        ("Get-CimInstance -ClassName Win32_Product", "Win32_Product"),
        ("Get-CimInstance -ClassName Win32_Service", "get-ciminstance"),
        ("Get-WmiObject Win32_Service", "get-wmiobject"),
        ("Get-EventLog -LogName System", "get-eventlog"),
        ("Invoke-Expression $x", "runs text as code"),
        ("iex $x", "runs text as code"),
        ("Get-Item -Path $x", "-LiteralPath"),
        ("Test-Path $x", "-LiteralPath"),
        ("$x | Get-ChildItem", "-LiteralPath"),
        ("Get-Thing -ErrorAction SilentlyContinue", "nobody would ever see"),
        ("Get-Thing -ErrorAction Ignore", "nobody would ever see"),
    ],
)
def test_a_planted_fault_is_noticed(parser: tree_sitter.Parser, source: str, word: str) -> None:
    found = complaints(parser, source.encode())
    assert any(word.lower() in line.lower() for line in found), found


def test_good_style_is_left_alone(parser: tree_sitter.Parser) -> None:
    source = b"$a = @(Get-Item -LiteralPath $x)\nif ($a -match '^[?[]' -and $a) { [void]$b.Add($a[0].Name) }\n"
    assert complaints(parser, source) == []


def test_the_real_parser_and_compiler_find_nothing() -> None:
    shell = pwsh.powershell()
    files = [*HAND, *CSHARP, *TESTS]
    done = shell.run("-File", shell.check, "-Reference", shell.references, *files)
    assert (done.returncode, done.stdout.strip()) == (0, f"{len(files)} files, 0 findings")


def test_the_real_parser_and_compiler_notice_a_planted_fault(tmp_path: Path) -> None:
    shell = pwsh.powershell()
    script, source = tmp_path / "x.ps1", tmp_path / "x.cs"
    script.write_text("$a = $b ? 1 : 2\n")
    source.write_text('class A { string[] B(string x) { return x.Split("x"); } string C { get; } = "d"; }\n')
    done = shell.run("-File", shell.check, "-Reference", shell.references, script, source)
    assert done.returncode == 1
    assert "ternary" in done.stdout
    assert "csharp5" in done.stdout
