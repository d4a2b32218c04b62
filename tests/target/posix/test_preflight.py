# SPDX-License-Identifier: GPL-3.0-or-later
"""The preflight probes in staged roots (staged.py): what each tells, and that a slow one holds up nobody."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import knowledge
from ansible_collections.evict.kaspersky.plugins.plugin_utils.observation import PREFLIGHT, PROBES
from tests.target.posix import staged
from tests.target.posix.planned import look
from tests.target.posix.staged import stanza, stub

Shell = tuple[str, ...]
TREE = "/opt/kaspersky"


def test_each_probe_answers(target_shell: Shell, tmp_path: Path) -> None:
    seen = look(tmp_path, shell=target_shell)
    assert set(seen) == {*PROBES["linux"], *PREFLIGHT["linux"]}
    unasked = ("egress", "repository", "quarantine", "limits")
    assert {seen[name].status for name in unasked} == {"absent"}, seen
    (memory,) = seen["resources"].records
    meminfo = Path("/proc/meminfo").read_text().split()
    assert 0 < int(memory["memory_mib"]) <= int(meminfo[1]) // 1024
    assert int(memory["cpus"]) > 0
    tools = {r["name"]: r["path"] for r in seen["tools"].records}
    assert tools["dpkg"].endswith("/dpkg")
    assert set(tools) <= {
        *("perl", "systemctl", "systemd-run", "setsid", "timeout", "curl", "wget", "gpg", "rpm", "dpkg")
    }


def test_the_audit_does_not_carry_it() -> None:
    assert "EVICT_PREFLIGHT" not in knowledge.OBSERVE_LINUX
    assert "preflight" not in knowledge.OBSERVE_SH
    assert "EVICT_PREFLIGHT_ENDPOINTS" in knowledge.OBSERVE_LINUX_PLAN


def test_a_slow_probe_is_unknown_and_the_others_answer(target_shell: Shell, tmp_path: Path) -> None:
    begin = time.monotonic()
    seen = look(tmp_path, "rm -f /usr/bin/df\n" + stub("df", "sleep 60"), shell=target_shell)
    assert time.monotonic() - begin < 12
    assert (seen["space"].status, seen["space"].reason) == ("unknown", "df did not answer in 3 s")
    others = {name: answer.status for name, answer in seen.items() if name != "space"}
    assert "unknown" not in others.values(), others


def test_a_probe_that_does_not_end_at_all(target_shell: Shell, tmp_path: Path) -> None:
    """Not a program it waits for, but its own shell: a pipe that nobody writes to. What shares its process does not
    answer either, and says so; beside a product those that may wait have processes of their own."""
    made = "mkdir -p /etc/selinux; mkfifo /etc/selinux/config"
    alone = ("space", "obstacles")
    for folder, status in (("", "unknown"), ("; mkdir -p /opt/kaspersky", "not that")):
        place = tmp_path / status
        place.mkdir()
        seen = look(place, made + folder, shell=target_shell, trees=["/opt/kaspersky"])
        assert (seen["enforcement"].status, seen["enforcement"].reason) == ("unknown", "did not answer in 3 s")
        assert {seen[name].status == "unknown" for name in alone} == {status == "unknown"}, seen
        assert {seen[name].status for name in ("host", "packages.dpkg", "paths")} == {"ok", "absent"}


@pytest.mark.parametrize(
    ("seconds", "timeout", "status", "least", "most"),
    [(5, "20", "ok", 5, 18), (60, "8", "unknown", 8, 18), (60, "2", "unknown", 2, 14)],
)
def test_what_the_audit_waits_for_has_the_longer_time(
    target_shell: Shell, tmp_path: Path, seconds: int, timeout: str, status: str, least: int, most: int
) -> None:
    """Beyond the preflight's three seconds, up to its own limit, and no longer; also with a limit below those three."""
    made = "rm -f /usr/bin/dpkg-query\n" + stub(
        "dpkg-query", f"sleep {seconds}; echo '=kesl|1|amd64|hold ok installed'"
    )
    begin = time.monotonic()
    seen = staged.look(
        tmp_path, made, shell=target_shell, text=knowledge.OBSERVE_PLAN_SH, packages=["kesl"], timeout=timeout
    )
    assert least <= time.monotonic() - begin < most
    assert seen["packages.dpkg"].status == status
    held = [r["package"] for r in seen["manager"].records if r["kind"] == "held"]
    assert held == (["kesl"] if status == "ok" else [])
    assert seen["manager"].status == status
    assert {seen[name].status for name in ("space", "tools", "resources")} == {"ok"}


