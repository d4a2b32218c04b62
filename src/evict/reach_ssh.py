# SPDX-License-Identifier: GPL-3.0-or-later
"""Reach a host over ssh: host key, login, shell, privilege and clock. Writes nothing, here or there."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import secrets
import shlex
import threading
import time
import typing as t
from collections.abc import Iterator

import paramiko

from ansible_collections.evict.kaspersky.plugins.plugin_utils import trouble

from . import reach_net, reach_target, reach_windows
from .reach_step import NOT_CHECKED, WARNING, Stop, Way
from .reach_target import Route, Target

_MOST: t.Final = 65_536  # bytes of an answer that are looked at
_KEYS: t.Final = (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey)
_DEFAULT: t.Final = ("~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa")
# sshd drops logins at random when more than 10 are under way (MaxStartups), and all come by the same jump host.
_AT_ONCE: t.Final = 5
_TURNS: t.Final[dict[str, threading.BoundedSemaphore]] = {}
_LOCK: t.Final = threading.Lock()
logging.getLogger("paramiko").setLevel(logging.CRITICAL)  # its threads report what we find ourselves


def check(target: Target, way: Way, timeout: float) -> None:
    """Go all steps.

    Raises:
        Stop: a step failed.
    """
    route = reach_target.routes(target)
    with contextlib.ExitStack() as open_ones:
        stream = _through(route, way, timeout, open_ones)
        client = _session(route, way, stream, timeout, open_ones)
        _login(client, route, way, target.password, timeout, target.get("ansible_ssh_private_key_passphrase",
                                                                        "ansible_private_key_passphrase"))  # fmt: skip
        if target.windows_shell():
            _windows(client, way, timeout)
        else:
            _posix(client, target, way, timeout)


def _through(route: Route, way: Way, timeout: float, open_ones: contextlib.ExitStack) -> t.Any:
    """A stream to the host: straight, through jump hosts, or by a ProxyCommand."""
    if route.command and not route.jumps:
        words = {"%h": route.address, "%p": str(route.port), "%r": route.user, "%n": route.alias, "%%": "%"}
        line = route.command
        for mark, value in words.items():
            line = line.replace(mark, value)
        way.note("name", "left to the ProxyCommand")
        program = paramiko.ProxyCommand(line)
        program.settimeout(timeout)
        open_ones.callback(program.close)
        return program
    if route.jumps:
        with _LOCK:
            turn = _TURNS.setdefault(route.jumps[0], threading.BoundedSemaphore(_AT_ONCE))
        open_ones.enter_context(turn)
    before: paramiko.Transport | None = None
    hops = [reach_target.jump(text, config=route.config) for text in route.jumps]
    for number, hop in enumerate(hops):
        who = f"jump host {hop.alias}: "
        via: t.Any = _forward(before, hop.address, hop.port, way, timeout, hops[number - 1].alias) if before else None
        stream = via or reach_net.connect(way, hop.address, hop.port, timeout, who=who)
        before = _session(hop, way, stream, timeout, open_ones, who=who)
        _login(before, hop, way, "", timeout, "", who=who)
    if before is not None:
        return _forward(before, route.address, route.port, way, timeout, hops[-1].alias)
    stream = reach_net.connect(way, route.address, route.port, timeout)
    open_ones.callback(stream.close)
    return stream


def _forward(
    before: paramiko.Transport, address: str, port: int, way: Way, timeout: float, jump: str
) -> paramiko.Channel:
    try:
        channel = before.open_channel("direct-tcpip", (address, port), ("127.0.0.1", 0), timeout=timeout)
    except (paramiko.SSHException, OSError, EOFError) as exc:
        remedy = f"look from {jump}: does it resolve the name, reach the port, and allow forwarding?"
        found = trouble.connection(f"connection refused: {exc}")
        raise Stop("port", found, remedy, f"from {jump} to {address} port {port}: {exc}") from exc
    way.note("port", f"{address} port {port} answers {jump}")
    return channel


def _session(
    route: Route, way: Way, stream: t.Any, timeout: float, open_ones: contextlib.ExitStack, *, who: str = ""
) -> paramiko.Transport:
    """The handshake and the host key."""
    try:
        client = paramiko.Transport(stream)
    except (paramiko.SSHException, OSError, EOFError) as exc:
        raise Stop("port", trouble.connection(str(exc)), "is it the port of ssh?", f"{who}{exc}") from exc
    open_ones.callback(client.close)
    client.banner_timeout = client.auth_timeout = timeout
    known, odd = _known(route)
    options = client.get_security_options()
    with contextlib.suppress(ValueError):
        kinds = [k for name in known for k in _signatures(name)]
        options.key_types = tuple(dict.fromkeys([k for k in kinds if k in options.key_types] + list(options.key_types)))
    try:
        client.start_client(timeout=timeout)
        key = client.get_remote_server_key()  # no session yet when the time was up
    except (paramiko.SSHException, OSError, EOFError) as exc:
        said = str(exc) or type(exc).__name__
        if re.search("banner|no existing session", said, re.IGNORECASE) or isinstance(exc, EOFError):
            said = f"{who}something answers that is not ssh, or does not answer in {timeout:g} s ({said})"
            raise Stop("port", trouble.connection(f"timeout: {said}"), "is it the port of ssh?", said) from exc
        remedy = "the host and this check share no algorithm: renew the host's OpenSSH"
        raise Stop("host key", trouble.connection(f"no matching algorithm: {said}"), remedy, who + said) from exc
    _judge(key, known, odd, route, way, who)
    return client


def _signatures(name: str) -> tuple[str, ...]:
    return ("rsa-sha2-512", "rsa-sha2-256", "ssh-rsa") if name == "ssh-rsa" else (name,)


def _known(route: Route) -> tuple[dict[str, paramiko.PKey], str]:
    """The host's keys in known_hosts by kind, and what in there cannot be judged here. The files are only read."""
    found: dict[str, paramiko.PKey] = {}
    odd = ""
    place = route.key_alias or route.address
    names = [place] if route.port == 22 or route.key_alias else [f"[{place}]:{route.port}"]
    for name in route.known_hosts:
        hosts = paramiko.HostKeys()
        try:
            hosts.load(name)
            with open(name, encoding="utf-8", errors="replace") as stream:
                odd = odd or next(("a CA (@cert-authority)" for line in stream if line.startswith("@cert-auth")), "")
        except (OSError, paramiko.SSHException):
            continue
        for one in names:
            for kind, key in (hosts.lookup(one) or {}).items():
                found.setdefault(kind, key)
    return found, odd


