# SPDX-License-Identifier: GPL-3.0-or-later
"""observe.sh on hosts that are not like this machine, each a root file system of its own (staged.py)."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils.observation import PROBES
from tests.target.posix.staged import NONCE, database, decode, look, raw_look, script

UNITS = """
mkdir -p /etc/systemd/system/kesl.service.d /run/systemd/system /usr/lib/systemd/system
printf '[Service]\\nExecStartPre=/bin/true\\n  ExecStart = -@"/opt/kaspersky/a b/kesl" x\\r\\n' \\
  >/etc/systemd/system/kesl.service
printf '[Service]\\nExecStart=\\nExecStart=!/opt/kaspersky/other --flag\\n' >/etc/systemd/system/kesl.service.d/10.conf
ln -s /dev/null /etc/systemd/system/klnagent64.service
printf '[Service]\\nExecStart=/opt/kaspersky/klnagent64/sbin/klnagent\\n' >/usr/lib/systemd/system/klnagent64.service
: >/run/systemd/system/kesl-supervisor.service
ln -s /nowhere/kess.service /etc/systemd/system/kess.service
: >/etc/systemd/system/xkesl.service
cat >/usr/sbin/systemctl <<'END'
#!/bin/sh
SYSTEMCTL
END
chmod 755 /usr/sbin/systemctl
"""
UNIT_NAMES = ["kesl-supervisor.service", "kesl.service", "kess.service", "klnagent64.service", "no.service"]


def test_units(target_shell: tuple[str, ...], tmp_path: Path) -> None:
    says = """while [ "$1" != -- ]; do shift; done; shift
for name in "$@"; do printf 'ActiveState=%s\\nUnitFileState=\\n\\n' "${name%%.*}"; done"""
    seen = look(tmp_path, UNITS.replace("SYSTEMCTL", says), shell=target_shell, units=UNIT_NAMES)["units"]
    assert seen.status == "ok"
    got = {(r["path"], r["kind"], r["target"], r["exec"], r["active"], r["enabled"]) for r in seen.records}
    etc, usr = "/etc/systemd/system", "/usr/lib/systemd/system"
    assert got == {
        (f"{etc}/kesl.service", "file", "", "/opt/kaspersky/a b/kesl", "kesl", ""),
        (f"{etc}/kesl.service.d", "dropin", "", "/opt/kaspersky/other", "kesl", ""),
        (f"{etc}/klnagent64.service", "masked", "/dev/null", "", "klnagent64", ""),
        (f"{usr}/klnagent64.service", "file", "", "/opt/kaspersky/klnagent64/sbin/klnagent", "klnagent64", ""),
        ("/run/systemd/system/kesl-supervisor.service", "masked", "", "", "kesl-supervisor", ""),
        (f"{etc}/kess.service", "link", "/nowhere/kess.service", "", "kess", ""),
    }


@pytest.mark.parametrize("says", ["echo 'Failed to connect to bus' >&2; exit 1", "echo ActiveState=active", "sleep 60"])
def test_units_of_a_systemd_that_does_not_answer(tmp_path: Path, says: str) -> None:
    seen = look(tmp_path, UNITS.replace("SYSTEMCTL", says), units=UNIT_NAMES, timeout="2")["units"]
    assert seen.status == "ok", seen
    assert len(seen.records) == 6
    assert {(r["active"], r["enabled"]) for r in seen.records} == {("", "")}


def test_init_scripts_once_per_place(target_shell: tuple[str, ...], tmp_path: Path) -> None:
    made = "mkdir -p /etc/rc.d/init.d; rm -rf /etc/init.d; ln -s rc.d/init.d /etc/init.d\n"
    made += ": >/etc/init.d/kesl; : >/etc/rc.d/kav\n"
    seen = look(tmp_path, made, shell=target_shell, init_scripts=["kav", "kesl"])["init_scripts"]
    assert [(r["name"], r["path"]) for r in seen.records] == [("kesl", "/etc/init.d/kesl"), ("kav", "/etc/rc.d/kav")]


def test_a_host_of_busybox_alone(tmp_path: Path) -> None:
    if shutil.which("busybox") is None:
        pytest.skip("no busybox on this machine: a host of nothing else")
    tools = "ls cat od readlink sleep id uname sh"
    made = f"""mkdir -p /box /opt/kaspersky/kesl/bin; cp /bin/busybox /box/busybox
