# SPDX-License-Identifier: GPL-3.0-or-later
"""What Ansible knows of where a variable came from: which are extra vars, and the line a value was written in.

Beside transport.py and secret_vault.py the only part of the brain that imports Ansible.
"""

from __future__ import annotations

import typing as t
from collections.abc import Collection, Mapping

from ansible import context
from ansible.utils.vars import load_extra_vars

from . import policy_places
from .policy_checks import Place

try:  # ansible-core 2.19 and later keep the origin of a value in a tag
    from ansible._internal._datatag._tags import Origin
except ImportError:
    Origin = None


def names(loader: t.Any) -> frozenset[str]:
    """Names of all variables given with -e, as a file, a text or a survey of AWX (which are extra vars).

    Args:
        loader: the data loader of the action or of the play.
    """
    return frozenset(map(str, load_extra_vars(loader)))


class Places:
    """Says where a variable was written."""

    def __init__(self, variables: Mapping[str, t.Any], extra: Collection[str]) -> None:
        """
        Args:
            variables: of the host, as Ansible gives them, not templated.
            extra: `names`.
        """
        self._variables = variables
        self._extra = extra

    def __call__(self, name: str, place: Place = ()) -> str:
        """`group_vars/all.yml:7` for a variable and a place within it; empty when it is not known."""
        if name in self._extra:
            words = [str(word) for word in context.CLIARGS.get("extra_vars") or ()]
            # A text on the command line counts where it stands: a name in it was not written in a file before it.
            last = max((i for i, word in enumerate(words) if not word.startswith("@") and name in word), default=-1)
            return policy_places.where(name, [word[1:] for word in words[last + 1 :] if word.startswith("@")], place)
        if name not in self._variables:
            return ""
        value, found = self._variables[name], self._of_key(name)
        for part in (None, *place):
            try:
                value = value if part is None else value[part]
            except (LookupError, TypeError):
                break
            found = _origin(value) or found
        return found

    def _of_key(self, name: str) -> str:
        """Switches, and numbers before core 2.19, bear no origin. Their name does, of the first place that had it."""
        key = next(key for key in self._variables if key == name)
        found = _origin(key)
        return found if found and policy_places.holds(found.rpartition(":")[0], name, self._variables[name]) else ""


def _origin(value: object) -> str:
    """Where a value was written: by the tag of core 2.19, or by the attribute its values had before."""
    tag = Origin.get_tag(value) if Origin is not None else None
    path, line = (tag.path, tag.line_num) if tag is not None else (getattr(value, "ansible_pos", None) or (None, 0))[:2]
    return f"{policy_places.short(str(path))}:{line}" if path and line else ""
