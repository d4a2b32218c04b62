# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# Units of systemd, and scripts of init where there is no systemd. A part of a job's library, see perform_frame.sh.
# Nothing is ever killed here: a unit that does not end in its time is a failure with a name.
# shellcheck disable=SC2034,SC2086,SC2154

systemd_runs() { [ -d /run/systemd/system ] && has systemctl; }

unit_named() { # NAME -> 1: fail was called
  case $1 in
    '' | [!A-Za-z0-9_]* | *[!A-Za-z0-9@._:\\-]*)
      fail not_known 0 "$1 is not the name of a unit"
      return 1
      ;;
  esac
}

unit_state() { # UNIT -> load, active, sub, result, type, enabled, restarts, order. 1: nobody told, and fail was called
  load='' active='' sub='' result='' type='' enabled='' restarts='' script='' reload='' order=''
  unit_named "$1" || return 1
  if ! systemd_runs; then
    script_state "$1"
    return 0
  fi
  # It has a time limit of its own, and is asked each second.
  rows=$(systemctl show --no-pager \
    -p LoadState,ActiveState,SubState,Result,Type,UnitFileState,NRestarts,NeedDaemonReload,Job -- "$1" 2>&1)
  code=$?
  for row in $rows; do
    case $row in
      LoadState=*) load=${row#*=} ;;
      ActiveState=*) active=${row#*=} ;;
      SubState=*) sub=${row#*=} ;;
      Result=*) result=${row#*=} ;;
      Type=*) type=${row#*=} ;;
      UnitFileState=*) enabled=${row#*=} ;;
      NRestarts=*) restarts=${row#*=} ;;
      NeedDaemonReload=*) reload=${row#*=} ;;
      Job=*) order=${row#*=} ;;
    esac
  done
  [ -z "$active" ] || return 0
  last_row
  fail systemd_silent "$code" "systemd does not answer for $1 ($row): see whether it works (systemctl status), then run again"
  return 1
}

script_state() { # UNIT -> load, active, script: the same of a script of init
  load=not-found active=inactive
  for script in "/etc/init.d/${1%.service}" "/etc/rc.d/init.d/${1%.service}" "/etc/rc.d/${1%.service}" ''; do
    [ ! -f "$script" ] || [ ! -x "$script" ] || break
  done
  [ -n "$script" ] || return 0
  load=loaded
  told "$script" status
  # What the standard says of `status`; a script without it says how it is used, which tells nothing.
  case $code in
    0) active=active ;;
    1 | 3) ;;
    *) active=unknown ;;
  esac
}

script_does() { # UNIT VERB
  if has service; then
    told service "${1%.service}" "$2"
  elif has rc-service; then
    told rc-service "${1%.service}" "$2"
  else
    told "$script" "$2"
  fi
}

ends() { # are we near the deadline?
  time_left
  [ "$left" -le 3 ]
}

# --- stop_unit ----------------------------------------------------------------------------------------------------------

kind_stop_unit() {
  IFS=$nl tries=0
  unit_state "$a_unit" || return 1
  if [ "$load" = not-found ]; then
    case $active in inactive | failed) status=already && return 0 ;; esac
  fi
  if [ -n "$script" ]; then
    stop_script
    return $?
  fi
  case $active in inactive | failed) status=already && return 0 ;; esac
  while :; do
    tries=$((tries + 1))
    # The order is given and not waited for, so that the unit has all of our time, and its own when ours is up.
    told systemctl stop --no-block -- "$a_unit"
    case $code:$rows in
      0:*) ;;
      *)
        last_row
        fail refused_by_system "$code" "systemd does not stop $a_unit ($row): see what guards it, then run again"
        return 1
        ;;
    esac
    until_stopped || return 1
    comes_back || break
    [ -n "$active" ] || return 1
    [ "$tries" = 2 ] || ends || continue
    woken_by
    fail unit_comes_back 0 "$a_unit was stopped and is $active again$text: take away what starts it, then run again"
    return 1
  done
  [ "$result" = success ] || [ -z "$result" ] || note result "$result"
  status='done'
}

until_stopped() { # until it is, or has come back in between -> active. 1: fail was called
  while :; do
    unit_state "$a_unit" || return 1
    case $active:$order in
      inactive:* | failed:*) return 0 ;;
      # systemd has carried out what it was told, and something has started the unit since we looked last.
      active: | active:0) return 0 ;;
    esac
    if ends; then
      [ "$active" != activating ] || return 0
      fail unit_stuck 0 "$a_unit has not ended in its time ($active, $sub): see what it waits for (a dead network mount?), then run again"
      return 1
    fi
    sleep 1
  done
}

