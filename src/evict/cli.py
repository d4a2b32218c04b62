# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: which command, and errors as one plain message."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Mapping, Sequence

from ansible_collections.evict.kaspersky.plugins.plugin_utils import files
from ansible_collections.evict.kaspersky.plugins.plugin_utils.files import EvidenceError
from ansible_collections.evict.kaspersky.plugins.plugin_utils.run import collection_version
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import Exit

from . import audit, check, compare, identify, plan, protect, remediate, report, verify
from .errors import UsageError


def _reach(args: Sequence[str]) -> int:
    from . import reach  # loads paramiko, which the other commands can do without

    return reach.main(args)


COMMANDS: Mapping[str, tuple[Callable[[Sequence[str]], int], str]] = {
    "audit": (audit.main, "look for Kaspersky on the hosts of an inventory, change nothing"),
    "plan": (plan.main, "what would be done to each host, and what stands in the way; change nothing"),
    "remediate": (remediate.main, "do what the plans say: remove, replace, prove; wave by wave"),
    "verify": (verify.main, "any day later: is it still gone and the host still protected, and what has changed?"),
    "protect": (protect.main, "put a protection on hosts from which nothing has to be removed"),
    "reach": (_reach, "why hosts would be unreachable or unknown, before an audit"),
    "compare": (compare.main, "hosts that exports of other systems know and the inventory lacks"),
    "identify": (identify.main, "the same judgement over an existing list of software, without touching a host"),
    "report": (report.main, "rows of a run from its evidence, also of one that was killed"),
    "check-evidence": (check.main, "is the evidence of a run whole and unchanged?"),
}


def usage() -> str:
    """The overview."""
    lines = [f"  {name:<15} {title}" for name, (_, title) in COMMANDS.items()]
    return (
        "usage: evict COMMAND ...\n\n"
        + "\n".join(lines)
        + "\n\nevict COMMAND --help tells more. Exit codes: 0 nothing open, 2 hosts that are open"
        "\n(unknown, unreachable ...), 3 something failed on a host, 1 the command itself could not do its work.\n"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: arguments without the program's name; those of the process when None.

    Returns:
        The exit code (design: computed from rows).
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a host's name may hold what the terminal cannot show
    args = list(sys.argv[1:] if argv is None else argv)
    if not args or args[0] in ("-h", "--help", "help"):
        print(usage(), end="")
        return Exit.OK if args else Exit.ERROR
    if args[0] == "--version":
        print(f"evict {collection_version()}")
        return Exit.OK
    if args[0] not in COMMANDS:
        print(f"evict: there is no command {args[0]!r}\n\n{usage()}", end="", file=sys.stderr)
        return Exit.ERROR
    try:
        code = COMMANDS[args[0]][0](args[1:])
        sys.stdout.flush()
        return code
    except (UsageError, EvidenceError) as exc:
        print(f"evict {args[0]}: {exc}", file=sys.stderr)
        return Exit.ERROR
    except BrokenPipeError:
        # What is left in the buffer must not be tried again when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.ERROR  # the reader of our output has gone; there is nobody to tell
    except OSError as exc:
        print(f"evict {args[0]}: {files.shown(str(exc.filename or ''))}: {exc.strerror or exc}", file=sys.stderr)
        return Exit.ERROR
