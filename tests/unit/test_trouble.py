# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of ssh, sudo, cmd.exe and WinRM, sorted into cause, verdict and remedy."""

from __future__ import annotations

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import trouble

CONNECTION = {
    "ssh: Could not resolve hostname nosuch: Name or service not known": "name",
    "Failed to connect to the host via ssh: ssh: connect to host 198.18.0.99 port 22: No route to host": "port",
    "ssh: connect to host 127.0.0.1 port 1: Connection refused": "port",
    "Data could not be sent to remote host: ssh: connect to host 10.0.0.1 port 22: Connection timed out": "port",
    "Failed to connect to the host via ssh: admin@h: Permission denied (publickey,password).": "login",
    "Invalid/incorrect password: admin@h: Permission denied (password).": "login",
    "Host key verification failed.": "host key",
    "@@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @@\nHost key verification failed.": "host key",
    "basic: the specified credentials were rejected by the server": "login",
    "ntlm: HTTPSConnectionPool(host='h', port=5986): Max retries exceeded (Caused by SSLError(SSLCertVerificationError("
    "1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate')))": "tls",
    "basic: HTTPConnectionPool(host='127.0.0.1', port=1): Max retries exceeded with url: /wsman (Caused by "
    "NewConnectionError('Failed to establish a new connection: [Errno 111] Connection refused'))": "port",
    "kex_exchange_identification: Connection closed by remote host": "connection",
    "something nobody has seen": "connection",
}


@pytest.mark.parametrize(("said", "cause"), CONNECTION.items())
def test_connection(said: str, cause: str) -> None:
    found = trouble.connection(said)
    assert (found.cause, found.verdict) == (cause, "unreachable")
    assert "\n" not in found.text


def test_kerberos_over_ssh_is_told_of_its_ticket() -> None:
    said = "root@localhost: Permission denied (publickey,gssapi-keyex,gssapi-with-mic)."
    found = trouble.connection(said)
    assert (found.cause, found.verdict) == ("login", "unreachable")
    assert "`kinit`" in found.text


ANSWER = {
    "'sh' is not recognized as an internal or external command,\r\noperable program.": "ansible_shell_type",
    "The system cannot find the path specified.": "ansible_shell_type",
    "/bin/sh : The term '/bin/sh' is not recognized as the name of a cmdlet, function": "ansible_shell_type",
    "sudo: a password is required": "privilege",
    "admin is not in the sudoers file.  This incident will be reported.": "privilege",
    "su: Authentication failure": "privilege",
    "doas: Operation not permitted": "privilege",
    "This account is currently not available.": "an account with a shell",
    "WARNING: Your password has expired.\nPassword change required but no TTY available.": "renew its password",
    "sudo: sorry, you must have a tty to run sudo": "ansible_ssh_use_tty",
    "/bin/sh: 1: sudo: not found": "ansible_become_exe",
    "sh: line 1: doas: command not found": "ansible_become_exe",
    "": "forced command",
}


@pytest.mark.parametrize(("said", "remedy"), ANSWER.items())
def test_answer(said: str, remedy: str) -> None:
    found = trouble.answer(said)
    assert found.verdict == "unknown"
    assert remedy in found.text


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        (
            "to use the 'ssh' connection type with passwords or pkcs11_provider, you must install the sshpass program",
            "2.19",
        ),
        ("winrm or requests is not installed: No module named 'winrm'", "pywinrm"),
        ("Missing sudo password", "become"),
        ("Incorrect sudo password", "become"),
    ],
)
def test_error(said: str, remedy: str) -> None:
    found = trouble.error(said)
    assert found.verdict == "unknown"
    assert remedy in found.text


def test_a_host_key_error_of_ansible_is_unreachable() -> None:
    said = "Using a SSH password instead of a key is not possible because Host Key checking is enabled"
    assert trouble.error(said).cause == "host key"


def test_one_line_is_bounded_and_inert() -> None:
    said = trouble.one_line("Warning: Permanently added 'h'\n\x1b[2Jred\x07\n" + "x" * 1000)
    assert "Permanently" not in said
    assert said.isprintable()
    assert len(said) == 200
