# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# Remains that the catalog calls safe: groups, accounts, chains of the packet filter. A part of a job's library, needs
# perform_look.sh.
# shellcheck disable=SC2034,SC2086,SC2154

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

only_elsewhere() { # group or passwd, NAME -> true: a directory knows what /etc does not, and fail was called
  has getent || return 1
  told getent "$1" "$2"
  case $code:$rows in 0:"$2:"*) ;; *) return 1 ;; esac
  fail in_use 0 "$2 comes from a directory, not from this host: it is left alone" || :
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
  if has groupdel; then told groupdel "$a_group"; else told delgroup "$a_group"; fi
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
  if has userdel; then told userdel "$a_user"; else told deluser "$a_user"; fi
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
  told "$program" -w -t "$a_table" -X "$a_chain"
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
