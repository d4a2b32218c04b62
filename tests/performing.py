# SPDX-License-Identifier: GPL-3.0-or-later
"""One step on a host, performed as a job performs it: by the real hand; and what its journal says of it."""

from __future__ import annotations

import itertools
import shlex
import typing as t
from collections.abc import Mapping
from dataclasses import dataclass, field

from ansible_collections.evict.kaspersky.plugins.plugin_utils import script
from ansible_collections.evict.kaspersky.plugins.plugin_utils.minify import minify

from . import tree

NONCE = "evict-00112233445566778899aabb"
MACHINE = "MACHINE=$(cat /etc/machine-id)\n"
_numbers = itertools.count(1)
Value = str | list[str]


@dataclass(frozen=True)
class Ended:
    """What the journal says of the step.

    Attributes:
        status: done, already, skipped or failed.
        failure: class of the failure; empty when there is none.
        why: the failure for a reader.
        reboot: was a restart asked for?
        notes: key -> value.
    """

    status: str
    failure: str = ""
    why: str = ""
    reboot: bool = False
    notes: Mapping[str, str] = field(default_factory=dict)


def program(kind: str, timeout: int, args: Mapping[str, Value]) -> str:
    """A job of one step, as job.py would write it; `$MACHINE` is the host's."""
    words = [
        f"{name}={item}"
        for name, value in sorted(args.items())
        for item in ([value] if isinstance(value, str) else value)
    ]
    step = shlex.join(["step", "it", kind, str(timeout), "continue", "always", "", "--", *words])
    return f'job_begin 1 "$DIGEST" host "$MACHINE" commit || exit 1\njob_enter remove\n{step} || :\njob_end 0\n'


def call(kind: str, timeout: int, args: Mapping[str, Value]) -> str:
    """What a host's shell gets on standard input; each is a plan of its own."""
    folder = tree.ROOT / "probes" / "posix"
    job = "".join(minify((folder / name).read_text(encoding="utf-8")) for name in script.JOB)
    digest = f"{next(_numbers):064x}"
    job += f"MACHINE=$(cat /etc/machine-id) DIGEST={digest}\n{program(kind, timeout, args)}"
    values = {
        "NONCE": NONCE,
        "OP": "start",
        "PHASE": "commit",
        "DIGEST": digest,
        "HOST": "host",
        "RUN": "test",
        "SEAL": "0" * 64,
        "PLAN": '{"phase":"commit"}',
        "JOB": job,
        "SECRETS": "",
        "SENT": "",
        "WAIT": "900",
        "SINCE": "0",
    }
    head = "".join(f"EVICT_{name}={shlex.quote(value)}\n" for name, value in values.items())
    return f"{head}EVICT_MACHINE=$(cat /etc/machine-id)\n{script.compose(folder, script.PERFORM)}"


def read(answer: str) -> Ended:
    """The end of the one step; anything odd fails the test."""
    lines = [line.split(" ")[1:] for line in answer.splitlines() if line.startswith(NONCE + " ")]
    state = [_fields(line[1:]) for line in lines if line[0] == "S"]
    journal = [(line[1], _fields(line[2:])) for line in lines if line[0] == "J"]
    assert [s.get("state") for s in state] == ["ended"], answer
    (end,) = [fields for event, fields in journal if event == "end"]
    notes = {fields["key"]: fields["value"] for event, fields in journal if event == "note"}
    return Ended(end["status"], end.get("class", ""), end.get("why", ""), end.get("reboot") == "yes", notes)


def _fields(words: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for word in words:
        mark = min((word.find(c) for c in "=:" if c in word), default=-1)
        if mark > 0:
            value = word[mark + 1 :]
            found[word[:mark]] = value if word[mark] == "=" else bytes.fromhex(value).decode("utf-8", "surrogateescape")
    return found


class Runs(t.Protocol):
    """Anything that can run a shell script as root: a host of the lab, a staged root."""

    def __call__(self, text: str, /) -> str: ...


def perform(run: Runs, kind: str, args: Mapping[str, Value], *, timeout: int = 60) -> Ended:
    """Perform one step.

    Args:
        run: gives the text to a shell of the host, and returns what it printed.
        kind, args: of the step.
        timeout: seconds that it may take.
    """
    return read(run(call(kind, timeout, args)))
