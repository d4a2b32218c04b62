# SPDX-License-Identifier: GPL-3.0-or-later
"""Inhibitors of replacement and fallback."""

from __future__ import annotations

from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy_types import Exclusion
from ansible_collections.evict.kaspersky.plugins.plugin_utils.provider import ProviderPlatform
from tests import cases
from tests.cases import provider, real
from tests.inhibiting.shared import EXISTING, FILE, NONE, WATCHER, Row, defender, linux, probes, template, win

DEFENDER = {"kind": "wsc", "name": "Windows Defender", "state": "active"}
SELINUX = {"kind": "selinux", "state": "enforcing"}
RAISES = provider(cover=(template("set_selinux_boolean", {"name": "antivirus_can_scan_system", "value": "on"}),))

ROWS: list[Row] = [
    # --- replacement and fallback
    ("replacement_missing", linux(replacement=None), "no replacement for linux", linux()),
    ("fallback_missing", linux(fallback=None), "no fallback for linux", linux(fallback=None, replacement=NONE)),
    ("fallback_missing", linux(fallback=cases.SHIELD), "the replacement itself", linux()),
    (
        "fallback_missing",
        linux(fallback=NONE),
        "protects nothing",
        linux(fallback=NONE, policy={"consent": frozenset({"remove", "unprotected"})}),
    ),
    (
        "unprotected_without_consent",
        linux(replacement=NONE, fallback=None),
        "nobody consented",
        linux(replacement=NONE, fallback=None, policy={"consent": frozenset({"remove", "unprotected"})}),
    ),
    (
        "no_active_protection",
        linux(
            replacement=EXISTING,
            **probes(protection=[{**WATCHER, "exe": "/opt/kaspersky/kesl/libexec/kesl", "comm": "kesl"}]),
        ),
        "no other protection is active",
        linux(replacement=EXISTING, **probes(protection=[WATCHER])),
    ),
    (
        "no_active_protection",
        linux(replacement=EXISTING, **probes(protection="hung")),
        "hung",
        linux(**probes(protection="hung")),
    ),
    (
        "replacement_unfit",
        linux(replacement=provider(families=("rpm",))),
        "cannot be installed on deb",
        linux(replacement=provider(families=("deb",))),
    ),
    (
        "replacement_unfit",
        linux(replacement=provider(platforms={"windows": ProviderPlatform()})),
        "is not for linux",
        linux(),
    ),
    (
        "replacement_unfit",
        linux(fallback=provider("lantern", needs=("systemd",)), facts={"init": "openrc"}),
        "the fallback lantern needs systemd, and the host starts with openrc",
        linux(fallback=provider("lantern", needs=("systemd",))),
    ),
    (
        "other_scanner",
        linux(**probes(protection=[WATCHER])),
        "guardd (pid 9) is active",
        linux(**probes(protection=[{**WATCHER, "comm": "shieldd"}])),
    ),
    (
        "other_scanner",
        win(**probes(protection=[{"kind": "wsc", "name": "Some AV", "state": "active"}])),
        "Some AV is active",
        win(**probes(protection=[{"kind": "wsc", "name": "Kaspersky Endpoint Security", "state": "active"}])),
    ),
    (
        "other_scanner",
        win(**probes(protection=[{"kind": "defender", "name": "Microsoft Defender Antivirus", "state": "active"}])),
        "Microsoft Defender Antivirus is active",
        win(
            facts={"product_type": "workstation"},
            **probes(protection=[{"kind": "defender", "name": "Microsoft Defender Antivirus", "state": "active"}]),
        ),
    ),
    (
        "other_scanner",
        linux(**probes(protection="hung")),
        "hung",
        linux(replacement=NONE, fallback=None, **probes(protection="hung")),
    ),
    (
        "other_scanner",
        linux(**probes(protection=[WATCHER])),
        "guardd",
        linux(replacement=EXISTING, **probes(protection=[WATCHER])),
    ),
    (
        "cover_unreachable",
        linux(**probes(egress=[{"endpoint": "updates.shield.example:443", "state": "refused", "detail": "reset"}])),
        "cannot be reached from the host (refused: reset)",
        linux(),
    ),
    (
        "cover_unreachable",
        linux(**probes(egress=())),
        "the host did not try",
        linux(
            replacement=provider("torch"),
            **probes(egress="hung", repository=[{"package": n, "candidate": "1"} for n in ("torch", "lantern")]),
        ),
    ),
    (
        "artifact_unfit",
        linux(found={"artifacts": {"replacement": "its hash differs"}}),
        "replacement: its hash differs",
        linux(found={"artifacts": {"replacement": ""}}),
    ),
    (
        "no_candidate",
        linux(
            **probes(
                repository=[
                    {"package": "shield", "fault": "no repository offers it"},
                    {"package": "lantern", "candidate": "1"},
                ]
            )
        ),
        "package shield: no repository offers it",
        linux(**probes(repository=[{"package": n, "candidate": "1"} for n in ("shield", "lantern")])),
    ),
    (
        "no_candidate",
        linux(**probes(repository=[{"package": "lantern", "candidate": "1"}])),
        "offers shield for the replacement",
        linux(),
    ),
    ("no_candidate", linux(**probes(repository="no lists")), "no lists", win(**probes(repository="no lists"))),
    (
        "no_room",
        linux(**probes(space=[{"path": "/var", "mount": "/var", "free_mib": "999", "options": "rw"}])),
        "/var has 999 MiB free, and 1000 MiB are needed",
        linux(**probes(space=[{"path": "/var", "mount": "/var", "free_mib": "1000", "options": "rw"}])),
    ),
    (
        "no_room",
        linux(**probes(space=[{"path": "/usr", "mount": "/usr", "free_mib": "9999", "options": "ro,noatime"}])),
        "/usr is mounted read-only",
        linux(
            **probes(
                space=[
                    {"path": "/usr", "mount": "/usr", "free_mib": "9999", "options": "rw,errors=remount-ro"},
                    {"path": "/tmp", "free_mib": "1"},
                ]
            )
        ),
    ),
    ("no_room", linux(**probes(space=())), "the host named no file system", linux()),
    (
        "too_little_memory",
        linux(**probes(resources=[{"memory_mib": "1023"}])),
        "1023 MiB of memory, and the replacement shield needs 1024 MiB",
        linux(**probes(resources=[{"memory_mib": "1024"}])),
    ),
    (
        "too_little_memory",
        linux(**probes(resources="hung")),
        "hung",
        linux(replacement=NONE, fallback=None, **probes(resources="hung")),
    ),
    (
        "programs_restricted",
        linux(**probes(enforcement=[{"kind": "fapolicyd", "state": "active", "detail": "pid 4"}])),
        "fapolicyd is active: pid 4",
        linux(
            **probes(
                enforcement=[{"kind": "fapolicyd", "state": "permissive"}, {"kind": "apparmor", "state": "active"}]
            )
        ),
    ),
    (
        "programs_restricted",
        linux(policy={"replacement_source": FILE}, **probes(enforcement=[{"kind": "selinux", "state": "enforcing"}])),
        "SELinux is enforcing",
        linux(**probes(enforcement=[{"kind": "selinux", "state": "enforcing"}])),
    ),
    (
        "programs_restricted",
        win(**probes(enforcement=[{"kind": "wdac", "state": "enforcing", "detail": ""}])),
        "wdac is enforcing",
        win(**probes(enforcement=[{"kind": "wdac", "state": "permissive"}, {"kind": "srp", "state": "active"}])),
    ),
    # --- Defender
    (
        "defender_managed",
        defender(managed_by="gpo", payload="present"),
        "group policy",
        win(**probes(defender=[{"property": "managed_by", "value": "gpo"}])),
    ),
    (
        "defender_tamper_protection",
        {**defender(IsTamperProtected="True"), "policy": {"exclusions": (Exclusion("path", "D:\\data"),)}},
        "tamper protection is on, and may ignore without a word: the exclusion D:\\data",
        defender(IsTamperProtected="True"),
    ),
    (
        "defender_tamper_protection",
        {**defender(IsTamperProtected="True"), "replacement": real("mde_windows")},
        "ForceDefenderPassiveMode = 1",
        {**defender(IsTamperProtected="True", AMRunningMode="Passive Mode"), "replacement": real("mde_windows")},
    ),
    (
        "defender_disabled",
        defender(DisableAntiSpyware="1"),
        "DisableAntiSpyware = 1",
        {**defender(DisableAntiSpyware="1"), "facts": {"product_type": "workstation"}},
    ),
    (
        "defender_disabled",
        defender(start__WinDefend="disabled"),
        "WinDefend is disabled",
        defender(start__WdNisSvc="disabled"),
    ),
    (
        "defender_unknown",
        {**defender(), "probes": {"defender": "MSFT_MpComputerStatus says nothing"}},
        "in which state Defender is: MSFT_MpComputerStatus says nothing",
        win(**probes(defender="MSFT_MpComputerStatus says nothing")),
    ),
    (
        "defender_payload_removed",
        {**defender(feature="not_installed"), "facts": {"product_type": "workstation"}},
        "no service WinDefend",
        {**defender(feature="installed"), "facts": {"product_type": "workstation"}},
    ),
    (
        "defender_payload_removed",
        {**defender(feature="installed"), "facts": {"product_type": "workstation", "os_version": "6.1"}},
        "has no Defender Antivirus",
        {**defender(feature="installed"), "facts": {"product_type": "workstation", "os_version": "6.3"}},
    ),
    (
        "defender_payload_removed",
        defender(feature="not_installed", payload="removed"),
        "removed together with its files",
        defender(feature="not_installed", payload="present"),
    ),
    ("defender_payload_removed", defender(feature="not_installed"), "could not tell", defender(feature="installed")),
    (
        "defender_passive",
        defender(ForceDefenderPassiveMode="1", onboarded="no"),
        "does not take it back",
        {**defender(ForceDefenderPassiveMode="1", onboarded="no"), "replacement": real("mde_windows")},
    ),
    (
        "defender_passive",
        defender(ForceDefenderPassiveMode="1", onboarded="yes"),
        "does not take it back",
        {**defender(ForceDefenderPassiveMode="1", onboarded="yes"), "replacement": real("mde_windows")},
    ),
    (
        "defender_passive",
        {**defender(ForceDefenderPassiveMode="1", onboarded="no"), "facts": {"product_type": "workstation"}},
        "not onboarded",
        {**defender(ForceDefenderPassiveMode="1", onboarded="yes"), "facts": {"product_type": "workstation"}},
    ),
    (
        "defender_passive",
        {**defender(), "replacement": real("defender_av"), "fallback": real("mde_windows")},
        "the replacement defender_av must be active, and the fallback mde_windows sets ForceDefenderPassiveMode = 1",
        {**defender(), "replacement": real("mde_windows"), "fallback": real("defender_av")},
    ),
    # --- which scanner, which package
    (
        "other_scanner",
        win(facts={"product_type": "workstation"}, **probes(protection=[{**DEFENDER, "name": "Some AV"}])),
        "Some AV is active",
        win(facts={"product_type": "workstation"}, **probes(protection=[DEFENDER])),
    ),
    (
        "other_scanner",
        linux(replacement=provider(scanners=("wdavdaemon",)), **probes(protection=[{**WATCHER, "comm": "falcond"}])),
        "CrowdStrike Falcon",
        linux(replacement=provider(scanners=("wdavdaemon",)), **probes(protection=[{**WATCHER, "comm": "mdatp"}])),
    ),
    (
        "other_scanner",
        linux(**probes(protection=[{**WATCHER, "exe": "", "comm": "clamonacc", "mode": "notify"}])),
        "ClamAV on-access scanner",
        linux(**probes(protection=[{**WATCHER, "exe": "", "comm": "kesl"}, {**WATCHER, "mode": "notify"}])),
    ),
    (
        "other_scanner",
        linux(**probes(protection=[WATCHER])),
        "guardd",
        linux(**probes(protection=[{**WATCHER, "root": "other"}, {**WATCHER, "comm": "fapolicyd"}])),
    ),
    (
        "no_candidate",
        linux(**probes(repository=[{"package": "shield"}, {"package": "lantern", "installed": "1"}])),
        "package shield: no repository of the host offers it",
        linux(**probes(repository=[{"package": "shield", "candidate": "2"}, {"package": "lantern", "installed": "1"}])),
    ),
    (
        "programs_restricted",
        linux(replacement=RAISES, policy={"fallback_source": FILE}, **probes(enforcement=[SELINUX])),
        "nothing prepares it for the fallback lantern",
        linux(replacement=RAISES, policy={"replacement_source": FILE}, **probes(enforcement=[SELINUX])),
    ),
]