def test_space_names_what_is_mounted_how(target_shell: Shell, tmp_path: Path) -> None:
    made = "mkdir -p '/var/a b'; rm -rf /opt; ln -s '/var/a b' /opt; mount -t tmpfs -o ro,noexec,size=8m y '/var/a b'"
    records = {r["path"]: r for r in look(tmp_path, made, shell=target_shell)["space"].records}
    assert set(records) == {"/", "/opt", "/tmp"}
    opt = records["/opt"]
    assert (opt["mount"], opt["fstype"], opt["free_mib"]) == ("/var/a b", "tmpfs", "8")
    assert {"ro", "noexec"} <= set(opt["options"].split(","))
    assert records["/"]["fstype"] == "overlay"


def test_dpkg_broken_and_held(target_shell: Shell, tmp_path: Path) -> None:
    states = {
        "fine": "install ok installed",
        "left": "deinstall ok config-files",
        "kept": "hold ok installed",
        "half": "install ok half-configured",
        "worse": "install reinstreq half-installed",
    }
    text = "".join(stanza(name, state) for name, state in states.items())
    made = (
        f"cat >/var/lib/dpkg/status <<'END'\n{text}END\nmkdir -p /var/lib/dpkg/updates; : >/var/lib/dpkg/updates/0001"
    )
    seen = look(tmp_path, made, shell=target_shell)["manager"]
    assert [r["package"] for r in seen.records if r["kind"] == "held"] == ["kept"]
    assert [(r["package"], r["status"]) for r in seen.records if r["kind"] == "broken"] == [
        ("", "dpkg was interrupted: /var/lib/dpkg/updates is not empty"),
        ("half", "half-configured"),
        ("worse", "half-installed reinstreq"),
    ]
    assert [r["name"] for r in seen.records if r["kind"] == "manager"] == ["apt"]


@pytest.mark.parametrize("tree", [True, False])
def test_a_database_that_dpkg_cannot_read(target_shell: Shell, tmp_path: Path, tree: bool) -> None:
    """What dpkg says of it is no package; the manager is broken, whether its own process asks or the audit has."""
    made = "echo 'Package: ?' >>/var/lib/dpkg/status\n" + ("mkdir -p /opt/kaspersky" if tree else "")
    every = look(tmp_path, made, shell=target_shell, trees=[TREE])
    assert (every["packages.dpkg"].status, every["manager"].status) == ("unknown", "ok")
    (record,) = [r for r in every["manager"].records if r["kind"] == "broken"]
    assert record["package"] == ""
    assert record["status"].startswith("dpkg-query: error: parsing file '/var/lib/dpkg/status' near line")


def needing(name: str, field: str, status: str = "install ok installed") -> str:
    return stanza(name, status).replace("Description:", f"{field}\nDescription:")


@pytest.mark.parametrize("tree", [True, False])
def test_who_needs_a_package(target_shell: Shell, tmp_path: Path, tree: bool) -> None:
    """By name, version and architecture aside; neither what is not installed nor what can do with another one. Asked
    where a product's folder is."""
    text = "".join(
        (
            needing("gui", "Depends: libc6 (>= 2.3), kesl (>= 12.1)"),
            needing("early", "Pre-Depends: kesl:any"),
            needing("half", "Depends: kesl", "install ok unpacked"),
            needing("gone", "Depends: kesl", "deinstall ok config-files"),
            needing("either", "Depends: kesl | clamav, xkesl"),
            needing("likes", "Recommends: kesl\nEnhances: kesl\nConflicts: klnagent64"),
            needing("longer", "Depends: kesl-gui-tools, kes"),
        )
    )
    made = f"cat >/var/lib/dpkg/status <<'END'\n{text}END\n" + ("mkdir -p /opt/kaspersky" if tree else "")
    seen = staged.look(
        tmp_path,
        made,
        shell=target_shell,
        text=knowledge.OBSERVE_PLAN_SH,
        packages=["kesl", "klnagent64"],
        preflight_trees=["/opt/kaspersky"],
    )["manager"]
    found = [(r["by"], r["package"]) for r in seen.records if r["kind"] == "needed"]
    assert found == ([("gui", "kesl"), ("early", "kesl"), ("half", "kesl")] if tree else [])