def _judge(key: paramiko.PKey, known: dict[str, paramiko.PKey], odd: str, route: Route, way: Way, who: str) -> None:
    shown = f"{who}{key.get_name()} {key.fingerprint}"
    lax = route.checking in ("no", "off")
    if key.get_name() in known and known[key.get_name()] == key:
        way.note("host key", f"{shown} is known")
    elif known and key.get_name() in known:
        if not lax:
            said = "remote host identification has changed"
            remedy = "was the host set up anew? Ask its owner for the fingerprint; then: ssh-keygen -R and ssh-keyscan"
            raise Stop("host key", trouble.connection(said), remedy, f"{shown} has CHANGED")
        way.note("host key", f"{shown} has CHANGED; the inventory says not to look", WARNING, "find out why")
    elif lax or route.checking == "accept-new":
        way.note("host key", f"{shown} is not known; the settings accept it (StrictHostKeyChecking)")
    elif odd:
        way.note("host key", f"{shown} is not known; {odd} may vouch for it", NOT_CHECKED)
    else:
        said = "host key verification failed"
        remedy = "compare the fingerprint with the host's owner, then put it into known_hosts: ssh-keyscan"
        raise Stop("host key", trouble.connection(said), remedy, f"{shown} is not known")


def _login(
    client: paramiko.Transport, route: Route, way: Way, password: str, timeout: float, phrase: str, *, who: str = ""
) -> None:
    """Keys first, then the password, as ssh does."""
    tried: list[str] = []
    try:
        client.auth_none(route.user)
        way.note("login", f"{who}{route.user} without any proof")
        return
    except paramiko.BadAuthenticationType as exc:
        allowed = list(exc.allowed_types)
    except (paramiko.SSHException, OSError, EOFError) as exc:
        raise Stop("login", trouble.connection(f"permission denied: {exc}"), seen=f"{who}{exc}") from exc
    try:
        for name, key in _candidates(route, phrase, tried) if "publickey" in allowed else ():
            try:
                rest = client.auth_publickey(route.user, key)
            except paramiko.AuthenticationException:
                tried.append(f"{name} refused")
                continue
            if not rest:
                way.note("login", f"{who}{route.user} with {name}")
                return
            allowed = list(rest)
            tried.append(f"{name} taken, and more is asked for")
        if password:
            for kind in (k for k in ("password", "keyboard-interactive") if k in allowed):
                try:
                    if kind == "password":
                        client.auth_password(route.user, password, fallback=False)
                    else:
                        client.auth_interactive(route.user, lambda _title, _text, asked: [password for _ in asked])
                except paramiko.AuthenticationException:
                    tried.append("password refused")
                    continue
                way.note("login", f"{who}{route.user} with the password")
                return
    except (paramiko.SSHException, OSError, EOFError) as exc:
        tried.append(str(exc) or "the host ended the connection")
    seen = f"{who}{route.user}: {'; '.join(dict.fromkeys(tried)) or 'neither key nor password to try'}"
    seen += f"; the host takes {', '.join(allowed)}"
    raise Stop("login", trouble.connection("permission denied"), _login_remedy(tried, allowed, password), seen)


