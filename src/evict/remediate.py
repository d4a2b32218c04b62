# SPDX-License-Identifier: GPL-3.0-or-later
"""`evict remediate`: the remediation playbook for real, and the exit code its rows deserve."""

from __future__ import annotations

import typing as t
from collections.abc import Iterator, Mapping, Sequence

from ansible_collections.evict.kaspersky.plugins.plugin_utils import approved, evidence, waves
from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy_checks import Refused
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import Exit, Verb

from . import inventory, plan, play, retry
from .errors import UsageError

HELP: t.Final = """\
usage: evict remediate -e evict_hosts=PATTERN -e evict_consent=remove [--out DIR] [--retry-from RUN]
                       [options of ansible-playbook]

Removes Kaspersky software and puts the replacement in its place, host by host, as the plans say and not otherwise;
looks again, proves that the protection detects something, and says what became of each host. It runs
ansible-playbook evict.kaspersky.remediate. See first what it would do, with: evict plan

  -e evict_hosts=PATTERN
                the hosts, a group or a pattern; it has no default and is taken from extra vars only
  -e evict_consent=remove
                your consent to the removal; without it nothing is started
  -e evict_approved_plan=FILE
                plan.json of `evict plan`, as it was approved: a host whose plan is another one now is left alone
  --out DIR     the run folder (default: a new one below ./evict-runs); it must be empty or not there
  --retry-from RUN
                only the hosts that were left open or failed in that run (a folder), also one that was killed, and
                those that are new; the rows of all others are taken over from it
  all else      goes to ansible-playbook unchanged: -i INVENTORY, --limit, --become, -K, -e, --forks, -v ...

Hosts are changed in waves (evict_waves: 1, 10, 50, 200 ...); when more fail than evict_max_failures, no further wave
begins. A second run over the same hosts changes nothing that is done already, and goes on where a host was left.

examples:
  evict remediate -i fleet/ -e evict_hosts=linux -e @policy.yml -e evict_consent=remove \\
      -e evict_approved_plan=evict-runs/20240929T120000Z-1a2b/plan.json
  evict remediate -i fleet/ -e evict_hosts=linux -e @policy.yml -e evict_consent=remove \\
      --retry-from evict-runs/20240930T080000Z-3c4d

exit codes: 0 every host of the scope is replaced, needed nothing, or is excepted, 2 a host is open (blocked, unknown,
unreachable, not_attempted, reboot_pending, removed_unprotected, or the software is still there), 3 something failed on
a host, 1 nothing was started or the evidence could not be written.
"""
MEANING: t.Final = {
    Exit.OK: "every host of the scope is replaced, needed nothing, or is excepted",
    Exit.ERROR: "nothing was started, or the evidence is not complete; the message above says why",
    Exit.OPEN: "open hosts: at least one is not done; its row says why",
    Exit.FAILED: "something failed on a host: see its row first",
}
_CONSENT: t.Final = "evict_consent"
_ASKS: t.Final = frozenset({"-J", "--ask-vault-pass", "--ask-vault-password"})
_CHECK: t.Final = frozenset({"-C", "--check"})


def _check(args: Sequence[str]) -> None:
    """Refuse what would start nothing, or something else than is meant.

    Raises:
        UsageError: no target, no consent, or check mode.
    """
    if "--version" in args:
        return
    if _CHECK & set(args):
        raise UsageError("a dry run is a command of its own: evict plan, with the same options")
    plan.target(args, "to remediate")
    if not plan.mentions(args, _CONSENT):
        raise UsageError(
            f"{_CONSENT} is missing: give your consent to the removal with -e {_CONSENT}=remove; it has no default, "
            "and inventory and group_vars do not count. What would be done says: evict plan"
        )


def told(args: Sequence[str], verb: Verb = Verb.REMEDIATE) -> Sequence[str]:
    """What is about to be done.

    Args:
        args: arguments for ansible-playbook.
        verb: what the run is for.

    Raises:
        UsageError: the inventory or the extra variables cannot be read, or no host is selected.
    """
    if _ASKS & set(args) or any(word.endswith("@prompt") for word in args):
        # Read ahead, the inventory would ask for the password once more than ansible-playbook does.
        return [f"{verb}: the hosts of evict_hosts (not counted here, since a vault password is asked for)"]
    fleet = inventory.read(args)
    return list(_told(fleet, fleet.extra(), verb))


def _told(fleet: inventory.Fleet, given: Mapping[str, t.Any], verb: Verb) -> Iterator[str]:
    pattern = given.get("evict_hosts")
    words = ":".join(map(str, pattern)) if isinstance(pattern, list) else str(pattern)
    if "{{" in words:
        hosts: list[str] = []
        yield f"{verb}: the hosts of {words}"
    else:
        hosts = fleet.matching(words)
        if not hosts:
            raise UsageError(f"no host matches {words!r} under the limit {fleet.limit or 'none'!r}: nothing to do")
        yield f"{verb}: {retry.named(hosts)} of {len(fleet.names)} hosts in the inventory"
    yield from _waves(given, len(hosts))
    path = given.get("evict_approved_plan")
    if not path:
        yield "approved plan: none; each host's plan is made in this run and performed at once"
        return
    yield from _approved(str(path), hosts)


def _waves(given: Mapping[str, t.Any], hosts: int) -> Iterator[str]:
    try:
        sizes = [size for size in waves.serial(given.get("evict_waves")) if isinstance(size, int)]
    except Refused as exc:
        raise UsageError(f"evict_waves {exc}") from exc
    left = hosts
    cut: list[int] = []
    while left > 0:
        cut.append(min(left, sizes[min(len(cut), len(sizes) - 1)]))
        left -= cut[-1]
    if cut:
        more = f" and {len(cut) - 10} more" if len(cut) > 10 else ""
        yield f"waves: {', '.join(map(str, cut[:10]))}{more}"


def _approved(path: str, hosts: Sequence[str]) -> Iterator[str]:
    """What an approved file says of the hosts; whether a plan still fits is looked at on each host itself."""
    try:
        plans = approved.load(path).plans
    except approved.ApprovedError as exc:
        raise UsageError(str(exc)) from exc
    over = plans.expired(evidence.now())
    there = [host for host in hosts if host in plans]
    acts = sum(plans.body(host)["state"] == "act" for host in there if host not in over)
    yield f"approved plan: {path}, {acts} of these hosts have a valid plan with steps, until {plans.expires}"
    if late := [host for host in there if host in over]:
        yield f"expired, so that they are left alone: {retry.named(late)}"
    if missing := [host for host in hosts if host not in plans]:
        yield f"not in it, so that they are left alone where something would be done: {retry.named(missing)}"


COMMAND: t.Final = play.Command(
    verb=Verb.REMEDIATE,
    playbook="evict.kaspersky.remediate",
    help=HELP,
    meaning=MEANING,
    skip_tags="remediate_rows,remediate_gate",
    check=_check,
    dry=False,
    told=told,
)


def main(args: Sequence[str]) -> int:
    """Run the command.

    Raises:
        UsageError: no target, no consent, wrong options, or a run folder that cannot be used.
    """
    return play.main(COMMAND, args)
