# SPDX-License-Identifier: GPL-3.0-or-later
"""Windows-like hosts for tests: make one, run things in it, put a WinRM stand-in in front of it, throw it away.

    with WindowsLab() as lab:                  # builds or finds the cached root; NoKit when there is no PowerShell kit
        host = lab.host("one")
        host.command("msiexec /x {...} /qn").code
        server = lab.stand_in(host)
        print(server.inventory_line("win1"))

Everything below needs root; `tests/lab/windows/wine` does the work.
"""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from .winrm_standin import Account, StandIn, WineBackend
from .winrm_standin.shells import Command

HERE = Path(__file__).resolve().parent
SCRIPT = HERE / "wine"
BESIDE = HERE.parents[3] / "shared" / "windows-lab"
NO_KIT = "no PowerShell kit (EVICT_WINDOWS_KIT, else ../shared/windows-lab): Windows lab"
PATIENCE = 180.0  # seconds a single command in a host may take


class NoKit(Exception):
    """The PowerShell kit is not there; the message says where it was looked for."""


class LabError(Exception):
    """The `wine` script or a program in a host failed where it must not."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """How a program in a host ended: 32-bit unsigned exit code and raw output."""

    code: int
    out: bytes
    err: bytes

    @property
    def text(self) -> str:
        """Both outputs as text, with plain line ends."""
        return (self.out + self.err).decode("utf-8", "replace").replace("\r\n", "\n")


def kit() -> Path:
    """The kit's folder.

    Raises:
        NoKit: there is no archive for Windows (or more than one), or no SHA256SUMS, in it.
    """
    folder = Path(os.environ.get("EVICT_WINDOWS_KIT") or BESIDE)
    if not (folder / "SHA256SUMS").is_file() or len(list(folder.glob("powershell-*-win-x64.tar.xz"))) != 1:
        raise NoKit(NO_KIT)
    return folder


def wine(*arguments: str, timeout: float = PATIENCE) -> str:
    """Run the `wine` script and return what it printed.

    Raises:
        LabError: it failed; the message carries its last lines.
    """
    done = subprocess.run(
        [str(SCRIPT), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if done.returncode != 0:
        raise LabError(f"wine {' '.join(arguments)}: {(done.stderr or done.stdout).strip()[-1000:]}")
    return done.stdout


def places(name: str) -> dict[str, Path]:
    """The folders of a host, as the controller sees them: root, inside, workspace, prefix, upper, run.

    `inside` is the part of a path that programs in the host do not see; it is `Path()` when they see the whole path.
    """
    pairs = (line.split("=", 1) for line in wine("where", name).splitlines())
    return {key: Path(value) for key, value in pairs}


def wine_backend(name: str) -> WineBackend:
    """The stand-in's backend for a host that is up."""
    at = places(name)
    inside = "" if at["inside"] == Path() else str(at["inside"])
    return WineBackend(script=SCRIPT, host=name, run_folder=at["run"], inside=inside)


@dataclass(frozen=True, kw_only=True)
class WineHost:
    """A host that is up.

    Attributes:
        name: its name for the `wine` script.
        prefix: its Windows root's parent as the controller sees it (`drive_c` lies below).
        upper: what this host has changed against the template (the overlay's upper folder).
        shared: a folder for files that the host is to read, as the controller sees it.
    """

    name: str
    prefix: Path
    upper: Path
    shared: Path
    backend: WineBackend

    @classmethod
    def make(cls, name: str) -> WineHost:
        """Make the host, or take it as it is when it is up already."""
        wine("host", name)
        at = places(name)
        return cls(name=name, prefix=at["prefix"], upper=at["upper"], shared=at["run"], backend=wine_backend(name))

    def command(self, line: str, *, timeout: float = PATIENCE) -> Result:
        """Run one command line as a client of WinRM would, and wait until its process ends.

        Raises:
            LabError: it did not end in time; it was ended.
        """
        command = Command(self.backend.start(line))
        command.send(b"", end=True)
        out, err, deadline = b"", b"", time.monotonic() + timeout
        while (output := command.receive(deadline - time.monotonic())) is not None:
            out, err = out + output.streams["stdout"], err + output.streams["stderr"]
            if output.exit_code is not None:
                return Result(code=output.exit_code, out=out, err=err)
        command.kill()
        raise LabError(f"{line!r} in {self.name} did not end within {timeout:.0f} s; so far: {(out + err)[-1000:]!r}")

    def expect(self, line: str, *codes: int) -> Result:
        """`command`, for lines that must end with one of `codes` (0 when none is given).

        Raises:
            LabError: it ended otherwise.
        """
        result = self.command(line)
        if result.code not in (codes or (0,)):
            raise LabError(f"{line!r} in {self.name} ended with {result.code}: {result.text[-1000:]}")
        return result

    def put(self, name: str, data: bytes) -> str:
        """Lay a file where the host can read it (not on its own disk) and return its Windows path."""
        path = self.shared / name
        path.write_bytes(data)
        return "Z:" + str(path).removeprefix(self.backend.inside).replace("/", "\\")

    def drop(self) -> None:
        """End the host and delete it."""
        wine("drop", self.name)


@dataclass(frozen=True, kw_only=True)
class Served:
    """A stand-in in front of a host, and how to log in to it."""

    host: WineHost
    server: StandIn
    account: Account

    def inventory_line(self, name: str, *, password: str | None = None, port: int | None = None) -> str:
        """A line for an INI inventory; other passwords and ports make hosts that refuse or do not answer."""
        variables = {
            "ansible_host": self.server.address,
            "ansible_port": port or self.server.port,
            "ansible_connection": "winrm",
            "ansible_winrm_scheme": "http",
            "ansible_winrm_transport": "basic",
            "ansible_user": self.account.user,
            "ansible_password": password or self.account.password,
        }
        return " ".join([name, *(f"{key}={value}" for key, value in variables.items())])


class WindowsLab:
    """Hosts and stand-ins of one test run; leaving it ends them all. Host names get a prefix of the run's own, so that
    runs beside each other do not meet."""

    def __init__(self) -> None:
        self._mark = f"lab{os.getpid()}"
        self._hosts: dict[str, WineHost] = {}
        self._served: list[Served] = []

    def __enter__(self) -> WindowsLab:
        kit()
        wine("up", timeout=1200)
        for name in wine("hosts").split():  # left behind by a run that was killed
            owner = re.match(r"lab(\d+)-", name)
            if owner and not Path(f"/proc/{owner[1]}").exists():
                wine("drop", name)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def host(self, name: str) -> WineHost:
        """A fresh host; the same name gives the same host until it is dropped."""
        if name not in self._hosts:
            self._hosts[name] = WineHost.make(f"{self._mark}-{name}")
        return self._hosts[name]

    def drop(self, name: str) -> None:
        """End one host and its stand-ins."""
        host = self._hosts.pop(name)
        for served in [one for one in self._served if one.host == host]:
            served.server.stop()
            self._served.remove(served)
        host.drop()

    def stand_in(self, host: WineHost, *, address: str = "127.0.0.1", port: int = 0) -> Served:
        """Start a stand-in in front of a host, with a password made for it."""
        account = Account(user="admin", password=secrets.token_urlsafe(12))
        server = StandIn(host.backend, account, address=address, port=port).start()
        served = Served(host=host, server=server, account=account)
        self._served.append(served)
        return served

    def close(self) -> None:
        """End all stand-ins and hosts."""
        for served in self._served:
            served.server.stop()
        self._served.clear()
        for name in list(self._hosts):
            self._hosts.pop(name).drop()
