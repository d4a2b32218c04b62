# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Resolves references to secrets on the controller, for one host. No text made here holds a value.

Settings are templated before they get here, so a reference may be a secret itself where its author wrote the value in
the wrong place. That is why a reason says which secret it is about and never quotes what stands in a reference, but
for names that are in use: of a variable that is there, of a file that is there, of a plugin that is there.
"""

from __future__ import annotations

import os
import re
import stat
import typing as t
from collections.abc import Iterable, Mapping

from ansible.errors import AnsibleError
from ansible.plugins.loader import lookup_loader

from . import files, secret_names
from .policy_types import SecretRef
from .secret_names import UNKNOWN, Need, SecretFormError

if t.TYPE_CHECKING:
    from ansible.plugins.action import ActionBase

LARGEST: t.Final = 65_536  # bytes of a file, characters of a value
_NAME: t.Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_LINE_END: t.Final = re.compile(r"\r?\n\Z")
_ENCRYPTED: t.Final = b"$ANSIBLE_VAULT;"


class SecretError(Exception):
    """A secret cannot be resolved; the text says why and what to do, without the value."""


class Resolved:
    """A secret's value. Nothing shows it by accident: not a message, not a log, not JSON, not a copy."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value, for the hand that passes it on and for the redactor."""
        return self._value

    def __repr__(self) -> str:
        return "<secret>"

    def __reduce__(self) -> t.NoReturn:
        raise TypeError("a secret is not copied or written")


class Vault:
    """Resolves secrets for the host of an action, and remembers those it resolved for the redactor."""

    def __init__(self, *, templar: t.Any, loader: t.Any, variables: Mapping[str, t.Any]) -> None:
        """
        Args:
            templar: of the action.
            loader: the action's data loader.
            variables: the host's variables (`task_vars`).
        """
        self._templar, self._loader, self._variables = templar, loader, variables
        self._known: dict[str, None] = {}

    def resolve(self, ref: SecretRef) -> Resolved:
        """Resolve a reference. One line end at the end of what is found is no part of the secret.

        Raises:
            SecretError: it is not there, cannot be read, is empty, or is no text.
        """
        way = {"variable": self._variable, "file": self._file, "lookup": self._lookup}.get(ref.how)
        if way is None:
            raise SecretError("it must be given as `variable`, `file` or `lookup`")
        value = _LINE_END.sub("", way(ref), count=1)
        self._known[value] = None
        if not value.strip():
            raise SecretError("it is empty; give the value there, or remove it from `evict_secrets`")
        if len(value) > LARGEST:
            raise SecretError(f"it is longer than {LARGEST} characters; is it the right one?")
        return Resolved(value)

    @classmethod
    def of(cls, action: ActionBase, task_vars: Mapping[str, t.Any]) -> Vault:
        """The vault for the host of a running action."""
        return cls(templar=action._templar, loader=action._loader, variables=task_vars)

    def check(self, secrets: Mapping[str, Mapping[str, SecretRef]], needs: Iterable[Need] = ()) -> dict[str, str]:
        """See the function `check`; what is found is remembered for `known`."""
        wanted = {need.id: need for need in needs}
        found: dict[str, str] = {}
        for key, ref in _named(secrets):
            try:
                value = self.resolve(ref)
                need = wanted.get(key)
                form = ref.format or (need.format if need else UNKNOWN)
                if form != UNKNOWN:  # an unknown one stops the host by an inhibitor of its own
                    secret_names.encode(value.reveal(), form)
                found[key] = ""
            except (SecretError, SecretFormError) as exc:
                found[key] = str(exc)
        return found

    def known(self, secrets: Mapping[str, Mapping[str, SecretRef]] | None = None) -> tuple[str, ...]:
        """Values for the redactor: those that were resolved, and those of every variable that `secrets` names."""
        for _key, ref in _named(secrets or {}):
            if ref.how == "variable":
                try:
                    self.resolve(ref)
                except SecretError:
                    continue  # a variable that cannot be resolved is nothing anybody could have sent
        return tuple(self._known)

    def _variable(self, ref: SecretRef) -> str:
        if not _NAME.match(ref.name):
            raise SecretError("`variable` takes the name of a variable, without braces; write the name alone")
        if ref.name not in self._variables:
            # The name is not shown: it may be the secret itself, put here by mistake or by a template.
            raise SecretError(
                "its variable is not defined for this host; define it (vaulted, for the host or a group of it), and "
                "write its name, not its value, behind `variable:`"
            )
        try:
            value = self._templar.template(self._variables[ref.name])
            return _text(value, f"the variable {ref.name}")
        except SecretError:
            raise
        except Exception as exc:
            raise SecretError(
                f"the variable {ref.name} cannot be resolved ({_kind(exc)}): it uses a variable that is not defined, "
                "or no vault password opens it"
            ) from None  # the original error may quote the value

    def _file(self, ref: SecretRef) -> str:
        return read_file(ref.name)

    def _lookup(self, ref: SecretRef) -> str:
        try:
            plugin = lookup_loader.get(ref.name, loader=self._loader, templar=self._templar)
            why = "no such plugin"
        except Exception as exc:
            plugin, why = None, _kind(exc)
        if plugin is None:
            raise SecretError(
                f"its lookup plugin cannot be loaded ({why}): write its full name, and install the collection that has "
                "it and the Python packages it needs"
            )
        try:
            found = plugin.run(list(ref.terms), variables=self._variables, **dict(ref.options))
        except Exception as exc:
            # What a lookup says may hold what it found, or a token it was given: only the kind of its error is told.
            raise SecretError(
                f"the lookup {ref.name} failed ({_kind(exc)}); try it on the controller by itself, with the same terms"
            ) from None
        if not isinstance(found, list) or len(found) != 1:
            count = len(found) if isinstance(found, list) else "no list of"
            raise SecretError(f"the lookup {ref.name} found {count} values, exactly one is needed")
        return _text(found[0], f"the lookup {ref.name}")


