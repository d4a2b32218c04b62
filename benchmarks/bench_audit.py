# SPDX-License-Identifier: GPL-3.0-or-later
"""What an audit costs against other ways to ask a fleet, side by side: `make bench-audit HOSTS=50`, as root.

One real host answers over real ssh on as many loopback addresses as asked for; the controller runs in the lab. Every
contestant has the same forks, the same ssh options and the same key exchange. They run in turns, several rounds of
them, and the medians count. Times on loopback measure the processors, so only the ratios mean something.
docs/benchmarks.md has the method and figures.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import statistics
import sys
import tempfile
import typing as t
from pathlib import Path

from tests.lab.linux.lab import Lab

from . import growth, windows
from .contestants import Contestants, payload
from .fleet import Cost, Fleet

BASE, FLOOR = "raw", "raw-true"


def main() -> None:
    """Print tables, and write the same as JSON."""
    given = _arguments()
    found: dict[str, t.Any] = {
        "hosts": given.hosts,
        "forks": given.forks,
        "rounds": given.rounds,
        "processors": os.cpu_count(),
        "python": platform.python_version(),
        "payload_bytes": len(payload().encode()),
    }
    lab = Lab(os.environ.get("EVICT_LAB_NAME", "benchmark"))
    with tempfile.TemporaryDirectory() as folder, lab.start("deb12"):
        fleet = Fleet(lab, Path(folder))
        contestants = Contestants(fleet, given.forks)
        if given.rounds:
            found["contestants"] = turns(fleet, contestants, given)
        if given.scale:
            found["growth"] = growth.fit(fleet, contestants, given.scale)
        if given.findings:
            found["findings"] = growth.findings(fleet, contestants, given.findings)
    if given.windows:
        found["windows"] = windows.compare()
    given.json.parent.mkdir(parents=True, exist_ok=True)
    given.json.write_text(json.dumps(found, indent=1) + "\n")
    print(f"\nall figures: {given.json}")


def turns(fleet: Fleet, contestants: Contestants, given: argparse.Namespace) -> dict[str, t.Any]:
    """Every contestant in turn, several rounds; the medians."""
    names = [name for name in contestants.NAMES if not given.only or name in (*given.only, BASE, FLOOR)]
    fleet.cost(contestants.command(FLOOR, min(4, given.hosts)))  # caches of files and of the first login
    runs: dict[str, list[Cost]] = {name: [] for name in names}
    for number in range(given.rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            print(f"round {number + 1} of {given.rounds}: {name}", file=sys.stderr, flush=True)
            runs[name].append(fleet.cost(contestants.command(name, given.hosts)))
    medians = {
        name: {
            key.name: statistics.median(getattr(cost, key.name) for cost in costs) for key in dataclasses.fields(Cost)
        }
        for name, costs in runs.items()
    }
    base, floor = medians[BASE], medians[FLOOR]
    print(
        f"\n{given.hosts} hosts, {given.forks} forks, median of {given.rounds} rounds;"
        " x is against `raw` with the same script"
    )
    print(
        f"{'a host':42}{'wall':>15}{'controller CPU':>16}{'target CPU':>16}{'above floor':>12}"
        f"{'kB':>9}{'execs':>7}{'procs':>7}"
    )
    for name, cost in medians.items():
        each = {key: value / given.hosts for key, value in cost.items()}
        above = (cost["target_cpu"] - floor["target_cpu"]) / given.hosts
        print(
            f"{contestants.NAMES[name]:42}{each['wall'] * 1000:6.0f} ms {cost['wall'] / base['wall']:4.2f}x"
            f"{each['controller_cpu'] * 1000:8.0f} ms {cost['controller_cpu'] / base['controller_cpu']:4.2f}x"
            f"{each['target_cpu'] * 1000:8.0f} ms {cost['target_cpu'] / base['target_cpu']:4.2f}x"
            f"{above * 1000:9.0f} ms{each['wire'] / 1000:9.1f}{each['execs']:7.1f}{each['processes']:7.0f}"
        )
    return medians


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-audit", description=__doc__.split("\n\n")[0])
    parser.add_argument("hosts", type=int, nargs="?", default=50)
    parser.add_argument("--forks", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--only", nargs="*", metavar="NAME", help="only these contestants, and what they are measured by"
    )
    parser.add_argument("--scale", type=int, nargs="*", metavar="N", help="audit so many hosts each, fit a line")
    parser.add_argument(
        "--findings", type=int, metavar="N", help="audit N clean hosts and N with many findings, compare memory"
    )
    parser.add_argument(
        "--windows", action="store_true", help="one Windows host of the lab as well; needs the PowerShell kit"
    )
    parser.add_argument("--json", type=Path, default=Path("tests/output/bench_audit.json"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
