# SPDX-License-Identifier: GPL-3.0-or-later
"""`evict reach` against real servers on this machine: sshd, TLS, a port that says nothing, and the WinRM stand-in."""

from __future__ import annotations

import base64
import contextlib
import datetime
import getpass
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.e2e import playbooks
from tests.lab.windows.winrm_standin import Account, Offer, StandIn
from tests.lab.windows.winrm_standin.backends import Running

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
PASSWORD = "Kn0wn-only/here"
needs_sshd = pytest.mark.skipif(SSHD is None, reason="no sshd (openssh-server)")


def reach(where: Path, inventory: str, *args: str, code: int, **more: str) -> dict[str, dict[str, t.Any]]:
    """Run the command on an inventory; the hosts of its JSON by name, each with its findings by step."""
    (where / "hosts").write_text(inventory)
    home = {"HOME": str(where), "SSH_AUTH_SOCK": "", **more}
    done = subprocess.run(
        [sys.executable, "-m", "evict", "reach", "-i", "hosts", "--format", "json", "--timeout", "30", *args],
        cwd=where,
        env=playbooks.environment(**home),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert PASSWORD not in done.stdout + done.stderr
    body = json.loads(done.stdout)
    assert body["exit_code"] == code
    return {host["host"]: {**host, "steps": {f["step"]: f for f in host["findings"]}} for host in body["hosts"]}


def failed(host: dict[str, t.Any]) -> tuple[str, str, str]:
    """Verdict, step and remedy of a host with one failed step; all later steps were not tried."""
    states = [f["status"] for f in host["findings"]]
    assert states.count("failed") == 1, host
    at = states.index("failed")
    assert set(states[at + 1 :]) <= {"not tried", "ok", "warning"}
    return host["verdict"], host["findings"][at]["step"], host["findings"][at]["remedy"]


class Server:
    """An sshd of this user, on a port of its own."""

    def __init__(self, where: Path, *lines: str) -> None:
        where.mkdir()
        for name in ("host", "other", "key", "stranger"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(where / name)], check=True)
        shutil.copy(where / "key.pub", where / "authorized")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.where = where
        (where / "config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {where}/host\nAuthorizedKeysFile {where}/authorized\n"
            "StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPidFile none\n"
            "PermitRootLogin yes\nMaxStartups 100\n" + "".join(line + "\n" for line in lines)
        )
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        self.process = subprocess.Popen([str(SSHD), "-D", "-f", str(where / "config"), "-E", str(where / "log")])
        until = time.monotonic() + 20
        while time.monotonic() < until:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                break
            time.sleep(0.05)
        self.knows("host", where / "known")
        self.knows("other", where / "changed")

    def knows(self, key: str, file: Path) -> None:
        """Write a known_hosts with one of the keys."""
        kind, blob, *_ = (self.where / f"{key}.pub").read_text().split()
        file.write_text(f"[127.0.0.1]:{self.port} {kind} {blob}\n")

    def line(self, name: str, *, key: str = "key", known: str = "known", **more: str) -> str:
        """A line of an inventory."""
        words = {
            "ansible_host": "127.0.0.1",
            "ansible_port": str(self.port),
            "ansible_user": getpass.getuser(),
            "ansible_ssh_private_key_file": str(self.where / key),
            "ansible_ssh_common_args": f"-o UserKnownHostsFile={self.where / known} -o IdentitiesOnly=yes",
            **more,
        }
        return " ".join([name, *(f"{k}='{v}'" for k, v in words.items())]) + "\n"

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("sshd") / "server")
    yield made
    made.stop()


@pytest.fixture(scope="module")
def like_cmd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    where = tmp_path_factory.mktemp("cmd")
    script = Path(__file__).parents[1] / "lab" / "linux" / "like-cmd.sh"
    shutil.copy(script, where / "like-cmd")
    (where / "like-cmd").chmod(0o755)
    made = Server(where / "server", f"ForceCommand {where}/like-cmd")
    yield made
    made.stop()


