# SPDX-License-Identifier: GPL-3.0-or-later
"""The job compiler: what hosts get, byte for byte; the flow of the program in real shells; what is refused."""

from __future__ import annotations

import shutil
import subprocess
import typing as t
from collections.abc import Collection, Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.evict.kaspersky.plugins.plugin_utils import canonical, job_checks
from ansible_collections.evict.kaspersky.plugins.plugin_utils.job import JobError, compile_job
from ansible_collections.evict.kaspersky.plugins.plugin_utils.plan import Plan, Step
from ansible_collections.evict.kaspersky.plugins.plugin_utils.steps import KINDS, Condition, Phase
from tests import jobs, runs, tree

SHELLS: t.Final = (("dash",), ("bash",), ("bash", "--posix"), ("busybox", "sh"))
# Stands for the hand: writes down each call with all its words, and lets the steps named in FAIL fail.
HAND: t.Final = r"""
nl='
'
record() { printf '%s\000' "$#" "$@"; }
job_begin() { record begin "$@"; [ "$BEGIN" = 0 ]; }
job_enter() { record enter "$@"; }
job_end() { record end "$@"; }
undo() { record undo "$@"; }
step() {
  record step "$@"
  case "$nl$FAIL$nl" in *"$nl$1$nl"*) return 9 ;; esac
}
"""
Call = tuple[str, ...]


