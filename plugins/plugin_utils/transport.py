# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How a script reaches a POSIX host and its answer comes back: the only file that touches a connection."""

from __future__ import annotations

import dataclasses
import re
import secrets
import shlex
import typing as t

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase

from . import trouble

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PIPELINING: t.Final = ("ansible_pipelining", "ansible_ssh_pipelining")
_FALSE: t.Final = ("false", "no", "0", "off", "n", "f")
# bash as sh takes functions out of the environment, and one called `ls` would answer for the program. `unset` itself
# cannot be such a function there: in POSIX mode special builtins come first.
_NO_FUNCTIONS: t.Final = (
    "case ${BASH_VERSION-} in ?*) unset -f compgen; set -f; unset -f $(compgen -A function); set +f ;; esac\n"
)
_NO_FOLDER: t.Final = re.compile("temporary directory|No space left on device")
# Two minutes of silence; ssh alone would wait for a host that went dark as long as TCP does, two hours and more.
_ALIVE: t.Final = "-o ServerAliveInterval=30 -o ServerAliveCountMax=4"
# In full, since an account may come without a usable PATH.
_SH: t.Final = "/bin/sh"


@dataclasses.dataclass(frozen=True)
class Answer:
    """What came back.

    Attributes:
        text: all that the host printed; empty when trouble says why there is nothing.
        nonce: the word that marks our lines in it.
        way: `stdin` or `file`, for the evidence.
        trouble: why the script did not run, None when it did.
    """

    text: str
    nonce: str
    way: str
    trouble: trouble.Trouble | None = None


def run_script(
    action: ActionBase, *, script: str, values: Mapping[str, str], prefix: str, task_vars: Mapping[str, t.Any]
) -> Answer:
    """Run a POSIX script on the task's host, as the become user when become is on.

    The script travels on stdin of `sh` where connection and become can carry it; else, and when the host insists on a
    terminal, it is written to the remote temporary folder and run as `sh FILE`, which works on noexec file systems.

    Args:
        action: the running action; its connection is used.
        script: the text, one `main` called on its last line.
        values: name -> text, put in front as quoted assignments.
        prefix: prefix of the variable names, such as `EVICT_`.
        task_vars: the host's variables; an explicit `ansible_pipelining: false` keeps the script off stdin.

    Returns:
        The answer. Nothing is raised for a host that cannot be asked: that is a result.
    """
    nonce = "evict-" + secrets.token_hex(12)
    assignments = {**values, "NONCE": nonce}
    head = "".join(f"{prefix}{name}={shlex.quote(value)}\n" for name, value in assignments.items())
    text = _NO_FUNCTIONS + head + script
    detail = "stdin: pipelining is switched off for this host"
    _notice_silence(action)
    try:
        if _stdin_allowed(action, task_vars):
            _pipelining_on(action)
            result = action._low_level_execute_command(_SH, in_data=text.encode("utf-8", "surrogateescape"))
            if _framed(result, nonce):
                return Answer(result["stdout"], nonce, "stdin")
            said = result["stderr"] + "\n" + result["stdout"]
            if not trouble.WANTS_TTY.search(said):
                return Answer("", nonce, "stdin", _why(action, said))
            detail = "stdin: the host insists on a terminal"
        return _by_file(action, text, nonce, detail)
    except AnsibleConnectionFailure as exc:
        return Answer("", nonce, "", trouble.connection(message(exc)))
    except AnsibleError as exc:
        return Answer("", nonce, "", trouble.error(message(exc)))


def _by_file(action: ActionBase, text: str, nonce: str, detail: str) -> Answer:
    """Write the script to the remote temporary folder and run it there. The script's trap and we both remove it."""
    if silent := _expand_home(action, nonce):
        return Answer("", nonce, "file", silent)
    try:
        folder = action._make_tmp_path()
    except AnsibleConnectionFailure as exc:
        said = message(exc)
        if not _NO_FOLDER.search(said):
            raise
        # Core raises the class of an unreachable host for this, and keeps what the host said to itself.
        where = shlex.quote(_remote_tmp(action))
        result = action._low_level_execute_command(f"mkdir -p {where}", sudoable=False)
        return Answer("", nonce, "file", _no_file(action, detail, result["stderr"] + result["stdout"] or said))
    try:
        path = action._connection._shell.join_path(folder, "observe.sh")
        # A shell reads on from a file that it has opened: nothing of it, secrets least of all, is left by a power cut.
        remove = f"rm -f {shlex.quote(path)} 2>/dev/null", f"rmdir {shlex.quote(folder)} 2>/dev/null"
        gone = "".join(f"PATH=/usr/bin:/bin:/run/current-system/sw/bin {command}\n" for command in remove)
        action._transfer_data(path, _NO_FUNCTIONS + gone + text)
        action._fixup_perms2((folder, path), execute=False)
        result = action._low_level_execute_command(f"{_SH} {shlex.quote(path)}")
        if _framed(result, nonce):
            return Answer(result["stdout"], nonce, "file")
        return Answer("", nonce, "file", _why(action, result["stderr"] + "\n" + result["stdout"]))
    except AnsibleConnectionFailure:
        raise
    except AnsibleError as exc:
        return Answer("", nonce, "file", _no_file(action, detail, message(exc)))
    finally:
        action._remove_tmp_path(folder)


