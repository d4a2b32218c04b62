# SPDX-License-Identifier: GPL-3.0-or-later
"""The script for macOS in a staged root without /proc.

No Mac is here: what its programs say are stand-ins, written after public descriptions of their output, and the shells
are those of this machine (a Mac's sh is bash 3.2).
"""

from __future__ import annotations

import shutil
import typing as t
from pathlib import Path
from types import SimpleNamespace

import pytest

from ansible_collections.evict.kaspersky.plugins.action import scan
from ansible_collections.evict.kaspersky.plugins.plugin_utils import knowledge, policy, transport
from ansible_collections.evict.kaspersky.plugins.plugin_utils import look as looking
from ansible_collections.evict.kaspersky.plugins.plugin_utils.observation import PROBES, parse_posix
from ansible_collections.evict.kaspersky.plugins.plugin_utils.redact import Redactor
from tests.target.posix.staged import NONCE, Answer, decode, look, raw_look

LITERALS = knowledge.catalog().literals("macos")
SUPPORT = "/Library/Application Support/Kaspersky Lab"
EXTENSIONS = """3 extension(s)
--- com.apple.system_extension.endpoint_security
enabled\tactive\tteamID\tbundleID (version)\tname\t[state]
*\t*\t2Y8XE5CQ94\tcom.kaspersky.kav.sysext (12.1.0/12.1.0.553)\tKaspersky System Extension\t[activated enabled]
\t\t2Y8XE5CQ94\tcom.kaspersky.kav.sysext (11.0/11.0.1)\tOld one (x)\t[terminated waiting to uninstall on reboot]
--- com.apple.system_extension.network_extension
enabled\tactive\tteamID\tbundleID (version)\tname\t[state]
*\t*\tABCDE12345\tcom.example.vpn (1.0/1)\tVPN\t[activated enabled]
"""
KEXTS = """No variant specified, falling back to release
Index Refs Address            Size       Wired      Name (Version) UUID <Linked Against>
    1  120 0                  0          0          com.apple.kpi.bsd (23.1.0) 0A <>
  150    0 0xffffff7f80000000 0x1000     0x1000     com.kaspersky.kext.klif (3.1.2) 0B <7 5 4 3 1>
"""
PROFILES = """<?xml version="1.0" encoding="UTF-8"?>
<plist version="1.0">
<dict>
<key>_computerlevel</key>
<array>
<dict>
<key>ProfileDisplayName</key>
<string>Wi-Fi</string>
<key>ProfileIdentifier</key>
<string>com.example.wifi</string>
<key>ProfileItems</key>
<array><dict>
<key>PayloadContent</key>
<dict>
<key>Password</key>
<string>not to be told</string>
</dict>
<key>PayloadType</key>
<string>com.apple.wifi.managed</string>
</dict></array>
</dict>
<dict>
<key>ProfileDisplayName</key>
<string>Security &amp; more &lt;1&gt;</string>
<key>ProfileIdentifier</key>
<string>com.example.security</string>
<key>ProfileItems</key>
<array><dict>
<key>PayloadContent</key>
<dict>
<key>AllowedTeamIdentifiers</key>
<array>
<string>2Y8XE5CQ94</string>
</array>
<key>Password</key>
<string>nor this</string>
</dict>
<key>PayloadType</key>
<string>com.apple.system-extension-policy</string>
</dict></array>
</dict>
</array>
</dict>
</plist>
"""
DATABASE = """<plist version="1.0"><dict>
<key>extensions</key>
<array>
<dict>
<key>bundleVersion</key>
<dict>
<key>CFBundleShortVersionString</key>
<string>12.1.0</string>
<key>CFBundleVersion</key>
<string>12.1.0.553</string>
</dict>
<key>identifier</key>
<string>com.kaspersky.kav.sysext</string>
<key>state</key>
<string>activated_enabled</string>
<key>teamID</key>
<string>2Y8XE5CQ94</string>
</dict>
<dict>
<key>bundleVersion</key>
<dict>
<key>CFBundleShortVersionString</key>
<string>1.0</string>
</dict>
<key>identifier</key>
<string>com.example.vpn</string>
<key>state</key>
<string>activated_enabled</string>
<key>teamID</key>
<string>ABCDE12345</string>
</dict>
</array>
</dict></plist>
"""
JOB = """<plist version="1.0"><dict>
<key>KeepAlive</key>
<true/>
<key>Label</key>
<string>com.kaspersky.kav</string>
<key>ProgramArguments</key>
<array>
<string>/Library/Application Support/Kaspersky Lab/KAV/Binaries/kav</string>
<string>-r</string>
</array>
</dict></plist>
"""
KEXT = "<plist><dict>\n<key>CFBundleIdentifier</key>\n<string>com.kaspersky.kext.klif</string>\n</dict></plist>\n"
GROUPS = "kladmins       601\nstaff  20\n"


