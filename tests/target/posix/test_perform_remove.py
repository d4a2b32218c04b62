# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of steps that remove, in a root of the test's own: real dpkg, accounts, packet filter and scripts of init.

There is no systemd in it. What needs one, and each way in which a package does not go, is in tests/lab/linux.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.performing import Ended, Value, perform
from tests.target.posix.staged import raw_look

SHELLS = {"dash": "dash", "bash": "bash", "busybox": "busybox", "ksh": "ksh93"}
MACHINE = "printf '%032d\\n' 7 >/etc/machine-id\n"
# A package with a folder of its own, settings, and a script that can be told to fail.
PACKAGE = """mkdir -p /tmp/own/DEBIAN /tmp/own/opt/own/thing/bin /tmp/own/etc
echo x >/tmp/own/opt/own/thing/bin/thing; echo x >/tmp/own/etc/thing.conf
echo /etc/thing.conf >/tmp/own/DEBIAN/conffiles
printf 'Package: own-thing\\nVersion: 1\\nArchitecture: all\\nMaintainer: x <x@example.invalid>\\nDescription: x\\n' \
>/tmp/own/DEBIAN/control
printf '#!/bin/sh\\n[ ! -e /run/refuse ] || { echo "thing says no" >&2; exit 1; }\\n' >/tmp/own/DEBIAN/prerm
chmod 755 /tmp/own/DEBIAN/prerm
chmod -R go+rX /tmp/own
dpkg-deb -b /tmp/own /tmp/own.deb >/dev/null
dpkg -i /tmp/own.deb >/dev/null
"""


@pytest.fixture(params=SHELLS)
def sh(request: pytest.FixtureRequest) -> str:
    """Shell text that makes another shell the host's /bin/sh."""
    found = shutil.which(SHELLS[request.param])
    if found is None:
        pytest.skip(f"no {request.param} on this machine: jobs in it")
    return f"ln -sf {found} /usr/bin/sh\n"


def do(
    folder: Path, prepare: str, kind: str, *, after: str = "", before: str = "", timeout: int = 50, **args: Value
) -> tuple[Ended, str]:
    """One step in a fresh root; and what `after`, a script of ours, sees then."""
    if os.geteuid() != 0:
        pytest.skip("needs root: only root performs")
    seen: list[str] = []

    def run(text: str) -> str:
        # The shell that reads the text goes on to look at what came of it.
        whole = f"{before}\n(\n{text})\necho SEEN\n{after}\n:\n"
        answer, _mark, rest = raw_look(folder, MACHINE + prepare, text=whole).decode().partition("SEEN\n")
        seen.append(rest)
        return answer

    return perform(run, kind, args, timeout=timeout), seen[0]


def fails(ended: Ended, failure: str, *words: str) -> None:
    assert (ended.status, ended.failure) == ("failed", failure), ended
    for word in words:
        assert word in ended.why, ended


# --- packages


@pytest.mark.parametrize("manager", ["apt", "dpkg"])
def test_a_package_goes(manager: str, sh: str, tmp_path: Path) -> None:
    look = "dpkg-query -W -f '${Status}' own-thing; ls -d /opt/own /etc/thing.conf 2>/dev/null"
    ended, seen = do(tmp_path, sh + PACKAGE, "remove_package", manager=manager, package="own-thing", after=look)
    assert (ended, seen) == (Ended("done"), "deinstall ok config-files/etc/thing.conf\n")
    ended, seen = do(
        tmp_path,
        sh + PACKAGE,
        "remove_package",
        manager=manager,
        package="own-thing",
        purge="yes",
        after=f"{{ {look}; }} 2>/dev/null",
    )
    assert (ended, seen) == (Ended("done"), "")


def test_a_package_that_says_no(tmp_path: Path) -> None:
    look = "dpkg-query -W -f '${Status}' own-thing"
    prepare = PACKAGE + ": >/run/refuse\n"
    ended, seen = do(tmp_path, prepare, "remove_package", manager="dpkg", package="own-thing", after=look)
    fails(ended, "prerm_failed", "thing says no")
    assert seen.split()[1:] == ["ok", "installed"]


