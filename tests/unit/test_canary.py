# SPDX-License-Identifier: GPL-3.0-or-later
"""The search for the canary finds it in every form, and the redactor takes each of them out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import canonical, conceal, redact
from ansible_collections.evict.kaspersky.plugins.plugin_utils.assess import assess
from ansible_collections.evict.kaspersky.plugins.plugin_utils.catalog import Catalog
from ansible_collections.evict.kaspersky.plugins.plugin_utils.observation import PROBES, Observation, Probe
from ansible_collections.evict.kaspersky.plugins.plugin_utils.redact import HIDDEN, Redactor
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import Verdict
from tests import canary

FORMS = canary.forms()
# What the redactor need not know: only a part of the secret, or the secret in an encoding that loses a part of it.
BEYOND = {name for name in FORMS if name.startswith("latin-1") or name.endswith(" part")}


@pytest.mark.parametrize("name", FORMS)
def test_a_planted_canary_is_found(tmp_path: Path, name: str) -> None:
    """Without this, a search that finds nothing would prove nothing."""
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "log").write_bytes(b"before\0 " + FORMS[name] + b" \xffafter")
    (tmp_path / "clean").write_bytes(os.urandom(1 << 16) + b"a canary, Kanari, 7c2")
    assert f"below/log: {name}" in list(canary.search(tmp_path))
    assert {hit.partition(":")[0] for hit in canary.search(tmp_path)} == {"below/log"}
    assert f"out: {name}" in list(canary.search({"out": FORMS[name], "err": ""}))


def test_a_name_of_a_file_is_searched_too(tmp_path: Path) -> None:
    (tmp_path / canary.SECRET.replace("/", "_")).touch()
    assert "names of files: first part" in list(canary.search(tmp_path))


@pytest.mark.parametrize("name", sorted(set(FORMS) - BEYOND))
def test_the_redactor_takes_out_what_the_search_looks_for(name: str) -> None:
    redactor = Redactor([canary.SECRET])
    # UTF-16 comes back as a text of bytes; everything else is text.
    text = f"<{FORMS[name].decode('latin-1' if name in ('UTF-16LE', 'UTF-16BE') else 'utf-8')}>"
    said = redactor.clean(text)
    assert HIDDEN in said
    assert list(canary.search({"said": said})) == []
    assert redactor.holds(text)


@pytest.mark.parametrize("name", sorted({*FORMS} - BEYOND | {"latin-1"}))
def test_a_host_is_told_all_forms_in_which_its_programs_may_repeat_a_secret(name: str) -> None:
    told = [canary.SECRET, *redact.repeated([canary.SECRET])]
    # A shell drops the zeros of UTF-16, and blanks bytes.
    said = FORMS[name].replace(b"\0", b"")
    assert any(form.encode("utf-8", "surrogateescape") in said for form in told)


def test_what_a_host_is_told_fits_into_lines() -> None:
    forms = redact.repeated([canary.SECRET, "two\nlines of it", "on", "x" * 9000])
    assert forms == sorted(forms, key=len, reverse=True)
    assert all("\n" not in form and len(form) >= 6 for form in forms)
    assert canary.SECRET not in forms
    assert "two\\nlines of it" in forms
    assert not any("xxxx" in form or "7878" in form for form in forms)


def test_a_host_is_told_secrets_that_the_job_itself_is_not_given() -> None:
    given, other = "Given-pass-1", "a line of it\nab\n" + "x" * 9000
    told = set(redact.repeated([given], [given, other, "Other-pass-2", "ab3"]))
    assert {"Other-pass-2", b"Other-pass-2".hex(), b"Given-pass-1".hex(), "a line of it", "x" * 9000, "ab3"} <= told
    assert not {given, "ab", other} & told


def test_a_record_loses_the_secret_and_nothing_else() -> None:
    redactor = Redactor([canary.SECRET, "kesl"])
    for clean in ({"command": "password=x token: y"}, {"name": "kesl"}, {}):
        assert redactor.values(clean) is clean  # what looks like a secret stays, and what may be a word: it is evidence
    wide = canary.SECRET.encode("utf-16-le").hex()
    dirty = {"command": f"msiexec /x KLUNINSTPASSWD={wide} /qn", "text": canary.SECRET, "name": "kesl"}
    said = redactor.values(dirty)
    assert said == {"command": f"msiexec /x KLUNINSTPASSWD={HIDDEN} /qn", "text": HIDDEN, "name": "kesl"}
    assert wide in dirty["command"]
    assert Redactor().values(dirty) is dirty


def windows(**probes: list[dict[str, str]]) -> Observation:
    """The answer of a Windows host on which nothing is, but for these records."""
    found = {
        name: Probe("ok", "", tuple(probes[name])) if name in probes else Probe("absent") for name in PROBES["windows"]
    }
    return Observation("windows", "powershell", {"os_name": "Windows", "machine_id": "m"}, found)


def test_a_secret_on_the_host_is_in_nothing_that_is_kept(catalog: Catalog) -> None:
    wide = canary.SECRET.encode("utf-16-le").hex()
    task = {"path": "\\Kaspersky\\Remove", "author": "admin", "command": f"msiexec /x {{0}} KLUNINSTPASSWD={wide}"}
    start = {"kind": "startup_script", "source": "GPO", "text": f"start KLLOGIN=KLAdmin KLPASSWD={canary.SECRET}"}
    seen = windows(tasks=[task], reinstall=[start])
    assert list(canary.search({"raw": canonical.dumps(seen.to_dict())})) != []
    shown, judged = conceal.judge(seen, catalog, Redactor([canary.SECRET]))
    row = judged.row("host", shown)
    kept = canonical.dumps({"observation": shown.to_dict(), "row": row.to_dict()})
    assert list(canary.search({"kept": kept})) == []
    assert row.observation_digest == shown.digest()
    assert HIDDEN.encode() in kept
    assert row.verdict == assess(seen, catalog).verdict


def test_an_answer_without_secrets_is_the_same_object(catalog: Catalog) -> None:
    seen = windows(tasks=[{"path": "x", "author": "", "command": "password=x"}])
    shown, judged = conceal.judge(seen, catalog, Redactor([canary.SECRET]))
    assert shown is seen
    assert judged == assess(seen, catalog)


def test_a_password_that_is_a_name_of_the_product_makes_no_host_absent(catalog: Catalog) -> None:
    service = {"name": "klnagent", "display": "Kaspersky Security Center Network Agent", "type": "own", "image": "x",
               "path": "x", "file_exists": "yes", "start": "auto", "state": "running"}  # fmt: skip
    seen = windows(services=[service])
    assert assess(seen, catalog).products != ()
    _shown, judged = conceal.judge(seen, catalog, Redactor(["klnagent"]))
    assert (judged.verdict, judged.products) == (Verdict.UNKNOWN, ())
    assert "change the secret" in judged.reasons[0]


@pytest.mark.parametrize(
    "secrets",
    [None, "x", [], {"a": None}, {"a": {"b": "x"}}, {"a": {"b": {"variable": 5}}}, {"a": {"b": {"file": "x"}}}],
)
def test_no_variable_is_named_where_nothing_names_one(secrets: object) -> None:
    assert redact.named(secrets) == frozenset()
    assert redact.named({"x": secrets, "kes": {"P": {"variable": "sealed"}, "Q": secrets}}) == {"sealed"}
