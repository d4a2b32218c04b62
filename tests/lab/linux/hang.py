# SPDX-License-Identifier: GPL-3.0-or-later
"""hang.py PID PATH: mount a FUSE file system that never answers, in the mount namespace of a process; ends when killed.

It stands for a dead NFS server: whoever looks at PATH waits, until it is killed.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time

NEWNS = 0x00020000


def main(pid: str, path: str) -> None:
    """Mount, then never read a request."""
    libc = ctypes.CDLL(None, use_errno=True)
    device = os.open("/dev/fuse", os.O_RDWR)
    space = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY)
    if libc.setns(space, NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "setns")
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
    if libc.mount(b"hang", path.encode(), b"fuse", 0, options) != 0:
        raise OSError(ctypes.get_errno(), "mount")
    print("mounted", flush=True)
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    main(*sys.argv[1:])
