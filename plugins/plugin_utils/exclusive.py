# SPDX-License-Identifier: GPL-3.0-or-later
"""One host of an exclusive group at a time, across the workers of a run, also where workers are killed.

The lock is the kernel's (`flock`) and ends with the process that holds it. What happened is appended to the locked
file: a host that began and did not end was left in the middle, and then no other host of its group is touched.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import time
import typing as t
from collections.abc import Callable, Iterator
from pathlib import Path

from . import canonical, evidence, files
from .files import EvidenceError
from .hostfile import file_name
from .verdict import Verdict

REASON: t.Final = "exclusive_group_failed"
FOLDER: t.Final = "exclusive"
_PAUSE: t.Final = 0.5
_LIMIT: t.Final = 4 * 1024 * 1024  # bytes of such a file that are read
_BROKE_OFF: t.Final = "the run broke off while it was changed"
# With these verdicts a host is on duty again, or was not touched.
_FINE: t.Final = frozenset(
    {
        Verdict.REPLACED,
        Verdict.REPLACED_UNPROVED,
        Verdict.REMOVED_UNPROTECTED,
        Verdict.NOTHING_TO_DO,
        Verdict.EXCEPTED,
        Verdict.BLOCKED,
        Verdict.REBOOT_PENDING,
    }
)


class GroupFailed(Exception):
    """Another host of the group failed, so this one is left as it is; the text says which and why."""


@dataclasses.dataclass
class Turn:
    """The time in which a host has its group to itself.

    Attributes:
        group, host: whose.
        failure: set it to say that the host must not be followed by another one; empty for success.
    """

    group: str
    host: str
    failure: str = ""


@contextlib.contextmanager
def held(
    folder: Path, group: str, host: str, *, waiting: Callable[[str], None] | None = None, patience: float = 86_400
) -> Iterator[Turn]:
    """Wait for the turn of a host, and keep all others of its group out until the block ends.

    Args:
        folder: the run folder.
        group: `evict_exclusive_group` of the host; empty for none, which waits for nobody.
        host: inventory name.
        waiting: is told, once, what is waited for.
        patience: seconds to wait at most.

    Yields:
        The turn. An exception counts as a failure of the host, and so does the end of the process.

    Raises:
        GroupFailed: another host of the group failed in this run, or was left in the middle.
        EvidenceError: the file cannot be used, or the wait is over.
    """
    turn = Turn(group, host)
    if not group:
        yield turn
        return
    fd = _open(folder, group)
    try:
        _wait(fd, group, waiting, patience)
        owner, failed = _read(fd, folder, group)
        if owner and owner != host:
            _say(fd, owner, "failed", _BROKE_OFF)
            failed[owner] = _BROKE_OFF
        failed.pop(host, None)  # its own next try is what may mend it
        if failed:
            raise GroupFailed(
                f"{REASON}: another host of the exclusive group {group} failed in this run: "
                + "; ".join(f"{name}: {why}" for name, why in failed.items())
            )
        _say(fd, host, "begin")
        try:
            yield turn
        except BaseException as exc:
            _say(fd, host, "failed", f"{type(exc).__name__} while it was changed")
            raise
        _say(fd, host, "failed" if turn.failure else "end", turn.failure)
    finally:
        os.close(fd)


def settle(folder: Path, group: str, host: str, verdict: Verdict) -> None:
    """Say what became of a host in the end: whether the next one of its group may be changed.

    Args:
        folder: the run folder.
        group: its exclusive group; empty for none.
        host: inventory name.
        verdict: of its final row.

    Raises:
        EvidenceError: the file cannot be used.
    """
    if not group:
        return
    fd = _open(folder, group)
    try:
        _wait(fd, group, None, 60)
        _say(fd, host, *(("end",) if verdict in _FINE else ("failed", str(verdict))))
    finally:
        os.close(fd)


def _open(folder: Path, group: str) -> int:
    files.make_folder(folder / FOLDER, parents=False)
    return files.open_private(folder / FOLDER / f"{file_name(group)}.jsonl")[0]


def _wait(fd: int, group: str, waiting: Callable[[str], None] | None, patience: float) -> None:
    until = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            pass
        except OSError as exc:
            raise EvidenceError(
                f"cannot keep the hosts of the exclusive group {group} apart: {exc.strerror}; {files.ELSEWHERE}"
            ) from exc
        if time.monotonic() > until:
            raise EvidenceError(f"another host of the exclusive group {group} is still being changed: run again later")
        if waiting is not None:
            waiting(f"waiting for the other hosts of the exclusive group {group}")
            waiting = None
        time.sleep(_PAUSE)


def _read(fd: int, folder: Path, group: str) -> tuple[str, dict[str, str]]:
    """Who was left in the middle, and who failed why."""
    owner, failed = "", {}
    lines = os.pread(fd, _LIMIT, 0).split(b"\n")[:-1]  # what stands behind the last line end was not written whole
    for line in lines:
        try:
            said = json.loads(line)
            host, event, why = str(said["host"]), str(said["event"]), str(said["why"])
        except (ValueError, TypeError, KeyError, RecursionError) as exc:
            where = files.shown(folder / FOLDER / file_name(group))
            raise EvidenceError(f"{where} is not what this collection wrote; start a new run") from exc
        owner = host if event == "begin" else "" if host == owner else owner
        if event == "failed":
            failed[host] = why
        elif event == "end":
            failed.pop(host, None)
    return owner, failed


def _say(fd: int, host: str, event: str, why: str = "") -> None:
    data = canonical.dumps({"host": host, "event": event, "why": why, "time": evidence.now(), "pid": os.getpid()})
    try:
        # A line that a killed process left cut is closed first; it then counts as nothing.
        size = os.fstat(fd).st_size
        whole = not size or os.pread(fd, 1, size - 1) == b"\n"
        if not whole:
            os.ftruncate(fd, os.pread(fd, _LIMIT, 0).rfind(b"\n") + 1)
        files.write_all(fd, data + b"\n")
        os.fsync(fd)
    except OSError as exc:
        raise EvidenceError(f"cannot write down the turns of an exclusive group: {exc.strerror}") from exc
