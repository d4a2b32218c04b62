# SPDX-License-Identifier: GPL-3.0-or-later
"""Exclusions: what covers a disk or the system is refused however it is written; what servers need is taken."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.evict.kaspersky.plugins.plugin_utils import policy_exclusions
from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy import Exclusion
from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy_checks import Refused
from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy_exclusions import exclusions, guarded
from tests import tree

FILE = tree.ROOT / "catalog" / "exclusions.yml"
DATA = yaml.safe_load(FILE.read_text(encoding="utf-8"))
MARKS = {"V", "P", "R2", "R1", "T", "I", "memory"}


def taken(kind: str, value: str) -> str:
    """What an exclusion becomes."""
    (found,) = exclusions([{kind: value}])
    assert found.kind == kind
    return found.value


@pytest.mark.parametrize(
    ("kind", "value", "want"),
    [
        ("path", "/var/lib/mysql", "/var/lib/mysql"),
        ("path", "/var/lib/pgsql/*/data/", "/var/lib/pgsql/*/data"),
        ("path", "/opt/oracle", "/opt/oracle"),
        ("path", "/home/app/data", "/home/app/data"),
        ("path", "/data", "/data"),
        ("path", "/srv/a b/[x]", "/srv/a b/[x]"),
        ("path", r"C:\Program Files\Microsoft SQL Server", r"C:\Program Files\Microsoft SQL Server"),
        ("path", r"c:\Windows\NTDS\ntds.dit", r"C:\Windows\NTDS\ntds.dit"),
        ("path", r"C:\Windows\SYSVOL", r"C:\Windows\SYSVOL"),
        ("path", "E:/Hyper-V/*.vhdx", r"E:\Hyper-V\*.vhdx"),
        ("path", r"C:\ClusterStorage", r"C:\ClusterStorage"),
        ("path", r"\\nas\sql\backup", r"\\nas\sql\backup"),
        ("process", r"C:\Program Files\Microsoft\Exchange Server\V15\Bin\edgetransport.exe", None),
        ("process", "/usr/sbin/mysqld", None),
        ("process", "vmms.exe", None),
        ("extension", ".vhdx", "vhdx"),
        ("extension", "*.ldf", "ldf"),
    ],
)
def test_what_servers_need_is_taken(kind: str, value: str, want: str | None) -> None:
    assert taken(kind, value) == (value if want is None else want)


TOO_MUCH = ["/", "//", "/*", "/**", "/?", "/[a-z]*", "/usr", "/usr/", "//usr//lib", "/usr/l*", "/var", "/var/lib/"]
TOO_MUCH += ["/etc", "/home/*", "/tmp", "/tmp/x/y", "/var/tmp/x", "/dev/shm/x", "/dev", "/srv/../etc", "/./", "/opt"]
TOO_MUCH += ["C:", "c:/", "C:\\", "D:\\", "D:\\*", "C:\\*.mdf", "C:/windows/", r"C:\Windows", r"c:\WINDOWS\system32"]
TOO_MUCH += [r"C:\Win*", r"C:\Program Files", r"C:\Users", r"C:\Users\*\x", r"C:\Users\bob", r"C:\Users\Public\x"]
TOO_MUCH += [r"C:\Temp\x", r"C:\Windows\Temp\a\b", r"D:\Windows\System32", r"\\nas\c$", r"\\nas\c$\Windows", r"\\nas"]
ELSEWHERE = [r"C:\PROGRA~1", r"C:\Windows.", r"C:\Windows \x", r"C:\x\..\y", r"C:\x::$DATA", r"\\?\C:\x", r"\\.\C:\x"]
ELSEWHERE += ["//./x", "/srv/./..", r"%SystemDrive%\x", r"C:\%TEMP%", "C:x", "~/x", "$HOME/x", "srv/db", "*", "", " "]
ELSEWHERE += [" /srv", "\\srv", "file:///srv", "/srv\n/etc", "/srv\0"]


@pytest.mark.parametrize("path", TOO_MUCH + ELSEWHERE)
def test_what_covers_too_much_or_means_another_place_is_refused(path: str) -> None:
    with pytest.raises(Refused) as caught:
        exclusions([{"path": path}])
    (mistake,) = caught.value.mistakes
    assert mistake.place == (0, "path")
    assert mistake.words.startswith("must ")
    assert mistake.shown


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("process", v)
        for v in ("*", "java", "JAVA.EXE", r"C:\x\java.exe", "/usr/bin/sh", "bin/x", "", "/usr/bin/", "../x")
    ]
    + [
        ("process", r"C:\x\..\y.exe"),
        ("process", "/srv/*/x"),
        ("extension", "*"),
        ("extension", ""),
        ("extension", "."),
    ]
    + [("extension", v) for v in ("exe", ".EXE", "*.exe", "ko.gz", "m d f", "*.*", "mdf,exe", "a" * 17)],
)
def test_programs_and_types_through_which_malware_comes_are_refused(kind: str, value: str) -> None:
    with pytest.raises(Refused) as caught:
        exclusions([{kind: value}])
    assert [m.place for m in caught.value.mistakes] == [(0, kind)]


@pytest.mark.parametrize("value", [[{}], [{"path": "/a", "process": "b"}], ["/srv"], [None], [{5: "x"}], 5, True, "x"])
def test_what_is_no_list_of_exclusions_is_refused(value: object) -> None:
    with pytest.raises(Refused, match=r"must be|has '5'"):
        exclusions(value)


def test_one_alone_and_twice_the_same() -> None:
    assert exclusions({"path": "/srv/db"}) == (Exclusion("path", "/srv/db"),)
    assert exclusions([{"path": "/srv/db"}, {"path": "/srv//db/"}]) == (Exclusion("path", "/srv/db"),)
    assert exclusions("[{extension: mdf}]") == (Exclusion("extension", "mdf"),)
    assert exclusions([]) == exclusions("") == exclusions({}) == ()


# ---- the data


def test_every_fact_has_a_mark_and_a_source() -> None:
    groups = [*DATA["folders"], DATA["extensions"], DATA["processes"]]
    assert {group["source"] for group in groups} == set(DATA["sources"])
    assert {group["confidence"] for group in groups} <= MARKS
    for names in (DATA["extensions"]["names"], DATA["processes"]["names"]):
        assert names == sorted(set(names))
        assert all(name == name.lower() and not name.endswith(".exe") for name in names)
    for group in DATA["folders"]:
        form = r"(/[^/]+)+" if group["platform"] == "linux" else r"(\\[^\\/:]+)+"
        assert all(re.fullmatch(form, path) for path in group["paths"])


@pytest.mark.parametrize(
    ("platform", "path", "inside"),
    [(group["platform"], path, group.get("inside", False)) for group in DATA["folders"] for path in group["paths"]],
)
def test_each_guarded_folder_is_refused_in_any_spelling(platform: str, path: str, inside: bool) -> None:
    whole = path.replace("\\*", "\\somebody") if platform == "linux" else "C:" + path.replace("\\*", "\\somebody")
    spellings = [
        whole,
        whole + ("/" if platform == "linux" else "\\"),
        whole + ("/*" if platform == "linux" else "\\*"),
    ]
    if platform == "windows":
        spellings += [whole.upper(), "z" + whole[1:].lower(), whole.replace("\\", "/"), whole.replace("\\", "\\\\")]
    spellings += [whole + ("/x/y" if platform == "linux" else r"\x\y")] if inside else []
    for spelling in spellings:
        with pytest.raises(Refused):
            exclusions([{"path": spelling}])


@given(st.lists(st.sampled_from(["usr", "lib", "srv", "*", "x*", "tmp", "var", "a", ".", "..", ""]), max_size=5))
def test_no_accepted_path_covers_a_guarded_folder(names: list[str]) -> None:
    path = "/" + "/".join(names)
    try:
        made = taken("path", path)
    except Refused:
        return
    # A pattern covers a folder when the names before its first wildcard lead to it or above it.
    fixed = re.split(r"[*?\[]", made)[0]
    fixed = fixed if fixed == made else fixed.rpartition("/")[0]
    assert fixed not in ("", "/")
    for platform, folder, _inside in guarded().folders:
        if platform == "linux":
            assert not ("/" + "/".join(folder) + "/").startswith(fixed + "/")
    assert not (fixed + "/").startswith(("/tmp/", "/var/tmp/"))


def test_a_damaged_file_refuses_every_exclusion(tmp_path: Path) -> None:
    for text in (None, "folders: [", "folders: 5", "{}"):
        if text is not None:
            (tmp_path / policy_exclusions.FILE).write_text(text, encoding="utf-8")
        with pytest.raises(Refused, match="missing or damaged; install it again"):
            guarded.__wrapped__(tmp_path)
