# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows from events of a job: what is believed, what is unknown, and that nothing in them can break it."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.evict.kaspersky.plugins.plugin_utils import from_events, report
from ansible_collections.evict.kaspersky.plugins.plugin_utils.from_events import MARK, Job
from ansible_collections.evict.kaspersky.plugins.plugin_utils.ledger import Ledger
from ansible_collections.evict.kaspersky.plugins.plugin_utils.row import ProductRow, Row
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import Verb, Verdict
from evict import report_events
from evict.errors import UsageError

Events = list[dict[str, t.Any]]
SCAN = "evict.kaspersky.scan"
PERFORM = "evict.kaspersky.perform"
STATS: dict[str, t.Any] = {"event": "playbook_on_stats", "event_data": {"processed": {}, "dark": {}}}


def runner(kind: str, host: str, action: str, **more: t.Any) -> dict[str, t.Any]:
    """An event of a task on a host."""
    return {"event": f"runner_on_{kind}", "event_data": {"host": host, "task_action": action, "task": "T", **more}}


def scanned(host: str, verdict: str = "absent", **more: t.Any) -> Events:
    """A scan that began and came back."""
    row = Row(host=host, verdict=Verdict(verdict), reasons=("because",)).short()
    return [runner("start", host, SCAN), runner("ok", host, SCAN, res={"row": row, **more})]


def phase(host: str, *status: str, **more: str) -> Events:
    """A phase of a plan that came back."""
    res = {"outcomes": [{"step": "x", "status": one} for one in status], **(more or {"state": "ended"})}
    return [runner("start", host, PERFORM), runner("ok", host, PERFORM, res=res)]


def told(verb: Verb, scope: list[str], rest: tuple[str, ...] = ()) -> Events:
    """The lines in which a run names its hosts."""
    lines = from_events.announce("r1", verb, [*scope, *rest], scope)
    return [{"event": "verbose", "stdout": line} for line in lines]


def read(*parts: dict[str, t.Any] | Events, job: Job | None = None) -> Ledger:
    """The run of these events, numbered as they come."""
    events = [event for part in parts for event in (part if isinstance(part, list) else [part])]
    numbered = [{"counter": number, **event} for number, event in enumerate(events, 1)]
    return from_events.read(numbered, job=job or Job("42"), folder=Path("/gone"))


def verdicts(book: Ledger) -> dict[str, str]:
    """Host -> verdict."""
    return {row.host: str(row.verdict) for row in book.rows}


def why(book: Ledger, host: str) -> str:
    """The reasons of a host."""
    return " / ".join(next(row.reasons for row in book.rows if row.host == host))


def test_the_last_scan_counts() -> None:
    hosts = told(Verb.REMEDIATE, ["a", "b"])
    book = read(
        hosts, scanned("a", "present"), phase("a", "done"), phase("a", "already"), scanned("a", "replaced"),
        scanned("b", "nothing_to_do"), STATS,
    )  # fmt: skip
    assert verdicts(book) == {"a": "replaced", "b": "nothing_to_do"}
    assert (book.run, book.verb, book.complete, book.problems) == ("r1", Verb.REMEDIATE, True, ())


@pytest.mark.parametrize("status", ["done", "failed"])
def test_a_host_that_was_changed_and_not_looked_at_again_is_unknown(status: str) -> None:
    hosts = told(Verb.REMEDIATE, ["a", "b"])
    book = read(hosts, scanned("a", "present"), phase("a", status), job=Job(status="canceled"))
    assert verdicts(book) == {"a": "unknown", "b": "not_attempted"}
    assert "the job was cancelled" in why(book, "a")
    # A phase that was begun and whose result never came may have done anything.
    book = read(hosts, scanned("a", "present"), runner("start", "a", PERFORM))
    assert verdicts(book)["a"] == "unknown"
    # And what went wrong in between is told.
    reboot = runner("unreachable", "a", "ansible.builtin.reboot", res={"msg": "timed out"})
    book = read(hosts, scanned("a", "present"), phase("a", status), reboot)
    assert "timed out" in why(book, "a")


