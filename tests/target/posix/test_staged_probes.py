# SPDX-License-Identifier: GPL-3.0-or-later
"""All probes together, and those of context.sh, in staged roots (staged.py): real files, real tools."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils.observation import PROBES
from tests.target.posix.staged import NONCE, PIECES, RELEASE, decode, look, raw_look, script, stub


def test_each_probe_answers_exactly_once(target_shell: tuple[str, ...], tmp_path: Path) -> None:
    everything = {
        key: ["x/*" if key == "line_files" else "abc"]
        for key in ("modules", "chains", "trust", "line_files", "line_texts", "images", "exe_dirs", "paths", "units")
    }
    raw = raw_look(tmp_path, shell=target_shell, **everything)  # type: ignore[arg-type]  # all of them are literals
    answered = re.findall(rb"^%s P (\S+) " % NONCE.encode(), raw, re.MULTILINE)
    assert sorted(answered) == sorted(name.encode() for name in PROBES["linux"])


HOLD = """import ctypes, os, sys, time
libc = ctypes.CDLL(None, use_errno=True)
group = libc.fanotify_init(4, 0)  # FAN_CLASS_CONTENT
mask = ctypes.c_uint64(int(sys.argv[2], 16))
assert libc.fanotify_mark(group, 1, mask, -100, sys.argv[1].encode()) == 0, os.strerror(ctypes.get_errno())
print("ready", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(("mask", "mode"), [("10000", "permission"), ("20", "notify")])
def test_who_watches_files(shell_words: tuple[str, ...], tmp_path: Path, mask: str, mode: str) -> None:
    """A real holder of a fanotify group, asked for permission (FAN_OPEN_PERM) or told (FAN_OPEN)."""
    libc = ctypes.CDLL(None)
    if os.geteuid() != 0 or not hasattr(libc, "fanotify_init") or libc.fanotify_init(4, 0) < 0:
        pytest.skip("needs root and a kernel with fanotify: who watches files")
    mark = tmp_path / "mark"
    mark.write_text("")
    process = subprocess.Popen([sys.executable, "-c", HOLD, mark, mask], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        raw = subprocess.run([*shell_words], input=script(), capture_output=True, check=True)
        seen = [r for r in decode(raw.stdout, NONCE)["protection"].records if r["pid"] == str(process.pid)]
        exe = os.path.realpath(sys.executable)
        assert [(r["kind"], r["mode"], r["marks"], r["root"], r["exe"]) for r in seen] == [
            ("fanotify", mode, "1", "same", exe)
        ]
    finally:
        process.kill()
        process.wait()


@pytest.fixture(params=["dash", "bash --posix", "busybox sh", "mksh", "ksh"])
def shell_words(request: pytest.FixtureRequest) -> tuple[str, ...]:
    words = tuple(str(request.param).split())
    if shutil.which(words[0]) is None:
        pytest.skip(f"no {words[0]} on this machine: observe.sh in it")
    return words


def test_ordinary_users_cannot_tell_who_watches(tmp_path: Path) -> None:
    seen = look(tmp_path, user=True)["protection"]
    assert (seen.status, "become" in seen.reason) == ("unknown", True)


TALK = """import socket, sys, time
a = socket.create_connection((sys.argv[1], int(sys.argv[2])))
print("ready", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_peers(shell_words: tuple[str, ...], tmp_path: Path, address: str) -> None:
    """A real connection of a process below the products' folder, and of one that lies elsewhere."""
    folder = tmp_path / "opt"
    folder.mkdir()
    program = folder / "klnagent"
    shutil.copy(os.path.realpath(sys.executable), program)
    try:
        server = socket.create_server(
            ("127.0.0.1" if "." in address else address, 0),
            family=socket.AF_INET if "." in address else socket.AF_INET6,
        )
    except OSError:
        pytest.skip("no IPv6 on this machine: its peers")
    port = server.getsockname()[1]
    environment = {**os.environ, "PYTHONHOME": sys.base_prefix}
    ours = subprocess.Popen(
        [program, "-c", TALK, address, str(port)], stdout=subprocess.PIPE, text=True, env=environment
    )
    others = subprocess.Popen([sys.executable, "-c", TALK, address, str(port)], stdout=subprocess.PIPE, text=True)
    try:
        for process in (ours, others):
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        raw = subprocess.run([*shell_words], input=script(exe_dirs=[str(folder)]), capture_output=True, check=True)
        seen = decode(raw.stdout, NONCE)["peers"]
        expected = "0000:0000:0000:0000:0000:0000:0000:0001" if address == "::1" else "127.0.0.1"
        assert [(r["pid"], r["exe"], r["remote"], r["port"]) for r in seen.records] == [
            (str(ours.pid), str(program), expected, str(port))
        ], seen
    finally:
        for process in (ours, others):
            process.kill()
            process.wait()
        server.close()


REBOOTS = [
    (
        ": >/run/reboot-required; printf 'linux-image\\ndbus\\ndbus\\n' >/run/reboot-required.pkgs",
        "required-file packages",
    ),
    (": >/run/reboot-needed", "required-file"),
    ("rm -rf /lib/modules; mkdir -p /lib/modules/1.2.3; : >/lib/modules/1.2.3/modules.dep", "kernel-gone"),
    (f"mkdir -p /lib/modules/1.2 /lib/modules/{RELEASE}; : >/lib/modules/1.2/modules.dep", ""),
]


@pytest.mark.parametrize(("made", "causes"), REBOOTS)
def test_reboot(target_shell: tuple[str, ...], tmp_path: Path, made: str, causes: str) -> None:
    seen = look(tmp_path, made, shell=target_shell)
    found = [r["cause"] for r in seen["reboot"].records]
    if seen["host"].records[0]["container"]:  # the kernel of a container is not its own, and a staged root is a chroot
        causes = causes.replace("kernel-gone", "")
    assert found == causes.split()
    assert {r["detail"] for r in seen["reboot"].records if r["cause"] == "packages"} <= {"linux-image,dbus"}


def test_what_an_ordinary_user_may_not_read(target_shell: tuple[str, ...], tmp_path: Path) -> None:
    made = """mkdir -p /var/spool/cron/crontabs /usr/local/share/ca-certificates /var/lib/docker/containers
echo kaspersky >/var/spool/cron/crontabs/root; chmod 1730 /var/spool/cron/crontabs
echo x >/usr/local/share/ca-certificates/a.crt; chmod 600 /usr/local/share/ca-certificates/a.crt
chmod 710 /var/lib/docker
"""
    seen = look(
        tmp_path,
        made,
        shell=target_shell,
        user=True,
        line_files=["/var/spool/cron/crontabs/*"],
        line_texts=["kaspersky"],
        trust=PIECES,
        images=["kesl"],
    )
    for probe in ("lines", "trust", "containers"):
        assert seen[probe].status == "unknown", (probe, seen[probe])
        assert "become" in seen[probe].reason, (probe, seen[probe])


@pytest.mark.parametrize(
    ("tool", "blamed"), [("grep", {"modules", "trust", "lines", "protection"}), ("tr", {"trust"}), ("ls", {"lines"})]
)
def test_a_missing_tool_is_unknown(tmp_path: Path, tool: str, blamed: set[str]) -> None:
    made = f"for f in $(command -v -- {tool}) /bin/{tool}; do rm -f $f; done"
    values = {"modules": ["x"], "trust": PIECES, "line_files": ["/etc/passwd"], "line_texts": ["zzz"]}
    seen = look(tmp_path, made, **values)  # type: ignore[arg-type]  # all of them are literals
    for probe in blamed:
        assert (seen[probe].status, f"{tool} is missing" in seen[probe].reason) == ("unknown", True), seen[probe]


def test_a_program_that_hangs_is_named(target_shell: tuple[str, ...], tmp_path: Path) -> None:
    made = "mount -t tmpfs x /sys; mkdir -p /sys/module/nf_tables; rm -f /usr/sbin/nft\n" + stub("nft", "sleep 60")
    seen = look(tmp_path, made, shell=target_shell, chains=["kesl_bypass"], timeout="2")
    assert (seen["firewall"].status, seen["firewall"].reason) == ("unknown", "nft did not answer in 2 s")
    assert seen["reboot"].status == "absent"
