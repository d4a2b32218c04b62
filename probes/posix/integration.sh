# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# Where a product hooks into other software: the trust store, lines in configuration files. A part of a script, see frame.sh.
# shellcheck disable=SC2034,SC2086,SC2154,SC3013

# What is asked for are pieces of base64, since a name in a certificate may begin at any of its three places there.
probe_trust() {
  [ -n "$EVICT_TRUST" ] || return 0
  needs cat tr grep || return 0
  set +f
  set -- # bundles first: later names of the same file are dropped
  for file in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /var/lib/ca-certificates/ca-bundle.pem /etc/ssl/cert.pem; do
    for other in "$@"; do [ ! "$file" -ef "$other" ] || continue 2; done
    [ ! -e "$file" ] || set -- "$@" "$file"
  done
  bundles=$#
  for dir in /usr/local/share/ca-certificates /etc/pki/ca-trust/source/anchors /usr/share/pki/trust/anchors /etc/pki/trust/anchors \
    /etc/ca-certificates/trust-source/anchors /usr/share/pki/ca-trust-source/anchors; do
    [ -d "$dir" ] || continue
    if [ ! -r "$dir" ] || [ ! -x "$dir" ]; then unknown "$dir: Permission denied" && continue; fi
    for file in "$dir"/* "$dir"/*/*; do
      [ ! -f "$file" ] || set -- "$@" "$file"
    done
  done
  set -f
  added=$(($# - bundles))
  for file in "$@"; do
    shift
    ! readable "$file" || set -- "$@" "$file"
  done
  [ $# -gt 0 ] || return 0
  found=$({ cat -- "$@" || echo '=lost='; } | tr -cd '!-~' | grep -o -F -e "$EVICT_TRUST$nl=lost=")
  case $found in *=lost=*) unknown 'a file of the trust store could not be read' ;; esac
  if [ -n "$found" ]; then
    for file in "$@"; do
      found=$(tr -cd '!-~' <"$file" | grep -o -F -e "$EVICT_TRUST")
      [ -z "$found" ] || record path "$file" match "${found%%"$nl"*}"
    done
  fi
  # An added certificate may be in binary form; in base64 it is what its PEM would be.
  [ "$added" -gt 0 ] || return 0
  plain=$nl$(grep -l -e '-----BEGIN' -- "$@")$nl
  for file in "$@"; do
    case $plain in *"$nl$file$nl"*) continue ;; esac
    needs base64 || return 0
    coded=$(base64 <"$file" | tr -d '\r\n')
    case $coded in MI[I-L]*) ;; *) continue ;; esac # a sequence of more than 255 bytes, as every certificate is
    found=$(printf '%s\n' "$coded" | grep -o -F -e "$EVICT_TRUST")
    [ -z "$found" ] || record path "$file" match "${found%%"$nl"*}"
  done
}

probe_lines() {
  if [ -z "$EVICT_LINE_FILES" ] || [ -z "$EVICT_LINE_TEXTS" ]; then return 0; fi
  needs ls grep || return 0
  cap_records=200 missing='' skipped=$nl long=
  set --
  for path in $EVICT_LINE_FILES; do
    last=${path##*/} dir=${path%/*}
    case $last in
      *\**)
        if [ ! -d "$dir/" ]; then
          missing=$missing$dir/$nl
        elif [ -r "$dir/" ] && [ -x "$dir/" ]; then
          set +f
          for file in "$dir/"$last; do
            case $file in *"$nl"*) unknown "$dir: a file name with a line end" && continue ;; esac
            [ ! -f "$file" ] || set -- "$@" "$file"
          done
          set -f
        else
          unknown "$dir: Permission denied"
        fi
        ;;
      *) if [ -f "$path" ]; then set -- "$@" "$path"; else missing=$missing$path$nl; fi ;;
    esac
  done
  # One ls tells the sizes of those that are there and why the others are not.
  rows=$(ls -lnLd -- "$@" $missing 2>&1)
  [ $? -lt 126 ] || { unknown 'ls ended' && return 0; }
  for row in $rows; do
    case $row in
      -*) too_big "$row" "/${row#*/}" ;;
      *': No such file or directory' | *': Not a directory') ;;
      ls:*) row=${row#ls: } && unknown "${row#cannot access }" ;;
    esac
  done
  for file in "$@"; do
    shift
    case $skipped in *"$nl$file$nl"*) continue ;; esac
    if [ -r "$file" ]; then set -- "$@" "$file"; else unknown "$file: Permission denied"; fi
  done
  for file in $long; do
    ! text_file "$file" || unknown "$file is larger than 1 MB"
  done
  [ $# -gt 0 ] || return 0
  rows=$(grep -H -i -F -m 201 -e "$EVICT_LINE_TEXTS" -- "$@" 2>&1)
  code=$? binary=
  for file in "$@"; do # -I is not everywhere known or heeded
    case $nl$rows in *"$nl$file:"*) text_file "$file" || binary=$binary$nl$file:$nl ;; esac
  done
  [ $code -lt 2 ] || unknown "$(printf %.300s "$rows")"
  for row in $rows; do
    [ "$sent" -lt "$cap_records" ] || { unknown "more than $cap_records lines" && return 0; }
    for file in "$@"; do
      case $row in "$file:"*) ;; *) continue ;; esac
      case $binary in *"$nl$file:$nl"*) break ;; esac
      text=${row#"$file:"}
      [ ${#text} -le 300 ] || text=$(printf %.300s "$text")
      record file "$file" text "$text"
      break
    done
  done
}

too_big() { # LS-LINE FILE: is not to be read: longer than any configuration, or a link from a pattern's folder to what not everybody may read
  IFS=' '
  set -- "$2" $1 # FILE mode links uid gid size
  IFS=$nl
  case $6 in ???????*) long=$long$1$nl skipped=$skipped$1$nl ;; esac
  case $nl$EVICT_LINE_FILES$nl in *"$nl$1$nl"*) return 0 ;; esac
  case $2 in ???????r*) ;; *) [ ! -h "$1" ] || skipped=$skipped$1$nl ;; esac
}

text_file() { # FILE: holds its beginning no NUL?
  needs head od && case $(head -c 4096 "$1" | od -An -v -tx1) in (*' 00'*) return 1 ;; esac
}