def test_a_phase_that_changed_nothing_leaves_the_row() -> None:
    hosts = told(Verb.REMEDIATE, ["a"])
    idle = [*phase("a", "skipped", "already"), *phase("a", skipped_because="the plan of a is blocked")]
    skipped = [runner("start", "a", PERFORM), runner("skipped", "a", PERFORM, res={"skip_reason": "no"})]
    assert verdicts(read(hosts, scanned("a", "blocked"), idle, skipped, STATS)) == {"a": "blocked"}
    # No outcomes are no proof: the controller may have lost sight of the host.
    assert verdicts(read(hosts, scanned("a", "present"), phase("a", state="running"), STATS)) == {"a": "unknown"}
    # And one that changed something is not made up for by one that did not.
    assert verdicts(read(hosts, scanned("a", "present"), phase("a", "done"), idle, skipped)) == {"a": "unknown"}


def test_the_breaker_says_why_the_rest_had_no_turn() -> None:
    said = "2 of 2 hosts failed, 0 may: no further wave begins"
    wave = [
        runner("start", "a", "evict.kaspersky.wave"),
        runner("ok", "a", "evict.kaspersky.wave", res={"stop": True, "msg": said}),
    ]
    hosts = told(Verb.REMEDIATE, ["a", "b"])
    book = read(hosts, scanned("a", "failed_exposed"), wave, STATS)
    assert verdicts(book) == {"a": "failed_exposed", "b": "not_attempted"}
    assert why(book, "b") == said
    wave[1]["event_data"]["res"]["stop"] = False
    assert "before this host had a result" in why(read(hosts, scanned("a"), wave, STATS), "b")


def test_a_dry_run_changes_nothing() -> None:
    hosts = told(Verb.PLAN, ["a"])
    predicted = phase("a", "would_do", "planned")
    digest = "ab" * 32
    book = read(hosts, scanned("a", "present", plan={"state": "act", "digest": digest}), predicted, STATS)
    assert verdicts(book) == {"a": "present"}
    assert (book.rows[0].plan, book.rows[0].plan_state) == (digest, "act")
    assert "inventory 1 = present 1" in report.render("text", book)
    # Cut off while it predicts: it only looked.
    assert verdicts(read(hosts, scanned("a", "present"), runner("start", "a", PERFORM))) == {"a": "present"}


def test_what_is_refused_or_fails_before_the_scan() -> None:
    hosts = told(Verb.AUDIT, ["a", "b", "c", "d", "e", "f"])
    row = Row(host="e", verdict=Verdict.PRESENT).short()
    book = read(
        hosts,
        runner("failed", "a", SCAN, res={"msg": "`evict_hots` is no variable"}),
        runner("unreachable", "b", "ansible.builtin.setup", res={"msg": "no route, password=hunter22"}),
        runner("failed", "c", "ansible.builtin.command", res={"msg": "x"}, ignore_errors=True),
        scanned("c"),
        runner("failed", "c", "ansible.builtin.fail", res={"msg": "the gate"}),
        runner("skipped", "d", SCAN, res={"skip_reason": "Conditional result was False"}),
        runner("failed", "e", SCAN, res={"msg": "disk full", "row": row}),
        runner("ok", "f", SCAN, res={"row": {"host": "f", "verdict": "splendid"}}),
        STATS,
    )
    assert verdicts(book) == {
        "a": "unknown", "b": "unreachable", "c": "absent", "d": "not_attempted", "e": "present", "f": "unknown"
    }  # fmt: skip
    assert "evict_hots" in why(book, "a")
    assert "no route" in why(book, "b")
    assert "hunter22" not in why(book, "b")
    assert any("disk full" in note for row in book.rows if row.host == "e" for note in row.notes)


def test_a_row_of_another_host_is_not_believed() -> None:
    row = Row(host="b", verdict=Verdict.ABSENT).short()
    book = read(told(Verb.AUDIT, ["a", "b"]), runner("ok", "a", SCAN, res={"row": row}), STATS)
    assert verdicts(book) == {"a": "unknown", "b": "not_attempted"}
    long = "h" * 300
    book = read(told(Verb.AUDIT, [long]), scanned(long), STATS)
    assert verdicts(book) == {long: "absent"}


