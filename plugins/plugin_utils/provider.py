# SPDX-License-Identifier: GPL-3.0-or-later
"""A provider: one replacement as data. One folder in catalog/providers/ is one provider."""

from __future__ import annotations

import dataclasses
import typing as t
from collections.abc import Mapping

from .steps import Condition, OnFail

ProviderKind = t.Literal["av", "edr", "existing", "none"]
Coexist = t.Literal["install_only", "passive", "forbid"]
Detection = t.Literal["eicar_on_access", "eicar_on_demand", "vendor_command", "console_only", "none"]
SettingType = t.Literal["text", "url", "number", "switch", "list", "path", "choice"]
Method = t.Literal["repository", "mirror", "url", "share", "file", "host_file"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
    """What a user may set with `evict_replacement_settings`: type, default, words, and for `choice` what there is."""

    type: SettingType
    default: t.Any
    description: str
    required: bool = False
    choices: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProviderSecret:
    """A secret the provider needs: name, purpose, form, and whether nothing works without it."""

    name: str
    used_for: str
    format: str = "plain"
    required: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepTemplate:
    """A step as the provider's file writes it.

    Attributes:
        id: the last part of the step's id.
        kind: of steps.KINDS.
        args: texts or lists of texts; `${name}` stands for a setting or one of the names in docs/providers.md.
        reason: for a reader.
        when: setting or property -> value it must have; empty for always.
        secrets: argument -> name of one of the provider's secrets.
        condition, on_fail, timeout, typical: None for the kind's own or the section's default.
    """

    id: str
    kind: str
    args: Mapping[str, str | tuple[str, ...]]
    reason: str
    when: Mapping[str, str]
    secrets: Mapping[str, str]
    condition: Condition | None = None
    on_fail: OnFail | None = None
    timeout: int | None = None
    typical: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProviderPlatform:
    """The provider on one platform.

    Attributes:
        families: package families it can be installed on (`deb`, `rpm`; empty: any).
        methods: ways its files may come.
        memory_mib, room_mib: what it needs at least.
        coexist: beside a Kaspersky that still runs: `install_only` (installed, real-time off), `passive` (a mode of its
            own, active by itself afterwards), `forbid` (only staged).
        endpoints: `host:port` it must reach from the host; `${name}` as in steps.
        packages: family -> names.
        services: family (or `any`) -> units or services that must run.
        scanners: names of programs by which `catalog/protection.yml` knows it active.
        stage, cover: its steps, before and after the point of no return.
        health: the rule by which it counts as healthy, as data (docs/providers.md).
        needs: capabilities of the host by name: systemd, fanotify, ...
    """

    families: tuple[str, ...] = ()
    methods: tuple[Method, ...] = ()
    memory_mib: int = 0
    room_mib: int = 0
    coexist: Coexist = "forbid"
    endpoints: tuple[str, ...] = ()
    packages: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    services: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    scanners: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    stage: tuple[StepTemplate, ...] = ()
    cover: tuple[StepTemplate, ...] = ()
    health: Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    needs: tuple[str, ...] = ()
    reboot: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Provider:
    """A replacement.

    Attributes:
        counts_as_protection: can a host with it alone be called protected?
        detection: how a live detection is proved, and why not where it cannot be.
    """

    id: str
    name: str
    kind: ProviderKind
    description: str
    counts_as_protection: bool
    detection: Detection
    detection_reason: str
    platforms: Mapping[str, ProviderPlatform]
    settings: Mapping[str, Setting]
    secrets: tuple[ProviderSecret, ...]
    sources: Mapping[str, str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """Where a replacement comes from (`evict_replacement_source`), validated.

    Attributes:
        method: `repository` and `mirror` (package manager), `url`, `share` and `host_file` (fetched by the host
            itself), `file` (sent by the controller).
        location: address or path; for `file` a path on the controller, which never enters a plan.
        sha256: of the file, lower-case hex; mandatory but for `repository` and `mirror`.
        signer: subject of the signature a Windows file must bear, or fingerprint of the key a package is signed with.
        name: file name on the host; installers whose name holds their tenant must keep it.
        version: of the package, empty for the newest.
    """

    method: Method
    location: str = ""
    sha256: str = ""
    signer: str = ""
    name: str = ""
    version: str = ""
