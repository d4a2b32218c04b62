# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading the answers of hosts: whole, cut, damaged, forged and hostile."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import observation
from ansible_collections.evict.kaspersky.plugins.plugin_utils.observation import (
    CUT,
    PREFLIGHT,
    PROBES,
    from_dict,
    parse_posix,
)

NONCE = "evict-0123456789abcdef01234567"
SCHEMA = json.loads((Path(__file__).parents[2] / "schemas" / "observation-1.json").read_text())


def frame(*lines: str, end: bool = True) -> str:
    body = [f"{NONCE} B 1 posix", *(f"{NONCE} {line}" for line in lines)]
    return "\n".join([*body, f"{NONCE} E {len(body)}"] if end else body) + "\n"


def whole(**changed: str) -> list[str]:
    """An answer in which every probe found nothing, but for the given ones (`probe="ok"` style statuses)."""
    return [f"P {name} {changed.get(name, 'absent')}" for name in PROBES["linux"] if name != "host"] + ["P host ok"]


def test_whole_answer() -> None:
    lines = [
        "R host os_id=debian machine_id=abc system=Linux",
        "R packages.dpkg name=kesl version=12.1 arch=amd64 state=ii",
    ]
    seen = parse_posix(frame(*lines, *whole(**{"packages.dpkg": "ok"})), NONCE)
    assert seen is not None
    assert seen.platform == "linux"
    assert seen.host["os_id"] == "debian"
    assert seen.probes["packages.dpkg"].records == (
        {"name": "kesl", "version": "12.1", "arch": "amd64", "state": "ii"},
    )
    assert {p.status for n, p in seen.probes.items() if n not in ("host", "packages.dpkg")} == {"absent"}
    jsonschema.validate(seen.to_dict(), SCHEMA)
    assert from_dict(seen.to_dict()) == seen
    assert from_dict(seen.to_dict()).digest() == seen.digest()


def test_noise_around_and_between_is_ignored() -> None:
    text = "Welcome!\r\n" + frame(*whole()).replace("\n", "\r\nlast login: today\r\n") + "bye"
    seen = parse_posix(text, NONCE)
    assert seen is not None
    assert all(p.status != "unknown" for p in seen.probes.values())


def test_hex_values_keep_every_byte() -> None:
    value = 'a b\n\x1b[31m"{{ 7 * 7 }}" \u043a'.encode() + b"\xff"
    seen = parse_posix(frame(f"R paths path:{value.hex()}", *whole(paths="ok")), NONCE)
    assert seen is not None
    assert seen.probes["paths"].records[0]["path"] == 'a b\n\x1b[31m"{{ 7 * 7 }}" \u043a\\xff'


@pytest.mark.parametrize("text", ["", "no frame", f"{NONCE} E 0", "evict-ffff B 1 posix", f"{NONCE} B 2 posix"])
def test_no_frame_is_none(text: str) -> None:
    assert parse_posix(text, NONCE) is None


def test_cut_answer_leaves_no_probe_answered() -> None:
    seen = parse_posix(frame(*whole(), end=False), NONCE)
    assert seen is not None
    assert {(p.status, p.reason) for p in seen.probes.values()} == {("unknown", CUT)}


def test_a_dropped_line_is_noticed() -> None:
    lines = frame("R paths path=/opt/kaspersky/kesl", *whole(paths="ok")).splitlines()
    for gone in range(1, len(lines)):
        seen = parse_posix("\n".join(line for n, line in enumerate(lines) if n != gone), NONCE)
        assert seen is not None
        assert any(p.status == "unknown" for p in seen.probes.values()), lines[gone]


@pytest.mark.parametrize(
    "line",
    [
        "P units maybe",
        "P units ok",
        "R units name",
        "R units =x",
        "R units name:zz",
        "R units name=a b",
        "R units name:abc",
    ],
)
def test_damaged_line_spoils_its_probe(line: str) -> None:
    seen = parse_posix(frame(line, *whole()), NONCE)
    assert seen is not None
    assert seen.probes["units"].status == "unknown"


