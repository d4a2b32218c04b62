# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# How a package of the old product goes, and how it is looked for again. A part of a job's library, see perform_frame.sh.
# Words are split on purpose, with noglob on and IFS set to a line end.
# shellcheck disable=SC2034,SC2086,SC2154,SC3013  # parts share variables; -ef is in POSIX since 2024, in dash, busybox, ksh long before

# In memory, since a disk may be full just then.
scratch() { # -> into: a file that only we can read
  into=${memory:-/run/evict.kaspersky}
  [ -d "$into" ] && [ -w "$into" ] || into=$base
  into=$into/answer
}

told() { # PROGRAM ARGUMENT... -> rows: all that it printed; its end in code, as `bounded` has it
  scratch && rows=
  # shellcheck disable=SC2016  # for the inner shell
  bounded sh -c 'exec >"$0" 2>&1 && exec "$@"' "$into" "$@"
  read_answer
}

performed() { # the same for what changes the host: the log gets it, too
  scratch && rows=
  # shellcheck disable=SC2016
  bounded sh -c '"$@" >"$0" 2>&1
end=$?
cat "$0"
exit "$end"' "$into" "$@"
  read_answer
}

read_answer() {
  scratch
  rows=$(cat "$into" 2>/dev/null)
  rm -f "$into"
  return "$code"
}

time_left() { # -> left: seconds until the step's deadline
  IFS=' ' read -r up _ </proc/uptime
  IFS=$nl
  left=$((deadline - ${up%%.*}))
}

last_row() { # -> row: the last line that says something, for a reader
  row=
  for text in $rows; do case $text in *[!\ ]*) row=$text ;; esac done
  row=$(printf %.300s "$row")
}

# --- what the databases say ---------------------------------------------------------------------------------------------

# rpm makes a database where there is none, and Debian's rpm looks into ~/.rpmdb: it is always told where.
rpm_database() { # -> place: the folder of rpm's database, empty: there is none
  for place in /usr/lib/sysimage/rpm /var/lib/rpm /usr/share/rpm ''; do
    for text in rpmdb.sqlite Packages.db Packages; do [ ! -s "$place/$text" ] || return 0; done
  done
}

package_named() { # NAME: is it the plain name of one package, perhaps with :ARCHITECTURE?
  case $1 in '' | [!A-Za-z0-9]* | *[!A-Za-z0-9+._:-]* | *:*:*) return 1 ;; esac
}

dpkg_state() { # NAME -> state: absent, or the words of dpkg; want: hold and the like. 1: dpkg did not tell, and fail was called
  # shellcheck disable=SC2016  # dpkg's variable
  told dpkg-query -W -f '=${Status}\n' "$1"
  state=absent want=''
  case $code:$rows in
    0:*=*)
      for row in $rows; do
        case $row in =*) ;; *) continue ;; esac
        IFS=' '
        set -- ${row#=}
        IFS=$nl
        # Of several architectures the one that is most there counts.
        case $3 in
          not-installed) ;;
          config-files) [ "$state" != absent ] || state=config-files ;;
          *) state=$3 want=$1 && [ "$2" = ok ] || state="$3 $2" ;;
        esac
      done
      ;;
    *:*'no packages found matching'*) ;;
    *)
      last_row
      fail database_broken "$code" "dpkg's database does not answer ($row): repair it (dpkg --audit, a copy in /var/backups), then run again"
      return 1
      ;;
  esac
}

rpm_state() { # NAME -> state: absent or installed. 1: rpm did not tell, and fail was called
  told rpm --dbpath "$place" -q --qf '=%{NAME}\n' "$1"
  case $code:$nl$rows in
    0:*"$nl=$1"*) state=installed ;;
    0:*) state='?' ;;
    *"package $1 is not installed") state=absent ;;
    *) state='?' ;;
  esac
  # Any other complaint, and nothing that rpm says counts.
  for row in $rows; do
    case $row in "=$1" | "package $1 is not installed") ;; *) state='?' && break ;; esac
  done
  [ "$state" = '?' ] || return 0
  last_row
  fail database_broken "$code" "rpm's database does not answer ($row): repair it (rpm --rebuilddb, after a copy of $place), then run again"
  return 1
}

