# SPDX-License-Identifier: GPL-3.0-or-later
"""`evict audit`: the audit playbook in check mode, with the exit code that its rows deserve."""

from __future__ import annotations

import typing as t
from collections.abc import Sequence

from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import Exit, Verb

from . import play

HELP: t.Final = """\
usage: evict audit [--out DIR] [--retry-from RUN] [options of ansible-playbook]

Looks for Kaspersky software on hosts and changes nothing: ansible-playbook evict.kaspersky.audit --check, with a row
for every host of the inventory and an exit code computed from the rows.

  --out DIR     the run folder (default: a new one below ./evict-runs); it must be empty or not there
  --retry-from RUN
                only the hosts that are unreachable, unknown or not_attempted in that run (a folder), also one that was
                killed, and those that are new; the rows of all others are taken over from it
  all else      goes to ansible-playbook unchanged: -i INVENTORY, --limit, --become, -K, -e, --forks, -v ...

examples:
  evict audit -i inventories/local
  evict audit -i fleet/ --limit 'web*' --forks 50 --out /srv/audit/2024-09
  evict audit -i fleet/ -e evict_hosts=linux --become -K
  evict audit -i fleet/ --retry-from evict-runs/20240929T120000Z-1a2b

exit codes: 0 all hosts inspected (also when something was found), 2 a host is unknown, unreachable or was not
attempted, 1 no audit took place or its evidence could not be written.
"""
MEANING: t.Final = {
    Exit.OK: "every host of the scope was inspected",
    Exit.ERROR: "no audit took place, or its evidence is not complete; the message above says why",
    Exit.OPEN: "open hosts: at least one is unknown, unreachable or was not attempted",
    Exit.FAILED: "something failed on a host",
}
COMMAND: t.Final = play.Command(
    verb=Verb.AUDIT,
    playbook="evict.kaspersky.audit",
    help=HELP,
    meaning=MEANING,
    skip_tags="audit_rows,audit_gate",
)


def main(args: Sequence[str]) -> int:
    """Run the command.

    Raises:
        UsageError: wrong options, or a run folder that cannot be used.
    """
    return play.main(COMMAND, args)
