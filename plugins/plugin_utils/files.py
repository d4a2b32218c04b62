# SPDX-License-Identifier: GPL-3.0-or-later
"""Private files and folders: 0600 and 0700 whatever the umask, never through a link, on disk before a call returns."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import typing as t
from collections.abc import Iterable
from pathlib import Path

ELSEWHERE: t.Final = "choose another folder with `--out DIR` (variable `evict_out`)"
_REMEDIES: t.Final[dict[int, str]] = {
    errno.EACCES: f"give the user who runs ansible-playbook the right to write there, or {ELSEWHERE}",
    errno.EPERM: f"give the user who runs ansible-playbook the right to write there, or {ELSEWHERE}",
    errno.ENOSPC: f"free space there, or {ELSEWHERE}; what was written before is kept",
    errno.EDQUOT: f"free space or raise the quota, or {ELSEWHERE}; what was written before is kept",
    errno.EFBIG: f"raise the limit on file sizes (`ulimit -f`), or {ELSEWHERE}; what was written before is kept",
    errno.EROFS: f"the file system is read-only; {ELSEWHERE}",
    errno.ELOOP: f"evidence is not written through links: remove the link, or {ELSEWHERE}",
    errno.ENOTDIR: f"a part of the path is no folder: remove it, or {ELSEWHERE}",
    errno.EISDIR: f"a folder stands where a file is needed: remove it, or {ELSEWHERE}",
    errno.ENAMETOOLONG: ELSEWHERE[0].upper() + ELSEWHERE[1:] + " with a shorter path",
}


class EvidenceError(Exception):
    """Evidence cannot be written or read; the text names the path, the cause and the remedy in one line."""


def shown(path: str | os.PathLike[str]) -> str:
    """A path for a message: control characters and undecodable bytes made visible."""
    text = os.fspath(path)
    return text if text.isprintable() else ascii(text)


def explain(doing: str, path: str | os.PathLike[str], exc: OSError) -> EvidenceError:
    """Turn an error of the system into a text with a remedy.

    Args:
        doing: what could not be done, such as `write evidence to`.
        path: where.
        exc: the error.
    """
    cause = exc.strerror or str(exc)
    remedy = _REMEDIES.get(exc.errno or 0, ELSEWHERE[0].upper() + ELSEWHERE[1:])
    return EvidenceError(f"cannot {doing} {shown(path)}: {cause}; {remedy}")


def open_private(path: Path, *, exclusive: bool = False) -> tuple[int, bool]:
    """Open a file of ours for reading and appending; it is made with 0600 when it is missing.

    Args:
        path: the file; its folder must be there.
        exclusive: the file must not be there yet.

    Returns:
        The descriptor and whether the file was made now.

    Raises:
        EvidenceError: no right, no room, a link, not a plain file, or somebody else's file.
    """
    flags = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
    made = False
    try:
        try:
            if exclusive:
                raise FileNotFoundError(errno.ENOENT, "to be made", path)
            fd = os.open(path, flags)
        except FileNotFoundError:
            try:
                fd, made = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600), True
            except FileExistsError:
                if exclusive:
                    raise
                fd = os.open(path, flags)  # somebody else of this run was faster
    except FileExistsError:
        raise
    except OSError as exc:
        raise explain("write evidence to", path, exc) from exc
    try:
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode):
            raise EvidenceError(
                f"cannot write evidence to {shown(path)}: it is not a plain file; remove it, or {ELSEWHERE}"
            )
        if info.st_uid != os.geteuid():
            raise EvidenceError(
                f"cannot write evidence to {shown(path)}: "
                f"it belongs to user id {info.st_uid}, not to {os.geteuid()}; {ELSEWHERE}"
            )
        if info.st_nlink > 1:
            raise EvidenceError(
                f"cannot write evidence to {shown(path)}: the file has a second name (hard link); {ELSEWHERE}"
            )
        if stat.S_IMODE(info.st_mode) != 0o600:
            os.fchmod(fd, 0o600)  # a strict umask may have taken the owner's own rights
    except OSError as exc:
        os.close(fd)
        raise explain("write evidence to", path, exc) from exc
    except EvidenceError:
        os.close(fd)
        raise
    return fd, made


def write_all(fd: int, data: bytes) -> None:
    """Write all bytes, however many calls that takes.

    Raises:
        OSError: as the system says; a part may have been written.
    """
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable. File systems that cannot sync a folder are let be."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):
            os.fsync(fd)
    finally:
        os.close(fd)


def make_folder(path: Path, *, parents: bool = True) -> None:
    """Make a folder and its missing parents, each with 0700. One that is there is left as it is.

    Args:
        path: the folder.
        parents: make missing parents, too. Off where a missing one means that somebody took it away.

    Raises:
        EvidenceError: it cannot be made, or it is a link.
    """
    missing = []
    at = path
    while not os.path.lexists(at):
        missing.append(at)
        if not parents or at.parent == at:
            break
        at = at.parent
    try:
        for folder in reversed(missing):
            with contextlib.suppress(FileExistsError):
                os.mkdir(folder, 0o700)
                os.chmod(folder, 0o700)
                sync_folder(folder.parent)
        if path.is_symlink():
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        if not path.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
    except OSError as exc:
        raise explain("make the folder", path, exc) from exc


def replace(path: Path, data: bytes | Iterable[bytes]) -> None:
    """Write a whole file so that a reader sees the old one or the new one, never a part.

    Args:
        path: the file.
        data: its content, at once or in pieces.

    Raises:
        EvidenceError: it cannot be written; an older file of that name is kept.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.fchmod(fd, 0o600)
            for piece in (data,) if isinstance(data, bytes) else data:
                write_all(fd, piece)
            os.fsync(fd)
        finally:
            os.close(fd)
        os.replace(temporary, path)
        sync_folder(path.parent)
    except BaseException as exc:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        if not isinstance(exc, OSError):
            raise
        raise explain("write", path, exc) from exc
