# SPDX-License-Identifier: GPL-3.0-or-later
"""The form of a catalog file: YAML and schemas/catalog-1.json, with errors in words a person can act on."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import json
import re
import typing as t
from collections.abc import Mapping
from pathlib import Path

import yaml

SCHEMA: t.Final = Path(__file__).parents[2] / "schemas" / "catalog-1.json"

Data = Mapping[str, t.Any]

_PIECE: t.Final = re.compile(r"<<([a-z0-9-]+)>>")


@dataclasses.dataclass(frozen=True)
class Mistake:
    """One thing wrong in one place.

    Attributes:
        file: the file, below the catalog's folder.
        place: the way to it, such as `signals[service-avp].name`; empty when it is the file as a whole.
        problem: what is wrong.
        remedy: what to do.
    """

    file: str
    place: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        place = f" {self.place}:" if self.place else ""
        return f"{self.file}:{place} {self.problem}; {self.remedy}"


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The safe loader, and a key that stands twice is an error instead of a silent loss of the first."""

    def construct_mapping(self, node: t.Any, deep: bool = False) -> t.Any:
        seen: set[object] = set()
        for key_node, _dummy in node.value:
            key = key_node.value
            if isinstance(key, str) and key in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key!r} stands here twice", problem_mark=key_node.start_mark
                )
            if isinstance(key, str):
                seen.add(key)
        return super().construct_mapping(node, deep)


def parse(name: str, text: bytes) -> tuple[t.Any, Mistake | None]:
    """Read one file.

    Args:
        name: its name, for the mistake.
        text: what it holds.

    Returns:
        The data and None, or None and what is wrong.
    """
    try:
        return yaml.load(text, _Loader), None
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = " ".join(part for part in (exc.context, exc.problem) if part)
        return None, Mistake(
            name, place, f"not YAML: {problem}", "mend the line; quote values that hold `: `, `#` or `\\`"
        )
    except (yaml.YAMLError, UnicodeDecodeError) as exc:
        return None, Mistake(name, "", f"not YAML: {' '.join(str(exc).split())}", "save the file as UTF-8 text in YAML")


def expand(name: str, data: t.Any, patterns: Mapping[str, str]) -> list[Mistake]:
    """Put the named pieces of patterns.yml into the expressions of an entry, in place.

    Args:
        name: its file.
        data: what the file holds, of any form.
        patterns: name -> expression.

    Returns:
        A mistake for each name that patterns.yml does not have.
    """
    mistakes: list[Mistake] = []
    listed = data.get("signals") if isinstance(data, dict) else None
    for signal in listed if isinstance(listed, list) else ():
        for key, value in signal.items() if isinstance(signal, dict) else ():
            if not isinstance(value, str) or "<<" not in value:
                continue
            for piece in _PIECE.findall(value):
                if piece not in patterns:
                    remedy = f"add it to patterns.yml, or use one of: {', '.join(sorted(patterns)) or 'none there yet'}"
                    place = f"signals[{signal.get('id', '?')}].{key}"
                    mistakes.append(Mistake(name, place, f"<<{piece}>> is no named pattern", remedy))
            signal[key] = _PIECE.sub(lambda found: patterns.get(found[1], found[0]), value)
    return mistakes


@functools.cache
def _validators() -> tuple[t.Any, dict[str, t.Any]]:
    """A validator for an entry (its signals but for their kind), and one for each kind of signal."""
    from jsonschema import Draft202012Validator  # here, since Ansible's tools load plugins without it

    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    parts = schema.pop("$defs")
    signal = parts["signal"]
    kinds = {
        rule["if"]["properties"]["kind"]["const"]: rule["then"]["$ref"].rpartition("/")[2]
        for rule in signal.pop("allOf")
    }
    whole = Draft202012Validator(inlined(schema, parts))
    return whole, {kind: Draft202012Validator(inlined(parts[part], parts)) for kind, part in kinds.items()}


