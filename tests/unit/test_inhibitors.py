# SPDX-License-Identifier: GPL-3.0-or-later
"""Inhibitors together: all of them are told, waivers lift what they may, unknown is never clean, nothing raises."""

from __future__ import annotations

import dataclasses
import datetime
import json
import re
import typing as t

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.evict.kaspersky.plugins.plugin_utils import inhibitors, knowledge
from ansible_collections.evict.kaspersky.plugins.plugin_utils.assess import assess
from ansible_collections.evict.kaspersky.plugins.plugin_utils.catalog import Entry
from ansible_collections.evict.kaspersky.plugins.plugin_utils.inhibitors_base import LIMIT, LONGEST, joined
from ansible_collections.evict.kaspersky.plugins.plugin_utils.observation import (
    PREFLIGHT,
    PROBES,
    Observation,
    Probe,
    from_dict,
)
from ansible_collections.evict.kaspersky.plugins.plugin_utils.plan import Hit
from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy_types import Window
from tests import cases, tree
from tests.inhibiting import covers, hosts, products
from tests.inhibiting.shared import Args, defender

ROWS = [*products.ROWS, *hosts.ROWS, *covers.ROWS]
CLEAN = [pytest.param(e, id=f"{e.platform}/{e.id}") for p in ("linux", "windows") for e in cases.entries(p)]


def ids(hits: t.Iterable[Hit]) -> list[str]:
    return [hit.id for hit in hits]


@pytest.mark.parametrize("entry", CLEAN)
def test_on_a_host_without_trouble_only_the_product_itself_is_one(entry: Entry) -> None:
    found = {hit.id for hit in inhibitors.find(cases.case(entry.platform, products=[entry.id]))}
    own = {"no_automatic_removal", "server_role", "kaspersky_encryption", "integration_in_use"}
    # Windows services that the fixtures do not hold as programs with a code stay for a person.
    assert found <= own, found
    assert ("no_automatic_removal" in found) >= (entry.removal.strategy == "manual")
    assert ("server_role" in found) == bool(entry.removal.guarded or entry.family in ("server", "mail", "proxy"))
    assert ("kaspersky_encryption" in found) == (entry.id == "kes-aes")


def test_names_texts_and_platforms() -> None:
    assert len(set(inhibitors.IDS)) == len(inhibitors.IDS)
    for inhibitor in inhibitors.INHIBITORS:
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", inhibitor.id)
        texts = (inhibitor.title, inhibitor.looks_at, inhibitor.remedy, inhibitor.why)
        assert all(texts), inhibitor.id
        assert not any("\n" in text or text.endswith(".") for text in texts), inhibitor.id
        assert set(inhibitor.platforms) <= {"linux", "windows", "macos"}
    assert not {"kaspersky_encryption", "artifact_unfit", "waiver_expired", "server_role"} & inhibitors.WAIVABLE


def test_all_are_told_not_the_first() -> None:
    made = cases.case(
        products=["klms", "klnagent64"],
        probes={
            "reboot": [{"cause": "packages", "detail": "libc6"}],
            "tools": (),
            "egress": "hung",
            "space": [{"path": "/", "free_mib": "3"}],
        },
        fallback=None,
    )
    found = inhibitors.find(made)
    wanted = {
        *("server_role", "tools_missing", "pending_reboot", "no_room", "cover_unreachable", "fallback_missing"),
    }
    assert set(ids(found)) == wanted
    assert ids(found) == [id for id in inhibitors.IDS if id in wanted]


def test_what_is_seen_twice_stands_in_one_hit() -> None:
    causes = [{"cause": "packages", "detail": f"package {n}"} for n in range(LIMIT + 3)]
    (hit,) = inhibitors.find(cases.case(probes={"reboot": [*causes, causes[0]]}))
    assert hit.diagnosis.count("a restart is pending") == LIMIT
    assert hit.diagnosis.endswith("and 3 more")
    assert hit.remedy.count("restart the host") == 1
    assert joined(["x" * 9999]) == "x" * (LONGEST - 3) + "..."


@pytest.mark.parametrize(("id", "fires"), [pytest.param(r[0], r[1], id=f"{n}-{r[0]}") for n, r in enumerate(ROWS)])
def test_a_waiver_lifts_only_what_may_be_waived(id: str, fires: Args) -> None:
    changed = {**fires.get("found", {}), "waived": {id: cases.WAIVER, "no_such_inhibitor": cases.WAIVER}}
    found = inhibitors.find(cases.case(**{**fires, "found": changed}))
    plain = inhibitors.find(cases.case(**fires))
    assert sorted(ids(found)) == sorted(ids(plain))
    blocking = [hit for hit in found if hit.waived is None]
    assert list(found) == blocking + [hit for hit in found if hit.waived is not None]
    hit = next(hit for hit in found if hit.id == id)
    assert hit.waivable is (id in inhibitors.WAIVABLE)
    if hit.waivable:
        assert hit.waived == cases.WAIVER
        assert hit not in blocking
    else:
        assert hit.waived is None
        assert f"the waiver of {cases.WAIVER.owner} lifts nothing here" in hit.diagnosis
    assert all(other.waived is None for other in found if other.id != id)


