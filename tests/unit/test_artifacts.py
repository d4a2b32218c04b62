# SPDX-License-Identifier: GPL-3.0-or-later
"""Files the controller is to send: there, of the hash that was named, signed as asked for; read once a run."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import artifacts
from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy import Policy
from ansible_collections.evict.kaspersky.plugins.plugin_utils.provider import Source

SPEC = """\
Name: agent
Version: 1
Release: 1
Summary: a package of the tests
License: GPL-3.0-or-later
BuildArch: noarch
%description
Nothing.
%files
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    run = tmp_path / "run"
    run.mkdir()
    return run


def policy(path: Path, digest: str, signer: str = "") -> Policy:
    return Policy(
        replacement_source=Source(
            method="file", location=str(path), sha256=digest, signer=signer, name=path.name, version=""
        )
    )


def made(path: Path, text: bytes = b"installer") -> str:
    path.write_bytes(text)
    return hashlib.sha256(text).hexdigest()


def test_a_file_of_the_named_hash_is_right(tmp_path: Path, folder: Path) -> None:
    digest = made(tmp_path / "agent.msi")
    assert artifacts.check(policy(tmp_path / "agent.msi", digest), folder) == {"replacement": ""}


def test_another_hash_names_both(tmp_path: Path, folder: Path) -> None:
    digest = made(tmp_path / "agent.msi")
    said = artifacts.check(policy(tmp_path / "agent.msi", "0" * 64), folder)["replacement"]
    assert digest in said
    assert "0" * 64 in said


@pytest.mark.parametrize("kind", ["missing", "folder", "fifo"])
def test_what_is_no_file_is_named(tmp_path: Path, folder: Path, kind: str) -> None:
    path = tmp_path / "agent.msi"
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    said = artifacts.check(policy(path, "0" * 64), folder)["replacement"]
    assert str(path) in said
    assert ("No such file" in said) == (kind == "missing")


def test_sources_that_the_host_fetches_are_not_looked_at(folder: Path) -> None:
    source = Source(method="url", location="https://mirror.example/agent.msi", sha256="0" * 64)
    assert artifacts.check(Policy(replacement_source=source, fallback_source=None), folder) == {}


def test_a_file_is_read_once_and_again_when_it_changed(tmp_path: Path, folder: Path) -> None:
    path = tmp_path / "agent.msi"
    digest = made(path)
    memo = folder / artifacts.MEMO
    assert artifacts.check(policy(path, digest), folder) == {"replacement": ""}
    assert len(memo.read_text().splitlines()) == 1
    # What the notes say counts: were the file read again, its true hash would come out.
    planted = json.loads(memo.read_text())
    planted["sha256"] = "1" * 64
    memo.write_text(json.dumps(planted) + "\n")
    assert "1" * 64 in artifacts.check(policy(path, digest), folder)["replacement"]
    other = made(path, b"another installer")
    assert other in artifacts.check(policy(path, digest), folder)["replacement"]
    assert len(memo.read_text().splitlines()) == 2


def test_a_file_of_the_same_size_and_time_is_read_again(tmp_path: Path, folder: Path) -> None:
    path = tmp_path / "agent.msi"
    digest = made(path, b"installer")
    assert artifacts.check(policy(path, digest), folder) == {"replacement": ""}
    before = path.stat()
    other = made(path, b"INSTALLER")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert other in artifacts.check(policy(path, digest), folder)["replacement"]


@pytest.mark.parametrize("rest", [b'{"key": "half\n', b'{"key": "half', b"[1]\n7\n", b"\xff\xfe\x00\n"])
def test_what_is_no_note_is_passed_over(tmp_path: Path, folder: Path, rest: bytes) -> None:
    digest = made(tmp_path / "agent.msi")
    memo = folder / artifacts.MEMO
    memo.write_bytes(rest)
    for _ in range(2):
        assert artifacts.check(policy(tmp_path / "agent.msi", digest), folder) == {"replacement": ""}
    assert memo.read_bytes().count(digest.encode()) == 1


@pytest.mark.parametrize("fault", ["link", "folder", "no_folder"])
def test_notes_that_cannot_be_kept_cost_no_answer(tmp_path: Path, folder: Path, fault: str) -> None:
    path = tmp_path / "agent.msi"
    digest = made(path)
    if fault == "link":
        (folder / artifacts.MEMO).symlink_to(tmp_path / "elsewhere")
    elif fault == "folder":
        (folder / artifacts.MEMO).mkdir()
    else:
        folder.rmdir()
    assert artifacts.check(policy(path, digest), folder) == {"replacement": ""}
    assert "0" * 64 in artifacts.check(policy(path, "0" * 64), folder)["replacement"]
    assert not (tmp_path / "elsewhere").exists()


def test_a_full_disk_costs_no_answer(tmp_path: Path, folder: Path) -> None:
    path = tmp_path / "agent.msi"
    digest = made(path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        assert artifacts.check(policy(path, digest), folder) == {"replacement": ""}
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert (folder / artifacts.MEMO).stat().st_size == 10
    assert artifacts.check(policy(path, digest), folder) == {"replacement": ""}
    assert (folder / artifacts.MEMO).read_bytes().count(digest.encode()) == 1


def test_many_workers_read_a_file_once(tmp_path: Path, folder: Path) -> None:
    path = tmp_path / "agent.msi"
    digest = made(path, b"x" * 3_000_000)
    workers = []
    for _ in range(20):
        if (pid := os.fork()) == 0:
            code = 1
            try:
                code = artifacts.check(policy(path, digest), folder) != {"replacement": ""}
            finally:
                os._exit(code)
        workers.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in workers] == [0] * 20
    assert len((folder / artifacts.MEMO).read_text().splitlines()) == 1


def test_a_signature_that_no_tool_can_check_is_said(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    digest = made(tmp_path / "agent.exe")
    said = artifacts.check(policy(tmp_path / "agent.exe", digest, "Vendor Inc"), folder)["replacement"]
    assert "install osslsigncode" in said


def test_a_kind_of_file_without_signatures_is_said(tmp_path: Path, folder: Path) -> None:
    digest = made(tmp_path / "agent.deb")
    said = artifacts.check(policy(tmp_path / "agent.deb", digest, "ABCD"), folder)["replacement"]
    assert "leave `signer` out" in said


@pytest.mark.skipif(shutil.which("rpmbuild") is None, reason="no rpmbuild")
def test_an_unsigned_package_bears_no_signature(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "agent.spec").write_text(SPEC)
    command = ["rpmbuild", "-bb", "--define", f"_topdir {tmp_path}/top", str(tmp_path / "agent.spec")]
    subprocess.run(command, check=True, capture_output=True)
    path = next(tmp_path.glob("top/RPMS/noarch/*.rpm"))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert artifacts.check(policy(path, digest, "ABCDEF12"), folder)["replacement"].endswith("it bears no signature")