package_state() { # MANAGER NAME -> state. 1: nobody told, and fail was called
  case $1 in
    apt | dpkg) dpkg_state "$2" ;;
    *)
      rpm_database
      if ! has rpm || [ -z "$place" ]; then
        fail database_broken 0 "rpm or its database is missing: bring it back (${place:-/var/lib/rpm}), then run again"
        return 1
      fi
      rpm_state "$2"
      ;;
  esac
}

gone() { # STATE: has the package gone as far as it was to go?
  case $1:${a_purge:-no} in absent:* | config-files:no | config-files:'') ;; *) return 1 ;; esac
}

# --- remove_package -----------------------------------------------------------------------------------------------------

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
  while :; do
    remove_now
    answer=$rows ended=$code
    busy_text || break
    time_left
    [ "$left" -gt "$hurry" ] || break
    sleep 5
  done
  # The database decides, whatever the tool said.
  package_state "$a_manager" "$a_package" || return 1
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

window() { # -> hurry: what must be left of the time when nobody is waited for any more
  time_left
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

mounted() { # -> mounts: each place where something is mounted
  mounts=
  while IFS=' ' read -r _ _ _ _ where _; do
    case $where in *\\*) where=$(printf '%b.' "$(printf %s "$where" | sed 's/\\\([0-7][0-7][0-7]\)/\\0\1/g')") && where=${where%.} ;; esac
    mounts=$mounts$where$nl
  done </proc/self/mountinfo
  IFS=$nl
}

by_apt() { # ARGUMENT...: apt without a question, without work that nobody asked for
  set -- -q -y -o Dpkg::Options::=--force-confold -o Dpkg::Use-Pty=0 -o APT::Get::AutomaticRemove=false \
    -o APT::Get::Purge=false -o "DPkg::Lock::Timeout=$waiting" "$@"
  set -- DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 NEEDRESTART_MODE=l APT_LISTCHANGES_FRONTEND=none apt-get "$@"
  performed env "$@"
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
        performed dpkg --no-act "--$(verb)" "$a_package"
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
      performed rpm --dbpath "$place" -e --test --allmatches "$a_package"
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
    dpkg) performed env DEBIAN_FRONTEND=noninteractive dpkg --force-confold "--$(verb)" "$a_package" ;;
    dnf | yum)
      # No repository is needed, so that a broken one is in nobody's way.
      performed "$program" -y '--disablerepo=*' --setopt=clean_requirements_on_remove=False --setopt=exit_on_lock=True \
        remove "$a_package"
      ;;
    zypper) performed env "ZYPP_LOCK_TIMEOUT=$waiting" zypper --non-interactive --disable-repositories remove --no-clean-deps "$a_package" ;;
    rpm) performed rpm --dbpath "$place" -e --allmatches "$a_package" ;;
  esac
}

busy_text() { # is somebody else at work, after what the tool said?
  case $rows in
    *'Could not get lock'* | *'is locked by another process'* | *'Unable to lock'* | *'Unable to acquire'*) ;;
    *'another copy is running'* | *'holding the yum lock'* | *'Waiting for process with pid'* | *'obtain'*' lock'*) ;;
    *'System management is locked'* | *'waiting for transaction lock'* | *"can't create transaction lock"*) ;;
    *) return 1 ;;
  esac
}

# --- why it did not go --------------------------------------------------------------------------------------------------