printf x >/opt/kaspersky/kesl/bin/kesl; chmod 755 /opt/kaspersky/kesl/bin/kesl
for t in {tools}; do ln -s busybox /box/$t; done
mount --bind /box /usr/sbin; mount -t tmpfs x /usr/local; PATH=/usr/sbin
busybox mount -t tmpfs x /usr/bin
printf 'kesladmin:x:990:\\n' >>/etc/group
"""
    seen = look(
        tmp_path,
        made,
        shell=("/usr/sbin/busybox", "sh"),
        packages=["kesl"],
        exe_dirs=["/opt/kaspersky"],
        paths=["/opt/kaspersky/kesl", "/opt/kaspersky/no", "/etc/passwd/x", "/opt/kaspersky/k\u00e9\nx"],
        trees=["/opt/kaspersky", "/var/opt/kaspersky"],
        groups=["kesladmin"],
    )
    assert seen["paths"].status == "ok", seen["paths"]
    assert [(r["path"], r["type"]) for r in seen["paths"].records] == [("/opt/kaspersky/kesl", "dir")]
    assert [(r["child"], r["programs"]) for r in seen["trees"].records] == [("kesl", "yes")]
    assert seen["processes"].status == "absent", seen["processes"]
    assert [r["id"] for r in seen["accounts"].records] == ["990"]
    assert seen["host"].records[0]["kernel"]


@pytest.mark.parametrize(
    ("tool", "probes"),
    [("ls", {"paths", "processes", "trees"}), ("od", {"trees"}), ("cat", {"accounts"}), ("uname", {"host"})],
)
def test_a_missing_tool_is_named_by_the_probes_that_need_it(tmp_path: Path, tool: str, probes: set[str]) -> None:
    made = f"mkdir -p /opt/kaspersky/k\u00e9; for f in $(command -v -- {tool}) /bin/{tool}; do rm -f $f; done"
    seen = look(tmp_path, made, exe_dirs=["/opt/kaspersky"], paths=["/no"], trees=["/opt/kaspersky"], users=["x"])
    blamed = {name for name, a in seen.items() if f"{tool} is missing" in a.reason or f"{tool} or " in a.reason}
    assert probes <= blamed, seen
    assert all(seen[name].status == "unknown" for name in blamed)
    assert set(seen) == set(PROBES["linux"])


def test_without_sleep_there_is_no_limit_and_yet_an_answer(target_shell: tuple[str, ...], tmp_path: Path) -> None:
    assert set(look(tmp_path, "rm -f /bin/sleep", shell=target_shell)) == set(PROBES["linux"])


def test_without_proc(tmp_path: Path) -> None:
    seen = look(tmp_path, "mount -t tmpfs x /proc", exe_dirs=["/opt/kaspersky"])
    assert (seen["processes"].status, seen["processes"].reason) == ("unknown", "/proc is not mounted")
    assert seen["host"].records[0]["euid"] == "0"


OS = """rm -f /etc/os-release /usr/lib/os-release /etc/machine-id
mkdir -p /var/lib/dbus
"""


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (
            "printf 'ID=x\\r\\nPRETTY_NAME=\"A $(id) B\"\\r\\nVERSION_ID=\\0479.5\\047' >/usr/lib/os-release",
            ("x", "A $(id) B", "9.5"),
        ),
        ("printf 'ID=\"ro cky\"\\n' >/etc/os-release; printf 'ID=no' >/usr/lib/os-release", ("ro cky", "", "")),
        ("echo 'CentOS release 6.10 (Final)' >/etc/redhat-release", ("", "CentOS release 6.10 (Final)", "")),
    ],
)
def test_which_system(tmp_path: Path, made: str, expected: tuple[str, str, str]) -> None:
    ids = (
        "echo uninitialized >/etc/machine-id; rm -f /var/lib/dbus/machine-id; echo 0123abcd >/var/lib/dbus/machine-id\n"
    )
    (record,) = look(tmp_path, f"{OS}{ids}{made}")["host"].records
    assert (record["os_id"], record["os_name"], record["os_version"]) == expected
    assert record["machine_id"] == "0123abcd"


@pytest.mark.parametrize(
    ("made", "box"),
    [
        ("mkdir -p /run/systemd; echo systemd-nspawn >/run/systemd/container", "systemd-nspawn"),
        ("mkdir -p /run/systemd; echo lxc-libvirt >/run/systemd/container", "lxc"),
        ("mkdir -p /run/systemd; echo rkt >/run/systemd/container", "other"),
        (": >/.dockerenv", "docker"),
        (": >/run/.containerenv", "podman"),
        ("mkdir -p /run/secrets/kubernetes.io; : >/.dockerenv", "kubernetes"),
    ],
)
def test_in_which_container(tmp_path: Path, made: str, box: str) -> None:
    assert look(tmp_path, made)["host"].records[0]["container"] == box


def test_in_a_chroot(tmp_path: Path) -> None:
    """The stage is one; that is seen where pid 1 can be looked at, unless this machine is a container and says so."""
    seen = look(tmp_path, alone=False)["host"].records[0]["container"]
    assert seen in (
        {"chroot", "docker", "podman", "lxc", "kubernetes", "other"} if os.path.exists("/proc/1/root/.") else {""}
    )


def test_what_an_ordinary_user_may_not_see(target_shell: tuple[str, ...], tmp_path: Path) -> None:
    made = """mkdir -p /opt/kaspersky/kesl/bin /var/opt/kaspersky/kesl/install_1 /etc/systemd/system
