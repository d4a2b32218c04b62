# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts in a bad way: how each is made, as whom it is asked, and what an audit may say of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

KILLER = """#!/usr/bin/perl
sub parent { open my $f, '<', "/proc/$_[0]/stat" or return 0; <$f> =~ /.*\\) \\S (\\d+)/; $1 }
sub name { open my $f, '<', "/proc/$_[0]/comm" or return ''; my $n = <$f>; chomp $n; $n }
my @above; for (my $p = getppid; $p > 1; $p = parent($p)) { push @above, $p }
"""


def instead_of_dpkg_query(perl: str) -> str:
    """A script that puts a Perl program in the place of dpkg-query; ``@above`` are the processes above it."""
    return f"cat > /usr/bin/dpkg-query <<'X'\n{KILLER}{perl}\nX\nchmod 755 /usr/bin/dpkg-query"


@dataclass(frozen=True, kw_only=True)
class Rough:
    """One host.

    Attributes:
        why: what is wrong with it.
        script: makes it so, as root; ``$PACKAGES`` are installed before.
        verdicts: what an audit may say; `absent` is never among them, since all but the clean ones have the product.
        words: what the reasons must hold.
        product: is the product installed?
        options: of the lab's host.
        variables: further ones of the inventory.
        user: who asks.
    """

    why: str
    script: str
    verdicts: tuple[str, ...]
    words: str = ""
    product: bool = True
    options: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    user: str = "root"


SEEN = ("present",)
UNKNOWN = ("unknown",)
# The journal and the product hold files open for writing.
READ_ONLY = """systemctl stop systemd-journald.socket systemd-journald-dev-log.socket systemd-journald 2>&1
for i in 1 2 3 4 5 6 7 8 9 10; do mount -o remount,ro / 2> /dev/null && break; sleep 0.2; done
! touch /x 2> /dev/null"""
FILL = "head -c 100M /dev/zero > /filler 2> /dev/null || :; echo x > /more 2> /dev/null && exit 9; : "
DIRECT: Mapping[str, Rough] = {
    "observer_killed": Rough(
        why="the sh of the scan and all above it up to sshd are killed in the middle",
        script=instead_of_dpkg_query("kill 9, grep { name($_) eq 'sh' } @above; sleep 1"),
        product=False,
        verdicts=(*UNKNOWN, "unreachable"),
    ),
    "all_shells_killed": Rough(
        why="every sh of the host is killed, the one that collects the answers too",
        script=instead_of_dpkg_query("exec 'pkill', '-9', '-x', 'sh'"),
        product=False,
        verdicts=(*UNKNOWN, "unreachable"),
    ),
    "probe_killed": Rough(
        why="one probe is killed",
        script=instead_of_dpkg_query("kill 9, $above[0]"),
        product=False,
        verdicts=UNKNOWN,
        words="packages.dpkg",
    ),
    "connection_cut": Rough(
        why="the connection's sshd is killed in the middle",
        script=instead_of_dpkg_query("kill 9, grep { name($_) eq 'sshd' } @above"),
        product=False,
        verdicts=(*UNKNOWN, "unreachable"),
    ),
    "dpkg_sleeps": Rough(
        why="dpkg-query never ends and cannot be asked to",
        script=instead_of_dpkg_query("$SIG{TERM} = 'IGNORE'; sleep 100000"),
        product=False,
        verdicts=UNKNOWN,
        words="did not answer in 4 s",
    ),
    "dpkg_stopped": Rough(
        why="dpkg-query is stopped; the product runs",
        script=instead_of_dpkg_query("kill 'STOP', $$"),
        verdicts=SEEN,
        words="did not answer in 4 s",
    ),
    "dead_mount": Rough(
        why="/opt/kaspersky is a mount whose server never answers",
        script="mkdir -p /opt/kaspersky",
        product=False,
        verdicts=UNKNOWN,
        words="did not answer in 4 s",
    ),
    "disk_full": Rough(
        why="no byte is left on /, /tmp and home among it",
        script=FILL,
        options=("small-root",),
        verdicts=SEEN,
        words="kesl running",
    ),
    "disk_full_by_file": Rough(
        why="the same, and the script would have to be a file",
        script=FILL,
        options=("small-root",),
        verdicts=UNKNOWN,
        words="is full: make room",
        variables={"ansible_pipelining": "false"},
    ),
    "read_only": Rough(
        why="/ is read-only",
        script=READ_ONLY,
        verdicts=SEEN,
        words="kesl running",
    ),
    "read_only_by_file": Rough(
        why="the same, and the script would have to be a file",
        script=READ_ONLY,
        verdicts=UNKNOWN,
        words="is read-only: set it to a folder",
        variables={"ansible_pipelining": "false"},
    ),
    "no_proc": Rough(
        why="/proc is not mounted",
        script="umount -l /proc",
        verdicts=SEEN,
        words="/proc is not mounted",
    ),
    "no_proc_clean": Rough(
        why="the same on a clean host",
        script="umount -l /proc",
        product=False,
        verdicts=UNKNOWN,
        words="/proc is not mounted",
    ),
    "crowd": Rough(
        why="5,000 processes, and the product's among them",
        script="perl -e 'for (1 .. 5000) { fork // die or do { sleep 1e5; exit } } sleep 1e5' > /dev/null 2>&1 &\n"
        "for i in $(seq 200); do [ $(ls -d /proc/[0-9]* | wc -l) -gt 5000 ] && break; sleep 0.1; done\n"
        "[ $(ls -d /proc/[0-9]* | wc -l) -gt 5000 ]",
        verdicts=SEEN,
        words="kesl running",
    ),
    "long_words": Rough(
        why="processes with two megabytes of arguments, names as long as may be",
        script="perl -e '$x = q(x) x 100000; "
        'for (1 .. 20) { fork or exec "perl", "-e", "sleep 100000", ($x) x 18 }\' > /dev/null 2>&1\n'
        "n=$(printf %0255d 0); mkdir -p /opt/kaspersky/$n/bin; cp /bin/true /opt/kaspersky/$n/bin/$n",
        verdicts=SEEN,
        words="kesl running",
    ),
}

