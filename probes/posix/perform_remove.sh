# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# How a package of the old product goes. A part of a job's library, needs perform_look.sh and perform_why.sh.
# shellcheck disable=SC2034,SC2086,SC2154

gone() { # STATE: has the package gone as far as it was to go?
  case $1:${a_purge:-no} in absent:* | config-files:no | config-files:'') ;; *) return 1 ;; esac
}

kind_remove_package() {
  IFS=$nl others='' answered=''
  case $a_manager in
    apt | dnf | yum | zypper | dpkg | rpm) ;;
    *)
      fail not_known 0 "the package manager $a_manager is not known here"
      return 1
      ;;
  esac
  package_named "$a_package" || {
    fail not_known 0 "$a_package is not the name of a package"
    return 1
  }
  package_state "$a_manager" "$a_package" || return 1
  if gone "$state"; then
    status=already
    return 0
  fi
  if [ "$want" = hold ]; then
    fail package_held 0 "$a_package is held: release it (apt-mark unhold $a_package), then run again"
    return 1
  fi
  case $state in
    *reinstreq*)
      fail half_configured 0 "dpkg was interrupted within $a_package ($state) and will not remove it: install the same version again, then run again"
      return 1
      ;;
  esac
  manager_program || return 1
  foreign_mounts || return 1
  window # others may be at work: they get a part of our time
  rehearse || return 1
  [ ! -e /run/reboot-required ] || answered=before
  # The database is to be asked even when the time is up.
  until_now=$deadline
  deadline=$((deadline - spare))
  while :; do
    remove_now
    answer=$rows ended=$code
    case $a_manager:$rows in
      apt:*'dpkg was interrupted'*) # perhaps in this very step: dpkg takes up what it wrote, and touches nothing else
        a_manager=dpkg
        continue
        ;;
    esac
    busy_text || break
    time_left
    [ "$left" -gt "$hurry" ] || break
    sleep 5
  done
  deadline=$until_now
  # The database decides, whatever the tool said.
  package_state "$a_manager" "$a_package" || return 1
  case $state:$a_purge in
    config-files:yes) # apt only removes what was half gone, so that settings are left, which go by the same word
      remove_now
      answer=$rows ended=$code
      package_state "$a_manager" "$a_package" || return 1
      ;;
  esac
  if gone "$state"; then
    [ -n "$answered" ] || [ ! -e /run/reboot-required ] || restart=yes
    status='done'
    return 0
  fi
  rows=$answer
  explain "$ended" "$a_package is in the state \"$state\""
  return 1
}

manager_program() { # -> program
  case $a_manager in
    apt) set -- apt-get ;;
    dnf) set -- dnf dnf5 microdnf ;;
    *) set -- "$a_manager" ;;
  esac
  for program in "$@"; do ! has "$program" || return 0; done
  fail manager_missing 0 "$1 is missing: install it, then run again"
  return 1
}

window() { # -> hurry: what must be left of the time when nobody is waited for any more; spare: for a look at the end
  time_left
  spare=$((left / 5))
  [ "$spare" -le 60 ] || spare=60
  hurry=$((left / 3))
  [ "$hurry" -le 300 ] || hurry=300
  hurry=$((left - hurry))
}