def test_results_of_other_collections_are_not_ours() -> None:
    row = Row(host="a", verdict=Verdict.ABSENT).short()
    book = read(told(Verb.AUDIT, ["a"]), runner("ok", "a", "other.names.scan", res={"row": row}), STATS)
    assert verdicts(book) == {"a": "not_attempted"}


def test_products_come_back_from_their_labels() -> None:
    products = [ProductRow("kesl", "endpoint", "running", "12.1.0.1297"), ProductRow("klnagent64", "agent", "broken")]
    row = Row(host="a", verdict=Verdict.PRESENT, products=(*products, *[products[0]] * 6)).short()
    book = read(runner("ok", "a", SCAN, res={"row": row}), STATS)
    found = [(p.id, p.version, p.state) for p in book.rows[0].products[:2]]
    assert found == [("kesl", "12.1.0.1297", "running"), ("klnagent64", "", "broken")]
    assert len(book.rows[0].products) == 6
    assert "and 2 more" in book.rows[0].notes


def test_hosts_are_announced_in_lines_that_no_export_cuts() -> None:
    scope = [f"server-{n:05}.branch.example.org" for n in range(2500)] + ["x" * 500, "\u0430\u0431\u0432"]
    events = told(Verb.VERIFY, scope, ("spare",))
    assert all(len(event["stdout"].encode()) < 1024 for event in events)
    book = read(events, STATS)
    assert {row.host for row in book.rows} == {*scope, "spare"}
    assert verdicts(book)["spare"] == "out_of_scope"
    assert set(verdicts(book).values()) == {"not_attempted", "out_of_scope"}
    assert book.problems == ()
    for lost in (0, 7, len(events) - 1):
        book = read([event for number, event in enumerate(events) if number != lost], STATS)
        assert any("not all there" in text for text in book.problems), lost


def test_an_announcement_that_was_cut_is_told() -> None:
    book = read({"event": "verbose", "stdout": MARK + '{"run": "r1", "verb": "au'}, scanned("a"), STATS)
    assert verdicts(book) == {"a": "absent"}
    assert book.problems


def test_more_plays_add_hosts() -> None:
    book = read(told(Verb.AUDIT, ["a"], ("b",)), scanned("a"), told(Verb.AUDIT, ["a", "b"]), scanned("b"), STATS)
    assert verdicts(book) == {"a": "absent", "b": "absent"}


def test_missing_events_are_told_and_make_unknown() -> None:
    events = [*told(Verb.AUDIT, ["a", "b"]), *scanned("a"), *scanned("b"), STATS]
    numbered = [{"counter": number, **event} for number, event in enumerate(events, 1)]
    del numbered[-2]
    book = from_events.read(numbered, job=Job(), folder=Path("/gone"))
    assert verdicts(book) == {"a": "absent", "b": "unknown"}
    assert "1 events are missing: give all pages of the export" in book.problems
    book = from_events.read(numbered[:-1], job=Job(status="successful"), folder=Path("/gone"))
    assert any("last events are missing" in text for text in book.problems)
    assert not book.complete


def test_the_purpose_of_a_run_that_does_not_say_it() -> None:
    act = {"state": "act", "digest": ""}
    prove = runner("ok", "a", "evict.kaspersky.prove", res={"result": "pass"})
    assert read(scanned("a"), STATS).verb is Verb.AUDIT
    assert read(scanned("a", plan=act), STATS).verb is Verb.PLAN
    assert read(scanned("a", plan=act), phase("a", "would_do"), STATS).verb is Verb.PLAN
    assert read(scanned("a", plan=act), phase("a", "done"), STATS).verb is Verb.REMEDIATE
    assert read(scanned("a"), prove, STATS).verb is Verb.VERIFY
    started = [*scanned("a", plan=act), runner("start", "a", PERFORM)]
    assert verdicts(read(started)) == {"a": "unknown"}
    assert verdicts(read(started, job=Job(check=True))) == {"a": "absent"}


