# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# Remains that the catalog calls safe: paths; and our own staging folder. A part of a job's library, needs perform_look.sh and
# perform_why.sh.
# shellcheck disable=SC2034,SC2086,SC2154,SC2231  # patterns without quotes are to be expanded

on_disk() { [ -e "$1" ] || [ -h "$1" ]; }

# --- purge_path ---------------------------------------------------------------------------------------------------------

kind_purge_path() {
  IFS=$nl
  plain_path "$a_path" || return 1
  for name in $a_keep; do plain_path "$name" || return 1; done
  set +f
  set --
  case $a_path in # only the last name may be a pattern
    *[\*\?\[]*) for name in "${a_path%/*}"/${a_path##*/}; do set -- "$@" "$name"; done ;;
    *) set -- "$a_path" ;;
  esac
  set -f
  kept_paths
  mounted
  removed=0 above=
  for whole in "$@"; do
    on_disk "$whole" || {
      not_there "$whole" || return 1
      continue
    }
    [ -n "$above" ] || parents_of "$a_path" || return 1
    may_go "$whole" || return 1
    nobodys "$whole" || return 1
    clear_path "$whole" || return 1
  done
  status=already
  [ "$removed" = 1 ] || return 0
  # Something may put it back at once.
  sleep 1
  for whole in "$@"; do
    on_disk "$whole" || continue
    spares "$whole"
    [ -z "$kept_here" ] || continue
    fail still_there 0 "$whole is there again: take away what brings it back, then run again"
    return 1
  done
  status='done'
}

plain_path() { # PATH -> 1: it is none that may be removed, and fail was called
  case $1/ in
    [!/]* | *//* | */./* | */../*) ;;
    *) case ${1%/*} in '' | *[\*\?\[]*) ;; *) return 0 ;; esac ;; # only its last name may be a pattern
  esac
  fail not_known 0 "$1 is not a path that may be removed"
  return 1
}

# The folders above must be folders, not links to somewhere else; those that systems have at their root are known.
parents_of() { # PATH -> above: the folder it lies in, without links. 1: fail was called
  rest=${1#/} prefix=
  while :; do
    case $rest in */*) ;; *) break ;; esac
    prefix=$prefix/${rest%%/*} rest=${rest#*/}
    [ -h "$prefix" ] || continue
    case $prefix in /bin | /sbin | /lib | /lib32 | /lib64 | /var/run | /var/lock) continue ;; esac
    fail linked_parent 0 "$prefix is a link: what lies behind it is somewhere else; look at it, and remove $1 by hand"
    return 1
  done
  above=$(cd -P -- "$prefix" 2>/dev/null && pwd -P) || above=$prefix
}

not_there() { # PATH that `test` denies -> 1: it could not be looked for, and fail was called
  told ls -d -- "$1"
  case $code:$rows in *': No such file or directory' | *': Not a directory') return 0 ;; esac
  last_row
  fail cannot_look "$code" "could not look for $1 ($row): set that right, then run again"
  return 1
}

