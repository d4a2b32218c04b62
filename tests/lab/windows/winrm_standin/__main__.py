# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a stand-in by hand: `python -m tests.lab.windows.winrm_standin --backend sh` from the checkout.

The password is read from the environment variable EVICT_STANDIN_PASSWORD, so that it is on no command line.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import ssl
import sys
from pathlib import Path

from .auth import Account, Offer
from .backends import Backend, RecordedBackend, ShBackend
from .server import StandIn


def _backend(name: str) -> Backend:
    if name == "sh":
        return ShBackend()
    if name.startswith("recorded:"):
        return RecordedBackend(observation=Path(name.removeprefix("recorded:")))
    from ..lab import wine_backend  # the lab knows where its hosts lie

    return wine_backend(name.removeprefix("wine:"))


def main() -> int:
    """Serve until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="winrm_standin", description="A WinRM server for tests, on loopback.")
    parser.add_argument(
        "--backend", default="sh", help="sh, wine:HOST for a host of the wine script, or recorded:FILE for one answer"
    )
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5985)
    parser.add_argument("--user", default="admin", help="for kerberos the principal, as in name@REALM")
    parser.add_argument("--offer", default="basic", help="which of basic,negotiate,ntlm,kerberos; default: basic")
    parser.add_argument("--closed", action="store_true", help="AllowUnencrypted is off")
    parser.add_argument("--certificate", help="PEM file of a key and its certificate; makes it HTTPS")
    parser.add_argument("--verbose", action="store_true", help="log each operation to stderr")
    options = parser.parse_args()
    password = os.environ.get("EVICT_STANDIN_PASSWORD", "")
    if not password:
        parser.error("set EVICT_STANDIN_PASSWORD")
    logging.basicConfig(level=logging.DEBUG if options.verbose else logging.WARNING)
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
    account = Account(user=options.user, password=password)
    tls = None
    if options.certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(options.certificate)
    server = StandIn(
        _backend(options.backend),
        account,
        address=options.address,
        port=options.port,
        offer=Offer(schemes=tuple(options.offer.split(",")), allow_unencrypted=not options.closed),
        tls=tls,
    )
    print(f"listening on {server.endpoint}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
