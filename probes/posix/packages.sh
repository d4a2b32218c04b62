# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# What the package databases say. A part of a script, see frame.sh.
# shellcheck disable=SC2034,SC2086,SC2154,SC3013

probe_packages_dpkg() {
  dpkg_rows || return 0
  for name in $EVICT_PACKAGES; do
    case $rows in *"$nl=$name|"*) ;; *) continue ;; esac
    for row in $rows; do
      case $row in "=$name|"*) ;; *) continue ;; esac
      IFS='|' && set -- $row
      IFS=' ' && set -- "$2" "$3" $4 # version arch want error state
      IFS=$nl
      case $3 in install) state=i ;; hold) state=h ;; deinstall) state=r ;; purge) state=p ;; *) state=u ;; esac
      case $5 in
        not-installed) state=${state}n ;;
        config-files) state=${state}c ;;
        half-installed) state=${state}H ;;
        unpacked) state=${state}U ;;
        half-configured) state=${state}F ;;
        triggers-awaited) state=${state}W ;;
        triggers-pending) state=${state}t ;;
        installed) state=${state}i ;;
        *) state="${state}?" ;;
      esac
      case $4 in ok) ;; *) state=${state}R ;; esac
      record name "$name" version "$1" arch "$2" state "$state"
    done
  done
}

dpkg_rows() { # -> rows: =NAME|VERSION|ARCHITECTURE|WANT ERROR STATE of each package that dpkg knows; false: none can be told
  base=/var/lib/dpkg lists='' rows=
  set +f
  for file in "$base"/info/*.list; do lists=$file && break; done
  set -f
  if ! there "$base/status"; then
    lost "$base/status"
    if [ -n "$why" ]; then
      unknown "$why"
    elif [ -e "$lists" ]; then
      unknown "$base/status is missing, though packages are installed"
    fi
    return 1
  fi
  readable "$base/status" || return 1
  if has dpkg-query; then
    # ${Status} and not ${db:Status-Abbrev}: dpkg before 1.16 does not know the latter.
    # shellcheck disable=SC2016  # dpkg's variables, not the shell's
    rows=$(dpkg-query -W -f '=${Package}|${Version}|${Architecture}|${Status}\n' 2>&1)
    complain dpkg-query $?
  elif has cat; then
    rows=$(dpkg_status "$base/status")
  else
    unknown 'dpkg-query is missing'
    return 1
  fi
  rows=$nl$rows
  case $rows in
    *"$nl="*) ;;
    *) [ ! -e "$lists" ] || unknown 'the database names no package, though packages are installed' ;;
  esac
}

dpkg_status() { # FILE -> what dpkg-query would have printed, for a host that lost it
  name=
  for row in $(cat "$1") 'Package: '; do
    case $row in
      'Package: '*)
        [ -z "$name" ] || echo "=$name|$version|$arch|$state"
        name=${row#*: } version='' arch='' state=
        ;;
      'Version: '*) version=${row#*: } ;;
      'Architecture: '*) arch=${row#*: } ;;
      'Status: '*) state=${row#*: } ;;
    esac
  done
}

# rpm makes a database where there is none, so it is only asked about those that are there. They are asked for by folder,
# since Debian's rpm looks into ~/.rpmdb.
probe_packages_rpm() {
  places="/var/lib/rpm$nl/usr/lib/sysimage/rpm$nl/usr/share/rpm"
  if has rpm; then
    place=$(rpm --eval '%{_dbpath}')
    case $? in 137 | 265) unknown "rpm did not answer in $limit s" ;; esac
    case $place in /*) [ "$place" = "$HOME/.rpmdb" ] || places=$places$nl$place ;; esac
  fi
  once $places
  for place in $dirs; do
    for file in Packages Packages.db rpmdb.sqlite; do
      there "$place/$file" || continue
      readable "$place/$file" || continue 2
      rpm_database "$place"
      continue 2
    done
  done
}

rpm_database() { # DIR
  has rpm || { unknown "rpm is missing, but there is a database in $1" && return 0; }
  rows=$(rpm --dbpath "$1" -qa --qf '=%{NAME}|%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}|%{ARCH}\n' 2>&1)
  complain rpm $?
  rows=$nl$rows
  case $rows in *"$nl="*) ;; *) unknown "the database in $1 names no package" ;; esac
  for name in $EVICT_PACKAGES; do
    case $rows in *"$nl=$name|"*) ;; *) continue ;; esac
    for row in $rows; do
      case $row in "=$name|"*) ;; *) continue ;; esac
      IFS='|' && set -- $row && IFS=$nl
      record name "$name" version "$2" arch "$3" state installed
    done
  done
}
