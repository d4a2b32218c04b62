# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# How a step runs a program, and what is asked before it begins. A part of a job's library, see perform_frame.sh.
# shellcheck disable=SC2015,SC2034,SC2086,SC2154  # parts share variables

# --- programs -------------------------------------------------------------------------------------------------------------

# Each runs in a session of its own, so that the whole of it can be ended when the time is up. When it ends by itself nothing else is ended:
# what it started to stay, such as a service, is no business of ours.
bounded() { # PROGRAM ARGUMENT... -> code (124: the time of the step was up), said: its last lines; all it printed is in the file $output
  said='' output=$j_out
  uptime_now
  j_left=$((deadline - ${up%%.*}))
  (umask 077 && printf '' >"$j_out")
  [ "$j_left" -gt 0 ] || { code=124 && return 124; }
  has "$1" || { code=127 said="$1 is missing on this host" && return 127; }
  IFS=' '
  j_rest=$*
  IFS=$nl
  j_blank "$j_rest"
  printf '%s\n' "$(date -u +%FT%TZ) $id: $j_plain" >>"$j_log"
  j_stuck=
  setsid "$@" </dev/null >>"$j_out" 2>&1 &
  j_child=$!
  born "$j_child"
  printf '%s\n' "$j_child $born $j_boot $deadline" >"$j_folder/child"
  # A copy of a shell that has a trap of its own loses a signal that comes before it is awake; a program may end before that.
  trap - TERM
  j_alarm "$j_left" </dev/null >/dev/null 2>&1 &
  j_alarm=$!
  trap 'trap - EXIT; exit 143' TERM
  wait "$j_child"
  code=$?
  kill -TERM "$j_alarm"
  wait "$j_alarm" && code=124
  [ -z "$j_stuck" ] || code=124 # not even SIGKILL has ended it
  rm -f -- "$j_folder/child"
  j_listen
  return "$code"
}

j_alarm() { # SECONDS; ends with 0 when the time was up, else the program had ended before
  over='' nap=
  trap '[ -n "$over" ] || { [ -z "$nap" ] || kill "$nap"; exit 1; }' TERM
  j_was=$born left=$1
  while [ "$left" -gt 0 ]; do
    part=$left
    [ "$part" -le 2 ] || part=2
    sleep "$part" &
    nap=$!
    wait "$nap"
    left=$((left - part))
    # bash loses a signal that comes at the very moment at which a program of its own ends.
    born "$j_child" && [ "$born" = "$j_was" ] || exit 1
    # Not without end into memory; what matters is at its end. Its own writing goes on behind this.
    [ "$(wc -c <"$j_out")" -le 4000000 ] || printf '%s\n' "$j_cut" >"$j_out"
  done
  over=yes
  j_end "$j_child"
  ! born "$j_child" || kill -USR1 $$
  exit 0
}

j_end() { # PID of a session's leader: all of it
  kill -TERM "-$1"
  for j_rest in 1 2 3 4 5; do
    sleep 1
    kill -0 "-$1" || return 0
  done
  kill -KILL "-$1"
  for j_rest in 1 2 3 4 5; do
    born "$1" || return 0
    sleep 1
  done
}

j_cut='(what came before is cut)'

j_listen() { # what the program said, without secrets, into the log -> said
  if [ "$(wc -c <"$j_out")" -gt 4000000 ]; then
    { printf '%s\n' "$j_cut" && tail -c 4000000 "$j_out"; } >"$j_out.plain"
    mv -f -- "$j_out.plain" "$j_out"
  fi
  if j_repeats; then
    while IFS= read -r j_row || [ -n "$j_row" ]; do
      j_blank "$j_row"
      printf '%s\n' "$j_plain"
    done <"$j_out" >"$j_out.plain"
    mv -f -- "$j_out.plain" "$j_out"
  fi
  cat -- "$j_out" >>"$j_log"
  said=$(tail -n 12 "$j_out" | tr -d '\000-\010\013-\037\177' | tail -c 1200)
}

