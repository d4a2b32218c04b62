# SPDX-License-Identifier: GPL-3.0-or-later
"""Named states of a Windows host: how to make one, what Windows itself then says, and what an audit must say.

`STATES` is the list. A state is made on a fresh host; `claims` are looked at with `reg`, `sc` and `dir`, never with
code of the product.
"""

from __future__ import annotations

from collections.abc import Mapping

from . import hive, traces
from .fixtures import AGENT_CODE, KES_CODE, Fixtures
from .lab import WineHost
from .state import (
    LOADED_SID,
    PROFILES,
    SERVICES,
    STOPPED,
    UNINSTALL_32,
    USER_PROBES,
    VENDOR_86,
    Claim,
    entry,
    lay,
    make_folder,
    make_program,
    registry,
)
from .state import OTHER_SID as OTHER_SID
from .state import RUNNING as RUNNING
from .state import RUSSIAN_PUBLISHER as RUSSIAN_PUBLISHER
from .state import UNINSTALL as UNINSTALL
from .state import State as State
from .state import install as install
from .state import uninstall as uninstall


def _clean(_host: WineHost, _fixtures: Fixtures) -> None:
    """Nothing to do."""


def _kes(host: WineHost, fixtures: Fixtures) -> None:
    install(host, fixtures.kes)


def _agent(host: WineHost, fixtures: Fixtures) -> None:
    install(host, fixtures.agent)


def _both(host: WineHost, fixtures: Fixtures) -> None:
    install(host, fixtures.kes)
    install(host, fixtures.agent)


def _stopped(host: WineHost, fixtures: Fixtures) -> None:
    install(host, fixtures.kes)
    host.expect(f"sc stop {fixtures.kes.service}")


def _removed(host: WineHost, fixtures: Fixtures) -> None:
    _both(host, fixtures)
    uninstall(host, fixtures.kes)
    uninstall(host, fixtures.agent)


def _orphan(host: WineHost, _fixtures: Fixtures) -> None:
    name, publisher = "Kaspersky Endpoint Security for Windows", "AO Kaspersky Lab"
    registry(
        host,
        entry(
            rf"HKEY_LOCAL_MACHINE\{UNINSTALL_32}\{{6E0F4C52-5B7A-4D0E-9C39-2B1A7F3D0C01}}",
            DisplayName=name,
            Publisher=publisher,
            DisplayVersion="11.6.0.394",
        ),
    )


def _bare_key(host: WineHost, _fixtures: Fixtures) -> None:
    registry(host, r"[HKEY_LOCAL_MACHINE\SOFTWARE\KasperskyLab\protected\KES]")


def _no_file(host: WineHost, _fixtures: Fixtures) -> None:
    program = rf"{VENDOR_86}\KES.11.6.0\avp.exe"
    host.expect(f'sc create AVP.KES.21.3 type= own start= auto binPath= "\\"{program}\\" -r"')


def _driver(host: WineHost, _fixtures: Fixtures) -> None:
    host.expect(r"sc create klif type= kernel start= boot binPath= System32\DRIVERS\klif.sys")


def _russian(host: WineHost, fixtures: Fixtures) -> None:
    folder = rf"{VENDOR_86}\KES.12.6.0"
    make_folder(host, folder)
    service = fixtures.kes.service
    uninstall_key = rf"HKEY_LOCAL_MACHINE\{UNINSTALL}\{{6E0F4C52-5B7A-4D0E-9C39-2B1A7F3D0D01}}"
    registry(
        host,
        entry(
            uninstall_key,
            DisplayName="Kaspersky Endpoint Security для Windows",
            Publisher=RUSSIAN_PUBLISHER,
            DisplayVersion="12.6.0.438",
            InstallLocation=folder + "\\",
            UninstallString="MsiExec.exe /X{6E0F4C52-5B7A-4D0E-9C39-2B1A7F3D0D01}",
        ),
    )
    make_program(host, fixtures, rf"{folder}\avp.exe")
    host.expect(f'sc create {service} type= own start= demand binPath= "\\"{folder}\\avp.exe\\" {service}"')


def _user_entry(host: WineHost, _fixtures: Fixtures) -> None:
    folder = r"C:\users\root\AppData\Local\Kaspersky Lab\Kaspersky Password Manager 24.0"
    make_folder(host, folder, "kpm.exe")
    registry(
        host,
        entry(
            rf"HKEY_USERS\{LOADED_SID}\{UNINSTALL}\{{6E0F4C52-5B7A-4D0E-9C39-2B1A7F3D0E01}}",
            DisplayName="Kaspersky Password Manager",
            Publisher="AO Kaspersky Lab",
            DisplayVersion="24.0.0.427",
            InstallLocation=folder,
            UninstallString=rf'"{folder}\uninstall.exe"',
        ),
    )


