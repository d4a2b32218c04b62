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
    "kex_exchange_identification: Connection closed by remote host\nConnection closed by UNKNOWN port 65535": "jump",
    "channel 0: open failed: administratively prohibited: open failed\nstdio forwarding failed": "jump",
    "eva@jump: Permission denied (publickey).\nConnection closed by UNKNOWN port 65535": "login",
    "host key mismatch for 10.0.0.1": "host key",
    # What the host says of itself stands before what ssh says.
    "Unauthorized access is prohibited!\nssh: connect to host h port 22: Connection refused": "port",
    "no route to host without a badge\n" * 9 + "eva@h: Permission denied (publickey,password).": "login",
}

NOT_UNREACHABLE = {
    "Timeout (12s) waiting for privilege escalation prompt:": "--ask-become-pass",
    "timeout waiting for privilege escalation password prompt:": "--ask-become-pass",
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


@pytest.mark.parametrize(("said", "remedy"), NOT_UNREACHABLE.items())
def test_a_silent_become_method_is_no_unreachable_host(said: str, remedy: str) -> None:
    for found in (trouble.connection(said), trouble.error(said)):
        assert (found.cause, found.verdict) == ("privilege", "unknown")
        assert remedy in found.text


def test_a_container_that_does_not_run_is_unreachable() -> None:
    found = trouble.answer('Error: no container with name or ID "web" found: no such container')
    assert (found.cause, found.verdict) == ("container", "unreachable")
    assert "ansible_host" in found.text


def test_a_banner_does_not_hide_the_cause() -> None:
    found = trouble.answer("*** authorised use only ***\n" * 40 + "sudo: a password is required\n" + "bye\n" * 40)
    assert found.text.endswith("(sudo: a password is required)")


@pytest.mark.parametrize(
    ("said", "shell", "remedy"),
    [
        ("dd: error writing '/x/y': No space left on device", "sh", "is full"),
        ("mkdir: cannot create directory '/x': Read-only file system", "sh", "is read-only"),
        ("mkdir: cannot create directory '/x': Permission denied", "sh", "cannot write to"),
        ("Failed to create temporary directory. In some cases", "fish", "`ansible_shell_type: fish`"),
        ("Incorrect su password", "sh", "become user, method and password"),
        ("something else", "sh", "(why; file: something else)"),
    ],
)
def test_transport(said: str, shell: str, remedy: str) -> None:
    found = trouble.transport("why", said, shell)
    assert found.verdict == "unknown"
    assert remedy in found.text


PLUGINS = {
    "the connection plugin 'community.docker.docker' was not found": "collection install community.docker`",
    "the connection plugin 'podman' was not found": "collection install containers.podman`",
    "Invalid become method specified, could not find matching plugin: 'doas'. Use `ansible-doc`": "community.general`",
    "Invalid become method specified, could not find matching plugin: 'dosa'.": "check the spelling",
    "Could not find the shell plugin required (csh).": "take `ansible_shell_type` away",
    "Could not find the shell plugin required (nosuch).": "there is no shell plugin nosuch",
    "Task failed: docker command not found in PATH": "the program docker is missing on this controller",
}


@pytest.mark.parametrize(("said", "remedy"), PLUGINS.items())
def test_plugin(said: str, remedy: str) -> None:
    found = trouble.plugin(said)
    assert found.startswith("transport: ")
    assert remedy in found


def test_plugin_says_nothing_of_other_failures() -> None:
    assert trouble.plugin("Task failed: could not be templated") == ""


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


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        (
            'Exception calling "CreateProcessAsUser" with "9" argument(s): "The user name or password is incorrect"',
            "privilege",
        ),
        ("Failed to become user 'EX\\ada'", "privilege"),
        ("Unhandled exception while executing module: Access is denied", "module"),
        ("", "module"),
    ],
)
def test_module(said: str, cause: str) -> None:
    found = trouble.module(said)
    assert (str(found.verdict), found.cause) == ("unknown", cause)
    assert found.text.startswith(f"{cause}: ")
    assert said[-40:] in found.text
