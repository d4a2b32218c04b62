# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture in README.md, made of an invented fleet: python -m tests.e2e.report_image [FILE] (needs Chromium)."""

from __future__ import annotations

import base64
import sys
import tempfile
from pathlib import Path

from ansible_collections.evict.kaspersky.plugins.plugin_utils import report
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import Verdict
from tests import fleet, tree
from tests.e2e import browser

WIDTH, HEIGHT = 1400, 900


def main(target: Path) -> None:
    """Write the picture: the page with one host open."""
    rows = fleet.rows(240, seed=7)
    view = [row for row in rows if row.verdict is Verdict.PRESENT and row.platform == "windows"]
    with tempfile.TemporaryDirectory() as folder, browser.chromium() as chrome:
        page = Path(folder) / "report.html"
        page.write_bytes(b"".join(report.encoded("html", fleet.ledger(rows))))
        chrome.devtools(
            "Emulation.setDeviceMetricsOverride", width=WIDTH, height=HEIGHT, deviceScaleFactor=1, mobile=False
        )
        chrome.emulate(scheme="light")
        chrome.open(page, f"#verdict=present&platform=windows&sort=host&host={view[0].host}")
        chrome.js("document.activeElement.blur(); scrollTo(0, 0)")
        target.write_bytes(base64.b64decode(chrome.devtools("Page.captureScreenshot", format="png")["data"]))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else tree.ROOT / "docs" / "images" / "report.png")