def _other_profile(host: WineHost, _fixtures: Fixtures) -> None:
    make_folder(host, r"C:\users\anna", "NTUSER.DAT")
    registry(host, entry(rf"HKEY_LOCAL_MACHINE\{PROFILES}\{OTHER_SID}", ProfileImagePath=r"C:\users\anna"))


def _profile(host: WineHost, keys: Mapping[str, Mapping[str, str]]) -> None:
    """A second user who is not signed in, with a hive of these keys beside what every hive has."""
    make_folder(host, r"C:\users\anna", "ntuser.ini")
    ordinary = {
        r"Software\Microsoft\Windows\CurrentVersion\Run": {"OneDrive": r"C:\users\anna\OneDrive.exe"},
        r"Software\Microsoft\Windows\CurrentVersion\Uninstall\OneDriveSetup.exe": {
            "Publisher": "Microsoft Corporation"
        },
        "Environment": {"TEMP": r"%USERPROFILE%\AppData\Local\Temp"},
    }
    lay(host, r"C:\users\anna\NTUSER.DAT", hive.build({**ordinary, **keys}))
    registry(host, entry(rf"HKEY_LOCAL_MACHINE\{PROFILES}\{OTHER_SID}", ProfileImagePath=r"C:\users\anna"))


def _signed_out(host: WineHost, _fixtures: Fixtures) -> None:
    _profile(host, {})


def _signed_out_vendor(host: WineHost, _fixtures: Fixtures) -> None:
    _profile(host, {r"Software\KasperskyLab\AVP21.25": {"Имя": "Лаборатория"}})


def _kes_and_profile(host: WineHost, fixtures: Fixtures) -> None:
    _kes(host, fixtures)
    _other_profile(host, fixtures)


_UNINSTALL_QUERY = rf'reg query "HKLM\{UNINSTALL}" /s /reg:'
_PUBLISHERS = (
    "powershell -NoProfile -NonInteractive -Command [Console]::OutputEncoding=[Text.Encoding]::UTF8;"
    f"(Get-ItemProperty HKLM:\\{UNINSTALL}\\*).Publisher"
)
_VENDOR_QUERY = r"reg query HKLM\SOFTWARE\KasperskyLab /s /reg:"