def test_a_package_that_is_not_there(tmp_path: Path) -> None:
    assert do(tmp_path, "", "remove_package", manager="apt", package="no-such-thing")[0] == Ended("already")
    ended, _ = do(
        tmp_path, "", "confirm_absent", product="x", packages=["no-such-thing"], programs=["/opt/no/such/thing"]
    )
    assert ended == Ended("done")


def test_no_database_that_could_be_asked(tmp_path: Path) -> None:
    """Unknown is never gone."""
    prepare = "rm -rf /var/lib/dpkg /usr/bin/dpkg-query /var/lib/rpm /usr/lib/sysimage/rpm\n"
    ended, _ = do(tmp_path, prepare, "confirm_absent", product="x", packages=["own-thing"])
    fails(ended, "database_broken")


# --- purge_path

TREE = """mkdir -p /opt/own/x/a/b /opt/own/x/keep/in /opt/own/x/.hidden /srv/else
echo 1 >/opt/own/x/a/b/1; echo 2 >'/opt/own/x/two
lines'; echo 3 >/opt/own/x/keep/in/3; echo 4 >/opt/own/x/keep/4; echo 5 >/srv/else/5
ln -s /srv/else /opt/own/x/out; ln -s /srv/else /opt/own/link; ln -s /gone /opt/own/x/dangling
ln -s keep /opt/own/x/to-keep
mkdir -p /opt/own/install_1 /opt/own/install_2; ln -s install_2 /opt/own/install-current; : >/opt/own/other
"""
SEE = "cd /; find opt/own srv/else | LC_ALL=C sort"


def left(seen: str) -> set[str]:
    return {line.removeprefix("opt/own/") for line in seen.splitlines()} - {"opt/own"}


ALL = {"install_1", "install_2", "install-current", "other", "link", "srv/else", "srv/else/5"}


def test_a_tree_goes_and_links_are_not_followed(tmp_path: Path) -> None:
    ended, seen = do(tmp_path, TREE, "purge_path", path="/opt/own/x", after=SEE)
    assert ended == Ended("done")
    assert left(seen) == ALL


def test_what_is_to_be_kept_stays_with_its_folders(sh: str, tmp_path: Path) -> None:
    ended, seen = do(tmp_path, sh + TREE, "purge_path", path="/opt/own/x", keep=["/opt/own/x/keep/in"], after=SEE)
    assert ended == Ended("done")
    assert left(seen) == ALL | {"x", "x/keep", "x/keep/in", "x/keep/in/3"}


def test_what_is_to_be_kept_behind_a_link(tmp_path: Path) -> None:
    """The link stays, and what it leads to."""
    ended, seen = do(tmp_path, TREE, "purge_path", path="/opt/own/x", keep=["/opt/own/x/to-keep/in"], after=SEE)
    assert ended == Ended("done")
    assert left(seen) == ALL | {"x", "x/to-keep", "x/keep", "x/keep/in", "x/keep/in/3"}


def test_a_kept_path_that_is_not_there_keeps_nothing(tmp_path: Path) -> None:
    ended, seen = do(tmp_path, TREE, "purge_path", path="/opt/own/x", keep=["/opt/own/x/no/such"], after=SEE)
    assert ended == Ended("done")
    assert left(seen) == ALL


def test_everything_is_to_be_kept(tmp_path: Path) -> None:
    ended, _ = do(tmp_path, TREE, "purge_path", path="/opt/own/x/keep", keep=["/opt/own/x"])
    assert ended == Ended("already")


def test_a_pattern_is_one_of_last_names(sh: str, tmp_path: Path) -> None:
    ended, seen = do(tmp_path, sh + TREE, "purge_path", path="/opt/own/install*", after=SEE)
    assert ended == Ended("done")
    assert not any(name.startswith("install") for name in left(seen))
    assert "other" in left(seen)
    assert do(tmp_path, sh + TREE, "purge_path", path="/opt/own/nothing*")[0] == Ended("already")


