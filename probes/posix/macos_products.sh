# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# What a Mac's own registers say of products: receipts, launchd, extensions, profiles. A part of a script, see frame.sh and macos.sh.
# shellcheck disable=SC2034,SC2086,SC2154,SC2231,SC3013  # patterns without quotes are to be expanded

probe_receipts() {
  [ -n "$EVICT_RECEIPTS" ] || return 0
  needs pkgutil grep || return 0
  ask pkgutil --pkgs || return 0
  case $rows in *com.apple.*) ;; *) unknown 'pkgutil names no package of the system' ;; esac
  found=$(printf '%s\n' "$rows" | grep -i -F -e "$EVICT_RECEIPTS")
  for name in $found; do
    version=
    ask pkgutil --pkg-info "$name" || rows=
    for row in $rows; do
      case $row in version:*) trim "${row#version:}" && version=$text ;; esac
    done
    record name "$name" version "$version"
  done
}

plist() { # FILE -> rows: its XML; false: cannot be read
  readable "$1" || return 1
  ask plutil -convert xml1 -o - -- "$1"
}

value() { # ROW -> key, or text of a string; false: neither. Keeps key for the string that follows.
  trim "$1"
  case $text in
    '<key>'*'</key>') key="${text#<key>}" && key="${key%</key>}" && return 1 ;;
    '<string>'*'</string>') text="${text#<string>}" && text="${text%</string>}" ;;
    *) return 1 ;;
  esac
  lt='&lt;' gt='&gt;' amp='&amp;' # in ksh an & in a pattern means something
  while :; do # &amp; last, or what it made would be read again
    case $text in
      *"$lt"*) text=${text%%"$lt"*}"<"${text#*"$lt"} ;;
      *"$gt"*) text=${text%%"$gt"*}">"${text#*"$gt"} ;;
      *) break ;;
    esac
  done
  rest=$text text=
  while :; do
    case $rest in *"$amp"*) text=$text${rest%%"$amp"*}"&" && rest=${rest#*"$amp"} ;; *) text=$text$rest && return 0 ;; esac
  done
}

probe_launchd() {
  [ -n "$EVICT_LAUNCHD" ] || return 0
  needs plutil launchctl grep || return 0
  set --
  set +f
  for dir in /Library/LaunchDaemons /Library/LaunchAgents /Users/*/Library/LaunchAgents /var/root/Library/LaunchAgents; do
    there "$dir" || { case $dir in *\**) continue ;; esac && lost "$dir" && { [ -z "$why" ] || unknown "$why"; } && continue; }
    if [ ! -r "$dir" ] || [ ! -x "$dir" ]; then unknown "$dir: Permission denied" && continue; fi
    for file in "$dir"/*.plist; do
      case $file in *"$nl"*) unknown "$dir: a file name with a line end" && continue ;; esac
      ! there "$file" || set -- "$@" "$file"
    done
  done
  set -f
  loaded=
  ! ask launchctl list || loaded=$rows
  labels=$nl
  if [ $# -gt 0 ]; then
    hits=$nl$(grep -l -i -F -e "$EVICT_LAUNCHD" -- "$@")$nl
    for file in "$@"; do
      case $hits in *"$nl$file$nl"*) ;; *) holds "${file##*/}" "$EVICT_LAUNCHD" || continue ;; esac
      job "$file"
    done
  fi
  for row in $loaded; do # what runs though its plist is gone
    label=${row##*"$tab"}
    case $labels in *"$nl$label$nl"*) continue ;; esac
    ! holds "$label" "$EVICT_LAUNCHD" || { running "$label" && record name "$label" path '' program '' pid "$pid"; }
  done
}

job() { # PLIST
  label='' program='' key=
  if plist "$1"; then
    for row in $rows; do
      value "$row" || continue
      case $key in
        Label) label=$text ;;
        Program) program=$text ;;
        ProgramArguments) [ -n "$program" ] || program=$text ;;
      esac
      case $key in Label | Program) key= ;; esac
    done
  fi
  [ -n "$label" ] || { label=${1##*/} && label=${label%.plist}; }
  labels=$labels$label$nl
  running "$label"
  record name "$label" path "$1" program "$program" pid "$pid"
}

running() { # LABEL -> pid (empty: it does not run)
  pid=
  for row in $loaded; do
    case $row in [0-9]*"$tab$1") pid=${row%%"$tab"*} ;; esac
  done
}

