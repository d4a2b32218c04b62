# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinds of steps that fetch, check and place files: what is written, what is kept, what is refused."""

from __future__ import annotations

import functools
import hashlib
import http.server
import io
import os
import subprocess
import tarfile
import threading
import typing as t
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.target.posix import covering
from tests.target.posix.covering import End, run

Run = Callable[..., End]
DATA = b"a package\n" * 1000
HASH = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tmp_path / "host"


@pytest.fixture
def do(base: Path, target_shell: tuple[str, ...]) -> Run:
    return functools.partial(run, base=base, shell=target_shell)


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    folder = tmp_path / "etc" / "scanner"
    folder.mkdir(parents=True)
    return folder / "scanner.conf"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def mode(path: Path) -> str:
    return f"{path.stat().st_mode & 0o7777:04o}"


# --- writing, and taking it back


def test_a_text_is_written_as_it_is_and_once(do: Run, conf: Path) -> None:
    text = "a 'quoted' \\n %s $HOME `id`\n\tüß\n\n"
    assert do("write_file", path=str(conf), text=text, mode="0640").status == "done"
    assert conf.read_bytes() == text.encode()
    assert mode(conf) == "0640"
    inode = conf.stat().st_ino
    assert do("write_file", path=str(conf), text=text, mode="0640").status == "already"
    assert conf.stat().st_ino == inode
    assert names(conf.parent) == ["scanner.conf"]


@pytest.mark.parametrize("text", ["", "\n", "no end", "x" * 300_000])
def test_odd_texts_are_written(do: Run, conf: Path, text: str) -> None:
    assert do("write_file", path=str(conf), text=text, mode="0644").status == ("done")
    assert conf.read_text() == text


def test_another_mode_is_no_already(do: Run, conf: Path) -> None:
    conf.write_text("same")
    conf.chmod(0o600)
    assert do("write_file", path=str(conf), text="same", mode="0644").status == "done"
    assert mode(conf) == "0644"


@pytest.mark.parametrize("wanted", ["0644", "0600", "0755", "0400"])
def test_the_mode_is_there_before_the_content(do: Run, conf: Path, wanted: str) -> None:
    assert do("write_file", path=str(conf), text="x", mode=wanted).status == "done"
    assert mode(conf) == wanted


def test_what_was_there_is_kept_beside_it_and_put_back(do: Run, conf: Path) -> None:
    conf.write_text("theirs")
    conf.chmod(0o604)
    assert do("write_file", path=str(conf), text="ours", mode="0644").status == "done"
    kept = conf.with_name("scanner.conf.evict-kept")
    assert (kept.read_text(), mode(kept)) == ("theirs", "0604")
    assert do("restore_file", path=str(conf)).status == "done"
    assert (conf.read_text(), mode(conf), names(conf.parent)) == ("theirs", "0604", ["scanner.conf"])
    assert do("restore_file", path=str(conf)).status == "already"


def test_the_first_file_stays_kept_and_each_run_can_be_taken_back(do: Run, conf: Path) -> None:
    conf.write_text("theirs")
    assert do("write_file", id="first", path=str(conf), text="one", mode="0644").status == "done"
    assert do("write_file", id="second", path=str(conf), text="two", mode="0600").status == "done"
    kept = conf.with_name("scanner.conf.evict-kept")
    assert kept.read_text() == "theirs"
    assert do("restore_file", id="second", path=str(conf)).status == "done"
    assert (conf.read_text(), mode(conf), kept.read_text()) == ("one", "0644", "theirs")
    assert do("restore_file", id="first", path=str(conf)).status == "done"
    assert (conf.read_text(), names(conf.parent)) == ("theirs", ["scanner.conf"])


def test_folders_that_were_made_go_again_and_others_stay(do: Run, tmp_path: Path) -> None:
    path = tmp_path / "etc" / "a.service.d" / "evict.conf"
    (tmp_path / "etc").mkdir()
    assert do("write_file", path=str(path), text="x", mode="0644").status == "done"
    assert mode(path.parent) == "0755"
    assert do("restore_file", path=str(path)).status == "done"
    assert names(tmp_path / "etc") == []
    assert do("write_file", id="again", path=str(path), text="x", mode="0644").status == "done"
    path.with_name("somebody.conf").write_text("theirs")
    assert do("restore_file", id="again", path=str(path)).status == "done"
    assert names(path.parent) == ["somebody.conf"]


