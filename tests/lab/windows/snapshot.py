# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host looks like, to show that something changed nothing: files, registry, services, processes.

Files are taken from the overlay's upper folder, which holds everything that differs from the template; a file that was
made and removed again shows in its folder's time.
"""

from __future__ import annotations

import hashlib
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .lab import WineHost

# Wine writes these from memory whenever it likes; their content is compared as registry.
_HIVES = frozenset({"system.reg", "user.reg", "userdef.reg"})
_KEY = re.compile(r"^\[(-?)(.+)\]$")

# What may differ, as "kind: what", and why.
_LOCAL = r"file: drive_c/users/root/AppData/Local/"
ALLOWED: tuple[tuple[str, str], ...] = (
    (r"process: (conhost|cmd|runrc|start|reg|tasklist|pwsh-host|powershell|pwsh)\.exe", "commands that come and go"),
    (
        _LOCAL + "Microsoft/PowerShell(/StartupProfileData-NonInteractive|/ModuleAnalysisCache-[0-9A-F]+)?",
        "PowerShell's own start-up profile, its cache of module names, and the time of their folder",
    ),
    (
        _LOCAL + "Temp",
        "the folder's time: PowerShell makes and removes a script to learn the script policy, every start",
    ),
    (
        r"(key|value): HKEY_LOCAL_MACHINE\\System\\[^\\]+\\Services\\Eventlog\\Application(\\Ansible)?( \".*\")?",
        "ansible-core notes every module in the Application log; the first time, its source `Ansible` is registered",
    ),
    (r"(key|value): HKEY_LOCAL_MACHINE\\System\\[^\\]+\\Control\\Video\\.*", "Wine notes that it has no display"),
)


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """One look at a host; `facts` maps "kind: what" to its content."""

    facts: Mapping[str, str]

    def changes(self, later: Snapshot, allowed: tuple[tuple[str, str], ...] = ALLOWED) -> list[str]:
        """What differs in a later look, in words, but for what is allowed to."""
        found = []
        for what in sorted(self.facts.keys() | later.facts.keys()):
            before, after = self.facts.get(what), later.facts.get(what)
            if before == after or any(re.fullmatch(pattern, what) for pattern, _reason in allowed):
                continue
            found.append(f"{what}: {before or 'not there'} -> {after or 'gone'}")
        return found


def take(host: WineHost) -> Snapshot:
    """Look at a host."""
    facts = _services(host)
    facts.update(_processes(host))
    facts.update(_registry(host))
    facts.update(_files(host.upper))  # last, for the looks above run programs
    return Snapshot(facts=facts)


def _files(upper: Path) -> dict[str, str]:
    facts = {}
    for path in sorted(upper.rglob("*")):
        if path.parent == upper and path.name in _HIVES:
            continue
        status = path.lstat()
        if stat.S_ISREG(status.st_mode):
            content = f"file {status.st_mtime_ns} {hashlib.sha256(path.read_bytes()).hexdigest()}"
        elif stat.S_ISLNK(status.st_mode):
            content = f"link {path.readlink()}"
        elif stat.S_ISDIR(status.st_mode):
            content = f"folder {status.st_mtime_ns}"
        else:
            content = "removed"  # the overlay's mark
        facts[f"file: {path.relative_to(upper)}"] = content
    return facts


def _registry(host: WineHost) -> dict[str, str]:
    facts = {}
    for root in ("HKLM", "HKU"):
        host.expect(f"reg export {root} {host.put(f'{root}.reg', b'')} /y")
        key = ""
        for line in _logical_lines((host.shared / f"{root}.reg").read_text(encoding="utf-16")):
            if match := _KEY.match(line):
                key = match[2]
                facts[f"key: {key}"] = "key"
            elif "=" in line and key:
                name, _equals, value = _value(line)
                facts[f"value: {key} {name}"] = value
    return facts


def _logical_lines(text: str) -> list[str]:
    """Lines of a registry file, those that go on after a backslash joined."""
    return re.sub(r"\\\r?\n\s*", "", text).splitlines()


def _value(line: str) -> tuple[str, str, str]:
    match = re.match(r'("(?:[^"\\]|\\.)*"|@)(=)(.*)$', line)
    return (match[1], match[2], match[3]) if match else line.partition("=")


def _services(host: WineHost) -> dict[str, str]:
    command = "Get-Service | ForEach-Object { $_.Name + '=' + $_.Status }"
    text = host.expect(f'powershell -NoProfile -NonInteractive -Command "{command}"').text
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {f"service: {name}": state for name, _equals, state in pairs}


def _processes(host: WineHost) -> dict[str, str]:
    names = [line.split('","')[0].strip('"') for line in host.expect("tasklist /fo csv /nh").text.splitlines() if line]
    return {f"process: {name}": str(names.count(name)) for name in names}
