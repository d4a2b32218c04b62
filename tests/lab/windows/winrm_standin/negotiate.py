# SPDX-License-Identifier: GPL-3.0-or-later
"""NTLM and Kerberos, bare or within SPNEGO, and the encryption of messages (MS-WSMV 2.2.9.1) that comes with them.

The cryptography is pyspnego's; Kerberos also wants the packages gssapi and krb5, and a keytab in KRB5_KTNAME.
"""

from __future__ import annotations

import base64
import binascii
import logging
import os
import re
import struct
import tempfile
import threading
from pathlib import Path

import spnego
from spnego.exceptions import SpnegoError

from .auth import SOAP_TYPE, Account, Decision, Offer, Unencrypted

BOUNDARY = b"Encrypted Boundary"
_ENCRYPTED = re.compile(
    rb"--Encrypted Boundary\r\n"
    rb"\t?Content-Type: (?P<protocol>application/HTTP-(?:SPNEGO|Kerberos)-session-encrypted)\r\n"
    rb"\t?OriginalContent: type=application/soap\+xml;charset=UTF-8;Length=(?P<length>\d+)\r\n"
    rb"--Encrypted Boundary\r\n"
    rb"\t?Content-Type: application/octet-stream\r\n"
    rb"(?P<data>.*)--Encrypted Boundary--(?:\r\n)?",
    re.DOTALL,
)
log = logging.getLogger(__name__)


class Store:
    """The account for NTLM in a file of pyspnego's own; deleted by `close`.

    pyspnego finds the file through the environment of the process, so servers take turns.
    """

    _turn = threading.Lock()

    def __init__(self, account: Account) -> None:
        fd, name = tempfile.mkstemp(prefix="standin-ntlm-")
        self._file = Path(name)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            for domain in ("", "EVICT"):
                file.write(f"{domain}:{account.user}:{account.password}\n")

    def step(self, context: spnego.ContextProxy | None, token: bytes) -> tuple[spnego.ContextProxy, bytes | None]:
        """Go one step on, with a new context when there is none yet.

        Raises:
            SpnegoError: the login is refused.
        """
        with self._turn:
            before = os.environ.get("NTLM_USER_FILE")
            os.environ["NTLM_USER_FILE"] = str(self._file)
            try:
                if context is None:
                    options = spnego.NegotiateOptions.use_negotiate
                    context = spnego.server(protocol="negotiate", service="http", options=options)
                return context, context.step(token)
            finally:
                del os.environ["NTLM_USER_FILE"]
                if before is not None:
                    os.environ["NTLM_USER_FILE"] = before

    def close(self) -> None:
        """Delete the file."""
        self._file.unlink(missing_ok=True)


class Negotiate:
    """A handshake of two or three steps, after which the connection is logged in and may be encrypted.

    Args:
        store: the account for NTLM.
        account: the same account; its name is what Kerberos must bring.
        offer: which mechanisms are taken, and whether bodies may come in clear.
        tls: the connection is within TLS, so that bodies may come in clear.
    """

    def __init__(self, store: Store, account: Account, offer: Offer, *, tls: bool) -> None:
        self._store = store
        self._account = account
        self._plain_allowed = tls or offer.allow_unencrypted
        self._mechanisms = {"kerberos"} if "kerberos" in offer.schemes else set()
        if {"negotiate", "ntlm"} & set(offer.schemes):
            self._mechanisms.add("ntlm")
        self._context: spnego.ContextProxy | None = None
        self._encrypted = b""  # protocol of the last request; empty: it came in clear

    def decide(self, header: str) -> Decision:
        scheme, _blank, token = header.partition(" ")
        if not header:
            return Decision(allowed=self._context is not None and self._context.complete)
        if self._context is not None and self._context.complete:
            self._context = None
        try:
            if not token.strip():
                raise ValueError("no token")
            self._context, answer = self._store.step(self._context, base64.b64decode(token, validate=True))
            if self._context.complete:
                self._check(self._context)
        except (SpnegoError, binascii.Error, ValueError, struct.error) as error:
            log.debug("login refused: %s", error)
            self._context = None
            return Decision(allowed=False)
        challenges = (f"{scheme} {base64.b64encode(answer).decode()}",) if answer else ()
        return Decision(allowed=self._context.complete, challenges=challenges)

    def unwrap(self, body: bytes, content_type: str) -> bytes:
        kind = content_type.lower()
        if kind.startswith("application/soap+xml"):
            if not self._plain_allowed:
                raise Unencrypted
            self._encrypted = b""
            return body
        found = _ENCRYPTED.fullmatch(body)
        if not kind.startswith("multipart/encrypted;") or found is None or self._context is None:
            raise ValueError(f"content type {content_type!r}")
        (size,) = struct.unpack("<I", found["data"][:4])
        try:
            plain = self._context.unwrap_winrm(found["data"][4 : 4 + size], found["data"][4 + size :])
        except SpnegoError as error:
            raise ValueError(f"cannot be decrypted: {error}") from error
        if len(plain) > int(found["length"]):
            raise ValueError(f"{len(plain)} bytes where the message says {found['length'].decode()}")
        self._encrypted = found["protocol"]
        return plain

    def wrap(self, body: bytes) -> tuple[bytes, str]:
        if not self._encrypted or self._context is None:
            return body, SOAP_TYPE
        wrapped = self._context.wrap_winrm(body)
        # Clients want the tab before the headers of the parts, as Windows sends it.
        message = b"".join(
            (
                b"--" + BOUNDARY + b"\r\n\tContent-Type: " + self._encrypted + b"\r\n\tOriginalContent: type=",
                f"application/soap+xml;charset=UTF-8;Length={len(body) + wrapped.padding_length}\r\n".encode(),
                b"--" + BOUNDARY + b"\r\n\tContent-Type: application/octet-stream\r\n",
                struct.pack("<I", len(wrapped.header)) + wrapped.header + wrapped.data,
                b"--" + BOUNDARY + b"--\r\n",
            )
        )
        return message, f'multipart/encrypted;protocol="{self._encrypted.decode()}";boundary="{BOUNDARY.decode()}"'

    def _check(self, context: spnego.ContextProxy) -> None:
        mechanism = context.negotiated_protocol or ""
        if mechanism not in self._mechanisms:
            raise ValueError(f"{mechanism!r} is not offered")
        if mechanism == "kerberos" and (context.client_principal or "").lower() != self._account.user.lower():
            raise ValueError(f"{context.client_principal} may not log in")
