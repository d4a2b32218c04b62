# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs whose controller, performer or host is lost at each boundary, and jobs that meet: the next call ends right."""

from __future__ import annotations

import os
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import journal
from tests.target.posix.performing import BASE, DIGEST, MACHINE, NONCE, SHELLS, Host, program, staged, step, words

# At the n-th line of the journal, before or after it is on the disk, the performer or the whole host is lost.
LOSE = r"""for tool in date sync; do
  real=$(command -v $tool)
  cat >/usr/sbin/$tool <<END
#!/bin/sh
tool=$tool real=$real
END
  cat >>/usr/sbin/$tool <<'END'
[ "$tool" = date ] || "$real" "$@"
if [ -s /var/lose ]; then
  IFS=' ' read -r which left what </var/lose
  case $which$* in
    date+%s | "sync$(ls /var/lib/evict.kaspersky/jobs/*/*/journal 2>/dev/null | tail -n 1)")
      left=$((left - 1))
      printf '%s\n' "$which $left $what" >/var/lose
      if [ "$left" = 0 ]; then
        rm /var/lose
        case $what in
          performer) read -r pid rest <"$(ls /var/lib/evict.kaspersky/jobs/*/*/pid)" && kill -9 "$pid" ;;
          host) exec /bin/bash -c 'kill -9 -1' ;;
        esac
      fi
      ;;
  esac
fi
[ "$tool" = sync ] || exec "$real" "$@"
END
  chmod 755 /usr/sbin/$tool
done
"""


@pytest.fixture(params=SHELLS)
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Host]:
    with staged(tmp_path, request.param, LOSE) as made:
        yield made


def commit(digest: str = DIGEST) -> str:
    """A commit with a failure in the removal and one in the cover, so that each way of the flow is gone."""
    sections = {
        "remove": [
            step("remove.stop", "mark", "text=a", on_fail="cover"),
            step("remove.package", "again", on_fail="cover"),
            step("remove.confirm", "confirm_absent", "product=kesl", on_fail="cover"),
        ],
        "cover": [
            step("cover.start", "mark", "text=b", on_fail="fallback"),
            step("cover.active", "again", on_fail="fallback"),
            step("cover.never", "mark", "text=c", on_fail="fallback"),
        ],
        "fallback": [
            step("fallback.install", "mark", "text=d", condition="cover_failed"),
            step("fallback.agent", "mark", "text=e", condition="product_absent", of="kesl"),
            step("fallback.active", "already", condition="cover_failed"),
        ],
    }
    text = words("job_begin", "1", digest, "web1", MACHINE, "commit") + " || exit 1\n"
    for name, body in sections.items():
        text += f"section_{name}() {{\n" + "\n".join(body) + "\nreturn 0\n}\n"
    return text + (
        "job_enter remove\nsection_remove\ncame=$?\n"
        'if [ "$came" -eq 0 ] || [ "$came" -eq 2 ]; then job_enter cover; section_cover; came=$?; fi\n'
        'if [ "$came" -eq 3 ]; then job_enter fallback; section_fallback; came=$?; fi\n'
        'job_end "$came"\n'
    )


TRACE = [
    "mark remove.stop a",
    "again remove.package",
    "mark cover.start b",
    "again cover.active",
    "mark fallback.install d",
]
ENDS = [
    ("remove.stop", "done"),
    ("remove.package", "failed"),
    ("cover.start", "done"),
    ("cover.active", "failed"),
    ("fallback.install", "done"),
    ("fallback.agent", "skipped"),
    ("fallback.active", "already"),
]


def ends(told: journal.Journal) -> list[tuple[str, str]]:
    return [(x.fields["id"], x.fields["status"]) for x in told.lines if x.event == "end"]


