# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong on a connection, made to go wrong on purpose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Mishap:
    """One thing that goes wrong with each request of a kind.

    Attributes:
        at: the operation it happens to (`Create`, `Command`, `Send`, `Receive`, ...), or `login` for every request as
            it comes in, before anything is answered.
        kind: `hang`: no answer, the connection stays open; `close`: it is closed without an answer; `reset`: the same
            with RST; `cut`: it is closed in the middle of the answer; `status`: an answer of another server.
        status: HTTP status of `status`.
        body: what that answer says.
        content_type: what it calls it.
        then: what goes wrong after it has happened once, instead of it.
    """

    at: str
    kind: Literal["hang", "close", "reset", "cut", "status"]
    status: int = 500
    body: bytes = b""
    content_type: str = "text/html"
    then: Mishap | None = None
