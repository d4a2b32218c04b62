# SPDX-License-Identifier: GPL-3.0-or-later
"""SOAP envelopes of WS-Management: reading requests, writing responses and faults.

Source: DMTF DSP0226 (WS-Management) and Microsoft's MS-WSMV, as far as WinRS clients use them.
"""

from __future__ import annotations

import re
import uuid
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

NS = {
    "s": "http://www.w3.org/2003/05/soap-envelope",
    "a": "http://schemas.xmlsoap.org/ws/2004/08/addressing",
    "w": "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd",
    "x": "http://schemas.xmlsoap.org/ws/2004/09/transfer",
    "rsp": "http://schemas.microsoft.com/wbem/wsman/1/windows/shell",
    "p": "http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd",
    "f": "http://schemas.microsoft.com/wbem/wsman/1/wsmanfault",
}
TRANSFER = NS["x"] + "/"
SHELL = NS["rsp"] + "/"
FAULT_ACTION = "http://schemas.dmtf.org/wbem/wsman/1/wsman/fault"

# A client that asks for a longer wait gets a fault after this many seconds and asks again.
LONGEST_WAIT = 60.0
_DURATION = re.compile(r"PT(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?")


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a handler needs of one request."""

    action: str
    message_id: str
    resource_uri: str
    shell_id: str  # upper case, empty when the request names no shell
    timeout: float  # seconds the client is ready to wait for an answer
    body: ElementTree.Element

    @property
    def operation(self) -> str:
        """The last part of the action: Create, Command, Send, Receive, Signal, Delete."""
        return self.action.rsplit("/", 1)[-1]


class Fault(Exception):
    """A WS-Management fault; `code` is the number Windows gives it, which clients go by."""

    def __init__(self, message: str, code: int, subcode: str = "w:InternalError") -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.subcode = subcode


def timed_out() -> Fault:
    """Nothing happened within the client's OperationTimeout; the client asks again."""
    text = "The WS-Management service cannot complete the operation within the time specified in OperationTimeout."
    return Fault(text, 2150858793, "w:TimedOut")


def unknown_selector() -> Fault:
    """The request names a shell or command that does not exist (any more)."""
    text = (
        "The WS-Management service cannot process the request because the request contained invalid selectors "
        "for the resource."
    )
    return Fault(text, 2150858843, "w:InvalidSelectors")


def unsupported(what: str) -> Fault:
    """The stand-in does not do this; tests should see it rather than a half-right answer."""
    return Fault(f"The stand-in does not support {what}.", 2150858752)


def parse(data: bytes) -> Request:
    """Read a request envelope.

    Raises:
        Fault: the text is no SOAP envelope with a header, a body and an action.
    """
    try:
        root = ElementTree.fromstring(data)
    except ElementTree.ParseError as error:
        raise Fault(f"The request is not well-formed XML: {error}", 2150858752) from error
    header, body = root.find("s:Header", NS), root.find("s:Body", NS)
    action = header.findtext("a:Action", "", NS) if header is not None else ""
    if header is None or body is None or not action:
        raise Fault("The request is not a SOAP envelope with an action.", 2150858752)
    selectors = {e.get("Name"): e.text or "" for e in header.findall("w:SelectorSet/w:Selector", NS)}
    return Request(
        action=action.strip(),
        message_id=header.findtext("a:MessageID", "", NS).strip(),
        resource_uri=header.findtext("w:ResourceURI", "", NS).strip(),
        shell_id=selectors.get("ShellId", "").strip().upper(),
        timeout=duration(header.findtext("w:OperationTimeout", "PT20S", NS)),
        body=body,
    )


def duration(text: str) -> float:
    """Seconds of an XML duration of minutes and seconds, at most LONGEST_WAIT; 20 when it is something else."""
    match = _DURATION.fullmatch(text.strip())
    if match is None or not any(match.groups()):
        return 20.0
    return min(60.0 * float(match[1] or 0) + float(match[2] or 0), LONGEST_WAIT)


def envelope(action: str, relates_to: str, body: str) -> bytes:
    """A response; `body` is XML already, `relates_to` the request's message id."""
    spaces = " ".join(f"xmlns:{prefix}={quoteattr(uri)}" for prefix, uri in NS.items())
    return (
        f'<s:Envelope xml:lang="en-US" {spaces}><s:Header><a:Action>{escape(action)}</a:Action>'
        f"<a:MessageID>uuid:{new_id()}</a:MessageID><a:To>{NS['a']}/role/anonymous</a:To>"
        f"<a:RelatesTo>{escape(relates_to)}</a:RelatesTo></s:Header><s:Body>{body}</s:Body></s:Envelope>"
    ).encode()


def fault(error: Fault, relates_to: str) -> bytes:
    """A fault envelope; it goes out with HTTP status 500."""
    text = escape(error.message)
    return envelope(
        FAULT_ACTION,
        relates_to,
        "<s:Fault><s:Code><s:Value>s:Receiver</s:Value>"
        f"<s:Subcode><s:Value>{error.subcode}</s:Value></s:Subcode></s:Code>"
        f'<s:Reason><s:Text xml:lang="en-US">{text}</s:Text></s:Reason><s:Detail>'
        f'<f:WSManFault Code="{error.code}" Machine="standin">'
        f"<f:Message>{text}</f:Message></f:WSManFault></s:Detail></s:Fault>",
    )


def new_id() -> str:
    """An id as Windows writes it."""
    return str(uuid.uuid4()).upper()
