# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host tells of a job is read with care: nothing raises, and only what has the journal's form is believed."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.evict.kaspersky.plugins.plugin_utils import journal, outcome
from ansible_collections.evict.kaspersky.plugins.plugin_utils.journal import Journal
from ansible_collections.evict.kaspersky.plugins.plugin_utils.plan import Gap, Plan
from ansible_collections.evict.kaspersky.plugins.plugin_utils.steps import Condition
from tests import jobs

NONCE = "evict-00112233445566778899aabb"
STEPS = (
    jobs.step("stage.lists", "refresh_packages", args={"manager": "apt"}),
    jobs.step("stage.install", "install_packages", args={"manager": "apt", "packages": ("clamav",)}),
    jobs.step("remove.stop", "stop_unit", args={"unit": "kesl.service"}),
    jobs.step("remove.package", "remove_package", args={"manager": "apt", "package": "kesl"}),
    jobs.step("remove.confirm", "confirm_absent", args={"product": "kesl", "packages": ("kesl",)}),
    jobs.step("cover.enable", "enable_unit", args={"unit": "clam.service"}, on_fail="continue"),
    jobs.step("cover.start", "start_unit", args={"unit": "clam.service"}),
    jobs.step("cover.active", "unit_active", args={"unit": "clam.service"}),
    jobs.step("cover.note", "enable_unit", args={"unit": "other.service"}, on_fail="continue"),
    jobs.step(
        "fallback.install",
        "install_packages",
        args={"manager": "apt", "packages": ("other",)},
        condition=Condition("cover_failed"),
    ),
    jobs.step("fallback.active", "unit_active", args={"unit": "other.service"}, condition=Condition("cover_failed")),
    jobs.step("finish.staged", "remove_staged"),
)
PLAN = jobs.plan("linux", STEPS, gap=Gap(60, 4000, "from the stop to the proof"))


def job(plan: Plan = PLAN, phase: str = "commit", *, at: float = 100, up: float = 10, boot: str = "b1") -> str:
    digest = plan.digest()
    return f"job phase={phase} digest={digest} run=r1 seal=5 attempt=1 boot={boot} pid=7 way=systemd at={at} up={up} ."


def performed(*steps: tuple[str, str], start: float = 20, plan: Plan = PLAN, phase: str = "commit") -> list[str]:
    """A journal in which each step takes a second; `failed!word` has a class of its own."""
    lines, now = [job(plan, phase)], start
    for name, status in steps:
        if status != "skipped":
            lines.append(f"begin id={name} kind=x try=1 at={now + 90:.0f} up={now:.2f} .")
            now += 1
        status, _mark, kind = status.partition("!")
        more = {"failed": f" class={kind or 'still_there'} code=7 why:6e6f", "skipped": " why=not_met"}.get(status, "")
        if status != "begun":
            lines.append(f"end id={name} kind=x status={status}{more} seconds=1.00 at={now + 90:.0f} up={now:.2f} .")
    return lines


def ended(lines: list[str], code: int = 0) -> Journal:
    return Journal.of([*lines, f"close code={code} at=900 up=800.00 ."])


GOOD = (
    ("remove.stop", "done"),
    ("remove.package", "done"),
    ("remove.confirm", "done"),
    ("cover.enable", "already"),
    ("cover.start", "done"),
    ("cover.active", "done"),
    ("cover.note", "failed"),
)
FELL = (
    ("remove.stop", "done"),
    ("remove.package", "failed!prerm_failed"),
    ("cover.enable", "done"),
    ("cover.start", "failed"),
    ("fallback.install", "done"),
    ("fallback.active", "already"),
)


def answer(*lines: str, nonce: str = NONCE) -> str:
    own = ["B 1 perform", *lines]
    return "\n".join(f"{nonce} {line}" for line in [*own, f"E {len(own)}"]) + "\n"


def test_an_answer() -> None:
    text = "Welcome!\r\n" + answer("J one", "J two .", "S state=ended code=0 digest=ab since=5 reason=")
    came = journal.parse(text, NONCE)
    assert came == journal.Answer("ended", "0", "", ("one", "two ."), {"digest": "ab", "since": "5"})
    refused = journal.parse(answer("S state=refused code=locked reason:6e6f77c3a4"), NONCE)
    assert (refused.state, refused.code, refused.message) == ("refused", "locked", "nowä")


@pytest.mark.parametrize(
    "text",
    [
        "",
        answer(),
        answer("S state=ended code=0", nonce="evict-another"),
        answer("S state=ended code=0").rsplit("\n", 2)[0],
        answer("S state=ended", "S state=running"),
        answer("S state=won"),
        answer("S state=ended state=running"),
        answer("S code=0"),
        answer("S state:zz"),
        answer("S state=ended").replace("B 1", "B 2"),
        answer("S state=ended", "J x").replace(f"{NONCE} J x\n", ""),
    ],
)
def test_an_answer_that_is_not_whole(text: str) -> None:
    came = journal.parse(text, NONCE)
    assert came.state == "cut"
    assert came.message
    assert came.lines == ()


