# SPDX-License-Identifier: GPL-3.0-or-later
"""A small on-access scanner for tests: it really asks the kernel (fanotify) before files of one file system are opened.

``python scanner.py HOW MOUNT`` prints `ready` and works until it is ended. It knows the test file by its checksum and
says by HOW what it does with it: `read` (forbids to open it), `write` (forbids to create a file of such a name),
`moves` and `moves_beside` (takes it away, into a folder of the mount or into a name beside it), `late` (the same, two
seconds after it was closed), `empties` (takes out what it holds), `everything` (forbids all files), `misses`.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import struct
import sys
import time

SHA256 = "275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f"
OPEN_PERM, CLOSE_WRITE = 0x10000, 0x8
ALLOW, DENY = 1, 2
EVENT = struct.Struct("=IBBHQii")  # length, version, reserved, metadata length, mask, fd, pid


def held(path: str) -> str:
    """Checksum of a file, without asking ourselves."""
    with open(path, "rb") as stream:
        return hashlib.sha256(stream.read(4096)).hexdigest()


def watch(mount: str, how: str) -> int:
    """The kernel's file for our questions; content class, so that we are asked before a file is opened."""
    libc = ctypes.CDLL(None, use_errno=True)
    group = libc.fanotify_init(0x4, os.O_RDONLY | getattr(os, "O_LARGEFILE", 0))
    mask = CLOSE_WRITE if how in ("moves", "moves_beside", "late", "empties") else OPEN_PERM
    at = ctypes.c_int(-100)
    if group < 0 or libc.fanotify_mark(group, 0x1 | 0x100, ctypes.c_uint64(mask), at, mount.encode()) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return int(group)


def forbidden(how: str, fd: int, path: str) -> bool:
    """May this file not be opened?"""
    if how == "everything":
        return path.endswith(".com")
    if how == "write":
        return path.endswith("-test.com")
    return how == "read" and hashlib.sha256(os.pread(fd, 4096, 0)).hexdigest() == SHA256


def act(how: str, mount: str, path: str) -> None:
    """What is done with a file that was closed."""
    if how == "late":
        time.sleep(2)
    if not os.path.exists(path) or held(path) != SHA256:
        return
    if how == "empties":
        os.truncate(path, 0)
    elif how == "moves_beside":
        os.rename(path, f"{path}.infected")
    else:
        folder = os.path.join(mount, "quarantine")
        os.makedirs(folder, exist_ok=True)
        os.rename(path, os.path.join(folder, "1"))


def main(how: str, mount: str) -> None:
    """Answer until somebody ends us."""
    group, own = watch(mount, how), os.getpid()
    print("ready", flush=True)
    while True:
        data = os.read(group, 65536)
        while data:
            length, _version, _reserved, _meta, mask, fd, pid = EVENT.unpack_from(data)
            data = data[length:]
            path = os.readlink(f"/proc/self/fd/{fd}")
            if mask & OPEN_PERM:
                no = pid != own and forbidden(how, fd, path)
                os.write(group, struct.pack("=iI", fd, DENY if no else ALLOW))
            os.close(fd)
            if mask & CLOSE_WRITE and pid != own:
                act(how, mount, path)


if __name__ == "__main__":
    main(*sys.argv[1:])
