# SPDX-License-Identifier: GPL-3.0-or-later
"""What the browser tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from . import browser
from .browser import Browser


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    """One browser for all tests of a file."""
    if lacks := browser.missing():
        pytest.skip(lacks)
    with browser.chromium() as running:
        yield running


@pytest.fixture
def quiet(chrome: Browser) -> Iterator[None]:
    """Whatever a test does, the console stays empty and nothing is asked for."""
    chrome.complaints()
    chrome.emulate()
    yield
    assert chrome.complaints() == []
    assert chrome.requests() == {}
