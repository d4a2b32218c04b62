# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of a replacement on one host: its templates, filled from the case. Pure: same case, same steps."""

from __future__ import annotations

import dataclasses
import functools
import re
import typing as t
from collections.abc import Iterable, Iterator, Mapping

from . import filling, templates
from .case import Case
from .catalog import Catalog
from .filling import Role
from .plan import Step
from .policy import Policy
from .provider import Detection, Founded, Provider, ProviderPlatform, StepTemplate, Value
from .steps import ALWAYS, KINDS, Condition, OnFail

_FAILED: t.Final = Condition("cover_failed")
_UNCONFIRMED: t.Final = "the fact behind it is unconfirmed"
# What a step is about, for a reader: the first of these arguments it has.
_TARGETS: t.Final = (
    *("path", "unit", "service", "feature", "packages", "folder", "name", "program", "property", "key", "units"),
    *("value", "source", "manager"),
)
# Arguments that may name something of a product that is to be removed -> the catalog's literals they are held against.
_OWNED: t.Final[Mapping[str, str]] = {
    "unit": "units",
    "units": "units",
    "packages": "packages",
    "service": "services",
}
_SHA256: t.Final = re.compile(r"[0-9a-f]{64}\Z")
_HASHED: t.Final = ("fetch", "check_artifact")


@dataclasses.dataclass(frozen=True)
class Cover:
    """A provider's part of a plan.

    Attributes:
        stage: before the point of no return.
        cover: after the removal; for a fallback only when the replacement did not become active.
        faults: why the provider cannot be used on this host, in words; then there are no steps.
    """

    stage: tuple[Step, ...]
    cover: tuple[Step, ...]
    faults: tuple[str, ...]


def expand(case: Case, role: Role) -> Cover:
    """The steps of the replacement or the fallback of a case.

    Args:
        case: the host before the planner.
        role: which of its two providers.

    Returns:
        Steps in order, or faults. Nothing at all when the policy names no provider.
    """
    provider = case.provider(role)
    if provider is None:
        return Cover((), (), ())
    if case.platform not in provider.platforms:
        known = " and ".join(sorted(provider.platforms))
        return Cover((), (), (f"{provider.id} is not for {case.platform or 'an unknown system'}, only for {known}",))
    try:
        return _expand(case, role, provider, provider.platforms[case.platform])
    except templates.TemplateError as exc:
        return Cover((), (), (f"{provider.id}: {exc}",))


def endpoints(policy: Policy, provider: Provider, platform: str, role: Role) -> tuple[str, ...]:
    """`host:port` of all that a host must reach for the provider, before anything is known of the host.

    Raises:
        templates.TemplateError: a filled-in setting cannot be filled.
    """
    if platform not in provider.platforms:
        return ()
    filled = filling.values(provider, platform, policy, role)
    own = provider.platforms[platform]
    facts = own.marks.get("endpoints") or (Founded(own.endpoints, "", ()),)
    found = [e for fact in facts if templates.fits(fact.when, filled) for e in templates.items(fact.values, filled)]
    return tuple(sorted(dict.fromkeys(found)))


def detection(provider: Provider, filled: Mapping[str, Value]) -> tuple[Detection, str]:
    """How a live detection is proved under these settings, and the reason where it cannot be."""
    for rule in provider.detections:
        if templates.fits(rule.when, {**dict.fromkeys(rule.when, ""), **filled}):
            return rule.method, rule.reason
    return provider.detection, provider.detection_reason


def step_id(role: Role, provider: Provider, part: str, template: StepTemplate) -> str:
    """The id of a template's step, without the number that a list adds to it."""
    prefix = "stage" if part == "stage" else "cover" if role == "replacement" else "fallback"
    return f"{prefix}.{provider.id}.{template.id}"


def _expand(case: Case, role: Role, provider: Provider, own: ProviderPlatform) -> Cover:
    filled = case.values(role, provider)
    faults = list(_faults(case, provider, own, filled))
    stage: list[Step] = []
    cover: list[Step] = []
    if not faults:
        for part, made in (("stage", stage), ("cover", cover)):
            for template in own.stage if part == "stage" else own.cover:
                if templates.fits(template.when, filled):
                    made += _steps(case, role, provider, part, template, filled)
        faults += _broken(case.catalog, case.platform, provider, [*stage, *cover])
    if faults:
        return Cover((), (), tuple(dict.fromkeys(faults)))
    return Cover(tuple(stage), tuple(cover), ())


