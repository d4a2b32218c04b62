# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user may write, in all the forms YAML, `-e` and surveys give it, and what the policy makes of it."""

from __future__ import annotations

import dataclasses
import datetime
import json
import typing as t

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.evict.kaspersky.plugins.plugin_utils import policy, policy_roles, providers
from ansible_collections.evict.kaspersky.plugins.plugin_utils.catalog import Catalog, Guard
from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy import (
    FALLBACKS,
    VARIABLES,
    Exclusion,
    Policy,
    PolicyError,
    SecretRef,
    Window,
)
from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy_checks import SECRET_NAME
from ansible_collections.evict.kaspersky.plugins.plugin_utils.provider import Source
from tests.policies import CANARY, PRODUCTS, PROVIDERS, SHA256

NOW = datetime.datetime(2027, 1, 1, tzinfo=datetime.UTC)
START = datetime.datetime(2030, 1, 5, 21, tzinfo=datetime.UTC)
END = datetime.datetime(2030, 1, 6, 3, tzinfo=datetime.UTC)
WINDOW = (Window(START, END),)

GOOD: list[tuple[str, object, object]] = [
    ("evict_consent", "remove, unprotected", {"remove", "unprotected"}),
    ("evict_consent", "[remove]", {"remove"}),
    ("evict_consent", "", frozenset()),
    ("evict_waves", "1, 10 50", (1, 10, 50)),
    ("evict_waves", 5, (5,)),
    ("evict_waves", ["1", 2], (1, 2)),
    ("evict_plan_hours", "72", 72),
    ("evict_plan_hours", 720, 720),
    ("evict_purge", "False", False),
    ("evict_purge", "yes", True),
    ("evict_reboot", " window ", "window"),
    ("evict_exclusive_group", 7, "7"),
    ("evict_roles", "svm", {"ksv-is"}),
    ("evict_roles", "mail_path,kuma", {"mail_path", "kuma"}),
    ("evict_replacement", {"linux": "clamav"}, {"linux": "clamav"}),
    ("evict_replacement", '{"linux": "clamav"}', {"linux": "clamav"}),
    ("evict_replacement", "existing", {"linux": "existing", "windows": "existing"}),
    ("evict_replacement", "", {}),
    ("evict_replacement_source", {}, None),
    (
        "evict_replacement_source",
        {"method": "repository", "version": "1.10"},
        Source(method="repository", version="1.10"),
    ),
    (
        "evict_replacement_source",
        {"method": "file", "location": "files/a.msi", "sha256": f"sha256:{SHA256.upper()}", "signer": "CN=Example"},
        Source(method="file", location="files/a.msi", sha256=SHA256, signer="CN=Example"),
    ),
    (
        "evict_fallback_source",
        {"method": "share", "location": "//server/share/dir/a.msi", "sha256": SHA256},
        Source(method="share", location=r"\\server\share\dir\a.msi", sha256=SHA256),
    ),
    (
        "evict_fallback_source",
        {"method": "mirror", "location": "file:///srv/mirror"},
        Source(method="mirror", location="file:///srv/mirror"),
    ),
    (
        "evict_fallback_source",
        {"method": "host_file", "location": r"D:\files\a.exe", "sha256": SHA256},
        Source(method="host_file", location=r"D:\files\a.exe", sha256=SHA256),
    ),
    ("evict_windows", {"start": START, "end": END}, WINDOW),
    ("evict_windows", [{"start": "2030-01-05T22:00:00+01:00", "end": "2030-01-06T03:00:00Z"}], WINDOW),
    ("evict_windows", "2030-01-05T21:00Z/2030-01-06T03:00Z", WINDOW),
    ("evict_windows", "[{start: 2030-01-05T22:00:00+01:00, end: 2030-01-06T03:00:00Z}]", WINDOW),
    ("evict_proxy", "http://proxy.example:3128/", "http://proxy.example:3128"),
    ("evict_proxy", "", ""),
    ("evict_secrets", "", {}),
    (
        "evict_secrets",
        {"kes": {"KLPASSWD": {"variable": "vault_kes", "property": "KLPASSWD"}}},
        {"kes": {"KLPASSWD": SecretRef("variable", "vault_kes", property="KLPASSWD")}},
    ),
    (
        "evict_secrets",
        '{"klnagent": {"KLUNINSTPASSWD": {"file": "/etc/x y", "format": "utf16le_hex"}}}',
        {"klnagent": {"KLUNINSTPASSWD": SecretRef("file", "/etc/x y", format="utf16le_hex")}},
    ),
    (
        "evict_secrets",
        {"falcon": {"CID": {"lookup": "a.b.c", "terms": "x", "options": {"url": "https://v.example"}}}},
        {"falcon": {"CID": SecretRef("lookup", "a.b.c", ("x",), {"url": "https://v.example"})}},
    ),
    (
        "evict_exclusions",
        [{"path": "/srv//db/"}, {"path": "d:/db/*.mdf"}, {"process": "sqlservr.exe"}, {"extension": "*.MDF"}],
        (
            Exclusion("path", "/srv/db"),
            Exclusion("path", r"D:\db\*.mdf"),
            Exclusion("process", "sqlservr.exe"),
            Exclusion("extension", "mdf"),
        ),
    ),
]