def program(name: str, body: str) -> str:
    return f"cat >/usr/sbin/{name} <<'STUB'\n#!/bin/sh\n{body}\nSTUB\nchmod 755 /usr/sbin/{name}\n"


def says(name: str, text: str, first: str = "") -> str:
    return f"cat >/run/{name}.txt <<'SAID'\n{text}SAID\n" + program(name, f"{first}\ncat /run/{name}.txt")


def mac(*, kaspersky: bool = True) -> str:
    """Shell text that makes a staged root look like a Mac."""
    running = f"  501 {SUPPORT}/KAV/Binaries/kav\n  502 {SUPPORT}/klnagent/Binaries/klnagent\n" if kaspersky else ""
    packages = "com.apple.pkg.Core\n" + ("com.kaspersky.kav.core\ncom.kaspersky.klnagent.core\n" if kaspersky else "")
    made = "umount -l /proc; rm -f /bin/uname /usr/bin/uname /bin/systemctl\n"
    made += program("uname", "case $1 in -s) echo Darwin ;; *) echo Darwin mac1 23.1.0 arm64 ;; esac")
    made += says("sw_vers", "ProductName:\t\tmacOS\nProductVersion:\t\t14.1\nBuildVersion:\t\t23B74\n")
    made += says("ioreg", '    | "IOPlatformUUID" = "01234567-89AB-CDEF-0123-456789ABCDEF"\n')
    made += says("ps", f"    1 /sbin/launchd\n  400 /usr/libexec/logd\n{running}")
    made += says(
        "pkgutil", packages, 'case $1 in --pkg-info) printf "package-id: x\\nversion: 12.1.0.553\\n"; exit ;; esac'
    )
    made += says(
        "launchctl", "PID\tStatus\tLabel\n" + ("501\t0\tcom.kaspersky.kav\n-\t0\tcom.kaspersky.gone\n" * kaspersky)
    )
    made += program("plutil", 'for file; do :; done; cat -- "$file"')
    made += says("systemextensionsctl", EXTENSIONS if kaspersky else "0 extension(s)\n")
    made += says("kmutil", KEXTS if kaspersky else "")
    made += says("profiles", PROFILES if kaspersky else "There are no configuration profiles installed\n")
    members = "case $2:$3 in -read:*) echo GroupMembership: root anna ;; *:/Users) echo root 0 ;; "
    members += "*) cat /run/dscl.txt ;; esac"
    made += f"cat >/run/dscl.txt <<'SAID'\n{GROUPS}SAID\n" + program("dscl", members)
    made += "mkdir -p /Library/LaunchDaemons /Library/LaunchAgents /Users/anna/Library/LaunchAgents\n"
    made += "mkdir -p /System/Library/CoreServices/XProtect.bundle /Library/SystemExtensions\n"
    made += (
        "mkdir -p /Library/Extensions/other.kext/Contents; echo x >/Library/Extensions/other.kext/Contents/Info.plist\n"
    )
    made += "echo '<plist/>' >/Library/LaunchDaemons/com.example.plist\n"
    if kaspersky:
        made += (
            f"mkdir -p '{SUPPORT}/KAV/Binaries' '{SUPPORT}/klnagent/Binaries' /Library/Extensions/klif.kext/Contents\n"
        )
        made += f"cp /bin/true '{SUPPORT}/KAV/Binaries/kav'\n"
        made += f"cat >/Library/LaunchDaemons/com.kaspersky.kav.plist <<'PLIST'\n{JOB}PLIST\n"
        made += f"cat >/Library/Extensions/klif.kext/Contents/Info.plist <<'PLIST'\n{KEXT}PLIST\n"
    return made


def ask(folder: Path, made: str, shell: tuple[str, ...] = ("/bin/sh",), **options: object) -> dict[str, Answer]:
    values = {**LITERALS, **options}
    return look(folder, made, shell=shell, text=knowledge.OBSERVE_MACOS_SH, **values)  # type: ignore[arg-type]  # one mapping


@pytest.fixture(params=["dash", "bash --posix", "bash", "busybox sh", "mksh", "ksh"])
def shell(request: pytest.FixtureRequest) -> tuple[str, ...]:
    words = tuple(str(request.param).split())
    if shutil.which(words[0]) is None:
        pytest.skip(f"no {words[0]} on this machine: the script for macOS in it")
    return words


