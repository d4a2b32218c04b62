# SPDX-License-Identifier: GPL-3.0-or-later
"""Cases for tests of the planner and what belongs to it.

``case("linux", products=["kesl"])`` is a host with that product on which nothing stands in the way: every probe
answers, the replacement can be had, consent and a fallback are there. A test changes the one thing it is about.
Assessments are made by the real ``assess`` from records that the catalog's own fixtures hold.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import typing as t
import uuid
from collections.abc import Iterable, Mapping, Sequence

import yaml

from ansible_collections.evict.kaspersky.plugins.plugin_utils import findings, knowledge, preflight, providers
from ansible_collections.evict.kaspersky.plugins.plugin_utils.assess import assess
from ansible_collections.evict.kaspersky.plugins.plugin_utils.case import Case, Controller
from ansible_collections.evict.kaspersky.plugins.plugin_utils.catalog import Catalog, Entry
from ansible_collections.evict.kaspersky.plugins.plugin_utils.findings import Weight
from ansible_collections.evict.kaspersky.plugins.plugin_utils.observation import PROBES, Observation, Probe
from ansible_collections.evict.kaspersky.plugins.plugin_utils.plan import Waived
from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy import Policy, SecretRef
from ansible_collections.evict.kaspersky.plugins.plugin_utils.provider import Founded, Provider, ProviderPlatform
from tests import tree

NOW: t.Final = datetime.datetime(2030, 5, 6, 7, 8, 9, tzinfo=datetime.UTC)
Record = Mapping[str, str]
# What a probe answered: records, a reason why it could not tell (text), a whole answer, or None: it was not asked.
Answer = Sequence[Record] | str | Probe | None
Sign = tuple[str, dict[str, str]]

HOSTS: t.Final[Mapping[str, Record]] = {
    "linux": {
        "system": "Linux",
        "os_id": "debian",
        "os_version": "12",
        "arch": "x86_64",
        "hostname": "web1",
        "machine_id": "0123456789abcdef0123456789abcdef",
        "euid": "0",
        "init": "systemd",
        "container": "",
    },
    "windows": {
        "os_name": "Microsoft Windows Server 2022 Standard",
        "os_version": "10.0",
        "os_build": "20348",
        "product_type": "server",
        "arch": "AMD64",
        "hostname": "WEB1",
        "machine_id": "01234567-89ab-cdef-0123-456789abcdef",
        "elevated": "yes",
    },
    "macos": {"system": "Darwin", "os_version": "14.5", "machine_id": "01234567-89AB-CDEF-0123-456789ABCDEF"},
}
MANAGERS: t.Final[Mapping[str, str]] = {"deb": "apt", "rpm": "dnf"}
_TOOLS: t.Final = ("perl", "systemctl", "systemd-run", "setsid", "timeout", "curl", "gpg")


def _preflight(platform: str, family: str) -> dict[str, Answer]:
    """What a host says on which nothing stands in the way."""
    if platform == "linux":
        database = {"deb": "dpkg", "rpm": "rpm"}[family]
        mounts = ("/", "/var")
        return {
            "manager": [{"kind": "manager", "name": MANAGERS[family]}],
            "space": [{"path": m, "mount": m, "free_mib": "20000", "fstype": "ext4", "options": "rw"} for m in mounts],
            "resources": [{"cpus": "4", "memory_mib": "8192", "available_mib": "6000"}],
            "tools": [{"name": name, "path": f"/usr/bin/{name}"} for name in (*_TOOLS, database)],
            "enforcement": (),
            "quarantine": (),
            "obstacles": (),
            "roles": (),
            "sessions": (),
            "desktop": (),
            "limits": [{"name": "inotify_instances", "value": "512", "used": "3"}],
            "cover": (),  # no replacement is there yet
            "job": (),
        }
    if platform == "windows":
        running = {"AMRunningMode": "Normal", "feature": "installed", "payload": "present", "onboarded": "no"}
        return {
            "installer": (),
            "msi": (),
            "space": [{"path": "C:\\", "mount": "C:\\", "free_mib": "20000", "fstype": "NTFS", "options": ""}],
            "resources": [{"cpus": "4", "memory_mib": "8192", "available_mib": "6000"}],
            "enforcement": (),
            "defender": [{"property": name, "value": value} for name, value in running.items()],
            "firewall": [{"profile": "domain", "enabled": "yes", "port": "5986", "allowed": "yes"}],
            "protected_services": (),
            "quarantine": (),
            "vaults": (),
            "desktop": (),
            "tools": (),
        }
    return {}


def provider(id: str = "shield", **changes: t.Any) -> Provider:
    """A made-up replacement for Linux and Windows, healthy and simple; `changes` are fields of each of its platforms,
    or of the provider."""
    own = {field.name for field in dataclasses.fields(Provider)}
    base: dict[str, t.Any] = {
        "methods": ("repository", "mirror", "url", "share", "file", "host_file"),
        "memory_mib": 1024,
        "room_mib": 500,
        "coexist": "install_only",
        "packages": {"any": (id,)},
        "services": {"any": (f"{id}.service",)},
        "scanners": (f"{id}d",),
    }
    if id == "shield":
        reached = ("updates.shield.example:443",)
        base |= {"endpoints": reached, "marks": {"endpoints": (Founded(reached, "M", ("tests",)),)}}
    base |= {key: value for key, value in changes.items() if key not in own}
    windows = {**base, "packages": {}, "services": {"any": (id,)}}
    whole: dict[str, t.Any] = {
        "name": id.capitalize(),
        "kind": "av",
        "description": "A product of the tests.",
        "counts_as_protection": True,
        "detection": "eicar_on_access",
        "detection_reason": "",
        "platforms": {
            "linux": ProviderPlatform(**{**base, "families": changes.get("families", ("deb", "rpm"))}),
            "windows": ProviderPlatform(**{**windows, "families": ()}),
        },
        "settings": {},
        "secrets": (),
        "sources": {},
    }
    return Provider(id=id, **{**whole, **{key: value for key, value in changes.items() if key in own}})


SHIELD: t.Final = provider("shield")
LANTERN: t.Final = provider("lantern")
WAIVER: t.Final = Waived("Ada Byron", "agreed for the pilot", "CHG-1", "2030-12-31")


@functools.cache
def _fixture(platform: str, id: str) -> tuple[Mapping[str, str], ...]:
    path = tree.ROOT / "tests" / "fixtures" / "catalog" / platform / f"{id}.yml"
    return tuple(yaml.safe_load(path.read_text(encoding="utf-8"))["match"])


@functools.cache
def _signs(entry_platform: str, id: str) -> Mapping[Weight, tuple[Sign, ...]]:
    """Records of the entry's fixtures by what they prove."""
    entry = knowledge.catalog().entry(entry_platform, id)
    signals = {signal.id: signal for signal in entry.signals}
    found: dict[Weight, list[Sign]] = {}
    for item in _fixture(entry_platform, id):
        signal = signals[item["signal"]]
        record = {key: value for key, value in item.items() if key not in ("signal", "probe", "why")}
        probe = item.get("probe", signal.probes[0])
        if (finding := findings.judge(signal, probe, record)) is not None:
            found.setdefault(finding.weight, []).append((probe, record))
        if probe == "uninstall.machine":  # a fixture holds only what the signal reads
            found.setdefault(Weight.REGISTERED, []).append((probe, record))
    return {weight: tuple(items) for weight, items in found.items()}


