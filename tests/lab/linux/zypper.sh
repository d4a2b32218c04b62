#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# zypper.sh FILE: the distribution's zypper as a tar file to be unpacked over a host of the root rpm9, and dnf's plugin for locked versions.
# Packages come from the mirror this machine itself gets Debian from, by lists whose signature is checked. Their own scripts are not run:
# the loader finds libraries in these folders without a cache.
set -euo pipefail
LAB_DIR=$(dirname "$(readlink -f "$0")")
# shellcheck source=tests/lab/linux/base.sh
. "$LAB_DIR/base.sh"
target=$(readlink -f "${1:?usage: zypper.sh FILE}")
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{lists/partial,cache/archives/partial,debs,tree}
: > "$work/status"
own_apt_options "$work/apt.conf"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(debian_mirror) bookworm main" > "$work/sources.list"
apt() {
  APT_CONFIG=$work/apt.conf apt-get -qq -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=/dev/null \
    -o Dir::State::Lists="$work/lists" -o Dir::State::status="$work/status" -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root \
    -o Acquire::Languages=none "$@" >&2
}
apt update
cd "$work/debs"
# what zypper needs and the root has not: the root has rpm and libsolv for its dnf
apt download zypper libzypp1722 libzypp-config libzypp-bin libsolv-tools libaugeas0 libboost-thread1.74.0 libproxy1v5 libsigc++-2.0-0v5 \
  libyaml-cpp0.7 dnf-plugins-core
for file in *.deb; do dpkg-deb -x "$file" "$work/tree"; done
cd "$work/tree"
# of the plugins of dnf that one alone, and apart: a host that is to have it gets it put where dnf looks
mkdir -p srv/versionlock
mv usr/lib/python3/dist-packages/{dnfpluginscore,dnf-plugins/versionlock.py} etc/dnf/plugins/versionlock.conf srv/versionlock/
rm -rf usr/lib/python3 etc/dnf usr/libexec usr/share usr/sbin etc/logrotate.d
mkdir -p etc/zypp/repos.d
tar -czf "$target" --owner=0 --group=0 ./*