may_go() { # PATH, which is there -> 1: fail was called
  [ -d "$1" ] && [ ! -h "$1" ] || return 0
  case $1 in
    /*/*/*) ;;
    *)
      fail not_known 0 "$1 is a folder too near to the root to be removed"
      return 1
      ;;
  esac
  for where in $mounts; do
    case $where/ in
      "${above%/}/${1##*/}"/*)
        fail foreign_mount 0 "$where is a mount within $1: unmount it, or move what is on it, then run again"
        return 1
        ;;
    esac
  done
}

# The product may have come back since it was found gone, and a path may be somebody else's: of both a package database knows.
nobodys() { # PATH, which is there -> 1: a package that is installed has brought it, or nobody can tell, and fail was called
  owners=
  if [ -s /var/lib/dpkg/status ] && has dpkg-query; then
    told dpkg-query -S -- "$1"
    case $code in 124) late || return 1 ;; esac
    for row in $rows; do
      case $code:$row in 0:*": $1") ;; *) continue ;; esac
      IFS=', '
      for name in ${row%": $1"}; do
        IFS=$nl
        package_named "$name" || continue
        dpkg_state "$name" || return 1
        case $state in absent | config-files) ;; *) owners="$owners $name" ;; esac
      done
      IFS=$nl
    done
  fi
  rpm_place
  if [ -n "$place" ] && has rpm; then
    told rpm --dbpath "$place" -qf --qf '=%{NAME}\n' -- "$1"
    case $code in 124) late || return 1 ;; esac
    for row in $rows; do case $code:$row in 0:=*) owners="$owners ${row#=}" ;; esac done
  fi
  [ -n "$owners" ] || return 0
  fail owned_by_package 0 "$1 belongs to a package that is installed:$owners; plan again, so that the package goes first"
}

kept_paths() { # -> spared: what of the keep list is there, as written and where links lead
  spared=$nl
  set +f
  for name in $a_keep; do # unquoted: a pattern is expanded here
    on_disk "$name" || continue
    true_name "$name"
    spared=$spared$name$nl$real$nl
    [ ! -h "$name" ] || { real=$(readlink -f -- "$name") && spared=$spared$real$nl; }
  done
  set -f
}

spares() { # PATH -> kept: it is to be kept, or lies in what is; above: it holds something to be kept; empty: neither
  kept_here=
  for name in $spared; do
    case $1/ in "$name"/*) kept_here=kept && return 0 ;; esac
    case $name/ in "$1"/*) kept_here=above ;; esac
  done
}

clear_path() { # PATH, which is there -> 1: fail was called
  todo=$1
  while [ -n "$todo" ]; do
    IFS=$nl
    set -- $todo
    item=$1
    shift
    todo="$*"
    spares "$item"
    case $kept_here in
      kept) continue ;;
      above)
        # A link to what is kept stays as it is. A folder stays, and is looked into.
        [ -d "$item" ] && [ ! -h "$item" ] || continue
        look_into "$item" || return 1
        ;;
      *) remove_path "$item" || return 1 ;;
    esac
  done
}

look_into() { # FOLDER that holds something to be kept: everything else in it goes
  set +f
  set -- "$1"/* "$1"/.[!.]* "$1"/..?*
  set -f
  for entry in "$@"; do
    on_disk "$entry" || continue
    spares "$entry"
    case $kept_here in
      kept) ;;
      above) todo=$todo${todo:+$nl}$entry ;;
      *) remove_path "$entry" || return 1 ;;
    esac
  done
}

remove_path() { # PATH; rm follows no link, and no mount lies below it
  told rm -rf -- "$1"
  removed=1
  on_disk "$1" || return 0
  last_row
  case $code:$rows in
    0:*) fail still_there 0 "$1 is there again: take away what brings it back, then run again" ;;
    124:*) fail timed_out "$code" "$1 could not be removed in its time: see what it waits for, then run again" ;;
    *'Operation not permitted'* | *'Permission denied'*)
      case $rows in *'not permitted'*) named 'not permitted' ;; *) named 'Permission denied' ;; esac
      refused "$code"
      ;;
    *'Read-only file system'*) fail read_only "$code" "$1 is on a file system that is mounted read-only: mount it writable, then run again" ;;
    *'resource busy'*) fail foreign_mount "$code" "something of $1 is in use, as a mount is ($row): unmount it, then run again" ;;
    *) fail still_there "$code" "$1 is still there ($row): look at it, and remove it by hand" ;;
  esac
  return 1
}

kind_remove_staged() {
  IFS=$nl
  status=already
  [ -d "$staging" ] && [ ! -h "$staging" ] || return 0
  a_path=$staging a_keep='' spared='' removed=0
  mounted
  parents_of "$staging" && may_go "$staging" || return 1
  set +f
  set -- "$staging"/* "$staging"/.[!.]* "$staging"/..?*
  set -f
  for entry in "$@"; do
    ! on_disk "$entry" || remove_path "$entry" || return 1
  done
  [ "$removed" = 0 ] || status='done'
}