NEEDING = """case $* in
  *--whatrequires*)
    echo '=reporter kesl /bin/sh rpmlib(x)'; echo '=kesl-gui libc kesl'; echo 'no package requires kess'; exit 1 ;;
  *) echo =rpm ;;
esac"""


@pytest.mark.parametrize("tree", [True, False])
def test_who_needs_a_package_of_rpm(target_shell: Shell, tmp_path: Path, tree: bool) -> None:
    """Asked where a product's folder is."""
    seen = staged.look(
        tmp_path,
        RPM + stub("rpm", NEEDING) + ("mkdir -p /opt/kaspersky" if tree else ""),
        shell=target_shell,
        text=knowledge.OBSERVE_PLAN_SH,
        packages=["kesl", "kess"],
        preflight_trees=["/opt/kaspersky"],
    )["manager"]
    assert seen.status == "ok", seen
    assert [(r["by"], r["package"]) for r in seen.records if r["kind"] == "needed"] == (
        [("reporter", "kesl"), ("kesl-gui", "kesl")] if tree else []
    )


HOLD = """: >/var/lib/dpkg/lock
perl -e 'use Fcntl; open(F,">>","/var/lib/dpkg/lock-frontend"); my $l=pack("s s x4 q q i x4",F_WRLCK,0,0,0,0);
  fcntl(F,F_SETLK,$l) or die;
  open(R,">","/run/ready"); close(R); sleep 60' </dev/null >/dev/null 2>&1 &
for i in 1 2 3 4 5 6 7 8 9; do [ -e /run/ready ] || sleep 0.5; done
"""


def test_a_lock_that_is_held_and_one_that_only_lies_there(target_shell: Shell, tmp_path: Path) -> None:
    busy = [r for r in look(tmp_path, HOLD, shell=target_shell)["manager"].records if r["kind"] == "busy"]
    assert [(r["what"], r["program"]) for r in busy] == [("/var/lib/dpkg/lock-frontend", "perl")]


# The kernel begins anew with each reading and leaves out a lock when an earlier one has gone meanwhile. Whoever reads
# line by line, as the shell does, misses one in some of a hundred looks at a busy host: whole pages, and twice.
PAGES = r"""mkdir /run/own; mount -t tmpfs own /run/own; mkdir /run/own/dpkg; : >/run/own/dpkg/lock
cp /var/lib/dpkg/status /run/own/dpkg/; rm -r /var/lib/dpkg; ln -s /run/own/dpkg /var/lib/dpkg
device=$(mountpoint -d /run/own); cat >/run/locks <<X
1: OFDLCK ADVISORY WRITE -1 $(printf %02x:%02x "${device%:*}" "${device#*:}"):$(stat -c %i /run/own/dpkg/lock) 0 EOF
X
cp /usr/bin/grep /usr/bin/true-grep
"""
TWICE = r"""case " $* " in *' /proc/locks /proc/locks '*) sed 's,^,/proc/locks:,' /run/locks ;; esac
exec true-grep "$@"
"""
PAGES += stub("grep", TWICE) + "rm -f /usr/bin/grep /bin/grep\n"


def test_locks_are_read_at_once_and_twice(target_shell: Shell, tmp_path: Path) -> None:
    seen = look(tmp_path, PAGES, shell=target_shell)["manager"]
    assert [(r["what"], r["program"]) for r in seen.records if r["kind"] == "busy"] == [("/var/lib/dpkg/lock", "")]


