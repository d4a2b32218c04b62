# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# Kinds of steps that fetch and check files, and put files of a replacement in their place. A part of a job, see perform_frame.sh.
# A file is never half written: its content is complete in a file beside it before it gets its name. No link is followed out of a path.
# shellcheck disable=SC2034,SC2086,SC2154,SC3013

kind_fetch() {
  staged_name "$a_name" || return 1
  case $a_name in */*) wrong unsafe_path '' "$a_name: a staged file has a plain name" && return 1 ;; esac
  target=$staging/$a_name
  if [ "$a_method" != file ] && [ -f "$target" ] && [ ! -h "$target" ]; then
    hash_of "$target"
    if [ "$hash" = "$a_sha256" ]; then
      signed_by "$target" || return 1
      status=already
      return 0
    fi
  fi
  temporary=$staging/.fetching
  case $a_method in
    url) fetch_url || return 1 ;;
    host_file)
      case $a_location in /*) ;; *) wrong unsafe_path '' "$a_location is no whole path" && return 1 ;; esac
      [ -f "$a_location" ] || { wrong not_reachable '' "$a_location is not on this host: put it there first" && return 1; }
      bounded cp -- "$a_location" "$temporary" || { fail_file "$a_location could not be copied" && return 1; }
      ;;
    file)
      staged "$a_name" || return 1
      temporary=$target
      ;;
    *) wrong not_offered '' "this host cannot fetch by the method $a_method: use url, host_file or file" && return 1 ;;
  esac
  checked "$temporary" || return 1
  [ "$temporary" = "$target" ] || bounded mv -f -- "$temporary" "$target" || { fail_file "$a_name could not be staged" && return 1; }
  status='done'
}

kind_check_artifact() {
  staged "$a_name" || return 1
  checked "$staging/$a_name" || return 1
  status='done'
}

checked() { # FILE: has it the hash and the signer of the step? if not, it is removed
  hash_of "$1"
  if [ "$hash" != "$a_sha256" ]; then
    rm -f -- "$1"
    wrong hash_mismatch '' "$a_name has the hash $hash and not $a_sha256: get the right file, or put the hash right; it was removed"
    return 1
  fi
  signed_by "$1" || { rm -f -- "$1" && return 1; }
}

fetch_url() {
  case $a_location in
    http://?* | https://?*) ;;
    *) wrong not_offered '' "$a_location is no address of http or https" && return 1 ;;
  esac
  rm -f -- "$temporary"
  clock
  if has curl; then
    set -- curl --fail --silent --show-error --location --max-redirs 5 --proto =http,https --retry 2 --connect-timeout 30
    [ -z "$a_proxy" ] || set -- "$@" --proxy "$a_proxy"
    bounded "$@" --max-time "$left" --output "$temporary" --url "$a_location"
  elif has wget; then
    # It takes a proxy from variables, and they reach it alone.
    set -- wget -q -T 30 -O "$temporary" "$a_location"
    [ -z "$a_proxy" ] || set -- "http_proxy=$a_proxy" "https_proxy=$a_proxy" "$@"
    bounded env "$@"
  else
    wrong program_missing 127 'neither curl nor wget is on this host: install one, or let the controller send the file (method file)'
    return 1
  fi
  [ "$code" = 0 ] && [ -f "$temporary" ] && return 0
  rm -f -- "$temporary"
  case $code:$said in
    124:*) wrong timed_out "$code" "$a_location did not come within the time of the step" ;;
    23:* | *'No space left'*) wrong disk_full "$code" "$a_location could not be written: make room below $base" ;;
    *) wrong not_reachable "$code" "$a_location could not be fetched; look at network, proxy and address: $(last_words)" ;;
  esac
  return 1
}

hash_of() { # FILE -> hash
  if has sha256sum; then
    hash=$(sha256sum <"$1")
  elif has openssl; then
    hash=$(openssl dgst -sha256 -r <"$1")
  else
    hash=$(shasum -a 256 <"$1")
  fi
  hash=${hash%% *}
}

signed_by() { # FILE: by the key that the step names
  [ -n "$a_signer" ] || return 0
  case $a_name in
    *.rpm) ;;
    *)
      wrong signature_wrong '' "$a_name bears no signature of its own that could be checked: leave signer out of the source, its hash decides"
      return 1
      ;;
  esac
  wanted=$(printf %s "$a_signer" | tr -d ' \t' | tr '[:upper:]' '[:lower:]') keys='' found=
  for key in $(rpm -qp --nosignature --qf '%{RSAHEADER:pgpsig}\n%{DSAHEADER:pgpsig}\n%{SIGPGP:pgpsig}\n' "$1" 2>/dev/null); do
    case $key in *'Key ID '*) key=$(printf %s "${key##*Key ID }" | tr '[:upper:]' '[:lower:]') ;; *) continue ;; esac
    keys="$keys $key"
    case $wanted in *"$key") found=yes ;; esac
  done
  if [ -z "$found" ]; then
    wrong signature_wrong '' "$a_name is signed by${keys:- nobody}, and $a_signer was named: get the right file"
    return 1
  fi
  bounded rpm --checksig "$1" && case $said in *'NOT OK'*) ;; *) return 0 ;; esac
  wrong signature_wrong "$code" "the signature of $a_name does not verify with the keys this host trusts: rpm --import the key that was named"
  return 1
}

kind_unpack() {
  staged "$a_name" || return 1
  has tar || { wrong program_missing 127 'tar is missing on this host: install it' && return 1; }
  archive=$staging/$a_name folder=$staging/.unpacking
  rm -rf -- "$folder"
  mkdir -m 0700 "$folder" || { wrong disk_full '' "there is no room in $staging" && return 1; }
  # Looked at before anything is written: kinds first, then names. What tar cannot read at all is no archive.
  rows=$(tar -tvf "$archive" 2>/dev/null) || rows=
  [ -n "$rows" ] || { wrong file_broken '' "$a_name is no tar archive that this host can read: pack it again" && return 1; }
  for row in $rows; do
    case $row in
      -* | d*) ;;
      *) wrong unsafe_path '' "$a_name holds something that is neither a file nor a folder: $row" && return 1 ;;
    esac
  done
  for row in $(tar -tf "$archive" 2>/dev/null); do
    case /$row/ in
      //* | */../*) wrong unsafe_path '' "$a_name holds a path that leads outside: $row" && return 1 ;;
    esac
  done
  bounded tar -xof "$archive" -C "$folder" || { rm -rf -- "$folder" && fail_file "$a_name could not be unpacked" && return 1; }
  rows=$(find "$folder" ! -type f ! -type d)
  [ -z "$rows" ] || { rm -rf -- "$folder" && wrong unsafe_path '' "$a_name holds something that is neither a file nor a folder" && return 1; }
  # No right of the archive's comes along.
  find "$folder" -type d -exec chmod 0700 {} + && find "$folder" -type f -exec chmod 0600 {} +
  set +f
  set -- "$folder"/* "$folder"/.[!.]* "$folder"/..?*
  set -f
  for file in "$@"; do
    [ -e "$file" ] || continue
    name=${file##*/}
    [ "$name" != "$a_name" ] || { wrong unsafe_path '' "$a_name holds something of its own name" && return 1; }
    [ ! -d "$staging/$name" ] || rm -rf -- "$staging/${name:?}"
    bounded mv -f -- "$file" "$staging/$name" || { fail_file "$name could not be staged" && return 1; }
  done
  rmdir "$folder"
  status='done'
}

