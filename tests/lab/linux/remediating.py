# SPDX-License-Identifier: GPL-3.0-or-later
"""Remediations of lab hosts over real ssh, and what a run folder has of them: plans, outcomes, journals, rows."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.evict.kaspersky.plugins.plugin_utils import evidence, plans
from ansible_collections.evict.kaspersky.plugins.plugin_utils.outcome import Outcome
from ansible_collections.evict.kaspersky.plugins.plugin_utils.plan import Plan
from tests.e2e import playbooks

from .lab import FLEET, Host, Lab, LabError

CONSENT = {
    "evict_hosts": "all",
    "evict_consent": ["remove", "unprotected"],
    "evict_waves": [1000],
    "evict_max_failures": "100%",
    "evict_soak": 0,
}
Hosts = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Remediation:
    """A run that ended, or was killed.

    Attributes:
        run: the run.
    """

    run: playbooks.Run

    def row(self, host: str) -> dict[str, Any]:
        """The row of a host."""
        return self.run.rows()[host]

    def plan(self, host: str) -> Plan:
        """The plan of a host."""
        return plans.read(self.run.folder, host)

    def events(self, host: str, event: str) -> list[Mapping[str, Any]]:
        """The data of a host's records of one kind, in order."""
        found = evidence.read(self.run.folder / "hosts" / f"{host}.jsonl")
        return [record.data for record in found if record.event == event]

    def outcomes(self, host: str) -> list[Outcome]:
        """What became of the steps of a host, all phases."""
        return [Outcome.from_dict(one) for data in self.events(host, "performed") for one in data["outcomes"]]

    def failures(self, host: str) -> dict[str, str]:
        """Step -> class of failure, for the steps that failed."""
        return {one.step: one.failure.kind for one in self.outcomes(host) if one.failure is not None}


def inventory_of(hosts: Mapping[str, Host], policies: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """Variables of each host, for a run inside the lab."""
    return {
        name: {**host.vars(proxy=False), **{key: _text(value) for key, value in policies[name].items()}}
        for name, host in hosts.items()
    }


def _text(value: Any) -> str:
    """A value as an INI inventory takes it: Ansible reads it as a literal of Python."""
    return value if isinstance(value, str) else repr(value)


def command(lab: Lab, where: Path, hosts: Hosts, *args: str, collection: Path | None = None, **extra: Any) -> list[str]:
    """The command line of a remediation inside the lab, run folder `where/run`.

    Args:
        lab: the lab.
        where: working folder, the home of the run.
        hosts: name -> variables (`inventory_of`).
        args: further arguments of ansible-playbook.
        collection: a collection with lower limits (lowered.py).
        extra: variables beside CONSENT.
    """
    where.mkdir(parents=True, exist_ok=True)
    inventory = lab.inventory(where / "hosts", hosts)
    settings = where / "policy.json"
    settings.write_text(json.dumps({**CONSENT, **extra}))
    more = {"ANSIBLE_COLLECTIONS_PATH": str(collection)} if collection else {}
    environment = playbooks.environment(HOME=str(where), **more)
    words = playbooks.command("evict.kaspersky.remediate", inventory, "-e", f"@{settings}", *args, out=where / "run")
    return ["env", "-i", "-C", str(where), *(f"{key}={value}" for key, value in environment.items()), *words]


def remediate(
    lab: Lab, where: Path, hosts: Hosts, *args: str, collection: Path | None = None, patience: float = 540, **extra: Any
) -> Remediation:
    """A remediation to its end; see `command`."""
    words = command(lab, where, hosts, *args, collection=collection, **extra)
    done = lab.command(*words, check=False, patience=patience)
    (where / "out").write_text(done.stdout + done.stderr)
    return Remediation(playbooks.Run(done.returncode, done.stdout + done.stderr, where / "run"))


class Running:
    """A remediation under way that can be killed as a machine dies: the controller and all its workers at once."""

    def __init__(self, lab: Lab, where: Path, words: Sequence[str]) -> None:
        self.folder = where / "run"
        self._out = where / "out"
        with self._out.open("w") as out:
            self._process = subprocess.Popen(
                [str(FLEET), "sh", *words],
                env=lab.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill(self) -> None:
        """SIGKILL to the controller's whole session; what it left on hosts is none of it."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def end(self, patience: float = 540) -> Remediation:
        """Wait for its own end."""
        code = self._process.wait(patience)
        return Remediation(playbooks.Run(code, self._out.read_text(errors="replace"), self.folder))


def until(what: Callable[[], bool], why: str, patience: float = 120, pause: float = 0.1) -> None:
    """Wait until something is so.

    Raises:
        LabError: it did not become so.
    """
    end = time.monotonic() + patience
    while not what():
        if time.monotonic() > end:
            raise LabError(f"{why}: not within {patience:.0f} s")
        time.sleep(pause)
