# SPDX-License-Identifier: GPL-3.0-or-later
"""Name, port and TLS: what can be told without a login."""

from __future__ import annotations

import email.utils
import http.client
import socket
import ssl
import typing as t

from ansible_collections.evict.kaspersky.plugins.plugin_utils import trouble

from .reach_step import OK, WARNING, Stop, Way

_TLS: t.Final = (
    ("hostname mismatch", "the certificate is for another name: use that name as `ansible_host`, or a new certificate"),
    ("ip address mismatch", "the certificate is for a name, not for the address: use the name as `ansible_host`"),
    ("expired", "the certificate has expired: renew it on the host"),
    ("not yet valid", "the certificate is not valid yet: set the clocks right"),
    ("self-signed", "nobody vouches for the certificate: name its CA, or itself, in `ansible_winrm_ca_trust_path`"),
    ("self signed", "nobody vouches for the certificate: name its CA, or itself, in `ansible_winrm_ca_trust_path`"),
    ("local issuer", "the CA of the certificate is not trusted: name it in `ansible_winrm_ca_trust_path`"),
    ("protocol version", "the host speaks an old TLS only: switch TLS 1.2 on there"),
    ("unsupported protocol", "the host speaks an old TLS only: switch TLS 1.2 on there"),
    ("wrong version number", "the port does not speak TLS: use port 5985 and `ansible_winrm_scheme: http`, or mend it"),
    ("record layer", "the port does not speak TLS: use port 5985 and `ansible_winrm_scheme: http`, or mend it"),
    ("unexpected eof", "the host ended the handshake: is a certificate bound to the listener, and TLS 1.2 on?"),
)


def connect(way: Way, address: str, port: int, timeout: float, *, who: str = "") -> socket.socket:
    """Resolve and connect.

    Args:
        way: gets the findings on `name` and `port`.
        address, port: where to.
        timeout: seconds.
        who: words before each finding, such as `jump host X: `.

    Raises:
        Stop: the name or the port failed.
    """
    try:
        places = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as exc:
        raise Stop(
            "name", trouble.connection(f"name resolution of {address}: {exc}"), seen=f"{who}{address}: {exc}"
        ) from exc
    shown = ", ".join(dict.fromkeys(str(place[4][0]) for place in places))
    way.note("name", f"{who}{address} is {shown}" if shown != address else f"{who}{address} is an address")
    faults = []
    for family, kind, protocol, _, place in places:
        one = socket.socket(family, kind, protocol)
        one.settimeout(timeout)
        try:
            one.connect(place)
        except OSError as exc:
            one.close()
            faults.append(exc)
        else:
            way.note("port", f"{who}{place[0]} port {port} answers")
            return one
    raise Stop(
        "port",
        trouble.connection(str(faults[0])),
        _port_remedy(faults[0], port),
        f"{who}port {port}: {_words(faults[0], timeout)}",
    )


def _words(fault: OSError, timeout: float) -> str:
    if isinstance(fault, ConnectionRefusedError):
        return "refused"
    if isinstance(fault, TimeoutError):
        return f"no answer within {timeout:g} s (filtered, or the host is down)"
    return str(fault.strerror or fault)


def _port_remedy(fault: OSError, port: int) -> str:
    if isinstance(fault, ConnectionRefusedError):
        return (
            f"the host is up and nothing listens at port {port}: start the service, or mend the port (`ansible_port`)"
        )
    return "check address and firewalls on the way, and that the host is up"


def tls(way: Way, plain: socket.socket, name: str, *, ca: str, verify: bool) -> ssl.SSLSocket:
    """The handshake, judged as the login will judge it.

    Raises:
        Stop: it failed.
    """
    try:
        context = ssl.create_default_context()
        if ca:
            from pathlib import Path

            context.load_verify_locations(**({"capath": ca} if Path(ca).is_dir() else {"cafile": ca}))
        if not verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        made = context.wrap_socket(plain, server_hostname=name)
    except (OSError, ValueError) as exc:
        said = str(getattr(exc, "verify_message", "") or getattr(exc, "reason", "") or exc).replace("_", " ")
        remedy = next((r for words, r in _TLS if words in said.lower()), "")
        raise Stop("tls", trouble.connection(f"ssl: {said}"), remedy, said) from exc
    if verify:
        way.note("tls", f"{made.version()}, certificate trusted", OK)
    else:
        way.note("tls", f"{made.version()}, certificate not looked at, as the inventory says", WARNING, "trust its CA")
    return made


def wsman(way: Way, stream: socket.socket, host: str, path: str, timeout: float) -> tuple[str, float | None]:
    """Ask a WinRM port without a login.

    Returns:
        The kinds of login it offers, in its words, and its clock when it tells.

    Raises:
        Stop: it is no WinRM.
    """
    stream.settimeout(timeout)
    asked = http.client.HTTPConnection(host)
    asked.sock = stream
    try:
        asked.request("POST", path, body=b"", headers={"Content-Type": "application/soap+xml;charset=UTF-8"})
        answer = asked.getresponse()
        offers = ", ".join(v.split()[0] for k, v in answer.getheaders() if k.lower() == "www-authenticate" and v)
        date = answer.getheader("Date")
        status = answer.status
    except (OSError, http.client.HTTPException, ValueError) as exc:
        said = f"it does not answer as WinRM does: {exc or type(exc).__name__}"
        raise Stop("port", trouble.connection(f"connection reset: {exc}"), seen=said) from exc
    finally:
        asked.close()
    if status == 404:
        raise Stop("port", trouble.connection("connection reset: 404"), "mend `ansible_winrm_path`, usually wsman",
                   f"{path} is not there (HTTP 404)")  # fmt: skip
    when = email.utils.parsedate_to_datetime(date).timestamp() if date else None
    return offers, when
