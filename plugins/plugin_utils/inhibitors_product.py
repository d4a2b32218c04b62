# SPDX-License-Identifier: GPL-3.0-or-later
"""Inhibitors of the products themselves: what would be lost, refuse to go, or come back."""

from __future__ import annotations

import datetime
import typing as t
from collections.abc import Iterator

from . import policy_roles, removal
from .case import Case
from .catalog import Entry
from .inhibitors_base import (
    BOTH,
    WINDOWS,
    Inhibitor,
    Met,
    Told,
    branded,
    doubt,
    named,
    number,
    records,
    removed,
    told,
    topic_probes,
)

RECENT: t.Final = datetime.timedelta(days=30)
CONSOLES: t.Final = 50  # their order in the catalog (catalog/README.md)
_GUARDS: t.Final = {"server": "server", "mail": "mail_path", "proxy": "proxy_path"}
_CONTACT: t.Final = "value.Protection_LastConnected"
_FORMS: t.Final = ("%d-%m-%Y %H-%M-%S", "%d.%m.%Y %H:%M:%S", "%d-%m-%Y %H:%M:%S", "%Y-%m-%d %H:%M:%S")


# --- encryption


def _encryption(case: Case) -> Iterator[Met]:
    if not case.assessment.products:
        return
    for found in told(case, "encryption"):
        if _works(found):
            yield Met(f"encryption of the vendor is at work or installed: {found.text}")
    for record in records(case, "encryption"):
        if branded(case, record.get("method"), record.get("detail")):
            status = record.get("status") or "state unknown"
            yield Met(f"{record.get('volume') or 'a volume'} is under {record.get('method')} ({status})")
    for probe in topic_probes(case, "encryption"):
        if probe.endswith(".users"):
            continue  # what encrypts disks or files is installed for the whole machine
        yield from doubt(case, probe, "whether a driver or package of the vendor encrypts disks or files")


def _works(found: Told) -> bool:
    """A driver that is only registered encrypts nothing; a package is enough."""
    if found.signal.kind == "driver":
        return found.record.get("state") not in ("stopped", "not_registered")
    return found.signal.kind != "minifilter" or found.record.get("state") == "loaded"


def _bitlocker(case: Case) -> Iterator[Met]:
    managers = [p.entry.id for p in removed(case) if any("BitLocker" in n.target for n in p.entry.never_touch)]
    agents = [p.entry.id for p in removed(case) if _manages(p.entry)]
    deaf = any(case.probe(probe).status == "unknown" for probe in topic_probes(case, "manager"))
    if not managers or not (agents or deaf or any(True for found in told(case, "manager"))):
        return  # without its console the product manages no keys
    for record in records(case, "encryption"):
        if "bitlocker" in record.get("method", "").lower() and (record.get("status") != "off" or record.get("detail")):
            yield Met(
                f"{record.get('volume') or 'a volume'} is under BitLocker ({record.get('status') or 'state unknown'}), "
                f"and {named(managers)} with a management agent may hold its recovery keys"
            )
    yield from doubt(case, "encryption", "whether volumes are under BitLocker, whose keys the product may manage")


# --- roles


def _guarded(case: Case) -> Iterator[Met]:
    words = {id: word for word, ids in sorted(policy_roles.known().items(), reverse=True) for id in ids}
    for product in removed(case):
        entry = product.entry
        if guards(entry) and not _agreed(case, entry):
            role = words.get(entry.id, min(guards(entry)))
            yield Met(
                f"{entry.name} ({entry.id}) serves the role {role}",
                f"once the service has a successor, opt in with `evict_roles: [{role}]`",
            )


def _agreed(case: Case, entry: Entry) -> bool:
    return entry.id in case.policy.roles or bool(guards(entry) & case.policy.roles)


def guards(entry: Entry) -> set[str]:
    """The roles without which a product is not removed."""
    own: set[str] = set(entry.removal.guarded)
    return own | ({_GUARDS[entry.family]} if entry.family in _GUARDS else set())


def _integration(case: Case) -> Iterator[Met]:
    going = {p.entry.id: p.entry for p in removed(case)}
    for found in told(case, "integration"):
        entry = going.get(found.entry)
        if entry is not None and not _agreed(case, entry):
            yield Met(f"{found.text} still sends its traffic through {entry.id}")
    signals = [s for e in going.values() if not _agreed(case, e) for s in e.signals if s.topic == "integration"]
    for probe in sorted({probe for signal in signals for probe in signal.probes}):
        yield from doubt(case, probe, "whether a service still works through the product")


