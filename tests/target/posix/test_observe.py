# SPDX-License-Identifier: GPL-3.0-or-later
"""observe.sh in every shell of this machine, on files and stubs in a temporary folder. Real hosts: tests/lab."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import knowledge
from ansible_collections.evict.kaspersky.plugins.plugin_utils.catalog import LITERAL_KEYS
from ansible_collections.evict.kaspersky.plugins.plugin_utils.observation import Observation, Probe, parse_posix

NONCE = "evict-0123456789abcdef01234567"
KEYS = tuple(key.upper() for key in LITERAL_KEYS["linux"])
SHELLS = {"dash": ["dash"], "bash": ["bash", "--posix"], "busybox": ["busybox", "sh"], "mksh": ["mksh"], "ksh": ["ksh"]}
Shell = list[str]


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> Shell:
    """Each shell that is here; /bin/sh of a target is one of them."""
    words = SHELLS[request.param]
    if shutil.which(words[0]) is None:
        pytest.skip(f"no {words[0]} on this machine: observe.sh in it")
    return words


def say(script: str, **values: str) -> str:
    given = {**dict.fromkeys(KEYS, ""), "NONCE": NONCE, "TIMEOUT": "20", **values}
    quoted = {k: v.replace("'", "'\\''") for k, v in given.items()}
    return "".join(f"EVICT_{k}='{v}'\n" for k, v in quoted.items()) + script


def look(
    shell: Shell, *, moved: dict[str, str] | None = None, wrap: tuple[str, ...] = (), **values: str
) -> Observation:
    """Run the script on stdin, as a host gets it; `moved` puts its fixed places below the test's folder."""
    script = knowledge.OBSERVE_SH
    for place, other in (moved or {}).items():
        assert place in script
        script = script.replace(place, other)
    done = subprocess.run(
        [*wrap, *shell], input=say(script, **values).encode(), capture_output=True, timeout=60, check=False
    )
    seen = parse_posix(done.stdout, NONCE)
    assert seen is not None, (done.stdout, done.stderr)
    assert done.stderr == b""
    return seen


def stubs(folder: Path, **programs: str) -> dict[str, str]:
    """Programs that stand before all others on the script's PATH."""
    folder.mkdir(exist_ok=True)
    for name, body in programs.items():
        (folder / name.replace("_", "-")).write_text(f"#!/bin/sh\n{body}\n")
        (folder / name.replace("_", "-")).chmod(0o755)
    return {"PATH=/usr/sbin:": f"PATH={folder}:/usr/sbin:"}


def dpkg(folder: Path, body: str) -> dict[str, str]:
    (folder / "info").mkdir(parents=True, exist_ok=True)
    (folder / "info" / "x.list").write_text("")
    (folder / "status").write_text("Package: base\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n")
    return {**stubs(folder / "bin", dpkg_query=body), "/var/lib/dpkg": str(folder)}


def test_this_machine(shell: Shell) -> None:
    catalog = knowledge.catalog()
    values = {k.upper(): "\n".join(v) for k, v in catalog.literals("linux").items()}
    seen = look(shell, moved=None, wrap=(), **values)
    assert seen.platform == "linux"
    assert seen.host["kernel"] == os.uname().release
    assert seen.host["euid"] == str(os.geteuid())
    blind = {name for name, probe in seen.probes.items() if probe.status == "unknown"}
    assert blind <= ({"processes"} if os.geteuid() else set()), seen.probes


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("install ok installed", "ii"),
        ("deinstall ok config-files", "rc"),
        ("install ok unpacked", "iU"),
        ("install ok half-configured", "iF"),
        ("install reinstreq half-installed", "iHR"),
        ("hold ok installed", "hi"),
        ("install ok triggers-pending", "it"),
    ],
)
def test_dpkg_states(tmp_path: Path, status: str, state: str) -> None:
    answer = f"echo '=base|1|all|install ok installed'; echo '=kesl|12.1-1|amd64|{status}'"
    seen = look(["sh"], moved=dpkg(tmp_path, answer), PACKAGES="kesl")
    assert seen.probes["packages.dpkg"] == Probe(
        "ok", "", ({"name": "kesl", "version": "12.1-1", "arch": "amd64", "state": state},)
    )


