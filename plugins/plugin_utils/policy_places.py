# SPDX-License-Identifier: GPL-3.0-or-later
"""In which line of a user's file a value stands, so that an error names the line to mend; best effort."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import yaml

from .policy_checks import Place, label

_LONGEST = 1_000_000  # bytes of a file that are read


def where(name: str, files: Iterable[str], place: Place = ()) -> str:
    """Find a variable in files of YAML or JSON.

    Args:
        name: the variable.
        files: in the order in which they count; the last one that holds the name wins.
        place: the way to a part of its value; as much of it as is there is followed.

    Returns:
        `vars.yml:7`; empty when no file holds it, or one that would count more cannot be read (such as a vaulted one).
    """
    found = ""
    for file in files:
        text = _text(file)
        if text is None:
            found = ""
            continue
        line = line_of(text, (name, *place))
        found = f"{short(file)}:{line}" if line else found
    return found


def holds(file: str, name: str, value: object) -> bool:
    """Does a file give the variable this plain value? Where another one is given, it is not the file that counts."""
    text = _text(file)
    try:
        node = yaml.compose(text or "", yaml.SafeLoader)
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        found = [v.value for k, v in pairs if k.value == name and isinstance(v, yaml.ScalarNode)]
        return bool(found) and yaml.safe_load(found[-1]) == value
    except (yaml.YAMLError, ValueError, RecursionError):
        return False


def line_of(text: str, place: Place) -> int:
    """The line of a place within a document, from 1; 0 when its first part is not there."""
    try:
        node = yaml.compose(text, yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError):
        return 0
    line = 0
    for part in place:
        inner = None
        if isinstance(node, yaml.MappingNode) and isinstance(part, str):
            for key, value in node.value:  # of a key that stands twice, the last one counts
                if isinstance(key, yaml.ScalarNode) and label(key.value) == label(part):
                    inner, line = value, key.start_mark.line + 1
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            inner = node.value[part]
            line = inner.start_mark.line + 1
        if inner is None:
            break
        node = inner
    return line


def short(file: str) -> str:
    """A path as the user knows it: below the working directory without it."""
    path = os.path.abspath(file)
    below = os.path.relpath(path)
    return path if below.startswith("..") else below


def _text(file: str) -> str | None:
    try:
        with Path(file).expanduser().open("rb") as stream:
            text = stream.read(_LONGEST + 1).decode("utf-8")
    except (OSError, UnicodeDecodeError, ValueError, RuntimeError):
        return None
    return None if len(text) > _LONGEST or text.startswith("$ANSIBLE_VAULT;") else text
