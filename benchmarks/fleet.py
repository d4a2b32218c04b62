# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run costs, and many endpoints out of one real host of the Linux lab: it answers over ssh on as many loopback
addresses as asked."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from pathlib import Path

from tests.lab.linux.lab import Host, Lab

METER = Path(__file__).with_name("meter.py")
# The same for every contestant: what Ansible does by default, but for the wish to know hosts beforehand.
SSH = "-C -o ControlMaster=auto -o ControlPersist=60s"
OPTIONS = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"


@dataclasses.dataclass(frozen=True)
class Cost:
    """What one run cost.

    Attributes:
        wall, controller_cpu, target_cpu: seconds.
        wire: bytes on the network, both ways, with TCP, ssh and key exchanges.
        execs: commands that sshd was asked to run.
        processes: processes that were made on the target, those of sshd for each login included.
        main_kb, all_kb: largest resident size of Ansible's main process, and of all processes of the controller.
    """

    wall: float
    controller_cpu: float
    target_cpu: float
    wire: float
    execs: float
    processes: float
    main_kb: float
    all_kb: float


class Meter:
    """Hosts whose sshd counts what it is asked to run, and a way to run a command against them that says what it cost.

    Attributes:
        lab, folder, hosts: where they are; the folder is the working folder of commands.
        said: what the last command printed.
    """

    def __init__(self, lab: Lab, folder: Path, *hosts: Host) -> None:
        self.lab, self.folder, self.hosts, self.said = lab, folder, hosts, ""
        self.cgroups = Path(f"/sys/fs/cgroup/evict-lab-{lab.name}")

    def ready(self) -> None:
        """Let the hosts log and accept logins as the meter needs it; again after each reset."""
        for host in self.hosts:
            # The default of MaxStartups drops connections at random when twenty come at once.
            host.run(
                "printf 'MaxStartups 1000:30:2000\\nLogLevel VERBOSE\\n' >/etc/ssh/sshd_config.d/90-benchmark.conf\n"
                "mkdir -p /etc/systemd/journald.conf.d\n"
                "printf '[Journal]\\nRateLimitIntervalSec=0\\n' >/etc/systemd/journald.conf.d/b.conf\n"
                "systemctl restart systemd-journald; systemctl restart ssh"
            )
        self.lab.wait(*self.hosts)

    def cost(self, command: list[str], *, memory: bool = False, patience: float = 1800, **more: str) -> Cost:
        """Run a command of the controller inside the lab and measure it.

        Args:
            command: its words.
            memory: watch memory, which itself costs a little time.
            patience: seconds it may take.
            more: further environment.

        Raises:
            RuntimeError: the command failed.
        """
        execs, pids = self._execs(), self._last_pids()
        settings = {
            "ANSIBLE_SSH_ARGS": SSH,
            "ANSIBLE_PIPELINING": "true",
            "ANSIBLE_HOST_KEY_CHECKING": "false",
            "ANSIBLE_LOCAL_TEMP": str(self.folder / "tmp"),
            "ANSIBLE_NOCOLOR": "1",
            "BENCH_MEMORY": "1" if memory else "0",
            "BENCH_KEY": str(self.lab.key),
            "HOME": str(self.folder),
            "PATH": os.environ["PATH"],
            **more,
        }
        targets = ":".join(str(self.cgroups / host.name) for host in self.hosts)
        words = [
            *("env", "-i", *(f"{name}={value}" for name, value in settings.items())),
            *(sys.executable, str(METER), str(self.cgroups), targets, *command),
        ]
        done = self.lab.command("sh", "-c", 'cd "$0" && exec "$@"', str(self.folder), *words, patience=patience)
        self.said = done.stderr
        found = json.loads(done.stdout.splitlines()[-1])
        if found.pop("code") != 0:
            raise RuntimeError(f"{command[:6]}: {done.stderr[-3000:]}")
        return Cost(**found, execs=self._execs() - execs, processes=self._last_pids() - pids)

    def _execs(self) -> int:
        """Commands that sshd was asked to run so far; `Starting session` stands in its log once for each."""
        ask = "journalctl --sync; journalctl -o cat --no-pager -t sshd | grep -c '^Starting session' || :"
        return sum(int(host.run(ask).stdout) for host in self.hosts)

    def _last_pids(self) -> int:
        """Numbers of processes are given out in their order, and a host of the lab has numbers of its own."""
        return sum(int(host.run("echo $$").stdout) for host in self.hosts)


class Fleet(Meter):
    """One host that answers as many."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        host = lab.up("one", "deb12", ip="lab")
        lab.wait(host)
        super().__init__(lab, folder, host)
        self.host = host
        self.ready()

    def inventory(self, number: int) -> Path:
        """An inventory of so many names."""
        hosts = {}
        for n in range(number):
            variables = self.host.vars(proxy=False, ansible_host=self.address(n))
            variables["ansible_ssh_common_args"] = OPTIONS
            variables["ansible_python_interpreter"] = "/usr/bin/python3"
            hosts[f"h{n}"] = variables
        return self.lab.inventory(self.folder / f"hosts-{number}", hosts)

    @staticmethod
    def address(n: int) -> str:
        """The address of the n-th endpoint."""
        return f"127.{10 + n // 62_500}.{n // 250 % 250}.{n % 250 + 1}"