# A watchdog, a timer or a socket may start it again at once.
comes_back() { # -> active; empty: nobody told, and fail was called. False: it stays stopped
  for turn in 1 2 3; do
    case $active in inactive | failed) sleep 1 ;; esac
    unit_state "$a_unit" || return 0
    case $active in inactive | failed) ;; *) return 0 ;; esac
  done
  return 1
}

woken_by() { # -> text: the units that start it, for a reader
  told systemctl show --no-pager -p TriggeredBy,WantedBy,RequiredBy -- "$a_unit"
  text=
  for row in $rows; do
    case $row in *=) ;; TriggeredBy=*) text=" (started by ${row#*=})" ;; esac
  done
}

stop_script() {
  case $active in inactive) status=already && return 0 ;; esac
  before=$active
  script_does "$a_unit" stop
  ended=$code
  while :; do
    script_state "$a_unit"
    case $active in
      inactive) status='done' && return 0 ;;
      # Its script cannot tell; processes are looked for when the product is confirmed to be gone.
      unknown) [ "$ended" != 0 ] || { note unverified "$script has no status" && status='done' && return 0; } ;;
    esac
    ! ends || break
    case $before:$active in unknown:unknown) break ;; esac
    sleep 1
  done
  last_row
  fail unit_stuck "$ended" "$a_unit has not ended in its time ($row): see what it waits for, then run again"
  return 1
}

# --- start_unit, enable_unit, disable_unit, unit_active -----------------------------------------------------------------

kind_start_unit() {
  IFS=$nl
  unit_state "$a_unit" || return 1
  missing_unit && return 1
  if [ "$active" = active ]; then
    status=already
    return 0
  fi
  if [ -n "$script" ]; then script_does "$a_unit" start; else told systemctl start -- "$a_unit"; fi
  ended=$code answer=$rows calm=0 before=
  # What it says at its start is no proof: it must be active a second later, too, and not by a start in between.
  while :; do
    unit_state "$a_unit" || return 1
    case $active:$type:$result in
      active:*)
        [ "$restarts" = "$before" ] || calm=0
        before=$restarts calm=$((calm + 1))
        [ "$calm" -lt 3 ] || { status='done' && return 0; }
        ;;
      inactive:oneshot:success) [ "$ended" != 0 ] || { status='done' && return 0; } ;;
      failed:*) break ;;
      inactive:*) [ "$ended" = 0 ] || break ;;
      *) calm=0 ;;
    esac
    ! ends || break
    [ "$active" != inactive ] || case $((calm -= 1)) in -[5-9]*) break ;; esac
    sleep 1
  done
  rows=$answer
  not_started "$ended"
  return 1
}

not_started() { # CODE -> fail
  last_row
  meant=$row
  if [ "$active" = inactive ] && unmet; then
    fail condition_not_met "$1" "$a_unit was not started, since a condition of it is not met ($text): bring about what it asks for, then run again"
    return 1
  fi
  case $active in inactive) text=unit_inactive ;; *) text=unit_failed ;; esac
  fail "$text" "$1" "$a_unit is $active ($sub, $result)${meant:+; }$meant: see journalctl -u $a_unit, set it right, then run again"
}

# A start that a condition forbids ends well. systemd remembers why for as long as it has a use for the unit.
unmet() { # -> text: the conditions that are not met; false: there is none
  systemd_runs || return 1
  text=
  told systemctl status --no-pager --full -n 0 -- "$a_unit"
  for row in $rows; do
    case $row in *Condition*=*' was not met') row=${row%' was not met'} && text="$text Condition${row#*Condition}" ;; esac
  done
  if [ -z "$text" ] && has systemd-analyze; then # asks them again, since version 250
    told systemd-analyze condition "--unit=$a_unit"
    for row in $rows; do
      case $row in *': Condition'*=*' failed.') row=${row%' failed.'} && text="$text ${row#*: }" ;; esac
    done
  fi
  if [ -z "$text" ] && has journalctl; then
    told journalctl --no-pager -q -o cat -n 1 -u "$a_unit"
    case $rows in *'unmet condition'* | *'Condition check resulted in'*) text=$rows ;; esac
  fi
  text=${text# }
  [ -n "$text" ]
}

