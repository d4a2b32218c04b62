#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# The POSIX hand: looks, prints facts (docs/formats.md section 3), decides nothing, writes nothing. It usually arrives on
# stdin of sh behind quoted assignments (EVICT_NONCE, EVICT_TIMEOUT, EVICT_PACKAGES ...). All of it is one function that is
# called on the last line, so that a cut transfer runs nothing and no child can eat the rest of the script.
# shellcheck disable=SC2086  # words are split on purpose, with noglob on and IFS set to a line end
# shellcheck disable=SC3013  # -ef: in POSIX since 2024, and in dash, busybox, ksh and bash long before
main() {
# --- frame --------------------------------------------------------------------------------------------------------------

# The alarm first ends the programs that probes wait for, so that a probe can still say what it knows; a second later the
# probes; then whatever waits for those that not even SIGKILL can end (a dead disk, a dead NFS server).
alarm() {
  sleep "$limit" >/dev/null &
  echo "S $!"
  wait $! || return 0 # the collector has ended the sleep: all probes answered (or there is no sleep: no limit)
  tree=$(offspring "$@")
  [ -z "$tree" ] || kill -9 $tree
  sleep 1 >/dev/null
  tree=$(offspring "$@")
  kill -9 "$@" $tree
  echo T
  sleep 1 >/dev/null
  case $lead in '' | "$$") ;; *) kill -9 "$lead" ;; esac
}

offspring() { # PID...: all processes below these; read from /proc since ps may be missing
  set +f
  family=" $* " found=
  more=yes
  while [ -n "$more" ]; do
    more=
    for file in /proc/[0-9]*/stat; do
      pid=${file#/proc/} && pid=${pid%/stat}
      case $family in *" $pid "*) continue ;; esac
      read -r stat <"$file" || continue
      stat=${stat##*) } && stat=${stat#* } && stat=${stat%% *}
      case $family in *" $stat "*) family="$family$pid " found="$found $pid" more=yes ;; esac
    done
  done
  echo $found
}

collect() { # probes' lines on stdin -> the framed answer on stdout
  printf '%s B 1 posix\n' "$nonce"
  lines=1 got=0 pending=" $probes " sleeper='' why='the probe ended without an answer'
  while IFS= read -r line; do
    case $line in
      'S '*) sleeper=${line#S } ;;
      T) why="did not answer in $limit s" && break ;;
      'R '*)
        name=${line#R } && name=${name%% *}
        case $pending in *" $name "*) ;; *) continue ;; esac
        printf '%s %s\n' "$nonce" "$line"
        lines=$((lines + 1)) name=n_${name%.*}_${name#*.}
        eval "$name=\$((\${$name:-0} + 1))"
        ;;
      'P '*) # P <records sent> <probe> <status> reason
        line=${line#P } && sent=${line%% *} && line=${line#* } && name=${line%% *}
        case $pending in *" $name "*) ;; *) continue ;; esac
        pending="${pending%% "$name" *} ${pending#* "$name" }"
        eval "got=\${n_${name%.*}_${name#*.}:-0}"
        [ "$got" = "$sent" ] || { hex 'records were lost on the way' && line="$name unknown reason:$hex"; }
        printf '%s P %s\n' "$nonce" "$line"
        lines=$((lines + 1))
        case $pending in *[!\ ]*) ;; *) break ;; esac
        ;;
    esac
  done
  [ -z "$sleeper" ] || kill "$sleeper"
  hex "$why"
  IFS=' '
  for name in $pending; do
    printf '%s P %s unknown reason:%s\n' "$nonce" "$name" "$hex"
    lines=$((lines + 1))
  done
  printf '%s E %s\n' "$nonce" "$lines"
}

probe() {
  probe=$1 status=absent reason='' sent=0
  case $1 in
    host) host ;;
    packages.dpkg) dpkg_packages ;;
    packages.rpm) rpm_packages ;;
    *) "$1" ;;
  esac
  case $euid:$reason in 0:*) ;; *'Permission denied'*) reason="$reason: run with privilege (become)" ;; esac
  encode reason "$reason"
  printf 'P %s %s %s%s\n' "$sent" "$probe" "$status" "$pair"
}