def signs(platform: str, id: str, state: str = "running", version: str = "", family: str = "deb") -> list[Sign]:
    """(probe, record) that show a product of the catalog in a state.

    Args:
        platform, id: of the entry.
        state: `running`, `installed`, `broken` or `leftover`.
        version: what the host's list of programs says.
        family: of a Linux host's packages.

    Raises:
        LookupError: the fixtures of the entry hold nothing that shows it.
    """
    known = _signs(platform, id)
    wanted = {"deb": "packages.dpkg", "rpm": "packages.rpm"}[family]
    listed = [s for s in known.get(Weight.REGISTERED, ()) if not s[0].startswith("packages.") or s[0] == wanted]
    if not listed and platform == "linux" and (names := known.get(Weight.REGISTERED, ())):
        listed = [(wanted, {"name": names[0][1]["name"]})]
    found: list[Sign] = []
    if state != "leftover" and listed:
        probe, record = listed[0]
        found.append((probe, _listed(platform, id, probe, record, state, version)))
    if state in ("running", "installed"):
        files = [s for s in known.get(Weight.FILES, ()) if s[0] in ("paths", "services")]
        found += files[:1]
    if state == "running":
        live = known.get(Weight.LIVE, ())
        found += [(probe, {"pid": "4711", **record}) for probe, record in live if probe == "processes"][:1] or live[:1]
    if state == "broken" and not listed:
        found += known.get(Weight.FILES, ())[:1]
    if state == "leftover":
        found += known.get(Weight.RESIDUE, ())[:1]
    if not found:
        raise LookupError(f"no fixture shows {platform}/{id} {state}")
    return found


