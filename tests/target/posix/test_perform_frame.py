# SPDX-License-Identifier: GPL-3.0-or-later
"""What a job calls, with the shells that stand for /bin/sh of a target: steps, conditions, values, times, secrets."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import job, job_checks, journal, outcome, script, steps
from ansible_collections.evict.kaspersky.plugins.plugin_utils.plan import Plan
from ansible_collections.evict.kaspersky.plugins.plugin_utils.steps import Phase
from tests import jobs
from tests.target.posix.performing import BASE, DIGEST, MACHINE, POSIX, SHELLS, Host, program, staged, step

# Kinds of the vocabulary, without harm: what each would touch is a file below /var/world.
WORLD = r"""
world() { trace "$j_kind $id"; [ ! -e "/var/world/$id.fails" ] || fail still_there 9 "it is there"; }
kind_stop_unit() { world && status=done; }
kind_remove_package() {
  world || return 1
  status=already
  [ ! -e /var/world/$a_package ] || { rm -f /var/world/$a_package; status=done restart=yes; }
}
kind_confirm_absent() {
  world || return 1
  [ ! -e /var/world/$a_packages ] || fail still_there 1 "$a_packages is there" || return 1
  status=done
}
kind_refresh_packages() { world && status=done; }
kind_download_packages() { world && status=already; }
kind_install_packages() { world && note added "$a_packages" && status=done; }
kind_remove_packages() { noted added && trace "took back $value" && status=done; }
kind_write_file() { world && printf %s "$a_text" >"/var/world/$id" && status=done; }
kind_restore_file() { trace "restored $a_path"; status=done; }
kind_enable_unit() { world && status=done; }
kind_start_unit() { world && status=done; }
kind_unit_active() { world && status=done; }
kind_purge_path() { world && rm -rf "/var/world$a_path" && status=done; }
kind_purge_group() { world && status=done; }
kind_remove_staged() { world && status=done; }
"""


@pytest.fixture(params=SHELLS)
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Host]:
    with staged(tmp_path, request.param) as made:
        yield made


def plan(**given: t.Any) -> Plan:
    """A plan as it is compiled for a host with product and agent."""
    found = [
        *jobs.PLANS["clamav-deb"].steps,
        jobs.step("finish.staged", "remove_staged"),
    ]
    return jobs.plan("linux", [s for s in found if s.phase != "reboot"], machine=MACHINE, **given)


def act(host: Host, whole: Plan, phase: Phase, **values: str) -> journal.Journal:
    """Perform a phase of a plan as it is compiled, and hold that it adds up."""
    host.library += WORLD
    made = job.compile_job(whole, phase)
    answer = host.call(made.posix(), PHASE=phase, DIGEST=whole.digest(), SEAL=made.seal(), **values)
    assert answer.state == "ended", answer
    assert outcome.accounts(whole, answer.journal.outcomes(whole, phase), phase) == []
    return answer.journal


def became(told: journal.Journal, whole: Plan, phase: Phase) -> dict[str, str]:
    return {o.step: o.status for o in told.outcomes(whole, phase)}


def test_a_plan_from_the_staging_to_its_end(host: Host) -> None:
    whole = plan()
    host.run("mkdir -p /var/world/var/opt/kaspersky; touch /var/world/kesl")
    stage = act(host, whole, "stage")
    assert set(became(stage, whole, "stage").values()) == {"done", "already"}
    text = next(s for s in whole.steps if s.id == "stage.clamav.settings").args["text"]
    assert host.read("/var/world/stage.clamav.settings") == text
    commit = act(host, whole, "commit")
    assert became(commit, whole, "commit") == {
        "remove.kesl.stop": "done",
        "remove.kesl.package": "done",
        "remove.kesl.confirm": "done",
        "remove.klnagent.package": "already",
        "remove.klnagent.confirm": "done",
        "cover.clamav.enable": "done",
        "cover.clamav.start": "done",
        "cover.clamav.active": "done",
        "fallback.lantern.install": "skipped",
        "fallback.lantern.active": "skipped",
    }
    assert commit.reboot
    assert (commit.code, commit.interruptions) == (0, 0)
    assert host.call(OP="status").state == "ended"
    finish = act(host, whole, "finish")
    # What remains is looked for at its own place, not in the test's.
    assert became(finish, whole, "finish") == {
        "finish.path": "skipped",
        "finish.group": "skipped",
        "finish.staged": "done",
    }
    assert host.call(OP="status").state == "none", "a plan that was performed to its end is closed"


def test_a_product_that_was_brought_back_is_removed_by_the_same_plan(host: Host) -> None:
    whole = plan()
    host.run("mkdir -p /var/world/var/opt/kaspersky; touch /var/world/kesl")
    for phase in jobs.PHASES:
        act(host, whole, phase)
    host.run("touch /var/world/kesl")
    for phase in jobs.PHASES:
        told = act(host, whole, phase, RUN="another")
        assert told.run == "another"
        if phase == "commit":
            assert became(told, whole, "commit")["remove.kesl.package"] == "done"
    assert host.run("test ! -e /var/world/kesl && echo gone") == "gone\n"


@pytest.mark.parametrize(
    ("fails", "expected", "code"),
    [
        ("remove.kesl.package", "ddd", 0),
        ("cover.clamav.enable", "dfd", 0),
        ("cover.clamav.start", "df", 0),
    ],
)
def test_a_failure_goes_the_way_of_the_plan(host: Host, fails: str, expected: str, code: int) -> None:
    whole = plan()
    host.run(f"mkdir /var/world; touch /var/world/kesl /var/world/{fails}.fails")
    told = act(host, whole, "commit")
    found = {o.step: o for o in told.outcomes(whole, "commit")}
    assert told.code == code
    failure = found[fails].failure
    assert failure is not None
    assert (failure.kind, failure.code, failure.meaning) == ("still_there", "9", "it is there")
    if fails.startswith("remove"):
        # The agent stays: the product was not seen to be gone. The host is covered.
        assert found["remove.klnagent.package"].status == "skipped"
        assert "remove.kesl.package failed" in found["remove.klnagent.package"].why
        assert found["cover.clamav.active"].status == "done"
        assert act(host, whole, "finish").outcomes(whole, "finish")
    elif fails.endswith("start"):
        assert found["cover.clamav.active"].status == "skipped"
        assert found["fallback.lantern.install"].status == found["fallback.lantern.active"].status == "done"
    else:
        assert found["fallback.lantern.active"].status == "skipped"


def test_a_staging_that_fails_is_taken_back(host: Host) -> None:
    whole = plan()
    host.run("mkdir /var/world; touch /var/world/stage.lantern.download.fails")
    told = act(host, whole, "stage")
    assert told.code == 1
    assert [line for line in host.trace if line.startswith(("took", "restored"))] == [
        "restored /etc/clam.conf",
        "took back clamav",
    ]
    found = {o.step: o for o in told.outcomes(whole, "stage")}
    assert "taken back" in found["stage.clamav.install"].why
    assert host.call(OP="status").state == "none", "what was taken back is closed"


def test_conditions(host: Host) -> None:
    host.run("mkdir /var/there; echo 'kluser:x:990:' >>/etc/group; ln -s /nowhere /var/link")
    systemctl = "#!/bin/sh\ncase $4 in on.service) exit 0 ;; esac\nexit 3\n"
    host.run(f"cat >/usr/sbin/systemctl <<'END'\n{systemctl}END\nchmod 755 /usr/sbin/systemctl")
    asked = [
        ("1", "remains", "/var/there"),
        ("2", "remains", "/var/th*e"),
        ("3", "remains", "/var/link"),
        ("4", "remains", "/var/gone"),
        ("5", "remains", "kluser"),
        ("6", "remains", "klus"),
        ("7", "remains", "filter/KL_CHAIN"),
        ("8", "not_active", "on.service"),
        ("9", "not_active", "off.service"),
        ("10", "reboot_required", ""),
        ("11", "product_absent", "kesl"),
        ("12", "cover_failed", ""),
    ]
    body = [step(id, "mark", "text=x", condition=name, of=of) for id, name, of in asked]
    body += [step("gone", "confirm_absent", "product=kesl"), step("restart", "restart")]
    body += [step("13", "product_absent_is_asked", "text=x", condition="product_absent", of="kesl klms")]
    body += [step("14", "mark", "text=x", condition="product_absent", of="kesl")]
    body += [step("15", "mark", "text=x", condition="reboot_required"), step("16", "mark", condition="strange", of="")]
    told = host.call(program(body)).journal
    ends = {line.fields["id"]: line.fields for line in told.lines if line.event == "end"}
    done = {id for id, fields in ends.items() if fields["status"] == "done"}
    assert done == {"1", "2", "3", "5", "7", "9", "gone", "restart", "14", "15"}
    assert all(ends[id]["why"] for id in ends if ends[id]["status"] == "skipped")
    assert ends["13"]["why"] == "not looked for again and found gone: klms"
    assert ends["16"]["class"] == "unknown_kind"


def test_a_product_that_came_back_is_not_absent(host: Host) -> None:
    """The journal of the commit counts as it ended last."""
    gone = step("gone", "confirm_absent", "product=kesl")
    assert host.call(program([gone])).state == "ended"
    after = program(
        [step("clear", "mark", "text=x", condition="product_absent", of="kesl")], section="finish", phase="finish"
    )
    assert host.call(after, PHASE="finish", RUN="a").journal.lines[2].event == "begin"
    host.run("touch /var/still")
    assert host.call(program([gone]), RUN="b").journal.lines[-1].event == "close"
    told = host.call(after, PHASE="finish", RUN="b").journal
    assert [line.fields["status"] for line in told.lines if line.event == "end"] == ["skipped"]


VALUES = (
    "plain",
    "",
    " blanks  around ",
    "line\nline\n\n",
    "\n",
    "quotes ' \" ` $(touch /var/bad) ${HOME} $x",
    "back\\slash \\n \\0101 %s %d",
    "*",
    "[a-z]*",
    "umlaut ä, line separator \u2028, clef \U0001d11e",
    "control \x01\x1b[31m\x7f\t\r",
    "-n",
    "--",
    "a=b=c",
    "~root",
)


def test_values_arrive_as_they_are(host: Host) -> None:
    host.library += r"""
