# SPDX-License-Identifier: GPL-3.0-or-later
"""The run folder: safe names, private, joined by its own workers, refused when it is somebody else's."""

from __future__ import annotations

import json
import os
import re
import stat
import string
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ansible_collections.evict.kaspersky.plugins.plugin_utils import evidence, hostfile, run
from ansible_collections.evict.kaspersky.plugins.plugin_utils.evidence import EvidenceError
from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy import Policy
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import Verb, Verdict
from tests import runs

HOSTS = st.text(st.characters(), max_size=300)
SAFE = frozenset(string.ascii_letters + string.digits + "._-%~")


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No run of another test in this process, and no job of AWX around it."""
    run.reset()
    monkeypatch.delenv("JOB_ID", raising=False)
    yield
    run.reset()


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder everybody can reach, unlike those of pytest."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)


def another_invocation(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on, this process is another ansible-playbook."""
    monkeypatch.setattr(run, "INVOCATION", os.urandom(16).hex())


# ---- names


@given(HOSTS)
@example("")
@example(".")
@example("..")
@example("../../etc/passwd")
@example("a/b\\c:d")
@example("-rf")
@example("web~1")
@example("x" * 300)
@example("я" * 255)
@example("\udcff")
def test_any_host_gives_a_safe_file_name(host: str) -> None:
    name = hostfile.file_name(host)
    assert name
    assert set(name) <= SAFE
    assert not name.startswith(".")
    assert len(name + ".jsonl") <= 255
    assert hostfile.host_of(name) == (None if "~" in name else host)


@given(HOSTS, HOSTS)
@example("", "%")
@example("a", "a~")
@example("%2E", ".")
@example("x" * 300, "x" * 299)
@example("я" * 255, "я" * 254 + "ю")
def test_different_hosts_have_different_files(one: str, other: str) -> None:
    assert (hostfile.file_name(one) == hostfile.file_name(other)) == (one == other)


@given(st.text(st.sampled_from("ab%.~/я"), min_size=150, max_size=260), st.integers(0, 259))
def test_long_names_that_differ_in_one_place_have_different_files(host: str, at: int) -> None:
    at %= len(host)
    other = host[:at] + "c" + host[at + 1 :]
    assert hostfile.file_name(host) != hostfile.file_name(other)


@given(st.text(st.sampled_from("%0F~é.-a"), max_size=30))
def test_any_file_name_has_a_host_or_none(name: str) -> None:
    host = hostfile.host_of(name)
    assert host is None or isinstance(host, str)


def test_hosts_without_special_letters_keep_their_names() -> None:
    assert hostfile.file_name("web-1.example.com") == "web-1.example.com"
    assert hostfile.file_name("10.0.0.1") == "10.0.0.1"
    assert hostfile.file_name("fe80::1") == "fe80%3A%3A1"


# ---- run id and place


def test_run_id_comes_from_the_setting_then_awx_then_time(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run.run_id(Policy(run="mine"), {"awx_job_id": 7}) == "mine"
    assert run.run_id(Policy(), {"awx_job_id": 7, "tower_job_id": 8}) == "7"
    assert run.run_id(Policy(), {"tower_job_id": "8"}) == "8"
    assert run.run_id(Policy(), {"awx_job_id": "../x", "tower_job_id": True}) == run.STAMP
    monkeypatch.setenv("JOB_ID", "9")
    assert run.run_id(Policy()) == "9"
    assert re.fullmatch(r"\d{8}T\d{6}Z-[0-9a-f]{4}", run.STAMP)


def test_place_of_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "CWD", "/work/here")
    monkeypatch.setenv("HOME", str(tmp_path))
    places = {
        run.RunFolder.resolve(policy).path
        for policy in (
            Policy(run="r"),
            Policy(run="r", evidence_dir="/work/here/evict-runs"),
            Policy(out="evict-runs/r"),
            Policy(out="/work/here/x/../evict-runs/r/"),
        )
    }
    assert places == {Path("/work/here/evict-runs/r")}
    assert run.RunFolder.resolve(Policy(out="~/r")).path == tmp_path / "r"


