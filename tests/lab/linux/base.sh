# shellcheck shell=bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Cached root file systems of the Linux lab; sourced by `fleet` and `pyroot`. A change of this file makes new roots.
#
# Every root has: systemd, OpenSSH (host keys shared by all hosts of a root), root by key only, and these users (password: $LAB_PASSWORD):
#   nopass     sudo without a password          withpass   sudo with the password       plain      no sudo
#   noisy      as nopass, its profile prints a lot
#   cshuser fishuser (deb12 only) as nopass with that login shell;  deb12 has doas too, for user nopass, busybox and three locales
# root has the password too, for su; sshd lets root in by key only

# shellcheck disable=SC2034  # fleet and lab.py read it
LAB_PASSWORD='Lab-2-pass'
LAB_BASES=(deb12 deb13 nopy rpm9)

say() { echo "fleet: $*" >&2; }
die() { echo "fleet: $*" >&2; exit 1; }

# debian_mirror: the address this machine itself gets Debian from; no mirror is named in this repository.
debian_mirror() {
  local found
  found=$(apt-get indextargets --format "\$(ORIGIN)|\$(COMPONENT)|\$(CODENAME)|\$(REPO_URI)" 'Created-By: Packages' 2>/dev/null |
    awk -F'|' '$1 == "Debian" && $2 == "main" && $3 !~ /-/ { print $4; exit }')
  [ -n "$found" ] || die "no Debian mirror in this machine's apt lists: is this Debian? try apt-get update"
  printf '%s\n' "$found"
}

# own_apt_options FILE: proxy and certificate settings of this machine's apt, to be used while a root is made.
own_apt_options() { apt-config dump | grep -Ei '^Acquire::(https?|ftp)::(Proxy|CaInfo|CaPath|Verify)' > "$1" || : > "$1"; }

