# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# How a step runs a program, and what it may ask before it begins. A part of a job's library, see perform_frame.sh.
# shellcheck disable=SC2034,SC2086,SC2154  # parts share variables

# --- programs -------------------------------------------------------------------------------------------------------------

# Each runs in a session of its own, so that the whole of it can be ended when the time is up, and nothing is when it is not: what it
# started to stay, such as a service, is no business of ours.
bounded() { # PROGRAM ARGUMENT... -> code (124: the time of the step was up), said: its last lines; output: file with all it printed
  said='' output=$j_out
  uptime_now
  j_left=$((deadline - ${up%%.*}))
  (umask 077 && printf '' >"$j_out")
  [ "$j_left" -gt 0 ] || { code=124 && return 124; }
  has "$1" || { code=127 said="$1 is missing on this host" && return 127; }
  IFS=' '
  j_blank "$*"
  IFS=$nl
  printf '%s\n' "$(date -u +%FT%TZ) $id: $text" >>"$j_log"
  j_stuck=
  setsid "$@" </dev/null >>"$j_out" 2>&1 &
  j_child=$!
  born "$j_child"
  printf '%s\n' "$j_child $born $boot $deadline" >"$j_folder/child"
  j_alarm "$j_left" </dev/null >/dev/null 2>&1 &
  j_alarm=$!
  wait "$j_child"
  code=$?
  kill -TERM "$j_alarm" 2>/dev/null
  wait "$j_alarm" 2>/dev/null && code=124
  [ -z "$j_stuck" ] || code=124 # not even SIGKILL has ended it
  rm -f -- "$j_folder/child"
  j_listen
  return "$code"
}

j_alarm() { # SECONDS; 0: the time was up; else the program had ended before
  over='' nap=
  trap '[ -n "$over" ] || { [ -z "$nap" ] || kill "$nap"; exit 1; }' TERM
  left=$1
  while [ "$left" -gt 0 ]; do
    text=$left
    [ "$text" -le 10 ] || text=10
    sleep "$text" &
    nap=$!
    wait "$nap"
    left=$((left - text))
    # Without end into memory: what matters of it is at its end.
    [ "$(wc -c <"$j_out")" -le 4000000 ] || printf '' >"$j_out"
  done
  over=yes
  j_end "$j_child"
  born "$j_child" && kill -USR1 $$
  exit 0
}

j_end() { # PID of a session's leader: all of it
  kill -TERM "-$1"
  for _ in 1 2 3 4 5; do
    sleep 1
    kill -0 "-$1" || return 0
  done
  kill -KILL "-$1"
  for _ in 1 2 3 4 5; do
    born "$1" || return 0
    sleep 1
  done
}

j_listen() { # what the program said, without secrets, into the log -> said
  if [ -n "$j_blanks" ]; then
    while IFS= read -r row || [ -n "$row" ]; do
      j_blank "$row"
      printf '%s\n' "$text"
    done <"$j_out" >"$j_out.plain"
    mv -f -- "$j_out.plain" "$j_out"
  fi
  cat -- "$j_out" >>"$j_log"
  said=$(tail -n 12 "$j_out" | tr -d '\000-\010\013-\037\177' | tail -c 1200)
}

j_blank() { # TEXT -> text, with the job's secrets blanked
  text=$1
  for blank in $j_blanks; do
    case $text in *"$blank"*) ;; *) continue ;; esac
    rest=$text text=
    while :; do
      case $rest in *"$blank"*) ;; *) break ;; esac
      text="$text${rest%%"$blank"*}***" rest=${rest#*"$blank"}
    done
    text=$text$rest
  done
}

# The performer can be lost while a program of it goes on. It may have its time before anything is begun beside it.
j_await() {
  [ -r "$j_folder/child" ] || return 0
  IFS=' ' read -r j_child j_was j_in j_until <"$j_folder/child"
  [ "$j_in" = "$boot" ] || return 0
  while born "$j_child" && [ "$born" = "$j_was" ]; do
    uptime_now
    [ "${up%%.*}" -lt "$j_until" ] || { j_end "$j_child" 2>/dev/null && break; }
    sleep 1
  done
  rm -f -- "$j_folder/child"
}

# --- conditions -----------------------------------------------------------------------------------------------------------

j_ask() { # is the condition of the step met? False: pair says why not
  case $j_condition in
    always) return 0 ;;
    reboot_required) j_restart_wanted && return 0 || why='nothing asks for a restart' ;;
    product_absent)
      why=
      IFS=' '
      for name in $j_of; do
        case $nl$j_gone in *"$nl$name$nl"*) ;; *) why="$why, $name" ;; esac
      done
      IFS=$nl
      [ -n "$why" ] || return 0
      why="not looked for again and found gone: ${why#, }"
      ;;
    remains) j_remains && return 0 || why="$j_of is not there any more" ;;
    cover_failed) [ -z "$j_cover_failed" ] || return 0 && why='the replacement is active' ;;
    not_active)
      j_active || return 0
      why="$j_of is active already"
      ;;
    *) return 0 ;; # refused where the step is performed
  esac
  j_encode why "$why"
  return 1
}

j_restart_wanted() {
  [ -z "$j_restart" ] || return 0
  there /run/reboot-required || there /var/run/reboot-required
}

j_remains() { # is a path, a group, an account or a chain there? Whether a chain is, its kind finds out
  case $j_of in
    /*)
      set +f
      IFS=
      for file in $j_of; do there "$file" && break; done
      set -f
      IFS=$nl
      there "$file" && return 0
      lost "$file"
      [ -n "$why" ]
      ;;
    */*) return 0 ;;
    *) grep -q -e "^$j_of:" /etc/group /etc/passwd ;;
  esac
}

j_active() {
  has systemctl && systemctl is-active --quiet -- "$j_of" >/dev/null 2>&1 </dev/null
}

# --- a restart within the staging -------------------------------------------------------------------------------------------

kind_reboot() { # the controller restarts the host, and sends the same job again
  if noted boot && [ "$value" != "$boot" ]; then
    status=done
    return 0
  fi
  [ -n "$value" ] || note boot "$boot" || return 1
  job_end 4
}

  nl='
'
  PATH=/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin # the last one is NixOS's
  export PATH LC_ALL
  unset CDPATH ENV BASH_ENV GREP_OPTIONS GREP_COLORS QUOTING_STYLE POSIXLY_CORRECT TIME_STYLE
  ascii=' !"#$%&'\''()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\]^_`abcdefghijklmnopqrstuvwxyz{|}~'
  tab=$(printf '\t')
  cr=$(printf '\r')
  j_token=$1 j_run=$2 j_seal=$3 j_last=$4 j_way=$5
  j_spilled='' j_torn='' j_past='' j_set='' j_cover_failed='' j_secrets='' j_blanks=
  j_settle
