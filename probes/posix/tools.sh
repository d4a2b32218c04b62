# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# The tools of all hands: values that can be sent, and what a host is asked in the same way everywhere. A part of a script, see frame.sh.
# shellcheck disable=SC2034,SC2086,SC2154,SC3013  # parts share variables; -ef is in POSIX since 2024, in dash, busybox, ksh long before

encode() { # KEY VALUE -> pair
  case $2 in
    *[!A-Za-z0-9._/:+@~,%-]*) hex "$2" && pair=" $1:$hex" ;;
    *) pair=" $1=$2" ;;
  esac
}

hex() { # TEXT -> hex; printable ASCII without starting a program, since every reason is that
  case $1 in
    *[!\ -~]*)
      hex=$(printf %s "$1" | od -An -v -tx1 | while IFS= read -r row; do
        IFS=' ' && set -- $row && IFS= && printf %s "$*"
      done)
      [ -n "$hex" ] || { unknown 'od is missing: a name cannot be sent' && hex=3f; }
      return 0
      ;;
  esac
  text=$1 hex=
  while [ -n "$text" ]; do
    char=${text%"${text#?}"} && text=${text#?}
    before=${ascii%%"$char"*} && code=$((${#before} + 32)) && low=$((code % 16))
    case $low in 10) low=a ;; 11) low=b ;; 12) low=c ;; 13) low=d ;; 14) low=e ;; 15) low=f ;; esac
    hex=$hex$((code / 16))$low
  done
}

has() { command -v "$1" >/dev/null; }

needs() { # PROGRAM... -> false when one is missing; the probe's answer is set then
  for program in "$@"; do
    has "$program" || { unknown "$program is missing" && return 1; }
  done
}

ask() { # PROGRAM ARGUMENT... -> rows; false: it did not tell, and the probe's answer is set
  rows=$("$@" 2>&1) && return 0
  case $? in
    137 | 265) unknown "$1 did not answer in $limit s" ;; # killed, as ksh has it 265
    *) unknown "$1: $(printf %.300s "$rows")" ;;
  esac
  return 1
}

lower() { # TEXT -> low
  low=$1
  case $1 in *[A-Z]*) low=$(printf %s "$1" | tr '[:upper:]' '[:lower:]') ;; esac
}

holds() { # TEXT LITERALS: does one of these lower-case literals occur in it?
  lower "$1"
  for literal in $2; do
    case $low in *"$literal"*) return 0 ;; esac
  done
  return 1
}

there() { [ -e "$1" ] || [ -h "$1" ]; }

# `test` cannot tell "not there" from "not allowed to look"; the error text of ls can, for all paths at once.
lost() { # PATH... that `there` denies -> why (empty: they are really not there)
  why=
  [ $# -gt 0 ] || return 0
  has ls || { why='ls is missing: cannot tell whether a path is absent' && return 0; }
  said=$(ls -d -- "$@" 2>&1 >/dev/null)
  for row in $said; do
    case $row in
      *': No such file or directory' | *': Not a directory') ;;
      *) why=${row#ls: } && why=${why#cannot access } && return 0 ;;
    esac
  done
}

resolve() { # PATH -> real (empty: cannot be resolved)
  real=$1 rest=${1#/} prefix=
  while [ -n "$rest" ]; do # no link on the way: nothing to start
    prefix=$prefix/${rest%%/*}
    [ ! -h "$prefix" ] || break
    case $rest in */*) rest=${rest#*/} ;; *) return 0 ;; esac
  done
  [ "$1" != / ] || return 0
  real=$(readlink -f -- "$1" && echo .) && real=${real%"$nl".} && return 0
  real=$(cd -P -- "$1" && pwd -P && echo .) && real=${real%"$nl".} && return 0
  real=
}

once() { # DIR... -> dirs: those that are there, each once even when some are links to others
  dirs='' missing=
  for dir in "$@"; do
    if [ -d "$dir" ]; then
      for seen in $dirs; do [ ! "$seen" -ef "$dir" ] || continue 2; done
      dirs=$dirs$dir$nl
      [ -x "$dir" ] || unknown "$dir: Permission denied"
    else
      missing=$missing$dir$nl
    fi
  done
  lost $missing
  [ -z "$why" ] || unknown "$why"
}

readable() { # FILE -> true when it can be read; else the probe's answer is set
  [ -f "$1" ] && [ -r "$1" ] && return 0
  if [ -f "$1" ]; then why="$1: Permission denied"; elif there "$1"; then why="$1: is not a file"; else lost "$1"; fi
  [ -z "$why" ] || unknown "$why"
  return 1
}

complain() { # PROGRAM CODE: rows that do not begin with = are complaints, and one is enough to trust nothing
  case $2 in 137 | 265) unknown "$1 did not answer in $limit s" ;; esac # killed, as ksh has it 265
  case $nl$rows in
    *"$nl"[!=]*)
      said=
      for row in $rows; do
        case $row in =*) ;; *) said="$said $row" ;; esac
      done
      unknown "$(printf %.300s "${said# }")"
      ;;
  esac
  [ "$2" = 0 ] || unknown "$1 ended with $2"
}

trim() { # TEXT -> text: without blanks around it
  text=${1%"$cr"}
  text=${text#"${text%%[!\ "$tab"]*}"}
  text=${text%"${text##*[!\ "$tab"]}"}
}

machine_id() { # -> machine: the id of this host, empty when it has none yet
  machine=
  for file in /etc/machine-id /var/lib/dbus/machine-id; do
    [ -n "$machine" ] || ! [ -r "$file" ] || read -r machine <"$file"
    case $machine in uninitialized) machine= ;; esac
  done
}
