# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# What would stop an act on this host, or must be thought of before it: who enforces what, what is mounted or locked below the products,
# what the host is for and who is on it. A part of a script, see frame.sh.
# shellcheck disable=SC2034,SC2086,SC2154,SC3013

probe_enforcement() {
  value='' text=
  if [ -r /etc/selinux/config ]; then
    while IFS= read -r row || [ -n "$row" ]; do
      case $row in SELINUX=* | SELINUXTYPE=*) text="$text${text:+ }$row" ;; esac
    done </etc/selinux/config
  fi
  [ ! -r /sys/fs/selinux/enforce ] || read -r value </sys/fs/selinux/enforce
  switch selinux "$value" 0 permissive 1 enforcing
  [ -n "$value" ] || [ -z "$text" ] || record kind selinux state inactive detail "$text"

  sees "$running"
  file=/etc/fapolicyd/fapolicyd.conf text=
  if [ -r "$file" ]; then
    while IFS= read -r row || [ -n "$row" ]; do
      case $row in permissive*=*1*) text=$row ;; esac
    done <"$file"
  fi
  if runs fapolicyd; then
    if [ -n "$text" ]; then value=permissive; else value=active; fi
    record kind fapolicyd state $value detail "pid $pid"
  elif [ -e "$file" ]; then
    record kind fapolicyd state inactive detail ''
  fi

  file=/sys/module/apparmor/parameters/enabled value=
  [ ! -r "$file" ] || read -r value <"$file"
  case $value in
    Y)
      text=$(grep -c '(enforce)$' /sys/kernel/security/apparmor/profiles)
      record kind apparmor state active detail "${text:-unknown} profiles enforced"
      ;;
    N) record kind apparmor state inactive detail '' ;;
  esac

  # Astra Linux: only signed programs run
  value=
  for file in /sys/digsig/elf_mode /sys/digsig/enforce; do
    [ -n "$value" ] || ! [ -r "$file" ] || read -r value <"$file"
  done
  [ -z "$value" ] || text=$value
  switch digsig "$value" 0 inactive 1 enforcing 2 permissive
}

switch() { # KIND VALUE NUMBER STATE...
  kind=$1 value=$2
  shift 2
  [ -n "$value" ] || return 0
  while [ $# -gt 1 ]; do
    [ "$1" != "$value" ] || { record kind "$kind" state "$2" detail "$text" && return 0; }
    shift 2
  done
  unknown "$kind: a mode that is not known here: $value"
}

probe_quarantine() {
  limit=$brief missing=
  for place in $EVICT_PREFLIGHT_STORES; do
    names=${place#"${place%%!*}"} place=${place%%!*} # !NAME behind a store: files in it that hold nothing of a quarantine
    set +f
    case $place in *\**) set -- $place ;; *) set -- "$place" ;; esac
    set -f
    for path in "$@"; do
      if ! there "$path"; then
        for found in $absent; do # /FOLDER/ above it
          case $path in "${found%/}"/*) continue 2 ;; esac
        done
        missing=$missing$path$nl
      elif [ -d "$path" ] && [ ! -x "$path" ]; then
        unknown "$path: Permission denied"
      else
        needs find head wc || return 0
        files=$(objects "$path" "$names" | head -n 10000 | wc -l) || files=
        files=${files##*[ "$tab"]}
        case $files in
          '' | *[!0-9]*) unknown "$path: find did not answer in $limit s" ;;
          0) ;;
          *) record path "$path" files "$files" ;;
        esac
      fi
    done
  done
  lost $missing
  [ -z "$why" ] || unknown "$why"
}

objects() { # PATH !NAME...: the files below it of other names
  path=$1 names=$2
  set -- "$path" -type f
  IFS=!
  for name in $names; do [ -z "$name" ] || set -- "$@" ! -name "$name"; done
  IFS=$nl
  find "$@" -print 2>/dev/null
}

probe_obstacles() {
  limit=$brief
  sees "$table" || return 0
  [ -z "$clear" ] || return 0
  trees='' names='' seen=$nl
  for path in $EVICT_PREFLIGHT_TREES; do
    there "$path" || continue
    [ ! -h "$path" ] || { resolve "$path" && path=${real:-$path}; }
    trees=$trees$path$nl
  done
  for row in $table; do
    IFS=' '
    set -- $row
    IFS=$nl
    plainly "$2"
    case $seen in *"$nl$place$nl"*) continue ;; esac
    seen=$seen$place$nl
    ! served "$3" || names=$names$place$nl
    for path in $trees; do
      case $place/ in "$path"/*) record kind mount path "$place" detail "$3 $4" && break ;; esac
    done
  done
  # A server that does not answer stops the removal of a product, wherever it is mounted. Each is asked on its own; those that have
  # not answered when time is up hang. Only the asking shell holds our pipe, never a program that not even SIGKILL ends.
  if [ -n "$names" ]; then
    needs ls || return 0
    rows=$(
      for place in $names; do
        {
          ls -d "$place/." >/dev/null 2>&1
          printf '=%s\n' "$place"
        } &
      done
      wait
    )
    for place in $names; do
      case $nl$rows$nl in *"$nl=$place$nl"*) continue ;; esac
      record kind network_mount_hangs path "$place" detail "no answer in $limit s"
      unknown "nothing else was looked for, since $place does not answer"
    done
    [ "$status" != unknown ] || return 0
  fi
  [ -n "$trees" ] && needs lsattr grep || return 0
  # A file system without such marks says so for each file; that is no trouble.
  rows=$(lsattr -a -d -- $trees 2>/dev/null | grep '^[^ ]*[ai][^ ]* /')
  case $? in 137 | 265) unknown "lsattr did not answer in $limit s" && return 0 ;; esac
  rows=$rows$nl$(lsattr -a -R -- $trees 2>/dev/null | grep '^[^ ]*[ai][^ ]* /')
  case $? in 137 | 265) unknown "lsattr did not answer in $limit s" ;; esac
  for row in $rows; do
    case ${row%% *} in *i*) text=immutable ;; *) text='append only' ;; esac
    [ "$sent" -lt 100 ] || { unknown 'more than 100 obstacles' && return 0; }
    case $row in */. | */..) ;; *) record kind immutable path "/${row#*/}" detail "$text" ;; esac
  done
}

