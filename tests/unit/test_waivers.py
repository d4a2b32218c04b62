# SPDX-License-Identifier: GPL-3.0-or-later
"""Waivers: what a file may say, every mistake with its line, and what holds for a host at a time."""

from __future__ import annotations

import datetime
import itertools
import json
import random
import re
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from ansible_collections.evict.kaspersky.plugins.plugin_utils.plan import Waived
from ansible_collections.evict.kaspersky.plugins.plugin_utils.waivers import (
    OnHost,
    Waiver,
    WaiverError,
    Waivers,
    load,
)
from tests import tree

NOW = datetime.datetime(2030, 6, 15, 12, 0, tzinfo=datetime.UTC)
KNOWN = ("managed_by_ksc", "pending_reboot", "disk_encryption", "sessions")
WAIVABLE = ("managed_by_ksc", "pending_reboot", "sessions")
SCHEMA = Draft202012Validator(json.loads((tree.ROOT / "schemas" / "waivers-1.json").read_text()))
WHO = "owner: team, reason: because, ticket: T-1"


def read(folder: Path, text: str | bytes, now: datetime.datetime = NOW) -> Waivers:
    file = folder / "waivers.yml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return load(file, known=KNOWN, waivable=WAIVABLE, now=now)


def entry(more: str, expires: str = "2030-12-31") -> str:
    return f"schema: 1\nwaivers:\n  - {{{more}, {WHO}, expires: {expires}}}\n"


def mistakes(folder: Path, text: str | bytes) -> list[str]:
    with pytest.raises(WaiverError) as caught:
        read(folder, text)
    said = [line.replace(f"{folder}/waivers.yml", "F") for line in caught.value.mistakes]
    assert str(caught.value).count("\n") == len(said) - 1
    assert all(line.startswith("F") and "; " in line for line in said)
    return said


def test_the_example_of_the_documentation_is_a_file_of_waivers(tmp_path: Path) -> None:
    text = re.findall(r"```yaml\n(.*?)```", (tree.ROOT / "docs" / "waivers.md").read_text(), re.S)[0]
    ids = ("managed_by_ksc", "logged_on_sessions", "pending_reboot")
    file = tmp_path / "w.yml"
    file.write_text(text)
    now = datetime.datetime(2030, 12, 1, tzinfo=datetime.UTC)
    found = load(file, known=ids, waivable=ids, now=now)
    assert [len(found.entries), len(found.entries[1].inhibitors)] == [3, 2]
    assert list(found.on("db-7", [], now).waived) == ["managed_by_ksc"]
    assert found.on("cnc-press-3", [], now).excepted == Waived(
        "production line 3",
        "The machine's maker forbids any change until the line is replaced.",
        "RISK-12",
        "2031-06-30",
    )
    assert found.on("db", [], now) == OnHost()
    assert list(SCHEMA.iter_errors(yaml.load(text, yaml.BaseLoader) | {"schema": 1})) != []  # `true` is no text
    assert list(SCHEMA.iter_errors(as_json(text))) == []


