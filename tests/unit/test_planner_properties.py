# SPDX-License-Identifier: GPL-3.0-or-later
"""What must hold of every plan, over generated hosts: products in all states, settings, providers, answers."""

from __future__ import annotations

import dataclasses
import fnmatch
import json
import shlex
import typing as t

import hypothesis
import pytest
from hypothesis import strategies as st

from ansible_collections.evict.kaspersky.plugins.plugin_utils import knowledge, planner, policy_roles, removal, steps
from ansible_collections.evict.kaspersky.plugins.plugin_utils.case import Case
from ansible_collections.evict.kaspersky.plugins.plugin_utils.plan import Plan, Step
from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy import Exclusion
from ansible_collections.evict.kaspersky.plugins.plugin_utils.provider import Provider, Source
from tests import cases

PLATFORMS = ("linux", "windows")
REAL = {
    "linux": ("clamav", "mde_linux", "falcon", "sentinelone", "existing", "none"),
    "windows": ("defender_av", "mde_windows", "falcon", "sentinelone", "existing", "none"),
}
STATES = ("running", "installed", "broken", "leftover")


# What comes as a file needs a source; the host fetches it by itself.
_ENDINGS = {"deb": ".deb", "rpm": ".rpm", "windows": ".msi", "falcon": ".exe"}


def source(provider: Provider, platform: str, family: str) -> Source | None:
    """Where the provider comes from: its own repository or the system, else a file that the host fetches."""
    own = provider.platforms.get(platform)
    if own is None or not own.methods or "repository" in own.methods:
        return None
    system = platform if platform == "windows" else family
    ending = _ENDINGS[provider.id if platform == "windows" and provider.id in _ENDINGS else system]
    address = f"https://mirror.example/{provider.id}{ending}"
    return Source(
        method="url",
        location=address,
        sha256="a" * 64,
        name=f"{provider.id}{ending}",
        signer="Vendor Inc" if system == "windows" else "",
    )


def _removable(platform: str) -> list[str]:
    entries = knowledge.catalog().for_platform(platform)
    return [e.id for e in entries if not e.report_only and not e.generic]


PRODUCTS = {platform: _removable(platform) for platform in PLATFORMS}


@st.composite
def hosts(draw: st.DrawFn) -> Case:
    """A host with up to five products in any state, a policy and two providers; most of them stand in no one's way."""
    platform = draw(st.sampled_from(PLATFORMS))
    family = draw(st.sampled_from(("deb", "rpm")))
    names = draw(st.lists(st.sampled_from(PRODUCTS[platform]), unique=True, max_size=5))
    products = []
    for name in names:
        state = draw(st.sampled_from(STATES))
        try:
            cases.signs(platform, name, state, "", family)
        except LookupError:  # the catalog knows nothing that would show this product in this state
            continue
        products.append((name, state))
    providers = knowledge.providers()
    replacement = providers[draw(st.sampled_from(REAL[platform]))]
    fallback = providers[draw(st.sampled_from(REAL[platform]))]
    changes = {
        "purge": draw(st.booleans()),
        "reboot": draw(st.sampled_from(("never", "if_needed"))),
        "roles": policy_roles.roles(sorted(draw(st.sets(st.sampled_from(sorted(policy_roles.known())))))),
        "consent": frozenset({"remove", "unprotected"}),
        "replacement_source": source(replacement, platform, family),
        "fallback_source": source(fallback, platform, family),
        "exclusions": tuple(draw(st.lists(st.builds(Exclusion, st.just("path"), st.just("/srv/db")), max_size=1))),
    }
    some = st.sets(st.sampled_from(_waivable()), max_size=40)
    waived = dict.fromkeys(draw(st.one_of(some, st.just(set(_waivable())))), cases.WAIVER)
    return cases.case(
        platform,
        products=products,
        family=family,
        policy=changes,
        replacement=replacement,
        fallback=fallback,
        found={"waived": waived},
    )


def _waivable() -> list[str]:
    from ansible_collections.evict.kaspersky.plugins.plugin_utils import inhibitors

    return sorted(inhibitors.WAIVABLE)


def _before(first: t.Callable[[Step], bool], then: t.Callable[[Step], bool], plan: Plan) -> bool:
    """Does every step of the first sort stand before every one of the second?"""
    firsts = [n for n, s in enumerate(plan.steps) if first(s)]
    thens = [n for n, s in enumerate(plan.steps) if then(s)]
    return not firsts or not thens or max(firsts) < min(thens)


