# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# Kinds of steps that bring packages of a replacement, and take back what they brought. A part of a job, see perform_frame.sh.
# The database is asked afterwards, whatever the tool said; nothing is installed that would take something else away.
# shellcheck disable=SC2034,SC2086,SC2154,SC2254,SC3013

kind_refresh_packages() {
  manager || return 1
  case $a_manager in
    apt) managed apt_get update ;;
    zypper) managed zypp refresh || zypp_some_left ;;
    *) managed yum_dnf clean expire-cache && managed yum_dnf makecache ;;
  esac
  [ "$code" = 0 ] || { fail_managed 'the lists of the repositories could not be fetched' && return 1; }
  # They end with 0, too, when they could not reach a repository: apt takes an old list of it, dnf goes on without it.
  case $nl$answer in
    *"${nl}W: Failed to fetch"* | *"${nl}W: Some index files failed"*)
      [ "$answer" != "${answer#*"$nl"Get:}" ] || [ "$answer" != "${answer#*"$nl"Hit:}" ] ||
        { fail_managed 'no repository could be reached' && return 1; }
      ;;
    *"${nl}Ignoring repositories: "*) some_left || { fail_managed 'no repository could be reached' && return 1; } ;;
  esac
  status='done'
}

zypp_some_left() { # -> code: zypper calls it a failure, too, when only one repository of several could not be reached
  case $answer in *'Some of the repositories have not been refreshed'*) code=0 ;; esac
}

some_left() { # of the repositories, after dnf has said which it goes without
  without=${answer#*"${nl}Ignoring repositories: "} && without=", ${without%%"$nl"*},"
  complaint=$answer
  managed yum_dnf -q repolist --enabled
  for row in $answer; do
    case $row in 'repo id '*) continue ;; esac
    case $without in *", ${row%% *},"*) ;; *) return 0 ;; esac
  done
  answer=$complaint
  return 1
}

kind_download_packages() {
  manager && package_names $a_packages || return 1
  missing $a_packages
  dry_run $a_packages || { fail_managed 'the packages cannot be installed' && return 1; }
  removes_nothing || return 1
  if [ -z "$changes" ] || cached $a_packages; then
    status=already
    return 0
  fi
  case $a_manager in
    apt) managed apt_get --download-only --no-install-recommends install $a_packages ;;
    zypper) managed zypp --no-refresh install --download-only --no-recommends $a_packages ;;
    *) managed yum_dnf --downloadonly install $a_packages ;;
  esac
  if [ "$code" != 0 ] || ! cached $a_packages; then
    fail_managed 'the packages could not be fetched'
    return 1
  fi
  status='done'
}

kind_install_packages() {
  manager && package_names $a_packages && bring $a_packages
}

kind_install_file() {
  manager || return 1
  staged "$a_name" || return 1
  files=$staging/$a_name offline=
  install_files
}

