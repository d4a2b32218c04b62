# SPDX-License-Identifier: GPL-3.0-or-later
"""Egress against real sockets of this machine: open, refused, silent, without a name, and through a proxy."""

from __future__ import annotations

import shutil
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.target.posix.planned import SHELLS, here

CHOICE = "for name in bash curl nc wget openssl python3;do"
TOOLS = ("bash", "curl", "nc", "wget", "openssl", "python3")


def only(tool: str) -> dict[str, str]:
    """The script, told to look for one program only."""
    return {CHOICE: f"for name in {tool};do"}


def need(name: str) -> None:
    if shutil.which(name) is None:
        pytest.skip(f"no {name} on this machine: egress with it")


@pytest.fixture
def ports() -> Iterator[dict[str, int]]:
    """An open one, one where nobody listens, and one whose queue is full, so that no connection comes about."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        closed = stack.enter_context(socket.socket())
        closed.bind(("127.0.0.1", 0))
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        yield {"open": server.getsockname()[1], "refused": closed.getsockname()[1], "timeout": full.getsockname()[1]}


@pytest.mark.parametrize("shell", SHELLS.values(), ids=SHELLS)
def test_each_state(shell: list[str], ports: dict[str, int]) -> None:
    need(shell[0])
    asked = {f"127.0.0.1:{port}": state for state, port in ports.items()}
    asked["no-such-host.invalid:443"] = "unresolved"
    seen = here(shell, endpoints=list(asked))
    assert {r["endpoint"]: r["state"] for r in seen["egress"].records} == asked
    assert seen["egress"].status == "ok"
    assert {a.status for name, a in seen.items() if name in ("manager", "space", "tools")} == {"ok"}


@pytest.mark.parametrize("tool", TOOLS)
def test_each_program(tool: str, ports: dict[str, int]) -> None:
    need(tool)
    asked = {f"127.0.0.1:{port}": state for state, port in ports.items()}
    asked["no-such-host.invalid:443"] = "unresolved"
    if tool == "openssl":  # speaks TLS, and to an end that says nothing it is only connected
        asked = {e: s for e, s in asked.items() if s in ("refused", "unresolved")}
    seen = here(["dash"], moved=only(tool), endpoints=list(asked))["egress"]
    assert {r["endpoint"]: r["state"] for r in seen.records} == asked, seen


def test_without_any_program(ports: dict[str, int]) -> None:
    seen = here(["dash"], moved=only("evict-no-such-program"), endpoints=[f"127.0.0.1:{ports['open']}"])["egress"]
    assert [(r["state"], "missing" in r["detail"]) for r in seen.records] == [("no_tool", True)]


@pytest.mark.parametrize(
    "text", ["no-port", "host:", ":443", "host:port", "-x:1", "$(touch /tmp/evict-mark):1", "a b:1"]
)
def test_what_is_no_endpoint(text: str, ports: dict[str, int]) -> None:
    good = f"127.0.0.1:{ports['open']}"
    seen = here(["dash"], endpoints=[text, good])["egress"]
    assert (seen.status, seen.reason) == ("unknown", f"{text}: not host:port")
    assert [(r["endpoint"], r["state"]) for r in seen.records] == [(good, "open")]


class Proxy(socketserver.StreamRequestHandler):
    """Lets through, refuses, or loses its patience, by the name that is asked for."""

    timeout = 5

    def handle(self) -> None:
        verb, target, _ = self.rfile.readline().decode().split()
        self.server.asked.append(f"{verb} {target}")  # type: ignore[attr-defined]  # of the fixture
        codes = {"deny": "403 Forbidden", "login": "407 Proxy Authentication Required", "slow": "504 Gateway Timeout"}
        code = next((code for name, code in codes.items() if name in target), "")
        if "odd" in target:
            self.wfile.write(b"220 mail\r\n")
        elif code or verb == "CONNECT":
            self.wfile.write(f"HTTP/1.1 {code or '200 Connection established'}\r\n\r\n".encode())
        else:
            self.wfile.write(b"HTTP/1.1 301 Moved\r\n\r\n")


@pytest.fixture
def proxy() -> Iterator[tuple[str, list[str]]]:
    """Its address, and what it was asked."""
    asked: list[str] = []
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Proxy) as server:
        server.asked = asked  # type: ignore[attr-defined]  # read by the handler
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()


@pytest.mark.parametrize("tool", ["bash", "curl", "nc", "python3"])
def test_through_a_proxy(tool: str, proxy: tuple[str, list[str]]) -> None:
    need(tool)
    address, asked = proxy
    states = {
        "ok.invalid:443": "open",
        "ok.invalid:80": "open",
        "deny.invalid:443": "refused",
        "deny.invalid:80": "refused",
        "login.invalid:443": "refused",
        "slow.invalid:8443": "timeout",
        "odd.invalid:443": "refused",
    }
    seen = here(["dash"], moved=only(tool), endpoints=list(states), proxy=address)["egress"]
    assert {r["endpoint"]: r["state"] for r in seen.records} == states, seen
    assert {r["detail"] for r in seen.records if r["endpoint"] == "deny.invalid:443"} == {
        f"proxy {address}: HTTP/1.1 403 Forbidden"
    }
    assert sorted(asked) == sorted(
        f"HEAD http://{e.removesuffix(':80')}/" if e.endswith(":80") else f"CONNECT {e}" for e in states
    ), "nothing else is asked for"


def test_a_proxy_that_is_not_there(ports: dict[str, int]) -> None:
    address = f"127.0.0.1:{ports['refused']}"
    (record,) = here(["dash"], endpoints=[f"127.0.0.1:{ports['open']}"], proxy=address)["egress"].records
    assert (record["state"], record["detail"]) == ("refused", f"proxy {address}: connection refused")
