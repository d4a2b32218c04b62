# SPDX-License-Identifier: GPL-3.0-or-later
"""A root file system of the test's own that stays between calls, so that jobs can be started in it, killed, followed.

Its processes are its own, too; the shells and the kernel are real. A power cut ends all of its processes at once and
gives it another id of its start; what memory held (/run) is gone.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import journal, script
from tests import tree
from tests.target.posix.staged import STAGE, unshare

NONCE = "evict-fedcba9876543210fedcba98"
MACHINE = "0123456789abcdef0123456789abcdef"
DIGEST = "d" * 64
BASE = "/var/lib/evict.kaspersky"
POSIX = tree.ROOT / "probes" / "posix"
FRAME = script.JOB[: script.JOB.index("perform_frame.sh") + 1]
LAUNCHER = script.compose(POSIX, script.PERFORM)
# As /bin/sh of the root, whatever the machine has.
SHELLS = ("dash", "bash", "busybox")
# Kinds that do no harm: each leaves a trace, so that what was done how often can be counted.
KINDS = r"""
trace() { printf '%s\n' "$*" >>/var/trace; }
kind_mark() { trace "mark $id $a_text"; note seen "$a_text"; status=done; }
kind_already() { status=already; }
kind_again() { trace "again $id"; fail still_there 7 "it is still there: ask for \"help\""; }
kind_confirm_absent() {
  trace "confirm $id"
  [ ! -e /var/still ] || fail still_there 1 'still there' || return 1
  status=done
}
kind_tool() {
  bounded sh -c "$a_text"
  trace "tool $id $code"
  [ "$code" = 0 ] || fail tool_failed "$code" "$said" || return 1
  status=done
}
kind_slow() {
  trace "slow $id"
  bounded sleep "$a_text"
  [ "$code" = 0 ] || fail timed_out "$code" 'slow' || return 1
  status=done
}
kind_breaks() { trace "breaks $id"; IFS=x; set -e; cd /tmp; eval 'exit 3'; }
kind_restart() { restart=yes status=done; }
kind_take_back() { noted seen && trace "back $id $value"; status=done; }
"""


def text(**values: str) -> str:
    """What travels: the launcher with its values."""
    given = {
        "NONCE": NONCE,
        "OP": "start",
        "PHASE": "commit",
        "DIGEST": DIGEST,
        "HOST": "web1",
        "MACHINE": MACHINE,
        "RUN": "run-1",
        "SEAL": "5" * 64,
        "PLAN": '{"steps":[{"phase":"stage"},{"phase":"commit"},{"phase":"finish"}]}',
        "SECRETS": "",
        "SENT": "",
        "WAIT": "60",
        "SINCE": "0",
        "SILENCE": "0",  # runs follow one another, and those of the tests before have ended
        **values,
    }
    return "".join(f"EVICT_{name}={shlex.quote(value)}\n" for name, value in given.items()) + LAUNCHER


class Gone(Exception):
    """The root file system has no process left."""


@dataclass
class Host:
    """A staged root with a process that keeps it."""

    folder: Path
    shell: str
    holder: subprocess.Popen[bytes]
    pid: int = 0
    boots: int = 0
    library: str = field(default_factory=lambda: script.library(POSIX, FRAME) + KINDS)

    def run(self, text: str, *, shell: str = "/bin/sh", user: int = 0) -> str:
        """Run a script in the root; its standard output and error."""
        return self.start(text, shell=shell, user=user).communicate(timeout=120)[0].decode("utf-8", "surrogateescape")

    def start(self, text: str, *, shell: str = "/bin/sh", user: int = 0) -> subprocess.Popen[bytes]:
        """The same, not waited for."""
        drop = ("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--") if user else ()
        program = subprocess.Popen(
            ["nsenter", "-t", str(self.pid), "-m", "-p", "-r", "-w", "--", *drop, shell],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert program.stdin is not None
        program.stdin.write(text.encode("utf-8", "surrogateescape"))
        program.stdin.close()
        program.stdin = None
        return program

    def text(self, program: str, **values: str) -> str:
        """What travels: the launcher with its values."""
        return text(JOB=self.library + program, **values)

    def call(self, program: str = "", **values: str) -> journal.Answer:
        """Call the launcher."""
        said = self.run(self.text(program, **values))
        answer = journal.parse(said, NONCE)
        assert answer.state != "cut", said
        return answer

    def read(self, path: str) -> str:
        """A file of the root."""
        return self.run(f"cat {shlex.quote(path)} 2>/dev/null")

    @property
    def trace(self) -> list[str]:
        """What the kinds have done."""
        return self.read("/var/trace").splitlines()

    def journal(self, phase: str = "commit", digest: str = DIGEST) -> str:
        """The journal as it is on the disk."""
        return self.read(f"{BASE}/jobs/{digest}/{phase}/journal")

    def kill(self, phase: str = "commit") -> None:
        """kill -9 of the performer, and of nothing else."""
        self.run(f"read -r pid rest <{BASE}/jobs/{DIGEST}/{phase}/pid && kill -9 $pid")

    def until(self, what: str, seconds: float = 30) -> None:
        """Wait until a test of the shell is true in the root."""
        end = time.monotonic() + seconds
        while "yes" not in self.run(f"if {what}; then echo yes; fi"):
            assert time.monotonic() < end, f"never true: {what}\n{self.journal()}\n{self.trace}"
            time.sleep(0.05)

    def power_cut(self) -> None:
        """All processes end at once; the disk stays, memory does not."""
        self.run("kill -9 -1", shell="/bin/bash")
        self.run("rm -rf /run/evict.kaspersky")
        self.boots += 1
        self.run(f"printf '%s\\n' 00000000-0000-4000-8000-00000000000{self.boots} >/run/boot_id")


@contextmanager
def staged(folder: Path, shell: str, prepare: str = "") -> Iterator[Host]:
    """A root whose /bin/sh is this shell."""
    way = unshare()
    if not way or os.geteuid() != 0:
        pytest.skip("needs root and mount namespaces: jobs in staged roots")
    stage = folder / "stage"
    stage.mkdir(parents=True)
    make = f"""ln -sf "$(command -v {shell})" /bin/sh
