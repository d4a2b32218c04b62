# SPDX-License-Identifier: GPL-3.0-or-later
"""Run one of the collection's playbooks with ansible-playbook and hear from the callback what became of it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import typing as t
from collections.abc import Mapping, Sequence
from pathlib import Path

from ansible_collections.evict.kaspersky.plugins.plugin_utils import recorder
from ansible_collections.evict.kaspersky.plugins.plugin_utils.recorder import STATUS_FD

from . import progress

CALLBACK: t.Final = "evict.kaspersky.rows"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How ansible-playbook ended.

    Attributes:
        code: its own exit code, which hides failures and is for messages only.
        folder: the run folder; None when the run was refused before its first play or had no folder.
        fault: why evidence is missing or not complete; empty when it is.
        ended: the callback came to its end and has shown the rows.
        refused: hosts that were not asked, since their settings are wrong.
    """

    code: int
    folder: Path | None
    fault: str
    ended: bool
    refused: int = 0


def environment(args: Sequence[str]) -> dict[str, str]:
    """The environment of the run: our callback, and no inventory or pattern that silently loses hosts.

    Args:
        args: arguments for ansible-playbook; with `-v` the results of hosts are shown as well.
    """
    from ansible import constants

    callbacks = [str(name) for name in constants.CALLBACKS_ENABLED or () if name]
    # Our own collection first: a copy elsewhere on the path would be of another version than this command.
    collections = [str(Path(recorder.__file__).absolute().parents[5]), *map(str, constants.COLLECTIONS_PATHS or ())]
    found = {
        **os.environ,
        "ANSIBLE_CALLBACKS_ENABLED": ",".join(dict.fromkeys([*callbacks, CALLBACK])),
        "ANSIBLE_COLLECTIONS_PATH": os.pathsep.join(dict.fromkeys(collections)),
        "ANSIBLE_HOST_PATTERN_MISMATCH": "error",
        "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true",
    }
    found.pop("ANSIBLE_COLLECTIONS_PATHS", None)  # the old name of the same; its value is among ours
    if not any(arg.startswith("-v") or arg == "--verbose" for arg in args):
        found.setdefault("ANSIBLE_DISPLAY_OK_HOSTS", "false")
        found.setdefault("ANSIBLE_DISPLAY_SKIPPED_HOSTS", "false")
    return found


def run(
    playbook: str, args: Sequence[str], extra: Mapping[str, t.Any], more: Mapping[str, str] | None = None
) -> Outcome:
    """Run a playbook to its end. Signals are passed on, so that rows are written for an interrupted run, too.

    Args:
        playbook: FQCN.
        args: arguments of the user, unchanged; they come last and win.
        extra: our extra variables.
        more: variables of its environment.
    """
    reader, writer = os.pipe()
    # -P: a folder or file named ansible in the working folder is not the program.
    command = [sys.executable, "-P", "-m", "ansible", "playbook", playbook]
    if extra:
        command += ["-e", json.dumps(extra)]
    env = {**environment(args), **(more or {}), STATUS_FD: str(writer)}
    process = subprocess.Popen([*command, *args], env=env, pass_fds=(writer,))
    os.close(writer)
    said: list[bytes] = []
    with progress.Watch() as watch:
        listener = threading.Thread(target=_listen, args=(reader, said, watch), daemon=True)
        listener.start()
        code = _wait(process)
    # Workers that outlive a killed controller may hold the pipe open; what matters came before.
    listener.join(timeout=2)
    facts: dict[str, t.Any] = {}
    for line in b"".join(said).splitlines():
        try:
            facts.update(json.loads(line))
        except ValueError:
            continue  # the line a killed controller was writing
    folder = facts.get("folder")
    return Outcome(
        code=code,
        folder=Path(folder) if folder else None,
        fault=str(facts.get("fault") or ""),
        ended="ended" in facts,
        refused=int(facts.get("refused") or 0),
    )


def _listen(reader: int, said: list[bytes], watch: progress.Watch) -> None:
    rest = b""
    with open(reader, "rb", buffering=0) as stream:
        while block := stream.read(65_536):
            said.append(block)
            *lines, rest = (rest + block).split(b"\n")
            for line in lines:
                with contextlib.suppress(ValueError):
                    fact = json.loads(line)
                    if isinstance(fact, dict):
                        watch.hear(fact)


def _wait(process: subprocess.Popen[bytes]) -> int:
    """Wait, and survive the signals that end the child, so that what it left is reported."""

    def pass_on(number: int, frame: object) -> None:
        del frame
        if number != signal.SIGINT or not _terminal_told_all():
            process.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        return process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _terminal_told_all() -> bool:
    """Are we in the terminal's foreground group? Then its Ctrl-C went to the child as well; twice would kill it."""
    try:
        fd = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(fd)
