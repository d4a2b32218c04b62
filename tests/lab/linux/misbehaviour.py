# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts on which a removal goes wrong, each in a way of its own, and what a remediation has to say of each.

    MISBEHAVIOURS["perl_leaves"].make(host)      # a fresh host; shield, another vendor's scanner, is put there first

Trouble that is there before the plan is told by the plan: the host is blocked. Trouble that comes later (`at_stop`:
when the product has been stopped) is met by the job on the host. Nothing of it is played: real dpkg and rpm refuse,
real systemd waits, the kernel says no.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from . import repository
from .lab import Host
from .misbehaviour_scripts import (
    BUSY,
    CORRUPT,
    DEPENDING,
    DROP_IN,
    DROP_INS,
    EXCLUDED,
    FILL,
    FLAG,
    IMMUTABLE,
    KEEP,
    LISTS_LOST,
    LOST,
    MOUNT,
    NEEDED,
    READ_ONLY,
    REINSTALL,
    RESTART,
    REWRITE,
    SMALL_VAR,
    UNPACKED,
    at_stop,
)
from .state import DEB, INSTALL, RPM, bring
from .takeover import CLAMAV, COVER, EXISTING


@dataclass(frozen=True, kw_only=True)
class Told:
    """What remediations have to say of a host.

    Attributes:
        plan: the state of the plan.
        inhibitors: ids of what blocks it.
        verdict: after the first remediation.
        failure: the class of the step that fails; empty where none does.
        again: verdict of a second remediation, and its reason: an inhibitor, a class of failure, or nothing.
        late: what may be the reason instead, where the trouble can come a moment later; a part of the row's reasons.
    """

    plan: str = "act"
    inhibitors: frozenset[str] = frozenset()
    verdict: str = "failed_protected"
    failure: str = ""
    again: tuple[str, str] = ("", "")
    late: str = ""


@dataclass(frozen=True, kw_only=True)
class Misbehaviour:
    """One way in which a removal goes wrong.

    Attributes:
        why: what happens, for a reader.
        roots: where it can be made; one of each family is taken.
        install: look-alike packages; those of the script's ``$PACKAGES``, in this order.
        script: brings a fresh host there, as root.
        told: what has to be said, by family.
        checks: scripts that end well after the remediation, by instruments other than ours.
        policy: what is to take over.
        changes: what the trouble itself changes on the host during the remediation (snapshot.py's patterns).
    """

    why: str
    script: str
    told: Mapping[str, Told]
    roots: tuple[str, ...] = (DEB[0], RPM[0])
    install: tuple[str, ...] = ("kesl",)
    checks: tuple[str, ...] = ()
    policy: Mapping[str, Any] = field(default_factory=lambda: EXISTING)
    changes: tuple[str, ...] = ()

    def make(self, host: Host) -> None:
        """Put the protection that is to stay on a fresh host, or offer it there, and then the trouble."""
        if self.policy is EXISTING:
            host.install(COVER)
        else:
            repository.offer(host)
        bring(host, self.script, self.install)


def blocked(*inhibitors: str, deb: bool = True, rpm: bool = True) -> dict[str, Told]:
    """The plan sees it: nothing is changed, however often it is tried."""
    told = Told(plan="blocked", inhibitors=frozenset(inhibitors), verdict="blocked", again=("blocked", inhibitors[0]))
    return {family: told for family, there in (("deb", deb), ("rpm", rpm)) if there}


def fails(failure: str, again: str = "", verdict: str = "failed_protected") -> Told:
    """A step fails; a second run is blocked by the inhibitor `again`, or fails in the same way."""
    return Told(verdict=verdict, failure=failure, again=("blocked", again) if again else (verdict, failure))


def stays(failure: str) -> Told:
    """The staging fails and is taken back: nothing was removed, however often it is tried."""
    return Told(verdict="blocked", failure=failure, again=("blocked", failure))


def both(told: Told) -> dict[str, Told]:
    """The same on both families."""
    return {"deb": told, "rpm": told}


GOES = Told(verdict="replaced_unproved", again=("nothing_to_do", ""))
STAYS = ("test -x /opt/kaspersky/kesl/libexec/kesl", "dpkg -l kesl | grep ^.i || rpm -q kesl")
GONE = (
    "! dpkg-query -W -f '${Status} ${Package}\\n' | grep ' kesl$' | grep -v not-installed",
    "! rpm -q kesl",
    "test ! -e /opt/kaspersky/kesl/libexec/kesl",
)
COVERED = "systemctl is-active shield"
HARMLESS = ("/usr/lib/harmless**", "/etc/harmless**", "/usr/share/doc/harmless**", "/usr/lib/systemd/system/harmless*")
DATABASES = ("/var/lib/dpkg/**", "/var/lib/rpm/**", "/var/log/dpkg.log")