def test_a_mac_with_the_product_and_the_agent(shell: tuple[str, ...], tmp_path: Path) -> None:
    seen = ask(tmp_path, mac(), shell, groups=["kladmins"])
    assert set(seen) == set(PROBES["macos"])
    assert {n: (a.status, a.reason) for n, a in seen.items()} == dict.fromkeys(PROBES["macos"], ("ok", ""))
    host = seen["host"].records[0]
    assert (host["system"], host["os_version"], host["os_name"], host["arch"]) == (
        "Darwin",
        "14.1",
        "macOS 14.1",
        "arm64",
    )
    assert host["machine_id"] == "01234567-89AB-CDEF-0123-456789ABCDEF"
    assert [(r["name"], r["version"]) for r in seen["receipts"].records] == [
        ("com.kaspersky.kav.core", "12.1.0.553"),
        ("com.kaspersky.klnagent.core", "12.1.0.553"),
    ]
    assert [(r["name"], r["path"], r["program"], r["pid"]) for r in seen["launchd"].records] == [
        ("com.kaspersky.kav", "/Library/LaunchDaemons/com.kaspersky.kav.plist", f"{SUPPORT}/KAV/Binaries/kav", "501"),
        ("com.kaspersky.gone", "", "", ""),
    ]
    assert [(r["team"], r["version"], r["state"]) for r in seen["system_extensions"].records] == [
        ("2Y8XE5CQ94", "12.1.0/12.1.0.553", "activated enabled"),
        ("2Y8XE5CQ94", "11.0/11.0.1", "terminated waiting to uninstall on reboot"),
    ]
    assert {r["name"] for r in seen["system_extensions"].records} == {"com.kaspersky.kav.sysext"}
    assert [(r["name"], r["where"], r["path"]) for r in seen["kexts"].records] == [
        ("com.kaspersky.kext.klif", "loaded", ""),
        ("com.kaspersky.kext.klif", "file", "/Library/Extensions/klif.kext"),
    ]
    assert [(r["pid"], r["exe"], r["deleted"], r["dir"]) for r in seen["processes"].records] == [
        ("502", f"{SUPPORT}/klnagent/Binaries/klnagent", "yes", f"{SUPPORT}/klnagent"),
        ("501", f"{SUPPORT}/KAV/Binaries/kav", "no", f"{SUPPORT}/KAV"),
    ]
    assert [(r["kind"], r["name"], r["id"], r["members"]) for r in seen["accounts"].records] == [
        ("group", "kladmins", "601", "root,anna")
    ]
    assert [(r["kind"], r["name"], r["state"]) for r in seen["protection"].records] == [
        ("endpoint_security", "com.kaspersky.kav.sysext", "active"),
        ("endpoint_security", "com.kaspersky.kav.sysext", "off"),
        ("xprotect", "XProtect", "active"),
    ]
    assert [r["cause"] for r in seen["reboot"].records] == ["system_extension"]
    assert SUPPORT in {r["path"] for r in seen["paths"].records}


def test_profiles_tell_names_and_no_content(shell: tuple[str, ...], tmp_path: Path) -> None:
    raw = raw_look(tmp_path, mac(), shell=shell, text=knowledge.OBSERVE_MACOS_SH, **LITERALS)  # type: ignore[arg-type]  # lists
    (record,) = decode(raw, NONCE)["profiles"].records
    assert record == {
        "name": "com.example.security",
        "display": "Security & more <1>",
        "payload": "2Y8XE5CQ94,com.apple.system-extension-policy",
    }
    assert b"not to be told".hex().encode() not in raw
    assert b"nor this".hex().encode() not in raw


def test_a_clean_mac(shell: tuple[str, ...], tmp_path: Path) -> None:
    seen = ask(tmp_path, mac(kaspersky=False), shell)
    there = {"host", "protection"}
    assert {n: a.status for n, a in seen.items()} == {n: "ok" if n in there else "absent" for n in PROBES["macos"]}, (
        seen
    )


def test_a_mac_tells_the_script_for_linux_what_it_is(target_shell: tuple[str, ...], tmp_path: Path) -> None:
    raw = raw_look(tmp_path, mac(), shell=target_shell)
    assert set(decode(raw, NONCE)) == {"host"}
    seen = parse_posix(raw, NONCE)
    assert seen is not None
    assert seen.platform == "macos"
    assert set(seen.probes) == set(PROBES["macos"])


