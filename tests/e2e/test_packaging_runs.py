# SPDX-License-Identifier: GPL-3.0-or-later
"""The project built, installed and run in every way the README names, from the work tree as it is now."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import hatch_build
from tests import tree
from tests.e2e import installed

COLLECTION = hatch_build.COLLECTION
# What a checkout collects over time; nothing of it may get into what is shipped.
LITTER = (
    ".dev/x/secret",
    ".venv/lib/secret.py",
    "collections/secret",
    "dist/secret",
    "evict-runs/run-1/hosts/secret.jsonl",
    "plugins/plugin_utils/__pycache__/secret.cpython-311.pyc",
    "src/evict/__pycache__/secret.cpython-311.pyc",
    "tests/output/secret",
)


def expected_parts() -> set[str]:
    """The files of the collection, relative to its root."""
    return {name for name in tree.files() if name.split("/")[0] in hatch_build.PARTS}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the work tree with the litter of a long life in it."""
    copy = tree.copy_to(tmp_path_factory.mktemp("checkout") / "evict")
    for name in LITTER:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_text("secret\n")
    subprocess.run(["git", "init", "--quiet"], cwd=copy, check=True)
    return copy


@pytest.fixture(scope="module")
def dist(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make dist` makes: wheel (from the sdist), sdist and Galaxy tarball."""
    out = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        ["tools/dist", str(out)],
        cwd=checkout,
        env={**installed.Environment(Path(sys.prefix), out).variables(), "HOME": str(out / "home")}
        | {"EVICT_PYTHON": sys.executable, "EVICT_BUILD_OPTIONS": "--no-isolation"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return out


def one(folder: Path, pattern: str) -> Path:
    """The only file of a kind."""
    (found,) = folder.glob(pattern)
    return found


def wheel_content(path: Path) -> dict[str, bytes]:
    """Name -> bytes, without the list that holds times."""
    with zipfile.ZipFile(path) as wheel:
        return {name: wheel.read(name) for name in wheel.namelist()}


def test_wheel_holds_the_collection_the_command_and_nothing_else(dist: Path) -> None:
    names = set(wheel_content(one(dist, "*.whl")))
    sources = {name.removeprefix("src/") for name in tree.files() if name.startswith("src/evict/")}
    assert {name for name in names if ".dist-info/" not in name} == sources | {
        f"{COLLECTION}/{name}" for name in expected_parts()
    }


def test_wheel_from_the_checkout_equals_wheel_from_the_sdist(checkout: Path, dist: Path, tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(tmp_path), str(checkout)],
        check=True,
        capture_output=True,
    )
    assert wheel_content(one(tmp_path, "*.whl")) == wheel_content(one(dist, "*.whl"))


def test_sdist_holds_what_a_wheel_needs_and_no_litter(dist: Path) -> None:
    with tarfile.open(one(dist, "evict_kaspersky-*.tar.gz")) as sdist:
        names = {name.split("/", 1)[1] for name in sdist.getnames() if "/" in name}
    assert names >= expected_parts() | {"pyproject.toml", "hatch_build.py", "src/evict/cli.py"}
    allowed = {*hatch_build.PARTS, "src", "docs", "pyproject.toml", "hatch_build.py", "CHANGELOG.md"}
    assert {name.split("/")[0] for name in names} <= allowed | {"PKG-INFO", ".gitignore"}
    ours = set(tree.files())  # pages and modules of ours speak of secrets, too
    assert [name for name in names - ours if "secret" in name or name.endswith(".pyc")] == []


def tarball_files(path: Path) -> set[str]:
    """The regular files in a Galaxy tarball."""
    with tarfile.open(path) as tarball:
        return {member.name for member in tarball.getmembers() if not member.isdir()}


def expected_tarball() -> set[str]:
    """The collection, its changelog, and the lists that ansible-galaxy adds in the place of galaxy.yml."""
    changes = {name for name in tree.files() if name == "CHANGELOG.md" or name.startswith("changelogs/")}
    return (expected_parts() - {"galaxy.yml"}) | changes | {"MANIFEST.json", "FILES.json"}


def test_galaxy_tarball_holds_exactly_the_parts(dist: Path) -> None:
    assert tarball_files(one(dist, "evict-kaspersky-*.tar.gz")) == expected_tarball()


def test_galaxy_tarball_built_by_hand_in_a_used_checkout_is_the_same(checkout: Path, tmp_path: Path) -> None:
    subprocess.run(
        [
            sys.executable,
            "-m",
            "ansible",
            "galaxy",
            "collection",
            "build",
            "--output-path",
            str(tmp_path),
            str(checkout),
        ],
        check=True,
        capture_output=True,
    )
    assert tarball_files(one(tmp_path, "*.tar.gz")) == expected_tarball()


def test_installed_wheel_runs_from_an_empty_folder(dist: Path, tmp_path: Path) -> None:
    env = installed.make(tmp_path)
    env.install(one(dist, "*.whl"))
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "hosts").write_text(installed.INVENTORY)

    documented = json.loads(env.run("ansible-doc", "-t", "module", "--json", "evict.kaspersky.scan", cwd=empty))
    assert Path(documented["evict.kaspersky.scan"]["doc"]["filename"]).is_relative_to(env.folder)
    assert "evict.kaspersky" in env.run("ansible-galaxy", "collection", "list", cwd=empty)

    out = env.run("ansible-playbook", "evict.kaspersky.audit", "-i", "hosts", cwd=empty, code=None)
    installed.assert_this_machine(installed.only_rows(empty))
    assert "Traceback" not in out
    for name in ("scan", "win_observe"):
        assert name in env.run("ansible-doc", "-t", "module", f"evict.kaspersky.{name}", cwd=empty)
    assert "evict_fail_on" in env.run("ansible-doc", "-t", "role", "evict.kaspersky.audit", cwd=empty)


def test_installed_command_runs_from_an_empty_folder(dist: Path, tmp_path: Path) -> None:
    env = installed.make(tmp_path)
    env.install(one(dist, "*.whl"))
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "hosts").write_text(installed.INVENTORY)
    out = env.run("evict", "audit", "-i", "hosts", cwd=empty, code=None)
    rows = installed.only_rows(empty)
    installed.assert_this_machine(rows)
    assert rows["this-machine"]["verdict"] in out
    (run,) = (empty / "evict-runs").iterdir()
    assert "this-machine" in env.run("evict", "report", run, cwd=empty, code=None)
    assert "this-machine" in (run / "report.csv").read_text(encoding="utf-8-sig")
    assert "this-machine" in (run / "report.html").read_text()
    env.run("evict", "check-evidence", run, cwd=empty)


def test_editable_install_sees_edits(tmp_path: Path) -> None:
    copy = tree.copy_to(tmp_path / "checkout")
    env = installed.make(tmp_path)
    env.install(copy, "--editable")
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "hosts").write_text(installed.INVENTORY)
    playbook = copy / "playbooks" / "audit.yml"
    before = env.run("ansible-playbook", "evict.kaspersky.audit", "-i", "hosts", "--list-tasks", cwd=empty)
    assert "Edited just now" not in before
    text = playbook.read_text()
    assert "- name: Audit\n" in text
    playbook.write_text(text.replace("- name: Audit\n", "- name: Edited just now\n"))
    after = env.run("ansible-playbook", "evict.kaspersky.audit", "-i", "hosts", "--list-tasks", cwd=empty)
    assert "Edited just now" in after
    installed_from = env.run(env.python, "-c", "import evict.cli; print(evict.cli.__file__)", cwd=empty)
    assert Path(installed_from.strip()) == copy / "src" / "evict" / "cli.py"


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A git clone of the work tree."""
    base = tmp_path_factory.mktemp("clone")
    return tree.clone_to(base / "project", scratch=base / "origin")


@pytest.mark.parametrize("playbook", ["playbooks/audit.yml", "evict.kaspersky.audit"])
def test_clone_runs_under_ansible_runner_without_galaxy(clone: Path, tmp_path: Path, playbook: str) -> None:
    """As AWX does it: the clone is the project, nothing is installed, no collection path is set."""
    env = installed.make(tmp_path)
    data = tmp_path / "private"
    (data / "inventory").mkdir(parents=True)
    (data / "inventory" / "hosts").write_text(installed.INVENTORY)
    evidence = tmp_path / "evict-runs"
    code = (
        "import ansible_runner, sys\n"
        "run = ansible_runner.run(private_data_dir=sys.argv[1], project_dir=sys.argv[2], playbook=sys.argv[3],\n"
        "    extravars={'evict_evidence_dir': sys.argv[4]}, quiet=True)\n"
        "print(run.stdout.read())\n"
        "print('runner says', run.status, run.rc)\n"
    )
    out = env.run(env.python, "-c", code, data, clone, playbook, evidence, cwd=tmp_path)
    installed.assert_this_machine(installed.only_rows(tmp_path))
    assert "runner says" in out
    # Lines of the callback are part of the job's output in AWX.
    assert "this-machine" in out.split("PLAY RECAP")[-1]
    status = subprocess.run(["git", "status", "--short"], cwd=clone, capture_output=True, text=True, check=True).stdout
    assert status == ""


@pytest.mark.parametrize("setting", ["any_unparsed_is_failed", "host_pattern_mismatch"])
def test_checkout_settings_are_known_to_this_core(clone: Path, tmp_path: Path, setting: str) -> None:
    """A key in the wrong section would be ignored in silence."""
    env = installed.make(tmp_path)
    hosts = {"any_unparsed_is_failed": "[broken\n", "host_pattern_mismatch": installed.INVENTORY}[setting]
    (tmp_path / "hosts").write_text(hosts)
    evict_hosts = {"any_unparsed_is_failed": "all", "host_pattern_mismatch": "nobody"}[setting]
    out = env.run(
        "ansible-playbook", "playbooks/audit.yml", "-i", tmp_path / "hosts", "-e", f"evict_hosts={evict_hosts}",
        "-e", f"evict_evidence_dir={tmp_path / 'evict-runs'}", cwd=clone, code=None,
    )  # fmt: skip
    wanted = {"any_unparsed_is_failed": "failed to parse inventory source", "host_pattern_mismatch": "nobody"}[setting]
    assert "ERROR" in out
    assert wanted in out
