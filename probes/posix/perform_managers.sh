# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# How the package managers are called for a replacement, and what they mean by what they say. A part of a job, see perform_frame.sh.
# shellcheck disable=SC2034,SC2086,SC2154,SC3013

manager() {
  sources='' files=
  case $a_manager in
    apt) needed=apt-get ;;
    dnf | yum | zypper) needed=$a_manager ;;
    *) wrong not_known "" "the package manager $a_manager is not known" && return 1 ;;
  esac
  has "$needed" || { wrong manager_missing 127 "$needed is missing on this host: it cannot install packages" && return 1; }
}

package_names() {
  for item in "$@"; do
    case $item in
      [A-Za-z0-9]*) case $item in *[!A-Za-z0-9.+_:~=*^-]*) ;; *) continue ;; esac ;;
    esac
    wrong not_offered '' "$item is no name of a package"
    return 1
  done
}

# No question, old settings stay, nothing else is restarted, other people's environment stays as it is.
apt_get() {
  set -- env DEBIAN_FRONTEND=noninteractive DEBIAN_PRIORITY=critical APT_LISTCHANGES_FRONTEND=none NEEDRESTART_SUSPEND=1 \
    UCF_FORCE_CONFFOLD=1 apt-get -y -q -o DPkg::Lock::Timeout=20 -o Dpkg::Use-Pty=0 -o Acquire::Retries=2 \
    -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@"
  [ -z "$a_proxy" ] || set -- "$@" -o "Acquire::http::Proxy=$a_proxy" -o "Acquire::https::Proxy=$a_proxy"
  captured "$@"
}

yum_dnf() {
  set -- "$a_manager" -y --setopt=exit_on_lock=True --setopt=keepcache=1 "$@"
  # What is only recommended does not come; yum before dnf has no such word.
  case $a_manager in dnf) set -- "$@" --setopt=install_weak_deps=False ;; esac
  [ -z "$a_proxy" ] || set -- "$@" "--setopt=proxy=$a_proxy"
  captured "$@"
}

# It has no option for a proxy: the variables reach it alone.
zypp() {
  set -- zypper --non-interactive "$@"
  [ -z "$a_proxy" ] || set -- "http_proxy=$a_proxy" "https_proxy=$a_proxy" "$@"
  waiting=$((left - patience))
  [ "$waiting" -ge 0 ] || waiting=0
  [ "$waiting" -le 20 ] || waiting=20
  captured env "ZYPP_LOCK_TIMEOUT=$waiting" "$@"
  # It has done what it was to do, and went without a repository that could not be reached.
  [ "$code" != 106 ] || code=0
  [ "$code" = 0 ] || zypp_said
}

# Its last words are about what it would have asked; in XML each is wrapped. -> said: what went wrong, for a reader
zypp_said() {
  said=$(printf '%s\n' "$answer" | sed -e '/^<option /d' -e '/^<text>/d' -e '/type="info"/d' -e '/<progress /d' -e 's/<[^>]*>//g' \
    -e "s/&apos;/'/g" -e 's/&quot;/"/g' -e 's/&lt;/</g' -e 's/&gt;/>/g' -e 's/&amp;/\&/g' -e '/^ *Solution [2-9]/d' \
    -e '/^Choose from above/d' -e '/^Abort, retry, ignore/d' -e '/^Problem occurred during/d' -e '/has been aborted as directed/d' \
    -e '/^Please see the above error/d' -e '/^Please check if the URIs/d' -e '/repositories have not been refreshed/d' \
    -e '/^Could not refresh the repositories/d' -e '/^Error building the cache:$/d' -e '/^error]$/d' -e '/^ *$/d' | tail -n 12)
}

rpm_alone() { captured "$@"; }

# Runs it again while another package manager is at work, for half of the step's time.
managed() { # FUNCTION ARGUMENT... -> code, answer, said
  clock
  patience=$((left / 2))
  case $1 in rpm) set -- rpm_alone "$@" ;; esac
  while :; do
    "$@"
    [ "$code" != 0 ] || return 0
    trouble
    clock
    [ "$class" = package_manager_busy ] && [ "$left" -gt "$patience" ] || return 1
    sleep 5
  done
}

fail_managed() { # MEANING [CLASS when the answer tells none]
  trouble
  [ -n "$class" ] || class=${2:-package_manager_failed}
  wrong "$class" "$code" "$1: $remedy"
}

