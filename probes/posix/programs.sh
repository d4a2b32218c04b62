# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# What could run or runs: units, init scripts, processes. A part of a script, see frame.sh.
# shellcheck disable=SC2034,SC2086,SC2154,SC3013

# Where systemd looks for units, the first one counts.
unit_dirs='/etc/systemd/system.control
/run/systemd/system.control
/run/systemd/transient
/run/systemd/generator.early
/etc/systemd/system
/etc/systemd/system.attached
/run/systemd/system
/run/systemd/system.attached
/run/systemd/generator
/usr/local/lib/systemd/system
/usr/lib/systemd/system
/lib/systemd/system
/run/systemd/generator.late'

probe_units() {
  once $unit_dirs
  places=$dirs found=
  for name in $EVICT_UNITS; do
    for dir in $places; do
      ! there "$dir/$name" || { found=$found$name$nl && break; }
      [ ! -d "$dir/$name.d" ] || { found=$found$name$nl && break; }
    done
  done
  [ -n "$found" ] || return 0
  # One question about all of them; the answers come in the order of the names.
  actives='' enableds=
  if [ -d /run/systemd/system ] && has systemctl; then
    for row in $(systemctl --no-pager --no-ask-password show -p ActiveState -p UnitFileState -- $found); do
      case $row in
        ActiveState=*) actives=$actives${row#*=}$nl ;;
        UnitFileState=*) enableds=$enableds${row#*=}-$nl ;; # the - keeps an empty one's place
      esac
    done
  fi
  set -- $found
  names=$#
  set -- $actives
  [ $# = "$names" ] || actives=
  set -- $enableds
  [ $# = "$names" ] || enableds=
  for name in $found; do
    active=${actives%%"$nl"*} actives=${actives#*"$nl"} enabled=${enableds%%"$nl"*} enableds=${enableds#*"$nl"}
    for dir in $places; do
      unit "$dir/$name"
      [ ! -d "$dir/$name.d" ] || dropin "$dir/$name.d"
    done
  done
}

unit() { # FILE, and from units: name active enabled
  there "$1" || return 0
  kind=file target='' exec=
  if [ -h "$1" ]; then
    kind='link'
    if target=$(readlink -- "$1" && echo .); then target=${target%"$nl".}; else unknown "$1: cannot read the link"; fi
    [ "$target" != /dev/null ] || kind=masked
  elif [ -f "$1" ] && [ ! -s "$1" ]; then
    kind=masked # systemd reads an empty unit as masked
  fi
  [ "$kind" = masked ] || ! [ -e "$1" ] || first_program "$1"
  record name "$name" path "$1" kind "$kind" target "$target" exec "$exec" active "$active" enabled "${enabled%-}"
}

dropin() { # DIR
  exec=
  [ -r "$1" ] || unknown "$1: Permission denied"
  set +f
  for file in "$1"/*.conf; do
    [ -n "$exec" ] || ! [ -e "$file" ] || first_program "$file"
  done
  set -f
  record name "$name" path "$1" kind dropin target '' exec "$exec" active "$active" enabled "${enabled%-}"
}

first_program() { # FILE -> exec: the program of its first ExecStart
  readable "$1" || return 0
  while IFS= read -r row || [ -n "$row" ]; do
    trim "$row"
    case $text in ExecStart=?* | ExecStart[\ "$tab"]*=?*) trim "${text#*=}" ;; *) continue ;; esac
    exec=$text
    exec=${exec#"${exec%%[!-@:+!|]*}"} # systemd's prefixes
    case $exec in
      \"*) exec=${exec#?} && exec=${exec%%\"*} ;;
      \'*) exec=${exec#?} && exec=${exec%%\'*} ;;
      *) exec=${exec%%[\ "$tab"]*} ;;
    esac
    [ -z "$exec" ] || return 0
  done <"$1"
}

probe_init_scripts() {
  once /etc/init.d /etc/rc.d/init.d /etc/rc.d /sbin/init.d
  for dir in $dirs; do
    for name in $EVICT_INIT_SCRIPTS; do
      ! there "$dir/$name" || record name "$name" path "$dir/$name"
    done
  done
}

probe_processes() {
  pids=' ' blind=
  [ -e /proc/self/stat ] || { unknown '/proc is not mounted' && return 0; }
  [ -e /proc/1/stat ] || unknown "other users' processes are hidden (hidepid): run with privilege (become)"
  if ! has ls || ! has readlink; then unknown 'ls or readlink is missing' && return 0; fi
  below=
  for dir in $EVICT_EXE_DIRS; do
    below="$below$dir$nl$dir$nl"
    [ -e "$dir" ] || continue
    resolve "$dir"
    case $real in "$dir" | '' | /) ;; *) below="$below$real$nl$dir$nl" ;; esac
  done
  # One ls reads all links; a name may hold a line end, so what it says is only a hint, confirmed one by one.
  set +f
  rows=$(ls -ln /proc/[0-9]*/exe 2>&1)
  code=$?
  set -f
  [ "$code" -lt 126 ] || { unknown "ls ended with $code" && return 0; }
  case $rows in *'/exe -> '*) ;; *) unknown 'no executable in /proc could be read' ;; esac
  set -- $below
  while [ $# -gt 1 ]; do
    case $rows in
      *" -> $1/"*)
        for row in $rows; do
          case $row in */proc/[0-9]*"/exe -> $1/"*) ;; *) continue ;; esac
          pid=${row#*/proc/} && pid=${pid%%/*}
          case $pid in *[!0-9]*) continue ;; esac
          case $pids in *" $pid "*) ;; *) process "$pid" "$1" "$2" ;; esac
        done
        ;;
    esac
    shift 2
  done
  case $rows in *'Permission denied'* | *'not permitted'*) unreadable ;; esac
  blind=$reason # for the peers
}

