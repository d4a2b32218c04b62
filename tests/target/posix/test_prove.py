# SPDX-License-Identifier: GPL-3.0-or-later
"""The live test against scanners that block, move, miss or lie: what it proves, and that it leaves nothing behind."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import knowledge, proof
from ansible_collections.evict.kaspersky.plugins.plugin_utils.livetest import Test
from ansible_collections.evict.kaspersky.plugins.plugin_utils.proof import Proof
from tests.target.posix import scanner
from tests.watched import file_system, watching

NONCE = "evict-fedcba9876543210fedcba98"
Shell = tuple[str, ...]
MANAGERS = "-,apt,dnf,yum,zypper"
# A scanner on demand: what it does with a file that it detects, and with any other.
ON_DEMAND = """#!/bin/sh
set -- "$1" "$(sha256sum <"$1")"
case $2 in {sha}*) {bad} ;; esac
{good}
"""
FOUND = 'echo "$1: Test.Signature FOUND"; exit 1'
CLEAN = 'echo "$1: OK"; exit 0'


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, which a scanner can watch without being asked about the rest of this machine."""
    with file_system(tmp_path) as place:
        yield place


def on_access(place: Path, **changes: object) -> Test:
    return Test(provider="x", role="replacement", method="eicar_on_access", access=(str(place),), **changes)  # type: ignore[arg-type]


def on_demand(folder: Path, place: Path, *, bad: str = FOUND, good: str = CLEAN, code: str = "1") -> Test:
    program = folder / "scan"
    program.write_text(ON_DEMAND.format(sha=scanner.SHA256, bad=bad, good=good), encoding="utf-8")
    program.chmod(0o755)
    return Test(
        provider="x",
        role="replacement",
        method="eicar_on_demand",
        why_access="not asked",
        demand=(f"={MANAGERS} replacement scan", f"+{program}", "+@file@"),
        places=(str(place),),
        found={"code": code, "contains": "FOUND"},
        clean={"code": "0", "contains": ": OK"},
    )


def script(test: Test, seconds: int = 2, **more: str) -> bytes:
    values = {"NONCE": NONCE, **test.values(run="run 7", seconds=seconds), **more}
    head = "".join(f"EVICT_{name}={shlex.quote(value)}\n" for name, value in values.items())
    return (head + knowledge.PROVE_SH).encode()


def prove(test: Test, shell: Shell = ("sh",), seconds: int = 2) -> Proof:
    done = subprocess.run(shell, input=script(test, seconds), capture_output=True, timeout=120, check=False)
    assert done.stderr == b""
    assert literal() not in done.stdout
    assert literal().hex().encode() not in done.stdout
    return proof.from_answer(test, done.stdout, NONCE)


def literal() -> bytes:
    """The test file, put together from what stands in the script; its checksum says that it is right."""
    part = (Path(knowledge.__file__).parents[2] / "probes" / "posix" / "prove.sh").read_text(encoding="utf-8")
    digits = [
        word for line in part.splitlines() if "='\\01" in line or "'\\01" in line for word in line.split("\\0")[1:]
    ]
    return bytes(int(word[:3], 8) for word in digits)


def test_it_is_put_together_from_pieces_and_stands_nowhere() -> None:
    assert hashlib.sha256(literal()).hexdigest() == scanner.SHA256
    assert literal() not in knowledge.PROVE_SH.encode()
    assert literal()[28:63] not in knowledge.PROVE_SH.encode()


@pytest.mark.parametrize(
    ("how", "seen"),
    [
        ("read", "read"),
        ("write", "write"),
        ("moves", "moved"),
        ("moves_beside", "moved"),
        ("empties", "changed"),
        ("late", "moved"),
    ],
)
def test_blocked_on_access(target_shell: Shell, mount: Path, how: str, seen: str) -> None:
    with watching(how, mount):
        found = prove(on_access(mount), target_shell, seconds=30)
    assert (found.result, found.level, found.control_ok, found.on_access.how) == ("pass", "on_access", True, seen), (
        found
    )
    assert found.on_demand.result == "not_applicable"
    assert found.left == ()
    assert [path.name for path in mount.iterdir()] == (["quarantine"] if how in ("moves", "late") else [])


