# SPDX-License-Identifier: GPL-3.0-or-later
"""`evict protect`: the protection playbook for real, and the exit code its rows deserve."""

from __future__ import annotations

import functools
import typing as t
from collections.abc import Sequence

from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import Exit, Verb

from . import plan, play, remediate
from .errors import UsageError

HELP: t.Final = """\
usage: evict protect -e evict_hosts=PATTERN [--out DIR] [--retry-from RUN] [options of ansible-playbook]

Puts the replacement on hosts from which nothing has to be removed: hosts that lost their protection, or never had one.
It runs ansible-playbook evict.kaspersky.protect: the phases, waves and breaker of a remediation, without a removal. A
host on which Kaspersky software is found is left as it is; remediate that one.

  -e evict_hosts=PATTERN
                the hosts, a group or a pattern; it has no default and is taken from extra vars only
  --out DIR     the run folder (default: a new one below ./evict-runs); it must be empty or not there
  --retry-from RUN
                only the hosts that were left open or failed in that run (a folder), and those that are new
  all else      goes to ansible-playbook unchanged: -i INVENTORY, --limit, --become, -K, -e, --forks, -v ...

example:
  evict protect -i fleet/ -e evict_hosts=linux -e @policy.yml

exit codes: 0 every host of the scope is protected, needed nothing, or is excepted, 2 a host is open, 3 something failed
on a host, 1 nothing was started or the evidence could not be written.
"""
MEANING: t.Final = {
    Exit.OK: "every host of the scope is protected, needed nothing, or is excepted",
    Exit.ERROR: "nothing was started, or the evidence is not complete; the message above says why",
    Exit.OPEN: "open hosts: at least one is not done, or has software that must be removed; its row says why",
    Exit.FAILED: "something failed on a host: see its row first",
}


def _check(args: Sequence[str]) -> None:
    """Refuse a command line without a target.

    Raises:
        UsageError: `evict_hosts` is missing or empty, or check mode is wanted.
    """
    if {"-C", "--check"} & set(args):
        raise UsageError("a dry run is a command of its own: evict plan, with the same options")
    plan.target(args, "to protect")


COMMAND: t.Final = play.Command(
    verb=Verb.PROTECT,
    playbook="evict.kaspersky.protect",
    help=HELP,
    meaning=MEANING,
    skip_tags="remediate_rows,remediate_gate",
    check=_check,
    dry=False,
    told=functools.partial(remediate.told, verb=Verb.PROTECT),
)


def main(args: Sequence[str]) -> int:
    """Run the command.

    Raises:
        UsageError: no target, wrong options, or a run folder that cannot be used.
    """
    return play.main(COMMAND, args)