def test_a_link_goes_and_not_what_it_leads_to(tmp_path: Path) -> None:
    ended, seen = do(tmp_path, TREE, "purge_path", path="/opt/own/link", after=SEE)
    assert ended == Ended("done")
    assert {"srv/else/5"} <= left(seen)
    assert "link" not in left(seen)


@pytest.mark.parametrize(
    ("path", "failure"),
    [
        ("/opt/own/link/5", "linked_parent"),
        ("/opt/own/x/../../../srv/else", "not_known"),
        ("/opt/own/./x", "not_known"),
        ("//opt/own/x", "not_known"),
        ("opt/own/x", "not_known"),
        ("/opt/*/x", "not_known"),
        ("/opt/own/..", "not_known"),
        ("/opt/own", "not_known"),
        ("/opt", "not_known"),
        ("/o*", "not_known"),
        ("/", "not_known"),
        ("", "not_known"),
    ],
)
def test_paths_that_are_refused(path: str, failure: str, tmp_path: Path) -> None:
    ended, seen = do(tmp_path, TREE, "purge_path", path=path, after=SEE)
    fails(ended, failure)
    assert {"x/a/b/1", "srv/else/5", "other"} <= left(seen)


def test_a_file_may_lie_near_the_root(tmp_path: Path) -> None:
    made = "mkdir -p /run/own; : >/run/own.socket; : >/run/own/pid\n"
    ended, seen = do(tmp_path, made, "purge_path", path="/run/own.socket", after="ls -d /run/own*")
    assert (ended, seen) == (Ended("done"), "/run/own\n")
    if os.path.islink("/var/run"):  # a link that systems have
        assert do(tmp_path, made, "purge_path", path="/var/run/own/pid")[0] == Ended("done")


def test_a_mount_at_the_path_or_below(sh: str, tmp_path: Path) -> None:
    mounts = "mkdir -p '/opt/own/x/m n'; mount -t tmpfs own '/opt/own/x/m n'; : >'/opt/own/x/m n/precious'\n"
    for path in ("/opt/own/x", "/opt/own/x/m n", "/opt/own/*"):
        ended, seen = do(tmp_path, sh + TREE + mounts, "purge_path", path=path, after=SEE)
        fails(ended, "foreign_mount", "/opt/own/x/m n")
        assert {"x/m n/precious", "x/a/b/1"} <= left(seen)


def test_a_read_only_place(tmp_path: Path) -> None:
    made = TREE + "mount --bind /opt/own /opt/own; mount -o remount,bind,ro /opt/own\n"
    fails(do(tmp_path, made, "purge_path", path="/opt/own/x")[0], "read_only")


def test_our_own_staging_folder(tmp_path: Path) -> None:
    made = "mkdir -p -m 700 /var/lib/evict.kaspersky; cd /var/lib/evict.kaspersky\n"
    made += "mkdir -p -m 700 staging/a/b kept; : >staging/.x; : >kept/y\n"
    ended, seen = do(tmp_path, made, "remove_staged", after="cd /var/lib/evict.kaspersky; find staging kept")
    assert ended == Ended("done")
    assert seen.split() == ["staging", "kept", "kept/y"]
    assert do(tmp_path, "", "remove_staged")[0] == Ended("already")


# --- accounts


def test_groups(sh: str, tmp_path: Path) -> None:
    made = "printf 'own:x:4711:\\nfull:x:4712:daemon\\nmain:x:4713:\\n' >>/etc/group; : >/etc/gshadow\n"
    made += "printf 'somebody:x:4714:4713::/:/bin/false\\n' >>/etc/passwd\n"
    look = "grep -c -e ^own: -e ^full: -e ^main: /etc/group"
    assert do(tmp_path, sh + made, "purge_group", group="own", after=look) == (Ended("done"), "2\n")
    assert do(tmp_path, sh, "purge_group", group="own")[0] == Ended("already")
    for group, word in (("full", "daemon"), ("main", "somebody")):
        ended, seen = do(tmp_path, sh + made, "purge_group", group=group, after=look)
        fails(ended, "in_use", word)
        assert seen == "3\n"