def _listed(platform: str, id: str, probe: str, record: Record, state: str, version: str) -> dict[str, str]:
    """A whole record of the host's list of programs."""
    if probe.startswith("packages."):
        state_of = {"packages.dpkg": "iF" if state == "broken" else "ii"}.get(probe, "installed")
        arch = "amd64" if probe == "packages.dpkg" else "x86_64"
        name = record["name"].partition(":")[0]
        return {"name": name, "version": version or "1.2.3", "arch": arch, "state": state_of}
    if platform == "windows":
        code = record.get("key") or f"{{{uuid.uuid5(uuid.NAMESPACE_DNS, id)}}}".upper()
        return {
            "view": "64",
            "publisher": "Kaspersky",
            "location": "",
            "quiet_uninstall": "",
            **record,
            "key": code,
            "version": version or "1.2.3",
            "uninstall": f"MsiExec.exe /X{code}",
        }
    return dict(record)


def default_policy(platform: str, **changes: t.Any) -> Policy:
    """Settings that allow everything: consent, a replacement, a fallback."""
    base = Policy(
        consent=frozenset({"remove"}),
        replacement={platform: "shield"},
        fallback={platform: "lantern"},
        reboot="if_needed",
    )
    return dataclasses.replace(base, **changes)


def controller(**changes: t.Any) -> Controller:
    """A controller that found nothing wrong."""
    base = Controller(now=NOW, artifacts={}, port=5986, groups=("all", "servers"))
    return dataclasses.replace(base, **changes)


def secret(name: str = "vault_word", **changes: t.Any) -> SecretRef:
    """A reference to a secret."""
    return SecretRef(**{"how": "variable", "name": name, **changes})


def _probe(answer: Answer) -> Probe:
    if isinstance(answer, Probe):
        return answer
    if isinstance(answer, str):
        return Probe("unknown", answer)
    records = tuple(dict(record) for record in answer or ())
    return Probe("ok" if records else "absent", "", records)


def observe(
    platform: str,
    signs_of: Iterable[Sign] = (),
    probes: Mapping[str, Answer] | None = None,
    host: Mapping[str, str] | None = None,
    family: str = "deb",
) -> Observation:
    """An observation: every probe of the platform answers `absent` but for what is given.

    `probes` replaces what a probe says; records of `signs_of` are added to it.
    """
    answers: dict[str, Answer] = dict.fromkeys(PROBES.get(platform, ()), ())
    answers |= _preflight(platform, family) | dict(probes or {})
    told = {name: _probe(answer) for name, answer in answers.items() if answer is not None}
    for name, record in signs_of:
        old = told.get(name, Probe("absent"))
        told[name] = Probe("unknown" if old.status == "unknown" else "ok", old.reason, (*old.records, record))
    facts = {**HOSTS.get(platform, {}), **(host or {})}
    return Observation(platform, "powershell" if platform == "windows" else "posix-sh", facts, told)


# The agent of Windows tells when it was last in touch with its server; long ago, so that nobody waits for the host.
_CONTACT: t.Final = (
    "registry.machine",
    {
        "root": "SOFTWARE\\KasperskyLab\\Components\\34",
        "view": "32",
        "sid": "",
        "key": "1103\\1.0.0.0\\Statistics\\AVState",
        "value.Protection_AdmServer": "ksc.example",
        "value.Protection_LastConnected": "01-02-2030 10-11-12",
    },
)