kind_put() {
  printf %s "$a_text" >/var/got.$a_name
  note whole "$a_text"
  noted whole && printf %s "$value" >/var/noted.$a_name
  status=done
}
"""
    body = [step(f"v {n} {v!r}"[:40], "put", f"name={n}", f"text={v}") for n, v in enumerate(VALUES)]
    answer = host.call(program(body))
    assert answer.state == "ended"
    found = [host.read(f"/var/got.{n}") for n in range(len(VALUES))]
    assert found == list(VALUES)
    assert [host.read(f"/var/noted.{n}") for n in range(len(VALUES))] == list(VALUES)
    assert host.read("/var/bad") == ""
    notes = [line.fields["value"] for line in answer.journal.lines if line.event == "note"]
    assert notes == list(VALUES)


def test_lists_and_arguments_of_the_step_before(host: Host) -> None:
    host.library += (
        'kind_list() { for row in $a_packages; do trace "<$row>"; done; trace "purge <$a_purge>"; status=done; }\n'
    )
    body = [
        step("one", "list", "packages=a b", "packages=*", "packages=c", "purge=yes"),
        step("two", "list", "packages=d"),
        step("three", "list", "packages=two\nlines"),
        step("four", "list", "Bad=x"),
    ]
    told = host.call(program(body)).journal
    assert host.trace == ["<a b>", "<*>", "<c>", "purge <yes>", "<d>", "purge <>"]
    assert [x.fields.get("class", "") for x in told.lines if x.event == "end"] == [
        "",
        "",
        "bad_argument",
        "bad_argument",
    ]


def test_the_time_of_a_step_ends_all_that_it_started(host: Host) -> None:
    stubborn = "trap '' TERM; echo before; (trap '' TERM; sleep 4321) & setsid sleep 4322 & sleep 4321; echo after"
    body = [step("late", "tool", f"text={stubborn}", timeout=2), step("next", "mark", "text=x")]
    answer = host.call(program(body))
    late, after = (line for line in answer.journal.lines if line.event == "end")
    assert (late.fields["status"], late.fields["code"], late.fields["why"]) == ("failed", "124", "before")
    assert 2 <= float(late.fields["seconds"]) < 20
    assert after.fields["status"] == "done"
    left = host.run("cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    assert "sleep 4321" not in left
    assert "sleep 4322" in left, "what made itself a session of its own is no business of ours"


def test_a_program_that_prints_without_end(host: Host) -> None:
    body = [step("loud", "tool", "text=yes 'no end of it'", timeout=3)]
    answer = host.call(program(body))
    (end,) = (line for line in answer.journal.lines if line.event == "end")
    assert end.fields["code"] == "124"
    assert "no end of it" in end.fields["why"] or "cut" in end.fields["why"]
    # A machine writes some hundred megabytes in this time.
    assert int(host.run(f"wc -c <{BASE}/jobs/{DIGEST}/commit/log")) < 5_000_000


def test_a_hand_that_ends_the_shell_is_begun_again_and_then_given_up(host: Host) -> None:
    body = [step("first", "mark", "text=x"), step("bad", "breaks"), step("last", "mark", "text=y")]
    told = host.call(program(body, section="remove")).journal
    assert host.trace == ["mark first x", *["breaks bad"] * 5, "mark last y"]
    (bad,) = (line for line in told.lines if line.event == "end" and line.fields["id"] == "bad")
    assert bad.fields["class"] == "performer_died"
    assert told.code == 0


def test_what_the_hand_does_not_know(host: Host) -> None:
    body = [step("unknown", "format_disk", "path=/"), step("silent", "silent"), step("mute", "mute")]
    host.library += "kind_silent() { :; }\nkind_mute() { return 1; }\n"
    told = host.call(program(body)).journal
    assert [x.fields["class"] for x in told.lines if x.event == "end"] == ["unknown_kind", "no_word", "no_word"]


def test_a_restart_within_the_staging(host: Host) -> None:
    body = [step("before", "mark", "text=x"), step("restart", "reboot"), step("after", "mark", "text=y")]
    text = program(body, section="stage", phase="stage")
    answer = host.call(text, PHASE="stage")
    assert (answer.state, answer.code, answer.journal.code) == ("ended", "4", 4)
    assert answer.journal.reboot
    again = host.call(text, PHASE="stage")
    assert again.code == "4", "it was not restarted"
    assert host.trace == ["mark before x"]
    host.power_cut()
    answer = host.call(text, PHASE="stage")
    assert (answer.state, answer.code) == ("ended", "0")
    assert host.trace == ["mark before x", "mark after y"]


SECRET = "Pass word'\"\\ $x 7"


@pytest.mark.parametrize("secret", [SECRET, "line one\nab\nline three", "*[?"])
def test_secrets_reach_a_step_and_nothing_else(host: Host, secret: str) -> None:
    # The program tells all it got, in an answer and in its failure; its command line is sampled by itself.
    host.library += r"""