@pytest.mark.parametrize("how", ["misses", ""])
def test_a_scanner_that_misses_it_fails(target_shell: Shell, mount: Path, how: str) -> None:
    with watching(how, mount) if how else contextlib.nullcontext():
        found = prove(on_access(mount), target_shell)
    assert (found.result, found.level, found.control_ok) == ("fail", "", True), found
    assert "nothing stopped it" in found.detail
    assert list(mount.iterdir()) == []


def test_where_the_control_file_is_eaten_too_nothing_is_proved(target_shell: Shell, mount: Path) -> None:
    with watching("everything", mount):
        found = prove(on_access(mount), target_shell)
    assert (found.result, found.control_ok) == ("error", False), found
    assert "control file did not come through" in found.detail
    assert list(mount.iterdir()) == []


def test_a_scanner_that_asks_and_forbids_nothing_is_armed(mount: Path) -> None:
    with watching("misses", mount):
        found = prove(on_access(mount, scanners=(Path(sys.executable).resolve().name,)))
        other = prove(on_access(mount, scanners=("nobodys-scanner",)))  # a lab beside this test may run a real one
    assert (found.result, found.level) == ("fail", "armed"), found
    assert other.level == ""


def test_a_place_that_cannot_be_written_is_no_detection(mount: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", mount], check=True)
    found = prove(on_access(mount))
    assert (found.result, found.control_ok) == ("error", None), found
    assert "Read-only file system" in found.detail


def test_a_full_disk_is_no_detection(mount: Path) -> None:
    with contextlib.suppress(OSError), open(mount / "full", "wb") as stream:
        while True:
            stream.write(b"x" * 65536)
    found = prove(on_access(mount))
    assert (found.result, found.control_ok) == ("error", False), found


def test_the_first_folder_that_is_there_is_taken(tmp_path: Path) -> None:
    places = (str(tmp_path / "gone"), str(tmp_path))
    found = prove(Test(provider="x", role="replacement", method="eicar_on_access", access=places))
    assert found.on_access.place == str(tmp_path)
    none = prove(Test(provider="x", role="replacement", method="eicar_on_access", access=places[:1]))
    assert (none.result, none.control_ok) == ("error", None)
    assert "not there" in none.detail


def test_found_on_demand(target_shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "place").mkdir()
    found = prove(on_demand(tmp_path, tmp_path / "place"), target_shell)
    assert (found.result, found.level, found.control_ok, found.on_demand.how) == ("pass", "on_demand", True, "found"), (
        found
    )
    assert found.on_access.result == "not_applicable"
    assert list((tmp_path / "place").iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "result", "words"),
    [
        ({"bad": CLEAN}, "fail", "finds nothing"),
        ({"good": FOUND}, "error", "harmless control file, too"),
        ({"bad": "echo 'ERROR: Could not connect'; exit 2"}, "error", "the scanner did not work (code 2): ERROR"),
        ({"bad": 'echo "$1: FOUND"; exit 0'}, "error", "did not work (code 0)"),
        ({"good": "exit 2"}, "error", "what the scanner says of the control file is not clear"),
        ({"bad": "sleep 60"}, "error", "did not work (code 137)"),
        ({"bad": 'rm -f -- "$1"; echo done; exit 0'}, "error", "did not work (code 0): done"),
    ],
)
def test_what_is_no_detection_on_demand(tmp_path: Path, changes: dict[str, str], result: str, words: str) -> None:
    (tmp_path / "place").mkdir()
    found = prove(on_demand(tmp_path, tmp_path / "place", **changes))
    assert (found.result, found.level) == (result, ""), found
    assert words in found.on_demand.detail
    assert list((tmp_path / "place").iterdir()) == []


def test_a_scanner_that_moves_what_it_finds_has_found_it(tmp_path: Path) -> None:
    (tmp_path / "place").mkdir()
    found = prove(on_demand(tmp_path, tmp_path / "place", bad=f'mv "$1" "$1.bad"; {FOUND}'))
    assert found.result == "pass", found
    assert list((tmp_path / "place").iterdir()) == []


