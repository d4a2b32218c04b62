# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# Kinds of steps that change what belongs to other services of the host, by opt-in only: lines of a configuration, certificates of the
# trust store. A part of a job's library, needs perform_files.sh. What was there is kept in $kept, and comes back by itself when the
# service or the store does not take the change.
# shellcheck disable=SC2015,SC2034,SC2086,SC2154,SC3013

# --- lines of a configuration -------------------------------------------------------------------------------------------

# `lines` are whole lines as they were seen, `becomes` says for each what takes its place: `-` nothing, or `=` and a line.
kind_edit_lines() {
  IFS=$nl
  place "$a_path" || return 1
  there "$a_path" || { status=already && return 0; }
  plain_file "$a_path" || return 1
  noted edited
  again=$value
  reserve
  bench "$dir" || return 1
  edit_it
  ended=$?
  rm -rf -- "$bench"
  return "$ended"
}

edit_it() { # with $bench to work in
  draw_up || return 1
  if [ "$seen" = 0 ] && [ -z "$again" ]; then
    status=already
    return 0
  fi
  for row in $a_checks; do
    program_of "$row"
    has "$program" || { wrong program_missing 127 "$program is not on this host, so that nothing can check $a_path once it is changed: nothing was changed; take the lines out by hand" && return 1; }
  done
  store_as "$a_path"
  if [ "$seen" != 0 ]; then
    if [ -n "$stuck" ]; then
      wrong line_not_alone '' "a line of $a_path is a part of a longer statement, of which the rest would change its meaning ($stuck): nothing was changed; take the whole statement out by hand"
      return 1
    fi
    complaints
    before=$words
    backup "$a_path" && swap_in || return 1
  else
    before=$nl # changed before an interruption: what was said then is not known any more
  fi
  complaints
  if [ "$checks" = passed ] && [ "$seen" != 0 ]; then
    for row in $words; do case $nl$before in *"$nl$row$nl"*) ;; *) checks=$row && break ;; esac done
  fi
  if [ "$checks" != passed ]; then
    reason=$(printf %.300s "$checks")
    put_back "$a_path" || return 1
    wrong syntax_refused "$refused" "the service's own check refuses $a_path without the lines ($reason); it is as it was before: take them out by hand"
    return 1
  fi
  reload_all || return 1
  status='done'
}

draw_up() { # -> $bench/whole as it is, $bench/draft as it is to be, seen: how many lines differ, stuck: a line that cannot go alone
  seen=0 stuck='' open='' last='' ended=$nl
  while { IFS= read -r row && ended=$nl; } || { ended='' && [ -n "$row" ]; }; do
    printf '%s%s' "$row" "$ended" >&3
    case $nl$a_lines$nl in
      *"$nl$row$nl"*)
        seen=$((seen + 1))
        becomes_of "$row"
        case $last in *\\) [ "$a_joined" != backslash ] || stuck=$row ;; esac
        case $new:$row in
          =*) printf '%s%s' "${new#=}" "$ended" >&4 ;;
          *\\) [ "$a_joined" != backslash ] || stuck=$row ;;
        esac
        case $new:$row in
          =* | '-:#'* | '-: '* | "-:$tab"*) ;;
          *) open=$row ;; # the head of a statement is gone
        esac
        ;;
      *)
        printf '%s%s' "$row" "$ended" >&4
        case $row in
          '' | '#'*) ;;
          [\ $tab]*)
            case ${row#"${row%%[!\ "$tab"]*}"} in
              '' | '#'*) ;;
              *) [ -z "$open" ] || [ "$a_joined" != indent ] || stuck=$open ;;
            esac
            ;;
          *) open= ;;
        esac
        ;;
    esac
    last=$row
  done <"$a_path" 3>"$bench/whole" 4>"$bench/draft"
  IFS=$nl
  unchanged && return 0
  wrong changed_meanwhile '' "$a_path holds what is no text, or something changes it right now: nothing was changed; look at it, then run again"
  return 1
}

becomes_of() { # LINE -> new
  wanted=$1
  set -- $a_becomes
  for text in $a_lines; do
    [ "$text" != "$wanted" ] || break
    shift
  done
  new=${1:--}
}

unchanged() { cmp -s -- "$bench/whole" "$a_path"; }