def test_what_cannot_be_read_is_left_out() -> None:
    whole = performed(*GOOD[:2])
    strange = [
        "",
        ".",
        "end .",
        "end",
        "end id=remove.confirm status=done",
        "end id=remove.confirm status=done at=5 up=6",
        "END id=remove.confirm status=done .",
        "end id=remove.confirm id=remove.stop status=done .",
        "end id=remove.confirm status=done x .",
        "end id:zz status=done .",
        "end id=remove.confirm  status=done .",
        "end id=remove.confirm status=won .",
        "begin id=remove.stop kind=xend id=remove.confirm status=done at=1 up=2 .",
    ]
    told = Journal.of([*whole, *strange])
    found = {o.step: o for o in told.outcomes(PLAN, "commit")}
    assert found["remove.confirm"].status == "skipped"
    assert [found[name].status for name, _status in GOOD[:2]] == ["done", "done"]


def test_outcomes_of_a_commit_that_went_well() -> None:
    told = ended(performed(*GOOD))
    found = told.outcomes(PLAN, "commit")
    assert outcome.accounts(PLAN, found, "commit") == []
    assert {o.step: o.status for o in found} == {
        **dict(GOOD),
        "fallback.install": "skipped",
        "fallback.active": "skipped",
    }
    assert {o.why for o in found if o.status == "skipped"} == {"not needed: the replacement became active"}
    assert (told.code, told.ends, told.ended, told.started, told.boot, told.run) == (0, True, 900, 100, "b1", "r1")
    assert [o.seconds for o in found][:3] == [1.0, 1.0, 1.0]


def test_outcomes_of_a_commit_that_jumped() -> None:
    found = {o.step: o for o in ended(performed(*FELL)).outcomes(PLAN, "commit")}
    assert outcome.accounts(PLAN, list(found.values()), "commit") == []
    assert found["remove.confirm"].why == "passed over since remove.package failed"
    assert found["cover.active"].why == "passed over since cover.start failed"
    failure = found["remove.package"].failure
    assert failure == outcome.Failure("prerm_failed", "7", "no")
    assert found["fallback.active"].status == "already"


@pytest.mark.parametrize("steps", [GOOD, FELL])
def test_each_beginning_of_a_journal_adds_up(steps: tuple[tuple[str, str], ...]) -> None:
    """Wherever a host is lost: every step is performed, interrupted, or skipped for a reason."""
    lines = performed(*steps)
    for number in range(len(lines) + 1):
        told = Journal.of(lines[:number])
        found = told.outcomes(PLAN, "commit")
        assert outcome.accounts(PLAN, found, "commit") == []
        assert not told.ends
        begun = [o.step for o in found if o.failure is not None and o.failure.kind == "interrupted"]
        under_way = number and lines[number - 1].startswith("begin ")
        assert begun == ([told.step] if under_way else [])
        assert {o.status for o in found if o.step.startswith("fallback.")} <= {"skipped", "done", "already", "failed"}
        if number == 0:
            assert {o.why for o in found} == {"the job was not begun"}


def test_a_journal_of_another_plan_says_nothing() -> None:
    other = jobs.plan("linux", STEPS, host="web2")
    for told, phase in ((ended(performed(*GOOD, plan=other)), "commit"), (ended(performed(*GOOD)), "stage")):
        found = told.outcomes(PLAN, t.cast("t.Any", phase))
        assert {o.status for o in found} == {"skipped"}
        assert {o.why for o in found} == {"the journal on the host is that of another plan or phase"}


def test_a_staging_that_was_taken_back() -> None:
    lines = performed(("stage.lists", "done"), ("stage.install", "failed!repository_broken"), phase="stage")
    lines += ["enter section=undo at=1 up=2.00 .", "undo id=stage.install kind=x status=done seconds=1.00 at=1 up=2 ."]
    found = {o.step: o for o in ended(lines, 1).outcomes(PLAN, "stage")}
    assert found["stage.install"].status == "failed"
    assert found["stage.install"].why == "taken back, since the staging failed"
    lines[-1] = "undo id=stage.install kind=x status=failed class=held why=busy at=1 up=2 ."
    found = {o.step: o for o in ended(lines, 1).outcomes(PLAN, "stage")}
    assert found["stage.install"].why == "could not be taken back (held): busy"


def test_a_job_that_was_stopped_says_so() -> None:
    lines = [job(), "note id=journal key=stopped value:6e6f20726f6f6d at=1 up=2.00 ."]
    found = ended(lines, 1).outcomes(PLAN, "commit")
    assert {o.why for o in found} == {"the job was stopped: no room"}