def test_where_a_plan_would_do_nothing_nothing_is_in_the_way() -> None:
    trouble: dict[str, t.Any] = dict.fromkeys(PREFLIGHT["linux"], "hung") | {
        "reboot": "hung",
        "protection": [{"kind": "fanotify", "exe": "/opt/x/guardd", "comm": "guardd", "mode": "permission"}],
    }
    made = cases.case(products=[], probes=trouble, policy={"windows": (Window(cases.NOW, cases.NOW),)})
    assert (made.assessment.verdict, made.assessment.context.protection) == ("absent", "active")
    assert inhibitors.find(made) == ()
    # One that nothing protects gets a cover, so all that a cover needs is asked for.
    bare = cases.case(products=[], probes={**trouble, "protection": ()})
    found = set(ids(inhibitors.find(bare)))
    # An installation may ask for a restart as much as a removal does.
    assert {"cover_unreachable", "no_room", "pending_reboot", "logged_on_sessions"} <= found
    assert not found & {"quarantine_content", "obstacle"}
    # Nothing is planned for the unknown.
    unknown = cases.case(products=[], probes={**trouble, "packages.dpkg": "denied"})
    assert unknown.assessment.verdict == "unknown"
    assert inhibitors.find(unknown) == ()


RICH: dict[str, Args] = {
    "linux": {"products": ["kesl", "klnagent64"]},
    "windows": {**defender(), "products": ["kes", "klnagent", "kpm"], "probes": {}},
}
# `limits` is what a step of a provider raises itself; Windows' tools belong to Windows; a replacement of which `cover`
# cannot tell that it is healthy is brought; what `job` says is for the desk.
NOT_ASKED = {("linux", "limits"), ("windows", "tools"), ("linux", "cover"), ("linux", "job")}
CONTEXT = {
    "linux": ("reboot", "protection", "peers", "lines"),
    "windows": ("reboot", "protection", "roles", "sessions"),
}


@pytest.mark.parametrize(
    ("platform", "probe"),
    [
        pytest.param(platform, probe, id=f"{platform}-{probe}")
        for platform in ("linux", "windows")
        for probe in (*PREFLIGHT[platform], *CONTEXT[platform])
        if (platform, probe) not in NOT_ASKED
    ],
)
def test_a_probe_that_could_not_tell_is_in_the_way(platform: str, probe: str) -> None:
    args = {"platform": platform, **RICH[platform]}
    assert ids(inhibitors.find(cases.case(**args))) == []
    for answer, words in (("it hung", "it hung"), (None, "the host was not asked")):
        found = inhibitors.find(cases.case(**{**args, "probes": {probe: answer}}))
        assert found, probe
        assert any(words in hit.diagnosis and "could not tell" in hit.diagnosis for hit in found)


def test_a_mac_is_told_the_script_of_its_own_product() -> None:
    base = "/Library/Application Support/Kaspersky Lab"
    scripts = [f"{base}/{part}/Binaries/UninstallScript" for part in ("klnagent", "KAV")]
    made = cases.case(
        "macos",
        products=["kav", "klnagent"],
        probes={"paths": [{"path": p, "type": "file", "executable": "yes"} for p in scripts]},
    )
    (hit,) = inhibitors.find(made)
    assert hit.id == "unsupported_platform"
    assert f"sudo '{scripts[1]}' and then sudo '{scripts[0]}'" in hit.remedy


def test_two_hosts_with_one_machine_id() -> None:
    found = inhibitors.duplicates({"b": "ID-1", "a": " id-1", "c": "id-2", "d": "", "e": ""})
    assert found == {
        "a": "its machine id id-1 is also that of b",
        "b": "its machine id id-1 is also that of a",
    }
    many = inhibitors.duplicates({f"h{n}": "x" for n in range(9)})
    assert many["h0"].endswith("h1, h2, h3, h4, h5 and 3 more")
    hit = inhibitors.hit("duplicate_machine_id", found["a"], {"duplicate_machine_id": cases.WAIVER})
    assert (hit.waivable, hit.waived) == (False, None)
    with pytest.raises(KeyError):
        inhibitors.hit("no_such", "x")


