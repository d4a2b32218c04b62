# SPDX-License-Identifier: GPL-3.0-or-later
"""The work tree as a fresh clone would have it, for tests that look at files or need a checkout of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def files(root: Path = ROOT) -> list[str]:
    """Paths of everything git knows or would add, links included, relative to ``root``."""
    listing = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        check=True,
    ).stdout.decode()
    # A file that was removed but not yet committed is still listed.
    return sorted({name for name in listing.split("\0") if name and os.path.lexists(root / name)})


def copy_to(target: Path) -> Path:
    """Copy the work tree to the new folder ``target``, links as links, and return it."""
    for name in files():
        to = target / name
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, to, follow_symlinks=False)
    return target


def clone_to(target: Path, *, scratch: Path) -> Path:
    """Make ``target`` a git clone of the work tree as it is now, uncommitted changes included; returns it."""
    copy_to(scratch)
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@example.invalid", "-c", "init.defaultBranch=main"]
    subprocess.run([*git, "init", "--quiet"], cwd=scratch, check=True)
    subprocess.run([*git, "add", "--all"], cwd=scratch, check=True)
    subprocess.run([*git, "commit", "--quiet", "--no-gpg-sign", "-m", "tree"], cwd=scratch, check=True)
    subprocess.run([*git, "clone", "--quiet", str(scratch), str(target)], check=True)
    return target
