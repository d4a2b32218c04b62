# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab for the scenarios that remediate: fleet.py up|interrupt|rows|unchanged|attached|down, as root.

The scenario is the one Molecule runs (MOLECULE_SCENARIO_NAME); its lab has the same name unless EVICT_LAB_NAME names
another. `up` prints the path of the inventory on its last line. The questions end with an error when something is not
as it has to be.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tests.e2e import playbooks
from tests.lab.linux import remediating, snapshot, takeover
from tests.lab.linux.dying import Watched
from tests.lab.linux.lab import Host, Lab
from tests.lab.linux.misbehaviour import MISBEHAVIOURS
from tests.lab.linux.misbehaviour_scripts import at_stop
from tests.lab.linux.states import STATES

Policy = Mapping[str, Any]
# A product that stops only when a second run has come to its job: the first one's controller is dead by then.
WAIT = at_stop(
    "n=0; until [ $n -ge 600 ]; do\n"
    "  set -- /var/lib/evict.kaspersky/jobs/*/commit/run.*\n"
    "  [ $# -lt 2 ] || break\n"
    "  n=$((n + 1)); sleep 0.2\n"
    "done"
)
STOP = "remove.kesl.stop.kesl.service"


@dataclass(frozen=True)
class Machine:
    """One host of a scenario.

    Attributes:
        root, user: the root file system it is made from, and who logs in.
        make: brings a fresh host into its state; returns what is to take over.
        ends: verdicts of the runs of check, converge and idempotence, in this order.
        unit, process: of what protects it afterwards.
        because: id of the inhibitor, where it is blocked.
    """

    root: str
    user: str
    make: Callable[[Host], Policy]
    ends: tuple[str, ...]
    unit: str = takeover.UNIT
    process: str = "shieldd"
    because: str = ""


def existing(state: str, before: str = ":") -> Callable[[Host], Policy]:
    """Another vendor's scanner is there already, and stays."""

    def make(host: Host) -> Policy:
        host.install(takeover.COVER)
        host.run(f"mkdir -p /etc/fake-kaspersky\n{before}")
        STATES[state].make(host)
        return takeover.EXISTING

    return make


def clamav(state: str) -> Callable[[Host], Policy]:
    """ClamAV is installed from the host's own repository."""

    def make(host: Host) -> Policy:
        policy = takeover.clamav(host)
        STATES[state].make(host)
        return policy

    return make


def package(state: str) -> Callable[[Host], Policy]:
    """The other vendor's scanner is installed from a package file that lies on the host."""

    def make(host: Host) -> Policy:
        policy = takeover.installed(host)
        STATES[state].make(host)
        return policy

    return make


def unprotected(host: Host) -> Policy:
    """What is said to be there already is not."""
    STATES["kesl"].make(host)
    return takeover.EXISTING


def wrong(name: str) -> Callable[[Host], Policy]:
    """A way in which a removal cannot even begin."""

    def make(host: Host) -> Policy:
        MISBEHAVIOURS[name].make(host)
        return MISBEHAVIOURS[name].policy

    return make


GOES = ("present", "replaced_unproved", "nothing_to_do")
PROVED = ("present", "replaced", "nothing_to_do")
CLEARED = ("leftovers", "replaced_unproved", "nothing_to_do")
STAYS = ("blocked",) * 3
SCENARIOS: Mapping[str, Mapping[str, Machine]] = {
    "remediate-deb": {
        "everything": Machine(
            "deb12", "nopass", clamav("everything"), PROVED, unit="clamav-daemon.service", process="clamd"
        ),
        "residue": Machine("deb13", "withpass", existing("rc"), CLEARED),
    },
    "remediate-rpm": {
        "everything": Machine("rpm9", "root", package("everything"), GOES),
        "residue": Machine("rpm9", "nopass", existing("rpm_removed"), CLEARED),
    },
    "blocked": {
        "perl": Machine("deb12", "nopass", wrong("perl_missing"), STAYS, because="tools_missing"),
        "excluded": Machine("rpm9", "root", wrong("excluded"), STAYS, because="package_held"),
        "unprotected": Machine("deb13", "withpass", unprotected, STAYS, because="no_active_protection"),
    },
    "resume": {
        "debian": Machine("deb12", "nopass", existing("kesl", WAIT), GOES[1:]),
        "redhat": Machine("rpm9", "root", existing("kesl", WAIT), GOES[1:]),
    },
}