def test_a_restart_is_asked_for_by_a_step_or_by_the_job() -> None:
    assert not ended(performed(*GOOD)).reboot
    lines = performed(*GOOD)
    lines[2] = lines[2].replace(" seconds", " reboot=yes seconds")
    assert ended(lines).reboot
    first = [o for o in ended(lines).outcomes(PLAN, "commit") if o.reboot]
    assert [o.step for o in first] == ["remove.stop"]
    assert ended(performed(phase="stage"), 4).reboot
    assert ended(performed(phase="stage"), 4).outcomes(PLAN, "stage")[0].why == "the host has to be restarted first"


def test_a_job_that_goes_on_has_not_ended() -> None:
    lines = [*performed(("stage.lists", "done"), phase="stage"), "close code=4 at=1 up=2.00 .", job(phase="stage")]
    told = Journal.of(lines)
    assert told.code is None
    assert not told.ends
    assert told.ended is None
    assert told.interruptions == 1


# --- the time without protection


def test_the_gap_is_measured_from_the_stop_to_the_proof() -> None:
    # The stop begins at 20, each step takes a second, and cover.active is the sixth.
    assert ended(performed(*GOOD)).gap(PLAN) == pytest.approx(6)
    # By the fallback: its last step is the sixth as well.
    assert ended(performed(*FELL)).gap(PLAN) == pytest.approx(6)


def test_the_clock_counts_only_across_a_restart() -> None:
    lines = performed(*GOOD)
    at = next(n for n, line in enumerate(lines) if line.startswith("begin id=cover.start"))
    later = [line.replace("at=1", "at=9").replace("up=2", "up=0") for line in lines[at:]]
    assert Journal.of([*lines[:at], job(at=900, up=1, boot="b2"), *later]).gap(PLAN) == pytest.approx(800 + 6)
    set_back = [line.replace(" at=1", " at=0") for line in lines[at:]]
    assert Journal.of([*lines[:at], *set_back]).gap(PLAN) == pytest.approx(6)


@pytest.mark.parametrize(
    "steps",
    [
        GOOD[:3],
        GOOD[:5],
        FELL[:4],
        FELL[:5],
        (*FELL[:5], ("fallback.active", "failed")),
        (*GOOD[:5], ("cover.active", "failed"), ("fallback.install", "skipped"), ("fallback.active", "skipped")),
    ],
)
def test_no_gap_is_told_where_protection_has_not_come_back(steps: tuple[tuple[str, str], ...]) -> None:
    assert Journal.of(performed(*steps)).gap(PLAN) is None


def test_nothing_to_measure() -> None:
    nothing = tuple((name, "already" if name.startswith("remove") else status) for name, status in GOOD)
    assert ended(performed(*nothing)).gap(PLAN) is None
    none = dataclasses.replace(PLAN, gap=None)
    assert ended(performed(*GOOD, plan=none)).gap(none) is None
    always = dataclasses.replace(PLAN, gap=Gap(0, 0, "something else protects"))
    assert ended(performed(*GOOD, plan=always)).gap(always) == 0
    existing = dataclasses.replace(PLAN, gap=Gap(0, 900, "the longest is for a fallback"))
    assert ended(performed(*GOOD, plan=existing)).gap(existing) == 0
    assert ended(performed(*FELL, plan=existing)).gap(existing) == pytest.approx(6)


# --- whatever comes


WORDS = st.sampled_from(
    [
        *(
            "job",
            "begin",
            "end",
            "undo",
            "note",
            "close",
            "enter",
            ".",
            "",
            "id=remove.stop",
            "id=cover.active",
            "id=x",
        ),
        *("id:c3", "status=done", "status=failed", "status=skipped", "code=0", "code=9999999", "code=-1", "boot=b1"),
        *("phase=commit", "up=1.5", "at=1e9", "at=12", "up=nan", "seconds=inf", "key=stopped", "value=x"),
        f"digest={PLAN.digest()}",
    ]
)
LINES = st.lists(st.one_of(st.text(max_size=40), st.lists(WORDS, max_size=9).map(" ".join)), max_size=12)


@given(LINES)
def test_no_journal_raises(lines: list[str]) -> None:
    told = Journal.of([job(), *lines])
    for phase in ("stage", "commit", "finish"):
        found = told.outcomes(PLAN, t.cast("t.Any", phase))
        assert outcome.accounts(PLAN, found, t.cast("t.Any", phase)) == []
    gap = told.gap(PLAN)
    assert gap is None or gap >= 0
    assert isinstance((told.code, told.step, told.reboot, told.ended, told.started, told.interruptions), tuple)


@given(LINES, st.text(max_size=30))
def test_no_answer_raises(lines: list[str], before: str) -> None:
    came = journal.parse(before + "\n" + answer(*lines), NONCE)
    assert came.state in ("running", "ended", "died", "refused", "none", "cut")
    assert journal.parse("\n".join(lines), NONCE).state == "cut"
