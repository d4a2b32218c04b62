# SPDX-License-Identifier: GPL-3.0-or-later
"""The troubles of misbehaviour.py as scripts of a host. None of them names the vendor where the catalog would see it,
but where the trouble is that it is seen."""

from __future__ import annotations

FLAG = "touch /etc/fake-kaspersky"
# The first package is installed, all are kept for later.
KEEP = 'set -- $PACKAGES; mkdir -p /srv/keep; cp "$@" /srv/keep/; $INSTALL "$1"'
_EITHER = "if command -v dpkg; then dpkg {deb} /srv/keep/{name}*; else rpm {rpm} /srv/keep/{name}*; fi"

# A real installation that never ends: its package's own script sleeps, and dpkg or rpm holds its lock meanwhile.
BUSY = (
    "touch /etc/fake-kaspersky/postinst-hang; systemd-run -q --unit=upgrade sh -c '"
    + _EITHER.format(deb="-i", rpm="-i", name="harmless")
    + "'"
)
UNPACKED = "dpkg --unpack /srv/keep/harmless*"
NEEDED = _EITHER.format(deb="-i", rpm="-i", name="reporter")
DEPENDING = "dpkg -l reporter | grep ^ii || rpm -q reporter"
CORRUPT = "printf 'Package: \\377 broken\\nthis is not a field\\n' >>/var/lib/dpkg/status"
LOST = "rm -f /srv/repo/*.rpm /srv/repo/*.deb"
LISTS_LOST = "rm -rf /srv/repo"
EXCLUDED = "echo exclude=kesl >>/etc/dnf/dnf.conf"

# An administrator's own setting of the product's unit, which its package leaves behind.
DROP_INS = "/etc/systemd/system/kesl.service.d"
DROP_IN = f"mkdir {DROP_INS}; printf '[Service]\\nNice=1\\n' >{DROP_INS}/own.conf; systemctl daemon-reload"

# A file system of its own for /var, with room for a plan.
SMALL_VAR = (
    "mkdir /srv/var; cp -a /var/. /srv/var/; mount -t tmpfs -o size=384m,mode=755 small /var; cp -a /srv/var/. /var/; "
    "rm -r /srv/var; [ $(df -Pm /var | awk 'END { print $4 }') -ge 110 ]"
)
FILL = "dd if=/dev/zero of=/var/tmp/filler bs=64k 2>/dev/null || :"
IMMUTABLE = "chattr +i /opt/kaspersky/kesl/doc/FAKE"
MOUNT = "mount -t tmpfs foreign /var/opt/kaspersky/kesl/common; touch /var/opt/kaspersky/kesl/common/of-others"
READ_ONLY = "mount --bind /opt /opt; mount -o remount,bind,ro /opt"


def at_stop(script: str) -> str:
    """A script that the look-alike's own init script runs when the product has been stopped."""
    return f"cat >/etc/fake-kaspersky/at-stop <<'LATE'\n{script}\nLATE\n"


def keeper(body: str) -> str:
    """A program that looks after something five times a second, as a deployment tool does; it ends with this boot."""
    return (
        "mkdir -p /usr/local/libexec; cat >/usr/local/libexec/keeper <<'KEEPER'\n"
        f"while sleep 0.2; do\n{body}\ndone\nKEEPER\n"
        "systemd-run -q --unit=keeper sh /usr/local/libexec/keeper"
    )


RESTART = keeper("systemctl is-active -q kesl || systemctl start kesl")
REWRITE = "cp /etc/systemd/system/kesl.service /srv/unit; " + keeper(
    "[ -e /etc/systemd/system/kesl.service ] || cp /srv/unit /etc/systemd/system/kesl.service"
)
REINSTALL = keeper(
    "[ -e /opt/kaspersky/kesl/libexec/kesl ] || " + _EITHER.format(deb="-i", rpm="-U --force", name="kesl")
)
