# SPDX-License-Identifier: GPL-3.0-or-later
"""Paths of other machines as texts: nothing here touches a file system."""

from __future__ import annotations

import fnmatch
import re
import typing as t
from collections.abc import Iterable

# What a Windows path of the catalog may begin with; the host replaces it by its own folder.
WINDOWS_VARIABLES: t.Final = (
    "%ProgramFiles%",
    "%ProgramFiles(x86)%",
    "%ProgramData%",
    "%CommonProgramFiles%",
    "%CommonProgramFiles(x86)%",
    "%SystemRoot%",
    "%SystemDrive%",
)
# Folders of each user; in residue only, for a scan does not walk through the users.
USER_VARIABLES: t.Final = ("%LocalAppData%", "%AppData%")
_PROGRAM: t.Final = re.compile(
    r'\s*(?:"([^"]*)"|(.*?\.(?:exe|sys|com|dll|cmd|bat|scr))(?=\s|$)|(.*))', re.IGNORECASE | re.DOTALL
)


def posix_below(path: str, directory: str) -> bool:
    """Is `path` the directory itself or something below it?"""
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def windows_below(path: str, directory: str) -> bool:
    """Is `path` the directory itself or something below it, whatever the case?"""
    path, directory = path.lower(), directory.lower().rstrip("\\")
    return path == directory or path.startswith(directory + "\\")


def holds(pieces: Iterable[str], *places: str) -> bool:
    """Does one of the places hold one of the path pieces, whatever the case and the kind of slash?"""
    lowered = [place.lower().replace("/", "\\") for place in places]
    return any(piece.lower() in place for piece in pieces for place in lowered)


def program(command: str) -> str:
    """The lower-case file name of the program that a command line or image path starts; empty when there is none."""
    match = _PROGRAM.match(command)
    if match is None:
        return ""
    path = next((group for group in match.groups() if group), "")
    return re.split(r"[\\/]", path.strip())[-1].lower()


def reaches(outer: str, inner: str, platform: str) -> bool:
    """Can `inner` be `outer` or lie below it, whatever their wildcards stand for?"""
    one, two = parts(outer, platform), parts(inner, platform)
    return len(two) >= len(one) and all(map(_may_equal, one, two))


def parts(path: str, platform: str) -> list[str]:
    """The parts of a path or a registry key, in lower case on Windows."""
    if platform == "windows":
        return [part for part in re.split(r"[\\/]", path.lower()) if part]
    return [part for part in path.split("/") if part]


def _may_equal(one: str, two: str) -> bool:
    """Can two parts of a path be the same? With wildcards on both sides, when their fixed ends do not contradict."""
    if fnmatch.fnmatchcase(one, two) or fnmatch.fnmatchcase(two, one):
        return True
    if "*" not in one or "*" not in two:
        return False
    head = min(one.find("*"), two.find("*"))
    tail = min(len(one) - one.rfind("*"), len(two) - two.rfind("*")) - 1
    return one[:head] == two[:head] and (tail == 0 or one[-tail:] == two[-tail:])
