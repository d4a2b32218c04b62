# SPDX-License-Identifier: GPL-3.0-or-later
"""`evict plan`: the remediation playbook in check mode, a plan for each host, and the exit code its rows deserve."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Sequence
from pathlib import Path

from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import Exit, Verb

from . import options, play
from .errors import UsageError

HELP: t.Final = """\
usage: evict plan -e evict_hosts=PATTERN [--out DIR] [--retry-from RUN] [options of ansible-playbook]

What would be done to each host, exactly, and what stands in the way; nothing is changed on any host. It runs
ansible-playbook evict.kaspersky.remediate --check. The run folder gets plan.json, which is what somebody approves,
plans/ with a file a host, and report.html, which can be printed as the approval document; a row for every host of the
inventory, and an exit code computed from the rows.

  -e evict_hosts=PATTERN
                the hosts to plan for, a group or a pattern; it has no default and is taken from extra vars only
  --out DIR     the run folder (default: a new one below ./evict-runs); it must be empty or not there
  --retry-from RUN
                only the hosts that are blocked, unreachable, unknown or not_attempted in that run (a folder), also one
                that was killed, those whose plan has expired and those that are new; rows and plans of all others are
                taken over from it. Give the same settings as in that run: what is taken over was made with those
  --diff        show each phase of the plans while the run goes on, and what is predicted for each step
  all else      goes to ansible-playbook unchanged: -i INVENTORY, --limit, --become, -K, -e, --forks, -v ...

The settings are evict_* variables (docs/variables.md): evict_replacement, evict_fallback, evict_exclusions ...

examples:
  evict plan -i fleet/ -e evict_hosts=web -e @policy.yml
  evict plan -i fleet/ -e evict_hosts=all --limit 'web*' --become -K --out /srv/plans/2024-09
  evict plan -i fleet/ -e evict_hosts=web -e @policy.yml --retry-from evict-runs/20240929T120000Z-1a2b

exit codes: 0 each host has a plan, needs none, or is excepted, 2 a host is blocked, unknown, unreachable or was not
attempted, 1 no plan was made or its evidence could not be written.
"""
MEANING: t.Final = {
    Exit.OK: "every host of the scope has a plan, needs none, or is excepted",
    Exit.ERROR: "no plan was made, or its evidence is not complete; the message above says why",
    Exit.OPEN: "open hosts: at least one is blocked, unknown, unreachable or was not attempted",
    Exit.FAILED: "something failed on a host",
}
_NAME: t.Final = "evict_hosts"
# ansible-playbook takes a long option by its first letters, too.
_EXTRA: t.Final = ("-e", *("--extra-vars"[:end] for end in range(len("--e"), len("--extra-vars") + 1)))
_EMPTY: t.Final = re.compile(r"""(?:^|\s)evict_hosts=(?:""|''|\s|$)""")


def target(args: Sequence[str], what: str = "to plan for") -> None:
    """Refuse a command line without a target, where it can be known: a file of variables may be encrypted.

    Args:
        args: arguments for ansible-playbook.
        what: is to be done to the hosts, for the message.

    Raises:
        UsageError: `evict_hosts` is missing or empty.
    """
    if "--version" in args:
        return
    given = options.peek(args, *_EXTRA)
    if any(_EMPTY.search(word) for word in given):
        raise UsageError(f"{_NAME} is empty: name the hosts {what}, such as -e {_NAME}=web")
    if not mentions(args, _NAME):
        raise UsageError(
            f"{_NAME} is missing: name the hosts {what}, such as -e {_NAME}=web, or -e {_NAME}=all for the whole "
            "inventory; it has no default, and inventory and group_vars do not count"
        )


def mentions(args: Sequence[str], name: str) -> bool:
    """May a command line give an extra variable, in a text or in a file?"""
    given = options.peek(args, *_EXTRA)
    return any(
        name in word or (word.startswith("@") and _may_hold(Path(word[1:]).expanduser(), name)) for word in given
    )


def _may_hold(path: Path, name: str) -> bool:
    """May a file of variables hold one? A file that cannot be read is for ansible-playbook to complain about."""
    try:
        content = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return True
    return name in content or content.startswith("$ANSIBLE_VAULT")


COMMAND: t.Final = play.Command(
    verb=Verb.PLAN,
    playbook="evict.kaspersky.remediate",
    help=HELP,
    meaning=MEANING,
    skip_tags="remediate_rows,remediate_gate,remediate_perform,remediate_wave",
    shown_by_diff=("remediate_perform",),
    check=target,
)


def main(args: Sequence[str]) -> int:
    """Run the command.

    Raises:
        UsageError: no target, wrong options, or a run folder that cannot be used.
    """
    return play.main(COMMAND, args)
