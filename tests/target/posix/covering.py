# SPDX-License-Identifier: GPL-3.0-or-later
"""One kind of step at a time with the least of a frame around it, on this machine or in a staged root."""

from __future__ import annotations

import shlex
import subprocess
import typing as t
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import tree
from tests.target.posix import staged

PROBES = tree.ROOT / "probes" / "posix"
PARTS = ("tools.sh", "perform_packages.sh", "perform_managers.sh", "perform_files.sh", "perform_programs.sh")
# What docs/formats.md promises to a kind, and nothing more. Notes are kept in a file instead of the journal.
FRAME = r"""
set +eu -f
PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
export PATH LC_ALL
umask 077
nl='
'
tab=$(printf '\t')
IFS=$nl
staging=$base/staging kept=$base/kept j_letter=$base/letter
mkdir -p "$staging" "$kept"
has() { command -v "$1" >/dev/null; }
bounded() {
  IFS=' ' read -r up _ </proc/uptime
  timeout -k 1 "$((deadline - ${up%%.*} > 0 ? deadline - ${up%%.*} : 1))" "$@" </dev/null >"$base/out" 2>&1
  code=$?
  said=$(tail -n 12 "$base/out") output=$base/out
  text=clobbered rest=clobbered row=clobbered blank=clobbered
  return "$code"
}
note() {
  mkdir -p "$base/notes/$id"
  printf %s "$2" >"$base/notes/$id/$1"
}
noted() {
  value=
  [ ! -e "$base/notes/$id/$1" ] || value=$(cat "$base/notes/$id/$1")
}
fail() {
  failed="$1$tab$2$tab$3"
  return 1
}
lines_of() { printf '%s\n' "$1"; }
IFS=' ' read -r up _ </proc/uptime
IFS=$nl
deadline=$((${up%%.*} + seconds))
restart='' status='' failed=
"""


@dataclass(frozen=True)
class End:
    """How a kind ended.

    Attributes:
        status: `done`, `already`, or empty when it failed.
        code, why: the exit code of what it ran and the meaning, when it failed.
        name: the class of the failure.
        restart: was a restart asked for?
    """

    status: str
    name: str = ""
    code: str = ""
    why: str = ""
    restart: bool = False


def program(kind: str, base: Path, id: str, seconds: int, args: t.Mapping[str, str | t.Sequence[str]]) -> str:
    """The script that runs one kind and prints its end."""
    values = {name: value if isinstance(value, str) else "\n".join(value) for name, value in args.items()}
    known = ("manager", "packages", "proxy", "name", "folder", "signer", "location", "expects", "accepts", "owner")
    head = f"base={shlex.quote(str(base))} id={shlex.quote(id)} seconds={seconds}\n"
    given = "".join(f"a_{name}={shlex.quote(values.get(name, ''))}\n" for name in {*known, *values})
    parts = "".join((PROBES / name).read_text() for name in PARTS)
    tail = f'kind_{kind}\ngot=$?\nprintf "%s\\001%s\\001%s\\001%s" "$got" "$status" "$failed" "$restart"\n'
    return head + FRAME + parts + given + tail


def end(raw: bytes) -> End:
    """The end that such a script printed; anything else fails the test."""
    got, status, failed, restart = raw.decode().split("\x01")
    if got == "0":
        assert status in ("done", "already"), raw
        assert failed == ""
        return End(status, restart=restart == "yes")
    assert got == "1", raw
    assert failed, raw
    name, code, why = failed.split("\t", 2)
    return End("", name, code, why, restart == "yes")


def run(
    kind: str,
    base: Path,
    *,
    id: str = "stage.x.y",
    shell: t.Sequence[str] = ("/bin/sh",),
    seconds: int = 60,
    **args: str | t.Sequence[str],
) -> End:
    """On this machine; `base` stands for the host folder."""
    base.mkdir(exist_ok=True)
    script = program(kind, base, id, seconds, args)
    done = subprocess.run([*shell], input=script.encode(), capture_output=True, timeout=seconds + 60, check=False)
    assert done.stderr == b""
    return end(done.stdout)


def call(
    kind: str,
    base: Path,
    *,
    id: str = "stage.x.y",
    shell: t.Sequence[str] = ("/bin/sh",),
    seconds: int = 120,
    **args: str | t.Sequence[str],
) -> str:
    """Shell text for `within` that performs a step; what it prints begins with a byte 2."""
    script = program(kind, base, id, seconds, args)
    return f"printf '\\002'\n{shlex.join(shell)} -c {shlex.quote(script)}\n"


def within(folder: Path, script: str, *, shell: t.Sequence[str] = ("/bin/sh",)) -> str:
    """A shell script in a root of its own that is this machine's, in memory (staged.py); what it printed."""
    way = staged.unshare()
    if not way:
        pytest.skip("no mount namespaces here: kinds of steps in staged roots")
    stage = folder / "stage"
    stage.mkdir(exist_ok=True)
    done = subprocess.run(
        [*way, "sh", "-c", staged.STAGE, str(stage), "", ":", *shell],
        input=script.encode(),
        capture_output=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, (done.stdout, done.stderr)
    return done.stdout.decode()
