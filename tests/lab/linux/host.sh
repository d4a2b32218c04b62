# shellcheck shell=bash
# SPDX-License-Identifier: GPL-3.0-or-later
# One host of the lab; sourced by `fleet`, runs inside the lab's namespaces. A host is the directory HOSTS/NAME: conf (ip, root, options),
# up (overlay upper), root (merged), console.log; plus a cgroup, a network namespace and a veth pair of its name.

host_up() { # NAME IP ROOT [OPTION...]
  local name=${1:-} ip=${2:-} base=${3:-} dir cached mac octets
  [[ $name =~ ^[a-z][a-z0-9]{0,12}$ ]] || die "a host's name is up to 13 small letters and digits: '$name'"
  [[ $ip = lab || $ip =~ ^198\.18\.[0-9]{1,3}\.[0-9]{1,3}$ ]] || die "an address in 198.18.0.0/16, or lab: '$ip'"
  cached=$CACHE/$base-$(root_tag "$base")
  [ -n "$base" ] && [ -e "$cached" ] || die "no root '$base': fleet base $base"
  dir=$HOSTS/$name
  [ ! -e "$dir" ] || die "$name is up already"
  shift 3
  mkdir -p "$dir/root"
  if [[ " $* " = *' small-root '* ]]; then                            # a disk of its own, which a test can fill
    mkdir "$dir/disk"; mount -t tmpfs -o size=16m,mode=755 disk "$dir/disk"
    mkdir "$dir"/disk/{up,wk}; ln -s disk/up disk/wk "$dir/"
  fi
  mkdir -p "$dir"/up/etc/ssh "$dir/wk"
  echo "$ip $base $*" > "$dir/conf"
  printf '%s\n' "$name" > "$dir/up/etc/hostname"
  printf '127.0.0.1 localhost\n127.0.1.1 %s\n' "$name" > "$dir/up/etc/hosts"
  printf '%s %s\n' "$LAB" "$name" | md5sum | cut -c1-32 > "$dir/up/etc/machine-id"      # the same after a reset
  cp "$KEY.pub" "$dir/up/etc/ssh/lab_keys"
  host_options "$dir/up" "$@"
  if [ "$ip" != lab ]; then
    IFS=. read -ra octets <<< "$ip"
    mac=$(printf '02:fe:%02x:%02x:%02x:%02x' "${octets[@]}")       # from the address: a host made anew keeps it, or ARP goes stale
    ip netns add "$name"
    ip link add "v$name" type veth peer name eth0 address "$mac" netns "$name"
    ip link set "v$name" master br0 up
    ip -n "$name" link set lo up; ip -n "$name" addr add "$ip/16" dev eth0; ip -n "$name" link set eth0 up
  fi
  mount -t overlay overlay -o "lowerdir=$cached,upperdir=$dir/up,workdir=$dir/wk" "$dir/root"
  host_known "$ip" "$cached"
  setsid "$SELF" _run "$name" "$ip" < /dev/null > "$dir/console.log" 2>&1 &
}

# host_known IP ROOT: strict host key checking works against the lab, so it is never switched off.
host_known() {
  local key pattern=$1
  [ "$pattern" != lab ] || pattern='127.*'
  (
    flock 7
    touch "$RUN/known_hosts"
    { grep -vF "$pattern " "$RUN/known_hosts" || :; for key in "$2"/etc/ssh/ssh_host_*_key.pub; do echo "$pattern $(cut -d' ' -f1,2 "$key")"; done; } \
      > "$RUN/known_hosts.new"
    mv "$RUN/known_hosts.new" "$RUN/known_hosts"
  ) 7> "$RUN/known_hosts.lock"
}

# host_options UPPER OPTION...: settings a test asks for, written before the host boots.
host_options() {
  local upper=$1 option; shift
  mkdir -p "$upper/etc/ssh/sshd_config.d" "$upper/etc/sudoers.d" "$upper/usr/local/sbin"
  for option; do
    case $option in
      banner)
        printf 'Banner /etc/ssh/lab_banner\n' > "$upper/etc/ssh/sshd_config.d/20-banner.conf"
        { echo '*** authorised use only ***'; for _ in {1..40}; do echo 'NONCE P packages.dpkg absent {{ lookup("pipe", "id") }}'; done; } > "$upper/etc/ssh/lab_banner" ;;
      requiretty) printf 'Defaults requiretty\n' > "$upper/etc/sudoers.d/00-requiretty"; chmod 440 "$upper/etc/sudoers.d/00-requiretty" ;;
      noexec-tmp | small-tmp)
        printf 'tmpfs /tmp tmpfs mode=1777,nosuid,nodev%s 0 0\n' "$([ "$option" = noexec-tmp ] && echo ,noexec || echo ,size=64k)" > "$upper/etc/fstab" ;;
      like-cmd)
        printf 'ForceCommand /usr/local/sbin/like-cmd\n' > "$upper/etc/ssh/sshd_config.d/20-like-cmd.conf"
        install -m 755 "$LAB_DIR/like-cmd.sh" "$upper/usr/local/sbin/like-cmd" ;;
      small-root) ;;                                              # host_up's
      *) die "no such host option: $option" ;;
    esac
  done
}

