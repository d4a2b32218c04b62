# SPDX-License-Identifier: GPL-3.0-or-later
"""Look-alike packages for Windows Installer, built from the sources in `wix/` and `src/`.

They are harmless: one service that waits, a few registry keys. Test fixtures, not Kaspersky software.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCES = HERE / "wix"
SERVICE = HERE / "src" / "service.c"

KES_CODE = "{6E0F4C52-5B7A-4D0E-9C39-2B1A7F3D0A01}"
PROTECTED_CODE = "{6E0F4C52-5B7A-4D0E-9C39-2B1A7F3D0A11}"
AGENT_CODE = "{6E0F4C52-5B7A-4D0E-9C39-2B1A7F3D0B01}"
PROTECTED_USER = "KLAdmin"
PROTECTED_PASSWORD = "fixture-only-1"

# What wixl cannot say is said in SQL. The location belongs into the uninstall entry, as the vendor's packages have it.
_ACTION = "INSERT INTO `CustomAction` (`Action`,`Type`,`Source`,`Target`) VALUES "
_SEQUENCE = "INSERT INTO `InstallExecuteSequence` (`Action`,`Condition`,`Sequence`) VALUES "
_LOCATION = (
    _ACTION + "('SetLocation',51,'ARPINSTALLLOCATION','[INSTALLDIR]')",
    _SEQUENCE + "('SetLocation','',1010)",
)
# An uninstall that ends with 1603 unless it is given the right account and password.
_ALLOWED = f'KLLOGIN~="{PROTECTED_USER}" AND KLPASSWD="{PROTECTED_PASSWORD}"'
_PROTECTED = (
    # One code per variant: Windows Installer keeps the package of the code it knows.
    f"UPDATE `Property` SET `Value`='{PROTECTED_CODE}' WHERE `Property`='ProductCode'",
    _ACTION + "('CheckPassword',19,'','Uninstallation is password protected')",
    _SEQUENCE + f"('CheckPassword','REMOVE~=\"ALL\" AND NOT ({_ALLOWED})',1401)",
)


@dataclass(frozen=True, kw_only=True)
class Package:
    """A built package.

    Attributes:
        file: the .msi file.
        code: its product code.
        service: the service it installs.
    """

    file: Path
    code: str
    service: str


@dataclass(frozen=True, kw_only=True)
class Fixtures:
    """All packages, and the program that is in them."""

    program: Path
    kes: Package
    protected: Package
    agent: Package


def cache() -> Path:
    """The labs' cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(os.environ.get("EVICT_LAB_CACHE") or f"{base}/evict-lab")


def build() -> Fixtures:
    """Build the packages, or find them in the cache; they are built again when a source changes.

    Raises:
        subprocess.CalledProcessError: a tool failed.
        FileNotFoundError: a tool is missing (`tests/lab/windows/wine deps` installs them).
    """
    sources = [SERVICE, *sorted(SOURCES.glob("*.wxs")), Path(__file__)]
    digest = hashlib.sha256(b"\0".join(source.read_bytes() for source in sources)).hexdigest()[:12]
    folder = cache() / f"msi-{digest}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as work:
            _build(Path(work))
            os.chmod(work, 0o755)
            try:
                os.rename(work, folder)
            except OSError:
                if not folder.is_dir():  # else somebody built the same at the same time
                    raise
            Path(work).mkdir(exist_ok=True)  # what TemporaryDirectory is to remove
    return Fixtures(
        program=folder / "service.exe",
        kes=Package(file=folder / "kes.msi", code=KES_CODE, service="AVP.KES.21.16"),
        protected=Package(file=folder / "protected.msi", code=PROTECTED_CODE, service="AVP.KES.21.16"),
        agent=Package(file=folder / "agent.msi", code=AGENT_CODE, service="klnagent"),
    )


def _build(folder: Path) -> None:
    compiler = ("x86_64-w64-mingw32-gcc", "-municode", "-O2", "-s", "-Wall", "-Wextra", "-Werror")
    _run(folder, *compiler, "-o", "service.exe", str(SERVICE))
    for name, arch, source, changes in (
        ("kes", "x64", "kes", ()),
        ("protected", "x64", "kes", _PROTECTED),
        ("agent", "x86", "agent", ()),
    ):
        _run(folder, "wixl", "-a", arch, "-o", f"{name}.msi", str(SOURCES / f"{source}.wxs"))
        for statement in (*_LOCATION, *changes):
            _run(folder, "msibuild", f"{name}.msi", "-q", statement)


def _run(folder: Path, *argv: str) -> None:
    subprocess.run(argv, cwd=folder, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