@pytest.mark.parametrize(("name", "value", "want"), GOOD)
def test_values_a_user_may_write(name: str, value: object, want: object) -> None:
    more: dict[str, object] = {"evict_windows": {"start": START, "end": END}} if name == "evict_reboot" else {}
    assert getattr(policy.validate({**more, name: value}, now=NOW), VARIABLES[name].field) == want


def test_nothing_said_is_the_default_in_every_form() -> None:
    assert policy.validate({}) == Policy()
    for name in ("evict_consent", "evict_replacement", "evict_secrets", "evict_exclusions", "evict_windows"):
        assert policy.validate({name: ""}) == Policy()
    policy_of_defaults = {name: getattr(Policy(), v.field) for name, v in VARIABLES.items()}
    assert policy.validate(policy_of_defaults) == Policy()


# ---- providers


def test_one_provider_is_for_every_platform_it_supports() -> None:
    found = policy.validate({"evict_replacement": "clamav", "evict_fallback": "existing"}, providers=PROVIDERS)
    assert found.replacement == {"linux": "clamav"}
    assert found.fallback == {"linux": "existing", "windows": "existing"}


@pytest.mark.parametrize("name", PROVIDERS)
def test_the_usual_fallback_is_filled_in_but_where_it_is_the_replacement(name: str) -> None:
    found = policy.validate(
        {
            "evict_replacement": name,
            "evict_replacement_settings": {"console": "https://c.example"} if name == "falcon" else {},
        },
        providers=PROVIDERS,
    )
    assert set(found.replacement) == set(PROVIDERS[name].platforms)
    for platform in found.replacement:
        want = None if name in ("none", FALLBACKS[platform]) else FALLBACKS[platform]
        assert found.fallback.get(platform) == want


def test_a_fallback_that_is_not_there_is_not_filled_in_but_asked_for() -> None:
    few = {"falcon": dataclasses.replace(PROVIDERS["falcon"], settings={})}
    found = policy.validate({"evict_replacement": {"linux": "falcon"}}, providers=few)
    assert found.fallback == {}
    with pytest.raises(PolicyError, match="must be named for linux, since the usual one, `clamav`, is not there"):
        policy.for_plan(found)


@pytest.mark.parametrize(
    ("replacement", "fallback", "consent"),
    [("falcon", "", ""), ("clamav", "existing", ""), ("none", "", "unprotected"), ("existing", "none", "unprotected")],
)
def test_what_a_plan_may_be_made_with(replacement: str, fallback: str, consent: str) -> None:
    given = {"evict_replacement": replacement, "evict_fallback": fallback, "evict_consent": consent}
    known = {name: dataclasses.replace(item, settings={}) for name, item in PROVIDERS.items()}
    found = policy.validate(given, providers=known, plan=True)
    policy.for_plan(found)
    assert not set(found.replacement.items()) & set(found.fallback.items())


def test_settings_come_in_their_types_and_only_of_the_host_must_be_complete() -> None:
    given = {
        "evict_replacement": {"linux": "clamav", "windows": "falcon"},
        "evict_fallback": {"linux": "existing"},
        "evict_replacement_settings": {"on_access_paths": "/srv, /home/app", "memory_mib": "512", "quiet": "yes"},
    }
    found = policy.validate(given, providers=PROVIDERS, platform="linux")
    assert found.replacement_settings == {"on_access_paths": ["/srv", "/home/app"], "memory_mib": 512, "quiet": True}
    with pytest.raises(PolicyError, match="`console` must be given for 'falcon'"):
        policy.validate(given, providers=PROVIDERS, platform="windows")
    given["evict_replacement_settings"] = {"console": "https://c.example", "tags": "a,b", "folder": r"C:\x"}
    assert policy.validate(given, providers=PROVIDERS).replacement_settings == given["evict_replacement_settings"]


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"console": f"https://u:{CANARY}@c.example"}, "`console` must not hold a login"),
        ({"console": CANARY}, "`console` must be an address"),
        ({"folder": CANARY}, "`folder` must be an absolute path"),
        ({"tags": [CANARY]}, "`tags` must be a text"),
        ({"ports": ["1", CANARY]}, "`ports` must have the form"),
        ({"tags": CANARY}, r"`tags` must have the form '\[a-z,\]\*': tags of the sensor"),
        ({"tags": f"{CANARY}\n"}, "`tags` must be one line"),
        ({"PROVISIONING": CANARY}, "`PROVISIONING` must name the secret, not hold it"),
        ({"zzz": CANARY}, "`zzz` is no setting of 'falcon'"),
    ],
)
def test_a_wrong_setting_is_named_and_free_texts_are_not_shown(setting: dict[str, object], words: str) -> None:
    given = {"evict_replacement": "falcon", "evict_replacement_settings": {"console": "https://c.example", **setting}}
    with pytest.raises(PolicyError, match=words) as caught:
        policy.validate(given, providers=PROVIDERS)
    assert CANARY not in str(caught.value)


