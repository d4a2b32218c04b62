# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of the labs' states is that of the labs, and there are enough of them."""

from __future__ import annotations

from tests.lab.linux import states as linux
from tests.lab.windows import states as windows
from tools import lab_page


def test_the_page_is_that_of_the_labs() -> None:
    assert lab_page.PAGE.read_text(encoding="utf-8") == lab_page.page(), "run `make docs`"


def test_every_state_stands_on_it_once() -> None:
    lines = [line for line in lab_page.page().splitlines() if line.startswith("| `")]
    assert len(lines) == len(linux.STATES) + len(windows.STATES) >= 40
    assert len({(line.split("|")[1], line.split("|")[2]) for line in lines}) == len(lines)