def given(ids: Iterable[str], platform: str) -> dict[str, dict[str, SecretRef]]:
    """`evict_secrets` with all that the products could ask for."""
    known = knowledge.catalog()
    return {
        id: {s.name: secret(format="plain", property=s.name) for s in known.entry(platform, id).secrets}
        for id in ids
        if known.entry(platform, id).secrets
    }


def tokens(*providers: Provider | None) -> dict[str, dict[str, SecretRef]]:
    """`evict_secrets` with all that the providers need."""
    return {p.id: {s.name: secret(format="plain") for s in p.secrets} for p in providers if p is not None and p.secrets}


def answers(asked: Mapping[str, Sequence[str]], manager: str) -> dict[str, Answer]:
    """What a host says to the literals of preflight.ask when all can be had."""
    told: dict[str, Answer] = {
        "egress": [{"endpoint": endpoint, "state": "open", "detail": ""} for endpoint in asked.get("endpoints", ())]
    }
    if "packages" in asked:
        own = [text.partition(":")[2] for text in asked["packages"] if text.startswith(f"{manager}:")]
        told["repository"] = [{"package": name, "candidate": "2.0-1", "installed": ""} for name in own]
    return told


def real(id: str) -> Provider:
    """A provider of the catalog."""
    return _providers()[id]


@functools.cache
def _providers() -> Mapping[str, Provider]:
    return providers.load()


Product = str | tuple[str, str] | tuple[str, str, str]


def case(
    platform: str = "linux",
    *,
    products: Iterable[Product] = ("kesl",),
    probes: Mapping[str, Answer] | None = None,
    facts: Mapping[str, str] | None = None,
    family: str = "deb",
    policy: Mapping[str, t.Any] | Policy | None = None,
    replacement: Provider | None = SHIELD,
    fallback: Provider | None = LANTERN,
    found: Mapping[str, t.Any] | None = None,
    host: str = "web1",
    catalog: Catalog | None = None,
) -> Case:
    """A case.

    Args:
        platform: of the host.
        products: id, (id, state) or (id, state, version) of what is on it; running where nothing is said. On Windows
            give an id of the Windows catalog.
        probes: probe -> what it answers instead of the answer of a host on which nothing stands in the way.
        facts: facts of the host (probe `host`) to change.
        family: of a Linux host's packages.
        policy: a policy, or fields to change in one that allows everything.
        replacement, fallback: made-up providers (`provider`), or those of the catalog (`real`).
        found: fields of the controller to change.
        host: inventory name.
        catalog: instead of the repository's own.
    """
    known = catalog or knowledge.catalog()
    signs_of: list[Sign] = []
    ids = []
    for item in products:
        parts = [item] if isinstance(item, str) else list(item)
        id, state, version = parts + ["", "running", ""][len(parts) :]
        ids.append(id)
        signs_of += signs(platform, id, state, version, family)
    if platform == "windows" and "klnagent" in ids and "registry.machine" not in (probes or {}):
        signs_of.append(_CONTACT)
    if isinstance(policy, Policy):
        settings = policy
    else:
        named = given(ids, platform) | tokens(replacement, fallback)
        settings = default_policy(platform, **{"secrets": named, **(policy or {})})
    out = controller(**(found or {}))
    asked = preflight.ask(settings, replacement, fallback, known, platform, out.port)
    seen = observe(platform, signs_of, {**answers(asked, MANAGERS[family]), **(probes or {})}, facts, family)
    return Case(
        host=host,
        seen=seen,
        assessment=assess(seen, known),
        catalog=known,
        policy=settings,
        replacement=replacement,
        fallback=fallback,
        controller=out,
    )


def entries(platform: str) -> list[Entry]:
    """The entries whose products would be removed by somebody: named ones that are not only reported."""
    return [e for e in knowledge.catalog().for_platform(platform) if not e.generic and not e.report_only]
