# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a stand-in by hand: `python -m tests.lab.windows.winrm_standin --backend sh` from the checkout.

The password is read from the environment variable EVICT_STANDIN_PASSWORD, so that it is on no command line.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys

from .auth import Account
from .backends import Backend, ShBackend
from .server import StandIn


def _backend(name: str) -> Backend:
    if name == "sh":
        return ShBackend()
    from ..lab import wine_backend  # the lab knows where its hosts lie

    return wine_backend(name.removeprefix("wine:"))


def main() -> int:
    """Serve until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="winrm_standin", description="A WinRM server for tests, on loopback.")
    parser.add_argument("--backend", default="sh", help="sh, or wine:HOST for a host of the wine script")
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5985)
    parser.add_argument("--user", default="admin")
    parser.add_argument("--verbose", action="store_true", help="log each operation to stderr")
    options = parser.parse_args()
    password = os.environ.get("EVICT_STANDIN_PASSWORD", "")
    if not password:
        parser.error("set EVICT_STANDIN_PASSWORD")
    logging.basicConfig(level=logging.DEBUG if options.verbose else logging.WARNING)
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
    account = Account(user=options.user, password=password)
    server = StandIn(_backend(options.backend), account, address=options.address, port=options.port)
    print(f"listening on {server.endpoint}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
