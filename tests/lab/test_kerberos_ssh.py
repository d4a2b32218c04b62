# SPDX-License-Identifier: GPL-3.0-or-later
"""ssh with Kerberos (GSSAPI): a real KDC and a real sshd on a high port of this machine; no key and no password."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e import playbooks
from tests.lab import kerberos

PASSWORD = "Kn0wn only/here"
USER = getpass.getuser()  # the local account that a principal of the same name may use


class Server:
    """The realm, and an sshd in it that takes nothing but tickets."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self.folder = folder
        (folder / "realm").mkdir()
        self.realm = stack.enter_context(kerberos.Realm(folder / "realm"))
        for name in (USER, "guest"):
            self.realm.add_user(name, PASSWORD)
        self.realm.kinit(USER, PASSWORD)
        keytab = self.realm.keytab("host/localhost")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        key, config = folder / "host_key", folder / "sshd_config"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
        (folder / "known_hosts").write_text(f"[localhost]:{self.port} {key.with_suffix('.pub').read_text()}")
        config.write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {key}\nPidFile none\nStrictModes no\nUsePAM no\n"
            "PermitRootLogin yes\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPubkeyAuthentication no\n"
            "GSSAPIAuthentication yes\nGSSAPIStrictAcceptorCheck no\n"
        )
        Path("/run/sshd").mkdir(exist_ok=True)
        environment = {**os.environ, **self.realm.environment, "KRB5_KTNAME": f"FILE:{keytab}"}
        program = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin") or "/usr/sbin/sshd"
        with (folder / "sshd.log").open("wb") as out:
            sshd = subprocess.Popen(
                [program, "-D", "-e", "-f", str(config)],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        stack.callback(sshd.wait)
        stack.callback(sshd.terminate)
        deadline = time.monotonic() + 30
        while "Server listening" not in (folder / "sshd.log").read_text():
            assert sshd.poll() is None, (folder / "sshd.log").read_text()
            assert time.monotonic() < deadline, (folder / "sshd.log").read_text()
            time.sleep(0.05)

    def audit(self, where: Path, **environment: str) -> playbooks.Run:
        """Audit the server as docs/connections-windows.md and -linux.md tell users to."""
        options = (
            f"-o UserKnownHostsFile={self.folder}/known_hosts -o GSSAPIAuthentication=yes "
            "-o PreferredAuthentications=gssapi-with-mic"
        )
        host = f"gss ansible_host=localhost ansible_port={self.port} ansible_user={USER} ansible_ssh_args='{options}'\n"
        return playbooks.run(where, host, env={**self.realm.environment, **environment})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    try:
        kerberos.packages()
    except kerberos.NoKerberos as reason:
        pytest.skip(str(reason))
    with ExitStack() as stack:
        yield Server(stack, tmp_path_factory.mktemp("gss"))


def test_a_ticket_opens_ssh(server: Server, tmp_path: Path) -> None:
    row = server.audit(tmp_path).rows()["gss"]
    assert (row["verdict"], row["platform"]) == ("absent", "linux"), row
    assert "Authorized to" in (server.folder / "sshd.log").read_text()


@pytest.mark.parametrize("state", ["none", "expired", "somebody else's"])
def test_without_the_right_ticket(server: Server, tmp_path: Path, state: str) -> None:
    cache = server.folder / f"cache-{state[0]}"
    if state == "expired":
        server.realm.kinit(USER, PASSWORD, lifetime="1s", cache=cache)
        time.sleep(2)
    elif state != "none":
        server.realm.kinit("guest", PASSWORD, cache=cache)
    row = server.audit(tmp_path, KRB5CCNAME=f"FILE:{cache}").rows()["gss"]
    assert row["verdict"] == "unreachable", row
    assert row["reasons"][0].startswith("login: "), row
    assert "gssapi" in row["reasons"][0], row
    assert "kinit" in row["reasons"][0], row