# --- no way to remove it


def _manual(case: Case) -> Iterator[Met]:
    for product in removed(case):
        if why := removal.why_manual(product, case):
            yield Met(f"{product.entry.name} ({product.entry.id}, {product.state}): {why}")


# --- self-protection and management


def _protected_agent(case: Case) -> Iterator[Met]:
    agents = [p for p in removed(case) if p.entry.family == "agent"]
    if not agents:
        return
    own = {
        f.record.get("name", "").lower(): p.entry.id for p in agents for f in p.findings if f.signal.kind == "service"
    }
    for record in records(case, "protected_services"):
        level = record.get("level", "").lower()
        if record.get("name", "").lower() in own and level not in ("", "0", "none"):
            yield Met(f"service {record.get('name')} of the agent is protected (level {record.get('level')})")
    yield from doubt(case, "protected_services", "whether the agent's service is protected by a policy")


def _manages(entry: Entry) -> bool:
    """Is it the agent of Security Center? The sensors of the family go before consoles, network agents after them."""
    return entry.family == "agent" and entry.removal.order > CONSOLES


def _managed(case: Case) -> Iterator[Met]:
    agents = [p for p in removed(case) if _manages(p.entry)]
    if not agents:
        return
    for record in records(case, "peers"):
        owner = case.catalog.owner(case.platform, record.get("exe", ""))
        if owner is not None and _manages(owner):
            yield Met(f"{record.get('exe')} is connected to {record.get('remote')} port {record.get('port')} now")
    contacts = [f.record for f in told(case, "manager") if f.record.get(_CONTACT)]
    for record in contacts:
        yield from _contact(case, record)
    if case.platform == "windows":
        running = [p.entry.id for p in agents if p.state == "running"]
        if running and not contacts:
            yield Met(
                f"could not tell when {named(running)} was last in touch with its server: it runs, and says nothing"
            )
    else:
        yield from doubt(case, "peers", "whether the agent is connected to its server")


def _contact(case: Case, record: t.Any) -> Iterator[Met]:
    text, server = record[_CONTACT], record.get("value.Protection_AdmServer") or "its server"
    when = _time(text)
    if when is None:
        yield Met(f"the agent was in touch with {server}, and when cannot be read: {text}")
    elif case.controller.now - when < RECENT:
        yield Met(f"the agent was last in touch with {server} at {text}")


def _time(text: str) -> datetime.datetime | None:
    for form in _FORMS:
        try:
            return datetime.datetime.strptime(text.strip(), form).replace(tzinfo=datetime.UTC)
        except ValueError:
            continue
    return None


def _reinstall(case: Case) -> Iterator[Met]:
    for found in told(case, "reinstall"):
        if found.signal.kind != "path":  # an installer that lies about starts nothing by itself
            yield Met(found.text)
    for probe in topic_probes(case, "reinstall"):
        if probe != "paths":
            yield from doubt(case, probe, "whether something would install the product again")


# --- what users would lose


def _vaults(case: Case) -> Iterator[Met]:
    for record in records(case, "vaults"):
        yield Met(f"vault of {record.get('user') or 'a user'}: {record.get('path')}")
    if any(p.entry.family == "consumer" for p in removed(case)):
        yield from doubt(case, "vaults", "whether users keep passwords in the vendor's vaults")


def _quarantine(case: Case) -> Iterator[Met]:
    for record in records(case, "quarantine"):
        files = number(record.get("files"))
        if files != 0:
            yield Met(f"{record.get('path')} holds {'an unknown number of' if files is None else files} files")
    yield from doubt(case, "quarantine", "whether the quarantine holds anything")


