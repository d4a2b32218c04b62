# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP side: connections, logins, and the way of a request to the handler of its resource."""

from __future__ import annotations

import ipaddress
import logging
import os
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Protocol

from . import psrp, soap, winrs
from .auth import Account, Authenticator, Basic, Login, Offer, Unencrypted
from .backends import Backend
from .mishaps import Mishap
from .negotiate import Negotiate, Store

PATH = "/wsman"
# Windows refuses envelopes of more than MaxEnvelopeSizekb, by default 500.
LARGEST = 512_000
AROUND = 8_192  # what encryption may put around one
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Traffic:
    """What was said by who was let in.

    Attributes:
        requests: all but polls.
        received: bytes of their bodies.
        polls: requests that only ask for output; how many come depends on how long the host takes.
        sent: bytes of all answers.
    """

    requests: int = 0
    received: int = 0
    polls: int = 0
    sent: int = 0

    def since(self, earlier: Traffic) -> Traffic:
        """What came in between."""
        return Traffic(
            self.requests - earlier.requests,
            self.received - earlier.received,
            self.polls - earlier.polls,
            self.sent - earlier.sent,
        )


class Resource(Protocol):
    """Answers the requests for one resource URI."""

    def handle(self, request: soap.Request) -> bytes:
        """The response envelope; raises soap.Fault."""
        ...

    def close(self) -> None:
        """End everything that still runs."""
        ...


