# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets of a user, by name: where they are. Nothing of what stands in the setting is shown but names that fit."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Mapping

from .policy_checks import SECRET_NAME, Mistake, Refused, label, refused, structured, within
from .policy_types import How, SecretRef
from .policy_values import ID

FORMATS: t.Final = ("plain", "utf16le_hex")
_HOWS: t.Final[tuple[How, ...]] = t.get_args(How)


def secrets(value: object) -> Mapping[str, Mapping[str, SecretRef]]:
    """owner -> name -> where the secret is. Nothing of what stands there is ever shown."""
    if value is None or (isinstance(value, (str, list, tuple)) and not value):
        return {}
    given = structured(value)
    if not isinstance(given, Mapping):
        raise refused(f"must name the secret, not hold it: {_EXAMPLE}")
    mistakes: list[Mistake] = []
    found: dict[str, dict[str, SecretRef]] = {}
    for owner, names in given.items():
        if not isinstance(owner, str) or not ID.match(owner):
            mistakes.append(Mistake("must have ids of products or providers as its names, such as `kesl`"))
        elif not isinstance(names, Mapping):
            mistakes.append(Mistake(f"must name the secret, not hold it: {_EXAMPLE}", (owner,)))
        else:
            found[str(owner)] = {
                str(name): ref
                for name, item in names.items()
                if (ref := within(owner, (name, item), _named, mistakes)) is not None
            }
    if mistakes:
        raise Refused(mistakes)
    return found


_EXAMPLE: t.Final = (
    "`{owner: {NAME: {variable: name of a vaulted variable}}}`, or `file:` (a path), or `lookup:` (a plugin)"
)
_KEYS: t.Final = (*_HOWS, "terms", "options", "format", "property")


def _named(pair: tuple[object, object]) -> SecretRef:
    name, item = pair
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,63}", name):
        raise refused("must have names of secrets, of letters, digits, `_` and `-`, such as `UNINSTALL_PASSWORD`")
    mistakes: list[Mistake] = []
    found = within(str(name), item, _reference, mistakes)
    if found is None:
        raise Refused(mistakes)
    return found


def _reference(item: object) -> SecretRef:
    """One secret. Messages show no value: a secret may stand in any wrong place."""
    if not isinstance(item, Mapping):
        raise refused(
            "must name the secret, not hold it: write `{variable: NAME}`, `{file: PATH}` or `{lookup: PLUGIN}`"
        )
    mistakes = [
        Mistake(f"has a name that is not known here; known are {', '.join(_KEYS)}") for key in item if key not in _KEYS
    ][:1]
    hows = [how for how in _HOWS if how in item]
    if len(hows) != 1:
        mistakes.append(Mistake("must say where the secret is by exactly one of `variable`, `file` and `lookup`"))
        raise Refused(mistakes)
    how = hows[0]
    forms: dict[How, tuple[str, str]] = {
        "variable": (r"[A-Za-z_][A-Za-z0-9_]{0,127}", "the name of a variable: letters, digits and `_`"),
        "file": (r"[^\0\r\n]{1,4096}", "a path on the controller"),
        "lookup": (r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*", "the name of a lookup plugin"),
    }
    form, words = forms[how]
    target = item[how]
    if not isinstance(target, str) or not re.fullmatch(form, target):
        mistakes.append(Mistake(f"must be {words}", (how,)))
    terms, options = item.get("terms", []), item.get("options", {})
    if how != "lookup":
        mistakes += [Mistake("goes with `lookup` only", (key,)) for key in ("terms", "options") if key in item]
    if isinstance(terms, str):
        terms = [terms]
    if not isinstance(terms, (list, tuple)) or not all(isinstance(term, str) for term in terms):
        mistakes.append(Mistake("must be a list of texts", ("terms",)))
        terms = []
    if not isinstance(options, Mapping) or not all(isinstance(key, str) for key in options):
        mistakes.append(Mistake("must be a mapping from names of options to values", ("options",)))
        options = {}
    mistakes += [
        Mistake(
            "must not hold a secret: the lookup plugin finds its own login in the environment or in ansible.cfg",
            ("options", label(key)),
        )
        for key, option in options.items()
        if SECRET_NAME.search(key) and option
    ]
    wanted, passed = item.get("format", ""), item.get("property", "")
    if wanted not in ("", *FORMATS):
        mistakes.append(Mistake(f"must be one of {', '.join(FORMATS)}", ("format",)))
    if not isinstance(passed, str) or not re.fullmatch(r"([A-Z][A-Z0-9_.]{0,71})?", passed):
        mistakes.append(Mistake("must be a public MSI property: upper-case letters, digits and `_`", ("property",)))
    if mistakes:
        raise Refused(mistakes)
    return SecretRef(how, str(target), tuple(map(str, terms)), dict(options), str(wanted), str(passed))