kind_place_file() {
  staged "$a_name" && put "$staging/$a_name" "$a_path" "$a_mode" "$a_owner"
}

kind_write_file() {
  # It may be a secret, which is on no disk but in its place: a name that the launcher sweeps away when this is killed.
  draft=$j_letter.draft
  rm -f -- "$draft"
  (umask 077 && printf %s "$a_text" | cat >"$draft")
  [ "$(cat "$draft" && echo .)" = "$a_text." ] || { rm -f -- "$draft" && wrong disk_full '' "a text cannot be written: make room in $memory" && return 1; }
  put "$draft" "$a_path" "$a_mode" root
  ended=$?
  rm -f -- "$draft"
  return "$ended"
}

kind_remove_file() {
  place "$a_path" || return 1
  there "$a_path" || { status=already && return 0; }
  keep "$a_path" || return 1
  bounded rm -f -- "$a_path"
  ! there "$a_path" || { fail_file "$a_path could not be removed" && return 1; }
  status='done'
}

# Takes back a step that wrote or removed the file, by what that step noted before it did.
kind_restore_file() {
  place "$a_path" || return 1
  noted was
  case $value in
    '') status=already && return 0 ;;
    absent) ! there "$a_path" || bounded rm -f -- "$a_path" ;;
    beside)
      there "$a_path.evict-kept" || { status=already && return 0; }
      bounded mv -f -- "$a_path.evict-kept" "$a_path"
      ;;
    *)
      place_of=${value#copy }
      there "$kept/$place_of" || { status=already && return 0; }
      restored "$kept/$place_of" && rm -f -- "$kept/$place_of"
      ;;
  esac || { fail_file "$a_path could not be put back" && return 1; }
  ! there "$a_path" || label "$a_path"
  noted made
  made=
  for dir in $value; do made=$dir$nl$made; done
  for dir in $made; do rmdir "$dir" 2>/dev/null || break; done
  status='done'
}

