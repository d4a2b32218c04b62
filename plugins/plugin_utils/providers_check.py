# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong in a provider beyond its form: steps that cannot work, or that must not be."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Iterator, Mapping

from . import filling, templates
from .catalog_form import Mistake
from .provider import Provider, ProviderPlatform, StepTemplate, When
from .steps import KINDS, Kind

_Found = tuple[str, str, str]  # place, problem, remedy

# Kinds that act on the old product or clean up after it: a plan's own business, no provider's.
_NOT_OURS: t.Final = frozenset({"remove_package", "msi_uninstall", "confirm_absent", "remove_staged"})
_REBOOT: t.Final = "reboot"
# What a step acts on -> the property that must list it.
_LISTED: t.Final[Mapping[str, str]] = {
    "program": "programs",
    "path": "files",
    "key": "files",
    "unit": "units",
    "units": "units",
    "service": "units",
}
_TESTS: t.Final = ("equals", "contains", "not_begins", "empty", "present", "younger", "future")
_VALUE_TYPES: t.Final[Mapping[str, type]] = {"number": int, "switch": bool, "list": tuple}
_SUFFIXED: t.Final = "s"
_FILE: t.Final = "file"  # `@file@`: the file of a live test


def plural(argument: str) -> bool:
    """Is the argument a list of texts? By its name (steps.Kind)."""
    return argument.endswith(_SUFFIXED)


def allowed(kind: str) -> bool:
    """May a provider have steps of this kind?"""
    known = KINDS.get(kind)
    if known is None or kind in _NOT_OURS or kind.startswith("purge_"):
        return False
    return known.change != "irreversible" or kind == _REBOOT


def check(name: str, provider: Provider, data: Mapping[str, t.Any]) -> list[Mistake]:
    """All mistakes of meaning.

    Args:
        name: the provider's file.
        provider: what was made of it, with what it extends.
        data: the file's own content, for its sources.
    """
    found: list[_Found] = [*_settings(provider), *_sources(provider, data), *_kind(provider)]
    for platform, own in provider.platforms.items():
        place = f"platforms.{platform}"
        names = filling.names(provider, platform)
        said = _platform(provider, platform, own, names)
        found += [(f"{place}.{where}", problem, remedy) for where, problem, remedy in said]
    for number, rule in enumerate(provider.detections, 1):
        anywhere = {n: v for platform in provider.platforms for n, v in filling.names(provider, platform).items()}
        found += _when(f"detections[{number}].when", rule.when, anywhere)
    return [Mistake(name, *said) for said in dict.fromkeys(found)]


def _settings(provider: Provider) -> Iterator[_Found]:
    if provider.extends == "" and any(own.fill for own in provider.platforms.values()):
        yield "platforms", "`fill` is for a provider that extends another", "remove it, or write `extends`"
    for name, setting in provider.settings.items():
        place = f"settings.{name}"
        if name in filling.PROPERTIES or name in filling.LISTS or name == "item":
            yield place, "the name stands for something else", "choose another name"
        wanted = _VALUE_TYPES.get(setting.type, str)
        if not isinstance(setting.default, wanted) or (wanted is int and isinstance(setting.default, bool)):
            yield f"{place}.default", f"it is no {setting.type}", f"write a default of the type {setting.type}"
        if (setting.type == "choice") != bool(setting.choices):
            yield f"{place}.choices", "a choice has choices, and nothing else has", "add them, or change the type"
        elif setting.choices and setting.default not in setting.choices:
            yield f"{place}.default", "it is none of the choices", f"use one of: {', '.join(setting.choices)}"
        try:
            re.compile(setting.pattern)
        except re.error as exc:
            yield f"{place}.pattern", f"it is no expression: {exc}", "mend it"


def _sources(provider: Provider, data: Mapping[str, t.Any]) -> Iterator[_Found]:
    used: set[str] = set()
    for place, keys in _cited("", data):
        used.update(keys)
        for key in keys:
            if key not in provider.sources:
                remedy = f"add it there, or use one of: {', '.join(sorted(provider.sources))}"
                yield place, f"{key!r} is no key of `sources`", remedy
    for key in sorted(set(data["sources"]) - used):
        yield f"sources.{key}", "no fact names this source", "name it where it belongs, or remove it"


