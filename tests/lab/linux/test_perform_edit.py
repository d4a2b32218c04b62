# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines in a real Postfix and a real Squid, and a certificate in a real trust store: taken out, or all as it was."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import knowledge, observation
from ansible_collections.evict.kaspersky.plugins.plugin_utils.assess import assess
from ansible_collections.evict.kaspersky.plugins.plugin_utils.catalog_services import EDITS
from ansible_collections.evict.kaspersky.plugins.plugin_utils.edit import steps as edit_steps
from ansible_collections.evict.kaspersky.plugins.plugin_utils.observation import Observation
from tests import cases, jobs
from tests.performing import Ended, Value

from . import explained, remediating, snapshot
from .kinds import do, fails
from .lab import Host, Lab
from .real_clamav import NONCE, perform
from .real_servers import CERTIFICATE, install
from .takeover import COVER, EXISTING

MAIN, MASTER, SQUID = "/etc/postfix/main.cf", "/etc/postfix/master.cf", "/etc/squid/squid.conf"
FILTER = "content_filter = klms_postfix-afterqueue:[127.0.0.1]:10025"
BLOCK = ["#klms-begin-afterqueue-filter", FILTER, "#klms-end-afterqueue-filter"]
ICAP = "icap_service kwts_req reqmod_precache bypass=1 icap://127.0.0.1:1344/av/reqmod"
# What a job of ours and the services themselves write.
OURS = ("/var/lib", "/var/lib/evict.kaspersky", "/var/lib/evict.kaspersky/**", "/run", "/run/**", "/var/log/**")


def edit(host: Host, path: str, lines: dict[str, str], **more: Value) -> Ended:
    """The step that a plan would have for these lines."""
    (service,) = [s for s in knowledge.catalog().services.services if path in s.files]
    given: dict[str, Value] = {
        "path": path,
        "lines": [*lines],
        "becomes": [*lines.values()],
        "joined": service.joins,
        "checks": [*service.checks],
        "units": [*service.units],
    }
    return do(host, "edit_lines", {**given, **more}, timeout=120)


def read(host: Host, path: str) -> str:
    return host.run(f"cat {path}; stat -c '%a %U:%G' {path}").stdout


@pytest.fixture(scope="module")
def _installed(linux_lab: Lab) -> Iterator[Host]:
    host = linux_lab.up("servers", "deb12")
    linux_lab.wait(host)
    install(host, "postfix", "squid", "ca-certificates")
    host.run("mkdir /srv/clean; cp -a /etc/postfix/main.cf /etc/postfix/master.cf /etc/squid/squid.conf /srv/clean")
    yield host
    host.down()


@pytest.fixture
def servers(_installed: Host) -> Host:
    """One host for all tests, its services at work and their files as the packages brought them."""
    _installed.run(
        "cp -a /srv/clean/m*.cf /etc/postfix/; cp -a /srv/clean/squid.conf /etc/squid/; systemctl start squid postfix; "
        "rm -rf /var/lib/evict.kaspersky/kept; cd /usr/local/share/ca-certificates; "
        '[ -z "$(ls)" ] || { rm -r ./*; update-ca-certificates --fresh >/dev/null 2>&1; }; '
        "systemctl is-active postfix squid"
    )
    return _installed


def started(host: Host, unit: str) -> str:
    """When the service was last told to read its settings again, by its own log."""
    return host.run(f"journalctl -q -o cat -u {unit} | grep -c -i -e reload -e reconfig || :").stdout.strip()


