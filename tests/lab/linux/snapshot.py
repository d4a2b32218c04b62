# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything on a host's file systems, and what changed between two looks.

    snapshot.take(Path("/proc/PID/root"))      of a running host, tmpfs mounts included, without touching it

A change that is expected stands in ``allowed_changes.txt``: a pattern and a reason a line. As a program,
``snapshot.py ROOT [MEMO]`` prints a snapshot as JSON; MEMO is a file that saves hashing what other hosts of the same
root have as well.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

ALLOWED = Path(__file__).with_name("allowed_changes.txt")
NOT_FILES = ("/proc", "/sys", "/dev")  # kernel interfaces, but for shared memory
LOOKED_AT = ("/dev/shm", "/dev/mqueue")
MODULES = "kernel-module:"
Snapshot = Mapping[str, str]


def take(root: Path, memo: dict[str, str] | None = None) -> dict[str, str]:
    """Path -> type, mode, owner, size, time of change, content (hash or link target) of everything below ``root``.

    Directories have no size, since that depends on the file system. Loaded kernel modules come as
    ``kernel-module:NAME``. A file that we may not read is an error of the test bed and raises.

    Args:
        root: of the host.
        memo: hashes by inode, size and times; gets those that are new. The kernel moves the time of change of an inode
            on with every write, so that no other content has the same.
    """
    memo = {} if memo is None else memo
    base = os.fspath(root).rstrip("/")
    found: dict[str, str] = {}
    for start in ("", *LOOKED_AT):
        _walk(base, start, found, memo)
    for line in Path("/proc/modules").read_text().splitlines() if Path("/proc/modules").exists() else ():
        found[MODULES + line.split()[0]] = "loaded"
    return found


def _walk(base: str, start: str, found: dict[str, str], memo: dict[str, str]) -> None:
    pending = [start]
    while pending:
        inner = pending.pop()
        if not os.path.isdir(base + inner + "/"):
            continue
        found[inner or "/"] = _describe(base + inner + "/", memo)
        with os.scandir(base + inner + "/") as entries:
            names = [entry.name for entry in entries]
        for name in names:
            path = f"{inner}/{name}"
            if path in NOT_FILES or path in found:
                continue
            try:
                found[path] = text = _describe(base + path, memo)
            except FileNotFoundError:
                continue  # gone since the folder was listed: sockets and locks come and go
            if text.startswith("dir "):
                pending.append(path)


def _describe(real: str, memo: dict[str, str]) -> str:
    info = os.lstat(real)
    kind = _kind(info.st_mode)
    facts = [kind, f"mode={stat.S_IMODE(info.st_mode):04o}", f"owner={info.st_uid}:{info.st_gid}"]
    facts.append(f"mtime={info.st_mtime_ns}")
    if kind == "link":
        facts.append(f"to={os.readlink(real)}")
    elif kind == "file":
        key = f"{info.st_ino} {info.st_size} {info.st_mtime_ns} {info.st_ctime_ns}"
        if key not in memo:
            memo[key] = _hash(real)
        facts += [f"size={info.st_size}", f"hash={memo[key]}"]
    elif kind in ("block", "char"):
        facts.append(f"device={os.major(info.st_rdev)}:{os.minor(info.st_rdev)}")
    return " ".join(facts)


def _kind(mode: int) -> str:
    kinds = {stat.S_IFDIR: "dir", stat.S_IFREG: "file", stat.S_IFLNK: "link", stat.S_IFSOCK: "socket"}
    kinds |= {stat.S_IFIFO: "pipe", stat.S_IFBLK: "block", stat.S_IFCHR: "char"}
    return kinds[stat.S_IFMT(mode)]


def _hash(real: str) -> str:
    with open(real, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


@dataclass(frozen=True)
class Change:
    """One path that differs: what it was and what it is, None where it was or is not."""

    path: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        if self.before is None:
            return f"new      {self.path} ({self.after})"
        if self.after is None:
            return f"gone     {self.path} (was {self.before})"
        was, now = set(self.before.split()), set(self.after.split())
        return f"changed  {self.path} ({' '.join(sorted(was - now))} -> {' '.join(sorted(now - was))})"


def diff(before: Snapshot, after: Snapshot) -> list[Change]:
    """All changes, by path."""
    paths = sorted(before.keys() | after.keys())
    return [Change(p, before.get(p), after.get(p)) for p in paths if before.get(p) != after.get(p)]


def allowed(file: Path = ALLOWED) -> dict[str, str]:
    """Pattern -> reason. ``*`` stays within one part of a path, ``**`` does not.

    Raises:
        ValueError: a line without a reason.
    """
    patterns = {}
    for number, line in enumerate(file.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        pattern, _, reason = line.strip().partition("  ")
        if not reason.strip():
            raise ValueError(f"{file.name}:{number}: a pattern, two blanks, a reason")
        patterns[pattern] = reason.strip()
    return patterns


def not_allowed(changes: Iterable[Change], patterns: Mapping[str, str] | None = None) -> list[Change]:
    """The changes that no pattern covers."""
    known = [_regex(pattern) for pattern in (allowed() if patterns is None else patterns)]
    return [change for change in changes if not any(regex.fullmatch(change.path) for regex in known)]


def _regex(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"(\*\*|\*)", pattern)
    return re.compile("".join({"**": ".*", "*": "[^/]*"}.get(part, re.escape(part)) for part in parts))


def main(root: Path, memo: Path | None) -> None:
    """Print a snapshot, with a memo or without."""
    known: dict[str, str] = json.loads(memo.read_text()) if memo and memo.exists() else {}
    before = len(known)
    json.dump(take(root, known), sys.stdout)
    if memo and len(known) > before:
        fresh = memo.with_name(f"{memo.name}.{os.getpid()}")
        fresh.write_text(json.dumps(known))
        fresh.replace(memo)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