swap_in() { # $bench/draft with all that the file has besides its content
  cp -a -- "$a_path" "$bench/new" && cat -- "$bench/draft" >"$bench/new" && cmp -s -- "$bench/draft" "$bench/new" ||
    { wrong disk_full '' "$a_path could not be written beside itself: make room, then run again" && return 1; }
  [ ! -e /sys/fs/selinux/enforce ] || ! has chcon || chcon --reference="$a_path" -- "$bench/new"
  [ "$(stat -c '%a %u:%g' "$bench/new")" = "$(stat -c '%a %u:%g' "$a_path")" ] ||
    { wrong refused_by_system '' "mode and owner of $a_path cannot be kept: nothing was changed; take the lines out by hand" && return 1; }
  settle "$bench/new"
  unchanged || { wrong changed_meanwhile '' "something changes $a_path right now: nothing was changed; run again" && return 1; }
  note edited yes || return 1
  bounded mv -f -- "$bench/new" "$a_path" || { fail_file "$a_path could not be changed" && return 1; }
}

program_of() { program=${1%% *}; } # LINE

complaints() { # what the service's own checks say -> checks: passed, or why not; words: lines that complain, without numbers
  checks=passed refused=0 words=
  for row in $a_checks; do
    IFS=' '
    set -- $row
    IFS=$nl
    if ! bounded "$@" && [ "$checks" = passed ]; then # the first that fails says most
      text=$(grep -i -e fatal -e error "$output" | tail -n 1)
      [ -n "$text" ] || text=$(tail -n 1 "$output")
      checks="$1 ended with $code: $text" refused=$code
    fi
    words=$words$(grep -i -e warn -e fatal -e error -e unknown "$output" | sed 's/[0-9][0-9]*/0/g')$nl
  done
}

reload_all() { # the units that are active; false: one did not take it, and the file is as it was
  [ -d /run/systemd/system ] && has systemctl || return 0
  for unit in $a_units; do
    systemctl is-active --quiet -- "$unit" </dev/null || continue
    if bounded systemctl reload -- "$unit"; then
      sleep 1
      systemctl is-active --quiet -- "$unit" </dev/null && continue
    fi
    reason=$(printf %.300s "$said") was=$code
    put_back "$a_path" || return 1
    bounded systemctl reload-or-restart -- "$unit"
    wrong reload_failed "$was" "$unit does not go on with the changed $a_path ($reason); it is as it was before: see journalctl -u $unit, then take the lines out by hand"
    return 1
  done
}

# --- certificates of the trust store ------------------------------------------------------------------------------------

