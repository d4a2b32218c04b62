# SPDX-License-Identifier: GPL-3.0-or-later
"""What a state of a Windows host is, and the means to make one: packages, registry files, folders, programs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from .fixtures import Fixtures, Package
from .lab import WineHost

UNINSTALL = r"SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall"
UNINSTALL_32 = r"SOFTWARE\WOW6432Node\Microsoft\Windows\CurrentVersion\Uninstall"
SERVICES = r"SYSTEM\CurrentControlSet\Services"
PROFILES = r"SOFTWARE\Microsoft\Windows NT\CurrentVersion\ProfileList"
VENDOR_86 = r"C:\Program Files (x86)\Kaspersky Lab"
LOADED_SID = "S-1-5-21-0-0-0-1000"  # the user everything runs as
OTHER_SID = "S-1-5-21-0-0-0-1002"
RUSSIAN_PUBLISHER = '\u0410\u041e "Лаборатория Касперского"'  # the first two letters are Cyrillic too
# Those that a user's hive may have something for.
USER_PROBES = ("certificates", "extensions", "registry.users", "reinstall", "uninstall.users")
RUNNING, STOPPED = r"STATE\s+:\s+4\s+RUNNING", r"STATE\s+:\s+1\s+STOPPED"

Make = Callable[[WineHost, Fixtures], None]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What a command line of Windows must answer in a state.

    Attributes:
        line: the command line.
        code: its exit code.
        shows: a regular expression that its output must contain.
    """

    line: str
    code: int = 0
    shows: str = ""


@dataclass(frozen=True, kw_only=True)
class State:
    """A state of a host.

    Attributes:
        name: for tests and hosts.
        title: what it is, in words.
        make: brings a fresh host into it.
        claims: what Windows says then.
        verdict: what an audit must say.
        products: product id -> state that an audit must find, no more and no fewer.
        unknown: probes an audit cannot be sure of, but for `protection`, which no Wine can tell.
        facts: topics of the facts in the row, in order.
    """

    name: str
    title: str
    make: Make
    claims: tuple[Claim, ...]
    verdict: str
    products: Mapping[str, str] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()


def install(host: WineHost, package: Package) -> None:
    """Install a package silently."""
    path = host.put(package.file.name, package.file.read_bytes())
    host.expect(f"msiexec /i {path} /qn /norestart")


def uninstall(host: WineHost, package: Package, *properties: str, codes: tuple[int, ...] = (0,)) -> None:
    """Uninstall a package silently; `properties` are added to the command line."""
    host.expect(" ".join(("msiexec /x", package.code, *properties, "/qn /norestart")), *codes)


def registry(host: WineHost, text: str) -> None:
    """Import a registry file; `text` is what stands below its header line."""
    body = "Windows Registry Editor Version 5.00\n\n" + text.strip("\n") + "\n"
    path = host.put("import.reg", body.replace("\n", "\r\n").encode("utf-16"))
    host.expect(f"reg import {path}")


def entry(key: str, **values: str) -> str:
    """One key of a registry file with text values; backslashes and quotes are escaped here."""

    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    return f"[{key}]\n" + "".join(f"{quoted(name)}={quoted(value)}\n" for name, value in values.items()) + "\n"


def make_folder(host: WineHost, path: str, *files: str) -> None:
    """Make a folder with small files in it."""
    host.expect(f'mkdir "{path}"')
    for name in files:
        host.expect(f'echo test fixture, not Kaspersky software> "{path}\\{name}"')


def make_program(host: WineHost, fixtures: Fixtures, path: str) -> None:
    """Lay the fixtures' harmless service program at a path whose folder is there."""
    source = host.put("service.exe", fixtures.program.read_bytes())
    host.expect(f'copy {source} "{path}"')


def lay(host: WineHost, path: str, data: bytes) -> None:
    """Lay a file at a path whose folder is there."""
    source = host.put("file.bin", data)
    host.expect(f'copy /b {source} "{path}"')
