# SPDX-License-Identifier: GPL-3.0-or-later
"""Postfix, Squid and the trust store of the distribution on a host of the lab, for real, all of them at work."""

from __future__ import annotations

import functools
from pathlib import Path

from . import repository
from .lab import Host, Lab

# A certificate of our own with the vendor's name in it; made on the host, so that none lies in a file.
CERTIFICATE = (
    "openssl req -x509 -newkey rsa:2048 -nodes -days 30 -keyout /dev/null -out {file} "
    "-subj '/O=AO Kaspersky Lab/CN=Kaspersky lab test {number}' 2>/dev/null\n"
)


@functools.cache
def packages(lab: Lab) -> Path:
    """The folder of the real packages."""
    return repository.built(lab, "servers", ("debs.sh",), "postfix", "squid", "ca-certificates")


def install(host: Host, *names: str) -> None:
    """Install and start them."""
    repository.put(host, packages(host.lab))
    host.run(
        "apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends "
        f"install {' '.join(names)} >/run/apt.log 2>&1 || {{ cat /run/apt.log; exit 1; }}",
        patience=300,
    )
