# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of others: every encoding, separator and language is read, and no row gets lost."""

from __future__ import annotations

import collections
import tempfile
import typing as t
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from evict import headers, table
from evict.errors import UsageError

DEVICES = ("host", "fqdn", "ip", "os", "product", "version", "last_seen", "group", "ksc_server", "enabled", "disabled")
SOFTWARE = ("kind", "host", "name", "publisher", "version", "key", "path")
NEED = ("host", "fqdn", "ip")


def made(where: Path, data: bytes | str, encoding: str = "utf-8") -> Path:
    """A file."""
    path = where / "list.csv"
    path.write_bytes(data.encode(encoding) if isinstance(data, str) else data)
    return path


def read(where: Path, data: bytes | str, written: str = "utf-8", **more: t.Any) -> table.Table:
    """A table of devices."""
    return table.read(made(where, data, written), DEVICES, need=NEED, **more)


def hosts(found: table.Table) -> list[str]:
    """The hosts of a table."""
    return [row.values["host"] for row in found.rows]


def test_no_header_stands_in_two_fields() -> None:
    body = yaml.safe_load(headers.FILE.read_text())
    places = collections.defaultdict(set)
    for field, languages in body.items():
        for language, names in languages.items():
            for name in names:
                assert isinstance(name, str)
                assert headers.plain(name), name
                if language != "weak":
                    places[headers.plain(name)].add(field)
    assert {name: where for name, where in places.items() if len(where) > 1} == {}
    assert set(DEVICES) | set(SOFTWARE) == set(headers.fields())


@pytest.mark.parametrize(
    "language", ["de", "fr", "es", "it", "pt", "ru", "uk", "pl", "tr", "ja", "zh-Hans", "zh-Hant", "ko", "nl", "cs"]
)
def test_every_field_of_a_language_is_recognised(language: str, tmp_path: Path) -> None:
    body = yaml.safe_load(headers.FILE.read_text())
    for fields in (DEVICES[:-2], SOFTWARE):
        missing = [f for f in fields if not body[f].get(language) and f not in ("version", "ksc_server")]
        assert missing == [], language
        have = [f for f in fields if body[f].get(language)]
        names = [body[f][language][0] for f in have]
        text = ";".join(names) + "\n" + ";".join(f"cell {n}" for n in range(len(names))) + "\n"
        found = table.read(made(tmp_path, text), fields, need=("host", "name"))
        assert {f: v for f, v in found.rows[0].values.items() if f in have} == {
            f: f"cell {n}" for n, f in enumerate(have)
        }


RUSSIAN = """\
Имя компьютера;IP-адрес;Операционная система
Склад-01;10.0.0.1;Windows 10 Корпоративная
"""
ENCODED = {
    "utf-8": RUSSIAN,
    "utf-8-sig": "Gerätename;IP-Adresse;Betriebssystem\nBÜRO-01;10.0.0.1;Windows für alle\n",
    "utf-16": "コンピューター名;IPアドレス;OS名\nPC-01;10.0.0.1;ウィンドウズ\n",
    "cp1251": RUSSIAN,
    "cp866": RUSSIAN,
    "koi8-r": RUSSIAN,
    "cp1252": "Gerätename;IP-Adresse;Betriebssystem\nBÜRO-01;10.0.0.1;Windows für alle\n",
    "cp1250": "Název počítače;Adresa IP;Operační systém\nÚČTO-01;10.0.0.1;Windows pro všechny\n",
    "cp1254": "Bilgisayar ad\u0131;IP adresi;İşletim sistemi\nŞUBE-01;10.0.0.1;Windows Türkçe ığş\n",
    "cp932": "コンピューター名;IPアドレス;オペレーティングシステム\n東京-01;10.0.0.1;ウィンドウズ\n",
    "gb18030": "计算机名称;IP 地址;操作系统\n北京-01;10.0.0.1;视窗\n",
    "big5": "電腦名稱;IP 位址;作業系統\n台北-01;10.0.0.1;視窗\n",
    "cp949": "컴퓨터 이름;IP 주소;운영 체제\n서울-01;10.0.0.1;윈도우\n",
}