# `files` lie in the folder of what was added by hand; `marks` are pieces of base64 of which each of them holds one.
kind_remove_anchors() {
  IFS=$nl
  program_of "$a_refresh"
  has "$program" || { wrong program_missing 127 "$program is not on this host: bring it back, or take the certificate out by hand" && return 1; }
  noted anchors
  again=$value going='' bodies=
  for file in $a_files; do
    place "$file" || return 1
    store_as "$file"
    if there "$file"; then
      plain_file "$file" && certificate "$file" && backup "$file" || return 1
      going=$going$file$nl
    else
      case $nl$again$nl in *"$nl$file$nl"*) certificate "$copy" || return 1 ;; *) continue ;; esac
    fi
    bodies=$bodies$body$nl
  done
  [ -n "$going$again" ] || { status=already && return 0; }
  for file in $going; do case $nl$again$nl in *"$nl$file$nl"*) ;; *) again=$again${again:+$nl}$file ;; esac done
  note anchors "$again" || return 1
  reserve
  reason=
  for file in $going; do
    a_path=$file dir=${file%/*}
    bounded rm -f -- "$file"
    there "$file" || continue
    put_all_back || return 1
    fail_file "$file could not be removed"
    return 1
  done
  refresh || reason="$program ended with $code: $(last_words)"
  [ -n "$reason" ] || still_trusted || { status='done' && return 0; }
  why=$reason was=$code
  put_all_back || return 1
  case $why in
    "$program ended"*) wrong store_failed "$was" "the trust store could not be made anew ($(printf %.300s "$why")); it is as it was before: set that right, then run again" ;;
    *) wrong still_trusted '' "$why; the store is as it was before: see what else brings the certificate, and take it out by hand" ;;
  esac
  return 1
}

refresh() {
  IFS=' '
  set -- $a_refresh
  IFS=$nl
  bounded "$@"
}

still_trusted() { # -> reason
  [ -r "$a_bundle" ] || { reason="$a_bundle cannot be read, so that nobody can tell whether it is gone" && return 0; }
  tr -d '\r\n\t ' <"$a_bundle" >"$memory/bundle"
  for body in $bodies; do
    ! grep -q -F -e "$body" -- "$memory/bundle" || { reason="the certificate is in $a_bundle still" && break; }
  done
  rm -f -- "$memory/bundle"
  if [ -z "$reason" ] && [ -n "$a_hashed" ]; then
    set +f
    for name in "$a_hashed"/*; do
      [ -h "$name" ] || continue
      text=$(readlink -- "$name")
      case $nl$again$nl in *"$nl$text$nl"*) reason="$name still leads to it" && break ;; esac
    done
    set -f
  fi
  [ -n "$reason" ]
}

certificate() { # FILE -> body: the one certificate in it, as base64 in one line. 1: fail was called
  case $(grep -c -e '-----BEGIN' -- "$1") in
    0) body=$(base64 <"$1" | tr -d '\r\n') ;;
    1) body=$(sed -n '/-----BEGIN CERTIFICATE-----/,/-----END CERTIFICATE-----/p' "$1" | grep -v -e '-----' | tr -d '\r\n\t ') ;;
    *)
      wrong many_certificates '' "$1 holds more than one certificate: nothing was changed; take the vendor's out of it by hand"
      return 1
      ;;
  esac
  case $body in
    MI[I-L]*) for text in $a_marks; do case $body in *"$text"*) return 0 ;; esac done ;;
  esac
  wrong changed_meanwhile '' "$1 is not the certificate any more that was found: nothing was changed; plan again"
  return 1
}

put_all_back() { # all that `again` names, and the store made of it; 1: fail was called
  deadline=$late
  for file in $again; do
    there "$file" || put_back "$file" || return 1
  done
  refresh || :
}

# --- keeping, and putting back ------------------------------------------------------------------------------------------

plain_file() { # PATH
  [ -f "$1" ] && [ ! -h "$1" ] && return 0
  wrong no_plain_file '' "$1 is a link, or no plain file: look at where it leads, and change that by hand"
  return 1
}

reserve() { # a quarter of what is left is for the way back -> late: the deadline without that
  late=$deadline
  time_left
  deadline=$((deadline - left / 4))
}

bench() { # DIR -> bench: a folder of ours beside the file, where nobody else can lay a link
  set +f
  for name in "$1"/.evict.edit.*; do [ ! -d "$name" ] || [ -h "$name" ] || rm -rf -- "$name"; done
  set -f
  bench=$1/.evict.edit.$$.$(od -An -N6 -tx1 /dev/urandom | tr -d ' \n')
  said=$(mkdir -m 0700 -- "$bench" 2>&1) && return 0
  code=1
  fail_file "nothing can be written beside $a_path"
  return 1
}

store_as() { # PATH -> copy: where what was there is kept
  name=$(printf %s "${1#/}" | tr / %)
  copy=$kept/$(printf %.12s "$digest").$name
}

backup() { # FILE, to $copy
  rm -rf -- "$copy.new"
  cp -a -- "$1" "$copy.new" && cmp -s -- "$1" "$copy.new" && settle "$copy.new" && mv -f -- "$copy.new" "$copy" && return 0
  rm -f -- "$copy.new"
  wrong disk_full '' "$1 could not be kept in $kept, so it is not changed: make room, then run again"
  return 1
}

put_back() { # PATH: as it was; 1: fail was called
  deadline=$late
  store_as "$1"
  ours=${1%/*}/.evict.edit.back.$$
  rm -rf -- "$ours"
  if mkdir -m 0700 -- "$ours" && cp -a -- "$copy" "$ours/old" && cmp -s -- "$copy" "$ours/old"; then
    [ ! -e /sys/fs/selinux/enforce ] || ! has chcon || chcon --reference="$copy" -- "$ours/old"
    settle "$ours/old"
    mv -f -- "$ours/old" "$1"
  fi
  rm -rf -- "$ours"
  cmp -s -- "$copy" "$1" && return 0
  wrong not_put_back '' "$1 could not be put back as it was, AND THE SERVICE MAY FAIL: put $copy there by hand, at once"
  return 1
}
