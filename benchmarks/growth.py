# SPDX-License-Identifier: GPL-3.0-or-later
"""How an audit grows: wall time and memory over the number of hosts, and memory over what was found on them."""

from __future__ import annotations

import typing as t

from tests.lab.linux.states import STATES

from .contestants import Contestants
from .fleet import Fleet

# Many small findings: products, and a crowd of children in a tree that the vendor's net looks into.
CROWD = "mkdir -p /opt/kaspersky; i=0; while [ $i -lt 300 ]; do mkdir /opt/kaspersky/part-$i; i=$((i + 1)); done"


def line(points: list[tuple[float, float]]) -> tuple[float, float, float]:
    """Least squares: constant, slope, and R squared."""
    n = len(points)
    mx, my = sum(x for x, _ in points) / n, sum(y for _, y in points) / n
    sxx = sum((x - mx) ** 2 for x, _ in points)
    sxy = sum((x - mx) * (y - my) for x, y in points)
    syy = sum((y - my) ** 2 for _, y in points)
    slope = sxy / sxx if sxx else 0.0
    return my - slope * mx, slope, (sxy * sxy / (sxx * syy)) if sxx and syy else 1.0


def fit(fleet: Fleet, contestants: Contestants, numbers: list[int]) -> dict[str, t.Any]:
    """Audit so many hosts each; lines through wall time and through the memory of the main process."""
    rows = []
    print(f"\n{'hosts':>6}{'wall':>9}{'a host':>10}{'CPU a host':>12}{'main process':>14}{'all processes':>15}")
    for number in numbers:
        cost = fleet.cost(contestants.command("audit", number), memory=True)
        rows.append(
            {
                "hosts": number,
                "wall": cost.wall,
                "cpu": cost.controller_cpu,
                "main_kb": cost.main_kb,
                "all_kb": cost.all_kb,
            }
        )
        print(
            f"{number:6}{cost.wall:7.1f} s{cost.wall / number * 1000:7.0f} ms"
            f"{cost.controller_cpu / number * 1000:9.0f} ms"
            f"{cost.main_kb / 1024:11.0f} MB{cost.all_kb / 1024:12.0f} MB"
        )
    wall = line([(row["hosts"], row["wall"]) for row in rows])
    memory = line([(row["hosts"], row["main_kb"]) for row in rows])
    print(f"wall = {wall[0]:.1f} s + {wall[1] * 1000:.1f} ms x hosts (R2 {wall[2]:.4f})")
    print(f"main process = {memory[0] / 1024:.0f} MB + {memory[1]:.1f} kB x hosts (R2 {memory[2]:.4f})")
    return {"runs": rows, "wall": wall, "main_kb": memory}


def findings(fleet: Fleet, contestants: Contestants, number: int) -> dict[str, float]:
    """The same number of hosts, clean and with many findings; the host is altered and stays so."""
    clean = fleet.cost(contestants.command("audit", number), memory=True)
    STATES["everything"].make(fleet.host)
    fleet.host.run(CROWD)
    full = fleet.cost(contestants.command("audit", number), memory=True)
    evidence = max((fleet.folder.glob("run-*")), key=lambda path: path.stat().st_mtime_ns)
    size = sum(path.stat().st_size for path in (evidence / "hosts").iterdir()) / number
    found = {"hosts": number, "clean_kb": clean.main_kb, "full_kb": full.main_kb, "evidence_bytes": size}
    found["more_bytes_a_host"] = (full.main_kb - clean.main_kb) * 1024 / number
    print(
        f"\n{number} hosts: main process {clean.main_kb / 1024:.0f} MB clean,"
        f" {full.main_kb / 1024:.0f} MB with many findings:"
        f" {found['more_bytes_a_host'] / 1024:.1f} kB more a host, of {size / 1024:.0f} kB evidence a host"
    )
    return found
