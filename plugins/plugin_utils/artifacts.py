# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that the controller is to send to hosts: are they there, of the hash that was named, and signed as asked for?

A file may be large and hosts many: what was found out of it is written down in the run folder, for this very file
(device, inode, size, times), so that it is read once a run and not once a host.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import typing as t
from pathlib import Path

from . import files
from .policy import Policy
from .provider import Source

MEMO: t.Final = "artifacts.jsonl"
_BLOCK: t.Final = 1 << 20
_SECONDS: t.Final = 60  # a verifier may take


def check(policy: Policy, folder: Path) -> dict[str, str]:
    """Look at the files the policy names.

    Args:
        policy: its sources of the method `file` are looked at; all others are fetched and checked by the host.
        folder: the run folder.

    Returns:
        `replacement` and `fallback` -> what is wrong, empty when nothing is; only for sources that are files here.
    """
    sources = {"replacement": policy.replacement_source, "fallback": policy.fallback_source}
    return {
        role: _checked(source, folder)
        for role, source in sources.items()
        if source is not None and source.method == "file"
    }


def _checked(source: Source, folder: Path) -> str:
    shown = files.shown(Path(source.location))
    try:
        info = os.stat(source.location)
    except OSError as exc:
        return f"{shown} on the controller cannot be read: {exc.strerror}"
    if not stat.S_ISREG(info.st_mode):
        return f"{shown} on the controller is not a plain file"
    times = (info.st_mtime_ns, info.st_ctime_ns)
    known = _once(folder / MEMO, json.dumps([source.location, info.st_dev, info.st_ino, info.st_size, *times]), source)
    if fault := known["fault"]:
        return f"{shown} on the controller: {fault}"
    if known["sha256"] != source.sha256:
        return f"{shown} on the controller has the SHA-256 {known['sha256']}, and {source.sha256} was named"
    return ""


def _once(path: Path, key: str, source: Source) -> dict[str, str]:
    """What is known of the file, from the notes of this run; they are locked: the first worker reads, the others wait.

    The notes only save time. Where they cannot be kept, as on a full disk, the file is read again.
    """
    key = json.dumps([key, source.signer])
    known: dict[str, str] | None = None
    try:
        fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    except OSError:
        return _read(source)
    try:
        with contextlib.suppress(OSError):  # no locks on this file system: a file is read more than once then
            fcntl.flock(fd, fcntl.LOCK_EX)
        with contextlib.suppress(OSError):
            known = _known(fd, key)
        if known is None:
            known = _read(source)
            with contextlib.suppress(OSError):
                size = os.fstat(fd).st_size
                # A killed worker, or a full disk, may have left half a line.
                cut = size > 0 and os.pread(fd, 1, size - 1) != b"\n"
                files.write_all(fd, b"\n" * cut + json.dumps({"key": key, **known}).encode() + b"\n")
    finally:
        os.close(fd)
    return known


def _known(fd: int, key: str) -> dict[str, str] | None:
    with open(fd, "rb", closefd=False) as memo:
        for line in memo:
            try:
                data = json.loads(line)
            except ValueError:
                continue  # the line a killed worker was writing
            if isinstance(data, dict) and data.get("key") == key:
                return {"sha256": str(data.get("sha256", "")), "fault": str(data.get("fault", ""))}
    return None


def _read(source: Source) -> dict[str, str]:
    whole = hashlib.sha256()
    try:
        with open(source.location, "rb") as stream:
            while block := stream.read(_BLOCK):
                whole.update(block)
    except OSError as exc:
        return {"sha256": "", "fault": f"it cannot be read: {exc.strerror}"}
    return {"sha256": whole.hexdigest(), "fault": _signature(source) if source.signer else ""}


def _signature(source: Source) -> str:
    """What is wrong with the signature the source asks for."""
    ending = Path(source.name or source.location).suffix.lower()
    if ending in (".msi", ".exe"):
        return _authenticode(source)
    if ending == ".rpm":
        return _rpm(source)
    return (
        f"a file of the kind {ending or 'without a suffix'} bears no signature of its own that could be checked: "
        "leave `signer` out, its hash decides"
    )


def _authenticode(source: Source) -> str:
    code, said = _ask("osslsigncode", "verify", "-in", source.location)
    if code is None:
        return said
    subjects = re.findall(r"Subject:\s*(.+)", said)
    if code != 0 and "Signature verification: ok" not in said:
        return "its signature does not verify"
    if not any(source.signer.lower() in subject.lower() for subject in subjects):
        return f"it is signed by {'; '.join(subjects) or 'nobody'}, and {source.signer} was named"
    return ""


def _rpm(source: Source) -> str:
    code, said = _ask("rpm", "-qp", "--qf", "%{RSAHEADER:pgpsig}|%{SIGPGP:pgpsig}|%{DSAHEADER:pgpsig}", source.location)
    if code is None:
        return said
    found = re.findall(r"Key ID ([0-9a-fA-F]{8,40})", said)
    wanted = re.sub(r"\s+", "", source.signer).lower()
    if not found:
        return "it bears no signature"
    if not any(wanted.endswith(key.lower()) for key in found):
        return f"it is signed with the key {', '.join(sorted(set(found)))}, and {source.signer} was named"
    code, said = _ask("rpm", "--checksig", source.location)
    if code is None:
        return said
    return "" if code == 0 else "its signature does not verify with the keys this controller trusts (rpm --import KEY)"


def _ask(program: str, *arguments: str) -> tuple[int | None, str]:
    """Exit code and output of a verifier; no code and the reason when it could not be asked."""
    if shutil.which(program) is None:
        return None, f"its signature cannot be checked: install {program} on the controller, or leave `signer` out"
    try:
        done = subprocess.run(
            [program, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            env={**os.environ, "LC_ALL": "C"},
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        return None, f"its signature cannot be checked: {program}: {exc}"
    return done.returncode, done.stdout + done.stderr
