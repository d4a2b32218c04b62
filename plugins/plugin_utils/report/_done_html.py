# SPDX-License-Identifier: GPL-3.0-or-later
"""What was done, as the part of the page that can be read without JavaScript."""

from __future__ import annotations

import typing as t
from urllib.parse import quote

from ..ledger import Ledger
from . import _deeds
from ._shown import escaped, shown

_EXAMPLES: t.Final = 3  # hosts that are named for a class of failures


def section(ledger: Ledger) -> str:
    """What was done, how long hosts had no protection, what the live tests said, and the classes of what failed."""
    whole = _deeds.summary(ledger, ledger.rows)
    gap, proved = _deeds.gaps(ledger.rows), _deeds.proofs(ledger.rows)
    if not (whole.hosts or gap or proved):
        return ""
    said = []
    if whole.hosts:
        said.append(f"plans were begun on {_deeds.hosts(whole.hosts)}, {whole.changed} changed")
        said += [f"steps: {steps}"] if (steps := _deeds.steps(whole.steps)) else []
    if whole.open:
        said.append(f"how a phase ended is not on record for {_deeds.hosts(whole.open)}")
    if whole.bare:
        said.append(f"protection has not come back on {_deeds.hosts(len(whole.bare))}")
    said += [gap] if gap else []
    if proved:
        tests = (f"{_deeds.PROOFS.get(name, name)} on {_deeds.hosts(len(found))}" for name, found in proved)
        said.append(f"live test: {', '.join(tests)}")
    items = [
        f'<li><a href="#q={quote(shown(kind), safe="")}"><b>{escaped(kind)}</b></a>: '
        f"{_deeds.hosts(len({one.host for one in failed}))}."
        + "".join(
            f'<span class="quiet example">{escaped(one.host)}, {escaped(one.step)}: {escaped(one.meaning)}</span>'
            for one in failed[:_EXAMPLES]
        )
        + "</li>\n"
        for kind, failed in whole.failed.items()
    ]
    met = f'<h3>Steps that failed, by class</h3>\n<ul class="inhibitors">{"".join(items)}</ul>\n' if items else ""
    return (
        f'<section class="plans done" aria-labelledby="h-done"><h2 id="h-done">What was done</h2>\n'
        f"<p>{'; '.join(map(escaped, said))}.</p>\n{met}</section>\n"
    )
