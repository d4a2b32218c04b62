# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a Windows host could not be asked: the words of pywinrm, pypsrp, requests, GSSAPI and core's plugins. Pure."""

from __future__ import annotations

import re
import typing as t

from . import trouble
from .trouble import Trouble
from .verdict import Verdict

# How the two connections call the same thing, for remedies.
_NAMES: t.Final = {
    "winrm": {
        "auth": "ansible_winrm_transport",
        "scheme": "ansible_winrm_scheme",
        "trust": "ansible_winrm_ca_trust_path",
        "encryption": "ansible_winrm_message_encryption",
        "read": "ansible_winrm_read_timeout_sec",
        "path": "ansible_winrm_path",
        "spn": "ansible_winrm_kerberos_hostname_override",
        "package": "pywinrm",
    },
    "psrp": {
        "auth": "ansible_psrp_auth",
        "scheme": "ansible_psrp_protocol",
        "trust": "ansible_psrp_ca_cert",
        "encryption": "ansible_psrp_message_encryption",
        "read": "ansible_psrp_read_timeout",
        "path": "ansible_psrp_path",
        "spn": "ansible_psrp_negotiate_hostname_override",
        "package": "pypsrp",
    },
}
CONNECTIONS: t.Final = tuple(_NAMES)

# First match wins. What the network says stands first, since the plugins put the name of the login before everything.
_CAUSES: t.Final = (
    (
        "name",
        (
            r"failed to resolve|name or service not known|name resolution|getaddrinfo|nodename nor servname|"
            r"no address associated"
        ),
        "the name cannot be resolved: set `ansible_host`, or mend the name",
    ),
    (
        "tls",
        r"certificate has expired|certificate is not yet valid",
        ("the host's certificate has expired or is not valid yet: renew it on the host, or mend this machine's clock"),
    ),
    (
        "tls",
        r"hostname mismatch|ip address mismatch|doesn't match|certificate is not valid for",
        (
            "the host's certificate is for another name: set `ansible_host` to a name in it, or give the host "
            "one for this name"
        ),
    ),
    (
        "tls",
        r"suitable tls ca certificate bundle",
        "the file with the trusted authorities is not there: mend `{trust}` or REQUESTS_CA_BUNDLE",
    ),
    (
        "tls",
        r"certificate verify failed|self[- ]signed|unable to get (?:local )?issuer",
        "the host's certificate is not trusted: set `{trust}` to the file of the authority that issued it",
    ),
    (
        "tls",
        r"wrong version number|unknown protocol|record layer failure|http request",
        (
            "what listens at the port does not speak TLS: set `{scheme}: http` for it (usually port 5985), or "
            "name the port of the HTTPS listener (usually 5986)"
        ),
    ),
    (
        "tls",
        r"sslerror|\[ssl|ssl:|tlsv1|handshake",
        "TLS failed: check the listener's certificate and which versions of TLS the host allows",
    ),
    (
        "port",
        (
            r"connect(?:ion)? ?timeout|connection to \S+ timed out|connection refused|no route to host|"
            r"network is unreachable|host is down|failed to establish a new connection"
        ),
        (
            "nothing answers at the port: check address, port (5985 for HTTP, 5986 for HTTPS), firewall, and "
            "that the service WinRM runs"
        ),
    ),
    (
        "timeout",
        r"timed out|http read timeout|timeout",
        ("the host took the connection and did not answer in time: look whether it hangs, or set `{read}` higher"),
    ),
    (
        "connection",
        (
            r"connection reset|connection aborted|connection broken|incompleteread|incomplete read|"
            r"remote end closed|broken pipe|prematurely|unexpected_eof|eof occurred|send_input failed|code:? ?400\b"
        ),
        (
            "the connection was cut: audit the host again; if it stays so, look for a firewall or proxy between, "
            "for a restart of the service WinRM, and whether the port wants HTTPS (`{scheme}`)"
        ),
    ),
    (
        "kerberos",
        (
            r"ticket expired|credentials? (?:have|has) expired|expired credential|context (?:has )?expired|"
            r"ticket is expired"
        ),
        "the ticket has expired: get a new one (`kinit`), or give `ansible_password`",
    ),
    (
        "kerberos",
        (
            r"python kerberos library is not installed|pykerberos is not installed|requires the python gssapi|"
            r"gssapi python|no module named '?(?:gssapi|krb5|kerberos)|kerberos library"
        ),
        (
            "a package for Kerberos is missing on this machine: `pip install '{package}[kerberos]'` beside "
            "ansible-core, which wants a C compiler and Kerberos' headers (Debian: libkrb5-dev)"
        ),
    ),
    (
        "kerberos",
        r"kinit cmd .*no such file|kinit: not found",
        (
            "the program kinit is missing on this machine: install it (Debian: krb5-user), or get the ticket "
            "beforehand and set `ansible_winrm_kinit_mode: manual`"
        ),
    ),
    (
        "kerberos",
        r"clock skew",
        "the clocks differ by more than Kerberos allows: set this machine's and the host's",
    ),
    (
        "kerberos",
        (
            r"preauthentication failed|password incorrect|integrity check|client .*not found in kerberos database|"
            r"revoked|password has expired"
        ),
        (
            "the domain refused the login: check `ansible_user` (as name@REALM, the realm in capitals), the "
            "password and the account"
        ),
    ),
    (
        "kerberos",
        (
            r"server .*not found in kerberos database|server not found|wrong principal|service key not available|"
            r"no key table entry"
        ),
        (
            "the domain does not know the host by this name: set `ansible_host` to its full name in the domain, "
            "or `{spn}`"
        ),
    ),
    (
        "kerberos",
        (
            r"cannot (?:find|contact|resolve).*(?:kdc|realm)|cannot contact any kdc|unable to reach any kdc|"
            r"default realm|krb5\.conf|configuration file"
        ),
        "no domain controller answers for the realm: check /etc/krb5.conf, DNS and that port 88 is open",
    ),
    (
        "kerberos",
        (
            r"no kerberos credentials|no credentials|credentials? cache|matching credential|no cred|cache file|"
            r"does not specify default realm"
        ),
        "there is no ticket: get one (`kinit`) for the user that runs this, or give `ansible_password`",
    ),
    (
        "kerberos",
        r"kerberos auth failure|gsserror|gss failure|unspecified gss|authgss|krb5|kerberosexchange|spnegoerror",
        ("the login by Kerberos failed: check the ticket (`klist`), the realm, and the host's name in the domain"),
    ),
    (
        "login",
        r"did not respon\w+ with one of the following authentication methods",
        "the host does not offer this login: choose another with `{auth}`, or allow it on the host",
    ),
    (
        "login",
        (
            r"credentials were rejected|failed to authenticate|access is denied|access denied|\b401\b|"
            r"unauthorized|invalid credentials|challenge token"
        ),
        (
            "the login was refused: check user and password, that the host takes this login (`{auth}`; Basic is "
            "off by default, and without HTTPS it is refused), and that the user may log in remotely"
        ),
    ),
    (
        "transport",
        (
            r"cannot use message encryption|message encryption is set to|does not support transport|"
            r"unsupported auth|requires? a (?:username|password)|invalid server_cert_validation|"
            r"invalid message_encryption"
        ),
        (
            "the variables of the connection do not go together: Basic has no message encryption of its own, so "
            "use HTTPS, or `{auth}: ntlm` or `kerberos`"
        ),
    ),
    (
        "transport",
        r"is not installed|no module named|not installed",
        (
            "a Python package of the connection is missing: install {package} (and what its login wants) beside "
            "ansible-core"
        ),
    ),
    (
        "answer",
        r"code:? ?500\b|no details returned by the server",
        (
            "the host answered with an error of HTTP: it may refuse messages in clear (AllowUnencrypted is off), "
            "so leave `{encryption}` at `auto` or use HTTPS; else look into the log Windows Remote Management on "
            "the host"
        ),
    ),
    (
        "answer",
        r"code:? ?404\b",
        "there is no WinRM at this address: check `ansible_port` and `{path}`",
    ),
    (
        "answer",
        r"code:? ?\d{3}\b",
        (
            "something answered with an error of HTTP: check that no proxy stands between (`no_proxy`), and the "
            "service WinRM"
        ),
    ),
    (
        "answer",
        (
            r"no element found|not well-formed|mismatched tag|syntax error: line|undefined entity|invalid token|"
            r"'nonetype' object|parseerror|keyerror|expecting value|related id|relatesto|stopiteration|"
            r"^\w+:\s*\n"
        ),
        "what answered is not WinRM: check `ansible_port`, and that no proxy stands between (`no_proxy`)",
    ),
    (
        "quota",
        r"quota|maximum number of concurrent|2150859174|0x803381a6",
        (
            "the host allows no more shells or memory for them: end old sessions, or raise its quotas (`winrm "
            "get winrm/config`)"
        ),
    ),
)
# Nothing of these has to do with the host.
_HERE: t.Final = re.compile(
    r"is not installed|no module named|requires the python|not installed|cannot use message encr"
)


