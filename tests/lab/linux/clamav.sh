#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# clamav.sh DIR: the distribution's own packages of ClamAV, as a repository for apt (debs.sh); and a library that makes a program
# believe in another time ($LAB_TIME).
set -euo pipefail
LAB_DIR=$(dirname "$(readlink -f "$0")")
target=$(readlink -f "${1:?usage: clamav.sh DIR}")
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
"$LAB_DIR/debs.sh" "$target" clamav clamav-daemon clamav-freshclam clamdscan
cd "$target"
cat > "$work/time.c" <<'C'
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
time_t time(time_t *t) { time_t now = atol(getenv("LAB_TIME")); if (t) *t = now; return now; }
int gettimeofday(struct timeval *restrict tv, void *restrict tz) { (void)tz; tv->tv_sec = time(0); tv->tv_usec = 0; return 0; }
C
gcc -shared -fPIC -O2 -o time.so "$work/time.c"
