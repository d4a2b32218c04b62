# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# The POSIX hand for macOS: a script of its own, sent to a host that has said it is a Mac. A part of a script, see frame.sh and run.sh.
# shellcheck disable=SC2034,SC2154

choose() { # -> probes
  probes="host receipts launchd system_extensions kexts profiles processes paths accounts protection reboot"
}
