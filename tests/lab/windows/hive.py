# SPDX-License-Identifier: GPL-3.0-or-later
"""Small registry hive files, as Windows keeps one for each user (`NTUSER.DAT`): keys with text values, written by hand.

Only what a reader of names and values needs: a base block, one bin, cells for keys, lists of subkeys, values and data.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

PAGE = 4096
_NONE = 0xFFFFFFFF
_ROOT = 0x2C  # flags of a root key whose name is stored in one byte a character
_COMPRESSED = 0x20


@dataclass
class Key:
    """A key: its values (texts, by name) and its subkeys (by name)."""

    values: dict[str, str] = field(default_factory=dict)
    keys: dict[str, Key] = field(default_factory=dict)


def build(paths: Mapping[str, Mapping[str, str]]) -> bytes:
    """A hive with these keys.

    Args:
        paths: path below the hive's root, with backslashes -> values of that key, name -> text.

    Returns:
        The file: base block, and bins of whole pages. Names that fit are stored as Latin-1, all others and all data as
        UTF-16LE, as Windows does.
    """
    root = Key()
    for path, values in paths.items():
        key = root
        for part in path.split("\\"):
            key = key.keys.setdefault(part, Key())
        key.values.update(values)
    cells = _Cells()
    where = cells.key("ROOT", root, parent=_NONE)
    size = -(-(len(cells.data) + 32) // PAGE) * PAGE
    header = struct.pack("<4sIIQIII", b"hbin", 0, size, 0, 0, 0, 0)
    rest = size - 32 - len(cells.data)
    free = struct.pack("<i", rest) + bytes(rest - 4) if rest else b""
    return _base(where, size) + header + bytes(cells.data) + free


def _base(root: int, size: int) -> bytes:
    """The base block: signature, two equal sequence numbers (no log is to be applied), version 1.5, checksum."""
    block = bytearray(PAGE)
    struct.pack_into("<4sIIQIIIIIII", block, 0, b"regf", 1, 1, 0, 1, 5, 0, 1, root, size, 1)
    checksum = 0
    for (word,) in struct.iter_unpack("<I", block[:508]):
        checksum ^= word
    struct.pack_into("<I", block, 508, checksum)
    return bytes(block)


class _Cells:
    """The cells of the only bin; places are counted from the bin's start, its header included."""

    def __init__(self) -> None:
        self.data = bytearray()

    def add(self, content: bytes) -> int:
        place = 32 + len(self.data)
        size = -(-(len(content) + 4) // 8) * 8
        self.data += struct.pack("<i", -size) + content + bytes(size - 4 - len(content))
        return place

    def key(self, name: str, key: Key, parent: int) -> int:
        """A key with all below it; the place of its cell."""
        place = self.add(bytes(0x4C + len(_name(name)[0])))
        subkeys = [(child, self.key(child, below, place)) for child, below in sorted(key.keys.items())]
        values = [self.value(title, text) for title, text in key.values.items()]
        stored, flag = _name(name)
        content = struct.pack(
            "<2sHQ15IHH",
            *(b"nk", (_ROOT if parent == _NONE else 0) | (_COMPRESSED if flag else 0), 0, 0),
            *(0 if parent == _NONE else parent, len(subkeys), 0, self.index(subkeys), _NONE),
            *(len(values), self.list(values), _NONE, _NONE, 0, 0, 0, 0, 0, len(stored), 0),
        )
        content += stored
        self.data[place - 32 + 4 : place - 32 + 4 + len(content)] = content
        return place

    def index(self, subkeys: list[tuple[str, int]]) -> int:
        """The list of subkeys, with the first four letters of each name."""
        if not subkeys:
            return _NONE
        items = b"".join(struct.pack("<I4s", place, _name(name)[0][:4]) for name, place in subkeys)
        return self.add(struct.pack("<2sH", b"lf", len(subkeys)) + items)

    def list(self, places: list[int]) -> int:
        """The list of values."""
        return self.add(struct.pack(f"<{len(places)}I", *places)) if places else _NONE

    def value(self, name: str, text: str) -> int:
        """A REG_SZ value."""
        stored, flag = _name(name)
        data = (text + "\0").encode("utf-16-le")
        where = self.add(data)
        return self.add(struct.pack("<2sHIIIHH", b"vk", len(stored), len(data), where, 1, int(flag), 0) + stored)


def _name(name: str) -> tuple[bytes, bool]:
    """A name as it is stored, and whether one byte a character was enough."""
    try:
        return name.encode("latin-1"), True
    except UnicodeEncodeError:
        return name.encode("utf-16-le"), False
