# SPDX-License-Identifier: GPL-3.0-or-later
"""A WinRM (WS-Management) server for tests: WinRS and PSRP shells over SOAP and HTTP or HTTPS, on loopback only.

It answers real clients (pywinrm, pypsrp, Ansible's `winrm` and `psrp` connections) and hands their command lines to a
backend: PowerShell on Wine (`WineBackend`) or, for tests of the protocol, the local `sh` (`ShBackend`) or a recorded
answer (`RecordedBackend`).

Parts, each replaceable: `soap` (envelopes), `shells` (commands and their output), `winrs` and `psrp` (the operations of
one kind of shell; another kind registers under its resource URI), `auth` and `negotiate` (one authenticator per
connection), `mishaps` (what goes wrong on purpose), `server` (HTTP).
"""

from __future__ import annotations

from .auth import Account, Offer
from .backends import Backend, RecordedBackend, ShBackend, WineBackend
from .mishaps import Mishap
from .server import StandIn, Traffic

__all__ = ["Account", "Backend", "Mishap", "Offer", "RecordedBackend", "ShBackend", "StandIn", "Traffic", "WineBackend"]