@pytest.mark.parametrize("encoding", ENCODED)
def test_encodings_are_found(encoding: str, tmp_path: Path) -> None:
    text = ENCODED[encoding]
    found = read(tmp_path, text, encoding)
    values = [found.rows[0].values[f] for f in ("host", "ip", "os")]
    assert values == text.splitlines()[1].split(";"), found.encoding
    assert found.problems == ()


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_its_mark(encoding: str, tmp_path: Path) -> None:
    found = read(tmp_path, "Name,DNSHostName\r\npc1,pc1.example.org\r\n", encoding)
    assert (found.encoding, found.rows[0].values["fqdn"], found.problems) == (encoding, "pc1.example.org", ())


def test_headers_in_ascii_and_cells_in_a_code_page(tmp_path: Path) -> None:
    text = "Name,OperatingSystem,OU\npc1,Windows,Бухгалтерия\npc2,Windows,Отдел кадров\n"
    found = read(tmp_path, text, "cp1251")
    assert [row.values["group"] for row in found.rows] == ["Бухгалтерия", "Отдел кадров"]
    text = "Name,OperatingSystem,OU\npc1,Windows,Geschäftsführung\npc2,Windows,Café\n"
    assert read(tmp_path, text, "cp1252").rows[0].values["group"] == "Geschäftsführung"


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separators_are_found(separator: str, tmp_path: Path) -> None:
    lines = [["Name", "IP address", "Description"], ["pc1", "10.0.0.1", '"a, b; c | d"'], ["pc2", "10.0.0.2", "plain"]]
    found = read(tmp_path, "\n".join(separator.join(line) for line in lines))
    assert (found.separator, hosts(found), found.problems) == (separator, ["pc1", "pc2"], ())
    assert found.original(found.rows[0]) == {"Name": "pc1", "IP address": "10.0.0.1", "Description": "a, b; c | d"}


def test_one_column_and_no_header(tmp_path: Path) -> None:
    found = read(tmp_path, "srv-01.example.org\nsrv-02.example.org\n")
    assert [row.values["fqdn"] for row in found.rows] == ["srv-01.example.org", "srv-02.example.org"]
    assert [row.line for row in found.rows] == [1, 2]
    found = read(tmp_path, "pc-01;x\npc-02;y\n")
    assert (hosts(found), found.headers, found.how) == (
        ["pc-01", "pc-02"],
        ("column 1", "column 2"),
        {"host": "values"},
    )


def test_unknown_headers_go_by_the_values(tmp_path: Path) -> None:
    found = read(tmp_path, "Foo;Bar;Baz\nyes;srv-01;10.1.1.1\nno;srv-02;10.1.1.2\n")
    assert (hosts(found), found.rows[1].values["ip"]) == (["srv-01", "srv-02"], "10.1.1.2")
    assert found.how == {"host": "values", "ip": "values"}
    assert "host=Bar (by its values)" in found.described()


