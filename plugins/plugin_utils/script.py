# SPDX-License-Identifier: GPL-3.0-or-later
"""The script of a POSIX hand, put together from its parts in probes/posix/, and its values, in few bytes."""

from __future__ import annotations

import collections
import re
import shlex
import typing as t
from collections.abc import Mapping
from pathlib import Path

from .minify import minify

OBSERVE: t.Final = (
    "frame.sh",
    "tools.sh",
    "host.sh",
    "packages.sh",
    "programs.sh",
    "files.sh",
    "kernel.sh",
    "integration.sh",
    "context.sh",
    "observe.sh",
    "run.sh",
)
# What a plan needs to know besides, in the same script: an audit does not carry it.
_PREFLIGHT: t.Final = (
    "preflight.sh",
    "manager.sh",
    "preflight_packages.sh",
    "preflight_host.sh",
    "preflight_cover.sh",
    "perform_status.sh",
    "preflight_job.sh",
)
OBSERVE_PLAN: t.Final = (
    *OBSERVE[:-2],
    *_PREFLIGHT,
    "preflight_offers.sh",
    "preflight_egress.sh",
    "observe_plan.sh",
    "run.sh",
)
# The same for a replacement that brings nothing: no address and no package is asked for.
OBSERVE_PLAN_BARE: t.Final = (*OBSERVE[:-2], *_PREFLIGHT, "observe_plan.sh", "run.sh")
# A Mac gets a script of its own once it has said that it is one, so that the others need not carry it.
OBSERVE_MACOS: t.Final = (
    "frame.sh",
    "tools.sh",
    "files.sh",
    "macos.sh",
    "macos_products.sh",
    "observe_macos.sh",
    "run.sh",
)
# What starts a job on a host and follows it, and the library that a job calls, the parts of the frame first.
PERFORM: t.Final = ("tools.sh", "perform_status.sh", "perform.sh")
JOB: t.Final = (
    "tools.sh",
    "perform_status.sh",
    "perform_journal.sh",
    "perform_bounded.sh",
    "perform_frame.sh",
    "manager.sh",
    "perform_look.sh",
    "perform_why.sh",
    "perform_remove.sh",
    "perform_purge.sh",
    "perform_accounts.sh",
    "perform_units.sh",
    "perform_managers.sh",
    "perform_packages.sh",
    "perform_files.sh",
    "perform_programs.sh",
    "perform_edit.sh",
)
# The live detection test, and who asks the kernel before a file is opened.
PROVE: t.Final = ("frame.sh", "tools.sh", "kernel.sh", "manager.sh", "prove.sh", "run.sh")

_SHORT: t.Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"  # our scripts have no variable of one capital letter
_WORTH: t.Final = 16  # bytes that a letter must save
_SPECIAL: t.Final = re.compile(r'([$`"\\])')


def compose(folder: Path, parts: tuple[str, ...]) -> str:
    """One `main() { ... }` that is called on the last line, with its standard input closed.

    So a cut transfer runs nothing, and no child can eat the rest of the script, which usually is standard input.
    Comments and indentation stay at home: they would be half of what travels to each host.

    Args:
        folder: where the parts are.
        parts: their names, in order.
    """
    return f'main() {{\n{library(folder, parts)}}}\nmain "$@" </dev/null\n'


def library(folder: Path, parts: tuple[str, ...]) -> str:
    """The parts one after the other, to be put in front of a program; the launcher makes one function of both.

    Args:
        folder: where the parts are.
        parts: their names, in order.
    """
    return "".join(minify((folder / name).read_text(encoding="utf-8")) for name in parts)


def assignments(values: Mapping[str, str], prefix: str) -> str:
    """Shell text that sets one variable for each value, a line for each line of it.

    Beginnings and endings that many lines share go into variables of one letter first: the paths of a catalog then
    need half the bytes. A host expands them as it reads the text; there is nothing to unpack and no program to start.

    Args:
        values: name -> text; lines of it are what is shared.
        prefix: of the variables' names.
    """
    escaped = {name: [_SPECIAL.sub(r"\\\1", line) for line in text.split("\n")] for name, text in values.items()}
    texts = {name: list(lines) for name, lines in escaped.items()}
    letters = []
    for letter in _SHORT:
        best = _best([line for lines in texts.values() for line in lines])
        if not best:
            break
        letters.append(f'{letter}="{best}"\n')
        for lines in texts.values():
            lines[:] = [_shorter(line, best, letter) for line in lines]
    out = []
    for name, lines in texts.items():
        value = shlex.quote(values[name]) if lines == escaped[name] else '"' + "\n".join(lines) + '"'
        out.append(f"{prefix}{name}={value}\n")
    return "".join(letters + out)


def _best(lines: list[str]) -> str:
    """The beginning (up to a `/`) or the ending (from a `.`) that saves most bytes; empty when none saves any."""
    counts: collections.Counter[str] = collections.Counter()
    for line in lines:
        for at in range(1, len(line)):
            if line[at] == "/":
                counts[line[:at]] += 1
        dot = line.rfind(".")
        if dot > 0 and "/" not in line[dot:] and not line.startswith("$", dot - 2):
            counts[line[dot:]] += 1
    saved = {text: (len(text) - 2) * count - len(text) - 5 for text, count in counts.items() if len(text) > 3}
    best = max(saved, key=lambda text: (saved[text], text), default="")
    return best if saved.get(best, 0) >= _WORTH else ""


def _shorter(line: str, what: str, letter: str) -> str:
    if not what.startswith(".") and line.startswith(what + "/"):
        return f"${letter}{line[len(what) :]}"
    if what.startswith(".") and line.endswith(what) and len(line) > len(what):
        return f"{line[: -len(what)]}${letter}"
    return line
