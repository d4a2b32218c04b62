# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# What a job calls (docs/formats.md sections 7 and 8): its beginning, its end, its steps. A job's library begins with tools.sh,
# perform_status.sh, perform_journal.sh, perform_bounded.sh and this; then come the kinds. What begins with j_ is the frame's own.
# Words are split on purpose, with noglob on and IFS set to a line end; kinds find it so, and may leave it otherwise.
# shellcheck disable=SC2015,SC2034,SC2086,SC2153,SC2154  # parts share variables

j_settle() { # whatever a kind has done to the shell
  set +eu -f
  cd /
  IFS=$nl LC_ALL=C
  umask 022
}

unknown() { :; } # what the tools miss the launcher has looked for

# --- beginning and end ----------------------------------------------------------------------------------------------------

job_begin() { # VERSION DIGEST HOST MACHINE PHASE; ends the program when it must not begin, and the launcher is told why
  at_home
  digest=$2 phase=$5
  case $digest:$phase in *[!0-9a-f]*:* | :*) exit 1 ;; *:stage | *:commit | *:finish) ;; *) exit 1 ;; esac
  j_phase=$phase j_boot=$boot j_home=$base/jobs/$digest j_letter=$memory/$j_token
  j_folder=$j_home/$phase
  j_new=$j_folder/new.$j_token j_journal=$j_folder/journal j_spill=$memory/$digest.$phase.journal staging=$base/staging kept=$base/kept
  j_self=$j_folder/job.sh j_log=$j_folder/log j_out=$memory/output
  [ "$1" = 1 ] || j_refuse "the job is of version $1 and this hand performs version 1: use one version of the collection"
  machine_id
  [ "$machine" = "$4" ] || j_refuse "the plan is for another machine ($4, this is $machine): plan again"
  j_lock
  j_take
  j_starts=0 j_begun='' j_notes='' j_ends='' j_undone='' j_closed='' j_gone='' j_restart='' j_section=
  [ "$phase" = commit ] || j_recall "$digest" commit
  j_recall "$digest" "$phase"
  # A job that has ended is begun anew; not one that only asked for a restart, and not one whose performer was lost.
  case $j_closed in '' | code=4) ;; *) j_anew ;; esac
  j_section='' j_attempt=1
  while [ -e "$j_journal.$j_attempt" ]; do j_attempt=$((j_attempt + 1)); done
  [ "$j_starts" -lt 50 ] || j_refuse "the job was begun $j_starts times and never ended: see $j_log"
  [ ! -s "$j_journal" ] || [ -z "$(tail -c 1 "$j_journal")" ] || j_torn=$nl
  [ ! -s "$j_spill" ] || { j_spilled=yes && j_unspill; }
  trap 'j_died' EXIT
  trap 'trap - EXIT; exit 143' TERM INT
  trap 'j_stuck=yes' USR1
  journal "job phase=$phase digest=$digest run=$j_run seal=$j_seal attempt=$j_attempt boot=$boot pid=$$ way=$j_way" || j_stop
  sync "$j_folder" "$j_home" "$base/jobs" "$base" "${base%/*}" || sync # the journal's own place, too
  j_await
}

j_refuse() { # REASON, for the launcher that waits
  printf '%s\n' "$1"
  printf '%s\n' "$1" >"$j_letter.refused"
  rm -f -- "$j_letter"
  trap - EXIT
  exit 1
}

