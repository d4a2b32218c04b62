# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# Who performs on this host, and how far a job has come. Only reads, so that an observer can have it, too. A part of a script, needs
# tools.sh.
# shellcheck disable=SC2010,SC2012,SC2034,SC2046,SC2086,SC2154  # parts share variables; names below our own folder are ours

at_home() { # -> base: the folder of all that we do here; memory: the one that a restart empties; boot: id of the host's start
  base=/var/lib/evict.kaspersky memory=/run/evict.kaspersky boot=
  [ ! -r /proc/sys/kernel/random/boot_id ] || read -r boot </proc/sys/kernel/random/boot_id
}

uptime_now() { # -> up: seconds since the host's start, with two digits after the point
  IFS=' ' read -r up _ </proc/uptime
  IFS=$nl
}

born() { # PID -> born: when it started, in ticks since the host's start; false: there is no such process, or nothing but its end is left
  born='' stat=
  [ -r "/proc/$1/stat" ] || return 1
  IFS= read -r stat 2>/dev/null <"/proc/$1/stat" || return 1
  stat=${stat##*") "}
  case $stat in '' | [ZX]*) return 1 ;; esac
  IFS=' '
  set -- $stat
  IFS=$nl
  born=${20}
}

owned() { # FOLDER -> false: it is not a folder of root's that nobody else can enter, and why says what it is
  why=
  rows=$(ls -ldn -- "$1" 2>&1) || { why=$rows && return 1; }
  IFS=' '
  set -- "$1" $rows
  IFS=$nl
  case $2:$4 in drwx------:0 | drwx------.:0) return 0 ;; esac
  why="$1 is there and not ours alone (mode $2, owner $4): see what it is, and move it away"
  return 1
}

# Each holder of the lock has a number, one more than that of the holder before; the file comes into its place with all that is in it. A
# holder that has ended holds nothing, so nothing needs to be given back, and after a power cut nothing has to be cleaned up.
holder() { # -> number of the last one, and held_*; false: nobody performs
  number=0 held_boot=
  set +f
  for file in "$base"/lock/[0-9]*; do
    name=${file##*/}
    case $name in *[!0-9]*) continue ;; esac
    [ "$name" -le "$number" ] || number=$name
  done
  set -f
  [ "$number" -gt 0 ] && [ -r "$base/lock/$number" ] || return 1
  IFS=' ' read -r held_pid held_born held_boot held_digest held_phase held_run held_since <"$base/lock/$number"
  IFS=$nl
  [ -n "$held_boot" ] && [ "$held_boot" = "$boot" ] && born "$held_pid" && [ "$born" = "$held_born" ]
}

field() { # KEY LINE -> value, plain; false: the line has no such field
  value=
  case "$2 " in *" $1="*) ;; *) return 1 ;; esac
  value=${2#*" $1="}
  value=${value%% *}
}

journal_of() { # DIGEST PHASE: all its lines, and empty ones; what the disk did not take is in memory
  for file in "$base/jobs/$1/$2/journal" "$memory/$1.$2.journal"; do
    [ ! -f "$file" ] || { cat -- "$file" && echo; } # its last line may be cut
  done
}

job_state() { # DIGEST PHASE -> state: none, running, ended, died; code of what has ended; run, since, attempt of the last performer
  state=none code='' run='' since='' attempt=
  if holder && [ "$held_digest" = "$1" ] && [ "$held_phase" = "$2" ]; then
    state=running run=$held_run since=$held_since
    return 0
  fi
  last='' row=
  for row in $(journal_of "$1" "$2" | grep -e '^job .* \.$' -e '^close .* \.$'); do
    case $row in job\ *) last=$row ;; esac
  done
  [ -n "$last" ] || return 0
  ! field run "$last" || run=$value
  ! field at "$last" || since=$value
  ! field attempt "$last" || attempt=$value
  state=died
  case $row in close\ *) ! field code "$row" || state=ended code=$value ;; esac
}

open_job() { # -> digest, phase, state, run, since of the job that is under way or waits for its next phase; false: there is none
  if holder; then
    digest=$held_digest phase=$held_phase state=running run=$held_run since=$held_since code=
    return 0
  fi
  set +f
  rows=$(ls -t "$base"/jobs/*/*/journal 2>/dev/null)
  set -f
  for file in $rows; do
    phase=${file%/journal} && phase=${phase##*/}
    digest=${file%/*/journal} && digest=${digest##*/}
    [ ! -e "$base/jobs/$digest/closed" ] || continue
    job_state "$digest" "$phase"
    [ "$state" = none ] || return 0
  done
  return 1
}