@pytest.fixture
def mute() -> Iterator[int]:
    """A port that takes connections and says nothing."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen(8)
        yield int(one.getsockname()[1])


@needs_sshd
def test_ssh_hosts(server: Server, like_cmd: Server, mute: int, tmp_path: Path) -> None:
    text = (
        server.line("ok")
        + server.line("stranger", key="stranger")
        + server.line("lost-key", key="nowhere")
        + server.line("unknown-key", known="empty")
        + server.line("changed-key", known="changed")
        + server.line("lax", known="empty", ansible_host_key_checking="false")
        + server.line("password", key="nowhere", ansible_password=PASSWORD)
        + like_cmd.line("cmd")
        + server.line("mute", ansible_port=str(mute))
        + server.line("refused", ansible_port="1")
        + "nowhere.invalid\n"
        + "here ansible_connection=local\nbox ansible_connection=community.docker.docker\n"
        + server.line("undefined", ansible_user="{{ no_such_variable }}")
    )
    before = {path: path.stat().st_mtime_ns for path in server.where.iterdir() if path.name != "log"}
    found = reach(tmp_path, text, "--timeout", "20", code=2)
    said = {name: failed(host)[:2] for name, host in found.items() if host["verdict"] in ("unreachable", "unknown")}
    assert said == {
        "stranger": ("unreachable", "login"),
        "lost-key": ("unreachable", "login"),
        "unknown-key": ("unreachable", "host key"),
        "changed-key": ("unreachable", "host key"),
        "password": ("unreachable", "login"),
        "cmd": ("unknown", "shell"),
        "mute": ("unreachable", "port"),
        "refused": ("unreachable", "port"),
        "nowhere.invalid": ("unreachable", "name"),
        "undefined": ("unknown", "inventory"),
    }
    assert {name: host["verdict"] for name, host in found.items() if name not in said} == {
        "ok": "reachable",
        "lax": "reachable",
        "here": "not checked",
        "box": "not checked",
    }
    assert [f["status"] for f in found["ok"]["findings"]] == ["ok"] * 7
    assert "ansible_shell_type" in failed(found["cmd"])[2]
    assert "CHANGED" in found["changed-key"]["steps"]["host key"]["seen"]
    assert "use a key" in failed(found["password"])[2]
    assert "refused" in found["refused"]["steps"]["port"]["seen"]
    # Worst first.
    assert [h["verdict"] for h in found.values()][:2] == ["unknown", "unknown"]
    assert [h["verdict"] for h in found.values()][-1] == "reachable"
    # Nobody wrote into a known_hosts.
    assert {path: path.stat().st_mtime_ns for path in server.where.iterdir() if path.name != "log"} == before
    assert not (tmp_path / ".ssh").exists()


@needs_sshd
def test_all_well_is_green_and_said_in_text(server: Server, tmp_path: Path) -> None:
    found = reach(tmp_path, server.line("a") + server.line("b", known="empty"), "--limit", "a", code=0)
    assert list(found) == ["a"]
    done = subprocess.run(
        [sys.executable, "-m", "evict", "reach", "-i", "hosts"],
        cwd=tmp_path, env=playbooks.environment(HOME=str(tmp_path)), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    lines = done.stdout.splitlines()
    assert lines[0].startswith("b  unreachable  host key: ")
    assert "    not tried: login, shell, privilege, clock" in lines
    assert lines[-2:] == [
        "2 hosts: 1 unreachable, 1 reachable (at: host key 1)",
        "exit code 2: at least one host cannot be audited or was not checked",
    ]


@needs_sshd
def test_the_configuration_of_ssh_and_jump_hosts(server: Server, tmp_path: Path) -> None:
    (tmp_path / "config").write_text(
        f"Host alias gate\n  HostName 127.0.0.1\n  Port {server.port}\n  User {getpass.getuser()}\n"
        f"  IdentityFile {server.where}/key\n  UserKnownHostsFile {server.where}/known\n  IdentitiesOnly yes\n"
        "Host behind\n  ProxyJump gate\n"
        f"  HostName 127.0.0.1\n  Port {server.port}\n  IdentityFile {server.where}/key\n"
        f"  UserKnownHostsFile {server.where}/known\n"
    )
    with_file = f"-F {tmp_path}/config"
    text = f"alias ansible_ssh_common_args='{with_file}'\nbehind ansible_ssh_common_args='{with_file}'\n"
    text += server.line("beyond", ansible_port="1").replace("-o User", f"{with_file} -o ProxyJump=gate -o User")
    text += server.line("no-gate").replace("-o User", "-J nowhere.invalid -o User")
    found = reach(tmp_path, text, code=2)
    assert {name: host["verdict"] for name, host in found.items()} == {
        "alias": "reachable",
        "behind": "reachable",
        "beyond": "unreachable",
        "no-gate": "unreachable",
    }
    assert "jump host gate" in found["behind"]["steps"]["login"]["seen"]
    assert failed(found["beyond"])[1] == "port"
    assert "look from gate" in failed(found["beyond"])[2]
    assert "jump host nowhere.invalid" in found["no-gate"]["steps"]["name"]["seen"]


# ---- WinRM


class Speaks:
    """A fake of Windows: answers the script of `reach_windows` with given facts; no PowerShell is behind it."""

    def __init__(self, **facts: str) -> None:
        self.facts = facts

    def start(self, line: str) -> Running:
        """Decode the script, take its nonce, print the facts."""
        text = base64.b64decode(line.split()[-1]).decode("utf-16-le")
        found = re.search(r"'(evict-[0-9a-f]+) version", text)
        assert found is not None
        said = "".join(f"{found[1]} {name} {value}\n" for name, value in self.facts.items())
        pipe = subprocess.PIPE
        return Running(process=subprocess.Popen(["printf", "%s", said], stdin=pipe, stdout=pipe, stderr=pipe))


def good(**more: str) -> Speaks:
    """What a host in order says."""
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S")
    facts = {"version": "5.1.17763.1", "language": "FullLanguage", "time": now, "administrator": "True"}
    return Speaks(**{**facts, **more})


def certificate(where: Path, *, name: str = "localhost", days: int = 30) -> Path:
    """A self-signed certificate with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=60))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = where / f"{name}{days}.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM) + secret)
    return file


