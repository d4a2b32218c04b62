# SPDX-License-Identifier: GPL-3.0-or-later
"""The probe that asks a replacement how it is, in staged roots: what it hands on, and what it leaves alone."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import asking, preflight
from ansible_collections.evict.kaspersky.plugins.plugin_utils.filling import Role
from ansible_collections.evict.kaspersky.plugins.plugin_utils.observation import Probe
from tests import cases, covers
from tests.target.posix.planned import look
from tests.target.posix.staged import Answer, stub

Shell = tuple[str, ...]
APT = "rm -rf /var/lib/rpm /usr/lib/sysimage/rpm\n" + stub("apt-get", "exit 1")
# What systemctl says, a block for each unit, with a line between them as it has it.
SYSTEMCTL = """mkdir -p /run/systemd/system /run/systemd/units /etc/systemd/system /usr/local/lib/systemd/system
: >/etc/systemd/system/on.service; : >/usr/local/lib/systemd/system/on@.service; : >/etc/systemd/system/off.service
ln -s 0123 /run/systemd/units/invocation:on-lost.service
""" + stub(
    "systemctl",
    'while [ "$1" != -- ]; do shift; done; shift\n'
    "for unit; do case $unit in none*) exit 1 ;; on*) echo ActiveState=active; echo UnitFileState=enabled ;;\n"
    "*) echo ActiveState=inactive; echo UnitFileState= ;; esac; echo; done",
)


def answers(seen: Answer, role: Role = "replacement") -> tuple[dict[str, str], dict[str, str]]:
    return asking.answers(seen.records, role)


def test_a_program_gets_its_words_as_they_are(target_shell: Shell, tmp_path: Path) -> None:
    made = APT + stub("ctl", 'for word; do printf "<%s>" "$word"; done; echo noise >&2; exit 3')
    words = ["/usr/sbin/ctl", "a b", "$(id)", "*", "", "'", "=x", "+y"]
    asked = ["=apt,- replacement status", *(f"+{word}" for word in words)]
    seen = look(tmp_path, made, shell=target_shell, cover=asked)["cover"]
    assert seen.status == "ok"
    assert answers(seen) == ({"status": "".join(f"<{word}>" for word in words[1:])}, {})


def test_only_what_is_for_the_host_s_manager_is_asked(target_shell: Shell, tmp_path: Path) -> None:
    made = APT + stub("ctl", 'echo "$1"; echo "$1" >>/run/said')
    asked = []
    for managers, word in (("apt", "one"), ("dnf,apt", "two"), ("dnf,zypper", "three"), ("-", "four"), ("yum,-", "5")):
        asked += [f"={managers} fallback {word}", "+/usr/sbin/ctl", f"+{word}"]
    seen = look(tmp_path, made, shell=target_shell, cover=asked)["cover"]
    assert answers(seen, "fallback")[0] == {"one": "one", "two": "two"}
    assert answers(seen)[0] == {}


def test_questions_for_other_managers_only_are_none(target_shell: Shell, tmp_path: Path) -> None:
    asked = ["=dnf,- replacement status", "+/usr/sbin/ctl"]
    assert look(tmp_path, APT + stub("ctl", "echo yes"), shell=target_shell, cover=asked)["cover"].status == "absent"


def test_services_say_how_they_are_and_start(target_shell: Shell, tmp_path: Path) -> None:
    """One that has no file is not asked for, unless it runs without one."""
    names = ("on.service", "off.service", "none.service", "on@x.service", "on-lost.service", "none@x.service", "on")
    asked = [f"=apt replacement service.{unit}" for unit in names]
    asked += ["=apt fallback service.on.service"]
    seen = look(tmp_path, APT + SYSTEMCTL, shell=target_shell, cover=asked)["cover"]
    assert answers(seen)[0] == {
        "service.on.service": "active enabled",
        "service.off.service": "inactive unknown",
        "service.none.service": "inactive unknown",
        "service.on@x.service": "active enabled",
        "service.on-lost.service": "active enabled",
        "service.none@x.service": "inactive unknown",
        "service.on": "active enabled",
    }
    assert answers(seen, "fallback")[0] == {"service.on.service": "active enabled"}


def test_where_systemd_does_not_run_a_service_has_no_answer(target_shell: Shell, tmp_path: Path) -> None:
    asked = ["=apt replacement service.on.service"]
    seen = look(tmp_path, APT + SYSTEMCTL + "rm -rf /run/systemd", shell=target_shell, cover=asked)["cover"]
    assert answers(seen) == ({"service.on.service": ""}, {"service.on.service": "systemd does not say"})


def test_one_that_hangs_has_no_answer_and_the_others_have(target_shell: Shell, tmp_path: Path) -> None:
    made = APT + stub("hang", "sleep 60") + stub("ctl", "echo fine") + stub("mute", ":")
    asked = []
    for name in ("hang", "ctl", "mute", "gone"):
        asked += [f"=apt replacement {name}", f"+/usr/sbin/{name}"]
    every = look(tmp_path, made, shell=target_shell, cover=asked)
    assert every["cover"].status == "ok"
    texts, faults = answers(every["cover"])
    assert texts == {"hang": "", "ctl": "fine", "mute": "", "gone": ""}
    assert faults == {
        "hang": "did not answer in 3 s",
        "mute": "it said nothing",
        "gone": "/usr/sbin/gone is not there",
    }
    assert {answer.status for answer in every.values()} <= {"ok", "absent"}


def test_a_long_answer_comes_whole(target_shell: Shell, tmp_path: Path) -> None:
    text = json.dumps(
        {"definitions": "up to date", "wörter": "ä€𝄞 " * 850, "lines": ["x" * 70] * 30}, indent=1, ensure_ascii=False
    )
    made = APT + f"cat >/run/text <<'END'\n{text}\nEND\n" + stub("ctl", "cat /run/text")
    asked = ["=apt replacement health", "+/usr/sbin/ctl"]
    seen = look(tmp_path, made, shell=target_shell, cover=asked)["cover"]
    assert len(seen.records) > 3
    assert answers(seen)[0]["health"] == text


def test_nothing_asked_nothing_said(target_shell: Shell, tmp_path: Path) -> None:
    assert look(tmp_path, APT, shell=target_shell)["cover"].status == "absent"


@pytest.mark.parametrize(
    ("state", "healthy"), [("active enabled", True), ("active disabled", False), ("failed enabled", False)]
)
def test_the_questions_of_a_real_provider_are_answered_and_judged(tmp_path: Path, state: str, healthy: bool) -> None:
    """From provider.yml to the host and back: ClamAV's own rule over what stand-ins of its programs say."""
    made = covers.make("clamav")
    asked = preflight.ask(made.policy, made.replacement, None, made.catalog, "linux", 22)["cover"]
    date = cases.NOW.strftime("%a %b %d %H:%M:%S %Y")
    active, start = state.split()
    root = (
        APT
        + "mkdir -p /run/systemd/system; for unit in daemon freshclam clamonacc; do\n"
        + ": >/run/systemd/system/clamav-$unit.service; done\n"
        + stub(
            "systemctl",
            'while [ "$1" != -- ]; do shift; done; shift\n'
            f"for unit; do echo ActiveState={active}; echo UnitFileState={start}; done",
        )
    )
    root += stub(
        "clamdscan",
        '[ "$1" = --config-file=/etc/clamav/clamd.conf ] || exit 2\n'
        f'case $2 in --ping) echo PONG ;; --version) echo "ClamAV 1.4.3/27001/{date}" ;; esac',
    )
    root += "rm -f /usr/bin/clamdscan; cp /usr/sbin/clamdscan /usr/bin/clamdscan\n"
    seen = look(tmp_path, root, cover=asked)["cover"]
    probes = {**made.seen.probes, "cover": Probe("ok", "", tuple(seen.records))}
    case = dataclasses.replace(made, seen=dataclasses.replace(made.seen, probes=probes))
    found = case.health("replacement")
    assert found is not None
    assert found.healthy is healthy, found.reasons
