# SPDX-License-Identifier: GPL-3.0-or-later
"""The probes of kernel.sh in staged roots (staged.py): modules and packet filters, real tools."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.target.posix.staged import NONCE, RELEASE, decode, look, raw_look, stub

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
