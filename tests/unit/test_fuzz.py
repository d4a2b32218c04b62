# SPDX-License-Identifier: GPL-3.0-or-later
"""Damaged, hostile and mutated answers through the whole brain: no crash, no clean verdict, bounded time.

Seeds are fixed: a failure can be repeated.
"""

from __future__ import annotations

import copy
import json
import os
import random
import time
import typing as t

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import context, knowledge, observation
from ansible_collections.evict.kaspersky.plugins.plugin_utils.assess import assess
from ansible_collections.evict.kaspersky.plugins.plugin_utils.catalog import Catalog
from ansible_collections.evict.kaspersky.plugins.plugin_utils.observation import (
    PROBES,
    Observation,
    from_dict,
    parse_posix,
)
from ansible_collections.evict.kaspersky.plugins.plugin_utils.row import Row
from tests import tree

NONCE = "evict-0123456789abcdef01234567"
# All of them where the labs run; by hand a fifth is enough.
NUMBER = 100_000 if os.environ.get("EVICT_LAB") else 20_000
FIXTURES = tree.ROOT / "tests" / "fixtures"
POSIX = sorted(path for path in (FIXTURES / "posix").glob("*.txt"))
WINDOWS = sorted((FIXTURES / "windows").glob("*.json"))


def clean_answer() -> bytes:
    """The answer of a Linux host on which nothing was found."""
    lines = [f"P {name} absent" for name in PROBES["linux"] if name != "host"]
    body = ["B 1 posix", "R host system=Linux os_id=debian", *lines, "P host ok"]
    return "\n".join([*(f"{NONCE} {line}" for line in body), f"{NONCE} E {len(body)}", ""]).encode()


def needed(catalog: Catalog, platform: str) -> set[str]:
    """The probes a clean verdict depends on."""
    entries = [entry for entry in catalog.for_platform(platform) if not entry.report_only]
    return {p for entry in entries for signal in entry.signals if signal.shows != "mention" for p in signal.probes}


def judged(seen: Observation, catalog: Catalog) -> Row:
    """The row, which must be one that can be written and read."""
    row = assess(seen, catalog).row("host", seen)
    assert Row.from_dict(json.loads(json.dumps(row.to_dict()))) == row
    assert len(json.dumps(row.short())) < 1024
    return row


def mutate(text: bytes, dice: random.Random) -> bytes:
    """One of many ways in which an answer can go wrong or lie."""
    kind = dice.randrange(8)
    at = dice.randrange(len(text) + 1)
    if kind == 0:
        return text[:at]
    if kind == 1:
        return text[:at] + dice.randbytes(dice.randrange(1, 64)) + text[at:]
    if kind == 2:
        return text[:at] + text[at + dice.randrange(1, 200) :]
    if kind == 3:
        forged = f"\n{NONCE} R packages.dpkg name=kesl state=ii\n" if dice.random() < 0.5 else "\nevict-forged E 1\n"
        return text[:at] + forged.encode() + text[at:]
    if kind == 4:
        return text[:at] + b"{{ lookup('pipe', 'id') }}{% for x in y %}" + text[at:]
    if kind == 5:
        return text[:at] + b"\x1b]0;pwned\x07\x1b[2J\x00\xe2\x80\xae" + text[at:]
    if kind == 6:
        return text[:at] + b"A" * dice.randrange(1, 200_000) + text[at:]
    return bytes(b ^ (dice.random() < 0.01) for b in text)


def test_fuzzed_answers_through_the_brain(catalog: Catalog) -> None:
    dice = random.Random(20240929)
    text = clean_answer()
    wanted = needed(catalog, "linux")
    start = time.monotonic()
    clean = 0
    for _ in range(NUMBER):
        mutated = mutate(text, dice)
        if dice.random() < 0.3:
            mutated = mutate(mutated, dice)
        seen = parse_posix(mutated, NONCE)
        if seen is None:
            continue
        row = judged(seen, catalog)
        if row.verdict == "absent":
            # Only noise between whole lines may leave the answer whole.
            assert all(p.status != "unknown" for n, p in seen.probes.items() if n in wanted)
            clean += 1
    assert 0 < clean < NUMBER / 2, "the mutations must do something, and not everything"
    assert time.monotonic() - start < 1200  # a bound against hanging, not a measure of speed


def real(path: t.Any) -> tuple[str, bytes]:
    head, _, raw = path.read_bytes().partition(b"\n")
    return head.decode().removeprefix("nonce "), raw