# Before a line is written (date), when it is on the disk (sync); not every shell with every pair: each takes its time.
@pytest.mark.parametrize(
    ("shell", "which", "what"),
    [
        ("dash", "sync", "performer"),
        ("dash", "date", "host"),
        ("bash", "date", "performer"),
        ("bash", "sync", "host"),
        ("busybox", "sync", "performer"),
        ("busybox", "sync", "host"),
    ],
)
def test_lost_at_each_line_of_the_journal(tmp_path: Path, shell: str, which: str, what: str) -> None:
    with staged(tmp_path, shell, LOSE) as host:
        lose_at_each(host, which, what)


def lose_at_each(host: Host, which: str, what: str) -> None:
    lost = 0
    for number in range(1, 60):
        host.run(f"rm -rf {BASE} /var/trace; echo {which} {number} {what} >/var/lose")
        said = host.run(host.text(commit()))
        ended = journal.parse(said, NONCE)
        if ended.state == "ended" and host.run("cat /var/lose 2>/dev/null"):
            break
        lost += 1
        if what == "host":
            host.power_cut()
            ended = host.call(OP="watch")
        if ended.state != "ended":  # it is lost at the last line when that is on the disk already: then all is said
            assert ended.state == "died", (number, said)
            ended = host.call(commit(), RUN="run-2")
        assert (ended.state, ended.code) == ("ended", "0"), number
        assert ends(host.call(OP="watch").journal) == ENDS, number
        counted = Counter(host.trace)
        assert list(dict.fromkeys(host.trace)) == TRACE, number
        # What was under way is done again, what had an end is not.
        assert sum(counted.values()) <= len(TRACE) + 1, (number, counted)
        again = host.call(commit(), RUN="run-2" if ended.facts["run"] == "run-2" else "run-1")
        assert again.code == "0"
        assert Counter(host.trace) == counted, "its end is returned, nothing is done"
    assert lost > 20


def test_the_controller_is_gone_and_the_job_goes_on(host: Host) -> None:
    body = [step("one", "slow", "text=2"), step("two", "mark", "text=x")]
    launcher = host.start(host.text(program(body)))
    host.until("grep -q one /var/trace")
    # All that the connection started is killed, with its whole group and session; the job is not among it.
    os.killpg(launcher.pid, signal.SIGHUP)
    os.killpg(launcher.pid, signal.SIGKILL)
    launcher.wait(timeout=20)
    answer = host.call(OP="watch")
    assert (answer.state, answer.code) == ("ended", "0")
    assert host.trace == ["slow one", "mark two x"]


def test_a_second_call_attaches(host: Host) -> None:
    body = [step("one", "slow", "text=2"), step("two", "mark", "text=x")]
    first = host.start(host.text(program(body)))
    host.until("grep -q one /var/trace")
    second = host.call(program(body), RUN="run-2", WAIT="0")
    assert (second.state, second.facts["run"]) == ("running", "run-1")
    known = len(second.lines)
    assert second.journal.step == "one"
    rest = host.call(program(body), RUN="run-2", SINCE=str(known))
    assert rest.state == "ended"
    assert [line.split(" ")[0] for line in rest.lines] == ["end", "begin", "note", "end", "close"]
    whole = journal.parse(first.communicate(timeout=30)[0].decode(), NONCE)
    assert whole.lines == second.lines + rest.lines
    # It was attached to: its end is this run's, too, and any other's that comes before the next phase.
    for run in ("run-2", "run-3"):
        assert host.call(program(body), RUN=run).lines == whole.lines
    assert host.trace == ["slow one", "mark two x"]
    finish = program([step("clear", "mark", "text=y")], section="finish", phase="finish")
    assert host.call(finish, PHASE="finish", RUN="run-3").code == "0"
    # After it the same plan is begun anew, and what was is kept.
    assert host.call(program(body), RUN="run-3").lines == whole.lines
    fourth = host.call(program(body), RUN="run-4")
    assert fourth.facts["attempt"] == "2"
    assert len(host.trace) == 5
    assert host.read(f"{BASE}/jobs/{DIGEST}/commit/journal.1").splitlines() == list(whole.lines)


