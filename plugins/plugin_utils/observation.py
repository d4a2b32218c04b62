# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host answered, read from untrusted text: nothing is believed beyond its frame, nothing makes reading fail."""

from __future__ import annotations

import dataclasses
import re
import typing as t
from collections.abc import Mapping, Sequence

from . import canonical

SCHEMA: t.Final = "evict.kaspersky/observation/1"
MAX_ANSWER: t.Final = 8_000_000  # characters of one answer that are read at all
MAX_RECORDS: t.Final = 5_000  # per probe; the hands stop far below
MAX_VALUE: t.Final = 4_096  # characters per value
CUT: t.Final = "the answer of the host was cut before this probe was through; run the audit again"

Status = t.Literal["ok", "absent", "unknown"]
_STATUSES: t.Final = frozenset({"ok", "absent", "unknown"})

# Every probe a hand of the platform must answer. One that is missing is `unknown`, whatever else came.
PROBES: t.Final[Mapping[str, tuple[str, ...]]] = {
    "linux": (
        "host",
        "packages.dpkg",
        "packages.rpm",
        "units",
        "init_scripts",
        "processes",
        "paths",
        "trees",
        "setup",
        "accounts",
        "modules",
        "firewall",
        "trust",
        "lines",
        "containers",
        "protection",
        "peers",
        "reboot",
    ),
    "macos": (
        "host",
        "receipts",
        "launchd",
        "system_extensions",
        "kexts",
        "profiles",
        "processes",
        "paths",
        "accounts",
        "protection",
        "reboot",
    ),
    "windows": (
        "host",
        "uninstall.machine",
        "uninstall.users",
        "services",
        "drivers",
        "registry.machine",
        "registry.users",
        "processes",
        "paths",
        "minifilters",
        "class_filters",
        "network",
        "certificates",
        "tasks",
        "firewall_rules",
        "extensions",
        "appx",
        "reinstall",
        "protection",
        "reboot",
        "encryption",
        "roles",
        "sessions",
    ),
}

# Probes that a hand answers only when a plan is asked for: what an act would meet on the host. They are context, no
# verdict depends on what they say. `roles` and `sessions` of Windows are among the probes of every answer.
PREFLIGHT: t.Final[Mapping[str, tuple[str, ...]]] = {
    "linux": (
        "manager",
        "space",
        "resources",
        "tools",
        "enforcement",
        "repository",
        "egress",
        "quarantine",
        "obstacles",
        "roles",
        "sessions",
        "desktop",
        "limits",
        "cover",
        "job",
    ),
    "macos": (),
    "windows": (
        "installer",
        "msi",
        "space",
        "resources",
        "enforcement",
        "defender",
        "egress",
        "firewall",
        "protected_services",
        "quarantine",
        "vaults",
        "desktop",
        "tools",
    ),
}

Record = Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Probe:
    """One probe's answer: `ok` (records found), `absent` (nothing there) or `unknown` (could not tell, and why)."""

    status: Status
    reason: str = ""
    records: tuple[Record, ...] = ()


@dataclasses.dataclass(frozen=True)
class Observation:
    """The whole answer of one host.

    Attributes:
        platform: `linux`, `windows`, or the host's own word for a system nobody here knows.
        collector: `posix-sh` or `powershell`.
        host: facts about the host itself, all texts, any may be missing.
        probes: by probe id; all probes of PROBES[platform] are there, and those of PREFLIGHT[platform] when asked for.
    """

    platform: str
    collector: str
    host: Record
    probes: Mapping[str, Probe]

    def to_dict(self) -> dict[str, t.Any]:
        """Canonical form, as stored in evidence (schemas/observation-1.json)."""
        return {
            "schema": SCHEMA,
            "platform": self.platform,
            "collector": self.collector,
            "host": dict(self.host),
            "probes": {
                name: {"status": p.status, "reason": p.reason, "records": [dict(r) for r in p.records]}
                for name, p in self.probes.items()
            },
        }

    def digest(self) -> str:
        """SHA-256 over the canonical form."""
        return canonical.digest(self.to_dict())


_HEAD = re.compile(r"B 1 posix\Z")
_PROBE_ID = re.compile(r"[a-z][a-z_.]{0,39}\Z")
_FIELD = re.compile(r"([A-Za-z_][A-Za-z0-9_.]{0,39})(?:=([A-Za-z0-9._/:+@~,%-]*)|:((?:[0-9a-f]{2})*))\Z")


class _Reader:
    """Collects what one framed answer holds."""

    def __init__(self) -> None:
        self.records: dict[str, list[Record]] = {}
        self.answers: dict[str, tuple[Status, str]] = {}
        self.spoiled: dict[str, str] = {}

    def line(self, text: str) -> None:
        """Take one frame line; one that does not fit spoils its probe, for a half line may hide a finding."""
        kind, _dummy, rest = text.partition(" ")
        probe, _dummy, rest = rest.partition(" ")
        if kind not in ("R", "P") or not _PROBE_ID.match(probe):
            self.spoiled["*"] = "a line of the answer is damaged; run the audit again"
            return
        if kind == "P":
            status, _dummy, rest = rest.partition(" ")
        fields: dict[str, str] = {}
        for item in rest.split(" ") if rest else ():
            match = _FIELD.match(item)
            if not match:
                self.spoiled[probe] = "a line of its answer is damaged; run the audit again"
                return
            name, plain, coded = match.groups()
            fields[name] = _text(
                plain if plain is not None else bytes.fromhex(coded).decode("utf-8", "backslashreplace")
            )
        if kind == "R":
            kept = self.records.setdefault(probe, [])
            if len(kept) >= MAX_RECORDS:
                self.spoiled[probe] = f"more than {MAX_RECORDS} records; not all could be read"
                return
            kept.append(fields)
        elif status not in _STATUSES or probe in self.answers:
            self.spoiled[probe] = "its answer is damaged or came twice; run the audit again"
        else:
            self.answers[probe] = (t.cast(Status, status), fields.get("reason", ""))


