# SPDX-License-Identifier: GPL-3.0-or-later
"""Exclusions of a user: what they may name. What they may not cover is data, in catalog/exclusions.yml."""

from __future__ import annotations

import dataclasses
import functools
import re
import typing as t
from collections.abc import Mapping
from pathlib import Path

from . import catalog_form
from .policy_checks import Mistake, Refused, did_you_mean, kind_of, label, line, refused, structured, within
from .policy_types import Excluded, Exclusion

FILE: t.Final = "exclusions.yml"
DIRECTORY: t.Final = Path(__file__).parents[2] / "catalog"
KINDS: t.Final[tuple[Excluded, ...]] = t.get_args(Excluded)
_DRIVE: t.Final = re.compile(r"[A-Za-z]:")
_WILD: t.Final[Mapping[str, re.Pattern[str]]] = {"linux": re.compile(r"[*?\[\]]"), "windows": re.compile(r"[*?]")}


@dataclasses.dataclass(frozen=True)
class Guarded:
    """What no exclusion may cover.

    Attributes:
        folders: (platform, names of the path in lower case, also what is inside).
        extensions, processes: names in lower case; of programs without `.exe`.
    """

    folders: tuple[tuple[str, tuple[str, ...], bool], ...]
    extensions: frozenset[str]
    processes: frozenset[str]


@functools.cache
def guarded(directory: Path = DIRECTORY) -> Guarded:
    """Read catalog/exclusions.yml.

    Raises:
        Refused: the file of the collection is damaged; without it no exclusion can be judged.
    """
    path = directory / FILE
    try:
        data, mistake = catalog_form.parse(path.name, path.read_bytes())
        if mistake is None:
            return Guarded(
                tuple(
                    (group["platform"], _names(group["platform"], item), bool(group.get("inside", False)))
                    for group in data["folders"]
                    for item in group["paths"]
                ),
                frozenset(data["extensions"]["names"]),
                frozenset(data["processes"]["names"]),
            )
    except (OSError, KeyError, TypeError, AttributeError):
        pass
    raise refused(f"cannot be judged: catalog/{FILE} of the collection is missing or damaged; install it again")


def _names(platform: str, path: str) -> tuple[str, ...]:
    """The names in a path, as they are compared."""
    names = re.split(r"/+" if platform == "linux" else r"[\\/]+", path if platform == "linux" else path.lower())
    return tuple(name for name in names if name)


def exclusions(value: object) -> tuple[Exclusion, ...]:
    """A list of `path: ...`, `process: ...` and `extension: ...`."""
    read = structured(value)
    if isinstance(read, str) and not read.strip():
        return ()
    if isinstance(read, Mapping):
        read = [read] if read else []
    if not isinstance(read, (list, tuple)):
        words = "must be a list such as `[{path: /srv/db}, {process: /usr/sbin/x}, {extension: mdf}]`"
        raise refused(words, value)
    mistakes: list[Mistake] = []
    found = [within(index, item, _exclusion, mistakes) for index, item in enumerate(read)]
    if mistakes:
        raise Refused(mistakes)
    return tuple(dict.fromkeys(item for item in found if item is not None))


def _exclusion(value: object) -> Exclusion:
    if isinstance(value, Exclusion):
        return value
    if not isinstance(value, Mapping) or len(value) != 1:
        raise refused(f"must be one of `path: ...`, `process: ...` and `extension: ...`, it is {kind_of(value)}", value)
    kind, what = next(iter(value.items()))
    if kind not in KINDS:
        raise refused(f"has {label(kind)!r}: {did_you_mean(str(kind), KINDS, 'known are ' + ', '.join(KINDS))}")
    found: list[Mistake] = []
    made = within(kind, what, {"path": _path, "process": _process, "extension": _extension}[kind], found)
    if made is None:
        raise Refused(found)
    return Exclusion(kind, made)