def test_the_register_behind_systemextensionsctl(shell: tuple[str, ...], tmp_path: Path) -> None:
    made = mac() + program("systemextensionsctl", "echo 'cannot' >&2; exit 1")
    made += f"cat >/Library/SystemExtensions/db.plist <<'PLIST'\n{DATABASE}PLIST\n"
    seen = ask(tmp_path, made, shell)["system_extensions"]
    assert (seen.status, seen.reason) == ("unknown", "systemextensionsctl: cannot"), (
        "and yet what the register holds is told"
    )
    assert [tuple(r[k] for k in ("name", "team", "version", "state")) for r in seen.records] == [
        ("com.kaspersky.kav.sysext", "2Y8XE5CQ94", "12.1.0", "activated_enabled")
    ]


@pytest.mark.parametrize(
    ("tool", "probes"),
    [
        ("pkgutil", {"receipts"}),
        ("launchctl", {"launchd"}),
        ("plutil", {"launchd", "kexts"}),
        ("systemextensionsctl", {"system_extensions", "protection", "reboot"}),
        ("profiles", {"profiles"}),
        ("ps", {"processes"}),
        ("dscl", {"accounts"}),
        ("sw_vers", {"host"}),
    ],
)
def test_a_program_that_is_missing_or_fails(tmp_path: Path, tool: str, probes: set[str]) -> None:
    lost = ask(tmp_path, mac() + f"rm -f /usr/sbin/{tool} /bin/{tool}", groups=["kladmins"])
    assert {n for n, a in lost.items() if a.status == "unknown"} == probes, lost
    assert all(f"{tool} is missing" in lost[n].reason for n in probes)
    (tmp_path / "2").mkdir()
    failed = ask(tmp_path / "2", mac() + program(tool, "echo 'no way' >&2; exit 3"), groups=["kladmins"])
    assert {n for n, a in failed.items() if a.status == "unknown"} == probes, failed
    assert all("no way" in failed[n].reason for n in probes)


def test_a_program_that_hangs(shell: tuple[str, ...], tmp_path: Path) -> None:
    """The alarm finds what a probe waits for with ps; here the real one, as /proc stays."""
    made = (
        mac()
        .replace("umount -l /proc; ", "")
        .replace("cat /run/ps.txt", "case $* in *ppid*) exec /bin/ps -axo pid=,ppid= ;; esac; cat /run/ps.txt")
    )
    seen = ask(tmp_path, made + program("pkgutil", "sleep 60"), shell, timeout="2")
    assert (seen["receipts"].status, "did not answer in 2 s" in seen["receipts"].reason) == ("unknown", True)
    assert seen["launchd"].status == "ok"


def test_an_ordinary_user(shell: tuple[str, ...], tmp_path: Path) -> None:
    made = mac() + f"chmod 700 /Users/anna/Library/LaunchAgents '{SUPPORT}'\n"
    seen = ask(tmp_path, made, shell, user=True)
    for probe in ("profiles", "launchd", "paths"):
        assert (seen[probe].status, "become" in seen[probe].reason) == ("unknown", True), (probe, seen[probe])
    assert seen["receipts"].status == "ok"


def test_the_verb_sends_a_mac_its_own_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two scripts for a Mac, one for any other host."""
    (tmp_path / "2").mkdir()
    first = raw_look(tmp_path, mac()).decode()
    second = raw_look(tmp_path / "2", mac(), text=knowledge.OBSERVE_MACOS_SH, **LITERALS).decode()  # type: ignore[arg-type]  # lists
    sent: list[str] = []

    def run(action: object, *, script: str, **others: object) -> transport.Answer:
        sent.append(script)
        return transport.Answer(second if script == knowledge.OBSERVE_MAC else first, NONCE, "stdin")

    monkeypatch.setattr(transport, "run_script", run)
    action = scan.ActionModule.__new__(scan.ActionModule)
    action._connection = SimpleNamespace(_shell=SimpleNamespace())
    given: tuple[t.Any, ...] = (action, "mac", policy.validate({}), knowledge.catalog(), None, Redactor(), {})
    found = looking.at_host(*given)
    seen = found.seen
    assert sent == [knowledge.OBSERVE_LINUX, knowledge.OBSERVE_MAC]
    assert (found.problem, found.way) == (None, "stdin")
    assert seen is not None
    assert seen.platform == "macos"
    assert seen.probes["receipts"].status == "ok"
    first = first.replace("system=Darwin", "system=FreeBSD")
    sent.clear()
    looking.at_host(*given)
    assert sent == [knowledge.OBSERVE_LINUX]
