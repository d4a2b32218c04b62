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


Value = str | tuple[str, ...]
When = Mapping[str, tuple[str, ...]]  # setting or property -> one of these values


@dataclasses.dataclass(frozen=True)
class Founded:
    """What a fact of a provider rests on.

    Attributes:
        values: the fact: names, paths, a sentence.
        confidence: the mark (catalog/README.md): `V`, `P`, `R2`, `R1`, `M` (measured by the project), `I`, `memory`.
        sources: keys of the provider's sources.
        when: settings or properties under which it holds; empty for always.
    """

    values: tuple[str, ...]
    confidence: str
    sources: tuple[str, ...]
    when: When = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Refusal:
    """A combination that the provider cannot serve: why, and what to do."""

    when: When
    because: str
    remedy: str


@dataclasses.dataclass(frozen=True)
class DetectionRule:
    """How a live detection is proved under some settings; the first rule that fits counts."""

    method: Detection
    reason: str
    when: When


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
    """What a user may set with `evict_replacement_settings`: type, default, words, and for `choice` what there is.

    A text may have to fit `pattern` (an expression of Python, matched as a whole).
    """

    type: SettingType
    default: t.Any
    description: str
    required: bool = False
    choices: tuple[str, ...] = ()
    pattern: str = ""


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
        when: setting or property -> values of which it must have one; empty for always.
        secrets: argument, MSI property or `@mark@` within an argument -> name of one of the provider's secrets.
        each: a list; the step is made once for each of its items, which is `${item}`.
        real_time: it turns real-time protection on; exclusions must be written by then.
        confidence, sources: what the step rests on.
        condition, on_fail, timeout, typical: None for the kind's own or the section's default.
    """

    id: str
    kind: str
    args: Mapping[str, str | tuple[str, ...]]
    reason: str
    when: When
    secrets: Mapping[str, str]
    each: str = ""
    real_time: bool = False
    confidence: str = ""
    sources: tuple[str, ...] = ()
    condition: Condition | None = None
    on_fail: OnFail | None = None
    timeout: int | None = None
    typical: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProviderPlatform:
    """The provider on one platform.

    Attributes:
        families: package families it can be installed on (`deb`, `rpm`; empty: any).
        methods: ways its files may come; none where nothing has to come.
        memory_mib, room_mib: what it needs at least.
        coexist: beside a Kaspersky that still runs: `install_only` (installed, real-time off), `passive` (a mode of its
            own, active by itself afterwards), `forbid` (only staged).
        endpoints: `host:port` it must reach from the host; `${name}` as in steps.
        packages: family, package manager or `any` -> names.
        services: likewise -> units or services that must run.
        names: likewise -> name -> value, what a template calls differently on each family.
        scanners: names of programs by which `catalog/protection.yml` knows it active.
        programs, files, units: what its steps may run, write and start, beside its services.
        stage, cover: its steps, before and after the point of no return.
        health: the rule by which it counts as healthy, as data (docs/providers.md).
        detect: what a live test needs to know, as data (docs/providers.md): what is watched, how a file is scanned.
        needs: capabilities of the host by name: systemd, fanotify, ...
        reboot: may it need a restart of its own?
        fill: values of the provider's `hidden` settings on this platform; those without one keep their default.
        refuse: combinations it cannot serve.
        blind: what nobody can tell on the host.
        marks: what its properties rest on: key of the file -> facts.
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
    units: tuple[str, ...] = ()
    names: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)
    stage: tuple[StepTemplate, ...] = ()
    cover: tuple[StepTemplate, ...] = ()
    health: Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    detect: Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    needs: tuple[str, ...] = ()
    reboot: bool = False
    fill: Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    refuse: tuple[Refusal, ...] = ()
    blind: tuple[str, ...] = ()
    marks: Mapping[str, tuple[Founded, ...]] = dataclasses.field(default_factory=dict)

    @property
    def every_service(self) -> tuple[str, ...]:
        """All services, of every family, and those that must run under some settings only."""
        some = (name for fact in self.marks.get("services_if", ()) for name in fact.values)
        return tuple(dict.fromkeys((*(name for names in self.services.values() for name in names), *some)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Provider:
    """A replacement.

    Attributes:
        counts_as_protection: can a host with it alone be called protected?
        detection: how a live detection is proved with the settings as they come, and why not where it cannot be.
        detections: the same under other settings; the first that fits counts, else `detection`.
        facts: what one should know, in sentences.
        extends: id of the provider it is a filled-in form of; empty for none.
        hidden: settings of that provider which this one does not offer.
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
    detections: tuple[DetectionRule, ...] = ()
    facts: tuple[Founded, ...] = ()
    extends: str = ""
    hidden: Mapping[str, Setting] = dataclasses.field(default_factory=dict)


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