def test_a_step_without_notes_takes_nothing_back(do: Run, conf: Path) -> None:
    conf.write_text("theirs")
    assert do("restore_file", id="never", path=str(conf)).status == "already"
    assert conf.read_text() == "theirs"


def test_a_file_is_removed_kept_and_put_back(do: Run, conf: Path) -> None:
    assert do("remove_file", path=str(conf)).status == "already"
    conf.write_text("theirs")
    assert do("remove_file", path=str(conf)).status == "done"
    assert names(conf.parent) == ["scanner.conf.evict-kept"]
    assert do("remove_file", path=str(conf)).status == "already"
    assert do("restore_file", path=str(conf)).status == "done"
    assert (conf.read_text(), names(conf.parent)) == ("theirs", ["scanner.conf"])


@pytest.mark.parametrize("after", ["ln", "mv", "mkdir"])
def test_a_performer_that_was_killed_begins_again(base: Path, conf: Path, after: str) -> None:
    """Killed after each program it runs, then begun again: the same end, and the old file is not lost."""
    path = conf.parent / "new" / "scanner.conf" if after == "mkdir" else conf
    conf.write_text("theirs")
    shim = (
        f'{after}() {{ command {after} "$@"; kill -9 $$; }}\nbounded() {{ "$@"; code=$?; said=; output=/dev/null; }}\n'
    )
    base.mkdir()
    args = {"path": str(path), "text": "ours", "mode": "0644"}
    script = covering.program("write_file", base, "stage.x.y", 60, args).replace(
        "kind_write_file\ngot", f"{shim}kind_write_file\ngot"
    )
    killed = subprocess.run(["dash"], input=script.encode(), capture_output=True, timeout=60, check=False)
    assert killed.returncode == -9
    assert run("write_file", base, path=str(path), text="ours", mode="0644").status in ("done", "already")
    assert path.read_text() == "ours"
    assert run("restore_file", base, path=str(path)).status == "done"
    assert names(conf.parent) == ["scanner.conf"]
    assert conf.read_text() == "theirs"


# --- what is refused


@pytest.mark.parametrize(
    "path", ["relative/x/y", "/evict-x", "{}/a/../x", "{}//a/x", "{}/a/x/", "{}/./a/x", "/proc/self/x", ""]
)
def test_places_where_no_file_belongs(do: Run, tmp_path: Path, path: str) -> None:
    for kind, more in (("write_file", {"text": "x", "mode": "0644"}), ("remove_file", {}), ("restore_file", {})):
        assert do(kind, path=path.format(tmp_path), **more).name == "unsafe_path"
    assert names(tmp_path) == ["host"]


