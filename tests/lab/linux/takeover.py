# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to protect lab hosts when the old product is gone, as host variables of a remediation."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from . import real_clamav
from .lab import Host

COVER = "shield"
UNIT = "shield.service"
NO_FALLBACK = {"evict_fallback": "none"}
# Another vendor's scanner is there and stays.
EXISTING: Mapping[str, Any] = {
    "evict_replacement": "existing",
    "evict_replacement_settings": {"service_names": [UNIT]},
    **NO_FALLBACK,
}
# ClamAV comes from the host's own repository; its sshd stands for a mirror that answers.
CLAMAV: Mapping[str, Any] = {
    "evict_replacement": "clamav",
    "evict_replacement_source": {"method": "repository"},
    "evict_replacement_settings": {"updates": "mirror", "database_mirror": "http://127.0.0.1:22"},
    **NO_FALLBACK,
}


def clamav(host: Host) -> Mapping[str, Any]:
    """The distribution's own ClamAV out of the host's repository, with signatures of our own from a web server on it.

    Args:
        host: of the root deb12; gets repository, signatures and server.
    """
    real_clamav.offer(host)
    real_clamav.signatures(host)
    host.run(f"apt-get -qq update\n{real_clamav.SERVE}")
    urls = [f"{real_clamav.WEB}/{name}" for name in ("lab.ndb", "daily.cud")]
    return {
        "evict_replacement": "clamav",
        "evict_replacement_source": {"method": "repository"},
        "evict_replacement_settings": {"updates": "custom", "database_urls": urls},
        **NO_FALLBACK,
    }


def installed(host: Host) -> Mapping[str, Any]:
    """The same scanner, from a package file that lies on the host: installed once the old product is gone.

    Args:
        host: gets the file.
    """
    (name,) = (path.rpartition("/")[2] for path in host.give(COVER).split())
    source = host.lab.packages / name
    place = f"/srv/media/{name}"
    host.run(f"mkdir -p /srv/media; mv /srv/packages/{name} {place}; rmdir /srv/packages || :")
    return {
        "evict_replacement": "package",
        "evict_replacement_source": {
            "method": "host_file",
            "location": place,
            "sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
        },
        "evict_replacement_settings": {
            "service_names": [UNIT],
            "active_program": "/usr/lib/shield/status",
            "active_contains": "real-time protection is on",
        },
        **NO_FALLBACK,
    }
