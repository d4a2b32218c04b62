# SPDX-License-Identifier: GPL-3.0-or-later
"""States with something beside a product or in its stead: what hooks in, what brings it back, what looks alike."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from .state import ABSENT, DEB, INSTALL, RPM, Expected, State, leftovers, present

NOTHING = "! pgrep -x kesl"
PROGRAM = "printf '#!/bin/sh\\nexit 0\\n'"  # a program of ours at a product's place


def _certificate() -> str:
    """A root certificate of our own that bears the vendor's name, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "AO Kaspersky Lab (look-alike)")])
    start = datetime.datetime(2024, 1, 1)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=10_000))
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM).decode()


AROUND: Mapping[str, State] = {
    "scanner": State(
        why="another vendor's scanner decides over each opening of a file",
        roots=(*DEB, *RPM),
        install=("harmless",),
        script=f"{INSTALL}; mkdir -p /srv/guarded; systemd-run --unit=guard /usr/lib/harmless/guard -f -a /srv/guarded",
        checks=("systemctl is-active guard", "grep -ls '^fanotify ' /proc/[0-9]*/fdinfo/* | grep -q ."),
        expected=Expected(verdict="absent", protection="active"),
    ),
    "anchor_left": State(
        why="a root certificate that names the vendor is left in the trust store",
        roots=DEB,
        script="mkdir -p /usr/local/share/ca-certificates; "
        f"cat >/usr/local/share/ca-certificates/left.crt <<'END'\n{_certificate()}END\n",
        checks=("grep -c 'BEGIN CERTIFICATE' /usr/local/share/ca-certificates/left.crt",),
        expected=leftovers("kaspersky"),
    ),
    "mail_lines_left": State(
        why="Postfix still sends mail through a filter that is gone",
        roots=(*DEB, *RPM),
        script="mkdir -p /etc/postfix; printf '%s\\n' '#klms-begin-afterqueue-filter' "
        "'content_filter = klms_postfix-afterqueue:127.0.0.1:10025' "
        "'#klms-end-afterqueue-filter' >/etc/postfix/main.cf",
        checks=("grep -c klms /etc/postfix/main.cf",),
        expected=Expected(verdict="leftovers", products={"klms": "leftover"}, topics=frozenset({"integration"})),
    ),
    "returns": State(
        why="nothing is there, but an installer lies about and a job would install it again",
        roots=(*DEB, *RPM),
        script="touch /root/kesl-12.1.0-1297.x86_64.rpm; mkdir -p /etc/cron.d; "
        "echo '0 3 * * * root apt-get -y install kesl' >/etc/cron.d/protect",
        checks=("test -f /root/kesl-12.1.0-1297.x86_64.rpm", NOTHING),
        expected=Expected(verdict="absent", topics=frozenset({"reinstall"})),
    ),
    "portable": State(
        why="a portable scanner lies about; nothing is installed",
        roots=(*DEB, *RPM),
        script=f"{PROGRAM} >/root/kvrt.run; chmod 755 /root/kvrt.run",
        checks=("test -x /root/kvrt.run", NOTHING),
        expected=Expected(verdict="absent", reported=frozenset({"kvrt"})),
    ),
    "clash": State(
        why="software of others that bears the name of two products, with units and programs",
        roots=(*DEB, *RPM),
        script=f"for name in kics kuma; do {PROGRAM} >/usr/bin/$name; chmod 755 /usr/bin/$name; "
        "printf '[Service]\\nExecStart=/usr/bin/%s\\n' $name >/etc/systemd/system/$name.service; done; "
        "systemctl daemon-reload",
        checks=("systemctl cat kics.service", "test -x /usr/bin/kuma"),
        expected=ABSENT,
    ),
    "kics_by_hand": State(
        why="the industrial product, unpacked by hand",
        roots=(*DEB, *RPM),
        script="mkdir -p /opt/kaspersky/kics/bin /opt/kaspersky/kics/libexec; "
        "for name in bin/kics-control libexec/kics; do "
        f"{PROGRAM} >/opt/kaspersky/kics/$name; chmod 755 /opt/kaspersky/kics/$name; done",
        checks=("test -x /opt/kaspersky/kics/libexec/kics",),
        expected=present({"kics": "installed"}),
    ),
    "server_by_hand": State(
        why="the management server's programs and unit",
        roots=(*DEB, *RPM),
        script=f"mkdir -p /opt/kaspersky/ksc64/sbin; {PROGRAM} >/opt/kaspersky/ksc64/sbin/klserver; "
        "chmod 755 /opt/kaspersky/ksc64/sbin/klserver; "
        "printf '[Service]\\nExecStart=/opt/kaspersky/ksc64/sbin/klserver\\n' "
        ">/etc/systemd/system/kladminserver_srv.service",
        checks=("test -x /opt/kaspersky/ksc64/sbin/klserver",),
        expected=present({"ksc64": "installed"}),
    ),
    "restart_pending": State(
        why="a restart is pending",
        roots=DEB,
        script="echo linux-image-amd64 >/run/reboot-required.pkgs; touch /run/reboot-required",
        checks=("test -e /run/reboot-required",),
        expected=Expected(verdict="absent", topics=frozenset({"reboot"})),
    ),
    "localized": State(
        why="the product runs on a host whose locale and file names are not English",
        roots=("deb12",),
        install=("kesl",),
        script=f"{INSTALL}; printf 'LANG=ja_JP.SJIS\\nLC_ALL=ja_JP.SJIS\\n' >/etc/default/locale; "
        "touch \"/opt/kaspersky/$(printf '\\203J\\203X\\203y \\033[31m{{ 7*7 }}')\"",
        checks=("grep -c SJIS /etc/default/locale", "systemctl is-active kesl"),
        expected=present({"kesl": "running", "kaspersky": "leftover"}),
    ),
}
