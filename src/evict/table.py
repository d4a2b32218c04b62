# SPDX-License-Identifier: GPL-3.0-or-later
"""Somebody's list as a table: CSV and its kin in any encoding, with any separator, in any language. No row is lost.

What is damaged (cells too many or too few, NUL bytes, undecodable bytes, a quote that never ends) stays a row and is
named with its line in `Table.problems`.
"""

from __future__ import annotations

import codecs
import dataclasses
import os
import re
import typing as t
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from . import encodings, headers
from .errors import UsageError

_SEPARATORS: t.Final = (";", "\t", ",", "|")
_NAMES: t.Final = {";": "semicolon", "\t": "tab", ",": "comma", "|": "bar"}
_LIMIT: t.Final = 1_000_000_000  # bytes of a file that is read at all
_ABOVE: t.Final = 15  # filled lines among which the header may be
_INSIDE: t.Final = 200  # lines a quoted cell may take
_NO_TABLE: t.Final = (
    (b"PK\x03\x04", "an Excel workbook or another archive: save it as CSV UTF-8"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook: save it as CSV UTF-8"),
    (b"%PDF", "a PDF: export CSV instead"),
    (b"<?xml", "XML: export CSV instead"),
    (b"<html", "HTML: export CSV instead"),
    (b"<!doctype", "HTML: export CSV instead"),
)


@dataclasses.dataclass(frozen=True)
class Problem:
    """Something is wrong with a line (from 1; of its first line, when a row takes several)."""

    line: int
    text: str


@dataclasses.dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
        line: number of its (first) line in the file.
        values: every field that was asked for -> its cell, the first filled one where several columns are of that
            field; empty when there is none.
        cells: all cells as they stand, at least as many as there are headers.
    """

    line: int
    values: Mapping[str, str]
    cells: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Table:
    """A list that was read.

    Attributes:
        path: the file.
        encoding, separator: as found; the separator is one character.
        headers: of all columns in order, made unique (`Name`, `Name (2)`); `column N` where there is none.
        columns: field -> numbers of its columns, from 0.
        how: field -> `header`, `values` (the cells look like it) or `given`.
        rows: every filled row, in order.
        problems: what is damaged, in order of lines.
        above: lines before the header, with their text; they are no rows.
    """

    path: Path
    encoding: str
    separator: str
    headers: tuple[str, ...]
    columns: Mapping[str, tuple[int, ...]]
    how: Mapping[str, str]
    rows: tuple[Row, ...]
    problems: tuple[Problem, ...]
    above: tuple[tuple[int, str], ...] = ()

    def every(self, row: Row, field: str) -> list[str]:
        """The filled cells of all columns of a field, such as several addresses."""
        return [row.cells[n].strip() for n in self.columns.get(field, ()) if row.cells[n].strip()]

    def original(self, row: Row) -> dict[str, str]:
        """The row as the file has it: header -> cell in order; cells beyond the headers as `column N`."""
        beyond = [f"column {n + 1}" for n in range(len(self.headers), len(row.cells))]
        return dict(zip([*self.headers, *beyond], row.cells, strict=True))

    def described(self) -> str:
        """What was read and how, in one line."""
        found = ", ".join(
            f"{field}={' + '.join(self.headers[n] for n in numbers)}" + (" (by its values)" if by == "values" else "")
            for field, numbers in self.columns.items()
            for by in [self.how[field]]
        )
        name = _NAMES[self.separator]
        return f"{self.path}: {len(self.rows)} rows, {self.encoding}, {name}; columns: {found}"


def asked(column: str) -> tuple[str, str]:
    """A `--column FIELD=HEADER` of a command line: field and header.

    Raises:
        UsageError: it has not that form.
    """
    field, equal, header = column.partition("=")
    if not equal or not header:
        raise UsageError(f"--column {column}: write FIELD=HEADER, such as --column host='Computer Name'")
    return field, header


def read(
    path: str | os.PathLike[str],
    fields: Sequence[str],
    columns: Mapping[str, str] | None = None,
    *,
    need: Collection[str] = (),
    encoding: str | None = None,
) -> Table:
    """Read a list.

    Args:
        path: the file.
        fields: the fields that are wanted, keys of headers.yml; others are left as columns.
        columns: field -> header or number (from 1) of its column, as the user said; goes before all else.
        need: at least one of these must be found.
        encoding: of the file; found out when None.

    Raises:
        UsageError: the file cannot be read or is no table, or none of the columns in `need` was found; it names the
            headers and the remedy.
    """
    file = Path(path)
    data = _data(file)
    given = dict(columns or {})
    if bad := [field for field in given if field not in fields]:
        raise UsageError(f"--column {bad[0]}=...: there is no such field; those are: {', '.join(fields)}")
    try:
        text, encoding = encodings.decode(data, encoding, lambda sample: _sense(sample, fields))
    except LookupError as exc:
        raise UsageError(f"there is no encoding {encoding!r}") from exc
    lines = re.split(r"\r\n|\n|\r", text)
    if not any(line.strip() for line in lines):
        raise UsageError(f"{file} is empty: it holds no line")
    separator, start = _separator(lines, fields, given)
    problems: list[Problem] = []
    names = [_clean(cell) for cell in split(lines[start], separator)[0]]
    while len(names) > 1 and not names[-1].strip():
        names.pop()  # a separator at the end of the line
    return _Reader(file, encoding, separator, lines, start, names, problems).table(fields, given, need)


def split(line: str, separator: str) -> tuple[list[str], bool]:
    """The cells of one line, and whether its quotes are whole. Quotes count at the beginning of a cell only."""
    if '"' not in line:
        return line.split(separator), True
    cells: list[str] = []
    at, whole = 0, True
    while True:
        if line.startswith('"', at):
            end = at + 1
            while (end := line.find('"', end)) >= 0 and line.startswith('""', end):
                end += 2
            if end < 0:
                return [*cells, line[at:]], False
            stop = line.find(separator, end)
            rest = line[end + 1 : stop if stop >= 0 else len(line)]
            whole = whole and not rest.strip()
            cells.append(line[at + 1 : end].replace('""', '"') + rest.rstrip())
        else:
            stop = line.find(separator, at)
            cells.append(line[at : stop if stop >= 0 else len(line)])
        if stop < 0:
            return cells, whole
        at = stop + 1


def _data(file: Path) -> bytes:
    try:
        if not file.is_file():
            raise UsageError(f"{file} is no file: name a CSV file")
        with file.open("rb") as stream:
            data = stream.read(_LIMIT + 1)
    except OSError as exc:
        raise UsageError(f"{file} cannot be read: {exc.strerror}") from exc
    if len(data) > _LIMIT:
        raise UsageError(f"{file} is larger than any list of hosts: is it the right file?")
    begin = data[:200].removeprefix(codecs.BOM_UTF8).lstrip().lower()
    for magic, what in _NO_TABLE:
        if begin.startswith(magic.lower()):
            raise UsageError(f"{file} is {what}")
    return data


def _clean(cell: str) -> str:
    return cell.replace("\0", "").replace(encodings.MARK, "").strip()


def _candidates(lines: Sequence[str]) -> list[int]:
    """Numbers of the first filled lines."""
    found = []
    for number, line in enumerate(lines):
        if line.strip() and not re.match(r"#type |sep=.\Z", line.strip(), re.IGNORECASE):
            found.append(number)
            if len(found) == _ABOVE:
                break
    return found or [next(n for n, line in enumerate(lines) if line.strip())]


def _sense(sample: str, fields: Sequence[str]) -> float:
    """How many known headers a text has, whatever its separator."""
    return max((s for *_, s in _headings(re.split(r"\r\n|\n|\r", sample)[:50], fields)), default=0)


def _headings(lines: Sequence[str], fields: Sequence[str]) -> Iterator[tuple[str, int, int]]:
    for number in _candidates(lines) if any(line.strip() for line in lines) else ():
        for separator in _SEPARATORS:
            cells = [_clean(c) for c in split(lines[number], separator)[0]]
            yield separator, number, headers.recognised(cells, fields)


def _separator(lines: Sequence[str], fields: Sequence[str], given: Mapping[str, str]) -> tuple[str, int]:
    """The separator, and the number of the line with the headers."""
    said = next((m[1] for line in lines[:1] if (m := re.match(r"sep=(.)\Z", line.strip(), re.IGNORECASE))), "")
    wanted = {headers.plain(name) for name in given.values()}
    sample = [line for line in lines if line.strip()][:200]
    best: tuple[float, ...] = ()
    found = (",", _candidates(lines)[0])
    for separator, number, known in _headings(lines, fields):
        cells = split(lines[number], separator)[0]
        named = sum(headers.plain(_clean(c)) in wanted for c in cells)
        width = len([c for c in cells if c.strip()])
        even = sum(len(split(line, separator)[0]) == len(cells) for line in sample) / len(sample) if width > 1 else 0
        # A title over the table has a cell or two and may hold a known word; the header is as wide as the rows.
        mark = (separator == said, named, known * even if width > 1 else known / 4, even, min(width, 50), -number)
        if mark > best:
            best, found = mark, (separator, number)
    return found


@dataclasses.dataclass
class _Reader:
    """The rows of one file, once it is known how to read them."""

    file: Path
    encoding: str
    separator: str
    lines: list[str]
    start: int
    names: list[str]
    problems: list[Problem]

    def table(self, fields: Sequence[str], given: Mapping[str, str], need: Collection[str]) -> Table:
        """Find the columns and read."""
        body = list(self._rows(self.start + 1))
        found, how = self._columns(fields, given, [cells for _, cells in body], need)
        if all(by == "values" for by in how.values()) and self._is_data():
            # The file has no header at all: its first line is a row as well.
            body.insert(0, (self.start + 1, self._fit(self.start + 1, list(self.names))))
            self.names = [f"column {n + 1}" for n in range(len(self.names))]
        numbers = {f: tuple(n for n, is_of in sorted(found.items()) if is_of == f) for f in fields}
        numbers = {field: columns for field, columns in numbers.items() if columns}
        rows = tuple(Row(line, _values(cells, fields, numbers), tuple(cells)) for line, cells in body)
        above = tuple((n + 1, _clean(line)) for n, line in enumerate(self.lines[: self.start]) if line.strip())
        return Table(
            self.file,
            self.encoding,
            self.separator,
            tuple(_unique(self.names)),
            numbers,
            {field: how[columns[0]] for field, columns in numbers.items()},
            rows,
            tuple(sorted(self.problems, key=lambda p: p.line)),
            above,
        )

    def _columns(
        self, fields: Sequence[str], given: Mapping[str, str], body: Sequence[Sequence[str]], need: Collection[str]
    ) -> tuple[dict[int, str], dict[int, str]]:
        try:
            said = headers.as_written(given, self.names)
        except KeyError as exc:
            raise UsageError(f"{self.file} has no column {exc.args[0]!r}; {self._seen()}") from exc
        found = {n: f for n, f in headers.by_name(self.names, fields).items() if f not in given and n not in said}
        how = dict.fromkeys(found, "header") | dict.fromkeys(said, "given")
        found |= said
        if need and not set(need) & set(found.values()):
            columns = [[cells[n] for cells in body] for n in range(len(self.names))]
            if not body or self._is_data():
                columns = [[name, *cells] for name, cells in zip(self.names, columns, strict=True)]
            free = [cells if n not in found else [] for n, cells in enumerate(columns)]
            guessed = headers.by_values(free, [f for f in fields if f in need])
            how |= dict.fromkeys(guessed, "values")
            found |= guessed
        if need and not set(need) & set(found.values()):
            raise UsageError(
                f"{self.file}: no column was recognised as {' or '.join(need)}; {self._seen()}. "
                f"Say which it is: --column {next(iter(need))}=NAME"
            )
        return found, how

    def _seen(self) -> str:
        seen = ", ".join(repr(name) for name in self.names[:60])
        return f"its columns are (line {self.start + 1}, {self.encoding}, {_NAMES[self.separator]}): {seen}"

    def _is_data(self) -> bool:
        """Is the line taken for the header a row? Then it holds an address, a full name or a name with a number."""
        cells = [name for name in self.names if name]
        return any(headers.looks(field, [cell]) == 1 for field in headers.BY_VALUE for cell in cells) and (
            headers.recognised(self.names, headers.fields()) == 0
        )

    def _rows(self, at: int) -> Iterator[tuple[int, list[str]]]:
        """Each row with the number of its line."""
        while at < len(self.lines):
            line, number, taken = self.lines[at], at + 1, 1
            if line.strip():
                cells, whole = split(line, self.separator)
                if not whole:
                    joined = self._joined(at)
                    if joined is not None:
                        cells, taken = joined
                    else:
                        cells = line.split(self.separator)
                        self.problems.append(Problem(number, "a quote in it has no end or no beginning; it is kept"))
                yield number, self._fit(number, cells)
            at += taken

    def _joined(self, at: int) -> tuple[list[str], int] | None:
        """A row of several lines; None when its quote swallows what are rows of their own."""
        text = self.lines[at]
        for taken in range(2, min(_INSIDE, len(self.lines) - at) + 1):
            line = self.lines[at + taken - 1]
            text += "\n" + line
            cells, whole = split(text, self.separator)
            if whole:
                return (cells, taken) if len(cells) == len(self.names) else None
            alone, _ = split(line, self.separator)
            if len(self.names) > 1 and len(alone) == len(self.names):
                return None
        return None

    def _fit(self, number: int, cells: list[str]) -> list[str]:
        """Cells for all headers; what does not fit is named."""
        say = self.problems.append
        if any("\0" in cell for cell in cells):
            cells = [cell.replace("\0", "") for cell in cells]
            say(Problem(number, "it holds NUL bytes, which are left out"))
        if any(encodings.MARK in cell for cell in cells):
            cells = [cell.replace(encodings.MARK, "") for cell in cells]
            say(Problem(number, rf"it holds bytes that are no {self.encoding}; they are shown as \xNN"))
        width = len(self.names)
        while len(cells) > width and not cells[-1].strip():
            cells.pop()
        if len(cells) != width:
            say(Problem(number, f"it has {len(cells)} cells where the header has {width}; it is kept"))
        elif not any(cell.strip() for cell in cells):
            say(Problem(number, "no cell in it is filled"))
        return cells + [""] * (width - len(cells))


def _values(cells: Sequence[str], fields: Sequence[str], columns: Mapping[str, tuple[int, ...]]) -> dict[str, str]:
    return {field: next((cells[n].strip() for n in columns.get(field, ()) if cells[n].strip()), "") for field in fields}


def _unique(names: Sequence[str]) -> Iterator[str]:
    seen: set[str] = set()
    for number, name in enumerate(names, 1):
        base = name or f"column {number}"
        made, again = base, 2
        while made in seen:
            made, again = f"{base} ({again})", again + 1
        seen.add(made)
        yield made
