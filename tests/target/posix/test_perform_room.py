# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a job lives on a host: folders that are not ours, disks that are full, other machines; and what is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import journal, outcome
from ansible_collections.evict.kaspersky.plugins.plugin_utils.job import compile_job
from tests import jobs
from tests.target.posix.performing import BASE, DIGEST, MACHINE, NONCE, SHELLS, Host, program, staged, step

ONE = program([step("one", "mark", "text=x")])
# Fills the file system of the job's folder, and what is left of the journal's own last page; and takes it back.
FILL = f"""
kind_fill() {{
  [ -e /var/room ] || cat /dev/zero >{BASE}/fill 2>/dev/null
  [ -e /var/room ] || until [ -n "$j_spilled" ]; do note pad "$(printf %0500d 0)"; done
  trace "full $id"
  status=done
}}
kind_free() {{ rm -f {BASE}/fill; trace "free $id"; status=done; }}
"""


@pytest.fixture(params=SHELLS)
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Host]:
    with staged(tmp_path, request.param) as made:
        yield made


def small(host: Host, options: str = "size=400k,mode=755") -> None:
    """A file system of its own for /var/lib."""
    host.run(f"mount -t tmpfs -o {options} small /var/lib")
    host.library += FILL


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (f"mkdir -m 755 {BASE}", "not ours alone"),
        (f"mkdir -m 700 {BASE}; chown 1000 {BASE}", "owner 1000"),
        (f"mkdir -m 700 /var/real; ln -s /var/real {BASE}", "not ours alone"),
        (f"ln -s /nowhere {BASE}", "not ours alone"),
        (f": >{BASE}", "not ours alone"),
        ("mkdir -m 750 /run/evict.kaspersky", "not ours alone"),
        ("chmod 777 /var/lib", "by everybody"),
        ("chown 1000 /var/lib", "others than root"),
    ],
)
def test_a_folder_that_is_not_ours_is_refused(host: Host, made: str, said: str) -> None:
    host.run(made)
    look = "ls -ldn /var/lib/evict.kaspersky; ls -lRn /var/real"
    before = host.run(look)
    answer = host.call(ONE)
    assert (answer.state, answer.code) == ("refused", "foreign_folder")
    assert said in answer.message
    assert host.trace == []
    if BASE in made:
        assert host.run(look) == before


def test_our_folder_is_private(host: Host) -> None:
    assert host.call(ONE).state == "ended"
    said = host.run(
        f"find {BASE} /run/evict.kaspersky -type d ! -perm 700; find {BASE} ! -user root; stat -c %a {BASE}"
    )
    assert said.split() == ["700"]


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"MACHINE": "f" * 32}, "other_machine"),
        ({"MACHINE": ""}, "other_machine"),
        ({"OP": "format"}, "not_understood"),
        ({"PHASE": "reboot"}, "not_understood"),
        ({"PHASE": ""}, "not_understood"),
        ({"DIGEST": "../../etc"}, "not_understood"),
        ({"DIGEST": ""}, "not_understood"),
        ({"RUN": "a b"}, "not_understood"),
        ({"RUN": "x/../y"}, "not_understood"),
        ({"RUN": ""}, "not_understood"),
        ({"SEAL": "$(touch /var/bad)"}, "not_understood"),
    ],
)
def test_what_is_refused(host: Host, values: dict[str, str], code: str) -> None:
    answer = host.call(ONE, **values)
    assert (answer.state, answer.code) == ("refused", code)
    assert answer.message
    assert host.trace == []
    assert host.run("ls -d /var/bad 2>/dev/null") == ""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("job_begin 1 ", "job_begin 2 ", "one version of the collection"),
        (MACHINE, "f" * 32, "another machine"),
    ],
)
def test_what_the_job_itself_refuses(host: Host, old: str, new: str, said: str) -> None:
    answer = host.call(ONE.replace(old, new))
    assert answer.state == "refused"
    assert said in answer.message
    assert host.trace == []
    assert host.call(OP="watch").state == "died"


def test_a_job_that_was_cut_runs_nothing(host: Host) -> None:
    answer = host.call(ONE[: ONE.index("return 0")])
    assert (answer.state, answer.code) == ("refused", "not_started")
    assert host.trace == []


def test_somebody_without_privileges(host: Host) -> None:
    said = host.run(host.text(ONE), user=65534)
    answer = journal.parse(said, NONCE)
    assert (answer.state, answer.code) == ("refused", "not_root")


def test_noexec(host: Host) -> None:
    small(host, "size=2m,mode=755,noexec,nosuid,nodev")
    assert host.call(ONE).code == "0"
    assert host.trace == ["mark one x"]


def test_full_from_the_beginning(host: Host) -> None:
    small(host)
    host.run("cat /dev/zero >/var/lib/fill 2>/dev/null")
    answer = host.call(ONE)
    assert (answer.state, answer.code) == ("refused", "disk_full")
    host.run("rm /var/lib/fill")
    assert host.call(ONE).code == "0"
    assert host.trace == ["mark one x"]


def test_read_only(host: Host) -> None:
    small(host)
    host.run("mount -o remount,ro /var/lib")
    answer = host.call(ONE)
    assert (answer.state, answer.code) == ("refused", "disk_full")


