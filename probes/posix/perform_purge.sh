# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# Remains that the catalog calls safe: paths, groups, accounts, chains of the packet filter. A part of a job's library, see perform_frame.sh.
# shellcheck disable=SC2034,SC2086,SC2154,SC2231,SC3013  # patterns without quotes are to be expanded

is_there() { [ -e "$1" ] || [ -h "$1" ]; }

# --- purge_path ---------------------------------------------------------------------------------------------------------

kind_purge_path() {
  IFS=$nl
  plain_path "$a_path" || return 1
  for name in $a_keep; do plain_path "$name" || return 1; done
  parents_of "$a_path" || return 1
  set +f
  set --
  case $a_path in # only the last name may be a pattern
    *[\*\?\[]*) for name in "${a_path%/*}"/${a_path##*/}; do set -- "$@" "$name"; done ;;
    *) set -- "$a_path" ;;
  esac
  set -f
  kept_paths
  mounted
  removed=0
  for whole in "$@"; do
    is_there "$whole" || {
      not_there "$whole" || return 1
      continue
    }
    may_go "$whole" || return 1
    clear_path "$whole" || return 1
  done
  status=already
  [ "$removed" = 1 ] || return 0
  # Something may put it back at once.
  sleep 1
  for whole in "$@"; do
    is_there "$whole" || continue
    holds "$whole"
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

kept_paths() { # -> spared: what of the keep list is there, as written and where links lead
  spared=$nl
  set +f
  for name in $a_keep; do # unquoted: a pattern is expanded here
    is_there "$name" || continue
    true_name "$name"
    spared=$spared$name$nl$real$nl
    [ ! -h "$name" ] || { real=$(readlink -f -- "$name") && spared=$spared$real$nl; }
  done
  set -f
}

holds() { # PATH -> kept: it is to be kept, or lies in what is; above: it holds something to be kept; empty: neither
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
    holds "$item"
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
    is_there "$entry" || continue
    holds "$entry"
    case $kept_here in
      kept) ;;
      above) todo=$todo${todo:+$nl}$entry ;;
      *) remove_path "$entry" || return 1 ;;
    esac
  done
}

remove_path() { # PATH; rm follows no link, and no mount lies below it
  performed rm -rf -- "$1"
  removed=1
  is_there "$1" || return 0
  last_row
  case $code:$rows in
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
    ! is_there "$entry" || remove_path "$entry" || return 1
  done
  [ "$removed" = 0 ] || status='done'
}

# --- purge_group, purge_user --------------------------------------------------------------------------------------------

account_named() { # NAME -> 1: fail was called
  case $1 in
    '' | root | [!A-Za-z_]* | *[!A-Za-z0-9_.-]*)
      fail not_known 0 "$1 is not the name of an account or group that may be removed"
      return 1
      ;;
  esac
}

accounts() { # group or passwd -> rows: all that the host knows of, those of a directory as far as it lists them
  rows=$(cat "/etc/$1") || rows=
  lines=$rows
  has getent || return 0
  told getent "$1"
  rows=$lines$nl$rows
}

one_of() { # group or passwd, NAME -> row: its line in /etc; false: it is not there
  lines=$(cat "/etc/$1")
  for row in $lines; do case $row in "$2:"*) return 0 ;; esac done
  return 1
}

only_elsewhere() { # group or passwd, NAME: fail when a directory knows what /etc does not
  has getent || return 1
  told getent "$1" "$2"
  case $code:$rows in 0:"$2:"*) ;; *) return 1 ;; esac
  fail in_use 0 "$2 comes from a directory, not from this host: it is left alone"
}

kind_purge_group() {
  IFS=$nl
  account_named "$a_group" || return 1
  if ! one_of group "$a_group"; then
    only_elsewhere group "$a_group" && return 1
    status=already
    return 0
  fi
  IFS=:
  set -- $row
  IFS=$nl
  gid=$3
  if [ -n "${4:-}" ]; then
    fail in_use 0 "the group $a_group has members ($4), who were given a right: take it from them, then run again"
    return 1
  fi
  accounts passwd
  for row in $rows; do
    IFS=:
    set -- $row
    IFS=$nl
    if [ "${4:-}" = "$gid" ]; then
      fail in_use 0 "the group $a_group is the primary group of $1: remove or move that account, then run again"
      return 1
    fi
  done
  if has groupdel; then performed groupdel "$a_group"; else performed delgroup "$a_group"; fi
  account_gone group "$a_group"
}

account_gone() { # group or passwd, NAME -> status, or fail
  if ! one_of "$1" "$2"; then
    status='done'
    return 0
  fi
  last_row
  if marked "/etc/$1"; then
    fail file_immutable "$code" "$path is locked by a mark of its file system: take it off (chattr -i), then run again"
  else
    case $rows in
      *'cannot lock'* | *'existing lock'*) fail accounts_busy "$code" "another program changes accounts ($row): let it end, then run again" ;;
      *) fail still_there "$code" "$2 is still in /etc/$1 ($row): see why, and remove it by hand" ;;
    esac
  fi
  return 1
}

