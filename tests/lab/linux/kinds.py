# SPDX-License-Identifier: GPL-3.0-or-later
"""One kind of step on a real host, performed as a real job, and what came of it: for tests of the kinds."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.performing import Ended, Value, perform

from .lab import Host

FAMILY = {"deb12": ("apt", "dpkg"), "rpm9": ("dnf", "rpm")}
KESL = "/opt/kaspersky/kesl/libexec/kesl"
UNINSTALLER = "/var/opt/kaspersky/kesl/install-current/opt/kaspersky/kesl/lib/bin/setup/uninstall.pl"
both = pytest.mark.parametrize("root", FAMILY)


def do(host: Host, kind: str, given: Mapping[str, Value] | None = None, *, timeout: int = 60, **more: Value) -> Ended:
    def run(text: str) -> str:
        return host.run("exec /bin/sh", stdin=text, check=False, patience=300).stdout

    return perform(run, kind, {**(given or {}), **more}, timeout=timeout)


def remove(host: Host, package: str = "kesl", *, plain: bool = False, timeout: int = 60, purge: str = "") -> Ended:
    """With the host's front end, or with the plain tool."""
    more: dict[str, Value] = {"purge": purge} if purge else {}
    return do(host, "remove_package", more, timeout=timeout, manager=FAMILY[host.root][plain], package=package)


def registered(host: Host, package: str = "kesl") -> bool:
    """By dpkg's or rpm's own word."""
    script = f"dpkg-query -W -f '${{Status}}' {package} || rpm -q {package}"
    said = host.run(script, check=False).stdout
    return said not in ("", "deinstall ok config-files") and "not installed" not in said


def fails(ended: Ended, failure: str, *words: str) -> None:
    assert (ended.status, ended.failure) == ("failed", failure), ended
    for word in words:
        assert word in ended.why, ended


def flag(host: Host, name: str) -> None:
    host.run(f"mkdir -p /etc/fake-kaspersky; touch /etc/fake-kaspersky/{name}")
