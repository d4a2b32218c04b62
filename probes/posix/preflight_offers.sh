# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# What the package manager's lists offer. They are read as they are, never fetched, and nothing is written. A part of a script, see
# frame.sh; left out where no package is asked for.
# shellcheck disable=SC2034,SC2086,SC2154,SC2231,SC3013

probe_repository() {
  [ -n "$EVICT_PREFLIGHT_PACKAGES" ] || return 0
  limit=$brief wanted=
  which_manager
  [ -n "$manager" ] || { unknown 'no package manager that is known here' && return 0; }
  for name in $EVICT_PREFLIGHT_PACKAGES; do
    case $name in "$manager:"*) name=${name#*:} ;; *) continue ;; esac # the others are for other hosts
    case $name in -* | *[!A-Za-z0-9+._@:~-]*) unknown "$name: not the name of a package" && return 0 ;; esac
    wanted=$wanted$name$nl
  done
  [ -n "$wanted" ] || return 0
  if [ $manager = apt ]; then apt_offers; else rpm_offers; fi
}

# Without caches apt reads the lists themselves and writes none; /dev/shm gives it the room for what it unpacks, which has no name.
apt_offers() {
  set +f
  set -- /var/lib/apt/lists/*_Packages*
  set -f
  [ -e "$1" ] || { unknown 'the host has no package lists: apt-get update' && return 0; }
  [ ! -d /dev/shm ] || { TMPDIR=/dev/shm && export TMPDIR; }
  needs apt-cache || return 0
  ask apt-cache -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= policy -- $wanted || return 0
  for name in $wanted; do
    installed='' candidate='' seen=
    for row in $rows; do
      case $row in
        E:* | W:*/sources.list* | W:*/lists/*) unknown "apt-cache: $(printf %.300s "$row")" ;;
        "$name:") seen=yes ;;
        [!\ ]*) seen= ;;
        '  Installed: '*) [ -z "$seen" ] || installed=${row#*: } ;;
        '  Candidate: '*) [ -z "$seen" ] || candidate=${row#*: } ;;
      esac
    done
    offer
  done
}

offer() { # from name, installed, candidate
  [ "$installed" != '(none)' ] || installed=
  case $candidate in
    '' | '(none)') record package "$name" fault 'no repository of the host offers it' ;;
    *) record package "$name" candidate "$candidate" installed "$installed" ;;
  esac
}

# dnf and zypper write logs and caches whatever they are asked, so their downloaded lists are read instead.
rpm_offers() {
  needs grep rpm || return 0
  set +f
  set -- /var/cache/dnf/*/repodata/*primary.xml* /var/cache/libdnf5/*/repodata/*primary.xml* \
    /var/cache/yum/*/*/*/*primary.xml* /var/cache/yum/*/*/*/gen/*primary.xml* /var/cache/zypp/raw/*/repodata/*primary.xml*
  set -f
  offers=
  for file in "$@"; do
    [ -e "$file" ] || continue
    enabled "$file" || continue
    case $file in
      *.gz) program=gzip ;;
      *.xz) program=xz ;;
      *.zst) program=zstd ;;
      *.bz2) program=bzip2 ;;
      *.xml) program='cat' ;;
      *) unknown "$file: packed in a way that is not known here" && continue ;;
    esac
    needs $program || continue
    offers=$offers.$nl
    case $program in cat) set -- cat -- "$file" ;; *) set -- $program -dc -- "$file" ;; esac
    names=
    for name in $wanted; do names="$names$nl<name>$name</name>"; done
    offers=$offers$("$@" | grep -F -A 3 -e "${names#?}" | grep -e '<name>' -e '<version ')$nl
    case $? in 137 | 265) unknown "$program did not answer in $limit s" && return 0 ;; esac
  done
  [ -n "$offers" ] || { unknown 'the host has no package lists that can be read: dnf makecache, or zypper refresh' && return 0; }
  for name in $wanted; do
    candidate='' seen=
    for row in $offers; do
      case $row in
        *"<name>$name</name>"*) seen=yes ;;
        *'<name>'*) seen= ;;
        *'<version '*) [ -z "$seen" ] || candidate=$candidate$(version "$row")$nl ;;
      esac
    done
    set -- $candidate
    if [ $# -gt 1 ] && has sort; then candidate=$(printf '%s\n' "$@" | sort -V | tail -n 1); else candidate=$1; fi
    installed=$(rpm --dbpath "$place" -q --qf '%{VERSION}-%{RELEASE}\n' "$name" 2>/dev/null) || installed=
    installed=${installed%%"$nl"*}
    offer
  done
}

version() { # LINE of a list -> V-R
  text=${1#*' ver="'} && low=${1#*' rel="'}
  echo "${text%%\"*}-${low%%\"*}"
}

enabled() { # FILE of a list: is its repository switched on? Its folder is the id, with a hash behind it for dnf
  text=${1%/repodata/*}
  case $1 in */var/cache/yum/*) text=${1#/var/cache/yum/*/*/} && text=${text%%/*} ;; esac
  text=${text##*/}
  switch=
  set +f
  for conf in /etc/yum.repos.d/*.repo /etc/zypp/repos.d/*.repo /etc/dnf/repos.override.d/*.repo; do
    [ -r "$conf" ] || continue
    mine=
    while IFS= read -r line || [ -n "$line" ]; do
      case $line in
        \[*\]*)
          line=${line#\[} && line=${line%%\]*} mine=
          case $text in "$line" | "$line"-????????????????) mine=yes switch=${switch:-1} ;; esac
          ;;
        enabled=* | 'enabled = '*) [ -z "$mine" ] || switch=${line#*=} ;;
      esac
    done <"$conf"
  done
  set -f
  case $switch in *[1Yy]*) return 0 ;; esac
  return 1
}
