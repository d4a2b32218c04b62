# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# Why a package did not go, by the words of its manager in the C locale. A part of a job's library, see perform_frame.sh.
# shellcheck disable=SC2034,SC2086,SC2154

busy_text() { # is somebody else at work, after what the tool said?
  case $rows in
    *'Could not get lock'* | *'locked by another process'* | *'Unable to lock'* | *'Unable to acquire'*) ;;
    *'another copy is running'* | *'holding the yum lock'* | *' already locked by '* | *'Waiting for process with pid'* | *'obtain'*' lock'*) ;;
    *'System management is locked'* | *'waiting for transaction lock'* | *"can't create transaction lock"*) ;;
    *) return 1 ;;
  esac
}

explain() { # CODE STATE: of what the package manager said in rows, what helps most -> fail
  last_row
  meant=$row
  if busy_text; then
    said_of lock 'another copy' 'Waiting for'
    fail package_manager_busy "$1" "another program works with the packages ($text): let it end, then run again"
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
    *'held packages were changed'* | *'protected packages'* | *'remove lock to allow removal'*)
      said_of 'eld packages' 'protected packages' 'remove lock'
      fail package_held "$1" "the package manager protects or holds it ($text): release it, then run again"
      ;;
    *"Can't open perl script"*': No such file or directory'*)
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
      own_words
      fail prerm_failed "$1" "its own script before the removal failed ($text); $2: set right what it names (perhaps it wants a password), then run again"
      ;;
    *'post-removal script'* | *'%postun('* | *'in POSTUN scriptlet'*)
      own_words
      fail postrm_failed "$1" "its own script after the removal failed ($text); $2: set right what it names, then run again"
      ;;
    *'list of sources could not be read'* | *'Malformed '* | *'sources.list'*)
      said_of 'list file' 'sources.list' 'could not be read'
      fail repository_broken "$1" "the list of repositories is broken ($text): repair it, then run again"
      ;;
    *'parsing file'* | *'status file could not be parsed'* | *'database'*'malformed'* | *'cannot open Packages'* | *'sqlite'* | *'RUNRECOVERY'* | *'rpmdb'*)
      fail database_broken "$1" "the package database is damaged ($meant): repair it, then run again"
      ;;
    *) fail still_there "$1" "$2 after the package manager's end ($meant): see the log, then run again" ;;
  esac
  return 1
}

own_words() { # -> text: what a package's script said last, before its manager complained of it
  text='it said nothing'
  for row in $rows; do
    case $row in
      'dpkg: error processing'* | 'error: %'*) return 0 ;;
      *[!\ ]*) text=$(printf %.300s "$row") ;;
    esac
  done
}

said_of() { # WORDS... -> text: the first line that has some of them
  for words in "$@"; do
    for text in $rows; do case $text in *"$words"*) text=$(printf %.300s "$text") && return 0 ;; esac done
  done
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