printf x >/opt/kaspersky/kesl/bin/kesl; chmod 700 /opt/kaspersky/kesl/bin/kesl
chmod 711 /opt/kaspersky /var/opt/kaspersky/kesl; chmod 700 /opt/kaspersky/kesl/bin
printf '[1103]\\nVERSION=1\\n' >/var/opt/kaspersky/applications.setup; chmod 600 /var/opt/kaspersky/applications.setup
printf x >/etc/systemd/system/kesl.service; chmod 600 /etc/systemd/system/kesl.service
"""
    seen = look(
        tmp_path,
        made,
        shell=target_shell,
        user=True,
        units=["kesl.service"],
        paths=["/opt/kaspersky/kesl", "/opt/kaspersky/kesl/bin/kesl", "/var/opt/kaspersky/kesl/install_*"],
        trees=["/opt/kaspersky"],
        setup_files=["/var/opt/kaspersky/applications.setup"],
    )
    for probe in ("units", "paths", "trees", "setup"):
        assert seen[probe].status == "unknown", (probe, seen[probe])
        assert "become" in seen[probe].reason, (probe, seen[probe])
    assert [r["path"] for r in seen["paths"].records] == ["/opt/kaspersky/kesl"], "what could be seen is told"
    assert [r["path"] for r in seen["units"].records] == ["/etc/systemd/system/kesl.service"]


def test_an_executable_of_somebody_else_is_one(tmp_path: Path) -> None:
    made = "mkdir -p /opt/kaspersky; printf x >/opt/kaspersky/a; cp /opt/kaspersky/a /opt/kaspersky/b\n"
    made += "chmod 700 /opt/kaspersky/a"
    seen = look(tmp_path, made, user=True, paths=["/opt/kaspersky/a", "/opt/kaspersky/b"])["paths"]
    assert [(r["path"], r["executable"]) for r in seen.records] == [
        ("/opt/kaspersky/a", "yes"),
        ("/opt/kaspersky/b", "no"),
    ]


def test_ways_that_lead_nowhere(target_shell: tuple[str, ...], tmp_path: Path) -> None:
    made = "mkdir -p /opt/k; ln -s loop /opt/k/loop; ln -s /none/x /opt/k/gone; ln -s /opt/k/loop/y /opt/k/lost"
    seen = look(tmp_path, made, shell=target_shell, paths=["/opt/k/gone", "/opt/k/loop/x"], trees=["/opt/k/gone"])
    assert seen["paths"].status == "unknown"
    assert "/opt/k/loop/x" in seen["paths"].reason
    assert "symbolic link" in seen["paths"].reason
    assert [(r["path"], r["type"]) for r in seen["paths"].records] == [("/opt/k/gone", "dangling")]
    assert seen["trees"].status == "absent"


def test_too_much_is_unknown_and_bounded(target_shell: tuple[str, ...], tmp_path: Path) -> None:
    made = "mkdir -p /opt/k /opt/l; i=0; while [ $i -lt 520 ]; do : >/opt/k/f$i; i=$((i + 1)); done\n"
    made += "n=$(printf '%0200d' 1); p=/opt/l; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13; do\n"
    made += "p=$p/$n; mkdir $p; done; ln -s $p /opt/l/z\n"
    seen = look(tmp_path, made, shell=target_shell, paths=["/opt/k/f*"])["paths"]
    assert (seen.status, len(seen.records)) == ("unknown", 500)
    assert "more than 500" in seen.reason
    (tmp_path / "2").mkdir()
    seen = look(tmp_path / "2", made, shell=target_shell, paths=["/opt/l/z", "/opt/l"])["paths"]
    assert [r["path"] for r in seen.records] == ["/opt/l/z", "/opt/l"]
    (tmp_path / "3").mkdir()
    seen = look(tmp_path / "3", made, shell=target_shell, paths=["/opt/l" + ("/" + "0" * 199 + "1") * 13])["paths"]
    assert seen.status == "unknown"
    assert "too long" in seen.reason


def test_names_of_any_bytes(target_shell: tuple[str, ...], tmp_path: Path) -> None:
    names = [
        "a b",
        "\u043a\u044d",
        "\x1b[31mred\x07",
        "{{ 7*7 }}",
        "x\nevict-fedcba9876543210fedcba98 E 1\n",
        "'q\"$(id)`id`\\",
        "*",
    ]
    made = "mkdir -p /opt/k; cd /opt/k\n" + "".join("mkdir -- '" + n.replace("'", "'\\''") + "'\n" for n in names)
    made += "mkdir \"$(printf 'x\\377\\200y')\""
    seen = look(tmp_path, made, shell=target_shell, trees=["/opt/k"])["trees"]
    assert seen.status == "ok", seen
    assert {r["child"] for r in seen.records} == {*names, "x\udcff\udc80y"}


def test_nothing_is_written_and_no_vendor_program_starts(target_shell: tuple[str, ...], tmp_path: Path) -> None:
    """On a read-only root, with a product whose every program would leave a mark on the one writable place."""
    mark = "#!/bin/sh\\necho ran >>/run/mark\\n"
    made = f"""mkdir -p /opt/kaspersky/kesl/bin /opt/kaspersky/kesl/libexec /etc/init.d
