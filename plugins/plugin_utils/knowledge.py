# SPDX-License-Identifier: GPL-3.0-or-later
"""Catalog and scripts, loaded once at import: the main process does so before it forks, and every worker inherits."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping
from pathlib import Path

from .catalog import Catalog, CatalogError, load
from .catalog_form import Mistake
from .provider import Provider
from .providers import ProvidersError
from .providers import load as load_providers
from .script import (
    JOB,
    OBSERVE,
    OBSERVE_MACOS,
    OBSERVE_PLAN,
    OBSERVE_PLAN_BARE,
    PERFORM,
    PROVE,
    assignments,
    compose,
    library,
)

_ROOT: t.Final = Path(__file__).resolve().parents[2]


class _Loaded:
    """What came of loading; a mistake in the catalog must reach the user as a message, not as an import error."""

    def __init__(self) -> None:
        self.catalog: Catalog | None = None
        self.error: CatalogError | None = None
        self.providers: dict[str, Provider] = {}
        self.fault: ProvidersError | None = None
        try:
            self.catalog = load(_ROOT / "catalog")
            self.providers = load_providers()
        except ProvidersError as exc:
            self.fault = exc
        except CatalogError as exc:
            self.error = exc
        except ImportError as exc:  # a collection installed without the Python packages it needs
            remedy = "install it for the Python that runs Ansible"
            self.error = CatalogError([Mistake("catalog", "", f"cannot be checked: {exc}", remedy)])


_LOADED: t.Final = _Loaded()
OBSERVE_SH: t.Final = compose(_ROOT / "probes" / "posix", OBSERVE)
OBSERVE_PLAN_SH: t.Final = compose(_ROOT / "probes" / "posix", OBSERVE_PLAN)
OBSERVE_MACOS_SH: t.Final = compose(_ROOT / "probes" / "posix", OBSERVE_MACOS)
PROVE_SH: t.Final = compose(_ROOT / "probes" / "posix", PROVE)
# What starts a job and follows it, and what stands in front of the job's program (docs/formats.md section 8).
PERFORM_SH: t.Final = compose(_ROOT / "probes" / "posix", PERFORM)
JOB_SH: t.Final = library(_ROOT / "probes" / "posix", JOB)


def catalog() -> Catalog:
    """The catalog.

    Raises:
        CatalogError: it holds mistakes; the text names each with file, place and remedy.
    """
    if _LOADED.error is not None:
        raise _LOADED.error
    return t.cast("Catalog", _LOADED.catalog)  # one of the two is set


def providers() -> Mapping[str, Provider]:
    """All replacements, by id.

    Raises:
        CatalogError, ProvidersError: one of them holds mistakes; the text names each.
    """
    catalog()
    if _LOADED.fault is not None:
        raise _LOADED.fault
    return _LOADED.providers


def _literals(platform: str) -> dict[str, list[str]]:
    return _LOADED.catalog.literals(platform) if _LOADED.catalog is not None else {}


def _assigned(platform: str) -> str:
    return assignments({key.upper(): "\n".join(items) for key, items in _literals(platform).items()}, "EVICT_")


# What a POSIX host gets, but for the nonce and the settings of a run; and what it gets next when it says it is a Mac.
OBSERVE_LINUX: t.Final = _assigned("linux") + OBSERVE_SH
# The same for a plan; the literals of preflight.ask come with the values of a run.
OBSERVE_LINUX_PLAN: t.Final = _assigned("linux") + OBSERVE_PLAN_SH
OBSERVE_LINUX_PLAN_BARE: t.Final = _assigned("linux") + compose(_ROOT / "probes" / "posix", OBSERVE_PLAN_BARE)
OBSERVE_MAC: t.Final = _assigned("macos") + OBSERVE_MACOS_SH
# What a Windows host gets, as arguments of its module.
WINDOWS_LITERALS: t.Final = _literals("windows")
