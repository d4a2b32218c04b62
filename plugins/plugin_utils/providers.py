# SPDX-License-Identifier: GPL-3.0-or-later
"""Providers read from catalog/providers/<id>/provider.yml: what lies in the folder is what there is."""

from __future__ import annotations

import functools
import json
import typing as t
from collections.abc import Mapping
from pathlib import Path

from . import catalog_form, providers_check
from .catalog_form import Mistake
from .provider import (
    DetectionRule,
    Founded,
    Provider,
    ProviderPlatform,
    ProviderSecret,
    Refusal,
    Setting,
    StepTemplate,
    When,
)
from .steps import Condition

DIRECTORY: t.Final = Path(__file__).parents[2] / "catalog" / "providers"
FILE: t.Final = "provider.yml"
SCHEMA: t.Final = Path(__file__).parents[2] / "schemas" / "provider-1.json"

Data = Mapping[str, t.Any]
_FIELDS: t.Final = ("endpoints", "scanners", "programs", "files", "units")
_FACTS: t.Final = (*_FIELDS, "services_if")
_BY_FAMILY: t.Final = ("packages", "services", "names")


class ProvidersError(Exception):
    """The providers cannot be used. The text lists every mistake of every file, one a line.

    Attributes:
        mistakes: the same as data.
    """

    def __init__(self, mistakes: list[Mistake]) -> None:
        self.mistakes: t.Final = tuple(mistakes)
        number = len(mistakes)
        head = f"the providers have {number} mistake{'s' if number != 1 else ''}:"
        super().__init__("\n".join([head, *(f"  {mistake}" for mistake in mistakes)]))


def load(folder: Path = DIRECTORY) -> dict[str, Provider]:
    """Read and check all providers.

    Args:
        folder: holds one folder for each provider, with `provider.yml` in it.

    Returns:
        Id -> provider, sorted by id.

    Raises:
        ProvidersError: something is wrong in them; all mistakes of all files are listed.
    """
    mistakes: list[Mistake] = []
    data: dict[str, Data] = {}
    for path in sorted(folder.glob("*/")):
        name = f"{path.name}/{FILE}"
        if path.name.startswith("."):
            continue
        try:
            text = (path / FILE).read_bytes()
        except OSError as exc:
            remedy = f"write {FILE} there, or remove the folder"
            mistakes.append(Mistake(name, "", f"cannot be read: {exc.strerror}", remedy))
            continue
        content, mistake = catalog_form.parse(name, text)
        found = [mistake] if mistake else _form(name, path.name, content)
        mistakes += found
        if not found:
            data[path.name] = content
    if not data and not mistakes:
        remedy = f"give the folder that holds <id>/{FILE}"
        raise ProvidersError([Mistake(str(folder), "", "there is no provider", remedy)])
    providers: dict[str, Provider] = {}
    for id, content in data.items():
        name = f"{id}/{FILE}"
        whole, found = _extended(name, content, data)
        if whole is not None:
            provider = _provider(whole)
            found += providers_check.check(name, provider, content)
            providers[id] = provider
        mistakes += found
    if mistakes:
        raise ProvidersError(list(dict.fromkeys(mistakes)))
    return providers


@functools.cache
def schema() -> t.Any:
    """schemas/provider-1.json without references."""
    whole = json.loads(SCHEMA.read_text(encoding="utf-8"))
    parts = whole.pop("$defs")
    return catalog_form.inlined(whole, parts)


@functools.cache
def _validator() -> t.Any:
    from jsonschema import Draft202012Validator  # here, since Ansible's tools load plugins without it

    return Draft202012Validator(schema())


def _form(name: str, folder: str, data: t.Any) -> list[Mistake]:
    if not isinstance(data, dict):
        return [Mistake(name, "", "the file holds no provider", "begin with `schema: 1`; docs/providers.md shows how")]
    found: list[Mistake] = []
    if not catalog_form.conforms(schema(), data):  # then the library says, slowly, where and why
        errors = sorted(_validator().iter_errors(data), key=lambda error: [str(part) for part in error.absolute_path])
        found = [catalog_form.mistake_of(name, data, list(error.absolute_path), error) for error in errors]
    if not found and data["id"] != folder:
        found.append(
            Mistake(name, "id", f"{data['id']!r} is not the folder's name", f"set `id: {folder}`, or rename the folder")
        )
    return found


