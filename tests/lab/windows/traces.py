# SPDX-License-Identifier: GPL-3.0-or-later
"""States with what a product leaves around itself: hooks, certificates, rules, extensions, packages, tasks; and states
of the machine that an audit tells: roles, a pending restart, other languages."""

from __future__ import annotations

import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from .fixtures import Fixtures
from .lab import WineHost
from .state import SERVICES, UNINSTALL, UNINSTALL_32, VENDOR_86, Claim, State, entry, lay, make_folder, registry

MOUSE = "{4D36E96F-E325-11CE-BFC1-08002BE10318}"
CLASSES = r"SYSTEM\CurrentControlSet\Control\Class"
NETWORK = r"SYSTEM\CurrentControlSet\Control\Network\{4D36E974-E325-11CE-BFC1-08002BE10318}"
FIREWALL = r"SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy\FirewallRules"
STORES = r"SOFTWARE\Microsoft\SystemCertificates"
FORCED = r"SOFTWARE\Policies\Google\Chrome\ExtensionInstallForcelist"
APPX = r"SOFTWARE\Microsoft\Windows\CurrentVersion\Appx\AppxAllUserStore\Applications"
RUN = r"SOFTWARE\Microsoft\Windows\CurrentVersion\Run"
SESSION = r"SYSTEM\CurrentControlSet\Control\Session Manager"
EXTENSION = "ahkjpbeeocnddjkakilopmfdlnjdpcdm"
PACKAGE = "KasperskyLab.KasperskyNow_1.2.3.0_x64__abcdefgh12345"
_TASK = """<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo><Author>Test fixture</Author></RegistrationInfo>
  <Actions><Exec><Command>"C:\\Program Files (x86)\\Kaspersky Lab\\update.exe"</Command>
    <Arguments>/quiet</Arguments></Exec></Actions>
</Task>
"""


def binary(kind: str, data: bytes) -> str:
    """A value of a registry file in hex; `kind` is `hex` or `hex(7)`."""
    return f"{kind}:" + ",".join(f"{byte:02x}" for byte in data)


def texts(*items: str) -> str:
    """A REG_MULTI_SZ value of a registry file."""
    return binary("hex(7)", ("\0".join(items) + "\0\0").encode("utf-16-le"))