process() { # PID PREFIX DIR: its executable lies below PREFIX, which is DIR or where DIR's links lead to
  exe=$(readlink "/proc/$1/exe" && echo .) || return 0 # it has ended
  exe=${exe%"$nl".}
  case $exe in "$2"/*) ;; *) return 0 ;; esac
  pids="$pids$1 " deleted=no root=unknown comm=
  case $exe in *' (deleted)') [ "/proc/$1/exe" -ef "$exe" ] || { exe=${exe%" (deleted)"} && deleted=yes; } ;; esac
  if [ "/proc/$1/root" -ef / ]; then root=same; elif [ -e "/proc/$1/root/." ]; then root=other; fi
  IFS= read -r comm <"/proc/$1/comm"
  record pid "$1" exe "$exe" deleted "$deleted" root "$root" comm "$comm" dir "$3"
}

unreadable() { # counts the rows of processes that have an executable which we may not see
  hidden=0
  for row in $rows; do
    case $row in
      *'/exe -> '*) continue ;;
      */proc/[0-9]*'Permission denied' | */proc/[0-9]*'not permitted') ;;
      *) continue ;;
    esac
    pid=${row#*/proc/} && pid=${pid%%/*}
    case $pid in *[!0-9]*) continue ;; esac
    [ -d "/proc/$pid" ] && [ ! -e "/proc/$pid/exe" ] || continue
    if read -r row <"/proc/$pid/stat"; then
      IFS=' '
      set -- ${row##*") "} # state ppid pgrp session tty tpgid flags
      IFS=$nl
      case $1 in Z | X) continue ;; esac
      [ $((${7:-0} & 2097156)) = 0 ] || continue # PF_KTHREAD, PF_EXITING: no executable, or none any more
    fi
    [ "$euid:$pid" != 0:1 ] || ! foreign_init || continue
    [ ! -d "/proc/$pid" ] || hidden=$((hidden + 1))
  done
  [ "$hidden" != 0 ] || return 0
  if [ "$euid" = 0 ]; then set -- "this root lacks CAP_SYS_PTRACE"; else set -- "run with privilege (become)"; fi
  unknown "the executables of $hidden processes cannot be read: $1"
}

# In some containers and small VMs not even root may read what pid 1 runs; what it says of itself is enough for that one.
foreign_init() {
  row=
  IFS= read -r row </proc/1/cmdline # the NULs drop out; there is no line end
  for dir in $below; do
    case $row in '' | "$dir"/*) return 1 ;; esac
  done
}
