# SPDX-License-Identifier: GPL-3.0-or-later
"""The text that travels to POSIX hosts: smaller than its sources and the same to a shell."""

from __future__ import annotations

import re
import shlex
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.evict.kaspersky.plugins.plugin_utils import knowledge, script
from ansible_collections.evict.kaspersky.plugins.plugin_utils.minify import minify
from tests import tree

SMALLER = {
    "a comment": ("# one\necho 1 # two\n", "echo 1\n"),
    "indentation": ("if a; then\n    b\nfi\n\n\nc\n", "if a;then\nb\nfi\nc\n"),
    "a line that goes on": ("a b \\\n    c\nd\\\ne\n", "a b c\nde\n"),
    "blanks around operators": ("a && b || c ; d | e\n", "a&&b||c;d|e\n"),
    "a line that ends with an operator": ("a &&\n  b |\n  c\n", "a&&b|c\n"),
    "a case": (
        'case $x in\n  a | b) c ;;\n  *)\n    d\n    ;;\nesac\necho "$(case y in y) z ;; esac)"\n',
        'case $x in\na|b)c;;*)d;;esac\necho "$(case y in y)z;;esac)"\n',
    ),
    "quotes stay": ("a '  #  ' \"  # $(b   c) \" 'x\n   y'\n", "a '  #  ' \"  # $(b c) \" 'x\n   y'\n"),
    "expansions stay": (
        "a ${x#  } ${x%%'}'*} $# $((1 + 2)) ${y:-a  b}\n",
        "a ${x#  } ${x%%'}'*} $# $((1 + 2)) ${y:-a  b}\n",
    ),
    "quotes in patterns": ('a "${x##*\'"\'}" "${x:-it\'s}"   b\n', 'a "${x##*\'"\'}" "${x:-it\'s}" b\n'),
    "blanks that are meant": ("a\\ \\ | b\n", "a\\ \\ |b\n"),
    "no comment": ("a#b $x#c \\# ${#x}\n", "a#b $x#c \\# ${#x}\n"),
    "a here-document": ("a <<E\n  # x\n\n E\nE\n  b\n", "a <<E\n  # x\n\n E\nE\nb\n"),
    "a subshell": ("( ( a ) )\n", "( ( a ) )\n"),
    "a subshell in a substitution": ('a "$( (b) 2>&1)"\n', 'a "$( (b) 2>&1)"\n'),
    "jobs": ("a & b=$!\n{ c; } </dev/null &\n", "a & b=$!\n{ c;} </dev/null &\n"),
}


@pytest.mark.parametrize("name", SMALLER)
def test_minified(name: str) -> None:
    text, expected = SMALLER[name]
    assert minify(text) == expected
    assert minify(expected) == expected


@pytest.mark.parametrize(
    "text", ["echo `a`\n", "a 'b\n", 'a "b\n', "a $(b\n", "a <<E\nb\n", "case x in\n", "a )\n", "a\n&& b\n"]
)
def test_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        minify(text)


WORDS = st.sampled_from(
    [
        "a",
        "$x",
        '"b  c"',
        "'d # e'",
        "\\ ",
        "f#g",
        "$(echo h  i)",
        '"$(echo "j  k")"',
        "${x:-l m}",
        "${#x}",
        "$((1 + 2))",
        "'\n'",
    ]
)
LINES = st.lists(WORDS, min_size=1, max_size=4).map(lambda words: "  printf '[%s]' " + "   ".join(words))
ENDS = st.sampled_from([" # note\n", "\n", " ;\n\n", " &&\n  ", " ||\n"])
PROGRAMS = st.lists(st.tuples(LINES, ENDS), min_size=1, max_size=6).map(
    lambda parts: "x='1  2'\n" + "".join(line + end for line, end in parts) + " :\n"
)


@settings(max_examples=60, deadline=None)
@given(PROGRAMS)
def test_any_program_says_the_same(program: str) -> None:
    said = [
        subprocess.run(["sh"], input=text, capture_output=True, text=True, check=True).stdout
        for text in (program, minify(program))
    ]
    assert said[0] == said[1]


LINE = st.lists(
    st.sampled_from(["/opt", "/var", "/kes", ".service", "$A", "`b`", '"', "\\", "'", " ", "A", "é", "*"]), max_size=5
).map("".join)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["ONE", "TWO", "THREE"]), st.lists(LINE, max_size=12).map("\n".join), min_size=1)
)
def test_assignments_set_what_they_are_given(values: dict[str, str]) -> None:
    show = "".join(f'printf "%s\\0" "$T_{name}"\n' for name in values)
    text = script.assignments(values, "T_") + show
    done = subprocess.run(["sh"], input=text.encode(), capture_output=True, check=True)
    assert done.stdout.decode().split("\0")[:-1] == list(values.values())


def test_the_catalog_takes_fewer_bytes() -> None:
    literals = knowledge.catalog().literals("linux")
    values = {key.upper(): "\n".join(items) for key, items in literals.items()}
    plain = "".join(f"EVICT_{name}={shlex.quote(text)}\n" for name, text in values.items())
    short = script.assignments(values, "EVICT_")
    assert len(short) < 0.8 * len(plain)
    assert short + knowledge.OBSERVE_SH == knowledge.OBSERVE_LINUX


def test_the_scripts_have_no_variable_of_one_capital_letter() -> None:
    for path in sorted((tree.ROOT / "probes" / "posix").glob("*.sh")):
        assert re.findall(r"(?:\$\{?|\b)([A-Z])(?==|\b\})", path.read_text()) == [], path.name


def test_nothing_is_left_that_only_people_need() -> None:
    sources = sum((tree.ROOT / "probes" / "posix" / name).stat().st_size for name in script.OBSERVE)
    assert len(knowledge.OBSERVE_SH) < 0.8 * sources
    assert "SPDX" not in knowledge.OBSERVE_SH
    assert "\n\n" not in knowledge.OBSERVE_SH
    assert "shellcheck" not in knowledge.OBSERVE_SH