def test_dpkg_names_are_exact_and_foreign_architectures_come_along(shell: Shell, tmp_path: Path) -> None:
    names = ("kesl-gui", "xkesl", "kesl")
    answer = "; ".join(f"echo '={name}|1|amd64|install ok installed'" for name in names)
    answer += "; echo '=kesl|1|i386|install ok installed'"
    seen = look(shell, moved=dpkg(tmp_path, answer), PACKAGES="kesl")
    assert [(r["name"], r["arch"]) for r in seen.probes["packages.dpkg"].records] == [
        ("kesl", "amd64"),
        ("kesl", "i386"),
    ]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("echo 'dpkg-query: error: parsing file status' >&2; exit 2", "parsing file"),
        ("exit 2", "ended with 2"),
        ("true", "names no package"),
        ("sleep 30", "did not answer in 1 s"),
        ("echo '=kesl|1|amd64|install ok installed'; echo 'warning: something' >&2", "something"),
    ],
)
def test_dpkg_that_cannot_tell(shell: Shell, tmp_path: Path, body: str, words: str) -> None:
    start = time.monotonic()
    seen = look(shell, moved=dpkg(tmp_path, body), PACKAGES="kesl", TIMEOUT="1")
    assert seen.probes["packages.dpkg"].status == "unknown"
    assert words in seen.probes["packages.dpkg"].reason
    assert seen.probes["paths"].status == "absent", "the others answer all the same"
    assert time.monotonic() - start < 20  # a bound against hanging, not a measure of speed


def test_no_dpkg_is_absent_and_a_lost_status_file_is_not(tmp_path: Path) -> None:
    assert look(["sh"], moved={"/var/lib/dpkg": str(tmp_path / "none")}).probes["packages.dpkg"].status == "absent"
    moved = dpkg(tmp_path / "lost", "true")
    (tmp_path / "lost" / "status").unlink()
    assert look(["sh"], moved=moved).probes["packages.dpkg"].status == "unknown"


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ("echo '=kesl|12.1-1|x86_64'; echo '=bash|5-1|x86_64'", "ok", ""),
        ("echo '=bash|5-1|x86_64'", "absent", ""),
        ("true", "unknown", "names no package"),
        ("echo 'error: db5 error' >&2; exit 1", "unknown", "db5"),
        ("sleep 30", "unknown", "did not answer in 1 s"),
    ],
)
def test_rpm(shell: Shell, tmp_path: Path, body: str, status: str, words: str) -> None:
    (tmp_path / "db").mkdir()
    (tmp_path / "db" / "rpmdb.sqlite").write_text("x")
    programs = stubs(tmp_path / "bin", rpm=f"case $1 in --eval) echo {tmp_path}/db; exit ;; esac\n{body}")
    seen = look(shell, moved={**programs, "/var/lib/rpm": str(tmp_path / "nowhere")}, PACKAGES="kesl", TIMEOUT="1")
    found = seen.probes["packages.rpm"]
    assert found.status == status, found
    assert words in found.reason
    if status == "ok":
        assert found.records == ({"name": "kesl", "version": "12.1-1", "arch": "x86_64", "state": "installed"},)


def test_paths(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "program").write_text("")
    (tmp_path / "real" / "program").chmod(0o755)
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "dangling").symlink_to("nowhere")
    odd = "a b\n\x1b[31m{{ 1 }}\u043a"
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / odd).write_text("")
    asked = ["link/program", "dangling", "none", "none/below", "real/program/below", "odd/*", "real"]
    seen = look(shell, PATHS="\n".join(f"{tmp_path}/{p}" for p in asked)).probes["paths"]
    found = {r["path"].removeprefix(f"{tmp_path}/"): r for r in seen.records}
    assert set(found) == {"link/program", "dangling", f"odd/{odd}", "real"}, seen
    assert seen.status == "ok"
    assert found["link/program"]["real"] == f"{tmp_path}/real/program"
    assert found["link/program"]["executable"] == "yes"
    assert found["dangling"]["type"] == "dangling"
    assert found["real"]["type"] == "dir"
    assert found[f"odd/{odd}"]["pattern"] == f"{tmp_path}/odd/*"


@pytest.fixture
def nobody(tmp_path: Path) -> Iterator[tuple[str, ...]]:
    """How to run a shell as somebody who may not look everywhere, with tmp_path open to them."""
    if os.geteuid() != 0:
        yield ()
        return
    if shutil.which("setpriv") is None:
        pytest.skip("no setpriv on this machine: what an ordinary user may not see")
    for place in (tmp_path, *tmp_path.parents):
        if place in (Path("/"), Path("/tmp")):
            break
        place.chmod(0o755)
    yield ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--")


def test_a_closed_folder_is_unknown_and_named(shell: Shell, tmp_path: Path, nobody: tuple[str, ...]) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    (closed / "kesl").write_text("")
    closed.chmod(0)
    try:
        seen = look(shell, wrap=nobody, PATHS=f"{closed}/kesl\n{tmp_path}/none", TREES=str(closed))
    finally:
        closed.chmod(0o700)
    for name in ("paths", "trees"):
        assert seen.probes[name].status == "unknown", seen.probes[name]
        assert "closed" in seen.probes[name].reason
        assert "become" in seen.probes[name].reason