unknown() { # REASON; the first one stays
  status=unknown
  [ -n "$reason" ] || reason=$1
}

record() { # KEY VALUE...
  fields=
  while [ $# -gt 1 ]; do
    encode "$1" "$2"
    fields=$fields$pair
    shift 2
  done
  if [ "$sent" -ge "$cap_records" ]; then
    unknown "more than $cap_records records"
  elif [ ${#fields} -gt "$cap_line" ]; then
    unknown "a record too long to send: $(printf %.60s "$fields")..."
  else
    printf 'R %s%s\n' "$probe" "$fields"
    sent=$((sent + 1))
    [ "$status" = unknown ] || status=ok
  fi
}

encode() { # KEY VALUE -> pair
  case $2 in
    *[!A-Za-z0-9._/:+@~,%-]*) hex "$2" && pair=" $1:$hex" ;;
    *) pair=" $1=$2" ;;
  esac
}

hex() { # TEXT -> hex; printable ASCII without starting a program, since every reason is that
  case $1 in
    *[!\ -~]*)
      hex=$(printf %s "$1" | od -An -v -tx1 | while IFS= read -r row; do
        IFS=' ' && set -- $row && IFS= && printf %s "$*"
      done)
      [ -n "$hex" ] || { unknown 'od is missing: a name cannot be sent' && hex=3f; }
      return 0
      ;;
  esac
  text=$1 hex=
  while [ -n "$text" ]; do
    char=${text%"${text#?}"} && text=${text#?}
    before=${ascii%%"$char"*} && code=$((${#before} + 32)) && low=$((code % 16))
    case $low in 10) low=a ;; 11) low=b ;; 12) low=c ;; 13) low=d ;; 14) low=e ;; 15) low=f ;; esac
    hex=$hex$((code / 16))$low
  done
}

# --- tools of the probes ------------------------------------------------------------------------------------------------

has() { command -v "$1" >/dev/null; }

there() { [ -e "$1" ] || [ -h "$1" ]; }

# `test` cannot tell "not there" from "not allowed to look"; the error text of ls can, for all paths at once.
lost() { # PATH... that `there` denies -> why (empty: they are really not there)
  why=
  [ $# -gt 0 ] || return 0
  has ls || { why='ls is missing: cannot tell whether a path is absent' && return 0; }
  said=$(ls -d -- "$@" 2>&1 >/dev/null)
  for row in $said; do
    case $row in
      *': No such file or directory' | *': Not a directory') ;;
      *) why=${row#ls: } && why=${why#cannot access } && return 0 ;;
    esac
  done
}

resolve() { # PATH -> real (empty: cannot be resolved)
  real=$1 rest=${1#/} prefix=
  while [ -n "$rest" ]; do # no link on the way: nothing to start
    prefix=$prefix/${rest%%/*}
    [ ! -h "$prefix" ] || break
    case $rest in */*) rest=${rest#*/} ;; *) return 0 ;; esac
  done
  real=$(readlink -f -- "$1" && echo .) && real=${real%"$nl".} && return 0
  real=$(cd -P -- "$1" && pwd -P && echo .) && real=${real%"$nl".} && return 0
  real=
}

once() { # DIR... -> dirs: those that are there, each once even when some are links to others
  dirs='' missing=
  for dir in "$@"; do
    if [ -d "$dir" ]; then
      for seen in $dirs; do [ ! "$seen" -ef "$dir" ] || continue 2; done
      dirs=$dirs$dir$nl
      [ -x "$dir" ] || unknown "$dir: Permission denied"
    else
      missing=$missing$dir$nl
    fi
  done
  lost $missing
  [ -z "$why" ] || unknown "$why"
}

readable() { # FILE -> true when it can be read; else the probe's answer is set
  [ -f "$1" ] && [ -r "$1" ] && return 0
  if there "$1"; then why="$1: cannot be read"; else lost "$1"; fi
  [ -z "$why" ] || unknown "$why"
  return 1
}

complain() { # PROGRAM CODE: rows that do not begin with = are complaints, and one is enough to trust nothing
  [ "$2" != 137 ] || unknown "$1 did not answer in $limit s"
  case $nl$rows in
    *"$nl"[!=]*)
      said=
      for row in $rows; do
        case $row in =*) ;; *) said="$said $row" ;; esac
      done
      unknown "$(printf %.300s "${said# }")"
      ;;
  esac
  [ "$2" = 0 ] || unknown "$1 ended with $2"
}

