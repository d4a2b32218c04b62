# SPDX-License-Identifier: GPL-3.0-or-later
"""Inhibitors of the host itself and of the settings: its system, roles, people, machine id, time, waivers."""

from __future__ import annotations

import datetime
import typing as t
from collections.abc import Iterator, Mapping

from . import findings
from .case import Case
from .inhibitors_base import BOTH, Inhibitor, Met, detail, doubt, named, puts, records, removed
from .observation import CUT
from .policy import Policy

# Roles that slow down or break without exclusions, and roles of which one host at a time may be changed.
_NEED_EXCLUSIONS: t.Final = frozenset(
    {
        *("sql", "exchange", "sharepoint", "hyper_v", "cluster", "domain_controller"),
        *("database", "virtualization"),
    }
)
_ONE_AT_A_TIME: t.Final = frozenset({"cluster", "domain_controller", "exchange", "hyper_v", "virtualization"})


def _platform(case: Case) -> Iterator[Met]:
    if case.platform in BOTH:
        return
    if case.platform != "macos":
        yield Met(f"the host says its system is {case.platform!r}", "inspect and clean this host by hand")
        return
    programs = sorted(
        {
            f.record.get("path", "")
            for p in case.assessment.products
            for f in p.findings
            if f.signal.kind == "path" and f.record.get("path", "").endswith("/UninstallScript")
        }
    )
    # The product's own script edits what the agent's shares with it, so the agent goes last.
    programs.sort(key=lambda path: "/klnagent/" in path)
    script = " and then ".join(f"sudo '{path}'" for path in programs)
    yield Met(
        "the host is a Mac: removal is not automated there",
        f"run the installed product's own script, {script}; check the state afterwards, for it reports success always"
        if script
        else "run the UninstallScript of the installed product as root, the agent's last, and check the state",
    )


def _privilege(case: Case) -> Iterator[Met]:
    user = case.seen.host.get("user") or case.seen.host.get("euid") or "its login"
    if case.platform == "linux" and case.seen.host.get("euid", "0") != "0":
        yield Met(f"the host was asked as {user}, not as root", "use `become` (-b) for this host")
    if case.platform == "windows" and case.seen.host.get("elevated", "yes") != "yes":
        yield Met(f"the host was asked as {user} without full rights", "log in with an administrator's account")


def _looked(case: Case) -> Iterator[Met]:
    """A product of which nobody knows is not removed, and may be the one that must go first, or that has a role."""
    telling = {
        probe
        for entry in case.catalog.for_platform(case.platform)
        if not entry.report_only
        for signal in entry.signals
        if signal.shows != "mention" and findings.capable(signal)
        for probe in signal.probes
    }
    cut = {name for name, probe in case.seen.probes.items() if probe.status == "unknown" and probe.reason == CUT}
    for probe in sorted(telling | cut):
        if probe in cut or not probe.endswith(
            ".users"
        ):  # of users who are not logged on; what must go is there for the whole machine
            yield from doubt(case, probe, "all that is on the host")


def _reboot(case: Case) -> Iterator[Met]:
    for record in records(case, "reboot"):
        yield Met(f"a restart is pending: {(record.get('cause') or 'unknown').replace('_', ' ')}{detail(record)}")
    yield from doubt(case, "reboot", "whether a restart is pending")


def _exclusions(case: Case) -> Iterator[Met]:
    if not puts(case) or case.policy.exclusions:
        return
    yield from _roles(case, _NEED_EXCLUSIONS, "and `evict_exclusions` names nothing for it")


def _exclusive(case: Case) -> Iterator[Met]:
    if not case.policy.exclusive_group:
        yield from _roles(case, _ONE_AT_A_TIME, "and `evict_exclusive_group` is not set for it")


def _roles(case: Case, wanted: frozenset[str], lacking: str) -> Iterator[Met]:
    if case.seen.host.get("product_type") == "workstation":
        wanted -= {"hyper_v"}  # machines that run on a workstation are its user's own, and serve nobody
    for record in records(case, "roles"):
        if record.get("role") in wanted:
            yield Met(f"{record['role'].replace('_', ' ')} ({record.get('source') or 'as the host says'}), {lacking}")
    yield from doubt(case, "roles", "which server roles the host has")