class _HTTPServer(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(
        self, address: tuple[str, int], resources: dict[str, Resource], authenticator: Callable[[], Authenticator]
    ) -> None:
        self.resources = resources
        self.authenticator = authenticator
        self.mishap: Mishap | None = None
        self.over = threading.Event()
        self.open_connections: set[socket.socket] = set()
        self.traffic = Traffic()
        self._counting = threading.Lock()
        super().__init__(address, _Handler)

    def count(self, *, requests: int = 0, received: int = 0, polls: int = 0, sent: int = 0) -> None:
        with self._counting:
            so_far = self.traffic
            self.traffic = Traffic(
                so_far.requests + requests, so_far.received + received, so_far.polls + polls, so_far.sent + sent
            )


class _Handler(BaseHTTPRequestHandler):
    """One connection; requests come one after the other on it."""

    protocol_version = "HTTP/1.1"
    server_version = "Microsoft-HTTPAPI/2.0"
    sys_version = ""
    server: _HTTPServer

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.authenticator = self.server.authenticator()
        self.server.open_connections.add(self.connection)

    def finish(self) -> None:
        self.server.open_connections.discard(self.connection)
        super().finish()

    def handle(self) -> None:
        try:
            super().handle()
        except (ConnectionError, ssl.SSLError, ValueError) as error:  # ValueError: the socket was closed under us
            log.debug("connection lost: %s", error)

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > LARGEST + AROUND:
            self.close_connection = True
            log.debug("refused: Content-Length %r", length)
            self._answer(411 if not length else 413)
            return
        body = self.rfile.read(int(length))
        if self._happens("login"):
            return
        decision = self.authenticator.decide(self.headers.get("Authorization", ""))
        headers = [("WWW-Authenticate", challenge) for challenge in decision.challenges]
        if not decision.allowed:
            self._answer(401, headers=headers)
        elif self.path.split("?", 1)[0].rstrip("/") != PATH:
            self._answer(404)
        elif not body:
            self._answer(200, headers=headers)
        else:
            self._soap(body, headers)

    def _soap(self, body: bytes, headers: list[tuple[str, str]]) -> None:
        try:
            plain = self.authenticator.unwrap(body, self.headers.get("Content-Type", ""))
        except Unencrypted:
            self._answer(500, headers=headers)  # all that Windows says to a client that does not encrypt
            return
        except ValueError as error:
            log.debug("unreadable body: %s", error)
            self._answer(400)  # as Windows does when it cannot decrypt what belongs to another connection
            return
        if len(plain) > LARGEST:
            self._answer(413)
            return
        try:
            request: soap.Request | soap.Fault = soap.parse(plain)
        except soap.Fault as error:
            request = error
        operation = "" if isinstance(request, soap.Fault) else request.operation
        if operation == "Receive":
            self.server.count(polls=1)
        else:
            self.server.count(requests=1, received=len(body))
        if self._happens(operation):
            return
        status, response = self._respond(request)
        wrapped, content_type = self.authenticator.wrap(response)
        cut = self.server.mishap is not None and (self.server.mishap.at, self.server.mishap.kind) == (operation, "cut")
        self._answer(status, body=wrapped, headers=[*headers, ("Content-Type", content_type)], cut=cut)

    def _respond(self, request: soap.Request | soap.Fault) -> tuple[int, bytes]:
        relates_to = ""
        try:
            if isinstance(request, soap.Fault):
                raise request
            relates_to = request.message_id
            resource = self.server.resources.get(request.resource_uri.lower())
            if resource is None:
                raise soap.unsupported(f"the resource {request.resource_uri!r}")
            response = resource.handle(request)
        except soap.Fault as error:
            log.debug("fault %s: %s", error.code, error.message)
            return 500, soap.fault(error, relates_to)
        log.debug("%s %s", request.operation, request.shell_id)
        return 200, response

    def _happens(self, at: str) -> bool:
        """Let the mishap happen, if it is one of this place that takes the place of the answer."""
        mishap = self.server.mishap
        if mishap is None or mishap.at != at or mishap.kind == "cut":
            return False
        log.debug("mishap: %s", mishap)
        self.server.mishap = mishap.then or mishap
        self.close_connection = True
        if mishap.kind == "hang":
            self.server.over.wait()
        elif mishap.kind == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.server.open_connections.discard(self.connection)
            os.close(self.connection.detach())
        elif mishap.kind == "status":
            self._answer(mishap.status, body=mishap.body, headers=[("Content-Type", mishap.content_type)])
        return True

    def _answer(
        self, status: int, *, body: bytes = b"", headers: list[tuple[str, str]] | None = None, cut: bool = False
    ) -> None:
        self.send_response(status)
        for name, value in headers or []:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.server.count(sent=len(body))
        self.wfile.write(body[: len(body) // 2] if cut else body)
        self.close_connection = self.close_connection or cut

    def log_message(self, format: str, *args: object) -> None:
        log.debug(format, *args)


class StandIn:
    """A running server; use it as a context manager.

    Args:
        backend: what runs the command lines.
        account: the one login.
        address: a loopback address; anything else is refused.
        port: 0 takes a free one.
        offer: which schemes are taken.
        tls: makes it HTTPS; a context with the server's certificate.

    Raises:
        ValueError: `address` is not a loopback address.
        OSError: the port is taken.
    """

    def __init__(
        self,
        backend: Backend,
        account: Account,
        *,
        address: str = "127.0.0.1",
        port: int = 0,
        offer: Offer | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        if not ipaddress.ip_address(address).is_loopback:
            raise ValueError(f"a stand-in listens on loopback only, not on {address}")
        self._account = account
        self._offer = offer or Offer()
        self._tls = tls is not None
        self._resources: dict[str, Resource] = {
            winrs.RESOURCE_URI.lower(): winrs.WinRS(backend, account.user),
            psrp.RESOURCE_URI.lower(): psrp.PSRP(backend),
        }
        self._http = _HTTPServer((address, port), self._resources, self._authenticator)
        self._store = Store(account)
        if tls is not None:  # each connection shakes hands in its own thread, with its first read
            self._http.socket = tls.wrap_socket(self._http.socket, server_side=True, do_handshake_on_connect=False)
        self.address = address
        self.port = int(self._http.server_address[1])
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def endpoint(self) -> str:
        """The URL clients use."""
        return f"{'https' if self._tls else 'http'}://{self.address}:{self.port}{PATH}"

    @property
    def mishap(self) -> Mishap | None:
        """What goes wrong from now on; None: nothing."""
        return self._http.mishap

    @mishap.setter
    def mishap(self, mishap: Mishap | None) -> None:
        self._http.mishap = mishap

    @property
    def traffic(self) -> Traffic:
        """What was asked and answered so far."""
        return self._http.traffic

    def _authenticator(self) -> Login:
        offer = self._offer
        shaken: Authenticator = Negotiate(self._store, self._account, offer, tls=self._tls)
        choices = [("negotiate", shaken)] if {"negotiate", "kerberos"} & set(offer.schemes) else []
        choices += [(scheme, shaken) for scheme in ("ntlm", "kerberos") if scheme in offer.schemes]
        if "basic" in offer.schemes and (self._tls or offer.allow_unencrypted):
            choices.append(("basic", Basic(self._account)))
        return Login(choices)

    def start(self) -> StandIn:
        """Serve in a thread of its own."""
        self._thread.start()
        return self

    def serve_forever(self) -> None:
        """Serve in the caller's thread, until it is interrupted."""
        try:
            self._http.serve_forever()
        finally:
            self.stop(joined=False)

    def stop(self, *, joined: bool = True) -> None:
        """Close the port, cut the connections, end what still runs."""
        if joined and self._thread.is_alive():
            self._http.shutdown()
            self._thread.join()
        self._http.over.set()
        self._http.server_close()
        self._store.close()
        for connection in list(self._http.open_connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                log.debug("a connection was closed already")
        for resource in self._resources.values():
            resource.close()

    def __enter__(self) -> StandIn:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
