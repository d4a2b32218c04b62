# SPDX-License-Identifier: GPL-3.0-or-later
"""The plans of a run: one file a host below `plans/` of the run folder. `scan` writes, `perform` and reports read."""

from __future__ import annotations

import errno
import json
import os
import stat
import typing as t
from pathlib import Path

from . import canonical, files
from .files import EvidenceError
from .hostfile import file_name
from .plan import Plan, PlanError

FOLDER: t.Final = "plans"
_LIMIT: t.Final = 16 * 1024 * 1024  # bytes; the longest plan of the catalog needs a hundredth of it
_AGAIN: t.Final = "make a new plan: run `evict.kaspersky.scan` with `plan: true`, or `evict plan`"


def path(folder: Path, host: str) -> Path:
    """Where the plan of a host lies.

    Args:
        folder: the run folder.
        host: inventory name.
    """
    return folder / FOLDER / f"{file_name(host)}.json"


def write(folder: Path, plan: Plan) -> Path:
    """Write the plan of a host; an older one of the same host is replaced at once or not at all.

    Args:
        folder: the run folder, which must be there.
        plan: the plan.

    Returns:
        The file: canonical JSON and a line end, 0600 in a folder with 0700.

    Raises:
        EvidenceError: it cannot be written.
    """
    where = path(folder, plan.host)
    files.make_folder(where.parent, parents=False)
    files.replace(where, canonical.dumps(plan.to_dict()) + b"\n")
    return where


def read(folder: Path, host: str) -> Plan:
    """Read the plan of a host.

    Args:
        folder: the run folder.
        host: inventory name.

    Raises:
        EvidenceError: there is none, it cannot be read, it was changed since it was made, or it is another host's.
    """
    where = path(folder, host)
    raw = _load(where)
    try:
        plan = Plan.from_dict(json.loads(raw))
        # The digest covers what a host would see; this covers the rest of the form: no other keys, no other spelling.
        if canonical.dumps(plan.to_dict()) + b"\n" != raw:
            raise PlanError("it is not written as this version writes plans: something else wrote it")
        if plan.host != host:
            raise PlanError(f"it is that of the host {plan.host!r}")
    except (ValueError, RecursionError) as exc:  # PlanError is a ValueError, and so is what json raises
        raise EvidenceError(f"cannot use the plan in {files.shown(where)}: {exc}; {_AGAIN}") from exc
    return plan


def _load(where: Path) -> bytes:
    try:
        fd = os.open(where, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY)
        with open(fd, "rb") as stream:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise EvidenceError(f"cannot read the plan in {files.shown(where)}: it is not a plain file; {_AGAIN}")
            raw = stream.read(_LIMIT + 1)
    except OSError as exc:
        cause = "it is a link" if exc.errno == errno.ELOOP else exc.strerror or str(exc)
        raise EvidenceError(f"cannot read the plan in {files.shown(where)}: {cause}; {_AGAIN}") from exc
    if len(raw) > _LIMIT:
        raise EvidenceError(f"cannot read the plan in {files.shown(where)}: it is too large to be one; {_AGAIN}")
    return raw
