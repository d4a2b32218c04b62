# SPDX-License-Identifier: GPL-3.0-or-later
"""Real Linux hosts for tests: boot them, run things on them, aim an audit at them, look at every file, throw them away.

    with Lab("try") as lab:                                  # builds or finds the cached roots; needs root
        host = lab.up("deb", "deb12", "banner")
        lab.wait(host)
        host.run("dpkg -l | wc -l").stdout                   # as root, past sshd
        host.ssh("nopass", "sudo id")                        # over real ssh
        lab.inventory(path, {"deb": host.vars(user="nopass", become=True)})
        before = host.snapshot()
        ...
        snapshot.not_allowed(snapshot.diff(before, host.snapshot()))

``fleet`` beside this file does the work. An inventory works from outside the lab too: ssh goes through
``fleet connect``. Inside (`lab.command`), nothing can reach the world.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

HERE = Path(__file__).resolve().parent
FLEET = HERE / "fleet"
ROOTS = ("deb12", "deb13", "nopy", "rpm9")
PASSWORD = "Lab-2-pass"  # of every user of every host; base.sh sets it
PATIENCE = 120.0  # seconds a single command may take
DEAD = "198.18.255.254"  # an address of the lab's network that nobody has


class LabError(Exception):
    """A command of the lab, or one on a host, failed where it must not; the message holds its output."""


def call(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    check: bool = True,
    stdin: str = "",
    patience: float = PATIENCE,
) -> subprocess.CompletedProcess[str]:
    """Run a command with text in and out.

    Raises:
        LabError: it failed (with ``check``) or took longer than ``patience`` seconds.
    """
    words = shlex.join(command)
    try:
        done = subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            env=environment,
            timeout=patience,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{words}: no end after {patience:.0f} s") from error
    if check and done.returncode != 0:
        raise LabError(f"{words}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done


class Lab:
    """One lab; several with different names may run at once.

    Attributes:
        name: small letters, digits and '-'.
        environment: what ``fleet`` needs, to be given to anything that calls it.
        key, known_hosts: for ssh to any host.
    """

    def __init__(self, name: str = "py") -> None:
        self.name = name
        self.environment = {**os.environ, "EVICT_LAB_NAME": name}
        self.state = Path(os.environ.get("EVICT_LAB_STATE", "/var/lib/evict-lab"))
        self.key = self.state / name / "id"
        self.known_hosts = self.state / name / "known_hosts"
        self._hosts = 0

    def fleet(
        self, *arguments: str, check: bool = True, stdin: str = "", patience: float = PATIENCE
    ) -> subprocess.CompletedProcess[str]:
        """Call ``fleet``."""
        return call([str(FLEET), *arguments], environment=self.environment, check=check, stdin=stdin, patience=patience)

    def start(self, *roots: str) -> Lab:
        """Install what is missing, build what is not cached (a minute the first time), make the lab.

        Without ``roots`` all of ROOTS are built. Nothing happens when the lab is up.
        """
        self.fleet("deps", patience=900)
        self.fleet("base", *(roots or ROOTS), patience=1800)
        self.fleet("start")
        return self

    def stop(self) -> None:
        """End all hosts and processes of the lab and remove what it made, but for the cache."""
        self.fleet("stop")

    def residue(self) -> list[str]:
        """What the lab has on the machine now: mounts, cgroups, processes, files."""
        return self.fleet("residue", check=False).stdout.splitlines()

    def up(self, name: str, root: str, *options: str, ip: str = "") -> Host:
        """Begin to boot a host; `wait` for it. Options: banner requiretty noexec-tmp small-tmp small-root like-cmd."""
        self._hosts += 1
        address = ip or f"198.18.{1 + self._hosts // 250}.{1 + self._hosts % 250}"
        self.fleet("up", name, address, root, *options)
        return Host(lab=self, name=name, ip=address, root=root)

    def wait(self, *hosts: Host) -> None:
        """Until the hosts have booted and answer over ssh."""
        self.fleet("wait", *(host.name for host in hosts))

    def command(
        self, *command: str, check: bool = True, stdin: str = "", patience: float = PATIENCE
    ) -> subprocess.CompletedProcess[str]:
        """Run a controller's command inside the lab: it reaches the hosts and nothing else."""
        return self.fleet("sh", *command, check=check, stdin=stdin, patience=patience)

    @functools.cached_property
    def packages(self) -> Path:
        """The folder of look-alike packages; built once, and again when their source changes."""
        source = HERE / "packages"
        parts = sorted(p for p in source.rglob("*") if p.is_file())
        text = b"".join(str(p.relative_to(source)).encode() + p.read_bytes() for p in parts)
        folder = _cache() / f"packages-{hashlib.sha256(text).hexdigest()[:12]}"
        if not folder.exists():
            building = folder.with_name(f".building-packages-{os.getpid()}")
            building.mkdir(parents=True)
            call([str(source / "build"), str(building)], environment=self.environment)
            if folder.exists():  # somebody else was faster
                call(["rm", "-r", str(building)], environment=self.environment)
            else:
                building.rename(folder)
        return folder

    def inventory(self, path: Path, hosts: Mapping[str, Mapping[str, str]], *, more: str = "") -> Path:
        """Write an INI inventory of name -> variables (`Host.vars`), and ``more`` lines as they are."""
        lines = [
            " ".join([name, *(f"{key}={_quoted(value)}" for key, value in vars_.items())])
            for name, vars_ in hosts.items()
        ]
        path.write_text("\n".join([*lines, more]) + "\n")
        path.chmod(0o600)
        return path

    def ssh_options(self, *, proxy: bool = True) -> list[str]:
        """Options for the ssh client: strict host keys, and with ``proxy`` a way into the lab from outside."""
        options = ["-o", f"UserKnownHostsFile={self.known_hosts}", "-o", "StrictHostKeyChecking=yes"]
        if proxy:
            settings = f"EVICT_LAB_NAME={self.name} EVICT_LAB_STATE={self.state}"
            options += ["-o", f"ProxyCommand=env {settings} {FLEET} connect %h %p"]
        return options

    def __enter__(self) -> Lab:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


