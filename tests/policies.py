# SPDX-License-Identifier: GPL-3.0-or-later
"""Broken policies, each with what the error must say; and a few providers to check settings against."""

from __future__ import annotations

import dataclasses
import typing as t
from collections.abc import Mapping

from ansible_collections.evict.kaspersky.plugins.plugin_utils.provider import (
    Method,
    Provider,
    ProviderPlatform,
    ProviderSecret,
    Setting,
)

CANARY: t.Final = "Zx9-canary-7Qw"  # a secret; no error may hold it
SHA256: t.Final = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
PRODUCTS: t.Final = frozenset({"kesl", "kes", "klnagent"})


def provider(
    name: str,
    platforms: tuple[str, ...],
    methods: tuple[Method, ...] = ("repository", "mirror", "file"),
    settings: Mapping[str, Setting] | None = None,
    secrets: tuple[str, ...] = (),
) -> Provider:
    """A provider of which only what a policy is checked against is filled in."""
    return Provider(
        id=name,
        name=name,
        kind="none" if name == "none" else "av",
        description="for tests",
        counts_as_protection=name != "none",
        detection="none",
        detection_reason="for tests",
        platforms={platform: ProviderPlatform(methods=methods) for platform in platforms},
        settings=settings or {},
        secrets=tuple(ProviderSecret(name=secret, used_for="for tests") for secret in secrets),
        sources={},
    )


PROVIDERS: t.Final[Mapping[str, Provider]] = {
    item.id: item
    for item in (
        provider(
            "clamav",
            ("linux",),
            settings={
                "mode": Setting(
                    type="choice", default="prevent", description="what it does", choices=("prevent", "notify")
                ),
                "on_access_paths": Setting(type="list", default=[], description="paths it watches"),
                "memory_mib": Setting(type="number", default=0, description="memory it may take"),
                "quiet": Setting(type="switch", default=False, description="says less"),
            },
        ),
        provider("defender_av", ("windows",), methods=()),
        provider(
            "falcon",
            ("linux", "windows"),
            methods=("url", "file", "share", "host_file"),
            settings={
                "tags": Setting(type="text", default="", description="tags of the sensor", pattern="[a-z,]*"),
                "console": Setting(type="url", default="", description="address of the console", required=True),
                "ports": Setting(type="list", default=[], description="ports", pattern="[0-9]+"),
                "folder": Setting(type="path", default="", description="where it goes"),
            },
            secrets=("CID", "PROVISIONING"),
        ),
        provider("existing", ("linux", "windows"), methods=()),
        provider("none", ("linux", "windows"), methods=()),
    )
}


@dataclasses.dataclass(frozen=True)
class Broken:
    """A policy that must be refused.

    Attributes:
        name: of the case.
        given: its variables.
        variable: the one the error must begin with.
        words: what the error must say: the remedy, and the value where it may be seen.
        extra: names given as extra vars; None for all.
        plan: is it wrong for a plan only?
        known: are providers and products known?
    """

    name: str
    given: Mapping[str, t.Any]
    variable: str
    words: tuple[str, ...]
    extra: frozenset[str] | None = None
    plan: bool = False
    known: bool = False


def _source(**more: t.Any) -> dict[str, t.Any]:
    whole = {"method": "url", "location": "https://files.example/agent.deb", "sha256": SHA256, **more}
    return {"evict_replacement_source": {key: value for key, value in whole.items() if value is not None}}


def _secret(item: object) -> dict[str, t.Any]:
    return {"evict_secrets": {"kes": {"KLPASSWD": item}}}


def _excluded(kind: str, value: object) -> dict[str, t.Any]:
    return {"evict_exclusions": [{"path": "/srv/db"}, {kind: value}]}


def _window(start: str, end: str) -> dict[str, t.Any]:
    return {"evict_windows": [{"start": start, "end": end}]}


_NOBODY: t.Final[frozenset[str]] = frozenset()
_MUST_NAME: t.Final = "must name the secret, not hold it"

