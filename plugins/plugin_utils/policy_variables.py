# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of all variables: field of the policy, check, and what docs/variables.md and the roles say of them."""

from __future__ import annotations

import dataclasses
import typing as t
from collections.abc import Callable, Mapping

from . import policy_checks as checks
from . import policy_values as values
from .catalog_services import EDITS
from .policy_exclusions import exclusions
from .policy_roles import roles
from .policy_secrets import secrets
from .policy_types import Reboot

EXTRA_ONLY: t.Final = frozenset(
    {"evict_hosts", "evict_consent", "evict_waves", "evict_max_failures", "evict_breaker_on", "evict_soak"}
)
CONSENTS: t.Final = ("remove", "unprotected")
REBOOTS: t.Final[tuple[Reboot, ...]] = t.get_args(Reboot)


@dataclasses.dataclass(frozen=True)
class Variable:
    """A variable of a user.

    Attributes:
        field: of the policy.
        check: makes the field's value of a user's value, or raises Refused.
        type: what may be written, for a reader.
        description: what it is.
        example: a value, as YAML.
        audit: does an audit look at it?
        default: words for the default; empty where the field's own default says it.
    """

    field: str
    check: Callable[[t.Any], t.Any]
    type: str
    description: str
    example: str
    audit: bool = False
    default: str = ""