@hypothesis.given(hosts())
@hypothesis.settings(max_examples=300, deadline=None, suppress_health_check=list(hypothesis.HealthCheck))
def test_every_plan(case: Case) -> None:
    plan = planner.plan(case)
    again = planner.plan(case)
    assert plan == again
    assert plan.digest() == again.digest()
    assert Plan.from_dict(plan.to_dict()) == plan
    acts = {"act": True}.get(plan.state, False)
    assert bool(plan.steps) == acts, plan.state
    if plan.blocking:
        assert plan.state == "blocked"
    if plan.state == "blocked":
        assert plan.blocking
    if not plan.steps:
        return
    _order(case, plan)
    _cover(case, plan)
    _safe(case, plan)
    _job(plan, [n.target for e in case.catalog.for_platform(case.platform) for n in e.never_touch])


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("family", ["deb", "rpm"])
def test_providers_of_the_catalog_act_where_nothing_stands_in_the_way(platform: str, family: str) -> None:
    """So that the properties are held against plans that do something."""
    if (platform, family) == ("windows", "rpm"):
        return
    product = {"linux": "kesl", "windows": "kes"}[platform]
    names = [name for name in REAL[platform] if name not in ("existing", "none")]
    waived = dict.fromkeys(_waivable(), cases.WAIVER)
    for replacement in names:
        for fallback in (name for name in names if name != replacement):
            case = cases.case(
                platform,
                products=[product],
                family=family,
                replacement=cases.real(replacement),
                fallback=cases.real(fallback),
                policy={
                    "replacement_source": source(cases.real(replacement), platform, family),
                    "fallback_source": source(cases.real(fallback), platform, family),
                },
                found={"waived": waived},
            )
            plan = planner.plan(case)
            if (replacement, fallback) == ("defender_av", "mde_windows"):  # on a server one keeps the other passive
                assert [hit.id for hit in plan.blocking] == ["defender_passive"]
                continue
            assert plan.state == "act", (replacement, fallback, list(plan.blocking))
            sections = {s.section for s in plan.steps}
            assert sections >= {"remove", "cover", "fallback"}, (replacement, fallback)
            assert any(s.phase == "stage" and s.owner == fallback for s in plan.steps), "the fallback is staged, too"


def _order(case: Case, plan: Plan) -> None:
    """Phases in order; companions, product, add-ons, agent last and only on condition."""
    phases = [steps.PHASES.index(s.phase) for s in plan.steps]
    assert phases == sorted(phases)
    sections = [steps.SECTIONS.index(s.section) for s in plan.steps if s.phase == "commit"]
    assert sections == sorted(sections)
    assert len({s.id for s in plan.steps}) == len(plan.steps)
    entries = {p.entry.id: p.entry for p in case.assessment.products}
    removing = [s for s in plan.steps if s.section == "remove"]
    agents = {i for i, e in entries.items() if e.family == "agent"}
    rank = {i: e.removal.order for i, e in entries.items()}
    companions = {c for e in entries.values() for c in e.removal.companions}
    owners = list(dict.fromkeys(s.owner for s in removing if s.owner not in companions))
    assert owners == sorted(owners, key=lambda i: (rank[i], i)), "product, add-ons, agent, server"
    for step in removing:
        others = [i for i in owners if i not in agents and rank[i] < rank[step.owner]]
        if step.owner in agents and others:
            assert step.condition.name == "product_absent"
            assert set(others) <= set(step.condition.of.split())
            assert not agents & set(step.condition.of.split())
    for entry in entries.values():
        for companion in entry.removal.companions:
            assert _before(_removing(companion), _removing(entry.id), plan)
    working = {p.entry.id for p in case.assessment.products if p.works}
    assert {s.owner for s in removing} == working, "what works is removed, and nothing else is"
    for owner in working:
        assert [s for s in removing if s.owner == owner][-1].kind == "confirm_absent"
    for step in plan.steps:
        if working and step.phase == "finish" and step.change == "irreversible":
            assert step.condition.name == "product_absent", "a tree whose package is still there stays"
            assert set(step.condition.of.split()) == working


def _removing(owner: str) -> t.Callable[[Step], bool]:
    return lambda step: step.section == "remove" and step.owner == owner


