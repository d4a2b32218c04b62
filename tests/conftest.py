# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for every test: the layers, and that nothing is skipped in silence.

* Tests below ``tests/lab`` alter the machine and run only with ``EVICT_LAB=1`` (``make test LAB=1``) as root.
* Each reason for a skip is printed once at the end, with how many tests it cost.
* ``EVICT_CI=1`` turns every skip into a failure, but for tests that lack the PowerShell kit, which no package index
  offers.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Generator
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling, Scheduling

HERE = Path(__file__).resolve().parent
LAB = HERE / "lab"
# Folder below tests/lab -> how the layer is called; the files beside them are OTHERS.
LABS = {"linux": "Linux lab", "windows": "Windows lab"}
OTHERS = "further labs: cores, mixed fleet, newcomer"
MAY_BE_SKIPPED_IN_CI = "no PowerShell kit"
# The half of the Linux lab that tries single steps and proofs; the other one makes whole runs.
PARTS = ("test_perform", "test_prove", "test_clamav")
# These look at the same Windows hosts, one for each state, which take minutes to make: one process, one set of hosts.
STATES = ("tests/lab/windows/test_audit_windows.py", "tests/lab/windows/test_plans_windows.py")
# What CI tells of a failure when it happens, and how many of the slowest files at the end.
TOLD_LINES = 12
SLOWEST = 40


def flag(name: str) -> bool:
    """Whether the environment variable ``name`` is set to something other than nothing and 0."""
    return os.environ.get(name, "") not in ("", "0")


def lab_of(path: Path) -> str | None:
    """The layer a test file belongs to, or None when it lies outside ``tests/lab``."""
    if not path.is_relative_to(LAB):
        return None
    return LABS.get(path.relative_to(LAB).parts[0], OTHERS)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    """Side by side run files, and the Linux lab as two: each process with tests of it builds hosts of its own."""
    scheduling = LoadScopeScheduling(config, log)
    # Not by groups of marks (--dist loadgroup): pytest 9.2 does not keep them in the test's name, where xdist looks.
    scheduling._split_scope = group_of
    return scheduling


def group_of(nodeid: str) -> str:
    """Which tests go to one process: either part of `tests/lab/linux`, the Windows states, or the file of a test."""
    path = nodeid.partition("::")[0]
    if path in STATES:
        return "tests/lab/windows: states"
    folder, _slash, name = path.rpartition("/")
    if folder != "tests/lab/linux":
        return path
    return f"{folder}: {'parts' if name.startswith(PARTS) else 'runs'}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the labs unless they are asked for and can run; then they are the first, for they take longest."""
    why = None
    if not flag("EVICT_LAB"):
        why = "set LAB=1, needs root"
    elif os.geteuid() != 0:
        why = "needs root"
    if why is None:
        items.sort(key=lambda item: lab_of(item.path) is None)
        return
    for item in items:
        lab = lab_of(item.path)
        if lab is not None:
            item.add_marker(pytest.mark.skip(reason=f"{lab} ({why})"))


def skip_reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """The reason pytest keeps in a skipped report, without its prefix."""
    longrepr = report.longrepr
    text = str(longrepr[2]) if isinstance(longrepr, tuple) else str(longrepr)
    return text.removeprefix("Skipped: ")


def refuse_skip_in_ci(report: pytest.TestReport | pytest.CollectReport) -> None:
    """In CI a test that did not run is a test that failed."""
    if not flag("EVICT_CI") or report.outcome != "skipped" or hasattr(report, "wasxfail"):
        return
    reason = skip_reason(report)
    if not reason.startswith(MAY_BE_SKIPPED_IN_CI):
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """See refuse_skip_in_ci."""
    report = yield
    refuse_skip_in_ci(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """See refuse_skip_in_ci; this one sees modules that skip themselves as a whole."""
    report = yield
    refuse_skip_in_ci(report)
    return report


SECONDS: dict[str, float] = {}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Count the seconds of each file; in CI tell a failure at once, for a run that is stopped has no summary."""
    if os.environ.get("PYTEST_XDIST_WORKER"):
        return
    SECONDS[report.location[0]] = SECONDS.get(report.location[0], 0) + report.duration
    if flag("EVICT_CI") and report.outcome == "failed":
        told = "\n".join(report.longreprtext.splitlines()[-TOLD_LINES:])
        print(f"\n{report.when} of {report.nodeid} failed:\n{told}", file=sys.__stderr__, flush=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name each reason for a skip once, and the files that took longest."""
    if flag("EVICT_CI"):
        for path in sorted(SECONDS, key=SECONDS.__getitem__, reverse=True)[:SLOWEST]:
            terminalreporter.write_line(f"{SECONDS[path]:6.0f} s {path}")
    reasons = Counter(skip_reason(report) for report in terminalreporter.stats.get("skipped", []))
    for reason, count in sorted(reasons.items()):
        terminalreporter.write_line(f"skipped: {reason}: {count} {'test' if count == 1 else 'tests'}")
