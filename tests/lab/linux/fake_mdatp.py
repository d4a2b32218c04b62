# SPDX-License-Identifier: GPL-3.0-or-later
"""A look-alike of Microsoft Defender for Endpoint: its package, commands and places, with no vendor code. It repeats
what it was onboarded with wherever it can."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from .lab import Host
from .takeover import NO_FALLBACK

PLACE = "/etc/opt/microsoft/mdatp/mdatp_onboard.json"
_FILE = "/srv/media/mdatp_101.0_amd64.deb"
_SERVICE = "x.cp.wd.microsoft.com"
_PROGRAM = f"""#!/bin/sh
# FAKE: keeps what it is told, and answers with it.
state=/var/opt/fake-mdatp
mkdir -p $state
kept() {{ cat "$state/$1" 2>/dev/null || echo disabled; }}
is() {{ [ "$(kept "$1")" = "$2" ] && echo true || echo false; }}
secret=$(cat {PLACE} 2>/dev/null)
{{
  printf 'onboarded with %s\\n' "$secret"
  printf 'onboarded with %s\\n' "$(printf %s "$secret" | base64 -w 0)"
}} >&2
case $1:$2:$3 in
  config:*) echo "$4" >"$state/$2" ;;
  health:--field:licensed) [ -n "$secret" ] && echo true || echo false ;;
  health:--field:definitions_status) echo '"up_to_date"' ;;
  health:--field:real_time_protection_enabled) is real-time-protection enabled ;;
  health:--field:passive_mode_enabled) is passive-mode enabled ;;
  health:--output:json)
    printf '{{"healthy": true, "licensed": true, "orgId": "%s",' "$(printf %s "$secret" | sed 's/["\\\\]/\\\\&/g')"
    printf '"realTimeProtectionEnabled": %s, "realTimeProtectionAvailable": true,' "$(is real-time-protection enabled)"
    printf '"passiveModeEnabled": %s, "definitionsStatus": {{"$type": "upToDate"}},' "$(is passive-mode enabled)"
    printf '"definitionsUpdatedMinutesAgo": 5, "conflictingApplications": [], "productExpiration": "4102444800000"}}\\n'
    ;;
esac
exit 0
"""
_BUILD = f"""
t=$(mktemp -d)
mkdir -p $t/DEBIAN $t/usr/bin $t/usr/lib/systemd/system /srv/media
cat >$t/usr/bin/mdatp
chmod 755 $t/usr/bin/mdatp $t
printf '%s\\n' 'Package: mdatp' 'Version: 101.0' 'Architecture: amd64' 'Maintainer: lab <lab@example.invalid>' \\
  'Description: FAKE look-alike for tests, not the real product' >$t/DEBIAN/control
printf '%s\\n' '[Service]' 'ExecStart=/bin/sleep infinity' '[Install]' 'WantedBy=multi-user.target' \\
  >$t/usr/lib/systemd/system/mdatp.service
SOURCE_DATE_EPOCH=1700000000 dpkg-deb -Zgzip --root-owner-group -b $t {_FILE} >/dev/null
rm -r $t
# Its service in the net is the host's own sshd.
echo '127.0.0.1 {_SERVICE}' >>/etc/hosts
/usr/sbin/sshd -p 443
sha256sum {_FILE}
"""


def offer(host: Host) -> Mapping[str, Any]:
    """The package as a file on a host, and what a policy says of it.

    Args:
        host: of the root deb12.
    """
    digest = host.run(_BUILD, stdin=_PROGRAM).stdout.split()[0]
    assert len(digest) == len(hashlib.sha256().hexdigest())
    return {
        "evict_replacement": "mde_linux",
        "evict_replacement_source": {"method": "host_file", "location": _FILE, "sha256": digest},
        **NO_FALLBACK,
    }
