# SPDX-License-Identifier: GPL-3.0-or-later
"""What pywinrm, pypsrp, requests, GSSAPI and core's plugins say, word for word: its cause, verdict and remedy."""

from __future__ import annotations

import itertools

import pytest
import requests
from ansible.errors import AnsibleConnectionFailure
from winrm.exceptions import InvalidCredentialsError, WinRMTransportError

from ansible_collections.evict.kaspersky.plugins.plugin_utils import trouble_winrm

POOL = "HTTPSConnectionPool(host='kerberos-certificate', port=5986): Max retries exceeded with url: /wsman (Caused by "
VERIFY = POOL + "SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: "
GSS = "authGSSClientStep() failed: (('Unspecified GSS failure.  Minor code may provide more information', 851968), "

# what was said -> cause, what the remedy must speak of
SAID = {
    POOL + "NameResolutionError(\"HTTPConnection(host='h', port=1): Failed to resolve 'h' ([Errno -2] Name or service "
    'not known)")))': ("name", "ansible_host"),
    POOL + "NewConnectionError('Failed to establish a new connection: [Errno 111] Connection refused'))": (
        "port",
        "firewall",
    ),
    POOL
    + "ConnectTimeoutError(<HTTPSConnection object at 0x7f>, 'Connection to h timed out. (connect timeout=30)'))": (
        "port",
        "firewall",
    ),
    VERIFY + "unable to get local issuer certificate (_ssl.c:1006)'))))": ("tls", "`{trust}`"),
    VERIFY + "self-signed certificate (_ssl.c:1006)'))))": ("tls", "`{trust}`"),
    VERIFY + "certificate has expired (_ssl.c:1006)'))))": ("tls", "renew"),
    VERIFY + "certificate is not yet valid (_ssl.c:1006)'))))": ("tls", "clock"),
    VERIFY + "Hostname mismatch, certificate is not valid for 'h'. (_ssl.c:1006)'))))": ("tls", "another name"),
    VERIFY + "IP address mismatch, certificate is not valid for '10.0.0.1'. (_ssl.c:1006)'))))": (
        "tls",
        "another name",
    ),
    POOL + "SSLError(SSLError(1, '[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)'))))": (
        "tls",
        "{scheme}",
    ),
    POOL + "SSLError(SSLError(1, '[SSL: TLSV1_ALERT_PROTOCOL_VERSION] tlsv1 alert protocol version'))))": (
        "tls",
        "TLS",
    ),
    "ntlm: Could not find a suitable TLS CA certificate bundle, invalid path: /no.pem": ("tls", "`{trust}`"),
    "ntlm: HTTPConnectionPool(host='h', port=5985): Read timed out. (read timeout=30)": ("timeout", "`{read}`"),
    "the connection attempt timed out": ("timeout", "`{read}`"),
    "ntlm: ('Connection aborted.', ConnectionResetError(104, 'Connection reset by peer'))": (
        "connection",
        "`{scheme}`",
    ),
    "('Connection aborted.', RemoteDisconnected('Remote end closed connection without response'))": (
        "connection",
        "again",
    ),
    "('Connection broken: IncompleteRead(583 bytes read, 584 more expected)', 5)": (
        "connection",
        "again",
    ),
    "winrm send_input failed; \nstdout: \nstderr ": ("connection", "again"),
    "Bad HTTP response returned from server. Code 400": ("connection", "again"),
    "ntlm: the specified credentials were rejected by the server": ("login", "`{auth}`"),
    "failed to authenticate with the server: Failed to authenticate the user admin with ntlm": ("login", "`{auth}`"),
    "failed to authenticate with the server: The server did not response with one of the following authentication "
    "methods Negotiate, Kerberos, NTLM - actual: 'Basic'": ("login", "does not offer"),
    "Access denied: Server did not respond with NTLM challenge token": ("login", "`{auth}`"),
    "ntlm: Bad HTTP response returned from server. Code 500": ("answer", "AllowUnencrypted"),
    "psrp connection failure during runspace open: Received a WSManFault message. (No details returned by the "
    "server)": (
        "answer",
        "AllowUnencrypted",
    ),
    "psrp connection failure during runspace open: Bad HTTP response returned from the server. Code: 404": (
        "answer",
        "`{path}`",
    ),
    "ntlm: Bad HTTP response returned from server. Code 503": ("answer", "no_proxy"),
    "ntlm: no element found: line 1, column 8": ("answer", "not WinRM"),
    "ntlm: 'NoneType' object has no attribute 'wrap'": ("answer", "not WinRM"),
    GSS + "('Ticket expired', -1765328352))": ("kerberos", "kinit"),
    "authGSSClientInit() failed: (('No credentials were supplied, or the credentials were unavailable or "
    "inaccessible', 458752), "
    '("Can\'t find client principal a@EVICT.TEST in cache collection", -1765328243))': (
        "kerberos",
        "no ticket",
    ),
    GSS + "('Server HTTP/h@EVICT.TEST not found in Kerberos database', -1765328377))": ("kerberos", "`{spn}`"),
    GSS + "(\"Cannot contact any KDC for realm 'EVICT.TEST'\", -1765328228))": ("kerberos", "krb5.conf"),
    GSS + "('Clock skew too great', -1765328347))": ("kerberos", "clocks"),
    GSS + "('Something new', -1765328000))": ("kerberos", "klist"),
    "Kerberos auth failure for principal a@EVICT.TEST: kinit: Password incorrect while getting initial credentials": (
        "kerberos",
        "name@REALM",
    ),
    "Kerberos auth failure for principal a@EVICT.TEST: kinit: Client 'a@EVICT.TEST' not found in Kerberos "
    "database while getting initial credentials": ("kerberos", "name@REALM"),
    "The WS-Management service cannot process the request. This user has exceeded the quota": ("quota", "quotas"),
}
# Of this machine, whatever the host is like.
HERE = {
    "WinRM Kerberos authentication requested but the python kerberos library is not installed. Please install the "
    "pykerberos library": ("kerberos", "pip install '{package}[kerberos]'"),
    "GSSAPIProxy requires the Python gssapi library: No module named 'gssapi'": ("kerberos", "libkrb5-dev"),
    "Kerberos auth failure when calling kinit cmd 'kinit': [Errno 2] No such file or directory: 'kinit'": (
        "kerberos",
        "krb5-user",
    ),
    "credssp: requests auth method is credssp, but requests-credssp is not installed": ("transport", "{package}"),
    "winrm or requests is not installed: No module named 'winrm'": ("transport", "{package}"),
    "Cannot use message encryption with auth 'basic', either set encryption='never', use ssl=True or use one of": (
        "transport",
        "HTTPS",
    ),
}
VARIABLES = {
    "winrm": {
        "trust": "ansible_winrm_ca_trust_path",
        "scheme": "ansible_winrm_scheme",
        "read": "ansible_winrm_read_timeout_sec",
        "auth": "ansible_winrm_transport",
        "path": "ansible_winrm_path",
        "spn": "ansible_winrm_kerberos_hostname_override",
        "package": "pywinrm",
    },
    "psrp": {
        "trust": "ansible_psrp_ca_cert",
        "scheme": "ansible_psrp_protocol",
        "read": "ansible_psrp_read_timeout",
        "auth": "ansible_psrp_auth",
        "path": "ansible_psrp_path",
        "spn": "ansible_psrp_negotiate_hostname_override",
        "package": "pypsrp",
    },
}


