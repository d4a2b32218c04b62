# SPDX-License-Identifier: GPL-3.0-or-later
"""What products left in other services: nothing is changed but by opt-in, and then only what was seen, as seen."""

from __future__ import annotations

import dataclasses
import re
import typing as t
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.evict.kaspersky.plugins.plugin_utils import catalog_services, job, knowledge, planner
from ansible_collections.evict.kaspersky.plugins.plugin_utils.case import Case
from ansible_collections.evict.kaspersky.plugins.plugin_utils.catalog_services import EDITS
from ansible_collections.evict.kaspersky.plugins.plugin_utils.plan import Plan, Step
from ansible_collections.evict.kaspersky.plugins.plugin_utils.signals_posix import LineSignal, TrustAnchorSignal
from tests import cases, tree

MAIN, MASTER, SQUID = "/etc/postfix/main.cf", "/etc/postfix/master.cf", "/etc/squid/squid.conf"
FILTER = "content_filter = klms_postfix-afterqueue:[127.0.0.1]:10025"
BLOCK = ["#klms-begin-afterqueue-filter", FILTER, "#klms-end-afterqueue-filter"]
ALL = frozenset(EDITS)
Lines = dict[str, list[str]]


def host(
    lines: Lines | None = None, *, edit: frozenset[str] = ALL, anchors: tuple[str, ...] = (), **more: t.Any
) -> Case:
    """A host on which these lines were seen, and certificates at these places."""
    (mark, *_others) = _trust().literals()["trust"]
    probes = {
        "lines": [{"file": file, "text": text} for file, texts in (lines or {}).items() for text in texts],
        "trust": [{"path": path, "match": mark} for path in anchors],
    }
    more.setdefault("products", [])
    policy = {"edit": edit, "consent": frozenset({"remove", "unprotected"}), **more.pop("policy", {})}
    return cases.case(probes=probes, policy=policy, **more)


def _trust() -> TrustAnchorSignal:
    entry = knowledge.catalog().entry("linux", "kaspersky")
    (signal,) = [s for s in entry.signals if isinstance(s, TrustAnchorSignal)]
    return signal


def edits(plan: Plan) -> list[Step]:
    return [step for step in plan.steps if step.kind in ("edit_lines", "remove_anchors")]


def by_hand(plan: Plan, what: str) -> tuple[str, str]:
    """Why and remedy of the one item about it."""
    (found,) = [item for item in plan.manual if what in item.what]
    return found.why, found.remedy


def test_without_the_word_everything_stays_and_the_remedy_names_it() -> None:
    for edit in (frozenset(), frozenset({"proxy", "trust_store"})):
        plan = planner.plan(host({MAIN: BLOCK}, edit=frozenset(edit)))
        assert edits(plan) == []
        for line in BLOCK:
            why, remedy = by_hand(plan, line)
            assert "`evict_edit` does not name `mail`" in why
            assert "add `mail` to `evict_edit`" in remedy
            assert "postfix check" in remedy


def test_the_seen_lines_go_and_no_other() -> None:
    plan = planner.plan(host({MASTER: [BLOCK[0], "klms_postfix-afterqueue unix - - n - 10 smtp"], MAIN: BLOCK}))
    main, master = edits(plan)
    assert (main.phase, main.target, main.condition.name) == ("finish", MAIN, "always")
    assert (main.args["lines"], main.args["becomes"]) == (tuple(BLOCK), ("-", "-", "-"))
    assert main.args["checks"] == ("postconf -n", "postconf -M", "postfix check")
    assert (master.target, master.args["becomes"]) == (MASTER, ("-", "-"))
    assert all(line in main.reason for line in BLOCK)
    assert [item.what for item in plan.manual if "klms" in item.what] == []
    assert " edit_lines " in job.compile_job(plan, "finish").posix()


def test_lines_wait_for_the_product_to_be_gone() -> None:
    case = host({MAIN: BLOCK}, products=["klms"], policy={"roles": frozenset({"klms"})})
    plan = planner.plan(case)
    assert plan.state == "act", plan.inhibitors
    (step,) = edits(plan)
    assert (step.condition.name, step.condition.of) == ("product_absent", "klms")
    assert plan.steps.index(step) > max(n for n, s in enumerate(plan.steps) if s.section == "remove")


def test_the_purge_may_be_off() -> None:
    plan = planner.plan(host({MAIN: BLOCK}, policy={"purge": False}))
    assert [step.kind for step in plan.steps if step.phase == "finish" and step.kind != "remove_staged"] == [
        "edit_lines"
    ]