def as_json(text: str) -> t.Any:
    """What an editor's schema check sees: dates are texts."""
    return json.loads(json.dumps(yaml.safe_load(text), default=str))


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (entry("inhibitor: pending_rebot, hosts: a"), 3, "'pending_rebot' is no inhibitor; did you mean `pending_reb"),
        (entry("inhibitor: zzz, hosts: a"), 3, "'zzz' is no inhibitor; docs/inhibitors.md"),
        (entry("inhibitor: disk_encryption, hosts: a"), 3, "'disk_encryption' cannot be waived; "),
        (entry("inhibitor: sessions"), 3, "neither `hosts` nor `groups` is there"),
        (entry("inhibitor: sessions, hosts: []"), 3, "`hosts` is empty"),
        (entry("inhibitor: sessions, hosts: "), 3, "`hosts` is empty"),
        (entry("inhibitor: sessions, groups: []"), 3, "`groups` is empty"),
        (entry("inhibitor: [], hosts: a"), 3, "`inhibitor` is empty"),
        (entry("hosts: a"), 3, "neither `inhibitor` nor `whole_host` is there"),
        (entry("inhibitor: sessions, whole_host: true, hosts: a"), 3, "both `inhibitor` and `whole_host`"),
        (entry("whole_host: false, hosts: a"), 3, "`whole_host` is 'false'; write `whole_host: true`"),
        (entry("inhibitor: sessions, hosts: '~web.*'"), 3, "the host '~web.*' looks like a regular expression"),
        (entry("inhibitor: sessions, hosts: 'web.*'"), 3, "looks like a regular expression"),
        (entry("inhibitor: sessions, hosts: '^web$'"), 3, "looks like a regular expression"),
        (entry("inhibitor: sessions, hosts: 'web[1:9]'"), 3, "looks like a regular expression"),
        (entry("inhibitor: sessions, hosts: ['web1:web2']"), 3, "the host 'web1:web2' is more than one name"),
        (entry("inhibitor: sessions, hosts: 'a b'"), 3, "the host 'a b' is more than one name"),
        (entry("inhibitor: sessions, hosts: '!a'"), 3, "the host '!a' is more than one name"),
        (entry("inhibitor: sessions, hosts: [a, b, a]"), 3, "`hosts` names 'a' twice"),
        (entry("inhibitor: sessions, hosts: [[a]]"), 3, "`hosts` holds a list, which is no name"),
        (entry("inhibitor: sessions, hosts: {a: b}"), 3, "`hosts` holds a mapping, which is no name"),
        (entry("inhibitor: sessions, hosts: yes"), 3, "`hosts` holds 'yes', which is no name"),
        (entry("inhibitor: sessions, groups: 'kiosk*'"), 3, "the group 'kiosk*' is no name"),
        (entry("inhibitor: sessions, hots: a, hosts: b"), 3, "the key 'hots' is unknown; did you mean `hosts`?"),
        (entry("inhibitor: sessions, hosts: a, hosts: b"), 3, "the key `hosts` stands here twice"),
        (entry("inhibitor: sessions, hosts: a", "soon"), 3, "`expires` is 'soon': not a date or time; write `2031-"),
        (entry("inhibitor: sessions, hosts: a", "2030-02-30"), 3, "`expires` is '2030-02-30': "),
        (entry("inhibitor: sessions, hosts: a", "31.12.2030"), 3, "not a date or time"),
        (entry("inhibitor: sessions, hosts: a", "20301231"), 3, "not a date or time"),
        (entry("inhibitor: sessions, hosts: a", "2030-12-31 10:00:00"), 3, "a time needs its zone"),
        (entry("inhibitor: sessions, hosts: a", "9999-12-31"), 3, "no such day"),
        (entry("inhibitor: sessions, hosts: a", "2031-06-17"), 3, "too far away; a waiver holds for 366 days at most"),
        (entry("inhibitor: sessions, hosts: a", "2031-06-17T00:00:00Z"), 3, "write 2031-06-16 or before"),
        (entry("inhibitor: sessions, hosts: a", "[2030-12-31]"), 3, "`expires` is a list, not a text"),
        ("schema: 2\nwaivers: []\n", 1, "`schema` is '2', this version reads 1"),
        ("waivers: []\n", 1, "`schema` is missing"),
        ("schema: 1\n", 1, "`waivers` is missing"),
        ("schema: 1\nwaivers: {}\n", 2, "`waivers` is a mapping, not a list"),
        ("schema: 1\nwaiver: []\nwaivers: []\n", 2, "the key 'waiver' is unknown; did you mean `waivers`?"),
        ("- schema: 1\n", 1, "it is a list, not a mapping"),
        ("schema: 1\nwaivers:\n  - sessions\n", 3, "entry 1: it is 'sessions', not a mapping"),
        ("schema: 1\nwaivers: [\n", 3, "not YAML: "),
        ("schema: 1\nwaivers: *x\n", 2, "not YAML: found undefined alias"),
        (b"schema: 1\nwaivers: [\xff]\n", 2, "it is not UTF-8"),
        ("schema: 1\n---\nschema: 1\n", 2, "not YAML: "),
        ("schema: 1\nwaivers: \x01\n", 0, "not YAML: "),
        ("", 0, "the file is empty"),
        ("#" * (1 << 20) + "\n", 0, "larger than 1 MiB"),
    ],
)  # fmt: skip
def test_each_mistake_has_line_value_and_remedy(tmp_path: Path, text: str, line: int, words: str) -> None:
    said = mistakes(tmp_path, text)
    assert any(words in one for one in said), said
    assert any(one.startswith(f"F, line {line}: " if line else "F: ") for one in said if words in one), said


