# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# The launcher of a job: it starts one that needs nobody afterwards, waits for its end, and tells how far it has come (docs/formats.md
# section 8). The last part of a script, needs tools.sh and perform_status.sh.
# shellcheck disable=SC2012,SC2015,SC2034,SC2086,SC2153,SC2154  # parts share variables; words are split on purpose, with noglob on and IFS set to a line end

unknown() { :; } # what encode misses, such as od, has been looked for before

say() { # TEXT: a line of the answer
  printf '%s %s\n' "$nonce" "$1"
  lines=$((lines + 1))
}

answer() { # STATE REASON; code digest phase run since attempt are told where they are known
  summary="S state=$1"
  for name in code digest phase run since attempt; do
    eval "value=\$$name"
    [ -z "$value" ] || { encode "$name" "$value" && summary=$summary$pair; }
  done
  long_encode reason "$2"
  say "$summary$pair"
  printf '%s E %s\n' "$nonce" "$lines"
  exit 0
}

long_encode() { # as encode, which goes from character to character
  case ${#2} in ? | ?? | ???) encode "$1" "$2" && return 0 ;; esac
  pair=" $1:$(printf %s "$2" | od -An -v -tx1 | tr -d ' \n')"
}

refuse() { # CODE REASON
  code=$1 run='' since='' attempt=
  answer refused "$2"
}

tell_journal() { # what is not known yet of the journal; a line that was cut is none
  for row in $(journal_of "$digest" "$phase" | grep -e ' \.$' | tail -n "+$((known + 1))"); do say "J $row"; done
}

holder_words() { # of the last holder, for a person
  text="$(printf %.12s "$held_digest")"
  text="the phase $held_phase of the plan $text is being performed on this host for the run $held_run, since $(date -u -d "@$held_since" +%FT%TZ)"
  text="$text (process $held_pid): wait until it has ended, then run again"
}

# Who follows a job says so all the time. A controller that lives calls again at once; one of which nothing was heard for as long as a
# broken connection takes is gone, and another one may go on in its place.
followed() { # -> true: another run's controller follows this plan
  follower=
  for _ in 1 2; do # between the two halves of its writing the file is empty
    [ ! -r "$memory/follower" ] || IFS=' ' read -r follower heard name <"$memory/follower"
    IFS=$nl
    [ -z "$follower" ] || break
    [ -e "$memory/follower" ] && sleep 0.2 || return 1
  done
  [ "$follower" != "$run_id" ] && [ "$name" = "$digest" ] && [ ! -e "$base/jobs/$digest/closed" ] || return 1
  uptime_now
  heard=$((${up%%.*} - heard))
  [ "$heard" -lt "$silence" ]
}

heard_of() {
  uptime_now
  printf '%s %s %s\n' "$run_id" "${up%%.*}" "$digest" >"$memory/follower"
}

follow() { # until the job has ended, or for as long as this call may wait
  uptime_now
  until=$((${up%%.*} + wait))
  while :; do
    [ -z "$run_id" ] || heard_of
    job_state "$digest" "$phase"
    [ "$state" = running ] || break
    uptime_now
    [ "${up%%.*}" -lt "$until" ] || break
    sleep 0.2 || sleep 1
  done
  [ ! -e "$base/jobs/$digest/closed" ] || rm -f -- "$memory/follower"
  tell_journal
  case $state in
    none) answer died 'this host knows no such job: it was not sent, or its folder was removed' ;;
    died) answer died 'its performer has ended before the job had: killed, or the host was restarted; the same job goes on where it was' ;;
  esac
  answer "$state" ''
}

perform_watch() {
  follow
}

perform_status() {
  digest='' phase=
  if open_job; then answer "$state" ''; fi
  digest='' phase='' run='' since='' attempt='' code=
  answer none ''
}

perform_plan() { # the plan of a job, as it was sent
  phase='' file=$base/jobs/$digest/plan.json
  [ -f "$file" ] || refuse unknown_plan 'this host knows no such plan'
  answer none "$(cat -- "$file")"
}

