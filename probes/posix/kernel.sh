# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# What reaches into the kernel: modules, chains of the packet filter, who is asked before a file is opened, what waits for a reboot.
# A part of a script, see frame.sh. Nothing here may make the kernel load a module.
# shellcheck disable=SC2034,SC2086,SC2154,SC2231,SC3013  # patterns without quotes are to be expanded

release() { # -> release, without a program
  release=
  if [ -r /proc/sys/kernel/osrelease ]; then IFS= read -r release </proc/sys/kernel/osrelease; else release=$(uname -r); fi
}

underscored() { # NAME -> plain: a module's name as the kernel has it
  plain=$1
  while :; do
    case $plain in *-*) plain=${plain%%-*}_${plain#*-} ;; *) return 0 ;; esac
  done
}

probe_modules() {
  [ -n "$EVICT_MODULES" ] || return 0
  needs grep || return 0
  release
  place=/lib/modules/$release any='' seen=$nl
  set --
  for name in $EVICT_MODULES; do
    case $name in *[!A-Za-z0-9_-]*) unknown "$name: not the name of a module" && continue ;; esac
    underscored "$name"
    [ ! -d "/sys/module/$plain" ] || record name "$name" where loaded path "/sys/module/$plain"
    IFS=_
    set -- $plain
    glob=$1
    shift
    for piece in "$@"; do glob="${glob}[-_]$piece"; done
    IFS=$nl
    any=$any${any:+|}$glob
    set +f
    # Those that are not in modules.dep (yet) are found by folder, two deep.
    for file in "$place/"$glob.ko* "$place"/*/$glob.ko* "$place"/*/*/$glob.ko* /var/lib/dkms/$glob /usr/src/$glob /usr/src/$glob-[0-9]*; do
      there "$file" || continue
      case $file in "$place"/*) where='file' && seen=$seen$file$nl ;; *) where=dkms ;; esac
      record name "$name" where $where path "$file"
    done
    set -f
  done
  [ -n "$any" ] || return 0
  set +f
  set -- "$place/modules.dep" /etc/modules /etc/modules-load.d/* /run/modules-load.d/* /usr/lib/modules-load.d/*
  set -f
  [ -d /sys/module ] || set -- "$@" /proc/modules
  for file in "$@"; do
    shift
    case $file in *"$nl"*) continue ;; esac
    [ ! -f "$file" ] || ! readable "$file" || set -- "$@" "$file"
  done
  [ ! -d "$place/kernel" ] || [ -e "$place/modules.dep" ] || unknown "$place/modules.dep is missing"
  [ $# -gt 0 ] || return 0
  rows=$(grep -H -E "^([^:]*/)?($any)\.ko[.a-z0-9]*:|^[[:blank:]]*($any)([[:space:]]|\$)" -- "$@" 2>&1)
  [ $? -lt 2 ] || unknown "$(printf %.300s "$rows")"
  for row in $rows; do
    for file in "$@"; do
      case $row in "$file:"*) module_row "$file" "${row#"$file:"}" ;; esac
    done
  done
}

module_row() { # FILE LINE
  case $1 in
    /proc/modules) row=${2%% *} where=loaded path=$1 ;;
    */modules.dep) # NAME: WHAT IT NEEDS, below its own folder or absolute
      row=${2%%:*} where='file' path=$place/${2%%:*}
      case $row in /*) path=$row ;; esac
      case $seen in *"$nl$path$nl"*) return 0 ;; esac
      row=${row##*/} && row=${row%%.ko*}
      ;;
    *) trim "$2" && row=${text%%[ "$tab"]*} where=config path=$1 ;;
  esac
  underscored "$row" && row=$plain
  for name in $EVICT_MODULES; do
    underscored "$name"
    [ "$plain" != "$row" ] || record name "$name" where $where path "$path"
  done
}

# --- the packet filter --------------------------------------------------------------------------------------------------

# The legacy tables tell by themselves which of them are loaded; the tools would load the others. The nft flavour of iptables-save
# asks the kernel for extensions, which may load them, so only nft is asked about what nftables holds.
probe_firewall() {
  [ -n "$EVICT_CHAINS" ] || return 0
  release
  container
  for version in '' 6; do
    names=/proc/net/ip${version}_tables_names
    [ -e "$names" ] || continue
    [ -r "$names" ] || { unknown "$names: Permission denied" && continue; }
    tables=
    while read -r table; do tables=$tables$table; done <"$names"
    [ -z "$tables" ] || legacy "$version"
  done
  if [ -e /proc/modules ] && [ ! -d /sys/module/nf_tables ]; then # not loaded, unless it is part of the kernel
    [ -r "/lib/modules/$release/modules.builtin" ] && grep -q '/nf_tables\.ko' "/lib/modules/$release/modules.builtin" || return 0
  fi
  if has nft; then
    [ "$euid" = 0 ] || { unknown 'chains of nftables: Permission denied' && return 0; }
    nftables
  elif [ -d /sys/module/nf_tables ] && [ -z "$box" ]; then
    unknown 'nf_tables is loaded, but nft is missing: its chains cannot be listed'
  fi
}

