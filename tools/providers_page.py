#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write docs/providers.md, what each replacement does and rests on; `--check` writes nothing.

What stands before the mark in the page is written by hand and kept. ``--check`` exits 1 when the page differs.
"""

from __future__ import annotations

import argparse
import sys
import typing as t
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ansible_collections.evict.kaspersky.plugins.plugin_utils import filling, knowledge
from ansible_collections.evict.kaspersky.plugins.plugin_utils.provider import (
    Founded,
    Provider,
    ProviderPlatform,
    StepTemplate,
    When,
)
from ansible_collections.evict.kaspersky.plugins.plugin_utils.providers_check import allowed
from ansible_collections.evict.kaspersky.plugins.plugin_utils.steps import KINDS
from tools.catalog_page import code, plain

DOCS: t.Final = Path(__file__).resolve().parent.parent / "docs"
PAGE: t.Final = DOCS / "providers.md"
NAMES: t.Final[Mapping[str, str]] = {"linux": "Linux", "windows": "Windows"}
COEXIST: t.Final[Mapping[str, str]] = {
    "install_only": "it is installed before, and its real-time protection waits for the removal",
    "passive": "it is installed before and passive until the removal",
    "forbid": "it is only fetched before, and installed after the removal",
}
# What stands before it is written by hand and kept; what follows is made.
MARK: t.Final = "<!-- From here on made by `make docs` from catalog/providers; change it there. -->"


def page(providers: Mapping[str, Provider], head: str) -> str:
    """The whole page; `head` is what is written by hand."""
    lines = [head.rstrip("\n"), "", MARK, "", "## What may stand in `${...}` and in `when`", "", *_properties(), ""]
    lines += ["## Kinds of steps a provider may use", "", *_kinds(), "", "## All providers", ""]
    lines += ["| Provider | Name | Platforms | Beside the old product | Detection |", "| --- | --- | --- | --- | --- |"]
    for provider in providers.values():
        beside = sorted({own.coexist.replace("_", " ") for own in provider.platforms.values()})
        platforms = ", ".join(NAMES[name] for name in provider.platforms)
        cells = [f"[{provider.id}](#{provider.id})", plain(provider.name), platforms, ", ".join(beside)]
        lines.append(f"| {' | '.join(cells)} | {plain(provider.detection)} |")
    lines.append("")
    for provider in providers.values():
        lines += [*section(provider), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _properties() -> Iterator[str]:
    yield "| Name | Is |"
    yield "| --- | --- |"
    for name, words in filling.PROPERTIES.items():
        yield f"| {code(name)} | {_words(words)} |"
    for name in filling.LISTS:
        yield f"| {code(name)} | a list |"
    yield f"| {code('secret.NAME')} | in `when` only: is the secret named in `evict_secrets`, `set` or `unset` |"
    yield f"| {code('item')} | with `each`: the item of the list |"


def _words(words: tuple[str, ...] | None) -> str:
    if words is None:
        return "a text; in `when`: `set` or `unset`"
    return ", ".join(code(word) if word else "empty" for word in words)


def _kinds() -> Iterator[str]:
    yield "| Kind | Platforms | Does | Arguments |"
    yield "| --- | --- | --- | --- |"
    for name, kind in KINDS.items():
        if not allowed(name):
            continue
        arguments = [code(argument) for argument in kind.needs] + [f"{code(argument)}?" for argument in kind.may]
        yield f"| {code(name)} | {', '.join(kind.platforms)} | {plain(kind.what)} | {', '.join(arguments)} |"


def section(provider: Provider) -> Iterator[str]:
    """The part of the page about one provider."""
    yield f"### {provider.id}"
    yield ""
    yield f"**{plain(provider.name)}**. {provider.description}"
    yield ""
    if provider.extends:
        yield f"* A filled-in form of [{provider.extends}](#{provider.extends})."
    if not provider.counts_as_protection:
        yield "* It does not count as protection."
    reason = f" ({plain(provider.detection_reason)})" if provider.detection_reason else ""
    yield f"* Detection: {plain(provider.detection)}{reason}"
    for rule in provider.detections:
        yield f"* Detection {_when(rule.when)}: {plain(rule.method)}" + (
            f" ({plain(rule.reason)})" if rule.reason else ""
        )
    for secret in provider.secrets:
        must = "" if secret.required else ", optional"
        yield f"* Secret {code(secret.name)}{must}: {plain(secret.used_for)}"
    if provider.settings:
        yield ""
        yield "| Setting | Type | Default | Is |"
        yield "| --- | --- | --- | --- |"
        for name, setting in provider.settings.items():
            kind = ", ".join(code(choice) for choice in setting.choices) or setting.type
            default = "needed" if setting.required else _default(setting.default)
            yield f"| {code(name)} | {kind} | {default} | {plain(setting.description)} |"
    if provider.facts:
        yield ""
        yield "Worth knowing:"
        yield ""
        for fact in provider.facts:
            yield f"* {plain(' '.join(fact.values))} {_mark(fact)}"
    for platform, own in provider.platforms.items():
        if provider.kind != "none":
            yield ""
            yield from _platform(NAMES[platform], own)
    if provider.sources:
        yield ""
        yield "Sources:"
        yield ""
        yield from (f"* {key}: {plain(text)}" for key, text in sorted(provider.sources.items()))


def _default(value: t.Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ", ".join(code(str(item)) for item in value) or "none"
    return code(str(value)) if value != "" else "none"


def _mark(fact: Founded | StepTemplate) -> str:
    return f"({fact.confidence}: {', '.join(fact.sources)})"


def _when(when: When) -> str:
    parts = []
    for name, values in when.items():
        shown = " or ".join(value or "empty" for value in values)
        parts.append(f"{code(name)} is {shown}")
    return f"when {' and '.join(parts)}" if parts else ""


def _detect(own: ProviderPlatform) -> Iterator[str]:
    detect = own.detect
    mark = f"({detect['confidence']}: {', '.join(detect['source'])})"
    if watched := detect.get("watched"):
        yield f"* Live test on access: below {', '.join(map(code, watched))} {mark}"
    if ask := detect.get("ask"):
        words = " ".join((ask["program"], *ask["arguments"]))
        signs = [
            f"{word} when {' and '.join(_sign(key, text) for key, text in detect[name].items())}"
            for name, word in (("found", "detected"), ("clean", "clean"))
            if name in detect
        ]
        yield f"* Live test on demand: {code(words)}; {', '.join(signs)} {mark}"


def _sign(key: str, text: str) -> str:
    return f"it ends with {code(text)}" if key == "code" else f"it says {code(text)}"


def _platform(name: str, own: ProviderPlatform) -> Iterator[str]:
    yield f"#### {name}"
    yield ""
    if own.methods:
        yield f"* Comes by: {', '.join(method.replace('_', ' ') for method in own.methods)}"
    yield f"* Beside the old product: {COEXIST[own.coexist]}"
    if own.needs:
        yield f"* Needs: {', '.join(own.needs)}"
    if own.memory_mib or own.room_mib:
        mark = _mark(own.marks["limits"][0])
        yield f"* At least {own.memory_mib} MiB of memory and {own.room_mib} MiB of room {mark}"
    for key, facts in own.marks.items():
        if key == "limits":
            continue
        label = key.replace("services_if", "services").replace("_", " ").replace(".", " for ")
        for fact in facts:
            names = own.names[key.partition(".")[2]] if key.startswith("names.") else {}
            shown = ", ".join(f"{code(name)} {code(value)}" for name, value in names.items())
            shown = shown or ", ".join(code(value) for value in fact.values)
            condition = f", {_when(fact.when)}" if fact.when else ""
            yield f"* {label[0].upper()}{label[1:]}: {shown}{condition} {_mark(fact)}"
    for refusal in own.refuse:
        yield f"* Refused {_when(refusal.when)}: {plain(refusal.because)}; {plain(refusal.remedy)}"
    for text in own.blind:
        yield f"* Nobody can tell on the host: {plain(text)}"
    if own.detect:
        yield from _detect(own)
    for title, steps in (("Before the point of no return", own.stage), ("After the removal", own.cover)):
        yield ""
        yield f"{title}:"
        yield ""
        yield from _steps(steps)
    yield from _health(own)


def _steps(steps: Iterable[StepTemplate]) -> Iterator[str]:
    number = 0
    for number, step in enumerate(steps, 1):
        words = [f"**{step.id}**: {plain(KINDS[step.kind].what)}{_shown(step)}"]
        if step.each:
            words.append(f"for each of {code(step.each)}")
        if step.when:
            words.append(_when(step.when))
        if step.condition is not None and step.condition.words():
            words.append(step.condition.words())
        if step.on_fail == "continue":
            words.append("a failure does not matter")
        yield f"{number}. {', '.join(words)}. {_sentence(step.reason)} {_mark(step)}"
    if not number:
        yield "Nothing."


def _shown(step: StepTemplate) -> str:
    """The arguments worth reading: no text of a file, no plumbing."""
    parts = []
    for name, value in step.args.items():
        if name in ("text", "manager", "proxy", "mode", "sha256", "signer", "method", "location"):
            continue
        text = value if isinstance(value, str) else " ".join(value)
        if text:
            parts.append(f"{name} {code(text)}")
    parts += [f"{key} from the secret {code(secret)}" for key, secret in step.secrets.items()]
    return f" ({', '.join(parts)})" if parts else ""


def _sentence(reason: str) -> str:
    return plain(reason[0].upper() + reason[1:]) + "."


def _health(own: ProviderPlatform) -> Iterator[str]:
    rules = own.health.get("rules", ())
    if not rules:
        return
    yield ""
    yield "Not healthy when a service does not run or does not start by itself, when an answer is missing, or when:"
    yield ""
    for rule in rules:
        when = _when({key: tuple(value) for key, value in rule.get("when", {}).items()})
        value = code(rule["value"]) if "value" in rule else "the answer"
        founded = f"({rule['confidence']}: {', '.join(rule['source'])})"
        what = f"{value} of {code(rule['answer'])} {_test(rule)}" + (f", {when}" if when else "")
        yield f"* {plain(rule['otherwise'])}: {what} {founded}"


def _test(rule: Mapping[str, t.Any]) -> str:
    if "equals" in rule:
        return "is not " + " or ".join(code(text) for text in rule["equals"])
    if "contains" in rule:
        return f"does not hold {code(rule['contains'])}"
    if "not_begins" in rule:
        return "begins with " + " or ".join(code(text) for text in rule["not_begins"])
    if "younger" in rule:
        return "is older than `evict_max_signature_age`"
    if "future" in rule:
        return "lies in the past"
    return "is not empty" if "empty" in rule else "is empty or undefined"


def made(path: Path = PAGE) -> str:
    """The page as it should be, with the head that it has.

    Raises:
        ValueError: the mark between head and the rest is missing.
    """
    head, mark, _rest = path.read_text(encoding="utf-8").partition(MARK)
    if not mark:
        raise ValueError(f"{path} has no line {MARK!r}: put it below what is written by hand")
    return page(knowledge.providers(), head)


def stale(path: Path = PAGE) -> bool:
    """Is the page different from the providers?"""
    return path.read_text(encoding="utf-8") != made(path)


def main() -> int:
    """The command; its exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when the page is stale")
    if parser.parse_args().check:
        if stale():
            print("docs/providers.md differs from catalog/providers: run `make docs`", file=sys.stderr)
            return 1
        return 0
    PAGE.write_text(made(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