missing_unit() { # -> true: it is not there as it should be, and fail was called
  case $load in
    masked) fail unit_masked 0 "$a_unit is masked: unmask it, then run again" ;;
    not-found) fail unit_missing 0 "$a_unit is not there: see whether what brings it is installed, then run again" ;;
    bad-setting | error) fail unit_failed 0 "systemd cannot read $a_unit ($load): repair the unit, then run again" ;;
    *) return 1 ;;
  esac || :
}

for_next_start() { # -> true: the unit is started at the next start of the host, as far as its kind allows
  case $enabled in enabled | static | generated | indirect | alias) return 0 ;; esac
  [ -n "$script" ] || return 1
  set +f
  for file in /etc/rc[2345].d/S[0-9]*"${a_unit%.service}" /etc/rc.d/rc[2345].d/S[0-9]*"${a_unit%.service}" /etc/runlevels/*/"${a_unit%.service}"; do
    [ ! -e "$file" ] || { set -f && return 0; }
  done
  set -f
  return 1
}

kind_enable_unit() {
  IFS=$nl
  unit_state "$a_unit" || return 1
  missing_unit && return 1
  if for_next_start; then
    status=already
    return 0
  fi
  set_start enable defaults on add
  unit_state "$a_unit" || return 1
  if for_next_start; then
    status='done'
    return 0
  fi
  last_row
  fail unit_not_enabled "$ended" "$a_unit is \"$enabled\" after it was enabled ($row): see why, then run again"
  return 1
}

kind_disable_unit() {
  IFS=$nl
  unit_state "$a_unit" || return 1
  case $load:$enabled:$script in
    not-found:*:) status=already && return 0 ;;
    *:disabled:* | *:masked:* | *:static:* | *:indirect:* | *:generated:*) status=already && return 0 ;;
  esac
  if [ -n "$script" ] && ! for_next_start; then
    status=already
    return 0
  fi
  set_start disable remove off delete
  unit_state "$a_unit" || return 1
  case $enabled in disabled | static | indirect | masked) status='done' && return 0 ;; esac
  if [ -n "$script" ] && ! for_next_start; then
    status='done'
    return 0
  fi
  last_row
  fail unit_not_disabled "$ended" "$a_unit is \"$enabled\" after it was disabled ($row): see why, then run again"
  return 1
}

set_start() { # WORDS of systemctl, update-rc.d, chkconfig and rc-update -> ended
  if systemd_runs; then
    told systemctl "$1" -- "$a_unit"
  elif has update-rc.d; then
    told update-rc.d "${a_unit%.service}" "$2"
  elif has chkconfig; then
    told chkconfig "${a_unit%.service}" "$3"
  elif has rc-update; then
    told rc-update "$4" "${a_unit%.service}"
  else
    code=127 rows='no program for it is there'
  fi
  ended=$code
}

kind_unit_active() {
  IFS=$nl
  sleep 3
  while :; do
    unit_state "$a_unit" || return 1
    case $active in activating | reloading) ;; *) break ;; esac
    ! ends || break
    sleep 1
  done
  missing_unit && return 1
  if [ "$active" != active ]; then
    rows=
    not_started 0
    return 1
  fi
  if ! for_next_start; then
    fail unit_not_enabled 0 "$a_unit runs and is \"$enabled\", so that it will not after a restart: enable it, then run again"
    return 1
  fi
  status='done'
}

# --- reload_units -------------------------------------------------------------------------------------------------------

kind_reload_units() {
  IFS=$nl
  status=already
  systemd_runs || return 0
  for name in $a_units; do
    unit_state "$name" || return 1
    case $load:$active:$reload in not-found:inactive:*) ;; *) status='done' ;; esac
  done
  [ "$status" = 'done' ] || return 0
  told systemctl daemon-reload
  if [ "$code" != 0 ]; then
    last_row
    fail systemd_silent "$code" "systemd did not read its units again ($row): see whether it works, then run again"
    return 1
  fi
  for name in $a_units; do
    unit_state "$name" || return 1
    [ "$active" = failed ] || continue
    told systemctl reset-failed -- "$name"
    unit_state "$name" || return 1
    [ "$active" != failed ] || {
      fail systemd_silent "$code" "systemd does not forget that $name failed: see systemctl status $name"
      return 1
    }
  done
  status='done'
}
