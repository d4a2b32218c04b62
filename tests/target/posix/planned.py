# SPDX-License-Identifier: GPL-3.0-or-later
"""The script for a plan, run as a host gets it: on this machine, or in a staged root."""

from __future__ import annotations

import shlex
import subprocess
import typing as t
from pathlib import Path

from ansible_collections.evict.kaspersky.plugins.plugin_utils import knowledge
from ansible_collections.evict.kaspersky.plugins.plugin_utils.catalog import LITERAL_KEYS
from ansible_collections.evict.kaspersky.plugins.plugin_utils.preflight import KEYS
from tests.target.posix import staged
from tests.target.posix.staged import NONCE, Answer

SHELLS = {"dash": ["dash"], "bash": ["bash", "--posix"], "busybox": ["busybox", "sh"], "mksh": ["mksh"], "ksh": ["ksh"]}
NO_LITERALS = dict.fromkeys((*LITERAL_KEYS["linux"], *(f"preflight_{key}" for key in KEYS["linux"])), "")


def here(shell: list[str], *, moved: dict[str, str] | None = None, **values: str | list[str]) -> dict[str, Answer]:
    """On this machine; `moved` puts fixed places of the script elsewhere."""
    text = knowledge.OBSERVE_PLAN_SH
    for place, other in (moved or {}).items():
        assert place in text, place
        text = text.replace(place, other)
    given = {**NO_LITERALS, "nonce": NONCE, "timeout": "20", **{f"preflight_{k}": v for k, v in values.items()}}
    lines = {k.upper(): v if isinstance(v, str) else "\n".join(v) for k, v in given.items()}
    head = "".join(f"EVICT_{k}={shlex.quote(v)}\n" for k, v in lines.items())
    done = subprocess.run(shell, input=(head + text).encode(), capture_output=True, timeout=60, check=False)
    assert done.stderr == b""
    return staged.decode(done.stdout, NONCE)


def look(
    folder: Path,
    prepare: str = "",
    *,
    shell: tuple[str, ...] = ("/bin/sh",),
    user: bool = False,
    **values: str | list[str],
) -> dict[str, Answer]:
    """In a root that `prepare` has made what the test needs, see staged.look."""
    given: dict[str, t.Any] = {f"preflight_{k}": v for k, v in values.items()}
    return staged.look(folder, prepare, shell=shell, user=user, text=knowledge.OBSERVE_PLAN_SH, **given)
