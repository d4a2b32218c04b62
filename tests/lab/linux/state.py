# SPDX-License-Identifier: GPL-3.0-or-later
"""What a state of a Linux host is: how it comes about, how it shows by other means, and what an audit has to say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .lab import Host

DEB = ("deb12", "deb13", "nopy")
RPM = ("rpm9",)


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What an audit as root has to say.

    Attributes:
        verdict: of the host.
        products: id -> state.
        unknown: the probes that could not tell.
        reported: ids of what is reported only.
        topics: of the facts in the row, but for protection.
        protection: whether a scanner is active.
    """

    verdict: str
    products: Mapping[str, str] = field(default_factory=dict)
    unknown: frozenset[str] = frozenset()
    reported: frozenset[str] = frozenset()
    topics: frozenset[str] = frozenset()
    protection: str = "none"


@dataclass(frozen=True, kw_only=True)
class State:
    """One state.

    Attributes:
        why: what a host in it shows.
        roots: the root file systems it can be made on; the first is the usual one.
        install: look-alike packages to copy to the host; ``$PACKAGES`` in the script has their paths.
        script: brings a fresh host into the state, as root.
        checks: scripts that end well when the host is in the state, by instruments other than ours.
        expected: what an audit has to say.
    """

    why: str
    roots: tuple[str, ...]
    script: str
    checks: tuple[str, ...]
    expected: Expected
    install: tuple[str, ...] = ()

    def make(self, host: Host) -> None:
        """Bring a fresh host into the state."""
        if host.root not in self.roots:
            raise ValueError(f"this state can be made on {self.roots}, not on {host.root}")
        bring(host, self.script, self.install)


def bring(host: Host, script: str, install: Sequence[str] = ()) -> None:
    """Run a script on a fresh host that may use ``$INSTALL $PACKAGES``.

    Args:
        host: the host.
        script: brings it into a state, as root.
        install: names of the look-alike packages whose paths are in ``$PACKAGES``.
    """
    packages = host.give(*install)
    command = "dpkg -i" if host.family == "deb" else "rpm -i"
    settings = f"PACKAGES='{packages}'; INSTALL='{command}'; mkdir -p /etc/fake-kaspersky"
    host.run(f"{settings}\n{script}\nrm -rf /srv/packages")


def present(products: Mapping[str, str], *unknown: str) -> Expected:
    """A product is there."""
    return Expected(verdict="present", products=products, unknown=frozenset(unknown))


def leftovers(*products: str) -> Expected:
    """Only residue is there."""
    return Expected(verdict="leftovers", products=dict.fromkeys(products, "leftover"))


ABSENT = Expected(verdict="absent")
INSTALL = "$INSTALL $PACKAGES"
