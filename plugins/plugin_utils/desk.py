# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The controller's part of one host's plan: what it asks the host, what it looks up itself, and the plan at the end.

Everything that touches the controller (waivers, secrets, files to send, the approved plan, the clock) happens here, so
that the planner stays a pure function of its case.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import typing as t
from collections.abc import Iterable, Iterator, Mapping

from . import approved, artifacts, cover, inhibitors, knowledge, planner, preflight, secret_names, waivers
from .assess import Assessment
from .case import Case, Controller
from .catalog import Catalog, CatalogError
from .observation import Observation
from .plan import Hit, Plan
from .policy import Policy
from .policy_types import SecretRef
from .provider import Provider
from .redact import Redactor
from .run import RunFolder
from .secret_vault import SecretError, Vault

if t.TYPE_CHECKING:
    from ansible.plugins.action import ActionBase


# At import, in the main process: every worker inherits it. A catalog with mistakes is told when a host is to be asked.
with contextlib.suppress(CatalogError):
    for _platform in preflight.KEYS:
        preflight.places(knowledge.catalog(), _platform)
        cover.owned(knowledge.catalog(), _platform)


class DeskError(ValueError):
    """A file of the controller (waivers, approved plan) cannot be used; no host is asked."""


@dataclasses.dataclass(frozen=True)
class Desk:
    """All that is known before the host is asked.

    Attributes:
        settings: the policy.
        controller: what the controller found out for this host.
        catalog: what we know.
        approved: the plans somebody approved, None when none were given.
        vault: resolved the host's secrets, and tells the redactor which they are.
    """

    settings: Policy
    controller: Controller
    catalog: Catalog
    approved: approved.Approved | None
    vault: Vault

    @classmethod
    def open(cls, action: ActionBase, settings: Policy, folder: RunFolder, task_vars: Mapping[str, t.Any]) -> Desk:
        """Look at everything on the controller that concerns the task's host.

        Args:
            action: the running action, whose templar and loader resolve secrets.
            settings: the policy.
            folder: of the run.
            task_vars: the host's variables.

        Raises:
            DeskError: the file of waivers or the approved plan is wrong, or secrets have names that nobody takes; the
                text says what and how to mend it.
        """
        now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
        host = str(task_vars["inventory_hostname"])
        groups = tuple(map(str, task_vars.get("group_names", ())))
        try:
            known = (
                waivers.load(settings.waivers, inhibitors.IDS, inhibitors.WAIVABLE, now) if settings.waivers else None
            )
            plans = approved.load(settings.approved_plan, host=host, now=now) if settings.approved_plan else None
        except (waivers.WaiverError, approved.ApprovedError) as exc:
            raise DeskError(str(exc)) from exc
        if strange := secret_names.strangers(
            settings.secrets, knowledge.catalog().entries, knowledge.providers().values()
        ):
            raise DeskError("\n".join(strange))
        on_host = known.on(host, groups, now) if known else waivers.OnHost()
        vault = Vault.of(action, task_vars)
        controller = Controller(
            now=now,
            secrets=vault.check(settings.secrets, _needs() if settings.secrets else ()),
            artifacts=artifacts.check(settings, folder.path),
            waived=on_host.waived,
            excepted=on_host.excepted,
            expired=on_host.expired,
            port=_port(action),
            groups=groups,
        )
        return cls(settings, controller, knowledge.catalog(), plans, vault)

    def spilt(self, given: Mapping[str, t.Any], hide: Redactor) -> None:
        """Refuse settings and waivers with a secret in a text that plans and evidence would show.

        Args:
            given: the settings as they were given, resolved.
            hide: knows the secrets of the host.

        Raises:
            DeskError: names the settings, and never the secret.
        """
        waived = {**self.controller.waived, "whole_host": self.controller.excepted}
        texts = {name: list(_texts(value)) for name, value in given.items() if name != "evict_secrets"}
        texts["evict_waivers"] = [*texts.get("evict_waivers", ()), repr(waived), *self.controller.expired]
        found = [
            f"`{name}` holds a secret that `evict_secrets` or a login of this host names, and what it holds stands in "
            "plans and evidence: take it out, or change the secret; a provider takes secrets by `evict_secrets` only"
            for name, items in sorted(texts.items())
            if any(hide.values({"": text})[""] != text for text in items)
        ]
        if found:
            raise DeskError("\n".join(found))

    def secrets_for(self, named: Iterable[Mapping[str, str]]) -> dict[str, str]:
        """The secrets of some steps, in the form in which each is taken.

        Args:
            named: of each step, argument -> `owner.NAME`.

        Raises:
            SecretError, SecretFormError: one cannot be had any more; nothing has begun then.
        """
        formats = {need.id: need.format for need in _needs()}
        found: dict[str, str] = {}
        for key, ref in self._references(named):
            if ref is None:
                raise SecretError(f"the plan needs the secret {key}, and `evict_secrets` does not name it any more")
            value = self.vault.resolve(ref).reveal()
            found[key] = secret_names.encode(value, ref.format or formats.get(key, secret_names.UNKNOWN))
        return found

    def repeated(self, named: Iterable[Mapping[str, str]]) -> tuple[str, ...]:
        """The secrets of some steps as they were given, for what has to blank them; without those that cannot be had.

        Args:
            named: of each step, argument -> `owner.NAME`.
        """
        found: dict[str, None] = {}
        for _key, ref in self._references(named):
            if ref is not None:
                with contextlib.suppress(SecretError):
                    found[self.vault.resolve(ref).reveal()] = None
        return tuple(found)

    def _references(self, named: Iterable[Mapping[str, str]]) -> Iterator[tuple[str, SecretRef | None]]:
        """`owner.NAME`, each once, and where it is; None for one that the settings do not name any more."""
        for key in sorted({key for secrets in named for key in secrets.values()}):
            owner, _dot, name = key.partition(".")
            yield key, self.settings.secrets.get(owner, {}).get(name)

    def provider(self, role: t.Literal["replacement", "fallback"], platform: str) -> Provider | None:
        """The provider the policy names for a platform."""
        names = self.settings.replacement if role == "replacement" else self.settings.fallback
        return knowledge.providers().get(names.get(platform, ""))

    def ask(self, platform: str) -> dict[str, list[str]]:
        """What a host of the platform is asked besides, in the same round trip."""
        return preflight.ask(
            self.settings,
            self.provider("replacement", platform),
            self.provider("fallback", platform),
            self.catalog,
            platform,
            self.controller.port,
        )

    def case(self, host: str, seen: Observation, judged: Assessment) -> Case:
        """All that the host's plan is made from.

        Args:
            host: inventory name.
            seen: its answer.
            judged: what was made of it.
        """
        return Case(
            host=host,
            seen=seen,
            assessment=judged,
            catalog=self.catalog,
            policy=self.settings,
            replacement=self.provider("replacement", seen.platform),
            fallback=self.provider("fallback", seen.platform),
            controller=self.controller,
        )

    def plan(self, case: Case, under_way: Plan | str | None = None) -> Plan:
        """The host's plan, held against the approved one where there is one.

        Args:
            case: the host.
            under_way: the plan by which an earlier run is changing the host, or why that plan cannot be read. It is
                carried on: a host half way is not planned anew.
        """
        plan = planner.plan(case)
        if under_way is not None:
            if isinstance(under_way, str) or under_way.host != case.host or under_way.machine != plan.machine:
                why = under_way if isinstance(under_way, str) else f"its job was made for the host {under_way.host!r}"
                return _held(plan, "job_under_way", "An earlier run is changing this host", why, _FOLLOW)
            note = "an earlier run has begun with this plan on the host: it is carried on"
            plan = dataclasses.replace(under_way, notes=(note, *under_way.notes))
        if self.approved is None or plan.state != "act":
            return plan
        difference = self.approved.compare(plan, self.controller.now)
        if difference is None or (difference.reason == "plan_expired" and under_way is not None):
            return plan
        return _held(plan, difference.reason, "This is not what was approved", difference.text, difference.remedy)