def parse_posix(text: str | bytes, nonce: str, *, preflight: bool = False) -> Observation | None:
    """Read the answer of `probes/posix/observe.sh` or `observe_macos.sh` (docs/formats.md, section 3).

    Args:
        text: all the host printed, noise included.
        nonce: the frame word this run gave to the script.
        preflight: was it asked for the preflight probes, too? One that is missing then is `unknown`.

    Returns:
        The observation, with the probes of the platform the host says it is (Linux's when it does not say); None when
        the text holds no frame at all, so that the caller can say why the script never ran.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    mark = nonce + " "
    lines = [line[len(mark) :].rstrip("\r") for line in text[:MAX_ANSWER].split("\n") if line.startswith(mark)]
    if not lines or not _HEAD.match(lines[0]):
        return None
    reader = _Reader()
    body = lines[1:]
    end = body.pop() if body and body[-1].startswith("E ") else ""
    for line in body:
        reader.line(line)
    whole = end == f"E {len(body) + 1}"
    probes: dict[str, Probe] = {}
    host = dict(next(iter(reader.records.get("host", [])), {}))
    platform = _platform(host)
    for name in dict.fromkeys((*_asked(platform, preflight, "linux"), *reader.answers, *reader.records)):
        status, reason = reader.answers.get(name, ("unknown", CUT))
        if trouble := reader.spoiled.get(name) or reader.spoiled.get("*"):
            status, reason = "unknown", trouble
        elif not whole and name in reader.answers:
            # The frames that came are intact, but lines may be missing in front of any answer.
            status, reason = "unknown", CUT
        probes[name] = _probe(status, reason, reader.records.get(name, []))
    return Observation(platform=platform, collector="posix-sh", host=host, probes=probes)


def from_dict(data: object, *, preflight: bool = False) -> Observation:
    """Read an observation in its canonical form (the Windows hand's answer, or evidence), trusting none of it.

    Args:
        data: any value; what does not fit becomes an `unknown` probe.
        preflight: was the host asked for the preflight probes, too? One that is missing then is `unknown`.

    Raises:
        ValueError: it is no observation of a schema version we know.
    """
    if not isinstance(data, Mapping) or data.get("schema") != SCHEMA:
        raise ValueError(f"not an observation of schema {SCHEMA}")
    platform = _text(data.get("platform"))
    given = data.get("probes")
    given = given if isinstance(given, Mapping) else {}
    probes: dict[str, Probe] = {}
    for name in dict.fromkeys((*_asked(platform, preflight), *(n for n in given if isinstance(n, str)))):
        if _PROBE_ID.match(name):
            probes[name] = _probe_from(given.get(name))
    host = data.get("host")
    facts = {_text(k): _text(v) for k, v in host.items()} if isinstance(host, Mapping) else {}
    return Observation(platform=platform, collector=_text(data.get("collector")), host=facts, probes=probes)


def _probe_from(value: object) -> Probe:
    if not isinstance(value, Mapping):
        return Probe("unknown", CUT)
    status, reason, records = value.get("status"), _text(value.get("reason")), value.get("records")
    if isinstance(records, Mapping):
        records = [records]  # PowerShell unrolls one-element lists
    if records is None:
        records = []
    known = isinstance(status, str) and status in _STATUSES
    if not known or not isinstance(records, list) or not all(isinstance(r, Mapping) for r in records):
        return Probe("unknown", "its answer is damaged; run the audit again")
    if len(records) > MAX_RECORDS:
        status, reason = "unknown", f"more than {MAX_RECORDS} records; not all could be read"
    kept = [{_text(k): _text(v) for k, v in r.items()} for r in records[:MAX_RECORDS]]
    return _probe(t.cast(Status, status), reason, kept)


def _probe(status: Status, reason: str, records: Sequence[Record]) -> Probe:
    if status == "absent" and records:
        status, reason = "unknown", "it contradicts itself: nothing found, and yet records"
    if status == "unknown" and not reason:
        reason = "the host gave no reason"
    return Probe(status, reason, tuple(records))


def _asked(platform: str, preflight: bool, other: str = "") -> tuple[str, ...]:
    """The probes that must be in an answer; a platform that nobody here knows gets those of the `other` one."""
    known = platform if platform in PROBES else other
    return (*PROBES.get(known, ()), *(PREFLIGHT.get(known, ()) if preflight else ()))


def _platform(host: Record) -> str:
    system = host.get("system", "Linux")
    return {"Linux": "linux", "Darwin": "macos"}.get(system, system.lower() or "unknown")


def _text(value: object) -> str:
    """Any value as a bounded text without surrogates, which no file could take."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else str(value)[: MAX_VALUE + 1]
    if len(text) > MAX_VALUE:
        text = text[: MAX_VALUE - 3] + "..."
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
