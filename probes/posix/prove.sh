# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# The live detection test: a test file for antivirus, put together here from its halves, and a harmless file of the same size beside it, in a
# private folder. What becomes of them is told, and judged nowhere but on the controller. A part of a script, see frame.sh and run.sh.
# shellcheck disable=SC2034,SC2086,SC2154

choose() { # -> probes
  probes='prove protection'
}

probe_prove() {
  [ -e /proc/self/stat ] || { unknown 'this is no Linux host' && return 0; }
  needs cat ls mkdir rm rmdir sleep && compose || return 0
  seconds=${EVICT_PROVE_SECONDS:-60} folder=
  case $seconds in *[!0-9]* | 0*) seconds=60 ;; esac
  bait=./evict-proof-${EVICT_PROVE_NAME:-test}-test.com tame=./evict-proof-${EVICT_PROVE_NAME:-test}-harmless.com
  trap 'tidy; exit 1' HUP INT TERM
  [ -z "$EVICT_PROVE_ACCESS" ] || try_access
  [ -z "$EVICT_PROVE_SCAN" ] || try_scan
}

# The test file is nowhere whole but in memory and in its place: not in this text, not in an argument of a program.
compose() { # -> sample, harmless; false: it cannot be made, and the answer is set
  [ "$(command -v printf)" = printf ] || { unknown 'this sh has no printf of its own, and the arguments of a program can be read by all' && return 1; }
  harmless='evict.kaspersky: the harmless file beside a test file for antivirus.'
  front='\0130\0065\0117\0041\0120\0045\0100\0101\0120\0133\0064\0134\0120\0132\0130\0065\0064\0050\0120\0136\0051\0067\0103\0103\0051\0067\0175\0044'
  back='\0105\0111\0103\0101\0122\0055\0123\0124\0101\0116\0104\0101\0122\0104\0055\0101\0116\0124\0111\0126\0111\0122\0125\0123\0055'
  back=$back'\0124\0105\0123\0124\0055\0106\0111\0114\0105\0041\0044\0110\0053\0110\0052'
  sample=$(printf %b "$front$back")
  if has sha256sum; then text=$(printf %s "$sample" | sha256sum); else text=$(printf %s "$sample" | cksum); fi
  case $text in
    '275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f '* | '623667485 68'*) return 0 ;;
  esac
  unknown 'the test file could not be put together: its checksum is another one' && return 1
}

# --- the folder -----------------------------------------------------------------------------------------------------------

settle() { # PLACE... -> place, folder: a private one in the first of them that is there, in which we are then; false: fault says why
  place='' fault="not there: $*"
  for row in "$@"; do [ ! -d "$row" ] || { place=$row && break; }; done
  [ -n "$place" ] || return 1
  cd -P -- "$place" || { fault="$place: cannot be entered" && return 1; }
  sweep
  for name in 1 2 3 4 5; do
    name=evict-proof.$$.$name
    said=$(mkdir -m 700 "./$name" 2>&1) && break
    name=
  done
  [ -n "$name" ] || { fault="$place: $said" && return 1; }
  # Where others may write, the name may have become another folder's by now.
  cd -P -- "./$name" && private && folder=$(pwd -P) && return 0
  fault="$place/$name: is not the folder that was made"
  cd /
  return 1
}

private() { # are we in a folder of our own, which nobody else can enter?
  row=$(ls -ldn .)
  IFS=' '
  set -- $row
  IFS=$nl
  case $1:$3 in drwx--[-S]---*:"$euid") return 0 ;; esac
  return 1
}

sweep() { # what a test that was broken off has left here
  set +f
  for name in evict-proof.*.[1-5]; do
    pid=${name#evict-proof.} && pid=${pid%.*}
    case $pid in '' | *[!0-9]*) continue ;; esac
    if [ -e "/proc/$pid" ] || [ -h "$name" ] || [ ! -d "$name" ]; then continue; fi
    (cd -P -- "./$name" && private && rm -f -- ./evict-proof-*) && rmdir "./$name"
  done
  set -f
}