def _cover(case: Case, plan: Plan) -> None:
    """No removal without a cover that was staged before, or the consent to have none; no dead end after it."""
    removing = [s for s in plan.steps if s.section == "remove"]
    covering = [s for s in plan.steps if s.section == "cover"]
    if removing and case.replacement is not None and case.replacement.kind not in ("none", "existing"):
        assert covering, "a cover"
    if removing and case.replacement is not None and case.replacement.kind == "none":
        assert "unprotected" in case.policy.consent
    assert all(s.on_fail != "stop" for s in plan.steps if s.phase in ("commit", "finish")), "nothing stops half-way"
    assert all(s.change != "irreversible" for s in plan.steps if s.phase == "stage" and s.kind != "reboot")
    assert all(s.condition.name == "cover_failed" for s in plan.steps if s.section == "fallback")


def _safe(case: Case, plan: Plan) -> None:
    """Known kinds on this platform only, known arguments only, and nothing that must never be touched."""
    never = [n for e in case.catalog.for_platform(case.platform) for n in e.never_touch]
    paths = [n.target for n in never if n.kind == "path"]
    codes = {n.target.upper() for n in never if n.kind == "code"}
    names = {n.target.lower() for n in never if n.kind == "name"}
    for step in plan.steps:
        kind = steps.KINDS[step.kind]
        assert case.platform in kind.platforms
        # Secrets stand for an argument, or are values of a program or an installer under names of its own.
        given = {*step.args, *(set(step.secrets) & set(kind.needs))}
        assert set(kind.needs) <= given <= {*kind.needs, *kind.may}, step
        for name, value in step.args.items():
            texts = (value,) if isinstance(value, str) else value
            if step.owner and name in ("path", "key") and step.phase == "finish":
                for text in texts:
                    for path in paths:
                        assert not _inside(text, path), (step.id, path)
                        assert not _inside(path, text) or path in step.args.get("keep", ()), (step.id, path)
            if name == "code":
                assert not codes & {text.upper() for text in texts}
            if name in ("unit", "service", "group", "user", "package"):
                assert not names & {text.lower() for text in texts}, step
    assert not [
        s for s in plan.steps if s.kind in ("stop_unit", "remove_package") and s.section in ("cover", "fallback")
    ]


def _inside(path: str, outer: str) -> bool:
    """Is a path the outer one or below it? Written apart from the planner's own rule."""
    one, two = path.lower().replace("\\", "/").rstrip("/"), outer.lower().replace("\\", "/").rstrip("/")
    return (
        one == two or fnmatch.fnmatchcase(one, two) or one.startswith(two + "/") or fnmatch.fnmatchcase(one, two + "/*")
    )


def _job(plan: Plan, never: list[str]) -> None:
    from ansible_collections.evict.kaspersky.plugins.plugin_utils import job

    for phase in ("stage", "commit", "finish"):
        compiled = job.compile_job(plan, phase, never)
        text = compiled.posix() if plan.platform == "linux" else json.dumps(compiled.windows())
        for step in plan.steps:
            if step.phase == phase:
                shown = shlex.quote(step.id) if plan.platform == "linux" else json.dumps(step.id)
                assert shown in text


@hypothesis.given(hosts())
@hypothesis.settings(max_examples=60, deadline=None, suppress_health_check=list(hypothesis.HealthCheck))
def test_the_digest_is_of_the_host_and_its_steps(case: Case) -> None:
    plan = planner.plan(case)
    later = dataclasses.replace(
        case.controller, now=cases.NOW.replace(year=2031), port=22 if case.controller.port != 22 else 23, groups=("x",)
    )
    other = planner.plan(dataclasses.replace(case, controller=later))
    if plan.state == other.state:
        assert plan.digest() == other.digest(), "neither the time nor the controller counts"
    renamed = planner.plan(dataclasses.replace(case, host="another"))
    assert renamed.digest() != plan.digest()


@pytest.mark.parametrize("platform", PLATFORMS)
def test_every_product_that_a_step_removes_has_a_step_of_its_own_kind(platform: str) -> None:
    kinds = {"package": "remove_package", "msi": "msi_uninstall"}
    tried = 0
    for name in PRODUCTS[platform]:
        entry = knowledge.catalog().entry(platform, name)
        if entry.removal.strategy == "manual":
            continue
        try:
            case = cases.case(platform, products=[(name, "installed")])
        except LookupError:  # its marks are too weak to show that it works
            continue
        product = next((p for p in case.assessment.products if p.entry.id == name), None)
        if product is None:
            continue
        assert removal.why_manual(product, case) == "", name
        made = [s for s in removal.steps(case) if s.owner == name]
        assert kinds[entry.removal.strategy] in {s.kind for s in made}, name
        tried += 1
    assert tried >= 17
