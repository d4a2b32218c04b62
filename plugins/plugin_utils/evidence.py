# SPDX-License-Identifier: GPL-3.0-or-later
"""Evidence: append-only JSON lines, each carrying the digest of the line before.

A record counts from its line end on. A writer that is killed leaves at most one cut line at the end; every record
before it stays valid. The chain shows changes to all but the newest record; that one is covered by the manifest, and
the whole is *tamper-evident* only when the manifest is signed or kept elsewhere.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import errno
import hashlib
import json
import math
import os
import stat
import typing as t
from collections.abc import Mapping, Sequence
from pathlib import Path

from . import canonical, files
from .files import EvidenceError

__all__ = ["SCHEMA", "EvidenceError", "Log", "Record", "append", "append_all", "load", "now", "read", "verify"]

SCHEMA: t.Final = "evict.kaspersky/evidence/1"
_KEYS: t.Final = frozenset({"schema", "seq", "time", "run", "host", "event", "data", "prev"})
_DEPTH: t.Final = 60  # deeper nesting is cut when it cannot be written as it is
_BLOCK: t.Final = 65_536


@dataclasses.dataclass(frozen=True)
class Record:
    """One line of evidence; `digest` is the SHA-256 of the line without its line end."""

    seq: int
    time: str
    run: str
    host: str | None
    event: str
    data: Mapping[str, t.Any]
    prev: str | None
    digest: str


@dataclasses.dataclass(frozen=True)
class Log:
    """A file of evidence as it was read.

    Attributes:
        path: the file.
        records: every record that could be read.
        problems: what is wrong, one text each, with the line's number; empty when the chain is whole.
        cut: bytes after the last line end: what a killed writer left; no problem by itself.
        head: digest of the last line, None in an empty file.
        size: bytes of the file.
        sha256: digest of the whole file.
    """

    path: Path
    records: tuple[Record, ...]
    problems: tuple[str, ...]
    cut: int
    head: str | None
    size: int
    sha256: str


def now() -> str:
    """The time in UTC, always 27 characters, so that texts sort as times do."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def append(
    path: Path, event: str, data: Mapping[str, t.Any], *, run: str, host: str | None = None, exclusive: bool = False
) -> Record:
    """Append one record and see it onto the disk; see `append_all`.

    Args:
        event: name of the event.
        data: what happened.
        path, run, host, exclusive: as for `append_all`.
    """
    return append_all(path, [(event, data)], run=run, host=host, exclusive=exclusive)[0]


def append_all(
    path: Path,
    events: Sequence[tuple[str, Mapping[str, t.Any]]],
    *,
    run: str,
    host: str | None = None,
    exclusive: bool = False,
) -> tuple[Record, ...]:
    """Append records and see them onto the disk, all at once: a reader never finds one of them without those before it.

    Args:
        path: the file; made with 0600 when missing.
        events: name of each event, and what happened. Anything JSON cannot carry (bytes, not-a-number, foreign objects)
            is written as text, so that no answer of a host can stop its own record.
        run: id of the run.
        host: inventory name, None in the log of the run itself.
        exclusive: the file must not be there yet.

    Returns:
        The records as written.

    Raises:
        EvidenceError: they cannot be written; the file then ends as before.
        FileExistsError: `exclusive` and the file is there.
    """
    fd, made = files.open_private(path, exclusive=exclusive)
    try:
        start = 0
        try:
            start, line = _last_line(fd)
            seq, prev = 1, None
            if line is not None:
                last, fault = _parse(line)
                if last is None:
                    raise EvidenceError(
                        f"cannot continue the evidence in {files.shown(path)}: its last line is {fault}; "
                        "keep the file and start a new run"
                    )
                seq, prev = last.seq + 1, last.digest
            written: list[Record] = []
            lines = b""
            for event, data in events:
                body = {
                    "schema": SCHEMA,
                    "seq": seq + len(written),
                    "time": now(),
                    "run": run,
                    "host": host,
                    "event": event,
                    "data": data,
                    "prev": written[-1].digest if written else prev,
                }
                raw, record = _line(body)
                lines += raw + b"\n"
                written.append(record)
            if os.fstat(fd).st_size > start:
                os.ftruncate(fd, start)  # a cut line was never acknowledged to anybody
            files.write_all(fd, lines)
            os.fsync(fd)
            if made:
                files.sync_folder(path.parent)
        except OSError as exc:
            with contextlib.suppress(OSError):
                if made:
                    os.unlink(path)
                else:
                    os.ftruncate(fd, start)
            raise files.explain("write evidence to", path, exc) from exc
    finally:
        os.close(fd)
    return tuple(written)