def _sessions(case: Case) -> Iterator[Met]:
    if case.policy.reboot == "never" or not (removed(case) or puts(case)):
        return
    yield from map(Met, sessions(case))


def sessions(case: Case) -> Iterator[str]:
    """Who is logged on at the host."""
    for record in records(case, "sessions"):
        if record.get("state") == "closing":  # logged off; something the user started still runs
            continue
        words = named(word for word in (record.get("kind", ""), record.get("state", "")) if word)
        yield f"{record.get('user') or 'somebody'} is logged on ({words or 'kind unknown'})"
    yield from (met.diagnosis for met in doubt(case, "sessions", "whether somebody is logged on"))


def _desktop(case: Case) -> Iterator[Met]:
    for record in records(case, "desktop"):
        yield Met(f"{(record.get('kind') or 'non_persistent').replace('_', '-')} desktop ({record.get('source')})")
    yield from doubt(case, "desktop", "whether the host forgets changes at its next start")


def _machine(case: Case) -> Iterator[Met]:
    if not case.seen.host.get("machine_id", "").strip():
        yield Met("the host says no machine id, so that a plan could be taken for that of another host")


def _duplicate(_case: Case) -> Iterator[Met]:
    """Only the whole fleet can tell: see `inhibitors.duplicates`."""
    return iter(())


def _window(case: Case) -> Iterator[Met]:
    now, end = case.controller.now, case.controller.now + datetime.timedelta(hours=case.policy.plan_hours)
    windows = case.policy.windows
    if windows and not any(w.start < end and w.end > now for w in windows):
        shown = ", ".join(f"{_time(w.start)} to {_time(w.end)}" for w in sorted(windows, key=lambda w: w.start)[:4])
        yield Met(f"the plan would end at {_time(end)}, and no window lies before: {shown}")


def closed(policy: Policy, now: datetime.datetime) -> str:
    """Why nothing may be done at this moment; empty when a window is open, or none is given.

    Args:
        policy: its windows.
        now: the time, UTC.
    """
    if not policy.windows or any(w.start <= now < w.end for w in policy.windows):
        return ""
    coming = sorted(w.start for w in policy.windows if w.start > now)
    return f"no maintenance window is open at {_time(now)}" + (
        f"; the next one begins at {_time(coming[0])}" if coming else "; none is to come"
    )


def _time(when: datetime.datetime) -> str:
    return when.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _expired(case: Case) -> Iterator[Met]:
    yield from map(Met, case.controller.expired)


def duplicates(machines: Mapping[str, str]) -> dict[str, str]:
    """Hosts whose machine id is not theirs alone.

    Args:
        machines: host -> id of the machine; hosts without an id are left out.

    Returns:
        Host -> diagnosis.
    """
    owners: dict[str, list[str]] = {}
    for host in sorted(machines):
        if machine := machines[host].strip().lower():
            owners.setdefault(machine, []).append(host)
    found = {}
    for machine, hosts in owners.items():
        for host in hosts if len(hosts) > 1 else ():
            others = [other for other in hosts if other != host]
            more = f" and {len(others) - 5} more" if len(others) > 5 else ""
            found[host] = f"its machine id {machine} is also that of {', '.join(others[:5])}{more}"
    return dict(sorted(found.items()))


