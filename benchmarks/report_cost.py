# SPDX-License-Identifier: GPL-3.0-or-later
"""What the reports of a large fleet cost: python -m benchmarks.report_cost [HOSTS] [--plans] [--json FILE].

Needs Chromium. With --plans it is a run of `evict plan`: nearly every host has a plan.

Three parts, each in a process of its own so that peaks do not mix: every format from rows in memory, the whole way from
a run folder on disk (rows, reports and export from evidence), and the page in a browser. Bounds: DESIGNED below.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import platform
import resource
import sys
import tempfile
import time
import typing as t
from collections.abc import Callable
from pathlib import Path

from ansible_collections.evict.kaspersky.plugins.plugin_utils import canonical, ledger, report, run
from ansible_collections.evict.kaspersky.plugins.plugin_utils.evidence import SCHEMA
from ansible_collections.evict.kaspersky.plugins.plugin_utils.hostfile import file_name
from ansible_collections.evict.kaspersky.plugins.plugin_utils.planned import FILE, Plans
from ansible_collections.evict.kaspersky.plugins.plugin_utils.plans import FOLDER
from tests import fleet, fleet_plans
from tests.e2e import browser

# For 10,000 hosts: seconds to make the page, MB at most while it is made, seconds for an action in the browser.
DESIGNED: t.Final = {"generate": 30.0, "peak": 300.0, "action": 1.0}
RECORDS: t.Final = 120  # in the observation of a host; a real answer holds some hundred short ones

Figures = dict[str, float]


def apart(work: Callable[..., Figures], *args: object) -> Figures:
    """Run a part in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, args)