for f in bin/kesl-control libexec/kesl; do
printf '{mark}' >/opt/kaspersky/kesl/$f; chmod 755 /opt/kaspersky/kesl/$f; done
printf '{mark}' >/etc/init.d/kesl; chmod 755 /etc/init.d/kesl
mount -o remount,ro /tmp
mount -o remount,ro /
"""
    seen = look(
        tmp_path,
        made,
        shell=(
            *("sh", "-c", '"$@"; rc=$?; if [ -e /run/mark ]; then cat /run/mark >&2; fi; exit $rc', "sh"),
            *target_shell,
        ),
        paths=["/opt/kaspersky/kesl/bin/kesl-control"],
        trees=["/opt/kaspersky"],
        init_scripts=["kesl"],
        exe_dirs=["/opt/kaspersky"],
    )
    assert [seen[p].status for p in ("paths", "trees", "init_scripts")] == ["ok"] * 3


def test_a_process_of_another_root(target_shell: tuple[str, ...], tmp_path: Path) -> None:
    """The process runs from the host's own file system; seen from the stage its root is another one."""
    folder = tmp_path / "opt" / "kaspersky"
    folder.mkdir(parents=True)
    shutil.copy(shutil.which("sleep") or "/bin/sleep", folder / "kesl")
    process = subprocess.Popen([folder / "kesl", "60"])
    try:
        seen = look(tmp_path, shell=target_shell, alone=False, exe_dirs=[str(folder)])["processes"]
        assert [(r["pid"], r["root"]) for r in seen.records] == [(str(process.pid), "other")]
    finally:
        process.kill()
        process.wait()


