# SPDX-License-Identifier: GPL-3.0-or-later
"""What a live test tries, and what the answers of hosts prove."""

from __future__ import annotations

import dataclasses
import json
import typing as t
from collections.abc import Mapping

import jsonschema
import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import livetest, proof
from ansible_collections.evict.kaspersky.plugins.plugin_utils.livetest import Test
from ansible_collections.evict.kaspersky.plugins.plugin_utils.outcome import Outcome
from ansible_collections.evict.kaspersky.plugins.plugin_utils.performing import Performed
from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy import Policy
from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy_types import Exclusion
from ansible_collections.evict.kaspersky.plugins.plugin_utils.proof import Proof
from tests import covers, tree

NONCE = "evict-0123456789abcdef01234567"
Fields = Mapping[str, str]
ON = {"on_access": True, "on_access_paths": ["/srv", "/home"]}


def clamav(settings: Mapping[str, t.Any] | None = None, **more: t.Any) -> Test:
    return livetest.prepare(
        Policy(replacement_settings=settings or {}, **more), covers.PROVIDERS["clamav"], "replacement", "linux"
    )


def answer(*records: Fields, protection: tuple[Fields, ...] = (), status: str = "ok", reason: str = "") -> str:
    """What a host prints."""
    lines = ["B 1 posix"]
    for name, items in (("prove", records), ("protection", protection)):
        lines += [f"R {name} " + " ".join(f"{k}:{v.encode().hex()}" for k, v in item.items()) for item in items]
    lines += [f"P prove {status} reason:{reason.encode().hex()}", f"P protection {'ok' if protection else 'absent'}"]
    lines.append(f"E {len(lines)}")
    return "".join(f"noise\n{NONCE} {line}\n" for line in lines)


ACCESS = {"kind": "access", "place": "/srv", "how": "read", "control": "ok", "said": "", "seconds": "3"}
DEMAND = {
    "kind": "demand",
    "place": "/var/tmp",
    "how": "",
    "control": "ok",
    "code": "1",
    "said": "/var/tmp/x.com: Eicar-Test-Signature FOUND",
    "control_code": "0",
    "control_said": "/var/tmp/y.com: OK",
    "seconds": "1",
}


def judged(*records: Fields, test: Test | None = None, **more: t.Any) -> Proof:
    return proof.from_answer(test or clamav(ON), answer(*records, **more), NONCE)


def test_on_access_and_on_demand_are_told_apart() -> None:
    found = judged(ACCESS, DEMAND)
    assert (found.result, found.level, found.control_ok, found.method) == (
        "pass",
        "on_access",
        True,
        "eicar_on_access",
    )
    assert (found.on_access.result, found.on_access.how, found.on_access.place, found.on_access.seconds) == (
        "pass",
        "read",
        "/srv",
        3,
    )
    assert (found.on_demand.result, found.on_demand.how) == ("pass", "found")
    missed = judged({**ACCESS, "how": ""}, DEMAND)
    assert (missed.result, missed.level) == ("fail", "on_demand")
    assert missed.detail.startswith("on access: /srv: the test file could be written and read for 3 s")


@pytest.mark.parametrize("how", ["write", "read", "moved", "changed"])
def test_each_way_to_block_counts(how: str) -> None:
    assert judged({**ACCESS, "how": how}).on_access.result == "pass"


@pytest.mark.parametrize("control", ["write", "read", "gone", "changed", "hung", "", "strange"])
@pytest.mark.parametrize("how", ["", "read"])
def test_without_the_control_file_nothing_is_proved(control: str, how: str) -> None:
    found = judged({**ACCESS, "how": how, "control": control}, {**DEMAND, "control": control})
    assert (found.on_access.result, found.on_demand.result, found.control_ok) == ("error", "error", False)
    assert (found.result, found.level) == ("error", "")


@pytest.mark.parametrize(
    ("changes", "result", "words"),
    [
        ({"code": "0", "said": "/var/tmp/x.com: OK"}, "fail", "finds nothing"),
        ({"code": "2", "said": "ERROR: Could not connect"}, "error", "did not work (code 2): ERROR"),
        ({"code": "1", "said": "killed"}, "error", "did not work (code 1)"),
        ({"code": "", "said": "", "how": "read"}, "error", "blocked before"),
        ({"control_code": "1", "control_said": "y FOUND"}, "error", "the harmless control file, too"),
        ({"control_code": "2", "control_said": ""}, "error", "is not clear"),
        ({"fault": "/usr/bin/clamdscan is not there"}, "error", "is not there"),
    ],
)
def test_what_a_scanner_says(changes: Fields, result: str, words: str) -> None:
    found = judged({**DEMAND, **changes}, test=clamav())
    assert (found.result, found.on_demand.result, found.level) == (result, result, "")
    assert words in found.on_demand.detail
    assert found.on_access.result == "not_applicable"