j_repeats() { # does what the program said hold a secret? Asked for the whole of it first, since there are many forms of each
  [ -n "$j_blanks" ] || return 1
  [ "$(tr -d '\000' <"$j_out" | wc -c)" = "$(wc -c <"$j_out")" ] || return 0 # with zeros in between grep would not find it
  printf %s "$j_blanks" | grep -q -F -f - -- "$j_out" # an argument would be seen in the list of processes
  [ $? -ne 1 ]
}

j_blank() { # TEXT -> j_plain: the text with the job's secrets blanked
  j_plain=$1
  for j_secret in $j_blanks; do
    case $j_plain in *"$j_secret"*) ;; *) continue ;; esac
    j_rest=$j_plain j_plain=
    while :; do
      case $j_rest in *"$j_secret"*) ;; *) break ;; esac
      j_plain="$j_plain${j_rest%%"$j_secret"*}***" j_rest=${j_rest#*"$j_secret"}
    done
    j_plain=$j_plain$j_rest
  done
}

# The performer can be lost while a program of it goes on. That may have its time before anything is begun beside it.
j_await() {
  [ -r "$j_folder/child" ] || return 0
  IFS=' ' read -r j_child j_was j_in j_until <"$j_folder/child"
  case $j_in:$j_until in "$j_boot":*[0-9]) ;; *) return 0 ;; esac
  while born "$j_child" && [ "$born" = "$j_was" ]; do
    uptime_now
    [ "${up%%.*}" -lt "$j_until" ] || { j_end "$j_child" && break; }
    sleep 1
  done
  rm -f -- "$j_folder/child"
}

# --- conditions -----------------------------------------------------------------------------------------------------------

j_ask() { # is the condition of the step met? False: why says why not
  why=
  case $j_condition in
    always) return 0 ;;
    reboot_required)
      [ -z "$j_restart" ] && ! there /run/reboot-required && ! there /var/run/reboot-required || return 0
      why='nothing asks for a restart'
      ;;
    product_absent)
      IFS=' '
      for name in $j_of; do
        case $nl$j_gone in *"$nl$name$nl"*) ;; *) why="$why, $name" ;; esac
      done
      IFS=$nl
      [ -n "$why" ] || return 0
      why="not looked for again and found gone: ${why#, }"
      ;;
    remains)
      ! j_remains || return 0
      why="$j_of is not there any more"
      ;;
    cover_failed)
      [ -z "$j_cover_failed" ] || return 0
      why='the replacement became active'
      ;;
    not_active)
      has systemctl && systemctl is-active --quiet -- "$j_of" </dev/null || return 0
      why="$j_of is active already"
      ;;
    *) j_condition=unknown ;;
  esac
  [ "$j_condition" != unknown ] || return 0
  return 1
}

j_remains() { # is a path, a group, an account or a chain there? Whether a chain is, and what cannot be looked at, its kind finds out
  case $j_of in
    /*)
      set +f
      IFS=
      for file in $j_of; do ! there "$file" || break; done
      IFS=$nl
      set -f
      there "$file" && return 0
      lost "$file"
      [ -n "$why" ]
      ;;
    */*) return 0 ;;
    *) cut -d : -f 1 /etc/group /etc/passwd | grep -q -x -F -e "$j_of" ;;
  esac
}

# --- a restart within the staging -------------------------------------------------------------------------------------------

kind_reboot() { # the controller restarts the host, and sends the same job again
  if noted boot && [ "$value" != "$j_boot" ]; then
    status='done'
    return 0
  fi
  [ -n "$value" ] || note boot "$j_boot" || return 1
  job_end 4
}

  nl='
'
  PATH=/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin # the last one is NixOS's
  export PATH LC_ALL
  unset CDPATH ENV BASH_ENV GREP_OPTIONS GREP_COLORS QUOTING_STYLE POSIXLY_CORRECT TIME_STYLE
  tab=$(printf '\t')
  cr=$(printf '\r')
  j_token=$1 j_run=$2 j_seal=$3 j_last=$4 j_way=$5
  j_spilled='' j_torn='' j_past='' j_set='' j_cover_failed='' j_secrets='' j_blanks=
