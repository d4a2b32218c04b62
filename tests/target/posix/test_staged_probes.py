# SPDX-License-Identifier: GPL-3.0-or-later
"""The probes of kernel.sh, integration.sh and context.sh in staged roots (staged.py): real files, real tools."""

from __future__ import annotations

import base64
import ctypes
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils.observation import PROBES
from tests.target.posix.staged import NONCE, decode, look, raw_look, script

RELEASE = os.uname().release
PIECES = ["LYXNwZXJza3", "S2FzcGVyc2t5", "thc3BlcnNre"]  # "Kaspersky" at its three places in base64
STUB = """cat >/usr/sbin/{name} <<'END'
#!/bin/sh
{body}
END
chmod 755 /usr/sbin/{name}
"""


def stub(name: str, body: str) -> str:
    return STUB.format(name=name, body=body)


def test_each_probe_answers_exactly_once(target_shell: tuple[str, ...], tmp_path: Path) -> None:
    everything = {
        key: ["x/*" if key == "line_files" else "abc"]
        for key in ("modules", "chains", "trust", "line_files", "line_texts", "images", "exe_dirs", "paths", "units")
    }
    raw = raw_look(tmp_path, shell=target_shell, **everything)  # type: ignore[arg-type]  # all of them are literals
    answered = re.findall(rb"^%s P (\S+) " % NONCE.encode(), raw, re.MULTILINE)
    assert sorted(answered) == sorted(name.encode() for name in PROBES["linux"])


MODULES = f"""m=/lib/modules/{RELEASE}; mkdir -p $m/kernel/fs $m/extra $m/updates/dkms /usr/src/redirfs-0.11
rm -rf /etc/modules-load.d; mkdir /etc/modules-load.d
: >$m/extra/redirfs.ko; : >$m/updates/dkms/kav4fs-oas.ko.xz; : >$m/kernel/fs/xredirfs.ko
printf 'kernel/fs/xredirfs.ko:\\nextra/redirfs.ko: kernel/fs/a.ko\\nupdates/dkms/kav4fs-oas.ko.xz:\\n' >$m/modules.dep
printf 'kernel/deep/down/below/kav4fs_oas.ko.zst:\\n' >>$m/modules.dep
printf '# redirfs\\nloop\\n kav4fs-oas  \\n' >/etc/modules
printf 'redirfs\\r\\nredirfs2\\n' >/etc/modules-load.d/av.conf
: >"/etc/modules-load.d/x
redirfs"
mkdir -p /var/lib/dkms/kav4fs_oas
"""


def test_modules(target_shell: tuple[str, ...], tmp_path: Path) -> None:
    made = MODULES + "mount -t tmpfs x /sys; mkdir -p /sys/module/redirfs /sys/module/redirfs_2"
    seen = look(tmp_path, made, shell=target_shell, modules=["kav4fs_oas", "redirfs", "absent-one"])["modules"]
    place = f"/lib/modules/{RELEASE}"
    assert (seen.status, seen.reason) == ("ok", "")
    assert sorted((r["name"], r["where"], r["path"]) for r in seen.records) == [
        ("kav4fs_oas", "config", "/etc/modules"),
        ("kav4fs_oas", "dkms", "/var/lib/dkms/kav4fs_oas"),
        ("kav4fs_oas", "file", f"{place}/kernel/deep/down/below/kav4fs_oas.ko.zst"),
        ("kav4fs_oas", "file", f"{place}/updates/dkms/kav4fs-oas.ko.xz"),
        ("redirfs", "config", "/etc/modules-load.d/av.conf"),
        ("redirfs", "dkms", "/usr/src/redirfs-0.11"),
        ("redirfs", "file", f"{place}/extra/redirfs.ko"),
        ("redirfs", "loaded", "/sys/module/redirfs"),
    ]


def test_modules_without_their_list_are_unknown(tmp_path: Path) -> None:
    made = f"mkdir -p /lib/modules/{RELEASE}/kernel"
    seen = look(tmp_path, made, modules=["redirfs"])["modules"]
    assert seen.status == "unknown"
    assert "modules.dep is missing" in seen.reason


