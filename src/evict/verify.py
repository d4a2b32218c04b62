# SPDX-License-Identifier: GPL-3.0-or-later
"""`evict verify`: the verification playbook, the exit code its rows deserve, and what has changed since then."""

from __future__ import annotations

import dataclasses
import os
import typing as t
from collections.abc import Sequence
from pathlib import Path

from ansible_collections.evict.kaspersky.plugins.plugin_utils import ledger
from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy import Policy
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import Exit, Verb

from . import drift, options, play
from .errors import UsageError

HELP: t.Final = """\
usage: evict verify [--against RUN] [--out DIR] [--retry-from RUN] [options of ansible-playbook]

Looks again, any day after a remediation: is Kaspersky software still gone, and does what replaced it still protect the
hosts? Changes nothing. It runs ansible-playbook evict.kaspersky.verify, and says what has changed since the last run.

  -e evict_replacement=...
                what is to protect the hosts, as in the remediation (give the same -e @policy.yml): its health is
                asked by its own rule; without it a verification is an audit
  -e evict_prove=true
                make the live test, too; it writes two probe files, raises alarms, and removes the files
  --against RUN the run to compare with (a folder; default: the newest remediation, protection or verification beside
                this run or below ./evict-runs)
  --out DIR     the run folder (default: a new one below ./evict-runs); it must be empty or not there
  --retry-from RUN
                only the hosts that were left open or failed in that verification, and those that are new
  all else      goes to ansible-playbook unchanged: -i INVENTORY, --limit, --become, -K, -e, --forks, -v ...

examples:
  evict verify -i fleet/ -e @policy.yml
  evict verify -i fleet/ -e @policy.yml -e evict_prove=true --against evict-runs/20240930T080000Z-3c4d

exit codes: 0 the software is gone from every host of the scope, and what is to protect it does, 2 a host is open (the
software or something of it is there, unknown, unreachable ...), 3 a host has lost its protection, 1 nothing was looked
at or the evidence could not be written.
"""
MEANING: t.Final = {
    Exit.OK: "the software is gone from every host of the scope, and what the settings name protects it",
    Exit.ERROR: "no verification took place, or its evidence is not complete; the message above says why",
    Exit.OPEN: "open hosts: at least one has the software or something of it, or could not be inspected",
    Exit.FAILED: "a host has lost its protection, or part of it: see its row first",
}


def _check(args: Sequence[str]) -> None:
    """Refuse check mode, which would make no live test and say nothing of it.

    Raises:
        UsageError: check mode is wanted.
    """
    if {"-C", "--check"} & set(args):
        raise UsageError("a verification changes nothing: leave --check out, or use evict audit")


COMMAND: t.Final = play.Command(
    verb=Verb.VERIFY,
    playbook="evict.kaspersky.verify",
    help=HELP,
    meaning=MEANING,
    skip_tags="verify_rows,verify_gate",
    check=_check,
    dry=False,
)


def main(args: Sequence[str]) -> int:
    """Run the command.

    Raises:
        UsageError: wrong options, a run to compare with that is none, or a run folder that cannot be used.
    """
    if args and args[0] in ("-h", "--help"):
        return play.main(COMMAND, args)
    against, rest = options.take(args, "--against")
    earlier = drift.given(Path(against)) if against is not None else None

    def after(folder: Path) -> Sequence[str]:
        # Runs lie side by side; with --out the usual folder of runs is looked at, too.
        places = (folder.parent, Path(os.path.abspath(Policy().evidence_dir)))
        before = earlier or drift.newest(places, folder)
        if before is None:
            return ["", "drift: there is no earlier remediation or verification to compare with (--against RUN)"]
        return list(drift.told(before, ledger.build(folder)))

    return play.main(dataclasses.replace(COMMAND, after=after), rest)
