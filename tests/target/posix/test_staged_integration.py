# SPDX-License-Identifier: GPL-3.0-or-later
"""The probes of integration.sh in staged roots (staged.py): trust store, lines, containers."""

from __future__ import annotations

import base64
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.target.posix.staged import PIECES, look


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-made one whose issuer is named as the vendor's; its name's place in base64 depends on its length."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl on this machine: certificates in a trust store")
    subject = "/O=AO Kaspersky Lab of a test/CN=Stand-in"
    words = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-subj",
        subject,
    ]
    words += ["-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "ca.pem"), "-days", "2"]
    subprocess.run(words, check=True, capture_output=True)
    return tmp_path / "ca.pem"


def test_trust(target_shell: tuple[str, ...], tmp_path: Path, certificate: Path) -> None:
    pem = certificate.read_text()
    der = base64.b64encode(base64.b64decode("".join(pem.splitlines()[1:-1]))).decode()
    other = pem.replace("\n", "\r\n")
    made = f"""mkdir -p /usr/local/share/ca-certificates/corp /etc/pki/ca-trust/source/anchors /etc/ssl/certs
cat >/usr/local/share/ca-certificates/corp/a.crt <<'END'
{other}END
echo {der} | base64 -d >/etc/pki/ca-trust/source/anchors/b.der
echo 'Kaspersky in plain words' >/etc/pki/ca-trust/source/anchors/notes
rm -f /etc/ssl/certs/ca-certificates.crt
(echo '# Kaspersky'; cat /usr/local/share/ca-certificates/corp/a.crt) >/etc/ssl/certs/ca-certificates.crt
mkdir -p /etc/pki/tls/certs; ln -s /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt
"""
    seen = look(tmp_path, made, shell=target_shell, trust=PIECES)["trust"]
    assert {r["path"] for r in seen.records} == {
        "/usr/local/share/ca-certificates/corp/a.crt",
        "/etc/pki/ca-trust/source/anchors/b.der",
        "/etc/ssl/certs/ca-certificates.crt",
    }, seen
    assert {r["match"] for r in seen.records} <= set(PIECES)


def test_a_trust_store_without_the_vendor(target_shell: tuple[str, ...], tmp_path: Path) -> None:
    """The real bundle of this machine, and an anchor that is no certificate."""
    made = "mkdir -p /usr/local/share/ca-certificates; echo Kaspersky >/usr/local/share/ca-certificates/x.crt"
    seen = look(tmp_path, made, shell=target_shell, trust=PIECES)["trust"]
    assert (seen.status, seen.reason) == ("absent", "")


LINES = """rm -rf /etc/cron.d/*; mkdir -p /etc/cron.d /opt/x; cd /etc/cron.d
printf '# Kaspersky: a comment\\n*/5 * * * * root /opt/KasperSky/update {{ 7*7 }}\\r\\nother\\n' >av
printf 'kaspersky %0400d\\n' 1 >long
printf 'kaspersky\\000binary\\n' >binary
head -c 1100000 /dev/zero | tr '\\0' x >big; printf '\\nkaspersky\\n' >>big
(printf 'kaspersky\\000'; head -c 1100000 /dev/zero) >bigbinary
mkfifo pipe; mkdir kaspersky; ln -s /none gone; ln -s /opt/x/secret open; ln -s /opt/x/public public
echo kaspersky >"k
av:kaspersky"
echo 'kaspersky secret' >/opt/x/secret; chmod 600 /opt/x/secret; echo 'kaspersky public' >/opt/x/public
echo 'kaspersky exact' >/opt/x/exact; chmod 600 /opt/x/exact; rm -f /etc/crontab; ln -s /opt/x/exact /etc/crontab
"""


def test_lines(target_shell: tuple[str, ...], tmp_path: Path) -> None:
    files = ["/etc/crontab", "/etc/cron.d/*", "/etc/none", "/etc/none/*", "/etc/passwd/x"]
    seen = look(tmp_path, LINES, shell=target_shell, line_files=files, line_texts=["kaspersky", "kesl"])["lines"]
    found = sorted((r["file"].rpartition("/")[2], r["text"]) for r in seen.records)
    assert (
        found
        == [
            ("av", "# Kaspersky: a comment"),
            ("av", "*/5 * * * * root /opt/KasperSky/update {{ 7*7 }}\r"),
            ("crontab", "kaspersky exact"),
            ("long", "kaspersky " + "0" * 290),
            ("public", "kaspersky public"),
        ]
        or found == []
    ), seen
    assert found
    assert seen.status == "unknown"
    assert "line end" in seen.reason or "/etc/cron.d/big is larger than 1 MB" in seen.reason


def test_lines_of_a_host_of_busybox_alone(tmp_path: Path) -> None:
    if shutil.which("busybox") is None:
        pytest.skip("no busybox on this machine: a host of nothing else")
    made = LINES + "rm -rf big k*; mkdir -p /box; cp /bin/busybox /box/\n"
    made += "for t in ls cat od readlink sleep id uname sh grep head tr; do ln -s busybox /box/$t; done\n"
    made += "mount --bind /box /usr/sbin; PATH=/usr/sbin; busybox mount -t tmpfs x /usr/bin\n"
    seen = look(
        tmp_path, made, shell=("/usr/sbin/busybox", "sh"), line_files=["/etc/cron.d/*"], line_texts=["kaspersky"]
    )
    assert {r["file"] for r in seen["lines"].records} == {f"/etc/cron.d/{n}" for n in ("av", "long", "public")}, seen
    assert seen["protection"].status == "absent", seen["protection"]


def test_too_many_lines(tmp_path: Path) -> None:
    made = "i=0; while [ $i -lt 300 ]; do echo kaspersky; i=$((i + 1)); done >/etc/crontab"
    seen = look(tmp_path, made, line_files=["/etc/crontab"], line_texts=["kaspersky"])["lines"]
    assert (seen.status, len(seen.records)) == ("unknown", 200)
    assert "more than 200" in seen.reason


CONTAINERS = r"""d=/var/lib/docker; mkdir -p $d/containers/0abc $d/containers/1def $d/image/overlay2 /var/lib/containerd
printf '{"ID":"0abc","Config":{"Image":"kesl-service:12.1"},"Image":"sha256:aa"}' >$d/containers/0abc/config.v2.json
printf '{"ID":"1def","Config":{"Image":"nginx"}}' >$d/containers/1def/config.v2.json
printf '{"Repositories":{"nginx":{"nginx:1":"sha256:01"},"corp/av":{"corp/av:KESL-service":"sha256:02"}}}' \
  >$d/image/overlay2/repositories.json
s=/var/lib/containers/storage; mkdir -p $s/overlay-containers $s/overlay-images
printf '[{"id":"77","metadata":"{\\"image-name\\":\\"docker.io/x/kaspersky:1\\"}"},{"id":"78","metadata":"{}"}]' \
  >$s/overlay-containers/containers.json
printf '[{"id":"88","names":["docker.io/x/other:1", "docker.io/x/kaspersky:1"]},{"id":"9"}]' \
  >$s/overlay-images/images.json
"""


def test_containers(target_shell: tuple[str, ...], tmp_path: Path) -> None:
    seen = look(tmp_path, CONTAINERS, shell=target_shell, images=["kesl-service", "kaspersky"])["containers"]
    assert (seen.status, seen.reason) == ("ok", "")
    assert sorted(tuple(r[k] for k in ("engine", "kind", "name", "id")) for r in seen.records) == [
        ("docker", "container", "kesl-service:12.1", "0abc"),
        ("docker", "image", "corp/av:KESL-service", "02"),
        ("podman", "container", "docker.io/x/kaspersky:1", "77"),
        ("podman", "image", "docker.io/x/kaspersky:1", "88"),
    ]


@pytest.mark.parametrize(("text", "status"), [("xx kesl-SERVICE \\000", "unknown"), ("nginx", "absent")])
def test_containerd_is_a_hint_only(tmp_path: Path, text: str, status: str) -> None:
    place = "/var/lib/containerd/io.containerd.metadata.v1.bolt"
    seen = look(tmp_path, f"mkdir -p {place}; printf '{text}' >{place}/meta.db", images=["kesl-service"])["containers"]
    assert seen.status == status, seen
    assert ("ctr images list" in seen.reason) == (status == "unknown")
