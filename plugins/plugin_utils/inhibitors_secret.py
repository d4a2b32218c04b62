# SPDX-License-Identifier: GPL-3.0-or-later
"""Inhibitors of secrets: a locked product, and secrets that are missing, fail, have no known form, or would be seen."""

from __future__ import annotations

import typing as t
from collections.abc import Iterator, Mapping

from . import cover, secret_names, templates
from .assess import Product
from .case import Case
from .catalog import Entry, Secret
from .inhibitors_base import BOTH, WINDOWS, Inhibitor, Met, Told, chosen, doubt, named, removed, told, topic_probes
from .provider import StepTemplate, Value
from .signals import Signal
from .signals_windows import RegistrySignal
from .steps import SEEN

Lock = t.Literal["set", "off", "unknown"]


def _locks(case: Case) -> list[Told]:
    """What tells whether a password protects a product."""
    return list(told(case, "lock"))


def _owner(found: Told, entries: list[Entry]) -> list[Entry]:
    """The products a lock may be about: those of whose own keys it is a part; else those whose keys nobody knows, else
    all."""
    parts = found.record.get("key", "").split("\\")
    heads = [{**found.record, "key": "\\".join(parts[:size])} for size in range(1, len(parts))]
    own = [e for e in entries if any(signal.accepts(head) for signal in _keys(e, found) for head in heads)]
    able = [e for e in entries if e.family in ("endpoint", "consumer", "unknown")]
    return own or [e for e in able if not _keys(e, found)] or able


def _keys(entry: Entry, found: Told) -> list[Signal]:
    """The signals that know the product's own keys below the root in which the lock was found."""
    if entry.generic:
        return []
    root = found.record.get("root", "").lower()
    return [s for s in entry.signals if isinstance(s, RegistrySignal) and s.root.lower() == root]


def _state(case: Case, product: Product) -> Lock:
    """Is the product locked, as far as the host tells?"""
    entries = [p.entry for p in removed(case)]
    values = [
        value
        for found in _locks(case)
        if product.entry.id in {entry.id for entry in _owner(found, entries)}
        for key, value in found.record.items()
        if key.startswith("value.")
    ]
    if any(value not in ("", "empty") for value in values):
        return "set"
    readable = all(case.probe(probe).status != "unknown" for probe in topic_probes(case, "lock"))
    return "off" if "empty" in values and readable else "unknown"


def _missing(case: Case, entry: Entry) -> list[Secret]:
    given = case.policy.secrets.get(entry.id, {})
    return [secret for secret in entry.secrets if secret.name not in given]


def _needed(case: Case) -> Iterator[Met]:
    for product in removed(case):
        names = [secret.name for secret in _missing(case, product.entry)]
        if names and _state(case, product) == "set":
            yield Met(
                f"a password protects {product.entry.id}; not given: {named(names)}",
                f"name where it is: evict_secrets: {{{product.entry.id}: {{{names[0]}: ...}}}} (docs/secrets.md), or "
                "switch the protection off by policy",
            )


def _perhaps(case: Case) -> Iterator[Met]:
    for product in removed(case):
        names = [secret.name for secret in _missing(case, product.entry)]
        if names and _state(case, product) == "unknown":
            yield Met(
                f"could not tell whether a password protects {product.entry.id}; not given: {named(names)}",
                f"name where it is: evict_secrets: {{{product.entry.id}: {{{names[0]}: ...}}}}; where it is certain "
                "that no password is set, waive this",
            )


def _locked(case: Case) -> Iterator[Met]:
    for product in removed(case):
        entry = product.entry
        if entry.secrets or entry.family not in ("endpoint", "consumer", "unknown"):
            continue
        if _state(case, product) == "set":
            yield Met(f"a password or policy locks {entry.id}, and no way is known to hand it a password")
    # A product with a secret of its own is told by `lock_unknown`.
    if any(not p.entry.secrets and p.entry.family in ("endpoint", "consumer") for p in removed(case)):
        for probe in topic_probes(case, "lock"):
            yield from doubt(case, probe, "whether a password or policy locks the product")


def _failing(case: Case) -> Iterator[Met]:
    needs = secret_names.needed([p.entry for p in removed(case)], case.replacement, case.fallback, case.platform)
    for need in needs:
        if fault := case.controller.secrets.get(need.id, ""):
            yield Met(f"{need.id}: {fault}")


def _form(case: Case) -> Iterator[Met]:
    for product in removed(case):
        given = case.policy.secrets.get(product.entry.id, {})
        for secret in product.entry.secrets:
            ref = given.get(secret.name)
            if ref is None:
                continue
            if secret.format == secret_names.UNKNOWN and not ref.format:
                yield Met(f"nobody knows in which form {product.entry.id} takes {secret.name}: add `format:` to it")
            unsure = secret.format == secret_names.UNKNOWN or not secret.confidence.can_prove
            if unsure and not ref.property:
                yield Met(
                    f"the MSI property in which {product.entry.id} takes {secret.name} is not confirmed: "
                    "add `property:`"
                )


def _provider(case: Case) -> Iterator[Met]:
    for need in secret_names.needed((), case.replacement, case.fallback, case.platform):
        if need.required == "yes" and need.name not in case.policy.secrets.get(need.owner, {}):
            yield Met(
                f"{need.owner} needs {need.name} ({need.used_for}), and it is not given",
                f"name where it is: evict_secrets: {{{need.owner}: {{{need.name}: ...}}}} (docs/secrets.md)",
            )


