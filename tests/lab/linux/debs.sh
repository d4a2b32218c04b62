#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# debs.sh DIR PACKAGE...: the distribution's own packages, with all they need beyond the root deb12, as a repository for apt. Packages come
# from the mirror this machine itself gets Debian from, by lists whose signature is checked. Nothing is installed here.
set -euo pipefail
LAB_DIR=$(dirname "$(readlink -f "$0")")
# shellcheck source=tests/lab/linux/base.sh
. "$LAB_DIR/base.sh"
CACHE=${EVICT_LAB_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/evict-lab}
target=$(readlink -f "${1:?usage: debs.sh DIR PACKAGE...}")
shift
root=$CACHE/deb12-$(root_tag deb12)
[ -e "$root" ] || die 'no root deb12: fleet base deb12'
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{lists,cache/archives/partial}
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(debian_mirror) bookworm main" > "$work/sources.list"
apt() {
  apt-get -qq -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=/dev/null -o Dir::State::Lists="$work/lists" \
    -o Dir::State::status="$root/var/lib/dpkg/status" -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root -o Acquire::Languages=none "$@" >&2
}
apt update
apt -y --download-only --no-install-recommends install "$@"
mv "$work"/cache/archives/*.deb "$target/"
cd "$target"
for file in *.deb; do
  dpkg-deb --field "$file"
  printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' "$file" "$(stat -c %s "$file")" "$(sha256sum < "$file" | cut -d' ' -f1)"
done > Packages
