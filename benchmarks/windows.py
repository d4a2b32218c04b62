# SPDX-License-Identifier: GPL-3.0-or-later
"""One Windows-like host behind a WinRM stand-in: requests, bytes and tasks of the audit and of a usual role.

The usual role takes its modules from ansible.windows, which the PyPI package `ansible` holds; only that collection is
unpacked, below the cache folder.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import typing as t
import zipfile
from pathlib import Path

from tests.lab.windows.lab import NoKit, WindowsLab, kit

from .relay import Relay

SERVICES = ("avp", "klnagent", "AVP.KES.21.17", "kavfs")
KEYS = (r"HKLM:\SOFTWARE\KasperskyLab", r"HKLM:\SOFTWARE\WOW6432Node\KasperskyLab")
PATHS = (r"C:\Program Files (x86)\Kaspersky Lab", r"C:\Program Files\Kaspersky Lab", r"C:\ProgramData\Kaspersky Lab")
AUDIT = "- hosts: all\n  gather_facts: false\n  tasks:\n    - evict.kaspersky.scan:\n"


def usual() -> str:
    """A play that asks for the same things one by one."""
    tasks = [f"    - ansible.windows.win_service_info: {{name: '{name}'}}\n" for name in SERVICES]
    tasks += [f"    - ansible.windows.win_reg_stat: {{path: '{path}'}}\n" for path in KEYS]
    tasks += [f"    - ansible.windows.win_stat: {{path: '{path}'}}\n" for path in PATHS]
    return "- hosts: all\n  gather_facts: false\n  tasks:\n" + "".join(tasks)


def collections() -> Path:
    """A folder that holds ansible.windows."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "evict-kaspersky" / "windows"
    if not (cache / "ansible_collections" / "ansible" / "windows").exists():
        with tempfile.TemporaryDirectory() as folder:
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
            subprocess.run([*pip, "--dest", folder, "ansible>=12,<13"], check=True)
            (wheel,) = Path(folder).glob("ansible-*.whl")
            with zipfile.ZipFile(wheel) as packed:
                wanted = [name for name in packed.namelist() if name.startswith("ansible_collections/ansible/windows/")]
                packed.extractall(cache, wanted)
    return cache


def compare() -> dict[str, t.Any]:
    """Requests, bytes and seconds for one clean host; empty, with a line that says why, when there is no kit."""
    try:
        kit()
    except NoKit as reason:
        print(f"\nskipped: {reason}")
        return {}
    found: dict[str, t.Any] = {}
    with WindowsLab() as lab, tempfile.TemporaryDirectory() as folder:
        where = Path(folder)
        served = lab.stand_in(lab.host("bench"))
        with Relay((served.server.address, served.server.port)) as relay:
            (where / "hosts").write_text(served.inventory_line("win", port=relay.port) + "\n")
            for name, text in {"scan": AUDIT, "usual": usual()}.items():
                (where / f"{name}.yml").write_text(text)
                _run(where, name)  # the first one warms the host
                relay.take()
                start = time.monotonic()
                _run(where, name)
                wall = time.monotonic() - start
                requests, sent, received = relay.take()
                tasks = text.count("    - ")
                found[name] = {"tasks": tasks, "requests": requests, "sent": sent, "received": received, "wall": wall}
            relay.shutdown()
    print(f"\n{'one Windows host':20}{'tasks':>7}{'requests':>10}{'kB sent':>10}{'kB received':>13}{'wall':>9}")
    for name, one in found.items():
        print(
            f"{name:20}{one['tasks']:7}{one['requests']:10}{one['sent'] / 1000:10.1f}"
            f"{one['received'] / 1000:13.1f}{one['wall']:7.1f} s"
        )
    return found


def _run(where: Path, name: str) -> None:
    settings = {
        "ANSIBLE_COLLECTIONS_PATH": str(collections()),
        "ANSIBLE_LOCAL_TEMP": str(where / "tmp"),
        "ANSIBLE_NOCOLOR": "1",
        "NO_PROXY": "127.0.0.1",
    }
    words = [sys.executable, "-m", "ansible", "playbook", f"{name}.yml", "-i", "hosts"]
    done = subprocess.run(
        [*words, "-e", f"evict_evidence_dir={where}/runs"],
        cwd=where,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{name}: {done.stdout[-3000:]}{done.stderr[-1000:]}")