def test_accounts(sh: str, tmp_path: Path) -> None:
    made = (
        "printf 'own:x:4711:4711::/srv:/bin/false\\ntwin:x:4712:100::/:/bin/false\\ntwin2:x:4712:100::/:/bin/false\\n'"
    )
    made += " >>/etc/passwd; printf 'own:x:4711:\\n' >>/etc/group\n"
    look = "grep -c -e ^own: -e ^twin /etc/passwd; ls -d /srv"
    assert do(tmp_path, sh + made, "purge_user", user="own", after=look) == (Ended("done"), "2\n/srv\n")
    assert do(tmp_path, sh, "purge_user", user="own")[0] == Ended("already")
    fails(do(tmp_path, sh + made, "purge_user", user="twin")[0], "in_use", "twin2")
    shared = made + "printf 'guest:x:4713:4711::/:/bin/false\\n' >>/etc/passwd\n"
    fails(do(tmp_path, sh + shared, "purge_user", user="own")[0], "in_use", "guest")


def test_an_account_that_owns_a_process(tmp_path: Path) -> None:
    made = "printf 'own:x:4711:4711::/srv:/bin/false\\n' >>/etc/passwd\n"
    busy = "setpriv --reuid=4711 --clear-groups --inh-caps=-all sleep 60 </dev/null >/dev/null 2>&1 &\nsleep 0.3"
    fails(do(tmp_path, made, "purge_user", user="own", before=busy)[0], "in_use", "process")


@pytest.mark.parametrize("name", ["root", "", "-r", "a b", "a:b", "*"])
def test_names_that_are_no_accounts(name: str, tmp_path: Path) -> None:
    fails(do(tmp_path, "", "purge_user", user=name)[0], "not_known")
    fails(do(tmp_path, "", "purge_group", group=name)[0], "not_known")


# --- chains


@pytest.fixture
def legacy() -> None:
    words = ["unshare", "--net", "iptables-legacy", "-t", "mangle", "-N", "x"]
    if os.geteuid() != 0 or shutil.which(words[2]) is None or subprocess.run(words, check=False).returncode != 0:
        pytest.skip("needs root, iptables-legacy and a kernel with its tables: chains of a real packet filter")


def chain(folder: Path, made: str, name: str = "own_bypass", after: str = "") -> tuple[Ended, str]:
    """In a network of the test's own: this very process leaves the machine's first, then makes the chains."""

    if os.geteuid() != 0:
        pytest.skip("needs root: only root performs")
    seen: list[str] = []

    def run(text: str) -> str:
        whole = f"{made}\n(\n{text})\necho SEEN\n{after}\n:\n"
        answer, _mark, rest = (
            raw_look(folder, MACHINE, shell=("unshare", "--net", "/bin/sh"), text=whole).decode().partition("SEEN\n")
        )
        seen.append(rest)
        return answer

    return perform(run, "purge_chain", {"table": "mangle", "chain": name}, timeout=30), seen[0]


MADE = "iptables-legacy -t mangle -N own_bypass; ip6tables-legacy -t mangle -N own_bypass"
LOOK = "iptables-legacy -t mangle -S | grep own; ip6tables-legacy -t mangle -S | grep own"


def test_an_empty_chain_goes_from_both_families(tmp_path: Path, legacy: None) -> None:
    assert chain(tmp_path, MADE, after=LOOK) == (Ended("done"), "")
    assert chain(tmp_path, MADE, "other_bypass", LOOK) == (Ended("already"), "-N own_bypass\n-N own_bypass\n")


