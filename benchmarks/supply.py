# SPDX-License-Identifier: GPL-3.0-or-later
"""ClamAV for hosts of the lab, which reach nothing: the distribution's packages in a repository on the host, signatures
of our own (one, for the test sample) from a web server on it."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import tempfile
import time
import typing as t
from collections.abc import Mapping
from pathlib import Path

from tests.lab.linux.lab import HERE, Host, Lab, call

# Parts of the test sample, which is whole in no file of ours.
SAMPLE: t.Final = ("X5O!P%@AP[4\\PZX54(P^)7CC)7}$", "EICAR-STANDARD-", "ANTIVIRUS-TEST-FILE!$H+H*")
WEB: t.Final = "http://127.0.0.1:8000"
URLS: t.Final = (f"{WEB}/lab.ndb", f"{WEB}/daily.cud")
POLICY: t.Final[Mapping[str, t.Any]] = {
    "evict_replacement": "clamav",
    "evict_replacement_source": {"method": "repository"},
    "evict_replacement_settings": {"updates": "custom", "database_urls": list(URLS)},
    "evict_fallback": "none",
}


def offer(host: Host, packages: Path) -> None:
    """Let a Debian host's own repository offer ClamAV, and a web server on it the signatures.

    Args:
        host: a host with Python.
        packages: the folder `packages_of` made.
    """
    for file in packages.iterdir():
        host.put(file, f"/srv/repo/{file.name}")
    with tempfile.TemporaryDirectory() as folder:
        for name, content in signatures().items():
            Path(folder, name).write_bytes(content)
            host.put(Path(folder, name), f"/srv/signatures/{name}")
    host.run(
        "apt-get -qq update\n"
        "systemd-run -q --unit=signatures python3 -m http.server 8000 --bind 127.0.0.1 --directory /srv/signatures"
    )


def packages_of(lab: Lab, folder: Path) -> Path:
    """Download the packages, and index them for apt.

    Args:
        lab: has the root deb12.
        folder: to be made.
    """
    call([str(HERE / "clamav" / "build"), str(folder)], environment=lab.environment, patience=600)
    return folder


def signatures() -> dict[str, bytes]:
    """File -> content: a list with the sample's signature, and the same as an unsigned daily database with a date."""
    listed = f"Lab.Sample:0:0:{''.join(SAMPLE).encode().hex()}\n".encode()
    now = int(time.time())
    stamp = time.strftime("%d %b %Y %H-%M +0000", time.gmtime(now))
    head = f"ClamAV-VDB:{stamp}:27001:2:213"
    info = f"{head}:X:X:lab:{now}\ndaily.ndb:{len(listed)}:{hashlib.sha256(listed).hexdigest()}\n".encode()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in (("COPYING", b"x\n"), ("daily.info", info), ("daily.ndb", listed)):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    body = gzip.compress(packed.getvalue())
    whole = f"{head}:{hashlib.md5(body).hexdigest()}:X:lab:{now}".ljust(512).encode() + body
    return {"lab.ndb": listed, "daily.cud": whole}