# The folder is ours alone, so all that lies in it is ours, or a scanner put it there.
tidy() {
  [ -n "$folder" ] || return 0
  set +f
  here=$(pwd -P)
  case ${here##*/} in
    "evict-proof.$$."[1-5])
      for file in ./* ./.[!.]* ./..?*; do
        there "$file" || continue
        rm -rf -- "$file"
        ! there "$file" || record kind left path "$here/${file#./}"
      done
      ;;
  esac
  set -f
  cd /
  rmdir -- "$folder" || record kind left path "$folder"
  folder=
}

# --- files and time -------------------------------------------------------------------------------------------------------

now() { # -> now: seconds since the start of the host; no change of the clock matters
  IFS=' ' read -r now _ </proc/uptime
  now=${now%%.*}
}

within() { # SECONDS PROGRAM ARGUMENT... -> said, code (137: the time was up); also for a function of ours
  patience=$1
  shift
  said=$(
    "$@" 2>&1 &
    child=$!
    {
      nap=
      trap '[ -z "$nap" ] || kill "$nap"; exit' TERM
      # bash can lose a signal; by then the number may be another program's.
      while [ "$patience" -gt 0 ]; do
        sleep 1 &
        nap=$!
        wait "$nap"
        kill -0 "$child" || exit 0
        patience=$((patience - 1))
      done
      kill -9 "$child"
    } >/dev/null &
    guard=$!
    wait "$child"
    code=$?
    kill "$guard"
    exit "$code"
  )
  code=$?
}

write() { printf %s "$2" >"$1"; }

# -> state: ok, write (cannot be written), read (cannot be read), gone, changed, hung; said: the error
plant() { # FILE TEXT
  state=ok
  within 15 write "$1" "$2"
  case $code in
    0) taste "$1" "$2" ;;
    137) state=hung ;;
    *) state='write' ;;
  esac
}

taste() { # FILE TEXT: is it still what was written?
  state=ok
  there "$1" || { state=gone said='' && return 0; }
  within 15 cat "$1"
  case $code:$said in
    "0:$2") said='' ;;
    0:*) state=changed said='' ;;
    137:*) state=hung said='' ;;
    *'No such file'*) state=gone said='' ;;
    *) state='read' said="cat: ${said##*cat: }" ;; # without what was read before
  esac
}

# --- on access ------------------------------------------------------------------------------------------------------------

try_access() {
  settle $EVICT_PROVE_ACCESS || { record kind access place "$place" fault "$fault" && return 0; }
  now
  begin=$now planted=
  while :; do
    look
    now
    case $control:$how in ok:?*) break ;; esac
    [ $((now - begin)) -lt "$seconds" ] || break
    sleep 1
  done
  tidy
  record kind access place "$place" how "$how" control "$control" said "$(printf %.300s "$why")" seconds "$((now - begin))"
}

look() { # -> how (what became of the test file; empty: nothing), control, why
  how=''
  # Some scanners look a moment after a file was closed.
  if [ -n "$planted" ]; then
    taste "$bait" "$sample"
    how=$state why=$said
  fi
  plant "$tame" "$harmless"
  control=$state
  [ "$control" = ok ] || { why=$said && return 0; }
  case $how in
    '' | ok)
      plant "$bait" "$sample"
      how=$state why=$said planted=yes
      ;;
  esac
  case $how in
    ok) how='' ;;
    gone) how=moved ;;
  esac
  # What came through before must do so afterwards: only then was it the test file that was refused.
  taste "$tame" "$harmless"
  [ "$state" != ok ] || plant "$tame" "$harmless"
  control=$state
  [ "$control" = ok ] || why=$said
}

# --- on demand ------------------------------------------------------------------------------------------------------------

try_scan() {
  which_manager
  ours "$EVICT_PROVE_SCAN"
  [ -n "$mine" ] || { record kind demand fault "nobody knows how to scan a file here: package manager ${manager:-unknown}" && return 0; }
  settle $EVICT_PROVE_PLACES || { record kind demand place "$place" fault "$fault" && return 0; }
  now
  begin=$now found='' why='' code='' control_code='' control_why=
  while :; do
    plant "$tame" "$harmless"
    control=$state
    plant "$bait" "$sample"
    how=$state
    if [ "$how" = ok ]; then
      how=''
      scan "$bait"
      why=$said
      ! finds || found=yes
    else
      [ "$how" != gone ] || how=moved
      code='' why=$said
    fi
    now
    [ -z "$found" ] && [ $((now - begin)) -lt "$seconds" ] || break
    sleep 2
  done
  text=$code
  if [ -n "$found" ]; then
    taste "$tame" "$harmless"
    control=$state
    scan "$tame"
    control_code=$code control_why=$said
  fi
  tidy
  telling "$why" && why=$line
  telling "$control_why" && control_why=$line
  record kind demand place "$place" how "$how" control "$control" code "$text" said "$why" \
    control_code "$control_code" control_said "$control_why" seconds "$((now - begin))"
}

scan() { # FILE -> said, code
  file=$folder/${1#./}
  set --
  for row in $mine; do
    case $row in
      =*) continue ;;
      *@file@*) row=${row%%@file@*}$file${row#*@file@} ;;
    esac
    set -- "$@" "${row#+}"
  done
  if [ ! -f "$1" ] || [ ! -x "$1" ]; then
    code=127 said="$1 is not there"
  else
    within "$seconds" "$@"
  fi
}

finds() { # said, code: is this what the scanner says of a file that it detects?
  [ -z "$EVICT_PROVE_CODE" ] || [ "$code" = "$EVICT_PROVE_CODE" ] || return 1
  case $said in *"$EVICT_PROVE_TEXT"*) return 0 ;; esac
  return 1
}

telling() { # TEXT -> line: the one that tells of a detection, else its beginning
  line=$1
  for row in $1; do
    [ -n "$EVICT_PROVE_TEXT" ] || break
    case $row in *"$EVICT_PROVE_TEXT"*) line=$row && break ;; esac
  done
  line=$(printf %.600s "$line")
}
