# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole catalog on staged roots (staged.py): real files, the real observer with all literals, real judgement."""

from __future__ import annotations

import dataclasses
import typing as t
from pathlib import Path

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import knowledge
from ansible_collections.evict.kaspersky.plugins.plugin_utils.assess import Assessment, assess
from ansible_collections.evict.kaspersky.plugins.plugin_utils.observation import parse_posix
from tests.target.posix.staged import NONCE, raw_look


@dataclasses.dataclass(frozen=True)
class Case:
    """A host: how it is made, and what is to be said of it."""

    make: str
    verdict: str
    products: dict[str, str]
    facts: tuple[str, ...] = ()  # topics the row must have
    note: str = ""  # a piece that some note must hold


def program(*paths: str) -> str:
    """Makes programs at these places."""
    return "".join(f"mkdir -p '{p.rpartition('/')[0]}'; cp /bin/true '{p}'; chmod 755 '{p}'\n" for p in paths)


CASES = {
    "KICS in its tree": Case(
        program("/opt/kaspersky/kics/libexec/kics", "/opt/kaspersky/kics/bin/kics-control")
        + "mkdir -p /var/opt/kaspersky/kics/common\n",
        "present",
        {"kics": "installed"},
    ),
    "Checkmarx KICS": Case(
        program("/usr/local/bin/kics")
        + "printf '[Service]\nExecStart=/usr/local/bin/kics\n' >/etc/systemd/system/kics.service\n",
        "absent",
        {},
        note="kics: other software bears this name",
    ),
    "home product, its folders only inferred": Case(
        program("/opt/kaspersky/kfl/libexec/somewhere"), "present", {"kfl": "installed"}
    ),
    "product nobody knows": Case(program("/opt/kaspersky/a-new-product/bin/x"), "present", {"kaspersky": "installed"}),
    "Administration Server and Web Console": Case(
        program("/opt/kaspersky/ksc64/sbin/klserver", "/var/opt/kaspersky/ksc-web-console/node/bin/node")
        + "mkdir -p /var/opt/kaspersky/klnagent_srv/1093/cert; echo {} >/etc/ksc-web-console-setup.json\n",
        "present",
        {"ksc64": "installed", "ksc-web-console": "installed"},
    ),
    "Scan Engine unpacked from an archive": Case(
        program("/opt/kaspersky/ScanEngine/bin/kavhttpd") + "echo '<x/>' >/etc/kavhttpd.xml\n",
        "present",
        {"kse": "installed"},
    ),
    "mail filter gone, Postfix still sends to it": Case(
        "mkdir -p /etc/postfix; cat >/etc/postfix/main.cf <<'END'\n"
        "#klms-begin-afterqueue-filter\ncontent_filter = klms_postfix-afterqueue:127.0.0.1:10025\n"
        "#klms-end-afterqueue-filter\nEND\n",
        "leftovers",
        {"klms": "leftover"},
        facts=("integration",),
        note="klms: a leftover that may be live",
    ),
    "proxy that lets the updates of others through": Case(
        "mkdir -p /etc/squid; echo 'acl updates dstdomain .kaspersky-labs.com' >/etc/squid/squid.conf\n", "absent", {}
    ),
    "what brings it back": Case(
        "mkdir -p /etc/cron.d /usr/local/sbin; echo '*/5 * * * * root /usr/local/sbin/ensure' >/etc/cron.d/av\n"
        "printf '#!/bin/sh\nrpm -q klnagent64 || rpm -i /srv/klnagent64.rpm\n' >/usr/local/sbin/ensure\n"
        "printf '[Service]\nExecStart=/usr/local/bin/kaspersky-agent-check\n' >/etc/systemd/system/check.service\n"
        "mkdir -p /srv; : >/srv/klnagent64-15.1.0-11795.x86_64.rpm\n",
        "absent",
        {},
        facts=("reinstall",),
    ),
    "portable scanner and development kit": Case(
        ": >/opt/kvrt.run; mkdir -p /opt/KasperskyOS-Community-Edition-1.3/toolchain\n",
        "absent",
        {},
        note="reported, never removed: Kaspersky Virus Removal Tool",
    ),
    "KUMA by its tree": Case(program("/opt/kaspersky/kuma/kuma"), "present", {"kuma": "installed"}),
    "Private Security Network": Case(program("/usr/local/kpsn/bin/x"), "present", {"kpsn": "installed"}),
    "old milter outside of the vendor's tree": Case(
        program("/opt/kav/5.6/kavmilter/bin/kavmilter"), "present", {"kavmilter": "installed"}
    ),
    "shared account of mail and proxy products": Case(
        "echo klusers:x:4711: >>/etc/group\n", "leftovers", {"klms": "leftover"}
    ),
    "certificate of decrypted TLS in the trust store": Case(
        "mkdir -p /usr/local/share/ca-certificates\n"
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout /dev/null "
        "-subj '/CN=Kaspersky Endpoint Security Root' -out /usr/local/share/ca-certificates/root.crt 2>/dev/null\n",
        "leftovers",
        {"kaspersky": "leftover"},
    ),
}


def judged(folder: Path, make: str) -> Assessment:
    """What is said of a root that the script has made; nothing that runs on this machine is seen."""
    catalog = knowledge.catalog()
    asked: dict[str, t.Any] = {**catalog.literals("linux"), "timeout": "60"}
    raw = raw_look(folder, make, alone=True, **asked)
    observation = parse_posix(raw, NONCE)
    assert observation is not None
    return assess(observation, catalog)


@pytest.mark.parametrize("name", CASES)
def test_a_host(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    found = judged(tmp_path, case.make)
    told = {product.entry.id: product.state for product in found.products}
    assert (found.verdict, found.unknown) == (case.verdict, {})
    assert case.products.items() <= told.items()
    if case.verdict == "absent":
        assert told == {}
    if "kaspersky" not in case.products:
        assert "kaspersky" not in told, [f.text for p in found.products for f in p.findings]
    assert set(case.facts) <= {fact.topic for fact in found.context.facts}
    assert not case.note or any(case.note in note for note in found.notes), found.notes