CHAIN = """#!/bin/sh
set -e
nft add table ip mangle; nft add chain ip mangle kesl_bypass; nft add chain ip mangle other
nft add rule ip mangle kesl_bypass ip saddr 127.0.0.2 counter accept
nft add rule ip mangle kesl_bypass ip daddr { 127.0.0.3, 127.0.0.4 } accept
nft add rule ip mangle other jump kesl_bypass
nft add table inet x; nft add chain inet x kics_bypass
exec "$@"
"""


@pytest.fixture
def network() -> None:
    done = subprocess.run(["unshare", "--net", "nft", "list", "chains"], capture_output=True, check=False)
    if os.geteuid() != 0 or done.returncode != 0:
        pytest.skip("needs root, nft and a kernel with nf_tables: chains of a real packet filter")


def test_chains_of_nftables(target_shell: tuple[str, ...], tmp_path: Path, network: None) -> None:
    """The real nft, in a network of the test's own."""
    made = f"cat >/run/chains <<'END'\n{CHAIN}END\nmount -t tmpfs x /sys; mkdir -p /sys/module/nf_tables\n"
    shell = ("unshare", "--net", "sh", "/run/chains", *target_shell)
    seen = look(tmp_path, made, shell=shell, chains=["kesl_bypass", "kics_bypass"])["firewall"]
    assert sorted((r["family"], r["table"], r["chain"], r["rules"]) for r in seen.records) == [
        ("inet", "x", "kics_bypass", "0"),
        ("ip", "mangle", "kesl_bypass", "2"),
    ], seen


LEGACY = """#!/bin/sh
set -e
iptables-legacy -t mangle -N kesl_bypass; iptables-legacy -t mangle -A PREROUTING -j kesl_bypass
iptables-legacy -t mangle -A kesl_bypass -d 127.0.0.2 -j ACCEPT
ip6tables-legacy -t mangle -N kics_bypass
[ -z "$1" ] || { rm -f /usr/sbin/*tables-*save /usr/sbin/*tables-save; ln -s x-nft-multi /usr/sbin/iptables-save; }
shift
exec "$@"
"""


@pytest.fixture
def legacy() -> None:
    words = ["unshare", "--net", "iptables-legacy", "-t", "mangle", "-N", "x"]
    if os.geteuid() != 0 or shutil.which(words[2]) is None or subprocess.run(words, check=False).returncode != 0:
        pytest.skip("needs root, iptables-legacy and a kernel with its tables: chains of a real packet filter")


def test_legacy_chains(target_shell: tuple[str, ...], tmp_path: Path, legacy: None) -> None:
    """The real tables, in a network of the test's own; nft does not see them."""
    made = f"cat >/run/chains <<'END'\n{LEGACY}END\n"
    shell = ("unshare", "--net", "sh", "/run/chains", "", *target_shell)
    seen = look(tmp_path, made, shell=shell, chains=["kesl_bypass", "kics_bypass", "kesl"])["firewall"]
    assert [(r["family"], r["table"], r["chain"], r["rules"]) for r in seen.records] == [
        ("ip", "mangle", "kesl_bypass", "1"),
        ("ip6", "mangle", "kics_bypass", "0"),
    ], seen


def test_the_nft_flavour_is_never_started_for_legacy_tables(tmp_path: Path, legacy: None) -> None:
    made = f"cat >/run/chains <<'END'\n{LEGACY}END\n" + stub("x-nft-multi", "echo started >>/run/started")
    watch = ("unshare", "--net", "sh", "/run/chains", "lost", "sh", "-c", '"$@"; [ ! -e /run/started ] || echo STARTED')
    raw = raw_look(tmp_path, made, shell=(*watch, "sh", "dash"), chains=["kesl_bypass"])
    seen = decode(raw, NONCE)["firewall"]
    assert (seen.status, "iptables-legacy-save is missing" in seen.reason) == ("unknown", True), seen
    assert b"STARTED" not in raw


