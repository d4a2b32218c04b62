# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts of the root rpm9 on which another package manager than dnf is the only one: the real zypper, or yum as
Enterprise Linux 8 and 9 have it (a name of dnf)."""

from __future__ import annotations

import functools
import hashlib
import os
from pathlib import Path
from typing import Literal

from .lab import HERE, Host, Lab, _cache, call

Manager = Literal["zypper", "yum"]
REPOSITORIES = {"zypper": "/etc/zypp/repos.d", "yum": "/etc/yum.repos.d"}
LOCKS = {"zypper": "/run/zypp.pid", "yum": "/var/lib/dnf/rpmdb_lock.pid"}
_ONLY = {
    "zypper": "mv /etc/yum.repos.d/*.repo /etc/zypp/repos.d/; rm /usr/bin/dnf /usr/bin/dnf-3 /usr/bin/yum",
    # What dnf-3 is called by is /usr/bin/yum; that is looked for by nobody.
    "yum": "rm /usr/bin/dnf /usr/bin/zypper; cd /srv/versionlock; mkdir -p /etc/dnf/plugins; "
    "install -D -m 644 -t /usr/lib/python3/dist-packages/dnf-plugins versionlock.py; "
    "mv dnfpluginscore /usr/lib/python3/dist-packages/; mv *.conf /etc/dnf/plugins/; "
    ": >/etc/dnf/plugins/versionlock.list; cd /",
}


@functools.cache
def archive(lab: Lab) -> Path:
    """The distribution's zypper as a tar file; made once, and again when its recipe changes."""
    recipe = b"".join((HERE / name).read_bytes() for name in ("base.sh", "zypper.sh"))
    file = _cache() / f"zypper-{hashlib.sha256(recipe).hexdigest()[:12]}.tar.gz"
    if not file.exists():
        building = file.with_name(f".building-zypper-{os.getpid()}")
        call([str(HERE / "zypper.sh"), str(building)], environment=lab.environment, patience=600)
        building.rename(file)
    return file


def only(host: Host, manager: Manager) -> Host:
    """Let a fresh host of the root rpm9 have one package manager that knows its repository.

    Returns:
        The host.
    """
    host.put(archive(host.lab), "/srv/zypper.tar.gz")
    host.run(f"tar -C / -xzf /srv/zypper.tar.gz; {_ONLY[manager]}; rm -r /srv/zypper.tar.gz /srv/versionlock")
    return host
