# SPDX-License-Identifier: GPL-3.0-or-later
"""Run folders for tests: rows, scans, whole and killed runs, and code that runs without root's rights."""

from __future__ import annotations

import json
import os
import typing as t
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import jsonschema
import referencing

from ansible_collections.evict.kaspersky.plugins.plugin_utils import ledger, run
from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy import Policy
from ansible_collections.evict.kaspersky.plugins.plugin_utils.row import ProductRow, Row
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import Verb, Verdict
from tests import tree

NOBODY: t.Final = 65534


def schema(name: str) -> jsonschema.Draft202012Validator:
    """A validator for ``schemas/<name>.json`` that knows the other schemas."""
    bodies = [json.loads(path.read_text()) for path in sorted((tree.ROOT / "schemas").glob("*.json"))]
    known: referencing.Registry[t.Any] = referencing.Registry().with_resources(
        (body["$id"], referencing.Resource.from_contents(body)) for body in bodies
    )
    body = json.loads((tree.ROOT / "schemas" / f"{name}.json").read_text())
    jsonschema.Draft202012Validator.check_schema(body)
    return jsonschema.Draft202012Validator(body, registry=known)


def row(host: str, verdict: Verdict = Verdict.ABSENT, **more: t.Any) -> Row:
    """A row; a present host has one product unless told otherwise."""
    if verdict is Verdict.PRESENT and "products" not in more:
        product = ProductRow("kesl", "endpoint", "running", "12.1.0.1297", ("the package kesl is installed",))
        more["products"] = (product,)
    return Row(host=host, verdict=verdict, platform="linux", **more)


def scan(host: str, verdict: Verdict = Verdict.ABSENT, **more: t.Any) -> dict[str, t.Any]:
    """The data of a scan, as the verb records it."""
    return {
        "observation": {"probes": {}},
        "row": row(host, verdict, **more).to_dict(),
        "transport": "stdin",
        "catalog": "0" * 64,
    }


def begun(
    folder: Path,
    *,
    inventory: Sequence[str],
    scope: Sequence[str] | None = None,
    verdicts: Mapping[str, Verdict] | None = None,
    verb: Verb = Verb.AUDIT,
    name: str = "test-run",
) -> run.RunFolder:
    """A run that was begun and has scans, but no end: what a killed one leaves."""
    made = run.RunFolder.resolve(Policy(out=str(folder), run=name))
    made.create(verb=verb, inventory=inventory, scope=inventory if scope is None else scope, ansible="2.19.0")
    for host, verdict in (verdicts or {}).items():
        made.record_scan(host, scan(host, verdict))
    return made


def ended(
    folder: Path,
    verdicts: Mapping[str, Verdict],
    *,
    inventory: Sequence[str] | None = None,
    verb: Verb = Verb.AUDIT,
    name: str = "test-run",
) -> run.RunFolder:
    """A run that came to its end, with rows and manifest."""
    made = begun(folder, inventory=inventory or list(verdicts), verdicts=verdicts, verb=verb, name=name)
    totals = ledger.build(folder, trust_manifest=False).totals()
    made.log_run("run_ended", {"how": "ended", "totals": totals})
    ledger.write_rows(ledger.build(folder, trust_manifest=False))
    ledger.write_manifest(folder, made.run)
    return made


def in_child(work: Callable[[], str], *, rights: bool = True) -> str:
    """What ``work`` returns, or the name and text of what it raises, in a child process.

    Args:
        work: what to do there.
        rights: keep the rights of root, if there are any.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            if not rights and os.geteuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            said = work()
        except BaseException as exc:  # whatever it is, the parent has to hear of it
            said = f"{type(exc).__name__}: {exc}"
        os.write(writer, said.encode("utf-8", "backslashreplace")[:60_000])
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as stream:
        answer = stream.read().decode()
    os.waitpid(child, 0)
    return answer