BROKEN: t.Final = (
    # --- names
    Broken("typo", {"evict_replacment": "clamav"}, "evict_replacment", ("did you mean `evict_replacement`?",)),
    Broken("typo_purge", {"evict_purgee": "true"}, "evict_purgee", ("did you mean `evict_purge`?",)),
    Broken("no_such_name", {"evict_zzzzzzzz": 1}, "evict_zzzzzzzz", ("docs/variables.md",)),
    Broken("password_as_name", {"evict_password": CANARY}, "evict_password", ("name it in `evict_secrets`",)),
    # --- extra vars only
    Broken("hosts_in_inventory", {"evict_hosts": "all"}, "evict_hosts", ("-e or in a survey", "group_vars"), _NOBODY),
    Broken("consent_in_group_vars", {"evict_consent": "remove"}, "evict_consent", ("extra vars only",), _NOBODY),
    Broken("waves_in_playbook", {"evict_waves": [500]}, "evict_waves", ("extra vars only", "playbook"), _NOBODY),
    # --- words and numbers
    Broken("consent_word", {"evict_consent": "yes"}, "evict_consent", ("known are remove, unprotected", "'yes'")),
    Broken("consent_typo", {"evict_consent": ["remvoe"]}, "evict_consent", ("did you mean 'remove'?",)),
    Broken("consent_switch", {"evict_consent": True}, "evict_consent", ("must be a list", "True")),
    Broken("waves_zero", {"evict_waves": [1, 0]}, "evict_waves", ("`[1]`", "from 1 to 100000", "it is 0")),
    Broken("waves_percent", {"evict_waves": "10%, 50%"}, "evict_waves", ("`[0]`", "whole number of hosts", "'10%'")),
    Broken("waves_empty", {"evict_waves": []}, "evict_waves", ("at least one number",)),
    Broken("failures_word", {"evict_max_failures": "some"}, "evict_max_failures", ("'some'",)),
    Broken("failures_many", {"evict_max_failures": "120%"}, "evict_max_failures", ("120%",)),
    Broken("breaker_word", {"evict_breaker_on": ["failed"]}, "evict_breaker_on", ("'failed'",)),
    Broken("soak_word", {"evict_soak": "1 h"}, "evict_soak", ("'1 h'",)),
    Broken("downloads_zero", {"evict_downloads": 0}, "evict_downloads", ("it is 0",)),
    Broken("prove_word", {"evict_prove": "perhaps"}, "evict_prove", ("'perhaps'",)),
    Broken("hours_zero", {"evict_plan_hours": 0}, "evict_plan_hours", ("from 1 to 720", "it is 0")),
    Broken("hours_year", {"evict_plan_hours": "8760"}, "evict_plan_hours", ("from 1 to 720", "'8760'")),
    Broken("hours_unit", {"evict_plan_hours": "72h"}, "evict_plan_hours", ("whole number of hours", "'72h'")),
    Broken("age_float", {"evict_max_signature_age": 1.5}, "evict_max_signature_age", ("whole number", "1.5")),
    Broken("purge_word", {"evict_purge": "maybe"}, "evict_purge", ("must be true or false", "'maybe'")),
    Broken("purge_number", {"evict_purge": 2}, "evict_purge", ("must be true or false",)),
    Broken("edit_word", {"evict_edit": ["mails"]}, "evict_edit", ("did you mean 'mail'?",)),
    Broken("edit_all", {"evict_edit": True}, "evict_edit", ("True",)),
    Broken("reboot_word", {"evict_reboot": "if_required"}, "evict_reboot", ("did you mean 'if_needed'?",)),
    Broken("reboot_no", {"evict_reboot": False}, "evict_reboot", ("known are never, if_needed, window", "False")),
    Broken("roles_word", {"evict_roles": ["mial"]}, "evict_roles", ("did you mean 'mail'?",)),
    Broken("roles_unknown", {"evict_roles": "database"}, "evict_roles", ("known are mail, proxy, ksc",)),
    Broken("group_path", {"evict_exclusive_group": "a/b"}, "evict_exclusive_group", ("letters, digits", "'a/b'")),
    Broken("waivers_list", {"evict_waivers": ["w.yml"]}, "evict_waivers", ("must be a text",)),
    Broken("approved_lines", {"evict_approved_plan": "a\nb"}, "evict_approved_plan", ("one line",)),
    # --- providers
    Broken(
        "unknown_provider", {"evict_replacement": "clamv"}, "evict_replacement", ("did you mean 'clamav'?",), known=True
    ),
    Broken(
        "provider_elsewhere",
        {"evict_replacement": {"windows": "clamav"}},
        "evict_replacement",
        ("`windows`", "known are defender_av, existing, falcon, none", "'clamav'"),
        known=True,
    ),
    Broken(
        "no_such_platform", {"evict_replacement": {"linus": "clamav"}}, "evict_replacement", ("did you mean 'linux'?",)
    ),
    Broken("provider_list", {"evict_replacement": ["clamav"]}, "evict_replacement", ("name of a provider",)),
    Broken("provider_name", {"evict_fallback": "Clam AV"}, "evict_fallback", ("lower-case letters", "'Clam AV'")),
    Broken(
        "same_twice",
        {"evict_replacement": {"linux": "falcon"}, "evict_fallback": {"linux": "falcon"}},
        "evict_fallback",
        ("`linux`", "another provider than the replacement", "'falcon'"),
    ),
    Broken("nothing_to_plan", {}, "evict_replacement", ("id of a provider", "`existing`", "not given"), plan=True),
    Broken(
        "fallback_missing",
        {"evict_replacement": {"linux": "clamav"}},
        "evict_fallback",
        ("must be named for linux", "`clamav`"),
        plan=True,
    ),
    Broken(
        "none_without_consent",
        {"evict_replacement": "none", "evict_consent": ["remove"]},
        "evict_consent",
        ("must hold `unprotected`", "`evict_replacement` is `none`", "-e or in a survey"),
        plan=True,
    ),
    Broken(
        "fallback_none_without_consent",
        {"evict_replacement": {"linux": "falcon"}, "evict_fallback": {"linux": "none"}},
        "evict_consent",
        ("must hold `unprotected`", "`evict_fallback` is `none`"),
        plan=True,
    ),
    # --- where it comes from
    Broken("source_text", {"evict_replacement_source": "x.deb"}, "evict_replacement_source", ("must be a mapping",)),
    Broken("no_method", _source(method=None), "evict_replacement_source", ("as `method`: one of repository",)),
    Broken("method", _source(method="http"), "evict_replacement_source", ("known are", "host_file", "'http'")),
    Broken("no_hash", _source(sha256=None), "evict_replacement_source", ("must give `sha256`", "'url'")),
    Broken("hash_short", _source(sha256="abc"), "evict_replacement_source", ("64 hexadecimal", "'abc'")),
    Broken("hash_md5", _source(sha256="d" * 32), "evict_replacement_source", ("looks like MD5",)),
    Broken("hash_other", _source(sha256="g" * 64), "evict_replacement_source", ("`sha256`", "64 hexadecimal")),
    Broken("hash_number", _source(sha256=12345), "evict_replacement_source", ("in quotes", "12345")),
    Broken(
        "login_in_address",
        _source(location=f"https://admin:{CANARY}@files.example/a.deb"),
        "evict_replacement_source",
        ("`location`", "must not hold a login"),
    ),
    Broken(
        "odd_login",
        _source(location=f"https://admin:{CANARY}/x@files.example/a.deb"),
        "evict_replacement_source",
        ("`location`", "must be an address"),
    ),
    Broken(
        "token_in_address",
        _source(location=f"https://files.example/a.deb?sv=1&sig={CANARY}"),
        "evict_replacement_source",
        ("`location`", "token or signature"),
    ),
    Broken("no_address", _source(location="files/a.deb"), "evict_replacement_source", ("begins with http://",)),
    Broken(
        "share",
        _source(method="share", location="files.example"),
        "evict_replacement_source",
        (r"\\server\share\file",),
    ),
    Broken("relative", _source(method="host_file", location="a.deb"), "evict_replacement_source", ("absolute path",)),
    Broken("source_password", _source(password=CANARY), "evict_replacement_source", ("'password'", "`evict_secrets`")),
    Broken("source_typo", _source(sha265=SHA256), "evict_replacement_source", ("did you mean 'sha256'?",)),
    Broken("version_float", _source(method="repository", version=1.10), "evict_replacement_source", ("in quotes",)),
    Broken("name_folder", _source(name="../a.deb"), "evict_replacement_source", ("without a folder", "'../a.deb'")),
    Broken(
        "method_of_provider",
        {
            "evict_replacement": {"linux": "falcon"},
            "evict_replacement_source": {"method": "repository"},
            "evict_replacement_settings": {"console": "https://c.example"},
        },
        "evict_replacement_source",
        ("'falcon' can come", "file, host_file, share, url"),
        known=True,
    ),
    Broken("proxy_login", {"evict_proxy": f"http://u:{CANARY}@p.example:1"}, "evict_proxy", ("hold a login",)),
    Broken("proxy_path", {"evict_proxy": "http://p.example:1/x"}, "evict_proxy", ("host and port only",)),
    Broken("proxy_scheme", {"evict_proxy": "p.example:3128"}, "evict_proxy", ("http:// or https://",)),
    # --- settings
    Broken(
        "setting_typo",
        {"evict_replacement": "clamav", "evict_replacement_settings": {"moed": "notify"}},
        "evict_replacement_settings",
        ("`moed`", "did you mean 'mode'?"),
        known=True,
    ),
    Broken(
        "setting_choice",
        {"evict_replacement": "clamav", "evict_replacement_settings": {"mode": "off"}},
        "evict_replacement_settings",
        ("`mode`", "known are prevent, notify", "'off'"),
        known=True,
    ),
    Broken(
        "setting_number",
        {"evict_replacement": "clamav", "evict_replacement_settings": {"memory_mib": "much"}},
        "evict_replacement_settings",
        ("`memory_mib`", "whole number", "'much'"),
        known=True,
    ),
    Broken(
        "setting_required",
        {"evict_replacement": {"linux": "falcon"}, "evict_fallback": {"linux": "clamav"}},
        "evict_replacement_settings",
        ("`console`", "must be given for 'falcon'", "address of the console"),
        known=True,
    ),
    Broken(
        "secret_as_setting",
        {
            "evict_replacement": {"linux": "falcon"},
            "evict_replacement_settings": {"console": "https://c.example", "cid": CANARY},
        },
        "evict_replacement_settings",
        ("`cid`", _MUST_NAME),
        known=True,
    ),
    Broken(
        "token_as_setting",
        {"evict_replacement_settings": {"site_token": CANARY}},
        "evict_replacement_settings",
        ("`site_token`", _MUST_NAME),
    ),
    Broken(
        "setting_deep", {"evict_fallback_settings": {"a": {"b": 1}}}, "evict_fallback_settings", ("`a`", "a mapping")
    ),
    # --- secrets
    Broken("secrets_text", {"evict_secrets": CANARY}, "evict_secrets", (_MUST_NAME,)),
    Broken("secrets_json", {"evict_secrets": f'{{"kes": "{CANARY}"}}'}, "evict_secrets", ("`kes`", _MUST_NAME)),
    Broken("secrets_owner_text", {"evict_secrets": {"kes": CANARY}}, "evict_secrets", ("`kes`", _MUST_NAME)),
    Broken("secret_text", _secret(CANARY), "evict_secrets", ("`kes.KLPASSWD`", _MUST_NAME, "{variable: NAME}")),
    Broken("secret_list", _secret([CANARY]), "evict_secrets", ("`kes.KLPASSWD`", _MUST_NAME)),
    Broken("secret_value", _secret({"value": CANARY}), "evict_secrets", ("exactly one of `variable`",)),
    Broken("secret_variable", _secret({"variable": CANARY}), "evict_secrets", ("name of a variable",)),
    Broken("secret_two", _secret({"variable": "a", "file": "b"}), "evict_secrets", ("exactly one of",)),
    Broken("secret_lookup", _secret({"lookup": f"a b {CANARY}"}), "evict_secrets", ("name of a lookup plugin",)),
    Broken("secret_terms", _secret({"lookup": "x", "terms": {CANARY: 1}}), "evict_secrets", ("`kes.KLPASSWD.terms`",)),
    Broken("terms_alone", _secret({"file": "/x", "terms": [CANARY]}), "evict_secrets", ("goes with `lookup` only",)),
    Broken(
        "secret_option",
        _secret({"lookup": "x", "options": {"token": CANARY}}),
        "evict_secrets",
        ("`kes.KLPASSWD.options.token`", "its own login"),
    ),
    Broken("secret_format", _secret({"file": "/x", "format": "hex"}), "evict_secrets", ("plain, utf16le_hex",)),
    Broken("secret_property", _secret({"file": "/x", "property": "pass"}), "evict_secrets", ("public MSI property",)),
    Broken("secret_key", _secret({"file": "/x", "password": CANARY}), "evict_secrets", ("known are variable, file",)),
    Broken(
        "secret_owner",
        {"evict_secrets": {"ksel": {"X": {"file": "/x"}}}},
        "evict_secrets",
        ("ids of products or providers", "did you mean 'kesl'?"),
        known=True,
    ),
    Broken(
        "secret_of_provider",
        {"evict_secrets": {"falcon": {"CIDD": {"file": "/x"}}}},
        "evict_secrets",
        ("`falcon.CIDD`", "is no secret of 'falcon'"),
        known=True,
    ),
    # --- exclusions
    Broken("exclude_root", _excluded("path", "/"), "evict_exclusions", ("`[1].path`", "whole disk", "'/'")),
    Broken("exclude_drive", _excluded("path", "C:\\"), "evict_exclusions", ("whole disk",)),
    Broken("exclude_star", _excluded("path", "*"), "evict_exclusions", ("absolute path", "'*'")),
    Broken("exclude_all", _excluded("path", "/*"), "evict_exclusions", ("whole disk",)),
    Broken("exclude_relative", _excluded("path", "srv/db"), "evict_exclusions", ("absolute path", "'srv/db'")),
    Broken("exclude_system", _excluded("path", "C:\\windows"), "evict_exclusions", ("part of the system",)),
    Broken("exclude_temp", _excluded("path", "/tmp/work"), "evict_exclusions", ("/tmp", "everybody may write")),
    Broken("exclude_exe", _excluded("extension", ".exe"), "evict_exclusions", ("programs or archives", "'.exe'")),
    Broken("exclude_shell", _excluded("process", "/bin/bash"), "evict_exclusions", ("malware runs through it",)),
    Broken("exclude_kind", _excluded("paths", "/srv"), "evict_exclusions", ("did you mean 'path'?",)),
    Broken("exclude_text", {"evict_exclusions": "/srv"}, "evict_exclusions", ("must be a list", "'/srv'")),
    # --- windows
    Broken(
        "window_past",
        _window("2020-01-05T22:00:00Z", "2020-01-06T04:00:00Z"),
        "evict_windows",
        ("not over yet", "2020-01-06T04:00:00"),
    ),
    Broken("window_local", _window("2030-01-05T22:00", "2030-01-06T04:00"), "evict_windows", ("`[0].start`", "offset")),
    Broken(
        "window_backwards",
        _window("2030-01-05T22:00:00+01:00", "2030-01-05T21:00:00+01:00"),
        "evict_windows",
        ("`[0].end`", "after `start`"),
    ),
    Broken("window_words", _window("tonight", "tomorrow"), "evict_windows", ("`[0].start`", "'tonight'")),
    Broken("window_keys", {"evict_windows": [{"from": "x"}]}, "evict_windows", ("exactly `start` and `end`",)),
    Broken("window_none", {"evict_reboot": "window"}, "evict_reboot", ("`evict_windows` must say when",)),
)
