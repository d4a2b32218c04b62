# SPDX-License-Identifier: GPL-3.0-or-later
"""One machine under two names, or two with one id, is changed under one name only: the first that comes to it.

The end of a run finds twins among its plans (`planned.Plans.settle`); this is for hosts that are changed before it.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from . import files
from .hostfile import file_name

FOLDER = "machines"


def claim(folder: Path, machine: str, host: str) -> str:
    """Take a machine for a host of this run; the first one gets it, whatever worker asks.

    Args:
        folder: the run folder.
        machine: id of the machine.
        host: inventory name.

    Returns:
        The host that has it; another one than `host` is a twin.

    Raises:
        EvidenceError: it cannot be written down.
    """
    place = folder / FOLDER
    files.make_folder(place, parents=False)
    taken = place / hashlib.sha256(machine.strip().lower().encode("utf-8", "replace")).hexdigest()
    mine = place / f".{file_name(host)}"
    files.replace(mine, host.encode("utf-8", "surrogateescape"))
    try:
        os.link(mine, taken)  # with its content, at once
    except FileExistsError:
        pass
    except OSError as exc:
        raise files.explain("write down the machine of a host", taken, exc) from exc
    finally:
        mine.unlink(missing_ok=True)
    try:
        return taken.read_bytes().decode("utf-8", "surrogateescape")
    except OSError as exc:
        raise files.explain("read the machine of a host", taken, exc) from exc