def inlined(schema: t.Any, parts: Mapping[str, t.Any]) -> t.Any:
    """The schema with each reference replaced by what it names; nothing in ours refers to itself."""
    if isinstance(schema, list):
        return [inlined(item, parts) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return inlined(parts[schema["$ref"].rpartition("/")[2]], parts)
    return {key: inlined(value, parts) for key, value in schema.items()}


def conforms(schema: t.Any, data: t.Any) -> bool:
    """Does the data fit a schema without references? Says only that, some twenty times faster than the library.

    It knows the words our schemas use; one with another word does not conform, so that the library is asked.
    """
    return all(word in _WORDS and _WORDS[word](value, data, schema) for word, value in schema.items())


def _fits_object(_value: t.Any, data: t.Any, schema: Data) -> bool:
    """Every key and value of an object: by its own schema, by pattern, or as an additional one."""
    if not isinstance(data, dict):
        return True
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    more = schema.get("additionalProperties", True)
    for key, item in data.items():
        if not isinstance(key, str):
            return False
        ways = [known[key]] if key in known else []
        ways += [way for pattern, way in patterns.items() if re.search(pattern, key)]
        ways = ways or [more]
        if not all(way if isinstance(way, bool) else conforms(way, item) for way in ways):
            return False
    return True


_TYPES: t.Final[Mapping[str, type | tuple[type, ...]]] = {
    "string": str,
    "array": list,
    "object": dict,
    "boolean": bool,
    "integer": int,
}


def _is_of(names: t.Any, data: t.Any) -> bool:
    wanted = [names] if isinstance(names, str) else names
    return any(isinstance(data, _TYPES[n]) and (n == "boolean" or not isinstance(data, bool)) for n in wanted)


def _no(_value: t.Any, _data: t.Any, _schema: Data) -> bool:
    return True


_WORDS: t.Final[Mapping[str, t.Callable[[t.Any, t.Any, Data], bool]]] = {
    "$schema": _no,
    "$id": _no,
    "$comment": _no,
    "title": _no,
    "description": _no,
    "type": lambda value, data, schema: _is_of(value, data),
    "required": lambda value, data, schema: not isinstance(data, dict) or all(key in data for key in value),
    "properties": _fits_object,
    "patternProperties": _fits_object,
    "additionalProperties": lambda value, data, schema: (
        "properties" in schema or "patternProperties" in schema or _fits_object(value, data, schema)
    ),
    "propertyNames": lambda value, data, schema: (
        not isinstance(data, dict) or all(conforms(value, key) for key in data)
    ),
    "items": lambda value, data, schema: not isinstance(data, list) or all(conforms(value, item) for item in data),
    "enum": lambda value, data, schema: data in value and not isinstance(data, bool),
    "const": lambda value, data, schema: data == value and type(data) is type(value),
    "pattern": lambda value, data, schema: not isinstance(data, str) or bool(re.search(value, data)),
    "minItems": lambda value, data, schema: not isinstance(data, list) or len(data) >= value,
    "minLength": lambda value, data, schema: not isinstance(data, str) or len(data) >= value,
    "minProperties": lambda value, data, schema: not isinstance(data, dict) or len(data) >= value,
    "minimum": lambda value, data, schema: not isinstance(data, int) or data >= value,
    "uniqueItems": lambda value, data, schema: (
        not (value and isinstance(data, list)) or all(item not in data[:at] for at, item in enumerate(data))
    ),
}


def errors(name: str, data: Data) -> list[tuple[list[t.Any], Mistake]]:
    """What the schema says against an entry.

    Args:
        name: its file.
        data: what the file holds.

    Returns:
        The way to each mistake (keys and list positions), and the mistake.
    """
    entry, kinds = _validators()
    found = [(list(error.absolute_path), error) for error in entry.iter_errors(data)]
    listed = data.get("signals")
    for number, signal in enumerate(listed if isinstance(listed, list) else ()):
        kind = signal.get("kind") if isinstance(signal, dict) else None
        if isinstance(kind, str) and kind in kinds:
            # Asked directly: the schema's `if kind ... then` for each kind and signal costs three times the whole load.
            found += [(["signals", number, *error.absolute_path], error) for error in kinds[kind].iter_errors(signal)]
    found.sort(key=lambda item: [str(part) for part in item[0]])
    return [(way, mistake_of(name, data, way, error)) for way, error in found]


def mistake_of(name: str, data: Data, way: list[t.Any], error: t.Any) -> Mistake:
    """A schema error in words a person can act on.

    Args:
        name: the file.
        data: what it holds.
        way: keys and list positions that lead to the error.
        error: the error, of jsonschema.
    """
    place = _place(data, way)
    value, rule = error.instance, error.validator
    shown = _short(value)
    if rule == "additionalProperties":
        known = sorted(error.schema.get("properties", {}))
        patterns = error.schema.get("patternProperties", {})
        unknown = sorted(
            str(key) for key in value if key not in known and not any(re.search(p, str(key)) for p in patterns)
        )
        known += [word for pattern in patterns for word in pattern.strip("^$()").split("|")]
        close = difflib.get_close_matches(unknown[0], known, n=1) if unknown else []
        hint = f"did you mean `{close[0]}`? " if close else ""
        return Mistake(
            name, place, f"unknown key {', '.join(map(repr, unknown))}", f"{hint}known here: {', '.join(known)}"
        )
    if rule == "required":
        missing = [key for key in error.validator_value if key not in value]
        return Mistake(
            name,
            place,
            f"the key {', '.join(map(repr, missing))} is missing",
            "add it (catalog/README.md says what it is)",
        )
    if rule in ("anyOf", "oneOf"):
        keys = [way["required"][0] for way in error.validator_value]
        count = "at least" if rule == "anyOf" else "exactly"
        return Mistake(
            name,
            place,
            f"{count} one of {', '.join(keys)} is needed",
            "write it, and remove the others" if rule == "oneOf" else "add one",
        )
    if rule in ("enum", "const"):
        allowed = error.validator_value if rule == "enum" else [error.validator_value]
        words = [str(word) for word in allowed]
        close = difflib.get_close_matches(str(value), words, n=1)
        hint = f"did you mean `{close[0]}`? " if close else ""
        return Mistake(name, place, f"{shown} is not known here", f"{hint}allowed: {', '.join(words)}")
    if rule == "type":
        remedy = (
            "put the value in quotes"
            if error.validator_value == "string"
            else f"write a value of type {error.validator_value}"
        )
        return Mistake(name, place, f"{shown} is not of type {error.validator_value}", remedy)
    if rule in ("minItems", "minLength", "minProperties"):
        return Mistake(
            name,
            place,
            "it is empty" if not value else f"{shown} is too short",
            "fill it, or remove the key when it may be left out",
        )
    if rule == "uniqueItems":
        return Mistake(name, place, "an item stands in it twice", "remove the second")
    if rule == "pattern":
        return Mistake(
            name,
            place,
            f"{shown} has not the form `{error.validator_value}`",
            "correct it (catalog/README.md has examples)",
        )
    return Mistake(name, place, " ".join(error.message.split())[:200], f"see `{rule}` in the schema")


def _place(data: t.Any, path: list[t.Any]) -> str:
    """The way to a value, list items by their id or target where they have one."""
    out, at = "", data
    for part in path:
        at = at[part]
        if isinstance(part, int):
            own = at.get("id") if isinstance(at, dict) else None
            out += f"[{own if isinstance(own, str) else part + 1}]"
        else:
            out += f".{part}" if out else str(part)
    return out


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
