# SPDX-License-Identifier: GPL-3.0-or-later
"""`evict reach`: why a host would be unreachable or unknown, found out before an audit, changing nothing."""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import dataclasses
import json
import typing as t
from collections.abc import Sequence

from ansible_collections.evict.kaspersky.plugins.plugin_utils import ledger, trouble
from ansible_collections.evict.kaspersky.plugins.plugin_utils.report import text
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import Exit

from . import inventory, reach_ssh, reach_step, reach_target, reach_winrm
from .reach_step import FAILED, NOT_CHECKED, NOT_TRIED, REACHABLE, UNKNOWN, UNREACHABLE, WARNING, Finding, Stop, Way
from .reach_target import Target

SCHEMA: t.Final = "evict.kaspersky/reach/1"
_ORDER: t.Final = (UNKNOWN, UNREACHABLE, NOT_CHECKED, REACHABLE)  # worst first, as in a run's report
_ELSEWHERE: t.Final = {
    "local": "it is this machine itself; the audit looks at it directly",
    "docker": "the container is reached by a program of this machine, not by a port: try the audit on one",
    "podman": "the container is reached by a program of this machine, not by a port: try the audit on one",
}
_EPILOG: t.Final = """\
Python is not needed on the hosts, so nobody looks for it. Nothing is written, on the hosts or to known_hosts; the
logins show in the logs of the hosts.

exit codes: 0 every host can be audited, 2 at least one cannot or was not checked, 1 wrong usage or a broken inventory.
"""


@dataclasses.dataclass(frozen=True)
class Reached:
    """What was found on the way to one host; `verdict` is what an audit would say, or reachable or not checked."""

    host: str
    kind: str
    address: str
    verdict: str
    findings: tuple[Finding, ...]


def main(args: Sequence[str]) -> int:
    """Run the command.

    Raises:
        UsageError: the inventory cannot be read, or the limit names nobody.
    """
    with inventory.quiet_usage():
        parser = inventory.parser("evict reach", "Why hosts would be unreachable or unknown, before an audit.")
        parser.formatter_class = argparse.RawDescriptionHelpFormatter
        parser.epilog = _EPILOG
        parser.add_argument("-f", "--forks", type=_positive, default=32, help="hosts at a time (default: %(default)s)")
        parser.add_argument("--format", choices=("text", "json"), default="text", help="default: %(default)s")
        given = parser.parse_args(list(args))
    fleet = inventory.Fleet(given, ask=True)
    timeout = max(1.0, float(given.timeout or 10))
    # Ansible's templates are for one thread; the network is what takes the time.
    targets = [reach_target.of(fleet, host) for host in fleet.selected]
    with concurrent.futures.ThreadPoolExecutor(max_workers=min(int(given.forks), len(targets))) as pool:
        found = list(pool.map(lambda target: look(target, timeout), targets))
    found.sort(key=lambda one: (_ORDER.index(one.verdict), ledger.natural(one.host)))
    print(as_json(found) if str(given.format) == "json" else as_text(found), end="")
    return _code(found)


def look(target: Target, timeout: float) -> Reached:
    """Go the way to one host.

    Args:
        target: the host.
        timeout: seconds for each step.
    """
    if target.fault:
        way = Way(("inventory",))
        way.stop(Stop("inventory", trouble.error(target.fault), "mend the variable, or give the vault password",
                      target.fault))  # fmt: skip
        return _reached(target, way)
    if target.kind not in ("ssh", "winrm", "psrp"):
        way = Way(("connection",))
        why = _ELSEWHERE.get(target.kind, "its connection is not made by this command: try the audit on one such host")
        way.note("connection", f"{target.kind}: {why}", NOT_CHECKED)
        way.verdict = NOT_CHECKED
        return _reached(target, way)
    steps = reach_step.WINRM if target.kind != "ssh" else reach_step.SSH
    way = Way(reach_step.SSH_WINDOWS if target.kind == "ssh" and target.windows_shell() else steps)
    try:
        (reach_ssh.check if target.kind == "ssh" else reach_winrm.check)(target, way, timeout)
    except Stop as stop:
        way.stop(stop)
    except Exception as exc:  # one host's oddity must not cost the others their answer
        way.stop(Stop("connection", trouble.error(f"{type(exc).__name__}: {exc}")))
    return _reached(target, way)


def _reached(target: Target, way: Way) -> Reached:
    clean = target.redactor.line
    findings = tuple(
        dataclasses.replace(f, seen=clean(f.seen, 400), remedy=clean(f.remedy, 400)) for f in way.findings()
    )
    return Reached(target.host, target.kind, clean(target.address), way.verdict, findings)


def _code(found: Sequence[Reached]) -> Exit:
    return Exit.OK if all(one.verdict == REACHABLE for one in found) else Exit.OPEN


def as_text(found: Sequence[Reached]) -> str:
    """Worst first; a line for what is well, all steps of what is not."""
    lines = []
    for one in found:
        bad = next((f for f in one.findings if f.status == FAILED), None)
        if bad is not None:
            lines.append(f"{one.host}  {one.verdict}  {bad.step}: {bad.seen}")
            lines.append(f"    remedy: {bad.remedy}")
            well = [f.step for f in one.findings if f.status == "ok"]
            left = [f.step for f in one.findings if f.status == NOT_TRIED]
            lines += [f"    ok: {', '.join(well)}"] if well else []
            lines += [f"    not tried: {', '.join(left)}"] if left else []
        elif one.verdict == NOT_CHECKED:
            lines.append(f"{one.host}  not checked  {one.findings[0].seen}")
        else:
            said = next((f.seen for f in one.findings if f.step == "login"), "")
            lines.append(f"{one.host}  {one.verdict}  {said}")
        for f in one.findings:
            if f.status in (WARNING, NOT_CHECKED) and one.verdict != NOT_CHECKED and f is not bad and f.seen:
                remedy = f" ({f.remedy})" if f.remedy else ""
                lines.append(f"    {f.status}: {f.step}: {f.seen}{remedy}")
    count = collections.Counter(one.verdict for one in found)
    steps = collections.Counter(f.step for one in found for f in one.findings if f.status == FAILED)
    totals = ", ".join(f"{count[v]} {v}" for v in _ORDER if count[v])
    why = f" (at: {', '.join(f'{step} {number}' for step, number in steps.most_common())})" if steps else ""
    code = _code(found)
    meaning = (
        "every host can be audited" if code is Exit.OK else "at least one host cannot be audited or was not checked"
    )
    lines += ["", f"{len(found)} hosts: {totals}{why}", f"exit code {int(code)}: {meaning}"]
    return "".join(text.inert(line) + "\n" for line in lines)


def as_json(found: Sequence[Reached]) -> str:
    """For programs."""
    count = collections.Counter(one.verdict for one in found)
    body = {
        "schema": SCHEMA,
        "totals": {v: count[v] for v in _ORDER if count[v]},
        "exit_code": int(_code(found)),
        "hosts": [dataclasses.asdict(one) for one in found],
    }
    return json.dumps(body, ensure_ascii=False, indent=1) + "\n"


def _positive(word: str) -> int:
    number = int(word)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number