trim() { # TEXT -> text: without blanks around it
  text=${1%"$cr"}
  text=${text#"${text%%[!\ "$tab"]*}"}
  text=${text%"${text##*[!\ "$tab"]}"}
}

# --- probes -------------------------------------------------------------------------------------------------------------

host() {
  os_id='' os_version='' os_name='' node='' release='' arch='' machine='' user='' init='' value=
  for file in /etc/os-release /usr/lib/os-release; do
    [ -f "$file" ] && [ -r "$file" ] || continue
    while IFS= read -r row || [ -n "$row" ]; do # text, never run
      value=${row#*=} && value=${value%"$cr"}
      case $value in \"*\" | \'*\') value=${value#?} && value=${value%?} ;; esac
      case $row in
        ID=*) os_id=$value ;;
        VERSION_ID=*) os_version=$value ;;
        PRETTY_NAME=*) os_name=$value ;;
      esac
    done <"$file"
    break
  done
  if [ -z "$os_name" ]; then # older than os-release
    for file in /etc/redhat-release /etc/SuSE-release; do
      [ -n "$os_name" ] || ! [ -r "$file" ] || IFS= read -r os_name <"$file"
    done
  fi
  IFS=' '
  rows=$(uname -nrm)
  set -- $rows
  IFS=$nl
  node=$1 release=$2 arch=$3
  for file in /etc/machine-id /var/lib/dbus/machine-id; do
    [ -n "$machine" ] || ! [ -r "$file" ] || read -r machine <"$file"
    case $machine in uninitialized) machine= ;; esac
  done
  if [ "$euid" = 0 ]; then user=root; else user=$(id -un); fi
  [ ! -r /proc/1/comm ] || read -r init </proc/1/comm
  container
  [ -n "$release" ] || unknown 'uname is missing'
  record os_id "$os_id" os_version "$os_version" os_name "$os_name" kernel "$release" arch "$arch" hostname "$node" \
    machine_id "$machine" euid "$euid" user "$user" container "$box" init "$init"
}

container() { # -> box; the most telling witness first
  box='' cgroup='' environ='' value=
  [ ! -r /proc/1/environ ] || IFS= read -r environ </proc/1/environ # the NULs drop out
  if [ -r /proc/1/cgroup ]; then
    while read -r row; do cgroup="$cgroup$row "; done </proc/1/cgroup
  fi
  [ ! -r /run/systemd/container ] || read -r value </run/systemd/container
  case "$value $environ $cgroup" in
    *kubepods* | *KUBERNETES_SERVICE_HOST=*) box=kubernetes ;;
    docker\ * | *container=docker* | */docker/* | */docker-*.scope*) box=docker ;;
    podman\ * | *container=podman* | */libpod*) box=podman ;;
    lxc* | *container=lxc* | */lxc/* | */lxc.payload*) box=lxc ;;
    systemd-nspawn\ * | *container=systemd-nspawn*) box=systemd-nspawn ;;
    wsl\ *) box=wsl ;;
    \ *) ;;
    *) box=other ;;
  esac
  if [ -d /var/run/secrets/kubernetes.io ]; then
    box=kubernetes
  elif [ -n "$box" ]; then
    return 0
  elif [ -e /.dockerenv ]; then
    box=docker
  elif [ -e /run/.containerenv ]; then
    box=podman
  elif [ -d /proc/vz ] && [ ! -d /proc/bc ]; then # OpenVZ, seen from inside
    box=other
  else
    case $release in *icrosoft* | *WSL*) box=wsl ;; esac
    # Only root may look: for others /proc/1/root does not resolve.
    if [ -e /proc/1/root/. ] && [ ! /proc/1/root -ef / ]; then box=chroot; fi
  fi
}