def peak() -> float:
    """Most memory this process has held so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def formats(number: int, folder: str, plans: bool) -> Figures:
    """Each format from rows in memory to a file."""
    rows = fleet.rows(number)
    book = fleet_plans.ledger(rows) if plans else fleet.ledger(rows)
    found = {"MB before": peak()}
    for name in report.IN_FOLDER:
        start = time.perf_counter()
        path = Path(folder) / report.file_of(name)
        with open(path, "wb") as stream:
            for piece in report.encoded(name, book):
                stream.write(piece)
        found[f"{name} s"] = time.perf_counter() - start
        found[f"{name} MB"] = path.stat().st_size / 1e6
    found["MB peak"] = peak()
    return found


def lay_out(number: int, folder: str, plans: bool) -> Figures:
    """A run folder as such a fleet leaves it, written without a sync a record."""
    made, found = fleet_plans.planned(fleet.rows(number)) if plans else (fleet.rows(number), Plans())
    base = Path(folder)
    (base / run.HOSTS).mkdir(parents=True)
    names = [row.host for row in made]
    verb = "plan" if plans else "audit"
    started = {"verb": verb, "versions": {"collection": "0.1.0"}, "controller": {}, "ids": {"invocation": "x"}}
    log: list[tuple[str, dict[str, t.Any]]] = [
        ("run_started", started),
        ("hosts", {"inventory": names, "scope": names}),
        ("run_ended", {"how": "ended", "totals": {}}),
    ]
    _log(base / run.RUN_LOG, None, log)
    total = 0
    for row in made:
        records = [
            {"name": f"package-{n}", "version": fleet.digest(row.host, n)[:20], "state": "installed"}
            for n in range(RECORDS)
        ]
        probes = {"packages.dpkg": {"status": "ok", "reason": "", "records": records}}
        data = {"observation": {"probes": probes}, "row": row.to_dict(), "transport": "ssh", "catalog": fleet.CATALOG}
        events: list[tuple[str, dict[str, t.Any]]] = [("scan", data)]
        if row.host in found:
            events.append(("plan", found.body(row.host)))
        total += _log(base / run.HOSTS / f"{file_name(row.host)}.jsonl", row.host, events)
    if plans:
        (base / FOLDER).mkdir()
        for host in found:
            (base / FOLDER / f"{file_name(host)}.json").write_bytes(found.raw(host) + b"\n")
    return {"evidence MB": total / 1e6}


def _log(path: Path, host: str | None, events: list[tuple[str, dict[str, t.Any]]]) -> int:
    head = None
    lines = []
    for seq, (event, data) in enumerate(events, 1):
        body = {"schema": SCHEMA, "seq": seq, "time": f"2024-09-29T12:00:0{seq}.000000Z", "run": "bench", "host": host}
        lines.append(canonical.dumps({**body, "event": event, "data": data, "prev": head}))
        head = canonical.sha256(lines[-1])
    return path.write_bytes(b"".join(line + b"\n" for line in lines))


def from_evidence(folder: str, export: str) -> Figures:
    """Rows, reports, manifest and export from the evidence on disk."""
    base = Path(folder)
    found: Figures = {}
    start = time.perf_counter()
    book = ledger.build(base)
    found["read and judge s"] = time.perf_counter() - start
    steps: dict[str, Callable[[], object]] = {
        "rows.json": lambda: ledger.write_rows(book),
        "plan.json": lambda: ledger.write_plans(book),
        "reports": lambda: report.write(book),
        "manifest": lambda: ledger.write_manifest(base, book.run),
    }
    for name, work in steps.items():
        start = time.perf_counter()
        work()
        found[f"{name} s"] = time.perf_counter() - start
    if book.plans:
        found["plan.json MB"] = (base / FILE).stat().st_size / 1e6
    found["MB peak"] = peak()
    start = time.perf_counter()
    with open(export, "wb") as stream:
        for piece in report.encoded("evidence", book):
            stream.write(piece)
    found["export s"] = time.perf_counter() - start
    found["export MB"] = Path(export).stat().st_size / 1e6
    found["MB peak with the export"] = peak()
    return found


# Each changes the page and is over when the next frame is on the screen.
_DONE: t.Final = "requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - start)));"
_CHANGE: t.Final = "e.dispatchEvent(new Event('change'));"
ACTIONS: t.Final = {
    "filter by verdict": f"const e = document.getElementById('f-verdict'); e.value = 'present'; {_CHANGE}",
    "filter by product": f"const e = document.getElementById('f-product'); e.value = 'kesl'; {_CHANGE}",
    "clear": "document.getElementById('reset').click();",
    "sort by host": "document.querySelector('[data-sort=host]').click();",
    "sort by products": "document.querySelector('[data-sort=products]').click();",
    "sort by why": "document.querySelector('[data-sort=why]').click();",
    "sort backwards": "document.querySelector('[data-sort=why]').click();",
    "next page": "document.querySelector('[data-page=Next]').click();",
    "open a host": "document.querySelector('#body td.name button').click();",
    "deep link": "location.hash = '#host=' + encodeURIComponent(HOST); ",
}


def in_browser(page: str, number: int) -> Figures:
    """Open the page, and each action until its frame is on the screen, the worst of three."""
    found: Figures = {}
    host = fleet.rows(number)[-1].host
    with browser.chromium() as chrome:
        start = time.perf_counter()
        chrome.open(Path(page))
        chrome.later("requestAnimationFrame(() => requestAnimationFrame(done))")
        found["open s"] = time.perf_counter() - start
        for name, action in ACTIONS.items():
            took = []
            for _ in range(3):
                script = action.replace("HOST", json.dumps(host))
                took.append(float(chrome.later(f"const start = performance.now(); {script} {_DONE}")) / 1000)
            found[f"{name} s"] = max(took)
        chrome.open(Path(page))
        for words in ("web1", "database locked", "nothing like it"):
            script = (
                f"const start = performance.now(); const e = document.getElementById('f-q');"
                f"e.value = {json.dumps(words)};"
                "e.dispatchEvent(new Event('input'));"
                "const look = () => new URLSearchParams(location.hash.slice(1)).get('q') === e.value"
                f" ? {_DONE[:-1]} : setTimeout(look, 1); look();"
            )
            found[f"search '{words}' s"] = float(chrome.later(script)) / 1000
        chrome.open(Path(page))
        start = time.perf_counter()
        found["print to PDF MB"] = len(chrome.pdf()) / 1e6
        found["print to PDF s"] = time.perf_counter() - start
        found["JavaScript heap MB"] = chrome.js("return performance.memory.usedJSHeapSize") / 1e6
    return found


def main(number: int, target: Path | None, plans: bool) -> int:
    """Print figures; 1 when one is beyond its bound."""
    with tempfile.TemporaryDirectory() as name:
        parts = {"every report from rows in memory": apart(formats, number, name, plans)}
        run_folder = f"{name}/run"
        parts["a run folder"] = apart(lay_out, number, run_folder, plans)
        parts["the whole way from evidence"] = apart(from_evidence, run_folder, f"{name}/export.jsonl")
        parts["the page in a browser"] = apart(in_browser, f"{name}/report.html", number)
    for title, figures in parts.items():
        print(f"{title}, {number} hosts")
        for what, value in figures.items():
            print(f"  {what:<28} {value:9.3f}")
    first, whole, page = (
        parts["every report from rows in memory"],
        parts["the whole way from evidence"],
        parts["the page in a browser"],
    )
    actions = {
        what: value for what, value in page.items() if what.endswith(" s") and not what.startswith(("open", "print"))
    }
    measured = {
        "generate": first["html s"] + first["csv s"],
        "peak": max(first["MB peak"], whole["MB peak with the export"]),
        "action": max(actions.values()),
    }
    beyond = [what for what, value in measured.items() if value > DESIGNED[what]]
    for what, value in measured.items():
        print(f"{what:<10} {value:9.3f}  of at most {DESIGNED[what]:.0f}{'  BEYOND' if what in beyond else ''}")
    if target:
        where = {
            "hosts": number,
            "plans": plans,
            "python": platform.python_version(),
            "measured": measured,
            "bounds": DESIGNED,
            "parts": parts,
        }
        target.write_text(json.dumps(where, indent=2) + "\n")
    return 1 if beyond and number >= 10_000 else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("hosts", type=int, nargs="?", default=10_000)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument("--plans", action="store_true", help="of a run of `evict plan`")
    given = parser.parse_args()
    sys.exit(main(given.hosts, given.json, given.plans))