explain() { # CODE STATE: of what the package manager said in rows, what helps most -> fail
  last_row
  meant=$row
  if busy_text; then
    fail package_manager_busy "$1" "another program works with the packages ($meant): let it end, then run again"
    return 1
  fi
  if [ "$1" = 124 ]; then
    fail timed_out "$1" "the removal took longer than its time; $2: see what it waited for, then run again"
    return 1
  fi
  case $rows in
    *'No space left on device'* | *'not enough free space'*)
      fail disk_full "$1" "no room is left on a disk; $2: make room, then run again"
      ;;
    *'Read-only file system'*)
      named 'Read-only file system'
      fail read_only "$1" "${path:-a file system} is mounted read-only: mount it writable, then run again"
      ;;
    *'dpkg was interrupted'*)
      fail half_configured "$1" "dpkg was interrupted before: run dpkg --configure -a, look at its end, then run again"
      ;;
    *'bad inconsistent state'*)
      fail half_configured "$1" "$2, and dpkg will not remove it: install the same version again, then run again"
      ;;
    *'held packages were changed'* | *'protected packages'* | *'is marked as hold'* | *'is locked and cannot'*)
      fail package_held "$1" "the package manager protects or holds it ($meant): release it, then run again"
      ;;
    *"Can't open perl script"*)
      said_of "Can't open perl script"
      fail uninstaller_missing "$1" "its own removal script is not there ($text): install the same version again, then run again"
      ;;
    *'perl: not found'* | *'perl: command not found'* | *'perl: No such file'*)
      fail perl_missing "$1" "perl is missing, in which its own removal scripts are written: install perl, then run again"
      ;;
    *'Operation not permitted'*)
      named 'Operation not permitted'
      refused "$1"
      ;;
    *'Permission denied'*)
      named 'Permission denied'
      refused "$1"
      ;;
    *'Device or resource busy'*)
      named 'Device or resource busy'
      fail foreign_mount "$1" "${path:-a path of it} is in use, as a mount is: unmount it, then run again"
      ;;
    *'pre-removal script'* | *'%preun('* | *'in PREUN scriptlet'* | *'PREUN scriptlet failed'*)
      fail prerm_failed "$1" "its own script before the removal failed; $2: see the log, set right what it names (perhaps it wants a password), then run again"
      ;;
    *'post-removal script'* | *'%postun('* | *'in POSTUN scriptlet'*)
      fail postrm_failed "$1" "its own script after the removal failed; $2: see the log, set right what it names, then run again"
      ;;
    *'list of sources could not be read'* | *'Malformed '* | *'sources.list'*)
      fail repository_broken "$1" "the list of repositories is broken ($meant): repair it, then run again"
      ;;
    *'parsing file'* | *'status file could not be parsed'* | *'database'*'malformed'* | *'cannot open Packages'* | *'sqlite'* | *'RUNRECOVERY'* | *'rpmdb'*)
      fail database_broken "$1" "the package database is damaged ($meant): repair it, then run again"
      ;;
    *) fail still_there "$1" "$2 after the package manager's end ($meant): see the log, then run again" ;;
  esac
  return 1
}

said_of() { # WORDS -> text: the first line that has them
  for text in $rows; do case $text in *"$1"*) text=$(printf %.300s "$text") && return 0 ;; esac done
}

named() { # WORDS -> path: what the line with them names, and text
  said_of "$1"
  path=
  case $text in
    *"'"/*)
      path=${text#*"'/"}
      path=/${path%%"'"*}
      ;;
    */*)
      path=/${text#*/}
      path=${path%%: *}
      path=${path%% failed*}
      ;;
  esac
}

refused() { # CODE: the system said no to what is named in path and text
  if marked "$path"; then
    fail file_immutable "$1" "$path is locked by a mark of its file system: take it off (chattr -i, chattr -a) once it is known who set it, then run again"
  else
    fail refused_by_system "$1" "the system refuses it ($text): look at fapolicyd, SELinux and the like (ausearch -m AVC,FANOTIFY), then run again"
  fi
}

