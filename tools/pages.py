# SPDX-License-Identifier: GPL-3.0-or-later
"""What the makers of generated pages share."""

from __future__ import annotations

import sys
from pathlib import Path


def main(page: Path, text: str) -> int:
    """Write the page, or say with `--check` whether it is stale.

    Args:
        page: below docs/.
        text: what it is to hold.
    """
    name = f"docs/{page.name}"
    if "--check" in sys.argv[1:]:
        stale = not page.exists() or page.read_text(encoding="utf-8") != text
        print(f"{name} is stale: run make docs" if stale else f"{name} is up to date")
        return int(stale)
    page.write_text(text, encoding="utf-8")
    return 0