def test_settings_without_a_provider_are_refused() -> None:
    with pytest.raises(PolicyError, match="has no provider to go to: name it in `evict_fallback`"):
        policy.validate({"evict_fallback_settings": {"mode": "x"}}, providers=PROVIDERS)


def test_owners_of_secrets_are_products_and_providers() -> None:
    where = {"file": "/x"}
    given = {"evict_secrets": {"kes": {"ANY": where}, "falcon": {"CID": where}}}
    assert set(policy.validate(given, providers=PROVIDERS, products=PRODUCTS).secrets) == {"kes", "falcon"}


# ---- the providers of the collection

REAL: t.Final = providers.load()
NEEDED: t.Final[dict[str, dict[str, object]]] = {
    "existing": {"service_names": ["av.service"]},
    "package": {"service_names": "av", "active_program": "/opt/av/status", "active_contains": "on"},
}


@pytest.mark.parametrize("name", REAL)
def test_every_provider_of_the_collection_can_be_named_with_its_own_defaults(name: str) -> None:
    item = REAL[name]
    defaults = {key: setting.default for key, setting in item.settings.items()} | NEEDED.get(name, {})
    secrets = {name: {secret.name: {"variable": "x"} for secret in item.secrets}} if item.secrets else {}
    found = policy.validate(
        {
            "evict_replacement": name,
            "evict_fallback": {p: "existing" for p in item.platforms if FALLBACKS[p] == name},
            "evict_replacement_settings": defaults,
            "evict_fallback_settings": NEEDED["existing"] if name in FALLBACKS.values() else {},
            "evict_secrets": secrets,
            "evict_consent": "unprotected" if name == "none" else "",
        },
        providers=REAL,
        products=PRODUCTS,
        plan=True,
    )
    assert set(found.replacement) == set(item.platforms)
    assert set(found.replacement_settings) == set(defaults)
    for key, setting in item.settings.items():
        if key not in NEEDED.get(name, {}):
            want = list(setting.default) if setting.type == "list" else setting.default
            assert found.replacement_settings[key] == want, key


def test_the_usual_fallbacks_are_there_and_no_setting_is_taken_for_a_secret() -> None:
    assert not [key for item in REAL.values() for key in item.settings if SECRET_NAME.search(key)]
    assert all(platform in REAL[name].platforms for platform, name in FALLBACKS.items())


def test_a_way_only_the_other_platform_has_is_no_way() -> None:
    given: dict[str, object] = {
        "evict_replacement": {"linux": "falcon"},
        "evict_replacement_source": {"method": "share", "location": r"\\server\share\a.exe", "sha256": SHA256},
    }
    with pytest.raises(PolicyError, match=r"`method` must be a way 'falcon' can come: known there are file, host_file"):
        policy.validate(given, providers=REAL)
    given["evict_replacement"] = {"linux": "falcon", "windows": "falcon"}
    assert policy.validate(given, providers=REAL).replacement_source


# ---- windows


def test_windows_of_which_one_is_still_to_come_are_taken_and_the_clock_decides() -> None:
    past = {"start": "2026-01-05T22:00Z", "end": "2026-01-06T04:00Z"}
    found = policy.validate({"evict_windows": [past, {"start": START, "end": END}]}, now=NOW)
    assert len(found.windows) == 2
    with pytest.raises(PolicyError, match="not over yet"):
        policy.validate({"evict_windows": [past]}, now=NOW)
    assert policy.validate({"evict_windows": past}, now=datetime.datetime(2026, 1, 6, tzinfo=datetime.UTC)).windows