kind_install_folder() {
  manager || return 1
  staged_folder "$a_folder" || return 1
  ending=rpm files='' offline=yes
  [ "$a_manager" != apt ] || ending=deb
  set +f
  for file in "$staging/$a_folder"/*."$ending"; do
    [ ! -f "$file" ] || [ -h "$file" ] || files=$files$file$nl
  done
  set -f
  [ -n "$files" ] || { wrong not_offered '' "the folder $a_folder of the archive holds no $ending file: pack them into it" && return 1; }
  install_files
}

# Takes back what this step installed, by what it noted before it began; what another package needs by now stays, and is told.
kind_remove_packages() {
  manager || return 1
  noted again
  again=$value
  noted new
  fresh=$value names=
  for name in $fresh $again; do
    ! traces "$name" || names=$names$name$nl
  done
  [ -n "$names" ] || { status=already && return 0; }
  takes_only $names || return 1
  if [ "$a_manager" = apt ]; then
    managed apt_get remove $names
    # Settings that were there before we came stay.
    for name in $again; do fresh=$(printf %s "$fresh" | grep -Fxv "$name"); done
    [ -z "$fresh" ] || managed apt_get purge $fresh
  else
    managed rpm -e $names
  fi
  for name in $names; do
    ! traces "$name" || { fail_managed "$name is still installed" still_there && return 1; }
  done
  status='done'
}

takes_only() { # PACKAGE...: would nothing else go with them?
  if [ "$a_manager" != apt ]; then
    managed rpm -e --test "$@"
    case $answer in
      *'is needed by'*)
        wrong would_remove_others "$code" 'another package needs by now what was installed: it stays; remove it by hand when nothing needs it'
        return 1
        ;;
    esac
    return 0
  fi
  managed apt_get --simulate remove "$@"
  others=
  for row in $answer; do
    case $row in Remv\ * | Purg\ *) ;; *) continue ;; esac
    row=${row#* } && row=${row%% *}
    case $nl$names in *"$nl$row$nl"* | *"$nl${row%:*}$nl"*) ;; *) others="$others $row" ;; esac
  done
  if [ "$code" != 0 ]; then
    fail_managed 'the packages cannot be removed again'
    return 1
  elif [ -n "$others" ]; then
    wrong would_remove_others '' "taking the packages back would remove$others, too: they stay; remove them by hand when nothing needs them"
    return 1
  fi
}

# --- installing ---------------------------------------------------------------------------------------------------------

bring() { # PACKAGE... or, when files is set, those files
  missing "$@"
  if ! dry_run "$@"; then
    # What is there needs no repository.
    [ -n "$lacking" ] || { status=already && return 0; }
    fail_managed 'the packages cannot be installed'
    return 1
  fi
  removes_nothing || return 1
  [ -n "$changes$lacking" ] || { status=already && return 0; }
  promise || return 1
  before=no
  [ ! -e /run/reboot-required ] || before=yes
  transact '' "$@"
  if [ "$a_manager" != apt ] && [ "$code" != 0 ]; then
    trouble
    # The lists may have grown too old on the way; the packages are here already.
    case $class.$a_manager in not_reachable.zypper) ;; not_reachable.*) transact --cacheonly "$@" ;; esac
  fi
  ended=$code
  missing "$@"
  code=$ended
  [ -z "$lacking" ] || { fail_managed "not installed:$(words $lacking)" not_installed && return 1; }
  [ "$before$a_manager$ended" != nozypper102 ] || restart=yes
  [ "$before" = yes ] || [ ! -e /run/reboot-required ] || restart=yes
  status='done'
}

# Before anything happens, so that an undoing knows it even when this is cut off; a second try adds to it.
promise() { # what is in added will have come by this step
  noted again
  again=$value
  noted new
  new=$value
  for name in $added; do
    case $nl$new$nl$again$nl in *"$nl$name$nl"*) continue ;; esac
    state_of "$name"
    case $state in
      installed) ;;
      config-files) again=${again:+$again$nl}$name ;;
      *) new=${new:+$new$nl}$name ;;
    esac
  done
  [ -z "$new" ] || note new "$new" || return 1
  [ -z "$again" ] || note again "$again"
}

transact() { # OPTION PACKAGE...
  option=$1
  shift
  case $a_manager in
    apt) managed apt_get $sources --no-install-recommends --no-remove install "$@" ;;
    zypper) managed zypp --no-refresh $sources install --no-recommends ${files:+--allow-unsigned-rpm} "$@" ;;
    *) managed yum_dnf $option $sources install "$@" ;;
  esac
}

install_files() {
  # Without a repository: what the archive lacks cannot come from anywhere, and what is here is newer, stays.
  sources=
  if [ -n "$offline" ]; then
    case $a_manager in
      apt) sources="-o${nl}Dir::Etc::SourceList=/dev/null${nl}-o${nl}Dir::Etc::SourceParts=/dev/null" ;;
      # It serves the files from a repository of its own for the time, which --disable-repositories would switch off, too.
      zypper) sources="--reposd-dir${nl}$base/no-repositories" ;;
      *) sources='--disablerepo=*' ;;
    esac
  fi
  wanted='' older=
  for file in $files; do
    package_of "$file" || { wrong file_broken '' "${file##*/} is no package that this host can read: get the right file" && return 1; }
    version_of "$name"
    newer || { wanted=$wanted$file$nl && continue; }
  done
  files=$wanted
  [ -n "$files" ] || { status=already && sources='' && return 0; }
  bring $files
  code=$?
  files='' sources=
  return "$code"
}

package_of() { # FILE -> name, offered: its package and version
  if [ "$a_manager" = apt ]; then
    # shellcheck disable=SC2016  # dpkg's fields
    rows=$(dpkg-deb --show --showformat '${Package}\n${Version}' "$1" 2>/dev/null)
  else
    rows=$(rpm -qp --nosignature --qf '%{NAME}\n%{VERSION}-%{RELEASE}' "$1" 2>/dev/null)
  fi || return 1
  case $rows in *"$nl"?*) ;; *) return 1 ;; esac
  name=${rows%%"$nl"*} offered=${rows#*"$nl"}
}

newer() { # is what is installed (version) as new as what is offered?
  [ -n "$version" ] || return 1
  [ "$version" != "$offered" ] || return 0
  if [ "$a_manager" = apt ]; then
    dpkg --compare-versions "$version" gt "$offered"
  else
    # rpm itself knows: a test of an upgrade to something older is refused with these words.
    case $(rpm -U --test --nosignature --nodeps "$file" 2>&1) in *'which is newer than'*) return 0 ;; *) return 1 ;; esac
  fi
}

# --- asking first -------------------------------------------------------------------------------------------------------