perform_start() {
  prepare
  # Whoever has waited for another run's end does not begin what that run has brought to its end.
  [ "$EVICT_ATTACH" != yes ] || [ ! -e "$base/jobs/$digest/closed" ] ||
    refuse over 'another run has brought this plan to its end on this host meanwhile: run again, and it is looked at anew'
  ! followed || refuse followed "the run $follower follows this plan on this host, and was heard of $heard s ago: wait until it has ended, then run again"
  job_state "$digest" "$phase"
  folder=$base/jobs/$digest/$phase
  if [ "$state" = running ]; then # somebody else's, or ours whose start was not heard of: its end is for this run, too
    printf '' >"$folder/run.$run_id"
    follow
  fi
  # A commit that has begun has its staging behind it: its end is told, whether that commit still runs or not.
  if [ "$phase:$state" = stage:ended ] && [ -e "$base/jobs/$digest/commit/journal" ] && [ ! -e "$base/jobs/$digest/closed" ]; then
    printf '' >"$folder/run.$run_id"
    follow
  fi
  ! holder || { holder_words && refuse locked "$text"; }
  case $state:$code in
    ended:4) ;;
    ended:*)
      [ ! -e "$folder/run.$run_id" ] || follow
      # What was taken away is told to whoever comes for the next phase, where the run that began it never did.
      if [ "$phase" = commit ] && [ ! -e "$base/jobs/$digest/closed" ]; then
        printf '' >"$folder/run.$run_id"
        follow
      fi
      ;;
  esac
  heard_of
  send
  launch
  follow
}

prepare() { # the folders of all jobs
  [ "$euid" = 0 ] || refuse not_root 'only root can perform a job: become root for this host'
  machine_id
  [ "$machine" = "$EVICT_MACHINE" ] ||
    refuse other_machine "the plan is for another machine ($EVICT_MACHINE, this is $machine): plan again"
  [ -n "$boot" ] || refuse no_proc '/proc is not there, and without it nobody could tell whether a job still runs'
  for name in setsid sync od ln mv cp rm mkdir ls cat tail grep tr wc sleep date; do
    has "$name" || refuse missing_program "$name is missing on this host: install it (package util-linux, coreutils or grep)"
  done
  case $(command -v printf) in
    printf) ;;
    *) refuse unsuitable_shell "the shell of this host has no printf of its own, so that secrets could be seen in the list of processes" ;;
  esac
  mine /run "$memory"
  mine /var/lib "$base"
  for name in lock staging kept jobs "jobs/$digest" "jobs/$digest/$phase"; do
    [ -d "$base/$name" ] || mkdir -m 700 "$base/$name" || [ -d "$base/$name" ] ||
      refuse disk_full "$base/$name cannot be made: is the disk full or read-only?"
  done
}

mine() { # PARENT FOLDER: made before its use, and nobody else's
  [ -d "$1" ] || refuse missing_folder "$1 is not there: a job needs it"
  rows=$(ls -ldn -- "$1/." 2>&1)
  IFS=' '
  set -- "$1" "$2" $rows
  IFS=$nl
  why=
  case $3:$5:$6 in
    d????????[tT]*:0:*) ;; # others cannot exchange what is root's
    d*:0:0) case $3 in ????????w*) why=everybody ;; esac ;;
    d*:0:*) case $3 in ?????w* | ????????w*) why='others than root' ;; esac ;;
    *) why="others than root (mode $3, owner $5)" ;;
  esac
  [ -z "$why" ] || refuse foreign_folder "$1 can be written by $why, who could exchange what lies in it: take that right away, then run again"
  there "$2" || mkdir -m 700 "$2" || there "$2" || refuse disk_full "$2 cannot be made: is the disk full or read-only?"
  owned "$2" || refuse foreign_folder "$why"
}

# What is sent waits in a folder of its own for the job that gets the lock: two that come at once do not write into each other's files.
send() { # -> token, new
  sweep
  born $$
  token=$$-$born-${boot%%-*}
  new=$folder/new.$token
  rm -rf -- "$new"
  mkdir -m 700 "$new" "$new/sent" || refuse disk_full "$new cannot be made: is the disk full?"
  # A job is one function that is called at its end: of a file that was cut nothing runs.
  call='main "$@" </dev/null'
  printf %s "$EVICT_PLAN" >"$new/plan.json" && printf 'main() {\n%s\n}\n%s\n' "$EVICT_JOB" "$call" >"$new/job.sh" &&
    [ "$(tail -n 1 "$new/job.sh")" = "$call" ] || give_back disk_full "the job cannot be written to $new: is the disk full?"
  for row in $EVICT_SENT; do
    name=${row%%=*} file=${row#*=}
    case $name in '' | .* | */*) give_back bad_name "$name is no name of a file that is sent" ;; esac
    # A copy, since whoever sent it may still have it open.
    [ -f "$file" ] && [ ! -h "$file" ] || give_back not_sent "the file $name that was sent is not there as a file"
    cp -- "$file" "$new/sent/$name" || give_back disk_full "the file $name cannot be copied to $new: is the disk full?"
    chmod 600 "$new/sent/$name"
    rm -f -- "$file"
  done
  [ -z "$EVICT_SECRETS" ] || printf '%s\n' "$EVICT_SECRETS" >"$memory/$token" || give_back disk_full "$memory is full"
}

sweep() { # what was to be read by a job that then never began
  set +f
  for file in "$memory"/[0-9]*-[0-9]*-*; do
    name=${file##*/} && name=${name#*-} && name=${name%%-*}
    pid=${file##*/} && pid=${pid%%-*}
    born "$pid" && [ "$born" = "$name" ] || rm -f -- "$file"
  done
  set -f
}

give_back() { # CODE REASON
  rm -rf -- "$new"
  rm -f -- "$memory/$token" "$memory/$token.refused"
  refuse "$1" "$2"
}

launch() { # the job, as nobody's child: not the connection's, not its session's
  last=stage
  case $EVICT_PLAN in *'"phase":"commit"'*) last=commit ;; esac
  case $EVICT_PLAN in *'"phase":"finish"'*) last=finish ;; esac
  job=
  by_systemd || by_setsid
  # It has begun when it has taken what waited for it.
  tries=0
  while [ -d "$new" ]; do
    [ ! -s "$memory/$token.refused" ] || give_back refused "$(cat -- "$memory/$token.refused")"
    tries=$((tries + 1))
    # A job of ours that is no longer there has not begun, and will not.
    if [ "$tries" -gt 150 ] || { [ "$tries" -gt 2 ] && [ -n "$job" ] && ! born "$job"; }; then
      mv -- "$new" "$new.gone" 2>/dev/null || break # it has begun at this very moment
      why=$(tail -n 3 "$folder/log" 2>/dev/null)
      new=$new.gone
      [ ! -s "$memory/$token.refused" ] || give_back refused "$(cat -- "$memory/$token.refused")"
      give_back not_started "the job did not begin: $(printf %.300s "$why")"
    fi
    sleep 0.2 || sleep 1
  done
}