ELSEWHERE = """for n in own other; do
  mkdir /run/$n; mount -t tmpfs $n /run/$n; mkdir /run/$n/dpkg; : >/run/$n/dpkg/lock
done
want=$(stat -c %i /run/own/dpkg/lock); [ "$want" = "$(stat -c %i /run/other/dpkg/lock)" ]
cp /var/lib/dpkg/status /run/own/dpkg/; rm -r /var/lib/dpkg; ln -s /run/own/dpkg /var/lib/dpkg
"""
# A lock of an open file (OFD) belongs to no process that could be asked.
OFD = r"""perl -e 'use Fcntl; open(F,">>",$ARGV[0]); my $l=pack("s s x4 q q i x4",F_WRLCK,0,0,0,0);
  fcntl(F,37,$l) or die "$!"; open(R,">","/run/ready"); close(R); sleep 60' %s </dev/null >/dev/null 2>&1 &
for i in 1 2 3 4 5 6 7 8 9; do [ -e /run/ready ] || sleep 0.5; done
grep -q "OFDLCK.*:$want " /proc/locks
"""


@pytest.mark.parametrize(
    ("file", "busy"), [("/run/other/dpkg/lock", []), ("/var/lib/dpkg/lock", ["/var/lib/dpkg/lock"])]
)
def test_a_lock_on_a_file_of_the_same_number_on_another_disk(
    target_shell: Shell, tmp_path: Path, file: str, busy: list[str]
) -> None:
    """As the kernel shows it of containers: it has no process, and its inode may be one of ours by accident."""
    seen = look(tmp_path, ELSEWHERE + OFD % file, shell=target_shell)["manager"]
    assert [r["what"] for r in seen.records if r["kind"] == "busy"] == busy


def test_a_manager_at_work(target_shell: Shell, tmp_path: Path) -> None:
    made = "cp /bin/sleep /run/dpkg; /run/dpkg 60 </dev/null >/dev/null 2>&1 & sleep 0.2"
    busy = [r for r in look(tmp_path, made, shell=target_shell)["manager"].records if r["kind"] == "busy"]
    assert [(r["what"], r["program"]) for r in busy] == [("process", "dpkg")]


RPM = """rm -f /usr/bin/rpm /bin/rpm; : >/var/lib/dpkg/status; mkdir -p /var/lib/rpm; echo x >/var/lib/rpm/rpmdb.sqlite
""" + stub("dnf", "exit 1")


@pytest.mark.parametrize(
    ("says", "broken"),
    [
        ("echo =rpm", []),
        ("echo 'package rpm is not installed'; exit 1", []),
        ("echo 'error: rpmdb: damaged header'; exit 1", ["error: rpmdb: damaged header"]),
    ],
)
def test_rpm_database(tmp_path: Path, says: str, broken: list[str]) -> None:
    made = RPM + stub("rpm", says) + "mkdir -p /etc/dnf/plugins; printf '# x\\nkesl-0:12.1-1.*\\n' "
    made += ">/etc/dnf/plugins/versionlock.list; printf '[main]\\nexclude=klnagent*, kess\\n' >/etc/dnf/dnf.conf"
    seen = look(tmp_path, made)["manager"]
    assert (seen.status, seen.reason) == ("ok", "")
    assert [r["name"] for r in seen.records if r["kind"] == "manager"] == ["dnf"]
    assert [r["status"] for r in seen.records if r["kind"] == "broken"] == broken
    assert [r["package"] for r in seen.records if r["kind"] == "held"] == ["kesl-0:12.1-1.*", "klnagent*", "kess"]


