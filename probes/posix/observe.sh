# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# The POSIX hand for Linux and for what looks like it: looks, prints facts (docs/formats.md section 3), decides nothing, writes nothing.
# A part of a script, see frame.sh and run.sh.
# shellcheck disable=SC2034,SC2154

choose() { # -> probes
  probes="host packages.dpkg packages.rpm units init_scripts processes paths trees setup accounts modules firewall trust lines containers"
  probes="$probes protection peers reboot"
  later=peers
  # A Mac only says that it is one; its own script comes next (observe_macos.sh), which a Linux host need not carry.
  [ -e /proc/self/stat ] || case $(uname -s) in Darwin) probes=host ;; esac
}

follow() { case $1 in processes) probe peers ;; esac; }
