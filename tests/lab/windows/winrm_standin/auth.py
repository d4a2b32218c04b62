# SPDX-License-Identifier: GPL-3.0-or-later
"""Authentication: one authenticator per TCP connection, as WinRM binds a login to its connection.

An authenticator sees the header of each request and may also wrap bodies, so that schemes with a handshake and with
message encryption fit the same shape as Basic. `negotiate` has those; `Login` puts together what a server offers.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

SOAP_TYPE = "application/soap+xml;charset=UTF-8"


class Unencrypted(Exception):
    """A body came in clear where the server takes encrypted ones only (AllowUnencrypted is false)."""


@dataclass(frozen=True, kw_only=True)
class Account:
    """The one account a server knows; the password is not shown in tracebacks.

    Attributes:
        user: its name; for Kerberos the principal, as in `name@REALM`.
        password: its password; not looked at for Kerberos.
    """

    user: str
    password: str

    def __repr__(self) -> str:
        return f"Account(user={self.user!r})"


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What a server takes.

    Attributes:
        schemes: of `basic`, `negotiate` (NTLM, alone or within SPNEGO), `ntlm` (the same under its own name, which
            Windows does not offer for WinRM) and `kerberos` (alone or within SPNEGO).
        allow_unencrypted: WinRM's setting AllowUnencrypted: Basic, and bodies in clear, without TLS.
    """

    schemes: tuple[str, ...] = ("basic",)
    allow_unencrypted: bool = True

    def __post_init__(self) -> None:
        if unknown := set(self.schemes) - {"basic", "negotiate", "ntlm", "kerberos"}:
            raise ValueError(f"unknown schemes: {', '.join(sorted(unknown))}")


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
        """The envelope within a request's body; raises ValueError when it cannot be read, or Unencrypted."""
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


class Login:
    """Several authenticators on one connection: the one whose login was taken last has the say.

    Args:
        choices: scheme as it stands in the header, in lower case, with its authenticator.
    """

    def __init__(self, choices: Iterable[tuple[str, Authenticator]]) -> None:
        self._choices = dict(choices)
        self._current: Authenticator | None = None

    def decide(self, header: str) -> Decision:
        chosen = self._choices.get(header.partition(" ")[0].lower()) if header else self._current
        if chosen is None:
            return self._refused()
        decision = chosen.decide(header)
        if decision.allowed:
            self._current = chosen
        # A handshake that goes on brings its own token; a refusal offers everything again.
        return decision if decision.allowed or any(" " in c for c in decision.challenges) else self._refused()

    def unwrap(self, body: bytes, content_type: str) -> bytes:
        if self._current is None:
            raise ValueError("nobody has logged in")
        return self._current.unwrap(body, content_type)

    def wrap(self, body: bytes) -> tuple[bytes, str]:
        return self._current.wrap(body) if self._current is not None else (body, SOAP_TYPE)

    def _refused(self) -> Decision:
        names = {"negotiate": "Negotiate", "ntlm": "NTLM", "kerberos": "Kerberos", "basic": Basic.CHALLENGE}
        return Decision(allowed=False, challenges=tuple(names[scheme] for scheme in names if scheme in self._choices))
