# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# A Mac itself: system, processes, accounts, protection, reboot. A part of a script, see frame.sh. Its sh is bash 3.2, which
# cannot read a case without opening parentheses within $( ).
# shellcheck disable=SC2034,SC2046,SC2086,SC2154,SC2231,SC3013  # patterns without quotes are to be expanded

offspring() { # PID...: all processes below these; there is no /proc
  family=" $* " found=
  IFS=" $nl"
  set -- $(ps -axo pid=,ppid=)
  more=yes
  while [ -n "$more" ]; do
    more='' number=$#
    while [ "$number" -gt 1 ]; do # rotates the pairs
      child=$1 parent=$2 number=$((number - 2))
      shift 2
      set -- "$@" "$child" "$parent"
      case $family in *" $child "*) continue ;; esac
      case $family in *" $parent "*) family="$family$child " found="$found $child" more=yes ;; esac
    done
  done
  echo $found
}

probe_host() {
  os_name='' os_version='' user=root init='' machine=
  IFS=' '
  rows=$(uname -snrm)
  set -- $rows
  IFS=$nl
  system=$1 node=$2 kernel=$3 arch=$4
  [ -n "$kernel" ] || unknown 'uname is missing'
  if needs sw_vers && ask sw_vers; then
    for row in $rows; do
      trim "${row#*:}"
      case $row in
        ProductName:*) os_name=$text ;;
        ProductVersion:*) os_version=$text ;;
      esac
    done
  fi
  [ "$euid" = 0 ] || user=$(id -un)
  # No serial number: the uuid of the hardware tells hosts apart.
  if has ioreg; then
    for row in $(ioreg -d2 -c IOPlatformExpertDevice | grep IOPlatformUUID); do machine=${row%'"'} && machine=${machine##*'"'}; done
  fi
  record system "$system" os_id macos os_version "$os_version" os_name "$os_name $os_version" kernel "$kernel" arch "$arch" hostname "$node" \
    machine_id "$machine" euid "$euid" user "$user" container '' init launchd
}

probe_processes() {
  needs ps || return 0
  ask ps -axww -o pid=,comm= || return 0
  case $rows in *launchd*) ;; *) unknown "other users' processes are hidden: run with privilege (become)" ;; esac
  list=$rows pids=' '
  for dir in $EVICT_EXE_DIRS; do
    places=$dir
    [ ! -d "$dir" ] || { resolve "$dir" && places=$dir$nl$real; }
    for place in $places; do
      case $list in *" $place/"*) ;; *) continue ;; esac
      for row in $list; do
        trim "$row"
        pid=${text%% *} && trim "${text#* }" && exe=$text
        case $exe in "$place"/*) ;; *) continue ;; esac
        case $pids in *" $pid "*) continue ;; esac
        pids="$pids$pid " deleted=no
        [ -e "$exe" ] || { lost "$exe" && [ -n "$why" ] || deleted=yes; }
        record pid "$pid" exe "$exe" deleted $deleted root same comm "${exe##*/}" dir "$dir"
      done
    done
  done
}

probe_accounts() { # the local node only: asking a directory server is slow, and the vendor's accounts are local
  [ -n "$EVICT_USERS$EVICT_GROUPS" ] || return 0
  needs dscl || return 0
  ask dscl . -list /Users UniqueID || return 0
  users=$nl$rows
  ask dscl . -list /Groups PrimaryGroupID || return 0
  groups=$nl$rows
  for name in $EVICT_USERS; do
    account "$users" "$name"
    [ -z "$id" ] || record kind user name "$name" id "$id" members ''
  done
  for name in $EVICT_GROUPS; do
    account "$groups" "$name"
    [ -n "$id" ] || continue
    members=
    for row in $(dscl . -read "/Groups/$name" GroupMembership); do
      IFS=' '
      for member in ${row#GroupMembership:}; do
        case $member in No | *:) break ;; esac # "No such key"
        members=$members${members:+,}$member
      done
      IFS=$nl
    done
    record kind group name "$name" id "$id" members "$members"
  done
}

account() { # ROWS NAME -> id
  id=
  case $1 in *"$nl$2 "* | *"$nl$2$tab"*) ;; *) return 0 ;; esac
  for row in $1; do
    case $row in "$2 "* | "$2$tab"*) trim "${row#"$2"}" && id=$text ;; esac
  done
}

# --- what systemextensionsctl knows -------------------------------------------------------------------------------------

extensions() { # -> rows: what it says; false when it cannot be asked (before macOS 10.15 there is none, and no extension)
  if ! has systemextensionsctl; then
    [ ! -d /Library/SystemExtensions ] || unknown 'systemextensionsctl is missing'
    return 1
  fi
  ask systemextensionsctl list
}

extension() { # ROW "* * TEAM BUNDLE (VERSION) NAME [STATE]" -> team bundle version state; false: it is no such row
  case $1 in *'[state]') return 1 ;; *' ('*')'*'['*']') ;; *) return 1 ;; esac
  state=${1##*\[} && state=${state%\]} && version=${1#* \(} && version=${version%%\)*}
  trim "${1%% \(*}"
  IFS=" $tab*"
  set -- $text
  IFS=$nl
  [ $# -gt 0 ] || return 1
  team=
  while [ $# -gt 1 ]; do team=$1 && shift; done
  bundle=$1
}

probe_protection() {
  list=
  ! extensions || list=$rows
  kind=
  for row in $list; do
    case $row in --*) kind=${row#---} ;; esac
    case $kind in *endpoint_security*) ;; *) continue ;; esac
    extension "$row" || continue
    case $state in *'activated enabled'*) state=active ;; *terminated*) state=off ;; *) state=passive ;; esac
    record kind endpoint_security name "$bundle" state $state
  done
  for dir in /Library/Apple/System/Library/CoreServices /System/Library/CoreServices; do
    [ -d "$dir/XProtect.bundle" ] || continue
    record kind xprotect name XProtect state active
    break
  done
}

probe_reboot() {
  extensions || return 0
  for row in $rows; do
    extension "$row" || continue
    case $state in *'on reboot'*) record cause system_extension detail "$bundle: $state" ;; esac
  done
}