probe_roles() {
  sees "$running"
  for row in $roles; do
    IFS='|'
    role $row
  done
  for row in $running; do
    case $row in */comm:master) ;; *) continue ;; esac
    pid=${row#/proc/} && pid=${pid%%/*}
    for file in /usr/lib/postfix/sbin/master /usr/lib/postfix/bin/master /usr/libexec/postfix/master /usr/lib/postfix/master; do
      [ "/proc/$pid/exe" -ef "$file" ] && here "$pid" && record role mail source "process $file" && return 0
    done
  done
}

role() { # ROLE NAME...
  role=$1 IFS=$nl
  shift
  for name in "$@"; do
    ! runs "$name" || record role "$role" source "process $name"
  done
}

# From logind's files; without them from what `who` reads. Our own login is none.
probe_sessions() {
  limit=$brief mine=
  if [ -r /proc/self/cgroup ]; then
    while read -r row; do
      case $row in *'/session-'*.scope*) mine=${row##*/session-} && mine=${mine%%.scope*} ;; esac
    done </proc/self/cgroup
  fi
  if [ ! -d /run/systemd/sessions ]; then
    { [ -e /run/utmp ] || [ -e /var/run/utmp ]; } && needs who && ask who || return 0
    for row in $rows; do
      case $row in *'('*[!:0-9]*')') text=remote ;; *) text=console ;; esac
      record user "${row%% *}" kind $text state active
    done
    return 0
  fi
  set +f
  set -- /run/systemd/sessions/*
  set -f
  for file in "$@"; do
    case $file in */"$mine" | *.ref) continue ;; esac
    [ -f "$file" ] || continue
    [ -r "$file" ] || { unknown "$file: Permission denied" && continue; }
    user='' class='' state='' text=console
    while IFS= read -r row || [ -n "$row" ]; do
      case $row in
        USER=*) user=${row#*=} ;;
        CLASS=*) class=${row#*=} ;;
        STATE=*) state=${row#*=} ;;
        REMOTE=1) text=remote ;;
      esac
    done <"$file"
    case $class in user*) record user "$user" kind $text state "$state" ;; esac # others are logins that have not happened, and services
  done
}

probe_desktop() {
  container
  [ -z "$box" ] || return 0
  row=
  [ ! -r /proc/cmdline ] || IFS= read -r row </proc/cmdline
  IFS=' '
  for text in $row; do
    case $text in
      boot=live | boot=casper | rd.live.* | root=live:* | overlayroot=?* | systemd.volatile=[yos]* | toram | root=/dev/nbd* | ltsp* | BOOT_IMAGE=*ltsp*)
        record kind non_persistent source "kernel command line: $text"
        ;;
    esac
  done
  IFS=$nl
  sees "$table" || return 0
  mount_of /
  case $fstype in overlay | overlayfs | tmpfs | ramfs | squashfs | aufs | unionfs) record kind non_persistent source "/ is $fstype" ;; esac
}