# Further users of one host, all but `pathless` with the rights of root: what their login brings along -> Rough.
SILENT = "ls command test [ printf read cat kill readlink id uname dpkg-query echo cd type env"
ENVIRONMENTS: Mapping[str, tuple[str, ...]] = {
    "turkish": ("LC_ALL=tr_TR.UTF-8", "LANG=tr_TR.UTF-8"),
    "japanese": ("LC_ALL=ja_JP.SJIS", "LANG=ja_JP.SJIS"),
    "nowhere": ("LC_ALL=xx_YY.nonsense", "LANG=", "LANGUAGE=tlh"),
    "binonly": ("PATH=/bin",),
    "nopath": ("PATH=",),
    "wrongpath": ("PATH=/nonexistent",),
    "functions": tuple(f"BASH_FUNC_{name}%%=() {{ :; }}" for name in SILENT.split()),
    "settings": (
        "DPKG_ADMINDIR=/nonexistent",
        "DPKG_ROOT=/nonexistent",
        "RPM_CONFIGDIR=/nonexistent",
        "POSIXLY_CORRECT=1",
        "QUOTING_STYLE=shell-always",
        "TIME_STYLE=+x",
        "CDPATH=/:/opt",
        "ENV=/etc/evil",
        "BASH_ENV=/etc/evil",
        "SYSTEMD_COLORS=1",
        "GLOBIGNORE=*",
        "IFS=/",
    ),
    "busybox": (),
    "pathless": ("PATH=/nonexistent",),
    "german": ("LC_ALL=de_DE.UTF-8", "LANG=de_DE.UTF-8"),
    "sjis": ("LC_ALL=ja_JP.SJIS", "LANG=ja_JP.SJIS"),
}
ORDINARY = ("pathless", "german", "sjis")


def environments(password: str) -> str:
    """The script that makes them, on a host whose sh is bash, and a root of busybox alone for one of them."""
    lines = [
        "ln -sfn bash /usr/bin/sh; [ /bin/sh -ef /bin/bash ]",
        "echo 'echo() { :; }; ls() { :; }; alias sh=false; shopt -s expand_aliases' > /etc/evil",
        "mkdir -p /srv/bb/bin /srv/bb/proc /srv/bb/dev /srv/bb/root /srv/bb/etc /srv/bb/opt/kaspersky/kesl/libexec",
        "cp /bin/busybox /srv/bb/bin; cp /bin/busybox /srv/bb/opt/kaspersky/kesl/libexec/kesl",
        "chroot /srv/bb /bin/busybox --install -s /bin; touch /srv/bb/dev/null",
        "mount --bind /dev/null /srv/bb/dev/null; mount -t proc proc /srv/bb/proc",
        "grep ^root: /etc/passwd > /srv/bb/etc/passwd; echo root:x:0: > /srv/bb/etc/group",
    ]
    config = []
    for user, settings in ENVIRONMENTS.items():
        shell = "/bin/sh" if user == "busybox" else "/bin/bash"
        lines.append(f"useradd -m -s {shell} {'' if user in ORDINARY else '-o -u 0 -g 0'} {user}")
        lines.append(f"echo '{user}:{password}' | chpasswd")
        config.append(f"Match User {user}")
        if settings:
            config.append("  SetEnv " + " ".join(f'"{setting}"' for setting in settings))
        if user == "busybox":
            config.append("  ChrootDirectory /srv/bb")
    for user in ORDINARY:
        rights = "NOPASSWD: ALL" if user == "pathless" else "ALL"
        lines.append(f"echo '{user} ALL=(ALL:ALL) {rights}' > /etc/sudoers.d/{user}; chmod 440 /etc/sudoers.d/{user}")
    text = "\n".join(config)
    lines.append(f"cat > /etc/ssh/sshd_config.d/40-users.conf <<'X'\n{text}\nX\nsshd -t; systemctl reload ssh")
    return "\n".join(lines)
