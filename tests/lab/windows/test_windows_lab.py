# SPDX-License-Identifier: GPL-3.0-or-later
"""The Windows lab itself: does PowerShell really run, do codes arrive, are packages and states what they claim to be?

Spoken to with plain pywinrm; nothing of the product takes part.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from winrm.exceptions import InvalidCredentialsError
from winrm.protocol import Protocol

from tests.lab.windows import snapshot, states
from tests.lab.windows.fixtures import PROTECTED_PASSWORD, PROTECTED_USER, Fixtures
from tests.lab.windows.lab import Served, WindowsLab, WineHost


def client(served: Served, password: str | None = None) -> Any:
    return Protocol(
        served.server.endpoint,
        transport="basic",
        username=served.account.user,
        password=password or served.account.password,
    )


def run(served: Served, line: str, stdin: bytes | None = None) -> tuple[str, int]:
    """Output and exit code of a line over WinRM."""
    winrm = client(served)
    shell = winrm.open_shell()
    command = winrm.run_command(shell, line, console_mode_stdin=stdin is None)
    if stdin is not None:
        winrm.send_command_input(shell, command, stdin, end=True)
    out, err, code = winrm.get_command_output(shell, command)
    winrm.cleanup_command(shell, command)
    winrm.close_shell(shell)
    return (out + err).decode(), code


@pytest.fixture
def served(windows_lab: WindowsLab, host: WineHost) -> Served:
    return windows_lab.stand_in(host)


def test_powershell_really_runs(served: Served) -> None:
    """Wine's own powershell.exe ends with 0 as well, and has run nothing."""
    script = "'{0} {1}' -f $PSVersionTable.PSVersion.Major, [Environment]::OSVersion.Platform; exit 3010"
    for program in ("powershell", r"C:\windows\system32\WindowsPowerShell\v1.0\powershell.exe", "pwsh"):
        assert run(served, f'{program} -NoProfile -NonInteractive -Command "{script}"') == ("7 Win32NT\r\n", 3010)


def test_powershell_reads_stdin(served: Served) -> None:
    line = 'powershell -NoProfile -NonInteractive -Command "($input | Out-String).Trim().Length"'
    assert run(served, line, b"x" * 300_000) == ("300000\r\n", 0)


@pytest.mark.parametrize("code", [0, 1, 1603, 1605, 3010, 4294967295])
def test_exit_codes_arrive(served: Served, code: int) -> None:
    number = code if code < 2**31 else code - 2**32
    assert run(served, f"exit {number}") == ("", code)


def test_quotes_and_cyrillic_arrive(served: Served) -> None:
    """The name goes in as an argument and comes back as the registry has it."""
    value = "Лаборатория"
    assert run(served, rf'reg add "HKLM\SOFTWARE\A b" /v "n ""q""" /d {value}')[1] == 0
    script = (
        r"[Console]::OutputEncoding=[Text.Encoding]::UTF8;(Get-ItemProperty 'HKLM:\SOFTWARE\A b').PSObject.Properties"
    )
    out, _code = run(served, f'powershell -NoProfile -Command "{script}.Value"')
    assert value in out.split()


def test_wrong_password(served: Served) -> None:
    with pytest.raises(InvalidCredentialsError):
        client(served, "wrong").open_shell()


def test_hosts_share_nothing(windows_lab: WindowsLab, host: WineHost) -> None:
    other = windows_lab.host("other")
    host.expect(r"reg add HKLM\SOFTWARE\Mine /v a /d b")
    host.expect(r"echo mine> C:\mine.txt")
    assert other.command(r"reg query HKLM\SOFTWARE\Mine").code == 1
    assert other.command(r"dir C:\mine.txt").code == 1
    windows_lab.drop("other")
    assert windows_lab.host("other").command(r"dir C:\mine.txt").code == 1
    windows_lab.drop("other")


@pytest.mark.parametrize("name", ["kes", "agent"])
def test_install_and_uninstall(host: WineHost, packages: Fixtures, name: str) -> None:
    package = getattr(packages, name)
    before = snapshot.take(host)
    states.install(host, package)
    assert re.search(states.RUNNING, host.expect(f"sc query {package.service}").text)
    entry = rf'reg query "HKLM\{states.UNINSTALL}\{package.code}" /reg:{"32" if name == "agent" else "64"}'
    shown = host.expect(entry).text
    assert re.search(r"Publisher\s+REG_SZ\s+AO Kaspersky Lab", shown)
    assert "test fixture, not Kaspersky software" in shown
    assert re.search(r"InstallLocation\s+REG_SZ\s+C:\\Program Files \(x86\)\\Kaspersky Lab\\", shown)
    states.uninstall(host, package)
    assert host.command(f"sc query {package.service}").code == 1060
    assert host.command(entry).code == 1
    states.uninstall(host, package, codes=(1605,))
    added = [change for change in before.changes(snapshot.take(host)) if "aspersky" in change and "not there" in change]
    assert [change.split(": not there")[0] for change in added] == ["file: drive_c/Program Files (x86)/Kaspersky Lab"]


def test_protected_uninstall(host: WineHost, packages: Fixtures) -> None:
    states.install(host, packages.protected)
    states.uninstall(host, packages.protected, codes=(1603,))
    states.uninstall(host, packages.protected, f"KLLOGIN={PROTECTED_USER}", "KLPASSWD=wrong", codes=(1603,))
    assert re.search(states.RUNNING, host.expect(f"sc query {packages.protected.service}").text)
    states.uninstall(host, packages.protected, f"KLLOGIN={PROTECTED_USER}", f"KLPASSWD={PROTECTED_PASSWORD}")
    states.uninstall(host, packages.protected, codes=(1605,))


@pytest.mark.parametrize("state", states.STATES, ids=lambda state: state.name)
def test_states_are_what_they_claim(host: WineHost, packages: Fixtures, state: states.State) -> None:
    state.make(host, packages)
    for claim in state.claims:
        answer = host.command(claim.line)
        assert (answer.code, claim.line) == (claim.code, claim.line), answer.text
        assert re.search(claim.shows, answer.text), claim.line


def test_snapshot_sees_changes_and_no_others(host: WineHost, packages: Fixtures) -> None:
    states.install(host, packages.agent)
    first = snapshot.take(host)
    second = snapshot.take(host)
    assert first.changes(second) == []
    for line in (
        r"reg add HKLM\SOFTWARE\New /v a /d b",
        r"echo x> C:\new.txt",
        r"echo x> C:\ProgramData\gone.txt & del C:\ProgramData\gone.txt",
        "sc stop klnagent",
    ):
        host.expect(line)
    seen = {change.split(": ")[0] + ": " + change.split(": ")[1] for change in second.changes(snapshot.take(host))}
    assert seen >= {
        r"key: HKEY_LOCAL_MACHINE\Software\New",
        r'value: HKEY_LOCAL_MACHINE\Software\New "a"',
        "file: drive_c/new.txt",
        "file: drive_c/ProgramData",
        "service: klnagent",
        "process: klnagent.exe",
    }
