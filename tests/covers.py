# SPDX-License-Identifier: GPL-3.0-or-later
"""Cases with the providers of the catalog, and what must be so for the steps of any of them."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping

from ansible_collections.evict.kaspersky.plugins.plugin_utils import cover, knowledge
from ansible_collections.evict.kaspersky.plugins.plugin_utils.case import Case
from ansible_collections.evict.kaspersky.plugins.plugin_utils.cover import Cover
from ansible_collections.evict.kaspersky.plugins.plugin_utils.filling import Role
from ansible_collections.evict.kaspersky.plugins.plugin_utils.plan import Step
from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy import Exclusion
from ansible_collections.evict.kaspersky.plugins.plugin_utils.provider import Provider, Source
from ansible_collections.evict.kaspersky.plugins.plugin_utils.providers_check import allowed, plural
from ansible_collections.evict.kaspersky.plugins.plugin_utils.steps import KINDS
from tests import cases

PROVIDERS: t.Final[Mapping[str, Provider]] = knowledge.providers()
HASH: t.Final = "0123456789abcdef" * 4
MANAGERS: t.Final = {"apt": "deb", "dnf": "rpm", "yum": "rpm", "zypper": "rpm"}
EXCLUSIONS: t.Final = (
    Exclusion("path", "/var/lib/my db"),
    Exclusion("process", "/usr/sbin/dbserver"),
    Exclusion("extension", ".ibd"),
)
# What a user must say for the provider to do anything; settings of both platforms.
NEEDED: t.Final[Mapping[str, Mapping[str, t.Any]]] = {
    "package": {
        "service_names": ["other.service"],
        "package_names": ["other-av"],
        "active_program": "/opt/other/ctl",
        "active_arguments": ["status"],
        "active_contains": "protected",
        "mirror_suite": "stable main",
        "mirror_key": "/usr/share/keyrings/other.gpg",
        "msi_property": "SITE",
    },
    "existing": {"service_names": ["other.service"]},
    "clamav": {"mirror_suite": "bookworm main", "mirror_key": "/usr/share/keyrings/debian-archive-keyring.gpg"},
    "mde_linux": {"mirror_suite": "bookworm main", "mirror_key": "/usr/share/keyrings/microsoft.gpg"},
}


def make(
    id: str,
    *,
    manager: str = "apt",
    platform: str = "",
    method: str = "",
    suffix: str = "",
    role: Role = "replacement",
    settings: Mapping[str, t.Any] | None = None,
    server: bool = True,
    secrets: tuple[str, ...] | None = None,
    feature: str = "installed",
    **changes: t.Any,
) -> Case:
    """A case with a provider of the catalog."""
    provider = PROVIDERS[id]
    platform = platform or ("linux" if "linux" in provider.platforms else "windows")
    source = None
    if method:
        name = f"agent.{suffix}" if suffix else ""
        hashed = HASH if method not in ("repository", "mirror") else ""
        place = {"url": "https://files.example/", "share": r"\\files\share\ ".strip(), "file": "/srv/controller/"}
        location = place.get(method, "/var/cache/") + name
        if method in ("repository", "mirror"):
            location = "https://mirror.example/debian" if method == "mirror" else ""
        source = Source(method=method, location=location, sha256=hashed, signer="CN=Other", name=name)  # type: ignore[arg-type]
    own = dict(NEEDED.get(id, {})) | dict(settings or {})
    named = [s.name for s in provider.secrets if s.required] if secrets is None else list(secrets)
    policy = {
        f"{role}_settings": own,
        f"{role}_source": source,
        "secrets": {id: {name: cases.secret() for name in named}} if named else {},
        **changes,
    }
    other = PROVIDERS["clamav" if platform == "linux" else "defender_av"]
    probes = {"manager": [{"kind": "manager", "name": manager}]} if platform == "linux" else None
    if platform == "windows":
        probes = {"defender": [{"property": "feature", "value": feature}] if feature else []}
    return cases.case(
        platform,
        products=(),
        policy=policy,
        probes=probes,
        family=MANAGERS[manager],
        facts={"product_type": "server" if server else "workstation"} if platform == "windows" else None,
        replacement=provider if role == "replacement" else PROVIDERS["none"],
        fallback=provider if role == "fallback" else other,
    )


ROLES: t.Final[tuple[Role, ...]] = ("replacement", "fallback")


def whole(case: Case, role: Role) -> Cover:
    """Expand, and hold the outcome to all that must be so for any provider."""
    made = cover.expand(case, role)
    assert made == cover.expand(case, role)
    if made.faults:
        assert (made.stage, made.cover) == ((), ())
        assert all("${" not in fault for fault in made.faults), made.faults
        return made
    ids = [step.id for step in (*made.stage, *made.cover)]
    assert len(ids) == len(set(ids))
    for step in (*made.stage, *made.cover):
        sound(step, case)
    for step in made.stage:
        assert (step.phase, step.section) == ("stage", "")
        assert step.id.startswith("stage.")
        assert step.on_fail in ("stop", "continue")
        assert step.change != "irreversible"
    for step in made.cover:
        section = "cover" if role == "replacement" else "fallback"
        assert (step.phase, step.section) == ("commit", section)
        assert step.id.startswith(f"{section}.")
        assert step.on_fail in (("fallback", "continue") if role == "replacement" else ("continue",))
        assert step.condition.name == ("always" if role == "replacement" else "cover_failed")
    return made


def sound(step: Step, case: Case) -> None:
    """What must be so for any step of any provider."""
    kind = KINDS[step.kind]
    assert allowed(step.kind)
    assert case.platform in kind.platforms
    assert set(step.args) <= {*kind.needs, *kind.may}, step
    assert set(kind.needs) <= {*step.args, *step.secrets}, step
    for name, value in step.args.items():
        assert isinstance(value, tuple) == plural(name), (step.id, name)
        for text in (value,) if isinstance(value, str) else value:
            assert "${" not in text, (step.id, name)
            assert "/srv/controller" not in text, "a path of the controller"
            assert "vault_word" not in text, "where a secret is stands in no step"
    assert step.reason
    assert step.target
    for place, secret in step.secrets.items():
        assert secret.startswith(f"{step.owner}.")
        args = " ".join(str(value) for value in step.args.values())
        assert place in (*kind.needs, *kind.may) or f"@{place}@" in args or "properties" in kind.may


def steps(made: Cover) -> dict[str, Step]:
    assert made.faults == ()
    return {step.id: step for step in (*made.stage, *made.cover)}


def text(step: Step) -> str:
    value = step.args["text"]
    assert isinstance(value, str)
    return value
