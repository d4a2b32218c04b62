# SPDX-License-Identifier: GPL-3.0-or-later
"""What the commands that run a playbook share: its run folder, retries, rows and exit code."""

from __future__ import annotations

import dataclasses
import os
import sys
import typing as t
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ansible_collections.evict.kaspersky.plugins.plugin_utils import ledger, planned, report
from ansible_collections.evict.kaspersky.plugins.plugin_utils.files import EvidenceError
from ansible_collections.evict.kaspersky.plugins.plugin_utils.report import text
from ansible_collections.evict.kaspersky.plugins.plugin_utils.run import MANIFEST, RUN_LOG
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import Exit, Verb, Verdict, exit_code

from . import options, playbook, retry
from .errors import UsageError

# With these, ansible-playbook looks at no host and tells something else.
_NO_RUN: t.Final = frozenset({"--list-hosts", "--list-tasks", "--list-tags", "--syntax-check", "--version"})
_HOSTS_SAID: t.Final = frozenset({0, 2, 4})  # ansible-playbook's codes for: all well, hosts failed, hosts unreachable


def _anything(args: Sequence[str]) -> None:
    """No demands on the arguments."""


def _nothing_told(args: Sequence[str]) -> Sequence[str]:
    """Nothing is said."""
    del args
    return ()


def _nothing_more(folder: Path) -> Sequence[str]:
    """Nothing is said."""
    del folder
    return ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """A command that runs one of our playbooks.

    Attributes:
        verb: what its runs are for.
        playbook: FQCN.
        help: what `--help` shows.
        meaning: of its exit codes, for the last line.
        skip_tags: of tasks for runs without this command. Rows and gate are among them: here the callback writes the
            rows and these decide, and Ansible is spared a process for each host.
        shown_by_diff: those of them that `--diff` is for, and that run when it is asked for.
        check: refuses arguments (UsageError) before Ansible starts.
        dry: it runs in check mode.
        told: what is said before Ansible starts, in lines.
        after: says more about a run that has its rows, given its folder.
        extra: variables for this command.
    """

    verb: Verb
    playbook: str
    help: str
    meaning: Mapping[Exit, str]
    skip_tags: str
    shown_by_diff: tuple[str, ...] = ()
    check: Callable[[Sequence[str]], None] = _anything
    dry: bool = True
    told: Callable[[Sequence[str]], Sequence[str]] = _nothing_told
    after: Callable[[Path], Sequence[str]] = _nothing_more
    extra: Mapping[str, t.Any] = dataclasses.field(default_factory=dict)


def main(command: Command, args: Sequence[str]) -> int:
    """Run a command.

    Raises:
        UsageError: wrong options, or a run folder that cannot be used.
    """
    if args and args[0] in ("-h", "--help"):
        print(command.help, end="")
        return Exit.OK
    out, rest = options.take(args, "--out")
    earlier, rest = options.take(rest, "--retry-from")
    command.check(rest)
    extra: dict[str, t.Any] = {"evict_fail_on": [], **command.extra}
    if out is not None:
        folder = Path(os.path.abspath(out))
        usable(folder)
        extra["evict_out"] = str(folder)
    else:
        if not any("evict_out" in word or "evict_evidence_dir" in word for word in rest):
            usable(Path(os.path.abspath("evict-runs")), many=True)
    if not _NO_RUN & set(rest):
        for line in command.told(rest):
            print(text.inert(line), flush=True)
    if earlier is None:
        return _run(command, rest, extra)
    again = retry.plan(Path(earlier), rest, command.verb)
    print("\n".join(again.described()), flush=True)
    if not again.again:
        return _nothing(command, again)
    with retry.prepared(again) as (more, env):
        return _run(command, [*rest, *more], extra, env)


def _nothing(command: Command, again: retry.Retry) -> int:
    """No host is asked: the earlier run has all the rows there are."""
    code = exit_code((row.verdict for row in again.rows), again.book.verb)
    print(f"nothing to retry: no open host of the run {again.book.run} is in this inventory and limit")
    print(f"exit code {int(code)}, by the rows of that run: {command.meaning[code]}", flush=True)
    return code


def _run(
    command: Command, rest: Sequence[str], extra: Mapping[str, t.Any], env: Mapping[str, str] | None = None
) -> int:
    shown = command.shown_by_diff if {"-D", "--diff"} & set(rest) else ()
    skipped = ",".join(tag for tag in command.skip_tags.split(",") if tag not in shown)
    words = [*(["--check"] if command.dry else []), *(["--skip-tags", skipped] if skipped else []), *rest]
    name = command.playbook
    outcome = playbook.run(name, words, extra) if env is None else playbook.run(name, words, extra, env)
    if _NO_RUN & set(rest):
        return outcome.code
    code = conclude(outcome, command.verb, rest)
    if outcome.folder is not None and code is not Exit.ERROR:
        for line in command.after(outcome.folder):
            print(text.inert(line))
    print(f"exit code {int(code)}: {command.meaning[code]}", flush=True)
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
        return _error(f"no {verb} took place: it was refused before its first host, {_asked(verb, args)}")
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
    if verb is Verb.PLAN and (outcome.folder / planned.FILE).is_file():
        acts = sum(row.plan_state == "act" for row in book.rows)
        hosts = f"{acts} host{'s' * (acts != 1)}"
        use = f"{hosts} to be approved, valid until {book.plans.expires}" if acts else "there is nothing to approve"
        print(f"plan: {text.inert(str(outcome.folder / planned.FILE))} ({text.inert(use)})")
    if outcome.fault:
        return _error(f"the evidence of the {verb} is not complete: {outcome.fault}")
    asked = [row for row in book.rows if row.verdict is not Verdict.OUT_OF_SCOPE]
    tried = [row for row in asked if row.verdict is not Verdict.NOT_ATTEMPTED]
    # A first wave that was refused is the last one: the others have the same settings.
    if tried and outcome.refused >= len(tried):
        return _error(f"no {verb} took place: the settings were refused, see the messages above; no host was contacted")
    if not asked:
        return _error(f"no {verb} took place: no host of the inventory was selected, {_asked(verb, args)}")
    code = exit_code((row.verdict for row in book.rows), book.verb)
    if code is Exit.OK and outcome.code not in _HOSTS_SAID:
        return _error(f"ansible-playbook ended with code {outcome.code}, though every host has a row; see its message")
    return code


def _error(message: str) -> Exit:
    sys.stdout.flush()
    print(f"evict: {text.inert(message)}", file=sys.stderr)
    return Exit.ERROR


def _asked(verb: Verb, args: Sequence[str]) -> str:
    """What was asked for, with the remedy: the usual reasons are a mistyped pattern and a wrong inventory."""
    inventories = options.peek(args, "-i", "--inventory", "--inventory-file")
    limits = options.peek(args, "-l", "--limit")
    return (
        f"see the message above (inventory: {', '.join(inventories) or 'the one of ansible.cfg'}; "
        f"limit: {', '.join(limits) or 'none'}). Check both and evict_hosts with: "
        f"ansible-inventory --graph, or evict {verb} --list-hosts"
    )
