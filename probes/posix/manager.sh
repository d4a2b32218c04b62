# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# Which package manager the host has, and which questions are for it. A part of a script, see frame.sh.
# shellcheck disable=SC2034,SC2086,SC2154

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

# Questions are lines =MANAGERS ROLE NAME, the managers with commas, - for none; for a program a line +WORD for it and each of its
# arguments follows.
ours() { # QUESTIONS, and manager -> mine: without those for other package managers
  mine='' skip=
  for row in $1; do
    case $row in =*)
      skip=yes text=${row#=}
      case ,${text%% *}, in *",${manager:--},"*) skip= ;; esac
      ;;
    esac
    [ -n "$skip" ] || mine=$mine$row$nl
  done
}
