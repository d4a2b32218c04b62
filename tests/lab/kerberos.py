# SPDX-License-Identifier: GPL-3.0-or-later
"""A Kerberos realm for tests: a real MIT KDC on a high port of loopback, with everything it has in one folder.

    with Realm(folder) as realm:
        realm.add_user("admin", "password")
        keytab = realm.keytab("HTTP/win1.evict.test")
        realm.kinit("admin", "password")
        subprocess.run([...], env={**os.environ, **realm.environment})

Wants Debian's krb5-kdc, krb5-admin-server and krb5-user; nothing in /etc is read or written. `packages` gives the
Python packages of Kerberos' clients, which are compiled once (gcc, libkrb5-dev) into the cache of the labs.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

NAME = "EVICT.TEST"
PROGRAMS = ("krb5kdc", "kdb5_util", "kadmin.local", "kinit", "krb5-config", "gcc")
# No --deps: the rest is in the environment of the tests already.
CLIENTS = ("pykerberos>=1.2.4,<2", "gssapi>=1.8,<2", "krb5>=0.5,<1", "decorator>=5,<6")
PATIENCE = 60.0
BUILDING = 1800.0  # seconds that compiling CLIENTS may take on a busy machine


class NoKerberos(Exception):
    """Something is missing on this machine; the message says what, in one line."""


class RealmError(Exception):
    """A program of Kerberos failed where it must not."""


def _path() -> str:
    return os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))


def packages() -> Path:
    """The folder with pykerberos, gssapi and krb5 for the Python that runs the tests, for PYTHONPATH.

    Raises:
        NoKerberos: a program is missing, or pip cannot get or build the packages.
    """
    missing = [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]
    if missing:
        raise NoKerberos(f"no {', '.join(missing)} (krb5-kdc krb5-admin-server krb5-user libkrb5-dev gcc): Kerberos")
    cache = Path(os.environ.get("EVICT_LAB_CACHE") or Path.home() / ".cache" / "evict-lab")
    folder = cache / f"kerberos-{sys.implementation.cache_tag}"
    if not (folder / "ready").is_file():
        making = folder.with_name(f"{folder.name}.{os.getpid()}")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(making), *CLIENTS]
        done = subprocess.run(command, capture_output=True, text=True, timeout=BUILDING, check=False)
        if done.returncode != 0:
            shutil.rmtree(making, ignore_errors=True)
            raise NoKerberos(f"pip could not build {' '.join(CLIENTS)}: Kerberos: {done.stderr.strip()[-300:]!r}")
        (making / "ready").touch()
        try:
            making.rename(folder)
        except OSError:  # another run was faster
            shutil.rmtree(making)
    return folder


class Realm:
    """A realm of its own, with its KDC; leaving it ends the KDC.

    Args:
        folder: an empty folder; everything lies there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._master = secrets.token_urlsafe(12)
        self._kdc: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What clients and servers of this realm need in their environment; servers add KRB5_KTNAME."""
        return {"KRB5_CONFIG": str(self.folder / "krb5.conf"), "KRB5CCNAME": f"FILE:{self.folder / 'tickets'}"}

    def __enter__(self) -> Realm:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        (self.folder / "krb5.conf").write_text(
            "[libdefaults]\n"
            f" default_realm = {NAME}\n dns_lookup_realm = false\n dns_lookup_kdc = false\n rdns = false\n"
            ' dns_canonicalize_hostname = false\n qualify_shortname = ""\n udp_preference_limit = 1\n'
            f"[realms]\n {NAME} = {{\n  kdc = 127.0.0.1:{port}\n }}\n"
            f"[domain_realm]\n .evict.test = {NAME}\n localhost = {NAME}\n"
        )
        (self.folder / "kdc.conf").write_text(
            f"[kdcdefaults]\n kdc_listen = 127.0.0.1:{port}\n kdc_tcp_listen = 127.0.0.1:{port}\n"
            f"[realms]\n {NAME} = {{\n  database_name = {self.folder}/principal\n  acl_file = {self.folder}/acl\n"
            f"  key_stash_file = {self.folder}/stash\n }}\n"
            f"[logging]\n kdc = FILE:{self.folder}/kdc.log\n"
        )
        (self.folder / "acl").touch()
        self._run("kdb5_util", "create", "-s", stdin=f"{self._master}\n{self._master}\n")
        with (self.folder / "kdc.out").open("wb") as out:
            self._kdc = subprocess.Popen(
                [shutil.which("krb5kdc", path=_path()) or "krb5kdc", "-n"],
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        deadline = time.monotonic() + PATIENCE
        while "commencing operation" not in self._log():
            if self._kdc.poll() is not None or time.monotonic() > deadline:
                raise RealmError(f"the KDC did not start: {self._log()[-500:]}")
            time.sleep(0.05)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End the KDC."""
        if self._kdc is not None:
            self._kdc.terminate()
            self._kdc.wait()
            self._kdc = None

    def add_user(self, name: str, password: str) -> None:
        """Add a user."""
        self._kadmin(f'addprinc -pw "{password}" {name}')

    def keytab(self, *services: str) -> Path:
        """Add services such as `host/localhost` and return a new keytab with their keys."""
        file = self.folder / f"keytab-{secrets.token_hex(4)}"
        for service in services:
            self._kadmin(f"addprinc -randkey {service}", f"ktadd -k {file} {service}")
        return file

    def kinit(self, user: str, password: str, *, lifetime: str = "1h", cache: Path | None = None) -> None:
        """Get a ticket into the cache of `environment`, or into another one."""
        where = ("-c", f"FILE:{cache}") if cache else ()
        self._run("kinit", "-l", lifetime, *where, f"{user}@{NAME}", stdin=password + "\n")

    def _log(self) -> str:
        return "".join(
            (self.folder / name).read_text(errors="replace")
            for name in ("kdc.log", "kdc.out")
            if (self.folder / name).exists()
        )

    def _kadmin(self, *lines: str) -> None:
        out = self._run("kadmin.local", stdin="".join(f"{line}\n" for line in lines))
        if any(word in out for word in ("add_principal:", "ktadd:", "kadmin.local: ")) and "while" in out:
            raise RealmError(out)

    def _run(self, program: str, *arguments: str, stdin: str) -> str:
        done = subprocess.run(
            [shutil.which(program, path=_path()) or program, *arguments],
            env=self._environment(),
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        if done.returncode != 0:
            raise RealmError(f"{program} {' '.join(arguments)}: {done.stdout}")
        return done.stdout

    def _environment(self) -> dict[str, str]:
        profile = {"KRB5_KDC_PROFILE": str(self.folder / "kdc.conf"), "PATH": _path()}
        return {**os.environ, **self.environment, **profile}
