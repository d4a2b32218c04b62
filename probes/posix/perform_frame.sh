# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# What a job calls (docs/formats.md sections 7 and 8): its beginning and end, the journal, steps with their conditions. The first parts of a
# job's library are tools.sh, perform_status.sh, this one and perform_program.sh; then come the kinds. What begins with j_ is this frame's.
# Words are split on purpose, with noglob on and IFS set to a line end; kinds find it so, and may leave it otherwise.
# shellcheck disable=SC2034,SC2086,SC2153,SC2154  # parts share variables

j_settle() { # whatever a kind has done to the shell
  set +eu -f
  cd /
  IFS=$nl LC_ALL=C
  umask 022
}

unknown() { :; } # what encode misses has been looked for by the launcher

# --- the journal ----------------------------------------------------------------------------------------------------------

# A line ends with a point of its own: one that was cut, by a full disk or a power cut, counts for nothing.
journal() { # TEXT: one more line, on the disk before anything else is done. False: it is not there, and before the point of no return
  uptime_now
  j_line="$1 at=$(date +%s) up=$up ."
  [ -z "$j_spilled" ] || j_unspill
  if [ -z "$j_spilled" ]; then
    if printf '%s\n' "$j_torn$j_line" >>"$j_journal" && j_sync "$j_journal"; then
      j_torn=
      return 0
    fi
    j_spilled=yes j_torn=$nl
    printf '%s\n' "note id=journal key=trouble value=not_written at=${up%%.*} up=$up ." >>"$j_spill"
  fi
  printf '%s\n' "$j_line" >>"$j_spill"
  [ -n "$j_past" ]
}

j_unspill() { # what only memory holds, to the disk
  { [ -z "$j_torn" ] || printf '\n'; } >>"$j_journal" && cat -- "$j_spill" >>"$j_journal" && j_sync "$j_journal" || return 1
  rm -f -- "$j_spill"
  j_spilled='' j_torn=
}

j_sync() { # FILE; older versions know no FILE and do it for all
  sync "$1" 2>/dev/null || sync
}

j_recall() { # DIGEST PHASE: what a journal tells; of the commit's each phase wants to know what is gone
  for row in $(journal_of "$1" "$2" | grep -e ' \.$'); do
    IFS=' '
    set -- "$1" "$2" $row
    IFS=$nl
    ! field reboot "$row" || j_restart=yes
    if field product "$row"; then
      j_gone=$(printf '%s\n' "$j_gone" | grep -v -x -F -e "$value")$nl
      case $row in *' status=done '* | *' status=already '*) j_gone=$j_gone$value$nl ;; esac
    fi
    [ "$2" = "$phase" ] || continue
    case $3 in
      job) j_starts=$((j_starts + 1)) ;;
      begin)
        j_begun="$j_begun $4$nl"
        case $j_section:$5 in remove:kind=confirm_absent) ;; remove:*) j_past=yes ;; esac
        ;;
      enter) j_section=${4#section=} ;;
      note) j_notes="$j_notes $4 $5 $6$nl" ;;
      end) field status "$row" && j_ends="$j_ends $4 $value$nl" ;;
      undo) j_undone="$j_undone $4$nl" ;;
      close) j_closed=$4 ;;
    esac
  done
}

note() { # KEY VALUE: what taking the step back, or doing it again after an interruption, needs to know. False: fail was called
  encode key "$1" && j_pair=$pair
  j_encode value "$2"
  j_notes="$j_notes$j_id$j_pair$pair$nl"
  journal "note$j_id$j_pair$pair" || fail disk_full journal 'the journal cannot be written: make room on the file system of /var/lib, then run again'
}

noted() { # KEY -> value, the last that was noted under it for this step; false: nothing was
  encode key "$1"
  value=
  case $j_notes in *"$j_id$pair value"*) ;; *) return 1 ;; esac
  text=${j_notes##*"$j_id$pair value"}
  text=${text%%"$nl"*}
  case $text in :*) unhex "${text#:}" && value=$plain ;; *) value=${text#=} ;; esac
}

j_encode() { # as encode, which goes from character to character
  case ${#2} in
    ? | ?? | ???) encode "$1" "$2" ;;
    *) pair=" $1:$(printf %s "$2" | od -An -v -tx1 | tr -d ' \n')" ;;
  esac
}

unhex() { # HEX -> plain, whatever bytes it has
  text=$1 plain=
  while [ -n "$text" ]; do
    char=${text%"${text#??}"} && text=${text#??}
    case $char in [0-9a-f][0-9a-f]) ;; *) return 1 ;; esac
    char=$((0x$char))
    plain=$plain\\0$((char / 64))$((char / 8 % 8))$((char % 8))
  done
  plain=$(printf '%b.' "$plain") && plain=${plain%.}
}

