# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# The POSIX hand: looks, prints facts (docs/formats.md section 3), decides nothing, writes nothing. A part of a script, see frame.sh;
# this one runs the probes.
# shellcheck disable=SC2034,SC2086,SC2154,SC3013

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
