# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of signals that Windows hosts answer."""

from __future__ import annotations

import dataclasses
import re
import typing as t
from collections.abc import Iterable, Mapping

from . import literals, paths
from .signals import FieldSignal, Record, Signal

Hive = t.Literal["machine", "users"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class UninstallSignal(Signal):
    """An entry of the list of installed programs.

    `name` must match (when there is one) and `not_name` must not. Then the publisher decides; where the entry has none,
    or where the signal asks for no publisher, the place of installation does.

    Attributes:
        name: on DisplayName.
        publisher: on Publisher.
        not_name: on DisplayName.
        location: on InstallLocation and UninstallString.
    """

    kind = "uninstall"
    regexes = ("name", "publisher", "not_name", "location")
    filtered = ("name", "publisher", "location")
    name: re.Pattern[str] | None = None
    publisher: re.Pattern[str] | None = None
    not_name: re.Pattern[str] | None = None
    location: re.Pattern[str] | None = None

    @property
    def probes(self) -> tuple[str, ...]:
        return ("uninstall.machine", "uninstall.users")

    def accepts(self, record: Record) -> bool:
        name, publisher = record.get("name", "").strip(), record.get("publisher", "").strip()
        if self.name is not None and not self.name.search(name):
            return False
        if self.not_name is not None and self.not_name.search(name):
            return False
        if self.publisher is not None and publisher:
            return self.publisher.search(publisher) is not None
        where = (record.get("location", ""), record.get("uninstall", ""), record.get("quiet_uninstall", ""))
        return self.location is not None and any(self.location.search(place) for place in where)

    def literals(self) -> Mapping[str, Iterable[str]]:
        # Whatever the name, an entry has the publisher or the place: texts of the vendor alone, so that a file which
        # holds none of them holds no entry (`hives`), while a name may hold words of anybody.
        vendor: frozenset[str] = frozenset()
        for regex in (self.publisher, self.location):
            if regex is not None:
                vendor |= literals.derive(regex.pattern)
        return {"uninstall": vendor if self.name is None else literals.derive(self.name.pattern), "hives": vendor}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProductCodeSignal(Signal):
    """An entry of the list of installed programs whose key is, or ends in, this MSI product code.

    Attributes:
        code: `{GUID}`, upper case.
        build: the version the code belongs to, as the source says; may be empty.
    """

    kind = "product_code"
    code: str
    build: str = ""

    @property
    def probes(self) -> tuple[str, ...]:
        return ("uninstall.machine", "uninstall.users")

    def accepts(self, record: Record) -> bool:
        # A bootstrapper's own entry bears the code behind a word of its own: InstallWIX_{...}.
        return record.get("key", "").strip().upper().endswith(self.code)

    def literals(self) -> Mapping[str, Iterable[str]]:
        return {"product_codes": (self.code,), "hives": (self.code.lower(),)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServiceSignal(Signal):
    """A service.

    Attributes:
        name: on the service's name; without one any service below `below`.
        binary: file names of the program; empty for any.
        below: pieces of the program's path, of which one must be in it; empty for any.
        not_below: pieces of the program's path that give it to another product.
    """

    kind = "service"
    regexes = ("name",)
    filtered = ("name",)
    name: re.Pattern[str] | None = None
    binary: tuple[str, ...] = ()
    below: tuple[str, ...] = ()
    not_below: tuple[str, ...] = ()

    @property
    def probes(self) -> tuple[str, ...]:
        return ("services",)

    def accepts(self, record: Record) -> bool:
        if self.name is not None and not self.name.search(record.get("name", "").strip()):
            return False
        path, image = record.get("path", ""), record.get("image", "")
        if paths.holds(self.not_below, path, image):
            return False
        if self.binary:
            program = paths.program(path) or paths.program(image)
            if program not in {name.lower() for name in self.binary}:
                return False
        return not self.below or paths.holds(self.below, path, image)

    def literals(self) -> Mapping[str, Iterable[str]]:
        names = self.below if self.name is None else literals.derive(self.name.pattern)
        return {f"{self.kind}s": [name.lower() for name in names]}


@dataclasses.dataclass(frozen=True, kw_only=True)
class DriverSignal(ServiceSignal):
    """A kernel or file system driver; as a service."""

    kind = "driver"

    @property
    def probes(self) -> tuple[str, ...]:
        return ("drivers",)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RegistrySignal(Signal):
    """A registry key.

    Attributes:
        root: below HKLM, or below each user's hive; read in both views.
        key: on the rest of the path, which is empty for the root itself.
        values: names of values to read with it.
        hive: whose.
    """

    kind = "registry"
    regexes = ("key",)
    root: str
    key: re.Pattern[str]
    values: tuple[str, ...] = ()
    hive: Hive = "machine"

    @property
    def probes(self) -> tuple[str, ...]:
        return (f"registry.{self.hive}",)

    def accepts(self, record: Record) -> bool:
        # Roots may lie within each other; a key is the same key whichever root it was found below.
        full = f"{record.get('root', '')}\\{record.get('key', '')}".strip("\\")
        root = self.root.lower()
        if full.lower() != root and not full.lower().startswith(root + "\\"):
            return False
        return self.key.search(full[len(root) :].strip("\\")) is not None

    def literals(self) -> Mapping[str, Iterable[str]]:
        roots = "registry_roots" if self.hive == "machine" else "user_registry_roots"
        return {roots: (self.root,), "registry_values": self.values}


@dataclasses.dataclass(frozen=True, kw_only=True)
class WindowsProcessSignal(Signal):
    """A process with one of the names (empty: any) below one of the path pieces (empty: anywhere)."""

    kind = "process"
    name: tuple[str, ...] = ()
    below: tuple[str, ...] = ()
    not_below: tuple[str, ...] = ()

    @property
    def probes(self) -> tuple[str, ...]:
        return ("processes",)

    def accepts(self, record: Record) -> bool:
        path = record.get("path", "")
        if self.name and record.get("name", "").lower() not in {name.lower() for name in self.name}:
            return False
        return not paths.holds(self.not_below, path) and (not self.below or paths.holds(self.below, path))

    def literals(self) -> Mapping[str, Iterable[str]]:
        return {"processes": [item.lower() for item in (*self.name, *self.below)]}


@dataclasses.dataclass(frozen=True, kw_only=True)
class MinifilterSignal(FieldSignal):
    """A file system minifilter.

    Attributes:
        name: on its name, which may carry the product's suffix.
        altitudes: of which one must be its own; empty for any.
    """

    kind = "minifilter"
    probe = "minifilters"
    altitudes: tuple[str, ...] = ()

    def accepts(self, record: Record) -> bool:
        if not FieldSignal.accepts(self, record):
            return False
        return not self.altitudes or record.get("altitude", "").partition(".")[0] in self.altitudes


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassFilterSignal(FieldSignal):
    """A name in the upper or lower filters of a device class."""

    kind = "class_filter"
    probe = "class_filters"
    fields = ("filter",)


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkComponentSignal(FieldSignal):
    """A filter, protocol or callout of the network stack."""

    kind = "network_component"
    probe = "network"
    fields = ("id", "service", "name")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CertificateSignal(FieldSignal):
    """A certificate in a store of the machine or of a user."""

    kind = "certificate"
    probe = "certificates"
    fields = ("subject", "issuer")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TaskSignal(FieldSignal):
    """A scheduled task.

    Attributes:
        name: on its path.
        command: on what it runs; None for any.
    """

    kind = "task"
    regexes: t.ClassVar[tuple[str, ...]] = ("name", "command")
    probe = "tasks"
    fields = ("path",)
    command: re.Pattern[str] | None = None

    def accepts(self, record: Record) -> bool:
        if not FieldSignal.accepts(self, record):
            return False
        return self.command is None or self.command.search(record.get("command", "")) is not None


@dataclasses.dataclass(frozen=True, kw_only=True)
class FirewallRuleSignal(FieldSignal):
    """A rule of Windows Firewall."""

    kind = "firewall_rule"
    probe = "firewall_rules"
    fields = ("name", "id", "program")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExtensionSignal(FieldSignal):
    """An extension, add-in or native host of a browser or of Office."""

    kind = "extension"
    probe = "extensions"
    fields = ("id", "name", "path")


@dataclasses.dataclass(frozen=True, kw_only=True)
class AppxSignal(FieldSignal):
    """An AppX package, installed or provisioned."""

    kind = "appx"
    probe = "appx"
    fields = ("name", "publisher")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReinstallSignal(FieldSignal):
    """Something that runs at start or logon, or is deployed, and names the product."""

    kind = "reinstall"
    probe = "reinstall"
    fields = ("text",)
