# SPDX-License-Identifier: GPL-3.0-or-later
"""The judgement over lists of software: every known name of the domain, look-alikes, and the command."""

from __future__ import annotations

import csv
import io
import typing as t
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.evict.kaspersky.plugins.plugin_utils import catalog
from ansible_collections.evict.kaspersky.plugins.plugin_utils.identify import KINDS, Identifier, Judgement, Software
from evict import cli, identify
from tests import tree

JUDGE = Identifier(catalog.load(tree.ROOT / "catalog"))
NAMES: dict[str, list[dict[str, str]]] = yaml.safe_load(
    (tree.ROOT / "tests" / "fixtures" / "domain" / "windows-names.yml").read_text(encoding="utf-8")
)
CASES = [pytest.param(kind, item, id=f"{kind}-{n}") for kind, items in NAMES.items() for n, item in enumerate(items)]


@pytest.mark.parametrize(("kind", "item"), CASES)
def test_every_name_of_the_domain(kind: str, item: dict[str, str]) -> None:
    row = Software(
        name=item.get("name", "some program"),
        kind="program" if kind == "code" else kind,
        publisher=item.get("pub", ""),
        key=item.get("code", ""),
        path=item.get("path", ""),
    )
    found = JUDGE.judge(row)
    assert found.judgement == item["is"], found
    if item["is"] == "no":
        assert (found.product, found.family, found.confidence) == ("", "", "")
    elif item["product"] != "?":
        assert found.product == item["product"], found
    assert found.why


def test_how_a_name_is_written_does_not_matter() -> None:
    for name in (
        "KASPERSKY ENDPOINT SECURITY FOR WINDOWS",
        "Kaspersky\u00a0Endpoint  Security for Windows",
        "\uff2b\uff41\uff53\uff50\uff45\uff52\uff53\uff4b\uff59 Endpoint Security for Windows",
        "Kaspersky\u200b Endpoint Security for Windows\u202e",
        "\u041aaspersky Endpoint Security for Windows",
    ):
        assert JUDGE.judge(Software(name)).product == "kes", name
    assert JUDGE.judge(Software("Kapersky Internet Security 2016")).judgement == "kaspersky"
    assert JUDGE.judge(Software("Kasper Theme")).judgement == "no"


@pytest.mark.parametrize("name", ["kesl:amd64", "kesl-12.1.0.1297-1.x86_64", "kesl_12.1.0-1297_amd64.deb", "kesl"])
def test_a_package_in_any_manager_s_form(name: str) -> None:
    assert JUDGE.judge(Software(name, kind="package")).product == "kesl"


@pytest.mark.parametrize(
    "name", ["kuma", "kics", "kea", "kata-containers", "kse", "klavaro", "libkldap5", "klibc-utils"]
)
def test_packages_that_only_sound_alike(name: str) -> None:
    assert JUDGE.judge(Software(name, kind="package")).judgement == "no"
    assert JUDGE.judge(Software(name, kind="package", publisher="AO Kaspersky Lab")).judgement == "kaspersky"


@pytest.mark.parametrize("publisher", ["Unknown", "n/a", "-", "(null)", "неизвестно", "未知", "<unknown>"])
def test_a_word_for_not_knowing_the_publisher_is_no_publisher(publisher: str) -> None:
    found = JUDGE.judge(Software("Kaspersky Endpoint Security for Windows", publisher=publisher))
    assert (found.judgement, found.product) == ("kaspersky", "kes")


def test_a_product_s_name_with_another_publisher_is_neither_lost_nor_claimed() -> None:
    found = JUDGE.judge(Software("Kaspersky Endpoint Security for Windows", publisher="Contoso IT"))
    assert (found.judgement, found.product) == ("report_only", "kes")
    assert JUDGE.judge(Software("Kaspersky Quiz", publisher="Contoso IT")).judgement == "no"