def test_a_real_mail_server(servers: Host) -> None:
    servers.run(
        f"printf '%s\\n' '{BLOCK[0]}' '{BLOCK[1]}' '{BLOCK[2]}' >>{MAIN}; chmod 640 {MAIN}; systemctl reload postfix"
    )
    servers.run(f"echo 'smtpd_milters = inet:127.0.0.1:1, unix:/run/kavmilter.sock' >>{MAIN}")
    whole = read(servers, MAIN)
    assert "klms_postfix" in servers.run("postconf -h content_filter").stdout
    before, told = servers.snapshot(), started(servers, "postfix@-")
    lines = {
        **dict.fromkeys(BLOCK, "-"),
        "smtpd_milters = inet:127.0.0.1:1, unix:/run/kavmilter.sock": "=smtpd_milters = inet:127.0.0.1:1",
    }
    assert edit(servers, MAIN, lines).status == "done"
    want = "".join(f"{line}\n" for line in whole.splitlines() if line not in lines)
    assert read(servers, MAIN) == want.replace("640 root:root\n", "smtpd_milters = inet:127.0.0.1:1\n640 root:root\n")
    assert servers.run("postconf -h content_filter smtpd_milters").stdout.split() == ["inet:127.0.0.1:1"]
    assert int(started(servers, "postfix@-")) > int(told)
    kept = servers.run("cd /var/lib/evict.kaspersky/kept; ls; cat ./*; stat -c '%a %U:%G' ./*").stdout
    name, _line, rest = kept.partition("\n")
    assert name.endswith(".etc%postfix%main.cf")
    assert rest == whole
    # Nothing else of the host is another one, and a second time nothing at all.
    ours = [*OURS, "/etc/postfix", MAIN, "/var/spool/postfix/**", "/var/lib/postfix/**"]
    assert snapshot.not_allowed(snapshot.diff(before, servers.snapshot()), dict.fromkeys(ours, "")) == []
    again = read(servers, MAIN)
    assert edit(servers, MAIN, lines) == Ended("already")
    assert read(servers, MAIN) == again


def test_a_mail_server_that_refuses_has_its_file_back(servers: Host) -> None:
    """Of two lines the second is a trap: without the first it is no statement."""
    servers.run(f"printf '%s\\n' '{FILTER}' >>{MAIN}; printf '%s\\n' 'klms_postfix-x unix - - n - 10 smtp' >>{MASTER}")
    whole = read(servers, MAIN)
    fails(edit(servers, MAIN, {FILTER: "=content_filter klms"}), "syntax_refused", "missing '='", "as it was before")
    assert read(servers, MAIN) == whole
    fails(edit(servers, MAIN, {FILTER: "-"}, checks=["postconf -n", "no-such-check"]), "program_missing")
    fails(edit(servers, MAIN, {FILTER: "-"}, checks=["false"]), "syntax_refused")
    assert read(servers, MAIN) == whole
    assert servers.run("ls -A /etc/postfix | grep evict || :").stdout == ""
    # A statement that goes on in a line nobody saw.
    servers.run(f"printf '    -o smtp_send_xforward_command=yes\\n' >>{MASTER}")
    master = read(servers, MASTER)
    fails(edit(servers, MASTER, {"klms_postfix-x unix - - n - 10 smtp": "-"}), "line_not_alone", "klms_postfix-x")
    assert read(servers, MASTER) == master
    # A warning that was not there before counts, whatever the exit code.
    trap = servers.run(f"head -c 0 {MASTER}; grep -m 1 '^smtp  *inet' {MASTER}").stdout.rstrip("\n")
    fails(edit(servers, MASTER, {trap: "=  -o x=y"}), "syntax_refused", "must not start with whitespace")
    assert read(servers, MASTER) == master
    servers.run("postfix check; systemctl is-active postfix")


def test_a_real_proxy(servers: Host) -> None:
    chain = "adaptation_service_set both kwts_req other"
    other = "icap_service other reqmod_precache bypass=1 icap://127.0.0.1:1345/x"
    servers.run(
        f"printf '%s\\n' 'shutdown_lifetime 1 second' 'icap_enable on' '{ICAP}' '{other}' "
        f"'{chain}' 'adaptation_access both allow all' >>{SQUID}; "
        "systemctl reload squid"
    )
    whole = read(servers, SQUID)
    lines = {ICAP: "-", chain: "=adaptation_service_set both other"}
    assert edit(servers, SQUID, lines).status == "done"
    assert read(servers, SQUID) == whole.replace(f"{ICAP}\n", "").replace(chain, "adaptation_service_set both other")
    assert edit(servers, SQUID, lines) == Ended("already")
    servers.run("squid -k parse 2>/dev/null && systemctl is-active squid")
    refused = read(servers, SQUID)
    fails(edit(servers, SQUID, {other: "=icap_srevice other"}), "syntax_refused", "squid ended with")
    assert read(servers, SQUID) == refused
    # A unit that does not take it.
    servers.run(
        "mkdir -p /run/systemd/system/squid.service.d; "
        "printf '[Service]\\nExecReload=\\nExecReload=false\\n' >/run/systemd/system/squid.service.d/x.conf; "
        "systemctl daemon-reload"
    )
    fails(edit(servers, SQUID, {other: "-"}), "reload_failed", "squid.service")
    assert read(servers, SQUID) == refused
    # A service that is at rest is not started.
    servers.run("rm -r /run/systemd/system/squid.service.d; systemctl daemon-reload; systemctl stop squid")
    assert edit(servers, SQUID, {other: "-"}).status == "done"
    assert servers.run("systemctl is-active squid || :").stdout.strip() == "inactive"


