# SPDX-License-Identifier: GPL-3.0-or-later
"""`evict compare`: what is certain matches, what is not is said, and nothing is green while a host is missing."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
from pathlib import Path

import pytest

from evict import compare, compare_facts, compare_match, table
from evict.compare_match import AMBIGUOUS, MATCHED, MISSING, NAMELESS, Known

HOSTS = (
    Known("web01.example.org"),
    Known("DB01"),
    Known("desk", "10.0.0.9"),
    Known("longname-workstation-7.example.org"),
    Known("app.one.example.org"),
    Known("app.two.example.org"),
    Known("alias", "real.example.org"),
    Known("10.0.0.77"),
)


def rows(where: Path, text: str, hosts: tuple[Known, ...] = HOSTS) -> list[compare_match.Entry]:
    """The rows of an export after the match."""
    path = where / "export.csv"
    path.write_text(text)
    found = compare_match.entries(table.read(path, compare.FIELDS, need=compare.NEED))
    compare_match.match(compare_match.Index(hosts), found)
    return found


@pytest.mark.parametrize(
    ("cells", "status", "host", "how"),
    [
        ("WEB01.EXAMPLE.ORG.,", MATCHED, "web01.example.org", "by its name"),
        ("web01$,", MATCHED, "web01.example.org", "by its short name"),
        ("CORP\\DB01$,", MATCHED, "DB01", "by its name"),
        ('"CN=db01,OU=Servers,DC=example",', MATCHED, "DB01", "by its name"),
        ("db01.corp.example.org,", MATCHED, "DB01", "by its short name"),
        ("LONGNAME-WORKST,", MATCHED, "longname-workstation-7.example.org", "NetBIOS"),
        ("LONGNAME-WORKS,", MISSING, "", ""),
        ("real.example.org,", MATCHED, "alias", "by its name"),
        ("other,10.0.0.9", MATCHED, "desk", "the names differ: other"),
        (",10.0.0.77", MATCHED, "10.0.0.77", "by its address"),
        ("10.0.0.77,", MATCHED, "10.0.0.77", "by its address"),
        ('x,"127.0.0.1, ::1"', MISSING, "", ""),
        ("app,", AMBIGUOUS, "", "may be any of app.one.example.org, app.two.example.org"),
        ("app.three.example.org,", MISSING, "", "in another domain"),
        ("ghost,10.1.1.1", MISSING, "", ""),
        (",", NAMELESS, "", "neither a name"),
    ],
)
def test_a_row(cells: str, status: str, host: str, how: str, tmp_path: Path) -> None:
    found = rows(tmp_path, f"Name,IP address,OU\n{cells},x\n")[0]
    assert (found.status, found.host) == (status, host), found.how
    assert how in found.how


def test_short_names_in_the_inventory_and_two_domains_in_the_export(tmp_path: Path) -> None:
    found = rows(tmp_path, "FQDN\ndb01.a.example.org\ndb01.b.example.org\n")
    assert [entry.status for entry in found] == [AMBIGUOUS, AMBIGUOUS]
    assert "DB01 of the inventory may be any of db01.a.example.org, db01.b.example.org" in found[0].how


def test_two_long_names_that_begin_the_same(tmp_path: Path) -> None:
    found = rows(tmp_path, "Name\nLONGNAME-WORKST\nlongname-workstation-8\n")
    assert [entry.status for entry in found] == [AMBIGUOUS, MISSING]


def test_an_address_that_belongs_to_another_row_is_no_match(tmp_path: Path) -> None:
    found = rows(tmp_path, "Name,IP address\nold-pc,10.0.0.9\ndesk,10.0.0.9\n")
    assert [(entry.status, entry.host) for entry in found] == [(MISSING, ""), (MATCHED, "desk")]
    assert "is that of desk, which is line 3" in found[0].how


def test_duplicates_are_named(tmp_path: Path) -> None:
    found = rows(tmp_path, "Name\ndb01\nDB01$\nghost\nGHOST.\n")
    assert {(name, tuple(e.row.line for e in same)) for name, same in compare_match.duplicates(found)} == {
        ("DB01", (2, 3)),
        ("ghost", (4, 5)),
    }
    assert compare_match.Index((Known("a", "10.0.0.1"), Known("b", "10.0.0.1"))).twice() == [
        "a, b share the address 10.0.0.1"
    ]


@pytest.mark.parametrize(
    ("text", "day", "date"),
    [
        ("2024-01-03T10:00:00Z", None, "2024-01-03"),
        ("2024-01-03 10:00", None, "2024-01-03"),
        ("03.01.2024 10:00:00", None, "2024-01-03"),
        ("3/1/2024", True, "2024-01-03"),
        ("1/3/2024 1:00:00 PM", False, "2024-01-03"),
        ("133487424000000000", None, "2024-01-03"),
        ("20240103100000.0Z", None, "2024-01-03"),
        ("1704276000", None, "2024-01-03"),
        ("1704276000000", None, "2024-01-03"),
        ("2024/1/3", None, "2024-01-03"),
    ],
)
def test_times(text: str, day: bool | None, date: str) -> None:
    found = compare_facts.when(text, day)
    assert found is not None
    assert found.date().isoformat() == date


def test_times_that_cannot_be_told_are_shown_as_they_are() -> None:
    now = datetime.datetime(2024, 3, 1, tzinfo=datetime.UTC)
    assert compare_facts.seen("3/1/2024", None, now) == "last seen 3/1/2024"
    assert compare_facts.seen("yesterday", None, now) == "last seen yesterday"
    assert compare_facts.seen("2024-02-20", None, now) == "last seen 2024-02-20 (10 days ago)"
    assert compare_facts.day_first(["1/2/2024", "13/2/2024"]) is True
    assert compare_facts.day_first(["1/2/2024", "2/13/2024"]) is False
    assert compare_facts.day_first(["1/2/2024"]) is None


@pytest.mark.parametrize(
    ("header", "cell", "said"),
    [
        ("Enabled", "False", "disabled"),
        ("Enabled", "True", ""),
        ("Включена", "Нет", "disabled"),
        ("Deaktiviert", "Ja", "disabled"),
        ("Deaktiviert", "Nein", ""),
        ("userAccountControl", "4098", "disabled"),
        ("userAccountControl", "4096", ""),
        ("Enabled", "maybe", "Enabled: maybe"),
    ],
)
def test_disabled_accounts(header: str, cell: str, said: str, tmp_path: Path) -> None:
    found = rows(tmp_path, f"Name,{header}\npc1,{cell}\n")[0]
    assert compare_facts.disabled(found.export, found.row) == said


def evict(where: Path, *args: str) -> tuple[int, str]:
    """Exit code and output of `evict compare`."""
    done = subprocess.run(
        [sys.executable, "-m", "evict", "compare", *args], cwd=where, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_the_command(tmp_path: Path) -> None:
    (tmp_path / "fleet").mkdir()
    (tmp_path / "fleet" / "hosts").write_text("web01 ansible_host='{{ where }}'\ndb01\n")
    (tmp_path / "fleet" / "group_vars").mkdir()
    (tmp_path / "fleet" / "group_vars" / "all.yml").write_text("where: 10.0.0.1\n")
    (tmp_path / "ad.csv").write_bytes("Имя компьютера;IP-адрес\nWEB-EXTERN;10.0.0.1\nDB01$;\n".encode("cp1251"))
    code, out = evict(tmp_path, "-i", "fleet/hosts", "--with", "ad.csv")
    assert (code, "exit code 0" in out) == (0, True), out
    assert "WEB-EXTERN = web01" in out
    (tmp_path / "cmdb.tsv").write_text("Foo\tWhen\nghost\t2020-01-01\n=cmd\t\n")
    code, out = evict(tmp_path, "-i", "fleet/hosts", "--with", "ad.csv", "--with", "cmdb.tsv")
    assert (code, "'Foo', 'When'" in out) == (1, True), out
    more = ("--with", "ad.csv", "--with", "cmdb.tsv", "--column", "host=Foo", "--column", "last_seen=When")
    code, out = evict(tmp_path, "-i", "fleet/hosts", *more)
    assert code == 2
    assert "ghost  [cmdb.tsv:2]  last seen 2020-01-01" in out
    assert "2 missing, 2 matched" in out
    code, out = evict(tmp_path, "-i", "fleet/hosts", *more, "--format", "json", "--out", "out.json")
    body = json.loads((tmp_path / "out.json").read_text())
    assert (code, body["exit_code"], body["totals"]["missing"]) == (2, 2, 2)
    assert [row["original"] for row in body["rows"]][2] == {"Foo": "ghost", "When": "2020-01-01"}
    assert len(body["rows"]) == 4
    code, out = evict(tmp_path, "-i", "fleet/hosts", *more, "--format", "csv")
    assert "missing,'=cmd," in out
    for wrong in (["--with", "nowhere.csv"], [], ["--nonsense"], ["--with", "ad.csv", "--column", "host"]):
        code, out = evict(tmp_path, "-i", "fleet/hosts", *wrong)
        assert code == 1, out
        assert "Traceback" not in out