LISTS = """c=/var/cache/dnf; mkdir -p $c/base-0123456789abcdef/repodata $c/off-0123456789abcdef/repodata
mkdir -p /etc/yum.repos.d; rm -f /etc/yum.repos.d/*
printf '[base]\\nname=x\\nenabled=1\\n[off]\\nenabled=0\\n' >/etc/yum.repos.d/a.repo
one() { printf '<package><name>%s</name>\\n<arch>noarch</arch>\\n<version epoch="0" ver="%s" rel="1.el9"/>\\n' "$@"; }
{ one clamav 1.9.1 clamav 1.10.0 clamav-x 9; } | gzip >/var/cache/dnf/base-0123456789abcdef/repodata/a-primary.xml.gz
one clamd 2 | gzip >/var/cache/dnf/off-0123456789abcdef/repodata/a-primary.xml.gz
"""


def test_what_rpm_repositories_offer(target_shell: Shell, tmp_path: Path) -> None:
    made = RPM + stub("rpm", 'case "$*" in *clamav) echo 1.9.1-1.el9 ;; *) echo =rpm; exit 1 ;; esac') + LISTS
    seen = look(tmp_path, made, shell=target_shell, packages=["apt:bash", "dnf:clamav", "dnf:clamd"])["repository"]
    assert seen.status == "ok", seen
    assert seen.records == [
        {"package": "clamav", "candidate": "1.10.0-1.el9", "installed": "1.9.1-1.el9"},
        {"package": "clamd", "fault": "no repository of the host offers it"},
    ]


def test_without_lists_nobody_knows_what_is_offered(target_shell: Shell, tmp_path: Path) -> None:
    seen = look(tmp_path, "rm -rf /var/lib/apt/lists/*", shell=target_shell, packages=["apt:clamav"])["repository"]
    assert (seen.status, "apt-get update" in seen.reason) == ("unknown", True)
    (tmp_path / "rpm").mkdir()
    seen = look(tmp_path / "rpm", RPM + stub("rpm", "echo =rpm"), shell=target_shell, packages=["dnf:x"])["repository"]
    assert (seen.status, "makecache" in seen.reason) == ("unknown", True)


APT = """rm -rf /etc/apt/sources.list /etc/apt/sources.list.d /etc/apt/preferences /var/lib/apt/lists/*
mkdir -p /etc/apt/sources.list.d /srv/r /var/lib/apt/lists/partial
echo 'deb [trusted=yes] file:/srv/r ./' >/etc/apt/sources.list.d/a.list
printf 'Package: evict-x\\nVersion: 2.0\\nArchitecture: all\\nFilename: x\\nSHA256: %064d\\n' 0 >/srv/r/Packages
apt-get -o APT::Sandbox::User=root update >/dev/null 2>&1; rm -f /var/cache/apt/*.bin
"""


def test_what_apt_offers_and_nothing_is_written(target_shell: Shell, tmp_path: Path) -> None:
    """The real apt, with a repository of our own; the list of /var/cache/apt and /var/lib/apt stays as it was."""
    wrapped = """mv /usr/bin/apt-cache /usr/bin/apt-cache.real
cat >/usr/bin/apt-cache <<'END'
#!/bin/sh
ls -lRi --full-time /var/cache/apt /var/lib/apt /var/lib/dpkg /tmp >/run/before
/usr/bin/apt-cache.real "$@"; code=$?
ls -lRi --full-time /var/cache/apt /var/lib/apt /var/lib/dpkg /tmp >/run/after
cmp -s /run/before /run/after || echo 'E: something was written'
exit $code
END
chmod 755 /usr/bin/apt-cache
"""
    seen = look(tmp_path, APT + wrapped, shell=target_shell, packages=["apt:evict-x", "apt:evict-none", "dnf:x"])
    assert seen["repository"].reason == ""
    assert seen["repository"].records == [
        {"package": "evict-x", "candidate": "2.0", "installed": ""},
        {"package": "evict-none", "fault": "no repository of the host offers it"},
    ]


def test_a_name_that_is_no_package_is_not_asked_for(tmp_path: Path) -> None:
    for name in ("-o=x", "a b", "$(touch /run/mark)"):
        folder = tmp_path / str(len(name))
        folder.mkdir()
        seen = look(folder, packages=[f"apt:{name}"])["repository"]
        assert (seen.status, "not the name of a package" in seen.reason) == ("unknown", True), seen