INHIBITORS: t.Final = (
    Inhibitor(
        id="kaspersky_encryption",
        title="Disks or files are encrypted by Kaspersky, or its pre-boot agent is there",
        platforms=WINDOWS,
        when="acts",
        looks_at=(
            "drivers, minifilters and packages of the topic `encryption` in the catalog; volumes of probe `encryption`"
        ),
        remedy=(
            "decrypt by policy in Security Center, remove the Authentication Agent, wait until every volume and "
            "file is decrypted, remove the encryption components, then plan again"
        ),
        waivable=False,
        why="a removal may leave a computer that does not start, and files that nobody can read again",
        check=_encryption,
    ),
    Inhibitor(
        id="bitlocker_managed",
        title="BitLocker may be managed by the product that goes",
        platforms=WINDOWS,
        when="removes",
        looks_at="probe `encryption` beside a product that manages BitLocker and a management agent",
        remedy=(
            "escrow the recovery keys elsewhere (directory service or another key store) and check them; do not "
            "decrypt; then waive this with the ticket of the escrow"
        ),
        waivable=True,
        why="the volume stays readable; whoever waives it says that the recovery keys are kept elsewhere",
        check=_bitlocker,
    ),
    Inhibitor(
        id="server_role",
        title="A server role of the product was not opted in",
        platforms=BOTH,
        when="removes",
        looks_at="family and `removal.guarded` of the products in the catalog; `evict_roles`",
        remedy="name the role in `evict_roles` once the service has a successor",
        waivable=False,
        why="`evict_roles` is the way to agree, so that the plan says it",
        check=_guarded,
    ),
    Inhibitor(
        id="integration_in_use",
        title="A service of this host still works through the product",
        platforms=BOTH,
        when="removes",
        looks_at="lines and files of the topic `integration` in the catalog",
        remedy="take the lines out of the service's configuration and reload it, then plan again",
        waivable=True,
        why="the owner of the service may take the lines out in the same change",
        check=_integration,
    ),
    Inhibitor(
        id="no_automatic_removal",
        title="A product that works cannot be removed by any step",
        platforms=BOTH,
        when="removes",
        looks_at="`removal.strategy` in the catalog; the package database or list of programs",
        remedy="remove it by hand as its vendor describes, or with its own uninstaller, then plan again",
        waivable=False,
        why="the replacement would run beside it, and the host would stay `present`",
        check=_manual,
    ),
    Inhibitor(
        id="protected_agent",
        title="The agent's service protects itself",
        platforms=WINDOWS,
        when="removes",
        looks_at="probe `protected_services` against services of products of the family `agent`",
        remedy=(
            "switch off the protection of the agent's service in its policy in Security Center, wait for a "
            "synchronisation, then plan again"
        ),
        waivable=False,
        why="the uninstaller would fail; nothing here gets around self-protection",
        check=_protected_agent,
    ),
    Inhibitor(
        id="managed_by_ksc",
        title="Security Center manages this host and may install the product again",
        platforms=BOTH,
        when="removes",
        looks_at=(
            f"connections of the agent (probe `peers`); its last contact, when it is less than {RECENT.days} days ago"
        ),
        remedy=(
            "take the host out of automatic installation and delete it in Security Center (or dismantle the "
            "server), then plan again"
        ),
        waivable=True,
        why="the administrator may know that no task of the server installs anything",
        check=_managed,
    ),
    Inhibitor(
        id="reinstall_source",
        title="Something on this host would install the product again",
        platforms=BOTH,
        when="removes",
        looks_at="jobs, units, scripts, deployments and policies of the topic `reinstall` in the catalog",
        remedy=(
            "remove the job, assignment or repository where it comes from (group policy, ConfigMgr, Intune, cron ...)"
        ),
        waivable=True,
        why="a job may only name the product, such as an inventory or a check",
        check=_reinstall,
    ),
    Inhibitor(
        id="password_vaults",
        title="Users keep passwords in Kaspersky Password Manager",
        platforms=WINDOWS,
        when="removes",
        looks_at="probe `vaults`",
        remedy="let each user export the vault; the files stay, but nothing opens them once the program is gone",
        waivable=True,
        why="the files are never touched; the owner may say that they are exported",
        check=_vaults,
    ),
    Inhibitor(
        id="quarantine_content",
        title="The quarantine holds files that nothing opens once the product is gone",
        platforms=BOTH,
        when="removes",
        looks_at="probe `quarantine`",
        remedy=(
            "restore or delete its content with the product, or keep it as evidence; the folder itself is never touched"
        ),
        waivable=True,
        why="the owner may do without what is in it",
        check=_quarantine,
    ),
)