dry_run() { # PACKAGE... -> added, removed: names; changes: is there anything to do? false: it cannot be done
  added='' removed='' changes=
  case $a_manager in
    apt)
      managed apt_get $sources --simulate --no-install-recommends install "$@"
      apt_plan
      ;;
    zypper)
      managed zypp --no-refresh $sources --xmlout install --dry-run --no-recommends ${files:+--allow-unsigned-rpm} "$@"
      zypp_plan
      ;;
    *)
      managed yum_dnf $sources --assumeno install "$@"
      yum_dnf_plan
      ;;
  esac
  [ "$code" = 0 ]
}

apt_plan() {
  for row in $answer; do
    case $row in
      'Inst '*)
        changes=yes row=${row#Inst }
        case $row in *' ['*' ('*) continue ;; esac # another version of it is there
        added=$added${row%% *}$nl
        ;;
      Remv\ * | Purg\ *) row=${row#* } && removed=$removed${row%% *}$nl ;;
    esac
  done
}

# A table in sections; a name too long for its column has the rest of its row on the next line, indented further.
yum_dnf_plan() {
  section=
  for row in $answer; do
    case $row in
      'Installing'*: | 'Upgrading'*: | 'Updating'*: | 'Downgrading'*: | 'Reinstalling'*: | 'Removing'*: | 'Transaction Summary'*) section=$row ;;
      '    '*replacing\ *)
        row=${row#*replacing}
        row=${row#"${row%%[! ]*}"}
        removed=$removed${row%% *}$nl
        ;;
      '  '*) ;;
      ' '*)
        row=${row# } && row=${row%% *}
        case $section in
          Installing*) changes=yes added=$added$row$nl ;;
          Removing*) removed=$removed$row$nl ;;
          Trans* | '') ;;
          *) changes=yes ;;
        esac
        ;;
    esac
  done
  # It was told to say no: that is no failure.
  case $answer in *'Operation aborted'* | *'Exiting on user'* | *'Nothing to do'*) code=0 ;; esac
}

zypp_plan() {
  section=
  for row in $answer; do
    case $row in
      *'<to-'*'>'*) section=${row#*<to-} && section=${section%%>*} ;;
      *'</to-'*) section= ;;
      *'<solvable '*' name="'*)
        case $row in *'type="package"'*) ;; *) continue ;; esac
        row=${row#* name=\"} && row=${row%%\"*}
        case $section in
          install) changes=yes added=$added$row$nl ;;
          remove) removed=$removed$row$nl ;;
          ?*) changes=yes ;;
        esac
        ;;
    esac
  done
}

removes_nothing() {
  [ -n "$removed" ] || return 0
  wrong would_remove_others '' "installing would remove$(words $removed): solve the conflict first, or choose another replacement"
  return 1
}

cached() { # PACKAGE...: is all that an installation needs in the cache?
  case $a_manager in
    apt)
      managed apt_get --print-uris --no-install-recommends install "$@"
      [ "$code" = 0 ] || return 1
      for row in $answer; do
        case $row in "'file:"* | "'cdrom:"*) ;; "'"*) return 1 ;; esac # what lies on this host is not fetched
      done
      ;;
    zypper)
      dry_run "$@" || return 1
      case $answer in *' download-size="0" '*) ;; *) return 1 ;; esac
      ;;
    *)
      managed yum_dnf --cacheonly --downloadonly install "$@"
      [ "$code" = 0 ]
      ;;
  esac
}

missing() { # PACKAGE or FILE... -> lacking: those that the database does not know as installed
  lacking=
  for item in "$@"; do
    case $item in
      /*)
        file=$item
        package_of "$file" && version_of "$name" && newer || lacking=$lacking${file##*/}$nl
        ;;
      *)
        version_of "${item%%=*}"
        if [ -n "$version" ]; then case $item in *=*) case $version in ${item#*=}) ;; *) version= ;; esac ;; esac; fi
        [ -n "$version" ] || lacking=$lacking$item$nl
        ;;
    esac
  done
}

traces() { # NAME: is anything of it there but settings?
  state_of "$1"
  case $state in not-installed | config-files) return 1 ;; esac
}

version_of() { # NAME -> version; empty: it is not installed, or not completely
  state_of "$1"
  [ "$state" = installed ] || version=
}

state_of() { # NAME -> state (in the words of dpkg), version
  version='' state=not-installed
  if [ "$a_manager" = apt ]; then
    # shellcheck disable=SC2016  # dpkg's fields
    for row in $(dpkg-query --show --showformat '=${Status} ${Version}\n' "$1" 2>/dev/null); do
      case $row in
        =*' not-installed '*) ;;
        =*' config-files '*) [ "$state" != not-installed ] || state=config-files ;;
        =*' ok installed '?*) state=installed version=${row##* } ;;
        =*) [ "$state" = installed ] || state=half ;;
      esac
    done
    return 0
  fi
  rows=$(rpm -q --qf '%{VERSION}-%{RELEASE}\n' "$1" 2>/dev/null) ||
    rows=$(rpm -q --whatprovides --qf '%{VERSION}-%{RELEASE}\n' "$1" 2>/dev/null) || return 0
  state=installed version=${rows%%"$nl"*}
}
