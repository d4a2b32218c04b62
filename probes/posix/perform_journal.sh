# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# The journal of a job (docs/formats.md section 8). A part of a job's library, see perform_frame.sh.
# shellcheck disable=SC2015,SC2034,SC2086,SC2154  # parts share variables

# A line ends with a point of its own: one that was cut, by a full disk or a power cut, counts for nothing.
journal() { # TEXT: one more line, on the disk before anything else is done. False: it is not there, and before the point of no return
  uptime_now
  j_line="$1 at=$(date +%s) up=$up ."
  [ -z "$j_spilled" ] || j_unspill
  if [ -z "$j_spilled" ]; then
    if printf '%s\n' "$j_torn$j_line" >>"$j_journal" && j_sync "$j_journal"; then
      j_torn=
      return 0
    fi
    j_spilled=yes j_torn=$nl
    printf '%s\n' "note id=journal key=trouble value=not_written at=$(date +%s) up=$up ." >>"$j_spill"
  fi
  printf '%s\n' "$j_line" >>"$j_spill"
  [ -n "$j_past" ]
}

j_unspill() { # what only memory holds, to the disk
  printf '%s' "$j_torn" >>"$j_journal" && cat -- "$j_spill" >>"$j_journal" && j_sync "$j_journal" || return 1
  rm -f -- "$j_spill"
  j_spilled='' j_torn=
}

j_sync() { # FILE; older versions know no FILE and do it for all
  sync "$1" || sync
}

j_full='the journal cannot be written: make room on the file system of /var/lib (or make it writable), then run again'

j_recall() { # DIGEST PHASE: what a journal tells; of the commit's each phase wants to know what is gone
  for row in $(journal_of "$1" "$2" | grep -e ' \.$'); do
    IFS=' '
    set -- "$1" "$2" $row
    IFS=$nl
    ! field reboot "$row" || j_restart=yes
    case $3 in
      end)
        if field product "$row"; then
          j_gone=$(printf %s "$j_gone" | grep -v -x -F -e "$value")$nl
          case $row in *' status=done '* | *' status=already '*) j_gone=$j_gone$value$nl ;; esac
        fi
        ;;
    esac
    [ "$2" = "$phase" ] || continue
    case $3 in
      job) j_starts=$((j_starts + 1)) ;;
      begin)
        j_begun="$j_begun $4$nl"
        case $j_section:$5 in remove:kind=confirm_absent) ;; remove:*) j_past=yes ;; esac
        ;;
      enter) j_section=${4#section=} ;;
      note) j_notes="$j_notes $4 $5 $6$nl" ;;
      end) field status "$row" && j_ends="$j_ends $4 $value$nl" ;;
      undo) j_undone="$j_undone $4$nl" ;;
      close) j_closed=$4 ;;
    esac
  done
}

note() { # KEY VALUE: what taking the step back, or doing it again after an interruption, needs to know. False: fail was called
  encode key "$1" && j_pair=$pair
  encode value "$2"
  j_notes="$j_notes$j_id$j_pair$pair$nl"
  journal "note$j_id$j_pair$pair" || fail disk_full journal "$j_full"
}

noted() { # KEY -> value, the last that was noted under it for this step; false: nothing was
  encode key "$1"
  value=
  case $j_notes in *"$j_id$pair value"*) ;; *) return 1 ;; esac
  j_rest=${j_notes##*"$j_id$pair value"}
  j_rest=${j_rest%%"$nl"*}
  case $j_rest in :*) unhex "${j_rest#:}" && value=$plain ;; *) value=${j_rest#=} ;; esac
}

# In the place of the observers' own: kinds go on with their variables afterwards, and what is noted can be long.
hex() { # TEXT -> hex
  hex=$(printf %s "$1" | od -An -v -tx1 | tr -d ' \n')
}

unhex() { # HEX -> plain, whatever bytes it has
  j_rest=$1 plain=
  while [ -n "$j_rest" ]; do
    j_char=${j_rest%"${j_rest#??}"} && j_rest=${j_rest#??}
    case $j_char in [0-9a-f][0-9a-f]) ;; *) return 1 ;; esac
    j_char=$((0x$j_char))
    plain=$plain\\0$((j_char / 64))$((j_char / 8 % 8))$((j_char % 8))
  done
  plain=$(printf '%b.' "$plain") && plain=${plain%.}
}
