# SPDX-License-Identifier: GPL-3.0-or-later
"""The YAML of a file of waivers with the line of every value, so that a mistake can be shown where it is."""

from __future__ import annotations

import dataclasses
import errno
import os
import typing as t
from pathlib import Path

import yaml

from . import files

_LARGEST: t.Final = 1 << 20
_DEEPEST: t.Final = 5  # document, list, entry, list, and what must not be there; below is no value of ours
_LOADER: t.Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_KINDS: t.Final = {"str": "text", "int": "number", "float": "number", "timestamp": "time", "null": "null"}

Kind = t.Literal["map", "list", "text", "number", "time", "null", "other"]


@dataclasses.dataclass(frozen=True, order=True)
class Fault:
    """One mistake: line (0 for the file as a whole), entry, what is wrong, what to do."""

    line: int
    place: str
    problem: str
    remedy: str

    def words(self, path: str | os.PathLike[str]) -> str:
        """As a person reads it."""
        where = files.shown(path) + (f", line {self.line}" if self.line else "")
        return f"{where}: {self.place + ': ' if self.place else ''}{self.problem}; {self.remedy}"


@dataclasses.dataclass(frozen=True)
class Field:
    """A value of the file.

    Attributes:
        kind: what YAML takes it for.
        line: where it begins, from 1.
        text: of a scalar, as it is written in the file and not as YAML understands it (`1.10` stays so).
        items: of a list.
        pairs: of a mapping, also those whose key stands twice.
    """

    kind: Kind
    line: int
    text: str = ""
    items: tuple[Field, ...] = ()
    pairs: tuple[tuple[Field, Field], ...] = ()

    def shown(self) -> str:
        """The value for a message, short."""
        if self.kind in ("map", "list", "null"):
            return {"map": "a mapping", "list": "a list", "null": "empty"}[self.kind]
        said = repr(self.text)
        return said if len(said) <= 80 else said[:77] + "..."


def read(path: Path) -> tuple[Field | None, list[Fault]]:
    """Read a file.

    Args:
        path: where it is.

    Returns:
        The document and no mistake, or None and what is wrong.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except (OSError, ValueError) as exc:
        cause = getattr(exc, "strerror", None) or str(exc)
        missing = getattr(exc, "errno", None) == errno.ENOENT
        remedy = "correct the path in `evict_waivers`" if missing else "make it a file the controller can read"
        return None, [Fault(0, "", f"the file of waivers cannot be read: {cause}", remedy)]
    if len(data) > _LARGEST:
        return None, [Fault(0, "", "the file is larger than 1 MiB", "is it a file of waivers? name the right one")]
    try:
        node = yaml.compose(data.decode("utf-8-sig"), _LOADER)
    except UnicodeDecodeError as exc:
        line = data.count(b"\n", 0, exc.start) + 1
        return None, [Fault(line, "", "it is not UTF-8", "save the file as UTF-8 text")]
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        problem = " ".join(part for part in (exc.context, exc.problem) if part)
        remedy = "mend the line; quote values that hold `: ` or `#` or begin with `*`"
        return None, [Fault(mark.line + 1 if mark else 0, "", f"not YAML: {problem}", remedy)]
    except (yaml.YAMLError, RecursionError) as exc:
        said = " ".join(str(exc).split())
        return None, [Fault(0, "", f"not YAML: {said[:200]}", "save the file as text in YAML")]
    if node is None:
        return None, [Fault(0, "", "the file is empty", "write `schema: 1` and `waivers: []`")]
    return _field(node, _DEEPEST), []


def _field(node: yaml.Node, deep: int) -> Field:
    line = node.start_mark.line + 1
    if isinstance(node, yaml.ScalarNode):
        kind = _KINDS.get(node.tag.rpartition(":")[2], "other")
        return Field(t.cast("Kind", kind), line, node.value)
    if deep == 0:
        return Field("other", line, "...")
    if isinstance(node, yaml.SequenceNode):
        return Field("list", line, items=tuple(_field(item, deep - 1) for item in node.value))
    if isinstance(node, yaml.MappingNode):
        return Field("map", line, pairs=tuple((_field(k, 0), _field(v, deep - 1)) for k, v in node.value))
    return Field("other", line)
