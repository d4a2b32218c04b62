# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# Kinds of steps that run and ask programs of a replacement, and set what it needs of the system; tools that they share with packages and
# files. A part of a job, see perform_frame.sh.
# shellcheck disable=SC2034,SC2086,SC2154,SC3013

kind_run() {
  program_there || return 1
  captured "$a_program" $a_arguments
  found=
  [ "$code" != 0 ] || found=yes
  for item in $a_accepts; do [ "$item" != "$code" ] || found=yes; done
  if [ -z "$found" ]; then
    if [ "$code" = 124 ]; then
      wrong timed_out "$code" "$a_program did not end within the time of the step"
    else
      wrong program_failed "$code" "$a_program ended with $code: $(last_words)"
    fi
    return 1
  fi
  holds_all "$a_expects" || { wrong not_as_expected "$code" "$a_program ended with $code, but did not say '$lacking': $(last_words)" && return 1; }
  status='done'
}

kind_expect() {
  program_there || return 1
  end=$deadline
  while :; do
    clock
    # One question must not eat the time of all.
    if [ "$left" -gt 60 ]; then deadline=$((now + 60)); else deadline=$end; fi
    captured "$a_program" $a_arguments
    deadline=$end
    ! holds_all "$a_contains" || { status='done' && return 0; }
    clock
    [ "$left" -gt 2 ] || break
    sleep 2
  done
  wrong not_as_expected "$code" "$a_program did not say '$lacking' in time: $(last_words)"
  return 1
}

program_there() {
  case $a_program in /?*) ;; *) wrong program_missing 127 "$a_program is no whole path of a program" && return 1 ;; esac
  [ -f "$a_program" ] && [ -x "$a_program" ] && return 0
  wrong program_missing 127 "$a_program is not on this host: the package that brings it is not installed"
  return 1
}

holds_all() { # TEXTS: does the answer hold all of them? -> lacking
  for lacking in $1; do
    case $answer in *"$lacking"*) ;; *) return 1 ;; esac
  done
  lacking=
}

# Raised when it is lower, never lowered. Lines of other limits in our file stay.
kind_raise_sysctl() {
  case $a_key:$a_value in
    *[!A-Za-z0-9._:-]* | .* | *..* | *:*[!0-9]* | *:) wrong not_offered '' "$a_key=$a_value is no limit of the kernel" && return 1 ;;
  esac
  file=/proc/sys/$(printf %s "$a_key" | tr . /)
  limit_now || { wrong not_offered '' "this kernel has no limit $a_key" && return 1; }
  [ "$limit" -lt "$a_value" ] || { status=already && return 0; }
  # A file that is read later than ours at the next start would win.
  set +f
  set -- /etc/sysctl.d/6[1-9]*.conf /etc/sysctl.d/[7-9]*.conf /etc/sysctl.d/[A-Za-z]*.conf /etc/sysctl.conf
  set -f
  for other in "$@"; do
    [ -r "$other" ] || continue
    line=$(sed -n "s/^[[:space:]]*-\{0,1\}$(printf %s "$a_key" | sed 's/[.]/[.\/]/g')[[:space:]]*=[[:space:]]*\([0-9]*\)[[:space:]]*$/\1/p" "$other" | tail -n 1)
    [ -z "$line" ] || [ "$line" -ge "$a_value" ] ||
      { wrong set_elsewhere '' "$other sets $a_key to $line at each start: raise or remove it there" && return 1; }
  done
  draft=$staging/.draft
  {
    printf '# Written by evict.kaspersky.\n'
    [ ! -f /etc/sysctl.d/60-evict.conf ] || grep -v -e '^#' -e "^$(printf %s "$a_key" | sed 's/[.]/[.]/g') =" /etc/sysctl.d/60-evict.conf
    printf '%s = %s\n' "$a_key" "$a_value"
  } >"$draft"
  limit_file=$file
  put "$draft" /etc/sysctl.d/60-evict.conf 0644 root || { rm -f -- "$draft" && return 1; }
  rm -f -- "$draft"
  file=$limit_file
  said=$( (printf '%s\n' "$a_value" >"$file") 2>&1)
  limit_now && [ "$limit" -ge "$a_value" ] ||
    { wrong refused_by_system '' "$a_key is $limit and could not be raised: $said; raise it where this host's kernel runs" && return 1; }
  status='done'
}

limit_now() { # -> limit
  # Not by `read`, which asks for single characters: the kernel gives the first one and no more.
  limit=$(cat "$file" 2>/dev/null)
  case $limit in '' | *[!0-9]*) return 1 ;; esac
}

kind_set_selinux_boolean() {
  case $a_value in on | 1) wanted=1 ;; off | 0) wanted=0 ;; *) wrong not_offered '' "$a_value is neither on nor off" && return 1 ;; esac
  case $a_name in '' | *[!A-Za-z0-9_]*) wrong not_offered '' "$a_name is no boolean of SELinux" && return 1 ;; esac
  # Not loaded, nothing to set: there is no such thing on this host.
  [ -e /sys/fs/selinux/enforce ] || { status=already && return 0; }
  boolean_now || { wrong not_offered '' "this host's policy of SELinux has no boolean $a_name: look at its policy packages" && return 1; }
  [ "$boolean" != "$wanted" ] || { status=already && return 0; }
  has setsebool || { wrong program_missing 127 'setsebool is missing: install policycoreutils' && return 1; }
  bounded setsebool -P "$a_name=$wanted"
  boolean_now && [ "$boolean" = "$wanted" ] || { wrong refused_by_system "$code" "the boolean $a_name stays as it was: $(last_words)" && return 1; }
  status='done'
}

boolean_now() { # -> boolean: what holds now
  boolean=
  [ -r "/sys/fs/selinux/booleans/$a_name" ] && IFS=' ' read -r boolean _ <"/sys/fs/selinux/booleans/$a_name"
  case $boolean in 0 | 1) ;; *) return 1 ;; esac
}

# --- tools --------------------------------------------------------------------------------------------------------------

wrong() { # CLASS CODE MEANING
  fail "$@"
  return 0
}

clock() { # -> now (seconds since the start of the host), left (of the step's time)
  IFS=' ' read -r now _ </proc/uptime
  now=${now%%.*} && left=$((deadline - now))
}

# `said` is only the end of what a program said; here its whole answer is needed.
captured() { # PROGRAM ARGUMENT... -> code, said, answer
  bounded "$@"
  answer=$(cat "$output")
  return "$code"
}

last_words() { # what a program said last, its complaints first, as one line
  told=$(printf '%s\n' "$said" | grep -e '^E: ' -e '^[Ee]rror.*[^: ]' -e '^ERROR' | tail -n 3)
  told=$(printf '%s\n' "${told:-$said}" | tail -n 3 | tr -s '\n\t ' ' ' | cut -c 1-300)
  printf %s "${told% }"
}

words() { # ITEM... -> one line, each after a blank
  for item in "$@"; do printf ' %s' "$item"; done
}