_SOURCE: t.Final = (
    "`method`: `repository`, `mirror`, `url`, `share`, `file` (sent by the controller) or `host_file`; `location`; "
    "`sha256` (mandatory but for packages); `signer`; `name` of the file on the host; `version` of the package. "
    "No login in an address"
)
VARIABLES: t.Final[Mapping[str, Variable]] = {
    "evict_hosts": Variable(
        "hosts",
        checks.pattern,
        "pattern or list of patterns",
        "the hosts of the run; whatever changes hosts has no default for it",
        "linux:&production",
        audit=True,
        default="`all` in an audit",
    ),
    "evict_out": Variable(
        "out",
        checks.line,
        "path",
        "the run folder itself, empty or not there yet; empty means a new folder below `evict_evidence_dir`",
        "/srv/evict/march",
        audit=True,
    ),
    "evict_evidence_dir": Variable(
        "evidence_dir",
        checks.line,
        "path",
        "folder on the controller that holds a folder for each run; relative to the working directory",
        "/srv/evict",
        audit=True,
    ),
    "evict_run": Variable(
        "run",
        checks.name("the name of a run"),
        "text",
        "name of the run; empty means the job id of AWX, or else a time stamp",
        "CHG0042",
        audit=True,
    ),
    "evict_fail_on": Variable(
        "fail_on",
        checks.verdicts,
        "list of verdicts",
        "verdicts on which the last task fails a host; the command `evict` sets it to nothing, since it computes its "
        "exit code from the rows",
        "[unknown, unreachable]",
        audit=True,
        default="those of the exit codes 2 and 3",
    ),
    "evict_probe_timeout": Variable(
        "probe_timeout",
        checks.number(1, 240, "seconds"),
        "seconds, 1 to 240",
        "how long one probe may take on a host before it counts as unknown",
        "30",
        audit=True,
    ),
    "evict_consent": Variable(
        "consent",
        checks.words(CONSENTS, "words of agreement"),
        "list of words",
        "`remove`: Kaspersky may be removed; `unprotected`: hosts may be left without protection, which the provider "
        "`none` needs",
        "[remove]",
    ),
    "evict_waves": Variable(
        "waves",
        checks.waves,
        "list of numbers of hosts",
        "sizes of the waves in which hosts are changed; the last one repeats",
        "[1, 10, 50]",
    ),
    "evict_max_failures": Variable(
        "max_failures",
        checks.share,
        "number of hosts, or percent of the hosts tried so far",
        "how many hosts may have a verdict of `evict_breaker_on`; with more of them no further wave begins",
        "5%",
    ),
    "evict_breaker_on": Variable(
        "breaker_on",
        checks.verdicts,
        "list of verdicts",
        "verdicts that count as failures for `evict_max_failures`. A host that was being changed and cannot be judged, "
        "or got worse while the wave was left alone, always counts",
        "[failed_exposed, failed_protected, unreachable]",
    ),
    "evict_soak": Variable(
        "soak",
        checks.number(0, 86_400, "seconds"),
        "seconds, 0 to 86400",
        "how long a wave is left alone before its hosts are looked at again and the next wave begins; with 0 nobody "
        "looks again",
        "3600",
    ),
    "evict_downloads": Variable(
        "downloads",
        checks.number(1, 10_000, "hosts"),
        "hosts, 1 to 10000",
        "how many hosts fetch packages and files at a time",
        "5",
    ),
    "evict_approved_plan": Variable(
        "approved_plan",
        checks.line,
        "path",
        "`plan.json` that was approved, on the controller; a host whose plan has another digest is not changed",
        "/srv/evict/march/plan.json",
    ),
    "evict_plan_hours": Variable(
        "plan_hours", checks.number(1, 720, "hours"), "hours, 1 to 720", "how long a plan is valid", "24"
    ),
    "evict_replacement": Variable(
        "replacement",
        values.provider_ids,
        "id of a provider, or platform: id",
        "what protects the hosts afterwards: one provider for every platform it supports, or one for each of `linux` "
        "and `windows`; a plan needs it",
        "{linux: clamav, windows: defender_av}",
    ),
    "evict_fallback": Variable(
        "fallback",
        values.provider_ids,
        "id of a provider, or platform: id",
        "what protects the hosts when the replacement does not become active; another one than the replacement",
        "{linux: clamav}",
        default="`clamav` on Linux and `defender_av` on Windows, unless that is the replacement",
    ),
    "evict_replacement_source": Variable(
        "replacement_source",
        values.source,
        "mapping",
        f"where the replacement comes from. {_SOURCE}",
        "{method: url, location: 'https://files.example/agent.deb', sha256: '9f86...0a08'}",
        default="the provider's own repository",
    ),
    "evict_fallback_source": Variable(
        "fallback_source",
        values.source,
        "mapping",
        "where the fallback comes from, written like `evict_replacement_source`",
        "{method: mirror, location: 'https://mirror.example/debian'}",
        default="the provider's own repository",
    ),
    "evict_replacement_settings": Variable(
        "replacement_settings",
        values.settings,
        "mapping",
        "settings of the replacement; its provider says what there is",
        "{on_access: true, on_access_paths: [/srv]}",
    ),
    "evict_fallback_settings": Variable(
        "fallback_settings", values.settings, "mapping", "settings of the fallback", "{updates: mirror}"
    ),
    "evict_exclusions": Variable(
        "exclusions",
        exclusions,
        "list of `path`, `process` or `extension`",
        "what the replacement leaves alone, active before its real-time protection starts; nothing that covers a disk "
        "or the system",
        "[{path: /srv/db}, {extension: mdf}]",
    ),
    "evict_exclusive_group": Variable(
        "exclusive_group",
        checks.name("the name of a group"),
        "text",
        "of hosts with this name only one is changed at a time: nodes of a cluster, domain controllers",
        "sql-cluster-1",
    ),
    "evict_roles": Variable(
        "roles",
        roles,
        "list of words",
        "server roles that may be removed: `mail`, `proxy`, `ksc`, `svm`, `exchange`, `sharepoint`, `siem`, "
        "`reputation`, a guard or a product of the catalog",
        "[mail]",
    ),
    "evict_waivers": Variable("waivers", checks.line, "path", "file with waivers, on the controller", "waivers.yml"),
    "evict_secrets": Variable(
        "secrets",
        secrets,
        "owner: NAME: where it is",
        "where secrets are, never what they are: for each product or provider the name, and under it one of "
        "`variable` (of the host, such as a vaulted one), `file` (on the controller, 0600) or `lookup` (a plugin, with "
        "`terms` and `options`); further `format` (`plain`, `utf16le_hex`) and `property` (of an MSI)",
        "{kes: {KLPASSWD: {variable: vault_kes_password}}}",
    ),
    "evict_reboot": Variable(
        "reboot",
        checks.one_of(REBOOTS, "a way to handle restarts"),
        "`never`, `if_needed` or `window`",
        "may a host be restarted: never, when something asks for it, or then and only within `evict_windows`",
        "if_needed",
    ),
    "evict_windows": Variable(
        "windows",
        values.windows,
        "list of `start` and `end`",
        "maintenance windows, as times with their offset from UTC",
        "[{start: '2030-01-05T22:00:00+01:00', end: '2030-01-06T04:00:00+01:00'}]",
    ),
    "evict_purge": Variable(
        "purge", checks.switch, "true or false", "remove what the catalog marks as safe after the removal", "false"
    ),
    "evict_edit": Variable(
        "edit",
        checks.words(EDITS, "parts of other services"),
        "list of `mail`, `proxy` and `trust_store`",
        "what of other services may be changed once the product is gone: its lines in the configuration of a mail "
        "server or a proxy, its certificates in the trust store; each with a copy and a check, and back if that fails",
        "[mail, trust_store]",
    ),
    "evict_prove": Variable(
        "prove",
        checks.switch,
        "true or false",
        "let a verification make the live test, too, which raises alarms; a remediation always makes it",
        "true",
    ),
    "evict_max_signature_age": Variable(
        "max_signature_age",
        checks.number(1, 8760, "hours"),
        "hours, 1 to 8760",
        "how old the signatures of the replacement may be",
        "48",
    ),
    "evict_proxy": Variable(
        "proxy",
        checks.proxy,
        "address",
        "proxy through which hosts fetch packages and files, without a login in it",
        "http://proxy.example:3128",
    ),
}