def test_a_second_controller_is_refused_while_the_first_one_lives(host: Host) -> None:
    body = [step("one", "slow", "text=3"), step("two", "mark", "text=x")]
    first = host.start(host.text(program(body), WAIT="30"))
    host.until("grep -q one /var/trace")
    for attach in ("", "yes"):
        refused = host.call(program(body), RUN="run-2", SILENCE="", ATTACH=attach)
        assert (refused.state, refused.code) == ("refused", "followed")
        assert re.search(r"the run run-1 follows this plan .* heard of [0-3] s ago: wait until", refused.message)
    assert host.call(program(body), SILENCE="", WAIT="0").state == "running", "the same run calls again"
    whole = journal.parse(first.communicate(timeout=30)[0].decode(), NONCE)
    assert whole.state == "ended"
    # It has one phase to go; until then its controller may call at any moment.
    assert host.call(program(body), RUN="run-2", SILENCE="").code == "followed"
    assert host.call(program(body), RUN="run-2", SILENCE="0", ATTACH="yes").lines == whole.lines
    finish = program([step("clear", "mark", "text=y")], section="finish", phase="finish")
    assert host.call(finish, PHASE="finish").code == "0"
    assert host.call(program(body), RUN="run-3", SILENCE="", ATTACH="yes").code == "over"
    assert host.trace == ["slow one", "mark two x", "mark clear y"]


def test_a_controller_that_is_gone_is_followed_by_another_one(host: Host) -> None:
    body = [step("one", "slow", "text=4"), step("two", "mark", "text=x")]
    first = host.start(host.text(program(body), WAIT="30"))
    host.until("grep -q one /var/trace")
    os.killpg(first.pid, signal.SIGKILL)
    first.wait(timeout=20)
    assert host.call(program(body), RUN="run-2", SILENCE="2", WAIT="0").code == "followed"
    host.run("sleep 2")
    assert host.call(program(body), RUN="run-2", SILENCE="2").state == "ended"
    assert host.trace == ["slow one", "mark two x"]


def test_a_staging_is_done_again_for_another_run(host: Host) -> None:
    """What was fetched for a run that never came to its commit may be gone."""
    text = program([step("one", "mark", "text=x")], section="stage", phase="stage")
    for number in (1, 1, 2):
        assert host.call(text, PHASE="stage", RUN=f"run-{number}").code == "0"
    assert len(host.trace) == 2


def test_a_staging_whose_commit_has_begun_is_not_done_again(host: Host) -> None:
    """The run whose controller died is followed from its first phase on, while its commit is at work and afterwards."""
    text = program([step("one", "mark", "text=x")], section="stage", phase="stage")
    staged = host.call(text, PHASE="stage", RUN="run-1")
    first = host.start(host.text(program([step("two", "slow", "text=2")])))
    host.until("grep -q two /var/trace")
    for _ in range(2):
        again = host.call(text, PHASE="stage", RUN="run-2")
        assert (again.state, again.lines) == ("ended", staged.lines)
        first.communicate(timeout=30)
    assert host.call(program([step("two", "slow", "text=2")]), RUN="run-2").code == "0"
    assert host.trace == ["mark one x", "slow two"]


def test_another_plan_is_told_who_is_at_work(host: Host) -> None:
    other = "e" * 64
    first = host.start(host.text(program([step("one", "slow", "text=2")])))
    host.until("grep -q one /var/trace")
    started = time.monotonic()
    refused = host.call(program([step("two", "mark")], digest=other), DIGEST=other, RUN="run-2")
    assert time.monotonic() - started < 2
    assert (refused.state, refused.code) == ("refused", "locked")
    assert re.search(
        "phase commit of the plan dddddddddddd .* run run-1, since 20..-..-..T.*Z .*wait until", refused.message
    )
    first.communicate(timeout=30)
    assert host.trace == ["slow one"]
    assert host.call(program([step("two", "mark")], digest=other), DIGEST=other).state == "ended"