def test_nothing_is_asked_where_nothing_is_loaded(tmp_path: Path) -> None:
    """With modules, and none of the packet filter's loaded, no program starts that could load one."""
    names = ("nft", "iptables-save", "ip6tables-save", "iptables-legacy-save", "ip6tables-legacy-save", "modprobe")
    made = "mount -t tmpfs x /sys\n"
    made += "".join(f"rm -f /usr/sbin/{name}\n" + stub(name, "echo started >>/run/started") for name in names)
    watch = ("unshare", "--net", "sh", "-c", '"$@"; [ ! -e /run/started ] || echo STARTED', "sh", "dash")
    raw = raw_look(tmp_path, made, shell=watch, chains=["kesl_bypass"])
    assert decode(raw, NONCE)["firewall"].status == "absent"
    # A kernel without modules can load none, so asking is safe there.
    assert (b"STARTED" in raw) == (not Path("/proc/modules").exists())


def test_a_packet_filter_without_its_program(tmp_path: Path) -> None:
    made = "mount -t tmpfs x /sys; mkdir -p /sys/module/nf_tables; rm -f /usr/sbin/nft"
    seen = look(tmp_path, made, chains=["kesl_bypass"])
    if seen["host"].records[0]["container"]:
        assert seen["firewall"].status == "absent"
    else:
        assert "nft is missing" in seen["firewall"].reason


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


