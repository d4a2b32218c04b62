# shellcheck shell=sh disable=SC2317
# SPDX-License-Identifier: GPL-3.0-or-later
# Put in front of every maintainer script; $action is configure, remove, purge, or something else that needs no work.
# A test makes failures with files in /etc/fake-kaspersky: postinst-fail postinst-hang prerm-fail prerm-hang postrm-fail leftovers
# ignore-term, and at-stop, a script that is run when kesl was stopped: trouble that comes between the plan and the removal
flag() { [ -e "/etc/fake-kaspersky/$1" ]; }
systemd() { [ -d /run/systemd/system ]; }
told_to() { echo "FAKE @NAME@: told to fail by /etc/fake-kaspersky/$1" >&2; exit 1; }