# ---- extends


def _extended(name: str, data: Data, known: Mapping[str, Data]) -> tuple[dict[str, t.Any] | None, list[Mistake]]:
    """The provider with what it takes from the one it extends; None where that one cannot be used."""
    base_id = data.get("extends")
    if base_id is None:
        return dict(data), []
    if base_id not in known:
        remedy = f"use one of: {', '.join(sorted(known.keys() - {data['id']}))}"
        return None, [Mistake(name, "extends", f"{base_id!r} is no provider that can be used", remedy)]
    base = known[base_id]
    if "extends" in base:
        return None, [Mistake(name, "extends", f"{base_id!r} extends another one", "extend that one itself")]
    whole = {**data, "platforms": dict(data["platforms"])}  # what is read is shared and never changed in place
    whole["sources"] = {**base["sources"], **data["sources"]}
    known_settings = base.get("settings", {})
    offers = data.get("offers", ())
    whole["settings"] = {
        **{key: known_settings[key] for key in offers if key in known_settings},
        **data.get("settings", {}),
    }
    whole["hidden"] = {key: value for key, value in known_settings.items() if key not in whole["settings"]}
    whole.setdefault("secrets", base.get("secrets", ()))
    mistakes: list[Mistake] = []
    for key in offers:
        if key not in known_settings:
            remedy = f"it has: {', '.join(sorted(known_settings))}"
            mistakes.append(Mistake(name, "offers", f"{base_id!r} has no setting {key!r}", remedy))
    for platform, own in whole["platforms"].items():
        if platform not in base["platforms"]:
            remedy = f"leave it out, or add it to {base_id}"
            mistakes.append(Mistake(name, f"platforms.{platform}", f"{base_id!r} has no such platform", remedy))
            continue
        whole["platforms"][platform] = _platform_on(name, platform, base["platforms"][platform], own, mistakes)
    if mistakes:
        return None, mistakes
    for platform, own in data["platforms"].items():
        for setting in sorted(own.get("fill", {}).keys() - whole["hidden"].keys()):
            remedy = f"fill in one of: {', '.join(sorted(whole['hidden']))}"
            problem = f"{setting!r} is no setting that {base_id!r} has and this one does not offer"
            mistakes.append(Mistake(name, f"platforms.{platform}.fill", problem, remedy))
    return (None if mistakes else whole), mistakes


def _platform_on(name: str, platform: str, base: Data, own: Data, mistakes: list[Mistake]) -> dict[str, t.Any]:
    made = dict(base)
    drop = own.get("drop", ())
    for key, value in own.items():
        if key in ("stage", "cover", "drop", "health"):
            continue
        if key in _BY_FAMILY or key == "fill":
            made[key] = {**made.get(key, {}), **value}
        elif key in (*_FACTS, "refuse", "blind"):
            made[key] = [*made.get(key, ()), *value]
        else:
            made[key] = value
    ids = {step["id"] for part in ("stage", "cover") for step in base.get(part, ())}
    for id in sorted(set(drop) - ids):
        mistakes.append(
            Mistake(name, f"platforms.{platform}.drop", f"there is no step {id!r}", f"use one of: {', '.join(ids)}")
        )
    for part in ("stage", "cover"):
        kept = [step for step in base.get(part, ()) if step["id"] not in drop]
        made[part] = _inserted(name, f"platforms.{platform}.{part}", kept, own.get(part, ()), mistakes)
    health = own.get("health", {})
    made["health"] = {
        "answers": {**base.get("health", {}).get("answers", {}), **health.get("answers", {})},
        "rules": [*base.get("health", {}).get("rules", ()), *health.get("rules", ())],
    }
    return made


def _inserted(
    name: str, place: str, base: list[Data], own: t.Iterable[Data], mistakes: list[Mistake]
) -> list[dict[str, t.Any]]:
    """Steps of the base with the own ones in their places: for that of the same id, beside the named one, or last."""
    made: list[dict[str, t.Any]] = [dict(step) for step in base]
    for item in own:
        step = dict(item)
        beside = step.get("after") or step.get("before")
        at = [number for number, other in enumerate(made) if other["id"] == (beside or step["id"])]
        if beside and not at:
            remedy = f"use one of: {', '.join(other['id'] for other in made) or 'none there yet'}"
            mistakes.append(Mistake(name, f"{place}[{step['id']}]", f"there is no step {beside!r}", remedy))
        elif beside:
            made.insert(at[0] + ("after" in step), step)
        elif at:
            made[at[0]] = step
        else:
            made.append(step)
    return made


