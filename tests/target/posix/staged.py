# SPDX-License-Identifier: GPL-3.0-or-later
"""A root file system of the test's own: this machine's as an overlay in a private mount namespace.

It is gone with its last process, and nothing is written outside memory and the test's folder. So the observer can be
shown broken databases, other init systems and hosts without a tool. Needs root, or user namespaces that may mount one.
"""

from __future__ import annotations

import functools
import os
import shlex
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import knowledge
from ansible_collections.evict.kaspersky.plugins.plugin_utils.catalog import LITERAL_KEYS

RELEASE = os.uname().release
PIECES = ["LYXNwZXJza3", "S2FzcGVyc2t5", "thc3BlcnNre"]  # "Kaspersky" at its three places in base64
NONCE = "evict-fedcba9876543210fedcba98"
KEYS = tuple(key.upper() for key in LITERAL_KEYS["linux"])
# The overlay's upper half must not lie below its lower half, hence the tmpfs.
# An `alone` one has processes of its own, too, so that nothing that runs on this machine is seen.
STAGE = """set -e
alone=$1; shift
mount -t tmpfs -o mode=755 evict "$0"
mkdir "$0/upper" "$0/work" "$0/root"
mount -t overlay -o "lowerdir=/,upperdir=$0/upper,workdir=$0/work" overlay "$0/root"
if [ "$alone" ]; then mount -t proc proc "$0/root/proc"; else mount --rbind /proc "$0/root/proc"; fi
mount --rbind /dev "$0/root/dev"
mount -t tmpfs -o mode=1777 tmp "$0/root/tmp"
mount -t tmpfs -o mode=755 run "$0/root/run"
rm -f "$0/root/.dockerenv"
cat >"$0/root/run/observe"
chmod 644 "$0/root/run/observe"
chroot "$0/root" /bin/sh -ec "$1"
shift
exec chroot "$0/root" "$@" <"$0/root/run/observe"
"""


@functools.cache
def unshare() -> tuple[str, ...]:
    """How to come into a mount namespace here; empty when there is no way."""
    ways: list[tuple[str, ...]] = [("unshare", "--mount", "--propagation", "private")]
    if os.geteuid() != 0:
        ways = [("unshare", "--user", "--map-root-user", "--mount", "--propagation", "private")]
    test = "mount -t tmpfs x /mnt && mkdir /mnt/u /mnt/w"
    test += " && mount -t overlay -o lowerdir=/,upperdir=/mnt/u,workdir=/mnt/w x /mnt"
    for way in ways:
        try:
            done = subprocess.run([*way, "sh", "-c", test], capture_output=True, timeout=20, check=False)
        except FileNotFoundError:
            continue
        if done.returncode == 0:
            return way
    return ()


@dataclass(frozen=True)
class Answer:
    """One probe's answer as this file reads it: independently of the brain, so that two readings of the format meet."""

    status: str
    reason: str
    records: list[dict[str, str]] = field(default_factory=list)


def decode(raw: bytes, nonce: str) -> dict[str, Answer]:
    """Read a whole answer strictly, as docs/formats.md section 3 says; anything odd fails the test."""
    lines = [line for line in raw.decode("ascii", "surrogateescape").splitlines() if line.startswith(nonce + " ")]
    assert lines[0] == f"{nonce} B 1 posix"
    assert lines[-1] == f"{nonce} E {len(lines) - 1}"
    records: dict[str, list[dict[str, str]]] = {}
    answers: dict[str, Answer] = {}
    for line in lines[1:-1]:
        assert len(line) < 4096
        _, kind, probe, *rest = line.split(" ")
        if kind == "R":
            assert probe not in answers, "a record after its probe's answer"
            records.setdefault(probe, []).append(dict(map(_field, rest)))
        else:
            assert kind == "P"
            status, *rest = rest
            assert status in ("ok", "absent", "unknown")
            answers[probe] = Answer(status, dict(map(_field, rest))["reason"], records.get(probe, []))
    return answers