def _login_remedy(tried: list[str], allowed: list[str], password: str) -> str:
    if any("passphrase" in words for words in tried):
        return "put the key into ssh-agent (ssh-add)"
    if "password refused" in tried:
        return "the password or the user is wrong, or the account is locked: check ansible_user and ansible_password"
    if password and not {"password", "keyboard-interactive"} & set(allowed):
        return "the host takes no passwords, so use a key"
    if not tried and set(allowed) <= {"gssapi-with-mic", "gssapi-keyex"}:
        return "get a Kerberos ticket (kinit)"
    if not tried:
        return "name a key (ansible_ssh_private_key_file) or a password (--ask-pass, a vault)"
    return "put the public key into the account's authorized_keys, or use another key or user"


def _candidates(route: Route, phrase: str, tried: list[str]) -> Iterator[tuple[str, paramiko.PKey]]:
    names = list(dict.fromkeys(route.keys)) or [os.path.expanduser(name) for name in _DEFAULT]
    for name in names:
        if not os.path.isfile(name):
            if name in route.keys:
                tried.append(f"{name} is not there")
            continue
        key = _key(name, phrase, tried)
        if key is not None:
            yield name, key
    if route.agent and os.environ.get("SSH_AUTH_SOCK"):
        try:
            agent = paramiko.Agent()
        except (paramiko.SSHException, OSError):
            return
        try:
            for one in agent.get_keys():
                yield f"a key of the agent ({one.get_name()})", one
        finally:
            agent.close()


def _key(name: str, phrase: str, tried: list[str]) -> paramiko.PKey | None:
    fault = "no key that can be read"
    for kind in _KEYS:
        try:
            return kind.from_private_key_file(name, phrase or None)
        except paramiko.PasswordRequiredException:
            fault = "wants a passphrase"
            break
        except OSError as exc:
            fault = str(exc.strerror or exc)
            break
        except (paramiko.SSHException, ValueError, IndexError, TypeError):
            continue
    tried.append(f"{name} {fault}")
    return None


def run(client: paramiko.Transport, command: str, timeout: float, *, stdin: str = "", tty: bool = False) -> str:
    """What a command prints, both streams.

    Raises:
        TimeoutError: it does not end in time.
        paramiko.SSHException: it cannot be started.
    """
    channel = client.open_session(timeout=timeout)
    try:
        channel.set_combine_stderr(True)
        if tty:
            channel.get_pty()
        channel.settimeout(timeout)
        channel.exec_command(command)
        if stdin:
            channel.sendall(stdin.encode())
        if not tty:
            channel.shutdown_write()
        said = io.BytesIO()
        until = time.monotonic() + timeout
        while said.tell() < _MOST and (block := channel.recv(4096)):
            said.write(block)
            if time.monotonic() > until:
                raise TimeoutError
        return said.getvalue().decode("utf-8", "replace")
    finally:
        channel.close()


def _asked(
    client: paramiko.Transport,
    command: str,
    timeout: float,
    step: str,
    *,
    stdin: str = "",
    silence: str = "",
    tty: bool = False,
) -> str:
    try:
        return run(client, command, timeout, stdin=stdin, tty=tty)
    except TimeoutError as exc:
        remedy = silence or "the login's shell or its profile hangs, or asks something: log in by hand"
        raise Stop(step, trouble.silence(int(timeout)), remedy, f"no answer within {timeout:g} s") from exc
    except (paramiko.SSHException, OSError, EOFError) as exc:
        raise Stop(step, trouble.answer(""), seen=f"the host runs no command: {exc}") from exc