legacy() { # VERSION
  program=
  for name in "ip${1}tables-legacy-save" "ip${1}tables-save"; do
    program=$(command -v "$name") || continue
    resolve "$program"
    case $real in *nft*) program= && continue ;; esac
    break
  done
  [ -n "$program" ] || { unknown "tables of iptables are loaded, but ip${1}tables-legacy-save is missing" && return 0; }
  ask "$program" || return 0
  rows=$nl$rows
  for chain in $EVICT_CHAINS; do
    case $rows in *"$nl:$chain "*) ;; *) continue ;; esac
    for row in $rows; do
      case $row in
        \**) table=${row#?} rules=0 seen= ;;
        ":$chain "*) seen=yes ;;
        "-A $chain "*) rules=$((rules + 1)) ;;
        COMMIT) [ -z "$seen" ] || record family "ip$1" table "$table" chain "$chain" rules "$rules" ;;
      esac
    done
  done
}

nftables() {
  before=$status
  if ! ask nft list chains; then
    # A container that has no say in its network has no chains of its own.
    case $box:$rows in ?*:*'not permitted'*) status=$before reason= ;; esac
    return 0
  fi
  for row in $rows; do
    trim "$row"
    case $text in
      'table '*' {') text=${text#table } && family=${text%% *} && text=${text#* } && table=${text%" {"} ;;
      'chain '*' {')
        text=${text#chain } && chain=${text%" {"}
        case $nl$EVICT_CHAINS$nl in *"$nl$chain$nl"*) ;; *) continue ;; esac
        rules=0
        # -a marks what the kernel holds: a rule's line ends with its handle, that of a chain or table with the handle after a brace.
        for rule in $(nft -a list chain "$family" "$table" "$chain" || echo '?'); do
          case $rule in
            '?') unknown "nft does not list the chain $chain" ;;
            *'{ # handle '*) ;;
            *' # handle '*) rules=$((rules + 1)) ;;
          esac
        done
        record family "$family" table "$table" chain "$chain" rules "$rules"
        ;;
    esac
  done
}

# --- who is asked before a file is opened -------------------------------------------------------------------------------

# The first search reads links only. A group without marks watches nothing.
probe_protection() {
  [ "$euid" = 0 ] || { unknown 'who watches files: Permission denied' && return 0; }
  [ -e /proc/self/stat ] || { unknown '/proc is not mounted' && return 0; }
  needs ls grep readlink || return 0
  rows=-lname code=0
  set +f
  if has find; then
    rows=$(find /proc/[0-9]*/fd -lname '*\[fanotify\]' 2>&1)
    code=$?
  fi
  case $code:$rows in
    137:* | 265:*) unknown "find did not answer in $limit s" ;;
    126:*) unknown 'find did not start: too many processes' ;;
    *-lname*) # busybox knows no such question; the names are the kernel's
      # shellcheck disable=SC2010
      rows=$(ls -ln /proc/[0-9]*/fd/ 2>&1 | grep -e '^/proc/' -e 'fanotify\]' -e 'denied$')
      fds=$rows rows=
      for row in $fds; do
        case $row in
          /proc/*:) file=${row%:} && file=${file%/} ;;
          *'denied') rows=$rows$row$nl ;;
          *' -> '*) row=${row%" -> "*} && rows=$rows$file/${row##* }$nl ;;
        esac
      done
      ;;
  esac
  set -f
  set --
  for row in $rows; do
    case $row in
      /proc/*/fd/*) set -- "$@" "${row%/fd/*}/fdinfo/${row##*/}" ;;
      */proc/1/fd*) ;; # in some containers and small VMs not even root may look at what pid 1 has
      *'Permission denied' | *'not permitted') row=${row#*/proc/} && unknown "/proc/${row%%/*}/fd: Permission denied" ;;
    esac
  done
  [ $# -gt 0 ] || return 0
  counts=$(grep -H -c '^fanotify .* mask:' -- "$@" 2>/dev/null)
  asking=$nl$(grep -l '^fanotify .* mask:[0-9a-f]*[1-79a-f][0-9a-f]\{4\} ' -- "$@" 2>/dev/null)$nl
  pid='' total=0
  for row in $counts /proc/0/:0; do # all of a process in one record
    next=${row#/proc/} && next=${next%%/*}
    [ "$next" = "$pid" ] || { watcher && pid=$next total=0 mode=notify; }
    total=$((total + ${row##*:}))
    case $asking in *"$nl${row%:*}$nl"*) mode=permission ;; esac
  done
}

watcher() {
  [ "$total" != 0 ] || return 0
  exe=$(readlink "/proc/$pid/exe" && echo .) && exe=${exe%"$nl".}
  comm='' root=unknown
  IFS= read -r comm <"/proc/$pid/comm"
  if [ "/proc/$pid/root" -ef / ]; then root=same; elif [ -e "/proc/$pid/root/." ]; then root=other; fi
  record kind fanotify pid "$pid" exe "$exe" comm "$comm" mode $mode marks "$total" root $root
}

# --- what waits for a reboot --------------------------------------------------------------------------------------------

probe_reboot() {
  for file in /run/reboot-required /run/reboot-needed /var/run/reboot-required /var/run/reboot-needed; do
    [ -e "$file" ] || continue
    record cause required-file detail "$file"
    names=
    if [ -r "$file.pkgs" ]; then
      while IFS= read -r row; do
        case ",$names," in *",$row,"*) ;; *) names=$names${names:+,}$row ;; esac
        [ ${#names} -lt 1000 ] || break
      done <"$file.pkgs"
    fi
    [ -z "$names" ] || record cause packages detail "$names"
    break
  done
  # A container runs the kernel of another root; a host without modules has no folders for them.
  release
  container
  [ -z "$box" ] && [ -n "$release" ] || return 0
  set +f
  for dir in /lib/modules/*/modules.dep; do
    [ ! -d "/lib/modules/$release" ] || break
    [ ! -e "$dir" ] || { record cause kernel-gone detail "$release" && break; }
  done
  set -f
}