def test_a_scanner_whose_clean_answer_nobody_knows() -> None:
    test = dataclasses.replace(clamav(), found={"contains": "THREAT"}, clean={})
    assert judged({**DEMAND, "code": "7", "said": "THREAT 1", "control_said": "-"}, test=test).result == "pass"
    assert judged({**DEMAND, "code": "0", "said": "nothing"}, test=test).result == "fail"
    assert judged({**DEMAND, "said": "THREAT", "control_said": "THREAT"}, test=test).result == "error"


@pytest.mark.parametrize(
    ("record", "level"),
    [
        ({"comm": "clamonacc", "exe": "/usr/sbin/clamonacc", "mode": "permission"}, "armed"),
        ({"comm": "clamonacc", "exe": "/usr/sbin/clamonacc", "mode": "notify"}, ""),
        ({"comm": "other", "exe": "/opt/other", "mode": "permission"}, ""),
    ],
)
def test_a_scanner_that_asks_before_files_are_opened_is_armed_and_no_more(record: Fields, level: str) -> None:
    found = judged({**ACCESS, "how": ""}, {**DEMAND, "code": "0", "said": ": OK"}, protection=(record,))
    assert (found.result, found.level) == ("fail", level)


def test_what_is_left_behind_is_told() -> None:
    found = judged(ACCESS, DEMAND, {"kind": "left", "path": "/srv/evict-proof.7.1"})
    assert found.left == ("/srv/evict-proof.7.1",)
    assert found.result == "pass"
    assert "could not be removed from the host: /srv/evict-proof.7.1" in found.detail


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sudo: a password is required",
        answer(status="unknown", reason="no printf of its own"),
        answer(ACCESS).replace(f"{NONCE} E", f"{NONCE} X"),
        answer(DEMAND),
        "".join(line for line in answer(ACCESS, DEMAND).splitlines(keepends=True) if " P " not in line),
        answer(ACCESS)[: len(answer(ACCESS)) // 2],
    ],
)
def test_an_answer_that_is_not_whole_proves_nothing(text: str) -> None:
    found = proof.from_answer(clamav(ON), text, NONCE)
    assert found.result == "error"
    assert found.detail
    assert found.on_access.result != "pass"


def test_evidence_holds_it_and_gives_it_back() -> None:
    schema = json.loads((tree.ROOT / "schemas" / "evidence-1.json").read_text(encoding="utf-8"))
    (rule,) = [
        item["then"]["properties"]["data"]
        for item in schema["allOf"]
        if item["if"]["properties"].get("event") == {"const": "proof"}
    ]
    validator = jsonschema.Draft202012Validator(rule)
    for found in (
        judged(ACCESS, DEMAND),
        judged({**DEMAND, "fault": "x"}, {"kind": "left", "path": "/x"}, test=clamav()),
        proof.nothing(clamav(), "not_applicable", "no reason"),
    ):
        data = json.loads(json.dumps(found.to_dict()))
        assert not list(validator.iter_errors(data))
        assert Proof.from_dict(data) == found
        assert list(validator.iter_errors({**data, "result": "maybe"}))
    for broken in ({}, {**data, "result": "maybe"}, {**data, "on_access": {"result": "fine"}}, {**data, "more": 1}):
        with pytest.raises(ValueError, match="not a proof"):
            Proof.from_dict(broken)


# --- what is tried


def test_clamav_without_on_access_is_tried_on_demand_only() -> None:
    test = clamav()
    assert (test.method, test.access, test.reason) == ("eicar_on_demand", (), "")
    assert test.places == ("/var/tmp", "/tmp", "/root")
    assert test.demand[:2] == ("=apt replacement scan", "+/usr/bin/clamdscan")
    assert "+@file@" in test.demand
    assert (test.found, test.clean) == ({"code": "1", "contains": "FOUND"}, {"code": "0", "contains": ": OK"})
    assert "asks for it" in test.why_access


def test_with_on_access_the_watched_folders_are_tried_and_the_scan_is_asked_for_elsewhere() -> None:
    test = clamav({"on_access": True, "on_access_paths": ["/tmp", "/srv"]})
    assert (test.method, test.access) == ("eicar_on_access", ("/tmp", "/srv"))
    assert test.places == ("/var/tmp", "/root")
    everywhere = clamav({"on_access": True, "on_access_paths": ["/tmp", "/var", "/root"]})
    assert (everywhere.places, everywhere.demand) == ((), ())
    assert everywhere.why_demand == "every place for it is watched on access, or excluded"