# bootstrap SUITE TARGET PACKAGES: a small Debian root, in a mount and pid namespace of its own so that a kill leaves nothing mounted.
bootstrap() {
  local suite=$1 target=$2 packages=$3 mirror options rc=0
  mirror=$(debian_mirror)
  options=$(mktemp); own_apt_options "$options"
  unshare --mount --propagation private --pid --fork --kill-child --mount-proc \
    mmdebstrap --mode=root --variant=minbase --quiet --format=directory --aptopt="$options" --aptopt='Acquire::Languages "none"' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-include=/usr/share/locale/*/LC_MESSAGES/sudo.mo' --dpkgopt='path-include=/usr/share/locale/*/LC_MESSAGES/Linux-PAM.mo' \
    --dpkgopt='path-include=/usr/share/locale/*/LC_MESSAGES/coreutils.mo' \
    --keyring=/usr/share/keyrings/debian-archive-keyring.gpg --include="$packages" "$suite" "$target" "$mirror" >&2 || rc=$?
  rm -f "$options" "$target/etc/apt/apt.conf.d/99mmdebstrap"
  return "$rc"
}

# root_tag NAME: names the cached root; it changes with the recipe.
root_tag() { { cat "$LAB_DIR/base.sh"; echo "$1"; } | sha256sum | cut -c1-12; }

# cached_root NAME: builds CACHE/NAME-TAG with `$SELF _make NAME DIR` (a process of its own, so that any failing step ends it) unless it
# is there; a build that was cut off leaves no half root.
cached_root() {
  local name=$1 root temporary
  root=$CACHE/$name-$(root_tag "$name")
  mkdir -p "$CACHE"
  (
    flock 9
    [ -e "$root" ] && exit 0
    temporary=$CACHE/.building-$name
    rm -rf --one-file-system "$temporary"
    say "building the root $name (once)"
    "$SELF" _make "$name" "$temporary" || { say "the root $name could not be built"; exit 1; }
    mv "$temporary" "$root"
  ) 9> "$CACHE/.lock-$name"
}

# fleet_root NAME DIR: one of LAB_BASES.
fleet_root() {
  local name=$1 root=$2 suite=bookworm packages=systemd-sysv,dbus,openssh-server,procps,iproute2,sudo
  case $name in
    deb12) packages+=,python3,python3-apt,tcsh,fish,opendoas,busybox-static,locales ;;
    deb13) suite=trixie packages+=,python3,python3-apt ;;
    nopy) ;;
    rpm9) packages+=,python3,rpm,dnf,python3-rpm,python3-dnf,createrepo-c ;;
    *) die "no such root: $name (there are: ${LAB_BASES[*]})" ;;
  esac
  bootstrap "$suite" "$root" "$packages"
  host_settings "$root"
  host_users "$root"
  [ ! -d "$root/usr/share/i18n" ] || host_locales "$root"
  if [ "$name" = rpm9 ]; then rpm_family "$root"; else empty_apt_repository "$root"; fi
  if [ "$name" = nopy ] && [ -n "$(find "$root/usr/bin" -name 'python3*' -print -quit)" ]; then die 'the root nopy holds a Python'; fi
}

host_settings() {
  local root=$1 unit
  rm -f "$root/etc/hostname" "$root/etc/resolv.conf"              # copies of the builder's
  : > "$root/etc/machine-id"                                     # each host gets its own
  cat > "$root/etc/ssh/sshd_config.d/10-lab.conf" <<'X'
UseDNS no
MaxStartups 2000:30:4000
MaxSessions 200
PermitRootLogin prohibit-password
AuthorizedKeysFile /etc/ssh/lab_keys .ssh/authorized_keys
X
  # nothing may change a host behind a test's back
  mkdir -p "$root/etc/systemd/system"
  for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer e2scrub_all.timer e2scrub_reap.service \
    systemd-tmpfiles-clean.timer dnf-makecache.timer systemd-networkd-wait-online.service; do
    ln -sfn /dev/null "$root/etc/systemd/system/$unit"
  done
  # What looks for disks, consoles and the like has nothing to find here, and would take two fifths of the time of every reload.
  mkdir -p "$root/etc/systemd/system-generators"
  for unit in bless-boot cryptsetup debug getty gpt-auto hibernate-resume import integritysetup rc-local run ssh system-update tpm2 veritysetup; do
    ln -sfn /dev/null "$root/etc/systemd/system-generators/systemd-$unit-generator"
  done
}

# host_locales ROOT: a Turkish one (its i and I are other letters), one that is no superset of ASCII, and a usual one.
host_locales() {
  local root=$1
  chroot "$root" localedef -i tr_TR -f UTF-8 tr_TR.UTF-8
  chroot "$root" localedef -i de_DE -f UTF-8 de_DE.UTF-8
  chroot "$root" localedef -c -i ja_JP -f SHIFT_JIS ja_JP.SJIS 2> /dev/null || :        # it warns that \\ and ~ differ, and makes it
  [ "$(chroot "$root" locale -a | grep -c -e ^tr_TR -e ^de_DE -e ^ja_JP)" = 3 ] || die 'the locales were not made'
  rm -rf "$root/usr/share/i18n"
}

host_users() {
  local root=$1 user shell
  echo "root:$LAB_PASSWORD" | chroot "$root" chpasswd
  for user in nopass withpass plain noisy cshuser fishuser; do
    shell=/bin/bash
    case $user in cshuser) shell=/bin/tcsh ;; fishuser) shell=/usr/bin/fish ;; esac
    [ -x "$root$shell" ] || continue
    chroot "$root" useradd -m -s "$shell" "$user"
    echo "$user:$LAB_PASSWORD" | chroot "$root" chpasswd
    case $user in
      withpass) echo "$user ALL=(ALL:ALL) ALL" ;;
      plain) continue ;;
      *) echo "$user ALL=(ALL:ALL) NOPASSWD: ALL" ;;
    esac > "$root/etc/sudoers.d/lab-$user"
    chmod 440 "$root/etc/sudoers.d/lab-$user"
  done
  # what a login or a non-interactive shell of this user prints: text that looks like ours, control characters, no line end
  # shellcheck disable=SC2016  # the host's shell expands it
  printf '%s\n' 'i=0; while [ $i -lt 200 ]; do echo "NONCE P packages.dpkg absent line $i {{ 1/0 }}"; i=$((i+1)); done' \
    'printf "\033[2Jwelcome\007 without a line end"; echo "to stderr as well" >&2' > "$root/home/noisy/.profile"
  cp "$root/home/noisy/.profile" "$root/home/noisy/.bashrc"       # bash reads it for commands that come over ssh
  [ ! -x "$root/usr/bin/doas" ] || { echo 'permit nopass :nopass' > "$root/etc/doas.conf"; chmod 400 "$root/etc/doas.conf"; }
}

# empty_apt_repository ROOT: apt-get update works without a network.
empty_apt_repository() {
  local root=$1
  rm -f "$root"/etc/apt/sources.list.d/*
  mkdir -p "$root/srv/repo"; : > "$root/srv/repo/Packages"
  echo 'deb [trusted=yes] file:/srv/repo ./' > "$root/etc/apt/sources.list"
  rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*
}

# rpm_family ROOT: turns a Debian root that holds Debian's rpm and dnf into a look-alike of Enterprise Linux 9.
rpm_family() {
  local root=$1 stub
  mkdir -p "$root/etc/rpm" "$root/var/lib/rpm" "$root/stubs"
  echo '%_dbpath /var/lib/rpm' > "$root/etc/rpm/macros"           # Debian's rpm uses ~/.rpmdb: rpm and dnf would look at two databases
  echo 'x86_64-redhat-linux' > "$root/etc/rpm/platform"
  chroot "$root" rpm --initdb
  # packages that an rpm system "has", so that dependencies resolve: name version release provides...
  while read -r stub; do
    # shellcheck disable=SC2086  # one word per field
    rpm_stub "$root" $stub &
  done <<'X'
rocky-release 9.5 1.el9 system-release=9.5 system-release(releasever)=9 redhat-release=9.5
filesystem 3.16 5.el9
glibc 2.34 125.el9 libc.so.6()(64bit)
bash 5.1.8 9.el9 /bin/sh /bin/bash
coreutils 8.32 36.el9
perl 5.32.1 481.el9
systemd 252 46.el9
openssh-server 8.7p1 43.el9
python3 3.9.19 8.el9
dnf 4.14.0 17.el9
rpm 4.16.1.3 34.el9
kernel-core 5.14.0 503.el9
X
  wait
  chroot "$root" sh -c 'rpm -i --justdb --nodeps --noscripts /stubs/*/RPMS/x86_64/*.rpm'
  [ "$(chroot "$root" rpm -qa | wc -l)" = 12 ] || die 'the rpm stubs were not all installed'
  rm -rf "$root/stubs"
  rm -f "$root/usr/lib/os-release" "$root/etc/debian_version"
  cat > "$root/usr/lib/os-release" <<'X'
NAME="Rocky Linux"
VERSION="9.5 (Blue Onyx)"
ID="rocky"
ID_LIKE="rhel centos fedora"
VERSION_ID="9.5"
PLATFORM_ID="platform:el9"
PRETTY_NAME="Rocky Linux 9.5 (Blue Onyx)"
X
  ln -sfn ../usr/lib/os-release "$root/etc/os-release"
  echo 'Rocky Linux release 9.5 (Blue Onyx)' > "$root/etc/redhat-release"; ln -sfn redhat-release "$root/etc/system-release"
  mkdir -p "$root/usr/libexec" "$root/etc/yum.repos.d" "$root/srv/repo"
  ln -sfn ../bin/python3 "$root/usr/libexec/platform-python"; ln -sfn dnf-3 "$root/usr/bin/yum"
  chroot "$root" createrepo_c -q /srv/repo
  printf '[local]\nname=local\nbaseurl=file:///srv/repo\nenabled=1\ngpgcheck=0\n' > "$root/etc/yum.repos.d/local.repo"
  rm -rf "$root"/var/lib/dpkg "$root"/etc/apt "$root"/var/lib/apt "$root"/var/cache/apt "$root"/usr/lib/apt "$root"/usr/lib/dpkg "$root"/etc/dpkg
  rm -f "$root"/usr/bin/apt* "$root"/usr/bin/dpkg*
}

rpm_stub() { # ROOT NAME VERSION RELEASE PROVIDES...
  local root=$1 name=$2 version=$3 release=$4 provide; shift 4
  {
    printf 'Name: %s\nVersion: %s\nRelease: %s\nSummary: stub\nLicense: none\nAutoReqProv: no\nBuildArch: x86_64\n' "$name" "$version" "$release"
    for provide; do case $provide in *=*) provide="${provide%=*} = ${provide##*=}" ;; esac; echo "Provides: $provide"; done
    printf '%%description\nstub\n%%files\n'
  } > "$root/stubs/$name.spec"
  chroot "$root" rpmbuild -bb --quiet --target x86_64 --define "_topdir /stubs/$name" "/stubs/$name.spec" > "$root/stubs/$name.log" 2>&1
}
