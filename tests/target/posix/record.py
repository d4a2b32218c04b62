# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes tests/fixtures/posix/ anew: answers of the real script in staged roots (`python -m tests.target.posix.record`).

Each file holds the nonce in its first line, then all that came back, noise included. What would name the machine it was
made on (kernel, host name, pid 1) is replaced. Needs root.
"""

from __future__ import annotations

import re
import shlex
import tempfile
from pathlib import Path

from ansible_collections.evict.kaspersky.plugins.plugin_utils import knowledge
from tests.target.posix.staged import NONCE, database, raw_look

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "posix"

# The files that probes read lines from, and temporary ones, are this machine's own: without them.
BASE = """rm -rf /tmp/* /var/tmp/*; for f in $LINE_FILES; do rm -f "$f"; done
echo 0123456789abcdef0123456789abcdef >/etc/machine-id
mkdir -p /run/systemd; echo lxc >/run/systemd/container
"""
KESL = r"""
v=/var/opt/kaspersky; i=$v/kesl/install_12.1.0.1297
mkdir -p /opt/kaspersky/kesl $i/opt/kaspersky/kesl/libexec $i/opt/kaspersky/kesl/bin /opt/kaspersky/klnagent64/sbin \
  /etc/opt/kaspersky /var/log/kaspersky/kesl /etc/systemd/system/kesl.service.d
cp /bin/true $i/opt/kaspersky/kesl/libexec/kesl; cp /bin/true $i/opt/kaspersky/kesl/bin/kesl-control
cp /bin/true /opt/kaspersky/klnagent64/sbin/klnagent
ln -s $i $v/kesl/install-current
for d in bin libexec; do ln -s $v/kesl/install-current/opt/kaspersky/kesl/$d /opt/kaspersky/kesl/$d; done
printf '[1103]\r\nVERSION = 15.1.0.20748\r\n[KESL]\r\n' >$v/applications.setup
printf '[Unit]\nDescription=KESL\n[Service]\nType=forking\nExecStart=%s/etc/init.d/kesl start\n' \
  $v/kesl/install-current >/etc/systemd/system/kesl.service
printf '[Service]\nLimitCORE=0\n' >/etc/systemd/system/kesl.service.d/override.conf
printf '[Service]\nExecStart=/opt/kaspersky/klnagent64/sbin/klnagent -d\n' >/usr/lib/systemd/system/klnagent64.service
printf 'kesladmin:x:990:anna,bob\nnokesl:x:991:\n' >>/etc/group
echo 'carl:x:1009:990::/home/carl:/bin/sh' >>/etc/passwd
"""
CASES: dict[str, tuple[str, dict[str, object]]] = {
    "clean": (BASE, {}),
    "kesl-and-agent": (BASE + database() + KESL, {}),
    "kesl-as-ordinary-user": (
        BASE
        + database()
        + KESL
        + "chmod 711 /opt/kaspersky /var/opt/kaspersky/kesl; sleep 60 </dev/null >/dev/null 2>&1 &\n",
        {"user": True},
    ),
    "leftovers": (
        BASE + "mkdir -p /opt/kaspersky/kesl/shared /var/opt/kaspersky; ln -s /gone /var/opt/kaspersky/kesl\n"
        "ln -s /dev/null /etc/systemd/system/klnagent64.service\n"
        "printf '[1103]\\nVERSION=14.2\\n' >/var/opt/kaspersky/applications.setup\n",
        {},
    ),
    "hanging-and-broken-databases": (
        BASE + "mkdir -p /var/lib/rpm; : >/var/lib/rpm/rpmdb.sqlite; rm -f /usr/bin/rpm\n"
        "printf '#!/bin/sh\\ncase $1 in --eval) ;; *) sleep 60 ;; esac\\n' >/usr/sbin/rpm; chmod 755 /usr/sbin/rpm\n"
        "echo 'Package kesl' >/var/lib/dpkg/status\n",
        {"timeout": "1"},
    ),
    "hostile-names": (
        BASE
        + "mkdir -p /opt/kaspersky; cd /opt/kaspersky\n"
        + f"mkdir '{{{{ 7*7 }}}}' 'x\n{NONCE} E 1' \"$(printf 'a\\033[31m\\377')\"\n",
        {},
    ),
}


def anonymous(raw: bytes) -> bytes:
    """Without what names the machine of the recording."""
    raw = re.sub(rb" kernel=\S+", b" kernel=6.1.0-28-amd64", raw)
    raw = re.sub(rb" hostname[=:]\S*", b" hostname=host1", raw)
    return re.sub(rb" init[=:]\S*", b" init=systemd", raw)


def main() -> None:
    FIXTURES.mkdir(parents=True, exist_ok=True)
    literals = knowledge.catalog().literals("linux")
    for name, (made, options) in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            made = f"LINE_FILES={shlex.quote(' '.join(literals['line_files']))}\n{made}"
            raw = raw_look(Path(folder), made, **{**literals, **options})  # type: ignore[arg-type]  # one mapping for both kinds
        text = anonymous(raw)
        if name == "clean":
            text = b"Authorized use only.\r\nLast login: never\n" + text + b"logout\n"
        (FIXTURES / f"{name}.txt").write_bytes(f"nonce {NONCE}\n".encode() + text)
    whole = (FIXTURES / "kesl-and-agent.txt").read_bytes()
    (FIXTURES / "cut.txt").write_bytes(whole[: len(whole) * 2 // 3])


if __name__ == "__main__":
    main()