def load(path: Path) -> Log:
    """Read a file and check its chain, its numbering and the form of each record. Content never makes it fail.

    Raises:
        EvidenceError: the file cannot be opened, or is a link or no plain file.
    """
    records: list[Record] = []
    problems: list[str] = []
    whole = hashlib.sha256()
    cut = size = number = 0
    head: str | None = None
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY)
        with open(fd, "rb") as stream:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise EvidenceError(f"cannot read evidence from {files.shown(path)}: it is not a plain file")
            for number, raw in enumerate(stream, 1):
                whole.update(raw)
                size += len(raw)
                if not raw.endswith(b"\n"):
                    cut = len(raw)
                    break
                line = raw[:-1]
                record, fault = _parse(line)
                if record is None:
                    problems.append(f"line {number} is {fault}")
                else:
                    if record.seq != number:
                        problems.append(f"line {number} has the number {record.seq}: a line is missing, added or moved")
                    if record.prev != head:
                        problems.append(
                            f"line {number} does not follow the line before it: one was changed, added or removed"
                        )
                    if records and record.host != records[0].host:
                        problems.append(f"line {number} speaks of another host than line 1")
                    if records and record.run != records[0].run:
                        problems.append(f"line {number} is of another run than line 1")
                    records.append(record)
                head = canonical.sha256(line)
    except OSError as exc:
        cause = "it is a link" if exc.errno == errno.ELOOP else exc.strerror or str(exc)
        raise EvidenceError(f"cannot read evidence from {files.shown(path)}: {cause}") from exc
    return Log(path, tuple(records), tuple(problems), cut, head, size, whole.hexdigest())


def read(path: Path) -> list[Record]:
    """The records of a file; a cut last line and other faults are told by `verify`."""
    return list(load(path).records)


def verify(path: Path) -> Log:
    """The same as `load`: reading and checking are one pass."""
    return load(path)


def _last_line(fd: int) -> tuple[int, bytes | None]:
    """Where the last complete line ends (after its line end), and the line without it; None when there is none."""
    at = os.fstat(fd).st_size
    tail = b""
    while at > 0:
        step = min(_BLOCK, at)
        at -= step
        tail = os.pread(fd, step, at) + tail
        end = tail.rfind(b"\n")
        if end < 0:
            continue
        begin = tail.rfind(b"\n", 0, end)
        if begin >= 0 or at == 0:
            return at + end + 1, tail[begin + 1 : end]
    return 0, None


def _line(body: dict[str, t.Any]) -> tuple[bytes, Record]:
    """Canonical JSON of a record, made possible by force where its data cannot be written as it is, and read back."""
    try:
        raw = canonical.dumps(body)
    except canonical.CanonicalError:
        raw = b""
    # What cannot be read back as it is (nested too deep for the reader, keys that are no text) must not be written.
    record, _fault = _parse(raw)
    if record is None:
        raw = canonical.dumps(_plain(body, _DEPTH))
        record, fault = _parse(raw)
        if record is None:  # cannot happen; a test holds `_plain` and `_parse` together
            raise EvidenceError(f"cannot write a record of evidence: it would be {fault}")
    return raw, record


def _plain(value: object, depth: int) -> t.Any:
    """A value JSON can carry, as near to the given one as may be."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return int(value) if value.bit_length() <= 4096 else f"<a number of {value.bit_length()} bits>"
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).decode("utf-8", "surrogateescape")
    if depth <= 0:
        return "<nested too deep>"
    if isinstance(value, Mapping):
        return {k if k.__class__ is str else _text(k): _plain(v, depth - 1) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(v, depth - 1) for v in value]
    return _text(value)


def _text(value: object) -> str:
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).decode("utf-8", "surrogateescape")
    try:
        return str(value)
    except Exception:  # a foreign object may raise anything here; the record matters more
        return f"<{type(value).__name__}>"


def _parse(line: bytes) -> tuple[Record | None, str]:
    """A record and an empty text, or None and what the line is instead."""
    try:
        body = json.loads(line)
        is_canonical = canonical.dumps(body) == line
    except (ValueError, RecursionError):
        return None, "no JSON record"
    if not isinstance(body, dict) or set(body) != _KEYS:
        return None, "no evidence record (its keys are others)"
    if body["schema"] != SCHEMA:
        return None, f"of another schema ({ascii(body['schema'])[:80]})"
    if not is_canonical:
        return None, "not canonical JSON: something else than this collection wrote it"
    fits = (
        isinstance(body["seq"], int)
        and not isinstance(body["seq"], bool)
        and all(isinstance(body[key], str) for key in ("time", "run", "event"))
        and isinstance(body["data"], dict)
        and all(body[key] is None or isinstance(body[key], str) for key in ("host", "prev"))
    )
    if not fits:
        return None, "no evidence record (a value has the wrong type)"
    body.pop("schema")
    return Record(**body, digest=canonical.sha256(line)), ""