def anchors(host: Host, *files: str, refresh: str = "") -> Ended:
    store = knowledge.catalog().services.stores[0]
    marks = sorted(mark for mark in knowledge.catalog().literals("linux")["trust"])
    given: dict[str, Value] = {"files": [*files], "marks": marks, "refresh": refresh or store.refresh}
    return do(host, "remove_anchors", given, timeout=120, bundle=store.bundle, hashed=store.hashed)


def test_a_real_trust_store(servers: Host) -> None:
    folder = "/usr/local/share/ca-certificates"
    pem, der = f"{folder}/sub/kl.crt", f"{folder}/other.crt"
    clean = servers.snapshot()
    servers.run(
        f"mkdir {folder}/sub\n" + CERTIFICATE.format(file=pem, number=1) + CERTIFICATE.format(file=der, number=2)
    )
    servers.run(CERTIFICATE.format(file=f"{folder}/stays.crt", number=3).replace("aspersky", "eeper"))
    servers.run("update-ca-certificates >/dev/null 2>&1")
    listed = (
        "awk -v c='openssl x509 -noout -subject' '/BEGIN/{close(c)};{print | c}' </etc/ssl/certs/ca-certificates.crt"
    )
    assert servers.run(listed).stdout.count("Kaspersky lab test") == 2
    assert anchors(servers, pem, der).status == "done"
    said = servers.run(listed).stdout
    assert said.count("Kaspersky") == 0
    assert said.count("Keeper") == 2
    servers.run(
        f'test ! -e {pem}; test ! -e {der}; test -e {folder}/stays.crt; test -z "$(find -L /etc/ssl/certs -type l)"'
    )
    assert servers.run("ls /var/lib/evict.kaspersky/kept").stdout.count(".usr%local%share%ca-certificates%") == 2
    before = servers.snapshot()
    assert anchors(servers, pem, der) == Ended("already")
    after = snapshot.diff(before, servers.snapshot())
    assert (
        snapshot.not_allowed(
            after, dict.fromkeys(["/var/lib/evict.kaspersky/**", "/run", "/run/**", "/var/log/**"], "")
        )
        == []
    )
    # All that has changed since there was no certificate at all.
    ours = [*OURS, f"{folder}**"]
    ours += ["/etc/ssl/certs", "/etc/ssl/certs/*", "/usr/local/share/ca-certificates", "/var/spool/**"]
    ours += ["/tmp"]  # where update-ca-certificates works
    left = snapshot.not_allowed(snapshot.diff(clean, servers.snapshot()), dict.fromkeys(ours, ""))
    assert left == [], left


def test_a_trust_store_that_does_not_let_go(servers: Host) -> None:
    folder = "/usr/local/share/ca-certificates"
    file = f"{folder}/kl.crt"
    servers.run(
        CERTIFICATE.format(file=file, number=1) + f"cp {file} {folder}/copy.crt; update-ca-certificates >/dev/null 2>&1"
    )
    whole = read(servers, file)
    fails(anchors(servers, file), "still_trusted", "/etc/ssl/certs/ca-certificates.crt")
    assert read(servers, file) == whole
    fails(anchors(servers, file, f"{folder}/copy.crt", refresh="false"), "store_failed", "false ended with 1")
    assert read(servers, file) == whole
    servers.run(f"test -e {folder}/copy.crt")
    servers.run(f"cat {folder}/copy.crt >>{file}")
    fails(anchors(servers, file), "many_certificates")
    servers.run(f"rm {file}; ln -s {folder}/copy.crt {file}")
    fails(anchors(servers, file), "no_plain_file", "link")
    servers.run(f"rm {file}; mv {folder}/copy.crt {folder}/kl.crt; test -e {file}")
    assert anchors(servers, file).status == "done"


