# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# What the host says of itself: system, container, accounts, the vendor's own list of components. A part of a script, see frame.sh.
# shellcheck disable=SC2034,SC2086,SC2154,SC3013

probe_host() {
  os_id='' os_version='' os_name='' system='' node='' release='' arch='' machine='' user='' init='' value=
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
  rows=$(uname -snrm)
  set -- $rows
  IFS=$nl
  system=$1 node=$2 release=$3 arch=$4
  machine_id
  if [ "$euid" = 0 ]; then user=root; else user=$(id -un); fi
  [ ! -r /proc/1/comm ] || read -r init </proc/1/comm
  container
  [ -n "$release" ] || unknown 'uname is missing'
  record system "$system" os_id "$os_id" os_version "$os_version" os_name "$os_name" kernel "$release" arch "$arch" hostname "$node" \
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

probe_setup() {
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

probe_accounts() { # the local files only: asking a directory server is slow, and the vendor's accounts are local
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