def test_no_place_that_is_excluded_is_tried() -> None:
    paths = (Exclusion("path", "/srv"), Exclusion("path", "/var/tmp"))
    test = clamav({"on_access": True, "on_access_paths": ["/srv/data", "/home"]}, exclusions=paths)
    assert (test.access, test.places) == (("/home",), ("/tmp", "/root"))
    none = clamav({"on_access": True, "on_access_paths": ["/srv/data"]}, exclusions=paths)
    assert (none.access, none.why_access) == ((), "all that it watches is excluded from scanning")
    assert none.demand
    found = judged(DEMAND, test=none)
    assert (found.result, found.level) == ("not_applicable", "on_demand")


@pytest.mark.parametrize(
    ("id", "settings", "words"),
    [
        ("falcon", {}, "the vendor does not detect the EICAR test file"),
        ("none", {}, "there is nothing that could detect"),
        ("existing", {}, "detection_test does not say"),
        ("existing", {"detection_test": "console_only"}, "console"),
        ("existing", {"detection_test": "eicar_on_demand"}, "names no program that scans a file"),
        ("package", {"detection_test": "none"}, "detection_test does not say"),
        (
            "package",
            {"detection_test": "eicar_on_demand", "scan_program": "/opt/x", "scan_contains": "bad"},
            "no program",
        ),
        (
            "package",
            {"detection_test": "eicar_on_demand", "scan_program": "/opt/x", "scan_arguments": ["@file@"]},
            "names no program that scans a file",
        ),
        ("defender_av", {}, "defender_av is not for linux"),
    ],
)
def test_what_cannot_be_proved_says_why(id: str, settings: Mapping[str, t.Any], words: str) -> None:
    own = {**covers.NEEDED.get(id, {}), **settings}
    test = livetest.prepare(Policy(replacement_settings=own), covers.PROVIDERS[id], "replacement", "linux")
    assert words in test.reason
    found = proof.nothing(test, "not_applicable", test.reason)
    assert (found.result, found.level, found.control_ok, found.detail) == ("not_applicable", "", None, test.reason)
    assert test.prediction().startswith("nothing would be tried")


def test_a_declared_scan_is_tried() -> None:
    own = {
        **covers.NEEDED["existing"],
        "detection_test": "eicar_on_demand",
        "scan_program": "/opt/other/scan",
        "scan_arguments": ["--one", "@file@"],
        "scan_contains": "THREAT",
    }
    test = livetest.prepare(Policy(fallback_settings=own), covers.PROVIDERS["existing"], "fallback", "linux")
    assert test.demand == ("=-,apt,dnf,yum,zypper fallback scan", "+/opt/other/scan", "+--one", "+@file@")
    assert (test.found, test.clean) == ({"contains": "THREAT"}, {})


def test_windows_is_said_to_be_missing() -> None:
    test = livetest.prepare(Policy(), covers.PROVIDERS["defender_av"], "replacement", "windows")
    assert "on Linux hosts only" in test.reason


def test_the_prediction_names_what_would_be_written() -> None:
    said = clamav(ON).prediction()
    assert said.startswith("would write two probe files")
    assert "/srv" in said
    assert "/var/tmp" in said


def test_names_of_files_hold_the_run_and_nothing_else() -> None:
    values = clamav().values(run="run/7 $(id)\n", seconds=5)
    assert values["PROVE_NAME"] == "run-7---id--"
    assert (values["PROVE_SECONDS"], values["PROVE_CODE"], values["PROVE_TEXT"]) == ("5", "1", "FOUND")
    assert int(values["TIMEOUT"]) > 3 * 5


# --- in a run


def phase(name: t.Literal["stage", "commit"], step: str = "", status: str = "done", **more: t.Any) -> Performed:
    outcomes = (Outcome(step=step, phase=name, status=status, changes=True),) if step else ()  # type: ignore[arg-type]
    return Performed(phase=name, digest="0" * 64, outcomes=outcomes, **more)


def test_the_fallback_is_tested_where_its_steps_were_performed() -> None:
    assert proof.role(()) == "replacement"
    assert proof.role([phase("stage", "stage.clamav.install")]) == "replacement"
    assert proof.role([phase("commit", "fallback.clamav.engine-runs", "skipped")]) == "replacement"
    assert proof.role([phase("commit", "fallback.clamav.engine-runs", "already")]) == "fallback"


def test_what_was_not_performed_needs_no_test() -> None:
    assert not proof.performed(())
    assert not proof.performed([phase("stage")])
    assert not proof.performed([phase("commit", state="refused")])
    assert proof.performed([phase("stage"), phase("commit")])
    assert proof.performed([phase("commit", state="lost")])