STATES: tuple[State, ...] = (
    State(
        name="clean",
        title="nothing of the vendor",
        make=_clean,
        claims=(
            Claim(line=_VENDOR_QUERY + "64", code=1),
            Claim(line=_VENDOR_QUERY + "32", code=1),
            Claim(line=f'dir "{VENDOR_86}"', code=1),
        ),
        verdict="absent",
    ),
    State(
        name="kes",
        title="KES from its package, service running",
        make=_kes,
        claims=(
            Claim(
                line=_UNINSTALL_QUERY + "64", shows=r"DisplayName\s+REG_SZ\s+Kaspersky Endpoint Security for Windows"
            ),
            Claim(line=_VENDOR_QUERY + "32", shows=r"protected\\KES\\environment\s"),
            Claim(line=_VENDOR_QUERY + "64", code=1),
            Claim(line="sc query AVP.KES.21.16", shows=RUNNING),
            Claim(line=f'dir "{VENDOR_86}\\KES.12.6.0"', shows="avp.exe"),
        ),
        verdict="present",
        products={"kes": "running"},
    ),
    State(
        name="agent",
        title="Network Agent from its 32-bit package, service running",
        make=_agent,
        claims=(
            Claim(line=_UNINSTALL_QUERY + "32", shows=r"Kaspersky Security Center Network Agent"),
            Claim(line=rf'reg query "HKLM\{UNINSTALL}\{AGENT_CODE}" /reg:64', code=1),
            Claim(line="sc query klnagent", shows=RUNNING),
        ),
        verdict="present",
        products={"klnagent": "running"},
        facts=("manager",),
    ),
    State(
        name="both",
        title="KES and the Network Agent",
        make=_both,
        claims=(Claim(line="sc query AVP.KES.21.16", shows=RUNNING), Claim(line="sc query klnagent", shows=RUNNING)),
        verdict="present",
        products={"kes": "running", "klnagent": "running"},
        facts=("manager",),
    ),
    State(
        name="stopped",
        title="KES with its service stopped",
        make=_stopped,
        claims=(Claim(line="sc query AVP.KES.21.16", shows=STOPPED),),
        verdict="present",
        products={"kes": "installed"},
    ),
    State(
        name="removed",
        title="both installed and uninstalled again; Windows Installer leaves the vendor's empty folder",
        make=_removed,
        claims=(
            Claim(line=_VENDOR_QUERY + "32", code=1),
            Claim(line="sc query AVP.KES.21.16", code=1060),
            Claim(line="sc query klnagent", code=1060),
            Claim(line=f"msiexec /x {KES_CODE} /qn", code=1605),
            Claim(line=f"msiexec /x {AGENT_CODE} /qn", code=1605),
            Claim(line=f'dir /b "{VENDOR_86}"', code=0),
        ),
        verdict="leftovers",
        products={"kaspersky": "leftover"},
    ),
    State(
        name="orphan",
        title="an uninstall entry without UninstallString, program or service",
        make=_orphan,
        claims=(
            Claim(line=_UNINSTALL_QUERY + "32", shows=r"11\.6\.0\.394"),
            Claim(line="sc query AVP.KES.21.16", code=1060),
            Claim(line=f'dir "{VENDOR_86}"', code=1),
        ),
        verdict="leftovers",
        products={"kes": "leftover"},
    ),
    State(
        name="bare-key",
        title="the vendor's key without an environment subkey, in the 64-bit view",
        make=_bare_key,
        claims=(Claim(line=_VENDOR_QUERY + "64", shows=r"protected\\KES\s"), Claim(line=_VENDOR_QUERY + "32", code=1)),
        verdict="leftovers",
        products={"kes": "leftover"},
    ),
    State(
        name="no-file",
        title="a service whose program is gone",
        make=_no_file,
        claims=(
            Claim(line=rf"reg query HKLM\{SERVICES}\AVP.KES.21.3 /v ImagePath", shows=r"KES\.11\.6\.0\\avp\.exe"),
            Claim(line=f'dir "{VENDOR_86}"', code=1),
        ),
        verdict="leftovers",
        products={"kes": "leftover"},
    ),
    State(
        name="driver",
        title="a boot driver's key; nothing loads it",
        make=_driver,
        claims=(
            Claim(line=rf"reg query HKLM\{SERVICES}\klif /v Type", shows=r"0x1\s"),
            Claim(line="sc query klif", shows=STOPPED),
            Claim(line=r"dir C:\windows\system32\drivers\klif.sys", code=1),
        ),
        verdict="leftovers",
        products={"kaspersky": "leftover"},
    ),
    State(
        name="russian",
        title="a Russian KES: name and publisher in Cyrillic, quotation marks inside",
        make=_russian,
        claims=(
            Claim(line=_PUBLISHERS, shows=RUSSIAN_PUBLISHER),
            Claim(line="sc query AVP.KES.21.16", shows=STOPPED),
            Claim(line=_VENDOR_QUERY + "32", code=1),
        ),
        verdict="present",
        products={"kes": "installed"},
    ),
    State(
        name="user-entry",
        title="a program of one user, in that user's loaded hive",
        make=_user_entry,
        claims=(
            Claim(line=rf'reg query "HKU\{LOADED_SID}\{UNINSTALL}" /s', shows="Kaspersky Password Manager"),
            Claim(line=_UNINSTALL_QUERY + "64", code=0),
        ),
        verdict="present",
        products={"kpm": "installed"},
    ),
    State(
        name="other-profile",
        title="a second user, whose hive is not loaded and whose file is none",
        make=_other_profile,
        claims=(
            Claim(line=rf'reg query "HKLM\{PROFILES}\{OTHER_SID}"', shows=r"C:\\users\\anna"),
            Claim(line=rf"reg query HKU\{OTHER_SID}", code=1),
        ),
        verdict="unknown",
        unknown=USER_PROBES,
    ),
    State(
        name="kes-and-profile",
        title="KES, and a second user whose hive is not loaded: what was found counts",
        make=_kes_and_profile,
        claims=(Claim(line="sc query AVP.KES.21.16", shows=RUNNING), Claim(line=rf"reg query HKU\{OTHER_SID}", code=1)),
        verdict="present",
        products={"kes": "running"},
        unknown=USER_PROBES,
    ),
    State(
        name="signed-out",
        title="a second user, signed out; nothing in the file of the hive",
        make=_signed_out,
        claims=(
            Claim(line=rf"reg query HKU\{OTHER_SID}", code=1),
            Claim(line=r"dir C:\users\anna\NTUSER.DAT", shows=r"8,192\s+NTUSER\.DAT"),
        ),
        verdict="absent",
    ),
    State(
        name="signed-out-vendor",
        title="a second user, signed out; the vendor's key in the file of the hive",
        make=_signed_out_vendor,
        claims=(Claim(line=rf"reg query HKU\{OTHER_SID}", code=1),),
        verdict="unknown",
        unknown=USER_PROBES,
    ),
    *traces.STATES,
)
BY_NAME: Mapping[str, State] = {state.name: state for state in STATES}