HOLD = """import ctypes, os, sys, time
libc = ctypes.CDLL(None, use_errno=True)
group = libc.fanotify_init(4, 0)  # FAN_CLASS_CONTENT
mask = ctypes.c_uint64(int(sys.argv[2], 16))
assert libc.fanotify_mark(group, 1, mask, -100, sys.argv[1].encode()) == 0, os.strerror(ctypes.get_errno())
print("ready", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(("mask", "mode"), [("10000", "permission"), ("20", "notify")])
def test_who_watches_files(shell_words: tuple[str, ...], tmp_path: Path, mask: str, mode: str) -> None:
    """A real holder of a fanotify group, asked for permission (FAN_OPEN_PERM) or told (FAN_OPEN)."""
    libc = ctypes.CDLL(None)
    if os.geteuid() != 0 or not hasattr(libc, "fanotify_init") or libc.fanotify_init(4, 0) < 0:
        pytest.skip("needs root and a kernel with fanotify: who watches files")
    mark = tmp_path / "mark"
    mark.write_text("")
    process = subprocess.Popen([sys.executable, "-c", HOLD, mark, mask], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        raw = subprocess.run([*shell_words], input=script(), capture_output=True, check=True)
        seen = [r for r in decode(raw.stdout, NONCE)["protection"].records if r["pid"] == str(process.pid)]
        exe = os.path.realpath(sys.executable)
        assert [(r["kind"], r["mode"], r["marks"], r["root"], r["exe"]) for r in seen] == [
            ("fanotify", mode, "1", "same", exe)
        ]
    finally:
        process.kill()
        process.wait()


@pytest.fixture(params=["dash", "bash --posix", "busybox sh", "mksh", "ksh"])
def shell_words(request: pytest.FixtureRequest) -> tuple[str, ...]:
    words = tuple(str(request.param).split())
    if shutil.which(words[0]) is None:
        pytest.skip(f"no {words[0]} on this machine: observe.sh in it")
    return words


def test_ordinary_users_cannot_tell_who_watches(tmp_path: Path) -> None:
    seen = look(tmp_path, user=True)["protection"]
    assert (seen.status, "become" in seen.reason) == ("unknown", True)


TALK = """import socket, sys, time
a = socket.create_connection((sys.argv[1], int(sys.argv[2])))
print("ready", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_peers(shell_words: tuple[str, ...], tmp_path: Path, address: str) -> None:
    """A real connection of a process below the products' folder, and of one that lies elsewhere."""
    folder = tmp_path / "opt"
    folder.mkdir()
    program = folder / "klnagent"
    shutil.copy(os.path.realpath(sys.executable), program)
    try:
        server = socket.create_server(
            ("127.0.0.1" if "." in address else address, 0),
            family=socket.AF_INET if "." in address else socket.AF_INET6,
        )
    except OSError:
        pytest.skip("no IPv6 on this machine: its peers")
    port = server.getsockname()[1]
    environment = {**os.environ, "PYTHONHOME": sys.base_prefix}
    ours = subprocess.Popen(
        [program, "-c", TALK, address, str(port)], stdout=subprocess.PIPE, text=True, env=environment
    )
    others = subprocess.Popen([sys.executable, "-c", TALK, address, str(port)], stdout=subprocess.PIPE, text=True)
    try:
        for process in (ours, others):
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        raw = subprocess.run([*shell_words], input=script(exe_dirs=[str(folder)]), capture_output=True, check=True)
        seen = decode(raw.stdout, NONCE)["peers"]
        expected = "0000:0000:0000:0000:0000:0000:0000:0001" if address == "::1" else "127.0.0.1"
        assert [(r["pid"], r["exe"], r["remote"], r["port"]) for r in seen.records] == [
            (str(ours.pid), str(program), expected, str(port))
        ], seen
    finally:
        for process in (ours, others):
            process.kill()
            process.wait()
        server.close()


REBOOTS = [
    (
        ": >/run/reboot-required; printf 'linux-image\\ndbus\\ndbus\\n' >/run/reboot-required.pkgs",
        "required-file packages",
    ),
    (": >/run/reboot-needed", "required-file"),
    ("rm -rf /lib/modules; mkdir -p /lib/modules/1.2.3; : >/lib/modules/1.2.3/modules.dep", "kernel-gone"),
    (f"mkdir -p /lib/modules/1.2 /lib/modules/{RELEASE}; : >/lib/modules/1.2/modules.dep", ""),
]


@pytest.mark.parametrize(("made", "causes"), REBOOTS)
def test_reboot(target_shell: tuple[str, ...], tmp_path: Path, made: str, causes: str) -> None:
    seen = look(tmp_path, made, shell=target_shell)
    found = [r["cause"] for r in seen["reboot"].records]
    if seen["host"].records[0]["container"]:  # the kernel of a container is not its own, and a staged root is a chroot
        causes = causes.replace("kernel-gone", "")
    assert found == causes.split()
    assert {r["detail"] for r in seen["reboot"].records if r["cause"] == "packages"} <= {"linux-image,dbus"}


def test_what_an_ordinary_user_may_not_read(target_shell: tuple[str, ...], tmp_path: Path) -> None:
    made = """mkdir -p /var/spool/cron/crontabs /usr/local/share/ca-certificates /var/lib/docker/containers
echo kaspersky >/var/spool/cron/crontabs/root; chmod 1730 /var/spool/cron/crontabs
echo x >/usr/local/share/ca-certificates/a.crt; chmod 600 /usr/local/share/ca-certificates/a.crt
chmod 710 /var/lib/docker
"""
    seen = look(
        tmp_path,
        made,
        shell=target_shell,
        user=True,
        line_files=["/var/spool/cron/crontabs/*"],
        line_texts=["kaspersky"],
        trust=PIECES,
        images=["kesl"],
    )
    for probe in ("lines", "trust", "containers"):
        assert seen[probe].status == "unknown", (probe, seen[probe])
        assert "become" in seen[probe].reason, (probe, seen[probe])


@pytest.mark.parametrize(
    ("tool", "blamed"), [("grep", {"modules", "trust", "lines", "protection"}), ("tr", {"trust"}), ("ls", {"lines"})]
)
def test_a_missing_tool_is_unknown(tmp_path: Path, tool: str, blamed: set[str]) -> None:
    made = f"for f in $(command -v -- {tool}) /bin/{tool}; do rm -f $f; done"
    values = {"modules": ["x"], "trust": PIECES, "line_files": ["/etc/passwd"], "line_texts": ["zzz"]}
    seen = look(tmp_path, made, **values)  # type: ignore[arg-type]  # all of them are literals
    for probe in blamed:
        assert (seen[probe].status, f"{tool} is missing" in seen[probe].reason) == ("unknown", True), seen[probe]


def test_a_program_that_hangs_is_named(target_shell: tuple[str, ...], tmp_path: Path) -> None:
    made = "mount -t tmpfs x /sys; mkdir -p /sys/module/nf_tables; rm -f /usr/sbin/nft\n" + stub("nft", "sleep 60")
    seen = look(tmp_path, made, shell=target_shell, chains=["kesl_bypass"], timeout="2")
    assert (seen["firewall"].status, seen["firewall"].reason) == ("unknown", "nft did not answer in 2 s")
    assert seen["reboot"].status == "absent"