probe_system_extensions() {
  [ -n "$EVICT_EXTENSIONS" ] || return 0
  if extensions; then
    for row in $rows; do
      extension "$row" || continue
      holds "$bundle $team" "$EVICT_EXTENSIONS" || continue
      record name "$bundle" team "$team" version "$version" state "$state"
    done
    return 0
  fi
  # The second source: the register behind it, whose keys stand in the order of their names.
  [ -e /Library/SystemExtensions/db.plist ] && needs plutil && plist /Library/SystemExtensions/db.plist || return 0
  bundle='' team='' state='' version='' key=
  for row in $rows '<key>identifier</key>'; do
    if value "$row"; then
      case $key in
        CFBundleShortVersionString) next=$text ;;
        identifier) bundle=$text version=$next next='' team='' state= ;;
        teamID) team=$text ;;
        state) state=$text ;;
      esac
      key=
    elif [ "$key" = identifier ] && [ -n "$bundle" ]; then
      ! holds "$bundle $team" "$EVICT_EXTENSIONS" || record name "$bundle" team "$team" version "$version" state "$state"
      bundle=
    fi
  done
}

probe_kexts() {
  [ -n "$EVICT_KEXTS" ] || return 0
  needs grep || return 0
  if has kmutil; then
    ask kmutil showloaded --list-only || rows=
  elif needs kextstat; then
    ask kextstat -l || rows=
  else
    rows=
  fi
  for row in $(printf '%s\n' "$rows" | grep -i -F -e "$EVICT_KEXTS"); do
    case $row in *' ('*) ;; *) continue ;; esac
    name=${row%% \(*}
    record name "${name##*[ "$tab"]}" where loaded path ''
  done
  set +f
  set -- /Library/Extensions/*.kext /System/Library/Extensions/*.kext /Library/StagedExtensions/Library/Extensions/*.kext
  set -f
  for dir in "$@"; do
    shift
    case $dir in *"$nl"*) continue ;; esac
    [ ! -e "$dir/Contents/Info.plist" ] || set -- "$@" "$dir/Contents/Info.plist"
  done
  [ $# -gt 0 ] || return 0
  hits=$nl$(grep -l -i -F -e "$EVICT_KEXTS" -- "$@")$nl
  for file in "$@"; do
    dir=${file%/Contents/Info.plist}
    case $hits in *"$nl$file$nl"*) ;; *) holds "${dir##*/}" "$EVICT_KEXTS" || continue ;; esac
    name=${dir##*/} && name=${name%.kext} key=
    if needs plutil && plist "$file"; then
      for row in $rows; do
        value "$row" && [ "$key" = CFBundleIdentifier ] && name=$text && break
      done
    fi
    record name "$name" where 'file' path "$dir"
  done
}

# A profile's content may hold secrets: only names, types and the very values with one of the literals leave the host.
probe_profiles() {
  [ -n "$EVICT_PROFILES" ] || return 0
  [ "$euid" = 0 ] || { unknown 'profiles: Permission denied' && return 0; }
  needs profiles grep || return 0
  if ! rows=$(profiles show -type configuration -all -output stdout-xml 2>&1); then
    ask profiles -P -o stdout-xml || return 0 # before macOS 10.13
  fi
  case $rows in
    *'<plist'*) ;;
    *'o configuration profiles'* | *'no profiles'*) return 0 ;;
    *) unknown "profiles: $(printf %.300s "$rows")" && return 0 ;;
  esac
  hits=" $(printf '%s\n' "$rows" | grep -n -i -F -e "$EVICT_PROFILES" | while IFS=: read -r number _; do printf '%s ' "$number"; done)"
  [ "$hits" != ' ' ] || return 0
  ident='' shown='' payload='' hit='' key='' number=0
  for row in $rows; do
    number=$((number + 1))
    value "$row" || continue
    case $key in
      ProfileDisplayName) [ -z "$shown" ] || profile && shown=$text ;;
      ProfileIdentifier) [ -z "$ident" ] || profile && ident=$text ;;
      PayloadType) payload=$payload${payload:+,}$text ;;
    esac
    case $hits in
      *" $number "*)
        hit=yes
        case $key in ProfileDisplayName | ProfileIdentifier | PayloadType) ;; *) payload=$payload${payload:+,}$(printf %.120s "$text") ;; esac
        ;;
    esac
  done
  profile
}

profile() {
  [ -z "$hit" ] || record name "$ident" display "$shown" payload "$(printf %.900s "$payload")"
  ident='' shown='' payload='' hit=
}