def _seen(case: Case) -> Iterator[Met]:
    """Steps that put a secret on a command line. Read from the templates, so that it is told together with all else
    that is wrong with the provider."""
    for role, provider in chosen(case):
        own = provider.platforms.get(case.platform)
        if own is None:
            continue
        try:
            filled = case.values(role, provider)
        except templates.TemplateError:  # an inhibitor of its own (replacement_unfit)
            continue
        for part, steps in (("stage", own.stage), ("cover", own.cover)):
            for template in steps:
                names = _on_command_line(template, filled) if templates.fits(template.when, filled) else set()
                if names:
                    step = cover.step_id(role, provider, part, template)
                    yield Met(
                        f"the step {step} hands {named(f'{provider.id}.{name}' for name in names)} to "
                        f"{_runs(template, filled)} as an argument, which other accounts of the host can read for "
                        "that moment",
                        f"waive this where {step} can be done in no other way and nobody else is logged on; or choose "
                        "another provider, or a package that was prepared with what the secret says",
                    )


def _on_command_line(template: StepTemplate, filled: Mapping[str, Value]) -> set[str]:
    """The provider's secrets that the step would put on a command line."""
    places = set(SEEN)
    for name in SEEN:
        value = template.args.get(name, ())
        for text in templates.items((value,) if isinstance(value, str) else value, {**filled, "item": "item"}):
            places.update(templates.MARK.findall(text))
    return {secret for place, secret in template.secrets.items() if place in places}


def _runs(template: StepTemplate, filled: Mapping[str, Value]) -> str:
    """What the step runs, in a word."""
    program = str(template.args.get("program", template.args.get("name", "")))
    made = templates.text(program, {**filled, "item": "item"}) or "a program"
    return made.replace("\\", "/").rpartition("/")[2]


INHIBITORS: t.Final = (
    Inhibitor(
        id="secret_missing",
        title="A password protects the product and was not given",
        platforms=WINDOWS,
        when="removes",
        looks_at="registry values of the topic `lock` in the catalog; `evict_secrets`",
        remedy=(
            "name in `evict_secrets` where the password is, or switch the protection off by policy and wait for a"
            " synchronisation. A password of KLAdmin that is lost cannot be recovered, says the vendor"
        ),
        waivable=False,
        why="the uninstaller would refuse",
        check=_needed,
    ),
    Inhibitor(
        id="lock_unknown",
        title="A password may protect the product and was not given",
        platforms=WINDOWS,
        when="removes",
        looks_at="secrets of the products in the catalog whose lock no registry value tells; `evict_secrets`",
        remedy="name in `evict_secrets` where the password is; where it is certain that none is set, waive this",
        waivable=True,
        why="the administrator may know from the policy that no password is set",
        check=_perhaps,
    ),
    Inhibitor(
        id="policy_lock",
        title="A password or policy locks a product that takes no password unattended",
        platforms=WINDOWS,
        when="removes",
        looks_at="registry values of the topic `lock` in the catalog, for products without a known secret",
        remedy="switch password protection off in the product or its policy, then plan again",
        waivable=False,
        why="the uninstaller would ask a person, or refuse; nothing here gets around it",
        check=_locked,
    ),
    Inhibitor(
        id="secret_failing",
        title="A secret was named and cannot be had",
        platforms=BOTH,
        when="acts",
        looks_at="each name in `evict_secrets` that this plan needs, resolved on the controller",
        remedy="put the variable, file (0600) or lookup right for this host, then plan again",
        waivable=False,
        why="a step would start without what it needs",
        check=_failing,
    ),
    Inhibitor(
        id="secret_format_unknown",
        title="Nobody knows in which form, or under which name, the product takes its password",
        platforms=WINDOWS,
        when="removes",
        looks_at="`secrets` of the products in the catalog; `format` and `property` in `evict_secrets`",
        remedy="try it on a lab host, then add `format:` and `property:` to the secret in `evict_secrets`",
        waivable=False,
        why="a password in the wrong form is refused, and a product may lock itself after some tries",
        check=_form,
    ),
    Inhibitor(
        id="cover_secret_missing",
        title="The replacement or the fallback needs a licence, token or other secret that was not given",
        platforms=BOTH,
        when="covers",
        looks_at="required secrets of the provider that its steps use; `evict_secrets`",
        remedy="name in `evict_secrets` where the secret is, then plan again",
        waivable=False,
        why="it would be installed and protect nothing",
        check=_provider,
    ),
    Inhibitor(
        id="secret_in_arguments",
        title="A secret would stand in the list of processes for a moment",
        platforms=BOTH,
        when="covers",
        looks_at=(
            "steps of the replacement and the fallback: arguments of a program or an installer that hold a secret, "
            "as the provider writes them. What travels in memory or in a private file does not count, such as the "
            "properties of an MSI"
        ),
        remedy=(
            "waive it where the vendor's tool takes the secret in no other way, or choose another provider, or a "
            "package that was prepared with what the secret says"
        ),
        waivable=True,
        why="some vendors' tools take a token or a customer id only so; the owner may accept what they force",
        check=_seen,
    ),
)
