# SPDX-License-Identifier: GPL-3.0-or-later
"""The JSON Schemas of the collection: does a document have the form its version promises?"""

from __future__ import annotations

import functools
import json
import typing as t
from collections.abc import Iterator

from .evidence import EvidenceError
from .run import COLLECTION

if t.TYPE_CHECKING:
    from jsonschema.protocols import Validator

FOLDER: t.Final = COLLECTION / "schemas"


def faults(name: str, document: t.Any) -> Iterator[str]:
    """What is wrong with a document, one text each.

    Args:
        name: file name of the schema without suffix, such as `evidence-1`.
        document: what JSON gave.

    Raises:
        EvidenceError: the schema is missing or damaged.
    """
    for error in _validator(name).iter_errors(document):
        message = error.message if len(error.message) <= 160 else error.message[:157] + "..."
        yield f"{error.json_path}: {message}"


@functools.cache
def _validator(name: str) -> Validator:
    # Only `check-evidence` needs these, and importing them takes longer than most runs of it.
    from jsonschema import Draft202012Validator
    from referencing import Registry, Resource

    found: dict[str, t.Any] = {}
    try:
        for file in sorted(FOLDER.glob("*.json")):
            found[file.stem] = json.loads(file.read_text(encoding="utf-8"))
        schema = found[name]
        # A file may be of another draft or have no id; only those that can be referred to are handed on.
        resources = [(s["$id"], Resource.from_contents(s)) for s in found.values() if "$id" in s and "$schema" in s]
    except (OSError, ValueError, KeyError) as exc:
        raise EvidenceError(f"{FOLDER} does not hold the schema {name}: install the collection again ({exc})") from exc
    registry: Registry[t.Any] = Registry().with_resources(resources)
    return t.cast("Validator", Draft202012Validator(schema, registry=registry))
