# SPDX-License-Identifier: GPL-3.0-or-later
"""`evict audit`: the audit playbook in check mode, with the exit code that its rows deserve."""

from __future__ import annotations

import os
import sys
import typing as t
from collections.abc import Mapping, Sequence
from pathlib import Path

from ansible_collections.evict.kaspersky.plugins.plugin_utils import ledger, report
from ansible_collections.evict.kaspersky.plugins.plugin_utils.files import EvidenceError
from ansible_collections.evict.kaspersky.plugins.plugin_utils.report import text
from ansible_collections.evict.kaspersky.plugins.plugin_utils.run import MANIFEST, RUN_LOG
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import Exit, Verb, Verdict, exit_code

from . import options, playbook, retry
from .errors import UsageError

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
# The gate task is for runs without this command; here the rows decide, and Ansible is spared a process for each host.
_NO_GATE: t.Final = ("--skip-tags", "audit_gate")
# With these, ansible-playbook looks at no host and tells something else.
_NO_RUN: t.Final = frozenset({"--list-hosts", "--list-tasks", "--list-tags", "--syntax-check", "--version"})
_HOSTS_SAID: t.Final = frozenset({0, 2, 4})  # ansible-playbook's codes for: all well, hosts failed, hosts unreachable


def main(args: Sequence[str]) -> int:
    """Run the command.

    Raises:
        UsageError: wrong options, or a run folder that cannot be used.
    """
    if args and args[0] in ("-h", "--help"):
        print(HELP, end="")
        return Exit.OK
    out, rest = options.take(args, "--out")
    earlier, rest = options.take(rest, "--retry-from")
    extra: dict[str, t.Any] = {"evict_fail_on": []}
    if out is not None:
        folder = Path(os.path.abspath(out))
        usable(folder)
        extra["evict_out"] = str(folder)
    else:
        if not any("evict_out" in word or "evict_evidence_dir" in word for word in rest):
            usable(Path(os.path.abspath("evict-runs")), many=True)
    if earlier is None:
        return _run(rest, extra)
    again = retry.plan(Path(earlier), rest)
    print("\n".join(again.described()), flush=True)
    if not again.again:
        return _nothing(again)
    with retry.prepared(again) as (more, env):
        return _run([*rest, *more], extra, env)


def _nothing(again: retry.Retry) -> int:
    """No host is asked: the earlier run has all the rows there are."""
    code = exit_code((row.verdict for row in again.rows), again.book.verb)
    print(f"nothing to retry: no open host of the run {again.book.run} is in this inventory and limit")
    print(f"exit code {int(code)}, by the rows of that run: {MEANING[code]}", flush=True)
    return code


def _run(rest: Sequence[str], extra: Mapping[str, t.Any], env: Mapping[str, str] | None = None) -> int:
    words = ["--check", *_NO_GATE, *rest]
    name = "evict.kaspersky.audit"
    outcome = playbook.run(name, words, extra) if env is None else playbook.run(name, words, extra, env)
    if _NO_RUN & set(rest):
        return outcome.code
    code = conclude(outcome, Verb.AUDIT, rest)
    print(f"exit code {int(code)}: {MEANING[code]}", flush=True)
    return code


def usable(folder: Path, *, many: bool = False) -> None:
    """Refuse a folder before any host is asked, where it is certain that no evidence could be written to it.

    Args:
        folder: an absolute path.
        many: it holds the folders of many runs, so that it may well be full.

    Raises:
        UsageError: it names the folder and the remedy.
    """
    try:
        _usable(folder, many)
    except OSError as exc:
        raise UsageError(f"{folder} cannot be used: {exc.strerror}; name another folder with --out") from exc


def _usable(folder: Path, many: bool) -> None:
    if folder.is_symlink():
        raise UsageError(f"{folder} is a link: name the folder it leads to")
    if folder.exists():
        if not folder.is_dir():
            raise UsageError(f"{folder} is no folder: name another with --out")
        ours = os.path.lexists(folder / RUN_LOG)
        if ours and os.path.lexists(folder / MANIFEST):
            raise UsageError(
                f"{folder} is not empty: it holds a finished run; name a new folder with --out, "
                f"or see it with: evict report {folder}"
            )
        if not many and not ours and any(folder.iterdir()):
            raise UsageError(f"{folder} is not empty: name a new folder with --out")
    above = next(place for place in (folder, *folder.parents) if place.exists())
    if not above.is_dir():
        raise UsageError(f"{folder} cannot be made: {above} is no folder; name another with --out")
    if not os.access(above, os.W_OK | os.X_OK):
        raise UsageError(f"{above} cannot be written by this user: name another folder with --out, or change its owner")


def conclude(outcome: playbook.Outcome, verb: Verb, args: Sequence[str]) -> Exit:
    """Rows, summary and exit code of a run that is over, whatever way it ended.

    Args:
        outcome: how ansible-playbook ended.
        verb: what it was for.
        args: its arguments, for messages.
    """
    if outcome.folder is None:
        if outcome.fault:
            return _error(f"the {verb} has no evidence: {outcome.fault}")
        return _error(f"no {verb} took place: it was refused before its first host, {_asked(args)}")
    try:
        book = ledger.build(outcome.folder, trust_manifest=False)
        if not outcome.ended:
            ledger.write_rows(book)
            ledger.write_plans(book)
            print("\n" + report.render("text", book, limit=text.LIMIT), end="")
            print("The run was cut off before its end; the rows come from its evidence.")
            report.write(book)
    except EvidenceError as exc:
        return _error(str(exc))
    page = outcome.folder / report.file_of("html")
    if page.is_file():
        print(f"report: {text.inert(str(page))} (for a browser), {report.file_of('csv')} beside it")
    if outcome.fault:
        return _error(f"the evidence of the {verb} is not complete: {outcome.fault}")
    if all(row.verdict is Verdict.OUT_OF_SCOPE for row in book.rows):
        return _error(f"no {verb} took place: no host of the inventory was selected, {_asked(args)}")
    code = exit_code((row.verdict for row in book.rows), book.verb)
    if code is Exit.OK and outcome.code not in _HOSTS_SAID:
        return _error(f"ansible-playbook ended with code {outcome.code}, though every host has a row; see its message")
    return code


def _error(message: str) -> Exit:
    sys.stdout.flush()
    print(f"evict: {text.inert(message)}", file=sys.stderr)
    return Exit.ERROR


def _asked(args: Sequence[str]) -> str:
    """What was asked for, with the remedy: the usual reasons are a mistyped pattern and a wrong inventory."""
    inventories = options.peek(args, "-i", "--inventory", "--inventory-file")
    limits = options.peek(args, "-l", "--limit")
    return (
        f"see the message above (inventory: {', '.join(inventories) or 'the one of ansible.cfg'}; "
        f"limit: {', '.join(limits) or 'none'}). Check both and evict_hosts with: "
        "ansible-inventory --graph, or evict audit --list-hosts"
    )
