# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# Is the replacement, or the fallback, healthy already? Its services and programs are asked what its health rule wants to know, all at
# once; nothing is judged here. A part of a script, see frame.sh.
# shellcheck disable=SC2034,SC2086,SC2154

# EVICT_PREFLIGHT_COVER has questions (manager.sh); one without words is about the unit in its name, service.UNIT.
probe_cover() {
  [ -n "$EVICT_PREFLIGHT_COVER" ] || return 0
  limit=$brief
  which_manager
  ours "$EVICT_PREFLIGHT_COVER"
  [ -n "$mine" ] || return 0
  # When time is up the alarm ends the programs and the shells that wait for them; what was not answered by then has no row.
  told='' units=
  case $nl$mine in
    *"$nl+"*) rows=$(put_all) ;;
    *) # no program is asked, so no shell is needed that waits for one
      for row in $mine; do units=$units${row#* }$nl; done
      ask_units $units
      rows=$told
      ;;
  esac
  for row in $rows; do send " $row"; done
  for row in $mine; do
    case $row in +*) continue ;; esac
    row=${row#* } && encode name "${row#* }"
    case $nl$rows in
      *"${nl}role=${row%% *}$pair "*) ;;
      *) record role "${row%% *}" name "${row#* }" text '' fault "did not answer in $limit s" ;;
    esac
  done
}

put_all() { # a row for each answer, or several for a long one: fields of a record
  units='' question=
  set --
  for row in $mine =; do
    case $row in +*) set -- "$@" "${row#+}" && continue ;; esac
    # Here the question before is whole.
    case $#:$question in
      *:) ;;
      0:*) units=$units$question$nl ;;
      *) put "$question" "$@" & ;;
    esac
    question=${row#* }
    set --
  done
  [ -z "$units" ] || ask_units $units
  printf %s "$told"
  wait
}

put() { # 'ROLE NAME' PROGRAM ARGUMENT...
  question=$1 text='' fault=
  shift
  if [ ! -f "$1" ] || [ ! -x "$1" ]; then
    fault="$1 is not there"
  else
    text=$("$@" | head -c 12000)
    [ -n "$text" ] || fault='it said nothing'
  fi
  answer "$question" "$text" "$fault"
  printf %s "$told"
}

answer() { # 'ROLE NAME' TEXT FAULT -> told, with the rows before; a long text comes in pieces, none of which ends within a character
  encode name "${1#* }"
  head="role=${1%% *}$pair" rest=$2
  encode fault "$3"
  [ -n "$rest" ] || told="$told$head text=${3:+$pair}$nl"
  while [ -n "$rest" ]; do
    piece=$(printf '%.1600s.' "$rest") && piece=${piece%.}
    text=${piece%"${piece##*[ -~]}"}
    rest=${rest#"${text:=$piece}"}
    encode text "$text"
    told=$told$head$pair$nl
  done
}

ask_units() { # 'ROLE service.UNIT'...
  names='' actives='' enableds='' count=0 found=0
  for row in "$@"; do
    unit_there "${row#* service.}" || continue
    names=$names${row#* service.}$nl found=$((found + 1))
  done
  if [ -n "$names" ] && [ -d /run/systemd/system ] && has systemctl; then
    # One question about all of them; the answers come in the order of the names.
    for row in $(systemctl --no-pager --no-ask-password show -p ActiveState -p UnitFileState -- $names); do
      case $row in
        ActiveState=*) actives=$actives${row#*=}$nl count=$((count + 1)) ;;
        UnitFileState=*) row=${row#*=} && enableds=$enableds${row:-unknown}$nl count=$((count + 1)) ;;
      esac
    done
  fi
  for row in "$@"; do
    if [ ! -d /run/systemd/system ] || [ "$count" != $((found * 2)) ]; then
      answer "$row" '' 'systemd does not say'
    elif case $nl$names in *"$nl${row#* service.}$nl"*) false ;; esac; then
      answer "$row" 'inactive unknown' ''
    else
      answer "$row" "${actives%%"$nl"*} ${enableds%%"$nl"*}" ''
      actives=${actives#*"$nl"} enableds=${enableds#*"$nl"}
    fi
  done
}

# Before a replacement is installed most of its units are not there, and a question to systemd costs as much as all of our looks together.
unit_there() { # UNIT: has it a file, or does it run without one? systemd does not know any other
  name=$1
  case $name in *.*) ;; *) name=$name.service ;; esac
  for dir in $unit_dirs; do
    ! there "$dir/$name" || return 0
    case $name in *@*) ! there "$dir/${name%%@*}@.${name##*.}" || return 0 ;; esac
  done
  there "/run/systemd/units/invocation:$name" || unit_runs "$name"
}