def test_mutated_real_answers_of_linux_hosts(catalog: Catalog) -> None:
    """Lines of a real answer lost, doubled, moved or cut: never a crash, and never `absent` where it was not."""
    dice = random.Random(7)
    told: set[str] = set()
    for number in range(1_000):
        nonce, raw = real(POSIX[number % len(POSIX)])
        before = parse_posix(raw, nonce)
        assert before is not None
        truth = assess(before, catalog).verdict
        lines = raw.split(b"\n")
        for _ in range(dice.randrange(1, 4)):
            if not lines:
                break
            at = dice.randrange(len(lines))
            match dice.randrange(5):
                case 0:
                    del lines[at]
                case 1:
                    lines.insert(at, dice.choice(lines))
                case 2:
                    lines[at] = lines[at][: dice.randrange(len(lines[at]) + 1)]
                case 3:
                    del lines[at:]
                    lines.append(b"")
                case 4:
                    other = dice.randrange(len(lines))
                    lines[at], lines[other] = lines[other], lines[at]
        after = parse_posix(b"\n".join(lines), nonce)
        if after is None:
            continue
        verdict = judged(after, catalog).verdict
        told.add(str(verdict))
        assert verdict != "absent" or truth == "absent"
    assert "unknown" in told


def damage(value: t.Any, dice: random.Random) -> None:
    """Damage one place of a decoded answer."""
    while isinstance(value, (dict, list)) and value:
        key: t.Any = dice.choice(list(value)) if isinstance(value, dict) else dice.randrange(len(value))
        inner = value[key]
        if isinstance(inner, (dict, list)) and inner and dice.random() < 0.8:
            value = inner
            continue
        match dice.randrange(4):
            case 0:
                value[key] = dice.choice([None, 7, True, "", "\ud800", {}, [], [None], {"a": {"b": 1}}, "x" * 9000])
            case 1:
                del value[key]
            case 2 if isinstance(value, dict):
                value[f"{key}\u202e{{{{ 7 }}}}"] = inner
            case _:
                value[key] = [inner, copy.deepcopy(inner)]
        return


def test_mutated_real_answers_of_windows_hosts(catalog: Catalog) -> None:
    dice = random.Random(11)
    for number in range(1_000):
        data = json.loads(WINDOWS[number % len(WINDOWS)].read_text(encoding="utf-8"))
        for _ in range(dice.randrange(1, 5)):
            damage(data, dice)
        try:
            seen = from_dict(data)
        except ValueError:
            continue
        judged(seen, catalog)


def clean_observation(platform: str) -> Observation:
    """A host on which every probe looked and found nothing."""
    probes = {name: {"status": "absent", "reason": "", "records": []} for name in PROBES[platform]}
    return from_dict(
        {"schema": observation.SCHEMA, "platform": platform, "collector": "t", "host": {}, "probes": probes}
    )


EVERY = [(platform, probe) for platform, probes in PROBES.items() for probe in probes]


@pytest.mark.parametrize("platform", list(PROBES))
def test_a_host_with_nothing_is_absent(platform: str, catalog: Catalog) -> None:
    assert judged(clean_observation(platform), catalog).verdict == "absent"


@pytest.mark.parametrize(("platform", "probe"), EVERY)
def test_dropping_any_single_probe_turns_absent_into_unknown(platform: str, probe: str, catalog: Catalog) -> None:
    data = clean_observation(platform).to_dict()
    del data["probes"][probe]
    row = judged(from_dict(data), catalog)
    assert row.verdict == "unknown"
    assert probe in row.unknown_probes


@pytest.mark.parametrize(("platform", "probe"), EVERY)
def test_a_probe_that_cannot_tell_is_never_silent(platform: str, probe: str, catalog: Catalog) -> None:
    """Evidence that cannot be had makes the host unknown; context that cannot be had is listed."""
    data = clean_observation(platform).to_dict()
    data["probes"][probe] = {"status": "unknown", "reason": "refused", "records": []}
    row = judged(from_dict(data), catalog)
    evidence = probe in needed(catalog, platform)
    assert row.verdict == ("unknown" if evidence else "absent")
    assert probe in row.unknown_probes
    assert any(f"{probe}: refused" in text for text in (*row.reasons, *row.notes))
    assert row.protection == ("unknown" if probe == "protection" else "none")
    assert not evidence or probe not in context.CONTEXT_PROBES


def test_every_platform_s_evidence_is_asked_for() -> None:
    """A signal of a probe that no hand answers would make every host unknown for ever."""
    catalog = knowledge.catalog()
    for platform, probes in PROBES.items():
        assert needed(catalog, platform) <= set(probes)
        assert context.CONTEXT_PROBES & set(probes) <= set(probes) - needed(catalog, platform)
