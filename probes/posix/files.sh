# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# Files: exact paths, patterns, the children of a folder. A part of a script, see frame.sh.
# shellcheck disable=SC2034,SC2086,SC2154,SC3013

probe_paths() {
  missing=
  for path in $EVICT_PATHS; do
    last=${path##*/} dir=${path%/*}
    case $last in
      *\**)
        if [ ! -d "$dir/" ]; then
          missing=$missing$dir/$nl
        elif [ -r "$dir/" ] && [ -x "$dir/" ]; then
          set +f
          set -- "$dir/"$last
          set -f
          for found in "$@"; do
            ! there "$found" || path "$found" "$path"
          done
        else
          unknown "$dir: Permission denied"
        fi
        ;;
      *) if there "$path"; then path "$path" ''; else missing=$missing$path$nl; fi ;;
    esac
  done
  lost $missing
  [ -z "$why" ] || unknown "$why"
}

path() { # PATH PATTERN
  kind "$1"
  link=no executable=no
  [ ! -h "$1" ] || link=yes
  if [ "$kind" = file ]; then # as another user, or on noexec, only the mode tells
    if [ -x "$1" ] || may_run "$(ls -lndL -- "$1")"; then executable=yes; fi
  fi
  resolve "$1"
  record path "$1" type "$kind" link "$link" real "$real" executable "$executable" pattern "$2"
}

kind() { # PATH -> kind
  if [ -d "$1" ]; then
    kind=dir
  elif [ -f "$1" ]; then
    kind='file'
  elif [ -S "$1" ]; then
    kind=socket
  elif [ -e "$1" ]; then
    kind=other
  else # a link that leads nowhere, or where we may not look
    kind=dangling
    lost "$1/"
    [ -z "$why" ] || { kind=other && unknown "$why"; }
  fi
}

may_run() { # LS-LINES: does one of them show a program?
  case $nl$1 in
    *"$nl"-??[xs]??????* | *"$nl"-?????[xs]???* | *"$nl"-????????[xt]*) return 0 ;;
    *) return 1 ;;
  esac
}

probe_trees() {
  missing=
  for path in $EVICT_TREES; do
    if [ ! -d "$path" ]; then
      missing=$missing$path/$nl
    elif [ ! -r "$path" ] || [ ! -x "$path" ]; then
      unknown "$path: Permission denied"
    else
      resolve "$path"
      set +f
      set -- "$path"/* "$path"/.[!.]* "$path"/..?*
      set -f
      for child in "$@"; do
        there "$child" || continue
        kind "$child"
        programs "$child"
        record path "$path" real "$real" child "${child##*/}" type "$kind" programs "$programs"
      done
    fi
  done
  lost $missing
  [ -z "$why" ] || unknown "$why"
}

programs() { # CHILD -> programs: is it a program, or is one in it or in one of its usual folders?
  programs=no
  case $kind in
    file) set -- -d "$1" ;;
    dir)
      for dir in bin sbin libexec lib lib64; do
        [ ! -d "$1/$dir" ] || set -- "$@" "${1%/}/$dir"
      done
      set -- -a "$@"
      ;;
    *) return 0 ;;
  esac
  option=$1 && shift
  has ls || { unknown 'ls is missing' && return 0; }
  rows=$(ls -lnL "$option" -- "$@" 2>&1)
  ! may_run "$rows" || programs=yes
  for row in $rows; do
    case $row in
      ls:*': No such file or directory') ;;
      ls:*) row=${row#ls: } && unknown "${row#cannot access }" ;;
    esac
  done
}