# What a tool meant, by its words in the C locale -> class, remedy; both are told together with what it said.
trouble() {
  class='' remedy="see what it said: $(last_words)"
  [ "$code" != 124 ] || { class=timed_out remedy='the time of the step was up; give it more time, or find out what it waited for'; }
  case $answer in
    *'Could not get lock'* | *'Unable to acquire the dpkg'* | *'Unable to lock'* | *'Waiting for process with pid'* | *'holding the yum lock'* | \
      *'Failed to obtain the'*lock* | *'System management is locked'* | *'ransaction lock on'* | *'is locked by another process'* | *' already locked by '*)
      class=package_manager_busy remedy='another package manager is at work: let it end, then run again'
      ;;
    *'No space left on device'* | *"don't have enough free space"* | *'more space needed on'* | *'needed on the / filesystem'* | *'No space left'*)
      class=disk_full remedy="make room, then run again: $(last_words)"
      ;;
    *'Read-only file system'*) class=read_only remedy="a file system is mounted read-only: $(last_words)" ;;
    *'Operation not permitted'*) class=refused_by_system remedy="the system refused a change: $(last_words)" ;;
    *'dpkg was interrupted'* | *'not fully installed or removed'*half-configured*)
      class=half_configured remedy='packages are half configured: dpkg --configure -a, then run again'
      ;;
    *'pre-installation script'*'error exit'* | *'pre-installation script subprocess returned error'* | *'%pre('*failed* | *'%prein('*failed* | *'PREIN scriptlet'*)
      class=preinst_failed remedy="the package's own script before its installation failed: $(last_words)"
      ;;
    *'post-installation script'*'error exit'* | *'post-installation script subprocess returned error'* | *'%post('*failed* | *'POSTIN scriptlet'*)
      class=postinst_failed remedy="the package's own script after its installation failed: $(last_words)"
      ;;
    *'Hash Sum mismatch'* | *'hecksum'*'match'* | *'has wrong'?'checksum'*) class=hash_mismatch remedy="the repository is not consistent, or a proxy holds old files: $(last_words)" ;;
    *'do not have any GPG public keys'*)
      class=signature_wrong remedy='the host has no key to check packages with: rpm --import the one of the repository, or name it there as gpgkey'
      ;;
    *NO_PUBKEY* | *'GPG error'* | *'is not signed'* | *'GPG check FAILED'* | *'ublic key for'*'is not installed'* | *'could not be authenticated'* | \
      *'cannot be authenticated'* | *'ignature verification failed'*)
      class=signature_wrong remedy="the repository's key is missing or wrong: $(last_words)"
      ;;
    *'eld packages were changed'* | *'due to versionlock'*'o package '*available* | *'excluded by '*filter* | *'filtered out by exclude'* | *'remove lock to allow'*)
      class=package_held remedy="a package is held or excluded: release it first: $(last_words)"
      ;;
    *'Could not resolve'* | *'Could not connect'* | *'Temporary failure resolving'* | *'Connection timed out'* | *'Connection refused'* | \
      *'Curl error'* | *'ll mirrors were tried'* | *'annot download'* | *'Failed to fetch'* | *'does not have a Release file'* | *'Cannot retrieve'* | \
      *'annot find a valid baseurl'* | *'Failed to retrieve'* | *'Unable to fetch'* | *'(curl) error'* | *'Valid metadata not found'* | *'not found on medium'*)
      class=not_reachable remedy="a repository is not reachable or incomplete; look at network, proxy and its address: $(last_words)"
      ;;
    *'Unable to locate package'* | *'has no installation candidate'* | *'No match for argument'* | *'No package '*available* | *'Unable to find a match'* | \
      *'not found in package names'* | *'No provider of'* | *'was not found'* | *'no enabled repositories'*)
      class=not_offered remedy="no repository of this host offers it; add the one that does: $(last_words)"
      ;;
    *'problem with installed package'* | *' Solution '*': deinstallation of '*)
      class=would_remove_others remedy="something installed is in its way; solve that first, or choose another replacement: $(last_words)"
      ;;
    *'nmet dependencies'* | *'nothing provides'* | *'ailed dependencies'* | *'onflicting requests'* | *'onflicts with'* | *'Depsolve Error'* | \
      *'requires'*'but none of the providers'* | *'requirement cannot be provided'* | *'ependency problems'* | *'is not going to be installed'*)
      class=dependencies_missing remedy="what it depends on cannot be installed: $(last_words)"
      ;;
    *'status file could not be parsed'* | *'rpmdb open failed'* | *'rpmdb: '*damaged* | *'Malformed '* | *'epomd.xml'* | *'incorrect checksum'*)
      class=repository_broken remedy="a repository is broken: $(last_words)"
      ;;
  esac
}