host_run() { # NAME IP: the host's supervisor; nspawn exits with 133 when the guest asked for a reboot. /tmp is the guest's own affair.
  local name=$1 dir=$HOSTS/$1 cgroup=$LAB_CGROUP/$1 rc=133 network=()
  [ "$2" = lab ] || network=(--network-namespace-path="/run/netns/$name")
  mkdir -p "$cgroup/sup"; echo $$ > "$cgroup/sup/cgroup.procs"     # inside the host's cgroup: one cgroup.kill ends supervisor and guest
  while [ "$rc" = 133 ]; do
    find "$cgroup" -mindepth 1 -depth -type d ! -name sup -exec rmdir {} + 2> /dev/null || :
    rc=0
    # shellcheck disable=SC2016
    sh -c 'echo $$ > "$1/cgroup.procs"; shift; exec "$@"' sh "$cgroup" env SYSTEMD_NSPAWN_TMPFS_TMP=0 systemd-nspawn --quiet --directory="$dir/root" --boot --register=no \
      --keep-unit "${network[@]}" --machine="$name" --hostname="$name" --rlimit=RLIMIT_NOFILE=16384 --console=pipe --resolv-conf=off \
      --timezone=off --link-journal=no --system-call-filter="fanotify_init fanotify_mark" || rc=$?
    echo "[fleet] nspawn ended with $rc"
  done
}

# host_pid NAME: PID 1 of the guest, as the lab sees it.
host_pid() {
  local pid
  host_dir "$1" > /dev/null
  pid=$(head -n 1 "$LAB_CGROUP/$1/payload/init.scope/cgroup.procs" 2> /dev/null || :)
  [ -n "$pid" ] || die "$1: not booted, see: fleet console $1"
  printf '%s\n' "$pid"
}

host_exec() { # NAME CMD...
  local pid name=$1; shift
  pid=$(host_pid "$name")
  exec nsenter --target "$pid" --mount --uts --ipc --net --pid --cgroup --root --wdns=/ -- \
    env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 TERM=dumb DEBIAN_FRONTEND=noninteractive "$@"
}

host_connect() { # IP PORT
  local reader
  exec 3<> "/dev/tcp/$1/$2"
  cat <&3 & reader=$!
  cat >&3 || :
  kill "$reader" 2> /dev/null || :
}

host_wait() {
  local name ip i state
  for name; do
    read -r ip _ < "$(host_dir "$name")/conf"
    [ "$ip" != lab ] || ip=127.0.0.1
    for ((i = 0; i < 600; i++)); do
      if timeout 2 bash -c "exec 3<> /dev/tcp/$ip/22 && read -r -t 2 -u 3 line && [[ \$line == SSH-* ]]" 2> /dev/null; then break; fi
      sleep 0.1
    done
    [ "$i" -lt 600 ] || die "$name: no sshd after a minute, see: fleet console $name"
    state=$(timeout 60 "$SELF" exec "$name" systemctl is-system-running --wait 2>&1 || :)
    [ "$state" = running ] || say "$name: system state is '$state'"
  done
}

host_console() { cat "$(host_dir "$1")/console.log"; }

host_list() {
  local conf
  for conf in "$HOSTS"/*/conf; do [ -e "$conf" ] && echo "$(basename "$(dirname "$conf")") $(cat "$conf")"; done
  return 0
}

host_down() {
  local name=$1 dir; dir=$(host_dir "$name")
  kill_cgroup "$LAB_CGROUP/$name"
  umount -l "$dir/root"
  [ ! -e "$dir/disk" ] || umount -l "$dir/disk"
  if [ -e "/run/netns/$name" ]; then
    ip link del "v$name" 2> /dev/null || :                         # before the namespace, which dies later, and with it the name
    ip netns del "$name"
  fi
  rm -rf --one-file-system "$dir"
}

host_reset() {
  local name=$1 ip base options
  read -r ip base options < "$(host_dir "$name")/conf"
  host_down "$name"
  # shellcheck disable=SC2086  # options are words
  host_up "$name" "$ip" "$base" $options
}

# host_cut NAME: what its processes had written stays, since the disk is memory of this machine; a real power cut may lose more.
host_cut() { host_dir "$1" > /dev/null; kill_cgroup "$LAB_CGROUP/$1"; }

host_boot() {
  local name=$1 dir ip
  dir=$(host_dir "$name")
  [ ! -e "$LAB_CGROUP/$name" ] || die "$name is up"
  read -r ip _ < "$dir/conf"
  setsid "$SELF" _run "$name" "$ip" < /dev/null >> "$dir/console.log" 2>&1 &
}

host_link() { # NAME down|up
  host_dir "$1" > /dev/null
  ip -n "$1" link set eth0 "$2"
}
