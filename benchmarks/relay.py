# SPDX-License-Identifier: GPL-3.0-or-later
"""A TCP relay on loopback that counts what goes through it."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading


class Relay(socketserver.ThreadingTCPServer):
    """Hands every connection on to another port of this machine.

    Attributes:
        port: where it listens.
        sent, received: bytes from and to the clients.
        requests: HTTP requests among what was sent; the server behind speaks plain HTTP.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, target: tuple[str, int]) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.target = target
        self.port = int(self.server_address[1])
        self.sent = self.received = self.requests = 0
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def count(self, *, sent: bytes = b"", received: bytes = b"") -> None:
        """Note what went through."""
        with self.lock:
            self.sent += len(sent)
            self.received += len(received)
            self.requests += sent.startswith(b"POST /wsman")

    def take(self) -> tuple[int, int, int]:
        """Requests, bytes sent and bytes received since the last call."""
        with self.lock:
            found = (self.requests, self.sent, self.received)
            self.sent = self.received = self.requests = 0
        return found


class _Connection(socketserver.BaseRequestHandler):
    server: Relay

    def handle(self) -> None:
        with socket.create_connection(self.server.target) as behind:
            back = threading.Thread(target=self._back, args=(behind,), daemon=True)
            back.start()
            while data := self.request.recv(65536):
                self.server.count(sent=data)
                behind.sendall(data)
            with contextlib.suppress(OSError):
                behind.shutdown(socket.SHUT_WR)
            back.join()

    def _back(self, behind: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the client has gone
            while data := behind.recv(65536):
                self.server.count(received=data)
                self.request.sendall(data)
