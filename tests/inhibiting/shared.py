# SPDX-License-Identifier: GPL-3.0-or-later
"""Pieces of hosts on which inhibitors are tried."""

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy_types import Window
from ansible_collections.evict.kaspersky.plugins.plugin_utils.provider import (
    Provider,
    ProviderSecret,
    Source,
    StepTemplate,
)
from tests.cases import NOW, provider

Args = dict[str, t.Any]
HASH = "a" * 64
# Entries of two builds of one product, as an upgrade may leave them.
OLD, NEW = "{11111111-AAAA-4B4B-9513-E98C0C3AACE3}", "{27534751-4A40-48BD-B393-BC3BF28C876E}"
HOUR = datetime.timedelta(hours=1)


def win(**more: t.Any) -> Args:
    return {"platform": "windows", "products": ["kes"], **more}


def entries_of_kes(*codes: str, msi: list[dict[str, str]]) -> Args:
    """A host with these entries of the endpoint product among its programs."""
    listed = [
        {
            "view": "32",
            "name": "Kaspersky Endpoint Security for Windows",
            "publisher": "Kaspersky",
            "key": code,
            "uninstall": "x",
        }
        for code in codes
    ]
    return win(products=[], **probes(**{"uninstall.machine": listed, "msi": msi}))


def agent(**more: t.Any) -> Args:
    return {"platform": "windows", "products": ["kes", "klnagent"], **more}


def linux(**more: t.Any) -> Args:
    return {"platform": "linux", **more}


def probes(**answers: t.Any) -> Args:
    return {"probes": answers}


def template(kind: str, args: Args, secrets: dict[str, str] | None = None) -> StepTemplate:
    return StepTemplate(id="x", kind=kind, args=args, reason="for the test", when={}, secrets=secrets or {})


def defender(**properties: str) -> Args:
    """A server on which a replacement that uses Defender is to take over."""
    asked = template("expect_defender", {"property": "AMRunningMode", "value": "Normal"})
    own = provider(cover=(asked,), methods=())
    told = [{"property": name.replace("__", "."), "value": value} for name, value in properties.items()]
    return win(replacement=own, probes={"defender": told})


def installs(kind: str, **args: t.Any) -> Provider:
    """A replacement for Windows whose installer takes a secret."""
    step = template(kind, {"name": "shield.bin", **args}, {"TOKEN": "TOKEN"})
    return provider(secrets=(TOKEN,), cover=(step,))


def lock(value: str, key: str = r"protected\KES\Settings\PasswordProtectionSettings") -> dict[str, t.Any]:
    return {
        "registry.machine": [
            {"root": r"SOFTWARE\KasperskyLab", "view": "32", "sid": "", "key": key, "value.OPEP": value}
        ]
    }


def contact(when: str) -> dict[str, t.Any]:
    record = {
        "root": r"SOFTWARE\KasperskyLab\Components\34",
        "key": r"1103\1.0.0.0\Statistics\AVState",
        "value.Protection_LastConnected": when,
    }
    return {"registry.machine": [record]}


def window(start: float, end: float) -> Window:
    return Window(NOW + start * HOUR, NOW + end * HOUR)


FILE = Source(method="file", location="/srv/shield.deb", sha256=HASH, name="shield.deb")
URL = Source(method="url", location="https://get.shield.example/shield.deb", sha256=HASH, name="shield.deb")
TOKEN = ProviderSecret(name="TOKEN", used_for="enrolment")
NEEDY = provider(secrets=(TOKEN,), cover=(template("start_unit", {"unit": "shield.service"}, {"unit": "TOKEN"}),))
ARGUES = provider(
    secrets=(TOKEN,),
    cover=(
        template("run", {"program": "/opt/shield/shieldctl", "arguments": ("join", "--token=@KEY@")}, {"KEY": "TOKEN"}),
    ),
)
NONE = provider("none", kind="none", counts_as_protection=False, methods=(), packages={}, marks={}, endpoints=())
EXISTING = provider("existing", kind="existing", methods=(), packages={}, marks={}, endpoints=())
WATCHER = {"kind": "fanotify", "pid": "9", "exe": "/opt/other/guardd", "comm": "guardd", "mode": "permission"}
BITLOCKER = {"volume": "C:", "method": "BitLocker XTS AES 256", "status": "on", "detail": ""}
Row = tuple[str, Args, str, Args]
