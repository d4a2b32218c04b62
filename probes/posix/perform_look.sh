# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# What the kinds of a removal look at: programs' answers, package databases, mounts; and `confirm_absent`. A part of a job's library,
# see perform_frame.sh. Words are split on purpose, with noglob on and IFS set to a line end.
# shellcheck disable=SC2034,SC2086,SC2154,SC3013  # parts share variables; -ef is in POSIX since 2024, in dash, busybox, ksh long before

told() { # PROGRAM ARGUMENT... -> rows: all that it printed; its end in code, as `bounded` has it
  bounded "$@"
  rows=$(cat "$output")
  return "$code"
}

time_left() { # -> left: seconds until the step's deadline
  IFS=' ' read -r up _ </proc/uptime
  IFS=$nl
  left=$((deadline - ${up%%.*}))
}

last_row() { # -> row: the last line that says something, for a reader
  row=
  for text in $rows; do
    # zypper ends by sending its reader back to what it said before.
    case $text in
      'Problem occurred during'* | 'Installation has been aborted as directed.' | 'Please see the above error'* | 'Abort, retry, ignore'*) ;;
      *[!\ ]*) row=$text ;;
    esac
  done
  row=$(printf %.300s "$row")
}

# --- what the databases say ---------------------------------------------------------------------------------------------

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
    124:*)
      late
      return 1
      ;;
    *)
      last_row
      fail database_broken "$code" "dpkg's database does not answer ($row): repair it (dpkg --audit, a copy in /var/backups), then run again"
      return 1
      ;;
  esac
}

late() { fail timed_out "$code" 'the package database was not read in time: see what it waits for, then run again'; }

rpm_state() { # NAME, and place of rpm_place -> state: absent or installed. 1: rpm did not tell, and fail was called
  want=
  told rpm --dbpath "$place" -q --qf '=%{NAME}\n' "$1"
  case $code:$nl$rows in
    124:*)
      late
      return 1
      ;;
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
      rpm_place # rpm makes a database where there is none, and Debian's looks into ~/.rpmdb: it is always told where
      if ! has rpm || [ -z "$place" ]; then
        fail database_broken 0 "rpm or its database is missing: bring it back (${place:-/var/lib/rpm}), then run again"
        return 1
      fi
      rpm_state "$2"
      ;;
  esac
}

# --- files --------------------------------------------------------------------------------------------------------------

mounted() { # -> mounts: each place where something is mounted
  mounts=
  # At once, not line by line: kernels before 5.8 leave one out when an earlier one goes meanwhile.
  text=$(cat /proc/self/mountinfo)
  IFS=$nl
  for row in $text; do
    IFS=' '
    set -- $row
    where=$5
    IFS=$nl
    case $where in *\\*) where=$(printf '%b.' "$(printf %s "$where" | sed 's/\\\([0-7][0-7][0-7]\)/\\0\1/g')") && where=${where%.} ;; esac
    mounts=$mounts$where$nl
  done
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

true_name() { # PATH -> real: without links on the way, as far as the way is still there
  real=$1 rest=
  while [ -n "$real" ] && [ ! -d "$real" ]; do
    rest=/${real##*/}$rest
    real=${real%/*}
  done
  real=$(cd -P -- "${real:-/}" && pwd -P) || real=
  real=${real%/}$rest
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
  rpm_place
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