by_systemd() {
  has systemd-run && [ -d /run/systemd/system ] || return 1
  set -- --quiet --unit="evict-kaspersky-$phase-$token" --description='Job of evict.kaspersky' --property=KillMode=process
  set -- "$@" --setenv=HOME=/root /bin/sh "$new/job.sh" "$token" "$run_id" "$seal" "$last" systemd
  # Versions before 236 do not know --collect; a systemd that hangs must not hold us.
  limited systemd-run --collect "$@" || limited systemd-run "$@"
}

limited() { # PROGRAM ARGUMENT...: for at most 20 s
  "$@" >/dev/null 2>>"$folder/log" </dev/null &
  pid=$!
  for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    for _ in 1 2 3 4 5; do
      born "$pid" || { wait "$pid" && return 0 || return 1; }
      sleep 0.2 || sleep 1
    done
  done
  kill -9 "$pid"
  return 1
}

by_setsid() {
  env -i HOME=/root PATH="$PATH" LC_ALL=C setsid /bin/sh "$new/job.sh" "$token" "$run_id" "$seal" "$last" setsid </dev/null >>"$folder/log" 2>&1 &
  job=$!
}

  set +eu -f
  PATH=/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin # the last one is NixOS's
  LC_ALL=C
  export PATH LC_ALL
  unset CDPATH ENV BASH_ENV GREP_OPTIONS GREP_COLORS QUOTING_STYLE POSIXLY_CORRECT TIME_STYLE
  umask 077
  nl='
'
  IFS=$nl
  ascii=' !"#$%&'\''()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\]^_`abcdefghijklmnopqrstuvwxyz{|}~'
  exec 2>/dev/null
  nonce=${EVICT_NONCE:-EVICT} digest=$EVICT_DIGEST phase=$EVICT_PHASE run_id=$EVICT_RUN seal=$EVICT_SEAL wait=$EVICT_WAIT known=$EVICT_SINCE
  code='' run='' since='' attempt='' lines=0
  euid=$(id -u)
  say 'B 1 perform'
  at_home
  case $wait in '' | *[!0-9]* | ????*) wait=0 ;; esac
  case $known in '' | *[!0-9]* | ???????*) known=0 ;; esac
  silence=$EVICT_SILENCE
  case $silence in '' | *[!0-9]* | ????*) silence=20 ;; esac # seconds
  case $EVICT_OP in
    start | watch) case $digest:$phase in *[!0-9a-z:]* | :* | *:) EVICT_OP= ;; *:stage | *:commit | *:finish) ;; *) EVICT_OP= ;; esac ;;
    plan) case $digest in '' | *[!0-9a-f]*) EVICT_OP= ;; esac ;;
    status) ;;
    *) EVICT_OP= ;;
  esac
  case $EVICT_OP:$run_id:$seal in start:*[!A-Za-z0-9._:+-]* | start::* | start:*:) EVICT_OP= ;; esac
  [ -n "$EVICT_OP" ] || { digest='' phase='' && refuse not_understood 'the call has a value that this version does not know'; }
  "perform_$EVICT_OP"
