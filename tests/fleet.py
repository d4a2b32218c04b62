# SPDX-License-Identifier: GPL-3.0-or-later
"""An invented fleet of any size, the same on every call: what a report has to show, in the words the brain uses."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from pathlib import Path

from ansible_collections.evict.kaspersky.plugins.plugin_utils.ledger import Ledger, natural
from ansible_collections.evict.kaspersky.plugins.plugin_utils.row import Fact, ProductRow, Row
from ansible_collections.evict.kaspersky.plugins.plugin_utils.source import Source
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import Verb, Verdict

RUN = "20240929T120000Z-1a2b"
SITES = ("ber", "ham", "lux", "vie")
ROLES = {"linux": ("web", "db", "app", "file", "mail", "build"), "windows": ("dc", "rds", "sql", "pc", "print", "exch")}


def digest(*parts: object) -> str:
    """64 hex digits that depend on the parts."""
    return hashlib.sha256("/".join(map(str, parts)).encode("utf-8", "backslashreplace")).hexdigest()


CATALOG = digest("catalog")


def kesl(dice: random.Random) -> ProductRow:
    """The product for Linux, working."""
    version = dice.choice(("11.3.0.7508", "12.0.0.6672", "12.1.0.1297"))
    return ProductRow(
        "kesl",
        "endpoint",
        "running",
        version,
        (
            f"package kesl:amd64 {version} (dpkg: installed)",
            "unit /usr/lib/systemd/system/kesl.service (active)",
            f"process {dice.randint(600, 4000)} /opt/kaspersky/kesl/libexec/kesl",
            "folder /var/opt/kaspersky/kesl",
        ),
    )


def agent(dice: random.Random, windows: bool) -> ProductRow:
    """The agent of the management server."""
    version = dice.choice(("14.0.0.10902", "14.2.0.26967", "15.1.0.11795"))
    if windows:
        key = f"program Kaspersky Security Center Network Agent {version} of Kaspersky (key {{B8A3C1D2}}, 32 bit)"
        return ProductRow("klnagent", "agent", "running", version, (key, "service klnagent (running)"))
    said = (f"package klnagent64:amd64 {version} (dpkg: installed)", "unit klnagent64.service (active)")
    return ProductRow("klnagent64", "agent", "running", version, said)


def kes(dice: random.Random) -> ProductRow:
    """The product for Windows, working."""
    version = dice.choice(("11.11.0.452", "12.3.0.493", "12.6.0.438"))
    said = (
        f"program Kaspersky Endpoint Security for Windows {version} of AO Kaspersky Lab (key {{E7C1F2A4}}, 32 bit)",
        "service AVP.KES.21.17 (running): C:\\Program Files (x86)\\Kaspersky Lab\\KES.12.6.0\\avp.exe",
        "driver klif (running): C:\\Windows\\System32\\drivers\\klif.sys",
    )
    return ProductRow("kes", "endpoint", "running", version, said)


def _present(host: str, platform: str, dice: random.Random) -> Row:
    windows = platform == "windows"
    products = [kes(dice) if windows else kesl(dice)]
    facts = [Fact("protection", f"{products[0].id} {products[0].version} watches files")]
    if dice.random() < 0.8:
        products.append(agent(dice, windows))
        facts.append(Fact("manager", f"the agent reports to ksc-{host[:3]}.example.net"))
    if windows and dice.random() < 0.3:
        facts.append(Fact("encryption", "disk encryption of the product is on for drive C:"))
    if windows and dice.random() < 0.5:
        facts.append(Fact("lock", "removal is protected by a password"))
    return Row(
        host,
        Verdict.PRESENT,
        platform,
        products=tuple(products),
        reasons=tuple(f"{p.id} {p.version} is {p.state}" for p in products),
        protection="active",
        protected_by=(f"{products[0].id} {products[0].version}: its service runs",),
        facts=tuple(facts),
    )


def _absent(host: str, platform: str, dice: random.Random) -> Row:
    reported: tuple[ProductRow, ...] = ()
    if dice.random() < 0.04:
        said = ("file C:\\Users\\Public\\Downloads\\KVRT.exe",)
        reported = (ProductRow("kvrt", "tool", "portable", "20.0.13.0", said),)
    if platform == "windows":
        guard, by = "active", "Microsoft Defender Antivirus: real-time protection is on"
    else:
        guard, by = ("active", "clamonacc watches /srv") if dice.random() < 0.3 else ("none", "")
    return Row(
        host,
        Verdict.ABSENT,
        platform,
        reported=reported,
        protection="active" if guard == "active" else "none",
        protected_by=(by,) if by else (),
    )


def _leftovers(host: str, platform: str, dice: random.Random) -> Row:
    paths = ("/var/opt/kaspersky", "/etc/opt/kaspersky", "/var/log/kaspersky")
    said = tuple(f"folder {path}" for path in paths[: dice.randint(1, 3)])
    if platform == "windows":
        said = ("registry key HKLM\\SOFTWARE\\KasperskyLab (32 bit)",)
    name = "kes" if platform == "windows" else "kesl"
    return Row(
        host,
        Verdict.LEFTOVERS,
        platform,
        products=(ProductRow(name, "endpoint", "leftover", "", said),),
        reasons=(f"{name}: harmless residue, no working product",),
        protection="none" if platform == "linux" else "active",
        protected_by=() if platform == "linux" else ("Microsoft Defender Antivirus: real-time protection is on",),
        facts=(Fact("reboot", "a restart is pending since a file is to be replaced"),),
    )


def _unknown(host: str, platform: str, dice: random.Random) -> Row:
    if platform == "windows":
        reason = "registry.users: 3 user hives are not loaded; run again while the users are logged on"
    else:
        reason = dice.choice(
            (
                "processes: other users' processes may not be seen; audit as root with --become",
                "packages.dpkg: the package database is locked by apt; let it finish and run again",
            )
        )
    probe, _, _ = reason.partition(":")
    return (
        Row(host, Verdict.UNKNOWN, platform, reasons=(reason,), unknown_probes=(reason,), protection="unknown")
        if dice.random() < 0.7
        else Row(
            host,
            Verdict.UNKNOWN,
            platform,
            reasons=(reason, "the probe took longer than 60 s"),
            unknown_probes=(f"{probe}: no answer within 60 s", "protection: not asked after the time was up"),
            notes=("the host answers slowly: load 48",),
            protection="unknown",
        )
    )


def _silent(host: str, platform: str, dice: random.Random) -> Row:
    text = dice.choice(("port: no answer on port 22 within 10 s", "name: the name of the host cannot be resolved"))
    if platform == "windows":
        text = "tls: the certificate of the host is not trusted; set ansible_winrm_ca_trust_path"
    return Row(host, Verdict.UNREACHABLE, platform="", reasons=(text,))


_KINDS: tuple[tuple[int, Callable[[str, str, random.Random], Row]], ...] = (
    (22, _present),
    (55, _absent),
    (9, _leftovers),
    (7, _unknown),
    (5, _silent),
    (2, lambda host, platform, dice: Row(host, Verdict.OUT_OF_SCOPE, reasons=("not selected by this run's limit",))),
)


def rows(number: int, seed: int = 1) -> list[Row]:
    """So many hosts, in natural order of names."""
    dice = random.Random(seed)
    made = []
    weights = [weight for weight, _ in _KINDS]
    for n in range(number):
        platform = "windows" if dice.random() < 0.45 else "linux"
        host = f"{dice.choice(SITES)}-{dice.choice(ROLES[platform])}{n + 1}.example.net"
        (kind,) = dice.choices([make for _, make in _KINDS], weights)
        made.append(kind(host, platform, dice))
    return sorted(made, key=lambda row: natural(row.host))


def ledger(made: list[Row], folder: str = "/srv/audit/2024-09", **more: object) -> Ledger:
    """A run with these rows that came to its end; every host that answered has a source."""
    asked = [row for row in made if row.verdict not in (Verdict.OUT_OF_SCOPE, Verdict.NOT_ATTEMPTED)]
    values: dict[str, object] = {
        "run": RUN,
        "verb": Verb.AUDIT,
        "rows": tuple(made),
        "complete": True,
        "problems": (),
        "folder": Path(folder),
        "started": "2024-09-29T12:00:00.104233Z",
        "ended": "2024-09-29T12:06:41.530917Z",
        "versions": {"collection": "0.1.0", "ansible": "2.19.4", "python": "3.11.2"},
        "sources": {
            row.host: Source(
                f"2024-09-29T12:0{n % 6}:{n % 60:02}.{n % 1_000_000:06}Z",
                digest("record", row.host),
                CATALOG,
                "winrm module" if row.platform == "windows" else "ssh stdin",
            )
            for n, row in enumerate(asked)
        },
    }
    return Ledger(**{**values, **more})  # type: ignore[arg-type]
