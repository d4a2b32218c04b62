# SPDX-License-Identifier: GPL-3.0-or-later
"""`evict audit`: the audit playbook in check mode, with the exit code that its rows deserve."""

from __future__ import annotations

import os
import sys
import typing as t
from collections.abc import Sequence
from pathlib import Path

from ansible_collections.evict.kaspersky.plugins.plugin_utils import ledger, report
from ansible_collections.evict.kaspersky.plugins.plugin_utils.files import EvidenceError
from ansible_collections.evict.kaspersky.plugins.plugin_utils.report import text
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import Exit, Verb, Verdict, exit_code

from . import options, playbook
from .errors import UsageError

HELP: t.Final = """\
usage: evict audit [--out DIR] [options of ansible-playbook]

Looks for Kaspersky software on hosts and changes nothing: ansible-playbook evict.kaspersky.audit --check, with a row
for every host of the inventory and an exit code computed from the rows.

  --out DIR     the run folder (default: a new one below ./evict-runs); it must be empty or not there
  all else      goes to ansible-playbook unchanged: -i INVENTORY, --limit, --become, -K, -e, --forks, -v ...

examples:
  evict audit -i inventories/local
  evict audit -i fleet/ --limit 'web*' --forks 50 --out /srv/audit/2024-09
  evict audit -i fleet/ -e evict_hosts=linux --become -K

exit codes: 0 all hosts inspected (also when something was found), 2 a host is unknown, unreachable or was not
attempted, 1 no audit took place or its evidence could not be written.
"""


def main(args: Sequence[str]) -> int:
    """Run the command.

    Raises:
        UsageError: wrong options, or a run folder that cannot be used.
    """
    if args and args[0] in ("-h", "--help"):
        print(HELP, end="")
        return Exit.OK
    out, rest = options.take(args, "--out")
    # The gate task is for runs without this command; here the rows decide.
    extra: dict[str, t.Any] = {"evict_fail_on": []}
    if out is not None:
        folder = Path(os.path.abspath(out))
        usable(folder)
        extra["evict_out"] = str(folder)
    else:
        usable(Path(os.path.abspath("evict-runs")), many=True)
    return conclude(playbook.run("evict.kaspersky.audit", ["--check", *rest], extra), Verb.AUDIT)


def usable(folder: Path, *, many: bool = False) -> None:
    """Refuse a folder before any host is asked, where it is certain that no evidence could be written to it.

    Args:
        folder: an absolute path.
        many: it holds the folders of many runs, so that it may well be full.

    Raises:
        UsageError: it names the folder and the remedy.
    """
    if folder.is_symlink():
        raise UsageError(f"{folder} is a link: name the folder it leads to")
    if folder.exists():
        if not folder.is_dir():
            raise UsageError(f"{folder} is no folder: name another with --out")
        if not many and any(folder.iterdir()):
            raise UsageError(
                f"{folder} is not empty: name a new folder with --out, or see it with: evict report {folder}"
            )
    above = next(place for place in (folder, *folder.parents) if place.exists())
    if not above.is_dir():
        raise UsageError(f"{folder} cannot be made: {above} is no folder; name another with --out")
    if not os.access(above, os.W_OK | os.X_OK):
        raise UsageError(f"{above} cannot be written by this user: name another folder with --out, or change its owner")


def conclude(outcome: playbook.Outcome, verb: Verb) -> int:
    """Rows, summary and exit code of a run that is over, whatever way it ended."""
    if outcome.folder is None:
        said = outcome.fault or "it was refused before its first host, see the message above"
        print(f"evict: no {verb} took place: {text.inert(said)}", file=sys.stderr)
        return Exit.ERROR
    try:
        book = ledger.build(outcome.folder, trust_manifest=False)
        if not outcome.ended:
            ledger.write_rows(book)
            print("\n" + report.render("text", book, limit=text.LIMIT), end="")
            print("the run was cut off before its end; the rows come from its evidence")
    except EvidenceError as exc:
        print(f"evict: {exc}", file=sys.stderr)
        return Exit.ERROR
    if outcome.fault:
        print(f"evict: evidence is not complete: {text.inert(outcome.fault)}", file=sys.stderr)
        return Exit.ERROR
    if all(row.verdict is Verdict.OUT_OF_SCOPE for row in book.rows):
        print(
            f"evict: no {verb} took place: no host of the inventory was selected; check evict_hosts and --limit",
            file=sys.stderr,
        )
        return Exit.ERROR
    return exit_code((row.verdict for row in book.rows), book.verb)