@pytest.mark.parametrize("connection", trouble_winrm.CONNECTIONS)
@pytest.mark.parametrize(("said", "expected"), [*SAID.items(), *HERE.items()])
def test_cause_and_remedy(connection: str, said: str, expected: tuple[str, str]) -> None:
    found = trouble_winrm.failed(said, connection=connection, connected=False)
    cause, remedy = expected
    assert found.cause == cause, found.text
    assert found.text.startswith(f"{cause}: {connection}: ")
    assert remedy.format(**VARIABLES[connection]) in found.text
    assert found.verdict == ("unknown" if said in HERE and "calling kinit" not in said else "unreachable")
    assert "\n" not in found.text
    assert "{" not in found.text.replace(said, "")


def test_a_host_that_was_reached_is_unknown() -> None:
    for said, (cause, _remedy) in SAID.items():
        found = trouble_winrm.failed(said, connection="winrm", connected=True)
        assert (found.verdict, found.cause) == ("unknown", cause)


def test_short_messages_are_known_by_their_class() -> None:
    for said, kind in (("'127.0.0.1'", "KeyError"), ("", "StopIteration"), ("ntlm:", "AnsibleConnectionFailure")):
        found = trouble_winrm.failed(said, connection="psrp", connected=False, kind=kind)
        assert (found.cause, found.verdict) == ("answer", "unreachable")
    assert "KeyError" in trouble_winrm.failed("", connection="psrp", connected=False, kind="KeyError").text


@pytest.mark.parametrize(
    ("connected", "expected"), [(False, ("connection", "unreachable")), (True, ("transport", "unknown"))]
)
def test_what_nobody_has_seen(connected: bool, expected: tuple[str, str]) -> None:
    found = trouble_winrm.failed("something nobody has seen", connection="winrm", connected=connected)
    assert (found.cause, found.verdict) == expected
    assert "something nobody has seen" in found.text


def _chained(*errors: Exception) -> Exception:
    """The last of them; each has come while the one before was on its way."""
    for before, error in itertools.pairwise(errors):
        error.__context__ = before
    return errors[-1]


def _gone() -> Exception:
    return requests.exceptions.ConnectionError("('Connection aborted.', RemoteDisconnected('Remote end closed'))")


@pytest.mark.parametrize(
    ("errors", "told"),
    [
        ((requests.exceptions.HTTPError("503"), WinRMTransportError("http", 503, ""), OSError(), _gone()), 1),
        ((requests.exceptions.HTTPError("401"), InvalidCredentialsError("rejected"), _gone()), 1),
        ((_gone(), WinRMTransportError("http", 503, "")), 0),
        ((requests.exceptions.ReadTimeout("Read timed out."), AnsibleConnectionFailure("winrm: late"), _gone()), 0),
        ((AnsibleConnectionFailure("ntlm: no"),), 0),
        ((KeyError("x"), AnsibleConnectionFailure("ntlm: no")), 1),
    ],
)
def test_an_error_of_tidying_up_does_not_hide_what_failed_first(errors: tuple[Exception, ...], told: int) -> None:
    assert trouble_winrm.first(_chained(*errors)) is errors[told]
