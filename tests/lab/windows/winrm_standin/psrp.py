# SPDX-License-Identifier: GPL-3.0-or-later
"""PSRP, the protocol of remote PowerShell, over WS-Management: its shells, pipelines and their streams.

The protocol itself is psrpcore's. There is no remote engine behind it: each pipeline's script runs in a PowerShell of
its own, as the backend starts it, with the pipeline's input as lines on stdin; its output comes back as strings, its
exit code as the host call that `exit` makes.

Source: MS-PSRP, and MS-WSMV for what is put around it.
"""

from __future__ import annotations

import base64
import binascii
import threading
import uuid
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from psrpcore import (
    CreatePipelineEvent,
    EndOfPipelineInputEvent,
    PipelineInputEvent,
    PSRPPayload,
    ServerPipeline,
    ServerRunspacePool,
    StreamType,
)
from psrpcore.types import ErrorCategoryInfo, HostMethodIdentifier, NETException

from . import soap
from .backends import Backend
from .resource import Resource
from .shells import Command

POWERSHELL = "http://schemas.microsoft.com/powershell"
RESOURCE_URI = f"{POWERSHELL}/Microsoft.PowerShell"
# A Receive carries whole fragments only, as clients take each answer apart for itself.
FRAGMENTS, PER_RECEIVE = 30_000, 4
_LINE = "powershell -NoProfile -NonInteractive -ExecutionPolicy Unrestricted -EncodedCommand "


@dataclass(kw_only=True)
class _Pipeline:
    """One pipeline: what runs in it and what it has been given so far."""

    server: ServerPipeline
    script: str = ""
    input: list[str] = field(default_factory=list)
    command: Command | None = None
    done: bool = False


class _Shell:
    """A runspace pool with its pipelines; output waits here until a Receive fetches it."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._pool = ServerRunspacePool()
        self._changed = threading.Condition()
        self._waiting: dict[uuid.UUID | None, list[bytes]] = {None: []}
        self._pipelines: dict[uuid.UUID, _Pipeline] = {}

    def feed(self, data: bytes, pipeline_id: uuid.UUID | None, stream: StreamType = StreamType.default) -> None:
        """Take fragments, and do what the messages in them say."""
        with self._changed:
            self._pool.receive_data(PSRPPayload(data, stream, pipeline_id))
            while (event := self._pool.next_event()) is not None:
                self._happened(event)
            self._flush()

    def add(self, pipeline_id: uuid.UUID) -> None:
        """Make a pipeline; its first fragment must find it."""
        with self._changed:
            self._pipelines[pipeline_id] = _Pipeline(server=ServerPipeline(self._pool, pipeline_id))
            self._waiting[pipeline_id] = []

    def receive(self, pipeline_id: uuid.UUID | None, timeout: float) -> tuple[bytes, bool] | None:
        """Fragments of the pool (None) or of a pipeline and whether nothing more comes; None: neither came in time."""
        with self._changed:
            waiting, pipeline = self._waiting.get(pipeline_id), self._pipelines.get(pipeline_id or uuid.UUID(int=0))
            if waiting is None:
                raise soap.unknown_selector()
            if not self._changed.wait_for(lambda: waiting or (pipeline is not None and pipeline.done), timeout):
                return None
            data = b"".join(waiting[:PER_RECEIVE])
            del waiting[:PER_RECEIVE]
            return data, pipeline is not None and pipeline.done and not waiting

    def stop(self, pipeline_id: uuid.UUID) -> None:
        """End what runs in a pipeline."""
        with self._changed:
            pipeline = self._pipelines.get(pipeline_id)
            if pipeline is None:
                raise soap.unknown_selector()
            if pipeline.done:
                return
            pipeline.done = True
            if pipeline.command is not None:
                pipeline.command.kill()
            pipeline.server.begin_stop()
            pipeline.server.stop()
            self._flush()

    def kill(self) -> None:
        """End everything that runs."""
        for pipeline in list(self._pipelines.values()):
            if pipeline.command is not None:
                pipeline.command.kill()

    def _happened(self, event: Any) -> None:
        if isinstance(event, CreatePipelineEvent):
            pipeline, asked = self._pipelines[event.pipeline_id], event.pipeline
            commands = asked.commands
            if len(commands) != 1 or not commands[0].is_script or commands[0].parameters:
                raise soap.unsupported("a pipeline that is anything but one script without arguments")
            pipeline.script = commands[0].command_text
            if asked.no_input:
                self._launch(pipeline)
        elif isinstance(event, PipelineInputEvent):
            self._pipelines[event.pipeline_id].input.append(str(event.data))
        elif isinstance(event, EndOfPipelineInputEvent):
            self._launch(self._pipelines[event.pipeline_id])

    def _launch(self, pipeline: _Pipeline) -> None:
        pipeline.server.start()
        encoded = base64.b64encode(pipeline.script.encode("utf-16-le")).decode()
        try:
            pipeline.command = Command(self._backend.start(_LINE + encoded))
        except OSError as error:
            raise soap.Fault(f"The command could not be started: {error}", 2147942402) from error
        threading.Thread(target=self._run, args=(pipeline, pipeline.command), daemon=True).start()

    def _run(self, pipeline: _Pipeline, command: Command) -> None:
        command.send("".join(f"{line}\n" for line in pipeline.input).encode(), end=True)
        out, err, code = b"", b"", None
        while code is None:
            output = command.receive(soap.LONGEST_WAIT)
            if output is not None:
                out, err, code = out + output.streams["stdout"], err + output.streams["stderr"], output.exit_code
        with self._changed:
            if pipeline.done:
                return
            for line in out.decode("utf-8", "replace").splitlines():
                pipeline.server.write_output(line)
            for line in err.decode("utf-8", "replace").splitlines():
                pipeline.server.write_error(
                    NETException(line),
                    category_info=ErrorCategoryInfo(),
                    fully_qualified_error_id="NativeCommandErrorMessage",
                )
            pipeline.server.host_call(HostMethodIdentifier.SetShouldExit, [code if code < 2**31 else code - 2**32])
            pipeline.server.complete()
            pipeline.done = True
            self._flush()

    def _flush(self) -> None:
        while (payload := self._pool.data_to_send(FRAGMENTS)) is not None:
            self._waiting.setdefault(payload.pipeline_id, []).append(payload.data)
        self._changed.notify_all()


class PSRP(Resource[_Shell]):
    """The resource that carries PowerShell's own protocol."""

    uri = RESOURCE_URI

    def __init__(self, backend: Backend) -> None:
        super().__init__()
        self._backend = backend

    def _create(self, request: soap.Request) -> bytes:
        wanted = request.body.find("rsp:Shell", soap.NS)
        if wanted is None:
            raise soap.unsupported("a Create without a Shell")
        shell_id = (wanted.get("ShellId") or soap.new_id()).upper()
        shell = _Shell(self._backend)
        shell.feed(_bytes(wanted.findtext(f"{{{POWERSHELL}}}creationXml", "")), None)
        streams = "<rsp:InputStreams>stdin pr</rsp:InputStreams><rsp:OutputStreams>stdout</rsp:OutputStreams>"
        return self._made(request, shell_id, shell, streams)

    def _operations(self) -> Mapping[str, Callable[[soap.Request, _Shell], str]]:
        return {"Command": _command, "Send": _send, "Receive": _receive, "Signal": _signal}


