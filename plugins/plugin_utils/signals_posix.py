# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of signals that Linux hosts answer; some of them are those of other Unix systems, too."""

from __future__ import annotations

import base64
import dataclasses
import fnmatch
import re
import typing as t
from collections.abc import Iterable, Mapping

from . import literals, paths
from .signals import FieldSignal, Record, Signal

Manager = t.Literal["dpkg", "rpm"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PackageSignal(Signal):
    """A package of this exact name in a package database, in whatever state the record says."""

    kind = "package"
    name: str
    managers: tuple[Manager, ...]

    @property
    def probes(self) -> tuple[str, ...]:
        return tuple(f"packages.{manager}" for manager in self.managers)

    def accepts(self, record: Record) -> bool:
        return record.get("name", "").partition(":")[0] == self.name

    def literals(self) -> Mapping[str, Iterable[str]]:
        return {"packages": (self.name,)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class UnitSignal(Signal):
    """A systemd unit of this exact name, its drop-ins included; the record's `kind` and `active` tell them apart."""

    kind = "unit"
    name: str

    @property
    def probes(self) -> tuple[str, ...]:
        return ("units",)

    def accepts(self, record: Record) -> bool:
        return record.get("name", "") == self.name

    def literals(self) -> Mapping[str, Iterable[str]]:
        return {"units": (self.name,)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class InitScriptSignal(Signal):
    """An init script of this exact name."""

    kind = "init_script"
    name: str

    @property
    def probes(self) -> tuple[str, ...]:
        return ("init_scripts",)

    def accepts(self, record: Record) -> bool:
        return record.get("name", "") == self.name

    def literals(self) -> Mapping[str, Iterable[str]]:
        return {"init_scripts": (self.name,)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class LinuxProcessSignal(Signal):
    """A process whose executable lies below one of the directories, links of the directories resolved by the host.

    Attributes:
        below: the directories.
        name: file names of the executable; empty for any.
        not_name: file names that belong to somebody else.
    """

    kind = "process"
    below: tuple[str, ...]
    name: tuple[str, ...] = ()
    not_name: tuple[str, ...] = ()

    @property
    def probes(self) -> tuple[str, ...]:
        return ("processes",)

    def accepts(self, record: Record) -> bool:
        exe = record.get("exe", "").removesuffix(" (deleted)")
        name = exe.rpartition("/")[2]
        if name in self.not_name or (self.name and name not in self.name):
            return False
        # `dir` holds where the tree is a link: the executable's own path then shows the link's target only.
        return any(paths.posix_below(where, b) for b in self.below for where in (exe, record.get("dir", "")))

    def literals(self) -> Mapping[str, Iterable[str]]:
        return {"exe_dirs": self.below}


@dataclasses.dataclass(frozen=True, kw_only=True)
class TreeSignal(Signal):
    """A child of a directory of the vendor's.

    Attributes:
        path: the directory.
        programs: only children that hold a program.
    """

    kind = "tree"
    path: str
    programs: bool = False

    @property
    def probes(self) -> tuple[str, ...]:
        return ("trees",)

    def accepts(self, record: Record) -> bool:
        if record.get("path", "") != self.path or not record.get("child", ""):
            return False
        return not self.programs or record.get("programs", "") == "yes"

    def literals(self) -> Mapping[str, Iterable[str]]:
        return {"trees": (self.path,)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class SetupSectionSignal(Signal):
    """A section of the vendor's own list of installed components."""

    kind = "setup_section"
    file: str
    section: str

    @property
    def probes(self) -> tuple[str, ...]:
        return ("setup",)

    def accepts(self, record: Record) -> bool:
        return record.get("file", "") == self.file and record.get("section", "") == self.section

    def literals(self) -> Mapping[str, Iterable[str]]:
        return {"setup_files": (self.file,)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class UserSignal(Signal):
    """A local user of this name."""

    kind = "user"
    name: str

    @property
    def probes(self) -> tuple[str, ...]:
        return ("accounts",)

    def accepts(self, record: Record) -> bool:
        return record.get("kind", "") == self.kind and record.get("name", "") == self.name

    def literals(self) -> Mapping[str, Iterable[str]]:
        return {f"{self.kind}s": (self.name,)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class GroupSignal(UserSignal):
    """A local group of this name."""

    kind = "group"


@dataclasses.dataclass(frozen=True, kw_only=True)
class KernelModuleSignal(Signal):
    """A kernel module of this name: loaded, lying on disk, configured or built by dkms. `-` and `_` are the same."""

    kind = "kernel_module"
    name: str

    @property
    def probes(self) -> tuple[str, ...]:
        return ("modules",)

    def accepts(self, record: Record) -> bool:
        return record.get("name", "").replace("-", "_") == self.name.replace("-", "_")

    def literals(self) -> Mapping[str, Iterable[str]]:
        return {"modules": (self.name,)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class FirewallChainSignal(Signal):
    """A chain of this name in any table."""

    kind = "firewall_chain"
    name: str

    @property
    def probes(self) -> tuple[str, ...]:
        return ("firewall",)

    def accepts(self, record: Record) -> bool:
        return record.get("chain", "") == self.name

    def literals(self) -> Mapping[str, Iterable[str]]:
        return {"chains": (self.name,)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrustAnchorSignal(Signal):
    """A certificate in the system's trust store whose names hold a text.

    A host has no tool to read certificates that is always there, so it looks for the text's base64 form.
    """

    kind = "trust_anchor"
    text: str

    @property
    def probes(self) -> tuple[str, ...]:
        return ("trust",)

    def accepts(self, record: Record) -> bool:
        return record.get("match", "") in self._pieces()

    def literals(self) -> Mapping[str, Iterable[str]]:
        return {"trust": self._pieces()}

    def _pieces(self) -> tuple[str, ...]:
        """The text at each of its three places in base64, without the characters that its neighbours change."""
        raw = self.text.encode()
        return tuple(
            base64.b64encode(b"\0" * offset + raw).decode()[first : (offset + len(raw)) * 8 // 6]
            for offset, first in ((0, 0), (1, 2), (2, 3))
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class LineSignal(Signal):
    """A line of a text file.

    Attributes:
        files: absolute paths, the last part may hold `*`.
        text: on the line.
        comments: comment lines count as well.
    """

    kind = "line"
    regexes = ("text",)
    filtered = ("text",)
    files: tuple[str, ...]
    text: re.Pattern[str]
    comments: bool = False

    @property
    def probes(self) -> tuple[str, ...]:
        return ("lines",)

    def accepts(self, record: Record) -> bool:
        file, line = record.get("file", ""), record.get("text", "").strip()
        if not self.comments and line.startswith(("#", ";")):
            return False
        if not any(self._is(file, pattern) for pattern in self.files):
            return False
        return self.text.search(line) is not None

    @staticmethod
    def _is(file: str, pattern: str) -> bool:
        # Only the last part of a pattern is one, and `*` goes no further than a part.
        return file.count("/") == pattern.count("/") and fnmatch.fnmatchcase(file, pattern)

    def literals(self) -> Mapping[str, Iterable[str]]:
        return {"line_files": self.files, "line_texts": literals.derive(self.text.pattern)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageSignal(FieldSignal):
    """The image of a container on the host."""

    kind = "image"
    probe = "containers"
    literal = "images"
