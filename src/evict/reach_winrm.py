# SPDX-License-Identifier: GPL-3.0-or-later
"""Reach a host over WinRM (connections `winrm` and `psrp`): TLS, login, PowerShell, privilege and clock."""

from __future__ import annotations

import secrets
import shutil
import subprocess
import time
import typing as t
import warnings

from ansible_collections.evict.kaspersky.plugins.plugin_utils import trouble

from . import reach_net, reach_windows
from .reach_step import Stop, Way
from .reach_target import Target

_NO: t.Final = ("ignore", "false", "no", "0")
# Kind of login -> what the port must offer for it.
_OFFERS: t.Final = {
    "basic": ("basic",), "plaintext": ("basic",), "ssl": ("basic",), "ntlm": ("negotiate", "ntlm"),
    "kerberos": ("kerberos", "negotiate"), "negotiate": ("negotiate",), "credssp": ("credssp",),
}  # fmt: skip


def check(target: Target, way: Way, timeout: float) -> None:
    """Go all steps.

    Raises:
        Stop: a step failed.
    """
    kind = f"ansible_{target.kind}"
    scheme = target.get(f"{kind}_scheme", f"{kind}_protocol") or ("http" if target.port in (80, 5985) else "https")
    port = target.port or (5985 if scheme == "http" else 5986)
    path = "/" + (target.get(f"{kind}_path") or "wsman").lstrip("/")
    ca = target.get("ansible_winrm_ca_trust_path", "ansible_winrm_ca_cert", "ansible_psrp_ca_cert")
    validation = target.get("ansible_winrm_server_cert_validation", "ansible_psrp_cert_validation").lower()
    stream = reach_net.connect(way, target.address, port, timeout)
    with stream:
        if scheme == "https":
            with reach_net.tls(way, stream, target.address, ca=ca, verify=validation not in _NO) as secure:
                offers, clock = reach_net.wsman(way, secure, target.address, path, timeout)
        else:
            way.note("tls", "none: http")
            offers, clock = reach_net.wsman(way, stream, target.address, path, timeout)
    login = _kind_of_login(target, scheme)
    if login == "kerberos" and clock is not None:
        way.clock(clock, time.time(), kerberos=True)
    _before_login(target, login, offers)
    url = f"{scheme}://{_bracket(target.address)}:{port}{path}"
    nonce = "evict-" + secrets.token_hex(8)
    ask = _psrp if target.kind == "psrp" else _winrm
    verify: t.Any = (ca or True) if validation not in _NO else False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        said = _named(ask, target, url, login, verify, nonce, timeout)
    way.note("login", f"{target.user} with {login}")
    reach_windows.judge(way, said, nonce, time.time(), kerberos=login == "kerberos")


def _kind_of_login(target: Target, scheme: str) -> str:
    """As the connection plugins choose it."""
    if target.kind == "psrp":
        return target.get("ansible_psrp_auth") or "negotiate"
    given = target.values.get("ansible_winrm_transport")
    if given:
        kinds = given if isinstance(given, list) else str(given).split(",")
        return str(kinds[0]).strip().lower()
    if "@" in target.user:
        return "kerberos"
    return "ssl" if scheme == "https" else "plaintext"


def _before_login(target: Target, login: str, offers: str) -> None:
    """What is wrong already: nobody to log in as, a kind of login that is not offered, no ticket."""
    needed = _OFFERS.get(login, ())
    if offers and needed and not {o.strip().lower() for o in offers.split(",")} & set(needed):
        remedy = (
            f"the listener does not allow {login}: use one of {offers} (ansible_{target.kind}_transport), or allow it"
        )
        raise Stop("login", trouble.connection("unauthorized"), remedy, f"{login} is asked for, {offers} is offered")
    if login == "kerberos" and not target.password:
        klist = shutil.which("klist")
        if klist and subprocess.run([klist, "-s"], stdin=subprocess.DEVNULL, check=False, timeout=10).returncode:
            remedy = f"get a ticket: kinit {target.user}"
            raise Stop("login", trouble.connection("kerberos auth failure"), remedy, "no valid Kerberos ticket")
    elif login not in ("kerberos", "certificate") and not (target.user and target.password):
        what = "password" if target.user else "user"
        remedy = "set it (--ask-pass, a vault)" if target.user else "set ansible_user"
        raise Stop("login", trouble.connection("unauthorized"), remedy, f"there is no {what} to log in with")