dpkg_packages() {
  base=/var/lib/dpkg lists=
  set +f
  for file in "$base"/info/*.list; do lists=$file && break; done
  set -f
  if ! there "$base/status"; then
    lost "$base/status"
    if [ -n "$why" ]; then
      unknown "$why"
    elif [ -e "$lists" ]; then
      unknown "$base/status is missing, though packages are installed"
    fi
    return 0
  fi
  readable "$base/status" || return 0
  if has dpkg-query; then
    # ${Status} and not ${db:Status-Abbrev}: dpkg before 1.16 does not know the latter.
    # shellcheck disable=SC2016  # dpkg's variables, not the shell's
    rows=$(dpkg-query -W -f '=${Package}|${Version}|${Architecture}|${Status}\n' 2>&1)
    complain dpkg-query $?
  elif has cat; then
    rows=$(dpkg_status "$base/status")
  else
    unknown 'dpkg-query is missing'
    return 0
  fi
  rows=$nl$rows
  case $rows in
    *"$nl="*) ;;
    *) [ ! -e "$lists" ] || unknown 'the database names no package, though packages are installed' ;;
  esac
  for name in $EVICT_PACKAGES; do
    case $rows in *"$nl=$name|"*) ;; *) continue ;; esac
    for row in $rows; do
      case $row in "=$name|"*) ;; *) continue ;; esac
      IFS='|' && set -- $row
      IFS=' ' && set -- "$2" "$3" $4 # version arch want error state
      IFS=$nl
      case $3 in install) state=i ;; hold) state=h ;; deinstall) state=r ;; purge) state=p ;; *) state=u ;; esac
      case $5 in
        not-installed) state=${state}n ;;
        config-files) state=${state}c ;;
        half-installed) state=${state}H ;;
        unpacked) state=${state}U ;;
        half-configured) state=${state}F ;;
        triggers-awaited) state=${state}W ;;
        triggers-pending) state=${state}t ;;
        installed) state=${state}i ;;
        *) state="${state}?" ;;
      esac
      case $4 in ok) ;; *) state=${state}R ;; esac
      record name "$name" version "$1" arch "$2" state "$state"
    done
  done
}

dpkg_status() { # FILE -> what dpkg-query would have printed, for a host that lost it
  name=
  for row in $(cat "$1") 'Package: '; do
    case $row in
      'Package: '*)
        [ -z "$name" ] || echo "=$name|$version|$arch|$state"
        name=${row#*: } version='' arch='' state=
        ;;
      'Version: '*) version=${row#*: } ;;
      'Architecture: '*) arch=${row#*: } ;;
      'Status: '*) state=${row#*: } ;;
    esac
  done
}

# rpm makes a database where there is none, so it is only asked about those that are there. They are asked for by folder,
# since Debian's rpm looks into ~/.rpmdb.
rpm_packages() {
  places="/var/lib/rpm$nl/usr/lib/sysimage/rpm$nl/usr/share/rpm"
  if has rpm; then
    place=$(rpm --eval '%{_dbpath}')
    [ $? != 137 ] || unknown "rpm did not answer in $limit s"
    case $place in /*) [ "$place" = "$HOME/.rpmdb" ] || places=$places$nl$place ;; esac
  fi
  once $places
  for place in $dirs; do
    for file in Packages Packages.db rpmdb.sqlite; do
      there "$place/$file" || continue
      readable "$place/$file" || continue 2
      rpm_database "$place"
      continue 2
    done
  done
}

rpm_database() { # DIR
  has rpm || { unknown "rpm is missing, but there is a database in $1" && return 0; }
  rows=$(rpm --dbpath "$1" -qa --qf '=%{NAME}|%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}|%{ARCH}\n' 2>&1)
  complain rpm $?
  rows=$nl$rows
  case $rows in *"$nl="*) ;; *) unknown "the database in $1 names no package" ;; esac
  for name in $EVICT_PACKAGES; do
    case $rows in *"$nl=$name|"*) ;; *) continue ;; esac
    for row in $rows; do
      case $row in "=$name|"*) ;; *) continue ;; esac
      IFS='|' && set -- $row && IFS=$nl
      record name "$name" version "$2" arch "$3" state installed
    done
  done
}

units() {
  once /etc/systemd/system.control /run/systemd/system.control /run/systemd/transient /run/systemd/generator.early \
    /etc/systemd/system /etc/systemd/system.attached /run/systemd/system /run/systemd/system.attached \
    /run/systemd/generator /usr/local/lib/systemd/system /usr/lib/systemd/system /lib/systemd/system \
    /run/systemd/generator.late
  places=$dirs found=
  for name in $EVICT_UNITS; do
    for dir in $places; do
      ! there "$dir/$name" || { found=$found$name$nl && break; }
      [ ! -d "$dir/$name.d" ] || { found=$found$name$nl && break; }
    done
  done
  [ -n "$found" ] || return 0
  # One question about all of them; the answers come in the order of the names.
  actives='' enableds=
  if [ -d /run/systemd/system ] && has systemctl; then
    for row in $(systemctl --no-pager --no-ask-password show -p ActiveState -p UnitFileState -- $found); do
      case $row in
        ActiveState=*) actives=$actives${row#*=}$nl ;;
        UnitFileState=*) enableds=$enableds${row#*=}-$nl ;; # the - keeps an empty one's place
      esac
    done
  fi
  set -- $found
  names=$#
  set -- $actives
  [ $# = "$names" ] || actives=
  set -- $enableds
  [ $# = "$names" ] || enableds=
  for name in $found; do
    active=${actives%%"$nl"*} actives=${actives#*"$nl"} enabled=${enableds%%"$nl"*} enableds=${enableds#*"$nl"}
    for dir in $places; do
      unit "$dir/$name"
      [ ! -d "$dir/$name.d" ] || dropin "$dir/$name.d"
    done
  done
}

unit() { # FILE, and from units: name active enabled
  there "$1" || return 0
  kind=file target='' exec=
  if [ -h "$1" ]; then
    kind='link'
    if target=$(readlink -- "$1" && echo .); then target=${target%"$nl".}; else unknown "$1: cannot read the link"; fi
    [ "$target" != /dev/null ] || kind=masked
  elif [ -f "$1" ] && [ ! -s "$1" ]; then
    kind=masked # systemd reads an empty unit as masked
  fi
  [ "$kind" = masked ] || ! [ -e "$1" ] || first_program "$1"
  record name "$name" path "$1" kind "$kind" target "$target" exec "$exec" active "$active" enabled "${enabled%-}"
}

dropin() { # DIR
  exec=
  [ -r "$1" ] || unknown "$1: Permission denied"
  set +f
  for file in "$1"/*.conf; do
    [ -n "$exec" ] || ! [ -e "$file" ] || first_program "$file"
  done
  set -f
  record name "$name" path "$1" kind dropin target '' exec "$exec" active "$active" enabled "${enabled%-}"
}

first_program() { # FILE -> exec: the program of its first ExecStart
  readable "$1" || return 0
  while IFS= read -r row || [ -n "$row" ]; do
    trim "$row"
    case $text in ExecStart=?* | ExecStart[\ "$tab"]*=?*) trim "${text#*=}" ;; *) continue ;; esac
    exec=$text
    exec=${exec#"${exec%%[!-@:+!|]*}"} # systemd's prefixes
    case $exec in
      \"*) exec=${exec#?} && exec=${exec%%\"*} ;;
      \'*) exec=${exec#?} && exec=${exec%%\'*} ;;
      *) exec=${exec%%[\ "$tab"]*} ;;
    esac
    [ -z "$exec" ] || return 0
  done <"$1"
}

init_scripts() {
  once /etc/init.d /etc/rc.d/init.d /etc/rc.d /sbin/init.d
  for dir in $dirs; do
    for name in $EVICT_INIT_SCRIPTS; do
      ! there "$dir/$name" || record name "$name" path "$dir/$name"
    done
  done
}

processes() {
  [ -e /proc/self/stat ] || { unknown '/proc is not mounted' && return 0; }
  [ -e /proc/1 ] || unknown "other users' processes are hidden (hidepid): run with privilege (become)"
  if ! has ls || ! has readlink; then unknown 'ls or readlink is missing' && return 0; fi
  below=
  for dir in $EVICT_EXE_DIRS; do
    below="$below$dir$nl$dir$nl"
    [ -e "$dir" ] || continue
    resolve "$dir"
    case $real in "$dir" | '' | /) ;; *) below="$below$real$nl$dir$nl" ;; esac
  done
  # One ls reads all links; a name may hold a line end, so what it says is only a hint, confirmed one by one.
  set +f
  rows=$(ls -ln /proc/[0-9]*/exe 2>&1)
  code=$?
  set -f
  [ "$code" -lt 126 ] || { unknown "ls ended with $code" && return 0; }
  case $rows in *'/exe -> '*) ;; *) unknown 'no executable in /proc could be read' ;; esac
  pids=' '
  set -- $below
  while [ $# -gt 1 ]; do
    case $rows in
      *" -> $1/"*)
        for row in $rows; do
          case $row in */proc/[0-9]*"/exe -> $1/"*) ;; *) continue ;; esac
          pid=${row#*/proc/} && pid=${pid%%/*}
          case $pid in *[!0-9]*) continue ;; esac
          case $pids in *" $pid "*) ;; *) process "$pid" "$1" "$2" ;; esac
        done
        ;;
    esac
    shift 2
  done
  case $rows in *'Permission denied'* | *'not permitted'*) unreadable ;; esac
}