name = os.environ["MOLECULE_SCENARIO_NAME"]
machines = SCENARIOS[name]
lab = Lab(os.environ.get("EVICT_LAB_NAME", name))
place = lab.state / lab.name


def hosts() -> dict[str, Host]:
    """The hosts, when they are up."""
    return {key: Host(lab=lab, name=key, ip="", root=machine.root) for key, machine in machines.items()}


def variables(made: Mapping[str, Host], policies: Mapping[str, Policy], *, proxy: bool) -> dict[str, dict[str, str]]:
    """Inventory variables of the hosts; with `proxy` for runs outside the lab."""
    found = {}
    for key, machine in machines.items():
        found[key] = made[key].vars(user=machine.user, become=machine.user != "root", proxy=proxy)
        found[key] |= {"cover_unit": machine.unit, "cover_process": machine.process}
        # What is no text is read as a literal of Python.
        found[key] |= {k: value if isinstance(value, str) else repr(value) for k, value in policies[key].items()}
    return found


def up() -> None:
    """Boot and prepare the hosts; one inventory for Molecule, and what a run inside the lab needs."""
    lab.stop()
    lab.start(*sorted({machine.root for machine in machines.values()}))
    made = {key: lab.up(key, machine.root) for key, machine in machines.items()}
    lab.wait(*made.values())
    policies = {key: machines[key].make(host) for key, host in made.items()}
    families = {family: [key for key, host in made.items() if host.family == family] for family in ("deb", "rpm")}
    groups = "\n".join(f"[{family}]\n" + "\n".join(keys) for family, keys in families.items())
    lab.inventory(place / "inventory", variables(made, policies, proxy=True), more=groups)
    (place / "inside.json").write_text(json.dumps(variables(made, policies, proxy=False)))
    (place / "before.json").write_text(json.dumps({key: host.snapshot() for key, host in made.items()}))
    print(place / "inventory")


def interrupt() -> None:
    """Begin a remediation; kill the controller with all its workers while the products are being stopped."""
    words = remediating.command(lab, place / "killed", json.loads((place / "inside.json").read_text()))
    running = remediating.Running(lab, place / "killed", words)
    for host in hosts().values():
        Watched(host).when(STOP, lambda: None)
    running.kill()
    for key, host in hosts().items():
        if Watched(host).closed():
            sys.exit(f"{key}: the job had ended before its controller was killed")


def rows() -> None:
    """Each run gave each host the verdict it is worth, and a host that is blocked its reason."""
    runs = sorted((place / "runs").iterdir())
    wanted = {key: machine.ends for key, machine in machines.items()}
    told = [{row["host"]: row for row in json.loads((run / "rows.json").read_text())["rows"]} for run in runs]
    found = {key: tuple(rows[key]["verdict"] for rows in told) for key in machines}
    if found != wanted:
        why = {key: [rows[key]["reasons"][:3] for rows in told] for key in machines if found[key] != wanted[key]}
        sys.exit(f"verdicts are {found}, not {wanted}: {why}")
    for key, machine in machines.items():
        for rows in told:
            ids = {text.partition(":")[0] for text in rows[key].get("inhibitors", ())}
            if machine.because and machine.because not in ids:
                sys.exit(f"{key} is blocked because of {ids}, not {machine.because}")


def unchanged() -> None:
    """No file of a host has changed but those that any login changes."""
    before = json.loads((place / "before.json").read_text())
    for key, host in hosts().items():
        if found := snapshot.not_allowed(snapshot.diff(before[key], host.snapshot())):
            sys.exit(f"{key} was changed:\n" + "\n".join(map(str, found)))


def attached() -> None:
    """The second run has followed the job of the first one to its end, and has begun none of its own."""
    (converged, *_) = sorted((place / "runs").iterdir())
    run = remediating.Remediation(playbooks.Run(0, "", converged))
    for key, host in hosts().items():
        jobs = [line.fields["run"] for line in Watched(host).lines() if line.event == "job"]
        (done,) = (data for data in run.events(key, "performed") if data["phase"] == "commit")
        told = [line.split()[0] for line in done["journal"]]
        if len(jobs) != 1 or jobs[0] == converged.name or "close" not in told:
            sys.exit(f"{key}: jobs of the runs {jobs}, {converged.name} was told {told}")


if __name__ == "__main__":
    actions = {"up": up, "interrupt": interrupt, "rows": rows, "unchanged": unchanged, "attached": attached}
    {**actions, "down": lab.stop}[sys.argv[1]]()
