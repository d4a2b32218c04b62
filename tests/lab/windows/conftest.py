# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the Windows lab. `EVICT_LAB` and root are asked for in tests/conftest.py, the PowerShell kit here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.windows import fixtures as msi
from tests.lab.windows.lab import NoKit, WindowsLab, WineHost, kit
from tests.lab.windows.stated import Stated


@pytest.fixture(scope="session")
def windows_lab() -> Iterator[WindowsLab]:
    """The lab; skips in one plain line when there is no kit."""
    try:
        kit()
    except NoKit as reason:
        pytest.skip(str(reason))
    with WindowsLab() as lab:
        yield lab


@pytest.fixture(scope="session")
def packages(windows_lab: WindowsLab) -> msi.Fixtures:
    """The built packages; the lab installs what building them needs."""
    del windows_lab
    return msi.build()


@pytest.fixture(scope="session")
def stated(windows_lab: WindowsLab, packages: msi.Fixtures) -> Stated:
    """Hosts in all states, for whoever looks at them and changes nothing."""
    return Stated(windows_lab, packages)


@pytest.fixture
def host(windows_lab: WindowsLab) -> Iterator[WineHost]:
    """A fresh host, thrown away after the test."""
    yield windows_lab.host("test")
    windows_lab.drop("test")
