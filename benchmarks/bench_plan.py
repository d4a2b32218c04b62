# SPDX-License-Identifier: GPL-3.0-or-later
"""What a dry run costs against an audit of the same hosts, in turns: `make bench-plan HOSTS=200`, as root.

The replacement is `existing`, which brings nothing: what is measured is the plan itself, with all that the host is
asked besides. One real host answers on as many loopback addresses (benchmarks/fleet.py), so every plan ends as blocked
for a machine id that all of them share; that costs what any plan costs. docs/benchmarks.md has the method and figures.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import sys
import tempfile
import typing as t
from pathlib import Path

from tests.lab.linux.lab import Lab

from .fleet import Cost, Fleet

BOUND: t.Final = 1.2  # times the audit
POLICY: t.Final = {
    "evict_hosts": "all",
    "evict_replacement": "existing",
    "evict_replacement_settings": {"service_names": ["guard.service"]},
    "evict_fallback": "none",
    "evict_consent": ["unprotected"],
}
# Neither code is a failure of the run: hosts that nobody protects and machine ids that are one are open hosts.
COMMAND: t.Final = 'code=0; "$@" || code=$?; case $code in 0 | 2) ;; *) exit "$code" ;; esac'


def main() -> int:
    """Print both and the ratio; 1 when the plan costs more than the bound."""
    given = _arguments()
    runs: dict[str, list[Cost]] = {"audit": [], "plan": []}
    lab = Lab(os.environ.get("EVICT_LAB_NAME", "benchmark"))
    with tempfile.TemporaryDirectory() as folder, lab.start("deb12"):
        fleet = Fleet(lab, Path(folder))
        (Path(folder) / "policy.json").write_text(json.dumps(POLICY))
        fleet.cost(_command(fleet, "audit", 4, given.forks, "warm"))
        for number in range(given.rounds):
            for verb in sorted(runs, reverse=bool(number % 2)):
                print(f"round {number + 1} of {given.rounds}: {verb}", file=sys.stderr, flush=True)
                command = _command(fleet, verb, given.hosts, given.forks, str(number))
                runs[verb].append(fleet.cost(command))
                _check(Path(folder) / f"{verb}-{number}", verb, given.hosts)
    medians = {
        verb: {f.name: statistics.median(getattr(cost, f.name) for cost in costs) for f in dataclasses.fields(Cost)}
        for verb, costs in runs.items()
    }
    pairs = _pairs(runs)
    ratio = {name: statistics.median(values) for name, values in pairs.items()}
    print(f"\n{given.hosts} hosts, {given.forks} forks, median of {given.rounds} rounds, a host")
    print(f"{'':10}{'wall':>10}{'controller CPU':>16}{'target CPU':>12}{'kB':>8}{'execs':>7}{'processes':>11}")
    for verb, cost in medians.items():
        each = {name: value / given.hosts for name, value in cost.items()}
        print(
            f"{verb:10}{each['wall'] * 1000:7.0f} ms{each['controller_cpu'] * 1000:13.0f} ms"
            f"{each['target_cpu'] * 1000:9.0f} ms{each['wire'] / 1000:8.1f}{each['execs']:7.1f}"
            f"{each['processes']:11.0f}"
        )
    print(
        f"plan : audit{ratio['wall']:7.2f}x{ratio['controller_cpu']:14.2f}x{ratio['target_cpu']:10.2f}x"
        f"{ratio['wire']:8.2f}x   (wall may be at most {BOUND}x)"
    )
    print(f"wall of each round: {', '.join(f'{value:.2f}x' for value in pairs['wall'])}")
    given.json.parent.mkdir(parents=True, exist_ok=True)
    given.json.write_text(json.dumps({"hosts": given.hosts, "medians": medians, "ratio": ratio}, indent=1) + "\n")
    return int(ratio["wall"] > BOUND)


def _pairs(runs: dict[str, list[Cost]]) -> dict[str, list[float]]:
    """Plan : audit of each round, by figure: a processor's speed drifts from minute to minute, and a round is short."""
    found: dict[str, list[float]] = {}
    for audit, plan in zip(runs["audit"], runs["plan"], strict=True):
        for name, value in dataclasses.asdict(audit).items():
            if value:
                found.setdefault(name, []).append(getattr(plan, name) / value)
    return found


def _command(fleet: Fleet, verb: str, number: int, forks: int, run: str) -> list[str]:
    words = [sys.executable, "-m", "evict", verb, "--out", str(fleet.folder / f"{verb}-{run}")]
    words += ["-i", str(fleet.inventory(number)), "--forks", str(forks)]
    if verb == "plan":
        words += ["-e", f"@{fleet.folder}/policy.json"]
    return ["sh", "-c", COMMAND, "sh", *words]


def _check(folder: Path, verb: str, hosts: int) -> None:
    """A run that is fast because it did nothing is no contestant."""
    rows = json.loads((folder / "rows.json").read_text())["rows"]
    wanted = {"audit": {"absent"}, "plan": {"blocked"}}[verb]
    if len(rows) != hosts or {row["verdict"] for row in rows} != wanted:
        raise RuntimeError(f"{verb}: rows are not as they should be: {rows[:2]}")
    if verb == "plan" and len(json.loads((folder / "plan.json").read_text())["hosts"]) != hosts:
        raise RuntimeError("plan: not every host has a plan")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-plan", description=__doc__.split("\n\n")[0])
    parser.add_argument("hosts", type=int, nargs="?", default=200)
    parser.add_argument("--forks", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, default=Path("tests/output/bench_plan.json"))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
