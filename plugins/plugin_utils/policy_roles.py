# SPDX-License-Identifier: GPL-3.0-or-later
"""Server roles a user opts into. Which products serve a role is data, in catalog/roles.yml."""

from __future__ import annotations

import functools
import typing as t
from collections.abc import Mapping
from pathlib import Path

from . import catalog_form
from .policy_checks import did_you_mean, items, refused, shown

FILE: t.Final = "roles.yml"
DIRECTORY: t.Final = Path(__file__).parents[2] / "catalog"
GUARDS: t.Final = ("mail_path", "proxy_path", "server")  # of the catalog, which is not loaded only for these


@functools.cache
def known(directory: Path = DIRECTORY) -> Mapping[str, tuple[str, ...]]:
    """Word of a role -> ids of products.

    Raises:
        Refused: the file of the collection is damaged; without it no role can be told.
    """
    path = directory / FILE
    try:
        data, mistake = catalog_form.parse(path.name, path.read_bytes())
        if mistake is None:
            return {word: tuple(ids) for word, ids in data["roles"].items()}
    except (OSError, KeyError, TypeError, AttributeError):
        pass
    raise refused(f"cannot be judged: catalog/{FILE} of the collection is missing or damaged; install it again")


def roles(value: object) -> frozenset[str]:
    """Ids of the products that may go, and guards of the catalog as they were given.

    Words of roles are put into the products they stand for, so that whoever approves a plan sees what was agreed to.
    """
    found: set[str] = set()
    for item in items(value, "server roles"):
        words = known()
        ids = {product for products in words.values() for product in products}
        if isinstance(item, str) and item in words:
            found.update(words[item])
        elif isinstance(item, str) and (item in GUARDS or item in ids):
            found.add(str(item))
        else:
            every = f"known are {', '.join((*words, *GUARDS))} and ids of their products"
            near = did_you_mean(str(item), words, "")
            hint = near or did_you_mean(str(item), (*GUARDS, *sorted(ids)), every)
            raise refused(f"may hold server roles only, and {shown(item)[:80]} is none: {hint}", value)
    return frozenset(found)