kind_purge_user() {
  IFS=$nl
  account_named "$a_user" || return 1
  if ! one_of passwd "$a_user"; then
    only_elsewhere passwd "$a_user" && return 1
    status=already
    return 0
  fi
  IFS=:
  set -- $row
  IFS=$nl
  uid=$3
  case $uid in
    '' | 0 | *[!0-9]*)
      fail not_known 0 "$a_user has the number \"$uid\": it is left alone"
      return 1
      ;;
  esac
  accounts passwd
  for row in $rows; do
    IFS=:
    set -- $row
    IFS=$nl
    if [ "${3:-}" = "$uid" ] && [ "$1" != "$a_user" ]; then
      fail in_use 0 "$a_user shares its number $uid with $1: it is left alone"
      return 1
    fi
  done
  # userdel takes along the account's own group, so that group must be nobody's, too.
  own_group || return 1
  set +f
  for file in /proc/[0-9]*/status; do
    set -f
    text=
    while IFS=":$tab " read -r name one two three _; do
      case $name in Uid) text="$one:$two:$three" && break ;; esac
    done <"$file" || continue
    IFS=$nl
    case :$text: in
      *":$uid:"*)
        pid=${file#/proc/}
        fail in_use 0 "the process ${pid%/status} runs as $a_user: see what it is, then run again"
        return 1
        ;;
    esac
  done 2>/dev/null
  set -f
  if has userdel; then performed userdel "$a_user"; else performed deluser "$a_user"; fi
  account_gone passwd "$a_user"
}

own_group() { # -> 1: the group of this name is the primary one of somebody else, and fail was called
  one_of group "$a_user" || return 0
  IFS=:
  set -- $row
  gid=$3
  IFS=$nl
  accounts passwd
  for row in $rows; do
    IFS=:
    set -- $row
    IFS=$nl
    if [ "${4:-}" = "$gid" ] && [ "$1" != "$a_user" ]; then
      fail in_use 0 "the group $a_user is the primary group of $1: move that account, then run again"
      return 1
    fi
  done
}

# --- purge_chain --------------------------------------------------------------------------------------------------------

# Both flavours and both families, each only where its tables are loaded already: asking loads them.
kind_purge_chain() {
  IFS=$nl found='' status=already
  case $a_table:$a_chain in
    *[!A-Za-z0-9_:-]* | :* | *: | -* | *:-*)
      fail not_known 0 "$a_table/$a_chain is not the name of a chain"
      return 1
      ;;
  esac
  case $a_chain in
    PREROUTING | INPUT | FORWARD | OUTPUT | POSTROUTING)
      fail not_known 0 "$a_chain is a chain of the system"
      return 1
      ;;
  esac
  for version in '' 6; do
    table_loaded legacy && { chain_of legacy || return 1; }
    table_loaded nft && { chain_of nft || return 1; }
  done
  return 0
}

table_loaded() { # FLAVOUR
  case $1 in
    legacy)
      [ -r "/proc/net/ip${version}_tables_names" ] || return 1
      rows=$(cat "/proc/net/ip${version}_tables_names")
      case $nl$rows$nl in *"$nl$a_table$nl"*) ;; *) return 1 ;; esac
      ;;
    nft)
      [ -d /sys/module/nf_tables ] || grep -q '/nf_tables\.ko' "/lib/modules/$(uname -r)/modules.builtin" 2>/dev/null || [ ! -e /proc/modules ] || return 1
      has nft || filter nft || return 1
      ! has nft || {
        told nft list chain "ip$version" "$a_table" "$a_chain"
        [ "$code" = 0 ] || return 1
      }
      ;;
  esac
}

filter() { # FLAVOUR -> program; false: there is none
  for program in "ip${version}tables-$1" "ip${version}tables"; do
    has "$program" || continue
    told "$program" -V
    case $1:$rows in nft:*nf_tables* | legacy:*'(legacy)'*) return 0 ;; legacy:*'('*) ;; legacy:*) return 0 ;; esac
  done
  return 1
}

chain_of() { # FLAVOUR -> status, or 1: fail was called
  if ! filter "$1"; then
    fail cannot_look 0 "no ip${version}tables of the flavour $1 is there, though its tables are loaded: remove the chain $a_chain by hand"
    return 1
  fi
  told "$program" -w -t "$a_table" -S
  if [ "$code" != 0 ]; then
    last_row
    fail cannot_look "$code" "$program does not list the table $a_table ($row): see why, then run again"
    return 1
  fi
  case $nl$rows$nl in *"$nl-N $a_chain$nl"*) ;; *) return 0 ;; esac
  for row in $rows; do
    case $row in
      "-A $a_chain "*)
        fail in_use 0 "the chain $a_chain of $a_table (ip${version:-4}) holds rules, perhaps somebody's own ($row): look at them, and remove the chain by hand"
        return 1
        ;;
      *" -j $a_chain" | *" -g $a_chain" | *" -j $a_chain "* | *" -g $a_chain "*)
        fail in_use 0 "a rule leads into the chain $a_chain of $a_table (ip${version:-4}): $row; remove the rule, then run again"
        return 1
        ;;
    esac
  done
  performed "$program" -w -t "$a_table" -X "$a_chain"
  answer=$rows ended=$code
  told "$program" -w -t "$a_table" -S
  case $code:$nl$rows$nl in
    0:*"$nl-N $a_chain$nl"*) ;;
    0:*) status='done' && return 0 ;;
  esac
  rows=$answer
  last_row
  fail still_there "$ended" "the chain $a_chain of $a_table is still there ($row): remove it by hand"
  return 1
}
