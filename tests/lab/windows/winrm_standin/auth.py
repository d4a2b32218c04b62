# SPDX-License-Identifier: GPL-3.0-or-later
"""Authentication: one authenticator per TCP connection, as WinRM binds a login to its connection.

An authenticator sees the header of each request and may also wrap bodies, so that schemes with a handshake and with
message encryption fit the same shape as Basic.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from dataclasses import dataclass
from typing import Protocol

SOAP_TYPE = "application/soap+xml;charset=UTF-8"


@dataclass(frozen=True, kw_only=True)
class Account:
    """The one account a server knows; the password is not shown in tracebacks."""

    user: str
    password: str

    def __repr__(self) -> str:
        return f"Account(user={self.user!r})"


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Whether the request may go on, and the WWW-Authenticate headers of the answer."""

    allowed: bool
    challenges: tuple[str, ...] = ()


class Authenticator(Protocol):
    """State of one connection."""

    def decide(self, header: str) -> Decision:
        """Judge a request by its Authorization header ("" when it has none)."""
        ...

    def unwrap(self, body: bytes, content_type: str) -> bytes:
        """The envelope within a request's body; raises ValueError when it cannot be read."""
        ...

    def wrap(self, body: bytes) -> tuple[bytes, str]:
        """A response's body as it goes out, and its content type."""
        ...


class Basic:
    """HTTP Basic: each request brings the name and the password."""

    CHALLENGE = 'Basic realm="WSMAN"'

    def __init__(self, account: Account) -> None:
        self._expected = f"{account.user}:{account.password}".encode()

    def decide(self, header: str) -> Decision:
        scheme, _blank, token = header.partition(" ")
        if scheme.lower() == "basic":
            try:
                given = base64.b64decode(token.strip(), validate=True)
            except binascii.Error:
                given = b""
            if hmac.compare_digest(given, self._expected):
                return Decision(allowed=True)
        return Decision(allowed=False, challenges=(self.CHALLENGE,))

    def unwrap(self, body: bytes, content_type: str) -> bytes:
        if not content_type.lower().startswith("application/soap+xml"):
            raise ValueError(f"content type {content_type!r}")
        return body

    def wrap(self, body: bytes) -> tuple[bytes, str]:
        return body, SOAP_TYPE