def test_an_engine_that_has_just_started_gets_its_time(tmp_path: Path) -> None:
    (tmp_path / "place").mkdir()
    slow = f'echo x >>{tmp_path}/calls; [ "$(wc -l <{tmp_path}/calls)" -ge 3 ] || exit 2; {FOUND}'
    found = prove(on_demand(tmp_path, tmp_path / "place", bad=slow), seconds=20)
    assert found.result == "pass", found
    assert 2 <= found.on_demand.seconds <= 20


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    test = on_demand(tmp_path, tmp_path)
    (tmp_path / "scan").unlink()
    found = prove(test)
    assert found.result == "error"
    assert f"{tmp_path}/scan is not there" in found.detail


def test_what_is_blocked_on_access_cannot_be_scanned(tmp_path: Path, mount: Path) -> None:
    with watching("read", mount):
        found = prove(on_demand(tmp_path, mount))
    assert (found.result, found.on_demand.result) == ("error", "error"), found
    assert "nothing to scan" in found.detail


def test_both_ways_apart(tmp_path: Path, mount: Path) -> None:
    """On access it misses, on demand it finds: the declared way decides, and both are told."""
    demand = on_demand(tmp_path, tmp_path)
    both = on_access(mount, demand=demand.demand, places=demand.places, found=demand.found, clean=demand.clean)
    found = prove(both)
    assert (found.result, found.level) == ("fail", "on_demand"), found
    assert (found.on_access.result, found.on_demand.result) == ("fail", "pass")


def test_only_our_own_folder_is_cleaned(tmp_path: Path) -> None:
    place = tmp_path / "place"
    (place / "evict-proof.1.1").mkdir(parents=True)  # somebody runs with this number
    gone = place / "evict-proof.999999999.1"  # nobody does: left by a test that was broken off
    gone.mkdir(mode=0o700)
    (gone / "evict-proof-old-test.com").write_text("x")
    (place / "evict-proof.999999998.1").symlink_to(tmp_path)
    (tmp_path / "evict-proof-keep").write_text("x")
    strange = place / "evict-proof.999999997.1"  # not private: not ours
    strange.mkdir(mode=0o755)
    (strange / "evict-proof-x").write_text("x")
    prove(on_demand(tmp_path, place))
    left = sorted(path.name for path in place.iterdir())
    assert left == ["evict-proof.1.1", "evict-proof.999999997.1", "evict-proof.999999998.1"]
    assert (strange / "evict-proof-x").exists()
    assert (tmp_path / "evict-proof-keep").exists()


def test_what_stays_is_told(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root: a file that cannot be removed")
    place = tmp_path / "place"
    place.mkdir()
    locked = f'mount --bind "$1" "$1"; {FOUND}'
    found = prove(on_demand(tmp_path, place, bad=locked))
    try:
        assert len(found.left) == 2, found
        assert found.left[0].startswith(f"{place}/evict-proof.")
        assert "could not be removed from the host" in found.detail
    finally:
        for path in place.glob("*/*"):
            subprocess.run(["umount", path], check=False)


def test_an_end_from_outside_cleans_up(tmp_path: Path, mount: Path) -> None:
    test = on_access(mount)
    with subprocess.Popen(["sh"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdin is not None
        process.stdin.write(script(test, seconds=30))
        process.stdin.close()
        until = time.monotonic() + 20
        while not list(mount.glob("*/*-test.com")):
            assert time.monotonic() < until
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)
        while list(mount.iterdir()):
            assert time.monotonic() < until + 20
            time.sleep(0.1)


def test_a_shell_whose_printf_is_a_program_is_refused(tmp_path: Path) -> None:
    """The test file would stand in that program's arguments, for all to read."""
    if shutil.which("mksh") is None:
        pytest.skip("no mksh on this machine: a shell without a printf of its own")
    found = prove(on_demand(tmp_path, tmp_path), ("mksh",))
    assert (found.result, found.control_ok) == ("error", None), found
    assert "no printf of its own" in found.detail