@pytest.mark.parametrize(
    ("file", "line", "becomes"),
    [
        (MAIN, "smtpd_milters = inet:a:1, unix:/run/kavmilter.sock, inet:b:2", "smtpd_milters = inet:a:1, inet:b:2"),
        (MAIN, "smtpd_milters = unix:/run/kavmilter.sock,inet:b:2", "smtpd_milters = inet:b:2"),
        (MAIN, "smtpd_milters=inet:a:1 unix:/run/kavmilter.sock", "smtpd_milters=inet:a:1"),
        (MAIN, "non_smtpd_milters = unix:/run/kavmilter.sock", "non_smtpd_milters ="),
        (MASTER, "  -o smtpd_milters=inet:a:1,unix:/run/kavmilter", "  -o smtpd_milters=inet:a:1"),
        (MASTER, "  -o content_filter=klms_postfix-afterqueue:[::1]:1", "  -o content_filter="),
        (SQUID, "adaptation_service_chain both other kwts_req last", "adaptation_service_chain both other last"),
        (SQUID, "adaptation_service_set  both  kwts_req  other", "adaptation_service_set  both  other"),
    ],
)
def test_of_a_list_only_the_product_s_element_goes(file: str, line: str, becomes: str) -> None:
    (step,) = edits(planner.plan(host({file: [line]})))
    assert (step.args["lines"], step.args["becomes"]) == ((line,), (f"={becomes}",))
    assert f"`{line}` becomes `{becomes}`" in step.reason


@pytest.mark.parametrize(
    ("file", "line"),
    [
        (SQUID, "icap_service kwts_req reqmod_precache icap://127.0.0.1:1344/av"),
        (SQUID, "adaptation_access kaspersky_req allow all"),
        (SQUID, "url_rewrite_program /opt/kaspersky/kwts/bin/rewrite"),
        ("/etc/squid/conf.d/av.conf", "icap_service x respmod_precache icap://kaspersky.example:1344/av"),
    ],
)
def test_a_statement_that_is_the_product_s_goes_whole(file: str, line: str) -> None:
    (step,) = edits(planner.plan(host({file: [line]})))
    assert step.args["becomes"] == ("-",)
    assert "unconfirmed" in step.reason  # the vendor's text for Squid is not known


@pytest.mark.parametrize(
    ("file", "line", "why"),
    [
        (MAIN, "smtpd_milters = { unix:/run/kavmilter.sock, default_action=accept }, inet:b:2", "groups or quotes"),
        (MAIN, "smtpd_recipient_restrictions = check_policy_service inet:kavmilter:1, permit", "no form"),
        (MAIN, "   unix:/run/kavmilter.sock,", "no form"),
        (MAIN, "content_filter = klms_postfix-afterqueue:[::1]:1 # klms", "no form"),
        (MAIN, f"smtpd_milters = unix:/run/kavmilter.sock, {'x' * 300}", "too long"),
        (MAIN, "smtpd_milters = unix:/run/kavmilter.sock\x07", "no plain text"),
        (MASTER, "smtp inet n - y - - smtpd -o content_filter=klms_postfix-afterqueue:[::1]:1", "no form"),
        (SQUID, "adaptation_access other deny kaspersky_sites", "another's"),
        (SQUID, "adaptation_service_chain kwts_chain other last", "which of its elements"),
        (SQUID, "adaptation_service_set both kwts_req", "nothing would be left"),
        (SQUID, "icap_service kwts_req reqmod_precache \\", "next line"),
        ("/etc/exim4/conf.d/router/100_klms", "klms_router:", "several lines"),
        ("/etc/mail/sendmail.mc", "INPUT_MAIL_FILTER(`kavmilter', `S=unix:/run/k')dnl", ".cf is made of its .mc"),
    ],
)
def test_what_is_not_sure_stays_for_a_person(file: str, line: str, why: str) -> None:
    plan = planner.plan(host({file: [line]}))
    assert edits(plan) == []
    said, remedy = by_hand(plan, line)
    assert why in said
    assert remedy


def test_lines_of_a_service_go_together_or_not_at_all() -> None:
    odd = "smtp inet n - y - - smtpd -o content_filter=klms_postfix-afterqueue:[::1]:1"
    icap = "icap_service kwts_req reqmod_precache icap://127.0.0.1:1344/av"
    plan = planner.plan(host({MAIN: BLOCK, MASTER: [odd], SQUID: [icap]}))
    assert [step.target for step in edits(plan)] == [SQUID]
    assert "belong together" in by_hand(plan, FILTER)[0]


def test_a_mark_of_memory_changes_nothing() -> None:
    plan = planner.plan(host({SQUID: ["icap_service is_kav_req reqmod_precache icap://127.0.0.1:1344/av"]}))
    assert edits(plan) == []


ANCHOR, BUNDLE = "/usr/local/share/ca-certificates/tls/kesl.crt", "/etc/ssl/certs/ca-certificates.crt"


