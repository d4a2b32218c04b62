# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# The frame of the preflight probes: an alarm of their own, and what several of them ask. A part of a script, see frame.sh.
# shellcheck disable=SC2034,SC2086,SC2154,SC3013  # parts share variables; -ef is in POSIX since 2024, in dash, busybox, ksh long before

brief=3 # seconds each of them has

# In the place of the alarm in frame.sh: it comes twice, first for the preflight probes. Both naps begin at once, and the
# collector ends the long one when all have answered; that ends the short one, too.
alarm() {
  sleep "$limit" >/dev/null &
  nap=$!
  echo "S $nap"
  soon "$@" &
  short=$!
  wait "$nap" || { kill "$short" && return 0; }
  kill "$short"
  finish "$@"
  echo T
  sleep 1 >/dev/null
  case $lead in '' | "$$") ;; *) kill -9 "$lead" ;; esac
}

finish() { # PID...: the programs that these wait for, a second later themselves
  tree=$(offspring "$@")
  [ -z "$tree" ] || kill -9 $tree
  sleep 1 >/dev/null
  tree=$(offspring "$@")
  kill -9 "$@" $tree
}

soon() { # PID... of all probes
  IFS=' '
  pids='' names=
  for name in $probes; do
    case $name in peers) continue ;; esac # has none
    case " $preflight " in *" $name "*) pids="$pids $1" names="$names $name" ;; esac
    shift
  done
  [ -n "$pids" ] || return 0
  trap 'kill $!; exit' TERM
  sleep $brief >/dev/null &
  wait $! || return 0
  trap - TERM
  finish $pids
  sleep 1 >/dev/null # for the kernel to end them, and for their parent to see it
  hex "did not answer in $brief s"
  set -- $pids
  for name in $names; do
    # One that even SIGKILL does not end is left to the other alarm. The answer of one that had answered is not heard.
    [ -e "/proc/$1" ] || printf 'P 0 %s unknown reason:%s\n' "$name" "$hex"
    shift
  done
}

programs() { # -> running: a line `PID NAME` for each process of this root file system, without a program
  running=
  set +f
  for file in /proc/[0-9]*/comm; do
    comm=
    IFS= read -r comm <"$file" || continue
    file=${file#/proc/}
    running="$running${file%%/*} $comm$nl"
  done
  set -f
}

here() { # PID: does it see our root file system? (yes when we may not know)
  [ ! -e "/proc/$1/root/." ] || [ "/proc/$1/root" -ef / ]
}

runs() { # NAME... -> pid of a process with one of these names; false: there is none
  for name in "$@"; do
    case $nl$running in *" $name$nl"*) ;; *) continue ;; esac
    for row in $running; do
      pid=${row%% *}
      [ "${row#* }" != "$name" ] || ! here "$pid" || return 0
    done
  done
  return 1
}

unit_runs() { # UNIT: has systemd processes in its control group? Nobody is asked
  for dir in /sys/fs/cgroup/system.slice /sys/fs/cgroup/systemd/system.slice /sys/fs/cgroup/unified/system.slice; do
    [ -r "$dir/$1/cgroup.procs" ] || continue
    pid=
    read -r pid <"$dir/$1/cgroup.procs"
    [ -z "$pid" ] || return 0
  done
  return 1
}

# The kernel's list: the last mount on a place is the one that counts; blanks and the like come as \040.
mounts() { # -> table: lines DEVICE PLACE TYPE OPTIONS 0 0
  table=
  [ -r /proc/self/mounts ] || { unknown '/proc/self/mounts: cannot be read' && return 1; }
  while IFS= read -r row; do table=$table$row$nl; done </proc/self/mounts
}

plainly() { # PLACE as the kernel writes it -> place
  place=$1
  case $1 in *\\*) place=$(printf '%b.' "$(printf %s "$1" | sed 's/\\\([0-7][0-7][0-7]\)/\\0\1/g')") && place=${place%.} ;; esac
}

mount_of() { # PATH, resolved -> mount fstype options
  mount='' fstype='' options=
  for row in $table; do
    IFS=' '
    set -- "$1" $row
    IFS=$nl
    plainly "$3"
    base=${place%/} # bash 5.2 gets a pattern wrong that has this in it
    case $1/ in "$base"/*) [ ${#place} -lt ${#mount} ] || { mount=$place fstype=$4 options=$5; } ;; esac
  done
}

probe_space() {
  limit=$brief
  mounts && needs df || return 0
  seen=$nl
  for path in / /var /var/lib /opt /usr /tmp; do
    [ -d "$path" ] || continue
    resolve "$path"
    mount_of "${real:-$path}"
    case $seen in *"$nl$mount$nl"*) continue ;; esac
    seen=$seen$mount$nl
    ask df -Pk "$path" || continue
    for row in $rows; do :; done # the last line
    text=${row%% /*} # without the place it is mounted on
    trim "${text% *}"
    value=${text##* }
    case $value in
      '' | *[!0-9]*) unknown "df: $row" ;;
      *) record path "$path" mount "$mount" free_mib "$((value / 1024))" fstype "$fstype" options "$options" ;;
    esac
  done
}

probe_resources() {
  total='' free='' cpus=0
  if [ -r /proc/meminfo ]; then
    while IFS=" $tab" read -r key value _; do
      case $key in MemTotal:) total=$((value / 1024)) ;; MemAvailable:) free=$((value / 1024)) && break ;; esac
    done </proc/meminfo
  fi
  # A container may have less than its host.
  for file in /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes; do
    value=
    [ ! -r "$file" ] || read -r value <"$file"
    case $value in '' | *[!0-9]* | ????????????????*) continue ;; esac
    value=$((value / 1048576))
    [ "$value" -ge "${total:-0}" ] || total=$value
    [ "$value" -ge "${free:-0}" ] || free=$value
  done
  if [ -r /proc/stat ]; then
    while read -r row; do
      case $row in cpu[0-9]*) cpus=$((cpus + 1)) ;; cpu*) ;; *) break ;; esac
    done </proc/stat
  fi
  [ -n "$total" ] && [ "$cpus" != 0 ] || unknown '/proc does not tell memory and processors'
  [ -z "$total" ] || record cpus "$cpus" memory_mib "$total" available_mib "$free"
}

probe_tools() {
  for name in perl systemctl systemd-run setsid timeout curl wget gpg rpm dpkg; do
    path=$(command -v "$name") && record name "$name" path "$path"
  done
}

# Each running clamonacc and each manager of a container holds one of root's inotify instances. Searching all open files costs
# something, so it is only done when something is to be installed.
probe_limits() {
  [ -n "$EVICT_PREFLIGHT_PACKAGES" ] || return 0
  limit=$brief file=/proc/sys/fs/inotify/max_user_instances
  value=$(cat "$file") # a shell that reads byte by byte gets the first digit only
  [ -n "$value" ] || { unknown "$file: cannot be read" && return 0; }
  [ "$euid" = 0 ] || { unknown 'open files of other users: Permission denied' && return 0; }
  needs ls grep || return 0
  set +f
  # shellcheck disable=SC2010  # links, and what they lead to is the kernel's name
  rows=$(ls -ln /proc/[0-9]*/fd/ 2>/dev/null | grep -c '^[^ ]* *[0-9]* *0 .* -> anon_inode:\[*inotify')
  set -f
  case $rows in '' | *[!0-9]*) unknown "ls did not answer in $limit s" && return 0 ;; esac
  record name inotify_instances value "$value" used "$rows"
}
