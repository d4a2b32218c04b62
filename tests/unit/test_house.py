# SPDX-License-Identifier: GPL-3.0-or-later
"""House rules that a look at the files can hold."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests import tree

SPDX = "SPDX-License-Identifier: GPL-3.0-or-later"
CODE = {".py", ".sh", ".ps1", ".psm1", ".cs", ".c"}


def regular_files() -> list[Path]:
    """Every file of the repository that is not a link."""
    return [tree.ROOT / name for name in tree.files() if not (tree.ROOT / name).is_symlink()]


def is_code(path: Path) -> bool:
    """By ending, or by a ``#!`` line."""
    return (path.suffix in CODE and path.stat().st_size > 0) or (
        not path.suffix and path.read_bytes().startswith(b"#!")
    )


def test_every_code_file_names_its_licence() -> None:
    code = [path for path in regular_files() if is_code(path)]
    assert len(code) > 20
    assert [str(path.relative_to(tree.ROOT)) for path in code if SPDX not in path.read_text().split("\n\n")[0]] == []


def test_no_error_is_switched_off() -> None:
    pattern = re.compile(r"^\s*-?\s*(ignore_errors:\s*(true|yes)|failed_when:\s*(false|no))\b", re.M | re.I)
    yml = [path for path in regular_files() if path.suffix in {".yml", ".yaml"}]
    assert [str(path.relative_to(tree.ROOT)) for path in yml if pattern.search(path.read_text())] == []


def test_no_test_virus_lies_in_a_file() -> None:
    # Put together here, because the whole string makes scanners remove this file.
    needle = ("X5O!P%" + "@AP").encode()
    assert [str(path.relative_to(tree.ROOT)) for path in regular_files() if needle in path.read_bytes()] == []


def test_roles_have_no_defaults_and_no_vars() -> None:
    names = [name for name in tree.files() if re.match(r"roles/[^/]+/(defaults|vars)/", name)]
    assert names == []


def test_links_in_documents_lead_somewhere() -> None:
    broken = []
    for path in regular_files():
        if path.suffix != ".md":
            continue
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text()):
            if "://" not in target and not (path.parent / target).exists():
                broken.append(f"{path.relative_to(tree.ROOT)}: {target}")
    assert broken == []


def _yields(node: ast.stmt, target: ast.expr) -> bool:
    """Does it yield what the loop gives, as it is?"""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Yield)
        and (node.value.value is not None and ast.unparse(node.value.value) == ast.unparse(target))
    )


def test_names_that_ansible_test_refuses_in_plugins() -> None:
    """Its pylint runs in tests/lab only; this says the commonest of its findings at once."""
    refused = {"_", "foo", "bar", "baz", "toto", "tutu", "tata"}
    found = []
    for path in sorted((tree.ROOT / "plugins").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in refused:
                found.append(f"{path.relative_to(tree.ROOT)}:{node.lineno}: {node.id}")
            elif isinstance(node, ast.ImportFrom):
                same = [alias.name for alias in node.names if alias.asname == alias.name]
                found += [f"{path.relative_to(tree.ROOT)}:{node.lineno}: {name} as {name}" for name in same]
            elif isinstance(node, ast.For) and len(node.body) == 1 and _yields(node.body[0], node.target):
                found.append(f"{path.relative_to(tree.ROOT)}:{node.lineno}: yield from")
            elif isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and len(node.exc.args) > 1:
                first = node.exc.args[0]
                if isinstance(first, ast.Constant) and re.search(r"%|\{.*\}", str(first.value)):
                    found.append(f"{path.relative_to(tree.ROOT)}:{node.lineno}: looks like a format")
            elif isinstance(node, ast.Assert):
                found.append(f"{path.relative_to(tree.ROOT)}:{node.lineno}: assert")
    assert found == []


def links(page: Path) -> set[Path]:
    """The files that a page links to."""
    found = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
    return {(page.parent / target).resolve() for target in found if "://" not in target}


def test_every_page_of_the_documentation_is_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    new = {tree.ROOT / "README.md"}
    while new:
        reached |= new
        new = {to for page in new for to in links(page) if to.suffix == ".md" and to.is_file()} - reached
    pages = {path for path in regular_files() if path.suffix == ".md" and path.is_relative_to(tree.ROOT / "docs")}
    assert len(pages) > 20
    template = tree.ROOT / "docs" / "decisions" / "template.md"  # to be copied, named by the page beside it
    assert sorted(str(path.relative_to(tree.ROOT)) for path in pages - reached) == [
        str(template.relative_to(tree.ROOT))
    ]