def test_a_certificate_of_the_trust_store() -> None:
    off = planner.plan(host(anchors=(BUNDLE, ANCHOR), edit=frozenset({"mail"})))
    assert edits(off) == []
    for path in (BUNDLE, ANCHOR):
        assert "add `trust_store` to `evict_edit`" in by_hand(off, path)[1]
    plan = planner.plan(host(anchors=(BUNDLE, ANCHOR)))
    (step,) = edits(plan)
    assert step.args == {
        "files": (ANCHOR,),
        "marks": step.args["marks"],
        "refresh": "update-ca-certificates --fresh",
        "bundle": BUNDLE,
        "hashed": "/etc/ssl/certs",
    }
    assert step.args["marks"]
    assert plan.manual == ()
    assert " remove_anchors " in job.compile_job(plan, "finish").posix()


@pytest.mark.parametrize("path", [BUNDLE, "/usr/share/pki/trust/anchors/kesl.pem"])
def test_a_certificate_from_elsewhere_stays_for_a_person(path: str) -> None:
    plan = planner.plan(host(anchors=(path,)))
    assert edits(plan) == []
    assert "no folder of added certificates" in by_hand(plan, path)[0]


WORDS = st.sampled_from(
    [*"abc", "klms_postfix-afterqueue:x", "unix:/run/kavmilter", "kwts_req", "kaspersky", ",", " ", "=", "{", "\\", "#"]
)
HEADS = st.sampled_from(
    ["", "content_filter = ", "smtpd_milters = ", "  -o smtpd_milters=", "icap_service ", "adaptation_service_set x "]
)


@given(
    st.dictionaries(
        st.sampled_from([MAIN, MASTER, SQUID]),
        st.lists(st.builds(lambda h, w: h + "".join(w), HEADS, st.lists(WORDS, max_size=9)), max_size=4),
    ),
    st.sets(st.sampled_from(EDITS)),
)
@settings(max_examples=80, deadline=None)
def test_whatever_was_seen(lines: Lines, edit: set[str]) -> None:
    """Only seen lines, only allowed services, nothing of the product left in what takes their place, nothing added."""
    case = host(lines, edit=frozenset(edit))
    plan = planner.plan(case)
    known = [s for e in case.catalog.for_platform("linux") for s in e.signals if isinstance(s, LineSignal)]
    for step in edits(plan):
        assert {MAIN: "mail", MASTER: "mail", SQUID: "proxy"}[step.target] in edit
        before, after = step.args["lines"], step.args["becomes"]
        assert len(before) == len(after)
        for old, new in zip(before, after, strict=True):
            assert old in lines[step.target]
            told = [s for s in known if s.accepts({"file": step.target, "text": old})]
            assert told
            if new != "-":
                record = {"file": step.target, "text": new[1:]}
                assert not any(s.accepts(record) for s in told if s.confidence.can_prove)
                rest = iter(re.split(r"[,\s=]+", old))
                assert all(word in rest for word in re.split(r"[,\s=]+", new[1:]) if word)
    for item in plan.manual:
        assert item.remedy


# --- the file


FILE = tree.ROOT / "catalog" / catalog_services.FILE


def test_every_file_of_a_line_in_the_mail_or_proxy_path_has_a_service() -> None:
    entries = [
        e for e in knowledge.catalog().for_platform("linux") if {*e.removal.guarded} & {"mail_path", "proxy_path"}
    ]
    named = {f for e in entries for s in e.signals if isinstance(s, LineSignal) for f in s.files}
    assert named == {file for service in knowledge.catalog().services.services for file in service.files}


def test_the_folders_are_those_that_a_scan_looks_at() -> None:
    probe = (tree.ROOT / "probes" / "posix" / "integration.sh").read_text(encoding="utf-8")
    for store in knowledge.catalog().services.stores:
        assert f" {store.folder}" in probe


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda d: d["services"][0].update(edit="all"), "no word of `evict_edit`"),
        (lambda d: d["services"][0].update(files=["/etc/passwd"]), "named by no signal"),
        (lambda d: d["services"][0].update(checks=[]), "without a check"),
        (lambda d: d["services"][0].update(checks=["sh -c 'x'"]), "has not the form"),
        (lambda d: d["services"][0]["lines"][0].update(goes="element"), "is missing"),
        (lambda d: d["services"][0]["lines"][0].update(line="("), "not an expression"),
        (lambda d: d["services"][0].pop("source"), "is missing"),
        (lambda d: d["services"][0].update(confidence="Z"), "is no mark"),
        (lambda d: d["stores"][0].update(refresh="update;rm"), "no plain command"),
        (lambda d: d["stores"][0].update(folder="etc"), "is no path"),
        (lambda d: d["sources"].update(other="x"), "no fact names it"),
        (lambda d: d.pop("stores"), "exactly sources, services and stores"),
    ],
)
def test_mistakes_in_the_file_are_named(change: t.Callable[[t.Any], object], problem: str, tmp_path: Path) -> None:
    data = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    named = {file for service in data["services"] for file in service["files"]}
    change(data)
    (tmp_path / FILE.name).write_text(yaml.safe_dump(data))
    found, mistakes = catalog_services.read(tmp_path, named)
    assert any(problem in str(mistake) for mistake in mistakes), mistakes
    assert dataclasses.replace(found, data={}) == catalog_services.Services()
