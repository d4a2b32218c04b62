# SPDX-License-Identifier: GPL-3.0-or-later
"""Recorded answers (tests/fixtures/posix), read by the brain and by a reader that shares no code with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils.observation import PROBES, parse_posix
from tests.target.posix.record import CASES, FIXTURES
from tests.target.posix.staged import decode

FILES = sorted(FIXTURES.glob("*.txt"))
# What the hand must have told in each case: probe -> status and, for some, a word of the reason.
EXPECTED: dict[str, dict[str, tuple[str, str]]] = {
    "clean": {name: ("ok" if name == "host" else "absent", "") for name in PROBES["linux"]},
    "kesl-and-agent": dict.fromkeys(("packages.dpkg", "units", "paths", "trees", "setup", "accounts"), ("ok", "")),
    "kesl-as-ordinary-user": {
        "packages.dpkg": ("ok", ""),
        "trees": ("unknown", "become"),
        "paths": ("unknown", "become"),
        "processes": ("unknown", "become"),
    },
    "leftovers": {"units": ("ok", ""), "setup": ("ok", ""), "trees": ("ok", "")},
    "hanging-and-broken-databases": {
        "packages.dpkg": ("unknown", "parsing file"),
        "packages.rpm": ("unknown", "did not answer in 1 s"),
        "paths": ("absent", ""),
    },
    "hostile-names": {"trees": ("ok", "")},
}


def read(path: Path) -> tuple[str, bytes]:
    head, _, raw = path.read_bytes().partition(b"\n")
    return head.decode().removeprefix("nonce "), raw


def test_each_case_is_recorded() -> None:
    assert {p.stem for p in FILES} == {*CASES, "cut"} == {*EXPECTED, "cut"}


@pytest.mark.parametrize("name", EXPECTED)
def test_both_readings_agree(name: str) -> None:
    nonce, raw = read(FIXTURES / f"{name}.txt")
    mine, theirs = decode(raw, nonce), parse_posix(raw, nonce)
    assert theirs is not None
    assert set(mine) == set(theirs.probes) == set(PROBES["linux"])
    for probe, answer in mine.items():
        other = theirs.probes[probe]
        assert (other.status, other.reason) == (answer.status, answer.reason)
        records = [
            {k: v.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace") for k, v in r.items()}
            for r in answer.records
        ]
        assert list(other.records) == records
    for probe, (status, word) in EXPECTED[name].items():
        assert mine[probe].status == status, (probe, mine[probe])
        assert word in mine[probe].reason


def test_a_cut_answer_tells_nothing_for_sure() -> None:
    nonce, raw = read(FIXTURES / "cut.txt")
    seen = parse_posix(raw, nonce)
    assert seen is not None
    assert {p.status for p in seen.probes.values()} == {"unknown"}
    assert any(p.records for p in seen.probes.values()), "what came is kept"


def test_names_cannot_forge_a_frame() -> None:
    nonce, raw = read(FIXTURES / "hostile-names.txt")
    children = {r["child"] for r in decode(raw, nonce)["trees"].records}
    assert children == {"{{ 7*7 }}", f"x\n{nonce} E 1", "a\x1b[31m\udcff"}