def test_a_chain_with_rules_or_in_use_stays(tmp_path: Path, legacy: None) -> None:
    for rule in ("-A own_bypass -p tcp -j ACCEPT", "-A PREROUTING -j own_bypass"):
        ended, seen = chain(tmp_path, f"{MADE}; ip6tables-legacy -t mangle {rule}", after=LOOK)
        fails(ended, "in_use", rule.rpartition(" ")[0])
        assert rule in seen


NFT_MADE = "iptables-nft -t mangle -N own_bypass; ip6tables-nft -t mangle -N own_bypass"
NFT_LOOK = "nft list chains | grep own_bypass"


@pytest.fixture
def nft() -> None:
    words = ["unshare", "--net", "iptables-nft", "-t", "mangle", "-N", "x"]
    found = all(shutil.which(name) for name in ("iptables-nft", "nft"))
    if os.geteuid() != 0 or not found or subprocess.run(words, check=False, capture_output=True).returncode != 0:
        pytest.skip("needs root, iptables-nft, nft and a kernel with nf_tables: chains of a real packet filter")


def test_chains_of_the_newer_filter(tmp_path: Path, nft: None) -> None:
    assert chain(tmp_path, NFT_MADE, after=NFT_LOOK) == (Ended("done"), "")
    ended, seen = chain(tmp_path, f"{NFT_MADE}; iptables-nft -t mangle -A own_bypass -p tcp -j ACCEPT", after=NFT_LOOK)
    fails(ended, "in_use", "-p tcp")
    assert seen.count("own_bypass") >= 1


def test_no_table_is_loaded(tmp_path: Path) -> None:
    """Nobody is asked then, since asking would load it."""
    ended, seen = chain(tmp_path, ":", after="cat /proc/net/ip_tables_names 2>/dev/null")
    assert (ended, seen) == (Ended("already"), "")


def test_names_that_are_no_chains(tmp_path: Path) -> None:
    for name in ("INPUT", "-F", "a b", ""):
        fails(chain(tmp_path, ":", name)[0], "not_known")


# --- scripts of init

INIT = """cat >/etc/init.d/own <<'END'
#!/bin/sh
case $1 in
  start) sleep 300 </dev/null >/dev/null 2>&1 & echo $! >/run/own.pid ;;
  stop) [ -e /run/stuck ] || { kill $(cat /run/own.pid); rm /run/own.pid; } ;;
  status) STATUS ;;
esac
END
chmod 755 /etc/init.d/own
"""
KNOWS = INIT.replace("STATUS", "[ -e /run/own.pid ] && kill -0 $(cat /run/own.pid) || exit 3")
SILENT = INIT.replace("STATUS", "echo 'usage: start or stop' >&2; exit 2")


def test_a_script_of_init_stops(sh: str, tmp_path: Path) -> None:
    start = "/etc/init.d/own start"
    look = "ls /run/own.pid 2>/dev/null"
    ended, seen = do(tmp_path, sh + KNOWS, "stop_unit", unit="own.service", before=start, after=look)
    assert (ended, seen) == (Ended("done"), "")
    assert do(tmp_path, sh + KNOWS, "stop_unit", unit="own.service")[0] == Ended("already")
    assert do(tmp_path, sh, "stop_unit", unit="own.service")[0] == Ended("already")


def test_a_script_of_init_that_does_not_stop(tmp_path: Path) -> None:
    start = "/etc/init.d/own start; : >/run/stuck"
    fails(do(tmp_path, KNOWS, "stop_unit", timeout=8, unit="own", before=start)[0], "unit_stuck")


def test_a_script_of_init_without_a_status(tmp_path: Path) -> None:
    ended, seen = do(
        tmp_path,
        SILENT,
        "stop_unit",
        unit="own",
        before="/etc/init.d/own start",
        after="ls /run/own.pid 2>/dev/null",
    )
    assert (ended.status, seen) == ("done", "")
    assert "status" in ended.notes["unverified"]