# The number that nobody has yet becomes ours in one step, and only of one. Who was late, and got a number that had been swept away, sees
# the higher one.
j_lock() {
  born $$
  j_born=$born j_again=
  if holder; then
    [ "$held_pid" != $$ ] || { j_again=yes && return 0; } # begun again by itself
    j_refuse "the phase $held_phase of the plan $(printf %.12s "$held_digest") is being performed on this host for the run $held_run (process $held_pid): wait until it has ended, then run again"
  fi
  j_number=$((number + 1)) j_late='another job has just been started on this host: wait until it has ended, then run again'
  printf '%s\n' "$$ $j_born $boot $digest $phase $j_run $(date +%s)" >"$j_new/lock" || j_refuse "the lock cannot be written: is the disk full?"
  ln -- "$j_new/lock" "$base/lock/$j_number" || j_refuse "$j_late"
  holder
  [ "$number" = "$j_number" ] || { rm -f -- "$base/lock/$j_number" && j_refuse "$j_late"; }
  set +f
  for file in "$base"/lock/[0-9]*; do
    case ${file##*/} in "$j_number" | *[!0-9]*) ;; *) rm -f -- "$file" ;; esac
  done
  set -f
}

j_take() { # what was sent; it is there unless this job has begun again by itself, or the launcher has given up
  if [ -d "$j_new" ]; then
    mv -f -- "$j_new/job.sh" "$j_self" && mv -f -- "$j_new/plan.json" "$j_home/plan.json" || j_refuse 'what was sent is gone'
    set +f
    for file in "$j_new"/sent/*; do [ ! -f "$file" ] || mv -f -- "$file" "$staging/"; done
    if [ "$phase" = stage ] && [ -e "$j_home/closed" ]; then # all of it is performed once more: what was told of it is history
      j_aside commit
      j_aside finish
      rm -f -- "$j_home"/commit/run.* "$j_home"/finish/run.*
    fi
    rm -f -- "$j_home/closed" "$j_folder"/run.*
    set -f
    printf '' >"$j_folder/run.$j_run"
    rm -rf -- "$j_new"
  elif [ -z "$j_again" ]; then
    exit 1
  fi
  printf '%s\n' "$$ $j_born $boot" >"$j_folder/pid"
  [ ! -f "$j_letter" ] || { j_secrets=$(cat -- "$j_letter") && rm -f -- "$j_letter"; }
  j_forms=
  for pair in $j_secrets; do
    case $pair in =*) j_forms=$j_forms${pair#=}$nl && continue ;; esac # another form of one, the longest first
    unhex "${pair#*=}"
    for text in $plain; do # each line of it; a short one among others would blank everything
      case $plain in *"$nl"*) case ${#text} in [123]) continue ;; esac ;; esac
      j_longest_first "$text"
    done
  done
  j_blanks=$j_forms$j_blanks
}

j_longest_first() { # TEXT to be blanked: one that holds another comes before it
  j_rest=
  for row in $j_blanks; do
    [ -z "$1" ] || [ ${#row} -ge ${#1} ] || { j_rest=$j_rest$1$nl && set -- ''; }
    j_rest=$j_rest$row$nl
  done
  j_blanks=$j_rest${1:+$1$nl}
}

j_aside() { # PHASE: its journal is kept as an old one
  [ -e "$j_home/$1/journal" ] || return 0
  j_old=1
  while [ -e "$j_home/$1/journal.$j_old" ]; do j_old=$((j_old + 1)); done
  text=$memory/$digest.$1.journal
  [ ! -s "$text" ] || { cat -- "$text" >>"$j_home/$1/journal" && rm -f -- "$text"; }
  mv -f -- "$j_home/$1/journal" "$j_home/$1/journal.$j_old"
  rm -f -- "$j_home/$1/child"
}

j_anew() {
  j_aside "$phase"
  j_starts=0 j_begun='' j_notes='' j_ends='' j_undone='' j_closed='' j_restart='' j_past=
  case $phase in commit) j_gone= ;; esac
}

# A shell can end by itself in the middle of a step. What the journal knows goes on, then, as the same process.
j_died() {
  trap - EXIT
  # bash: a copy of this shell that is ended as soon as it is made comes here, too, and is nobody to go on with the job.
  IFS=' ' read -r name _ </proc/self/stat
  [ "$name" = $$ ] || exit 143
  [ -z "$j_secrets" ] || (umask 077 && printf '%s\n' "$j_secrets" >"$j_letter")
  exec /bin/sh "$j_self" "$j_token" "$j_run" "$j_seal" "$j_last" "$j_way"
}

j_stop() { # nothing was taken away yet, and nothing will be
  j_past=yes
  encode value "$j_full"
  journal "note id=journal key=stopped$pair"
  job_end 1
}

job_enter() { # SECTION
  j_section=$1
  journal "enter section=$1" || j_stop
}

job_end() { # CODE
  j_past=yes # what cannot be written is told from memory
  journal "close code=$1"
  case $j_phase:$1 in *:4) ;; finish:* | *:1 | "$j_last":*) printf '' >"$j_home/closed" ;; esac
  rm -f -- "$j_folder/pid" "$j_folder/child" "$j_out"
  trap - EXIT
  exit 0
}

# --- steps ----------------------------------------------------------------------------------------------------------------

step() { # ID KIND TIMEOUT ON_FAIL CONDITION OF [NAME=OWNER.SECRET...] -- [name=value...]
  id=$1 j_kind=$2 j_timeout=$3 j_on_fail=$4 j_condition=$5 j_of=$6
  shift 6
  encode id "$id" && j_id=$pair
  # A journal that knows its end has the same answer again.
  case $j_ends in
    *"$j_id "*)
      j_rest=${j_ends##*"$j_id "}
      [ "${j_rest%%"$nl"*}" = failed ] || return 0
      [ "$j_on_fail" != fallback ] || j_cover_failed=yes
      return 1
      ;;
  esac
  # What was begun before an interruption has had its answer, which what it did may have changed.
  case $j_begun in
    *"$j_id$nl"*) ;;
    *)
      if ! j_ask; then
        encode why "$why"
        journal "end$j_id kind=$j_kind status=skipped$pair" || j_stop
        j_ends="$j_ends$j_id skipped$nl"
        return 0
      fi
      ;;
  esac
  j_tries
  if journal "begin$j_id kind=$j_kind try=$j_try"; then
    j_from=$up deadline=$((${up%%.*} + j_timeout))
    case $j_section:$j_kind in remove:confirm_absent) ;; remove:*) j_past=yes ;; esac
    j_clear
    j_arguments "$@" && j_perform
    j_finish end
  else
    j_from=$up
    j_clear
    fail disk_full journal "$j_full"
    j_finish end
    job_end 1
  fi
  j_ends="$j_ends$j_id $j_status$nl"
  [ "$j_status" = failed ] || return 0
  [ "$j_on_fail" != fallback ] || j_cover_failed=yes
  return 1
}

undo() { # ID KIND -- [name=value...]: takes back only what this job did
  id=$1 j_kind=$2 j_condition=always j_try=1
  shift 2
  encode id "$id" && j_id=$pair
  case $j_undone in *"$j_id$nl"*) return 0 ;; esac
  case $j_begun in *"$j_id$nl"*) ;; *) return 0 ;; esac
  case $j_ends in *"$j_id already$nl"* | *"$j_id skipped$nl"*) return 0 ;; esac
  ! noted undo || j_try=$((value + 1))
  note undo "$j_try"
  j_from=$up deadline=$((${up%%.*} + 900))
  j_clear
  j_arguments "$@" && j_perform
  j_finish undo
  j_undone="$j_undone$j_id$nl"
  [ "$j_status" != failed ]
}

j_tries() { # -> j_try: how often the step was begun, with this time
  j_try=1 j_rest=$j_begun
  while :; do
    case $j_rest in *"$j_id$nl"*) ;; *) break ;; esac
    j_rest=${j_rest#*"$j_id$nl"} j_try=$((j_try + 1))
  done
  j_begun="$j_begun$j_id$nl"
}

j_clear() {
  kind=$j_kind j_status=failed class='' f_code='' why='' status='' restart='' said='' code='' output=$j_out
}

j_perform() { # -> j_status, or class, f_code and why
  if [ "$j_try" -gt 5 ]; then
    fail performer_died '' "the performer was lost $((j_try - 1)) times while it was at this step: see $j_log"
  elif [ "$j_condition" = unknown ]; then
    fail unknown_kind '' 'this hand does not know the condition of the step: use one version of the collection'
  elif ! j_knows "kind_$j_kind"; then
    fail unknown_kind '' "this hand does not know the kind $j_kind: use one version of the collection"
  elif "kind_$j_kind"; then
    case $status in done | already) j_status=$status ;; *) fail no_word '' 'the hand does not say what it did: that is a fault of ours' ;; esac
  elif [ -z "$class" ]; then
    fail no_word "$code" "the hand does not say why: that is a fault of ours; $said"
  fi
  j_settle
}

j_knows() { # FUNCTION
  case $1 in *[!a-z0-9_]*) return 1 ;; esac
  command -v "$1" >/dev/null
}

j_finish() { # EVENT: the end of a step or of its undoing
  j_text="$1$j_id kind=$j_kind status=$j_status"
  case $j_status in
    failed)
      j_blank "$f_code"
      encode code "$j_plain"
      j_text="$j_text class=$class$pair"
      j_blank "$(printf %.900s "$why")"
      encode why "$j_plain"
      j_text=$j_text$pair
      ;;
  esac
  case $restart in yes) j_text="$j_text reboot=yes" j_restart=yes ;; esac
  case $1:$j_kind in
    end:confirm_absent)
      encode product "$a_product"
      j_text=$j_text$pair
      case $j_status in done | already) j_gone=$j_gone$a_product$nl ;; esac
      ;;
  esac
  uptime_now
  j_hundredths "$j_from" && j_took=$j_rest
  j_hundredths "$up" && j_took=$((j_rest - j_took))
  journal "$j_text seconds=$((j_took / 100)).$((j_took / 10 % 10))$((j_took % 10))" # it has happened, whether or not it can be written
}

j_hundredths() { # SECONDS as uptime_now has them -> j_rest
  j_rest=${1%.*}${1#*.}
  while :; do case $j_rest in 0?*) j_rest=${j_rest#0} ;; *) break ;; esac done
}

fail() { # CLASS CODE MEANING, with the remedy; false, always
  class=$1 f_code=$2 why=$3
  case $class in '' | *[!a-z0-9_]*) class=no_word ;; esac
  return 1
}

j_lists=' accepts arguments becomes checks codes contains expects files keep lines marks packages programs properties services units '

j_arguments() { # [NAME=OWNER.SECRET...] -- [name=value...] -> a_<name>; of a list one item a line. False: fail was called
  for name in $j_set; do unset "a_$name"; done
  j_set='' j_marks=
  while [ $# -gt 0 ] && [ "$1" != -- ]; do
    j_marks=$j_marks$1$nl
    shift
  done
  [ $# -gt 0 ] || fail bad_argument '' 'the arguments of the step do not begin' || return 1
  shift
  for row in "$@"; do
    name=${row%%=*} value=${row#*=}
    case $name in '' | *[!a-z0-9_]*) fail bad_argument '' "$name is no name of an argument" || return 1 ;; esac
    case $j_lists:$value in
      *" $name "*:*"$nl"*) fail bad_argument '' "an item of $name has several lines, which this hand cannot tell apart" || return 1 ;;
    esac
    j_place
  done
  for row in $j_marks; do
    name=${row%%=*} row=${row#*=}
    case $name in '' | *[!A-Za-z0-9_]*) fail bad_argument '' "$name is no name that this hand can use" || return 1 ;; esac
    case $nl$j_secrets in *"$nl$row="*) ;; *) fail secret_missing '' "the secret $row was not sent: run again" || return 1 ;; esac
    text=$nl$j_secrets && text=${text#*"$nl$row="}
    unhex "${text%%"$nl"*}" && value=$plain
    case $a_arguments in
      *"@$name@"*) # a program that takes it in no other way
        text=
        while :; do
          case $a_arguments in *"@$name@"*) ;; *) break ;; esac
          text=$text${a_arguments%%"@$name@"*}$value a_arguments=${a_arguments#*"@$name@"}
        done
        a_arguments=$text$a_arguments
        ;;
      *) j_place ;;
    esac
  done
}

j_place() { # name, value -> a_<name>
  case $nl$j_set in
    *"$nl$name$nl"*) eval "a_$name=\$a_$name\$nl\$value" ;;
    *) j_set=$j_set$name$nl && eval "a_$name=\$value" ;;
  esac
}

  j_settle
