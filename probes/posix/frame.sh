# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# The frame of every answer of an observer (docs/formats.md section 3). A part of a script: plugin_utils/script.py puts the parts into one
# function. Words are split on purpose, with noglob on and IFS set to a line end.
# shellcheck disable=SC2034,SC2086,SC2154  # parts share variables

# The alarm first ends the programs that probes wait for, so that a probe can still say what it knows; a second later the
# probes; then whatever waits for those that not even SIGKILL can end (a dead disk, a dead NFS server).
alarm() {
  sleep "$limit" >/dev/null &
  echo "S $!"
  wait $! || return 0 # the collector has ended the sleep: all probes answered (or there is no sleep: no limit)
  tree=$(offspring "$@")
  [ -z "$tree" ] || kill -9 $tree
  sleep 1 >/dev/null
  tree=$(offspring "$@")
  kill -9 "$@" $tree
  echo T
  sleep 1 >/dev/null
  case $lead in '' | "$$") ;; *) kill -9 "$lead" ;; esac
}

offspring() { # PID...: all processes below these; read from /proc since ps may be missing
  set +f
  family=" $* " found=
  more=yes
  while [ -n "$more" ]; do
    more=
    for file in /proc/[0-9]*/stat; do
      pid=${file#/proc/} && pid=${pid%/stat}
      case $family in *" $pid "*) continue ;; esac
      read -r stat <"$file" || continue
      stat=${stat##*") "} && stat=${stat#* } && stat=${stat%% *}
      case $family in *" $stat "*) family="$family$pid " found="$found $pid" more=yes ;; esac
    done
  done
  echo $found
}

collect() { # probes' lines on stdin -> the framed answer on stdout
  printf '%s B 1 posix\n' "$nonce"
  lines=1 got=0 pending=" $probes " sleeper='' why='the probe ended without an answer'
  while IFS= read -r line; do
    case $line in
      'S '*) sleeper=${line#S } ;;
      T) why="did not answer in $limit s" && break ;;
      'R '*)
        name=${line#R } && name=${name%% *}
        case $pending in *" $name "*) ;; *) continue ;; esac
        printf '%s %s\n' "$nonce" "$line"
        lines=$((lines + 1)) name=n_${name%.*}_${name#*.}
        eval "$name=\$((\${$name:-0} + 1))"
        ;;
      'P '*) # P <records sent, - when nobody knows> <probe> <status> reason
        line=${line#P } && sent=${line%% *} && line=${line#* } && name=${line%% *}
        case $pending in *" $name "*) ;; *) continue ;; esac
        pending="${pending%% "$name" *} ${pending#* "$name" }"
        eval "got=\${n_${name%.*}_${name#*.}:-0}"
        [ "$got" = "$sent" ] || [ "$sent" = - ] || { hex 'records were lost on the way' && line="$name unknown reason:$hex"; }
        printf '%s P %s\n' "$nonce" "$line"
        lines=$((lines + 1))
        case $pending in *[!\ ]*) ;; *) break ;; esac
        ;;
    esac
  done
  [ -z "$sleeper" ] || kill "$sleeper"
  hex "$why"
  IFS=' '
  for name in $pending; do
    printf '%s P %s unknown reason:%s\n' "$nonce" "$name" "$hex"
    lines=$((lines + 1))
  done
  printf '%s E %s\n' "$nonce" "$lines"
}

# Probes that come behind another one, in its process: one wants to know what the other found, or is too cheap for a process.
# observe.sh says which.
later=
follow() { :; } # NAME of the probe that has just answered

probe() { # NAME
  IFS=$nl probe=$1 status=absent reason='' sent=0
  case $1 in *.*) "probe_${1%.*}_${1#*.}" ;; *) "probe_$1" ;; esac
  case $? in 126 | 127) unknown 'a program or a part of the script is missing' ;; esac
  case $euid:$reason in 0:*) ;; *'Permission denied'*) reason="$reason: run with privilege (become)" ;; esac
  encode reason "$reason"
  printf 'P %s %s %s%s\n' "$sent" "$probe" "$status" "$pair"
}

unknown() { # REASON; the first one stays
  status=unknown
  [ -n "$reason" ] || reason=$1
}

record() { # KEY VALUE...
  fields=
  while [ $# -gt 1 ]; do
    encode "$1" "$2"
    fields=$fields$pair
    shift 2
  done
  send "$fields"
}

send() { # FIELDS, each as encode makes it
  fields=$1
  if [ "$sent" -ge "$cap_records" ]; then
    unknown "more than $cap_records records"
  elif [ ${#fields} -gt "$cap_line" ]; then
    unknown "a record too long to send: $(printf %.60s "$fields")..."
  else
    printf 'R %s%s\n' "$probe" "$fields"
    sent=$((sent + 1))
    [ "$status" = unknown ] || status=ok
  fi
}