def test_nothing_is_written_through_a_link(do: Run, conf: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (conf.parent / "here").symlink_to(outside)
    ended = do("write_file", path=str(conf.parent / "here" / "x"), text="x", mode="0644")
    assert ended.name == "linked_parent"
    assert names(outside) == []
    (outside / "theirs").write_text("theirs")
    assert do("remove_file", path=str(conf.parent / "here" / "theirs")).name == "linked_parent"
    assert names(outside) == ["theirs"]


def test_a_link_in_the_place_of_the_file_is_replaced_and_not_followed(do: Run, conf: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("theirs")
    conf.symlink_to(target)
    assert do("write_file", path=str(conf), text="ours", mode="0644").status == "done"
    assert not conf.is_symlink()
    assert (conf.read_text(), target.read_text()) == ("ours", "theirs")
    assert do("restore_file", path=str(conf)).status == "done"
    assert conf.readlink() == target


def test_a_folder_in_the_place_of_the_file_stays(do: Run, conf: Path) -> None:
    conf.mkdir()
    assert do("write_file", path=str(conf), text="x", mode="0644").name == "unsafe_path"
    assert do("remove_file", path=str(conf)).name == "unsafe_path"


@pytest.mark.parametrize("wrong", ["644", "rw", "4755", "0888", ""])
def test_a_mode_that_is_none(do: Run, conf: Path, wrong: str) -> None:
    assert do("write_file", path=str(conf), text="x", mode=wrong).name == "unsafe_path"
    assert not conf.exists()


# --- staged files


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, list[str]]]:
    folder = tmp_path / "web"
    folder.mkdir()
    (folder / "agent.deb").write_bytes(DATA)
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: t.Any) -> None:
            super().__init__(*args, directory=str(folder))

        def do_GET(self) -> None:
            asked.append(self.path)
            if self.path.startswith("http://"):  # asked as a proxy
                self.path = "/" + self.path.split("/", 3)[3]
            super().do_GET()

        def log_message(self, *args: t.Any) -> None:
            """Quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{web.server_port}", asked
        web.shutdown()


WITHOUT_CURL = 'has() { [ "$1" != curl ] && command -v "$1" >/dev/null; }\n'


@pytest.mark.parametrize("tool", ["curl", "wget"])
def test_a_file_is_fetched_checked_and_fetched_once(
    base: Path, server: tuple[str, list[str]], tool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if tool == "wget":
        monkeypatch.setattr(covering, "FRAME", covering.FRAME + WITHOUT_CURL)
    address, asked = server
    args: dict[str, t.Any] = {"name": "agent.deb", "method": "url", "location": f"{address}/agent.deb", "sha256": HASH}
    assert run("fetch", base, **args).status == "done"
    assert (base / "staging" / "agent.deb").read_bytes() == DATA
    assert run("fetch", base, **args).status == "already"
    assert asked == ["/agent.deb"]
    assert (
        run(
            "fetch", base, **{**args, "name": "b.deb", "proxy": address, "location": "http://files.example/agent.deb"}
        ).status
        == "done"
    )
    assert asked[-1] == "http://files.example/agent.deb"
    gone = run("fetch", base, **{**args, "name": "c.deb", "location": f"{address}/missing.deb"})
    assert gone.name == "not_reachable"
    assert names(base / "staging") == ["agent.deb", "b.deb"]


def test_a_wrong_hash_leaves_no_file(do: Run, base: Path, server: tuple[str, list[str]]) -> None:
    ended = do("fetch", name="agent.deb", method="url", location=f"{server[0]}/agent.deb", sha256="0" * 64)
    assert ended.name == "hash_mismatch"
    assert HASH in ended.why
    assert names(base / "staging") == []


def test_files_of_the_host_and_of_the_controller(do: Run, base: Path, tmp_path: Path) -> None:
    here = tmp_path / "given"
    here.write_bytes(DATA)
    own = {"name": "a.tar", "method": "host_file", "sha256": HASH}
    assert do("fetch", location=str(here), **own).status == "done"
    assert do("fetch", location=str(here), **own).status == "already"
    assert do("fetch", location=str(tmp_path / "none"), **{**own, "name": "b.tar"}).name == "not_reachable"
    assert do("fetch", name="c.tar", method="file", sha256=HASH).name == "not_staged"
    (base / "staging" / "c.tar").write_bytes(DATA)
    assert do("fetch", name="c.tar", method="file", sha256=HASH).status == "done"
    assert do("fetch", name="d.tar", method="share", location="//server/share/d.tar", sha256=HASH).name == "not_offered"


@pytest.mark.parametrize("name", ["../x", "a/b", "/x", "-x", "", ".", "a/../../x"])
def test_names_that_lead_out_of_the_staging_folder(do: Run, tmp_path: Path, name: str) -> None:
    (tmp_path / "given").write_bytes(DATA)
    ended = do("fetch", name=name, method="host_file", location=str(tmp_path / "given"), sha256=HASH)
    assert ended.name == "unsafe_path"


def test_a_staged_file_is_hashed_again(do: Run, base: Path) -> None:
    staging = base / "staging"
    staging.mkdir(parents=True)
    (staging / "a.deb").write_bytes(DATA)
    assert do("check_artifact", name="a.deb", sha256=HASH).status == "done"
    (staging / "a.deb").write_bytes(DATA + b"x")
    assert do("check_artifact", name="a.deb", sha256=HASH).name == "hash_mismatch"
    gone = do("check_artifact", name="a.deb", sha256=HASH)
    assert (gone.name, "old product may have removed it" in gone.why) == ("not_staged", True)
    (staging / "b.deb").write_bytes(DATA)
    assert do("check_artifact", name="b.deb", sha256=HASH, signer="ABCD").name == "signature_wrong"


# --- archives


def pack(path: Path, build: Callable[[tarfile.TarFile], None], how: t.Literal["w", "w:gz", "w:xz"] = "w") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, how) as archive:
        build(archive)


def member(archive: tarfile.TarFile, name: str, data: bytes = DATA, **more: t.Any) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data) if more.get("type", tarfile.REGTYPE) == tarfile.REGTYPE else 0
    for key, value in more.items():
        setattr(info, key, value)
    archive.addfile(info, io.BytesIO(data))


@pytest.mark.parametrize(("file", "how"), [("a.tar", "w"), ("a.tar.gz", "w:gz"), ("a.tar.xz", "w:xz")])
def test_an_archive_is_unpacked(do: Run, base: Path, file: str, how: t.Literal["w", "w:gz", "w:xz"]) -> None:
    def build(archive: tarfile.TarFile) -> None:
        member(archive, "packages/one file.deb", mode=0o4777, uid=1000)
        member(archive, "./database/main.cvd")

    staging = base / "staging"
    pack(staging / file, build, how)
    for _ in range(2):
        assert do("unpack", name=file).status == "done"
        assert names(staging) == sorted([file, "database", "packages"])
    one = staging / "packages" / "one file.deb"
    assert (one.read_bytes(), mode(one), one.stat().st_uid) == (DATA, "0600", os.geteuid())


@pytest.mark.parametrize(
    "bad",
    [
        {"name": "../x"},
        {"name": "/tmp/evict-x"},
        {"name": "a/../../x"},
        {"name": "link", "type": tarfile.SYMTYPE, "linkname": "/etc/passwd"},
        {"name": "hard", "type": tarfile.LNKTYPE, "linkname": "fine"},
        {"name": "pipe", "type": tarfile.FIFOTYPE},
        {"name": "disk", "type": tarfile.BLKTYPE},
    ],
)
def test_what_an_archive_must_not_hold(do: Run, base: Path, bad: dict[str, t.Any]) -> None:
    def build(archive: tarfile.TarFile) -> None:
        member(archive, "fine")
        member(archive, **bad)

    pack(base / "staging" / "a.tar", build)
    assert do("unpack", name="a.tar").name == "unsafe_path"
    assert "fine" not in names(base / "staging")


def test_what_is_no_archive(do: Run, base: Path) -> None:
    (base / "staging").mkdir(parents=True)
    (base / "staging" / "a.tar").write_bytes(os.urandom(2000))
    assert do("unpack", name="a.tar").name == "file_broken"
    assert do("unpack", name="b.tar").name == "not_staged"


def test_a_file_of_an_archive_gets_its_place_and_owner(do: Run, base: Path, conf: Path) -> None:
    pack(base / "staging" / "a.tar", lambda archive: member(archive, "database/main.cvd"))
    assert do("unpack", name="a.tar").status == "done"
    args = {"name": "database/main.cvd", "path": str(conf), "mode": "0644"}
    assert do("place_file", owner="no-such-account", **args).name == "no_account"
    owner = "daemon" if os.geteuid() == 0 else ""
    if not owner:
        pytest.skip("needs root: files for another account")
    assert do("place_file", owner=owner, **args).status == "done"
    assert do("place_file", owner=owner, **args).status == "already"
    assert (conf.read_bytes(), conf.owner(), mode(conf)) == (DATA, owner, "0644")
    assert do("place_file", owner=owner, **{**args, "name": "database/none"}).name == "not_staged"
    (base / "staging" / "database" / "away").symlink_to("/etc")
    assert do("place_file", owner=owner, **{**args, "name": "database/away/passwd"}).name == "linked_parent"
