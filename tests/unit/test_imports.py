# SPDX-License-Identifier: GPL-3.0-or-later
"""The brain is pure, its arrows go one way, and Ansible is known to those alone that need it."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import tree

BRAIN = tree.ROOT / "plugins" / "plugin_utils"
PACKAGE = "ansible_collections.evict.kaspersky.plugins.plugin_utils"
LONGEST = 400  # lines of a file

# Who imports Ansible when it is loaded -> why. All others work without it.
WITH_ANSIBLE: t.Final = {
    "transport": "sends a script over the connection of a task",
    "extra": "asks for the extra variables of the command line, which core alone knows",
    "secret_vault": "resolves variables and lookups with the task's templar",
    "look": "runs the script or the module that observes the task's host",
    "sending": "brings files to the task's host",
}
# Who names a class of Ansible for the type checker only, or loads it in a function -> why.
NAMES_ANSIBLE: t.Final = {
    "desk": "is handed the running action, and hands it on to secret_vault",
    "secret_vault": "is handed the running action",
    "hand": "is handed the running action, and hands it on to transport",
}
# Everything a verdict, a plan or a job is made of. It is data in, data out: no disk, no clock, no controller.
PURE: t.Final = (
    "assess",
    "breaker",
    "conceal",
    "context",
    "findings",
    "case",
    "planner",
    "plan",
    "removal",
    "finish",
    "cover",
    "filling",
    "inhibitors",
    "inhibitors_base",
    "inhibitors_cover",
    "inhibitors_defender",
    "inhibitors_host",
    "inhibitors_product",
    "inhibitors_secret",
    "inhibitors_supply",
    "inhibitors_system",
    "health",
    "job",
    "job_checks",
    "outcome",
    "preflight",
    "templates",
    "observation",
    "row",
    "steps",
    "verifying",
    "waves",
    "secret_names",
)
# What is the controller's: a pure module that could reach one of these could depend on it.
CONTROLLER: t.Final = {
    "approved",
    "artifacts",
    "desk",
    "evidence",
    "events",
    "extra",
    "files",
    "knowledge",
    "ledger",
    "planned",
    "plans",
    "recorder",
    "report",
    "run",
    "schemas",
    "secret_vault",
    "transport",
    "twins",
    "waivers",
}
# Modules of the standard library that look at something besides their arguments.
IMPURE: t.Final = {
    "os",
    "subprocess",
    "socket",
    "shutil",
    "tempfile",
    "time",
    "random",
    "secrets",
    "fcntl",
    "urllib.request",
}


def modules() -> dict[str, Path]:
    """The brain's modules by name; those of the report have a dot."""
    found = {}
    for path in sorted(BRAIN.rglob("*.py")):
        parts = path.relative_to(BRAIN).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


@functools.cache
def imports(path: Path, *, loaded: bool) -> tuple[ast.Import | ast.ImportFrom, ...]:
    """The imports that run when the module is loaded, or those that do not."""
    return tuple(_imports(path, loaded))


def _imports(path: Path, loaded: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    todo: list[tuple[ast.AST, bool]] = [(ast.parse(path.read_text(encoding="utf-8")), True)]
    while todo:
        node, now = todo.pop()
        if isinstance(node, (ast.Import, ast.ImportFrom)) and now is loaded:
            yield node
        for child in ast.iter_child_nodes(node):
            later = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)) or (
                isinstance(node, ast.If) and ast.unparse(node.test) == "t.TYPE_CHECKING" and child in node.body
            )
            todo.append((child, now and not later))


def of_ansible(path: Path, *, loaded: bool) -> bool:
    """Does it import Ansible?"""
    names: list[str] = []
    for node in imports(path, loaded=loaded):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif not node.level:
            names.append(node.module or "")
    return any(name.partition(".")[0] in ("ansible", "ansible_collections") for name in names)


@functools.cache
def own(name: str) -> frozenset[str]:
    """The brain's modules that a module imports when it is loaded."""
    path = MODULES[name]
    package = path.parent.relative_to(BRAIN).parts
    found = set()
    for node in imports(path, loaded=True):
        if not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        base = package[: len(package) - node.level + 1]
        inside = ".".join([*base, *([node.module] if node.module else [])])
        inner = [".".join(filter(None, (inside, alias.name))) for alias in node.names]
        found |= {module if module in MODULES else inside for module in inner}
    return frozenset(found - {"", name})


def reached(name: str) -> set[str]:
    """All that a module imports, and what that imports."""
    found: set[str] = set()
    todo = {name}
    while todo:
        new = {to for one in todo for to in own(one)} - found
        found |= new
        todo = new
    return found


def standard(name: str) -> set[str]:
    """Modules of the standard library that a module imports."""
    found = set()
    for node in imports(MODULES[name], loaded=True):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif not node.level and node.module:
            found.add(node.module)
    return found


def test_who_imports_ansible() -> None:
    assert {name for name, path in MODULES.items() if of_ansible(path, loaded=True)} == set(WITH_ANSIBLE)
    assert {name for name, path in MODULES.items() if of_ansible(path, loaded=False)} == set(NAMES_ANSIBLE)


def test_all_others_can_be_loaded_where_there_is_no_ansible() -> None:
    needing = {name for name in MODULES if name in WITH_ANSIBLE or reached(name) & set(WITH_ANSIBLE)}
    assert needing == set(WITH_ANSIBLE) | {"desk", "hand"}
    names = [f"{PACKAGE}.{name}" for name in MODULES if name and name not in needing]
    assert len(names) > 60
    code = f"""
import importlib, sys, types
sys.modules['ansible'] = None
place = {PACKAGE.rpartition(".")[0]!r}
for length in range(1, place.count('.') + 2):
    name = '.'.join(place.split('.')[:length])
    sys.modules[name] = package = types.ModuleType(name)
    package.__path__ = []
package.__path__ = [{str(BRAIN.parent)!r}]
for name in {names!r}:
    importlib.import_module(name)
print(len({names!r}))
"""
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == str(len(names)), done.stderr[-2000:]


@pytest.mark.parametrize("name", PURE)
def test_what_a_plan_is_made_by_knows_no_controller(name: str) -> None:
    assert reached(name) & CONTROLLER == set()
    assert standard(name) & IMPURE == set()


def test_every_inhibitor_and_nothing_unknown_is_held_to_be_pure() -> None:
    assert {name for name in MODULES if name.startswith("inhibitors")} <= set(PURE)
    assert set(PURE) | CONTROLLER <= set(MODULES)
    assert reached("planner") - {"desk"} >= {"inhibitors", "removal", "cover", "finish"}


def test_arrows_go_one_way() -> None:
    """No module reaches itself, and only an action, what actions share, and the command know the desk."""
    assert [name for name in MODULES if name and name in reached(name)] == []
    assert [name for name in MODULES if "desk" in own(name)] == ["look"]
    assert {name for name in MODULES if "planner" in own(name)} == {"desk", "ending", "verifying"}


def test_no_file_of_the_brain_is_too_long() -> None:
    long = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in MODULES.items()}
    assert {name: lines for name, lines in long.items() if lines > LONGEST} == {}
