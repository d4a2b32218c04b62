# SPDX-License-Identifier: GPL-3.0-or-later
"""How Ansible would reach a host: the variables of its connection, and what ~/.ssh/config says of it."""

from __future__ import annotations

import dataclasses
import getpass
import os
import re
import shlex
import typing as t
from collections.abc import Mapping
from pathlib import Path

import paramiko

from ansible_collections.evict.kaspersky.plugins.plugin_utils.redact import Redactor, holds_secret

from . import inventory
from .errors import UsageError

_YES: t.Final = ("true", "yes", "1", "on", "y", "t")
_SSH: t.Final = ("ssh", "smart", "paramiko", "paramiko_ssh")
_OPTIONS: t.Final = ("ssh_args", "ssh_common_args", "ssh_extra_args", "host_key_checking")


@dataclasses.dataclass
class Target:
    """A host as it is to be reached.

    Attributes:
        host: inventory name. kind: `ssh`, `winrm`, `psrp`, or another connection, which is not checked.
        address, port, user, password: of the login; empty where there is none.
        values: further variables of its connection, templated.
        redactor: knows its secrets.
        fault: why its variables cannot be told.
        become: is a task run as another user, and by which method and user, with which password.
        ssh: options of Ansible's ssh connection (`_OPTIONS`), wherever they were set.
    """

    host: str
    kind: str
    address: str
    port: int
    user: str
    password: str
    values: Mapping[str, t.Any]
    redactor: Redactor
    fault: str = ""
    become: bool = False
    become_method: str = "sudo"
    become_user: str = "root"
    become_password: str = ""
    ssh: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def get(self, *names: str) -> str:
        """The first of the variables that is there, as text."""
        return next((str(self.values[n]) for n in names if self.values.get(n) not in (None, "")), "")

    def windows_shell(self) -> bool:
        """Is it Windows over ssh, and said to be?"""
        return self.get("ansible_shell_type") in ("powershell", "cmd")


def of(fleet: inventory.Fleet, host: str) -> Target:
    """The target of a host; what cannot be told is its fault."""
    from ansible import constants, context

    command = context.CLIARGS
    values: dict[str, t.Any] = {}
    fault = ""
    try:
        variables = fleet.variables(host)
        names = [n for n in variables if n.startswith("ansible_") and n not in ("ansible_version", "ansible_facts")]
        for name in names:
            values[name] = fleet.value(variables, name)
    except UsageError as exc:
        fault = str(exc)
    get = Target(host, "", "", 0, "", "", values, Redactor()).get
    kind = (get("ansible_connection") or str(command.get("connection") or "ssh")).rpartition(".")[2]
    kind = "ssh" if kind in _SSH else kind
    first = "ansible_ssh" if kind == "ssh" else f"ansible_{kind}"
    become = get("ansible_become") or str(command.get("become") or constants.DEFAULT_BECOME)
    method = get("ansible_become_method") or str(command.get("become_method") or "sudo")
    port = get(f"{first}_port", "ansible_port") or str(_config("remote_port") or "")
    secrets = [str(v) for n, v in values.items() if holds_secret(n) and v not in (None, "")] + list(fleet.asked)
    password = get(f"{first}_password", f"{first}_pass", "ansible_password") or fleet.asked[0]
    return Target(
        host=host,
        kind=kind,
        address=get(f"{first}_host", "ansible_host") or host,
        port=int(port) if port.isdecimal() else 0,
        user=get(f"{first}_user", "ansible_user") or str(command.get("remote_user") or ""),
        password=password,
        values=values,
        redactor=Redactor(filter(None, secrets)),
        fault=fault,
        become=become.lower() in _YES,
        become_method=method.rpartition(".")[2],
        become_user=get(f"ansible_{method}_user", "ansible_become_user") or str(command.get("become_user") or "root"),
        become_password=get(*(f"ansible_{who}_{what}" for who in (method, "become") for what in ("password", "pass")))
        or fleet.asked[1],
        ssh={name: _option(values, name) for name in _OPTIONS} if kind == "ssh" else {},
    )


def _config(name: str) -> object:
    from ansible import constants

    return getattr(constants, f"DEFAULT_{name.upper()}", None)


@dataclasses.dataclass(frozen=True)
class Route:
    """One ssh connection: to a host or to a jump host before it."""

    alias: str
    address: str
    port: int
    user: str
    keys: tuple[str, ...]
    known_hosts: tuple[str, ...]
    checking: str
    key_alias: str
    jumps: tuple[str, ...]
    command: str
    agent: bool = True
    config: str = ""