def test_contradiction_is_unknown() -> None:
    seen = parse_posix(frame("R units name=kesl.service", *whole()), NONCE)
    assert seen is not None
    assert seen.probes["units"].status == "unknown"


def test_another_system_is_named() -> None:
    seen = parse_posix(frame("R host system=FreeBSD", *whole()), NONCE)
    assert seen is not None
    assert seen.platform == "freebsd"


def test_windows_missing_probe_and_unrolled_record() -> None:
    data = {
        "schema": observation.SCHEMA,
        "platform": "windows",
        "collector": "powershell",
        "host": {"os_name": None},
        "probes": {
            "services": {"status": "ok", "reason": None, "records": {"name": "AVP", "start": 2}},
            "drivers": {"status": "absent", "reason": "", "records": None},
            "paths": {"status": "fine", "records": []},
        },
    }
    seen = from_dict(data)
    assert seen.probes["services"].records == ({"name": "AVP", "start": "2"},)
    assert seen.probes["drivers"].status == "absent"
    assert seen.probes["paths"].status == "unknown"
    assert seen.probes["uninstall.machine"].reason == CUT
    jsonschema.validate(seen.to_dict(), SCHEMA)


@pytest.mark.parametrize("data", [None, [], "x", {}, {"schema": "evict.kaspersky/observation/2"}])
def test_foreign_schema_is_refused(data: object) -> None:
    with pytest.raises(ValueError, match="schema"):
        from_dict(data)


def test_limits_hold() -> None:
    lines = [f"R paths path=/{n}" for n in range(observation.MAX_RECORDS + 10)]
    seen = parse_posix(frame(*lines, *whole(paths="ok")), NONCE)
    assert seen is not None
    assert len(seen.probes["paths"].records) == observation.MAX_RECORDS
    assert seen.probes["paths"].status == "unknown"
    seen = parse_posix(frame("R paths path=/" + "x" * 100_000, *whole(paths="ok")), NONCE)
    assert seen is not None
    assert len(seen.probes["paths"].records[0]["path"]) == observation.MAX_VALUE


def test_a_preflight_probe_that_was_asked_for_and_is_missing_is_unknown() -> None:
    gone = PREFLIGHT["linux"][-1]
    answered = [f"P {name} absent" for name in PREFLIGHT["linux"][:-1]]
    seen = parse_posix(frame(*whole(), *answered), NONCE, preflight=True)
    assert seen is not None
    assert set(seen.probes) == {*PROBES["linux"], *PREFLIGHT["linux"]}
    assert {n: p.reason for n, p in seen.probes.items() if p.status == "unknown"} == {gone: CUT}
    data = seen.to_dict()
    del data["probes"][gone]
    assert from_dict(data, preflight=True).probes[gone].reason == CUT
    assert gone not in from_dict(data).probes


def test_without_the_question_an_answer_has_no_preflight_probe() -> None:
    seen = parse_posix(frame(*whole()), NONCE)
    assert seen is not None
    assert set(seen.probes) == set(PROBES["linux"])
    windows = {"schema": observation.SCHEMA, "platform": "windows", "probes": {}}
    assert set(from_dict(windows).probes) == set(PROBES["windows"])
    assert set(from_dict(windows, preflight=True).probes) == {*PROBES["windows"], *PREFLIGHT["windows"]}


def test_a_mac_has_no_preflight_probe() -> None:
    lines = [f"P {name} absent" for name in PROBES["macos"] if name != "host"]
    seen = parse_posix(frame("R host system=Darwin", "P host ok", *lines), NONCE, preflight=True)
    assert seen is not None
    assert (seen.platform, set(seen.probes)) == ("macos", set(PROBES["macos"]))


def test_the_page_names_the_preflight_probes() -> None:
    text = (Path(__file__).parents[2] / "docs" / "formats.md").read_text()
    for platform, number in (("linux", 3), ("windows", 4)):
        section = text.partition(f"\n## {number}.")[2].partition("\n## ")[0]
        table = section.partition("reflight probes")[2]
        assert [name for name in PREFLIGHT[platform] if f"\n| `{name}` |" not in table] == []
