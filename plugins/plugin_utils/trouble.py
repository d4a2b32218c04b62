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
        cause: stable word: name, port, tls, host key, login, jump, connection, container, shell, privilege, transport,
            module, timeout; over WinRM also kerberos, answer, quota.
        text: the cause with its detail and the remedy.
    """

    verdict: Verdict
    cause: str
    text: str


_NOISE: t.Final = (
    "Warning: Permanently added",
    "debug",
    "OpenSSH_",
    "ControlSocket ",
    "Shared connection to ",
    "mux_client_",
)

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
        (
            r"host key verification failed|host key mismatch|authenticity of host|rejected by user|"
            r"remote host identification has changed|host key checking is enabled"
        ),
        "the host key is not known or has changed: check it out of band, then put it into known_hosts",
    ),
    (
        "tls",
        r"certificate|sslerror|ssl:|tlsv1|wrong version number|handshake failure",
        "TLS failed: trust the host's certificate (`ansible_winrm_ca_trust_path`) or mend the listener",
    ),
    (
        "login",
        r"permission denied \([^)]*gssapi",
        "the login was refused: check user, key or password; for Kerberos the ticket (`klist`, `kinit`)",
    ),
    (
        "login",
        (
            r"permission denied|credentials were rejected|invalid/incorrect password|incorrect password|"
            r"authentication fail|no more authentication methods|too many authentication failures|access is denied|"
            r"kerberos auth failure|\b401\b|unauthorized(?! (?:access|use|users|persons))"
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
)

_BROKEN: t.Final = re.compile(
    r"kex_exchange|no matching|connection closed|broken pipe|could not be sent", re.IGNORECASE
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
    r"password is required|password was required|missing [\w.]+ password|incorrect [\w.]+ password|sorry, try again|"
    r"not in the sudoers|may not run sudo|is not allowed to (?:run|execute)|"
    r"(?:sudo|su|doas|pbrun|dzdo|ksu|pfexec|machinectl): |escalation|become password|authentication failure",
    re.IGNORECASE,
)
_NO_PROMPT: t.Final = re.compile(
    r"waiting for (?:the )?privilege escalation|privilege output closed|waiting for become success", re.IGNORECASE
)
_NOT_FOUND: t.Final = re.compile(r"\b(sudo|su|doas|dzdo|pbrun|ksu|pfexec|run0): (?:command )?not found", re.IGNORECASE)
_ACCOUNT: t.Final = re.compile(
    r"password has expired|change your password|password change required|account has expired|"
    r"account is currently not available|account is not available",
    re.IGNORECASE,
)
_CONTAINER: t.Final = re.compile(
    r"no such container|no container with name|container state improper|container \S+ is not running|"
    r"can only create exec sessions on running|cannot connect to (?:the )?(?:docker|podman)",
    re.IGNORECASE,
)
_NO_PROGRAM: t.Final = re.compile(r"(\w+) command not found in PATH")
# What keeps a file from being written, and what to do about it. First match wins.
_FILE: t.Final = (
    (
        r"no space left on device|disk quota exceeded",
        "the file system of `ansible_remote_tmp` is full: make room, or set it to a folder elsewhere",
    ),
    (
        r"read-only file system",
        "the file system of `ansible_remote_tmp` is read-only: set it to a folder that can be written, as /dev/shm",
    ),
    (
        r"permission denied|cannot create directory|failed to create temporary directory|failed to transfer file",
        "the account cannot write to `ansible_remote_tmp`: set it to a folder that it may write to",
    ),
)
# ssh's last line when the way through a jump host broke; what went wrong stands before it.
_JUMP: t.Final = re.compile(r"stdio forwarding failed|channel \d+: open failed|unknown port 65535", re.IGNORECASE)
_PLUGIN: t.Final = re.compile(
    r"the connection plugin '(?P<connection>[\w.]+)' was not found|"
    r"invalid become method specified, could not find matching plugin: '(?P<become>[\w.]+)'|"
    r"could not find the shell plugin required \((?P<shell>[\w.]+)\)",
    re.IGNORECASE,
)
_SHELLS: t.Final = ("csh", "fish", "ansible.posix.csh", "ansible.posix.fish")
# Short names that core once had.
_HOME: t.Final = {
    **dict.fromkeys(("doas", "dzdo", "ksu", "machinectl", "pbrun", "pfexec", "pmrun", "sesu"), "community.general"),
    **dict.fromkeys(("chroot", "jail", "lxc", "lxd", "zone"), "community.general"),
    "docker": "community.docker",
    "podman": "containers.podman",
    "buildah": "containers.podman",
    "kubectl": "kubernetes.core",
}


def connection(message: str) -> Trouble:
    """Why no session came about.

    The lines are looked at from the last one up: what ssh says stands behind the host's banner.

    Args:
        message: what the connection plugin said.
    """
    if found := _NO_PROMPT.search(message):
        return _privilege(
            "the become method asked for something and got no answer: give the become password "
            "(`--ask-become-pass`), check `ansible_become_method`",
            _line(message, found),
        )
    lines = [line for line in re.split(r"[\r\n]+", message) if line.strip()]
    jump = _JUMP.search(message)
    for line in reversed(lines):
        for cause, pattern, remedy in _CONNECT:
            if re.search(pattern, line, re.IGNORECASE):
                if jump:
                    remedy += "; it may be the jump host (`ProxyJump`, `ProxyCommand`) that refused"
                return Trouble(Verdict.UNREACHABLE, cause, f"{cause}: {remedy} ({one_line(line)})")
    if jump:
        return Trouble(
            Verdict.UNREACHABLE,
            "jump",
            "jump: the way through the jump host (`ProxyJump`, `ProxyCommand`) broke before the host answered: check "
            "the login and the host key of the jump host, that it allows TCP forwarding and reaches the host; "
            f"`ansible_ssh_extra_args: -o ControlPersist=no` shows its own words ({_line(message, jump)})",
        )
    broken = next((line for line in reversed(lines) if _BROKEN.search(line)), "")
    if broken:
        return Trouble(
            Verdict.UNREACHABLE,
            "connection",
            f"connection: it broke off: try `ansible HOST -m ping -vvv` for the details ({one_line(broken)})",
        )
    return Trouble(Verdict.UNREACHABLE, "connection", f"connection: no session came about ({one_line(message)})")


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
    if found := _CONTAINER.search(text):
        return Trouble(
            Verdict.UNREACHABLE,
            "container",
            "container: it does not run, or its engine does not: check that `ansible_host` names a running container "
            f"and that this account may use the engine ({_line(text, found)})",
        )
    if found := WANTS_TTY.search(text):
        return _privilege(
            "the become method insists on a terminal: let ssh ask for one (`ansible_ssh_use_tty`, on by default), or "
            "take `requiretty` out of sudoers",
            _line(text, found),
        )
    if found := _NOT_FOUND.search(text):
        return _privilege(
            f"the account's PATH has no {found.group(1)}: name it in full with `ansible_become_exe`, mend the PATH, or "
            "choose another `ansible_become_method`",
            _line(text, found),
        )
    if found := _ACCOUNT.search(text):
        return Trouble(
            Verdict.UNKNOWN,
            "login",
            "login: the account may log in and run nothing: renew its password, or use an account with a shell "
            f"({_line(text, found)})",
        )
    if found := _PRIVILEGE.search(text):
        return _privilege("the become method refused: check become user, method and password", _line(text, found))
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


def transport(detail: str, message: str, shell: str = "sh") -> Trouble:
    """Neither stdin nor a file carries the script.

    Args:
        detail: why not stdin.
        message: why not a file.
        shell: the family of the shell plugin (`ansible_shell_type`).
    """
    if found := WANTS_TTY.search(message) or _PRIVILEGE.search(message):
        return answer(_line(message, found))
    if shell != "sh":
        return Trouble(
            Verdict.UNKNOWN,
            "transport",
            f"transport: `ansible_shell_type: {shell}` does not go with the host's sh: take it away, the login shell "
            f"need not be named ({detail}; file: {one_line(message)})",
        )
    for pattern, remedy in _FILE:
        if found := re.search(pattern, message, re.IGNORECASE):
            return Trouble(
                Verdict.UNKNOWN,
                "transport",
                f"transport: it cannot carry a script: {remedy} ({detail}; file: {_line(message, found)})",
            )
    return Trouble(
        Verdict.UNKNOWN, "transport", f"transport: it cannot carry a script ({detail}; file: {one_line(message)})"
    )


def plugin(message: str) -> str:
    """What to say of a plugin that this controller lacks; core fails the task for it before we are asked.

    Returns:
        Cause and remedy in one line, or nothing when the message speaks of something else.
    """
    if found := _NO_PROGRAM.search(message):
        return _program(found.group(1))
    if not (found := _PLUGIN.search(message)):
        return ""
    kind, name = next((k, n) for k, n in found.groupdict().items() if n)
    if kind == "shell" and name in _SHELLS:
        return f"transport: the shell plugin {name} is missing and not needed: take `ansible_shell_type` away"
    collection = name.rpartition(".")[0] or _HOME.get(name, "")
    if not collection:
        return f"transport: there is no {kind} plugin {name}: check the spelling"
    return (
        f"transport: the {kind} plugin {name} is missing beside ansible-core: install its collection "
        f"(`ansible-galaxy collection install {collection}`, or the Python package `ansible`)"
    )


def error(message: str) -> Trouble:
    """An error of Ansible itself on the way: a missing program or library, a wrong option, a refused become."""
    said = one_line(message)
    if found := _NO_PROGRAM.search(message):
        return Trouble(Verdict.UNKNOWN, "transport", _program(found.group(1)))
    if _NO_PROMPT.search(message):
        return connection(message)
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
    if found := _PRIVILEGE.search(message):
        return _privilege("check become user, method and password", _line(message, found))
    return Trouble(Verdict.UNKNOWN, "transport", f"transport: {said}")


def module(message: str) -> Trouble:
    """Why the Windows module gave no observation."""
    said = one_line(message) or "it printed nothing"
    if re.search(r"CreateProcess(?:AsUser|WithToken|WithLogon)|\bLogonUser|failed to become", message, re.IGNORECASE):
        return _privilege("become did not work on the host: check become user, password and rights", said)
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


def _program(name: str) -> str:
    return f"transport: the program {name} is missing on this controller: install it, or mend the PATH"


def _privilege(what: str, said: str) -> Trouble:
    return Trouble(Verdict.UNKNOWN, "privilege", f"privilege: {what} ({said})")


def _line(text: str, found: re.Match[str]) -> str:
    """The line of a match alone, for a banner or a profile may have printed pages around it."""
    start = max(text.rfind("\n", 0, found.start()), text.rfind("\r", 0, found.start())) + 1
    return one_line(re.split(r"[\r\n]", text[start:], maxsplit=1)[0])


def one_line(text: str, limit: int = 200) -> str:
    """The meaningful part of a message as one bounded line: ssh's noise and control characters dropped.

    What is too long keeps its end: errors come last.
    """
    kept = [
        line.strip() for line in text.replace("\r", "\n").split("\n") if line.strip() and not line.startswith(_NOISE)
    ]
    said = " / ".join(kept)
    said = "".join(c if c.isprintable() else " " for c in said)
    return said if len(said) <= limit else "..." + said[3 - limit :]