process() { # PID PREFIX DIR: its executable lies below PREFIX, which is DIR or where DIR's links lead to
  exe=$(readlink "/proc/$1/exe" && echo .) || return 0 # it has ended
  exe=${exe%"$nl".}
  case $exe in "$2"/*) ;; *) return 0 ;; esac
  pids="$pids$1 " deleted=no root=unknown comm=
  case $exe in *' (deleted)') [ "/proc/$1/exe" -ef "$exe" ] || { exe=${exe% (deleted)} && deleted=yes; } ;; esac
  if [ "/proc/$1/root" -ef / ]; then root=same; elif [ -e "/proc/$1/root/." ]; then root=other; fi
  IFS= read -r comm <"/proc/$1/comm"
  record pid "$1" exe "$exe" deleted "$deleted" root "$root" comm "$comm" dir "$3"
}

unreadable() { # counts the rows of processes that have an executable which we may not see
  hidden=0
  for row in $rows; do
    case $row in
      *'/exe -> '*) continue ;;
      */proc/[0-9]*'Permission denied' | */proc/[0-9]*'not permitted') ;;
      *) continue ;;
    esac
    pid=${row#*/proc/} && pid=${pid%%/*}
    case $pid in *[!0-9]*) continue ;; esac
    [ -d "/proc/$pid" ] && [ ! -e "/proc/$pid/exe" ] || continue
    if read -r row <"/proc/$pid/stat"; then
      IFS=' '
      set -- ${row##*) } # state ppid pgrp session tty tpgid flags
      IFS=$nl
      case $1 in Z | X) continue ;; esac
      [ $((${7:-0} & 2097156)) = 0 ] || continue # PF_KTHREAD, PF_EXITING: no executable, or none any more
    fi
    [ "$euid:$pid" != 0:1 ] || ! foreign_init || continue
    [ ! -d "/proc/$pid" ] || hidden=$((hidden + 1))
  done
  [ "$hidden" != 0 ] || return 0
  if [ "$euid" = 0 ]; then set -- "this root lacks CAP_SYS_PTRACE"; else set -- "run with privilege (become)"; fi
  unknown "the executables of $hidden processes cannot be read: $1"
}

