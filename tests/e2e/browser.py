# SPDX-License-Identifier: GPL-3.0-or-later
"""A headless Chromium of the system, with a profile of its own, driven through chromedriver."""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import tempfile
import typing as t
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

PROGRAMS: t.Final = {"chromium": ("chromium", "chromium-browser"), "chromedriver": ("chromedriver",)}
SWITCHES: t.Final = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
)


def missing() -> str:
    """What is missing for a browser, in one line; empty when all is there."""
    lacks = [name for name, names in PROGRAMS.items() if not any(map(shutil.which, names))]
    return f"no {' and no '.join(lacks)} (apt install chromium chromium-driver)" if lacks else ""


class Browser:
    """One browser with one page."""

    def __init__(self, driver: t.Any) -> None:
        self.driver = driver

    def open(self, page: Path, fragment: str = "") -> None:
        """Load a file anew, whatever fragment it has."""
        self.driver.get("about:blank")
        self.requests()
        self.driver.get(page.as_uri() + fragment)

    def js(self, script: str, *args: object) -> t.Any:
        """Run a script; what it returns."""
        return self.driver.execute_script(script, *args)

    def later(self, script: str) -> t.Any:
        """Run a script that calls `done(value)` in its own time."""
        return self.driver.execute_async_script(f"const done = arguments[arguments.length - 1]; {script}")

    def devtools(self, command: str, **params: object) -> t.Any:
        """A command of the DevTools protocol."""
        return self.driver.execute_cdp_cmd(command, params)

    def complaints(self) -> list[str]:
        """What the console got since the last call."""
        return [str(entry["message"]) for entry in self.driver.get_log("browser")]

    def requests(self) -> dict[str, str]:
        """Every address asked for since the last call (files, data and empty pages left out): why it was blocked."""
        found: dict[str, str] = {}
        ids: dict[str, str] = {}
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            params = message["params"]
            if message["method"] == "Network.requestWillBeSent":
                url = str(params["request"]["url"])
                if urlsplit(url).scheme not in ("file", "data", "about"):
                    ids[params["requestId"]] = url
                    found[url] = ""
            elif message["method"] == "Network.loadingFailed" and params["requestId"] in ids:
                found[ids[params["requestId"]]] = str(params.get("blockedReason", ""))
        return found

    def pdf(self) -> bytes:
        """The page as it is printed."""
        said = self.devtools("Page.printToPDF", printBackground=True, preferCSSPageSize=True)
        return base64.b64decode(said["data"])

    def emulate(self, *, media: str = "", scheme: str = "light") -> None:
        """A medium (`print`) and a colour scheme (`light` or `dark`)."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.devtools("Emulation.setEmulatedMedia", media=media, features=features)
        self.later("requestAnimationFrame(() => requestAnimationFrame(done))")  # pages hear of it with a frame


@contextlib.contextmanager
def chromium(width: int = 1400, height: int = 900) -> Iterator[Browser]:
    """A browser that is ended in any case.

    Raises:
        RuntimeError: `missing` says why.
    """
    if lacks := missing():
        raise RuntimeError(lacks)
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    browser, driver = (next(filter(None, map(shutil.which, names))) for names in PROGRAMS.values())
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = browser
        for switch in (*SWITCHES, f"--user-data-dir={profile}", f"--window-size={width},{height}"):
            options.add_argument(switch)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        running = webdriver.Chrome(options=options, service=Service(driver))
        try:
            running.set_script_timeout(120)
            yield Browser(running)
        finally:
            running.quit()
