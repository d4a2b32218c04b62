# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# The frame of the preflight probes: an alarm of their own, and what several of them ask. A part of a script, see frame.sh.
# shellcheck disable=SC2034,SC2046,SC2086,SC2154,SC3013  # parts share variables; -ef is in POSIX since 2024, in dash, busybox, ksh long before

# Their parts come only where something is asked for; without them nothing is, and the answer is `absent`.
probe_egress() { :; }
probe_repository() { :; }

brief=3 # seconds each of them has
listed='' silent='' absent='' # what a probe before has found, or why it could not: see follow
clear='' # nothing of a product and no server's mount was seen: see untroubled

# In the place of the alarm in frame.sh: it comes twice, first for the preflight probes. When all have answered the collector
# ends the nap in which it finds us, and with that all of this. Where it has ended before it heard of a nap, the next one finds
# nobody to tell; so naps are short once the first is over.
alarm() {
  left=$((limit - brief - 2))
  if [ "$limit" -gt $brief ]; then
    nap $brief && soon "$@" || return 0
  else
    nap "$limit" || return 0
  fi
  while [ "$left" -gt 0 ]; do
    nap 1 || return 0
    left=$((left - 1))
  done
  finish "$@"
  echo T
  sleep 1 >/dev/null
  case $lead in '' | "$$") ;; *) kill -9 "$lead" ;; esac
}

nap() { # SECONDS; false: it was ended, or nobody hears of it (or there is no sleep: no limit)
  sleep "$1" >/dev/null &
  echo "S $!" || { kill $! && return 1; } # where SIGPIPE is ignored
  wait $!
}

finish() { # PID...: the programs that these wait for, a second later themselves
  end $(offspring "$@")
  sleep 1 >/dev/null
  end "$@" $(offspring "$@")
}

end() { # PID...: all are stopped first, so that none can take the end of another one for an answer
  [ $# -gt 0 ] && kill -STOP "$@"
  kill -9 "$@"
}

soon() { # PID... of all probes; false: all have answered
  IFS=' '
  pids='' names=
  for name in $probes; do
    case " $later " in *" $name "*) continue ;; esac # has none of its own
    case " $preflight " in *" $name "*) pids="$pids $1" names="$names $name" ;; esac
    shift
  done
  [ -n "$pids" ] || return 0
  end $(offspring $pids)
  nap 1 || return 1
  end $pids $(offspring $pids)
  nap 1 || return 1 # for the kernel to end them, and for their parent to see it
  hex "did not answer in $brief s"
  set -- $pids
  for row in $names; do
    case $row in resources) row="$row $chain" ;; esac # its process had more of them
    # One that even SIGKILL does not end is left to the other alarm. The answer of one that had answered is not heard.
    [ -e "/proc/$1" ] || for name in $row; do printf 'P - %s unknown reason:%s\n' "$name" "$hex"; done
    shift
  done
}

# The names of processes that `runs` is asked for, as alternatives of a pattern.
managers='apt|apt-get|aptitude|dpkg|rpm|dnf|dnf5|microdnf|yum|zypper'
roles='database|mysqld|mariadbd|postgres|postmaster|mongod|mongos|oracle|db2sysc|redis-server|sqlservr|clickhouse-serv
mail|exim|exim4|sendmail|dovecot|cyrus-master
cluster|corosync|pacemakerd|keepalived
virtualization|qemu-kvm|qemu-system-x86|libvirtd|virtqemud|pve-cluster|VBoxSVC|xenstored|pmxcfs
domain_controller|samba|samba: root pro|ns-slapd
container_host|dockerd|containerd|crio|kubelet|k3s-server|conmon'
watched="$managers|fapolicyd|master" # Postfix's first process has a name that says nothing

# Once for all probes, before they are started: a shell that reads by itself reads byte by byte. Then the kernel also begins its list of
# locks anew for each line, and leaves one out when an earlier one has gone meanwhile; it is read twice, for that may still happen
# between two pages.
# -> running: a line /proc/PID/comm:NAME for each process of these; table: FILE:DEVICE PLACE TYPE OPTIONS for each mount; held: the locks
look_around() {
  running='' table='' held='' names=$watched
  for row in $roles; do names="$names|$row"; done
  set +f
  # Of a mount, each line has the blank in front of its place; of a lock, its number.
  rows=$(grep -HE "^($names)\$| /|^[0-9]+: " /proc/self/mounts /proc/locks /proc/locks /proc/[0-9]*/comm 2>/dev/null)
  set -f
  for row in $rows; do
    case $row in
      /proc/self/mounts:*) table=$table$row$nl ;;
      /proc/locks:*) held=$held${row#/proc/locks:}$nl ;;
      *) running=$running$nl$row ;;
    esac
  done
  # Not empty, for it is known; kernels before 2.6.33 tell no names.
  if [ -n "$table" ] && [ -r /proc/self/comm ]; then running=$running$nl; else running=; fi
}

