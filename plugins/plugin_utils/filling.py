# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands for the holes of a provider's templates: settings, and properties of host, source and policy."""

from __future__ import annotations

import dataclasses
import typing as t
from collections.abc import Mapping
from urllib.parse import urlsplit

from . import templates
from .policy import Policy
from .provider import Method, Provider, ProviderPlatform, Source, Value

Role = t.Literal["replacement", "fallback"]
MANAGERS: t.Final = ("apt", "dnf", "yum", "zypper")
SUFFIXES: t.Final = ("deb", "rpm", "msi", "exe", "tar", "other", "")
_SWITCH: t.Final = ("true", "false")

# name -> its words, or None for free text; what a template and a `when` may name beside settings, names and secrets.
PROPERTIES: t.Final[Mapping[str, tuple[str, ...] | None]] = {
    "platform": ("linux", "windows"),
    "family": ("deb", "rpm", ""),
    "manager": (*MANAGERS, ""),
    "server": _SWITCH,
    "defender_feature": ("installed", "not_installed", ""),
    "role": t.get_args(Role),
    "reboot": ("never", "if_needed", "window"),
    "method": (*t.get_args(Method), ""),
    "location": None,
    "file": None,
    "suffix": SUFFIXES,
    "sha256": None,
    "signer": None,
    "version": None,
    "proxy": None,
    "proxy_host": None,
    "proxy_port": None,
    "max_signature_age": None,
}
LISTS: t.Final = ("packages", "services", "exclude_paths", "exclude_processes", "exclude_extensions")
EXCLUSIONS: t.Final[Mapping[str, str]] = {
    "exclude_paths": "path",
    "exclude_processes": "process",
    "exclude_extensions": "extension",
}
FETCHED: t.Final = ("url", "share", "file", "host_file")
_SET: t.Final = ("set", "unset")


@dataclasses.dataclass(frozen=True)
class Name:
    """What may stand in a hole: is it a list, and which words can it be (empty for free text)?"""

    listed: bool
    words: tuple[str, ...] = ()

    @property
    def conditions(self) -> tuple[str, ...]:
        """What a `when` may ask of it."""
        return self.words or _SET


def names(provider: Provider, platform: str) -> dict[str, Name]:
    """All that a template of the provider on the platform may name."""
    own = provider.platforms[platform]
    found = {name: Name(False, words or ()) for name, words in PROPERTIES.items()}
    found |= {name: Name(True) for name in LISTS}
    found |= {name: Name(False) for by in own.names.values() for name in by}
    for name, setting in (*provider.settings.items(), *provider.hidden.items()):
        words = _SWITCH if setting.type == "switch" else setting.choices
        found[name] = Name(setting.type == "list", words)
    found |= {f"secret.{secret.name}": Name(False) for secret in provider.secrets}
    return found


def own(by: Mapping[str, t.Any], family: str, manager: str) -> t.Any:
    """What holds for this host: the entry of its package manager, else of its family, else of all; None for none."""
    return next((by[key] for key in (manager, family, "any") if key and key in by), None)


def source(policy: Policy, platform: ProviderPlatform, role: Role) -> tuple[Source | None, Method | t.Literal[""]]:
    """Where the provider comes from, and by which way: its own repository when the policy says nothing."""
    given = policy.replacement_source if role == "replacement" else policy.fallback_source
    if not platform.methods:
        return None, ""
    return given, given.method if given else "repository"


def values(
    provider: Provider,
    platform: str,
    policy: Policy,
    role: Role,
    *,
    family: str = "",
    manager: str = "",
    server: bool = False,
    defender_feature: str = "",
) -> dict[str, Value]:
    """A value for each of `names`.

    Args:
        provider, platform: whose templates; it must be there on the platform.
        policy: the settings of the run.
        role: is it the replacement or the fallback?
        family, manager: package family and manager of the host, empty where it has none.
        server: is it a Windows Server?
        defender_feature: what such a server says of the feature, empty when it does not say.

    Raises:
        templates.TemplateError: a filled-in setting cannot be filled.
    """
    own_platform = provider.platforms[platform]
    given, method = source(policy, own_platform, role)
    file = file_of(given)
    proxy = urlsplit(policy.proxy) if policy.proxy else None
    found: dict[str, Value] = {
        "platform": platform,
        "family": family,
        "manager": manager,
        "server": _text(server),
        "defender_feature": defender_feature,
        "role": role,
        "reboot": policy.reboot,
        "method": method,
        # A path of the controller never enters a plan: what is to be sent is known by its hash.
        "location": given.location if given and given.method != "file" else "",
        "file": file,
        "suffix": _suffix(file),
        "sha256": given.sha256 if given else "",
        "signer": given.signer if given else "",
        "version": given.version if given else "",
        "proxy": policy.proxy,
        "proxy_host": (proxy.hostname or "") if proxy else "",
        "proxy_port": str(proxy.port or 3128) if proxy else "",
        "max_signature_age": str(policy.max_signature_age),
    }
    for name, kind in EXCLUSIONS.items():
        found[name] = tuple(dict.fromkeys(e.value for e in policy.exclusions if e.kind == kind))
    settings = policy.replacement_settings if role == "replacement" else policy.fallback_settings
    for name, setting in provider.settings.items():
        found[name] = _value(settings.get(name, setting.default), listed=setting.type == "list")
    named = policy.secrets.get(provider.id, {})
    for secret in provider.secrets:
        found[f"secret.{secret.name}"] = "named" if secret.name in named else ""
    found |= {name: "" for by in own_platform.names.values() for name in by}  # before the host is known
    found |= own_names(own_platform, family, manager)
    for name, setting in provider.hidden.items():
        value = own_platform.fill.get(name, setting.default)
        if isinstance(value, (list, tuple)):
            found[name] = templates.items(map(str, value), found)
        else:
            found[name] = templates.text(_text(value), found) or ""
    services = list(own(own_platform.services, family, manager) or ())
    for fact in own_platform.marks.get("services_if", ()):
        services += fact.values if templates.fits(fact.when, found) else ()
    found["services"] = tuple(dict.fromkeys(templates.items(services, found)))
    packages = templates.items(own(own_platform.packages, family, manager) or (), found)
    sign = "-" if manager in ("dnf", "yum") else "="
    version = found["version"]
    found["packages"] = tuple(f"{name}{sign}{version}" for name in packages) if version else packages
    return found


def own_names(platform: ProviderPlatform, family: str, manager: str) -> dict[str, str]:
    """The names of the family; those of the package manager win."""
    found: dict[str, str] = {}
    for key in ("any", family, manager):
        found |= platform.names.get(key, {}) if key else {}
    return found


def file_of(source: Source | None) -> str:
    """The name of the file on the host; empty when none comes."""
    if source is None or source.method not in FETCHED:
        return ""
    path = urlsplit(source.location).path if source.method == "url" else source.location
    return source.name or path.replace("\\", "/").rstrip("/").rpartition("/")[2]


def _suffix(file: str) -> str:
    last = file.rpartition(".")[2].lower() if "." in file else ""
    if file.lower().endswith((".tar.gz", ".tar.xz", ".tgz", ".tar.zst", ".tar.bz2")):
        last = "tar"
    return last if last in SUFFIXES else "other" if file else ""


def _value(value: t.Any, *, listed: bool) -> Value:
    if isinstance(value, (list, tuple)):
        return tuple(_text(item) for item in value)
    return ((_text(value),) if value not in ("", None) else ()) if listed else _text(value)


def _text(value: t.Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
