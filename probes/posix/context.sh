# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# Containers, and whom the products' processes talk to. A part of a script, see frame.sh.
# shellcheck disable=SC2034,SC2086,SC2154,SC3013

# From the engines' files: asking an engine may start it.
probe_containers() {
  [ -n "$EVICT_IMAGES" ] || return 0
  missing=
  for base in /var/lib/docker /var/snap/docker/common/var-lib-docker; do
    ! opened "$base" || docker_files "$base"
  done
  set +f
  set -- /var/lib/containers/storage
  ! has podman || set -- "$@" /home/*/.local/share/containers/storage
  set -f
  for base in "$@"; do
    ! opened "$base" || podman_files "$base"
  done
  for base in /var/lib/containerd /var/lib/docker/containerd/daemon /var/lib/rancher/k3s/agent/containerd \
    /var/snap/microk8s/common/var/lib/containerd; do
    opened "$base" || continue
    file=$base/io.containerd.metadata.v1.bolt/meta.db
    if [ ! -f "$file" ] || ! readable "$file"; then continue; fi
    # A database of its own kind, with what was deleted still in it: a hint, no more.
    ! grep -q -i -F -e "$EVICT_IMAGES" -- "$file" || unknown "$file names such an image, now or once: ask containerd (ctr images list)"
  done
}

opened() { # DIR: is there and may be looked into; else the probe's answer is set
  [ -d "$1" ] || return 1
  if [ ! -r "$1" ] || [ ! -x "$1" ]; then unknown "$1: Permission denied" && return 1; fi
  needs grep
}

docker_files() { # DIR
  set +f
  set -- "$1" "$1"/containers/*/config.v2.json
  set -f
  if [ -e "$2" ]; then
    base=$1
    shift
    rows=$(grep -H -o '"Image": *"[^"]*"' -- "$@" 2>&1)
    [ $? -lt 2 ] || unknown "$(printf %.300s "$rows")"
    set -- "$base"
    for row in $rows; do
      case $row in *:'"Image"'*) ;; *) continue ;; esac
      id=${row%%/config.v2.json:*} && id=${id##*/} && name=${row##*/config.v2.json:} && name=${name#*:} && name=${name#*'"'} && name=${name%'"'}
      ! holds "$name" "$EVICT_IMAGES" || record engine docker kind container name "$name" id "$id"
    done
  fi
  set +f
  set -- "$1"/image/*/repositories.json
  set -f
  [ -e "$1" ] || return 0
  rows=$(grep -h -o '"[^"]*": *"sha256:[^"]*"' -- "$@" 2>&1)
  [ $? -lt 2 ] || unknown "$(printf %.300s "$rows")"
  for row in $rows; do
    case $row in \"*) ;; *) continue ;; esac
    name=${row#?} && name=${name%%'"'*} && id=${row##*sha256:} && id=${id%'"'}
    ! holds "$name" "$EVICT_IMAGES" || record engine docker kind image name "$name" id "$id"
  done
}

podman_files() { # DIR; the image's name of a container stands in a text of its own, hence the backslashes
  set +f
  set -- "$1"/*-containers/*containers.json "$1"/*-images/images.json
  set -f
  for file in "$@"; do
    if [ ! -e "$file" ] || ! readable "$file"; then continue; fi
    id=
    rows=$(grep -o -e '"id": *"[^"]*"' -e 'image-name\\": *\\"[^"\\]*' -e '"names": *\[[^]]*\]' -- "$file")
    for row in $rows; do
      case $file:$row in
        *:'"id"'*) id=${row%'"'} && id=${id##*'"'} ;;
        *containers.json:image-name*) podman_row container "${row##*'"'}" ;;
        *images.json:'"names"'*)
          IFS='"'
          set -- ${row#*\[}
          IFS=$nl
          for name in "$@"; do
            case $name in '' | ,* | ' '* | ']'*) ;; *) podman_row image "$name" ;; esac
          done
          ;;
      esac
    done
  done
}

podman_row() { # KIND NAME, and id
  ! holds "$2" "$EVICT_IMAGES" || record engine podman kind "$1" name "$2" id "$id"
}

# Runs after the processes, in their shell: pids are those found below the products' folders, blind is what could not be seen.
probe_peers() {
  [ -z "$blind" ] || unknown "$blind"
  IFS=' '
  set -- $pids
  IFS=$nl
  [ $# -gt 0 ] || return 0
  needs ls grep od || return 0
  case $(printf '\001\000' | od -An -tx2) in *0001*) little=yes ;; *) little= ;; esac
  for pid in "$@"; do
    inodes=
    rows=$(ls -ln "/proc/$pid/fd/" 2>&1)
    for row in $rows; do
      case $row in
        *' -> socket:['*']') row=${row##*\[} && inodes="$inodes ${row%?} " ;;
        *'Permission denied') unknown "/proc/$pid/fd: Permission denied" ;;
      esac
    done
    [ -n "$inodes" ] || continue
    exe=$(readlink "/proc/$pid/exe" && echo .) && exe=${exe%"$nl".}
    # Those of the process, since a container has a network of its own; 01 is an established one.
    rows=$(grep -h '^ *[0-9]*: [0-9A-F:]* [0-9A-F:]* 01 ' "/proc/$pid/net/tcp" "/proc/$pid/net/tcp6")
    for row in $rows; do
      IFS=' '
      set -- $row # no local remote state queues timer retransmits uid timeout inode
      IFS=$nl
      case $inodes in *" ${10} "*) ;; *) continue ;; esac
      address "${3%:*}"
      record pid "$pid" exe "$exe" remote "$text" port "$((0x${3#*:}))"
    done
  done
}

address() { # HEX as the kernel prints it: words of four bytes, each as the processor has it -> text
  lower "$1"
  rest=$low text='' words=
  while [ -n "$rest" ]; do
    word=${rest%"${rest#????????}"} && rest=${rest#????????}
    a=${word%??????} && word=${word#??}
    b=${word%????} && word=${word#??}
    c=${word%??} && d=${word#??}
    if [ -n "$little" ]; then words="$words $d$c $b$a"; else words="$words $a$b $c$d"; fi
  done
  IFS=' '
  set -- $words
  IFS=$nl
  case $words in
    ' 0000 0000 0000 0000 0000 ffff '*) shift 6 ;;
  esac
  if [ $# = 2 ]; then
    text=$((0x${1%??})).$((0x${1#??})).$((0x${2%??})).$((0x${2#??}))
  else
    for word in "$@"; do text=$text${text:+:}$word; done
  fi
}