def routes(target: Target, *, config: Path | None = None) -> Route:
    """The ssh route of a target: variables, arguments for ssh, then ~/.ssh/config, then the defaults, as ssh has it."""
    arguments = " ".join(target.ssh.get(name, "") for name in _OPTIONS[:3])
    options = _options(arguments)
    checking = options.get("stricthostkeychecking", "")
    if not checking and target.ssh.get("host_key_checking", "").lower() in ("false", "no", "0"):
        checking = "no"
    own = target.get("ansible_ssh_private_key_file", "ansible_private_key_file") or str(
        _command("private_key_file") or ""
    )
    found = route(
        target.address,
        config=config,
        options=options | ({"stricthostkeychecking": checking} if checking else {}),
        port=target.port,
        user=target.user,
    )
    return dataclasses.replace(found, keys=((os.path.expanduser(own),) if own else ()) + found.keys)


def _option(values: Mapping[str, t.Any], name: str) -> str:
    """An option of Ansible's ssh connection: from variables, command line, environment, ansible.cfg or its default."""
    from ansible import constants
    from ansible.errors import AnsibleError
    from ansible.plugins.loader import connection_loader

    try:
        connection_loader.get("ssh", class_only=True)  # makes its options known
        found = constants.config.get_config_value(
            name, plugin_type="connection", plugin_name="ssh", variables=dict(values)
        )
    except (AnsibleError, KeyError):
        found = values.get(f"ansible_{name}", values.get(f"ansible_ssh_{name}"))
    return "" if found is None else str(found)


def route(
    alias: str, *, options: Mapping[str, str], port: int = 0, user: str = "", config: Path | None = None
) -> Route:
    """A route by what ssh would read.

    Args:
        alias: the name that is looked up in the configuration.
        options: options of ssh, in small letters, that go before the configuration.
        port, user: those of the inventory; 0 and empty: none.
        config: of the user; ~/.ssh/config when None, or what `-F` says.
    """
    files = [config or Path(options.get("configfile") or "~/.ssh/config").expanduser()]
    if "configfile" not in options:
        files.append(Path("/etc/ssh/ssh_config"))
    merged: dict[str, t.Any] = {}
    for file in files:
        if not file.is_file():
            continue
        try:
            with file.open(encoding="utf-8", errors="replace") as stream:
                read = paramiko.SSHConfig.from_file(stream).lookup(alias)
        except Exception:  # a construct that paramiko does not know: ssh will say more
            continue
        if file != files[0] and read.get("hostname") == alias:
            read.pop("hostname")
        merged = {**read, **merged}
    merged = {**merged, **options}
    identities = merged.get("identityfile", [])
    identities = [identities] if isinstance(identities, str) else identities
    hosts = str(merged.get("userknownhostsfile") or "~/.ssh/known_hosts ~/.ssh/known_hosts2")
    everywhere = str(merged.get("globalknownhostsfile") or "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2")
    jump = str(merged.get("proxyjump") or "")
    command = str(merged.get("proxycommand") or "")
    return Route(
        alias=alias,
        address=str(merged.get("hostname") or alias),
        port=port or int(merged.get("port") or 22),
        user=user or str(merged.get("user") or getpass.getuser()),
        keys=tuple(os.path.expanduser(str(name)) for name in identities),
        known_hosts=tuple(os.path.expanduser(name) for name in f"{hosts} {everywhere}".split()),
        checking=str(merged.get("stricthostkeychecking") or "ask").lower(),
        key_alias=str(merged.get("hostkeyalias") or ""),
        jumps=tuple(j for j in re.split(r"\s*,\s*", jump) if j and j.lower() != "none"),
        command="" if command.lower() == "none" else command,
        agent=str(merged.get("identitiesonly") or "no").lower() != "yes",
        config=options.get("configfile", "") or (str(config) if config else ""),
    )


def jump(text: str, *, config: str = "") -> Route:
    """The route to a jump host, given as [user@]host[:port]; of the options, ssh hands on the configuration only."""
    login, _, rest = text.removeprefix("ssh://").rpartition("@")
    found = re.fullmatch(r"\[?(.*?)\]?(?::(\d+))?", rest)
    host, port = (found[1], int(found[2] or 0)) if found else (rest, 0)
    return route(host, options={"configfile": config} if config else {}, port=port, user=login)


def _options(arguments: str) -> dict[str, str]:
    """Options in arguments for ssh, in small letters; the first word on each counts, as ssh has it."""
    found: dict[str, str] = {}
    try:
        words = shlex.split(arguments)
    except ValueError:
        return found
    at = 0
    while at < len(words):
        word = words[at]
        for flag, name in (("-o", ""), ("-J", "proxyjump"), ("-i", "identityfile"), ("-F", "configfile")):
            if not word.startswith(flag):
                continue
            value = word[len(flag) :]
            if not value:
                at += 1
                value = words[at] if at < len(words) else ""
            key = name
            if not key:
                key, _, value = (p.strip() for p in re.sub(r"\s*[= ]\s*", "=", value, count=1).partition("="))
            found.setdefault(key.lower(), value)
            break
        at += 1
    return found


def _command(name: str) -> object:
    from ansible import context

    return context.CLIARGS.get(name)