def test_nothing_recognised_is_an_error_with_the_headers(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        read(tmp_path, "Foo;Bar\nyes;no\nno;yes\n")
    for words in ("'Foo', 'Bar'", "host or fqdn or ip", "--column host=NAME", "semicolon", "utf-8"):
        assert words in str(error.value)


def test_columns_as_the_user_says(tmp_path: Path) -> None:
    text = "Foo;Name\nreal;shown\n"
    assert hosts(read(tmp_path, text)) == ["shown"]
    for name in ("Foo", "foo", "1"):
        assert hosts(read(tmp_path, text, columns={"host": name})) == ["real"]
    with pytest.raises(UsageError, match=r"has no column 'Fooo'; its columns are .*'Foo', 'Name'"):
        read(tmp_path, text, columns={"host": "Fooo"})
    with pytest.raises(UsageError, match="there is no such field"):
        read(tmp_path, text, columns={"hots": "Foo"})


def test_name_is_the_host_in_one_list_and_the_software_in_another(tmp_path: Path) -> None:
    path = made(tmp_path, "Name,Version\nx,1\n")
    assert table.read(path, DEVICES).rows[0].values["host"] == "x"
    both = table.read(made(tmp_path, "Computer,Name,Version\npc,x,1\n"), SOFTWARE).rows[0].values
    assert (both["host"], both["name"]) == ("pc", "x")


def test_titles_above_the_header(tmp_path: Path) -> None:
    found = read(tmp_path, "sep=;\nDevice report\n\nDevice name;IP address\npc1;10.0.0.1\n")
    assert hosts(found) == ["pc1"]
    assert found.above == ((1, "sep=;"), (2, "Device report"))
    typed = read(tmp_path, '#TYPE Selected.ADComputer\n"Name","DNSHostName"\n"pc1","pc1.example.org"\n')
    assert hosts(typed) == ["pc1"]


def test_damaged_lines_are_kept_and_named(tmp_path: Path) -> None:
    data = (
        b"Name;IP;OU\npc1;10.0.0.1;a\npc2;10.0.0.2\npc3;10.0.0.3;a;b;c\npc4;10.0\x00.0.4;a\npc5;10.0.0.5;\xff\xfe\n"
        b'pc6;10.0.0.6;"open\npc7;10.0.0.7;"x" y\n;;\n\npc8;10.0.0.8;"two\nlines"\npc9;10.0.0.9;a\n'
    )
    found = read(tmp_path, data + "pc10;10.0.0.10;größer\n".encode() * 3)
    assert hosts(found)[:10] == ["pc1", "pc2", "pc3", "pc4", "pc5", "pc6", "pc7", "", "pc8", "pc9"]
    assert found.encoding == "utf-8"
    said = {p.line: p.text for p in found.problems}
    assert sorted(said) == [3, 4, 5, 6, 7, 8, 9]
    assert "2 cells where the header has 3" in said[3]
    assert "5 cells where the header has 3" in said[4]
    assert "NUL bytes" in said[5]
    assert "no utf-8" in said[6]
    assert "a quote" in said[7]
    assert "no cell" in said[9]
    rows = {row.line: row for row in found.rows}
    assert rows[5].values["ip"] == "10.0.0.4"
    assert rows[6].values["group"] == r"\xff\xfe"
    assert found.original(rows[4])["column 5"] == "c"
    assert rows[11].values["group"] == "two\nlines"


def test_no_table_is_said_to_be_none(tmp_path: Path) -> None:
    for data, words in (
        (b"PK\x03\x04rest", "save it as CSV"),
        (b"<?xml version='1.0'?>", "XML"),
        (b"\n \n", "is empty"),
        (b"", "is empty"),
    ):
        with pytest.raises(UsageError, match=words):
            read(tmp_path, data)
    with pytest.raises(UsageError, match="is no file"):
        table.read(tmp_path, DEVICES)
    with pytest.raises(UsageError, match="no encoding"):
        read(tmp_path, "Name\npc1\n", encoding="nonsense")


def test_several_columns_of_one_field(tmp_path: Path) -> None:
    found = read(tmp_path, "Name,sAMAccountName,IPv4Address,IPv6Address\npc1,PC1$,10.0.0.1,fe80::1\n,PC2$,,\n")
    assert hosts(found) == ["PC1$", "PC2$"]
    assert found.every(found.rows[0], "ip") == ["10.0.0.1", "fe80::1"]


CELL = st.text(alphabet='ab1.-"; \u0416', max_size=6)


@given(st.lists(st.lists(CELL, min_size=1, max_size=5), max_size=20))
def test_no_line_is_lost(lines: list[list[str]]) -> None:
    with tempfile.TemporaryDirectory() as where:
        body = [";".join(cells) for cells in lines]
        found = read(Path(where), "\n".join(["Name;IP address;OU", *body]))
        text = "\n".join(repr(found.original(row)) for row in found.rows)
        taken: set[int] = set()
        for row in found.rows:
            taken |= set(range(row.line, row.line + 1 + sum(cell.count("\n") for cell in row.cells)))
        filled = {n for n, line in enumerate(body, 2) if line.strip()}
        assert filled <= taken, text
