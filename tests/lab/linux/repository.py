# SPDX-License-Identifier: GPL-3.0-or-later
"""A repository on a host that offers packages by name: enough for a plan, which asks what could be installed.

FAKE: nothing but metadata (Debian) or packages that hold nothing (rpm); none of them is ever installed here.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from .lab import HERE, Host, Lab, _cache, call

VERSION = "1.4.3"
CLAMAV = {
    "deb": ("clamav", "clamav-base", "clamav-daemon", "clamav-freshclam", "clamdscan"),
    "rpm": ("clamav", "clamd", "clamav-update", "clamav-freshclam", "clamav-data", "clamav-lib", "clamav-filesystem"),
}

_DEB = """
for name in {names}; do
  printf 'Package: %s\\nVersion: {version}-1\\nArchitecture: amd64\\nMaintainer: lab <lab@example.invalid>\\n' "$name"
  printf 'Filename: ./%s.deb\\nSize: 1\\nSHA256: %064d\\nDescription: FAKE, for tests of plans\\n\\n' "$name" 0
done >/srv/repo/Packages
apt-get -qq update
"""
_RPM = """
mkdir -p /tmp/stub
{{
  printf 'Name: stub\\nVersion: {version}\\nRelease: 1\\nSummary: FAKE\\n'
  printf 'License: GPL-3.0-or-later\\nBuildArch: noarch\\n'
  printf '%%description\\nFAKE, for tests of plans\\n'
  for name in {names}; do
    printf '%%package -n %s\\nSummary: FAKE\\n%%description -n %s\\nFAKE\\n%%files -n %s\\n' "$name" "$name" "$name"
  done
}} >/tmp/stub/stub.spec
rpmbuild -bb --quiet --define '_topdir /tmp/stub' /tmp/stub/stub.spec
mv /tmp/stub/RPMS/noarch/*.rpm /srv/repo/
rm -r /tmp/stub
rm -rf /srv/repo/repodata
createrepo_c -q /srv/repo
dnf -q makecache
"""


def offer(host: Host, names: Sequence[str] = ()) -> None:
    """Let the host's own repository offer packages, and let its package manager know of them.

    Args:
        host: not yet in a state that breaks its package manager.
        names: those of ClamAV when empty.
    """
    wanted = " ".join(names or CLAMAV[host.family])
    host.run((_DEB if host.family == "deb" else _RPM).format(names=wanted, version=VERSION))


def built(lab: Lab, name: str, recipe: Sequence[str], *words: str) -> Path:
    """A folder of the distribution's own packages; made once, and again when its recipe changes.

    Args:
        lab: the lab.
        name: of the folder.
        recipe: the scripts that make it, all of them; the first one is run with the folder and `words`.
    """
    parts = [*((HERE / file).read_bytes() for file in ("base.sh", *recipe)), *(word.encode() for word in words)]
    folder = _cache() / f"{name}-{hashlib.sha256(b''.join(parts)).hexdigest()[:12]}"
    if not folder.exists():
        building = folder.with_name(f".building-{name}-{os.getpid()}")
        building.mkdir(parents=True)
        call([str(HERE / recipe[0]), str(building), *words], environment=lab.environment, patience=600)
        if folder.exists():  # somebody else was faster
            call(["rm", "-r", str(building)], environment=lab.environment)
        else:
            building.rename(folder)
    return folder


def put(host: Host, folder: Path) -> None:
    """Lay the packages of a folder into the host's own repository; its lists do not know of them yet."""
    pid = host.lab.fleet("pid", host.name).stdout.strip()
    host.lab.command("sh", "-c", f'cp -- "$1"/* /proc/{pid}/root/srv/repo/', "sh", str(folder))
