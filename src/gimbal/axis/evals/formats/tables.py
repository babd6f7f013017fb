"""CSV with a heading, separated by commas, semicolons, tabs or bars; every ragged row is named by its line."""

import csv
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from gimbal.axis.evals.formats.files import MOST_LINE, lines
from gimbal.axis.evals.formats.model import FORMATS, Collecting, ReadOptions
from gimbal.axis.evals.formats.rows import RowReader
from gimbal.kernel.errors import BadInput

_SEPARATORS = (",", ";", "\t", "|")


class Csv:
    """Reads a table of texts; an empty cell is no value."""

    title = "CSV"

    def recognises(self, path: Path, first: Any) -> int:
        """Tell by the ending."""
        return int(path.suffix.lower() in {".csv", ".tsv"})

    def read(self, path: Path, options: ReadOptions, into: Collecting) -> None:
        """Read row by row."""
        reader = RowReader(options.columns, into, texts=True)
        table = table_of(path)
        reader.check(table.heading, table.where)
        for where, row in table.rows:
            reader.take(row, where)
        reader.finish(path)


class Table(NamedTuple):
    """A table that is being read."""

    where: str
    """Of the heading."""
    heading: list[str]
    rows: Iterator[tuple[str, dict[str, str]]]
    """Place and cells by column of each row."""


def table_of(path: Path) -> Table:
    """Read the heading; rows are read as they are asked for. Raise BadInput."""
    found = _cells(path)
    where, heading = next(found, (str(path), []))
    if not heading:
        raise BadInput(f"{path} is empty.", where=str(path), todo="Give a table with a heading.")
    names = [cell.strip() for cell in heading]
    while names and not names[-1]:
        names.pop()
    if not all(names):
        raise BadInput(f"Column {names.index('') + 1} has no name.", where=where, todo="Name it.")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise BadInput(f"Two columns are called {twice!r}.", where=where, todo="Rename one of them.")
    return Table(where, names, _rows(names, found))


def _rows(heading: list[str], found: Iterator[tuple[str, list[str]]]) -> Iterator[tuple[str, dict[str, str]]]:
    for where, cells in found:
        if len(cells) < len(heading) or any(cells[len(heading) :]):
            raise BadInput(
                f"The row has {len(cells)} cells, the heading {len(heading)}.",
                where=where,
                todo="Mend it; a separator inside a text needs quotes.",
            )
        yield where, dict(zip(heading, cells, strict=False))


def _cells(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield the place and the cells of each row that is not blank."""
    # The limit is the process's; a cell may be as long as a line.
    csv.field_size_limit(max(csv.field_size_limit(), MOST_LINE))
    texts = (text for _, text in lines(path))
    first = next(texts, "")
    separator = max(_SEPARATORS, key=lambda mark: _width(first, mark))
    table = csv.reader(chain([first] if first else [], texts), delimiter=separator, strict=True)
    while True:
        where = f"{path}:{table.line_num + 1}"
        try:
            cells = next(table, None)
        except csv.Error as problem:
            raise BadInput(f"The row cannot be read: {problem}.", where=where, todo="Mend its quotes.") from None
        if cells is None:
            return
        if any(cell.strip() for cell in cells):
            yield where, cells


def _width(first: str, mark: str) -> int:
    try:
        return len(next(csv.reader([first], delimiter=mark), []))
    except csv.Error:
        return 0


FORMATS.add("csv", Csv())
