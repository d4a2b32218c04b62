# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# Runs the probes that observe.sh or observe_macos.sh chooses. The last part of a script, see frame.sh.
# shellcheck disable=SC2034,SC2086,SC2154,SC3013

  set +eu -f
  PATH=/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin # the last one is NixOS's
  LC_ALL=C
  export PATH LC_ALL
  unset CDPATH ENV BASH_ENV GREP_OPTIONS GREP_COLORS QUOTING_STYLE POSIXLY_CORRECT TIME_STYLE DPKG_ADMINDIR DPKG_ROOT RPM_CONFIGDIR
  umask 077
  nl='
'
  tab=$(printf '\t')
  cr=$(printf '\r')
  IFS=$nl
  nonce=${EVICT_NONCE:-EVICT} limit=${EVICT_TIMEOUT:-20}
  case $limit in *[!0-9]* | 0*) limit=20 ;; esac
  choose
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
    # The pid of this very process; $$ is main's.
    if [ -r /proc/self/stat ]; then IFS=' ' read -r lead _ </proc/self/stat; else lead=$(exec sh -c 'echo $PPID'); fi
    IFS=' '
    pids=
    for name in $probes; do
      case " $later " in *" $name "*) continue ;; esac
      {
        probe "$name"
        follow "$probe" # probes use $name themselves
      } </dev/null &
      pids="$pids $!"
    done
    alarm $pids </dev/null &
    wait
  } 2>/dev/null | collect 2>/dev/null