# ---- from data


def _provider(data: Data) -> Provider:
    return Provider(
        id=data["id"],
        name=data["name"],
        kind=data["kind"],
        description=" ".join(data["description"].split()),
        counts_as_protection=data["counts_as_protection"],
        detection=data["detection"],
        detection_reason=data["detection_reason"],
        platforms={key: _platform(value) for key, value in data["platforms"].items()},
        settings={name: _setting(item) for name, item in data.get("settings", {}).items()},
        hidden={name: _setting(item) for name, item in data.get("hidden", {}).items()},
        secrets=tuple(
            ProviderSecret(
                name=item["name"],
                used_for=item["used_for"],
                format=item.get("format", "plain"),
                required=item.get("required", True),
            )
            for item in data.get("secrets", ())
        ),
        sources=dict(data["sources"]),
        detections=tuple(
            DetectionRule(item["method"], item["reason"], _when(item)) for item in data.get("detections", ())
        ),
        facts=tuple(map(_founded, data.get("facts", ()))),
        extends=data.get("extends", ""),
    )


def _setting(item: Data) -> Setting:
    return Setting(
        type=item["type"],
        default=tuple(item["default"]) if isinstance(item["default"], list) else item["default"],
        description=" ".join(item["description"].split()),
        required=item.get("required", False),
        choices=tuple(item.get("choices", ())),
        pattern=item.get("pattern", ""),
    )


def _when(item: Data) -> When:
    return {key: tuple(value) for key, value in item.get("when", {}).items()}


def _founded(item: Data) -> Founded:
    values = tuple(item["is"].values()) if isinstance(item["is"], dict) else tuple(item["is"])
    return Founded(values, item["confidence"], tuple(item["source"]), _when(item))


def _platform(data: Data) -> ProviderPlatform:
    marks: dict[str, tuple[Founded, ...]] = {key: tuple(map(_founded, data[key])) for key in _FACTS if key in data}
    for key in _BY_FAMILY:
        marks |= {f"{key}.{family}": (_founded(item),) for family, item in data.get(key, {}).items()}
    limits = data.get("limits", {})
    if limits:
        sizes = (str(limits["memory_mib"]), str(limits["room_mib"]))
        marks["limits"] = (Founded(sizes, limits["confidence"], tuple(limits["source"])),)
    flat = {key: tuple(dict.fromkeys(v for fact in marks.get(key, ()) for v in fact.values)) for key in _FIELDS}
    return ProviderPlatform(
        families=tuple(data.get("families", ())),
        methods=tuple(data.get("methods", ())),
        memory_mib=limits.get("memory_mib", 0),
        room_mib=limits.get("room_mib", 0),
        coexist=data.get("coexist", "forbid"),
        packages={family: tuple(item["is"]) for family, item in data.get("packages", {}).items()},
        services={family: tuple(item["is"]) for family, item in data.get("services", {}).items()},
        names={family: dict(item["is"]) for family, item in data.get("names", {}).items()},
        stage=tuple(map(_step, data.get("stage", ()))),
        cover=tuple(map(_step, data.get("cover", ()))),
        health=data.get("health", {}),
        detect=data.get("detect", {}),
        needs=tuple(data.get("needs", ())),
        reboot=data.get("reboot", False),
        fill=dict(data.get("fill", {})),
        refuse=tuple(Refusal(_when(item), item["because"], item["remedy"]) for item in data.get("refuse", ())),
        blind=tuple(data.get("blind", ())),
        marks=marks,
        **flat,
    )


def _step(data: Data) -> StepTemplate:
    condition = data.get("condition")
    return StepTemplate(
        id=data["id"],
        kind=data["kind"],
        args={key: v if isinstance(v, str) else tuple(v) for key, v in data.get("args", {}).items()},
        reason=" ".join(data["reason"].split()),
        when=_when(data),
        secrets=dict(data.get("secrets", {})),
        each=data.get("each", ""),
        real_time=data.get("real_time", False),
        confidence=data["confidence"],
        sources=tuple(data["source"]),
        condition=Condition(condition) if condition else None,
        on_fail=data.get("on_fail"),
        timeout=data.get("timeout"),
        typical=data.get("typical"),
    )