def looked(host: Host) -> Observation:
    """What a scan sees of the host."""
    head = f"EVICT_NONCE={NONCE}\nEVICT_TIMEOUT=20\n"
    done = host.run("exec /bin/sh", stdin=head + knowledge.OBSERVE_LINUX)
    seen = observation.parse_posix(done.stdout, NONCE)
    assert seen is not None, done
    return seen


def test_from_a_look_to_a_clean_look(servers: Host) -> None:
    """Lines and a certificate as a scan sees them, their steps as a job, and a scan afterwards that finds nothing."""
    file = "/usr/local/share/ca-certificates/kl.crt"
    odd = "smtpd_milters = inet:127.0.0.1:1,\tunix:/run/kavmilter.sock  "
    servers.run(f"printf '%s\\n' '{BLOCK[0]}' '{FILTER}' '{BLOCK[2]}' '{odd}' >>{MAIN}; echo '{ICAP}' >>{SQUID}")
    servers.run(CERTIFICATE.format(file=file, number=4) + "update-ca-certificates >/dev/null 2>&1")
    seen = looked(servers)
    judged = assess(seen, knowledge.catalog())
    assert sorted(product.entry.id for product in judged.products) == ["kaspersky", "kavmilter", "klms", "kwts"]
    made = cases.case(products=[], policy={"edit": frozenset(EDITS)})
    steps = edit_steps(dataclasses.replace(made, seen=seen, assessment=judged))
    plan = jobs.plan("linux", steps, host=servers.name, machine=servers.run("cat /etc/machine-id").stdout.strip())
    _answer, outcomes = perform(servers, plan, "finish")
    assert {name: outcome.status for name, outcome in outcomes.items()} == dict.fromkeys(
        (MAIN, SQUID, "/usr/local/share/ca-certificates"), "done"
    )
    assert servers.run("postconf -h content_filter smtpd_milters").stdout.split() == ["inet:127.0.0.1:1"]
    assert assess(looked(servers), knowledge.catalog()).products == ()


def test_a_whole_remediation_takes_lines_out_where_it_is_told_to(
    linux_lab: Lab, servers: Host, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Over ssh: without the setting the lines stay for a person, with it they go, and then there is nothing to do."""
    servers.install(COVER)
    servers.run(f"printf '%s\\n' '{BLOCK[0]}' '{FILTER}' '{BLOCK[2]}' >>{MAIN}; echo '{ICAP}' >>{SQUID}")
    whole, proxy = read(servers, MAIN), read(servers, SQUID)
    where = tmp_path_factory.mktemp("ed")  # a short path: ssh makes a socket below it

    def run(name: str, **more: Any) -> remediating.Remediation:
        hosts = remediating.inventory_of({"mail1": servers}, {"mail1": {**EXISTING, **more}})
        return remediating.remediate(linux_lab, where / name, hosts)

    plain = run("plain")
    assert (read(servers, MAIN), read(servers, SQUID)) == (whole, proxy)
    manual = [item.what for item in plain.plan("mail1").manual]
    assert any(FILTER.partition(" ")[0] in what or "klms" in what for what in manual), manual
    before, files = servers.snapshot(), explained.package_files(servers)
    told = run("told", evict_edit=["mail", "proxy"])
    assert told.failures("mail1") == {}, told.row("mail1")
    assert told.row("mail1")["verdict"] == "replaced_unproved", told.row("mail1")
    assert "klms" not in read(servers, MAIN)
    assert "kwts" not in read(servers, SQUID)
    assert servers.run("postconf -h content_filter").stdout.strip() == ""
    servers.run("squid -k parse; systemctl is-active squid postfix")
    ours = [
        "/etc/postfix",
        "/var/spool/postfix/**",
        "/var/lib/postfix/**",
        "/etc/squid",
        "/var/spool/squid/**",
        "/var/log/**",
    ]
    made = told.plan("mail1"), told.outcomes("mail1")
    assert explained.unexplained(before, servers.snapshot(), *made, files, (*ours, "/run/**")) == []
    again = run("again", evict_edit=["mail", "proxy"])
    assert again.row("mail1")["verdict"] == "nothing_to_do", again.row("mail1")