def _path(value: object) -> str:
    """A path that covers neither a disk nor the system."""
    text = line(value)
    if text != text.strip() or not text:
        raise refused("must be an absolute path without blanks around it", value)
    if re.match(r"[\\/]{2}[.?]", text):
        raise refused("must be a path as users write it, without `\\\\?\\` before it", value)
    windows = bool(_DRIVE.match(text)) or text.startswith("\\\\")
    if not windows and not text.startswith("/"):
        hint = "; variables such as %ProgramData% mean other places to other accounts" if "%" in text else ""
        raise refused(f"must be an absolute path, such as `/srv/db` or `D:\\db`{hint}", value)
    platform = "windows" if windows else "linux"
    drive = text[:2] if windows and _DRIVE.match(text) else ""
    if drive and text[2:3] not in ("", "\\", "/"):
        raise refused("must be an absolute path, with `\\` behind the drive", value)
    given = [name for name in re.split(r"[\\/]+" if windows else r"/+", text[len(drive) :]) if name]
    _odd(given, windows, value)
    fixed = next((given[:index] for index, name in enumerate(given) if _WILD[platform].search(name)), given)
    if windows and not drive:
        if len(fixed) < 3:
            raise refused("must name a folder of a share, such as `\\\\server\\share\\folder`", value)
        if fixed[1].endswith("$"):
            raise refused("must not go through an administrative share: write the path with its drive", value)
        return "\\\\" + "\\".join(given)
    _harmless(platform, fixed, value)
    return drive.upper() + "\\" + "\\".join(given) if windows else "/" + "/".join(given)


def _odd(names: list[str], windows: bool, value: object) -> None:
    """Refuse names that mean another path than they seem to."""
    if "." in names or ".." in names:
        raise refused("must be an absolute path without `.` and `..` in it", value)
    if windows and any(name != name.rstrip(". ") or ":" in name for name in names):
        raise refused("must have no names that end in a dot or blank or hold `:`, which Windows reads otherwise", value)
    if windows and any(re.search(r"~[0-9]", name) for name in names):
        raise refused("must have long names, not short ones such as `PROGRA~1`", value)
    if windows and any("%" in name for name in names):
        raise refused("must be an absolute path without variables", value)


def _harmless(platform: str, fixed: list[str], value: object) -> None:
    """Refuse a path whose part before the first wildcard covers a disk or a guarded folder."""
    names = fixed if platform == "linux" else [name.lower() for name in fixed]
    if not names:
        raise refused("must not cover a whole disk: name the folders that need it", value)
    for where, folder, inside in guarded().folders:
        if where != platform:
            continue
        same = all(a in (b, "*") for a, b in zip(folder, names, strict=False))
        if same and (len(names) <= len(folder) or inside):
            separator = "/" if platform == "linux" else "\\"
            covered = separator + separator.join(folder)
            raise refused(
                f"must not cover {covered}, which is a part of the system or open to everybody: "
                "name the folders below it that need it"
                if not inside
                else f"must not lie in or cover {covered}, where everybody may write",
                value,
            )


def _process(value: object) -> str:
    """A program: an absolute path, or a name alone."""
    text = line(value).strip()
    if not text or re.search(r"[*?]", text):
        raise refused("must be the path of a program, without wildcards", value)
    if re.search(r"[\\/]", text):
        if not text.startswith("/") and not re.match(r"[A-Za-z]:[\\/]", text):
            raise refused("must be an absolute path, or the name of a program alone", value)
        names = [name for name in re.split(r"[\\/]+", text) if name]
        _odd(names[1:] if _DRIVE.match(text) else names, not text.startswith("/"), value)
    name = re.split(r"[\\/]", text)[-1].lower()
    if not name or name.removesuffix(".exe") in guarded().processes:
        raise refused("must not be a program that runs whatever it is given: malware runs through it too", value)
    return text


def _extension(value: object) -> str:
    """A file type, without its dot."""
    text = line(value).strip().lower()
    text = text.removeprefix("*.") if text.startswith("*.") else text.removeprefix(".")
    if not re.fullmatch(r"[a-z0-9_-]{1,16}(\.[a-z0-9_-]{1,16})?", text):
        raise refused("must be a file extension such as `mdf`, without wildcards", value)
    if text in guarded().extensions:
        raise refused("must not be the extension of programs or archives, through which malware comes", value)
    return text
