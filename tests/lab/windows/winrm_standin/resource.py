# SPDX-License-Identifier: GPL-3.0-or-later
"""What the resources of the stand-in have in common: shells that are made, asked and ended by id."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Generic, Protocol, TypeVar

from . import soap


class Ends(Protocol):
    """A shell of some kind."""

    def kill(self) -> None:
        """End what runs in it."""


S = TypeVar("S", bound=Ends)


class Resource(Generic[S]):
    """Answers requests for one resource URI; one object per server, used by all its connections."""

    uri: str

    def __init__(self) -> None:
        self._shells: dict[str, S] = {}
        self._lock = threading.Lock()

    def handle(self, request: soap.Request) -> bytes:
        """Answer one request.

        Raises:
            soap.Fault: the request names nothing that exists, or asks for what the stand-in does not do.
        """
        if request.operation == "Create":
            return self._create(request)
        with self._lock:
            shell = self._shells.get(request.shell_id)
        if shell is None:
            raise soap.unknown_selector()
        if request.operation == "Delete":
            with self._lock:
                self._shells.pop(request.shell_id, None)
            shell.kill()
            return soap.envelope(soap.TRANSFER + "DeleteResponse", request.message_id, "")
        operations = self._operations()
        if request.operation not in operations:
            raise soap.unsupported(f"the action {request.action}")
        body = operations[request.operation](request, shell)
        return soap.envelope(f"{soap.SHELL}{request.operation}Response", request.message_id, body)

    def close(self) -> None:
        """End everything that still runs."""
        with self._lock:
            shells = list(self._shells.values())
            self._shells.clear()
        for shell in shells:
            shell.kill()

    def _made(self, request: soap.Request, shell_id: str, shell: S, details: str) -> bytes:
        """Keep a new shell; the answer to its Create."""
        with self._lock:
            self._shells[shell_id] = shell
        return soap.envelope(
            soap.TRANSFER + "CreateResponse",
            request.message_id,
            f"<x:ResourceCreated><a:Address>{soap.NS['a']}/role/anonymous</a:Address><a:ReferenceParameters>"
            f"<w:ResourceURI>{self.uri}</w:ResourceURI><w:SelectorSet>"
            f'<w:Selector Name="ShellId">{shell_id}</w:Selector></w:SelectorSet></a:ReferenceParameters>'
            "</x:ResourceCreated>"
            f"<rsp:Shell><rsp:ShellId>{shell_id}</rsp:ShellId><rsp:ResourceUri>{self.uri}</rsp:ResourceUri>"
            f"{details}</rsp:Shell>",
        )

    def _create(self, request: soap.Request) -> bytes:
        raise NotImplementedError

    def _operations(self) -> Mapping[str, Callable[[soap.Request, S], str]]:
        raise NotImplementedError