restored() { # FILE: a copy of what was at a_path goes back
  temporary=$dir/.evict.put.$$
  rm -f -- "$temporary"
  bounded cp -Pp -- "$1" "$temporary" && bounded mv -f -- "$temporary" "$a_path"
}

# --- putting a file in its place ----------------------------------------------------------------------------------------

put() { # FILE PATH MODE OWNER: the content of FILE
  case $3 in 0[0-7][0-7][0-7]) ;; *) wrong unsafe_path '' "$3 is no mode of a file" && return 1 ;; esac
  place "$2" || return 1
  id -u "${4%%:*}" >/dev/null 2>&1 ||
    { wrong no_account '' "there is no account ${4%%:*} on this host: the package that brings it is not installed" && return 1; }
  if same "$@"; then
    status=already
    return 0
  fi
  folders "$dir" && keep "$2" || return 1
  stale "$dir"
  temporary=$dir/.evict.put.$$.$(od -An -N6 -tx1 /dev/urandom | tr -d ' \n')
  # It is born with its mode, and nobody can have laid a link where it is born; the folder may belong to another account.
  said=$( (set -C && umask "$(printf %o "$((0777 & ~$3))")" && cat "$1" >"$temporary") 2>&1) ||
    { code=1 && fail_file "$2 could not be written" && rm -f -- "$temporary" && return 1; }
  case $3 in *[1357]*) chmod "$3" "$temporary" ;; esac
  case $4 in root | root:root) ;; *:*) chown -h "$4" "$temporary" ;; *) chown -h "$4:" "$temporary" ;; esac
  settle "$temporary"
  bounded mv -f -- "$temporary" "$2" || { fail_file "$2 could not be written" && rm -f -- "$temporary" && return 1; }
  label "$2"
  same "$@" || { wrong refused_by_system '' "$2 is not as it was written: something changes it, or the system refused its mode or owner" && return 1; }
  status='done'
}

same() { # FILE PATH MODE OWNER: is it so already?
  [ -f "$2" ] && [ ! -h "$2" ] && cmp -s "$1" "$2" || return 1
  case $4 in *:*) format=%U:%G ;; *) format=%U ;; esac
  mode=0$(stat -c %a "$2")
  [ "$((mode))" = "$(($3))" ] && [ "$(stat -c "$format" "$2")" = "$4" ]
}

place() { # PATH -> dir; false: nothing of ours belongs there
  case $1/ in
    //* | *//* | */./* | */../*) wrong unsafe_path '' "$1 is no path that can be written" && return 1 ;;
    /proc/* | /sys/* | /dev/* | /run/evict.kaspersky/*) wrong unsafe_path '' "$1 is no place for a file" && return 1 ;;
    /*/*/*) ;;
    *) wrong unsafe_path '' "$1 is no place for a file" && return 1 ;;
  esac
  dir=${1%/*} walked='' rest=${1%/*}/
  rest=${rest#/}
  while [ -n "$rest" ]; do
    walked=$walked/${rest%%/*} rest=${rest#*/}
    if [ -h "$walked" ]; then
      wrong linked_parent '' "$walked is a link, and nothing is written through links: make it a folder, or mount the other place there"
      return 1
    elif [ -e "$walked" ] && [ ! -d "$walked" ]; then
      wrong unsafe_path '' "$walked is no folder"
      return 1
    fi
  done
  [ ! -d "$1" ] || [ -h "$1" ] || { wrong unsafe_path '' "$1 is a folder" && return 1; }
}

