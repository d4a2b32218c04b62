# SPDX-License-Identifier: GPL-3.0-or-later
"""Named states a Linux host can be in, what an audit has to say of each, and how to show by other means that it is.

state = STATES["rc"]
state.make(host)                      # the host must be fresh
for check in state.checks: host.run(check)
state.expected.verdict, state.expected.products, state.expected.unknown
"""

from __future__ import annotations

from collections.abc import Mapping

from .state import ABSENT, DEB, INSTALL, RPM, Expected, State, leftovers, present
from .states_around import AROUND

KESL_RUNS = "systemctl is-active kesl && readlink /proc/*/exe | grep -x /opt/kaspersky/kesl/libexec/kesl"
AGENT_RUNS = "systemctl is-active klnagent64 && readlink /proc/*/exe | grep -x /opt/kaspersky/klnagent64/sbin/klnagent"
NOTHING_RUNS = "! readlink /proc/*/exe | grep -E '^(/var)?/opt/kaspersky/'"
NO_PACKAGE = "! dpkg-query -W -f '${Package}|${Status}\\n' | grep -E '^(kesl|klnagent)[^|]*\\|'"


UNPACK_BY_HAND = "dpkg-deb -x $PACKAGES /; ln -s install_12.1.0.1297 /var/opt/kaspersky/kesl/install-current\n"
START_BY_HAND = "/var/opt/kaspersky/kesl/install-current/etc/init.d/kesl start"