def _cited(place: str, value: t.Any) -> Iterator[tuple[str, list[str]]]:
    """Every `source` list of the file, with the way to it."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "source" and isinstance(item, list):
                yield f"{place}.source".lstrip("."), item
            else:
                yield from _cited(f"{place}.{key}".lstrip("."), item)
    elif isinstance(value, list):
        for number, item in enumerate(value, 1):
            own = item.get("id") or item.get("name") if isinstance(item, dict) else None
            yield from _cited(f"{place}[{own or number}]", item)


def _kind(provider: Provider) -> Iterator[_Found]:
    if provider.kind == "none":
        if provider.counts_as_protection or any(p.stage or p.cover or p.health for p in provider.platforms.values()):
            yield "kind", "`none` protects nothing and does nothing", "remove its steps, or change the kind"
    elif not provider.detection_reason and provider.detection in ("none", "console_only"):
        yield "detection_reason", "nobody can prove a detection, and it does not say why", "write the reason"


def _platform(
    provider: Provider, platform: str, own: ProviderPlatform, names: Mapping[str, filling.Name]
) -> Iterator[_Found]:
    for number, refusal in enumerate(own.refuse, 1):
        yield from _when(f"refuse[{number}].when", refusal.when, names)
    for key, facts in own.marks.items():
        for fact in facts:
            yield from _when(f"{key}.when", fact.when, names)
            for value in fact.values:
                yield from _holes(key, value, names)
    yield from _families(own)
    for part, steps in (("stage", own.stage), ("cover", own.cover)):
        seen: set[str] = set()
        for step in steps:
            place = f"{part}[{step.id}]"
            if step.id in seen:
                yield place, "the id stands twice", "give each its own id"
            seen.add(step.id)
            for where, problem, remedy in _step(provider, platform, own, names, part, step):
                yield f"{place}{where}", problem, remedy
    if provider.kind != "none":
        yield from _whole(provider, own)
        yield from _health(own, names)
        if platform == "linux":  # the only one with a live test yet
            yield from _detect(provider, own, names)


def _families(own: ProviderPlatform) -> Iterator[_Found]:
    every = {name for by in own.names.values() for name in by}
    for family in own.families or ("any",):
        for name in sorted(every - own.names.get(family, {}).keys() - own.names.get("any", {}).keys()):
            yield f"names.{family}", f"{name!r} is missing, which another family has", "add it"
        for key, by in (("packages", own.packages), ("services", own.services)):
            if by and family not in by and "any" not in by:
                yield key, f"{family!r} has none", f"add it, or take {family!r} out of `families`"


def _step(
    provider: Provider,
    platform: str,
    own: ProviderPlatform,
    names: Mapping[str, filling.Name],
    part: str,
    step: StepTemplate,
) -> Iterator[_Found]:
    if not allowed(step.kind):
        known = ", ".join(sorted(kind for kind in KINDS if allowed(kind)))
        yield ".kind", f"{step.kind!r} is no kind a provider may use", f"use one of: {known}"
        return
    kind = KINDS[step.kind]
    if platform not in kind.platforms:
        yield ".kind", f"{step.kind!r} is not for {platform}", "use another kind"
    if kind.undo and kind.undo not in KINDS:
        yield ".kind", f"what undoes it, {kind.undo!r}, is no kind", "mend steps.py"
    yield from _when(".when", step.when, names)
    here = dict(names)
    if step.each:
        if not names.get(step.each, filling.Name(False)).listed:
            yield ".each", f"{step.each!r} is no list", "name a list"
        here["item"] = filling.Name(False)
    yield from _arguments(own, kind, step, here)
    yield from _secrets(provider, kind, step, names)
    yield from _ends(part, step)


def _arguments(
    own: ProviderPlatform, kind: Kind, step: StepTemplate, names: Mapping[str, filling.Name]
) -> Iterator[_Found]:
    known = (*kind.needs, *kind.may)
    for argument in sorted(set(step.args) - set(known)):
        yield f".args.{argument}", f"{step.kind!r} has no such argument", f"use one of: {', '.join(known) or 'none'}"
    for argument in sorted(set(kind.needs) - set(step.args) - set(step.secrets)):
        yield ".args", f"{step.kind!r} needs {argument!r}", "add it"
    listed = {
        "programs": own.programs,
        "files": own.files,
        "units": (*own.units, *own.every_service),
    }
    for argument, value in step.args.items():
        place = f".args.{argument}"
        if argument in known and isinstance(value, str) == plural(argument):
            yield place, "a list is expected" if plural(argument) else "a text is expected", "write it so"
        for text in (value,) if isinstance(value, str) else value:
            yield from _holes(place, text, names, single=not plural(argument))
        if argument in _LISTED:
            where = _LISTED[argument]
            for text in (value,) if isinstance(value, str) else value:
                # What a step may touch stands in one list that a reader can check.
                shown = text.replace("${item}", f"${{{step.each}}}")
                if shown not in listed[where] and shown != "${services}":
                    yield place, f"{shown!r} is not among the provider's `{where}`", f"add it to `{where}`"
        if argument == "packages" and value != ("${packages}",):
            stray = [text for text in value if not any(text in names for names in own.packages.values())]
            for text in stray:
                yield place, f"{text!r} is not among the provider's `packages`", "add it there"


def _holes(place: str, text: str, names: Mapping[str, filling.Name], *, single: bool = False) -> Iterator[_Found]:
    for wrong in templates.malformed(text):
        yield place, f"{wrong!r} is no placeholder", "write `${name}` or `${name|filter}`, in small letters"
    for name, filter in templates.holes(text):
        if name not in names:
            yield place, f"there is no placeholder {name!r}", f"use one of: {', '.join(sorted(names))}"
        elif single and names[name].listed and "\n" not in text:
            yield place, f"{name!r} is a list and stands in a text", "use `each`, or a text of several lines"
        if filter and filter not in templates.FILTERS:
            yield place, f"there is no filter {filter!r}", f"use one of: {', '.join(sorted(templates.FILTERS))}"
    for line in text.split("\n"):
        lists = {n for n, _filter in templates.holes(line) if n in names and names[n].listed}
        if len(lists) > 1:
            yield place, f"{' and '.join(sorted(lists))} are lists and stand in one line", "write a line for each"


def _when(place: str, when: When, names: Mapping[str, filling.Name]) -> Iterator[_Found]:
    for name, values in when.items():
        if name not in names:
            yield f"{place}.{name}", "there is no such setting or property", f"use one of: {', '.join(sorted(names))}"
            continue
        for value in values:
            if value not in names[name].conditions:
                words = ", ".join(repr(word) for word in names[name].conditions)
                yield f"{place}.{name}", f"it is never {value!r}", f"use one of: {words}"


def _secrets(provider: Provider, kind: Kind, step: StepTemplate, names: Mapping[str, filling.Name]) -> Iterator[_Found]:
    declared = {secret.name for secret in provider.secrets}
    marks = {mark for text in _texts(step) for mark in templates.MARK.findall(text)}
    for key, secret in step.secrets.items():
        place = f".secrets.{key}"
        if secret not in declared:
            yield place, f"{secret!r} is none of the provider's secrets", f"declare it; there are {sorted(declared)}"
        yield from _holes(place, key, names)
        takes = key in (*kind.needs, *kind.may) or "properties" in kind.may or key in marks or "arguments" in kind.needs
        if not takes:
            yield place, f"{step.kind!r} has no place for it", "name an argument, or write `@name@` in an argument"
        if key in step.args:
            yield place, "the argument stands in `args` as well", "remove it there"
    for mark in sorted(marks - set(step.secrets)):
        yield ".secrets", f"`@{mark}@` has no secret", f"add `{mark}: NAME` to `secrets`"


def _ends(part: str, step: StepTemplate) -> Iterator[_Found]:
    if part == "cover":
        if step.on_fail in ("stop", "cover"):
            remedy = "leave it out, or write `continue`"
            yield ".on_fail", f"after the point of no return nothing may end in {step.on_fail!r}", remedy
        if step.condition is not None and step.condition.name != "always":
            yield ".condition", "a step of the cover is always tried", "remove it"
        if step.kind == _REBOOT:
            yield ".kind", "the plan restarts the host, not its cover", "put it into `stage`"
    else:
        if step.on_fail in ("cover", "fallback"):
            yield ".on_fail", "before the point of no return nothing falls back", "leave it out, or write `continue`"
        if step.kind == _REBOOT and (step.condition is None or step.condition.name != "reboot_required"):
            yield ".condition", "a restart without need", "write `condition: reboot_required`"
        if step.real_time:
            remedy = "put it into `cover`"
            yield ".real_time", "beside the old product no real-time protection is turned on", remedy


def _whole(provider: Provider, own: ProviderPlatform) -> Iterator[_Found]:
    """Mistakes of all steps together."""
    steps = (*own.stage, *own.cover)
    if not any(KINDS[step.kind].change == "none" for step in own.cover if step.kind in KINDS):
        remedy = "end it with a step that asks: unit_active, expect, service_running, expect_defender"
        yield "cover", "nothing looks whether the replacement became active", remedy
    if set(own.methods) & set(filling.FETCHED):
        for part, kind in (("stage", "fetch"), ("cover", "check_artifact")):
            both = own.stage if part == "stage" or own.coexist != "forbid" else own.cover
            if not any(step.kind == kind for step in both):
                yield part, f"files may come, and no step is a {kind!r}", "add it"
    if provider.counts_as_protection and provider.kind != "existing":
        yield from _exclusions(own, steps)


def _exclusions(own: ProviderPlatform, steps: tuple[StepTemplate, ...]) -> Iterator[_Found]:
    first = next((number for number, step in enumerate(steps) if step.real_time), None)
    if first is None:
        yield "cover", "no step turns real-time protection on", "mark the one that does with `real_time: true`"
        first = len(steps)
    for name in filling.EXCLUSIONS:
        writes = [number for number, step in enumerate(steps) if name in _names_of(step)]
        if writes and max(writes) > first:
            remedy = "write exclusions before the first step with `real_time: true`"
            yield f"cover[{steps[max(writes)].id}]", f"{name!r} comes after real-time protection", remedy
        if not writes and not any(name in refusal.when for refusal in own.refuse):
            remedy = f"use `${{{name}}}` in a step, or refuse it: `refuse: [{{when: {{{name}: [set]}}, ...}}]`"
            yield "cover", f"{name!r} of the user would be lost in silence", remedy


def _names_of(step: StepTemplate) -> set[str]:
    return {step.each, *step.when, *(name for text in _texts(step) for name, _filter in templates.holes(text))}


def _texts(step: StepTemplate) -> Iterator[str]:
    """Every text of its arguments."""
    for value in step.args.values():
        yield from (value,) if isinstance(value, str) else value


def _health(own: ProviderPlatform, names: Mapping[str, filling.Name]) -> Iterator[_Found]:
    answers, rules = own.health.get("answers", {}), own.health.get("rules", ())
    if not rules and not own.every_service:
        yield "health", "no rule says when it is healthy", "add services or rules"
    for name, answer in answers.items():
        ask = answer["ask"]
        ways = [way for way in ("program", "registry", "defender") if way in ask]
        if len(ways) != 1:
            yield f"health.answers[{name}].ask", "one way to ask is needed", "write program, registry or defender"
        if "program" in ask and ask["program"] not in own.programs:
            yield f"health.answers[{name}].ask", f"{ask['program']!r} is not among `programs`", "add it there"
        for text in (ask.get("program", ""), *ask.get("arguments", ())):
            yield from _holes(f"health.answers[{name}].ask", text, names)
        yield from _when(f"health.answers[{name}].when", _tuples(answer), names)
    for number, rule in enumerate(rules, 1):
        place = f"health.rules[{number}]"
        if rule["answer"] not in answers:
            remedy = f"use one of: {', '.join(answers) or 'none there yet'}"
            yield f"{place}.answer", f"{rule['answer']!r} is none of the answers", remedy
        if len([test for test in _TESTS if test in rule]) != 1:
            yield place, "one test is needed", f"write one of: {', '.join(_TESTS)}"
        for text in (*rule.get("equals", ()), rule.get("contains", "")):
            yield from _holes(place, text, names)
        yield from _when(f"{place}.when", _tuples(rule), names)
    used = {rule["answer"] for rule in rules}
    for name in sorted(set(answers) - used):
        yield f"health.answers[{name}]", "no rule looks at it", "add a rule, or remove it"


def _detect(provider: Provider, own: ProviderPlatform, names: Mapping[str, filling.Name]) -> Iterator[_Found]:
    ask = own.detect.get("ask", {})
    methods = {provider.detection, *(rule.method for rule in provider.detections)}
    if "eicar_on_demand" in methods and not ask:
        remedy = "add `detect: {ask: ..., found: ...}`, or another method"
        yield "detect", "a detection is proved on demand, and nothing says how a file is scanned", remedy
    if bool(ask) != ("found" in own.detect):
        yield "detect", "`ask` and `found` belong together", "add the one that is missing"
    if ask and ask["program"] not in own.programs:
        yield "detect.ask", f"{ask['program']!r} is not among `programs`", "add it there"
    if ask and not any(f"@{_FILE}@" in text or "${" in text for text in ask["arguments"]):
        yield "detect.ask", "no argument is the file that is to be scanned", f"write `@{_FILE}@` where it belongs"
    signs = [(key, text) for key in ("found", "clean") for text in own.detect.get(key, {}).values()]
    texts = [("ask", text) for text in (ask.get("program", ""), *ask.get("arguments", ()))]
    texts += [*signs, *(("watched", text) for text in own.detect.get("watched", ()))]
    for place, text in texts:
        yield from _holes(f"detect.{place}", text, names, single=place in ("found", "clean"))


def _tuples(item: Mapping[str, t.Any]) -> When:
    return {key: tuple(value) for key, value in item.get("when", {}).items()}
