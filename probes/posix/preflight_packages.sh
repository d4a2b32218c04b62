# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# The package manager: which one, is it busy or broken. A part of a script, see frame.sh.
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
  IFS='|'
  for name in $managers; do
    IFS=$nl
    ! runs "$name" || busy "process" "$pid" "$name"
  done
  IFS=$nl
  for name in apt-daily apt-daily-upgrade dnf-automatic dnf-automatic-install dnf-makecache dnf5-automatic yum-cron transactional-update; do
    ! unit_runs "$name.service" || busy "$name.service" "$pid" ''
  done
  # zypper gives way to an idle PackageKit; apt and dnf only wait for one that works, and then it holds a lock.
  if has zypper && unit_runs packagekit.service; then busy packagekit.service "$pid" packagekitd; fi
}

busy() { record kind busy what "$1" pid "$2" program "$3"; }

dpkg_state() {
  set +f
  set -- /var/lib/dpkg/updates/[0-9]*
  set -f
  [ ! -e "$1" ] || record kind broken package '' status 'dpkg was interrupted: /var/lib/dpkg/updates is not empty'
  if [ -z "$silent$listed" ]; then # nobody is asked twice
    value=$status
    if dpkg_rows && [ "$status" != unknown ]; then listed=$rows; else silent=$reason status=$value reason=; fi
  fi
  case $silent in
    '') ;;
    'dpkg-query: '*) record kind broken package '' status "$silent" && return 0 ;; # its database cannot be read
    *) unknown "$silent" && return 0 ;;
  esac
  for row in $listed; do
    case $row in *'|install ok installed') continue ;; esac # first, for they are hundreds
    text=${row##*'|'} row=${row#=} # WANT ERROR STATE
    name=${row%%'|'*}
    case $text in 'hold '*) record kind held package "$name" ;; esac
    text=${text#* } fault=
    case $text in ok\ *) ;; *) fault=" ${text%% *}" ;; esac
    case $text in
      'ok installed' | 'ok config-files' | 'ok not-installed') ;;
      *' '*) record kind broken package "$name" status "${text#* }$fault" ;;
    esac
  done
  [ -z "$troubled" ] || dpkg_needs
}

dpkg_needs() { # which packages need one that may go
  readable /var/lib/dpkg/status && needs awk || return 0
  set -- $EVICT_PACKAGES
  IFS=' '
  names=" $* "
  IFS=$nl
  # Where another package would do as well, nothing needs this one.
  # shellcheck disable=SC2016  # awk's fields
  ask awk -v "names=$names" '$1=="Package:"{p=$2}$1=="Status:"{i=($4!="config-files"&&$4!="not-installed")}
i&&/^(Pre-)?Depends:/{sub(/^[^:]*:/,"");n=split($0,c,",");for(k=1;k<=n;k++)if(c[k]!~/[|]/){sub(/^ +/,"",c[k]);sub(/[ :(].*/,"",c[k])
if(index(names," "c[k]" "))print c[k]" "p}}' /var/lib/dpkg/status || return 0
  for row in $rows; do record kind needed package "${row%% *}" by "${row#* }"; done
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
    [ -z "$troubled" ] || rpm_needs
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

rpm_needs() { # which packages need one that may go
  rows=$(rpm --dbpath "$place" -q --whatrequires --qf '=%{NAME}[ %{REQUIRENAME}]\n' $EVICT_PACKAGES 2>&1)
  case $? in 137 | 265) unknown "rpm did not answer in $limit s" ;; esac
  for row in $rows; do
    case $row in '='*) ;; *) continue ;; esac # no package requires that one
    IFS=' '
    set -- ${row#=}
    IFS=$nl
    name=$1
    shift
    for text in "$@"; do
      case $nl$EVICT_PACKAGES$nl in *"$nl$text$nl"*) record kind needed package "$text" by "$name" ;; esac
    done
  done
}

# A lock file that is there tells nothing; the kernel knows who holds a lock.
locks() {
  set --
  for file in /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock /var/lib/apt/lists/lock /var/cache/apt/archives/lock "$place/.rpm.lock"; do
    [ ! -f "$file" ] || set -- "$@" "$file"
  done
  if [ $# -gt 0 ] && [ -r /proc/locks ]; then
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
    # libzypp gives way to any process that has the number.
    case $file:$comm in
      /run/zypp.pid:?* | *:*yum* | *:*dnf* | *:*zypp* | *:y2* | *:*packagekit* | *:*PackageKit* | *:python* | *:platform-python*) busy "$file" "$pid" "$comm" ;;
    esac
  done
  set -f
}

locked() { # INODE FILE; number, POSIX or FLOCK, mode, kind, pid, device:inode, from, to
  case $held in *":$1 "*) ;; *) return 0 ;; esac # as nearly always; the list may be long
  for row in $held; do
    IFS=' '
    set -- "$1" "$2" $row
    IFS=$nl
    case $4:$8 in
      '->:'*) continue ;; # waits for it
      *:*:"$1") ;;
      *) continue ;;
    esac
    # The same number is another file on another disk, such as one in a container. What stat says is not always what stands there.
    device_of "$2"
    case $device in '' | "${8%:*}") ;; *) continue ;; esac
    pid=$7 comm=
    case $pid in
      0 | -*) pid= ;;
      *)
        [ ! -r "/proc/$pid/comm" ] || IFS= read -r comm <"/proc/$pid/comm"
        # Does this process have ours open? (yes when we may not know)
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

device_of() { # FILE -> device: of its file system, as /proc/locks has it; empty when it cannot be told
  device='' mount=
  [ -r /proc/self/mountinfo ] && dir=$(cd -P "${1%/*}" && pwd -P) || return 0
  text=$(cat /proc/self/mountinfo) # at once, see look_around
  for row in $text; do
    IFS=' '
    set -- $row
    IFS=$nl
    ! deeper "$dir" "$5" || mount=$place device=$3
  done
  [ -z "$device" ] || device=$(printf %02x:%02x "${device%:*}" "${device#*:}")
}