@pytest.mark.parametrize("key", ["owner", "reason", "ticket", "expires"])
@pytest.mark.parametrize("value", [None, "", "''", "~", "'  '", "yes", "'-'", "'a\\0'"])
def test_who_why_and_until_when_must_be_said(tmp_path: Path, key: str, value: str | None) -> None:
    answers = {"owner": "o", "reason": "r", "ticket": "t", "expires": "2030-12-31", key: value}
    lines = [f"    {name}: {given}\n" for name, given in answers.items() if given is not None]
    if value == "'a\\0'":
        lines = [line.replace("'a\\0'", '"a\\0"') for line in lines]
    said = mistakes(tmp_path, "schema: 1\nwaivers:\n  - inhibitor: sessions\n    hosts: [a]\n" + "".join(lines))
    assert len(said) == 1
    assert f"entry 1: `{key}` " in said[0]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(WaiverError, match=r"nowhere.yml: .* No such file or directory; correct the path in `evict_wai"):
        load(tmp_path / "nowhere.yml", known=KNOWN, waivable=WAIVABLE, now=NOW)
    with pytest.raises(WaiverError, match=r"Is a directory"):
        load(tmp_path, known=KNOWN, waivable=WAIVABLE, now=NOW)
    with pytest.raises(WaiverError, match=r"null"):
        load("a\0b", known=KNOWN, waivable=WAIVABLE, now=NOW)


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    said = mistakes(
        tmp_path,
        "schema: 2\nwaivers:\n  - inhibitor: sesions\n    hosts: ['~x']\n    owner: o\n  - 5\n"
        f"  - {{inhibitor: sessions, hosts: [b, a], {WHO}, expires: 2030-07-01}}\n"
        f"  - {{inhibitor: sessions, hosts: [a, b], {WHO}, expires: 2030-08-01}}\n",
    )
    assert [line.partition(";")[0] for line in said] == [
        "F, line 1: `schema` is '2', this version reads 1",
        "F, line 3: entry 1: 'sesions' is no inhibitor",
        "F, line 3: entry 1: `expires` is missing",
        "F, line 3: entry 1: `reason` is missing",
        "F, line 3: entry 1: `ticket` is missing",
        "F, line 4: entry 1: the host '~x' looks like a regular expression",
        "F, line 6: entry 2: it is '5', not a mapping",
        "F, line 8: entry 4: it is for the same as entry 3: sessions",
    ]


def test_what_may_be_written(tmp_path: Path) -> None:
    for hosts in ("a", "[a]", "10", "'*'", "[fe80::1, '10.0.0.?']", "'web.?*'", "web-1.example.org"):
        text = entry(f"inhibitor: sessions, hosts: {hosts}").replace("T-1", "1.10")
        found = read(tmp_path, text).entries[0]
        assert found.waived.ticket == "1.10"  # as it is written
        assert list(SCHEMA.iter_errors(as_json(text))) == []
    assert read(tmp_path, "schema: 1\nwaivers: []\n") == Waivers()