def https(file: Path, *, oldest: bool = False) -> ssl.SSLContext:
    """A server's context; `oldest`: TLS 1.0 and nothing newer."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(file)
    if oldest:
        made.set_ciphers("ALL:@SECLEVEL=0")
        made.minimum_version = made.maximum_version = ssl.TLSVersion.TLSv1
    return made


def line(name: str, stand_in: StandIn, **more: str) -> str:
    """A line of an inventory for a stand-in."""
    words = {
        "ansible_connection": "winrm",
        "ansible_host": "127.0.0.1",
        "ansible_port": str(stand_in.port),
        "ansible_user": "admin",
        "ansible_password": PASSWORD,
        "ansible_winrm_scheme": "http",
        "ansible_winrm_transport": "basic",
        **more,
    }
    return " ".join([name, *(f"{k}='{v}'" for k, v in words.items())]) + "\n"


def test_windows_hosts(tmp_path: Path) -> None:
    account = Account(user="admin", password=PASSWORD)
    late = (datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S")
    with contextlib.ExitStack() as running:
        up = {
            "ok": good(),
            "old": good(version="4.0"),
            "plain": good(administrator="False"),
            "late": good(time=late),
            "constrained": Speaks(version="5.1.1", language="ConstrainedLanguage"),
            "mute": Speaks(),
        }
        servers = {name: running.enter_context(StandIn(backend, account)) for name, backend in up.items()}
        ntlm = running.enter_context(StandIn(good(), account, offer=Offer(schemes=("negotiate",))))
        text = "".join(line(name, server) for name, server in servers.items())
        text += line("wrong", servers["ok"], ansible_password="no" + PASSWORD[::-1])
        text += line("nobody", servers["ok"], ansible_password="")
        text += line("path", servers["ok"], ansible_winrm_path="/elsewhere")
        text += line("basic-to-ntlm", ntlm)
        text += line("ntlm", ntlm, ansible_winrm_transport="ntlm")
        text += line("no-tls", servers["ok"], ansible_winrm_scheme="https")
        text += "refused ansible_connection=psrp ansible_host=127.0.0.1 ansible_port=1\n"
        found = reach(tmp_path, text, code=2)
    said = {name: failed(host)[:2] for name, host in found.items() if host["verdict"] != "reachable"}
    assert said == {
        "old": ("unknown", "powershell"),
        "plain": ("unknown", "privilege"),
        "mute": ("unknown", "powershell"),
        "wrong": ("unreachable", "login"),
        "nobody": ("unreachable", "login"),
        "path": ("unreachable", "port"),
        "basic-to-ntlm": ("unreachable", "login"),
        "no-tls": ("unreachable", "tls"),
        "refused": ("unreachable", "port"),
    }
    assert "5.1" in failed(found["old"])[2]
    assert "Administrators" in failed(found["plain"])[2]
    assert found["late"]["steps"]["clock"]["status"] == "warning"
    assert re.fullmatch(r"36\d\d s behind the controller", found["late"]["steps"]["clock"]["seen"])
    assert found["constrained"]["steps"]["powershell"]["status"] == "warning"
    assert found["ntlm"]["steps"]["login"]["seen"] == "admin with ntlm"


def test_tls(tmp_path: Path) -> None:
    account = Account(user="admin", password=PASSWORD)
    files = {
        "self-signed": certificate(tmp_path),
        "expired": certificate(tmp_path, days=-1),
        "other-name": certificate(tmp_path, name="other.example.org"),
    }
    tls = {"ansible_winrm_scheme": "https", "ansible_host": "localhost"}
    with contextlib.ExitStack() as running:
        text = ""
        for name, file in files.items():
            server = running.enter_context(StandIn(good(), account, tls=https(file)))
            trust = {} if name == "self-signed" else {"ansible_winrm_ca_trust_path": str(file)}
            text += line(name, server, **tls, **trust)
            if name == "self-signed":
                text += line("trusted", server, **tls, ansible_winrm_ca_trust_path=str(file))
                text += line("ignored", server, **tls, ansible_winrm_server_cert_validation="ignore")
        oldest = running.enter_context(StandIn(good(), account, tls=https(files["self-signed"], oldest=True)))
        text += line("oldest", oldest, **tls, ansible_winrm_ca_trust_path=str(files["self-signed"]))
        found = reach(tmp_path, text, code=2)
    remedies = {name: failed(host) for name, host in found.items() if host["verdict"] != "reachable"}
    assert {name: said[1] for name, said in remedies.items()} == dict.fromkeys([*files, "oldest"], "tls")
    for name, words in {
        "self-signed": "nobody vouches",
        "expired": "has expired",
        "other-name": "another name",
        "oldest": "TLS 1.2",
    }.items():
        assert words in remedies[name][2], found[name]
    assert found["trusted"]["steps"]["tls"]["status"] == "ok"
    assert found["ignored"]["steps"]["tls"]["status"] == "warning"


def test_wrong_usage_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("a\n")
    for args in (["--nonsense"], ["-i", "hosts", "--limit", "nobody"], ["-i", "nowhere"], ["-i", "hosts", "-f", "0"]):
        done = subprocess.run(
            [sys.executable, "-m", "evict", "reach", *args],
            cwd=tmp_path, env=playbooks.environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 1, args
        assert "Traceback" not in done.stderr