# What says that a request failed; an error of HTTP itself is followed by pywinrm's own words for it.
_REQUEST_FAILED: t.Final = ("winrm.exceptions", "requests.exceptions")


def first(exc: BaseException) -> BaseException:
    """What failed first, where tidying up after it failed too.

    core's winrm ends the command on the host whatever came of it. When that fails as well, as it does where a proxy has
    closed the connection behind its answer, Python hands on the second error and keeps the first one as its context.

    Args:
        exc: what the connection plugin `winrm` raised.

    Returns:
        The first failed request among `exc` and its contexts, or `exc`.
    """
    told, seen = exc, exc.__context__
    while seen is not None:
        if type(seen).__module__ in _REQUEST_FAILED and type(seen).__name__ != "HTTPError":
            told = seen
        seen = seen.__context__
    return told


def failed(message: str, *, connection: str, connected: bool, kind: str = "") -> Trouble:
    """Why a host could not be asked.

    Args:
        message: what the connection plugin, or the library below it, said.
        connection: one of CONNECTIONS.
        connected: a session had come about before.
        kind: the name of the exception's class, for libraries whose messages are too short.

    Returns:
        The cause, with the connection and the remedy in its text. `unknown` when a session had come about or when this
        machine lacks something, else `unreachable`.
    """
    said = trouble.one_line(message)
    # Without the address, in which anything may stand.
    text = re.sub(r"https?connection(?:pool)?\(host=[^)]*\):?|with url: \S*", " ", message, flags=re.IGNORECASE)
    text = f"{text}\n{kind}".lower()
    here = _HERE.search(text) is not None
    verdict = Verdict.UNKNOWN if connected or here else Verdict.UNREACHABLE
    for cause, pattern, remedy in _CAUSES:
        if re.search(pattern, text):
            what = remedy.format(**_NAMES[connection])
            return Trouble(verdict, cause, f"{cause}: {connection}: {what} ({said or kind})")
    if connected:
        return Trouble(verdict, "transport", f"transport: {connection}: the session failed ({said or kind})")
    return Trouble(verdict, "connection", f"connection: {connection}: no session came about ({said or kind})")
