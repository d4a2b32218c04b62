# SPDX-License-Identifier: GPL-3.0-or-later
"""ClamAV on a host of the lab for real: the distribution's packages, signatures of our own, the provider's own steps.

The one signature finds the test sample that everybody agrees on; neither that nor its text stands in a file, both are
put together on the host.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import shlex
import typing as t
from collections.abc import Mapping
from pathlib import Path

from ansible_collections.evict.kaspersky.plugins.plugin_utils import job, journal, knowledge, observation, preflight
from ansible_collections.evict.kaspersky.plugins.plugin_utils.canonical import dumps
from ansible_collections.evict.kaspersky.plugins.plugin_utils.case import Case
from ansible_collections.evict.kaspersky.plugins.plugin_utils.health import Health
from ansible_collections.evict.kaspersky.plugins.plugin_utils.journal import Answer
from ansible_collections.evict.kaspersky.plugins.plugin_utils.outcome import Outcome
from ansible_collections.evict.kaspersky.plugins.plugin_utils.plan import Plan
from ansible_collections.evict.kaspersky.plugins.plugin_utils.steps import Phase
from tests import covers
from tests import jobs as plans

from . import repository
from .lab import Host, Lab

NONCE = "evict-00112233445566778899aabb"
WEB = "http://127.0.0.1:8000"
# The sample in pieces, none of which is one.
SAMPLE = r"""sample() {
  printf '%s%s%s-%s' 'X5O!P%' '@AP[4\PZX54(P^)7CC)7}$EICAR' '-STANDARD-ANTIVIRUS-TEST' 'FILE!$H+H*'
}
"""
# Signatures are made with the packages' own tool, from the packages, before anything is installed; nothing of it stays.
SIGNATURES = (
    SAMPLE
    + r"""
mkdir -p /srv/db /run/tool && cd /run/tool
for file in /srv/repo/clamav_*.deb /srv/repo/lib*.deb; do dpkg-deb -x "$file" .; done
printf 'Lab.Sample:0:0:%s\n' "$(sample | od -An -v -tx1 | tr -d ' \n')" >lab.ndb
cp lab.ndb daily.ndb
echo x >COPYING
export LD_LIBRARY_PATH=/run/tool/usr/lib/x86_64-linux-gnu SIGNDUSER=lab LAB_TIME
[ -z "$LAB_TIME" ] || export LD_PRELOAD=/srv/repo/time.so
./usr/bin/sigtool --build=daily.cud --unsigned --cvd-version=27001 --datadir=. --no-cdiff </dev/null
unset LD_PRELOAD LD_LIBRARY_PATH
cp lab.ndb daily.cud /srv/db/
chmod 755 /srv/db && chmod 644 /srv/db/*
cd / && rm -r /run/tool
"""
)
SERVE = (
    "systemctl stop lab-web.service 2>/dev/null || :; "
    "systemd-run -q --unit=lab-web python3 -m http.server 8000 --bind 127.0.0.1 --directory /srv/db; "
    "for i in 1 2 3 4 5 6 7 8 9; do ss -ltn | grep -q 127.0.0.1:8000 && break; sleep 0.3; done"
)


@functools.cache
def packages(lab: Lab) -> Path:
    """The folder of the real packages."""
    return repository.built(lab, "clamav", ("clamav.sh", "debs.sh"))


def offer(host: Host) -> None:
    """Let the host's own repository offer the real packages; its lists do not know of them yet."""
    repository.put(host, packages(host.lab))


def signatures(host: Host, *, age: datetime.timedelta | None = None) -> None:
    """Make /srv/db/lab.ndb and /srv/db/daily.cud, the latter with a date; `age`: as old as that."""
    made = int((datetime.datetime.now(datetime.UTC) - age).timestamp()) if age else ""
    host.run(f"LAB_TIME={made}\n{SIGNATURES}")


def case(**given: t.Any) -> Case:
    """A case for the host's provider; as covers.make."""
    return covers.make("clamav", **given)


def archive(digest: str, settings: Mapping[str, t.Any]) -> Case:
    """A case whose packages and signatures come in /srv/clamav.tar.gz of the host."""
    made = case(settings=settings, method="host_file", suffix="tar.gz")
    source = made.policy.replacement_source
    assert source is not None
    source = dataclasses.replace(source, location="/srv/clamav.tar.gz", name="", sha256=digest, signer="")
    return dataclasses.replace(made, policy=dataclasses.replace(made.policy, replacement_source=source))


def plan(host: Host, made: Case, *, patience: int = 0) -> Plan:
    """The provider's own steps, all of them, as a plan for the host; `patience`: seconds of a step of its commit."""
    steps = covers.whole(made, "replacement")
    assert steps.faults == ()
    machine = host.run("cat /etc/machine-id").stdout.strip()
    parts = [
        *steps.stage,
        *(dataclasses.replace(step, on_fail="continue", timeout=patience or step.timeout) for step in steps.cover),
    ]
    return plans.plan("linux", parts, host=host.name, machine=machine, replacement="clamav", fallback="")


def perform(host: Host, made: Plan, phase: Phase, *, run: str = "one") -> tuple[Answer, Mapping[str, Outcome]]:
    """Perform a phase on the host, as the controller does it.

    Returns:
        The launcher's answer, and step id -> outcome without the prefix of the id.
    """
    sealed = job.compile_job(made, phase)
    values = {
        "NONCE": NONCE,
        "OP": "start",
        "PHASE": phase,
        "DIGEST": sealed.digest,
        "HOST": sealed.host,
        "MACHINE": sealed.machine,
        "RUN": run,
        "SEAL": sealed.seal(),
        "WAIT": "300",
        "SINCE": "0",
        "PLAN": dumps(made.to_dict()).decode(),
        "JOB": knowledge.JOB_SH + sealed.posix(),
        "SECRETS": "",
        "SENT": "",
    }
    head = "".join(f"EVICT_{name}={shlex.quote(value)}\n" for name, value in values.items())
    done = host.run("exec /bin/sh", stdin=head + knowledge.PERFORM_SH, patience=400)
    answer = journal.parse(done.stdout, NONCE)
    assert answer.state == "ended", (answer, done)
    outcomes = answer.journal.outcomes(made, phase)
    return answer, {outcome.step.split(".", 2)[2]: outcome for outcome in outcomes}


def health(host: Host, made: Case, *, now: datetime.datetime | None = None) -> Health:
    """What the brain makes of the host's answers, asked as a plan asks them."""
    asked = preflight.ask(made.policy, made.replacement, made.fallback, knowledge.catalog(), "linux", 22)
    values = {"NONCE": NONCE, "TIMEOUT": "20", **{f"PREFLIGHT_{k.upper()}": "\n".join(v) for k, v in asked.items()}}
    head = "".join(f"EVICT_{name}={shlex.quote(value)}\n" for name, value in values.items())
    done = host.run("exec /bin/sh", stdin=head + knowledge.OBSERVE_LINUX_PLAN)
    seen = observation.parse_posix(done.stdout, NONCE, preflight=True)
    assert seen is not None, done
    told = dataclasses.replace(
        made,
        seen=seen,
        controller=dataclasses.replace(made.controller, now=now or datetime.datetime.now(datetime.UTC)),
    )
    found = told.health("replacement")
    assert found is not None, seen.probes["cover"]
    return found