MISBEHAVIOURS: Mapping[str, Misbehaviour] = {
    # --- the package's own scripts
    "prerm_fails": Misbehaviour(
        why="the package's script that runs before the removal fails",
        script=f"{INSTALL}; {FLAG}/prerm-fail",
        told=both(fails("prerm_failed")),
        checks=(*STAYS, COVERED),
    ),
    "prerm_hangs": Misbehaviour(
        why="the package's script that runs before the removal never ends",
        script=f"{INSTALL}; {FLAG}/prerm-hang",
        told={"deb": fails("timed_out", again="package_manager_broken"), "rpm": fails("timed_out")},
        checks=(STAYS[0], COVERED),
        changes=("/tmp/tmp*",),  # of a dnf that was ended
    ),
    "postrm_fails": Misbehaviour(
        why="the script that runs after the removal fails: dpkg keeps half of the package, rpm warns and goes on",
        script=f"{INSTALL}; {FLAG}/postrm-fail",
        told={"deb": fails("postrm_failed", again="half_installed"), "rpm": GOES},
        checks=(COVERED,),
    ),
    "uninstaller_missing": Misbehaviour(
        why="somebody deleted the product's own uninstaller, which its package calls",
        script=f"{INSTALL}; rm /var/opt/kaspersky/kesl/install-current/opt/kaspersky/kesl/lib/bin/setup/uninstall.pl",
        told=both(fails("uninstaller_missing")),
        checks=(*STAYS, COVERED),
    ),
    "agent_waits": Misbehaviour(
        why="the product cannot be removed; its agent, through which a console reaches the host, stays as well",
        install=("kesl", "klnagent64"),
        script=f"{INSTALL}; rm /var/opt/kaspersky/kesl/install-current/opt/kaspersky/kesl/lib/bin/setup/uninstall.pl",
        told=both(fails("uninstaller_missing")),
        checks=(*STAYS, "systemctl is-active klnagent64", COVERED),
    ),
    "perl_missing": Misbehaviour(
        why="perl is missing, in which the product's scripts are written",
        script=f"{INSTALL}; mv /usr/bin/perl /usr/bin/perl.away",
        told=blocked("tools_missing"),
        checks=("systemctl is-active kesl",),
    ),
    "perl_leaves": Misbehaviour(
        why="perl goes missing after the plan",
        script=f"{INSTALL}; {at_stop('mv /usr/bin/perl /usr/bin/perl.away')}",
        told=both(fails("perl_missing", again="tools_missing")),
        changes=("/usr/bin/perl*",),
        checks=(*STAYS, COVERED),
    ),
    # --- units
    "unit_hangs": Misbehaviour(
        why="the product takes no notice of the order to stop",
        script=f"{FLAG}/ignore-term; {INSTALL}",
        told=both(fails("unit_stuck")),
        checks=(*STAYS, "pgrep -x kesl", COVERED),
    ),
    "unit_restarted": Misbehaviour(
        why="something else starts the product again whenever it has stopped",
        script=f"{INSTALL}; {RESTART}",
        told=both(fails("unit_comes_back")),
        checks=(*STAYS, COVERED),
        changes=("/etc/init.d",),
    ),
    "unit_rewritten": Misbehaviour(
        why="something else writes the product's unit again whenever it is gone",
        script=f"{INSTALL}; {REWRITE}",
        told=both(fails("still_there", verdict="leftovers")),
        checks=("test -e /etc/systemd/system/kesl.service", COVERED),
    ),
    # --- package managers
    "manager_busy": Misbehaviour(
        why="another installation holds the package manager's lock",
        install=("kesl", "harmless"),
        script=f"{KEEP}; {BUSY}; sleep 1",
        told=blocked("installer_busy"),
        checks=("systemctl is-active kesl",),
        changes=(*HARMLESS, *DATABASES),
    ),
    "manager_gets_busy": Misbehaviour(
        why="another installation takes the package manager's lock after the plan",
        install=("kesl", "harmless"),
        script=f"{KEEP}; {at_stop(f'{BUSY}; sleep 2')}",
        told=both(fails("package_manager_busy", again="installer_busy")),
        changes=(*HARMLESS, *DATABASES, "/etc/fake-kaspersky/postinst-hang", "/var/tmp/rpm-tmp*"),
        checks=(*STAYS, COVERED),
    ),
    "held_later": Misbehaviour(
        why="somebody holds the package after the plan",
        roots=("deb12",),
        script=f"{INSTALL}; {at_stop('echo kesl hold | dpkg --set-selections')}",
        told={"deb": fails("package_held", again="package_held")},
        changes=DATABASES,
        checks=(*STAYS, COVERED),
    ),
    "excluded": Misbehaviour(
        why="dnf is told to leave the product's package alone",
        roots=("rpm9",),
        script=f"{INSTALL}; {EXCLUDED}",
        told=blocked("package_held", deb=False),
        checks=("systemctl is-active kesl",),
    ),
    "other_half_configured": Misbehaviour(
        why="a package of somebody else's is unpacked and not configured",
        roots=("deb12",),
        install=("kesl", "harmless"),
        script=f"{KEEP}; {UNPACKED}",
        told=blocked("package_manager_broken", rpm=False),
        checks=("systemctl is-active kesl",),
    ),
    "other_fails_along": Misbehaviour(
        why="apt removes the product, fails over a package of somebody else's, and leaves the product's settings",
        roots=("deb12",),
        install=("kesl", "harmless"),
        script=f"{KEEP}; {FLAG}/postinst-fail; {at_stop(UNPACKED)}",
        told={"deb": fails("still_there", again="package_manager_broken", verdict="leftovers")},
        checks=(*GONE[2:], COVERED),
        changes=HARMLESS,
    ),
    "takes_others": Misbehaviour(
        why="a program of somebody else's needs the product and would be removed with it",
        install=("kesl", "reporter"),
        script=INSTALL,
        told=blocked("would_remove_others"),
        checks=("systemctl is-active kesl", DEPENDING),
    ),
    "takes_others_later": Misbehaviour(
        why="a program that needs the product is installed after the plan",
        install=("kesl", "reporter"),
        script=f"{KEEP}; {at_stop(NEEDED)}",
        told=both(fails("would_remove_others", again="would_remove_others")),
        checks=(*STAYS, DEPENDING, COVERED),
        changes=(*DATABASES, "/usr/lib/reporter**", "/var/tmp/rpm-tmp*"),
    ),
    "database_breaks": Misbehaviour(
        why="dpkg's database is damaged after the plan",
        roots=("deb12",),
        script=f"{INSTALL}; {at_stop(CORRUPT)}",
        told={"deb": fails("database_broken", again="no_automatic_removal")},
        changes=DATABASES,
        checks=(COVERED,),
    ),
    "repository_empty": Misbehaviour(
        why="the repository offers the replacement and does not have its files",
        script=f"{INSTALL}; {LOST}",
        told={"deb": stays("not_reachable"), "rpm": stays("repository_broken")},
        checks=("systemctl is-active kesl",),
        policy=CLAMAV,
    ),
    "repository_gone": Misbehaviour(
        why="the host has lists of a repository that is not there any more",
        script=f"{INSTALL}; {LISTS_LOST}",
        told={**blocked("no_candidate"), "rpm": stays("not_reachable")},
        checks=("systemctl is-active kesl",),
        policy=CLAMAV,
    ),
    "sources_broken": Misbehaviour(
        why="apt cannot read its list of repositories",
        roots=("deb12",),
        script=f"{INSTALL}; echo nonsense >/etc/apt/sources.list.d/own.list",
        told=blocked("no_candidate", rpm=False),
        checks=("systemctl is-active kesl",),
        policy=CLAMAV,
    ),
    # --- file systems
    "little_room": Misbehaviour(
        why="/var has next to no room left",
        script=f"{SMALL_VAR}; {INSTALL}; {FILL}",
        told=blocked("no_room"),
        checks=("systemctl is-active kesl",),
    ),
    "disk_fills": Misbehaviour(
        why="/var is filled to the last byte after the plan",
        script=f"{SMALL_VAR}; {INSTALL}; {at_stop(FILL)}",
        # The job is not closed, since its last phase has no room: the next run goes on with it.
        told=both(fails("disk_full")),
        checks=(COVERED,),
        changes=("/var/tmp/filler",),
    ),
    "immutable": Misbehaviour(
        why="a file of the product is marked immutable",
        script=f"{INSTALL}; {IMMUTABLE}",
        told=blocked("obstacle"),
        checks=("systemctl is-active kesl",),
    ),
    "immutable_later": Misbehaviour(
        why="a file of the product is marked immutable after the plan",
        script=f"{INSTALL}; {at_stop(IMMUTABLE)}",
        told=both(fails("file_immutable", again="obstacle")),
        checks=(COVERED,),
    ),
    "immutable_remains": Misbehaviour(
        why="what remains of the product is marked immutable after the plan",
        script=f"{INSTALL}; {DROP_IN}; {at_stop(f'chattr +i {DROP_INS}/own.conf')}",
        told=both(fails("file_immutable", verdict="leftovers")),
        checks=(*GONE[2:], COVERED),
    ),
    "mount": Misbehaviour(
        why="something else is mounted within the product's folders",
        script=f"{INSTALL}; mount -t tmpfs foreign /var/opt/kaspersky/kesl/common",
        told=blocked("obstacle"),
        checks=("systemctl is-active kesl",),
    ),
    "mounted_later": Misbehaviour(
        why="something else is mounted within the product's folders after the plan",
        script=f"{INSTALL}; {at_stop(MOUNT)}",
        told=both(fails("foreign_mount", again="obstacle")),
        checks=(*STAYS, "test -e /var/opt/kaspersky/kesl/common/of-others", COVERED),
        changes=("/var/opt/kaspersky/kesl/common/of-others",),
    ),
    "mount_remains": Misbehaviour(
        why="something else is mounted over what remains of the product, after the plan",
        script=f"{INSTALL}; {DROP_IN}; {at_stop(f'mount -t tmpfs foreign {DROP_INS}; touch {DROP_INS}/of-others')}",
        told=both(fails("foreign_mount", verdict="leftovers")),
        checks=(*GONE[2:], f"test -e {DROP_INS}/of-others", COVERED),
        changes=(f"{DROP_INS}/of-others",),
    ),
    "read_only": Misbehaviour(
        why="/opt is read-only",
        script=f"{INSTALL}; {READ_ONLY}",
        told=blocked("no_room"),
        checks=("systemctl is-active kesl",),
    ),
    "read_only_later": Misbehaviour(
        why="/opt becomes read-only after the plan: every rm is refused",
        script=f"{INSTALL}; {at_stop(READ_ONLY)}",
        told=both(fails("read_only", again="no_room")),
        checks=(*STAYS, COVERED),
    ),
    # --- no package, and what brings the product back
    "by_hand": Misbehaviour(
        why="the product was unpacked by hand: a person removes it",
        roots=("deb12",),
        script="dpkg-deb -x $PACKAGES /; ln -s install_12.1.0.1297 /var/opt/kaspersky/kesl/install-current\n"
        "/var/opt/kaspersky/kesl/install-current/etc/init.d/kesl start",
        told=blocked("no_automatic_removal", rpm=False),
        checks=("pgrep -x kesl",),
    ),
    "reinstall_job": Misbehaviour(
        why="a timer installs the product again, and its unit says so",
        script=f"{KEEP}; printf '[Service]\\nExecStart=/usr/bin/env apt-get -y install kesl\\n' "
        ">/etc/systemd/system/back.service; printf '[Timer]\\nOnCalendar=daily\\n' >/etc/systemd/system/back.timer\n"
        "systemctl daemon-reload",
        told=blocked("reinstall_source"),
        checks=("systemctl is-active kesl",),
    ),
    "reinstalled": Misbehaviour(
        why="a deployment tool, by whose files nobody can tell, installs the product again at once",
        script=f"{KEEP}; {REINSTALL}",
        told=both(replace(fails("still_there"), late="kesl is there, so nothing of it is cleared")),
        checks=(COVERED,),
        changes=("/etc/init.d",),
    ),
    # --- the protection
    "cover_dies": Misbehaviour(
        why="the protection that is to take over dies while the product is removed",
        script=f"{INSTALL}; {at_stop('systemctl stop shield')}",
        told=both(fails("unit_inactive", again="no_active_protection", verdict="failed_exposed")),
        checks=(*GONE[2:], "! systemctl is-active shield"),
    ),
}


def cases() -> list[tuple[str, str]]:
    """(name, root) of each misbehaviour on one host of each family that it has something to say of."""
    return [
        (name, root)
        for name, misbehaviour in MISBEHAVIOURS.items()
        for root in misbehaviour.roots
        if ("rpm" if root in RPM else "deb") in misbehaviour.told
    ]


def told(name: str, root: str) -> Told:
    """What has to be said of a misbehaviour on a root."""
    return MISBEHAVIOURS[name].told["rpm" if root in RPM else "deb"]
