# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a host could not be asked: the words of ssh, sudo and WinRM, sorted into a cause and a remedy. Pure."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from .verdict import Verdict


@dataclasses.dataclass(frozen=True)
class Trouble:
    """A cause in one line.

    Attributes:
        verdict: `unreachable` when no session came about, `unknown` when it was reached and could not be inspected.
        cause: stable word: name, port, tls, host key, login, connection, shell, privilege, transport, module.
        text: the cause with its detail and the remedy.
    """

    verdict: Verdict
    cause: str
    text: str


# First match wins. Everything is matched without regard to case in what the connection said.
_CONNECT: t.Final = (
    (
        "name",
        (
            r"could not resolve hostname|name or service not known|name resolution|getaddrinfo|"
            r"nodename nor servname|no address associated"
        ),
        "the name cannot be resolved: set `ansible_host`, or mend the name",
    ),
    (
        "host key",
        r"host key verification failed|remote host identification has changed|host key checking is enabled",
        "the host key is not known or has changed: check it out of band, then put it into known_hosts",
    ),
    (
        "tls",
        r"certificate|sslerror|ssl:|tlsv1|wrong version number|handshake failure",
        "TLS failed: trust the host's certificate (`ansible_winrm_ca_trust_path`) or mend the listener",
    ),
    (
        "login",
        (
            r"permission denied|credentials were rejected|invalid/incorrect password|incorrect password|"
            r"authentication fail|no more authentication methods|too many authentication failures|access is denied|"
            r"kerberos auth failure|\b401\b|unauthorized"
        ),
        "the login was refused: check user, key or password",
    ),
    (
        "port",
        (
            r"connection refused|timed out|timeout|no route to host|network is unreachable|host is down|"
            r"connection reset|max retries exceeded|failed to establish a new connection|connection aborted|"
            r"remote end closed"
        ),
        "nothing answers at the port: check address, port, firewall and that the host is up",
    ),
    (
        "connection",
        r"kex_exchange|no matching|connection closed|broken pipe|could not be sent",
        "the connection broke off: try `ansible HOST -m ping -vvv` for the details",
    ),
)

_WINDOWS: t.Final = re.compile(
    r"is not recognized as (?:an internal|the name of a cmdlet)|the system cannot find the path specified|"
    r"commandnotfoundexception|microsoft windows \[version|windows_nt|microsoft corporation",
    re.IGNORECASE,
)
WANTS_TTY: t.Final = re.compile(
    r"must have a tty|must be run from a terminal|no tty present|requires? a tty", re.IGNORECASE
)
_PRIVILEGE: t.Final = re.compile(
    r"password is required|password was required|missing \w+ password|incorrect \w+ password|sorry, try again|"
    r"not in the sudoers|may not run sudo|is not allowed to (?:run|execute)|"
    r"(?:sudo|su|doas|pbrun|dzdo|ksu|pfexec|machinectl): |escalation|become password|authentication failure",
    re.IGNORECASE,
)


def connection(message: str) -> Trouble:
    """Why no session came about.

    Args:
        message: what the connection plugin said.
    """
    said = one_line(message)
    for cause, pattern, remedy in _CONNECT:
        if re.search(pattern, said, re.IGNORECASE):
            return Trouble(Verdict.UNREACHABLE, cause, f"{cause}: {remedy} ({said})")
    return Trouble(Verdict.UNREACHABLE, "connection", f"connection: no session came about ({said})")


def answer(text: str) -> Trouble:
    """Why a host that was reached printed no frame of ours.

    Args:
        text: all that came back, both streams.
    """
    said = one_line(text)
    if _WINDOWS.search(text):
        return Trouble(
            Verdict.UNKNOWN,
            "shell",
            "shell: this is a Windows host whose ssh was taken for POSIX: "
            "set `ansible_shell_type: powershell` (or `cmd`) for it",
        )
    if _PRIVILEGE.search(text):
        return Trouble(
            Verdict.UNKNOWN,
            "privilege",
            f"privilege: the become method refused: check become user, method and password ({said})",
        )
    if not said:
        return Trouble(
            Verdict.UNKNOWN,
            "shell",
            "shell: the login works and answers nothing: "
            "check the account's shell and forced command (`ssh HOST sh -c true`)",
        )
    return Trouble(
        Verdict.UNKNOWN,
        "shell",
        f"shell: the host did not run the script with `sh`: check the account's shell ({said})",
    )


def transport(detail: str) -> Trouble:
    """Neither stdin nor a file carries the script."""
    return Trouble(Verdict.UNKNOWN, "transport", f"transport: it cannot carry a script ({one_line(detail)})")


def error(message: str) -> Trouble:
    """An error of Ansible itself on the way: a missing program or library, a wrong option, a refused become."""
    said = one_line(message)
    if "sshpass" in said:
        return Trouble(
            Verdict.UNKNOWN,
            "transport",
            "transport: this ansible-core wants the program sshpass for password logins: "
            "install sshpass, use a key, or ansible-core 2.19 or newer",
        )
    if re.search(r"winrm or requests is not installed|pypsrp|xmltodict|no module named", said, re.IGNORECASE):
        return Trouble(
            Verdict.UNKNOWN,
            "transport",
            "transport: a Python package of the connection is missing: "
            f"install pywinrm or pypsrp beside ansible-core ({said})",
        )
    if "host key" in said.lower():
        return connection(said)
    if _PRIVILEGE.search(said):
        return Trouble(Verdict.UNKNOWN, "privilege", f"privilege: check become user, method and password ({said})")
    return Trouble(Verdict.UNKNOWN, "transport", f"transport: {said}")


def module(message: str) -> Trouble:
    """Why the Windows module gave no observation."""
    said = one_line(message) or "it printed nothing"
    return Trouble(
        Verdict.UNKNOWN,
        "module",
        "module: PowerShell did not run our module to its end: "
        f"check PowerShell 5.1, its execution policy and language mode ({said})",
    )


def silence(seconds: int) -> Trouble:
    """The host took longer than the task may."""
    return Trouble(
        Verdict.UNKNOWN,
        "timeout",
        f"timeout: no answer within {seconds} s, though a session may have come about: "
        "look for a hanging file system or a dead connection, then audit it again",
    )


def one_line(text: str, limit: int = 200) -> str:
    """The meaningful part of a message as one bounded line: ssh's noise and control characters dropped."""
    kept = [
        line.strip()
        for line in text.replace("\r", "\n").split("\n")
        if line.strip() and not line.startswith(("Warning: Permanently added", "debug", "OpenSSH_"))
    ]
    said = " / ".join(kept)
    said = "".join(c if c.isprintable() else " " for c in said)
    return said if len(said) <= limit else said[: limit - 3] + "..."