_PRODUCTS: dict[str, State] = {
    "clean": State(
        why="nothing of the vendor's",
        roots=(*DEB, *RPM),
        script=":",
        checks=("! find / -xdev -iname '*kaspersky*' | grep -v -e /proc/ -e /etc/fake-kaspersky", NOTHING_RUNS),
        expected=ABSENT,
    ),
    "decoy": State(
        why="a harmless package that mentions the vendor and runs a process named kesl from a place of its own",
        roots=(*DEB, *RPM),
        install=("harmless",),
        script=INSTALL,
        checks=("systemctl is-active harmless", "readlink /proc/*/exe | grep -x /usr/lib/harmless/kesl"),
        expected=ABSENT,
    ),
    "kesl": State(
        why="the endpoint product runs",
        roots=(*DEB, *RPM),
        install=("kesl",),
        script=INSTALL,
        checks=(KESL_RUNS, "test -S /run/bl4control && test -s /run/wdserver.pid", "getent group kesladmin nokesl"),
        expected=present({"kesl": "running"}),
    ),
    "klnagent64": State(
        why="the management agent runs",
        roots=(*DEB, *RPM),
        install=("klnagent64",),
        script=INSTALL,
        checks=(AGENT_RUNS, "grep -F '[1103]' /var/opt/kaspersky/applications.setup"),
        expected=present({"klnagent64": "running"}),
    ),
    "everything": State(
        why="product, its interface and the agent; the interface does not run",
        roots=(*DEB, *RPM),
        install=("kesl", "kesl-gui", "klnagent64"),
        script=INSTALL,
        checks=(KESL_RUNS, AGENT_RUNS, "test -x /opt/kaspersky/kesl/libexec/kesl-gui"),
        expected=present({"kesl": "running", "kesl-gui": "installed", "klnagent64": "running"}),
    ),
    "stopped": State(
        why="installed, stopped and disabled",
        roots=(*DEB, *RPM),
        install=("kesl",),
        script=f"{INSTALL}; systemctl disable --now kesl",
        checks=("! systemctl is-active kesl", NOTHING_RUNS, "test -x /opt/kaspersky/kesl/libexec/kesl"),
        expected=present({"kesl": "installed"}),
    ),
    "masked": State(
        why="stopped and masked",
        roots=DEB,
        install=("klnagent64",),
        script=f"{INSTALL}; systemctl disable --now klnagent64; systemctl mask klnagent64",
        checks=("test /dev/null -ef /etc/systemd/system/klnagent64.service", NOTHING_RUNS),
        expected=present({"klnagent64": "installed"}),
    ),
    "hold": State(
        why="held back from upgrades (hi)",
        roots=DEB,
        install=("kesl",),
        script=f"{INSTALL}; echo kesl hold | dpkg --set-selections",
        checks=("dpkg -l kesl | grep ^hi", KESL_RUNS),
        expected=present({"kesl": "running"}),
    ),
    "rc": State(
        why="removed, not purged: dpkg keeps the entry and the state folder stays",
        roots=DEB,
        install=("kesl",),
        script=f"{INSTALL}; dpkg -r kesl",
        checks=("dpkg -l kesl | grep ^rc", NOTHING_RUNS, "test -d /var/opt/kaspersky/kesl/common"),
        expected=leftovers("kesl"),
    ),
    "unpacked": State(
        why="unpacked, never configured (iU)",
        roots=DEB,
        install=("klnagent64",),
        script="dpkg --unpack $PACKAGES",
        checks=("dpkg -l klnagent64 | grep ^iU", NOTHING_RUNS),
        expected=present({"klnagent64": "broken"}),
    ),
    "half_configured": State(
        why="its postinst failed (iF); the launcher had run, nothing else",
        roots=DEB,
        install=("kesl",),
        script=f"touch /etc/fake-kaspersky/postinst-fail; if {INSTALL}; then exit 9; fi",
        checks=("dpkg -l kesl | grep ^iF", NOTHING_RUNS),
        expected=present({"kesl": "broken"}),
    ),
    "removal_failed": State(
        why="its prerm failed during a purge: it stays installed (pi) and runs",
        roots=DEB,
        install=("kesl",),
        script=f"{INSTALL}; touch /etc/fake-kaspersky/prerm-fail; if dpkg -P kesl; then exit 9; fi",
        checks=("dpkg -l kesl | grep ^pi", KESL_RUNS),
        expected=present({"kesl": "running"}),
    ),
    "reinstall_required": State(
        why="dpkg was killed while it unpacked (iHR)",
        roots=DEB,
        install=("klnagent64",),
        script="dpkg --unpack $PACKAGES; sed -i '/^Package: klnagent64$/,/^$/"
        "s/^Status: .*/Status: install reinstreq half-installed/' /var/lib/dpkg/status",
        checks=("dpkg -l klnagent64 | grep ^iHR",),
        expected=present({"klnagent64": "broken"}),
    ),
    "files_gone": State(
        why="somebody deleted the trees; the package manager still has the package",
        roots=(*DEB, *RPM),
        install=("klnagent64",),
        script=f"{INSTALL}; systemctl stop klnagent64; rm -rf /opt/kaspersky /var/opt/kaspersky /etc/opt/kaspersky",
        checks=("dpkg -l klnagent64 | grep ^ii || rpm -q klnagent64", "test ! -e /opt/kaspersky", NOTHING_RUNS),
        expected=present({"klnagent64": "broken"}),
    ),
    "unit_left": State(
        why="the package is gone; unit, folders, groups and a dangling link are left, no program",
        roots=DEB,
        install=("kesl",),
        script=f"{INSTALL}; cp /etc/systemd/system/kesl.service /root/; dpkg -P kesl\n"
        "mv /root/kesl.service /etc/systemd/system/\n"
        "mkdir -p /opt/kaspersky/kesl/doc /var/opt/kaspersky/kesl/common; groupadd --system kesladmin\n"
        "ln -s /opt/kaspersky/kesl/bin/kesl-control /usr/bin/kesl-control; systemctl daemon-reload",
        checks=(NO_PACKAGE, "systemctl cat kesl.service", "test ! -e /opt/kaspersky/kesl/libexec/kesl", NOTHING_RUNS),
        expected=leftovers("kesl"),
    ),
    "purge_left_programs": State(
        why="purged, and yet the launcher's copy of the programs is there: it can be started again",
        roots=DEB,
        install=("kesl",),
        script=f"{INSTALL}; touch /etc/fake-kaspersky/leftovers; dpkg -P kesl",
        checks=(NO_PACKAGE, "test -x /opt/kaspersky/kesl/libexec/kesl", NOTHING_RUNS),
        expected=present({"kesl": "installed"}),
    ),
    "rpm_removed": State(
        why="removed by rpm, which has no purge: data, settings and logs stay",
        roots=RPM,
        install=("kesl", "klnagent64"),
        script=f"{INSTALL}; rpm -e kesl; rpm -e klnagent64",
        checks=("! rpm -q kesl", "! rpm -q klnagent64", NOTHING_RUNS, "test -d /var/opt/kaspersky/klnagent/1103"),
        expected=leftovers("kesl", "klnagent64"),
    ),
    "foreign_architecture": State(
        why="the 32-bit agent on a 64-bit host; the data folders of both agents are the same",
        roots=DEB,
        install=("klnagent",),
        script=f"dpkg --add-architecture i386; {INSTALL}",
        checks=(
            "dpkg -l klnagent:i386 | grep ^ii",
            "readlink /proc/*/exe | grep -x /opt/kaspersky/klnagent/sbin/klnagent",
        ),
        expected=present({"klnagent": "running", "klnagent64": "leftover"}),
    ),
    "unknown_product": State(
        why="a product of the vendor's that no entry knows",
        roots=(*DEB, *RPM),
        script="install -D -m 755 /bin/true /opt/kaspersky/newproduct/bin/newproduct",
        checks=("test -x /opt/kaspersky/newproduct/bin/newproduct", NOTHING_RUNS),
        expected=present({"kaspersky": "installed"}),
    ),
    "by_hand": State(
        why="unpacked by hand and started: no package database knows it",
        roots=DEB,
        install=("kesl",),
        script=UNPACK_BY_HAND + START_BY_HAND,
        checks=(
            NO_PACKAGE,
            "readlink /proc/*/exe | grep -x /opt/kaspersky/kesl/libexec/kesl",
            "! systemctl is-active kesl",
        ),
        expected=present({"kesl": "running"}),
    ),
    "deleted_program": State(
        why="everything was deleted, and the process runs on",
        roots=DEB,
        install=("kesl",),
        script=f"{UNPACK_BY_HAND}{START_BY_HAND}; rm -rf /opt/kaspersky /var/opt/kaspersky\n"
        "rm /etc/systemd/system/kesl.service /etc/init.d/kesl /usr/bin/kesl-control /run/bl4control /run/wdserver.pid",
        checks=(
            "readlink /proc/*/exe | grep -x '/opt/kaspersky/kesl/libexec/kesl (deleted)'",
            "test ! -e /opt/kaspersky",
        ),
        expected=present({"kesl": "running"}),
    ),
    "behind_link": State(
        why="/opt/kaspersky is a link to another mount, so the process shows another path",
        roots=(*DEB, *RPM),
        install=("kesl",),
        script="mkdir /srv/big; mount -t tmpfs big /srv/big; mkdir /srv/big/kaspersky\n"
        "ln -s /srv/big/kaspersky /opt/kaspersky\n" + INSTALL,
        checks=("systemctl is-active kesl", "readlink /proc/*/exe | grep -x /srv/big/kaspersky/kesl/libexec/kesl"),
        expected=present({"kesl": "running"}),
    ),
    "in_container": State(
        why="a container on the host runs the product; the host itself has nothing",
        roots=(*DEB, *RPM),
        install=("kesl",),
        # A root of its own on a mount that only the container sees: the process shows the very path of a product.
        script="""mkdir /srv/build; cd /srv/build
if command -v dpkg-deb; then dpkg-deb -x $PACKAGES .; else rpm2archive - < $PACKAGES | tar xz; fi
cp var/opt/kaspersky/kesl/install_*/opt/kaspersky/kesl/libexec/kesl /srv/program; cd /; rm -rf /srv/build
unshare --mount --propagation private sh -ec '
  mount -t tmpfs container /mnt; cd /mnt; mkdir -p opt/kaspersky/kesl/libexec dev old; touch dev/null
  mount --bind /dev/null dev/null; cp /srv/program opt/kaspersky/kesl/libexec/kesl
  pivot_root . old; cd /; exec /opt/kaspersky/kesl/libexec/kesl'
rm /srv/program""",
        checks=("readlink /proc/*/exe | grep -x /opt/kaspersky/kesl/libexec/kesl", "test ! -e /opt/kaspersky"),
        expected=ABSENT,
    ),
    "chroot": State(
        why="a process below a changed root on the host's own file system",
        roots=DEB,
        install=("kesl",),
        script="""mkdir -p /srv/jail/dev; dpkg-deb -x $PACKAGES /srv/jail
touch /srv/jail/dev/null; mount --bind /dev/null /srv/jail/dev/null; mkdir -p /srv/jail/opt
mv /srv/jail/var/opt/kaspersky/kesl/install_*/opt/kaspersky /srv/jail/opt/
chroot /srv/jail /opt/kaspersky/kesl/libexec/kesl""",
        checks=("readlink /proc/*/exe | grep -x /srv/jail/opt/kaspersky/kesl/libexec/kesl", "test ! -e /opt/kaspersky"),
        expected=ABSENT,
    ),
    "corrupt_dpkg": State(
        why="dpkg's database cannot be read; nothing of the vendor's besides",
        roots=DEB,
        script="printf 'Package: \\377 broken\\nthis is not a field\\n' >> /var/lib/dpkg/status",
        checks=("! dpkg-query -W",),
        expected=Expected(verdict="unknown", unknown=frozenset({"packages.dpkg"})),
    ),
    "corrupt_dpkg_kesl": State(
        why="dpkg's database cannot be read, and the product runs",
        roots=DEB,
        install=("kesl",),
        script=f"{INSTALL}; printf 'Package: \\377 broken\\nthis is not a field\\n' >> /var/lib/dpkg/status",
        checks=("! dpkg-query -W", KESL_RUNS),
        expected=present({"kesl": "running"}, "packages.dpkg"),
    ),
    "lost_dpkg": State(
        why="dpkg's status file is gone, its lists are there",
        roots=DEB,
        script="rm /var/lib/dpkg/status",
        checks=("test ! -e /var/lib/dpkg/status", "test -e /var/lib/dpkg/info/dpkg.list"),
        expected=Expected(verdict="unknown", unknown=frozenset({"packages.dpkg"})),
    ),
    "corrupt_rpm": State(
        why="rpm's database cannot be read",
        roots=RPM,
        script="dd if=/dev/urandom of=/var/lib/rpm/rpmdb.sqlite bs=4096 count=4 conv=notrunc 2>&1",
        checks=("! rpm -qa 2>/dev/null | grep .",),
        expected=Expected(verdict="unknown", unknown=frozenset({"packages.rpm"})),
    ),
}
STATES: Mapping[str, State] = {**_PRODUCTS, **AROUND}
