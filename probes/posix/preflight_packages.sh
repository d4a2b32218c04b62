# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# The package manager: which one, is it busy or broken, what does it offer. Its lists are read as they are, never fetched, and nothing
# is written. A part of a script, see frame.sh.
# shellcheck disable=SC2034,SC2086,SC2154,SC2231,SC3013

probe_manager() {
  limit=$brief place=''
  rpm_place
  if [ -s /var/lib/dpkg/status ]; then
    ! has apt-get || record kind manager name apt
    dpkg_state
  fi
  if [ -n "$place" ]; then
    if has dnf || has dnf5 || has microdnf; then record kind manager name dnf; elif has yum; then record kind manager name yum; fi
    ! has zypper || record kind manager name zypper
    rpm_state
  fi
  [ ! -e /run/ostree-booted ] || record kind broken package '' status 'an image-based system (ostree): its manager does not install in place'
  locks
  sees "$running"
  for name in apt apt-get aptitude dpkg rpm dnf dnf5 microdnf yum zypper; do
    ! runs "$name" || busy "process" "$pid" "$name"
  done
  for name in apt-daily apt-daily-upgrade dnf-automatic dnf-automatic-install dnf-makecache dnf5-automatic yum-cron transactional-update; do
    ! unit_runs "$name.service" || busy "$name.service" "$pid" ''
  done
  # zypper gives way to an idle PackageKit; apt and dnf only wait for one that works, and then it holds a lock.
  if has zypper && unit_runs packagekit.service; then busy packagekit.service "$pid" packagekitd; fi
}

busy() { record kind busy what "$1" pid "$2" program "$3"; }

rpm_place() { # -> place, file: rpm's database and its folder
  for place in /usr/lib/sysimage/rpm /var/lib/rpm ''; do
    for file in rpmdb.sqlite Packages.db Packages; do [ ! -s "$place/$file" ] || return 0; done
  done
}

dpkg_state() {
  set +f
  set -- /var/lib/dpkg/updates/[0-9]*
  set -f
  [ ! -e "$1" ] || record kind broken package '' status 'dpkg was interrupted: /var/lib/dpkg/updates is not empty'
  readable /var/lib/dpkg/status && needs awk || return 0
  # shellcheck disable=SC2016  # awk's fields
  ask awk '$1=="Package:"{p=$2}$1=="Status:"{if($2=="hold")print "h "p
if($3!="ok"||($4!="installed"&&$4!="config-files"&&$4!="not-installed"))print "b "p" "$4" "$3}' /var/lib/dpkg/status || return 0
  for row in $rows; do
    case $row in
      'h '*) record kind held package "${row#h }" ;;
      'b '*) row=${row#b } && text=${row#* } && record kind broken package "${row%% *}" status "${text%" ok"}" ;;
    esac
  done
}

rpm_state() {
  set +f
  set -- /var/lib/yum/transaction-all.*
  set -f
  [ ! -e "$1" ] || record kind broken package '' status 'yum was interrupted: /var/lib/yum/transaction-all is there'
  if ! has rpm; then
    record kind broken package '' status "rpm is missing, but there is a database in $place"
  elif [ ! -r "$place/$file" ]; then
    unknown "$place/$file: Permission denied"
  else # one package is enough to see that the database can be read
    rows=$(rpm --dbpath "$place" -q --qf '=%{NAME}' rpm 2>&1)
    case $?:$rows in
      137:* | 265:*) unknown "rpm did not answer in $limit s" ;;
      *=rpm) ;;
      *'is not installed') ;;
      *) record kind broken package '' status "$(printf %.200s "${rows%%"$nl"*}")" ;;
    esac
  fi
  for file in /etc/dnf/plugins/versionlock.list /etc/yum/pluginconf.d/versionlock.list /etc/zypp/locks /etc/dnf/dnf.conf /etc/yum.conf; do
    [ -f "$file" ] && [ -r "$file" ] || continue
    while IFS= read -r row || [ -n "$row" ]; do
      trim "$row"
      case $file:$text in
        *:'' | *:'#'* | *:'!'*) ;;
        */versionlock.list:*) record kind held package "$text" ;;
        */locks:solvable_name:*) trim "${text#*:}" && record kind held package "$text" ;;
        *.conf:exclude=* | *.conf:exclude\ =* | *.conf:excludepkgs=* | *.conf:excludepkgs\ =*)
          IFS=" ,$tab"
          for name in ${text#*=}; do record kind held package "$name"; done
          IFS=$nl
          ;;
      esac
    done <"$file"
  done
}