sees() { # running or table -> false: there is none, and the probe's answer is set
  [ -n "$1" ] || { unknown 'grep is missing, or /proc is not mounted' && return 1; }
}

here() { # PID: does it see our root file system? (yes when we may not know)
  [ ! -e "/proc/$1/root/." ] || [ "/proc/$1/root" -ef / ]
}

runs() { # NAME... of those in look_around -> pid of a process with one of these names; false: there is none
  for name in "$@"; do
    case $running in *"/comm:$name$nl"*) ;; *) continue ;; esac
    for row in $running; do
      case $row in *"/comm:$name") ;; *) continue ;; esac
      pid=${row#/proc/} && pid=${pid%%/*}
      ! here "$pid" || return 0
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

served() { case $1 in nfs | nfs4 | cifs | smb3 | smbfs | ncpfs | ceph | glusterfs | lustre | afs | 9p | fuse | fuse.*) ;; *) return 1 ;; esac; } # FSTYPE: by a server, or a program

plainly() { # PLACE as the kernel writes it, a blank as \040 -> place
  place=$1
  case $1 in *\\*) place=$(printf '%b.' "$(printf %s "$1" | sed 's/\\\([0-7][0-7][0-7]\)/\\0\1/g')") && place=${place%.} ;; esac
}

# The last mount on a place is the one that counts.
deeper() { # PATH, resolved, PLACE of a mount as the kernel writes it; mount: the deepest so far -> place; false: it does not carry PATH better
  plainly "$2"
  base=${place%/} # bash 5.2 gets a pattern wrong that has this in it
  case $1/ in "$base"/*) [ ${#place} -ge ${#mount} ] ;; *) return 1 ;; esac
}

mount_of() { # PATH, resolved -> mount fstype options
  mount='' fstype='' options=
  for row in $table; do
    IFS=' '
    set -- "$1" $row
    IFS=$nl
    ! deeper "$1" "$3" || mount=$place fstype=$4 options=$5
  done
}

probe_space() {
  limit=$brief
  sees "$table" && needs df || return 0
  seen=$nl
  for path in / /var /var/lib /opt /usr /tmp; do
    [ -d "$path" ] || continue
    resolve "$path"
    mount_of "${real:-$path}"
    case $seen in *"$nl$mount$nl"*) continue ;; esac
    seen=$seen$mount$nl
    ask df -Pk "$path" || case $reason in *'did not answer'*) return 0 ;; *) continue ;; esac
    for row in $rows; do :; done # the last line
    text=${row%% /*} # without the place it is mounted on
    trim "${text% *}"
    value=${text##* }
    case $value in
      '' | *[!0-9]*) unknown "df: $row" ;;
      *)
        text=
        IFS=,
        for row in $options; do case $row in ro | rw | noexec) text=$text,$row ;; esac done # what matters to an act
        IFS=$nl
        record path "$path" mount "$mount" free_mib "$((value / 1024))" fstype "$fstype" options "${text#,}"
        ;;
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
  file=/sys/devices/system/cpu/online value=
  [ ! -r "$file" ] || read -r value <"$file"
  IFS=,
  for row in $value; do # such as 0-3,6
    case $row in *-*) cpus=$((cpus + ${row#*-} - ${row%-*} + 1)) ;; *) cpus=$((cpus + 1)) ;; esac
  done
  IFS=$nl
  [ "$cpus" != 0 ] || cpus=$(grep -c '^processor' /proc/cpuinfo) || cpus=0
  [ -n "$total" ] && [ "$cpus" != 0 ] || unknown 'neither /proc nor /sys tells memory and processors'
  [ -z "$total" ] || record cpus "$cpus" memory_mib "$total" available_mib "$free"
}

probe_tools() {
  for name in perl systemctl systemd-run setsid timeout curl wget gpg rpm dpkg; do
    IFS=:
    for dir in $PATH; do # as `command -v` does it, without a process for each
      [ -f "$dir/$name" ] && [ -x "$dir/$name" ] && record name "$name" path "$dir/$name" && break
    done
  done
  IFS=$nl
  return 0
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
