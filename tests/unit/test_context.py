# SPDX-License-Identifier: GPL-3.0-or-later
"""Protection and facts of a row, from context probes."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import context, knowledge
from ansible_collections.evict.kaspersky.plugins.plugin_utils.observation import Observation, Probe
from ansible_collections.evict.kaspersky.plugins.plugin_utils.row import Fact


def read(**probes: Probe) -> context.Context:
    return context.read(Observation("linux", "posix-sh", {}, dict(probes)), knowledge.catalog())


def holder(**values: str) -> dict[str, str]:
    return {
        "kind": "fanotify",
        "pid": "12",
        "exe": "/opt/x/guard",
        "comm": "guard",
        "mode": "permission",
        "root": "same",
        **values,
    }


@pytest.mark.parametrize(
    ("record", "state", "words"),
    [
        (holder(), "active", "a program of unknown make"),
        (holder(exe="/usr/sbin/clamonacc", mode="notify"), "active", "ClamAV on-access scanner"),
        (holder(exe="/usr/sbin/clamonacc (deleted)", mode="notify"), "active", "ClamAV on-access scanner"),
        (holder(exe="", comm="kesl"), "active", "Kaspersky Endpoint Security"),
        (holder(exe="/usr/sbin/fapolicyd", comm="fapolicyd"), "none", "decides which programs may run"),
        (holder(exe="/usr/bin/new-indexer", mode="notify"), "none", "listens only"),
        (holder(root="other"), "none", "in a container on this host"),
        ({"kind": "wsc", "name": "Some AV", "state": "active"}, "active", "Security Center"),
        ({"kind": "wsc", "name": "Some AV", "state": "off"}, "none", "off"),
        ({"kind": "defender", "name": "Defender", "state": "passive", "detail": "x"}, "none", "passive"),
        ({"kind": "service", "name": "WinDefend", "state": "active"}, "none", "service"),
    ],
)
def test_what_protects(record: dict[str, str], state: str, words: str) -> None:
    found = read(protection=Probe("ok", "", (record,)))
    assert found.protection == state
    told = found.protected_by if state == "active" else tuple(f.text for f in found.facts if f.topic == "protection")
    assert len(told) == 1
    assert words in told[0]


def test_unknown_is_never_none() -> None:
    idle = holder(exe="/usr/bin/new-indexer", mode="notify")
    assert read().protection == "unknown"
    assert read(protection=Probe("unknown", "hung", (idle,))).protection == "unknown"
    assert read(protection=Probe("unknown", "hung", (holder(),))).protection == "active"
    assert read(protection=Probe("absent")).protection == "none"


def test_facts_have_topics_and_words() -> None:
    found = read(
        reboot=Probe("ok", "", ({"cause": "file_renames", "detail": "C:\\x"},)),
        roles=Probe("ok", "", ({"role": "domain_controller", "source": "NTDS"},)),
        sessions=Probe("ok", "", ({"user": "EX\\ada", "kind": "remote", "state": "active"},)),
        encryption=Probe(
            "ok", "", ({"volume": "C:", "method": "BitLocker", "status": "on"}, {"volume": "D:", "status": "off"})
        ),
        peers=Probe("ok", "", ({"exe": "/opt/k/klnagent", "remote": "10.0.0.5", "port": "13000"},)),
        protection=Probe("ok", "", ({"kind": "policy", "name": "DisableAntiSpyware", "state": "1"},)),
    )
    assert set(found.facts) == {
        Fact("reboot", "a restart is pending (file renames: C:\\x)"),
        Fact("role", "domain controller (NTDS)"),
        Fact("session", "EX\\ada (remote, active)"),
        Fact("encryption", "C: BitLocker on"),
        Fact("manager", "/opt/k/klnagent is connected to 10.0.0.5 port 13000"),
        Fact("policy", "DisableAntiSpyware 1"),
    }


def test_many_facts_are_counted_not_lost_in_silence() -> None:
    records: t.Any = tuple({"user": f"u{n}", "kind": "remote", "state": "active"} for n in range(50))
    facts = read(sessions=Probe("ok", "", records)).facts
    assert len(facts) == context.LIMIT + 1
    assert facts[-1].text == "and 30 more, see the evidence"
