# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# The POSIX hand for Linux when a plan is asked for: what observe.sh looks at, and what an act would meet (docs/formats.md section 3).
# It stands in the place of observe.sh. A part of a script, see frame.sh and run.sh.
# shellcheck disable=SC2034,SC2154

choose() { # -> probes, preflight
  probes="host packages.dpkg packages.rpm units init_scripts processes paths trees setup accounts modules firewall trust lines containers"
  probes="$probes protection peers reboot"
  preflight="egress repository manager space resources tools enforcement quarantine obstacles roles sessions desktop limits cover job"
  later=peers chain="tools enforcement roles sessions desktop job"
  # Nothing is brought: these have nothing to do, and say so.
  [ -n "$EVICT_PREFLIGHT_PACKAGES$EVICT_PREFLIGHT_ENDPOINTS" ] || chain="$chain egress repository limits"
  # A Mac only says that it is one; nothing is planned for it.
  [ -e /proc/self/stat ] || case $(uname -s) in Darwin) probes=host preflight='' ;; esac
  probes="$probes $preflight"
  [ -n "$preflight" ] || return 0
  look_around
  untroubled
  # The last one, for systemd may not answer; programs have a process of their own.
  case $nl$EVICT_PREFLIGHT_COVER in *"$nl+"*) ;; *) chain="$chain cover" ;; esac
  later="$later $chain"
}

# Where no product and no server's file system is, these look at a few local files: nothing to wait for.
untroubled() { # -> later, chain; troubled: a product's folder is there; clear: neither that nor a server's mount
  troubled=
  for path in $EVICT_PREFLIGHT_TREES; do
    ! there "$path" || { troubled=yes && return 0; }
  done
  [ -n "$table" ] || return 0
  for row in $table; do
    row=${row#* } && row=${row#* }
    ! served "${row%% *}" || return 0
  done
  clear=yes
  rpm_place
  [ -n "$place" ] || later="$later manager" # rpm may wait for its database
  later="$later quarantine" chain="$chain space obstacles"
}

follow() { # those that wait for nobody share a process, best with one that has looked already
  case $1:" $later " in
    processes:*) probe peers ;;
    packages.dpkg:*' manager '*)
      case $status in unknown) silent=${reason%': run with privilege (become)'} ;; *) listed=$rows ;; esac
      probe manager
      ;;
    paths:*' quarantine '*)
      case $status in unknown) ;; *) absent=$missing ;; esac
      probe quarantine
      ;;
    resources:*)
      IFS=' '
      for name in $chain; do probe "$name"; done
      ;;
  esac
}
