# SPDX-License-Identifier: GPL-3.0-or-later
"""One Linux lab for all lab tests of a session, torn down at its end, and one shared host for each root."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .lab import ROOTS, Host, Lab

Fresh = Callable[[str], Host]


@pytest.fixture(scope="session")
def linux_lab() -> Iterator[Lab]:
    """The lab; what is missing for it is an error here, never a skip."""
    _clear_killed_sessions()
    lab = Lab(f"test-{os.getpid()}")
    try:
        yield lab.start()
    finally:
        lab.stop()
    assert lab.residue() == []


def _clear_killed_sessions() -> None:
    """Stop the labs of sessions that died without a word; other sessions may be running beside us."""
    for place in Lab("test").state.glob("*-[0-9]*"):
        pid = place.name.rpartition("-")[2]
        if not Path("/proc", pid).exists():
            Lab(place.name).stop()


@pytest.fixture(scope="session")
def shared_hosts(linux_lab: Lab) -> dict[str, Host]:
    """One clean host for each root, named as it, for tests that change nothing: deb12 deb13 nopy rpm9."""
    hosts = {root: linux_lab.up(root, root) for root in ROOTS}
    linux_lab.wait(*hosts.values())
    return hosts


@pytest.fixture(scope="session")
def _scratch_hosts(linux_lab: Lab) -> dict[str, Host]:
    return {}


@pytest.fixture
def fresh_host(linux_lab: Lab, _scratch_hosts: dict[str, Host]) -> Fresh:
    """`fresh_host(root)`: a clean host to be altered by this test; the next test gets it reset."""

    def fresh(root: str) -> Host:
        if root in _scratch_hosts:
            return _scratch_hosts[root].reset()
        host = _scratch_hosts[root] = linux_lab.up(f"s{root}", root)
        linux_lab.wait(host)
        return host

    return fresh