def _no_file(action: ActionBase, detail: str, said: str) -> trouble.Trouble:
    return trouble.transport(detail, said, str(getattr(action._connection._shell, "SHELL_FAMILY", "sh")))


def _remote_tmp(action: ActionBase) -> str:
    return str(action.get_shell_option("remote_tmp", default="~/.ansible/tmp"))


def _expand_home(action: ActionBase, nonce: str) -> trouble.Trouble | None:
    """Put the home folder into `ansible_remote_tmp`, and see whether the host answers at all.

    Core would take the last line of what `echo ~` prints, and with it what a profile prints without a line end.
    """
    if getattr(action._connection, "_remote_is_local", False):
        return None
    shell = action._connection._shell
    result = action._low_level_execute_command(f"echo {nonce} ~", sudoable=False)
    before, mark, home = result["stdout"].rpartition(f"{nonce} ")
    if not mark:
        return _why(action, result["stderr"] + "\n" + before + home)
    home = home.partition("\n")[0].rstrip("\r")
    tilde, _slash, rest = _remote_tmp(action).partition("/")
    if tilde == "~" and home.startswith("/"):
        shell.set_option("remote_tmp", shell.join_path(home, rest))
    return None


def _stdin_allowed(action: ActionBase, task_vars: Mapping[str, t.Any]) -> bool:
    become = action._connection.become
    if become is not None and (become.name == "su" or not getattr(become, "pipelining", True)):
        return False
    off = [n for n in _PIPELINING if n in task_vars and str(task_vars[n]).strip().lower() in _FALSE]
    if off and any(n in given for n in off for given in _given(action, task_vars)):
        return False
    return bool(getattr(action._connection, "has_pipelining", False))


def _given(action: ActionBase, task_vars: Mapping[str, t.Any]) -> Iterator[Mapping[str, t.Any]]:
    """Where a user can have set a variable: core puts its default of `ansible_pipelining` into a task's variables."""
    yield action._task.get_vars()
    if (play := getattr(action._task, "play", None)) is not None:
        yield play.get_vars()
    yield task_vars["hostvars"][task_vars["inventory_hostname"]]


def _pipelining_on(action: ActionBase) -> None:
    """Without this option the `local` connection gives a become password a terminal, and then drops our stdin."""
    try:
        action._connection.set_option("pipelining", True)
    except (AnsibleError, KeyError):
        return  # a connection without the option takes stdin as it is


def _notice_silence(action: ActionBase) -> None:
    """Let ssh give up a host that does not answer any more, unless the user has told ssh how to go about that."""
    connection = action._connection
    if getattr(connection, "transport", "") != "ssh":
        return
    try:
        given = [str(connection.get_option(f"ssh_{name}") or "") for name in ("args", "common_args", "extra_args")]
        if not any("serveralive" in text.lower() for text in given):
            connection.set_option("ssh_extra_args", f"{given[-1]} {_ALIVE}".strip())
    except (AnsibleError, KeyError):
        return  # a plugin of another collection with that name and without these options


def _framed(result: Mapping[str, t.Any], nonce: str) -> bool:
    return f"{nonce} B " in result["stdout"]


def _why(action: ActionBase, said: str) -> trouble.Trouble:
    """Name the reason; unknown words make us ask, in a way cmd.exe and PowerShell expand, whether it is Windows."""
    found = trouble.answer(said)
    if found.cause == "shell" and "Windows" not in found.text:
        try:
            result = action._low_level_execute_command("echo evict %OS% $env:OS", sudoable=False, executable=False)
        except AnsibleError:
            return found
        if "Windows_NT" in result["stdout"]:
            return trouble.answer("Windows_NT")
    return found


def message(exc: BaseException) -> str:
    """The error's own words; newer cores keep them apart from their decoration."""
    return str(getattr(exc, "message", "") or exc)