@given(st.datetimes(timezones=st.timezones() | st.just(datetime.UTC), allow_imaginary=False))
def test_any_time_zone_comes_out_as_utc(start: datetime.datetime) -> None:
    try:
        utc = start.astimezone(datetime.UTC)
        end = utc + datetime.timedelta(hours=1)
    except OverflowError:
        return
    text = start.isoformat()
    given_ = {"evict_windows": [{"start": text, "end": end.isoformat()}]}
    now = datetime.datetime.min.replace(tzinfo=datetime.UTC)
    found = policy.validate(given_, now=now).windows[0]
    assert (found.start, found.end) == (utc, end)
    assert found.start.tzinfo is datetime.UTC


# ---- roles


def test_every_product_that_needs_an_opt_in_stands_under_a_role(catalog: Catalog) -> None:
    known = policy_roles.known()
    listed = {product for products in known.values() for product in products}
    needing = {e.id for e in catalog.entries if e.removal.guarded or e.family in ("server", "mail", "proxy")}
    assert listed == needing
    assert t.get_args(Guard) == policy_roles.GUARDS
    assert not set(known) & set(policy_roles.GUARDS)
    for word, guard in (("mail", "mail_path"), ("proxy", "proxy_path")):
        assert set(known[word]) == {e.id for e in catalog.entries if guard in e.removal.guarded}


# ---- no value makes the check itself fail

WORDS = [
    "linux",
    "windows",
    "clamav",
    "none",
    "method",
    "url",
    "location",
    "sha256",
    SHA256,
    "https://h.example/x",
    "path",
]
WORDS += ["/", "C:\\", "/srv/db", "process", "extension", "start", "end", "2030-01-05T22:00:00Z", "kes", "KLPASSWD"]
WORDS += ["variable", "file", "lookup", "terms", "options", "remove", "true", "1,2", "{a: b}", "[[", "&a [*a]", "mail"]
TEXT = st.sampled_from(WORDS) | st.text(max_size=12)
ANY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | TEXT
    | st.datetimes()
    | st.dates()
    | st.binary(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT | st.integers(), inner, max_size=4),
    max_leaves=8,
)


@given(
    st.dictionaries(st.sampled_from([*VARIABLES, "evict_x"]), ANY, max_size=4),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_no_value_makes_the_check_itself_fail(given_: dict[str, t.Any], known: bool, extra: bool, plan: bool) -> None:
    try:
        found = policy.validate(
            given_,
            extra=() if extra else None,
            providers=PROVIDERS if known else None,
            products=PRODUCTS if known else None,
            plan=plan,
            where=lambda name, place: "x.yml:1",
        )
    except PolicyError as exc:
        for line in str(exc).splitlines():
            assert line.startswith("`evict_")
            assert line.endswith("; see x.yml:1")
            assert len(line) < 1000
        return
    assert set(found.replacement) <= {"linux", "windows"}
    assert not set(found.replacement.items()) & set(found.fallback.items())
    assert all(window.start < window.end for window in found.windows)
    assert not found.proxy or "@" not in found.proxy
    assert not plan or found.replacement


def planted(path: tuple[str | int, ...], value: object, canary: str) -> object:
    """A value with a canary in the place that the path leads to, whatever is there."""
    if not path:
        return canary
    first, rest = path[0], path[1:]
    if isinstance(value, dict):
        return {**value, first: planted(rest, value.get(first), canary)}
    return {first: planted(rest, None, canary)}


@given(
    st.lists(st.sampled_from(["kes", "KLPASSWD", "variable", "lookup", "options", "x", "file", "terms"]), max_size=4),
    ANY,
    st.sampled_from([lambda v: v, json.dumps, yaml.safe_dump]),
)
def test_a_secret_in_any_place_of_the_secrets_is_never_shown(path: list[str], base: object, form: t.Any) -> None:
    value = planted(tuple(path), base, f"{CANARY} {CANARY}")
    try:
        value = form(value)
    except (TypeError, ValueError, yaml.YAMLError):
        return
    said = ""
    try:
        policy.validate({"evict_secrets": value}, providers=PROVIDERS, products=PRODUCTS)
    except PolicyError as exc:
        said = str(exc)
    assert CANARY not in said


@pytest.mark.parametrize("blank", ["", "  "])
def test_what_a_survey_leaves_empty_is_not_given(blank: str) -> None:
    """AWX hands over an empty text for each optional question nobody answered."""
    answered = {name: blank for name in VARIABLES if name not in ("evict_hosts", "evict_fail_on")}
    assert policy.validate(answered, extra=set(answered)) == Policy()
    with pytest.raises(PolicyError, match="must name hosts"):
        policy.validate({"evict_hosts": blank}, extra={"evict_hosts"})
