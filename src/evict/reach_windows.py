# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Windows host says of its PowerShell, its rights and its clock. One short script; it changes nothing."""

from __future__ import annotations

import base64
import re
import typing as t

from ansible_collections.evict.kaspersky.plugins.plugin_utils import trouble

from .reach_step import NOT_CHECKED, WARNING, Stop, Way, iso

OLDEST: t.Final = (5, 1)
# In constrained language mode the rights cannot be asked like this; the lines before still come.
SCRIPT: t.Final = """
$ProgressPreference = 'SilentlyContinue'
'NONCE version ' + $PSVersionTable.PSVersion
'NONCE language ' + $ExecutionContext.SessionState.LanguageMode
'NONCE time ' + (Get-Date (Get-Date).ToUniversalTime() -Format 's')
$me = [Security.Principal.WindowsPrincipal][Security.Principal.WindowsIdentity]::GetCurrent()
'NONCE administrator ' + $me.IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)
"""


def command(nonce: str) -> str:
    """A command line that cmd.exe and PowerShell both take."""
    text = base64.b64encode(SCRIPT.replace("NONCE", nonce).encode("utf-16-le")).decode()
    return f"powershell.exe -NoProfile -NonInteractive -EncodedCommand {text}"


def judge(way: Way, said: str, nonce: str, ours: float, *, kerberos: bool) -> None:
    """The steps powershell, privilege and clock from the script's answer.

    Raises:
        Stop: PowerShell is too old or did not run, or the account is no administrator.
    """
    facts = dict(re.findall(rf"{re.escape(nonce)} (\w+) (\S+)", said))
    found = re.match(r"(\d+)\.(\d+)", facts.get("version", ""))
    if found is None:
        raise Stop("powershell", trouble.module(said), seen=trouble.one_line(said) or "it printed nothing")
    if (int(found[1]), int(found[2])) < OLDEST:
        remedy = "install Windows Management Framework 5.1"
        raise Stop(
            "powershell", trouble.module(f"version {facts['version']}"), remedy, f"PowerShell {facts['version']}"
        )
    mode = facts.get("language", "FullLanguage")
    if mode != "FullLanguage":
        way.note("powershell", f"{facts['version']}, {mode}", WARNING, "let the account run in full language mode")
    else:
        way.note("powershell", facts["version"])
    if "time" in facts:
        try:
            way.clock(iso(facts["time"]), ours, kerberos=kerberos)
        except ValueError:
            way.note("clock", f"it says {facts['time']}", NOT_CHECKED)
    if facts.get("administrator") == "True":
        way.note("privilege", "the account is an administrator")
    elif "administrator" in facts:
        remedy = "put the account into the host's Administrators"
        raise Stop(
            "privilege", trouble.answer("sudo: no administrator"), remedy, "the account is not in Administrators"
        )
    else:
        way.note("privilege", "it cannot be told", NOT_CHECKED)