def test_full_before_anything_is_taken_away(host: Host) -> None:
    """The job stops, says so, and the section that takes something away never begins."""
    small(host)
    body = [step("one", "fill"), step("two", "mark", "text=x"), step("three", "mark", "text=x")]
    text = program(body, section="stage", phase="stage")
    answer = host.call(text, PHASE="stage")
    assert host.trace == ["full one"]
    assert (answer.state, answer.code) == ("ended", "1")
    two = [x for x in answer.journal.lines if x.fields.get("id") == "two"]
    assert [x.fields.get("class", "") for x in two] in (["", "disk_full"], ["disk_full"])
    assert not [x for x in answer.journal.lines if x.fields.get("id") == "three"]
    again = host.call(text, PHASE="stage", OP="watch")
    assert again.lines == answer.lines, "what only memory holds is told as well"
    host.run(f"rm {BASE}/fill; touch /var/room")
    assert host.call(text, PHASE="stage", RUN="run-2").code == "0"
    assert host.trace[-2:] == ["mark two x", "mark three x"]
    assert "class=disk_full" in host.read(f"{BASE}/jobs/{DIGEST}/stage/journal.1")


@pytest.mark.parametrize("free", [False, True])
def test_full_when_something_was_taken_away(host: Host, free: bool) -> None:
    """It goes on to its end, whatever cannot be written; what memory holds comes to the disk when there is room."""
    small(host)
    body = [
        step("one", "fill"),
        step("two", "mark", "text=x"),
        *[step("room", "free")] * free,
        step("three", "mark", "text=x"),
    ]
    text = program(body, section="remove")
    answer = host.call(text)
    assert (answer.state, answer.code) == ("ended", "0")
    assert host.trace == ["full one", "mark two x", *["free room"] * free, "mark three x"]
    assert answer.journal.notes()["trouble"] == "not_written"
    ends = [x.fields["id"] for x in answer.journal.lines if x.event == "end"]
    assert ends == ["one", "two", *["room"] * free, "three"]
    kept = journal.Journal.of(host.journal().splitlines())
    assert bool(kept.code is not None) == free
    there = [f"{DIGEST}.commit.journal"] * (not free) + ["follower"]
    assert host.run("ls /run/evict.kaspersky").split() == there


def test_full_and_lost(host: Host) -> None:
    """The performer is lost while only memory knows what was done."""
    small(host)
    body = [
        step("one", "fill"),
        step("two", "mark", "text=x"),
        step("three", "slow", "text=30"),
        step("four", "mark", "text=y"),
    ]
    text = program(body, section="remove")
    first = host.start(host.text(text))
    host.until("grep -q slow /var/trace")
    host.kill()
    assert journal.parse(first.communicate(timeout=30)[0].decode(), NONCE).state == "died"
    host.run(f"rm {BASE}/fill; pkill -x sleep")
    host.library = host.library.replace('bounded sleep "$a_text"', "code=0")
    answer = host.call(text, RUN="run-2")
    assert answer.code == "0"
    assert host.trace == ["full one", "mark two x", "slow three", "slow three", "mark four y"]


def test_status_and_plan(host: Host) -> None:
    assert host.call(OP="status").state == "none"
    given = {"digest": DIGEST, "text": "ä\n'", "steps": [{"phase": "commit"}, {"phase": "finish"}] * 200}
    plan = json.dumps(given, separators=(",", ":"))
    first = host.start(host.text(program([step("one", "slow", "text=1")]), PLAN=plan))
    host.until("grep -q one /var/trace")
    told = host.call(OP="status")
    assert (told.state, told.facts["digest"], told.facts["phase"]) == ("running", DIGEST, "commit")
    assert told.facts["run"] == "run-1"
    assert told.facts["since"].isdecimal()
    first.communicate(timeout=30)
    assert host.call(OP="status").state == "ended"
    assert json.loads(host.call(OP="plan").message) == given
    assert host.call(OP="plan", DIGEST="e" * 64).state == "refused"
    host.call(program([step("two", "mark", "text=x")], section="finish", phase="finish"), PHASE="finish", PLAN=plan)
    assert host.call(OP="status").state == "none"
    host.call(program([step("one", "slow", "text=0")]), PLAN=plan, RUN="run-2")
    assert host.call(OP="status").facts["run"] == "run-2", "what is begun anew is open again"


def test_the_last_phase_of_a_plan_closes_it(host: Host) -> None:
    for phases in (["commit"], ["stage", "commit"]):
        plan = json.dumps({"steps": [{"phase": phase} for phase in phases]}, separators=(",", ":"))
        assert host.call(ONE, PLAN=plan, RUN=f"run-{len(phases)}").state == "ended"
        assert host.call(OP="status").state == "none"


def test_a_whole_plan_of_the_fixtures_in_the_words_of_its_job(host: Host) -> None:
    """Every call that a compiled job makes is one that the hand understands, whatever its kinds do."""
    for number, (name, whole) in enumerate(sorted(jobs.PLANS.items())):
        if whole.platform != "linux":
            continue
        whole = jobs.plan("linux", whole.steps, machine=MACHINE, host=f"h{number}", replacement=whole.replacement)
        for kind in {s.kind for s in whole.steps}:
            host.library += f"kind_{kind}() {{ status=done; }}\n"
        for phase in jobs.PHASES:
            made = compile_job(whole, phase)
            if not any(part.steps for part in made.parts):
                continue
            answer = host.call(made.posix(), PHASE=phase, DIGEST=whole.digest())
            assert (answer.state, answer.code) == ("ended", "0"), (name, phase)
            assert outcome.accounts(whole, answer.journal.outcomes(whole, phase), phase) == []