@pytest.mark.parametrize(
    ("hours", "words"),
    [
        ((-1, 1), ""),
        ((0, 1), ""),
        ((-1, 0), "none is to come"),
        ((1, 2), "the next one begins at 2030-05-06T08:08:09Z"),
    ],
)
def test_a_window_at_the_time_of_the_act(hours: tuple[int, int], words: str) -> None:
    start, end = (cases.NOW + datetime.timedelta(hours=hour) for hour in hours)
    policy = cases.default_policy("linux", windows=(Window(start, end),))
    told = inhibitors.closed(policy, cases.NOW)
    assert words in told
    assert bool(told) is bool(words)
    assert inhibitors.closed(cases.default_policy("linux"), cases.NOW) == ""


# --- hostile answers

_KEYS = st.sampled_from(
    [
        *("kind", "name", "state", "path", "free_mib", "options", "package", "candidate", "fault", "endpoint", "port"),
        *("allowed", "profile", "code", "level", "property", "value", "role", "source", "user", "exe", "comm", "mode"),
        *("volume", "method", "status", "detail", "files", "memory_mib", "cause", "key", "root", "value.OPEP", "x"),
    ]
)
_TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        [
            *(
                "manager",
                "busy",
                "broken",
                "held",
                "apt",
                "kesl",
                "klnagent",
                "fanotify",
                "permission",
                "on",
                "-1",
                "1e9",
            ),
            *(
                "9" * 40,
                "٣",
                "sql",
                "missing",
                "5986",
                "no",
                "unknown",
                "BitLocker",
                "Kaspersky",
                "\n\x1b[31m",
                "a;b" * 99,
            ),
        ]
    ),
)
_PROBES = st.builds(
    lambda status, records: Probe(status, "hostile" if status == "unknown" else "", tuple(records)),
    st.sampled_from(["ok", "absent", "unknown"]),
    st.lists(st.dictionaries(_KEYS, _TEXTS, max_size=6), max_size=4),
)


def _hostile(platform: str, answers: t.Mapping[str, Probe]) -> Observation:
    base = cases.observe(platform, cases.signs(platform, {"linux": "kesl", "windows": "kes"}[platform]))
    return dataclasses.replace(base, probes={**base.probes, **answers})


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), platform=st.sampled_from(["linux", "windows"]))
def test_hostile_answers_never_raise_and_always_give_the_same(data: st.DataObject, platform: str) -> None:
    names = st.sampled_from([*PREFLIGHT[platform], *PROBES[platform]])
    seen = _hostile(platform, data.draw(st.dictionaries(names, _PROBES, max_size=6)))
    base = cases.case(platform, products=[{"linux": "kesl", "windows": "kes"}[platform]])
    made = dataclasses.replace(base, seen=seen, assessment=assess(seen, knowledge.catalog()))
    first, second = inhibitors.find(made), inhibitors.find(made)
    assert first == second
    assert len(ids(first)) == len(set(ids(first)))
    for hit in first:
        assert hit.id in inhibitors.IDS
        assert 0 < len(hit.diagnosis) <= (LIMIT + 1) * (LONGEST + 2) + 200
        assert hit.remedy


# --- whole answers of Windows hosts

ALWAYS = {"lock_unknown"}  # no secret is given
FIXTURES = {
    "kes": {*ALWAYS, "logged_on_sessions", "other_scanner"},
    "hand-kes-with-drivers": {*ALWAYS, "logged_on_sessions"},
    "hand-agent-on-domain-controller": {
        *ALWAYS,
        *("managed_by_ksc", "pending_reboot", "role_without_exclusions", "role_without_exclusive_group"),
        *("logged_on_sessions", "other_scanner"),
    },
    "server": {"pending_reboot", "role_without_exclusions", "other_scanner", "logged_on_sessions"},
    "hand-denied-key": set(),  # unknown: nothing is planned
}


@pytest.mark.parametrize("name", FIXTURES)
def test_whole_answers(name: str) -> None:
    path = tree.ROOT / "tests" / "fixtures" / "windows" / f"{name}.json"
    told = from_dict(json.loads(path.read_text(encoding="utf-8")))
    base = cases.case("windows", products=[])
    preflight = {probe: base.seen.probes[probe] for probe in PREFLIGHT["windows"]}
    seen = dataclasses.replace(told, probes={**told.probes, **preflight})
    made = dataclasses.replace(base, seen=seen, assessment=assess(seen, knowledge.catalog()))
    assert set(ids(inhibitors.find(made))) == FIXTURES[name]