INHIBITORS: t.Final = (
    Inhibitor(
        id="unsupported_platform",
        title="Nothing is automated on this system",
        platforms=(),
        when="removes",
        looks_at="what the host says of its system",
        remedy="inspect and clean this host by hand",
        waivable=False,
        why="there is no step for it",
        check=_platform,
    ),
    Inhibitor(
        id="no_privilege",
        title="The login has no right to change the host",
        platforms=BOTH,
        when="acts",
        looks_at="`euid` and `elevated` of the host",
        remedy="become root, or use an administrator's account",
        waivable=False,
        why="each step would fail",
        check=_privilege,
    ),
    Inhibitor(
        id="partly_seen",
        title="A part of the host could not be looked at",
        platforms=BOTH,
        when="acts",
        looks_at=(
            "probes that could show a working product, but for those of users who are not logged on; answers that were "
            "cut"
        ),
        remedy="make the probes answer, then plan again",
        waivable=True,
        why="whoever waives it has looked at what the probes could not",
        check=_looked,
    ),
    Inhibitor(
        id="pending_reboot",
        title="A restart is pending",
        platforms=BOTH,
        when="acts",
        looks_at="probe `reboot`",
        remedy="restart the host, then plan again",
        waivable=True,
        why="some programs note a restart that never comes to an end",
        check=_reboot,
    ),
    Inhibitor(
        id="role_without_exclusions",
        title="A server role would be scanned without exclusions",
        platforms=BOTH,
        when="covers",
        looks_at=f"roles of probe `roles` ({', '.join(sorted(_NEED_EXCLUSIONS))}); `evict_exclusions`",
        remedy="name in `evict_exclusions` what the vendor of the service asks to leave out",
        waivable=True,
        why="a small service may do without, and some replacements leave roles of Windows out by themselves",
        check=_exclusions,
    ),
    Inhibitor(
        id="role_without_exclusive_group",
        title="A server role that others stand in for could be changed on several hosts at once",
        platforms=BOTH,
        when="removes",
        looks_at=f"roles of probe `roles` ({', '.join(sorted(_ONE_AT_A_TIME))}); `evict_exclusive_group`",
        remedy=(
            "give the hosts of the cluster, domain or service one name in `evict_exclusive_group`: one of them at"
            " a time is changed then"
        ),
        waivable=True,
        why="a single host of its kind has no other one to wait for",
        check=_exclusive,
    ),
    Inhibitor(
        id="logged_on_sessions",
        title="Somebody is logged on, and a restart may come",
        platforms=BOTH,
        when="covers",
        looks_at="probe `sessions`, when `evict_reboot` allows a restart and something is removed or installed",
        remedy="let them log off, set `evict_reboot: never`, or plan for a window without users",
        waivable=True,
        why="the owner may have told the users",
        check=_sessions,
    ),
    Inhibitor(
        id="non_persistent_desktop",
        title="The host forgets changes at its next start",
        platforms=BOTH,
        when="acts",
        looks_at="probe `desktop`",
        remedy="change the image the desktops are made from, and audit them after the next start",
        waivable=True,
        why="it may be the image itself, opened for maintenance",
        check=_desktop,
    ),
    Inhibitor(
        id="machine_id_missing",
        title="The host has no machine id",
        platforms=BOTH,
        when="acts",
        looks_at="`machine_id` of the host",
        remedy="give the host one (Linux: systemd-machine-id-setup), then plan again",
        waivable=True,
        why="the plan still names the host by its name in the inventory",
        check=_machine,
    ),
    Inhibitor(
        id="duplicate_machine_id",
        title="Another host of the inventory has the same machine id",
        platforms=BOTH,
        when="acts",
        looks_at="the machine ids of all plans of a run",
        remedy="name one machine once in the inventory; give a cloned machine an id of its own",
        waivable=False,
        why="one machine would be changed twice, or two be taken for one",
        check=_duplicate,
    ),
    Inhibitor(
        id="window_closed",
        title="No maintenance window lies within the life of the plan",
        platforms=(),
        when="acts",
        looks_at="`evict_windows` and `evict_plan_hours`",
        remedy="give a window in `evict_windows` that begins before the plan expires, or plan later",
        waivable=False,
        why="`evict_windows` is the way to allow it",
        check=_window,
    ),
    Inhibitor(
        id="waiver_expired",
        title="A waiver for this host has expired",
        platforms=(),
        when="acts",
        looks_at="the file `evict_waivers`",
        remedy="have it renewed by its owner, or take it out of the file",
        waivable=False,
        why="who agreed once has not agreed to this",
        check=_expired,
    ),
)