def stored_certificate() -> tuple[str, bytes]:
    """A root certificate made for this test, in the vendor's name: its thumbprint, and how the registry stores it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "AO Kaspersky Lab"),
            x509.NameAttribute(NameOID.COMMON_NAME, "Kaspersky Anti-Virus Personal Root Certificate (test fixture)"),
        ]
    )
    utc = datetime.UTC
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.datetime(2024, 1, 1, tzinfo=utc))
        .not_valid_after(datetime.datetime(2034, 1, 1, tzinfo=utc))
        .sign(key, hashes.SHA256())
    )
    der = certificate.public_bytes(serialization.Encoding.DER)
    thumbprint = certificate.fingerprint(hashes.SHA1())
    blob = b"".join(
        number.to_bytes(4, "little") + (1).to_bytes(4, "little") + len(data).to_bytes(4, "little") + data
        for number, data in ((3, thumbprint), (32, der))
    )
    return thumbprint.hex().upper(), blob


def _hooks(host: WineHost, _fixtures: Fixtures) -> None:
    registry(
        host,
        f"[HKEY_LOCAL_MACHINE\\{CLASSES}\\{MOUSE}]\n"
        f'"Class"="Mouse"\n"UpperFilters"={texts("klmouflt.K4W-21-25", "mouclass")}\n\n'
        f"[HKEY_LOCAL_MACHINE\\{SERVICES}\\klif.KES-21-16]\n"
        '"Type"=dword:00000002\n"Start"=dword:00000001\n"ImagePath"="system32\\\\DRIVERS\\\\KES-21-16\\\\klif.sys"\n\n'
        f"[HKEY_LOCAL_MACHINE\\{SERVICES}\\klif.KES-21-16\\Instances\\klif]\n"
        '"Altitude"="320400"\n"Flags"=dword:00000000\n\n'
        f"[HKEY_LOCAL_MACHINE\\{NETWORK}\\{{11111111-1111-4111-8111-111111111111}}]\n"
        '"ComponentId"="kl_klim6"\n"Description"="Kaspersky Anti-Virus NDIS 6 Filter"\n\n'
        f"[HKEY_LOCAL_MACHINE\\{NETWORK}\\{{11111111-1111-4111-8111-111111111111}}\\Ndi]\n"
        '"Service"="klim6"\n',
    )


def _traces(host: WineHost, _fixtures: Fixtures) -> None:
    thumbprint, blob = stored_certificate()
    rule = (
        "v2.30|Action=Allow|Active=TRUE|Dir=In|Protocol=17|LPort=15000"
        r"|App=C:\\Program Files (x86)\\Kaspersky Lab\\NetworkAgent\\klnagent.exe|Name=Агент администрирования|"
    )
    registry(
        host,
        f"[HKEY_LOCAL_MACHINE\\{STORES}\\ROOT\\Certificates\\{thumbprint}]\n"
        f'"Blob"={binary("hex", blob)}\n\n'
        f"[HKEY_LOCAL_MACHINE\\{FIREWALL}]\n"
        f'"{{22222222-2222-4222-8222-222222222222}}"="{rule}"\n\n'
        f"[HKEY_LOCAL_MACHINE\\{FORCED}]\n"
        f'"1"="{EXTENSION};https://clients2.google.com/service/update2/crx"\n\n'
        f"[HKEY_LOCAL_MACHINE\\{APPX}\\{PACKAGE}]\n",
    )


def _returns(host: WineHost, _fixtures: Fixtures) -> None:
    make_folder(host, r"C:\windows\system32\tasks\Kaspersky")
    lay(host, r"C:\windows\system32\tasks\Kaspersky\Update", _TASK.encode("utf-16"))
    registry(host, entry(rf"HKEY_LOCAL_MACHINE\{RUN}", Deploy=r"\\files\deploy\setup_kes.exe /s"))


def _server(host: WineHost, _fixtures: Fixtures) -> None:
    updates = r"SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update\RebootRequired"
    renames = texts(r"\??\C:\windows\temp\old.dll", "", r"\??\C:\windows\temp\b.dll", r"!\??\C:\windows\b.dll")
    services = "".join(
        f'[HKEY_LOCAL_MACHINE\\{SERVICES}\\{name}]\n"Type"=dword:00000010\n"Start"=dword:{start:08x}\n\n'
        for name, start in (("NTDS", 2), ("MSSQL$PROD", 2), ("W3SVC", 4))
    )
    registry(
        host,
        f"{services}[HKEY_LOCAL_MACHINE\\{updates}]\n\n"
        f'[HKEY_LOCAL_MACHINE\\{SESSION}]\n"PendingFileRenameOperations"={renames}\n',
    )


def _languages(host: WineHost, _fixtures: Fixtures) -> None:
    german = rf"{VENDOR_86}\KES.12.5.0"
    make_folder(host, german, "avp.exe")
    names = (
        (UNINSTALL, "{6E0F4C52-5B7A-4D0E-9C39-2B1A7F3D0F01}", "Kaspersky Endpoint Security für Windows", german),
        (UNINSTALL_32, "{6E0F4C52-5B7A-4D0E-9C39-2B1A7F3D0F02}", "Kaspersky Security Center 網絡代理", ""),
    )
    for place, code, name, folder in names:
        key = rf"HKEY_LOCAL_MACHINE\{place}\{code}"
        registry(host, entry(key, DisplayName=name, Publisher="AO Kaspersky Lab", InstallLocation=folder))


STATES: tuple[State, ...] = (
    State(
        name="hooks",
        title="a filter of the mouse class, a minifilter and an NDIS filter, no program",
        make=_hooks,
        claims=(
            Claim(line=rf"reg query HKLM\{CLASSES}\{MOUSE} /v UpperFilters", shows=r"REG_MULTI_SZ\s+klmouflt"),
            Claim(line=rf"reg query HKLM\{SERVICES}\klif.KES-21-16\Instances\klif", shows="320400"),
        ),
        verdict="leftovers",
        products={"kes": "leftover", "kaspersky": "leftover"},
    ),
    State(
        name="traces",
        title="an interception root, a rule of the firewall, a forced extension and a provisioned package",
        make=_traces,
        claims=(
            Claim(line=rf"reg query HKLM\{STORES}\ROOT\Certificates /s", shows=r"Blob\s+REG_BINARY"),
            Claim(line=rf"reg query HKLM\{FIREWALL}", shows="klnagent"),
            Claim(line=rf"reg query HKLM\{FORCED}", shows=EXTENSION),
            Claim(line=rf"reg query HKLM\{APPX}", shows="KasperskyNow"),
        ),
        verdict="leftovers",
        products={"k4w": "leftover", "kaspersky": "leftover"},
    ),
    State(
        name="returns",
        title="a scheduled task and a Run entry that would bring a product back",
        make=_returns,
        claims=(
            Claim(line=r"dir C:\windows\system32\tasks\Kaspersky", shows="Update"),
            Claim(line=rf"reg query HKLM\{RUN} /v Deploy", shows="setup_kes"),
        ),
        verdict="leftovers",
        products={"kaspersky": "leftover"},
        facts=("reinstall",),
    ),
    State(
        name="server",
        title="a domain controller with a database, a restart pending, nothing of the vendor",
        make=_server,
        claims=(
            Claim(line=rf"reg query HKLM\{SERVICES}\NTDS /v Start", shows="0x2"),
            Claim(
                line=r'reg query "HKLM\SYSTEM\CurrentControlSet\Control\Session Manager"',
                shows="PendingFileRenameOperations",
            ),
        ),
        verdict="absent",
        facts=("role", "role", "reboot", "reboot"),
    ),
    State(
        name="languages",
        title="a German KES without a service and a Chinese agent's entry alone",
        make=_languages,
        claims=(Claim(line=f'dir "{VENDOR_86}\\KES.12.5.0"', shows="avp.exe"),),
        verdict="present",
        products={"kes": "broken", "kaspersky": "leftover"},
    ),
)