kind_ask() {
  trace "$a_password" >/dev/null; printf %s "$a_password" >/var/got
  bounded sh -c 'cp -r /run/evict.kaspersky /var/memory; cat /proc/[0-9]*/cmdline >>/var/seen
    cat /var/got; od -An -v -tx1 /var/got | tr -d " \n"
    echo; echo "it said: $(cat /var/got)" >&2; exit 3'
  fail refused 3 "$said" || return 1
}
kind_argument() { for row in $a_arguments; do printf '%s\n' "$row" >>/var/arguments; done; status=done; }
kind_die() { [ -e /var/died ] || { : >/var/died; exit 9; }; printf %s "$a_password" >/var/again; status=done; }
"""
    body = [
        step("ask", "ask", secrets={"password": "kesl.password"}),
        step("die", "die", secrets={"password": "kesl.password"}),
        step("none", "mark", "text=x", secrets={"password": "kesl.other"}),
    ]
    if "\n" not in secret:
        arguments = ["arguments=--user", "arguments=pw=@password@;@password@", "arguments=@other@"]
        body += [step("argument", "argument", *arguments, secrets={"password": "kesl.password"})]
    forms = f"={secret.encode().hex()}"
    answer = host.call(program(body), SECRETS=f"kesl.PASS={b'x'.hex()}\nkesl.password={secret.encode().hex()}\n{forms}")
    assert answer.state == "ended"
    assert host.read("/var/got") == host.read("/var/again") == secret
    ends = {x.fields["id"]: x.fields for x in answer.journal.lines if x.event == "end"}
    assert ends["none"]["class"] == "secret_missing"
    assert "it said: ***" in ends["ask"]["why"]
    if "\n" not in secret:
        assert host.read("/var/arguments") == f"--user\npw={secret};{secret}\n@other@\n"
    host.run("rm -f /var/got /var/again /var/arguments /var/trace")
    places = host.run(f"cat /var/seen; find /var/memory /run {BASE} -type f -exec cat {{}} +; ls -R /run")
    for piece in {secret, secret.encode().hex(), *(x for x in secret.split("\n") if len(x) > 3)}:
        assert piece not in places
        assert piece not in "\n".join(answer.lines)


def test_files_that_were_sent_are_copies(host: Host) -> None:
    host.run(
        "mkdir /var/sent; echo whole >'/var/sent/a b.deb'; ln -s /etc/passwd /var/sent/link; chown -R 65534 /var/sent"
    )
    body = [step("look", "tool", f"text=cat '{BASE}/staging/a.deb'; ls -ln {BASE}/staging")]
    last = '{"phase":"commit"}'
    answer = host.call(program(body), SENT="a.deb=/var/sent/a b.deb", PLAN=last)
    assert answer.state == "ended"
    said = host.read(f"{BASE}/jobs/{DIGEST}/commit/log")
    assert "whole" in said
    assert "-rw------- 1 0 0 6 " in said
    assert host.run("ls /var/sent").split() == ["link"]
    for sent in ("x=/var/sent/link", "../x=/etc/passwd", "x=/var/sent/none", ".x=/etc/passwd"):
        refused = host.call(program(body), RUN="other", SENT=sent, PLAN=last)
        assert (refused.state, bool(refused.message)) == ("refused", True)
    assert len(host.trace) == 1
    assert host.run(f"ls {BASE}/staging").split() == ["a.deb"]


def test_every_condition_and_list_is_known_here() -> None:
    """The words of the brain and those of the hand are the same."""
    text = {name: (POSIX / name).read_text() for name in script.JOB}
    lists = text["perform_frame.sh"].split("j_lists='")[1].split("'")[0].split()
    assert set(lists) == job_checks.LISTS
    ask = text["perform_bounded.sh"].split("j_ask()")[1].split("\n}")[0]
    assert {name for name in steps.CONDITIONS if f"\n    {name})" in ask} == set(steps.CONDITIONS)
    whole = "".join(text.values())
    linux = {name for name, kind in steps.KINDS.items() if "linux" in kind.platforms}
    assert {name for name in linux if f"\nkind_{name}() " not in whole} == set()


def test_no_part_takes_a_name_of_another() -> None:
    """Parts are one program: a function that two define, or a variable of the frame that a kind sets, is a fault."""
    found: dict[str, list[str]] = {}
    for name in script.JOB:
        text = (POSIX / name).read_text()
        for function in re.findall(r"^([a-z_0-9]+)\(\)", text, re.MULTILINE):
            found.setdefault(function, []).append(name)
        if script.JOB.index(name) > script.JOB.index("perform_frame.sh"):
            assert not re.findall(r"(?<![$\w])(j_[a-z_]+|base|staging|kept|nl|id)=", text), name
    assert {function: names for function, names in found.items() if len(names) > 1} == {
        "hex": ["tools.sh", "perform_journal.sh"]
    }
