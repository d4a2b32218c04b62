# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# Which package manager the host has. A part of a script, see frame.sh.
# shellcheck disable=SC2034,SC2154

rpm_place() { # -> place, file: rpm's database and its folder
  for place in /usr/lib/sysimage/rpm /var/lib/rpm ''; do
    for file in rpmdb.sqlite Packages.db Packages; do [ ! -s "$place/$file" ] || return 0; done
  done
}

which_manager() { # -> manager (empty: none that is known here), place, file
  manager=
  rpm_place
  if [ -s /var/lib/dpkg/status ] && has apt-get; then
    manager=apt
  elif [ -n "$place" ]; then
    for name in dnf dnf5 microdnf yum zypper; do
      ! has "$name" || { manager=$name && break; }
    done
    case $manager in *dnf*) manager=dnf ;; esac
  fi
}