def _command(request: soap.Request, shell: _Shell) -> str:
    line = request.body.find("rsp:CommandLine", soap.NS)
    if line is None:
        raise soap.unsupported("a Command without a CommandLine")
    pipeline_id = _id(line) or uuid.uuid4()
    shell.add(pipeline_id)
    for argument in line.findall("rsp:Arguments", soap.NS):
        shell.feed(_bytes(argument.text or ""), pipeline_id)
    return f"<rsp:CommandResponse><rsp:CommandId>{str(pipeline_id).upper()}</rsp:CommandId></rsp:CommandResponse>"


def _send(request: soap.Request, shell: _Shell) -> str:
    for stream in request.body.findall("rsp:Send/rsp:Stream", soap.NS):
        kind = StreamType.prompt_response if stream.get("Name") == "pr" else StreamType.default
        shell.feed(_bytes(stream.text or ""), _id(stream), kind)
    return "<rsp:SendResponse/>"


def _receive(request: soap.Request, shell: _Shell) -> str:
    wanted = request.body.find("rsp:Receive/rsp:DesiredStream", soap.NS)
    if wanted is None:
        raise soap.unsupported("a Receive without DesiredStream")
    pipeline_id = _id(wanted)
    answer = shell.receive(pipeline_id, request.timeout)
    if answer is None:
        raise soap.timed_out()
    data, done = answer
    mark = f' CommandId="{str(pipeline_id).upper()}"' if pipeline_id else ""
    parts = [f'<rsp:Stream Name="stdout"{mark}>{base64.b64encode(data).decode()}</rsp:Stream>'] if data else []
    if pipeline_id:
        state = f"{soap.SHELL}CommandState/{'Done' if done else 'Running'}"
        parts.append(f'<rsp:CommandState{mark} State="{state}"/>')
    return f"<rsp:ReceiveResponse>{''.join(parts)}</rsp:ReceiveResponse>"


def _signal(request: soap.Request, shell: _Shell) -> str:
    wanted = request.body.find("rsp:Signal", soap.NS)
    pipeline_id = _id(wanted) if wanted is not None else None
    if pipeline_id is None:
        raise soap.unsupported("a Signal without a pipeline")
    shell.stop(pipeline_id)
    return "<rsp:SignalResponse/>"


def _id(element: ElementTree.Element) -> uuid.UUID | None:
    text = element.get("CommandId")
    try:
        return uuid.UUID(text) if text else None
    except ValueError as error:
        raise soap.unknown_selector() from error


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text)
    except binascii.Error as error:
        raise soap.Fault(f"The stream is not base64: {error}", 2150858752) from error