def _field(text: str) -> tuple[str, str]:
    mark = min(text.find(c) for c in "=:" if c in text)
    key, value = text[:mark], text[mark + 1 :]
    if text[mark] == "=":
        return key, value
    return key, bytes.fromhex(value).decode("utf-8", "surrogateescape")


def script(text: str | None = None, **values: str | list[str]) -> bytes:
    """What a host gets on standard input; `text`: another script than the one for Linux."""
    given: dict[str, str | list[str]] = {**dict.fromkeys(KEYS, ""), "NONCE": NONCE, "TIMEOUT": "20"}
    given |= {k.upper(): v for k, v in values.items()}
    texts = {k: v if isinstance(v, str) else "\n".join(v) for k, v in given.items()}
    return (
        "".join(f"EVICT_{k}={shlex.quote(v)}\n" for k, v in texts.items()) + (text or knowledge.OBSERVE_SH)
    ).encode()


def look(
    folder: Path,
    prepare: str = "",
    *,
    shell: tuple[str, ...] = ("/bin/sh",),
    user: bool = False,
    alone: bool = True,
    text: str | None = None,
    **values: str | list[str],
) -> dict[str, Answer]:
    """Run the observer in a root that `prepare` (a shell script, run in it with -e) has made what the test needs."""
    raw = raw_look(folder, prepare, shell=shell, user=user, alone=alone, text=text, **values)
    return decode(raw, NONCE)


def raw_look(
    folder: Path,
    prepare: str = "",
    *,
    shell: tuple[str, ...] = ("/bin/sh",),
    user: bool = False,
    alone: bool = True,
    text: str | None = None,
    **values: str | list[str],
) -> bytes:
    """As `look`, but what it printed; `user`: as somebody without privileges; `alone`: without other processes."""
    way = unshare()
    if not way:
        pytest.skip("no mount namespaces here: observe.sh in staged roots")
    drop: tuple[str, ...] = ()
    pids = ("--pid", "--fork", "--kill-child") if alone else ()
    if user:
        if os.geteuid() != 0:
            pytest.skip("needs root: observe.sh as another user in staged roots")
        drop = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--")
    stage = folder / "stage"
    stage.mkdir(exist_ok=True)
    done = subprocess.run(
        [*way, *pids, "sh", "-c", STAGE, stage, "yes" if alone else "", prepare or ":", *drop, *shell],
        input=script(text, **values),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == b""
    return done.stdout


def stanza(name: str, status: str, arch: str = "amd64", version: str = "Version: 12.1.0-1297\n") -> str:
    return (
        f"Package: {name}\nStatus: {status}\nMaintainer: x <x@example.org>\nArchitecture: {arch}\n{version}"
        "Description: x\n more text\n\n"
    )


STATES = {
    "kesl": ("install ok installed", "ii"),
    "kesl-gui": ("deinstall ok config-files", "rc"),
    "klnagent64": ("install ok half-configured", "iF"),
    "klms": ("install reinstreq half-installed", "iHR"),
    "kess": ("hold ok installed", "hi"),
    "kics": ("install ok unpacked", "iU"),
}


def database(*extra: str) -> str:
    """Shell text that writes a dpkg database with one package in each state."""
    text = "".join(stanza(name, status) for name, (status, _) in STATES.items()) + "".join(extra)
    return f"cat >/var/lib/dpkg/status <<'END'\n{text}END\nmkdir -p /var/lib/dpkg/info; : >/var/lib/dpkg/info/x.list\n"


STUB = """cat >/usr/sbin/{name} <<'END'
#!/bin/sh
{body}
END
chmod 755 /usr/sbin/{name}
"""


def stub(name: str, body: str) -> str:
    """Shell text that puts a program of ours into a staged root."""
    return STUB.format(name=name, body=body)
