# SPDX-License-Identifier: GPL-3.0-or-later
"""The operations of WinRS, the shell that carries command lines."""

from __future__ import annotations

import base64
import binascii
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Mapping
from xml.sax.saxutils import escape

from . import soap
from .backends import Backend
from .resource import Resource
from .shells import STREAMS, Command, Output, Shell

RESOURCE_URI = soap.SHELL + "cmd"


class WinRS(Resource[Shell]):
    """The resource that carries command lines."""

    uri = RESOURCE_URI

    def __init__(self, backend: Backend, owner: str) -> None:
        super().__init__()
        self._backend = backend
        self._owner = owner

    def _operations(self) -> Mapping[str, Callable[[soap.Request, Shell], str]]:
        return {"Command": self._command, "Send": self._send, "Receive": self._receive, "Signal": self._signal}

    def _create(self, request: soap.Request) -> bytes:
        for part in ("WorkingDirectory", "Environment"):
            if request.body.find(f"rsp:Shell/rsp:{part}", soap.NS) is not None:
                raise soap.unsupported(f"a shell with {part}")
        shell = Shell()
        details = f"<rsp:Owner>{escape(self._owner)}</rsp:Owner><rsp:InputStreams>stdin</rsp:InputStreams>"
        details += f"<rsp:OutputStreams>{' '.join(STREAMS)}</rsp:OutputStreams>"
        return self._made(request, shell.id, shell, details)

    def _command(self, request: soap.Request, shell: Shell) -> str:
        line = request.body.find("rsp:CommandLine", soap.NS)
        if line is None:
            raise soap.unsupported("a Command without a CommandLine")
        words = [line.findtext("rsp:Command", "", soap.NS)]
        words += [argument.text or "" for argument in line.findall("rsp:Arguments", soap.NS)]
        try:
            command = Command(self._backend.start(" ".join(words)))
        except OSError as error:
            raise soap.Fault(f"The command could not be started: {error}", 2147942402) from error
        shell.commands[command.id] = command
        return f"<rsp:CommandResponse><rsp:CommandId>{command.id}</rsp:CommandId></rsp:CommandResponse>"

    def _send(self, request: soap.Request, shell: Shell) -> str:
        for stream in request.body.findall("rsp:Send/rsp:Stream", soap.NS):
            command = _command_of(shell, stream)
            try:
                data = base64.b64decode(stream.text or "", validate=False)
            except binascii.Error as error:
                raise soap.Fault(f"The stream is not base64: {error}", 2150858752) from error
            command.send(data, end=(stream.get("End") or "").lower() in ("true", "1"))
        return "<rsp:SendResponse/>"

    def _receive(self, request: soap.Request, shell: Shell) -> str:
        wanted = request.body.find("rsp:Receive/rsp:DesiredStream", soap.NS)
        if wanted is None:
            raise soap.unsupported("a Receive without DesiredStream")
        command = _command_of(shell, wanted)
        output = command.receive(request.timeout)
        if output is None:
            raise soap.timed_out()
        return f"<rsp:ReceiveResponse>{_receive_body(command.id, output)}</rsp:ReceiveResponse>"

    def _signal(self, request: soap.Request, shell: Shell) -> str:
        wanted = request.body.find("rsp:Signal", soap.NS)
        if wanted is None:
            raise soap.unsupported("a Signal without its element")
        command = _command_of(shell, wanted)
        command.kill()
        if (wanted.findtext("rsp:Code", "", soap.NS)).lower().endswith("/terminate"):
            shell.commands.pop(command.id, None)
        return "<rsp:SignalResponse/>"


def _command_of(shell: Shell, element: ElementTree.Element) -> Command:
    command = shell.commands.get((element.get("CommandId") or "").upper())
    if command is None:
        raise soap.unknown_selector()
    return command


def _receive_body(command_id: str, output: Output) -> str:
    parts = [
        f'<rsp:Stream Name="{name}" CommandId="{command_id}">{base64.b64encode(data).decode()}</rsp:Stream>'
        for name, data in output.streams.items()
        if data
    ]
    state = soap.SHELL + "CommandState/"
    if output.exit_code is None:
        parts.append(f'<rsp:CommandState CommandId="{command_id}" State="{state}Running"/>')
    else:
        parts += [f'<rsp:Stream Name="{name}" CommandId="{command_id}" End="true"></rsp:Stream>' for name in STREAMS]
        parts.append(
            f'<rsp:CommandState CommandId="{command_id}" State="{state}Done">'
            f"<rsp:ExitCode>{output.exit_code}</rsp:ExitCode></rsp:CommandState>"
        )
    return "".join(parts)