def test_an_ordinary_user_cannot_tell_about_processes(nobody: tuple[str, ...]) -> None:
    seen = look(["sh"], wrap=nobody, EXE_DIRS="/opt/kaspersky").probes["processes"]
    assert seen.status == "unknown"
    assert "become" in seen.reason


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Path]:
    """A program that runs, below a folder with an odd name."""
    folder = tmp_path / "odd\nname" / "kesl"
    folder.mkdir(parents=True)
    file = folder / "daemon"
    shutil.copy(shutil.which("sleep") or "/bin/sleep", file)
    process = subprocess.Popen([file, "60"])
    yield file
    process.kill()
    process.wait()


def test_process_by_its_executable(shell: Shell, tmp_path: Path) -> None:
    real = tmp_path / "mount" / "kesl"
    real.mkdir(parents=True)
    shutil.copy(shutil.which("sleep") or "/bin/sleep", real / "daemon")
    (tmp_path / "opt").symlink_to("mount")
    process = subprocess.Popen([real / "daemon", "60"])
    try:
        asked = f"{tmp_path}/opt\n{tmp_path}/elsewhere"
        (record,) = look(shell, EXE_DIRS=asked).probes["processes"].records
        assert record["pid"] == str(process.pid)
        assert record["exe"] == f"{real}/daemon"
        assert record["dir"] == f"{tmp_path}/opt"
        assert record["root"] == "same"
        assert record["deleted"] == "no"
        (real / "daemon").unlink()
        (record,) = look(shell, EXE_DIRS=asked).probes["processes"].records
        assert record["exe"] == f"{real}/daemon"
        assert record["deleted"] == "yes"
    finally:
        process.kill()
        process.wait()


def test_a_name_with_a_line_end_forges_nothing(shell: Shell, program: Path) -> None:
    # What the name would look like in a listing: a line of its own that speaks of a process below /name/kesl.
    seen = look(shell, EXE_DIRS="name/kesl\n/name").probes["processes"]
    assert seen.records == ()


def test_trees(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "kics" / "bin").mkdir(parents=True)
    (tmp_path / "kics" / "bin" / "kics").write_text("")
    (tmp_path / "kics" / "bin" / "kics").chmod(0o755)
    (tmp_path / "left").mkdir()
    (tmp_path / "left" / "notes").write_text("")
    records = look(shell, TREES=str(tmp_path)).probes["trees"].records
    assert {r["child"]: r["programs"] for r in records} == {"kics": "yes", "left": "no"}


def test_setup(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "applications.setup"
    file.write_bytes(b"; comment\r\n[1103]\r\nNAME=x\r\n version = 15.1.0 \r\n[1093]\r\n")
    records = look(shell, SETUP_FILES=str(file)).probes["setup"].records
    assert [(r["section"], r["version"]) for r in records] == [("1103", "15.1.0"), ("1093", "")]


def test_accounts(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "passwd").write_text("root:x:0:0::/root:/bin/sh\nanna:x:1000:990::/home/anna:/bin/sh\n")
    (tmp_path / "group").write_text("kesladmin:x:990:bob\nxkesladmin:x:991:\n")
    moved = {"/etc/passwd": str(tmp_path / "passwd"), "/etc/group": str(tmp_path / "group")}
    (record,) = look(shell, moved=moved, USERS="klnagent", GROUPS="kesladmin").probes["accounts"].records
    assert record == {"kind": "group", "name": "kesladmin", "id": "990", "members": "bob,anna"}


def test_a_cut_script_runs_nothing(shell: Shell) -> None:
    """A transfer that breaks off anywhere leaves no whole answer and touches nothing."""
    dice = random.Random(99)
    text = say(knowledge.OBSERVE_SH)
    head = len(say(""))
    for _ in range(60):
        at = dice.randrange(head, len(text) - len('main "$@" </dev/null\n') + 1)
        done = subprocess.run(shell, input=text[:at].encode(), capture_output=True, timeout=30, check=False)
        assert NONCE.encode() not in done.stdout, text[max(0, at - 200) : at]


def test_standard_input_is_left_alone(shell: Shell) -> None:
    done = subprocess.run(
        shell, input=(say(knowledge.OBSERVE_SH) + "echo AFTER\n").encode(), capture_output=True, timeout=30, check=False
    )
    assert done.stdout.endswith(b"AFTER\n")


def test_values_cannot_break_out(shell: Shell, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    evil = f"$(touch {mark})`touch {mark}`';touch {mark};'\"; touch {mark}"
    look(shell, PACKAGES=evil, PATHS=f"/{evil}", UNITS=evil, USERS=evil, EXE_DIRS=f"/{evil}", SETUP_FILES=f"/{evil}")
    assert not mark.exists()
