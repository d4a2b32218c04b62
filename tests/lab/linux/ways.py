# SPDX-License-Identifier: GPL-3.0-or-later
"""Other ways to a host than plain ssh: audits that run inside the lab, Ansible's collections, real containers."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ansible_collections.evict.kaspersky.plugins.plugin_utils import evidence
from tests.e2e import playbooks

from .lab import Lab, _cache, call

# What the tests take out of the Python package `ansible`, the collections as people have them beside ansible-core.
PARTS = (
    "ansible_collections/community/general/plugins/become/",
    "ansible_collections/community/general/plugins/connection/",
    "ansible_collections/community/docker/",
    "ansible_collections/community/library_inventory_filtering_v1/",
    "ansible_collections/containers/podman/",
    "ansible_collections/ansible/posix/",
)


def collections() -> Path:
    """A folder for ANSIBLE_COLLECTIONS_PATH, from the `ansible` of PyPI that goes with this core; cached."""
    minor = int(importlib.metadata.version("ansible-core").split(".")[1])
    folder = _cache() / f"collections-2.{minor}"
    if not folder.exists():
        building = folder.with_name(f".building-{folder.name}-{os.getpid()}")
        building.mkdir(parents=True)
        wanted = f"ansible=={minor - 7}.*"  # ansible 9 came with core 2.16, 12 with 2.19
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(building), wanted]
        call(pip, environment=os.environ, patience=600)
        (wheel,) = building.glob("ansible-*.whl")
        with zipfile.ZipFile(wheel) as package:
            package.extractall(building, [name for name in package.namelist() if name.startswith(PARTS)])
        wheel.unlink()
        building.rename(folder)
    return folder


def audit(
    lab: Lab,
    where: Path,
    hosts: Mapping[str, Mapping[str, str]],
    *args: str,
    playbook: str = "evict.kaspersky.audit",
    path: str = "",
    **environment: str,
) -> playbooks.Run:
    """Run a playbook inside the lab, from where the hosts are reached without a detour.

    Args:
        lab: the lab.
        where: working folder; gets the inventory, the run folder `run`, and is the home folder of the run.
        hosts: name -> variables; those of `Host.vars` with `proxy=False`.
        args: further arguments of ansible-playbook.
        playbook: FQCN or path.
        path: folders put in front of PATH, with their colons.
        environment: further environment.
    """
    inventory = lab.inventory(where / "hosts", hosts)
    settings = playbooks.environment(**{"HOME": str(where), **environment})
    settings["PATH"] = path + settings["PATH"]
    command = playbooks.command(playbook, inventory, "--check", *args, out=where / "run")
    words = ["env", "-i", "-C", str(where), *(f"{key}={value}" for key, value in settings.items())]
    done = lab.command(*words, *command, check=False, patience=540)
    return playbooks.Run(done.returncode, done.stdout + done.stderr, where / "run")


def way(run: playbooks.Run, host: str) -> str:
    """How the script went to a host: `stdin`, `file`, or nothing."""
    (record,) = evidence.read(run.folder / "hosts" / f"{host}.jsonl")
    return str(record.data["transport"]["way"])


def states(row: Mapping[str, Any]) -> dict[str, str]:
    """Product id -> state."""
    return {product["id"]: product["state"] for product in row["products"]}


@contextmanager
def containers(lab: Lab, where: Path) -> Iterator[Path]:
    """Real podman containers `full` (kesl's program runs in it), `bare` and `ended`, of the lab's Debian 12.

    Yields:
        A folder for PATH with `podman`, and with `docker`, which is podman as Debian's podman-docker has it: the
        plugins of community.docker are real, the engine behind them is podman.
    """
    _install_podman()
    tools = where / "bin"
    tools.mkdir()
    store = Path(tempfile.mkdtemp(prefix="pod-"), "store")  # podman takes 50 characters
    for name in ("podman", "docker"):
        (tools / name).write_text(f'#!/bin/sh\nexec /usr/bin/podman --root {store} --runroot {store}-run "$@"\n')
        (tools / name).chmod(0o755)
    (base,) = (p for p in _cache().glob("deb12-*") if p.name == f"deb12-{_tag()}")
    # Those are the rights it needs on a machine whose cgroups are hybrid and whose root lacks CAP_SYS_RESOURCE.
    script = f"""
podman() {{ {tools}/podman "$@"; }}
mkdir {where}/roots; mount -t tmpfs -o mode=711 containers {where}/roots; cd {where}/roots
for name in full bare ended; do
  mkdir -p $name/up $name/wk $name/root
  mount -t overlay overlay -o lowerdir={base},upperdir=$name/up,workdir=$name/wk $name/root
  podman run -d --name $name --privileged --network=none --pids-limit=0 --cgroups=disabled --cgroup-manager=cgroupfs \\
    --ulimit nofile=16384:16384 --ulimit nproc=4096:4096 --rootfs $PWD/$name/root sleep infinity
done
podman exec full sh -c 'cd /opt; mkdir -p kaspersky/kesl/libexec; cp /bin/sleep kaspersky/kesl/libexec/kesl'
podman exec -d full /opt/kaspersky/kesl/libexec/kesl 100000
podman stop -t 0 ended
"""
    try:
        lab.command("sh", "-euc", script.replace(" --cgroup-manager=cgroupfs", ""))
        yield tools
    finally:
        end = f"{tools}/podman rm -f -t 0 --all; umount {where}/roots/*/root {where}/roots; umount {store}/* || :"
        lab.command("sh", "-uc", end, check=False)
        shutil.rmtree(store.parent, ignore_errors=True)


def _tag() -> str:
    command = f'LAB_DIR="{Path(__file__).parent}"; . "$LAB_DIR/base.sh"; root_tag deb12'
    return call(["bash", "-euc", command], environment=os.environ).stdout.strip()


def _install_podman() -> None:
    if Path("/usr/bin/podman").exists():
        return
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300"]
    done = subprocess.run(
        [*command, "podman", "crun"],
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, json.dumps([done.stdout[-2000:], done.stderr[-2000:]])
