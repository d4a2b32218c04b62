# SPDX-License-Identifier: GPL-3.0-or-later
"""What a remediation costs against the same work by a role of builtin modules: `make bench-remediate HOSTS=8`, as root.

Real Debian hosts of the Linux lab with three products; ClamAV comes from a repository on the host itself. Both
contestants take them from the same state to the same end: the products removed, ClamAV installed, started and proved,
everything looked at again. The hosts are made anew before each run, and looked at by others' instruments after it.
benchmarks/builtin_remediate/ is the role; docs/benchmarks.md has the method and figures.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import re
import statistics
import sys
import tempfile
import typing as t
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.lab.linux import takeover
from tests.lab.linux.lab import Host, Lab
from tests.lab.linux.states import STATES

from .fleet import Cost, Meter

BOUND: t.Final = 1 / 3  # of the tasks and the controller CPU of the role
PLAY: t.Final = Path(__file__).with_name("builtin_remediate") / "play.yml"
RECAP: t.Final = re.compile(r"^(?P<host>\S+)\s+: (?P<counts>ok=\d+ .*)$", re.MULTILINE)
# Parts of the test sample, which is whole in no file of ours.
SAMPLE: t.Final = ("X5O!P%", "@AP[4\\PZX54(P^)7CC)7}$", "EICAR-STANDARD-", "ANTIVIRUS-TEST-FILE!$H+H*")
CONSENT: t.Final = {
    "evict_hosts": "all",
    "evict_consent": ["remove", "unprotected"],
    "evict_waves": [1000],
    "evict_soak": 0,
}
GONE: t.Final = (
    "! dpkg-query -W -f '${db:Status-Status} ${Package}\\n' | grep -v not-installed | grep -E ' (kesl|klnagent)'"
)
COVERED: t.Final = "systemctl is-active clamav-daemon && clamdscan --ping 5:1 | grep PONG"
RESIDUE: t.Final = (
    "/etc/init.d/kesl",
    "/etc/opt/kaspersky/klnagent",
    "/etc/systemd/system/kesl.service",
    "/opt/kaspersky/kesl",
    "/opt/kaspersky/klnagent64",
    "/usr/bin/kesl-control",
    "/var/opt/kaspersky/kesl/common",
    "/var/opt/kaspersky/klnagent",
)


@dataclasses.dataclass(frozen=True)
class Run:
    """What one run cost; tasks as Ansible's recap counts them, those it passed over included."""

    cost: Cost
    tasks: int

    def figures(self) -> dict[str, float]:
        """All figures of the run by name."""
        return {**dataclasses.asdict(self.cost), "tasks": self.tasks}


def main() -> int:
    """Print both and the ratio; 1 when ours is above the bound."""
    given = _arguments()
    runs: dict[str, list[Run]] = {"remediate": [], "builtin": []}
    lab = Lab(os.environ.get("EVICT_LAB_NAME", "benchmark"))
    with tempfile.TemporaryDirectory() as folder, lab.start("deb12"):
        hosts = [lab.up(f"h{number}", "deb12") for number in range(given.hosts)]
        lab.wait(*hosts)
        meter = Meter(lab, Path(folder), *hosts)
        fleet = Contestants(meter, given.forks)
        for number in range(given.rounds):
            for name in sorted(runs, reverse=bool(number % 2)):
                print(f"round {number + 1} of {given.rounds}: {name}", file=sys.stderr, flush=True)
                fleet.restore(fresh=any(runs.values()))
                runs[name].append(fleet.run(name, number))
    medians = {
        name: {key: statistics.median(run.figures()[key] for run in found) for key in found[0].figures()}
        for name, found in runs.items()
    }
    ratio = {name: medians["remediate"][name] / value for name, value in medians["builtin"].items() if value}
    _print(given, medians, ratio)
    given.json.parent.mkdir(parents=True, exist_ok=True)
    given.json.write_text(json.dumps({"hosts": given.hosts, "medians": medians, "ratio": ratio}, indent=1) + "\n")
    return int(max(ratio["tasks"], ratio["controller_cpu"]) > BOUND)