# --- beginning and end ----------------------------------------------------------------------------------------------------

job_begin() { # VERSION DIGEST HOST MACHINE PHASE; false: it must not begin, and the launcher is told why
  at_home
  digest=$2 phase=$5
  case $digest:$phase in *[!0-9a-f]*:* | :*) j_refuse 'the digest of the plan is none' ;; *:stage | *:commit | *:finish) ;; *) j_refuse 'its phase is none' ;; esac
  j_folder=$base/jobs/$digest/$phase
  j_new=$j_folder/new.$j_token j_journal=$j_folder/journal j_spill=$memory/$digest.$phase.journal staging=$base/staging kept=$base/kept
  j_self=$j_folder/job.sh j_log=$j_folder/log j_out=$memory/output
  [ "$1" = 1 ] || j_refuse "the job is of the version $1, this hand performs version 1: use one version of the collection"
  machine=
  for file in /etc/machine-id /var/lib/dbus/machine-id; do
    [ -n "$machine" ] || ! [ -r "$file" ] || read -r machine <"$file"
    case $machine in uninitialized) machine= ;; esac
  done
  [ "$machine" = "$4" ] || j_refuse "the plan is for another machine ($4, this is $machine): plan again"
  j_lock
  j_take
  j_starts=0 j_begun='' j_notes='' j_ends='' j_undone='' j_closed='' j_gone='' j_restart='' j_section=
  [ "$phase" = commit ] || j_recall "$digest" commit
  j_recall "$digest" "$phase"
  # A job that has ended is begun anew; not one that only asked for a restart, and not one whose performer was lost.
  case $j_closed in '' | code=4) ;; *) j_anew ;; esac
  j_section=
  set +f
  set -- "$j_folder"/journal.[0-9]*
  set -f
  [ -e "$1" ] || shift
  : "$#"
  j_attempt=$(($# + 1))
  [ "$j_starts" -lt 50 ] || j_refuse "the job was begun $j_starts times and never ended: see $j_log"
  [ -z "$(tail -c 1 "$j_journal" 2>/dev/null)" ] || j_torn=$nl
  [ ! -s "$j_spill" ] || { j_spilled=yes && j_unspill; }
  trap 'j_died' EXIT
  trap 'trap - EXIT; exit 143' TERM INT
  trap '' HUP
  trap 'j_stuck=yes' USR1
  journal "job phase=$phase digest=$digest run=$j_run seal=$j_seal attempt=$j_attempt boot=$boot pid=$$ way=$j_way" ||
    j_stop 'the journal cannot be written: make room on the file system of /var/lib, then run again'
  j_await
}

j_refuse() { # REASON, for the launcher that waits
  printf '%s\n' "$1"
  printf '%s\n' "$1" >"$j_new/refused"
  rm -f -- "$memory/$j_token"
  trap - EXIT
  exit 1
}

# The number that nobody has yet becomes ours in one step, and only of one. Who was late, and got a number that had been swept away, sees
# the higher one.
j_lock() {
  born $$
  j_born=$born
  if holder; then
    [ "$held_pid" != $$ ] || return 0 # begun again by itself
    j_refuse "the phase $held_phase of the plan $(printf %.12s "$held_digest") is being performed on this host for the run $held_run (process $held_pid): wait until it has ended, then run again"
  fi
  j_number=$((number + 1))
  printf '%s\n' "$$ $j_born $boot $digest $phase $j_run $(date +%s)" >"$j_new/lock" && ln -- "$j_new/lock" "$base/lock/$j_number" ||
    j_refuse 'another job has just been started on this host: wait until it has ended, then run again'
  holder
  [ "$number" = "$j_number" ] || { rm -f -- "$base/lock/$j_number" && j_refuse 'another job has just been started on this host: wait until it has ended, then run again'; }
  set +f
  for file in "$base"/lock/[0-9]*; do
    case ${file##*/} in "$j_number" | *[!0-9]*) ;; *) rm -f -- "$file" ;; esac
  done
  set -f
}

j_take() { # what was sent; it is there unless this job has begun again by itself, or the launcher has given up
  if [ -d "$j_new" ]; then
    mv -f -- "$j_new/job.sh" "$j_self" && mv -f -- "$j_new/plan.json" "$base/jobs/$digest/plan.json" || j_refuse 'what was sent is gone'
    set +f
    for file in "$j_new"/sent/*; do [ ! -f "$file" ] || mv -f -- "$file" "$staging/"; done
    set -f
    rm -f -- "$base/jobs/$digest/closed" "$j_folder"/run.*
    : >"$j_folder/run.$j_run"
    rm -rf -- "$j_new"
  elif [ "$held_pid" != $$ ]; then
    exit 1
  fi
  j_secrets=
  [ ! -f "$memory/$j_token" ] || { j_secrets=$(cat -- "$memory/$j_token") && rm -f -- "$memory/$j_token"; }
  j_blanks=
  for row in $j_secrets; do
    unhex "${row#*=}"
    for row in $plain; do # a line of it; of a short one among others nothing could be told
      case $plain in *"$nl"*) case ${#row} in [123]) continue ;; esac ;; esac
      j_blanks=$j_blanks$row$nl
    done
  done
  printf '%s\n' "$$ $j_born $boot" >"$j_folder/pid"
}

j_anew() { # the old journal is kept
  j_old=1
  while [ -e "$j_journal.$j_old" ]; do j_old=$((j_old + 1)); done
  [ ! -s "$j_spill" ] || { cat -- "$j_spill" >>"$j_journal" && rm -f -- "$j_spill"; }
  mv -- "$j_journal" "$j_journal.$j_old"
  rm -f -- "$j_folder/child"
  j_starts=0 j_begun='' j_notes='' j_ends='' j_undone='' j_closed='' j_restart='' j_past=
  case $phase in commit) j_gone= ;; esac
}

# A shell can end by itself in the middle of a step. What the journal knows goes on, then, as the same process.
j_died() {
  trap - EXIT
  [ -z "$j_secrets" ] || (umask 077 && printf '%s\n' "$j_secrets" >"$memory/$j_token")
  exec /bin/sh "$j_self" "$j_token" "$j_run" "$j_seal" "$j_last" "$j_way"
}

j_stop() { # REASON: nothing was taken away yet
  encode why "$1"
  j_past=yes
  journal "note id=journal key=stopped value${pair#*why}"
  job_end 1
}

job_enter() { # SECTION
  j_section=$1
  journal "enter section=$1" || j_stop 'the journal cannot be written: make room on the file system of /var/lib, then run again'
}

job_end() { # CODE
  j_past=yes # what cannot be written is told from memory
  journal "close code=$1"
  case $phase:$1 in *:4) ;; finish:* | *:1) : >"$base/jobs/$digest/closed" ;; "$j_last":*) : >"$base/jobs/$digest/closed" ;; esac
  rm -f -- "$j_folder/pid" "$j_folder/child" "$j_out"
  trap - EXIT
  exit 0
}

# --- steps ----------------------------------------------------------------------------------------------------------------

step() { # ID KIND TIMEOUT ON_FAIL CONDITION OF [NAME=OWNER.SECRET...] -- [name=value...]
  id=$1 kind=$2 j_timeout=$3 j_on_fail=$4 j_condition=$5 j_of=$6
  shift 6
  encode id "$id" && j_id=$pair
  # A journal that knows its end has the same answer again.
  case $j_ends in
    *"$j_id "*)
      text=${j_ends##*"$j_id "}
      [ "${text%%"$nl"*}" = failed ] || return 0
      [ "$j_on_fail" != fallback ] || j_cover_failed=yes
      return 1
      ;;
  esac
  j_status='' class='' why='' f_code='' status='' restart=''
  if ! j_ask; then
    j_status=skipped
    journal "end$j_id kind=$kind status=skipped$pair" || j_stop 'the journal cannot be written: make room on the file system of /var/lib, then run again'
    j_ends="$j_ends$j_id skipped$nl"
    return 0
  fi
  j_tries
  journal "begin$j_id kind=$kind try=$j_try" || j_stop 'the journal cannot be written: make room on the file system of /var/lib, then run again'
  j_from=$up
  case $j_section:$kind in remove:confirm_absent) ;; remove:*) j_past=yes ;; esac
  deadline=$((${up%%.*} + j_timeout))
  j_arguments "$@" && j_perform "kind_$kind"
  j_finish end
  j_ends="$j_ends$j_id $j_status$nl"
  [ "$j_status" = failed ] || return 0
  [ "$j_on_fail" != fallback ] || j_cover_failed=yes
  return 1
}

undo() { # ID KIND -- [name=value...]: takes back only what this job did
  id=$1 kind=$2 j_timeout=900
  shift 2
  encode id "$id" && j_id=$pair
  case $j_undone in *"$j_id$nl"*) return 0 ;; esac
  case $j_begun in *"$j_id$nl"*) ;; *) return 0 ;; esac
  case $j_ends in *"$j_id already$nl"* | *"$j_id skipped$nl"*) return 0 ;; esac
  j_status='' class='' why='' f_code='' status='' restart=''
  uptime_now
  j_from=$up deadline=$((${up%%.*} + j_timeout))
  j_arguments "$@" && j_perform "kind_$kind"
  j_finish undo
  j_undone="$j_undone$j_id$nl"
  [ "$j_status" != failed ]
}

j_tries() { # -> j_try: how often it was begun, with this time
  j_try=1 text=$j_begun
  while :; do
    case $text in *"$j_id$nl"*) ;; *) break ;; esac
    text=${text#*"$j_id$nl"} j_try=$((j_try + 1))
  done
  j_begun="$j_begun$j_id$nl"
}

j_perform() { # FUNCTION -> j_status
  j_status=failed
  if [ "${j_try:-1}" -gt 5 ]; then
    fail performer_died '' "the performer ended $((j_try - 1)) times while it was at this step: see $j_log"
  elif ! j_knows "$1"; then
    fail unknown_kind '' "this hand does not know the kind $kind: use one version of the collection"
  else
    said='' code=''
    if "$1"; then
      case $status in done | already) j_status=$status ;; *) fail no_word '' 'the hand does not say what it did: that is a fault of ours' ;; esac
    else
      [ -n "$class" ] || fail no_word "$code" "the hand does not say why: that is a fault of ours${said:+; $said}"
    fi
  fi
  j_settle
}

j_knows() { # FUNCTION
  case $1 in *[!a-z0-9_]*) return 1 ;; esac
  case $(command -v "$1") in "$1" | "$1"\ *) ;; *) return 1 ;; esac
}

j_finish() { # EVENT: the end of a step or of its undoing
  j_line="$1$j_id kind=$kind status=$j_status"
  case $j_status in
    failed)
      [ -n "$class" ] || class=no_word
      j_blank "$f_code" && encode code "$text" && j_line="$j_line class=$class$pair"
      j_blank "$(printf %.900s "$why")" && j_encode why "$text" && j_line=$j_line$pair
      ;;
  esac
  case $restart in yes) j_line="$j_line reboot=yes" j_restart=yes ;; esac
  case $1:$kind in
    end:confirm_absent)
      encode product "$a_product" && j_line=$j_line$pair
      case $j_status in done | already) j_gone=$j_gone$a_product$nl ;; esac
      ;;
  esac
  j_text=$j_line
  uptime_now
  j_hundredths "$j_from" && j_took=$hundredths
  j_hundredths "$up" && j_took=$((hundredths - j_took))
  j_past_before=$j_past j_past=yes # it has happened, whatever the journal says
  journal "$j_text seconds=$((j_took / 100)).$((j_took / 10 % 10))$((j_took % 10))"
  j_past=$j_past_before
}

j_hundredths() { # SECONDS as uptime_now has them -> hundredths
  hundredths=${1%.*}${1#*.}
  while :; do case $hundredths in 0?*) hundredths=${hundredths#0} ;; *) break ;; esac done
}

fail() { # CLASS CODE MEANING, with the remedy; false, always
  class=$1 f_code=$2 why=$3
  case $class in '' | *[!a-z0-9_]*) class=no_word ;; esac
  return 1
}

j_arguments() { # [NAME=OWNER.SECRET...] -- [name=value...] -> a_<name>; of a list one item a line
  for name in $j_set; do unset "a_$name"; done
  j_set='' j_marks=
  while [ $# -gt 0 ] && [ "$1" != -- ]; do
    j_marks=$j_marks$1$nl
    shift
  done
  [ $# -gt 0 ] || { j_status=failed && fail bad_argument '' 'the arguments do not begin' && return 1; }
  shift
  for row in "$@"; do
    name=${row%%=*} value=${row#*=}
    case $name in '' | *[!a-z0-9_]*) j_status=failed && fail bad_argument '' "$name is no name of an argument" || return 1 ;; esac
    case " accepts arguments codes contains expects keep packages programs properties services units " in
      *" $name "*)
        case $value in *"$nl"*) j_status=failed && fail bad_argument '' "an item of $name has several lines, which this hand does not know" || return 1 ;; esac
        ;;
    esac
    j_place
  done
  for row in $j_marks; do
    name=${row%%=*} row=${row#*=}
    case $j_secrets$nl in
      *"$row="*) ;;
      *) j_status=failed && fail secret_missing '' "the secret $row was not sent: run again" || return 1 ;;
    esac
    text=${j_secrets#*"$row="}
    unhex "${text%%"$nl"*}"
    case $name in *[!A-Za-z0-9_]*) j_status=failed && fail bad_argument '' "$name is no name that this hand can use" || return 1 ;; esac
    case $a_arguments in
      *"@$name@"*) # a program that takes it in no other way
        text=
        while :; do
          case $a_arguments in *"@$name@"*) ;; *) break ;; esac
          text=$text${a_arguments%%"@$name@"*}$plain a_arguments=${a_arguments#*"@$name@"}
        done
        a_arguments=$text$a_arguments
        ;;
      *) value=$plain && j_place ;;
    esac
  done
}

j_place() { # name, value -> a_<name>
  case $nl$j_set in
    *"$nl$name$nl"*) eval "a_$name=\$a_$name\$nl\$value" ;;
    *) j_set=$j_set$name$nl && eval "a_$name=\$value" ;;
  esac
}