# In some containers and small VMs not even root may read what pid 1 runs; what it says of itself is enough for that one.
foreign_init() {
  row=
  IFS= read -r row </proc/1/cmdline # the NULs drop out; there is no line end
  for dir in $below; do
    case $row in '' | "$dir"/*) return 1 ;; esac
  done
}

paths() {
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

trees() {
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

setup() {
  bom=$(printf '\357\273\277')
  for file in $EVICT_SETUP_FILES; do
    readable "$file" || continue
    section='' version='' sections=0
    while IFS= read -r row || [ -n "$row" ]; do
      trim "${row#"$bom"}"
      case $text in
        \[*\]*)
          setup_section
          text=${text#?}
          trim "${text%%]*}"
          section=$text version='' sections=$((sections + 1))
          ;;
        [Vv][Ee][Rr][Ss][Ii][Oo][Nn]*=*)
          row=${text#*=}
          trim "${text%%=*}"
          case $text in ???????) trim "$row" && version=$text ;; esac
          case $version in \"*\") version=${version#?} && version=${version%?} ;; esac
          ;;
      esac
    done <"$file"
    setup_section
    [ "$sections" != 0 ] || [ ! -s "$file" ] || unknown "$file: holds no section"
  done
}

setup_section() { [ -z "$section" ] || record file "$file" section "$section" version "$version"; }

accounts() { # the local files only: asking a directory server is slow, and the vendor's accounts are local
  has cat || { unknown 'cat is missing' && return 0; }
  for file in /etc/passwd /etc/group; do
    readable "$file" || unknown "$file: there is none"
  done
  users=$nl$(cat /etc/passwd) groups=$nl$(cat /etc/group)
  for name in $EVICT_USERS; do
    case $users in *"$nl$name:"*) ;; *) continue ;; esac
    for row in $users; do
      case $row in "$name:"*) ;; *) continue ;; esac
      IFS=:
      set -- $row
      IFS=$nl
      record kind user name "$name" id "$3" members ''
    done
  done
  for name in $EVICT_GROUPS; do
    case $groups in *"$nl$name:"*) ;; *) continue ;; esac
    for row in $groups; do
      case $row in "$name:"*) ;; *) continue ;; esac
      IFS=:
      set -- $row
      gid=$3 members=$4
      IFS=$nl
      for user in $users; do # those whose primary group it is are not in its list
        case $user in *:*:*:"$gid":*) ;; *) continue ;; esac
        IFS=:
        set -- $user
        IFS=$nl
        [ "$4" = "$gid" ] || continue
        case ,$members, in *,"$1",*) ;; *) members=$members${members:+,}$1 ;; esac
      done
      record kind group name "$name" id "$gid" members "$members"
    done
  done
}

# --- the run -----------------

  set +eu -f
  PATH=/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin # the last one is NixOS's
  LC_ALL=C
  export PATH LC_ALL
  unset CDPATH ENV BASH_ENV QUOTING_STYLE POSIXLY_CORRECT TIME_STYLE DPKG_ADMINDIR DPKG_ROOT RPM_CONFIGDIR
  umask 077
  nl='
'
  tab=$(printf '\t')
  cr=$(printf '\r')
  IFS=$nl
  nonce=${EVICT_NONCE:-EVICT} limit=${EVICT_TIMEOUT:-20}
  case $limit in *[!0-9]* | 0*) limit=20 ;; esac
  probes="host packages.dpkg packages.rpm units init_scripts processes paths trees setup accounts"
  cap_records=500 cap_line=3900 # one line must fit one atomic write to a pipe (4096)
  ascii=' !"#$%&'\''()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\]^_`abcdefghijklmnopqrstuvwxyz{|}~'
  euid=
  if [ -r /proc/self/status ]; then
    while IFS=" $tab" read -r key _ value _; do
      case $key in Uid:) euid=$value && break ;; esac
    done </proc/self/status
  fi
  [ -n "$euid" ] || euid=$(id -u 2>/dev/null)
  # All probes run at once, each in its own process, under one alarm: nine slow ones cost no more than one, and the whole
  # answer comes within the limit. The collector, not a probe, writes the frame.
  {
    IFS=' '
    read -r lead _ </proc/self/stat # the pid of this very process; $$ is main's
    pids=
    for name in $probes; do
      { IFS=$nl && probe "$name"; } </dev/null &
      pids="$pids $!"
    done
    alarm $pids </dev/null &
    wait
  } 2>/dev/null | collect 2>/dev/null
}
main "$@" </dev/null
