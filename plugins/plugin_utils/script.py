# SPDX-License-Identifier: GPL-3.0-or-later
"""The script of a POSIX hand, put together from its parts in probes/posix/."""

from __future__ import annotations

import typing as t
from pathlib import Path

OBSERVE: t.Final = ("frame.sh", "host.sh", "packages.sh", "programs.sh", "observe.sh")


def compose(folder: Path, parts: tuple[str, ...]) -> str:
    """One `main() { ... }` that is called on the last line, with its standard input closed.

    So a cut transfer runs nothing, and no child can eat the rest of the script, which usually is standard input.
    Comments and indentation stay at home: they would be half of what travels to each host.

    Args:
        folder: where the parts are.
        parts: their names, in order.
    """
    lines = ["main() {"]
    for name in parts:
        for line in (folder / name).read_text(encoding="utf-8").splitlines():
            text = line.strip()
            if text and not text.startswith("#"):
                lines.append(text)
    return "\n".join([*lines, "}", 'main "$@" </dev/null', ""])