def _posix(client: paramiko.Transport, target: Target, way: Way, timeout: float) -> None:
    nonce = "evict-" + secrets.token_hex(8)
    shell = target.get("ansible_shell_executable") or "/bin/sh"
    script = f"echo {nonce} uid `id -u`; echo {nonce} time `date -u +%s`"
    said = _asked(client, f"{shell} -c {shlex.quote(script)}", timeout, "shell")
    facts = _facts(said, nonce)
    if "uid" not in facts:
        found = trouble.answer(said)
        if found.cause == "shell" and "Windows" not in found.text:
            with contextlib.suppress(Stop):
                if "Windows_NT" in _asked(client, "echo evict %OS% $env:OS", timeout, "shell"):
                    found = trouble.answer("Windows_NT")
        raise Stop("shell", found, seen=trouble.one_line(said) or "nothing")
    way.note("shell", f"{shell} runs, as uid {facts['uid']}")
    if facts.get("time", "").isdecimal():
        way.clock(float(facts["time"]), time.time(), kerberos=False)
    if not target.become:
        root = facts["uid"] == "0"
        words = "root" if root else "not root and no become: what root alone may see will be unknown"
        way.note("privilege", words, remedy="" if root else "audit with --become")
        return
    _become(client, target, way, timeout, shell)


def _become(client: paramiko.Transport, target: Target, way: Way, timeout: float, shell: str) -> None:
    """Only asked, never answered twice; -k keeps sudo from taking or renewing a remembered login."""
    method, user, password = target.become_method, target.become_user, target.become_password
    nonce = "evict-" + secrets.token_hex(8)
    inner = f"{shell} -c {shlex.quote(f'echo {nonce} uid `id -u`')}"
    if method == "sudo":
        how = "-k -S -p ''" if password else "-n"
        command, stdin = f"sudo -H {how} -u {shlex.quote(user)} {inner}", password + "\n" if password else ""
    elif method == "doas" and not password:
        command, stdin = f"doas -n -u {shlex.quote(user)} {inner}", ""
    else:
        way.note("privilege", f"become by {method} is not checked from here", NOT_CHECKED, "audit one such host first")
        return
    said = _asked(client, command, timeout, "privilege", stdin=stdin, silence=f"{method} waits for something")
    if trouble.WANTS_TTY.search(said):  # an audit asks such a host once more, with a terminal
        said = _asked(client, command, timeout, "privilege", stdin=stdin, silence=f"{method} waits", tty=True)
    facts = _facts(said, nonce)
    if "uid" in facts:
        way.note("privilege", f"{method} to {user} gives uid {facts['uid']}")
        return
    found = trouble.answer(said or f"{method}: no answer")
    remedy = ""
    if "password is required" in said and not password:
        remedy = f"{method} needs a password (--ask-become-pass, or a vault), or a NOPASSWD rule"
    elif password and ("try again" in said or "incorrect password" in said):
        remedy = f"the password for {method} is wrong (ansible_become_password)"
    elif "not in the sudoers" in said or "not allowed to" in said or "may not run" in said:
        remedy = f"the account may not use {method} for this: ask for a rule"
    elif "not found" in said:
        remedy = f"there is no {method} on the host: set ansible_become_method"
    raise Stop("privilege", found, remedy, trouble.one_line(said))


def _windows(client: paramiko.Transport, way: Way, timeout: float) -> None:
    nonce = "evict-" + secrets.token_hex(8)
    said = _asked(client, reach_windows.command(nonce), max(timeout, 30), "shell")
    if nonce not in said:
        raise Stop("shell", trouble.module(said), seen=trouble.one_line(said) or "nothing")
    way.note("shell", "PowerShell can be started")
    reach_windows.judge(way, said, nonce, time.time(), kerberos=False)


def _facts(said: str, nonce: str) -> dict[str, str]:
    found = {}
    for line in said.splitlines():
        words = line.strip().split()
        if len(words) == 3 and words[0] == nonce:
            found[words[1]] = words[2]
    return found