def test_hosts_of_a_task_are_the_inventory_and_the_play() -> None:
    found = run.hosts_of({"groups": {"all": ["a", "b", "c"]}, "ansible_play_hosts_all": ["b", "added"]})
    assert found == (["a", "b", "c", "added"], ["b", "added"])
    assert run.hosts_of({}) == ([], [])


# ---- making it


def test_a_run_is_begun_with_its_hosts_and_private(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        made = runs.begun(
            tmp_path / "a" / "run", inventory=["web1", "web2"], scope=["web1"], verdicts={"web1": Verdict.ABSENT}
        )
    finally:
        os.umask(before)
    started, hosts = evidence.read(made.path / run.RUN_LOG)
    assert (started.event, started.data["verb"], started.run) == ("run_started", "audit", "test-run")
    assert started.data["versions"]["collection"] == run.collection_version() != ""
    assert started.data["ids"]["invocation"] == run.INVOCATION
    assert (hosts.event, hosts.data) == ("hosts", {"inventory": ["web1", "web2"], "scope": ["web1"]})
    modes = {str(path.relative_to(tmp_path)): stat.S_IMODE(path.stat().st_mode) for path in sorted(tmp_path.rglob("*"))}
    assert modes == {
        "a": 0o700,
        "a/run": 0o700,
        "a/run/hosts": 0o700,
        "a/run/hosts/web1.jsonl": 0o600,
        "a/run/run.jsonl": 0o600,
    }
    schema = runs.schema("evidence-1")
    for path in made.path.rglob("*.jsonl"):
        for line in path.read_text().splitlines():
            schema.validate(json.loads(line))


def test_ids_of_awx_are_written_down(tmp_path: Path) -> None:
    extra = {"awx_job_id": 7, "tower_user_name": "ann", "awx_other": "x", "ansible_version": {"full": "2.19.0"}}
    made = run.RunFolder.resolve(Policy(evidence_dir=str(tmp_path)), extra).create()
    assert (made.run, made.path) == ("7", tmp_path / "7")
    data = evidence.read(made.path / run.RUN_LOG)[0].data
    assert data["ids"] == {"invocation": run.INVOCATION, "awx_job_id": "7", "awx_user_name": "ann"}
    assert data["versions"]["ansible"] == "2.19.0"


def test_workers_of_one_run_share_its_folder(tmp_path: Path) -> None:
    policy = Policy(evidence_dir=str(tmp_path), run="r")
    first = run.RunFolder.resolve(policy).create(inventory=["a", "b"])
    second = run.RunFolder.resolve(policy)
    second.record_scan("b", runs.scan("b"))
    first.record_scan("a", runs.scan("a"))
    assert (first.path, first.run) == (second.path, second.run) == (tmp_path / "r", "r")
    assert [record.event for record in evidence.read(first.path / run.RUN_LOG)] == ["run_started", "hosts"]
    assert [row.host for row in second.rows()] == ["a", "b"]


def test_workers_that_come_at_once_make_one_folder(tmp_path: Path) -> None:
    children = []
    for number in range(8):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                folder = run.RunFolder.resolve(Policy(evidence_dir=str(tmp_path), run="r"))
                folder.record_scan(f"h{number}", runs.scan(f"h{number}"))
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 8
    assert [path.name for path in tmp_path.iterdir()] == ["r"]
    assert [row.host for row in run.RunFolder.at(tmp_path / "r").rows()] == [f"h{n}" for n in range(8)]
    assert evidence.load(tmp_path / "r" / run.RUN_LOG).problems == ()


def test_a_clash_of_run_ids_gets_a_suffix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = Policy(evidence_dir=str(tmp_path), run="r")
    for want in ("r", "r-2", "r-3"):
        another_invocation(monkeypatch)
        made = run.RunFolder.resolve(policy).create(inventory=["a"], lock=True)
        assert (made.path, made.run) == (tmp_path / want, want)
        made.record_scan("a", runs.scan("a"))
        assert {record.run for record in evidence.read(made.host_log("a"))} == {want}
        # Its own workers find it by the same policy, whatever the suffix.
        worker = run.RunFolder.resolve(policy).create()
        assert (worker.path, worker.run) == (made.path, want)
    (tmp_path / "r-4").mkdir()
    (tmp_path / "r-4" / "other").touch()
    another_invocation(monkeypatch)
    assert run.RunFolder.resolve(policy).create().path == tmp_path / "r-5"


def test_the_lock_is_on_the_folder_that_was_settled_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = Policy(evidence_dir=str(tmp_path), run="r")
    run.RunFolder.resolve(policy).create()  # a run that is over: nobody holds its lock
    another_invocation(monkeypatch)
    made = run.RunFolder.resolve(policy).create(lock=True)
    assert made.path == tmp_path / "r-2"
    another_invocation(monkeypatch)
    with pytest.raises(EvidenceError, match="another run is writing there now; wait for it, or choose"):
        run.RunFolder.resolve(Policy(out=str(tmp_path / "r-2"))).create(lock=True)
    assert run.RunFolder.resolve(Policy(out=str(tmp_path / "r"))).create(lock=True).run == "r"


def test_a_chosen_folder_is_locked_while_its_run_lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = Policy(out=str(tmp_path / "run"))
    first = run.RunFolder.resolve(policy).create(lock=True)
    another_invocation(monkeypatch)
    with pytest.raises(EvidenceError, match="another run is writing there now"):
        run.RunFolder.resolve(policy).create(lock=True)
    assert len(evidence.read(first.path / run.RUN_LOG)) == 1


def test_an_unfinished_run_is_continued_under_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs.begun(tmp_path / "run", inventory=["a", "b"], verdicts={"a": Verdict.ABSENT}, name="old")
    another_invocation(monkeypatch)
    made = runs.begun(tmp_path / "run", inventory=["a", "b"], verdicts={"b": Verdict.ABSENT}, name="new")
    assert made.run == "old"
    log = evidence.load(made.path / run.RUN_LOG)
    assert [record.event for record in log.records] == ["run_started", "hosts"] * 2
    assert ({record.run for record in log.records}, log.problems) == ({"old"}, ())
    assert [str(row.verdict) for row in made.rows()] == ["absent", "absent"]


def test_a_finished_run_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs.ended(tmp_path / "run", {"a": Verdict.ABSENT})
    before = (tmp_path / "run" / run.RUN_LOG).read_bytes()
    another_invocation(monkeypatch)
    with pytest.raises(EvidenceError, match="holds the finished run test-run; name a new folder with `--out DIR`"):
        run.RunFolder.resolve(Policy(out=str(tmp_path / "run"))).create()
    assert (tmp_path / "run" / run.RUN_LOG).read_bytes() == before


@pytest.mark.parametrize("name", ["notes.txt", ".hidden", "hosts", run.MANIFEST])
def test_a_foreign_folder_is_refused_and_left_alone(tmp_path: Path, name: str) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir(0o755)
    (foreign / name).write_text("mine")
    with pytest.raises(EvidenceError, match="it holds files of something else; name a new folder") as caught:
        run.RunFolder.resolve(Policy(out=str(foreign))).create()
    assert str(foreign) in str(caught.value)
    assert [path.name for path in foreign.iterdir()] == [name]
    assert stat.S_IMODE(foreign.stat().st_mode) == 0o755


def test_a_foreign_run_log_is_refused(tmp_path: Path) -> None:
    (tmp_path / run.RUN_LOG).write_text("something else\n")
    with pytest.raises(EvidenceError, match="is no evidence of this collection"):
        run.RunFolder.resolve(Policy(out=str(tmp_path))).create()
    assert (tmp_path / run.RUN_LOG).read_text() == "something else\n"


def test_an_empty_folder_is_used_and_closed_to_others(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    empty.chmod(0o777)
    run.RunFolder.resolve(Policy(out=str(empty))).create()
    assert stat.S_IMODE(empty.stat().st_mode) == 0o700


def test_links_are_refused(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    link = tmp_path / "link"
    link.symlink_to(real)
    with pytest.raises(EvidenceError, match="it is a link; name the folder itself"):
        run.RunFolder.resolve(Policy(out=str(link))).create()
    assert list(real.iterdir()) == []

    made = run.RunFolder.resolve(Policy(out=str(tmp_path / "run"))).create()
    target = tmp_path / "target.jsonl"
    target.touch()
    (made.path / run.HOSTS).mkdir()
    made.host_log("a").symlink_to(target)
    with pytest.raises(EvidenceError, match="not written through links"):
        made.record_scan("a", runs.scan("a"))
    assert target.read_bytes() == b""


def test_a_linked_folder_of_hosts_is_refused(tmp_path: Path) -> None:
    made = run.RunFolder.resolve(Policy(out=str(tmp_path / "run"))).create()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (made.path / run.HOSTS).symlink_to(elsewhere)
    with pytest.raises(EvidenceError, match="not written through links: remove the link"):
        made.record_scan("a", runs.scan("a"))
    assert list(elsewhere.iterdir()) == []


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for out in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(EvidenceError, match="no folder: remove it, or choose another folder"):
            run.RunFolder.resolve(Policy(out=str(out))).create()


def test_a_folder_without_the_right_to_write_is_named(public: Path) -> None:
    closed = public / "closed"
    closed.mkdir(0o755)
    if os.geteuid() != 0:
        closed.chmod(0o555)

    def begin() -> str:
        return str(run.RunFolder.resolve(Policy(evidence_dir=str(closed), run="r")).create().path)

    said = runs.in_child(begin, rights=False)
    assert said.startswith(f"EvidenceError: cannot make the folder {closed}/r: Permission denied; ")
    assert "give the user who runs ansible-playbook the right to write there" in said
    assert list(closed.iterdir()) == []


def test_a_run_folder_that_became_read_only_is_named(public: Path) -> None:
    def begin() -> str:
        made = run.RunFolder.resolve(Policy(out=str(public / "open" / "run"))).create()
        made.record_scan("a", runs.scan("a"))
        (made.path / run.HOSTS).chmod(0o500)
        made.record_scan("a", runs.scan("a"))  # its file is there and open to us
        made.record_scan("b", runs.scan("b"))
        return "written"

    (public / "open").mkdir()
    (public / "open").chmod(0o777)
    said = runs.in_child(begin, rights=False)
    assert said.startswith("EvidenceError: cannot write evidence to ")
    assert "hosts/b.jsonl: Permission denied; give the user" in said
    run_folder = public / "open" / "run"
    assert len(evidence.read(run_folder / run.HOSTS / "a.jsonl")) == 2


def test_a_folder_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    with pytest.raises(EvidenceError, match=f"it belongs to user id {me}, not to {me + 1}; choose another folder"):
        run.RunFolder.resolve(Policy(out=str(tmp_path))).create()
    assert list(tmp_path.iterdir()) == []


def test_what_the_callback_decides_holds_for_all(tmp_path: Path) -> None:
    assert not run.callback_active()
    made = run.RunFolder.resolve(Policy(out=str(tmp_path / "run"))).create()
    run.adopt(made)
    assert run.callback_active()
    assert run.RunFolder.resolve(Policy(out="/elsewhere")) is made
    run.reset()
    run.refuse("no room here")
    assert run.is_refused()
    assert run.callback_active()
    with pytest.raises(EvidenceError, match="no room here"):
        run.RunFolder.resolve(Policy(out=str(tmp_path / "other"))).record_scan("a", runs.scan("a"))
    assert not (tmp_path / "other").exists()


def test_at_reads_what_is_there(tmp_path: Path) -> None:
    runs.begun(tmp_path / "run", inventory=["a"], verb=Verb.VERIFY)
    assert repr(run.RunFolder.at(tmp_path / "run")) == f"RunFolder('{tmp_path}/run', run='test-run')"
    with pytest.raises(EvidenceError, match="holds no evidence of a run"):
        run.RunFolder.at(tmp_path).rows()
