# SPDX-License-Identifier: GPL-3.0-or-later
"""Inhibitors of what a host is and works with."""

from __future__ import annotations

from ansible_collections.evict.kaspersky.plugins.plugin_utils.observation import CUT
from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy_types import Exclusion
from tests.inhibiting.shared import FILE, NEW, NONE, OLD, URL, Row, entries_of_kes, linux, probes, win, window

APT_HALF_DONE = (
    {"kind": "manager", "name": "apt"},
    {"kind": "broken", "package": "libc6", "status": "unpacked"},
)
DOMAIN = {"profile": "domain", "enabled": "yes", "port": "5986", "allowed": "yes", "current": "yes"}
HYPER_V = {"role": "hyper_v", "source": "vmms"}
PUBLIC = {"profile": "public", "enabled": "yes", "port": "5986", "allowed": "no"}

ROWS: list[Row] = [
    # --- what could not be looked at
    (
        "partly_seen",
        win(**probes(services="denied")),
        "denied",
        win(**probes(**{"uninstall.users": "a hive is damaged"})),
    ),
    ("partly_seen", linux(**probes(processes="no privilege")), "no privilege", linux(**probes(lines="denied"))),
    ("partly_seen", linux(**probes(limits=CUT)), "was cut", linux(**probes(limits="no such file"))),
    # --- what the host works with
    (
        "package_manager_broken",
        linux(
            **probes(
                manager=[
                    {"kind": "manager", "name": "apt"},
                    {"kind": "broken", "package": "libc6", "status": "half-configured"},
                ]
            )
        ),
        "package libc6 is in the state half-configured",
        linux(
            **probes(
                manager=[
                    {"kind": "manager", "name": "apt"},
                    {"kind": "broken", "package": "kesl", "status": "half-configured"},
                ]
            )
        ),
    ),
    ("package_manager_broken", linux(**probes(manager="hung")), "hung", linux()),
    (
        "package_manager_broken",
        linux(**probes(manager=[*APT_HALF_DONE])),
        "package libc6 is in the state unpacked",
        linux(**probes(manager=[*APT_HALF_DONE, {"kind": "busy", "what": "process", "pid": "7", "program": "dpkg"}])),
    ),
    (
        "half_installed",
        linux(
            products=[],
            **probes(**{"packages.dpkg": [{"name": "kesl", "version": "12", "arch": "amd64", "state": "iHR"}]}),
        ),
        "package kesl is in the state iHR",
        linux(products=[("kesl", "broken")]),
    ),
    (
        "files_gone",
        linux(
            products=[],
            **probes(**{"packages.dpkg": [{"name": "kesl", "version": "12", "arch": "amd64", "state": "ii"}]}),
        ),
        "package kesl is installed, and no program of",
        linux(products=[("kesl", "installed")]),
    ),
    (
        "package_held",
        linux(**probes(manager=[{"kind": "manager", "name": "apt"}, {"kind": "held", "package": "kesl"}])),
        "package kesl of kesl is held",
        linux(**probes(manager=[{"kind": "manager", "name": "apt"}, {"kind": "held", "package": "kesl-gui"}])),
    ),
    (
        "package_held",
        linux(
            family="rpm",
            **probes(manager=[{"kind": "manager", "name": "dnf"}, {"kind": "held", "package": "kesl-0:12.1.0-1543.*"}]),
        ),
        "kesl",
        linux(
            family="rpm",
            **probes(
                manager=[{"kind": "manager", "name": "dnf"}, {"kind": "held", "package": "kesl-gui-0:12.1.0-1543.*"}]
            ),
        ),
    ),
    (
        "installer_busy",
        linux(
            **probes(
                manager=[
                    {"kind": "manager", "name": "apt"},
                    {"kind": "busy", "what": "/var/lib/dpkg/lock", "pid": "7", "program": "apt"},
                ]
            )
        ),
        "/var/lib/dpkg/lock (apt 7)",
        linux(),
    ),
    ("installer_busy", win(**probes(installer=[{"kind": "busy", "detail": "mutex"}])), "mutex", win()),
    (
        "installer_disabled",
        win(**probes(installer=[{"kind": "service_disabled", "detail": "msiserver"}])),
        "service disabled: msiserver",
        win(**probes(installer=[{"kind": "busy", "detail": "mutex"}])),
    ),
    (
        "tools_missing",
        linux(**probes(tools=[{"name": "setsid", "path": "/usr/bin/setsid"}])),
        "perl is missing",
        linux(products=[], **probes(tools=[{"name": "setsid", "path": "/usr/bin/setsid"}])),
    ),
    (
        "tools_missing",
        linux(**probes(tools=[{"name": "perl", "path": "/usr/bin/perl"}])),
        "neither systemd-run nor setsid",
        linux(**probes(tools=[{"name": n, "path": "/"} for n in ("perl", "systemd-run")])),
    ),
    (
        "tools_missing",
        linux(
            policy={"replacement_source": URL}, **probes(tools=[{"name": n, "path": "/"} for n in ("perl", "setsid")])
        ),
        "neither curl nor wget",
        linux(
            policy={"replacement_source": FILE}, **probes(tools=[{"name": n, "path": "/"} for n in ("perl", "setsid")])
        ),
    ),
    ("tools_missing", linux(**probes(tools="hung")), "hung", linux()),
    (
        "obstacle",
        linux(**probes(obstacles=[{"kind": "immutable", "path": "/opt/kaspersky/kesl", "detail": "immutable"}])),
        "/opt/kaspersky/kesl is locked by a mark",
        linux(products=[], **probes(obstacles=[{"kind": "immutable", "path": "/opt/kaspersky/kesl"}])),
    ),
    (
        "msi_cache_missing",
        {
            "platform": "windows",
            "products": [],
            **probes(
                **{
                    "uninstall.machine": [
                        {
                            "view": "64",
                            "name": "Kaspersky Endpoint Security for Windows",
                            "publisher": "Kaspersky",
                            "key": "{27534751-4A40-48BD-B393-BC3BF28C876E}",
                            "uninstall": "MsiExec.exe /X",
                        }
                    ],
                    "msi": [
                        {
                            "code": "{27534751-4a40-48bd-b393-bc3bf28c876e}",
                            "local_package": r"C:\Windows\Installer\1.msi",
                            "state": "missing",
                        }
                    ],
                }
            ),
        },
        r"kes {27534751-4A40-48BD-B393-BC3BF28C876E}: its cached package C:\Windows\Installer\1.msi is missing",
        win(**probes(msi=[{"code": "{00000000-0000-0000-0000-000000000001}", "state": "missing"}])),
    ),
    ("msi_cache_missing", win(**probes(msi="denied")), "denied", win()),
    (  # an entry that an upgrade left behind is in nobody's way while another of the product can be uninstalled
        "msi_cache_missing",
        entries_of_kes(OLD, msi=[{"code": OLD, "state": "unregistered"}]),
        "Windows Installer does not know it",
        entries_of_kes(OLD, NEW, msi=[{"code": OLD, "state": "unregistered"}, {"code": NEW, "state": "there"}]),
    ),
    (
        "management_port_blocked",
        win(**probes(firewall=[{"profile": "domain", "enabled": "yes", "port": "5986", "allowed": "no"}])),
        "profile domain of Windows Firewall does not let in port 5986",
        win(found={"port": 0}, **probes(firewall=())),
    ),
    (  # a port that is let in for the network of the domain only is what most hosts have
        "management_port_blocked",
        win(**probes(firewall=[DOMAIN, {**PUBLIC, "current": "yes"}])),
        "profile public of Windows Firewall does not let in port 5986",
        win(**probes(firewall=[DOMAIN, {**PUBLIC, "current": "no"}])),
    ),
    (
        "management_port_blocked",
        win(**probes(firewall=[{"profile": "domain", "enabled": "yes", "port": "5985", "allowed": "yes"}])),
        "the host said nothing about it",
        {"platform": "windows", "products": ["ksc-console"], **probes(firewall=())},
    ),
    # --- the host
    ("unsupported_platform", {"platform": "macos", "products": ["kav"]}, "removal is not automated", linux()),
    ("no_privilege", linux(facts={"euid": "1000", "user": "ada"}), "asked as ada, not as root", linux()),
    ("no_privilege", win(facts={"elevated": "no"}), "without full rights", win()),
    (
        "pending_reboot",
        linux(**probes(reboot=[{"cause": "kernel-gone", "detail": "6.1"}])),
        "kernel-gone: 6.1",
        linux(),
    ),
    ("pending_reboot", win(**probes(reboot="denied")), "denied", win()),
    (
        "role_without_exclusions",
        win(**probes(roles=[{"role": "sql", "source": "MSSQLSERVER"}])),
        "sql (MSSQLSERVER)",
        win(
            **probes(roles=[{"role": "sql", "source": "MSSQLSERVER"}]),
            policy={"exclusions": (Exclusion("path", r"D:\Data"),)},
        ),
    ),
    (
        "role_without_exclusions",
        linux(**probes(roles="hung")),
        "hung",
        linux(**probes(roles=[{"role": "container_host", "source": "process dockerd"}])),
    ),
    (
        "role_without_exclusive_group",
        win(**probes(roles=[{"role": "domain_controller", "source": "NTDS"}])),
        "domain controller (NTDS)",
        win(**probes(roles=[{"role": "domain_controller", "source": "NTDS"}]), policy={"exclusive_group": "dcs"}),
    ),
    (
        "role_without_exclusive_group",
        win(**probes(roles=[HYPER_V])),
        "hyper v (vmms)",
        win(**probes(roles=[HYPER_V]), facts={"product_type": "workstation"}),
    ),
    (
        "role_without_exclusions",
        win(**probes(roles=[HYPER_V])),
        "hyper v (vmms)",
        win(**probes(roles=[HYPER_V]), facts={"product_type": "workstation"}),
    ),
    (
        "logged_on_sessions",
        win(**probes(sessions=[{"user": "EX\\ada", "kind": "remote", "state": "active"}])),
        "EX\\ada is logged on",
        win(**probes(sessions=[{"user": "EX\\ada", "kind": "remote", "state": "active"}]), policy={"reboot": "never"}),
    ),
    (  # what logind keeps of somebody who is gone
        "logged_on_sessions",
        linux(**probes(sessions=[{"user": "ada", "kind": "remote", "state": "online"}])),
        "ada is logged on",
        linux(**probes(sessions=[{"user": "ada", "kind": "remote", "state": "closing"}])),
    ),
    (
        "logged_on_sessions",
        win(
            products=(),
            policy={"reboot": "if_needed"},
            **probes(sessions=[{"user": "EX\\ada", "state": "active"}], protection=[]),
        ),
        "EX\\ada is logged on",
        win(
            products=[("kes", "leftover")],
            policy={"reboot": "if_needed"},
            replacement=NONE,
            **probes(sessions=[{"user": "EX\\ada", "state": "active"}], protection=[]),
        ),
    ),
    (
        "non_persistent_desktop",
        linux(**probes(desktop=[{"kind": "non_persistent", "source": "/ is overlay"}])),
        "/ is overlay",
        linux(),
    ),
    ("machine_id_missing", linux(facts={"machine_id": " "}), "says no machine id", linux()),
    (
        "window_closed",
        linux(policy={"windows": (window(73, 75), window(-5, -1))}),
        "no window lies before",
        linux(policy={"windows": (window(71, 75),)}),
    ),
    (
        "waiver_expired",
        linux(found={"expired": ("the waiver for obstacle held until 2029-01-01",)}),
        "held until",
        linux(),
    ),
    # --- spellings
    (
        "half_installed",
        linux(products=[], **probes(**{"packages.dpkg": [{"name": "kesl", "arch": "amd64", "state": "iH"}]})),
        "in the state iH",
        linux(products=[], **probes(**{"packages.dpkg": [{"name": "kesl", "arch": "amd64", "state": "iU"}]})),
    ),
    (
        "half_installed",
        linux(products=[], **probes(**{"packages.dpkg": [{"name": "kesl", "arch": "amd64", "state": "iUR"}]})),
        "in the state iUR",
        linux(products=[], **probes(**{"packages.dpkg": [{"name": "kesl", "arch": "amd64", "state": "hi"}]})),
    ),
    (
        "package_held",
        linux(**probes(manager=[{"kind": "held", "package": "kesl:amd64"}])),
        "kesl of kesl",
        linux(**probes(manager=[{"kind": "held", "package": "keslib:amd64"}])),
    ),
    (
        "package_held",
        linux(family="rpm", **probes(manager=[{"kind": "held", "package": "kes*"}])),
        "kesl of kesl",
        linux(family="rpm", **probes(manager=[{"kind": "held", "package": "klnagent*"}])),
    ),
    (
        "package_held",
        linux(products=[], **probes(**{"packages.dpkg": [{"name": "kesl", "arch": "amd64", "state": "hi"}]})),
        "kesl of kesl",
        linux(products=[], **probes(**{"packages.dpkg": [{"name": "kesl", "arch": "amd64", "state": "ii"}]})),
    ),
    (
        "would_remove_others",
        linux(**probes(manager=[{"kind": "needed", "package": "kesl", "by": "reporter"}])),
        "package reporter needs kesl of kesl",
        linux(
            products=["kesl", "kesl-gui"], **probes(manager=[{"kind": "needed", "package": "kesl", "by": "kesl-gui"}])
        ),
    ),
    (
        "would_remove_others",
        linux(family="rpm", **probes(manager=[{"kind": "needed", "package": "kesl", "by": "kesl-gui"}])),
        "package kesl-gui needs kesl of kesl",
        linux(family="rpm", **probes(manager=[{"kind": "needed", "package": "klnagent64", "by": "reporter"}])),
    ),
]
