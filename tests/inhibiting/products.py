# SPDX-License-Identifier: GPL-3.0-or-later
"""Inhibitors of products and of their secrets."""

from __future__ import annotations

import dataclasses

from ansible_collections.evict.kaspersky.plugins.plugin_utils.observation import Probe
from tests import cases
from tests.inhibiting.shared import (
    ARGUES,
    BITLOCKER,
    FILE,
    NEEDY,
    NONE,
    Row,
    agent,
    contact,
    installs,
    linux,
    lock,
    probes,
    win,
)

ENCRYPTS = {"name": "Klfle.KES-21-9", "altitude": "148800", "state": "loaded"}
CONSUMER = r"AVP21.3\Settings\PasswordProtectionSettings"
EXE, MSI = (dataclasses.replace(FILE, name=name, signer="Sentinel Labs") for name in ("s.exe", "s.msi"))


def peer(exe: str) -> dict[str, str]:
    """A connection of a program."""
    return {"pid": "4", "exe": exe, "remote": "192.0.2.4", "port": "13000"}


ROWS: list[Row] = [
    # --- the products
    (
        "kaspersky_encryption",
        win(**probes(drivers=[{"name": "klfle.KES-21-9", "state": "running"}])),
        "klfle",
        win(**probes(drivers=[{"name": "klfle.KES-21-9", "state": "stopped"}, {"name": "klif", "state": "running"}])),
    ),
    (
        "kaspersky_encryption",
        win(**probes(minifilters=[{"name": "klfdefsf", "altitude": "389500", "state": "loaded"}])),
        "klfdefsf",
        win(**probes(minifilters=[{"name": "klfdefsf", "altitude": "389500", "state": "registered"}])),
    ),
    ("kaspersky_encryption", {"platform": "windows", "products": ["kes", "kes-aes"]}, "Encryption Module", win()),
    (
        "kaspersky_encryption",
        win(**probes(encryption=[{"volume": "C:", "method": "Kaspersky Disk Encryption", "status": "on"}])),
        "C: is under Kaspersky Disk Encryption",
        win(**probes(encryption=[BITLOCKER, {"volume": "system", "method": "VeraCrypt", "status": "unknown"}])),
    ),
    (
        "kaspersky_encryption",
        win(**probes(drivers="access denied")),
        "could not tell",
        win(**probes(**{"uninstall.users": "a profile cannot be read"})),
    ),
    (
        "kaspersky_encryption",
        win(products=[("kes", "leftover")], **probes(minifilters=[ENCRYPTS])),
        "Klfle",
        win(products=[], **probes(drivers="access denied")),
    ),
    (
        "bitlocker_managed",
        agent(**probes(encryption=[BITLOCKER])),
        "C: is under BitLocker (on)",
        win(**probes(encryption=[BITLOCKER])),
    ),
    (
        "bitlocker_managed",
        agent(**probes(encryption=[{**BITLOCKER, "status": "off", "detail": "encrypted, protection suspended"}])),
        "C: is under BitLocker (off)",
        agent(**probes(encryption=[{**BITLOCKER, "status": "off"}])),
    ),
    (
        "bitlocker_managed",
        agent(**probes(encryption="no provider")),
        "no provider",
        win(**probes(encryption="no provider")),
    ),
    (
        "server_role",
        linux(products=["klms"]),
        "serves the role mail",
        linux(products=["klms"], policy={"roles": frozenset({"klms"})}),
    ),
    (
        "server_role",
        linux(products=["ksc64"]),
        "serves the role ksc",
        linux(products=["ksc64"], policy={"roles": frozenset({"server"})}),
    ),
    ("server_role", {"platform": "windows", "products": ["ksexch"]}, "(ksexch) serves", win()),
    (
        "integration_in_use",
        linux(products=["kav4fs"], **probes(lines=[{"file": "/etc/samba/smb.conf", "text": "vfs objects = kav4fs"}])),
        "kav4fs",
        linux(products=["kesl"], **probes(lines=[{"file": "/etc/samba/smb.conf", "text": "vfs objects = kav4fs"}])),
    ),
    ("no_automatic_removal", linux(products=["cybertrace"]), "no unattended removal", linux()),
    (
        "no_automatic_removal",
        linux(
            products=[],
            **probes(paths=[{"path": "/opt/kaspersky/kesl/libexec/kesl", "type": "file", "executable": "yes"}]),
        ),
        "no package database knows it",
        linux(products=["kesl"]),
    ),
    (
        "protected_agent",
        agent(
            **probes(
                protected_services=[{"name": "klnagent", "level": "stop_denied"}],
                services=[
                    {
                        "name": "klnagent",
                        "path": r"C:\Program Files (x86)\Kaspersky Lab\NetworkAgent\klnagent.exe",
                        "state": "running",
                    }
                ],
            )
        ),
        "klnagent",
        agent(**probes(protected_services=[{"name": "AVP.KES.21.19", "level": "antimalware_light"}])),
    ),
    (
        "protected_agent",
        agent(**probes(protected_services="denied")),
        "denied",
        win(**probes(protected_services="denied")),
    ),
    (
        "managed_by_ksc",
        linux(
            products=["klnagent64"],
            **probes(
                peers=[{"exe": "/opt/kaspersky/klnagent64/sbin/klnagent", "remote": "192.0.2.4", "port": "13000"}]
            ),
        ),
        "192.0.2.4 port 13000",
        linux(
            products=["kesl", "klnagent64"],
            **probes(peers=[{"exe": "/opt/kaspersky/kesl/libexec/kesl", "remote": "192.0.2.4", "port": "443"}]),
        ),
    ),
    ("managed_by_ksc", linux(products=["klnagent64"], **probes(peers="hung")), "hung", linux(**probes(peers="hung"))),
    (
        "managed_by_ksc",
        agent(probes=contact("01-05-2030 10-11-12")),
        "01-05-2030",
        agent(probes=contact("01-04-2030 10-11-12")),
    ),
    (
        "managed_by_ksc",
        agent(probes=contact("yesterday")),
        "cannot be read: yesterday",
        win(probes=contact("yesterday")),
    ),
    (
        "managed_by_ksc",
        agent(**probes(**{"registry.machine": ()})),
        "it runs, and says nothing",
        {"platform": "windows", "products": [("klnagent", "installed")], **probes(**{"registry.machine": ()})},
    ),
    (
        "reinstall_source",
        win(
            **probes(
                reinstall=[{"kind": "gpo_software", "source": "SYSVOL", "text": "Kaspersky Endpoint Security.msi"}]
            )
        ),
        "Kaspersky Endpoint Security.msi",
        win(**probes(reinstall=[{"kind": "run", "source": "HKLM", "text": "OneDrive.exe"}])),
    ),
    (
        "reinstall_source",
        linux(**probes(lines=[{"file": "/etc/cron.d/antivirus", "text": "0 3 * * * root /srv/install-kesl.sh kesl"}])),
        "/etc/cron.d/antivirus",
        linux(**probes(paths=[{"path": "/root/kesl-12.deb", "type": "file", "pattern": "/root/kesl*"}])),
    ),
    ("reinstall_source", win(**probes(reinstall="denied")), "denied", win()),
    (
        "password_vaults",
        {"platform": "windows", "products": ["kpm"], **probes(vaults=[{"user": "ada", "path": r"C:\Users\ada\x.edb"}])},
        "vault of ada",
        {"platform": "windows", "products": ["kpm"]},
    ),
    (
        "password_vaults",
        {"platform": "windows", "products": ["kpm"], **probes(vaults="denied")},
        "denied",
        win(**probes(vaults="denied")),
    ),
    (
        "quarantine_content",
        linux(**probes(quarantine=[{"path": "/var/opt/kaspersky/kesl/private/storage", "files": "3"}])),
        "holds 3 files",
        linux(**probes(quarantine=[{"path": "/var/opt/kaspersky/kesl/private/storage", "files": "0"}])),
    ),
    (
        "quarantine_content",
        linux(**probes(quarantine="denied")),
        "denied",
        linux(products=[], **probes(quarantine="denied")),
    ),
    # --- secrets
    (
        "secret_missing",
        win(policy={"secrets": {}}, probes=lock("set")),
        "KLLOGIN, KLPASSWD",
        win(policy={"secrets": {}}, probes=lock("empty")),
    ),
    ("lock_unknown", win(policy={"secrets": {}}), "could not tell", win(policy={"secrets": {}}, probes=lock("empty"))),
    (
        "lock_unknown",
        win(
            policy={"secrets": {}},
            **probes(**{"registry.machine": Probe("unknown", "denied", (lock("empty")["registry.machine"][0],))}),
        ),
        "KLPASSWD",
        win(),
    ),
    (
        "policy_lock",
        {
            "platform": "windows",
            "products": ["k4w"],
            "probes": lock("set", CONSUMER),
        },
        "locks k4w",
        win(probes=lock("set")),
    ),
    (
        "policy_lock",
        {"platform": "windows", "products": ["k4w"], **probes(**{"registry.machine": "denied"})},
        "denied",
        {"platform": "windows", "products": ["k4w"]},
    ),
    (
        "secret_failing",
        win(found={"secrets": {"kes.KLPASSWD": "the variable is not set for this host"}}),
        "kes.KLPASSWD: the variable is not set",
        win(found={"secrets": {"kes.KLPASSWD": "", "ksws.UNLOCK_PASSWORD": "not set"}}),
    ),
    (
        "secret_format_unknown",
        {
            "platform": "windows",
            "products": ["kea"],
            "policy": {"secrets": {"kea": {"ENDPOINT_AGENT_PASSWORD": cases.secret()}}},
        },
        "add `format:`",
        {"platform": "windows", "products": ["kea"]},
    ),
    (
        "secret_format_unknown",
        {
            "platform": "windows",
            "products": ["ksws"],
            "policy": {"secrets": {"ksws": {"UNLOCK_PASSWORD": cases.secret()}}},
        },
        "add `property:`",
        win(policy={"secrets": {"kes": {"KLLOGIN": cases.secret(), "KLPASSWD": cases.secret()}}}),
    ),
    (
        "cover_secret_missing",
        linux(replacement=NEEDY, policy={"secrets": {}}),
        "shield needs TOKEN (enrolment)",
        linux(replacement=NEEDY, policy={"secrets": {"shield": {"TOKEN": cases.secret()}}}),
    ),
    # --- secrets on a command line
    (
        "secret_in_arguments",
        linux(replacement=ARGUES),
        "the step cover.shield.x hands shield.TOKEN to shieldctl as an argument",
        linux(replacement=NEEDY),
    ),
    (
        "secret_in_arguments",
        linux(fallback=dataclasses.replace(ARGUES, id="lantern")),
        "the step fallback.lantern.x hands lantern.TOKEN",
        linux(fallback=dataclasses.replace(ARGUES, id="lantern"), replacement=NONE),
    ),
    (
        "secret_in_arguments",
        win(replacement=installs("install_exe", arguments=("/quiet", "CID=@TOKEN@"))),
        "hands shield.TOKEN to shield.bin as an argument",
        # A secret that no argument asks for; one that is a property of an MSI: it travels in memory.
        win(replacement=installs("install_exe", arguments=("/quiet", "CID=none"))),
    ),
    (
        "secret_in_arguments",
        linux(replacement=cases.real("falcon"), policy={"replacement_source": FILE, "secrets": {}}),
        "the step cover.falcon.register hands falcon.TOKEN to falconctl",
        win(replacement=installs("install_msi")),
    ),
    (
        "secret_in_arguments",
        win(replacement=cases.real("sentinelone"), policy={"replacement_source": EXE}),
        "hands sentinelone.TOKEN to s.exe",
        win(replacement=cases.real("sentinelone"), policy={"replacement_source": MSI}),
    ),
    # --- one of several
    (
        "bitlocker_managed",
        win(probes={**contact("01-02-2030 10-11-12"), "encryption": [BITLOCKER]}),
        "C: is under BitLocker (on)",
        {"platform": "windows", "products": ["ksws", "klnagent"], **probes(encryption=[BITLOCKER])},
    ),
    (
        "secret_missing",
        {"platform": "windows", "products": ["kes", "k4w"], "policy": {"secrets": {}}, "probes": lock("set")},
        "a password protects kes",
        {
            "platform": "windows",
            "products": ["kes", "k4w"],
            "policy": {"secrets": {}},
            "probes": lock("set", CONSUMER),
        },
    ),
    (
        "policy_lock",
        {"platform": "windows", "products": ["kes", "k4w"], "probes": lock("set", CONSUMER)},
        "locks k4w",
        {"platform": "windows", "products": ["kes", "k4w"], "probes": lock("set")},
    ),
    (
        "managed_by_ksc",
        linux(products=["klnagent64"], **probes(peers=[peer("/opt/kaspersky/klnagent64/sbin/klnagent")])),
        "klnagent is connected",
        linux(products=["epagent"], **probes(peers=[peer("/opt/kaspersky/epagent/sbin/epagentd")])),
    ),
    (
        "managed_by_ksc",
        linux(products=["klnagent64"], **probes(peers=[peer("/opt/kaspersky/klnagent64/sbin/klnagent")])),
        "klnagent is connected",
        linux(products=["ksc64"], **probes(peers=[peer("/opt/kaspersky/ksc64/sbin/klserver")])),
    ),
    # --- what could not be told
    (
        "bitlocker_managed",
        win(probes={"encryption": [BITLOCKER], "registry.machine": "denied"}),
        "C: is under BitLocker (on)",
        win(probes={"encryption": [BITLOCKER], "registry.users": "denied"}),
    ),
    (
        "policy_lock",
        {"platform": "windows", "products": ["kes", "k4w"], **probes(**{"registry.machine": "denied"})},
        "denied",
        win(**probes(**{"registry.machine": "denied"})),
    ),
    (
        "integration_in_use",
        linux(products=["kav4fs"], **probes(lines="denied")),
        "could not tell whether a service still works through the product: denied",
        linux(products=["kesl"], **probes(lines="denied")),
    ),
]