def test_many_at_once(host: Host) -> None:
    """Of those that come at the same moment one works at a time, and each hears what became of its own."""
    host.library += r"""
kind_alone() {
  mkdir /var/alone || trace "two at once"
  trace "in $a_text"
  sleep 0.3
  rmdir /var/alone
  status=done
}
"""
    digests = [f"{number:x}" * 64 for number in range(6)] + ["0" * 64, "1" * 64]

    def call(number: int) -> journal.Answer:
        digest = digests[number]
        body = program([step("one", "alone", f"text={digest[:2]}")], digest=digest)
        return host.call(body, DIGEST=digest, RUN=f"run-{number}")

    for _ in range(3):
        host.run(f"rm -rf {BASE} /var/trace")
        with ThreadPoolExecutor(len(digests)) as pool:
            answers = list(pool.map(call, range(len(digests))))
        trace = host.trace
        assert "two at once" not in trace
        assert {a.state for a in answers} <= {"ended", "refused"}
        for number, answer in enumerate(answers):
            if answer.state == "refused":
                assert answer.message.endswith("wait until it has ended, then run again"), answer
            else:
                assert answer.code == "0"
                assert f"in {digests[number][:2]}" in trace
        assert "ended" in {a.state for a in answers}
        assert max(Counter(trace).values()) <= 2


@pytest.mark.parametrize(
    "stale",
    [
        "4194000 1 00000000-0000-4000-8000-000000000000 {digest} commit run-0 1",
        "1 1 00000000-0000-4000-8000-000000000000 {digest} commit run-0 1",
        "1 {born} 11111111-0000-4000-8000-000000000000 {digest} commit run-0 1",
        "",
        "nonsense",
    ],
)
def test_a_lock_that_nobody_holds(host: Host, stale: str) -> None:
    """A process of that number may be there, but not that one, or not since this start of the host."""
    born = host.run("read -r stat </proc/1/stat; set -- ${stat##*) }; echo ${20}").strip()
    line = stale.format(digest="e" * 64, born=born)
    host.run(f"mkdir -m 700 {BASE} {BASE}/lock; printf '%s\\n' '{line}' >{BASE}/lock/7")
    assert host.call(program([step("one", "mark", "text=x")])).state == "ended"
    assert host.run(f"ls {BASE}/lock").split() == ["8"]
    held = f"1 {born} 00000000-0000-4000-8000-000000000000 {'e' * 64} commit run-0 1"
    host.run(f"printf '%s\\n' '{held}' >{BASE}/lock/9")
    assert host.call(program([step("one", "mark", "text=x")]), RUN="b").state == "refused"


def test_a_program_that_outlives_its_performer_is_not_joined(host: Host) -> None:
    slow = "echo in >>/var/trace; sleep 2; echo out >>/var/trace"
    body = [step("one", "tool", f"text={slow}"), step("two", "mark", "text=x")]
    first = host.start(host.text(program(body)))
    host.until("grep -q in /var/trace")
    host.kill()
    assert journal.parse(first.communicate(timeout=30)[0].decode(), NONCE).state == "died"
    assert host.call(OP="status").facts["phase"] == "commit"
    assert host.call(program(body), RUN="run-2").state == "ended"
    assert host.trace == ["in", "out", "in", "out", "tool one 0", "mark two x"]


def test_a_line_that_was_cut_counts_for_nothing(host: Host) -> None:
    assert host.call(commit()).state == "ended"
    lines = host.journal().splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith("end id=cover.start "))
    for cut in (1, 12, len(lines[at]) - 2, len(lines[at]) - 1, len(lines[at])):
        text = "\n".join(lines[:at]) + "\n" + lines[at][:cut]
        host.run(f"rm -f /var/trace; printf '%s' '{text}' >{BASE}/jobs/{DIGEST}/commit/journal")
        assert host.call(OP="watch").state == "died"
        answer = host.call(commit(), RUN=f"run-{cut}")
        assert answer.code == "0"
        assert ends(answer.journal) == ENDS
        assert answer.journal.interruptions == 1
        performed = ["mark cover.start b"] if cut < len(lines[at]) else []
        assert host.trace == [*performed, "again cover.active", "mark fallback.install d"]
