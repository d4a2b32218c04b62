# SPDX-License-Identifier: GPL-3.0-or-later
"""Postfix, Squid and the trust store of the distribution on a host of the lab, for real, all of them at work."""

from __future__ import annotations

import functools
import hashlib
import os
from pathlib import Path

from .lab import HERE, Host, Lab, _cache, call

# A certificate of our own with the vendor's name in it; made on the host, so that none lies in a file.
CERTIFICATE = (
    "openssl req -x509 -newkey rsa:2048 -nodes -days 30 -keyout /dev/null -out {file} "
    "-subj '/O=AO Kaspersky Lab/CN=Kaspersky lab test {number}' 2>/dev/null\n"
)


@functools.cache
def repository(lab: Lab) -> Path:
    """The folder of the packages; built once, and again when its recipe changes."""
    recipe = b"".join((HERE / name).read_bytes() for name in ("base.sh", "servers.sh"))
    folder = _cache() / f"servers-{hashlib.sha256(recipe).hexdigest()[:12]}"
    if not folder.exists():
        building = folder.with_name(f".building-servers-{os.getpid()}")
        building.mkdir(parents=True)
        call([str(HERE / "servers.sh"), str(building)], environment=lab.environment, patience=600)
        if folder.exists():  # somebody else was faster
            call(["rm", "-r", str(building)], environment=lab.environment)
        else:
            building.rename(folder)
    return folder


def install(host: Host, *packages: str) -> None:
    """Install and start them."""
    pid = host.lab.fleet("pid", host.name).stdout.strip()
    folder = str(repository(host.lab))
    host.lab.command("sh", "-c", f'cp -- "$1"/* /proc/{pid}/root/srv/repo/', "sh", folder)
    names = " ".join(packages)
    host.run(
        "apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends "
        f"install {names} >/run/apt.log 2>&1 || {{ cat /run/apt.log; exit 1; }}",
        patience=300,
    )