@pytest.mark.parametrize(
    ("expires", "told", "last"),
    [
        ("2030-06-15", "2030-06-15", "2030-06-15T23:59:59+00:00"),
        ("'2030-06-15'", "2030-06-15", "2030-06-15T23:59:59+00:00"),
        ("2030-06-15T14:00:00Z", "2030-06-15T14:00:00Z", "2030-06-15T13:59:59+00:00"),
        ("2030-06-15 14:00:00 +02:00", "2030-06-15T12:00:00Z", "2030-06-15T11:59:59+00:00"),
        ("2030-06-15t14:00z", "2030-06-15T14:00:00Z", "2030-06-15T13:59:59+00:00"),
    ],
)
def test_a_waiver_holds_to_the_end_of_its_day_or_to_its_second(
    tmp_path: Path, expires: str, told: str, last: str
) -> None:
    found = read(tmp_path, entry("inhibitor: sessions, hosts: a", expires))
    moment = datetime.datetime.fromisoformat(last)
    assert found.on("a", [], moment).waived["sessions"].expires == told
    after = found.on("a", [], moment + datetime.timedelta(seconds=1))
    assert (dict(after.waived), after.excepted) == ({}, None)
    assert after.expired == (f"the waiver for sessions (of team, ticket T-1, line 3) held until {told}",)


def test_an_expired_waiver_is_read_lifts_nothing_and_is_told(tmp_path: Path) -> None:
    found = read(tmp_path, entry("whole_host: true, groups: [old]", "2021-01-01"))
    assert found.on("a", ["old"], NOW).excepted is None
    assert "the whole host" in found.on("a", ["old"], NOW).expired[0]
    assert found.on("a", ["new"], NOW) == OnHost()


def waiver(ids: t.Iterable[str], until: datetime.datetime, owner: str = "o", hosts: tuple[str, ...] = ("*",)) -> Waiver:
    waived = Waived(owner, "r", "t", until.isoformat())
    return Waiver(inhibitors=tuple(sorted(ids)), hosts=hosts, groups=(), waived=waived, until=until, line=3)


def test_a_renewed_waiver_is_not_told_as_expired_but_what_it_leaves_out_is() -> None:
    old, new = NOW - datetime.timedelta(days=1), NOW + datetime.timedelta(days=1)
    found = Waivers((waiver(["sessions", "pending_reboot"], old), waiver(["sessions"], new))).on("a", [], NOW)
    assert list(found.waived) == ["sessions"]
    assert found.expired[0].startswith("the waiver for pending_reboot (")
    assert Waivers((waiver(["sessions"], old), waiver(["sessions"], new))).on("a", [], NOW).expired == ()
    assert Waivers((waiver(["sessions"], old), waiver([], new))).on("a", [], NOW).expired == ()
    # One that lifts a single inhibitor does not renew one of the whole host.
    assert "the whole host" in Waivers((waiver([], old), waiver(["sessions"], new))).on("a", [], NOW).expired[0]


@given(
    st.lists(
        st.builds(
            waiver,
            st.sets(st.sampled_from(KNOWN), max_size=3),
            st.integers(-3, 3).map(lambda days: NOW + datetime.timedelta(days=days)),
            st.sampled_from("abc"),
            st.sampled_from([("*",), ("web?",), ("db",)]),
        ),
        max_size=6,
    ),
    st.sampled_from(["web1", "db", "x"]),
    st.randoms(use_true_random=False),
)
def test_the_longest_wins_whatever_the_order(entries: list[Waiver], host: str, chance: random.Random) -> None:
    found = Waivers(tuple(entries)).on(host, [], NOW)
    shuffled = list(entries)
    chance.shuffle(shuffled)
    assert Waivers(tuple(shuffled)).on(host, [], NOW) == found
    mine = [e for e in entries if e.covers(host, [])]
    for name in KNOWN:
        valid = [e for e in mine if name in e.inhibitors and e.until > NOW]
        assert (name in found.waived) == bool(valid)
        if valid:
            assert found.waived[name].expires == max(e.until for e in valid).isoformat()
    whole = [e for e in mine if not e.inhibitors and e.until > NOW]
    assert (found.excepted is not None) == bool(whole)
    # Nothing that has run out is lost: it is replaced, or told.
    for e in (e for e in mine if e.until <= NOW):
        replaced = bool(whole) or (bool(e.inhibitors) and set(e.inhibitors) <= set(found.waived))
        assert replaced or any(e.waived.expires in said for said in found.expired)


