# SPDX-License-Identifier: GPL-3.0-or-later
"""Evidence: what was acknowledged stays valid, what was changed is found, what cannot be written is said."""

from __future__ import annotations

import errno
import json
import os
import resource
import stat
import tempfile
import typing as t
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.evict.kaspersky.plugins.plugin_utils import canonical, evidence, files
from ansible_collections.evict.kaspersky.plugins.plugin_utils.evidence import EvidenceError
from tests import runs

TEXTS = st.text(st.characters(), max_size=20)  # lone surrogates too
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
KEYS = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.binary(max_size=4)
HUGE = st.builds(lambda: 10**6000)  # more digits than Python prints
FOREIGN = st.recursive(
    JSON | st.binary(max_size=20) | st.sets(st.integers(), max_size=3) | st.sampled_from([object(), len]) | HUGE,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder for properties, which share it between their examples."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log of five records."""
    path = tmp_path / "log.jsonl"
    for number in range(1, 6):
        evidence.append(path, "note", {"number": number, "text": "€ \u202e"}, run="r1", host="web1")
    return path


def numbers(found: evidence.Log) -> list[int]:
    """What the records of `log` say."""
    return [record.data["number"] for record in found.records]


def test_records_are_chained_and_fit_the_schema(log: Path) -> None:
    lines = log.read_bytes().splitlines()
    schema = runs.schema("evidence-1")
    prev = None
    for number, line in enumerate(lines, 1):
        body = json.loads(line)
        schema.validate(body)
        assert (body["seq"], body["prev"], body["host"], body["run"]) == (number, prev, "web1", "r1")
        prev = canonical.sha256(line)
    found = evidence.verify(log)
    assert (found.problems, found.cut, found.head) == ((), 0, prev)
    assert (found.size, found.sha256) == (log.stat().st_size, canonical.sha256(log.read_bytes()))
    assert evidence.read(log) == list(found.records)


def test_append_returns_what_is_read(log: Path) -> None:
    record = evidence.append(log, "note", {"number": 6}, run="r1", host="web1")
    assert evidence.read(log)[-1] == record


def test_records_that_come_together_are_records_like_others(log: Path, tmp_path: Path) -> None:
    strange = {"answer": b"\xff", "number": float("nan")}
    made = evidence.append_all(log, [("scan", {"number": 6}), ("plan", strange)], run="r1", host="web1")
    assert [(r.seq, r.event) for r in made] == [(6, "scan"), (7, "plan")]
    found = evidence.verify(log)
    assert found.problems == ()
    assert found.records[-2:] == made
    assert (made[0].prev, made[1].prev) == (found.records[4].digest, made[0].digest)
    # Cut off anywhere in the second one, the first one counts, and the log goes on behind it.
    raw = log.read_bytes()
    for size in range(len(raw) - len(raw.splitlines(keepends=True)[-1]), len(raw)):
        cut = tmp_path / f"cut{size}.jsonl"
        cut.write_bytes(raw[:size])
        cut.chmod(0o600)
        assert evidence.read(cut)[-1] == made[0]
        assert evidence.append(cut, "plan", {}, run="r1", host="web1").seq == 7
        assert evidence.verify(cut).problems == ()


def test_every_truncation_keeps_the_records_before_it(log: Path, tmp_path: Path) -> None:
    whole = log.read_bytes()
    ends = [at + 1 for at, byte in enumerate(whole) if byte == ord("\n")]
    cut = tmp_path / "cut.jsonl"
    for size in range(len(whole) + 1):
        cut.write_bytes(whole[:size])
        found = evidence.load(cut)
        kept = [end for end in ends if end <= size]
        assert found.problems == (), size
        assert numbers(found) == list(range(1, len(kept) + 1)), size
        assert found.cut == size - (kept[-1] if kept else 0), size


@settings(deadline=None, max_examples=30)
@given(where=st.floats(0, 1))
def test_a_cut_log_is_continued(folder: Path, where: float) -> None:
    path = folder / "continued.jsonl"
    path.unlink(missing_ok=True)
    for number in range(1, 4):
        evidence.append(path, "note", {"number": number}, run="r1")
    whole = path.read_bytes()
    kept = whole[: int(len(whole) * where)]
    path.write_bytes(kept)
    evidence.append(path, "note", {"number": 99}, run="r1")
    found = evidence.load(path)
    assert (found.problems, found.cut) == ((), 0)
    assert numbers(found) == [*range(1, kept.count(b"\n") + 1), 99]


@settings(deadline=None)
@given(data=st.dictionaries(TEXTS, JSON, max_size=4))
def test_json_comes_back_as_it_was(folder: Path, data: dict[str, t.Any]) -> None:
    path = folder / "json.jsonl"
    record = evidence.append(path, "note", data, run="r1")
    found = evidence.load(path)
    assert found.problems == ()
    assert found.records[-1] == record
    try:
        want = json.loads(canonical.dumps(data))
    except canonical.CanonicalError:  # not-a-number: kept as text
        assert any(text in json.dumps(record.data) for text in ('"nan"', '"inf"', '"-inf"'))
    else:
        assert record.data == want


@settings(deadline=None)
@given(data=st.dictionaries(KEYS, FOREIGN, max_size=4))
def test_nothing_a_host_says_can_stop_its_record(folder: Path, data: dict[t.Any, t.Any]) -> None:
    path = folder / "foreign.jsonl"
    record = evidence.append(path, "note", data, run="r1")
    found = evidence.load(path)
    assert found.problems == ()
    assert found.records[-1] == record


def test_keys_that_are_no_text_do_not_spoil_the_log(tmp_path: Path) -> None:
    path = tmp_path / "keys.jsonl"
    record = evidence.append(path, "note", {"codes": {1: "a", 10: "b", 2: "c"}}, run="r1")
    assert record.data == {"codes": {"1": "a", "10": "b", "2": "c"}}
    assert evidence.load(path).problems == ()


def deep(levels: int) -> dict[str, t.Any]:
    """A nest of dictionaries."""
    body: dict[str, t.Any] = {}
    for _ in range(levels):
        body = {"in": body}
    return body


@pytest.mark.parametrize("levels", [50, 500, 2_000, 100_000])
def test_nesting_beyond_reason_is_cut_and_not_refused(tmp_path: Path, levels: int) -> None:
    path = tmp_path / "deep.jsonl"
    evidence.append(path, "note", deep(levels), run="r1")
    assert (len(evidence.load(path).records), evidence.load(path).problems) == (1, ())


def test_a_line_longer_than_a_block_is_continued(tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    for size in (10, 65_536, 200_000, 1):
        evidence.append(path, "note", {"text": "x" * size}, run="r1")
    assert (len(evidence.load(path).records), evidence.load(path).problems) == (4, ())


CHANGES: dict[str, tuple[Callable[[list[bytes]], list[bytes]], str]] = {
    "changed": (lambda x: [x[0], x[1].replace(b'"number":2', b'"number":7'), *x[2:]], "line 3 does not follow"),
    "removed": (lambda x: [x[0], *x[2:]], "line 2 has the number 3"),
    "first removed": (lambda x: x[1:], "line 1 has the number 2"),
    "added": (lambda x: [*x[:2], x[1], *x[2:]], "line 3 has the number 2"),
    "reordered": (lambda x: [x[0], x[2], x[1], *x[3:]], "line 2 has the number 3"),
    "blank line": (lambda x: [*x[:2], b"", *x[2:]], "line 3 is no JSON record"),
    "other text": (lambda x: [*x[:2], b"not json", *x[2:]], "line 3 is no JSON record"),
    "other spelling": (lambda x: [x[0], x[1].replace(b'":', b'": '), *x[2:]], "line 2 is not canonical JSON"),
    "key added": (lambda x: [*x[:4], x[4][:-1] + b',"zz":1}'], "line 5 is no evidence record"),
    "key twice": (lambda x: [*x[:4], x[4][:-1] + b',"seq":5}'], "line 5 is not canonical JSON"),
    "other schema": (lambda x: [*x[:4], x[4].replace(b"evidence/1", b"evidence/2")], "line 5 is of another schema"),
    "other host": (lambda x: [*x[:4], x[4].replace(b"web1", b"web2")], "line 5 speaks of another host"),
    "other run": (lambda x: [*x[:4], x[4].replace(b'"r1"', b'"r2"')], "line 5 is of another run"),
    "wrong type": (lambda x: [*x[:4], x[4].replace(b'"seq":5', b'"seq":"5"')], "line 5 is no evidence record"),
    "no object": (lambda x: [*x[:4], b"[1]"], "line 5 is no evidence record"),
    "bytes": (lambda x: [*x[:4], b"\xff\xfe\x00"], "line 5 is no JSON record"),
    "nested": (lambda x: [*x[:4], b"[" * 200_000], "line 5 is no JSON record"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changes_are_found(log: Path, change: str) -> None:
    alter, words = CHANGES[change]
    before = log.read_bytes()
    log.write_bytes(b"\n".join(alter(before.splitlines())) + b"\n")
    assert log.read_bytes() != before
    assert any(words in problem for problem in evidence.verify(log).problems), evidence.verify(log).problems


@settings(deadline=None)
@given(at=st.floats(0, 0.999999), bit=st.integers(0, 7))
def test_any_flipped_bit_before_the_newest_record_is_found(folder: Path, at: float, bit: int) -> None:
    path = folder / "flipped.jsonl"
    path.unlink(missing_ok=True)
    for number in range(3):
        evidence.append(path, "note", {"number": number}, run="r1")
    whole = bytearray(path.read_bytes())
    last = whole.rindex(b"\n", 0, -1) + 1
    whole[int(at * last)] ^= 1 << bit
    path.write_bytes(bytes(whole))
    assert evidence.verify(path).problems != ()


def test_foreign_last_line_is_not_continued(tmp_path: Path) -> None:
    path = tmp_path / "foreign.jsonl"
    path.write_bytes(b"hello\n")
    with pytest.raises(EvidenceError, match=r"cannot continue the evidence .* keep the file and start a new run"):
        evidence.append(path, "note", {}, run="r1")
    assert path.read_bytes() == b"hello\n"


def test_files_are_private_whatever_the_umask(tmp_path: Path) -> None:
    for mask in (0o000, 0o077, 0o777):
        before = os.umask(mask)
        try:
            files.make_folder(tmp_path / f"{mask:o}" / "below")
            evidence.append(tmp_path / f"{mask:o}" / "below" / "log.jsonl", "note", {}, run="r1")
            files.replace(tmp_path / f"{mask:o}" / "rows.json", b"x")
        finally:
            os.umask(before)
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / f"{mask:o}").rglob("*")}
        assert modes == {"below": 0o700, "log.jsonl": 0o600, "rows.json": 0o600}, mask
    loose = tmp_path / "loose.jsonl"
    loose.touch(0o666)
    loose.chmod(0o666)
    evidence.append(loose, "note", {}, run="r1")
    assert stat.S_IMODE(loose.stat().st_mode) == 0o600


def test_exclusive_refuses_a_file_that_is_there(log: Path) -> None:
    before = log.read_bytes()
    with pytest.raises(FileExistsError):
        evidence.append(log, "note", {}, run="r1", exclusive=True)
    assert log.read_bytes() == before


def test_links_and_other_files_are_refused(tmp_path: Path, log: Path) -> None:
    link, second, fifo, below = (tmp_path / name for name in ("link.jsonl", "second.jsonl", "fifo.jsonl", "dir.jsonl"))
    link.symlink_to(log)
    os.mkfifo(fifo)
    below.mkdir()
    before = log.read_bytes()
    dangling = tmp_path / "dangling.jsonl"
    dangling.symlink_to(tmp_path / "nowhere")
    for path, words in (
        (link, "not written through links"),
        (dangling, "not written through links"),
        (fifo, "not a plain file"),
        (below, "a folder stands where a file is needed"),
        (log / "x.jsonl", "a part of the path is no folder"),
    ):
        with pytest.raises(EvidenceError, match=words) as caught:
            evidence.append(path, "note", {}, run="r1")
        assert str(path) in str(caught.value)
        assert "--out" in str(caught.value)
    for path, words in ((link, "it is a link"), (fifo, "not a plain file"), (tmp_path / "nowhere", "No such file")):
        with pytest.raises(EvidenceError, match=words):
            evidence.load(path)
    os.link(log, second)
    with pytest.raises(EvidenceError, match="second name"):
        evidence.append(log, "note", {}, run="r1")
    assert log.read_bytes() == before
    assert not (tmp_path / "nowhere").exists()


def test_a_full_disk_leaves_the_file_as_it_was(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, real = log.read_bytes(), os.write
    left = 20

    def full(fd: int, data: bytes) -> int:
        nonlocal left
        if left <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        done = real(fd, bytes(data)[:left])
        left -= done
        return done

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(EvidenceError, match="No space left on device; free space there, or choose") as caught:
            evidence.append(log, "note", {"number": 6}, run="r1", host="web1")
        assert str(log) in str(caught.value)
        fresh = log.with_name("fresh.jsonl")
        with pytest.raises(EvidenceError):
            evidence.append(fresh, "note", {}, run="r1")
        assert not fresh.exists()
        with pytest.raises(EvidenceError, match="No space left"):
            files.replace(log.with_name("rows.json"), b"new")
    assert log.read_bytes() == before
    assert sorted(path.name for path in log.parent.iterdir()) == ["log.jsonl"]
    evidence.append(log, "note", {"number": 6}, run="r1", host="web1")
    assert (numbers(evidence.load(log)), evidence.load(log).problems) == ([1, 2, 3, 4, 5, 6], ())


def test_an_older_file_survives_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rows.json"
    files.replace(path, b"old")

    def full(fd: int) -> None:
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(EvidenceError, match="raise the quota"):
        files.replace(path, b"new")
    assert [(entry.name, entry.read_bytes()) for entry in tmp_path.iterdir()] == [("rows.json", b"old")]


def test_a_limit_on_file_sizes_is_named(log: Path) -> None:
    size = log.stat().st_size

    def write() -> str:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 30, size + 30))
        evidence.append(log, "note", {"number": 6}, run="r1", host="web1")
        return "written"

    before = log.read_bytes()
    said = runs.in_child(write)
    assert "File too large; raise the limit on file sizes (`ulimit -f`)" in said
    assert log.read_bytes() == before


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, object(), b"x", {(1, 2): 3}])
def test_canonical_json_refuses_what_has_no_form(value: object) -> None:
    with pytest.raises(canonical.CanonicalError, match="no canonical JSON form"):
        canonical.dumps(value)
    with pytest.raises(canonical.CanonicalError):
        canonical.digest({"in": [value]})


@given(JSON)
def test_canonical_json_is_one_ascii_line_and_stable(value: t.Any) -> None:
    try:
        raw = canonical.dumps(value)
    except canonical.CanonicalError:
        return  # not-a-number; the test above holds that it is refused
    assert raw.isascii()
    assert b"\n" not in raw
    assert canonical.dumps(json.loads(raw)) == raw
    assert canonical.digest(value) == canonical.sha256(raw)


def test_digest_is_what_other_tools_compute() -> None:
    # printf '{"a":[1,2],"b":"\\u20ac"}' | sha256sum
    assert canonical.dumps({"b": "€", "a": (1, 2)}) == b'{"a":[1,2],"b":"\\u20ac"}'
    want = "3793b6111e3eb7884752639d367410c0df4ff26284e4ab8195821699f1855095"
    assert canonical.digest({"b": "€", "a": (1, 2)}) == want
