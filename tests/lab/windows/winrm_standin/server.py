# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP side: connections, logins, and the way of a request to the handler of its resource."""

from __future__ import annotations

import ipaddress
import logging
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Protocol

from . import soap, winrs
from .auth import Account, Authenticator, Basic
from .backends import Backend

PATH = "/wsman"
# Windows refuses envelopes of more than MaxEnvelopeSizekb, by default 500.
LARGEST = 512_000
log = logging.getLogger(__name__)


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
        self.open_connections: set[socket.socket] = set()
        super().__init__(address, _Handler)


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
        except (ConnectionError, ValueError) as error:  # ValueError: the server closed the socket under us
            log.debug("connection lost: %s", error)

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > LARGEST:
            self.close_connection = True
            self._answer(411 if not length else 413)
            return
        body = self.rfile.read(int(length))
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
        except ValueError as error:
            log.debug("unreadable body: %s", error)
            self._answer(415)
            return
        status, response = self._respond(plain)
        wrapped, content_type = self.authenticator.wrap(response)
        self._answer(status, body=wrapped, headers=[*headers, ("Content-Type", content_type)])

    def _respond(self, plain: bytes) -> tuple[int, bytes]:
        relates_to = ""
        try:
            request = soap.parse(plain)
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

    def _answer(self, status: int, *, body: bytes = b"", headers: list[tuple[str, str]] | None = None) -> None:
        self.send_response(status)
        for name, value in headers or []:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        log.debug(format, *args)


class StandIn:
    """A running server; use it as a context manager.

    Args:
        backend: what runs the command lines.
        account: the one login.
        address: a loopback address; anything else is refused.
        port: 0 takes a free one.

    Raises:
        ValueError: `address` is not a loopback address.
        OSError: the port is taken.
    """

    def __init__(self, backend: Backend, account: Account, *, address: str = "127.0.0.1", port: int = 0) -> None:
        if not ipaddress.ip_address(address).is_loopback:
            raise ValueError(f"a stand-in listens on loopback only, not on {address}")
        self._resources: dict[str, Resource] = {winrs.RESOURCE_URI.lower(): winrs.WinRS(backend, account.user)}
        self._http = _HTTPServer((address, port), self._resources, lambda: Basic(account))
        self.address = address
        self.port = int(self._http.server_address[1])
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def endpoint(self) -> str:
        """The URL clients use."""
        return f"http://{self.address}:{self.port}{PATH}"

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
        self._http.server_close()
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