def _named(ask: t.Any, target: Target, url: str, login: str, verify: t.Any, nonce: str, timeout: float) -> str:
    try:
        return str(ask(target, url, login, verify, nonce, timeout))
    except Stop:
        raise
    except Exception as exc:  # requests, winrm, pypsrp, gssapi and ssl raise what they like
        said = str(exc) or type(exc).__name__
        low = f"{type(exc).__name__} {said}".lower()
        if "import" in low or "not installed" in low or "no module" in low:
            raise Stop("login", trouble.error(f"no module named: {said}"), seen=said) from exc
        if "access is denied" in low or "0x80070005" in low or "code: 5," in low or "w:accessdenied" in low:
            remedy = "the login works; the account may not use WinRM: put it into the host's Administrators"
            raise Stop("privilege", trouble.answer("sudo: access is denied"), remedy, said) from exc
        if "404" in low:
            remedy = f"mend `ansible_{target.kind}_path`, usually wsman"
            raise Stop("port", trouble.connection("connection reset: 404"), remedy, said) from exc
        if "timeout" in low or "timed out" in low:
            raise Stop("login", trouble.silence(int(timeout)), seen=f"no answer within {timeout:g} s") from exc
        found = trouble.connection(said)
        if found.cause == "connection":
            found = trouble.connection(f"unauthorized: {said}")
        raise Stop("login", found, seen=said) from exc


def _winrm(target: Target, url: str, login: str, verify: t.Any, nonce: str, timeout: float) -> str:
    from winrm.protocol import Protocol

    more: dict[str, t.Any] = {
        "transport": login,
        "message_encryption": target.get("ansible_winrm_message_encryption") or "auto",
    }
    more |= {"ca_trust_path": verify} if isinstance(verify, str) else {}
    if certificate := target.get("ansible_winrm_cert_pem"):
        more |= {"cert_pem": certificate, "cert_key_pem": target.get("ansible_winrm_cert_key_pem")}
    client = Protocol(
        url,
        username=target.user,
        password=target.password,
        server_cert_validation="validate" if verify else "ignore",
        read_timeout_sec=int(timeout) + 10,
        operation_timeout_sec=int(timeout),
        **more,
    )
    shell = client.open_shell()
    try:
        command = client.run_command(shell, reach_windows.command(nonce))
        try:
            out, err, _ = client.get_command_output(shell, command)
        finally:
            client.cleanup_command(shell, command)
    finally:
        client.close_shell(shell)
    return (out + b"\n" + err).decode("utf-8", "replace")


def _psrp(target: Target, url: str, login: str, verify: t.Any, nonce: str, timeout: float) -> str:
    from urllib.parse import urlsplit

    from pypsrp.client import Client

    where = urlsplit(url)
    client = Client(
        target.address,
        username=target.user or None,
        password=target.password or None,
        port=where.port,
        ssl=where.scheme == "https",
        path=where.path.lstrip("/"),
        auth=login,
        cert_validation=verify,
        encryption=target.get("ansible_psrp_message_encryption") or "auto",
        connection_timeout=int(timeout),
        read_timeout=int(timeout) + 20,
        operation_timeout=int(timeout) + 10,
    )
    with client:
        out, streams, _ = client.execute_ps(reach_windows.SCRIPT.replace("NONCE", nonce))
    return "\n".join([str(out), *(str(error) for error in streams.error)])


def _bracket(address: str) -> str:
    return f"[{address}]" if ":" in address else address