@dataclass(frozen=True, kw_only=True)
class Host:
    """One host of a lab.

    Attributes:
        lab, name, ip: where it is; ip "lab" shares the lab's network and answers on all of 127.0.0.0/8.
        root: the root file system it was made from, one of ROOTS.
    """

    lab: Lab
    name: str
    ip: str
    root: str

    def run(
        self, script: str, *, check: bool = True, stdin: str = "", patience: float = PATIENCE
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell script as root on the host, past its sshd, so without a trace of a login.

        With ``check`` no command of it may fail (``sh -e``).
        """
        flags = "-euc" if check else "-uc"
        return self.lab.fleet("exec", self.name, "sh", flags, script, check=check, stdin=stdin, patience=patience)

    def ssh(self, user: str, command: str, *, check: bool = True, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command over real ssh, as one of the users of base.sh, by key."""
        options = ["-i", str(self.lab.key), "-o", "BatchMode=yes", *self.lab.ssh_options()]
        return call(
            ["ssh", *options, f"{user}@{self.address}", command],
            environment=self.lab.environment,
            check=check,
            stdin=stdin,
        )

    @property
    def address(self) -> str:
        """Where its sshd answers."""
        return "127.0.0.1" if self.ip == "lab" else self.ip

    @property
    def family(self) -> str:
        """``rpm`` or ``deb``."""
        return "rpm" if self.root.startswith("rpm") else "deb"

    def put(self, source: Path, target: str, *, mode: str = "0644") -> None:
        """Copy a file onto the host."""
        pid = self.lab.fleet("pid", self.name).stdout.strip()
        self.lab.command("install", "-D", "-m", mode, str(source), f"/proc/{pid}/root{target}")

    def give(self, *names: str) -> str:
        """Copy look-alike packages of this host's family to /srv/packages; their paths, in the order asked for."""
        paths = []
        for name in names:
            pattern = f"{name}_*.deb" if self.family == "deb" else f"{name}-[0-9]*.rpm"
            (source,) = self.lab.packages.glob(pattern)
            paths.append(f"/srv/packages/{source.name}")
            self.put(source, paths[-1])
        return " ".join(paths)

    def install(self, *names: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Install look-alike packages with the host's own package manager."""
        return self.run(f"{'dpkg -i' if self.family == 'deb' else 'rpm -i'} {self.give(*names)}", check=check)

    def snapshot(self) -> dict[str, str]:
        """Every file of the running host; see snapshot.take."""
        pid = self.lab.fleet("pid", self.name).stdout.strip()
        memo = self.lab.state / self.lab.name / "hashes.json"
        done = self.lab.command(sys.executable, str(HERE / "snapshot.py"), f"/proc/{pid}/root", str(memo))
        taken: dict[str, str] = json.loads(done.stdout)
        return taken

    def boot_id(self) -> str:
        """Changes with every boot."""
        return self.run("cat /proc/sys/kernel/random/boot_id").stdout.strip()

    def reboot(self) -> None:
        """Reboot and wait until it answers again."""
        before = self.boot_id()
        self.run("systemctl reboot")
        for _ in range(300):
            done = self.run("cat /proc/sys/kernel/random/boot_id", check=False)
            if done.returncode == 0 and done.stdout.strip() not in ("", before):
                self.lab.wait(self)
                return
            time.sleep(0.1)
        raise LabError(f"{self.name} did not reboot: {self.lab.fleet('console', self.name).stdout[-2000:]}")

    def cut(self) -> None:
        """Take its power away: all its processes die at once, its disk stays as it is."""
        self.lab.fleet("cut", self.name)

    def start(self) -> None:
        """Start it again after a power cut, and wait until it answers."""
        self.lab.fleet("boot", self.name)
        self.lab.wait(self)

    def link(self, state: str) -> None:
        """Pull its network cable (`down`), or plug it in again (`up`)."""
        self.lab.fleet("link", self.name, state)

    def reset(self) -> Host:
        """A fresh root again, with the same options; returns itself when it answers."""
        self.lab.fleet("reset", self.name)
        self.lab.wait(self)
        return self

    def down(self) -> None:
        """End it."""
        self.lab.fleet("down", self.name)

    def vars(
        self, *, user: str = "root", password: str | None = None, become: bool = False, proxy: bool = True, **more: str
    ) -> dict[str, str]:
        """Inventory variables.

        Args:
            user: one of the users of base.sh.
            password: for ssh, instead of the key (needs sshpass, or a core that can do without).
            become: become root with sudo; user ``withpass`` gets the password that it needs.
            proxy: reach the host from outside the lab; False for runs inside it.
            more: further variables.
        """
        found = {"ansible_host": self.address, "ansible_user": user}
        found["ansible_ssh_common_args"] = " ".join(shlex.quote(word) for word in self.lab.ssh_options(proxy=proxy))
        if proxy:  # hosts of different labs have the same addresses, and a master connection is found by the address
            found["ansible_control_path_dir"] = str(self.lab.known_hosts.with_name("cp"))
        if password is None:
            found["ansible_ssh_private_key_file"] = str(self.lab.key)
        else:
            found["ansible_password"] = password
        if become:
            found["ansible_become"] = "true"
            if user == "withpass":
                found["ansible_become_password"] = PASSWORD
        return {**found, **more}


def _cache() -> Path:
    """The same folder that ``fleet`` uses."""
    if given := os.environ.get("EVICT_LAB_CACHE"):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "evict-lab"


def _quoted(value: str) -> str:
    """For an INI inventory, which splits as a shell does."""
    if value and all(c.isalnum() or c in "._-/:@" for c in value):
        return value
    return shlex.quote(value) if any(c in value for c in '"\\') else f'"{value}"'
