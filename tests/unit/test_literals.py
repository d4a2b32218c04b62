# SPDX-License-Identifier: GPL-3.0-or-later
"""Literals may let too much through and must never hold a match back: tried on all our expressions and made-up ones."""

# ruff: noqa: RUF001 - Cyrillic letters and a dotless i stand here on purpose
from __future__ import annotations

import re
import re._casefix as casefix  # type: ignore[import-not-found]

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ansible_collections.evict.kaspersky.plugins.plugin_utils import catalog as catalogs
from ansible_collections.evict.kaspersky.plugins.plugin_utils import literals
from tests import tree

LOADED = catalogs.load(tree.ROOT / "catalog")
EXPRESSIONS = sorted(
    {
        getattr(signal, key).pattern
        for entry in LOADED.entries
        for signal in entry.signals
        for key in type(signal).filtered
        if getattr(signal, key) is not None
    }
)

# The rare second forms of a letter that `re` takes for the ordinary one (see the docstring of literals.py): what is
# tried is the same text in ordinary letters.
ORDINARY = {c: min(others) for c, others in casefix._EXTRA_CASES.items() if min(others) < c} | {0x130: 0x69}


def holds_one(found: frozenset[str], text: str) -> bool:
    lowered = text.translate(ORDINARY).lower()
    return any(literal in lowered for literal in found)


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_match_of_a_catalog_expression_holds_a_literal(expression: str) -> None:
    found = literals.derive(expression)

    @settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.from_regex(re.compile(expression, re.IGNORECASE)))
    def try_it(text: str) -> None:
        assert holds_one(found, text)

    try_it()


LETTERS = st.text("abkis0-.АбВ в«ß", min_size=1, max_size=6).map(re.escape)
ATOMS = st.one_of(
    LETTERS,
    st.sampled_from(
        [".", r"\d", r"\W", "[abc]", "[^abc]", "[a-z]", "[а-я]", "^", "$", r"\b", "(?=a)", "(?!b)", "(?<=c)"]
    ),
)


def combined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    group = inner.map(lambda x: f"(?:{x})")
    return st.one_of(
        st.lists(inner, min_size=1, max_size=4).map("".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda xs: f"(?:{'|'.join(xs)})"),
        st.tuples(group, st.sampled_from(["?", "*", "+", "{2}", "{0,2}", "{1,3}", "??", "+?"])).map("".join),
        inner.map(lambda x: f"({x})"),
        st.tuples(inner, inner).map(lambda xy: f"({xy[0]})?(?(1){xy[1]}|x)" if "(" not in "".join(xy) else xy[0]),
    )


@settings(max_examples=600, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(st.recursive(ATOMS, combined, max_leaves=8), st.data())
def test_every_match_of_a_made_up_expression_holds_a_literal(expression: str, data: st.DataObject) -> None:
    try:
        found = literals.derive(expression)
    except (literals.NoLiteral, re.error):
        assume(False)
    compiled = re.compile(expression, re.IGNORECASE)
    text = data.draw(st.from_regex(compiled))
    assume(compiled.search(text.translate(ORDINARY)))
    assert holds_one(found, text)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("^AVP$", {"avp"}),
        ("^ab$", {"ab"}),
        (r"^AVP\.KES\.\d+\.\d+$", {"avp.kes."}),
        (
            "^Kaspersky (?:Lab )?Network Agent",
            {"kaspersky network agent", "kaspersky lab network agent"},
        ),
        (r"Kaspersky (\d+ )?Network Agent", {"network agent"}),
        ("для|for", {"для", "for"}),
        ("ПЛАГИН управления", {"плагин управления"}),
        ("Agent.*Kaspersky Security Center", {"kaspersky security center"}),
        ("kl(?:if|ifks|im[56])", {"klif", "klim5", "klim6"}),
        ("(?:ab){2}c", {"ababc"}),
        ("x?abc", {"abc"}),
        ("(abc)+d", {"abc"}),
        ("網路代理", {"網路代理"}),
        ("Aracısı Kaspersky", {" kaspersky"}),
        ("(?i:KESL)x", {"keslx"}),
    ],
)
def test_examples(expression: str, expected: set[str]) -> None:
    found = literals.derive(expression)
    assert found == expected


@pytest.mark.parametrize(
    "expression",
    [
        "",
        ".",
        ".*",
        "a",
        "ab",
        "^ab",
        "a|bcd",
        "x?",
        r"\d+",
        "[^a]bc?",
        "(?:abc)?",
        "(?:abc)*",
        "(?=abc)",
        "[a-z]{8}",
        "a.b.c",
    ],
)
def test_without_a_usable_literal(expression: str) -> None:
    with pytest.raises(literals.NoLiteral):
        literals.derive(expression)


def test_a_broken_expression_is_an_error_of_its_own() -> None:
    with pytest.raises(re.error):
        literals.derive("(abc")


def test_reduced_keeps_what_finds_the_rest() -> None:
    assert literals.reduced(["klif", "klif.kes-", "avp"]) == {"klif", "avp"}
    assert literals.reduced([]) == frozenset()


def test_there_is_something_to_try() -> None:
    assert len(EXPRESSIONS) > 15
    assert any("касперского" in x.lower() for x in EXPRESSIONS)