def test_only_the_recap_knows_of_a_host() -> None:
    stats = {"event": "playbook_on_stats", "event_data": {"processed": {"a": 1, "b": 1}, "dark": {"b": 1}}}
    book = read(told(Verb.AUDIT, ["a", "b"]), stats)
    assert verdicts(book) == {"a": "not_attempted", "b": "unreachable"}


WORDS = st.sampled_from(
    ["a", "b", SCAN, PERFORM, "event", "runner_on_ok", "runner_on_start", "verbose", "row", "verdict", "absent", MARK]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**70) | st.floats() | WORDS | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)
DATA = st.fixed_dictionaries(
    {},
    optional={
        "host": VALUES,
        "task_action": VALUES,
        "resolved_action": VALUES,
        "res": VALUES | st.fixed_dictionaries({}, optional={"row": VALUES, "outcomes": VALUES, "plan": VALUES}),
        "processed": VALUES,
        "dark": VALUES,
    },
)
EVENT = st.fixed_dictionaries(
    {},
    optional={
        "event": st.sampled_from(
            ["runner_on_ok", "runner_on_failed", "runner_on_start", "verbose", "playbook_on_stats"]
        )
        | VALUES,
        "event_data": DATA | VALUES,
        "stdout": VALUES | st.builds(lambda value: MARK + json.dumps(value), VALUES),
        "counter": VALUES,
        "created": VALUES,
    },
)


@given(st.lists(EVENT, max_size=8))
def test_nothing_in_events_breaks_it_or_loses_a_host(noise: Events) -> None:
    events = [*told(Verb.AUDIT, ["a", "z"], ("y",)), *noise]
    book = from_events.read(events, job=Job(), folder=Path("/gone"))
    names = [row.host for row in book.rows]
    assert len(names) == len(set(names))
    assert {"a", "y", "z"} <= set(names)
    for name in ("text", "csv", "json", "html"):
        report.render(name, book)


def test_what_holds_no_events_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not there"):
        report_events.read(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="holds no events"):
        report_events.read(tmp_path)
    (tmp_path / "x.json").write_text('{"some": "thing"}')
    with pytest.raises(UsageError, match="holds no events"):
        report_events.read(tmp_path)
    for name in ("1", "2"):
        (tmp_path / "artifacts" / name / "job_events").mkdir(parents=True)
    with pytest.raises(UsageError, match=r"holds 2 jobs \(1, 2\)"):
        report_events.read(tmp_path)


@pytest.mark.parametrize(
    ("job", "words"),
    [
        ({"status": "canceled"}, "the job was cancelled"),
        ({"status": "failed", "job_explanation": "Job terminated due to timeout"}, "the job ran into its time limit"),
        ({"status": "error"}, "the job broke off"),
    ],
)
def test_the_job_of_awx_says_how_it_ended(tmp_path: Path, job: dict[str, str], words: str) -> None:
    events = [{"counter": n, "job": 7, **e} for n, e in enumerate(told(Verb.AUDIT, ["a"]), 1)]
    (tmp_path / "events.json").write_text(json.dumps({"count": 1, "results": events}))
    (tmp_path / "job.json").write_text(json.dumps({"type": "job", "id": 7, "job_type": "check", **job}))
    assert words in why(report_events.read(tmp_path), "a")


@pytest.mark.parametrize(
    "text",
    [
        "# two\na\n\nb\n",
        '{"_meta": {"hostvars": {"a": {}}}, "all": {"children": ["x"]}, "x": {"hosts": ["b"]}}',
        '{"count": 2, "results": [{"name": "a"}, {"name": "b"}]}',
    ],
)
def test_hosts_may_be_known_from_elsewhere(tmp_path: Path, text: str) -> None:
    (tmp_path / "events.json").write_text(json.dumps([{"counter": n, **e} for n, e in enumerate(scanned("a"), 1)]))
    (tmp_path / "hosts").write_text(text)
    book = report_events.read(tmp_path / "events.json", tmp_path / "hosts")
    assert verdicts(book) == {"a": "absent", "b": "not_attempted"}