HANG = "#!/bin/sh\\ntrap '' HUP TERM INT\\nsleep 61 & wait\\nsleep 61\\n"


@pytest.mark.parametrize("hang", [False, True])
def test_no_process_stays_behind(target_shell: tuple[str, ...], tmp_path: Path, hang: bool) -> None:
    """Also none of a program that ignores signals and waits for a child. All that was started is in one session."""
    made = database()
    if hang:
        made += f'printf "{HANG}" >/usr/sbin/dpkg-query; chmod 755 /usr/sbin/dpkg-query\n'
    count = "awk '$6 == s' s=\"$(cut -d' ' -f6 /proc/self/stat)\" /proc/[0-9]*/stat 2>&-"
    watch = ("setsid", "-w", "sh", "-c", f"\"$@\"; sleep 1; {count} >/run/left; sed 's/^/LEFT /' /run/left", "sh")
    raw = raw_look(
        tmp_path, made, shell=(*watch, *target_shell), packages=["kesl"], timeout="1" if hang else "20"
    ).decode()
    left = [line.split()[2:5] for line in raw.splitlines() if line.startswith("LEFT ")]
    # A killed one may still wait for pid 1 to take notice, and on a busy machine to be scheduled once more, hence the
    # second before the count. The sh is the one that counts.
    assert [name for name, state, parent in left if (state, parent) != ("Z", "1")] == ["(sh)"], raw
    assert (b"did not answer in 1 s".hex() in raw) == hang


@pytest.mark.parametrize("option", ["1", "2", "4"])
def test_hidden_processes_are_not_absent(target_shell: tuple[str, ...], tmp_path: Path, option: str) -> None:
    made = f"mount -t proc -o hidepid={option} proc /proc"
    seen = look(tmp_path, made, shell=target_shell, user=True, alone=False, exe_dirs=["/opt/kaspersky"])["processes"]
    assert seen.status == "unknown", seen
    assert "hidepid" in seen.reason
    assert "become" in seen.reason


def test_a_process_in_a_container_is_told_apart(tmp_path: Path) -> None:
    """After pivot_root, as containers do it, the executable bears the name it has inside; the host has no such file."""
    if os.geteuid() != 0 or shutil.which("pivot_root", path="/usr/sbin:/sbin") is None:
        pytest.skip("needs root and pivot_root: a process in a container")
    inside = """set -e
mount -t tmpfs box "$0"; cd "$0"; mkdir -p old proc opt/kaspersky-test/kesl lib lib64 usr bin
mount --bind /usr usr; for d in lib lib64 bin; do mount --bind /$d $d; done
cp /bin/sleep opt/kaspersky-test/kesl/kesl
/usr/sbin/pivot_root . old; exec /opt/kaspersky-test/kesl/kesl 60"""
    box = tmp_path / "box"
    box.mkdir()
    process = subprocess.Popen(["unshare", "--mount", "--propagation", "private", "sh", "-c", inside, box])
    try:
        deadline = time.monotonic() + 20
        while not os.readlink(f"/proc/{process.pid}/exe").endswith("/kesl") and time.monotonic() < deadline:
            time.sleep(0.02)
        raw = subprocess.run(["sh"], input=script(exe_dirs=["/opt/kaspersky-test"]), capture_output=True, check=True)
        (record,) = decode(raw.stdout, NONCE)["processes"].records
        assert (record["pid"], record["root"], record["exe"]) == (
            str(process.pid),
            "other",
            "/opt/kaspersky-test/kesl/kesl",
        )
    finally:
        process.kill()
        process.wait()