folders() { # DIR: with all above it; which were made is noted first
  lacks='' walked=$1
  while [ ! -d "$walked" ]; do lacks=$walked${lacks:+$nl$lacks} walked=${walked%/*}; done
  [ -n "$lacks" ] || return 0
  noted made
  [ -n "$value" ] || note made "$lacks" || return 1
  for walked in $lacks; do
    bounded mkdir -m 0755 -- "$walked" || { fail_file "$walked could not be made" && return 1; }
    label "$walked"
  done
}

# The first file of all stays beside it for a person; what a later run finds there is copied away for the undoing of that run.
keep() { # PATH
  noted was
  if [ -z "$value" ]; then
    if ! there "$1"; then
      value=absent
    elif ! there "$1.evict-kept"; then
      value=beside
    else
      value="copy $(od -An -N8 -tx1 /dev/urandom | tr -d ' \n')"
    fi
    was=$value
    note was "$was" || return 1
  else
    was=$value
  fi
  case $was in
    beside) there "$1.evict-kept" || bounded ln -- "$1" "$1.evict-kept" ;;
    copy\ *)
      place_of=$kept/${was#copy }
      there "$place_of" || { rm -f -- "$place_of.new" && bounded cp -Pp -- "$1" "$place_of.new" && bounded mv -f -- "$place_of.new" "$place_of"; }
      ;;
  esac || { fail_file "$1 could not be kept, so it is not replaced" && return 1; }
}

stale() { # DIR: what a killed run left there
  set +f
  set -- "$1"/.evict.put.*
  set -f
  for file in "$@"; do ! there "$file" || rm -f -- "$file"; done
}

settle() { sync "$1" 2>/dev/null || sync; } # an old sync knows no file

label() { # PATH: the label of SELinux that its place has
  [ ! -e /sys/fs/selinux/enforce ] || ! has restorecon || bounded restorecon -- "$1"
}

staged_name() {
  case /$1/ in
    *//* | */./* | */../* | /-*) wrong unsafe_path '' "$1 is no name of a staged file" && return 1 ;;
  esac
}

staged() { # NAME: a plain file in the staging folder
  staged_name "$1" || return 1
  inside "$1" || return 1
  [ -f "$staging/$1" ] || { wrong not_staged '' "$1 is not in the staging folder: the old product may have removed it; exclude $staging there, then run again" && return 1; }
}

staged_folder() {
  staged_name "$1" || return 1
  inside "$1" || return 1
  [ -d "$staging/$1" ] || { wrong not_staged '' "the folder $1 is not in the archive" && return 1; }
}

inside() { # NAME: no link on its way
  walked=$staging rest=$1/
  while [ -n "$rest" ]; do
    walked=$walked/${rest%%/*} rest=${rest#*/}
    [ ! -h "$walked" ] || { wrong linked_parent '' "$walked is a link" && return 1; }
  done
}

fail_file() { # MEANING, from code and said
  class=refused_by_system
  case $said in
    *'No space left'* | *'quota exceeded'*) class=disk_full ;;
    *'Read-only file system'*) ;;
    *'not permitted'*)
      case $(lsattr -d -- "${walked:-$a_path}" "$a_path" "$dir" 2>/dev/null) in *[!\ ]*i*-*' /'*) class=file_immutable ;; esac
      ;;
  esac
  [ "$code" != 124 ] || class=timed_out
  case $class in
    disk_full) wrong "$class" "$code" "$1: make room, then run again" ;;
    file_immutable) wrong "$class" "$code" "$1: it is marked immutable; chattr -i it when you know why, then run again" ;;
    timed_out) wrong "$class" "$code" "$1 within the time of the step" ;;
    *) wrong "$class" "$code" "$1: the system refused it: $(last_words)" ;;
  esac
}