def _faults(case: Case, provider: Provider, own: ProviderPlatform, filled: Mapping[str, Value]) -> Iterator[str]:
    """Why the provider cannot be used on this host, as far as policy and host say."""
    id = provider.id
    if own.families and not case.family:
        reason = case.probe("manager").reason
        yield f"{id}: the host's package manager is not known" + (f" ({reason})" if reason else "")
    elif own.families and case.family not in own.families:
        yield f"{id} cannot be installed on {case.family}, only on {' and '.join(own.families)}"
    for key, by in (("packages", own.packages), ("services", own.services)):
        if by and case.family and filling.own(by, case.family, case.manager) is None:
            yield f"{id} has no {key} for {case.manager}"
    method = filled["method"]
    if method and method not in own.methods:
        why = "it has no repository, a source must be given" if method == "repository" else f"{method} is none of them"
        yield f"{id} comes by {', '.join(own.methods)}: {why} (evict_{filled['role']}_source)"
        return  # what else is refused depends on the way
    if method in filling.FETCHED:
        if not _SHA256.match(str(filled["sha256"])):
            yield f"{id}: the file needs its SHA-256 (evict_{filled['role']}_source: sha256)"
        if not filled["file"]:
            yield f"{id}: the file needs a name (evict_{filled['role']}_source: name)"
        if case.family and filled["suffix"] in ("deb", "rpm") and filled["suffix"] != case.family:
            yield f"{id}: {filled['file']} is no file for {case.family}"
        yield from _taken(case, id, filled)
    for name, setting in provider.settings.items():
        if setting.required and not filled[name]:
            yield f"{id} needs the setting {name}: {setting.description}"
        elif setting.pattern and filled[name]:
            texts = filled[name] if isinstance(filled[name], tuple) else (str(filled[name]),)
            for text in texts:
                if not re.fullmatch(setting.pattern, text):
                    yield f"{id}: the setting {name} does not fit: {text!r}; {setting.description}"
    for refusal in own.refuse:
        if templates.fits(refusal.when, filled):
            yield f"{id}: {refusal.because}; {refusal.remedy}"


def _taken(case: Case, id: str, filled: Mapping[str, Value]) -> Iterator[str]:
    """Both files lie in one staging folder."""
    both = (case.policy.replacement_source, case.policy.fallback_source)
    if None in both or case.replacement is None or case.fallback is None:
        return
    same = {filling.file_of(source).casefold() for source in both}
    if len(same) == 1 and len({source.sha256 for source in both if source}) == 2:
        yield f"{id}: replacement and fallback are different files of the same name, {filled['file']}; give one a name"


def _steps(
    case: Case, role: Role, provider: Provider, part: str, template: StepTemplate, filled: Mapping[str, Value]
) -> Iterator[Step]:
    """A template as steps: one, or one for each item of its list."""
    id = step_id(role, provider, part, template)
    if not template.each:
        yield _step(case, role, provider, part, template, filled, id)
        return
    for number, item in enumerate(filled[template.each], 1):
        yield _step(case, role, provider, part, template, {**filled, "item": item}, f"{id}.{number}")


