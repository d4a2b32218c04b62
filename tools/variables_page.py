#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write docs/variables.md and the tables of variables in the roles' README files, or say which are stale.

``tools/variables_page.py`` writes them; with ``--check`` it writes nothing and exits 1 when one differs.
"""

from __future__ import annotations

import argparse
import sys
import typing as t
from collections.abc import Iterable, Mapping
from pathlib import Path

import yaml

from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy import EXTRA_ONLY, VARIABLES, Policy
from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy_variables import Variable

ROOT: t.Final = Path(__file__).resolve().parent.parent
PAGE: t.Final = "docs/variables.md"
BEGIN: t.Final = "<!-- variables: made by `make docs` -->"
END: t.Final = "<!-- end of variables -->"
BAR: t.Final = "\\|"
_HEAD: t.Final = """\
<!-- SPDX-License-Identifier: GPL-3.0-or-later -->
<!-- Made by `make docs` from plugins/plugin_utils/policy_variables.py; change it there. -->

# Variables

All settings are variables that begin with `evict_`: extra variables (`-e`), a survey, or variables of the inventory.
They are checked before any connection is opened, and all mistakes are named at once, with the value, the remedy and,
where it can be known, the line. A name that begins with `evict_` and is not in this list is refused, so that a typing
mistake never switches a setting off silently.

Whose hosts are meant, that something may be removed, and how many at a time are never standing settings: the variables
marked *extra vars only* are refused when they come from an inventory, from `group_vars` or from a playbook. A survey
gives extra vars.

Surveys and `-e name=value` give texts. `"72"`, `"true"` and `1, 10, 50` are taken for what they say; lists and mappings
may be a text of YAML or JSON. An answer that is left empty counts as not given.
"""
_TAIL: t.Final = """\
## What goes together

* The fallback is another provider than the replacement. With the replacement `none` there is none.
* `none`, as replacement or fallback, needs `unprotected` in `evict_consent`.
* `evict_reboot: window` needs `evict_windows`, of which one is not over yet.
* A plan needs `evict_replacement`, and `evict_fallback` where the usual one is the replacement. An audit needs neither.

## Secrets

A secret is named, never given: a text where a mapping should name it is refused, and what stands there is not shown.

```yaml
evict_secrets:
  kes: # a product of the catalog
    KLPASSWD: {variable: vault_kes_password} # a variable of the host, such as a vaulted one
  klnagent:
    KLUNINSTPASSWD: {file: /etc/evict/agent-password, format: utf16le_hex} # on the controller, mode 0600
  falcon: # a provider
    TOKEN: {lookup: community.hashi_vault.hashi_vault, terms: [secret/falcon:token]}
```

The roles' own texts are in `roles/*/meta/argument_specs.yml`; the checks are in `plugins/plugin_utils/policy_*.py`. A
test holds them together.
"""


def default(variable: Variable) -> str:
    """The default in words of a reader."""
    value = getattr(Policy(), variable.field)
    if variable.default:
        return variable.default
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, (list, tuple)) and value:
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{value}`" if value else "empty"


def row(*cells: str) -> str:
    """A row of a table."""
    return f"| {' | '.join(cell.replace('|', BAR) for cell in cells)} |"


def source(name: str) -> str:
    """Where a variable may come from."""
    return "extra vars only" if name in EXTRA_ONLY else "anywhere"


def page() -> str:
    """The reference page."""
    lines = [_HEAD]
    for audit, title in ((True, "Every run"), (False, "Plans and removals")):
        lines += [f"## {title}", "", "| Variable | Type | Default | From | Is | Example |", "| --- " * 6 + "|"]
        for name, v in VARIABLES.items():
            if v.audit is audit:
                lines.append(row(f"`{name}`", v.type, default(v), source(name), v.description, f"`{v.example}`"))
        lines.append("")
    return "\n".join(lines) + "\n" + _TAIL


def options(role: str) -> Mapping[str, t.Any]:
    """The options of a role's main entry point."""
    specs = yaml.safe_load((ROOT / "roles" / role / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))
    found: Mapping[str, t.Any] = specs["argument_specs"]["main"]["options"]
    return found


def role_table(names: Iterable[str]) -> str:
    """The table of a role's README."""
    lines = [BEGIN, "| Variable | Type | Default | Is |", "| --- | --- | --- | --- |"]
    for name in names:
        variable = VARIABLES[name]
        mark = "; extra vars only" if name in EXTRA_ONLY else ""
        lines.append(row(f"`{name}`", variable.type, default(variable), variable.description + mark))
    return "\n".join([*lines, END])


def files() -> dict[str, str]:
    """All files: path below the root -> text."""
    found = {PAGE: page()}
    for readme in sorted((ROOT / "roles").glob("*/README.md")):
        text = readme.read_text(encoding="utf-8")
        before, begin, rest = text.partition(BEGIN)
        if begin:
            table = role_table(options(readme.parent.name))
            found[str(readme.relative_to(ROOT))] = before + table + rest.partition(END)[2]
    return found


def stale() -> list[str]:
    """Paths of the files that are missing or differ."""
    return [
        name
        for name, text in files().items()
        if not (ROOT / name).exists() or (ROOT / name).read_text(encoding="utf-8") != text
    ]


def main() -> int:
    """The command; its exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file is stale")
    if parser.parse_args().check:
        found = stale()
        for name in found:
            print(f"{name} differs from the policy: run `make docs`", file=sys.stderr)
        return 1 if found else 0
    for name, text in files().items():
        (ROOT / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
