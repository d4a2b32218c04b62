# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# Is a job of an earlier run under way, or half done? A part of a script, needs perform_status.sh; see frame.sh.
# shellcheck disable=SC2034,SC2154

probe_job() {
  at_home
  there "$base" || return 0
  [ -x "$base" ] || { unknown "$base: Permission denied" && return 0; }
  ! open_job || record digest "$digest" phase "$phase" state "$state" run "$run" since "$since"
}
