# SPDX-License-Identifier: GPL-3.0-or-later
"""A WinRM (WS-Management) server for tests: WinRS shells over SOAP and HTTP, on loopback only.

It answers real clients (pywinrm, Ansible's `winrm` connection) and hands their command lines to a backend: PowerShell
on Wine (`backends.WineBackend`) or, for tests of the protocol, the local `sh` (`backends.ShBackend`).

Parts, each replaceable: `soap` (envelopes), `shells` (commands and their output), `winrs` (the operations of one kind
of shell; another kind registers under its resource URI), `auth` (one authenticator per connection), `server` (HTTP).
"""

from __future__ import annotations

from .auth import Account
from .backends import Backend, ShBackend, WineBackend
from .server import StandIn

__all__ = ["Account", "Backend", "ShBackend", "StandIn", "WineBackend"]