_FOLLOW: t.Final = (
    "see /var/lib/evict.kaspersky on the host; run again under the name and with the settings of that run"
)


def _held(plan: Plan, reason: str, title: str, diagnosis: str, remedy: str) -> Plan:
    """The plan, blocked by something that no waiver lifts."""
    hit = Hit(reason, title, diagnosis, remedy, False)
    return dataclasses.replace(plan, state="blocked", steps=(), gap=None, inhibitors=(hit, *plan.inhibitors))


def _texts(value: object) -> Iterator[str]:
    """Every text within a setting."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, tuple, set, frozenset)):
        for inner in value:
            yield from _texts(inner)
    elif isinstance(value, (bool, int, float)) or value is None:  # an abstract class is slow to ask
        return
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from (*_texts(key), *_texts(inner))


def _needs() -> list[secret_names.Need]:
    """All secrets there are, for their formats."""
    providers = [secret_names.needed((), provider, None) for provider in knowledge.providers().values()]
    return [*secret_names.needed(knowledge.catalog().entries, None, None), *(need for own in providers for need in own)]


def _port(action: ActionBase) -> int:
    """The port of the management connection; 0 where the connection has none."""
    try:
        return int(action._connection.get_option("port") or 0)
    except (KeyError, TypeError, ValueError):
        return 0