def perform(shell: Sequence[str], program: str, fail: Collection[str] = (), begin: int = 0) -> list[Call]:
    """What the program calls, in a real shell with a hand that only records."""
    if shutil.which(shell[0]) is None:
        pytest.skip(f"no {shell[0]}")
    done = subprocess.run(
        [*shell, "-s"],
        input=(HAND + program).encode(),
        env={"FAIL": "\n".join(fail), "BEGIN": str(begin), "PATH": "/usr/bin:/bin", "LC_ALL": "C"},
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.stderr == b""
    words = done.stdout.decode().split("\0")[:-1]
    calls = []
    while words:
        count = int(words[0])
        calls.append(tuple(words[1 : count + 1]))
        words = words[count + 1 :]
    return calls


def names(calls: Sequence[Call]) -> list[str]:
    """Kind of call and its first word."""
    return [" ".join(call[:2]) for call in calls if call[0] != "begin"]


def words_of(step: Step) -> Call:
    """The words of a step's call, written down here anew."""
    words = ["step", step.id, step.kind, str(step.timeout), step.on_fail, step.condition.name, step.condition.of]
    words += [f"{name}={step.secrets[name]}" for name in sorted(step.secrets)] + ["--"]
    for name in sorted(step.args):
        value = step.args[name]
        words += [f"{name}={item}" for item in ([value] if isinstance(value, str) else value)]
    return tuple(words)


def expected(plan: Plan, phase: Phase, fail: Collection[str]) -> list[str]:
    """The order of calls as the design tells it, from the plan alone."""
    steps = [step for step in plan.steps if step.phase == phase]
    if phase != "commit":
        said, code = [f"enter {phase}"], 0
        for step in steps:
            said.append(f"step {step.id}")
            if step.id in fail and step.on_fail == "stop":
                code = 1
                break
        if code and phase == "stage":
            undone = [f"undo {step.id}" for step in reversed(steps) if KINDS[step.kind].undo]
            said += ["enter undo", *undone]
        return [*said, f"end {code}"]
    said, section = [], "remove"
    while section:
        said.append(f"enter {section}")
        follows = {"remove": "cover", "cover": "", "fallback": ""}[section]
        for step in (step for step in steps if step.section == section):
            said.append(f"step {step.id}")
            if step.id in fail and step.on_fail != "continue":
                follows = "" if step.on_fail == "stop" else step.on_fail
                code = 1 if step.on_fail == "stop" else 0
                if code:
                    return [*said, "end 1"]
                break
        section = follows
    return [*said, "end 0"]


def test_what_hosts_get_is_what_lies_in_the_fixtures() -> None:
    wanted = dict(jobs.golden())
    assert {path.name for path in jobs.FOLDER.iterdir()} == {path.name for path in wanted}
    for path, text in wanted.items():
        assert path.read_text(encoding="utf-8") == text, (
            f"{path.name}: python -m tests.jobs, and look at the difference"
        )


def test_programs_please_shellcheck_and_every_shell() -> None:
    files = sorted(map(str, jobs.FOLDER.glob("*.sh")))
    assert len(files) >= 8
    for shell in SHELLS:
        if shutil.which(shell[0]):
            for file in files:
                assert subprocess.run([*shell, "-n", file], check=False).returncode == 0, (shell, file)
    checker = shutil.which("shellcheck", path=f"{tree.ROOT}/.venv/bin") or shutil.which("shellcheck")
    if checker is None:
        pytest.skip("no shellcheck")
    found = subprocess.run([checker, *files], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
@pytest.mark.parametrize("name", [name for name, plan in jobs.PLANS.items() if plan.platform == "linux"])
def test_order_and_jumps_in_real_shells(name: str, shell: Sequence[str]) -> None:
    plan = jobs.PLANS[name]
    for phase in jobs.PHASES:
        program = compile_job(plan, phase).posix()
        ids = [step.id for step in plan.steps if step.phase == phase]
        cases: list[list[str]] = [[], *([id] for id in ids), ids, *([a, b] for a in ids for b in ids[-2:] if a != b)]
        for fail in cases:
            calls = perform(shell, program, fail)
            assert calls[0] == ("begin", "1", plan.digest(), plan.host, plan.machine, phase)
            assert names(calls) == expected(plan, phase, fail), fail


def test_a_failure_of_the_removal_never_skips_the_cover() -> None:
    """Said without the model: whatever fails in the commit, a step of cover or fallback comes last."""
    for name in ("clamav-deb", "clamav-rpm", "existing"):
        plan = jobs.PLANS[name]
        program = compile_job(plan, "commit").posix()
        for step in plan.steps:
            calls = names(perform(("dash",), program, [step.id]))
            assert calls[-2].startswith(("step cover.", "step fallback.")), step.id
            assert calls[-1] == "end 0"


def test_a_job_that_may_not_begin_does_nothing() -> None:
    for shell in SHELLS:
        calls = perform(shell, compile_job(jobs.PLANS["clamav-deb"], "commit").posix(), begin=1)
        assert [call[0] for call in calls] == ["begin"]


# Everything a program can be given: no NUL, no half characters.
NASTY: t.Final = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40
) | st.sampled_from(
    [
        "",
        "-n",
        "--",
        "-- ",
        "'",
        '"\'"',
        "$(id)",
        "`id`",
        "${IFS}",
        "\\",
        "\\\\'",
        "a\nb",
        "\n",
        "\r\n",
        "*",
        "~",
        "~root",
        "!x",
        "#",
        "ä",
        "\U0001f512",
        "\x7f",
        "\x01",
        "a=b",
        "\t",
        "{a,b}",
        "$'\\n'",
        "\\c",
        "%s",
        "\u202e",
        "x" * 5000,
    ]
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(NASTY, max_size=12), NASTY, NASTY, st.sampled_from(SHELLS))
def test_every_text_arrives_byte_for_byte(items: list[str], text: str, of: str, shell: Sequence[str]) -> None:
    steps = [
        jobs.step("stage.write", "write_file", args={"path": "/etc/x", "mode": "0600", "text": text}),
        jobs.step(
            "stage.run",
            "run",
            args={"program": text, "arguments": tuple(items)},
            condition=Condition("remains", of or "x"),
            secrets={"TOKEN": "falcon.token"},
        ),
    ]
    plan = jobs.plan("linux", steps, host=f"{text}h", machine=of)
    calls = perform(shell, compile_job(plan, "stage").posix(), ["stage.run"])
    assert calls[0] == ("begin", "1", plan.digest(), plan.host, plan.machine, "stage")
    assert [call for call in calls if call[0] == "step"] == [words_of(step) for step in steps]
    assert [call for call in calls if call[0] == "undo"] == [
        ("undo", "stage.write", "restore_file", "--", "path=/etc/x")
    ]


def test_a_text_inside_a_list_reaches_windows_as_a_list() -> None:
    made = compile_job(jobs.PLANS["windows-defender"], "commit").windows()
    assert not list(runs.schema("job-1").iter_errors(made))
    removed = made["sections"][0]["steps"][0]
    assert removed["secrets"] == {"KLPASSWD": "kes.password"}
    assert removed["args"]["properties"] == ["REBOOT=ReallySuppress"]
    one = jobs.step("stage.one", "install_exe", args={"name": "x.exe", "arguments": "/quiet"})
    document = compile_job(jobs.plan("windows", [one]), "stage").windows()
    assert document["sections"][0]["steps"][0]["args"] == {"name": "x.exe", "arguments": ["/quiet"]}


def test_every_document_for_windows_keeps_its_schema_and_its_seal() -> None:
    validator = runs.schema("job-1")
    for phase in jobs.PHASES:
        made = compile_job(jobs.PLANS["windows-defender"], phase)
        assert not list(validator.iter_errors(made.windows()))
        assert made.sealed() == canonical.dumps(made.windows())
        assert made.seal() == canonical.sha256(made.sealed())
        with pytest.raises(JobError):
            made.posix()
    assert list(validator.iter_errors({**made.windows(), "extra": 1}))
    posix = compile_job(jobs.PLANS["clamav-deb"], "commit")
    assert posix.seal() == canonical.sha256(posix.posix().encode())
    with pytest.raises(JobError):
        posix.windows()


def test_the_seal_is_of_one_phase_of_one_plan() -> None:
    seals = {compile_job(plan, phase).seal() for plan in jobs.PLANS.values() for phase in jobs.PHASES}
    assert len(seals) == len(jobs.PLANS) * len(jobs.PHASES)


def test_every_argument_that_is_a_list_is_known_as_one() -> None:
    arguments = {name for kind in KINDS.values() for name in (*kind.needs, *kind.may)}
    assert arguments >= job_checks.LISTS
    assert {name for name in arguments if name.endswith("s")} <= job_checks.LISTS
