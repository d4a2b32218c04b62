# SPDX-License-Identifier: GPL-3.0-or-later
"""Fresh environments in which the project is installed, and runs in them.

An environment borrows Ansible and the other libraries from the one the tests run in: its ``.pth`` file adds their
folder, but Python does not read the ``.pth`` files in that folder, so an editable install of the checkout stays out.
Nothing is downloaded.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import sysconfig
import typing as t
import venv
from pathlib import Path

INVENTORY = "this-machine ansible_connection=local\n"


@dataclasses.dataclass(frozen=True)
class Environment:
    """A virtual environment and a home folder that hold nothing but what a test puts there.

    Attributes:
        folder: the virtual environment.
        home: home folder, so that no ~/.ansible of the machine is seen.
    """

    folder: Path
    home: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    def variables(self, **more: str) -> dict[str, str]:
        """Environment variables without anybody's Ansible, Python or pip settings for the checkout."""
        foreign = ("ANSIBLE_", "EVICT_", "PYTHON", "PIP_", "VIRTUAL_ENV", "AWX_", "JOB_ID")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        return {**kept, "PATH": path, "HOME": str(self.home), "LC_ALL": "C.UTF-8", "ANSIBLE_NOCOLOR": "1", **more}

    def run(self, *command: str | Path, cwd: Path, code: int | None = 0, **more: str) -> str:
        """Run a command in the environment and return what it printed.

        Args:
            command: words; ``ansible``, ``evict`` and the like are found in the environment.
            cwd: working folder.
            code: the exit code it must have; None for any.
            more: further environment variables.
        """
        done = subprocess.run(
            [str(word) for word in command],
            cwd=cwd,
            env=self.variables(**more),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        assert code is None or done.returncode == code, f"{command} ended with {done.returncode}:\n{done.stdout}"
        return done.stdout

    def install(self, what: Path, *options: str) -> None:
        """pip install, offline and without dependencies, even when the borrowed libraries hold a copy."""
        pip = [str(self.python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        offline = ["--no-deps", "--no-index", "--no-build-isolation", "--ignore-installed"]
        self.run(*pip, *offline, *options, what, cwd=self.home)


def make(folder: Path) -> Environment:
    """Make an environment below ``folder``, with Ansible's commands in it."""
    env = Environment(folder=folder / "venv", home=folder / "home")
    env.home.mkdir(parents=True)
    venv.create(env.folder, with_pip=False, symlinks=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    libraries = sysconfig.get_paths()["purelib"]
    (env.folder / "lib" / version / "site-packages" / "borrowed.pth").write_text(libraries + "\n")
    for command in ("playbook", "galaxy", "doc", "inventory"):
        script = env.folder / "bin" / f"ansible-{command}"
        script.write_text(
            f"#!{env.python}\nfrom ansible.cli.{command} import main\nraise SystemExit(main())\n", encoding="utf-8"
        )
        script.chmod(0o755)
    return env


def only_rows(folder: Path) -> dict[str, dict[str, t.Any]]:
    """The rows, by host, of the one run below ``folder``/evict-runs."""
    (run,) = (folder / "evict-runs").iterdir()
    rows = json.loads((run / "rows.json").read_text())["rows"]
    return {row["host"]: row for row in rows}


def assert_this_machine(rows: dict[str, dict[str, t.Any]], host: str = "this-machine") -> None:
    """One row, with an answer from the host in it."""
    assert list(rows) == [host]
    row = rows[host]
    assert row["verdict"] in {"absent", "present", "leftovers", "unknown"}, row
    assert row["platform"] == "linux", row
    assert row["observation_digest"], row