# A mount of its own below a folder of the package, with nothing of the package on it, is somebody else's. The package's scripts would
# delete what is on it, so nothing begins. Folders that all packages share are nobody's.
foreign_mounts() {
  mounted
  case $a_manager in
    apt | dpkg) told dpkg-query -L "$a_package" ;;
    *) told rpm --dbpath "$place" -ql "$a_package" ;;
  esac
  [ "$code" = 0 ] || return 0 # nothing of it is unpacked; the package manager will say so
  for where in $mounts; do
    case $where in / | /usr | /usr/* | /proc | /proc/* | /sys | /sys/* | /dev | /dev/* | /run | /run/* | /lib* | /tmp) continue ;; esac
    case $nl$rows in *"$nl$where/"*) continue ;; esac
    text=$where
    while :; do
      case $text in /*/*/*) ;; *) break ;; esac
      case $nl$rows$nl in
        *"$nl$text$nl"*)
          fail foreign_mount 0 "$where is a mount within $a_package, and its removal could delete what is on it: unmount it, then run again"
          return 1
          ;;
      esac
      text=${text%/*}
    done
  done
}

by_apt() { # ARGUMENT...: apt without a question, without work that nobody asked for
  set -- -q -y -o Dpkg::Options::=--force-confold -o Dpkg::Use-Pty=0 -o APT::Get::AutomaticRemove=false \
    -o APT::Get::Purge=false -o "DPkg::Lock::Timeout=$waiting" "$@"
  set -- DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 NEEDRESTART_MODE=l APT_LISTCHANGES_FRONTEND=none apt-get "$@"
  told env "$@"
}

rehearse() { # what would go besides? -> 1: fail was called
  waiting=0
  case $a_manager in
    apt)
      # A lock is no matter for a simulation.
      by_apt -s "$(verb)" "$a_package"
      if [ "$code" != 0 ]; then
        explain "$code" "a simulation of the removal of $a_package failed"
        return 1
      fi
      told_by=$rows
      told dpkg --print-architecture
      others=$(others_of "$told_by" "$rows")
      ;;
    dpkg)
      while :; do
        told dpkg --no-act "--$(verb)" "$a_package"
        busy_text || break
        time_left
        [ "$left" -gt "$hurry" ] || break
        sleep 5
      done
      ;;
    *)
      # What needs the package, as rpm itself sees it: the front ends would take it along. rpm waits for its lock.
      until_now=$deadline
      time_left
      deadline=$((deadline - hurry))
      told rpm --dbpath "$place" -e --test --allmatches "$a_package"
      deadline=$until_now
      case $code:$rows in
        *'Failed dependencies'* | *'failed dependencies'*)
          for row in $rows; do case $row in *'needed by (installed) '*) others="$others ${row##*'(installed) '}" ;; esac done
          ;;
      esac
      ;;
  esac
  case $rows in
    *'dependency problems prevent removal'*)
      for row in $rows; do case $row in *' depends on '*) text=${row%%' depends on '*} && others="$others ${text##* }" ;; esac done
      ;;
  esac
  if [ -n "$others" ]; then
    fail would_remove_others "$code" "with $a_package others would go or come:$others; remove or repair them first, then plan again"
    return 1
  fi
  case $a_manager:$code in apt:* | *:0) return 0 ;; esac
  explain "$code" "a test of the removal of $a_package failed"
  return 1
}

others_of() { # ROWS ARCHITECTURE: what apt's simulation would do to other packages
  for row in $1; do
    case $row in 'Remv '* | 'Purg '* | 'Inst '*) ;; *) continue ;; esac
    row=${row#* } && row=${row%% *}
    [ "${row%":$2"}" = "${a_package%":$2"}" ] || printf ' %s' "$row"
  done
}

verb() {
  case $a_manager:${a_purge:-no} in apt:yes | dpkg:yes) echo purge ;; *) echo remove ;; esac
}

remove_now() {
  time_left
  waiting=$((left > hurry ? left - hurry : 0))
  case $a_manager in
    apt) by_apt "$(verb)" "$a_package" ;;
    dpkg) told env DEBIAN_FRONTEND=noninteractive dpkg --force-confold "--$(verb)" "$a_package" ;;
    dnf | yum)
      # No repository is needed, so that a broken one is in nobody's way.
      told "$program" -y '--disablerepo=*' --setopt=clean_requirements_on_remove=False --setopt=exit_on_lock=True \
        remove "$a_package"
      ;;
    zypper) told env "ZYPP_LOCK_TIMEOUT=$waiting" zypper --non-interactive --disable-repositories remove --no-clean-deps "$a_package" ;;
    rpm) told rpm --dbpath "$place" -e --allmatches "$a_package" ;;
  esac
}
