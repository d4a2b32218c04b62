# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs one command inside the lab and prints what it cost as JSON: python meter.py CGROUPS TARGETS COMMAND...

CGROUPS is the lab's control group, TARGETS those of the hosts that answer, with `:` between them. CPU time is read from
control groups: it counts every process, also masters of ssh that outlive the command. Bytes are those of the lab's
loopback device and of its bridge, which carry nothing but the connections between controller and hosts: both ways, with
TCP and ssh and the key exchange.

Only the standard library: it runs as a program of its own, so that nothing of it is in the figures.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

_IDLE = 0.02  # seconds of CPU within a second


def cpu(cgroup: Path) -> float:
    """Seconds of CPU that all processes of a control group have used so far."""
    fields = dict(line.split() for line in (cgroup / "cpu.stat").read_text().splitlines())
    return int(fields["usage_usec"]) / 1e6


def wire() -> int:
    """Bytes that loopback and bridge have carried so far; each is counted once."""
    counted = ("lo/statistics/tx_bytes", "br0/statistics/tx_bytes", "br0/statistics/rx_bytes")
    return sum(int(Path("/sys/class/net", name).read_text()) for name in counted)


class Memory(threading.Thread):
    """Watches one process and all of a control group: largest resident size of each, in kB."""

    def __init__(self, pid: int, cgroup: Path) -> None:
        super().__init__(daemon=True)
        self.pid, self.cgroup = pid, cgroup
        self.main = self.all = 0
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.25):
            self.main = max(self.main, _field(f"/proc/{self.pid}/status", "VmHWM:"))
            # Shared pages are counted by parts (PSS): a fork is not twice its parent.
            pids = (self.cgroup / "cgroup.procs").read_text().split()
            self.all = max(self.all, sum(_field(f"/proc/{pid}/smaps_rollup", "Pss:") for pid in pids))


def _field(path: str, name: str) -> int:
    with contextlib.suppress(OSError):  # it has ended
        for line in Path(path).read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1])
    return 0


def end_masters(folder: Path) -> None:
    """Ask every ssh master of this run to end, so that the next run begins without one."""
    for socket in folder.glob("*"):
        subprocess.run(["ssh", "-O", "exit", "-o", f"ControlPath={socket}", "x"], capture_output=True, check=False)


def settle(cgroups: list[Path], patience: int = 30) -> None:
    """Wait until the hosts have nothing to do: what the run before left them (sessions to close, logs) is not ours."""
    for _ in range(patience):
        before = sum(map(cpu, cgroups))
        time.sleep(1)
        if sum(map(cpu, cgroups)) - before < _IDLE:
            return


def measure(lab: Path, targets: list[Path], command: list[str], *, memory: bool) -> dict[str, float]:
    """Run the command in a control group of its own.

    Returns:
        code, wall (s), controller_cpu (s), target_cpu (s), wire (bytes), main_kb and all_kb (with `memory`, else 0).
    """
    own = lab / f"bench-{os.getpid()}"
    own.mkdir()
    masters = Path(tempfile.mkdtemp(prefix="cp-", dir="/tmp"))
    settle(targets)
    target_before, bytes_before = sum(map(cpu, targets)), wire()
    start = time.monotonic()
    process = subprocess.Popen(
        ["sh", "-c", 'echo $$ >"$0/cgroup.procs"; exec "$@"', str(own), *command],
        env={**os.environ, "ANSIBLE_SSH_CONTROL_PATH_DIR": str(masters), "BENCH_CONTROL": str(masters)},
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
    )
    watch = Memory(process.pid, own)
    if memory:
        watch.start()
    code = process.wait()
    wall = time.monotonic() - start
    watch.over.set()
    end_masters(masters)
    for _ in range(200):
        if "populated 0" in (own / "cgroup.events").read_text():
            break
        time.sleep(0.05)
    found = {
        "code": code,
        "wall": wall,
        "controller_cpu": cpu(own),
        "target_cpu": sum(map(cpu, targets)) - target_before,
        "wire": wire() - bytes_before,
        "main_kb": watch.main,
        "all_kb": watch.all,
    }
    own.rmdir()
    shutil.rmtree(masters, ignore_errors=True)
    return found


if __name__ == "__main__":
    watched = os.environ.get("BENCH_MEMORY", "") == "1"
    groups = [Path(name) for name in sys.argv[2].split(":")]
    print(json.dumps(measure(Path(sys.argv[1]), groups, sys.argv[3:], memory=watched)))
