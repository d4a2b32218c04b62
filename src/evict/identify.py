# SPDX-License-Identifier: GPL-3.0-or-later
"""`evict identify`: the judgement of a scan over an existing list of software, without touching a host."""

from __future__ import annotations

import argparse
import collections
import csv
import io
import os
import re
import sys
import typing as t
from collections.abc import Iterable, Sequence
from pathlib import Path

from ansible_collections.evict.kaspersky.plugins.plugin_utils import catalog, files
from ansible_collections.evict.kaspersky.plugins.plugin_utils.identify import Identifier, Judgement, Software
from ansible_collections.evict.kaspersky.plugins.plugin_utils.report import text
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import Exit

from . import table
from .errors import UsageError

FIELDS: t.Final = ("kind", "host", "name", "publisher", "version", "key", "path")
ADDED: t.Final = ("judgement", "product", "family", "confidence", "why")
# What lists call the kinds. A word that is not here is judged as a program, and the row says so.
_KINDS: t.Final = {
    "program": "program application app software msi product programm anwendung programme programa programma программа",
    "service": "service win32_service daemon unit dienst servicio servizio serviço служба сервис サービス 服务",
    "driver": "driver sysdriver win32_systemdriver kernel filter treiber pilote controlador драйвер ドライバー 驱动",
    "package": "package rpm deb dpkg pkg paket paquet paquete pacchetto pacote пакет パッケージ 包",
    "process": "process win32_process prozess processus proceso processo процесс プロセス 进程",
}
_WORDS: t.Final = {word: kind for kind, words in _KINDS.items() for word in words.split()}
_FORMULA: t.Final = re.compile(r"[=@\t\r].|[+-](?![\d.,]*\Z)", re.DOTALL)
_EPILOG: t.Final = f"""\
Columns are found by their headers, in many languages, else by --column FIELD=HEADER (or its number); only the name is
needed. Fields: {", ".join(FIELDS)}. The output has the same rows in the same order with all their columns, and behind
them {", ".join(ADDED)}.

judgement: `kaspersky` (the vendor's product; unknown names and languages too, their family is `unknown`), `report_only`
(a portable tool, an engine in another product, a successor, or a mark too weak to prove anything), `no`.

exit codes: 0 every row is judged, 1 wrong usage or a list that cannot be read.
"""


def main(args: Sequence[str]) -> int:
    """Run the command.

    Raises:
        UsageError: wrong options, a list that cannot be read, or a place that cannot be written.
    """
    parser = argparse.ArgumentParser(
        prog="evict identify",
        description="Judge an existing list of software (CSV in any language), without touching a host.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("list", type=Path, help="the list: CSV or TSV in any encoding")
    parser.add_argument("--out", type=Path, help="the judged list (default: standard output)")
    parser.add_argument("--column", action="append", default=[], metavar="FIELD=HEADER", help="which column is what")
    parser.add_argument("--encoding", help="of the list (default: found out)")
    given = parser.parse_args(args)
    try:
        judge = Identifier(catalog.load())
    except catalog.CatalogError as exc:
        raise UsageError(str(exc)) from exc
    # Lists of security products call the name of a program its product.
    wanted = (*FIELDS, "product")
    read = table.read(given.list, wanted, _columns(given.column), need=("name", "product"), encoding=given.encoding)
    if given.out is not None and given.out.resolve() == given.list.resolve():
        raise UsageError(f"{given.out} is the list itself: name another file with --out")
    count: collections.Counter[str] = collections.Counter()
    hosts: dict[str, set[str]] = collections.defaultdict(set)
    rows = list(_judged(read, judge, count, hosts))
    _write(given.out, read, rows)
    out = sys.stdout if given.out is not None else sys.stderr
    print(text.inert(read.described()), file=out)
    for problem in read.problems:
        print(f"evict identify: line {problem.line}: {text.inert(problem.text)}", file=sys.stderr)
    print(_summary(count, hosts, len(read.rows)), file=out)
    return Exit.OK


def _columns(said: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for item in said:
        field, header = table.asked(item)
        if field in found:
            raise UsageError(f"--column {field}=... is given twice")
        found[field] = header
    return found


def _judged(
    read: table.Table, judge: Identifier, count: collections.Counter[str], hosts: dict[str, set[str]]
) -> Iterable[tuple[table.Row, Judgement]]:
    for row in read.rows:
        said = row.values["kind"].strip().casefold()
        kind = _WORDS.get(said, "")
        values = {field: row.values[field] for field in ("publisher", "version", "key", "path")}
        name = row.values["name"] or row.values["product"]
        found = judge.judge(Software(name=name, kind=kind, **values))
        if said and not kind:
            found = Judgement(
                found.judgement, found.product, found.family, found.confidence, f"{found.why} (unknown kind {said!r})"
            )
        count[found.judgement] += 1
        if found.judgement != "no" and row.values["host"]:
            hosts[found.judgement].add(row.values["host"].casefold())
        yield row, found


def _write(out: Path | None, read: table.Table, rows: Sequence[tuple[table.Row, Judgement]]) -> None:
    """The same rows with what was added; cells that a spreadsheet would run are made inert."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\r\n")
    width = max((len(row.cells) for row, _found in rows), default=len(read.headers))
    beyond = [f"column {n + 1}" for n in range(len(read.headers), width)]
    taken = {header.casefold() for header in read.headers}
    added = [name if name not in taken else f"evict_{name}" for name in ADDED]
    writer.writerow([*map(_cell, read.headers), *beyond, *added])
    for row, found in rows:
        cells = [*row.cells, *[""] * (width - len(row.cells))]
        ours = (found.judgement, found.product, found.family, found.confidence, found.why)
        writer.writerow([*map(_cell, cells), *map(_cell, ours)])
    data = stream.getvalue()
    if out is None:
        print(data, end="")
        return
    try:
        # With a mark at the beginning, so that a spreadsheet reads other scripts right.
        out.write_text("\ufeff" + data, encoding="utf-8", errors="backslashreplace", newline="")
    except OSError as exc:
        raise UsageError(f"{files.shown(os.fspath(out))} cannot be written: {exc.strerror}") from exc


def _cell(value: str) -> str:
    """A cell that no spreadsheet takes for a formula; numbers and lone signs stay, for the rows are to be the same."""
    return f"'{value}" if _FORMULA.match(value) else value


def _summary(count: collections.Counter[str], hosts: dict[str, set[str]], total: int) -> str:
    parts = [
        f"{word} {count[word]}" + (f" (on {len(hosts[word])} hosts)" if hosts.get(word) else "")
        for word in ("kaspersky", "report_only", "no")
    ]
    return f"{total} rows: " + ", ".join(parts)