marked() { # PATH -> path: it, or the folder that holds it, has the mark `immutable` or `append only`
  [ -n "$1" ] && has lsattr || return 1
  for path in "$1" "${1%/*}"; do
    [ -e "$path" ] && [ ! -h "$path" ] || continue
    row=$(lsattr -d -- "$path" 2>/dev/null) && row=${row%% *}
    case $row in *[ai]*) return 0 ;; esac
  done
  path=$1
  return 1
}

# --- confirm_absent -----------------------------------------------------------------------------------------------------

# What was told to end may need a moment.
kind_confirm_absent() {
  IFS=$nl
  for turn in 1 2 3 4 5 6; do
    left_over='' locked=
    look_again || return 1
    [ -n "$left_over" ] || break
    time_left
    [ "$left" -gt 5 ] && [ "$turn" != 6 ] || break
    sleep 2
  done
  if [ -z "$left_over" ]; then
    status='done'
    return 0
  fi
  if [ -n "$locked" ]; then
    fail file_immutable 0 "$a_product is not gone, and $locked is locked by a mark of its file system: take it off (chattr -i, chattr -a), then run again;$left_over"
  else
    fail still_there 0 "$a_product is not gone: look at what is left, then run again;$left_over"
  fi
  return 1
}

look_again() { # -> left_over, locked. 1: could not tell, and fail was called
  rpm_database
  for name in $a_packages; do
    package_named "$name" || {
      fail not_known 0 "$name is not the name of a package"
      return 1
    }
    asked=
    if [ -e /var/lib/dpkg/status ] || has dpkg-query; then
      dpkg_state "$name" || return 1
      case $state in absent | config-files) ;; *) left_over="$left_over package $name ($state)" ;; esac
      asked=yes
    fi
    if [ -n "$place" ]; then
      has rpm || {
        fail database_broken 0 "rpm is missing, but there is a database in $place: bring it back, then run again"
        return 1
      }
      rpm_state "$name" || return 1
      [ "$state" = absent ] || left_over="$left_over package $name"
      asked=yes
    fi
    [ -n "$asked" ] || {
      fail database_broken 0 "no package database is there to be asked for $name"
      return 1
    }
  done
  for name in $a_services; do
    unit_state "$name" || return 1
    case $active in inactive | failed) ;; *) left_over="$left_over service $name ($active)" ;; esac
  done
  for name in $a_programs; do
    if [ -f "$name" ]; then
      left_over="$left_over program $name"
      ! marked "$name" || locked=$path
    elif [ ! -e "$name" ]; then
      # Not there, or not allowed to look?
      told ls -d -- "$name"
      case $code:$rows in
        *': No such file or directory' | *': Not a directory' | 0:*) ;;
        *)
          last_row
          fail cannot_look "$code" "could not look for $name ($row): set that right, then run again"
          return 1
          ;;
      esac
    fi
  done
  [ -z "$a_programs" ] || running_programs
}

running_programs() { # processes of this host whose program is one of these, there or deleted -> left_over
  for name in $a_programs; do
    true_name "$name"
    set +f
    for file in /proc/[0-9]*/exe; do
      set -f
      text=$(readlink "$file") || continue
      case $text in "$name" | "$name (deleted)" | "$real" | "$real (deleted)") ;; *) continue ;; esac
      # One of a container is not the host's.
      [ ! -e "${file%/exe}/root/." ] || [ "${file%/exe}/root" -ef / ] || continue
      pid=${file#/proc/} && left_over="$left_over process ${pid%/exe} of $name"
    done
    set -f
  done
}

true_name() { # PATH -> real: without links on the way, as far as the way is still there
  real=$1 rest=
  while [ -n "$real" ] && [ ! -d "$real" ]; do
    rest=/${real##*/}$rest
    real=${real%/*}
  done
  real=$(cd -P -- "${real:-/}" && pwd -P) || real=
  real=${real%/}$rest
}
