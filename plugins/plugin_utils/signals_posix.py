# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of signals that Linux hosts answer."""

from __future__ import annotations

import dataclasses
import typing as t
from collections.abc import Iterable, Mapping

from . import paths
from .signals import Record, Signal

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