@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8), st.dates(), st.sampled_from(KNOWN)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(
                st.sampled_from(["schema", "waivers", "inhibitor", "hosts", "groups", "owner", "reason", "x"]),
                inner,
                max_size=5,
            ),
        ),
        max_leaves=12,
    )
)
def test_any_document_is_read_or_refused_in_words(tmp_path_factory: pytest.TempPathFactory, data: object) -> None:
    folder = tmp_path_factory.mktemp("w")
    text = yaml.safe_dump(data, allow_unicode=True)
    said: tuple[str, ...] = ()
    try:
        read(folder, text)
    except WaiverError as exc:
        said = exc.mistakes
    assert all(line.startswith(f"{folder}/waivers.yml") and "; " in line for line in said)
    assert len(set(said)) == len(said)
    assert said or (isinstance(data, dict) and data["schema"] == 1)


NAMES = st.text("abcxyz-.0123456789*?", min_size=1, max_size=6).filter(lambda name: not re.search(r"\.\*", name))
ANSWERS = st.text(st.characters(categories=["L", "N", "P", "Zs"]), min_size=1, max_size=20).filter(
    lambda text: any(char.isalnum() for char in text) and text.isprintable()
)


@given(st.data())
def test_what_is_read_is_right_by_the_schema_too(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    draw = data.draw
    one: dict[str, t.Any] = {
        "hosts": draw(st.lists(NAMES, min_size=1, max_size=3, unique=True)),
        **{key: draw(ANSWERS) for key in ("owner", "reason", "ticket")},
        "expires": draw(st.dates(datetime.date(2000, 1, 1), datetime.date(2031, 6, 16))),
        **draw(st.sampled_from([{"whole_host": True}, {"inhibitor": "sessions"}, {"inhibitor": ["sessions"]}])),
    }
    text = yaml.safe_dump({"schema": 1, "waivers": [one]}, allow_unicode=True)
    found = read(tmp_path_factory.mktemp("w"), text).entries[0]
    assert found.hosts == tuple(sorted(one["hosts"]))
    assert found.waived.owner == " ".join(one["owner"].split())
    assert found.waived.expires == one["expires"].isoformat()
    assert list(SCHEMA.iter_errors(as_json(text))) == []


def test_every_key_of_the_schema_is_one_of_the_reader_and_needs_no_ansible() -> None:
    schema: t.Any = SCHEMA.schema
    properties = schema["$defs"]["waiver"]["properties"]
    code = (
        "import sys\n"
        "from ansible_collections.evict.kaspersky.plugins.plugin_utils import secret_names, waivers\n"
        "assert not [name for name in sys.modules if name == 'ansible' or name.startswith('ansible.')]\n"
        "print(' '.join(waivers._KEYS))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tree.ROOT)
    assert sorted(done.stdout.split()) == sorted(properties)


def test_patterns_cover_what_they_say() -> None:
    cases = itertools.product(["web1", "WEB1", "web", "web.x"], ["web?", "web*", "web1", "web.?*"])
    found = {(host, p): waiver(["x"], NOW, hosts=(p,)).covers(host, ["g"]) for host, p in cases}
    assert {key for key, value in found.items() if value} == {
        ("web1", "web?"), ("web1", "web*"), ("web1", "web1"), ("web", "web*"), ("web.x", "web*"), ("web.x", "web.?*")
    }  # fmt: skip