# A lock file that is there tells nothing; the kernel knows who holds a lock.
locks() {
  set --
  for file in /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock /var/lib/apt/lists/lock /var/cache/apt/archives/lock "$place/.rpm.lock"; do
    [ ! -f "$file" ] || set -- "$@" "$file"
  done
  if [ $# -gt 0 ] && [ -r /proc/locks ]; then
    held=
    while read -r row; do held=$held$row$nl; done </proc/locks
    [ -z "$held" ] || { needs ls && ask ls -iL "$@" && for row in $rows; do
      trim "$row"
      locked "${text%% *}" "${text#* }"
    done; }
  elif [ $# -gt 0 ]; then
    unknown '/proc/locks: cannot be read'
  fi
  # These managers write their number into a file, which may stay behind.
  set +f
  for file in /run/yum.pid /var/run/yum.pid /run/zypp.pid /var/cache/dnf/*_lock.pid /var/lib/dnf/rpmdb_lock.pid; do
    [ -s "$file" ] && [ -r "$file" ] || continue
    pid=
    read -r pid <"$file"
    case $pid in '' | *[!0-9]*) continue ;; esac
    comm=
    [ ! -r "/proc/$pid/comm" ] || IFS= read -r comm <"/proc/$pid/comm"
    case $comm in *yum* | *dnf* | *zypp* | *packagekit* | *PackageKit* | python* | platform-python* | y2*) busy "$file" "$pid" "$comm" ;; esac
  done
  set -f
}

locked() { # INODE FILE; number, POSIX or FLOCK, mode, kind, pid, device:inode, from, to
  for row in $held; do
    IFS=' '
    set -- "$1" "$2" $row
    IFS=$nl
    case $4:$8 in
      '->:'*) continue ;; # waits for it
      *:*:"$1") ;;
      *) continue ;;
    esac
    pid=$7 comm=
    case $pid in
      0 | -*) pid= ;;
      *)
        [ ! -r "/proc/$pid/comm" ] || IFS= read -r comm <"/proc/$pid/comm"
        # The same number may be another file on another disk: does this process have ours open? (yes when we may not know)
        set +f
        found=yes
        for file in "/proc/$pid/fd/"*; do
          [ -e "$file" ] || continue
          found=
          [ ! "$file" -ef "$2" ] || { found=yes && break; }
        done
        set -f
        [ -n "$found" ] || continue
        ;;
    esac
    busy "$2" "$pid" "$comm"
    return 0
  done
}

# --- what the lists of the host offer -----------------------------------------------------------------------------------

probe_repository() {
  [ -n "$EVICT_PREFLIGHT_PACKAGES" ] || return 0
  limit=$brief manager='' wanted=
  rpm_place
  if [ -s /var/lib/dpkg/status ] && has apt-get; then
    manager=apt
  elif [ -n "$place" ]; then
    for name in dnf dnf5 microdnf yum zypper; do
      ! has "$name" || { manager=$name && break; }
    done
    case $manager in *dnf*) manager=dnf ;; esac
  fi
  [ -n "$manager" ] || { unknown 'no package manager that is known here' && return 0; }
  for name in $EVICT_PREFLIGHT_PACKAGES; do
    case $name in "$manager:"*) name=${name#*:} ;; *) continue ;; esac # the others are for other hosts
    case $name in -* | *[!A-Za-z0-9+._@:~-]*) unknown "$name: not the name of a package" && return 0 ;; esac
    wanted=$wanted$name$nl
  done
  [ -n "$wanted" ] || return 0
  if [ $manager = apt ]; then apt_offers; else rpm_offers; fi
}

# Without caches apt reads the lists themselves and writes none; /dev/shm gives it the room for what it unpacks, which has no name.
apt_offers() {
  set +f
  set -- /var/lib/apt/lists/*_Packages*
  set -f
  [ -e "$1" ] || { unknown 'the host has no package lists: apt-get update' && return 0; }
  [ ! -d /dev/shm ] || { TMPDIR=/dev/shm && export TMPDIR; }
  needs apt-cache || return 0
  ask apt-cache -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= policy -- $wanted || return 0
  for name in $wanted; do
    installed='' candidate='' seen=
    for row in $rows; do
      case $row in
        E:* | W:*/sources.list* | W:*/lists/*) unknown "apt-cache: $(printf %.300s "$row")" ;;
        "$name:") seen=yes ;;
        [!\ ]*) seen= ;;
        '  Installed: '*) [ -z "$seen" ] || installed=${row#*: } ;;
        '  Candidate: '*) [ -z "$seen" ] || candidate=${row#*: } ;;
      esac
    done
    offer
  done
}

offer() { # from name, installed, candidate
  [ "$installed" != '(none)' ] || installed=
  case $candidate in
    '' | '(none)') record package "$name" fault 'no repository of the host offers it' ;;
    *) record package "$name" candidate "$candidate" installed "$installed" ;;
  esac
}

# dnf and zypper write logs and caches whatever they are asked, so their downloaded lists are read instead.
rpm_offers() {
  needs grep rpm || return 0
  set +f
  set -- /var/cache/dnf/*/repodata/*primary.xml* /var/cache/libdnf5/*/repodata/*primary.xml* \
    /var/cache/yum/*/*/*/*primary.xml* /var/cache/yum/*/*/*/gen/*primary.xml* /var/cache/zypp/raw/*/repodata/*primary.xml*
  set -f
  offers=
  for file in "$@"; do
    [ -e "$file" ] || continue
    enabled "$file" || continue
    case $file in
      *.gz) program=gzip ;;
      *.xz) program=xz ;;
      *.zst) program=zstd ;;
      *.bz2) program=bzip2 ;;
      *.xml) program='cat' ;;
      *) unknown "$file: packed in a way that is not known here" && continue ;;
    esac
    needs $program || continue
    offers=$offers.$nl
    case $program in cat) set -- cat -- "$file" ;; *) set -- $program -dc -- "$file" ;; esac
    names=
    for name in $wanted; do names="$names$nl<name>$name</name>"; done
    offers=$offers$("$@" | grep -F -A 3 -e "${names#?}" | grep -e '<name>' -e '<version ')$nl
    case $? in 137 | 265) unknown "$program did not answer in $limit s" && return 0 ;; esac
  done
  [ -n "$offers" ] || { unknown 'the host has no package lists that can be read: dnf makecache, or zypper refresh' && return 0; }
  for name in $wanted; do
    candidate='' seen=
    for row in $offers; do
      case $row in
        *"<name>$name</name>"*) seen=yes ;;
        *'<name>'*) seen= ;;
        *'<version '*) [ -z "$seen" ] || candidate=$candidate$(version "$row")$nl ;;
      esac
    done
    set -- $candidate
    if [ $# -gt 1 ] && has sort; then candidate=$(printf '%s\n' "$@" | sort -V | tail -n 1); else candidate=$1; fi
    installed=$(rpm --dbpath "$place" -q --qf '%{VERSION}-%{RELEASE}\n' "$name" 2>/dev/null) || installed=
    installed=${installed%%"$nl"*}
    offer
  done
}

version() { # LINE of a list -> V-R
  text=${1#*' ver="'} && low=${1#*' rel="'}
  echo "${text%%\"*}-${low%%\"*}"
}

enabled() { # FILE of a list: is its repository switched on? Its folder is the id, with a hash behind it for dnf
  text=${1%/repodata/*}
  case $1 in */var/cache/yum/*) text=${1#/var/cache/yum/*/*/} && text=${text%%/*} ;; esac
  text=${text##*/}
  switch=
  set +f
  for conf in /etc/yum.repos.d/*.repo /etc/zypp/repos.d/*.repo /etc/dnf/repos.override.d/*.repo; do
    [ -r "$conf" ] || continue
    mine=
    while IFS= read -r line || [ -n "$line" ]; do
      case $line in
        \[*\]*)
          line=${line#\[} && line=${line%%\]*} mine=
          case $text in "$line" | "$line"-????????????????) mine=yes switch=${switch:-1} ;; esac
          ;;
        enabled=* | 'enabled = '*) [ -z "$mine" ] || switch=${line#*=} ;;
      esac
    done <"$conf"
  done
  set -f
  case $switch in *[1Yy]*) return 0 ;; esac
  return 1
}