class Contestants:
    """Brings hosts into the state both begin with, and runs one of them."""

    def __init__(self, meter: Meter, forks: int) -> None:
        self.meter, self.forks = meter, forks
        self.folder = meter.folder
        variables = {
            host.name: host.vars(proxy=False, ansible_python_interpreter="/usr/bin/python3") for host in meter.hosts
        }
        self.inventory = meter.lab.inventory(self.folder / "hosts", variables)

    def restore(self, *, fresh: bool) -> None:
        """The state of the beginning on all hosts; made anew with `fresh`."""

        def one(host: Host) -> Mapping[str, t.Any]:
            if fresh:
                host.reset()
            policy = takeover.clamav(host)
            STATES["everything"].make(host)
            return policy

        with ThreadPoolExecutor(4) as pool:
            policy, *_ = pool.map(one, self.meter.hosts)
        urls = policy["evict_replacement_settings"]["database_urls"]
        (self.folder / "policy.json").write_text(json.dumps({**policy, **CONSENT}))
        values = {"builtin_database_urls": urls, "builtin_residue": RESIDUE, "builtin_sample": SAMPLE}
        (self.folder / "builtin.json").write_text(json.dumps(values))
        self.meter.ready()

    def run(self, name: str, number: int) -> Run:
        """One run of a contestant, from the state of the beginning.

        Raises:
            RuntimeError: it failed, or has not done the work.
        """
        if name == "remediate":
            words = [sys.executable, "-m", "evict", "remediate", "--out", str(self.folder / f"run-{number}")]
            words += ["-e", f"@{self.folder}/policy.json"]
        else:
            words = [sys.executable, "-m", "ansible", "playbook", str(PLAY), "-e", f"@{self.folder}/builtin.json"]
        cost = self.meter.cost([*words, "-i", str(self.inventory), "--forks", str(self.forks)])
        for host in self.meter.hosts:
            # A run that is cheap because it did not do the work is no contestant.
            if host.run(f"{GONE} && {COVERED}", check=False).returncode != 0:
                raise RuntimeError(f"{name}: {host.name} is not as it should be\n{self.meter.said[-3000:]}")
        if name == "remediate":
            rows = json.loads((self.folder / f"run-{number}" / "rows.json").read_text())["rows"]
            if {row["verdict"] for row in rows} != {"replaced"}:
                raise RuntimeError(f"rows are not as they should be: {rows}")
        return Run(cost, _tasks(self.meter.said))


def _tasks(said: str) -> int:
    """Tasks of all hosts, from the recap."""
    counts = [dict(part.split("=") for part in found["counts"].split()) for found in RECAP.finditer(said)]
    return sum(int(one[key]) for one in counts for key in ("ok", "skipped", "failed", "unreachable"))


def _print(given: argparse.Namespace, medians: dict[str, dict[str, float]], ratio: dict[str, float]) -> None:
    print(f"\n{given.hosts} hosts, {given.forks} forks, median of {given.rounds} rounds, a host")
    print(
        f"{'':12}{'tasks':>8}{'execs':>8}{'controller CPU':>16}{'wall':>12}{'target CPU':>12}{'kB':>9}{'processes':>11}"
    )
    for name, cost in medians.items():
        each = {key: value / given.hosts for key, value in cost.items()}
        print(
            f"{name:12}{each['tasks']:8.1f}{each['execs']:8.1f}{each['controller_cpu'] * 1000:13.0f} ms"
            f"{each['wall'] * 1000:9.0f} ms{each['target_cpu'] * 1000:9.0f} ms{each['wire'] / 1000:9.1f}"
            f"{each['processes']:11.0f}"
        )
    print(
        f"{'ratio':12}{ratio['tasks']:7.2f}x{ratio['execs']:7.2f}x{ratio['controller_cpu']:15.2f}x{ratio['wall']:11.2f}x"
        f"{ratio['target_cpu']:11.2f}x{ratio['wire']:8.2f}x   (tasks and controller CPU may be at most {BOUND:.2f}x)"
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-remediate", description=__doc__.split("\n\n")[0])
    parser.add_argument("hosts", type=int, nargs="?", default=8)
    parser.add_argument("--forks", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--json", type=Path, default=Path("tests/output/bench_remediate.json"))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