@pytest.mark.parametrize(
    "key",
    [
        "{27534751-4A40-48BD-B393-BC3BF28C876E}",
        "27534751-4a40-48bd-b393-bc3bf28c876e",
        "InstallWIX_{27534751-4A40-48BD-B393-BC3BF28C876E}",
        r"HKLM\SOFTWARE\...\Uninstall\{27534751-4A40-48BD-B393-BC3BF28C876E}",
    ],
)
def test_a_code_in_any_form(key: str) -> None:
    assert JUDGE.judge(Software("whatever", key=key)).product == "kes"


@pytest.mark.parametrize("name", ["klnagent", "klserver", "avpui", "kpm"])
def test_a_process_without_its_ending(name: str) -> None:
    assert JUDGE.judge(Software(name, kind="process")).judgement == "kaspersky"


@given(st.sampled_from(["", *KINDS]), *[st.text(max_size=80)] * 5)
def test_any_text_is_judged(kind: str, name: str, publisher: str, version: str, key: str, path: str) -> None:
    found = JUDGE.judge(Software(name, kind, publisher, version, key, path))
    assert found.judgement in t.get_args(t.get_type_hints(Judgement)["judgement"])
    assert (found.judgement == "no") == (found.product == "")


def run(tmp_path: Path, content: str, *more: str, encoding: str = "utf-8") -> tuple[int, list[dict[str, str]]]:
    source, out = tmp_path / "software.csv", tmp_path / "judged.csv"
    source.write_bytes(content.encode(encoding))
    code = cli.main(["identify", str(source), "--out", str(out), *more])
    if code:
        return code, []
    text = out.read_text(encoding="utf-8-sig")
    return code, list(csv.DictReader(io.StringIO(text)))


def test_the_command_keeps_rows_order_and_columns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = (
        "Rechner;Anzeigename;Hersteller;Version;Notiz\n"
        "pc1;Kaspersky Endpoint Security for Windows;AO Kaspersky Lab;12.6;a\n"
        "pc2;7-Zip;Igor Pavlov;24;=cmd|x\n"
        "pc3;Kaspersky Security Center Network Agent;Kaspersky;14;\n"
    )
    code, rows = run(tmp_path, content)
    assert code == 0
    assert list(rows[0])[:5] == ["Rechner", "Anzeigename", "Hersteller", "Version", "Notiz"]
    assert [(row["Rechner"], row["judgement"], row["product"], row["family"]) for row in rows] == [
        ("pc1", "kaspersky", "kes", "endpoint"),
        ("pc2", "no", "", ""),
        ("pc3", "kaspersky", "klnagent", "agent"),
    ]
    assert rows[1]["Notiz"] == "'=cmd|x"
    assert "3 rows: kaspersky 2 (on 2 hosts), report_only 0, no 1" in capsys.readouterr().out


def test_kinds_in_other_languages_and_one_nobody_knows(tmp_path: Path) -> None:
    code, rows = run(tmp_path, "kind,name\nDienst,klnagent\n驱动,klif\nfont,Kaspersky Plus\n")
    assert code == 0
    assert [row["judgement"] for row in rows] == ["kaspersky"] * 3
    assert "unknown kind 'font'" in rows[2]["why"]


def test_a_list_in_an_old_code_page(tmp_path: Path) -> None:
    content = 'Имя устройства;Название программы;Издатель\nPC;Что-то новое;"Лаборатория Касперского"\n'
    code, rows = run(tmp_path, content, encoding="cp1251")
    assert code == 0
    assert (rows[0]["judgement"], rows[0]["family"]) == ("kaspersky", "unknown")


def test_wrong_use_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "software.csv"
    source.write_text("name\nx\n", encoding="utf-8")
    assert cli.main(["identify", str(source), "--out", str(source)]) == 1
    assert "is the list itself" in capsys.readouterr().err
    assert cli.main(["identify", str(tmp_path / "none.csv")]) == 1
    assert "none.csv" in capsys.readouterr().err
    assert cli.main(["identify", str(source), "--column", "name"]) == 1
    assert "FIELD=HEADER" in capsys.readouterr().err
    assert source.read_text(encoding="utf-8") == "name\nx\n"


def test_the_words_for_kinds_are_kinds() -> None:
    assert set(identify._WORDS.values()) == set(KINDS)