echo {MACHINE} >/etc/machine-id
echo 00000000-0000-4000-8000-000000000000 >/run/boot_id
mount --bind /run/boot_id /proc/sys/kernel/random/boot_id
{prepare or ":"}
: >/run/ready
"""
    holder = subprocess.Popen(
        [*way, "--pid", "--fork", "--kill-child", "sh", "-c", STAGE, stage, "yes", make, "/bin/bash", "-c", KEEP],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    host = Host(folder, shell, holder)
    try:
        host.pid = _inner(holder, stage)
        yield host
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait(timeout=20)


# Ends children that nobody waits for, as an init does.
KEEP = "trap : TERM; while :; do sleep 1000 & wait; done"


def _inner(holder: subprocess.Popen[bytes], stage: Path) -> int:
    """Pid, as we see it, of the process that keeps the root."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        assert holder.poll() is None, holder.stderr.read() if holder.stderr else ""
        children = Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text().split()
        for child in children:
            if Path(f"/proc/{child}/root/run/ready").exists() and os.path.realpath(f"/proc/{child}/root") != "/":
                return int(child)
        time.sleep(0.05)
    raise Gone


def words(*items: str) -> str:
    """A call of the program, quoted."""
    return shlex.join(items)


def step(
    id: str,
    kind: str,
    *args: str,
    on_fail: str = "continue",
    timeout: int = 60,
    condition: str = "always",
    of: str = "",
    secrets: Mapping[str, str] | None = None,
) -> str:
    """A step as job.py writes it."""
    jump = {"stop": "return 1", "cover": "return 2", "fallback": "return 3", "continue": ":"}[on_fail]
    marks = [f"{name}={secret}" for name, secret in (secrets or {}).items()]
    return f"{words('step', id, kind, str(timeout), on_fail, condition, of, *marks, '--', *args)} || {jump}"


def program(body: Sequence[str], *, section: str = "cover", phase: str = "commit", digest: str = DIGEST) -> str:
    """A job of one section."""
    begin = words("job_begin", "1", digest, "web1", MACHINE, phase)
    lines = "\n".join(f"  {line}" for line in body)
    return f"""{begin} || exit 1
section_{section}() {{
{lines}
  return 0
}}
job_enter {section}
section_{section}
came=$?
job_end "$came"
"""