def _named(secrets: Mapping[str, Mapping[str, SecretRef]]) -> list[tuple[str, SecretRef]]:
    return sorted(
        ((f"{owner}.{name}", ref) for owner, named in secrets.items() for name, ref in named.items()),
        key=lambda pair: pair[0],
    )


def read_file(path: str) -> str:
    """The secret in a file of the controller.

    Raises:
        SecretError: there is no such file, it is not plain, not ours, open to others, too large, empty or no text.
    """
    if not path.startswith("/"):
        raise SecretError("`file` takes an absolute path on the controller")
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
    try:
        fd = os.open(path, flags)
    except (OSError, ValueError) as exc:
        raise SecretError(_unopened(path, exc)) from None  # the original error quotes the path
    try:
        info, shown = os.fstat(fd), files.shown(path)
        if not stat.S_ISREG(info.st_mode):
            raise SecretError(f"{shown} is not a plain file")
        if info.st_uid not in (0, os.geteuid()):
            raise SecretError(f"{shown} belongs to user id {info.st_uid}: it must be yours or root's")
        if info.st_mode & 0o077:
            mode = stat.S_IMODE(info.st_mode)
            raise SecretError(f"{shown} has mode {mode:04o}, others may reach it: `chmod 600` it and change the secret")
        data = b""
        while len(data) <= LARGEST and (piece := os.read(fd, LARGEST + 1 - len(data))):
            data += piece
    except OSError as exc:
        raise SecretError(f"{files.shown(path)} cannot be read: {exc.strerror}") from None
    finally:
        os.close(fd)
    if len(data) > LARGEST:
        raise SecretError(f"{shown} is larger than 64 kB; is it the right file?")
    if data.startswith(_ENCRYPTED):
        raise SecretError(f"{shown} is encrypted: use `lookup: ansible.builtin.unvault` with its path as term")
    if not data.strip():
        raise SecretError(f"{shown} is empty")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise SecretError(f"{shown} is no UTF-8 text") from None


def _unopened(path: str, exc: OSError | ValueError) -> str:
    try:
        there = os.path.lexists(path)
    except ValueError:
        there = False
    if not there:
        # The path is not shown: it may be the secret itself.
        return "its file is not there or cannot be reached; write the path of a file behind `file:`, not the secret"
    if os.path.islink(path):
        return f"{files.shown(path)} is a link; give the path of the file itself"
    return f"{files.shown(path)} cannot be read: {getattr(exc, 'strerror', None) or type(exc).__name__}"


def _text(value: object, what: str) -> str:
    if not isinstance(value, str):
        # A vaulted value of an older core is an object that decrypts itself when it is made a text.
        if hasattr(value, "_ciphertext") or type(value).__name__ in ("AnsibleVaultEncryptedUnicode", "EncryptedString"):
            return str.__str__(str(value))
        kinds = ((bool, "yes or no"), ((int, float), "a number"), (type(None), "empty"))
        kind = next((words for types, words in kinds if isinstance(value, types)), "a list, a mapping or the like")
        raise SecretError(f"{what} is {kind}, not a text; put the value in quotes")
    return str.__str__(value)  # a plain text, without the tags of newer cores


def _kind(exc: BaseException) -> str:
    return type(exc).__name__ if not isinstance(exc, AnsibleError) else type(exc).__name__.removeprefix("Ansible")


def check(
    action: ActionBase,
    secrets: Mapping[str, Mapping[str, SecretRef]],
    task_vars: Mapping[str, t.Any],
    needs: Iterable[Need] = (),
) -> dict[str, str]:
    """Prove for the host of an action that its secrets are there. Values are dropped.

    Args:
        action: the running action.
        secrets: of the policy.
        task_vars: the host's variables.
        needs: of those whose format is known, it is proved that the value can be brought into it.

    Returns:
        `owner.NAME` -> empty when it is there, else why not. Names that the policy does not give are not in it.
    """
    return Vault.of(action, task_vars).check(secrets, needs)
