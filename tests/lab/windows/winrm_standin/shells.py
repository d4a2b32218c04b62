# SPDX-License-Identifier: GPL-3.0-or-later
"""Shells and their commands: processes, their output as it comes, and their end."""

from __future__ import annotations

import contextlib
import os
import queue
import selectors
import signal
import threading
from dataclasses import dataclass, field
from typing import IO

from .backends import Running
from .soap import new_id

STREAMS = ("stdout", "stderr")
# The most one Receive carries per stream, so that an answer stays below Windows' default envelope of 500 kB.
CHUNK = 120_000
UNSIGNED = 0xFFFFFFFF


@dataclass(frozen=True, kw_only=True)
class Output:
    """What one Receive brings; `exit_code` is set (32 bits, unsigned) when there is nothing more to come."""

    streams: dict[str, bytes]
    exit_code: int | None


class Command:
    """One running command.

    A command is done when its process ends, as on Windows, even if a detached child still holds its output: what lies
    in the pipes at that moment belongs to it, what comes later does not.
    """

    def __init__(self, running: Running) -> None:
        self.id = new_id()
        self._running = running
        self._buffers = {name: bytearray() for name in STREAMS}
        self._exit_code: int | None = None
        self._changed = threading.Condition()
        self._input: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        threading.Thread(target=self._feed, name=f"input-{self.id}", daemon=True).start()
        threading.Thread(target=self._watch, name=f"command-{self.id}", daemon=True).start()

    def receive(self, timeout: float) -> Output | None:
        """Output so far; waits up to `timeout` seconds for some, or for the end. None: neither came."""
        with self._changed:
            if not self._changed.wait_for(lambda: any(self._buffers.values()) or self._exit_code is not None, timeout):
                return None
            streams = {}
            for name, buffer in self._buffers.items():
                streams[name] = bytes(buffer[:CHUNK])
                del buffer[:CHUNK]
            return Output(streams=streams, exit_code=None if any(self._buffers.values()) else self._exit_code)

    def send(self, data: bytes, *, end: bool) -> None:
        """Give the command input, and end it; a command that no longer reads is no error.

        As on Windows the input waits here until the command takes it, so that nobody waits for a slow command.
        """
        self._input.put(data)
        if end:
            self._input.put(None)

    def kill(self) -> None:
        """End the command and its children, unless it has ended."""
        process = self._running.process
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    def _feed(self) -> None:
        stdin = self._running.process.stdin
        if stdin is None:
            return
        # ValueError: it was closed under us, since the command has ended.
        with contextlib.suppress(BrokenPipeError, ValueError):
            while (data := self._input.get()) is not None:
                stdin.write(data)
                stdin.flush()
        with contextlib.suppress(BrokenPipeError):
            stdin.close()

    def _watch(self) -> None:
        process = self._running.process
        pipes: dict[str, IO[bytes] | None] = {"stdout": process.stdout, "stderr": process.stderr}
        ended = os.pidfd_open(process.pid)
        with selectors.DefaultSelector() as selector:
            selector.register(ended, selectors.EVENT_READ, None)
            for name, pipe in pipes.items():
                if pipe is not None:
                    selector.register(pipe, selectors.EVENT_READ, name)
            over = False
            while True:
                ready = selector.select(0 if over else None)
                readable = [key for key, _mask in ready if key.data is not None]
                if over and not readable:
                    break
                for key in readable:
                    data = os.read(key.fd, 65536)
                    if not data:
                        selector.unregister(key.fileobj)
                        continue
                    with self._changed:
                        self._buffers[key.data] += data
                        self._changed.notify_all()
                if not over and any(key.data is None for key, _mask in ready):
                    selector.unregister(ended)
                    over = True
        os.close(ended)
        code = self._running.exit_code(process.wait())
        self.send(b"", end=True)
        for pipe in pipes.values():
            if pipe is not None:
                pipe.close()
        with self._changed:
            self._exit_code = code & UNSIGNED
            self._changed.notify_all()


@dataclass(kw_only=True)
class Shell:
    """A WinRS shell: nothing but a set of commands."""

    id: str = field(default_factory=new_id)
    commands: dict[str, Command] = field(default_factory=dict)

    def kill(self) -> None:
        """End all commands."""
        for command in list(self.commands.values()):
            command.kill()
