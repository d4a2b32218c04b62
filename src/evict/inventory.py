# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts of an inventory and their variables, read by ansible-core itself: plugins, vaults and templates count."""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import typing as t
from collections.abc import Iterator, Mapping, Sequence

from .errors import UsageError


def parser(prog: str, description: str, *, usage: str | None = None) -> argparse.ArgumentParser:
    """A parser with the options of ansible-playbook that say which hosts there are and how they are reached.

    Args:
        prog: the command, such as `evict reach`.
        description: for its help.
        usage: the line of usage, None to make one.
    """
    helpers = _helpers()
    made: argparse.ArgumentParser = helpers.create_base_parser(prog, desc=description)
    made.usage = usage or "%(prog)s [options]"  # no argument of the function since core 2.20
    helpers.add_inventory_options(made)
    helpers.add_connect_options(made)
    helpers.add_runas_options(made)
    helpers.add_vault_options(made)
    helpers.add_runtask_options(made)
    helpers.add_basedir_options(made)
    for action in made._actions:
        if action.dest in ("listhosts", "verbosity", "basedir", "flush_cache"):
            action.help = argparse.SUPPRESS
    return made


class Fleet:
    """An inventory that was read."""

    def __init__(self, given: argparse.Namespace, *, ask: bool = False) -> None:
        """
        Args:
            given: what a parser of this module made of a command line.
            ask: ask for the passwords that the command line wants to be asked for (-k, -K), or read their files.

        Raises:
            UsageError: the inventory or the vault cannot be read, or the limit names nobody.
        """
        _settings()
        from ansible import constants, context
        from ansible.cli import CLI
        from ansible.errors import AnsibleError
        from ansible.inventory.manager import InventoryManager
        from ansible.parsing.dataloader import DataLoader
        from ansible.vars.manager import VariableManager

        context._init_global_context(given)
        self.limit = str(given.subset or "")
        self.asked: tuple[str, str] = ("", "")
        try:
            self._loader = DataLoader()
            self._loader.set_basedir(os.getcwd())
            ids = list(given.vault_ids or ()) + list(constants.DEFAULT_VAULT_IDENTITY_LIST or ())
            secrets = CLI.setup_vault_secrets(
                self._loader,
                vault_ids=ids,
                vault_password_files=list(given.vault_password_files or ()),
                ask_vault_pass=given.ask_vault_pass,
                auto_prompt=False,
            )
            self._loader.set_vault_secrets(secrets)
            if ask:
                login, become = CLI.ask_passwords()
                self.asked = (str(login or ""), str(become or ""))
            self.sources = [_source(s) for s in given.inventory or constants.DEFAULT_HOST_LIST]
            self._inventory = InventoryManager(loader=self._loader, sources=self.sources)
            self._variables = VariableManager(loader=self._loader, inventory=self._inventory)
            self.names = [str(h.get_name()) for h in self._inventory.get_hosts("all", ignore_limits=True)]
            if self.limit:
                self._inventory.subset(self.limit)
            self.selected = [str(h.get_name()) for h in self._inventory.get_hosts("all")]
        except (AnsibleError, OSError) as exc:
            raise UsageError(f"the inventory cannot be read: {_message(exc)}") from exc
        if not self.names:
            raise UsageError(f"the inventory holds no host: {', '.join(self.sources)}; name one with -i")
        if not self.selected:
            raise UsageError(f"no host matches the limit {self.limit!r}; see: ansible-inventory --graph")

    def extra(self) -> Mapping[str, t.Any]:
        """The extra variables of the command line, not templated.

        Raises:
            UsageError: a file of them cannot be read.
        """
        from ansible.errors import AnsibleError
        from ansible.utils.vars import load_extra_vars

        try:
            return t.cast("Mapping[str, t.Any]", load_extra_vars(self._loader))
        except AnsibleError as exc:
            raise UsageError(f"the extra variables cannot be read: {_message(exc)}") from exc

    def matching(self, pattern: str) -> list[str]:
        """The hosts that a pattern selects under the limit.

        Raises:
            UsageError: it is no pattern, or names nobody that the inventory knows.
        """
        from ansible.errors import AnsibleError

        try:
            return [str(h.get_name()) for h in self._inventory.get_hosts(pattern)]
        except AnsibleError as exc:
            raise UsageError(f"no host can be told from {pattern!r}: {_message(exc)}") from exc

    def variables(self, host: str) -> Mapping[str, t.Any]:
        """The variables of a host, templates and all.

        Raises:
            UsageError: they cannot be read, such as for want of a vault password.
        """
        from ansible.errors import AnsibleError

        try:
            found = self._variables.get_vars(host=self._inventory.get_host(host), include_hostvars=True)
        except AnsibleError as exc:
            raise UsageError(_message(exc)) from exc
        return t.cast("Mapping[str, t.Any]", found)

    def address(self, host: str) -> str:
        """`ansible_host` of a host; empty when there is none or its template cannot be resolved here."""
        try:
            found = self._variables.get_vars(host=self._inventory.get_host(host), include_hostvars=False)
            return str(self.value(found, "ansible_host") or "")
        except Exception:  # the name of the host still counts
            return ""

    def value(self, variables: Mapping[str, t.Any], name: str) -> t.Any:
        """One variable, templated and decrypted; None when it is not there.

        Raises:
            UsageError: its template or its vault cannot be resolved; the text does not hold the value.
        """
        from ansible.template import Templar

        if name not in variables:
            return None
        try:
            found = Templar(loader=self._loader, variables=variables).template(variables[name])
            return found if found is None or isinstance(found, (bool, int, list, dict)) else str(found)
        except Exception as exc:  # a template can raise anything
            raise UsageError(f"the variable {name} cannot be told: {_message(exc)}") from exc


@contextlib.contextmanager
def quiet_usage() -> Iterator[None]:
    """Wrong options end with our exit code 1, not with 2, which means open hosts."""
    try:
        yield
    except SystemExit as exc:
        if exc.code:
            raise SystemExit(1) from exc
        raise


def read(args: Sequence[str]) -> Fleet:
    """The fleet of a command line for ansible-playbook; options that have nothing to do with the inventory are let be.

    Raises:
        UsageError: see Fleet.
    """
    return _read(tuple(args))


@functools.cache  # Ansible can be told the options of a command line once in a process
def _read(args: tuple[str, ...]) -> Fleet:
    with quiet_usage():
        given, _ = parser("evict audit", "").parse_known_args(list(args))
    return Fleet(given)


def _settings() -> None:
    """No inventory or pattern silently loses hosts; has to be said before Ansible is loaded for the first time."""
    os.environ["ANSIBLE_HOST_PATTERN_MISMATCH"] = "error"
    os.environ["ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED"] = "true"


def _helpers() -> t.Any:
    _settings()
    from ansible.cli.arguments import option_helpers

    return option_helpers


def _source(text: str) -> str:
    return text if "," in text else os.path.abspath(os.path.expanduser(text))


def _message(exc: BaseException) -> str:
    return " ".join(str(getattr(exc, "message", "") or exc).split())