def _step(
    case: Case,
    role: Role,
    provider: Provider,
    part: str,
    template: StepTemplate,
    filled: Mapping[str, Value],
    id: str,
) -> Step:
    kind = KINDS[template.kind]
    args: dict[str, Value] = {}
    for name, value in template.args.items():
        made: Value | None
        made = templates.text(value, filled) if isinstance(value, str) else templates.items(value, filled)
        if made or (made == "" and name in kind.needs):
            args[name] = made
        elif name in kind.needs and not isinstance(value, str):
            args[name] = ()  # a program without arguments
        elif name in kind.needs:
            raise templates.TemplateError(f"{template.id}: {name} is empty ({value})")
    staged = part == "stage"
    condition = (template.condition or ALWAYS) if staged or role == "replacement" else _FAILED
    unconfirmed = f" ({_UNCONFIRMED})" if template.confidence == "memory" else ""
    return Step(
        id=id,
        phase="stage" if staged else "commit",
        section="" if staged else "cover" if role == "replacement" else "fallback",
        kind=template.kind,
        target=_target(args) or (case.host if template.kind == "reboot" else provider.name),
        args=args,
        reason=template.reason + unconfirmed,
        # A restart before the removal takes nothing away: the point of no return comes later.
        change="reversible" if staged and template.kind == "reboot" else kind.change,
        condition=condition,
        on_fail=_on_fail(case, part, role, template),
        timeout=template.timeout or kind.timeout,
        typical=kind.typical if template.typical is None else template.typical,
        secrets=dict(_secrets(case, provider, template, filled, args)),
        owner=provider.id,
    )


def _on_fail(case: Case, part: str, role: Role, template: StepTemplate) -> OnFail:
    if part == "stage":
        return template.on_fail or "stop"
    if role == "fallback" or case.fallback is None or case.fallback.kind == "none":
        return "continue"  # there is nothing left to fall back to
    return template.on_fail or "fallback"


def _secrets(
    case: Case, provider: Provider, template: StepTemplate, filled: Mapping[str, Value], args: Mapping[str, Value]
) -> Iterator[tuple[str, str]]:
    """The secrets of a step by name; an optional one that the policy does not name, or no argument asks for, is left
    out."""
    kind = KINDS[template.kind]
    marks = {mark for value in args.values() if isinstance(value, tuple) for mark in _marks(value)}
    required = {secret.name for secret in provider.secrets if secret.required}
    named = case.policy.secrets.get(provider.id, {})
    for key, secret in template.secrets.items():
        place = templates.text(key, filled)
        placed = place in (*kind.needs, *kind.may) or place in marks or "properties" in kind.may
        if place and placed and (secret in required or secret in named):
            yield place, f"{provider.id}.{secret}"


def _marks(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        yield from templates.MARK.findall(text)


def _target(args: Mapping[str, Value]) -> str:
    for name in _TARGETS:
        if args.get(name):
            value = args[name]
            return value if isinstance(value, str) else ", ".join(value)
    return ""


def _broken(catalog: Catalog, platform: str, provider: Provider, steps: Iterable[Step]) -> Iterator[str]:
    """What must not be in any step, whatever the settings say."""
    names = owned(catalog, platform)
    for step in steps:
        for name, value in step.args.items():
            texts = (value,) if isinstance(value, str) else value
            for text in texts:
                for mark in _marks((text,)) if name in ("arguments", "properties") else ():
                    if mark not in step.secrets and mark in {s.name for s in provider.secrets}:
                        yield f"{provider.id}: {name} ask for the secret {mark}, which evict_secrets does not name"
                if name in ("program", "path") and catalog.owner(platform, text) is not None:
                    yield f"{provider.id}: {text} belongs to a product that is to be removed"
                bare = text.partition("=")[0].removesuffix(".service").removesuffix(".socket").lower()
                if name in _OWNED and bare in names.get(_OWNED[name], ()):
                    yield f"{provider.id}: {text} belongs to a product that is to be removed"
        if step.kind in _HASHED and not _SHA256.match(str(step.args.get("sha256", ""))):
            yield f"{provider.id}: {step.id} has no hash to check"


def owned(catalog: Catalog, platform: str) -> Mapping[str, frozenset[str]]:
    """Names of the products' units, packages and services, from the catalog: found once, at best before the fork."""
    return _OWN.get((catalog.digest, platform)) or _OWN.setdefault(
        (catalog.digest, platform), _names(catalog, platform)
    )


_OWN: t.Final[dict[tuple[str, str], Mapping[str, frozenset[str]]]] = {}


def _names(catalog: Catalog, platform: str) -> Mapping[str, frozenset[str]]:
    found = catalog.literals(platform) if platform in ("linux", "windows") else {}
    bare = functools.partial(re.sub, r"\.(service|socket)\Z", "")
    return {key: frozenset(bare(item).lower() for item in found.get(key, ())) for key in set(_OWNED.values())}
